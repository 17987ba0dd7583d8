//! What is read as a body and what is not (webhook spec §2, deviations (n) and (p)).

use std::io::Write;

use axum::body::Body;
use bytes::Bytes;
use countersign_server::Options;
use serde_json::{Value, json};

use crate::support::{House, reply_flow, request};

const ANY: &str = r#"{"webhookMethod":"","webhookContentType":""}"#;

async fn house() -> (House, String) {
    let house = House::open().await;
    let path = house
        .import(&reply_flow(serde_json::from_str(ANY).unwrap()))
        .await;
    (house, path)
}

/// Posts bytes and returns what the flow saw: status, and `$webhook` or the error's message.
async fn seen(house: &House, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> (u16, Value) {
    let answer = house.send(request("POST", path, headers, body)).await;
    match answer.status.as_u16() {
        200 => (
            200,
            answer.json()["agentFlowExecutedData"][0]["data"]["output"]["webhook"].clone(),
        ),
        status => (status, answer.refusal().1.into()),
    }
}

#[tokio::test]
async fn types_that_are_read() {
    let (house, path) = house().await;
    let object = r#"{"who":"x"}"#;
    for (kind, body, expected) in [
        ("application/json", object, json!({"who": "x"})),
        ("Application/JSON", object, json!({"who": "x"})),
        ("application/json; charset=utf-8", object, json!({"who": "x"})),
        ("application/json;charset=\"UTF-8\"", object, json!({"who": "x"})),
        ("application/vnd.x+json", object, json!({"who": "x"})),
        ("application/json", "\u{feff}{\"who\":\"x\"}", json!({"who": "x"})),
        ("application/json", " [1, 2.5, null] ", json!([1, 2.5, null])),
        ("application/json", "", json!({})),
        (
            "application/json",
            r#"{"a":1,"b":2,"a":3}"#,
            json!({"a": 3, "b": 2}),
        ),
        (
            "application/x-www-form-urlencoded",
            "who=Ada+B&t[]=1&t[]=2&o[k]=v",
            json!({"who": "Ada B", "t": ["1", "2"], "o": {"k": "v"}}),
        ),
        (
            "application/x-www-form-urlencoded; charset=utf-8",
            "payload=%7B%22who%22%3A%22P%22%7D",
            json!({"who": "P"}),
        ),
        (
            "APPLICATION/x-www-form-urlencoded",
            "payload=notjson&who=Kept",
            json!({"payload": "notjson", "who": "Kept"}),
        ),
        ("application/x-www-form-urlencoded", "", json!({})),
        ("text/plain", "", json!({})),
    ] {
        let (status, webhook) = seen(&house, &path, &[("content-type", kind)], body.to_owned()).await;
        assert_eq!(
            (status, &webhook["body"]),
            (200, &expected),
            "{kind} {body:?}: {webhook}"
        );
    }
    let wide: Vec<u8> = object.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let (status, webhook) = seen(
        &house,
        &path,
        &[("content-type", "application/json; charset=utf-16")],
        wide,
    )
    .await;
    assert_eq!((status, &webhook["body"]["who"]), (200, &json!("x")));
    let (status, webhook) = seen(&house, &path, &[], Body::empty()).await;
    assert_eq!(
        (status, &webhook["body"]),
        (200, &json!({})),
        "a call without any body"
    );
    let get = house.send(request("GET", &path, &[], Body::empty())).await;
    assert_eq!(get.status, 200, "{get:?}");
}

#[tokio::test]
async fn types_that_are_refused() {
    let (house, path) = house().await;
    for (headers, body, status) in [
        (vec![("content-type", "text/plain")], r#"{"who":"x"}"#, 415),
        (vec![("content-type", "application/xml")], "<a/>", 415),
        (
            vec![("content-type", "multipart/form-data; boundary=x")],
            "--x--",
            415,
        ),
        (vec![("content-type", "image/svg+json")], "{}", 415),
        (vec![], r#"{"who":"x"}"#, 415),
        (
            vec![("content-type", "application/json; charset=latin1")],
            r#"{"who":"x"}"#,
            415,
        ),
        (
            vec![(
                "content-type",
                "application/x-www-form-urlencoded; charset=koi8-r",
            )],
            "a=1",
            415,
        ),
        (
            vec![("content-type", "application/json; charset=utf-16")],
            r#"{"who":"x"}"#,
            400,
        ),
        (
            vec![("content-type", "application/json"), ("content-encoding", "gzip")],
            r#"{"who":"x"}"#,
            400,
        ),
        (
            vec![("content-type", "application/json"), ("content-encoding", "br")],
            r#"{"who":"x"}"#,
            415,
        ),
    ] {
        let (got, message) = seen(&house, &path, &headers, body.to_owned()).await;
        assert_eq!(got, status, "{headers:?} {body}: {message}");
    }
    assert_eq!(house.traces().await, (0, 0), "refused bodies leave no trace");
}

#[tokio::test]
async fn json_that_is_none() {
    let (house, path) = house().await;
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let deep_objects = format!("{}1{}", r#"{"a":"#.repeat(10_000), "}".repeat(10_000));
    // What one level less is taken for is in `what_is_nested_as_deep_as_can_be_is_kept`.
    let one_too_deep = format!("{}{}", "[".repeat(65), "]".repeat(65));
    for body in [
        r#"{"who": "#,
        "{who:1}",
        " ",
        "null",
        "5",
        "\"text\"",
        "true",
        "{} {}",
        "{\"a\":1e999}",
        "[1,]",
        "{\"a\":\"\u{1}\"}",
        deep.as_str(),
        deep_objects.as_str(),
        one_too_deep.as_str(),
    ] {
        let (status, message) = seen(
            &house,
            &path,
            &[("content-type", "application/json")],
            body.to_owned(),
        )
        .await;
        let start: String = body.chars().take(20).collect();
        assert_eq!(status, 400, "{start}: {message}");
        assert!(!message.as_str().unwrap().is_empty(), "{start}");
    }
    let (status, _) = seen(
        &house,
        &path,
        &[("content-type", "application/json")],
        &b"{\"a\":\"\xff\"}"[..],
    )
    .await;
    assert_eq!(status, 400, "bytes that are not UTF-8");
    assert_eq!(house.traces().await, (0, 0), "refused bodies leave no trace");
    let (status, webhook) = seen(
        &house,
        &path,
        &[("content-type", "application/json")],
        r#"{"who":"next"}"#,
    )
    .await;
    assert_eq!(
        (status, &webhook["body"]["who"]),
        (200, &json!("next")),
        "the next good request works"
    );
}

#[tokio::test]
async fn compressed_bodies_are_bounded_by_what_comes_out() {
    let house = House::with(Options {
        body_limit: 100_000,
        ..Options::default()
    })
    .await;
    let path = house
        .import(&reply_flow(serde_json::from_str(ANY).unwrap()))
        .await;
    let pack = |text: &[u8], gzip: bool| {
        let level = flate2::Compression::default();
        if gzip {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
            encoder.write_all(text).unwrap();
            encoder.finish().unwrap()
        } else {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), level);
            encoder.write_all(text).unwrap();
            encoder.finish().unwrap()
        }
    };
    for (encoding, gzip) in [("gzip", true), ("GZIP", true), ("deflate", false)] {
        let headers = [
            ("content-type", "application/json"),
            ("content-encoding", encoding),
        ];
        let (status, webhook) = seen(&house, &path, &headers, pack(br#"{"who":"zip"}"#, gzip)).await;
        assert_eq!(
            (status, &webhook["body"]["who"]),
            (200, &json!("zip")),
            "{encoding}: {webhook}"
        );
        let bomb = pack(
            format!("{{\"a\":\"{}\"}}", "x".repeat(10_000_000)).as_bytes(),
            gzip,
        );
        assert!(bomb.len() < 100_000, "the test needs a bomb");
        let (status, message) = seen(&house, &path, &headers, bomb).await;
        assert_eq!(status, 413, "{encoding}: {message}");
    }
}

#[tokio::test]
async fn size_and_number_are_limits() {
    let options = Options {
        body_limit: 1000,
        value_limit: 50,
        ..Options::default()
    };
    let house = House::with(options).await;
    // The flow itself is larger than that.
    let view = house
        .app
        .import_flow(
            &reply_flow(serde_json::from_str(ANY).unwrap()).to_string(),
            Some("x"),
        )
        .await;
    let path = format!("/api/v1/webhook/{}", view.unwrap().summary.id);
    let json_type = [("content-type", "application/json")];
    let text = |length: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(length - 8));
    assert_eq!(
        seen(&house, &path, &json_type, text(1000)).await.0,
        200,
        "exactly the limit"
    );
    assert_eq!(
        seen(&house, &path, &json_type, text(1001)).await.0,
        413,
        "one byte more"
    );
    let list = |count: usize| format!("[{}]", vec!["0"; count - 1].join(","));
    assert_eq!(
        seen(&house, &path, &json_type, list(49)).await.0,
        200,
        "below the limit"
    );
    assert_eq!(
        seen(&house, &path, &json_type, list(60)).await.0,
        413,
        "too many values"
    );
    // Without an announced length, in pieces.
    let pieces = |count: usize| {
        let part = Ok::<_, std::convert::Infallible>(Bytes::from("x".repeat(100)));
        Body::from_stream(futures_util::stream::iter(vec![part; count]))
    };
    let chunked = [
        ("content-type", "application/json"),
        ("transfer-encoding", "chunked"),
    ];
    assert_eq!(seen(&house, &path, &chunked, pieces(11)).await.0, 413);
    assert_eq!(
        seen(&house, &path, &chunked, pieces(9)).await.0,
        400,
        "small enough to be read, and no JSON"
    );
}

#[tokio::test]
async fn query_values_stay_as_sent() {
    let (house, path) = house().await;
    for (query, expected) in [
        (
            "?a=1&a=2&b=%3Cscript%3Ex",
            json!({"a": ["1", "2"], "b": "<script>x"}),
        ),
        ("?z[k]=1&z%5Bl%5D=2", json!({"z": {"k": "1", "l": "2"}})),
        ("?r=a%26b+c", json!({"r": "a&b c"})),
        ("?lane=", json!({"lane": ""})),
        ("?", json!({})),
        ("", json!({})),
    ] {
        let (status, webhook) = seen(&house, &format!("{path}{query}"), &[], Body::empty()).await;
        assert_eq!(
            (status, &webhook["query"]),
            (200, &expected),
            "{query}: {webhook}"
        );
    }
    for bad in ["?a=%zz", "?a=%", "?a=%ff", "?%C3=1"] {
        let (status, message) = seen(&house, &format!("{path}{bad}"), &[], Body::empty()).await;
        assert_eq!((status, message), (400, json!("URI malformed")), "{bad}");
    }
}

#[tokio::test]
async fn headers_reach_the_flow_in_lower_case_and_without_secrets() {
    let (house, path) = house().await;
    let sent = [
        ("Content-Type", "application/json"),
        ("X-Demo", "seen"),
        ("Authorization", "Bearer s3cret"),
        ("Cookie", "a=b"),
        ("X-Twice", "1"),
        ("X-Twice", "2"),
        ("x-latin", "caf\u{e9}"),
    ];
    let mut request = request("POST", &path, &sent[..6], "{}");
    request
        .headers_mut()
        .insert("x-latin", http::HeaderValue::from_bytes(b"caf\xe9").unwrap());
    let answer = house.send(request).await;
    let headers = answer.json()["agentFlowExecutedData"][0]["data"]["output"]["webhook"]["headers"].clone();
    assert_eq!(headers["x-demo"], "seen", "{headers}");
    assert_eq!(headers["authorization"], "[REDACTED]", "{headers}");
    assert_eq!(headers["cookie"], "[REDACTED]", "{headers}");
    assert_eq!(headers["x-twice"], "1, 2", "{headers}");
    assert_eq!(headers["x-latin"], "caf\u{e9}", "{headers}");
    assert_eq!(headers["content-length"], "2", "{headers}");
    assert!(!answer.text.contains("s3cret"), "{answer:?}");
}
