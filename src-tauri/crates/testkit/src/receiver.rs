//! A receiver of callbacks.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// One request that came.
#[derive(Debug, Clone)]
pub struct Received {
    /// `POST`.
    pub method: String,
    /// The path without the query.
    pub path: String,
    /// The query without the question mark.
    pub query: Option<String>,
    /// Names in lower case and values, in order.
    pub headers: Vec<(String, String)>,
    /// The bytes of the body, as they came.
    pub body: Bytes,
    /// When the whole body was there.
    pub at: Instant,
    /// The same moment by the clock on the wall, for a comparison with `webhook-timestamp`.
    pub wall_time: SystemTime,
}

impl Received {
    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// If it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }
}

/// What the receiver answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptedReply {
    /// The status; none breaks the connection off without an answer.
    pub status: Option<u16>,
    /// How long it takes.
    pub delay: Duration,
    /// Headers of the answer.
    pub headers: Vec<(String, String)>,
    /// The body of the answer.
    pub body: String,
}

impl ScriptedReply {
    /// This status at once, with an empty body.
    pub fn status(status: u16) -> Self {
        Self {
            status: Some(status),
            delay: Duration::ZERO,
            headers: Vec::new(),
            body: String::new(),
        }
    }

    /// The connection breaks off after the request was read.
    pub fn dropped() -> Self {
        Self {
            status: None,
            ..Self::status(0)
        }
    }

    /// After this time.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// With this header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With this body.
    #[must_use]
    pub fn body(mut self, body: impl Into<String>) -> Self {
        self.body = body.into();
        self
    }
}

#[derive(Default)]
struct State {
    received: Vec<Received>,
    scripts: HashMap<String, VecDeque<ScriptedReply>>,
    always: HashMap<String, ScriptedReply>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

/// Listens on a free port of 127.0.0.1, records every request and answers by script. Ends on drop.
#[derive(Debug)]
pub struct CallbackReceiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl CallbackReceiver {
    /// Starts one. It answers 200 with an empty body unless told otherwise.
    ///
    /// # Panics
    /// If there is no free port.
    pub async fn start() -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// As [`Self::start`] at this address, for a receiver that was away for a while.
    ///
    /// # Panics
    /// If the address is taken.
    pub async fn start_at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.expect("the address is free");
        let address = listener.local_addr().expect("it has an address");
        let shared = Arc::new(Shared::default());
        let task = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self {
            address,
            shared,
            task,
        }
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT<path>`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap()
    }

    /// The next requests to this path get these answers, one each; then what [`Self::always`] says, else 200.
    pub fn script(&self, path: &str, replies: impl IntoIterator<Item = ScriptedReply>) {
        self.state()
            .scripts
            .entry(path.to_owned())
            .or_default()
            .extend(replies);
    }

    /// All requests to this path get this answer, once the script for it is used up.
    pub fn always(&self, path: &str, reply: ScriptedReply) {
        self.state().always.insert(path.to_owned(), reply);
    }

    /// Everything that came, in order.
    pub fn received(&self) -> Vec<Received> {
        self.state().received.clone()
    }

    /// What came to this path, in order.
    pub fn received_at(&self, path: &str) -> Vec<Received> {
        self.received()
            .into_iter()
            .filter(|request| request.path == path)
            .collect()
    }

    /// Waits until at least so many requests came, and gives them all.
    ///
    /// # Panics
    /// If that takes longer than `limit`.
    pub async fn wait_for(&self, count: usize, limit: Duration) -> Vec<Received> {
        self.wait_until(limit, |all| all.len() >= count)
            .await
            .unwrap_or_else(|all| {
                panic!(
                    "{count} requests were expected within {limit:?}, {} came: {all:#?}",
                    all.len()
                )
            })
    }

    /// Waits until what came satisfies the condition, and gives it.
    ///
    /// # Errors
    /// What came, if it does not within `limit`.
    pub async fn wait_until(
        &self,
        limit: Duration,
        condition: impl Fn(&[Received]) -> bool,
    ) -> Result<Vec<Received>, Vec<Received>> {
        let wait = async {
            loop {
                let changed = self.shared.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                let all = self.received();
                if condition(&all) {
                    return all;
                }
                changed.await;
            }
        };
        tokio::time::timeout(limit, wait)
            .await
            .map_err(|_| self.received())
    }
}

impl Drop for CallbackReceiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // Dropping the set, with this task, ends the connections too: a receiver that is gone must not answer.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        while connections.try_join_next().is_some() {}
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let service = service_fn(|request| reply(request, Arc::clone(&shared)));
            // An error here is a client that went away, or a connection that we broke off on purpose.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

/// Breaks a connection off: hyper closes it without an answer when the service fails.
#[derive(Debug)]
struct BreakOff;

impl std::fmt::Display for BreakOff {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("broken off on purpose")
    }
}

impl std::error::Error for BreakOff {}

impl From<Infallible> for BreakOff {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

async fn reply(request: Request<Incoming>, shared: Arc<Shared>) -> Result<Response<Full<Bytes>>, BreakOff> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| BreakOff)?.to_bytes();
    let path = head.uri.path().to_owned();
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
    #[expect(
        clippy::disallowed_methods,
        reason = "a receiver has its own clock; it is what signatures are compared with"
    )]
    let wall_time = SystemTime::now();
    let received = Received {
        method: head.method.to_string(),
        path: path.clone(),
        query: head.uri.query().map(ToOwned::to_owned),
        headers,
        body,
        at: Instant::now(),
        wall_time,
    };
    let scripted = {
        let mut state = shared.state.lock().unwrap();
        state.received.push(received);
        let next = state.scripts.get_mut(&path).and_then(VecDeque::pop_front);
        next.or_else(|| state.always.get(&path).cloned())
            .unwrap_or_else(|| ScriptedReply::status(200))
    };
    shared.changed.notify_waiters();
    if !scripted.delay.is_zero() {
        tokio::time::sleep(scripted.delay).await;
    }
    let Some(status) = scripted.status else {
        return Err(BreakOff);
    };
    let mut response = Response::builder().status(status);
    for (name, value) in &scripted.headers {
        response = response.header(name, value);
    }
    Ok(response
        .body(Full::new(Bytes::from(scripted.body)))
        .expect("valid HTTP"))
}
