//! HTTP: what is sent, and what becomes of the answer (format §5.5).

use std::time::{Duration, Instant};

use countersign_domain::UrlSource;
use countersign_flow::{Advance, HttpBody, HttpRequest, HttpResponse, Plan, Run};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{TestHost, at_once, call, flow, gate, http, input, ok, plan, records, start, to_rest};

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
    taken(answer, response_type).unwrap()
}

fn taken(answer: HttpResponse, response_type: &str) -> Result<Value, String> {
    let inputs = json!({"url": "http://x", "responseType": response_type});
    let plan = plan(vec![start(json!({})), http("t0", inputs)], &[("s", "t0")]);
    let host = TestHost::new().with_http(move |_| at_once(answer.clone()));
    let mut run = Run::begin(&plan, input(json!({})));
    if let Advance::Failed(failure) = to_rest(&mut run, &plan, &host) {
        return Err(failure.message);
    }
    let records: Value = serde_json::from_str(&records(&run)).unwrap();
    Ok(records[1]["data"]["output"]["http"].clone())
}

fn bytes(body: impl Into<Vec<u8>>) -> HttpResponse {
    HttpResponse {
        body: body.into(),
        ..ok(&json!(0))
    }
}

fn nested(levels: usize) -> String {
    format!("{}1{}", "[".repeat(levels), "]".repeat(levels))
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
fn d3_11_forms_are_encoded_as_forms() {
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
        ("\u{feff} {\"a\": 1}", "{\"a\":1}"),
        // Escapes that are meant stay beside those that an editor put there.
        (
            r#"{"a": "say \"hi\"", "b": \[1\]}"#,
            r#"{"a":"say \"hi\"","b":[1]}"#,
        ),
        (r#"{"a": "c:\\[x\\", "b": \[1\]}"#, r#"{"a":"c:\\[x\\","b":[1]}"#),
        (r#"{'a': "it's", "b": \[1\]}"#, r#"{"a":"it's","b":[1]}"#),
        (
            "{\"b\": 1, \"a\": 0.1, \"n\": 12345678901234567890}",
            "{\"b\":1,\"a\":0.1,\"n\":12345678901234567890}",
        ),
        ("{\"a\": \"two\nlines\"}", "{\"a\":\"two\\nlines\"}"),
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
    for deep in [
        "[".repeat(10_000),
        nested(10_000),
        "{a:".repeat(10_000),
        "\\[".repeat(10_000),
        "/*".repeat(10_000),
        format!("[0{}]", ",0".repeat(1_000_000)),
        format!("['0'{}]", ",0".repeat(1_000_000)),
    ] {
        let inputs = json!({"method": "POST", "url": "http://x", "bodyType": "json", "body": deep});
        let error = asked(inputs, json!({})).unwrap_err();
        assert!(error.starts_with("Invalid JSON format in body."), "{error}");
        assert!(error.len() < 1000, "only the beginning is repeated");
    }
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

/// What is written in an editor comes with spaces and line ends around it.
#[test]
fn addresses_and_headers_are_trimmed_and_a_fragment_is_left_out() {
    let inputs = json!({
        "url": " http://x/p?a=1#top \n",
        "queryParams": [{"key": "b", "value": " 1"}, {"key": "n", "value": null}],
        "headers": [{"key": " X-One ", "value": " v\n"}, {"key": "X-Two", "value": null}, {"key": "X-Three", "value": " "}],
    });
    let request = asked(inputs, json!({})).unwrap();
    assert_eq!(request.url, "http://x/p?a=1&b=+1");
    assert_eq!(request.headers, [("X-One".to_owned(), "v".to_owned())]);
}

#[test]
fn the_host_is_told_method_credential_and_how_long_it_may_take() {
    for (method, sent) in [
        (json!(""), "GET"),
        (json!("post"), "POST"),
        (json!("PUT"), "PUT"),
        (json!("DELETE"), "DELETE"),
        (json!("PATCH"), "PATCH"),
    ] {
        let request = asked(json!({"method": method, "url": "http://x"}), json!({})).unwrap();
        assert_eq!(request.method, sent);
        assert_eq!(request.timeout, Duration::from_secs(30), "D3.12");
        assert_eq!(request.credential, None);
    }
    for name in ["credential", "FLOWISE_CREDENTIAL_ID"] {
        let request = asked(json!({"url": "http://x", name: "billing"}), json!({})).unwrap();
        assert_eq!(request.credential.as_deref(), Some("billing"), "{name}");
    }
    let mut step = http("t0", json!({"url": "http://x"}));
    step["data"]["credential"] = "by-id".into();
    let plan = plan(vec![start(json!({})), step], &[("s", "t0")]);
    let host = TestHost::new().with_http(|_| at_once(ok(&json!(1))));
    to_rest(&mut Run::begin(&plan, input(json!({}))), &plan, &host);
    assert_eq!(host.requests()[0].credential.as_deref(), Some("by-id"));
}

/// The credential, and inputs that were left empty, are not in it.
#[test]
fn the_record_repeats_the_inputs_and_the_answer_in_order() {
    let inputs = json!({
        "credential": "billing", "responseType": "json", "body": "{a: 1}", "bodyType": "json", "queryParams": "",
        "headers": [{"key": "X-One", "value": "v"}], "url": "http://x", "method": "POST",
    });
    let plan = plan(vec![start(json!({})), http("t0", inputs)], &[("s", "t0")]);
    let host = TestHost::new().with_http(|_| at_once(ok(&json!({"z": 1, "a": 2}))));
    let mut run = Run::begin(&plan, input(json!({})));
    to_rest(&mut run, &plan, &host);
    let records = records(&run);
    for part in [
        "\"input\":{\"http\":{\"method\":\"POST\",\"url\":\"http://x\",\"headers\":[{\"key\":\"X-One\",\"value\":\"v\"}],\
         \"bodyType\":\"json\",\"body\":\"{a: 1}\",\"responseType\":\"json\"}}",
        "\"output\":{\"http\":{\"data\":{\"z\":1,\"a\":2},\"status\":200,\"statusText\":\"OK\",\
         \"headers\":{\"content-type\":\"application/json\"}}}",
    ] {
        assert!(records.contains(part), "{part} is not in {records}");
    }
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_text() {
    let marked = bytes("\u{feff}{\"a\":1}");
    assert_eq!(output(marked.clone(), "json")["data"], json!({"a": 1}));
    assert_eq!(output(marked.clone(), "text")["data"], "{\"a\":1}");
    assert_eq!(
        output(marked, "base64")["data"],
        "77u/eyJhIjoxfQ==",
        "bytes stay as they are"
    );
}

/// What a target answers may not make a run that cannot be read again after a restart.
#[test]
fn a_run_with_the_deepest_answer_can_be_stored() {
    let error = taken(bytes(nested(65)), "json").unwrap_err();
    assert!(error.contains("more than 64 levels"), "{error}");
    assert_eq!(output(bytes(nested(65)), "text")["data"], nested(65));

    // No more flows may call one another.
    let levels = 10;
    let text = |level: usize| {
        let kind = if level == levels {
            "webhookTrigger"
        } else {
            "chatInput"
        };
        let last = match level {
            0 => gate("h0", "Go?"),
            _ => call("e0", &format!("called-{}", level - 1), "x"),
        };
        let edge = ("t0", if level == 0 { "h0" } else { "e0" });
        let step = http("t0", json!({"url": "http://x"}));
        flow(
            vec![start(json!({"startInputType": kind})), step, last],
            &[("s", "t0"), edge],
        )
    };
    let mut host = TestHost::new().with_http(|_| at_once(bytes(nested(64))));
    for level in 0..levels {
        host = host.with_flow(&format!("called-{level}"), &text(level));
    }
    let plan = Plan::parse(&text(levels)).unwrap();
    let mut run = Run::begin(&plan, input(json!({})));
    let rest = to_rest(&mut run, &plan, &host);
    assert!(matches!(rest, Advance::Stopped(_)), "{rest:?}");
    assert_eq!(host.requests().len(), levels + 1, "every flow asked");
    let stored = serde_json::to_string(&run).unwrap();
    if let Err(error) = serde_json::from_str::<Run>(&stored) {
        panic!("the run cannot be read again: {error}");
    }
}

/// Each byte and each value takes a multiple of itself in memory.
#[test]
fn an_answer_that_would_fill_the_memory_is_refused_and_says_what_helps() {
    let list = format!("[0{}]", ",0".repeat(1_000_000));
    let error = taken(bytes(list.clone()), "json").unwrap_err();
    assert!(
        error.contains("more than 1000000 values") && error.contains("text"),
        "{error}"
    );
    assert_eq!(output(bytes(list.clone()), "text")["data"], list);
    let error = taken(bytes(vec![0; 1_000_001]), "arraybuffer").unwrap_err();
    assert!(
        error.contains("1000001 bytes") && error.contains("base64"),
        "{error}"
    );
}

#[test]
fn a_field_full_of_boundaries_does_not_hold_up_the_others() {
    let value: String = (0..45_000)
        .map(|number| format!("form-boundary-{number:08}"))
        .collect();
    let began = Instant::now();
    let parts = sent("formData", json!([{"key": "a", "value": value}]));
    assert_eq!(
        parts.content_type,
        "multipart/form-data; boundary=form-boundary-00045000"
    );
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
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

fn source_of(url: &str, value: &str) -> (UrlSource, String) {
    let asked = asked(json!({ "url": url }), json!({ "v": value })).unwrap();
    (asked.url_source, asked.url)
}

#[test]
fn a_host_that_came_in_with_the_call_is_the_callers() {
    for url in [
        "http://127.0.0.1:9000/fixed",
        "http://billing.internal/{{ $webhook.body.v }}",
        "http://billing.internal?id={{ $webhook.body.v }}",
        "{{ $vars.base }}/orders/{{ $webhook.body.v }}",
        "http://{{ $vars.host }}:80/{{ $webhook.body.v }}",
    ] {
        assert_eq!(source_of(url, "x").0, UrlSource::Operator, "{url}");
    }
    for url in [
        "{{ $webhook.body.v }}",
        "http://{{ $webhook.body.v }}/fixed",
        "http://127.0.0.1{{ $webhook.body.v }}",
        "http://127.0.0.1:90{{ $webhook.body.v }}",
        "http:/{{ $webhook.body.v }}",
        "http:///{{ $webhook.body.v }}",
        "http:\\\\{{ $webhook.body.v }}",
        "{{ $vars.scheme }}://{{ $webhook.body.v }}/",
        "{{ question }}",
    ] {
        assert_eq!(source_of(url, "x").0, UrlSource::Caller, "{url}");
    }
}

proptest! {
    #[test]
    fn what_comes_in_never_changes_a_host_that_counts_as_the_operators(
        before in r"(http|https|HTTP|ftp|)(:|)[/\\ \t]{0,3}[a-z0-9.@:?#/\\]{0,8}",
        after in r"[a-z0-9.@:?#/]{0,8}",
        one in r"[a-z0-9.@:?#/\\]{0,8}",
        other in r"[a-z0-9.@:?#/\\]{0,8}",
    ) {
        let template = format!("{before}{{{{ $webhook.body.v }}}}{after}");
        let ((source, first), (_, second)) = (source_of(&template, &one), source_of(&template, &other));
        if source == UrlSource::Operator {
            let host = |url: &str| url::Url::parse(url).ok().map(|url| {
                (url.host_str().map(str::to_owned), url.port_or_known_default())
            });
            if let (Some(first), Some(second)) = (host(&first), host(&second)) {
                prop_assert_eq!(first, second, "{}", template);
            }
        }
    }
}
