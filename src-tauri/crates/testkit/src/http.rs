//! An HTTP/1.1 client that sends what it is told to send, also what no client should.

use std::io::{self, BufReader, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use crate::wire::{self, Head, Otherwise};

/// How long a read or a write may take.
const LIMIT: Duration = Duration::from_secs(30);

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
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("status {}, not JSON ({error}): {}", self.status, self.text()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The `message` of an error's body; empty if there is none.
    pub fn message(&self) -> String {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        body["message"].as_str().unwrap_or_default().to_owned()
    }

    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        wire::header(&self.headers, name)
    }

    /// The answer itself, if it has this status.
    ///
    /// # Panics
    /// If it has another one; `why` says what was expected.
    #[track_caller]
    pub fn expect(self, status: u16, why: &str) -> Self {
        let told: String = self.text().chars().take(2_000).collect();
        assert_eq!(self.status, status, "{why}: {told}");
        self
    }
}

/// One connection, kept open from request to request. Blocks.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<TcpStream>,
    host: String,
}

impl Connection {
    /// Connects to `127.0.0.1:8420`.
    ///
    /// # Errors
    /// If nobody listens there.
    pub fn open(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        // A request in several packets must not wait for the other side to acknowledge the first.
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_write_timeout(Some(LIMIT))?;
        Ok(Self {
            stream: BufReader::new(stream),
            host: address.to_owned(),
        })
    }

    /// How long a read or a write may take from now on; 30 s at first.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn set_limit(&mut self, limit: Duration) -> io::Result<()> {
        self.stream.get_ref().set_read_timeout(Some(limit))?;
        self.stream.get_ref().set_write_timeout(Some(limit))
    }

    /// Sends a request and reads the answer. `Host` and `Content-Length` are added unless they are given.
    ///
    /// # Errors
    /// If the connection breaks off, the time is over or the answer is no HTTP.
    pub fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> io::Result<HttpResponse> {
        let head = self.head(method, path, headers, body.map(<[u8]>::len));
        let stream = self.stream.get_mut();
        stream.write_all(head.as_bytes())?;
        // A server may answer before it has read everything; that answer counts, not the broken pipe.
        let sent = stream
            .write_all(body.unwrap_or_default())
            .and_then(|()| stream.flush());
        match self.read(method == "HEAD") {
            Ok(response) => Ok(response),
            Err(error) => sent.and(Err(error)),
        }
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// If the connection breaks off or the time is over.
    pub fn write_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Sends bytes as they are and reads the answer.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub fn send_raw(&mut self, bytes: &[u8]) -> io::Result<HttpResponse> {
        self.write_raw(bytes)?;
        self.read(false)
    }

    /// Sends a request and reads the head of the answer only, for streams.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub fn open_stream(&mut self, path: &str, headers: &[(&str, &str)]) -> io::Result<HttpResponse> {
        let head = self.head("GET", path, headers, None);
        self.write_raw(head.as_bytes())?;
        self.read_head()
    }

    /// One line without its end, for streams of events.
    ///
    /// # Errors
    /// If the connection breaks off or the time is over.
    pub fn read_line(&mut self) -> io::Result<String> {
        wire::read_line(&mut self.stream)
    }

    /// Reads the head of an answer.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub fn read_head(&mut self) -> io::Result<HttpResponse> {
        let Head { line, headers } = wire::read_head(&mut self.stream)?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("no status in {line:?}")))?;
        Ok(HttpResponse {
            status,
            headers,
            body: Bytes::new(),
        })
    }

    fn head(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        content_length: Option<usize>,
    ) -> String {
        let given = |name: &str| headers.iter().any(|(key, _)| key.eq_ignore_ascii_case(name));
        let mut head = format!("{method} {path} HTTP/1.1\r\n");
        if !given("host") {
            head.push_str(&format!("host: {}\r\n", self.host));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(length) = content_length
            && !given("content-length")
            && !given("transfer-encoding")
        {
            head.push_str(&format!("content-length: {length}\r\n"));
        }
        head.push_str("\r\n");
        head
    }

    fn read(&mut self, head_only: bool) -> io::Result<HttpResponse> {
        let mut response = self.read_head()?;
        while (100..200).contains(&response.status) {
            response = self.read_head()?;
        }
        if !head_only && !matches!(response.status, 204 | 304) {
            response.body = wire::read_body(&mut self.stream, &response.headers, Otherwise::ToTheEnd)?.into();
        }
        Ok(response)
    }
}

/// The same client for tests on tokio: one connection a request.
#[derive(Debug, Clone)]
pub struct HttpClient {
    address: String,
    token: Option<String>,
    limit: Duration,
}

impl HttpClient {
    /// For the server at this address, `127.0.0.1:8420`.
    pub fn new(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            token: None,
            limit: LIMIT,
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
    pub async fn try_request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<HttpResponse, String> {
        let own = |text: &str| text.to_owned();
        let (address, limit) = (self.address.clone(), self.limit);
        let (method, path, body) = (own(method), own(path), body.into());
        let mut all: Vec<(String, String)> = headers
            .iter()
            .map(|(name, value)| (own(name), own(value)))
            .collect();
        if let Some(token) = &self.token
            && wire::header(&all, "authorization").is_none()
        {
            all.push((own("authorization"), format!("Bearer {token}")));
        }
        let exchange = tokio::task::spawn_blocking(move || {
            let mut connection = Connection::open(&address)?;
            connection.set_limit(limit)?;
            let headers: Vec<(&str, &str)> = all
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect();
            let body = Some(&body[..])
                .filter(|body| !body.is_empty() || matches!(method.as_str(), "POST" | "PUT" | "PATCH"));
            connection.send(&method, &path, &headers, body)
        });
        match tokio::time::timeout(self.limit, exchange).await {
            Ok(done) => done
                .expect("a request does not panic")
                .map_err(|error| error.to_string()),
            Err(_) => Err(format!("no answer within {:?}", self.limit)),
        }
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
        let json = [("content-type", "application/json")];
        self.request(method, path, &json, body.to_string()).await
    }
}
