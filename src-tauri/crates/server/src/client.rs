//! A call to the management API of a Countersign that runs on this machine, over plain HTTP. One call, one connection:
//! those who call are short-lived.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use countersign_domain::{ErrorCode, display_text};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
pub use http::{HeaderValue, Method};
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// What is called.
#[derive(Debug, Clone)]
pub struct Call<'a> {
    /// The method.
    pub method: Method,
    /// Path and query, such as `/api/v1/status`.
    pub path: &'a str,
    /// JSON, if there is a body.
    pub body: Option<Vec<u8>>,
    /// Further headers.
    pub headers: Vec<(&'static str, HeaderValue)>,
}

/// The answer, whatever its status.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The body.
    pub body: Bytes,
}

/// What the body of an error says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The code, if it is one that this version knows.
    pub code: Option<ErrorCode>,
    /// The text for people, safe to print.
    pub message: Option<String>,
}

/// There was no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Nobody takes connections there.
    #[error("nothing answers at {address}")]
    Unreachable {
        /// Where.
        address: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The connection ended before the answer did.
    #[error("the connection to {address} broke off")]
    BrokeOff {
        /// To whom.
        address: String,
        /// Why.
        #[source]
        source: hyper::Error,
    },
    /// Nothing is known about what it did.
    #[error("{address} has not answered for {} seconds", patience.as_secs())]
    Silent {
        /// Who.
        address: String,
        /// How long was waited.
        patience: Duration,
    },
    /// A token with characters that no header can carry.
    #[error("the token is none")]
    Token,
    /// The request cannot be written down.
    #[error("the request cannot be written")]
    Request(#[source] http::Error),
}

impl Reply {
    /// What an error says.
    pub fn refusal(&self) -> Refusal {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let code = body.get("code").cloned();
        let message = body.get("message").or_else(|| body.get("error"));
        Refusal {
            code: code.and_then(|code| serde_json::from_value(code).ok()),
            message: message.and_then(Value::as_str).map(display_text),
        }
    }
}

/// Calls whoever listens at this address of this machine, which gets the token in the clear.
///
/// # Errors
/// [`CallError`] if there is no answer within `patience`.
pub async fn call(
    address: &str,
    token: &str,
    call: Call<'_>,
    patience: Duration,
) -> Result<Reply, CallError> {
    match tokio::time::timeout(patience, exchange(address, token, call)).await {
        Ok(done) => done,
        Err(_) => Err(CallError::Silent {
            address: address.to_owned(),
            patience,
        }),
    }
}

async fn exchange(address: &str, token: &str, call: Call<'_>) -> Result<Reply, CallError> {
    let request = request(address, token, call)?;
    let stream = TcpStream::connect(address)
        .await
        .map_err(|source| CallError::Unreachable {
            address: address.to_owned(),
            source,
        })?;
    let broken = |source| CallError::BrokeOff {
        address: address.to_owned(),
        source,
    };
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    tokio::spawn(connection);
    let response = sender.send_request(request).await.map_err(broken)?;
    let status = response.status();
    let body = response.collect().await.map_err(broken)?.to_bytes();
    Ok(Reply { status, body })
}

fn request(address: &str, token: &str, call: Call<'_>) -> Result<Request<Full<Bytes>>, CallError> {
    let mut token = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| CallError::Token)?;
    token.set_sensitive(true);
    let mut request = Request::builder()
        .method(call.method)
        .uri(call.path)
        .header(HOST, address)
        .header(AUTHORIZATION, token);
    if call.body.is_some() {
        request = request.header(CONTENT_TYPE, "application/json");
    }
    for (name, value) in call.headers {
        request = request.header(name, value);
    }
    request
        .body(Full::new(Bytes::from(call.body.unwrap_or_default())))
        .map_err(CallError::Request)
}
