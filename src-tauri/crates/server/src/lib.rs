//! The local HTTP server: webhooks and the management API.
//!
//! [`serve`] listens on a loopback socket and gives every request to one service that works in this order:
//! guards (Host, Origin, fetch metadata, method), then, for everything under `/api/` that is not a webhook,
//! the bearer token, then the body, then one call of [`countersign_app::App`]. Nothing here decides anything:
//! a route is an adapter from HTTP to a use case and back. [`client`] is the other end of the management API.

mod auth;
mod body;
pub mod client;
mod connection;
mod error;
mod form;
mod front;
mod guards;
mod linger;
mod routes;
mod seat;

use std::path::PathBuf;
use std::time::Duration;

use axum::Router;
use countersign_app::App;

pub use connection::serve;

/// Where the user interface lies, and the limits of the server. The defaults fit a desktop.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder with the built user interface (`ui/dist`). Without it, `/` says where the inbox is, or how to build it.
    pub dist: Option<PathBuf>,
    /// The largest request body in bytes, before and after decompression; above it 413. 16 MiB.
    pub body_limit: usize,
    /// How many values (objects, lists, texts, numbers, …) the JSON of one request may hold; above it 413.
    /// Small values cost much more memory than text, so the size alone is no limit. 250,000.
    pub value_limit: usize,
    /// How many bytes of request bodies above 64 KiB may be in memory at once; further ones wait. 256 MiB.
    pub body_memory: usize,
    /// How many connections are served at once; for a further one that gives way which waits longest for its client,
    /// and while all of them are at work it waits in the listen queue. 256.
    pub connections: usize,
    /// How many event streams may be open at once; further ones get 429. 32.
    pub event_streams: usize,
    /// How long a client may take for the head of a request, and how long an idle connection is kept. 10 s.
    pub header_timeout: Duration,
    /// How long a client may take for the body of a request, after it 408; and how long one may go on sending
    /// after an answer that did not wait for the whole body. 30 s.
    pub body_timeout: Duration,
    /// How long requests under way may take once the server closes. 5 s.
    pub shutdown_timeout: Duration,
    /// Origins beside the server's own from which a browser may call, `http://localhost:5173`. None.
    pub allowed_origins: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            dist: None,
            body_limit: 16 << 20,
            value_limit: 250_000,
            body_memory: 256 << 20,
            connections: 256,
            event_streams: 32,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            shutdown_timeout: Duration::from_secs(5),
            allowed_origins: Vec::new(),
        }
    }
}

/// The whole service without a socket, for tests and for embedding. Connections, their number and their
/// timeouts are the business of [`serve`].
pub fn router(app: App, options: Options) -> Router {
    Router::new().fallback_service(front::Front::new(app, options))
}
