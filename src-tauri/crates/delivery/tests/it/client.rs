use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use countersign_delivery::{
    AddressGuard, BoxFuture, Client, ClientOptions, Lookup, LoopbackPolicy, Message, Sent,
};
use countersign_domain::{CallbackId, Ids as _, ManualClock, SequentialIds, Timestamp, UrlSource};
use countersign_signature::{Secret, StandardWebhook, flowise_signature};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use crate::quick;
use crate::receiver::{Receiver, Reply};

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_999);

fn message(url: impl Into<String>) -> Message {
    Message {
        id: CallbackId::from_uuid(SequentialIds::default().ordered(NOW)),
        url: url.into(),
        source: UrlSource::Operator,
        body: Bytes::from_static("{\"status\":\"ERROR\",\"error\":\"boom é\"}".as_bytes()),
        secret: Some(Secret::new("cb_demo").unwrap()),
    }
}

fn client(policy: LoopbackPolicy) -> Client {
    Client::with_options(
        AddressGuard::new(policy),
        Arc::new(ManualClock::new(NOW)),
        quick(),
    )
}

async fn send(message: &Message) -> Sent {
    client(LoopbackPolicy::Configured).send(message).await
}

#[tokio::test]
async fn a_message_carries_its_headers_and_both_signatures() {
    let receiver = Receiver::always(Reply::with(202, &[], "thanks")).await;
    let message = message(receiver.url("/hook?x=1"));
    let sent = send(&message).await;
    assert!(sent.delivered(), "{sent:?}");
    assert_eq!(
        (sent.status, sent.response.as_deref()),
        (Some(202), Some("thanks"))
    );

    let [received] = &receiver.received()[..] else {
        panic!("one request")
    };
    assert_eq!(received.line, "POST /hook?x=1 HTTP/1.1");
    assert_eq!(received.body, message.body, "the bytes are unchanged");
    assert_eq!(received.header("content-type"), "application/json");
    assert_eq!(
        received.header("host"),
        receiver.address.to_string(),
        "the port is part of it"
    );
    assert_eq!(
        received.header("user-agent"),
        format!("Countersign/{}", env!("CARGO_PKG_VERSION"))
    );
    assert!(
        !received.headers.contains_key("accept-encoding"),
        "nothing is to be compressed"
    );
    assert!(!received.headers.contains_key("referer"));
    assert_eq!(received.header("webhook-id"), message.id.to_string());
    assert_eq!(received.header("webhook-timestamp"), "1700000000");
    let secret = message.secret.unwrap();
    assert_eq!(
        received.header("x-flowise-signature"),
        flowise_signature(&secret, &received.body)
    );
    StandardWebhook::from_headers(
        received.header("webhook-id"),
        received.header("webhook-timestamp"),
    )
    .unwrap()
    .verify(&secret, received.header("webhook-signature"), &received.body, NOW)
    .unwrap();
}

#[tokio::test]
async fn the_time_is_that_of_the_attempt() {
    let receiver = Receiver::always(Reply::status(200)).await;
    let clock = Arc::new(ManualClock::new(NOW));
    let client = Client::with_options(AddressGuard::default(), clock.clone(), quick());
    let message = message(receiver.url("/"));
    client.send(&message).await;
    clock.advance(Duration::from_secs(3));
    client.send(&message).await;
    let received = receiver.received();
    assert_eq!(received[0].header("webhook-timestamp"), "1700000000");
    assert_eq!(received[1].header("webhook-timestamp"), "1700000003");
    assert_eq!(received[0].header("webhook-id"), received[1].header("webhook-id"));
    assert_ne!(
        received[0].header("webhook-signature"),
        received[1].header("webhook-signature")
    );
}

#[tokio::test]
async fn without_a_secret_there_is_no_signature() {
    let receiver = Receiver::always(Reply::status(200)).await;
    let sent = send(&Message {
        secret: None,
        ..message(receiver.url("/"))
    })
    .await;
    assert!(sent.delivered(), "{sent:?}");
    let received = &receiver.received()[0];
    for name in ["x-flowise-signature", "webhook-signature"] {
        assert!(!received.headers.contains_key(name), "{name} without a secret");
    }
    assert!(received.headers.contains_key("webhook-id"));
}

#[tokio::test]
async fn every_status_but_2xx_is_a_failure() {
    for (status, delivered) in [
        (200, true),
        (201, true),
        (204, true),
        (301, false),
        (304, false),
        (400, false),
        (410, false),
        (500, false),
        (599, false),
    ] {
        let receiver = Receiver::always(Reply::status(status)).await;
        let sent = send(&message(receiver.url("/"))).await;
        assert_eq!(sent.status, Some(status));
        assert_eq!(sent.delivered(), delivered, "{status}: {sent:?}");
        assert_eq!(sent.error.is_some(), !delivered, "{status} says why");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let target = Receiver::always(Reply::status(200)).await;
    for status in [301, 302, 303, 307, 308] {
        let location = format!("location: {}", target.url("/landed"));
        let receiver = Receiver::always(Reply::with(status, &[&location], "")).await;
        let sent = send(&message(receiver.url("/"))).await;
        assert_eq!((sent.status, sent.delivered()), (Some(status), false));
        assert!(sent.error.unwrap().contains("redirect"));
        assert_eq!(receiver.received().len(), 1);
    }
    assert_eq!(target.connections(), 0, "nobody came to the target");
}

#[tokio::test]
async fn a_receiver_that_hangs_is_given_up() {
    let hangs = Receiver::always(Reply::Hang).await;
    let drips = Receiver::always(Reply::Raw(b"HTTP/1.1 200 OK\r\nx-slow: ".to_vec())).await;
    let began = Instant::now();
    let sent = send(&message(hangs.url("/"))).await;
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "it took {:?}",
        began.elapsed()
    );
    assert_eq!(
        (sent.status, sent.error.as_deref()),
        (None, Some("No answer within 0.4 s."))
    );
    assert!(sent.duration >= Duration::from_millis(350), "{:?}", sent.duration);

    let sent = send(&message(drips.url("/"))).await;
    assert_eq!(sent.status, None, "half a head is no answer: {sent:?}");
    assert!(sent.error.is_some());
}

#[tokio::test]
async fn a_body_that_never_ends_is_cut_and_does_not_undo_the_status() {
    let receiver = Receiver::always(Reply::Endless).await;
    let began = Instant::now();
    let sent = send(&message(receiver.url("/"))).await;
    assert!(sent.delivered(), "{sent:?}");
    assert!(began.elapsed() < Duration::from_secs(3));
    let response = sent.response.unwrap();
    assert_eq!(response.chars().count(), 2_000);
    assert!(response.ends_with("xx…"));

    // The head, a piece of the body, then nothing more.
    let half = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf".to_vec();
    let receiver = Receiver::always(Reply::Raw(half)).await;
    let sent = send(&message(receiver.url("/"))).await;
    assert!(sent.delivered(), "{sent:?}");
    assert_eq!(sent.response.as_deref(), Some("half"));
}

#[tokio::test]
async fn an_answer_is_kept_as_text_that_cannot_disguise_itself() {
    let body = "a\u{202e}b\0c\u{1b}[31m";
    let receiver = Receiver::always(Reply::with(500, &[], body)).await;
    assert_eq!(
        send(&message(receiver.url("/"))).await.response.as_deref(),
        Some("abc[31m")
    );
    let receiver = Receiver::always(Reply::Raw(b"HTTP/1.1 500 X\r\n\r\n\xff\xfe".to_vec())).await;
    assert_eq!(
        send(&message(receiver.url("/"))).await.response.as_deref(),
        Some("\u{fffd}\u{fffd}")
    );
    // What claims to be compressed is not unpacked.
    let receiver = Receiver::always(Reply::with(200, &["content-encoding: gzip"], "plain")).await;
    assert_eq!(
        send(&message(receiver.url("/"))).await.response.as_deref(),
        Some("plain")
    );
    let receiver = Receiver::always(Reply::status(200)).await;
    assert_eq!(send(&message(receiver.url("/"))).await.response, None);
}

#[tokio::test]
async fn what_is_no_answer_says_why() {
    let closes = Receiver::always(Reply::Close).await;
    let sent = send(&message(closes.url("/?token=hidden"))).await;
    assert_eq!(sent.status, None);
    let error = sent.error.unwrap();
    assert!(
        error.contains("broke off") && !error.contains("hidden"),
        "{error}"
    );

    let closed = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let error = send(&message(format!("http://{closed}/"))).await.error.unwrap();
    assert!(error.contains(&format!("No connection to {closed}")), "{error}");

    // Something else than TLS behind an https URL.
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = plain.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = plain.accept().await.unwrap();
        stream
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_secs(5)).await;
    });
    let error = send(&message(format!("https://{address}/"))).await.error.unwrap();
    assert!(error.contains(&format!("No connection to {address}")), "{error}");

    let garbage = Receiver::always(Reply::Raw(b"SSH-2.0-x\r\n\r\n".to_vec())).await;
    let error = send(&message(garbage.url("/"))).await.error.unwrap();
    assert!(error.contains("broke off"), "{error}");

    let error = send(&message("ftp://127.0.0.1/x")).await.error.unwrap();
    assert_eq!(error, "Invalid callbackUrl: must be a valid http or https URL");
}

#[tokio::test]
async fn retry_after_is_read_where_it_makes_sense() {
    let cases = [
        ("120", Some(Duration::from_secs(120))),
        (" 7 ", Some(Duration::from_secs(7))),
        ("0", Some(Duration::ZERO)),
        (
            "Tue, 14 Nov 2023 22:14:20 GMT",
            Some(Duration::from_millis(59_001)),
        ),
        ("Tue, 14 Nov 2023 22:13:00 GMT", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("99999999999999999999999", None),
        ("12 s", None),
        ("", None),
    ];
    for (value, expected) in cases {
        let receiver = Receiver::always(Reply::with(503, &[&format!("retry-after: {value}")], "")).await;
        let sent = send(&message(receiver.url("/"))).await;
        assert_eq!(
            (sent.status, sent.retry_after),
            (Some(503), expected),
            "{value:?}"
        );
    }
}

/// Names that mean what the test says, in turn.
struct Names(Mutex<HashMap<String, Vec<Vec<IpAddr>>>>);

impl Names {
    fn new(names: &[(&str, &[&[&str]])]) -> Arc<Self> {
        let parse = |answer: &&[&str]| answer.iter().map(|text| text.parse().unwrap()).collect();
        let names = names
            .iter()
            .map(|(name, answers)| ((*name).to_owned(), answers.iter().map(parse).collect()));
        Arc::new(Self(Mutex::new(names.collect())))
    }
}

impl Lookup for Names {
    fn addresses(&self, name: String) -> BoxFuture<'static, std::io::Result<Vec<IpAddr>>> {
        let mut names = self.0.lock().unwrap();
        let answer = match names.get_mut(&name) {
            Some(answers) if answers.len() > 1 => Ok(answers.remove(0)),
            Some(answers) => Ok(answers[0].clone()),
            None => Err(std::io::Error::other("no such name")),
        };
        Box::pin(std::future::ready(answer))
    }
}

#[tokio::test]
async fn every_address_of_a_name_is_checked_at_every_attempt() {
    let receiver = Receiver::always(Reply::status(200)).await;
    let port = receiver.address.port();
    let lookup = Names::new(&[
        ("one.test", &[&["127.0.0.1"]]),
        ("mixed.test", &[&["127.0.0.1", "169.254.169.254"]]),
        ("metadata.test", &[&["169.254.169.254"]]),
        ("mapped.test", &[&["::ffff:169.254.169.254"]]),
        ("moves.test", &[&["127.0.0.1"], &["169.254.169.254"]]),
        ("empty.test", &[&[]]),
        ("private.test", &[&["10.0.0.1", "127.0.0.1"]]),
    ]);
    let client = Client::with_options(
        AddressGuard::new(LoopbackPolicy::Configured),
        Arc::new(ManualClock::new(NOW)),
        ClientOptions { lookup, ..quick() },
    );
    let send = async |name: &str, source| {
        client
            .send(&Message {
                source,
                ..message(format!("http://{name}:{port}/"))
            })
            .await
    };
    let denied = "Access to this host is denied by policy.";

    assert!(
        send("one.test", UrlSource::Operator).await.delivered(),
        "loopback by name, for the operator"
    );
    assert_eq!(receiver.connections(), 1);
    // The operator's idle connection must not serve a caller.
    for (name, source) in [
        ("one.test", UrlSource::Caller),
        ("mixed.test", UrlSource::Operator),
        ("metadata.test", UrlSource::Operator),
        ("mapped.test", UrlSource::Operator),
        ("private.test", UrlSource::Caller),
    ] {
        let error = send(name, source).await.error.unwrap();
        assert!(error.starts_with(denied), "{name} by {source:?}: {error}");
    }
    assert_eq!(receiver.connections(), 1, "no refused name was connected to");

    assert!(send("moves.test", UrlSource::Operator).await.delivered());
    let error = send("moves.test", UrlSource::Operator).await.error.unwrap();
    assert!(error.starts_with(denied), "the name has moved: {error}");

    for name in ["empty.test", "unknown.test"] {
        let error = send(name, UrlSource::Operator).await.error.unwrap();
        assert_eq!(error, format!("DNS resolution failed for {name}"));
    }
}

#[tokio::test]
async fn localhost_is_what_it_resolves_to() {
    let receiver = Receiver::always(Reply::status(200)).await;
    let url = format!("http://localhost:{}/", receiver.address.port());
    for (policy, source, allowed) in [
        (LoopbackPolicy::Configured, UrlSource::Operator, true),
        (LoopbackPolicy::Configured, UrlSource::Caller, false),
        (LoopbackPolicy::Allow, UrlSource::Caller, true),
        (LoopbackPolicy::Deny, UrlSource::Operator, false),
    ] {
        let before = receiver.connections();
        let sent = client(policy)
            .send(&Message {
                source,
                ..message(&url)
            })
            .await;
        assert_eq!(sent.delivered(), allowed, "{policy} by {source:?}: {sent:?}");
        assert_eq!(
            receiver.connections() > before,
            allowed,
            "{policy} by {source:?} connected"
        );
    }
}

#[tokio::test]
async fn a_refused_literal_is_never_connected_to() {
    let receiver = Receiver::always(Reply::status(200)).await;
    let port = receiver.address.port();
    for host in ["127.0.0.1", "2130706433", "[::ffff:127.0.0.1]", "0.0.0.0"] {
        let sent = client(LoopbackPolicy::Deny)
            .send(&message(format!("http://{host}:{port}/")))
            .await;
        assert!(
            sent.error
                .unwrap()
                .starts_with("Access to this host is denied by policy."),
            "{host}"
        );
    }
    assert_eq!(receiver.connections(), 0);
}

/// Runs itself once more with the variables set, because a process cannot change its own in safe code.
#[tokio::test]
async fn proxy_variables_are_ignored() {
    const TARGET: &str = "COUNTERSIGN_TEST_PROXY_TARGET";
    if let Ok(url) = std::env::var(TARGET) {
        assert!(std::env::var("HTTP_PROXY").is_ok(), "the variables are set");
        let sent = send(&message(url)).await;
        assert!(sent.delivered(), "{sent:?}");
        return;
    }
    let target = Receiver::always(Reply::status(200)).await;
    let proxy = Receiver::always(Reply::status(200)).await;
    let mut again = tokio::process::Command::new(std::env::current_exe().unwrap());
    again
        .args(["--exact", "client::proxy_variables_are_ignored"])
        .env(TARGET, target.url("/"));
    for name in [
        "HTTP_PROXY",
        "http_proxy",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "all_proxy",
    ] {
        again.env(name, proxy.url(""));
    }
    again.env_remove("NO_PROXY").env_remove("no_proxy");
    let output = again.output().await.unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    assert_eq!((target.received().len(), proxy.connections()), (1, 0));
}

#[test]
fn debug_shows_no_secret() {
    let text = format!(
        "{:?} {:?}",
        message("http://127.0.0.1/"),
        client(LoopbackPolicy::Allow)
    );
    assert!(!text.contains("cb_demo"), "{text}");
}
