//! HTTP requests as nodes make them, and their answers.

use std::time::Duration;

use countersign_domain::UrlSource;

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// The method, upper case.
    pub method: String,
    /// The address with its query; nothing has checked it.
    pub url: String,
    /// Who says to which host it goes: the flow and the operator's variables, or what came in while it ran.
    pub url_source: UrlSource,
    /// Headers as the node has them, without the credential.
    pub headers: Vec<(String, String)>,
    /// What is sent, if anything.
    pub body: Option<HttpBody>,
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
pub struct HttpBody {
    /// The text.
    pub text: String,
    /// Its type; a header of the node's own wins.
    pub content_type: String,
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
