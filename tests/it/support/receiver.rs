//! Receives callbacks, answers as told, and checks signatures with libraries that are not ours.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;

/// How the receiver answers.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Answer {
    /// With this status.
    Status(u16),
    /// With a redirect to another path of the receiver.
    Redirect,
    /// Not at all: the connection is closed.
    Drop,
    /// With 200 after this time.
    Late(Duration),
}

/// One request that came in completely.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    pub(crate) at: Instant,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Whether it was answered with 2xx.
    pub(crate) taken: bool,
}

impl Arrival {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a callback is JSON")
    }

    /// `webhook-id`
    pub(crate) fn id(&self) -> String {
        self.header("webhook-id")
            .expect("every callback has an id")
            .to_owned()
    }

    /// `SUCCESS`, `STOPPED` or `ERROR`.
    pub(crate) fn status(&self) -> String {
        self.json()["status"]
            .as_str()
            .expect("a callback has a status")
            .to_owned()
    }

    pub(crate) fn chat(&self) -> String {
        self.json()["chatId"]
            .as_str()
            .expect("a callback has a chat")
            .to_owned()
    }

    /// Checks both signatures over the raw bytes.
    #[track_caller]
    pub(crate) fn assert_signed(&self, secret: &str) {
        let flowise = format!("sha256={}", hex::encode(digest(secret.as_bytes(), &self.body)));
        assert_eq!(
            self.header("x-flowise-signature"),
            Some(flowise.as_str()),
            "Flowise's signature"
        );
        let key = match secret.strip_prefix("whsec_") {
            Some(coded) => STANDARD.decode(coded).expect("a whsec_ secret is base64"),
            None => secret.as_bytes().to_vec(),
        };
        let time = self.header("webhook-timestamp").expect("a time");
        let mut signed = format!("{}.{time}.", self.id()).into_bytes();
        signed.extend(&self.body);
        let standard = format!("v1,{}", STANDARD.encode(digest(&key, &signed)));
        let sent = self.header("webhook-signature").expect("a standard signature");
        assert!(
            sent.split(' ').any(|one| one == standard),
            "{sent} does not hold {standard}"
        );
        let now = countersign_domain::Clock::now(&countersign_domain::SystemClock).as_seconds();
        let time: i64 = time.parse().expect("the time is in seconds");
        assert!(
            (now - time).abs() < 60,
            "the time of the attempt is {time}, now is {now}"
        );
    }
}

/// HMAC-SHA256.
pub(crate) fn digest(key: &[u8], data: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    mac.update(data);
    mac.finalize().into_bytes().to_vec()
}

type Script = dyn Fn(&Arrival, usize) -> Answer + Send + Sync;

#[derive(Default)]
struct Log {
    arrivals: Mutex<Vec<Arrival>>,
    changed: Condvar,
}

/// Listens until the test ends.
pub(crate) struct Receiver {
    pub(crate) address: String,
    log: Arc<Log>,
}

impl Receiver {
    /// Takes everything.
    pub(crate) fn new() -> Self {
        Self::answering(|_, _| Answer::Status(200))
    }

    /// Answers as `script` says; it gets the arrival and how many came before it.
    pub(crate) fn answering(script: impl Fn(&Arrival, usize) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port for the receiver");
        let address = listener.local_addr().expect("its address").to_string();
        let log = Arc::new(Log::default());
        let script: Arc<Script> = Arc::new(script);
        let shared = Arc::clone(&log);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (log, script) = (Arc::clone(&shared), Arc::clone(&script));
                std::thread::spawn(move || {
                    // A sender that goes away in the middle has delivered nothing.
                    let _ = receive(stream, &log, &*script);
                });
            }
        });
        Self { address, log }
    }

    /// The URL of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Everything so far, in order.
    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        self.log
            .arrivals
            .lock()
            .expect("no thread panics with the lock")
            .clone()
    }

    /// Waits until this many have arrived.
    #[track_caller]
    pub(crate) fn wait_for(&self, count: usize, within: Duration) -> Vec<Arrival> {
        let guard = self.log.arrivals.lock().expect("no thread panics with the lock");
        let (guard, _) = self
            .log
            .changed
            .wait_timeout_while(guard, within, |arrivals| arrivals.len() < count)
            .expect("no thread panics with the lock");
        assert!(
            guard.len() >= count,
            "{} of {count} callbacks came within {within:?}",
            guard.len()
        );
        guard.clone()
    }

    /// Waits a little and checks that nothing more than this has come.
    #[track_caller]
    pub(crate) fn assert_only(&self, count: usize, quiet: Duration) {
        std::thread::sleep(quiet);
        let arrivals = self.arrivals();
        assert_eq!(arrivals.len(), count, "unexpected callbacks: {arrivals:?}");
    }
}

fn receive(stream: TcpStream, log: &Log, script: &Script) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else {
                break;
            };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut arrival = Arrival {
            at: Instant::now(),
            path,
            headers,
            body: Vec::new(),
            taken: false,
        };
        let length = arrival
            .header("content-length")
            .and_then(|length| length.parse().ok())
            .unwrap_or(0);
        arrival.body = vec![0; length];
        reader.read_exact(&mut arrival.body)?;

        let answer = {
            let mut arrivals = log.arrivals.lock().expect("no thread panics with the lock");
            let answer = script(&arrival, arrivals.len());
            arrival.taken = matches!(answer, Answer::Status(200..=299) | Answer::Late(_));
            arrivals.push(arrival);
            log.changed.notify_all();
            answer
        };
        let text = match answer {
            Answer::Status(status) => format!("HTTP/1.1 {status} X\r\ncontent-length: 2\r\n\r\nok"),
            Answer::Redirect => "HTTP/1.1 307 X\r\nlocation: /landed\r\ncontent-length: 0\r\n\r\n".to_owned(),
            Answer::Drop => return Ok(()),
            Answer::Late(time) => {
                std::thread::sleep(time);
                "HTTP/1.1 200 X\r\ncontent-length: 0\r\n\r\n".to_owned()
            }
        };
        reader.get_mut().write_all(text.as_bytes())?;
    }
}
