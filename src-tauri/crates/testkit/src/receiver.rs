//! A receiver of callbacks.

use std::collections::{HashMap, VecDeque};
use std::io::{self, BufReader, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::Notify;

use crate::signature;
use crate::wire::{self, Otherwise};

/// How far the time in a signature may lie from the receiver's own.
const SKEW: Duration = Duration::from_secs(60);

/// One request that came in completely.
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
    /// Whether the receiver answers it with 2xx.
    pub taken: bool,
}

impl Received {
    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        wire::header(&self.headers, name)
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// If it is none.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }

    #[track_caller]
    fn text(&self, key: &str) -> String {
        let body = self.json();
        let text = body[key].as_str();
        text.unwrap_or_else(|| panic!("no {key} in {body}")).to_owned()
    }

    /// `webhook-id`
    ///
    /// # Panics
    /// If it has none.
    #[track_caller]
    pub fn id(&self) -> String {
        self.header("webhook-id")
            .expect("every callback has an id")
            .to_owned()
    }

    /// `SUCCESS`, `STOPPED` or `ERROR`.
    ///
    /// # Panics
    /// If the body has no status.
    #[track_caller]
    pub fn status(&self) -> String {
        self.text("status")
    }

    /// The chat it reports on.
    ///
    /// # Panics
    /// If the body has none.
    #[track_caller]
    pub fn chat(&self) -> String {
        self.text("chatId")
    }

    /// Checks both signatures over the raw bytes: Flowise's and that of Standard Webhooks.
    ///
    /// # Panics
    /// If one is missing or wrong, or its time is not now.
    #[track_caller]
    pub fn assert_signed(&self, secret: &str) {
        let flowise = signature::flowise(secret, &self.body);
        assert_eq!(
            self.header("x-flowise-signature"),
            Some(flowise.as_str()),
            "Flowise's signature"
        );
        let time = self.header("webhook-timestamp").expect("a time");
        let standard = signature::standard_webhooks(secret, &self.id(), time, &self.body);
        let sent = self.header("webhook-signature").expect("a standard signature");
        assert!(
            sent.split(' ').any(|one| one == standard),
            "{sent} does not hold {standard}"
        );
        let seconds: u64 = time.parse().expect("the time is in seconds");
        let now = self
            .wall_time
            .duration_since(UNIX_EPOCH)
            .expect("it is later than 1970");
        assert!(
            Duration::from_secs(seconds).abs_diff(now) < SKEW,
            "the time of the attempt is {time}, it came at {}",
            now.as_secs()
        );
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

    /// The answer as bytes; none if the connection breaks off.
    fn bytes(&self) -> Option<Vec<u8>> {
        let mut text = format!(
            "HTTP/1.1 {} Scripted\r\ncontent-length: {}\r\n",
            self.status?,
            self.body.len()
        );
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        text.push_str(&self.body);
        Some(text.into_bytes())
    }
}

/// Answers what no script for a path answers; gets the request and how many came before it.
type Answers = dyn Fn(&Received, usize) -> ScriptedReply + Send + Sync;

#[derive(Default)]
struct State {
    received: Vec<Received>,
    scripts: HashMap<String, VecDeque<ScriptedReply>>,
    always: HashMap<String, ScriptedReply>,
    /// Open connections, to be broken off at the end.
    connections: Vec<TcpStream>,
    closed: bool,
}

struct Shared {
    state: Mutex<State>,
    answers: Box<Answers>,
    changed: Condvar,
    notify: Notify,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics with the lock")
    }
}

/// Listens on a free port of 127.0.0.1, records every request and answers by script. Ends on drop: a receiver that is
/// gone answers nothing more, and its port is free.
#[derive(Debug)]
pub struct CallbackReceiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl CallbackReceiver {
    /// One that answers 200 with an empty body unless told otherwise.
    ///
    /// # Panics
    /// If there is no free port.
    #[expect(clippy::new_without_default, reason = "it opens a port")]
    pub fn new() -> Self {
        Self::answering(|_, _| ScriptedReply::status(200))
    }

    /// One that answers as the function says, unless there is a script for the path. The function gets the request and
    /// how many came before it.
    ///
    /// # Panics
    /// If there is no free port.
    pub fn answering(answers: impl Fn(&Received, usize) -> ScriptedReply + Send + Sync + 'static) -> Self {
        Self::open(SocketAddr::from(([127, 0, 0, 1], 0)), Box::new(answers))
    }

    /// As [`Self::new`], for tests on tokio.
    ///
    /// # Panics
    /// If there is no free port.
    pub async fn start() -> Self {
        Self::new()
    }

    /// As [`Self::start`] at this address, for a receiver that was away for a while.
    ///
    /// # Panics
    /// If the address is taken.
    pub async fn start_at(address: SocketAddr) -> Self {
        Self::open(address, Box::new(|_, _| ScriptedReply::status(200)))
    }

    fn open(address: SocketAddr, answers: Box<Answers>) -> Self {
        let listener = TcpListener::bind(address).expect("the address is free");
        let address = listener.local_addr().expect("it has an address");
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            answers,
            changed: Condvar::new(),
            notify: Notify::new(),
        });
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::spawn(move || accept(&listener, &of_thread));
        Self {
            address,
            shared,
            thread: Some(thread),
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

    /// The next requests to this path get these answers, one each; then what [`Self::always`] says, else the usual.
    pub fn script(&self, path: &str, replies: impl IntoIterator<Item = ScriptedReply>) {
        self.shared
            .state()
            .scripts
            .entry(path.to_owned())
            .or_default()
            .extend(replies);
    }

    /// All requests to this path get this answer, once the script for it is used up.
    pub fn always(&self, path: &str, reply: ScriptedReply) {
        self.shared.state().always.insert(path.to_owned(), reply);
    }

    /// Everything that came, in order.
    pub fn received(&self) -> Vec<Received> {
        self.shared.state().received.clone()
    }

    /// What came to this path, in order.
    pub fn received_at(&self, path: &str) -> Vec<Received> {
        self.received()
            .into_iter()
            .filter(|request| request.path == path)
            .collect()
    }

    /// Waits until at least so many requests came, and gives them all. Blocks.
    ///
    /// # Panics
    /// If that takes longer than `limit`.
    #[track_caller]
    pub fn blocking_wait_for(&self, count: usize, limit: Duration) -> Vec<Received> {
        let (state, _) = self
            .shared
            .changed
            .wait_timeout_while(self.shared.state(), limit, |state| state.received.len() < count)
            .expect("no thread panics with the lock");
        let all = &state.received;
        assert!(
            all.len() >= count,
            "{count} requests were expected within {limit:?}, {} came: {all:#?}",
            all.len()
        );
        all.clone()
    }

    /// As [`Self::blocking_wait_for`], for tests on tokio.
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
                let changed = self.shared.notify.notified();
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
        let connections = {
            let mut state = self.shared.state();
            state.closed = true;
            std::mem::take(&mut state.connections)
        };
        for connection in connections {
            // An error means that it is gone already.
            let _ = connection.shutdown(Shutdown::Both);
        }
        // The thread waits for a connection; this one wakes it up.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        let Ok(stream) = stream else { continue };
        {
            let mut state = shared.state();
            if state.closed {
                return;
            }
            state.connections.retain(|open| open.peer_addr().is_ok());
            state.connections.extend(stream.try_clone());
        }
        let shared = Arc::clone(shared);
        std::thread::spawn(move || {
            let end = stream.try_clone();
            // An error here is a client that went away, or a connection that was broken off on purpose.
            let _ = answer(stream, &shared);
            if let Ok(end) = end {
                let _ = end.shutdown(Shutdown::Both);
            }
        });
    }
}

fn answer(stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    loop {
        let head = wire::read_head(&mut reader)?;
        if wire::header(&head.headers, "expect").is_some() {
            reader.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let body = wire::read_body(&mut reader, &head.headers, Otherwise::Empty)?;
        let mut line = head.line.split(' ');
        let method = line.next().unwrap_or_default().to_owned();
        let target = line.next().unwrap_or_default();
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (target, None),
        };
        #[expect(
            clippy::disallowed_methods,
            reason = "a receiver has its own clock; it is what signatures are compared with"
        )]
        let wall_time = SystemTime::now();
        let mut received = Received {
            method,
            path: path.to_owned(),
            query,
            headers: head.headers,
            body: body.into(),
            at: Instant::now(),
            wall_time,
            taken: false,
        };
        let reply = {
            let mut state = shared.state();
            let scripted = state
                .scripts
                .get_mut(&received.path)
                .and_then(VecDeque::pop_front)
                .or_else(|| state.always.get(&received.path).cloned());
            let reply = scripted.unwrap_or_else(|| (shared.answers)(&received, state.received.len()));
            received.taken = reply.status.is_some_and(|status| (200..300).contains(&status));
            state.received.push(received);
            reply
        };
        shared.changed.notify_all();
        shared.notify.notify_waiters();
        std::thread::sleep(reply.delay);
        let Some(bytes) = reply.bytes() else {
            return Ok(());
        };
        reader.get_mut().write_all(&bytes)?;
    }
}
