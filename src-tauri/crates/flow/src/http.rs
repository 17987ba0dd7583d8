//! HTTP requests as nodes make them, and their answers.

use std::time::Duration;

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// The method, upper case.
    pub method: String,
    /// The address with its query.
    pub url: String,
    /// Headers, credentials included.
    pub headers: Vec<(String, String)>,
    /// What is sent.
    pub body: HttpBody,
    /// The credential that the node names, to be added by the host; exports never hold the credential itself.
    pub credential: Option<String>,
    /// Equal each time the same step of the same run makes the same request, also after a restart; sent as
    /// `Idempotency-Key`.
    pub idempotency_key: String,
    /// How long the whole exchange may take.
    pub timeout: Duration,
}

/// The body of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HttpBody {
    /// None.
    Empty,
    /// A text with its content type, which an explicit header replaces.
    Text {
        /// The text.
        text: String,
        /// Its type.
        content_type: &'static str,
    },
    /// `multipart/form-data`.
    Multipart(Vec<(String, String)>),
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpResponse {
    /// The status.
    pub status: u16,
    /// The words beside it.
    pub status_text: String,
    /// Headers, names in lower case; one that came twice stands here twice.
    pub headers: Vec<(String, String)>,
    /// The body, unpacked.
    pub body: Vec<u8>,
}
