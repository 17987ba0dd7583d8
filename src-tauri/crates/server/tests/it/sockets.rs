//! What only a real connection shows: limits, timeouts, streams, closing.

use std::time::{Duration, Instant};

use countersign_server::{Options, serve};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::support::{Listening, SOON, eventually, gate_flow, reply_flow};

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

/// Reads one answer of a connection that stays open, to the end that its head names.
async fn read_answer(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    timeout(SOON, async {
        while !text.ends_with(b"\r\n\r\n") {
            text.push(stream.read_u8().await.unwrap());
        }
        let head = String::from_utf8_lossy(&text).to_ascii_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.expect("a length").parse().unwrap()];
        stream.read_exact(&mut body).await.unwrap();
        text.extend_from_slice(&body);
    })
    .await
    .expect("a whole answer");
    String::from_utf8(text).unwrap()
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
        let answer = read_answer(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains(&format!("Hello {who}")), "{answer}");
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
async fn clients_that_are_stuck_lock_nobody_out() {
    let mut server = Listening::open(Options::default()).await;
    let path = server.house.import(&gate_flow(json!({}))).await;
    let body = server.head(
        "POST",
        &path,
        &[("content-type", "application/json"), ("content-length", "100")],
    );
    // An event stream is at work, and is older than all of them.
    let bearer = format!("Bearer {}", server.house.app.api_token());
    let mut events = server.connect().await;
    let head = server.head("GET", "/api/v1/events", &[("authorization", &bearer)]);
    events.write_all(head.as_bytes()).await.unwrap();
    read_until(&mut events, "text/event-stream").await;
    let mut stuck = Vec::new();
    let half = "POST / HTTP/1.1\r\nhost: local";
    for sent in [body.as_str(), half, ""].into_iter().cycle().take(300) {
        let mut stream = server.connect().await;
        // The server may have closed it by now.
        let _ = stream.write_all(sent.as_bytes()).await;
        stuck.push(stream);
    }
    for _ in 0..3 {
        let begun = Instant::now();
        let ping = server.head("GET", "/api/v1/ping", &[("connection", "close")]);
        let answer = timeout(Duration::from_secs(2), server.exchange(ping.as_bytes()))
            .await
            .expect("an answer although so many are stuck");
        assert!(answer.contains("pong"), "{answer} after {:?}", begun.elapsed());
    }
    assert_eq!(server.house.traces().await, (0, 0));
    // The stream was left alone.
    let change = json!({ "notificationDetailsHidden": true });
    let changed = server
        .house
        .manage("PATCH", "/api/v1/settings", Some(&change))
        .await;
    assert_eq!(changed.status, 200, "{changed:?}");
    read_until(&mut events, "settings").await;
    server.stop();
}

#[tokio::test]
async fn a_call_that_is_worked_on_never_gives_way() {
    let options = Options {
        connections: 2,
        ..Options::default()
    };
    let server = Listening::open(options).await;
    let bearer = format!("Bearer {}", server.house.app.api_token());
    let head = server.head("GET", "/api/v1/events", &[("authorization", &bearer)]);
    let mut streams = Vec::new();
    for _ in 0..2 {
        let mut stream = server.connect().await;
        stream.write_all(head.as_bytes()).await.unwrap();
        read_until(&mut stream, "text/event-stream").await;
        streams.push(stream);
    }
    let ping = server.head("GET", "/api/v1/ping", &[("connection", "close")]);
    let asked = timeout(Duration::from_secs(1), server.exchange(ping.as_bytes())).await;
    assert!(asked.is_err(), "both seats are taken: {asked:?}");
    drop(streams.pop());
    // A reader that is gone is noticed at the next events.
    for hidden in [true, false, true] {
        let change = json!({ "notificationDetailsHidden": hidden });
        server
            .house
            .manage("PATCH", "/api/v1/settings", Some(&change))
            .await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let answer = timeout(SOON, server.exchange(ping.as_bytes()))
        .await
        .expect("a seat is free again");
    assert!(answer.contains("pong"), "{answer}");
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
async fn bodies_that_are_announced_and_never_come_hold_nobody_up() {
    let server = Listening::open(Options::default()).await;
    let path = server.house.import(&reply_flow(json!({}))).await;
    let json = ("content-type", "application/json");
    let mut stuck = Vec::new();
    for number in 0..40 {
        let framing = match number % 2 {
            0 => ("transfer-encoding", "chunked"),
            _ => ("content-length", "16000000"),
        };
        let mut stream = server.connect().await;
        let head = server.head("POST", &path, &[json, framing]);
        stream.write_all(head.as_bytes()).await.unwrap();
        stuck.push(stream);
    }
    // One of each size, of the kind that does not tell its length.
    for size in [10, 1_000_000] {
        let body = json!({ "who": "x".repeat(size) }).to_string();
        let chunked = ("transfer-encoding", "chunked");
        let head = server.head("POST", &path, &[json, chunked, ("connection", "close")]);
        let whole = format!("{head}{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
        let answer = timeout(SOON, server.exchange(whole.as_bytes()))
            .await
            .expect("an answer long before the stuck ones are given up");
        assert!(answer.starts_with("HTTP/1.1 200"), "{size}: {answer:.300}");
    }
    drop(stuck);
}

/// How a body is sent.
#[derive(Debug, Clone, Copy)]
enum Framing {
    /// With its length.
    Length,
    /// In pieces, its length unknown.
    Chunked,
    /// With its length and a question whether to send it, but without waiting for the answer.
    Expect,
}

/// Sends 70 MiB as a client that reads only once it has sent everything, and returns the whole answer. Fails
/// where that client would fail: if the connection breaks before the answer was read to its end.
async fn flood(server: &Listening, framing: Framing, path: &str, more: &[(&str, &str)]) -> String {
    const PIECE: usize = 1 << 20;
    const PIECES: usize = 70;
    let length = (PIECE * PIECES).to_string();
    let mut headers = vec![("content-type", "application/json")];
    match framing {
        Framing::Length => headers.push(("content-length", &length)),
        Framing::Chunked => headers.push(("transfer-encoding", "chunked")),
        Framing::Expect => headers.extend([("content-length", length.as_str()), ("expect", "100-continue")]),
    }
    headers.extend_from_slice(more);
    let piece = vec![b'x'; PIECE];
    let exchange = async {
        let mut stream = server.connect().await;
        stream
            .write_all(server.head("POST", path, &headers).as_bytes())
            .await?;
        for _ in 0..PIECES {
            match framing {
                Framing::Chunked => {
                    stream.write_all(format!("{PIECE:x}\r\n").as_bytes()).await?;
                    stream.write_all(&piece).await?;
                    stream.write_all(b"\r\n").await?;
                }
                Framing::Length | Framing::Expect => stream.write_all(&piece).await?,
            }
        }
        if matches!(framing, Framing::Chunked) {
            stream.write_all(b"0\r\n\r\n").await?;
        }
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    timeout(SOON, exchange)
        .await
        .unwrap_or_else(|_| panic!("{framing:?} {path}: no end"))
        .unwrap_or_else(|error| panic!("{framing:?} {path}: the connection broke: {error}"))
}

#[tokio::test]
async fn a_body_that_is_far_too_large_gets_its_answer() {
    let server = Listening::open(Options::default()).await;
    let path = server.house.import(&reply_flow(json!({}))).await;
    let token = format!("Bearer {}", server.house.app.api_token());
    let authorized = [("authorization", token.as_str())];
    for framing in [Framing::Length, Framing::Chunked, Framing::Expect] {
        for (path, headers) in [(path.as_str(), &[][..]), ("/api/v1/chatflows", &authorized[..])] {
            let answer = flood(&server, framing, path, headers).await;
            assert!(answer.starts_with("HTTP/1.1 413"), "{framing:?} {path}: {answer}");
            assert!(
                answer.contains("request entity too large"),
                "{framing:?} {path}: {answer}"
            );
            assert!(
                answer.to_ascii_lowercase().contains("connection: close"),
                "{framing:?} {path}: {answer}"
            );
        }
    }

    // A client that asks first, and waits, is told before it sends anything.
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
async fn a_call_that_is_refused_by_its_head_gets_its_answer_whatever_it_sends() {
    let server = Listening::open(Options::default()).await;
    let path = server.house.import(&reply_flow(json!({}))).await;
    for (path, headers, status) in [
        ("/api/v1/chatflows", &[][..], 401),
        (path.as_str(), &[("origin", "https://evil.example")][..], 403),
        ("/metrics", &[][..], 405),
    ] {
        for framing in [Framing::Length, Framing::Chunked] {
            let answer = flood(&server, framing, path, headers).await;
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status}")),
                "{framing:?} {path}: {answer}"
            );
        }
    }
    assert_eq!(server.house.traces().await, (0, 0));
}

#[tokio::test]
async fn a_body_without_an_end_is_cut_off() {
    let options = Options {
        body_timeout: Duration::from_millis(300),
        ..Options::default()
    };
    let server = Listening::open(options).await;
    let path = server.house.import(&reply_flow(json!({}))).await;
    let headers = [
        ("content-type", "application/json"),
        ("transfer-encoding", "chunked"),
    ];
    let (mut reader, mut writer) = server.connect().await.into_split();
    let head = server.head("POST", &path, &headers);
    let sending = tokio::spawn(async move {
        writer.write_all(head.as_bytes()).await?;
        let piece = format!("100000\r\n{}\r\n", "x".repeat(1 << 20));
        loop {
            writer.write_all(piece.as_bytes()).await?;
        }
        #[expect(unreachable_code, reason = "it says what the block is of")]
        Ok::<_, std::io::Error>(())
    });
    let mut answer = String::new();
    timeout(SOON, reader.read_to_string(&mut answer))
        .await
        .expect("it is answered while it sends")
        .unwrap();
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    timeout(SOON, sending)
        .await
        .expect("it is not read for ever")
        .unwrap()
        .expect_err("sending ends only by the connection");
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
    eventually("every answer is carried out to the end of its run", async || {
        let page = server
            .house
            .manage("GET", "/api/v1/executions?state=FINISHED", None)
            .await;
        page.json()["total"] == 20
    })
    .await;
}

#[tokio::test]
async fn a_caller_that_only_stops_sending_gets_its_answer() {
    let server = Listening::open(Options::default()).await;
    let path = server.house.import(&gate_flow(json!({}))).await;
    let body = json!({ "item": "v1" }).to_string();
    let length = body.len().to_string();
    let headers = [
        ("content-type", "application/json"),
        ("content-length", length.as_str()),
    ];
    // The end is there together with the call, before the server looks at either.
    let mut stream = std::net::TcpStream::connect(server.address).unwrap();
    let call = format!("{}{body}", server.head("POST", &path, &headers));
    std::io::Write::write_all(&mut stream, call.as_bytes()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    stream.set_nonblocking(true).unwrap();
    let mut answer = String::new();
    timeout(
        SOON,
        TcpStream::from_std(stream).unwrap().read_to_string(&mut answer),
    )
    .await
    .expect("the connection ends with the answer")
    .unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("Release v1 now?"), "{answer}");
    assert_eq!(server.house.traces().await, (1, 1));

    // One that stops in the middle has asked for nothing.
    let half = format!("{}{}", server.head("POST", &path, &headers), &body[..5]);
    let mut stream = server.connect().await;
    stream.write_all(half.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    timeout(SOON, stream.read_to_string(&mut answer))
        .await
        .expect("the connection ends")
        .unwrap();
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 400"),
        "{answer}"
    );
    assert_eq!(server.house.traces().await, (1, 1), "half a call is none");
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
