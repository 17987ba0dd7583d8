//! What only a real connection shows: limits, timeouts, streams, closing.

use std::time::{Duration, Instant};

use countersign_server::{Options, serve};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::support::{Listening, gate_flow, reply_flow};

const SOON: Duration = Duration::from_secs(10);

async fn read_until(stream: &mut TcpStream, wanted: &str) -> String {
    let mut text = String::new();
    let mut buffer = [0_u8; 4096];
    timeout(SOON, async {
        while !text.contains(wanted) {
            match stream.read(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(count) => text.push_str(&String::from_utf8_lossy(&buffer[..count])),
            }
        }
    })
    .await
    .unwrap_or_else(|_| panic!("{wanted:?} did not come; so far: {text}"));
    assert!(
        text.contains(wanted),
        "the connection ended before {wanted:?}: {text}"
    );
    text
}

#[tokio::test]
async fn two_requests_on_one_connection() {
    let server = Listening::open(Options::default()).await;
    let path = server.house.import(&reply_flow(json!({}))).await;
    let mut stream = server.connect().await;
    for who in ["first", "second"] {
        let body = json!({ "who": who }).to_string();
        let length = body.len().to_string();
        let head = server.head(
            "POST",
            &path,
            &[("content-type", "application/json"), ("content-length", &length)],
        );
        stream
            .write_all(format!("{head}{body}").as_bytes())
            .await
            .unwrap();
        let answer = read_until(&mut stream, &format!("Hello {who}")).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        // The rest of this answer must not be taken for the next one.
        while timeout(Duration::from_millis(50), stream.read(&mut [0; 4096]))
            .await
            .is_ok()
        {}
    }
    let answer = server
        .exchange(server.head("HEAD", &path, &[("connection", "close")]).as_bytes())
        .await;
    assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n"), "a HEAD has no body: {answer}");
}

#[tokio::test]
async fn a_slow_head_is_cut_off() {
    let options = Options {
        header_timeout: Duration::from_millis(300),
        ..Options::default()
    };
    let server = Listening::open(options).await;
    for beginning in ["", "POST / HTTP/1.1\r\nhost: local"] {
        let begun = Instant::now();
        let mut stream = server.connect().await;
        stream.write_all(beginning.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        timeout(SOON, stream.read_to_end(&mut rest))
            .await
            .expect("the server closes the connection")
            .unwrap();
        assert!(
            begun.elapsed() >= Duration::from_millis(250),
            "not before its time: {beginning:?}"
        );
    }
}

#[tokio::test]
async fn a_slow_body_is_cut_off() {
    let options = Options {
        body_timeout: Duration::from_millis(300),
        ..Options::default()
    };
    let server = Listening::open(options).await;
    let path = server.house.import(&gate_flow(json!({}))).await;
    let mut stream = server.connect().await;
    let head = server.head(
        "POST",
        &path,
        &[("content-type", "application/json"), ("content-length", "100")],
    );
    stream
        .write_all(format!("{head}{{\"item\"").as_bytes())
        .await
        .unwrap();
    let answer = read_until(&mut stream, "in time").await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert_eq!(server.house.traces().await, (0, 0));
}

#[tokio::test]
async fn a_body_that_is_far_too_large_gets_its_answer() {
    let server = Listening::open(Options::default()).await;
    let path = server.house.import(&reply_flow(json!({}))).await;
    let length = 70 << 20;
    let mut bytes = server
        .head(
            "POST",
            &path,
            &[
                ("content-type", "application/json"),
                ("content-length", &length.to_string()),
                ("connection", "close"),
            ],
        )
        .into_bytes();
    let start = bytes.len();
    bytes.extend_from_slice(b"{\"who\":\"");
    bytes.resize(start + length - 2, b'x');
    bytes.extend_from_slice(b"\"}");
    let answer = timeout(SOON, server.exchange(&bytes)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(answer.contains("request entity too large"), "{answer}");

    // The same without an announced length.
    let chunked = server.head(
        "POST",
        &path,
        &[
            ("content-type", "application/json"),
            ("transfer-encoding", "chunked"),
            ("connection", "close"),
        ],
    );
    let mut pieces = chunked.into_bytes();
    for _ in 0..70 {
        pieces.extend_from_slice(b"100000\r\n");
        pieces.resize(pieces.len() + (1 << 20), b'x');
        pieces.extend_from_slice(b"\r\n");
    }
    pieces.extend_from_slice(b"0\r\n\r\n");
    let answer = timeout(SOON, server.exchange(&pieces)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");

    // A client that asks first is told before it sends anything.
    let mut asking = server.connect().await;
    let head = server.head(
        "POST",
        &path,
        &[
            ("content-type", "application/json"),
            ("content-length", "52428800"),
            ("expect", "100-continue"),
        ],
    );
    asking.write_all(head.as_bytes()).await.unwrap();
    let answer = read_until(&mut asking, "too large").await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");

    assert_eq!(server.house.traces().await, (0, 0));
    assert_eq!(
        server.house.post(&path, &json!({ "who": "next" })).await.status,
        200,
        "the next good request works"
    );
}

#[tokio::test]
async fn connections_beyond_the_limit_wait() {
    let server = Listening::open(Options {
        connections: 2,
        ..Options::default()
    })
    .await;
    let ping = server.head("GET", "/api/v1/ping", &[]);
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut stream = server.connect().await;
        stream.write_all(ping.as_bytes()).await.unwrap();
        read_until(&mut stream, "pong").await;
        open.push(stream);
    }
    let mut third = server.connect().await;
    third.write_all(ping.as_bytes()).await.unwrap();
    let early = timeout(Duration::from_millis(300), third.read(&mut [0; 64])).await;
    assert!(early.is_err(), "it is not served while both places are taken");
    drop(open);
    read_until(&mut third, "pong").await;
}

#[tokio::test]
async fn events_arrive_and_the_stream_ends_with_the_server() {
    let mut server = Listening::open(Options {
        event_streams: 1,
        ..Options::default()
    })
    .await;
    let token = format!("Bearer {}", server.house.app.api_token());
    let head = server.head("GET", "/api/v1/events", &[("authorization", &token)]);
    let mut stream = server.connect().await;
    stream.write_all(head.as_bytes()).await.unwrap();
    let beginning = read_until(&mut stream, ": alive\n\n").await;
    assert!(
        beginning
            .to_ascii_lowercase()
            .contains("content-type: text/event-stream"),
        "{beginning}"
    );
    assert!(
        beginning.to_ascii_lowercase().contains("cache-control: no-store"),
        "{beginning}"
    );

    let refused = server
        .exchange(
            server
                .head(
                    "GET",
                    "/api/v1/events",
                    &[("authorization", &token), ("connection", "close")],
                )
                .as_bytes(),
        )
        .await;
    assert!(
        refused.starts_with("HTTP/1.1 429"),
        "one stream is open, no second one: {refused}"
    );

    let path = server.house.import(&gate_flow(json!({}))).await;
    read_until(&mut stream, "data: {\"kind\":\"flows\"}\n\n").await;
    server.house.post(&path, &json!({ "item": "v1" })).await;
    let event = read_until(&mut stream, "\"kind\":\"approval\"").await;
    assert!(event.contains("\"state\":\"pending\""), "{event}");

    server.stop();
    let mut rest = Vec::new();
    timeout(SOON, stream.read_to_end(&mut rest))
        .await
        .expect("the stream ends")
        .unwrap();
    timeout(SOON, &mut server.served)
        .await
        .expect("the server ends")
        .unwrap()
        .unwrap();
    assert!(
        TcpStream::connect(server.address).await.is_err(),
        "nobody listens any more"
    );
}

#[tokio::test]
async fn closing_is_bounded() {
    let mut server = Listening::open(Options {
        shutdown_timeout: Duration::from_millis(300),
        ..Options::default()
    })
    .await;
    let path = server.house.import(&reply_flow(json!({}))).await;
    let mut stuck = server.connect().await;
    let head = server.head(
        "POST",
        &path,
        &[("content-type", "application/json"), ("content-length", "100")],
    );
    stuck.write_all(head.as_bytes()).await.unwrap();
    let mut idle = server.connect().await;
    idle.write_all(server.head("GET", "/api/v1/ping", &[]).as_bytes())
        .await
        .unwrap();
    read_until(&mut idle, "pong").await;
    let begun = Instant::now();
    server.stop();
    timeout(SOON, &mut server.served)
        .await
        .expect("the server ends")
        .unwrap()
        .unwrap();
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_caller_that_hangs_up_does_not_stop_the_run() {
    let server = Listening::open(Options::default()).await;
    let path = server.house.import(&gate_flow(json!({}))).await;
    for _ in 0..20 {
        let stopped = server.house.post(&path, &json!({ "item": "v1" })).await.json();
        let answer = json!({ "chatId": stopped["chatId"], "humanInput": { "type": "proceed" } }).to_string();
        let length = answer.len().to_string();
        let headers = [
            ("content-type", "application/json"),
            ("content-length", length.as_str()),
        ];
        let head = server.head("POST", &path, &headers);
        let mut stream = server.connect().await;
        stream
            .write_all(format!("{head}{answer}").as_bytes())
            .await
            .unwrap();
        // Gone before the decision is on the disk.
        drop(stream);
    }
    let finished = async {
        loop {
            let page = server
                .house
                .manage("GET", "/api/v1/executions?state=FINISHED", None)
                .await
                .json();
            if page["total"] == 20 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(SOON, finished)
        .await
        .expect("every answer is carried out to the end of its run");
}

#[tokio::test]
async fn only_loopback_is_served() {
    let server = Listening::open(Options::default()).await;
    let everywhere = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let refused = serve(
        server.house.app.clone(),
        everywhere,
        Options::default(),
        std::future::pending::<()>(),
    )
    .await;
    assert_eq!(refused.unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
}
