//! Row D2.14 of known gaps: a sender that repeats a call under the same id begins one run and gets its first answer again.

use std::time::Duration;

use countersign_testkit::flows::FlowOptions;
use countersign_testkit::{CallbackReceiver, Headless, HttpResponse, ScriptedReply, flows, hmac_sha256};
use serde_json::{Value, json};

use crate::support::{Dice, assert_only, installation};

const SOON: Duration = Duration::from_secs(10);

/// Calls with these headers of the sender.
fn call(serve: &Headless, flow: &str, headers: &[(&str, &str)], body: &Value) -> HttpResponse {
    let headers = [&[("content-type", "application/json")], headers].concat();
    let body = body.to_string();
    serve.call(
        "POST",
        &format!("/api/v1/webhook/{flow}"),
        &headers,
        Some(body.as_bytes()),
    )
}

fn runs(serve: &Headless) -> u64 {
    serve.get("/api/v1/executions")["total"]
        .as_u64()
        .expect("a number")
}

/// A flow whose one step fails.
fn failing(options: &FlowOptions) -> String {
    let text = flows::start_http_reply(options, "http://unused.example");
    let mut flow: Value = serde_json::from_str(&text).expect("a flow");
    for node in flow["nodes"].as_array_mut().expect("nodes") {
        if node["id"] == "httpAgentflow_0" {
            node["data"] = json!({
                "id": "httpAgentflow_0", "label": "Fails", "name": "customFunctionAgentflow",
                "inputs": { "customFunctionJavascriptFunction": "throw new Error('broken ' + Math.random())" },
            });
        }
    }
    flow.to_string()
}

#[test]
fn d2_14_a_call_that_comes_again_gets_the_first_answer_byte_for_byte() {
    let setup = installation();
    let serve = setup.start();
    let flow = serve.import("hello", &flows::start_reply(&FlowOptions::sync()));
    let body = json!({ "who": "Ada" });
    let known: [&[(&str, &str)]; 4] = [
        &[("webhook-id", "id-1")],
        &[("Idempotency-Key", "id-1")],
        &[("X-GitHub-Delivery", "id-1")],
        &[("Request-ID", "id-1"), ("Sentry-Hook-Resource", "issue")],
    ];
    for (place, headers) in known.into_iter().enumerate() {
        let first = call(&serve, &flow, headers, &body).expect(200, "done");
        let again = call(&serve, &flow, headers, &body).expect(200, "done before");
        assert_eq!(again.body, first.body, "{headers:?}");
        assert_eq!(runs(&serve), place as u64 + 1, "{headers:?}: an id of its own");
    }
    let before = runs(&serve);
    let others: [&[(&str, &str)]; 6] = [
        &[],
        &[],
        &[("webhook-id", "")],
        &[("request-id", "id-1")],
        // These are the same for different events.
        &[("x-gitlab-event-uuid", "id-1"), ("x-gitlab-webhook-uuid", "id-1")],
        &[("x-gitlab-event-uuid", "id-1"), ("x-gitlab-webhook-uuid", "id-1")],
    ];
    for headers in others {
        call(&serve, &flow, headers, &body).expect(200, "a call of its own");
    }
    let other = serve.import("hello too", &flows::start_reply(&FlowOptions::sync()));
    call(&serve, &other, &[("webhook-id", "id-1")], &body).expect(200, "another flow's");
    assert_eq!(runs(&serve), before + 7);

    // Whoever kills the program after the answer does not get it to run again.
    let headers = [("webhook-id", "id-1")];
    let first = call(&serve, &flow, &headers, &body);
    serve.kill();
    let serve = setup.start();
    assert_eq!(call(&serve, &flow, &headers, &body).body, first.body);
    assert_eq!(runs(&serve), before + 7);
}

#[test]
fn d2_14_a_question_is_asked_once_and_its_answers_are_not_held_back() {
    let setup = installation();
    let serve = setup.start();
    let flow = serve.import("gate", &flows::start_gate_replies(&FlowOptions::sync()));
    let (id, body) = ([("webhook-id", "id-1")], json!({ "item": "v1" }));
    let first = call(&serve, &flow, &id, &body).expect(200, "stopped");
    assert_eq!(call(&serve, &flow, &id, &body).body, first.body, "while it waits");
    assert_eq!(serve.pending().len(), 1);
    let yes = json!({ "chatId": first.json()["chatId"], "humanInput": { "type": "proceed" } });
    let done = call(&serve, &flow, &id, &yes).expect(200, "an answer under the same id");
    assert_eq!(done.json()["text"], "released v1");
    assert_eq!(
        call(&serve, &flow, &id, &body).body,
        first.body,
        "when it is done"
    );
    assert!(serve.pending().is_empty(), "nobody was asked again");
    assert_eq!(runs(&serve), 1);
}

#[test]
fn d2_14_a_failure_is_the_failure_again() {
    let setup = installation();
    let serve = setup.start();
    let flow = serve.import("fails", &failing(&FlowOptions::sync()));
    let (id, body) = ([("idempotency-key", "id-1")], json!({ "item": "v1" }));
    let first = call(&serve, &flow, &id, &body).expect(500, "it fails");
    let again = call(&serve, &flow, &id, &body);
    assert_eq!((again.status, &again.body), (500, &first.body));
    assert!(first.message().contains("broken"), "{}", first.message());
    assert_eq!(runs(&serve), 1);
}

#[test]
fn d2_14_something_else_under_an_idempotency_key_is_refused() {
    let setup = installation();
    let serve = setup.start();
    let flow = serve.import("hello", &flows::start_reply(&FlowOptions::sync()));
    let (ada, eve) = (json!({ "who": "Ada" }), json!({ "who": "Eve" }));
    let key = [("idempotency-key", "id-1")];
    let first = call(&serve, &flow, &key, &ada).expect(200, "done");
    let refused = call(&serve, &flow, &key, &eve).expect(422, "another body");
    assert!(
        refused.message().contains("idempotency-key"),
        "{}",
        refused.message()
    );
    assert_eq!(
        call(&serve, &flow, &key, &ada).body,
        first.body,
        "what was there stays"
    );
    // Other senders promise no more than one id for one delivery.
    let delivery = [("x-github-delivery", "id-1")];
    let first = call(&serve, &flow, &delivery, &ada).expect(200, "done");
    assert_eq!(call(&serve, &flow, &delivery, &eve).body, first.body);
    assert_eq!(runs(&serve), 2);
}

#[test]
fn d2_14_a_known_id_opens_nothing_without_the_signature() {
    let setup = installation();
    let serve = setup.start();
    let signed = json!({
        "webhookEnableAuth": true, "webhookSignatureType": "hmac-sha256", "webhookSignatureHeader": "X-Signature",
    });
    let flow = serve.import("hello", &flows::start_reply(&FlowOptions::sync().with(signed)));
    let path = format!("/api/v1/chatflows/{flow}/webhook-secret");
    let secret = serve.manage("POST", &path, None).json()["webhookSecret"].clone();
    let secret = secret.as_str().expect("a secret");
    let body = json!({ "who": "Ada" });
    let signature = hex::encode(hmac_sha256(secret.as_bytes(), body.to_string().as_bytes()));
    let right = [("webhook-id", "id-1"), ("x-signature", signature.as_str())];
    let wrong = [("webhook-id", "id-1"), ("x-signature", "00")];
    call(&serve, &flow, &wrong, &body).expect(401, "a stranger");
    let first = call(&serve, &flow, &right, &body).expect(200, "whose id was not used up by that");
    call(&serve, &flow, &wrong, &body).expect(401, "who does not get what others got");
    assert_eq!(call(&serve, &flow, &right, &body).body, first.body);
    assert_eq!(runs(&serve), 1);
}

#[test]
fn d2_14_of_equal_calls_at_the_same_instant_one_runs_and_all_get_its_answer() {
    let setup = installation();
    let serve = setup.start();
    let target = CallbackReceiver::answering(|_, _| {
        ScriptedReply::status(200)
            .body("{}")
            .after(Duration::from_millis(400))
    });
    let sync = serve.import(
        "sync",
        &flows::start_http_reply(&FlowOptions::sync(), &target.url("/t")),
    );
    let receiver = CallbackReceiver::new();
    let options = FlowOptions::callback(receiver.url("/cb"), None);
    let behind = serve.import("behind", &flows::start_http_reply(&options, &target.url("/t")));
    for (flow, status) in [(&sync, 200), (&behind, 202)] {
        let all = std::sync::Barrier::new(8);
        let answers: Vec<HttpResponse> = std::thread::scope(|scope| {
            let callers: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        all.wait();
                        call(&serve, flow, &[("webhook-id", "id-1")], &json!({ "item": "v1" }))
                    })
                })
                .collect();
            let answers = callers
                .into_iter()
                .map(|caller| caller.join().expect("an answer"));
            answers.collect()
        });
        for answer in &answers {
            assert_eq!((answer.status, &answer.body), (status, &answers[0].body));
        }
    }
    assert_only(1, &receiver, &serve);
    assert_eq!(target.received().len(), 2, "once for each flow");
    assert_eq!(runs(&serve), 2);
}

#[test]
fn d2_14_who_watches_sees_the_end_of_the_first_run_again() {
    let setup = installation();
    let serve = setup.start();
    let stream = json!({ "webhookResponseMode": "stream" });
    let options = FlowOptions::sync().with(stream);
    let events = |response: &HttpResponse| -> Vec<Value> {
        let text = response.text();
        let lines = text.lines().filter_map(|line| line.strip_prefix("data:"));
        lines
            .map(|line| serde_json::from_str(line).expect("an event"))
            .collect()
    };
    for (name, document) in [
        ("finished", flows::start_reply(&options)),
        ("stopped", flows::start_gate_replies(&options)),
        ("failed", failing(&options)),
    ] {
        let flow = serve.import(name, &document);
        let watch = || call(&serve, &flow, &[("webhook-id", "id-1")], &json!({ "item": "v1" }));
        let (first, again) = (watch(), watch());
        assert_eq!(
            again.header("content-type"),
            first.header("content-type"),
            "{name}"
        );
        let (first, again) = (events(&first), events(&again));
        let state = |events: &[Value]| {
            let mut states = events.iter().filter(|event| event["event"] == "agentFlowEvent");
            states.next_back().cloned()
        };
        assert_eq!(state(&again), state(&first), "{name}");
        for kind in ["metadata", "action", "error", "end"] {
            let of = |events: &[Value]| -> Vec<Value> {
                let found = events.iter().filter(|event| event["event"] == kind);
                found.cloned().collect()
            };
            assert_eq!(of(&again), of(&first), "{name}: {kind}");
        }
    }
    assert_eq!(runs(&serve), 3);
}

#[test]
fn d2_14_no_kill_lets_a_call_begin_two_runs() {
    let setup = installation();
    let target = CallbackReceiver::answering(|_, _| {
        ScriptedReply::status(200)
            .body("{}")
            .after(Duration::from_millis(30))
    });
    let receiver = CallbackReceiver::new();
    let mut serve = setup.start();
    let options = FlowOptions::callback(receiver.url("/cb"), None);
    let behind = serve.import("behind", &flows::start_http_reply(&options, &target.url("/t")));
    let sync = serve.import(
        "sync",
        &flows::start_http_reply(&FlowOptions::sync(), &target.url("/t")),
    );
    let mut dice = Dice::new();
    for round in 0..6 {
        let id = format!("id-{round}");
        let send = |serve: &Headless, flow: &str| {
            let mut connection = serve.connect();
            let (path, id) = (format!("/api/v1/webhook/{flow}"), id.clone());
            let headers = move |id: &str| {
                [
                    ("content-type", "application/json".to_owned()),
                    ("webhook-id", id.to_owned()),
                ]
            };
            std::thread::spawn(move || {
                let headers = headers(&id);
                let headers: Vec<_> = headers
                    .iter()
                    .map(|(name, value)| (*name, value.as_str()))
                    .collect();
                connection.send("POST", &path, &headers, Some(br#"{"item":"v1"}"#))
            })
        };
        let both = [send(&serve, &behind), send(&serve, &sync)];
        std::thread::sleep(Duration::from_millis(dice.roll(0..60)));
        serve.kill();
        both.into_iter().for_each(|caller| drop(caller.join()));
        serve = setup.start();
        let body = json!({ "item": "v1" });
        let headers = [("webhook-id", id.as_str())];
        call(&serve, &behind, &headers, &body).expect(202, "taken, now or before");
        let ended = call(&serve, &sync, &headers, &body);
        // One that touched the world before the kill is not done again by itself.
        assert!(
            ended.status == 200 || ended.message().contains("interrupted by a restart"),
            "{}",
            ended.text()
        );
        assert_eq!(
            call(&serve, &sync, &headers, &body).body,
            ended.body,
            "round {round}"
        );
    }
    serve.wait_until_idle(SOON);
    assert_eq!(runs(&serve), 12, "one for each flow and round");
    // A kill during a delivery repeats that under its id.
    let told: std::collections::BTreeSet<_> = receiver.received().iter().map(|sent| sent.id()).collect();
    assert_eq!(told.len(), 6, "each run that goes on by itself is told of once");
    let keys: std::collections::BTreeSet<_> = target
        .received()
        .iter()
        .map(|request| request.header("idempotency-key").map(str::to_owned))
        .collect();
    assert!(
        keys.len() <= 12,
        "what is asked again after a kill has the same key"
    );
}
