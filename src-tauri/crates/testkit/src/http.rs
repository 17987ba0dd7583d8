//! A small HTTP client: one connection a request, no surprises.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// Talks to one server on this machine.
#[derive(Debug, Clone)]
pub struct HttpClient {
    address: String,
    token: Option<String>,
    limit: Duration,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct HttpResponse {
    /// The status code.
    pub status: u16,
    /// Names in lower case and values, in order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

impl HttpResponse {
    /// The body as JSON.
    ///
    /// # Panics
    /// If it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {}", self.text()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

impl HttpClient {
    /// For the server at this address, `127.0.0.1:8420`.
    pub fn new(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            token: None,
            limit: Duration::from_secs(30),
        }
    }

    /// Sends this bearer token with every request.
    #[must_use]
    pub fn with_token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// How long a request may take; 30 s if nothing else is said.
    #[must_use]
    pub fn with_limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// The server's address.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// `http://<address><path>`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Sends a request. An error says that the server could not be reached, broke off or took too long.
    ///
    /// # Errors
    /// A text for people.
    ///
    /// # Panics
    /// If method, path or headers are no valid HTTP.
    pub async fn try_request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<HttpResponse, String> {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let mut request = Request::builder().method(method).uri(path);
        let given = |name: &str| headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
        if !given("host") {
            request = request.header(HOST, &self.address);
        }
        if let Some(token) = &self.token
            && !given("authorization")
        {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).expect("valid HTTP");
        let exchange = async {
            let stream = TcpStream::connect(&self.address)
                .await
                .map_err(|error| error.to_string())?;
            // A request in several packets must not wait for the other side to acknowledge the first.
            stream.set_nodelay(true).map_err(|error| error.to_string())?;
            let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
                .await
                .map_err(|error| error.to_string())?;
            let driver = tokio::spawn(connection);
            let response = sender
                .send_request(request)
                .await
                .map_err(|error| error.to_string())?;
            let (head, body) = response.into_parts();
            let body = body
                .collect()
                .await
                .map_err(|error| error.to_string())?
                .to_bytes();
            driver.abort();
            let headers = head
                .headers
                .iter()
                .map(|(name, value)| {
                    (
                        name.to_string(),
                        String::from_utf8_lossy(value.as_bytes()).into_owned(),
                    )
                })
                .collect();
            Ok(HttpResponse {
                status: head.status.as_u16(),
                headers,
                body,
            })
        };
        tokio::time::timeout(self.limit, exchange)
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {:?}", self.limit)))
    }

    /// As [`Self::try_request`].
    ///
    /// # Panics
    /// If there is no answer.
    pub async fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> HttpResponse {
        let result = self.try_request(method, path, headers, body).await;
        result.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// GET.
    ///
    /// # Panics
    /// If there is no answer.
    pub async fn get(&self, path: &str) -> HttpResponse {
        self.request("GET", path, &[], Bytes::new()).await
    }

    /// DELETE.
    ///
    /// # Panics
    /// If there is no answer.
    pub async fn delete(&self, path: &str) -> HttpResponse {
        self.request("DELETE", path, &[], Bytes::new()).await
    }

    /// POST with a JSON body.
    ///
    /// # Panics
    /// If there is no answer.
    pub async fn post(&self, path: &str, body: &Value) -> HttpResponse {
        self.send_json("POST", path, body).await
    }

    /// Any method with a JSON body.
    ///
    /// # Panics
    /// If there is no answer.
    pub async fn send_json(&self, method: &str, path: &str, body: &Value) -> HttpResponse {
        self.request(
            method,
            path,
            &[(CONTENT_TYPE.as_str(), "application/json")],
            body.to_string(),
        )
        .await
    }
}
