//! HTTP: what is sent, and what becomes of the answer (format §5.5).

use countersign_flow::{Advance, HttpBody, HttpRequest, HttpResponse, Run};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{TestHost, at_once, http, input, ok, plan, records, start, to_rest};

fn asked(inputs: Value, body: Value) -> Result<HttpRequest, String> {
    let plan = plan(vec![start(json!({})), http("t0", inputs)], &[("s", "t0")]);
    let host = TestHost::new().with_http(|_| at_once(ok(&json!(1))));
    let mut run = Run::begin(&plan, input(body));
    match to_rest(&mut run, &plan, &host) {
        Advance::Finished => Ok(host.requests().remove(0)),
        Advance::Failed(failure) => Err(failure.message),
        other => panic!("{other:?}"),
    }
}

fn output(answer: HttpResponse, response_type: &str) -> Value {
    let inputs = json!({"url": "http://x", "responseType": response_type});
    let plan = plan(vec![start(json!({})), http("t0", inputs)], &[("s", "t0")]);
    let host = TestHost::new().with_http(move |_| at_once(answer.clone()));
    let mut run = Run::begin(&plan, input(json!({})));
    to_rest(&mut run, &plan, &host);
    let records: Value = serde_json::from_str(&records(&run)).unwrap();
    records[1]["data"]["output"]["http"].clone()
}

fn sent(kind: &str, body: Value) -> HttpBody {
    let inputs = json!({"method": "POST", "url": "http://x", "bodyType": kind, "body": body});
    asked(inputs, json!({})).unwrap().body.unwrap()
}

#[test]
fn rows_become_query_and_headers_and_empty_ones_are_left_out() {
    let inputs = json!({
        "url": "http://x/p?a=1",
        "queryParams": [{"key": "b", "value": "{{ $webhook.body.v }}"}, {"key": "", "value": "x"}, {"key": "e", "value": ""}],
        "headers": [{"key": "X-One", "value": "v"}, {"key": "X-Two", "value": ""}],
    });
    let request = asked(inputs, json!({"v": "1 2&3=ü"})).unwrap();
    assert_eq!(request.method, "GET");
    assert_eq!(request.url, "http://x/p?a=1&b=1+2%263%3D%C3%BC");
    assert_eq!(request.headers, [("X-One".to_owned(), "v".to_owned())]);
    assert_eq!(request.body, None);
}

#[test]
fn a_get_never_has_a_body() {
    let inputs = json!({"method": "GET", "url": "http://x", "bodyType": "raw", "body": "x"});
    assert_eq!(asked(inputs, json!({})).unwrap().body, None);
}

/// D3.11: Flowise sends `0=&1=`.
#[test]
fn forms_are_encoded_as_forms() {
    let rows = json!([{"key": "a", "value": "1"}, {"key": "b", "value": "2 3"}, {"key": "e", "value": ""}]);
    assert_eq!(
        sent("xWwwFormUrlencoded", rows.clone()),
        HttpBody {
            text: "a=1&b=2+3&e=".to_owned(),
            content_type: "application/x-www-form-urlencoded".to_owned()
        }
    );
    assert_eq!(
        sent("xWwwFormUrlencoded", json!("{\"a\": 1}")).text,
        "a=1",
        "an object as JSON works too"
    );
    let parts = sent(
        "formData",
        json!([{"key": "a\"\r\n", "value": "form-boundary-00000000"}]),
    );
    assert_eq!(
        parts.content_type,
        "multipart/form-data; boundary=form-boundary-00000001"
    );
    assert_eq!(
        parts.text,
        "--form-boundary-00000001\r\nContent-Disposition: form-data; name=\"a%22%0D%0A\"\r\n\r\n\
         form-boundary-00000000\r\n--form-boundary-00000001--\r\n"
    );
}

#[test]
fn json_is_read_as_people_write_it() {
    for (written, sent_as) in [
        ("{\"a\": 1}", "{\"a\":1}"),
        ("{a: 'x', /* why */ b: [1, 2,],}", "{\"a\":\"x\",\"b\":[1,2]}"),
        ("{\\\"a\\\": \\[1\\]}", "{\"a\":[1]}"),
        ("\"text\"", "\"text\""),
        ("0x1F", "31"),
    ] {
        assert_eq!(sent("json", json!(written)).text, sent_as, "{written}");
    }
    let inputs = json!({"method": "POST", "url": "http://x", "bodyType": "json", "body": "{\"n\": \"{{ $webhook.body.n }}\"}"});
    let error = asked(inputs, json!({"n": "say \"hi\""})).unwrap_err();
    assert!(
        error.starts_with("Invalid JSON format in body. Original error: "),
        "{error}"
    );
    assert!(error.contains("{\"n\": \"say"), "it shows the beginning: {error}");
    let deep = "[".repeat(10_000);
    let inputs = json!({"method": "POST", "url": "http://x", "bodyType": "json", "body": deep});
    let error = asked(inputs, json!({})).unwrap_err();
    assert!(error.starts_with("Invalid JSON format in body."), "{error}");
    assert!(error.len() < 1000, "only the beginning is repeated");
}

#[test]
fn an_answer_becomes_what_was_asked_for() {
    let bytes = HttpResponse {
        status: 201,
        status_text: "Created".to_owned(),
        headers: [
            ("x-a", "1"),
            ("x-a", "2"),
            ("set-cookie", "c=1"),
            ("set-cookie", "d=2"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec(),
        body: vec![0, 159, 146, 150, 255],
    };
    assert_eq!(output(bytes.clone(), "base64")["data"], "AJ+Slv8=", "undamaged");
    assert_eq!(
        output(bytes.clone(), "arraybuffer")["data"],
        json!({"type": "Buffer", "data": [0, 159, 146, 150, 255]})
    );
    let shown = output(bytes, "");
    assert_eq!(
        shown["headers"],
        json!({"x-a": "1, 2", "set-cookie": ["c=1", "d=2"]})
    );
    assert_eq!(
        (&shown["status"], &shown["statusText"]),
        (&json!(201), &json!("Created"))
    );
    assert!(shown["data"].is_string(), "what is no JSON is text");
    assert_eq!(output(ok(&json!({"a": [1]})), "json")["data"], json!({"a": [1]}));
    assert_eq!(output(ok(&json!({"a": 1})), "text")["data"], "{\"a\":1}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is typed: a request or a failure, never a panic.
    #[test]
    fn any_text_is_taken_as_json(text in "[\\[\\]{}\",:'\\\\/* a-c0-9x.+\n-]{0,40}") {
        let inputs = json!({"method": "POST", "url": "http://x", "bodyType": "json", "body": text});
        match asked(inputs, json!({})) {
            Ok(request) => {
                if let Some(body) = request.body {
                    prop_assert!(serde_json::from_str::<Value>(&body.text).is_ok(), "{}", body.text);
                }
            }
            Err(message) => prop_assert!(message.starts_with("Invalid JSON format in body."), "{}", message),
        }
    }
}
