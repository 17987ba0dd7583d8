//! What `fetch` asks of the host.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// An answer that is on its way.
pub type FetchFuture<'a> = Pin<Box<dyn Future<Output = Result<FetchResponse, String>> + Send + 'a>>;

/// A request that a script makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchRequest {
    /// The method, upper case.
    pub method: String,
    /// The address as the script gave it; nothing has checked it.
    pub url: String,
    /// Headers, names in lower case. A `content-type` is among them if there is a body.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Option<String>,
    /// Equal each time the same script makes the same request of its run, counted from its beginning.
    pub idempotency_key: String,
    /// How much of the script's time is left.
    pub timeout: Duration,
    /// Bytes of body that the script can take. A longer body fails the request.
    pub response_limit: usize,
}

/// An answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchResponse {
    /// The status.
    pub status: u16,
    /// The words beside it.
    pub status_text: String,
    /// Where the answer came from, after redirects.
    pub url: String,
    /// Headers; one that came twice stands here twice.
    pub headers: Vec<(String, String)>,
    /// The body, unpacked. The script reads it as UTF-8.
    pub body: Vec<u8>,
}

/// Makes the requests of scripts. A request that was begun goes on when its script ended without awaiting it.
pub trait Fetch: Send + Sync + 'static {
    /// Makes a request. The error is the message of the `TypeError` with which the promise is rejected.
    fn fetch(&self, request: FetchRequest) -> FetchFuture<'_>;
}

/// Refuses every request.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFetch;

impl Fetch for NoFetch {
    fn fetch(&self, _request: FetchRequest) -> FetchFuture<'_> {
        Box::pin(std::future::ready(Err(
            "requests are not available here".to_owned()
        )))
    }
}
