//! Requests of flows over real sockets.

use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_delivery::{AddressGuard, Client, LoopbackPolicy, Request};
use countersign_domain::{SystemClock, UrlSource};

use crate::receiver::{Receiver, Reply};

fn client(policy: LoopbackPolicy) -> Client {
    Client::new(AddressGuard::new(policy), Arc::new(SystemClock))
}

fn request(url: impl Into<String>) -> Request {
    Request {
        method: "GET".to_owned(),
        url: url.into(),
        url_source: UrlSource::Operator,
        headers: Vec::new(),
        secret_headers: Vec::new(),
        body: None,
        timeout: Duration::from_secs(5),
        response_limit: 1 << 20,
    }
}

fn post(url: impl Into<String>) -> Request {
    Request {
        method: "POST".to_owned(),
        headers: vec![
            ("authorization".to_owned(), "Bearer secret".to_owned()),
            ("X-Api-Key".to_owned(), "secret".to_owned()),
            ("private-token".to_owned(), "secret".to_owned()),
            ("cookie".to_owned(), "secret".to_owned()),
            ("x-mine".to_owned(), "secret".to_owned()),
            ("host".to_owned(), "mine.example".to_owned()),
            ("x-other".to_owned(), "open".to_owned()),
            ("idempotency-key".to_owned(), "run:step".to_owned()),
        ],
        secret_headers: vec!["x-mine".to_owned()],
        body: Some(("{}".to_owned(), "application/json".to_owned())),
        ..request(url)
    }
}

#[tokio::test]
async fn the_answer_comes_back_whole() {
    let target = Receiver::always(Reply::with(404, &["X-One: a", "X-One: b"], "not \u{1F350} here")).await;
    let answer = client(LoopbackPolicy::Configured)
        .request(request(target.url("/x?a=1")))
        .await
        .unwrap();
    assert_eq!((answer.status, answer.status_text.as_str()), (404, "Not Found"));
    assert_eq!(answer.body, "not \u{1F350} here".as_bytes());
    let ones: Vec<_> = answer
        .headers
        .iter()
        .filter(|(name, _)| name == "x-one")
        .collect();
    assert_eq!(
        ones.len(),
        2,
        "a header that came twice stands there twice: {answer:?}"
    );
    assert!(
        target.received()[0].line.starts_with("GET /x?a=1 "),
        "{:?}",
        target.received()
    );
}

#[tokio::test]
async fn a_header_of_its_own_decides_the_type() {
    let target = Receiver::always(Reply::status(200)).await;
    let mut request = post(target.url("/"));
    client(LoopbackPolicy::Configured)
        .request(request.clone())
        .await
        .unwrap();
    request
        .headers
        .push(("Content-Type".to_owned(), "application/x-own".to_owned()));
    client(LoopbackPolicy::Configured).request(request).await.unwrap();
    let types: Vec<_> = target
        .received()
        .iter()
        .map(|r| r.header("content-type").to_owned())
        .collect();
    assert_eq!(types, ["application/json", "application/x-own"]);
}

/// Webhook spec §12; where Flowise sends everything along.
#[tokio::test]
async fn secrets_do_not_follow_a_redirect_to_another_origin() {
    let target = Receiver::always(Reply::status(200)).await;
    for (status, asked, method) in [
        (301, "POST", "GET"),
        (302, "POST", "GET"),
        (302, "PUT", "GET"),
        (302, "PATCH", "GET"),
        (302, "DELETE", "DELETE"),
        (303, "POST", "GET"),
        (303, "DELETE", "GET"),
        (307, "POST", "POST"),
        (308, "PUT", "PUT"),
    ] {
        let path = format!("/landed-{status}-{asked}");
        let location = format!("location: {}", target.url(&path));
        let first = Receiver::always(Reply::with(status, &[&location], "")).await;
        let mut request = post(first.url("/"));
        request.method = asked.to_owned();
        let answer = client(LoopbackPolicy::Configured).request(request).await.unwrap();
        assert_eq!(answer.url, target.url(&path));
        assert_eq!(first.received()[0].header("host"), "mine.example");
        let landed = target.received().pop().unwrap();
        assert!(
            landed.line.starts_with(&format!("{method} {path} ")),
            "{status} {asked}: {landed:?}"
        );
        let carries_body = method == asked;
        assert_eq!(landed.body == b"{}", carries_body, "{status} {asked}: {landed:?}");
        assert_eq!(
            landed.headers.contains_key("content-type"),
            carries_body,
            "{status} {asked}: {landed:?}"
        );
        assert!(
            !format!("{landed:?}").contains("secret"),
            "{status} {asked}: a secret went along: {landed:?}"
        );
        assert_eq!(landed.header("host"), target.address.to_string());
        for (open, value) in [("x-other", "open"), ("idempotency-key", "run:step")] {
            assert_eq!(landed.header(open), value, "what is no secret goes along");
        }
    }
}

#[tokio::test]
async fn secrets_stay_within_an_origin() {
    let target = Receiver::start(|_, received| {
        if received.line.contains("/landed") {
            Reply::status(200)
        } else {
            Reply::with(307, &["location: /landed"], "")
        }
    })
    .await;
    client(LoopbackPolicy::Configured)
        .request(post(target.url("/")))
        .await
        .unwrap();
    let landed = &target.received()[1];
    assert_eq!(landed.header("authorization"), "Bearer secret");
    assert_eq!(landed.header("host"), "mine.example");
}

#[tokio::test]
async fn redirects_end() {
    let circle = Receiver::always(Reply::with(302, &["location: /again"], "")).await;
    let error = client(LoopbackPolicy::Configured)
        .request(request(circle.url("/")))
        .await
        .unwrap_err();
    assert!(error.contains("redirected more than 5 times"), "{error}");
    assert_eq!(circle.received().len(), 6);
}

/// A length of the node's own would cut the body off, or let the target wait for the rest of it.
#[tokio::test]
async fn how_long_the_body_is_is_not_for_the_node_to_say() {
    let target = Receiver::always(Reply::status(200)).await;
    for (name, value) in [
        ("Content-Length", "1"),
        ("content-length", "99"),
        ("Transfer-Encoding", "chunked"),
    ] {
        let mut request = post(target.url("/"));
        request.headers = vec![(name.to_owned(), value.to_owned())];
        client(LoopbackPolicy::Configured).request(request).await.unwrap();
        let received = target.received().pop().unwrap();
        assert_eq!(received.header("content-length"), "2", "{name}: {value}");
        assert_eq!(received.body, b"{}", "{name}: {value}");
        assert!(!received.headers.contains_key("transfer-encoding"));
    }
}

#[tokio::test]
async fn no_connection_and_a_head_without_end_are_said_in_words() {
    let closed = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let url = format!("http://{closed}/?token=secret");
    let error = client(LoopbackPolicy::Configured)
        .request(request(url))
        .await
        .unwrap_err();
    assert!(
        error.starts_with(&format!("No connection to {closed}")),
        "{error}"
    );
    assert!(!error.contains("secret"), "{error}");
    let head = format!("HTTP/1.1 200 OK\r\nx: {}", "a".repeat(4 << 20));
    let target = Receiver::always(Reply::Raw(head.into_bytes())).await;
    let error = client(LoopbackPolicy::Configured)
        .request(request(target.url("/")))
        .await
        .unwrap_err();
    assert!(error.contains("too large"), "{error}");
}

/// Every address on the way is looked at, also those that a target names.
#[tokio::test]
async fn a_redirect_does_not_get_around_the_guard() {
    for location in [
        "http://169.254.169.254/latest/meta-data",
        "http://[fd00:ec2::254]/",
        "file:///etc/passwd",
        "ftp://x/",
    ] {
        let header = format!("location: {location}");
        let first = Receiver::always(Reply::with(302, &[&header], "")).await;
        let error = client(LoopbackPolicy::Configured)
            .request(request(first.url("/")))
            .await
            .unwrap_err();
        assert!(
            error.contains("Access to this host is denied by policy") || error.contains("Invalid URL"),
            "{location}: {error}"
        );
    }
}

#[tokio::test]
async fn the_guard_refuses_before_anything_is_sent() {
    let target = Receiver::always(Reply::status(200)).await;
    let port = target.address.port();
    for url in [
        format!("http://127.0.0.1:{port}/"),
        format!("http://localhost:{port}/"),
        format!("http://2130706433:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        format!("http://0.0.0.0:{port}/"),
    ] {
        let error = client(LoopbackPolicy::Deny)
            .request(request(url.clone()))
            .await
            .unwrap_err();
        assert!(
            error.contains("Access to this host is denied by policy"),
            "{url}: {error}"
        );
    }
    assert_eq!(target.connections(), 0, "nobody came");
    for url in [
        "nonsense",
        "file:///etc/hostname",
        "ftp://x/",
        "http://user:secret@example.org/",
    ] {
        let error = client(LoopbackPolicy::Allow)
            .request(request(url))
            .await
            .unwrap_err();
        assert!(
            error.contains("Invalid URL") && !error.contains("secret"),
            "{url}: {error}"
        );
    }
}

#[tokio::test]
async fn a_target_without_end_is_cut_off() {
    let endless = Receiver::always(Reply::Endless).await;
    let began = Instant::now();
    let error = client(LoopbackPolicy::Configured)
        .request(request(endless.url("/")))
        .await
        .unwrap_err();
    assert_eq!(error, "The answer is longer than 1048576 bytes.");
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());

    let head = "HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\nx";
    let huge = Receiver::always(Reply::Raw(head.as_bytes().to_vec())).await;
    let error = client(LoopbackPolicy::Configured)
        .request(request(huge.url("/")))
        .await
        .unwrap_err();
    assert_eq!(
        error, "The answer is longer than 1048576 bytes.",
        "said before it is read"
    );
}

#[tokio::test]
async fn a_target_that_does_not_answer_is_given_up() {
    let hangs = Receiver::always(Reply::Hang).await;
    let mut patient = request(hangs.url("/"));
    patient.timeout = Duration::from_millis(300);
    let error = client(LoopbackPolicy::Configured)
        .request(patient)
        .await
        .unwrap_err();
    assert_eq!(error, "No answer within 0.3 s.");
}

#[tokio::test]
async fn what_cannot_be_a_header_or_a_method_is_said_without_its_value() {
    let target = Receiver::always(Reply::status(200)).await;
    let mut bad = request(target.url("/"));
    bad.headers = vec![("x-token".to_owned(), "secret\r\nx: y".to_owned())];
    let error = client(LoopbackPolicy::Configured).request(bad).await.unwrap_err();
    assert!(error.contains("x-token") && !error.contains("secret"), "{error}");
    let mut bad = request(target.url("/"));
    bad.method = "GET /x".to_owned();
    assert!(client(LoopbackPolicy::Configured).request(bad).await.is_err());
    assert_eq!(target.connections(), 0);
}

#[tokio::test]
async fn an_answer_can_be_read_in_pieces_up_to_its_limit() {
    let body = "x".repeat(100_000);
    let target = Receiver::always(Reply::with(201, &["X-One: a"], &body)).await;
    let client = client(LoopbackPolicy::Configured);
    let mut answer = client.open(request(target.url("/"))).await.unwrap();
    assert_eq!((answer.status, answer.header("x-one")), (201, Some("a")));
    let mut read = 0;
    while let Some(piece) = answer.piece().await.unwrap() {
        read += piece.len();
    }
    assert_eq!(read, 100_000);

    let short = Request {
        response_limit: 99_999,
        ..request(target.url("/"))
    };
    let mut answer = client.open(short).await.unwrap();
    let refused = loop {
        match answer.piece().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it should not be read to its end"),
            Err(error) => break error,
        }
    };
    assert_eq!(refused, "The answer is longer than 99999 bytes.");
}

#[tokio::test]
async fn a_host_that_came_in_from_outside_never_leads_to_this_machine() {
    let target = Receiver::always(Reply::status(200)).await;
    let client = client(LoopbackPolicy::Configured);
    let own = request(target.url("/x"));
    let from_outside = Request {
        url_source: UrlSource::Caller,
        ..own.clone()
    };
    assert!(client.request(own).await.is_ok(), "the operator's own");
    assert!(client.request(from_outside).await.is_err());
    assert_eq!(target.received().len(), 1);
}
