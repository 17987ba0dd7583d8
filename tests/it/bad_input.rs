//! Everything wrong that the issue lists: a clear answer, no trace in the queue, and the next good call works.

use countersign_testkit::flows::FlowOptions;
use countersign_testkit::{Headless, HttpResponse, Installation, flows};
use serde_json::{Value, json};

use crate::support::installation;

/// A host with a flow whose gate would leave a trace, and a way to see that there is none.
struct Watched {
    serve: Headless,
    flow: String,
    _setup: Installation,
}

impl Watched {
    fn new() -> Self {
        let setup = installation();
        let serve = setup.start();
        let flow = serve.import("gate", &flows::start_gate_replies(&FlowOptions::sync()));
        Self {
            serve,
            flow,
            _setup: setup,
        }
    }

    fn post(&self, content_type: &str, body: &[u8]) -> HttpResponse {
        let path = format!("/api/v1/webhook/{}", self.flow);
        self.serve
            .call("POST", &path, &[("content-type", content_type)], Some(body))
    }

    /// The answer is a clear refusal in the usual shape.
    #[track_caller]
    fn assert_refused(&self, what: &str, reply: &HttpResponse, status: u16) {
        let body = reply.json();
        assert_eq!(reply.status, status, "{what}: {}", reply.text());
        assert_eq!(body["statusCode"], status, "{what}: {}", reply.text());
        assert!(
            body["message"].as_str().is_some_and(|message| message.len() > 5),
            "{what}: {}",
            reply.text()
        );
        assert!(!reply.text().contains("panicked"), "{what}: {}", reply.text());
        self.assert_no_trace(what);
    }

    #[track_caller]
    fn assert_no_trace(&self, what: &str) {
        assert_eq!(
            self.serve.get("/api/v1/approvals")["approvals"],
            json!([]),
            "{what} left an approval"
        );
        assert_eq!(
            self.serve.get("/api/v1/executions")["total"],
            0,
            "{what} left an execution"
        );
        assert_eq!(
            self.serve.get("/api/v1/callbacks")["callbacks"],
            json!([]),
            "{what} left a callback"
        );
    }

    /// The next good request works.
    #[track_caller]
    fn assert_alive(self) {
        self.serve
            .post(&self.flow, &json!({ "item": "v1" }))
            .expect(200, "the next good call");
        let approval = self.serve.pending().remove(0);
        self.serve
            .decide(approval["id"].as_str().expect("an id"), "approve")
            .expect(200, "and its answer");
    }
}

#[test]
fn calls_that_are_wrong() {
    let watched = Watched::new();
    let path = format!("/api/v1/webhook/{}", watched.flow);
    let unknown = watched
        .serve
        .post("11111111-1111-4111-8111-111111111111", &json!({}));
    watched.assert_refused("an unknown flow", &unknown, 404);
    watched.assert_refused(
        "a wrong method",
        &watched.serve.call("DELETE", &path, &[], None),
        405,
    );
    watched.assert_refused("a wrong type", &watched.post("text/plain", b"{}"), 415);
    watched.assert_refused(
        "no type",
        &watched.serve.call("POST", &path, &[], Some(b"{}")),
        415,
    );
    for malformed in [
        &b"{"[..],
        b"{\"a\":",
        b"{a:1}",
        b" ",
        b"null",
        b"5",
        b"\"text\"",
        b"true",
        b"[1,]",
        b"{\"a\":1}x",
        b"\xff\xfe\xfd",
        b"{\"a\":\"\xff\"}",
        b"\xef\xbb\xbf{",
        b"{\"a\":\"\n\"}",
    ] {
        let shown = String::from_utf8_lossy(malformed).into_owned();
        watched.assert_refused(
            &format!("malformed JSON {shown:?}"),
            &watched.post("application/json", malformed),
            400,
        );
    }
    watched.assert_alive();
}

/// 512 characters of a chat's name are enough, and it is shown to people: it must not steer what shows it.
#[test]
fn chat_ids_that_are_no_names() {
    let watched = Watched::new();
    let long = "x".repeat(513);
    let wide = "é".repeat(513);
    for chat in [
        long.as_str(),
        &wide,
        "a\nb",
        "a\r\nb",
        "a\tb",
        "a\u{0}b",
        "\u{1b}[2J",
        "a\u{7f}b",
        "a\u{9b}31m",
        "a\u{85}b",
        "a\u{202e}b",
        "a\u{202a}b",
        "a\u{2066}b",
        "a\u{2069}b",
        "a\u{200e}b",
        "a\u{200f}b",
        "a\u{61c}b",
    ] {
        let shown: String = chat.escape_debug().take(20).collect();
        let reply = watched
            .serve
            .post(&watched.flow, &json!({ "item": "v1", "chatId": chat }));
        watched.assert_refused(&format!("{shown} as a chat"), &reply, 400);
        let answer = json!({ "chatId": chat, "humanInput": { "type": "proceed" } });
        let reply = watched.serve.post(&watched.flow, &answer);
        watched.assert_refused(&format!("an answer to {shown}"), &reply, 400);
    }
    for chat in [
        "x".repeat(512),
        "é".repeat(512),
        "Release 2.4 – naïve 日本".to_owned(),
    ] {
        let call = json!({ "item": "v1", "chatId": chat });
        let stopped = watched
            .serve
            .post(&watched.flow, &call)
            .expect(200, "a name of at most 512 characters");
        assert_eq!(stopped.json()["chatId"], *chat);
        let answer = json!({ "chatId": chat, "humanInput": { "type": "reject" } });
        watched
            .serve
            .post(&watched.flow, &answer)
            .expect(200, "and its answer");
    }
}

#[test]
fn an_answer_by_get_changes_nothing() {
    let watched = Watched::new();
    let any = FlowOptions::sync().with(json!({ "webhookMethod": "", "webhookContentType": "" }));
    let get = FlowOptions::sync().with(json!({ "webhookMethod": "GET" }));
    let json_type = [("content-type", "application/json")];
    let flows = [
        ("POST", watched.flow.clone()),
        (
            "POST",
            watched.serve.import("any", &flows::start_gate_replies(&any)),
        ),
        (
            "GET",
            watched.serve.import("get", &flows::start_gate_replies(&get)),
        ),
    ];
    for (method, flow) in &flows {
        let path = format!("/api/v1/webhook/{flow}");
        let call = Some(&b"{\"item\":\"v1\"}"[..]);
        let stopped = watched
            .serve
            .call(method, &path, &json_type, call)
            .expect(200, "stopped")
            .json();
        let before = watched.serve.pending();
        let answer = json!({ "chatId": stopped["chatId"], "humanInput": { "type": "proceed" } }).to_string();
        for method in ["GET", "HEAD"] {
            let reply = watched
                .serve
                .call(method, &path, &json_type, Some(answer.as_bytes()))
                .expect(405, "only a call that changes something may answer");
            assert!(
                method == "HEAD" || reply.message().len() > 20,
                "it says what to do instead: {}",
                reply.text()
            );
            assert_eq!(watched.serve.pending(), before, "{method} answered");
        }
        watched
            .serve
            .call("POST", &path, &json_type, Some(answer.as_bytes()))
            .expect(200, "a POST answers");
    }
}

#[test]
fn bodies_that_are_too_much() {
    let watched = Watched::new();
    for size in [51, 70] {
        let mut large = b"{\"item\":\"".to_vec();
        large.resize(size * 1024 * 1024, b'x');
        large.extend(b"\"}");
        let reply = watched.post("application/json", &large);
        watched.assert_refused(&format!("{size} MiB"), &reply, 413);
    }

    let path = format!("/api/v1/webhook/{}", watched.flow);
    let huge = [
        ("content-type", "application/json"),
        ("content-length", "109951162777600"),
        ("expect", "100-continue"),
    ];
    watched.assert_refused(
        "100 TiB announced",
        &watched.serve.call("POST", &path, &huge, Some(b"{")),
        413,
    );

    for (open, close) in [("[", "]"), ("{\"a\":", "1}")] {
        let deep = format!("{}{}", open.repeat(10_000), close.repeat(10_000));
        watched.assert_refused(
            "10,000 deep JSON",
            &watched.post("application/json", deep.as_bytes()),
            400,
        );
        let unclosed = open.repeat(100_000);
        watched.assert_refused(
            "100,000 open brackets",
            &watched.post("application/json", unclosed.as_bytes()),
            400,
        );
    }
    watched.assert_alive();
}

#[test]
fn a_large_body_within_the_limit_is_carried_through() {
    let watched = Watched::new();
    let item = "x".repeat(3 * 1024 * 1024);
    let reply = watched
        .serve
        .post(&watched.flow, &json!({ "item": item }))
        .expect(200, "3 MiB");
    assert!(
        reply.json()["text"]
            .as_str()
            .is_some_and(|text| text.contains(&item)),
        "nothing is cut on the wire"
    );
    let approval = watched.serve.pending().remove(0);
    let title = approval["title"].as_str().expect("a title");
    assert!(
        title.chars().count() <= 200,
        "the title is one short line, {} characters",
        title.chars().count()
    );
    watched
        .serve
        .decide(approval["id"].as_str().expect("an id"), "approve")
        .expect(200, "decided");
}

#[test]
fn requests_that_are_no_http() {
    let watched = Watched::new();
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /api/v1/webhook HTTP/1.1\r\nhost: localhost\r\ncontent-length: -5\r\n\r\n",
        b"POST /api/v1/webhook HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
    ] {
        if let Ok(reply) = watched.serve.connect().send_raw(garbage) {
            assert!((400..=505).contains(&reply.status), "{garbage:?}: {}", reply.status);
        }
        watched.assert_no_trace("a request that is no HTTP");
    }
    watched.assert_alive();
}

/// A good flow, to be spoilt.
fn gate() -> Value {
    serde_json::from_str(&flows::start_gate_replies(&FlowOptions::sync())).expect("a flow is JSON")
}

fn import(watched: &Watched, document: &str) -> HttpResponse {
    let body = json!({ "name": "bad", "flowData": document });
    watched.serve.manage("POST", "/api/v1/chatflows", Some(&body))
}

#[test]
fn files_that_are_no_flow() {
    let watched = Watched::new();
    let token = format!("Bearer {}", watched.serve.token);
    let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89";
    let headers = [
        ("authorization", token.as_str()),
        ("content-type", "application/json"),
    ];
    let reply = watched
        .serve
        .call("POST", "/api/v1/chatflows", &headers, Some(png));
    watched.assert_refused("a PNG as the body", &reply, 400);
    watched.assert_refused(
        "a PNG as the document",
        &import(&watched, &String::from_utf8_lossy(png)),
        400,
    );
    let deep = "[".repeat(10_000);
    for document in [
        "",
        "{",
        "null",
        "5",
        "[]",
        "{}",
        "\"nodes\"",
        r#"{"nodes":5,"edges":[]}"#,
        r#"{"nodes":[5],"edges":[]}"#,
        r#"{"nodes":[{}],"edges":[{}]}"#,
        &deep,
    ] {
        let shown: String = document.chars().take(40).collect();
        watched.assert_refused(
            &format!("{shown:?} as a document"),
            &import(&watched, document),
            400,
        );
    }
    for body in [
        json!(null),
        json!([]),
        json!({}),
        json!({ "name": 5, "flowData": "{}" }),
        json!({ "name": "x", "flowData": {} }),
    ] {
        let reply = watched.serve.manage("POST", "/api/v1/chatflows", Some(&body));
        watched.assert_refused(&format!("{body} as an import"), &reply, 400);
    }
    assert_eq!(
        watched.serve.get("/api/v1/chatflows").as_array().map(Vec::len),
        Some(1),
        "only the good flow is there"
    );
    watched.assert_alive();
}

#[test]
fn flows_with_faults_name_them() {
    let watched = Watched::new();
    let mut unknown = gate();
    for (index, (name, label)) in [
        ("weatherAgentflow", "Ask the weather"),
        ("digestAgentflow", "Summarise"),
    ]
    .iter()
    .enumerate()
    {
        let mut node = unknown["nodes"][2].clone();
        node["id"] = json!(format!("{name}_{index}"));
        node["data"]["id"] = node["id"].clone();
        node["data"]["name"] = json!(name);
        node["data"]["label"] = json!(label);
        unknown["nodes"].as_array_mut().expect("nodes").push(node);
    }
    let reply = import(&watched, &unknown.to_string());
    watched.assert_refused("kinds that there are not", &reply, 400);
    for label in ["Ask the weather", "Summarise"] {
        assert!(
            reply.message().contains(label),
            "{label} is not named: {}",
            reply.message()
        );
    }

    let mut two_starts = gate();
    let mut start = two_starts["nodes"][0].clone();
    start["id"] = json!("startAgentflow_1");
    start["data"]["id"] = json!("startAgentflow_1");
    start["data"]["label"] = json!("Another start");
    two_starts["nodes"].as_array_mut().expect("nodes").push(start);
    let reply = import(&watched, &two_starts.to_string());
    watched.assert_refused("two starts", &reply, 400);
    assert!(reply.message().contains("Another start"), "{}", reply.message());

    let mut dangling = gate();
    dangling["edges"][1]["target"] = json!("directReplyAgentflow_77");
    let reply = import(&watched, &dangling.to_string());
    watched.assert_refused("a dangling edge", &reply, 400);
    assert!(
        reply.message().contains("Gate") || reply.message().contains("directReplyAgentflow_77"),
        "{}",
        reply.message()
    );

    let mut cycle = gate();
    cycle["edges"][1]["target"] = json!("humanInputAgentflow_0");
    watched.assert_refused("a cycle", &import(&watched, &cycle.to_string()), 400);
    watched.assert_alive();
}

#[test]
fn a_flow_of_too_many_nodes_is_refused_in_time() {
    let watched = Watched::new();
    let reply = |index: usize| {
        let id = format!("directReplyAgentflow_{index}");
        json!({ "id": id, "data": { "id": id, "name": "directReplyAgentflow", "label": "Say", "inputs": {} } })
    };
    let mut large = gate();
    large["nodes"]
        .as_array_mut()
        .expect("nodes")
        .extend((2..10_001).map(reply));
    let refused = import(&watched, &large.to_string());
    watched.assert_refused("10,003 nodes", &refused, 400);
    assert!(
        refused.message().contains("10000 is the most"),
        "{}",
        refused.message()
    );
    watched.assert_alive();
}

#[test]
fn a_template_with_an_unknown_reference_stays_as_it_is() {
    let setup = installation();
    let serve = setup.start();
    let flow = serve.import("hello", &flows::start_reply(&FlowOptions::sync()));
    let reply = serve
        .post(&flow, &json!({ "whom": "Ada" }))
        .expect(200, "an unknown reference is no failure");
    assert_eq!(reply.json()["text"], "Hello {{ $webhook.body.who }}!");
    let inject = json!({ "who": "{{ $webhook.headers.authorization }} {{ $flow.state }} $& $1" });
    let reply = serve
        .post(&flow, &inject)
        .expect(200, "what was put in is not read again");
    assert_eq!(
        reply.json()["text"],
        format!("Hello {}!", inject["who"].as_str().expect("a text"))
    );
}

#[test]
fn settings_that_make_no_sense_are_refused_whole() {
    let watched = Watched::new();
    let before = watched.serve.get("/api/v1/settings");
    for change in [
        json!({ "callbackUrl": "ftp://x" }),
        json!({ "callbackUrl": "not a url" }),
        json!({ "listen": "0.0.0.0:8420" }),
        json!({ "listen": "192.0.2.1:1" }),
        json!({ "listen": "nonsense" }),
        json!({ "retryPlanSeconds": "soon" }),
        json!({ "retryPlanSeconds": [-1] }),
        json!({ "callerCallbackOrigins": ["not an origin"] }),
        json!({ "noSuchSetting": true }),
        json!({ "notificationsEnabled": false, "callbackUrl": "ftp://x" }),
        json!([]),
    ] {
        let reply = watched.serve.manage("PATCH", "/api/v1/settings", Some(&change));
        watched.assert_refused(&format!("{change} as settings"), &reply, 400);
    }
    let after: Value = watched.serve.get("/api/v1/settings");
    assert_eq!(after, before, "nothing of a refused change is taken");
    watched.assert_alive();
}
