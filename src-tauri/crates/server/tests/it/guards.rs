//! Whoever must not call is refused before the body is read and before anything happens.

use axum::body::Body;
use countersign_server::Options;
use serde_json::json;

use crate::support::{House, gate_flow, request, untouchable};

const PATH: &str = "/api/v1/webhook/00000000-0000-4000-8000-000000000001";

/// Headers of one request, and whether it gets past the guards.
async fn check(house: &House, method: &str, path: &str, headers: &[(&str, &str)], passes: bool) {
    let body = if passes { Body::empty() } else { untouchable() };
    let answer = house.send(request(method, path, headers, body)).await;
    if passes {
        assert_ne!(answer.status, 403, "{method} {path} {headers:?}: {answer:?}");
    } else {
        assert_eq!(answer.refusal().0, 403, "{method} {path} {headers:?}");
        assert_eq!(answer.json()["code"], "forbidden", "{answer:?}");
    }
    assert_eq!(
        answer.header("access-control-allow-origin"),
        "",
        "nothing is granted to other origins"
    );
}

#[tokio::test]
async fn host_must_name_loopback() {
    let house = House::open().await;
    for (host, passes) in [
        ("127.0.0.1:8420", true),
        ("127.0.0.1", true),
        ("localhost:1", true),
        ("LOCALHOST", true),
        ("localhost.", true),
        ("[::1]:8420", true),
        ("0.0.0.0:8420", false),
        ("evil.example:8420", false),
        ("127.0.0.1.evil.example", false),
        ("localhost@evil.example", false),
        ("192.168.1.4:8420", false),
        ("", false),
    ] {
        for path in [PATH, "/", "/api/v1/approvals", "/healthz"] {
            check(&house, "POST", path, &[("host", host)], passes).await;
        }
    }
    check(
        &house,
        "POST",
        PATH,
        &[("host", "localhost"), ("host", "evil.example")],
        false,
    )
    .await;
    check(
        &house,
        "POST",
        "http://evil.example/api/v1/status",
        &[("host", "localhost")],
        false,
    )
    .await;
    check(
        &house,
        "POST",
        "http://localhost:9/api/v1/status",
        &[("host", "localhost:9")],
        true,
    )
    .await;

    let mut without = request("POST", PATH, &[], untouchable());
    without.headers_mut().remove("host");
    assert_eq!(
        house.send(without).await.refusal().0,
        403,
        "a request without Host"
    );
}

#[tokio::test]
async fn origin_must_be_our_own() {
    let options = Options {
        allowed_origins: vec!["http://localhost:5173".to_owned()],
        ..Options::default()
    };
    let house = House::with(options).await;
    for (origin, passes) in [
        ("http://127.0.0.1:8420", true),
        ("http://localhost:5173", true),
        ("http://localhost:8420", false),
        ("http://127.0.0.1:3000", false),
        ("http://127.0.0.1", false),
        ("https://127.0.0.1:8420", false),
        ("https://evil.example", false),
        ("null", false),
        ("", false),
        ("file://", false),
    ] {
        check(&house, "POST", PATH, &[("origin", origin)], passes).await;
        check(&house, "OPTIONS", PATH, &[("origin", origin)], passes).await;
    }
    let both = [
        ("origin", "http://127.0.0.1:8420"),
        ("origin", "https://evil.example"),
    ];
    check(&house, "POST", PATH, &both, false).await;
    // As through a tunnel to another local port.
    check(
        &house,
        "POST",
        PATH,
        &[("host", "localhost:9"), ("origin", "http://localhost:9")],
        true,
    )
    .await;
    check(
        &house,
        "POST",
        PATH,
        &[("host", "localhost"), ("origin", "http://localhost")],
        true,
    )
    .await;
}

#[tokio::test]
async fn pages_of_other_sites_may_not_call() {
    let house = House::open().await;
    for (site, passes) in [
        ("same-origin", true),
        ("none", true),
        ("same-site", false),
        ("cross-site", false),
        ("x", false),
    ] {
        check(&house, "POST", PATH, &[("sec-fetch-site", site)], passes).await;
        check(&house, "GET", PATH, &[("sec-fetch-site", site)], passes).await;
    }
    let link = [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "document"),
    ];
    check(&house, "GET", "/approvals/x", &link, true).await;
    check(&house, "GET", PATH, &link, false).await;
    check(&house, "POST", "/", &link, false).await;
    let frame = [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "iframe"),
    ];
    check(&house, "GET", "/", &frame, false).await;
}

#[tokio::test]
async fn a_refused_call_leaves_nothing_behind() {
    let house = House::open().await;
    let path = house.import(&gate_flow(json!({}))).await;
    let body = json!({ "item": "x" }).to_string();
    for headers in [
        vec![("host", "evil.example")],
        vec![("origin", "https://evil.example")],
        vec![("sec-fetch-site", "cross-site")],
    ] {
        let mut all = vec![("content-type", "application/json")];
        all.extend(headers);
        assert_eq!(
            house
                .send(request("POST", &path, &all, body.clone()))
                .await
                .status,
            403,
            "{all:?}"
        );
    }
    // What a form of a web page can send without asking first.
    for kind in ["text/plain", "multipart/form-data; boundary=x"] {
        let answer = house
            .send(request("POST", &path, &[("content-type", kind)], body.clone()))
            .await;
        assert_eq!(answer.status, 415, "{kind}");
    }
    assert_eq!(house.traces().await, (0, 0));
    assert_eq!(house.post(&path, &json!({ "item": "x" })).await.status, 200);
    assert_eq!(house.traces().await, (1, 1));
}

#[tokio::test]
async fn preflight_grants_nothing_and_odd_methods_are_refused() {
    let house = House::open().await;
    for path in [PATH, "/api/v1/approvals", "/"] {
        let answer = house.send(request("OPTIONS", path, &[], Body::empty())).await;
        assert_eq!(
            (answer.status.as_u16(), answer.text.as_str()),
            (204, ""),
            "{path}"
        );
        assert_eq!(answer.header("content-type"), "", "{path}");
    }
    assert_eq!(
        house
            .send(request("TRACE", PATH, &[], Body::empty()))
            .await
            .refusal()
            .0,
        405
    );
}

#[tokio::test]
async fn every_answer_is_protected() {
    let house = House::open().await;
    for (method, path) in [
        ("POST", PATH),
        ("GET", "/api/v1/approvals"),
        ("GET", "/"),
        ("GET", "/healthz"),
    ] {
        let answer = house.send(request(method, path, &[], Body::empty())).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(
            answer.header("cross-origin-resource-policy"),
            "same-origin",
            "{path}"
        );
        assert!(
            answer
                .header("content-security-policy")
                .contains("frame-ancestors 'none'"),
            "{path}"
        );
        assert!(
            answer.header("cache-control").starts_with("no-"),
            "{path}: {answer:?}"
        );
    }
}
