//! Sends the same request over and over on connections that are kept, and takes the time of each answer.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// What a run came to.
pub(crate) struct Measured {
    /// Answers per second.
    pub(crate) rate: f64,
    /// Half of the answers came within this.
    pub(crate) p50: Duration,
    /// 99 of 100 answers came within this.
    pub(crate) p99: Duration,
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        write!(
            f,
            "{:.0}/s (p50 {:.2} ms, p99 {:.2} ms)",
            self.rate,
            ms(self.p50),
            ms(self.p99)
        )
    }
}

/// A request and where it goes.
#[derive(Clone)]
pub(crate) struct Load {
    address: String,
    request: Arc<[u8]>,
}

impl Load {
    /// JSON to this path.
    pub(crate) fn new(address: &str, method: &str, path: &str, token: Option<&str>, body: &[u8]) -> Self {
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n",
            body.len()
        );
        if let Some(token) = token {
            request.push_str(&format!("authorization: Bearer {token}\r\n"));
        }
        request.push_str("\r\n");
        let request = [request.as_bytes(), body].concat();
        Self {
            address: address.to_owned(),
            request: request.into(),
        }
    }

    /// With so many clients for this long.
    pub(crate) async fn run(&self, clients: usize, time: Duration) -> Measured {
        self.measure(clients, Some(time), Arc::new(AtomicUsize::new(usize::MAX)))
            .await
    }

    /// So many requests in all.
    pub(crate) async fn run_times(&self, clients: usize, times: usize) -> Measured {
        self.measure(clients, None, Arc::new(AtomicUsize::new(times)))
            .await
    }

    async fn measure(&self, clients: usize, time: Option<Duration>, left: Arc<AtomicUsize>) -> Measured {
        let started = Instant::now();
        let until = time.map(|time| started + time);
        let mut tasks = Vec::new();
        for _ in 0..clients {
            let (load, left) = (self.clone(), Arc::clone(&left));
            tasks.push(tokio::spawn(async move { load.client(until, &left).await }));
        }
        let mut times = Vec::new();
        for task in tasks {
            times.extend(task.await.expect("a client ends well"));
        }
        let taken = started.elapsed().as_secs_f64();
        let rate = times.len() as f64 / taken;
        times.sort_unstable();
        let at =
            |share: f64| Duration::from_micros(times[((times.len() - 1) as f64 * share) as usize].into());
        Measured {
            rate,
            p50: at(0.50),
            p99: at(0.99),
        }
    }

    /// The times of one client, in microseconds.
    async fn client(&self, until: Option<Instant>, left: &AtomicUsize) -> Vec<u32> {
        let mut connection = Connection::open(&self.address).await;
        let mut times = Vec::new();
        loop {
            let take = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
            let sent = Instant::now();
            if take.is_err() || until.is_some_and(|until| sent >= until) {
                return times;
            }
            let status = connection.exchange(&self.request).await;
            assert_eq!(status, 200, "{}", String::from_utf8_lossy(&connection.buffer));
            times.push(u32::try_from(sent.elapsed().as_micros()).unwrap_or(u32::MAX));
        }
    }
}

/// One request; the body of its answer, which must be a success.
pub(crate) async fn once(
    address: &str,
    method: &str,
    path: &str,
    token: Option<&str>,
    body: &[u8],
) -> Vec<u8> {
    let load = Load::new(address, method, path, token, body);
    let mut connection = Connection::open(address).await;
    let status = connection.exchange(&load.request).await;
    let answer = connection.buffer[connection.body..].to_vec();
    assert!(
        (200..300).contains(&status),
        "{method} {path}: {status} {}",
        String::from_utf8_lossy(&answer)
    );
    answer
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Where the body of the last answer begins.
    body: usize,
}

impl Connection {
    async fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address)
            .await
            .expect("the server takes connections");
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            buffer: Vec::with_capacity(8192),
            body: 0,
        }
    }

    async fn exchange(&mut self, request: &[u8]) -> u16 {
        self.stream.write_all(request).await.expect("the request is sent");
        self.buffer.clear();
        let mut whole = None;
        while whole.is_none_or(|whole| self.buffer.len() < whole) {
            let read = self.stream.read_buf(&mut self.buffer).await.expect("an answer");
            assert!(read > 0, "the server hung up");
            if whole.is_none() {
                whole = self.head();
            }
        }
        let status = self
            .buffer
            .get(9..12)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        status.and_then(|digits| digits.parse().ok()).expect("a status")
    }

    /// How long the whole answer is, once its head has come in.
    fn head(&mut self) -> Option<usize> {
        let end = self.buffer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
        self.body = end;
        let head = std::str::from_utf8(&self.buffer[..end]).expect("a head in ASCII");
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.trim().parse::<usize>().ok())?
        });
        Some(end + length.expect("an answer with a length"))
    }
}
