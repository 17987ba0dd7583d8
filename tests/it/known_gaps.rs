//! The rows of known gaps, part D, that a caller of the webhook can see, each named by its row; those of D1 and D3 that
//! are the runner's alone are in `crates/flow/tests/it`, and D2.14 is in `repeats`, named the same way.

use std::time::Duration;

use countersign_testkit::flows::FlowOptions;
use countersign_testkit::{CallbackReceiver, Headless, HttpResponse, ScriptedReply, flows, hmac_sha256};
use serde_json::{Value, json};

use crate::support::{assert_only, installation};

const SOON: Duration = Duration::from_secs(10);

/// A question that waits, and how it was asked.
fn stopped(serve: &Headless, flow: &str) -> Value {
    serve
        .post(flow, &json!({ "item": "v1" }))
        .expect(200, "stopped")
        .json()
}

fn answer(serve: &Headless, flow: &str, chat: &Value, human_input: &Value) -> HttpResponse {
    serve.post(flow, &json!({ "chatId": chat, "humanInput": human_input }))
}

/// A flow that replies with what it is called with, whose Start says this.
fn replying(serve: &Headless, inputs: Value) -> String {
    serve.import("replies", &flows::start_reply(&FlowOptions::sync().with(inputs)))
}

/// The same, and the secret of its signatures.
fn signed(serve: &Headless, kind: &str, inputs: Value) -> (String, String) {
    let mut all = json!({
        "webhookEnableAuth": true, "webhookSignatureType": kind, "webhookSignatureHeader": "X-Signature",
    });
    for (name, value) in inputs.as_object().expect("an object") {
        all[name] = value.clone();
    }
    let flow = replying(serve, all);
    let path = format!("/api/v1/chatflows/{flow}/webhook-secret");
    let secret = serve.manage("POST", &path, None).json()["webhookSecret"].clone();
    (flow, secret.as_str().expect("a secret").to_owned())
}

fn call(serve: &Headless, flow: &str, headers: &[(&str, &str)], body: &[u8]) -> HttpResponse {
    serve.call("POST", &format!("/api/v1/webhook/{flow}"), headers, Some(body))
}

#[test]
fn d1_3_a_word_that_is_none_is_refused_and_the_question_stays() {
    let setup = installation();
    let serve = setup.start();
    let flow = serve.import("gate", &flows::start_gate_replies(&FlowOptions::sync()));
    let chat = stopped(&serve, &flow)["chatId"].clone();
    let before = serve.pending();
    answer(&serve, &flow, &chat, &json!({ "type": "approve" })).expect(400, "no such word");
    assert_eq!(serve.pending(), before, "the same question with the same action");
}

#[test]
fn d1_4_a_text_is_no_answer() {
    let setup = installation();
    let serve = setup.start();
    let flow = serve.import("gate", &flows::start_gate_replies(&FlowOptions::sync()));
    let asked = stopped(&serve, &flow);
    answer(&serve, &flow, &asked["chatId"], &json!("proceed")).expect(400, "a text");
    let execution = serve.get(&format!(
        "/api/v1/executions/{}",
        asked["executionId"].as_str().expect("an id")
    ));
    assert_eq!(execution["state"], "STOPPED");
}

#[test]
fn d1_5_no_answer_does_not_lead_past_the_checks_of_a_call() {
    let setup = installation();
    let serve = setup.start();
    let checked = json!({
        "webhookEnableValidation": true,
        "webhookBodyParams": [{ "name": "item", "type": "string", "required": true }],
    });
    let flow = serve.import(
        "gate",
        &flows::start_gate_replies(&FlowOptions::sync().with(checked)),
    );
    let chat = stopped(&serve, &flow)["chatId"].clone();
    for nothing in [json!(false), json!(0), json!("")] {
        answer(&serve, &flow, &chat, &nothing).expect(400, "without what is required");
    }
    assert_eq!(serve.get("/api/v1/executions")["total"], 1, "no run was begun");
}

#[test]
fn d1_6_an_answer_that_comes_twice_never_reaches_the_second_gate() {
    let setup = installation();
    let serve = setup.start();
    let flow = serve.import("gates", &flows::start_two_gates(&FlowOptions::sync()));
    let chat = stopped(&serve, &flow)["chatId"].clone();
    let yes = json!({ "type": "proceed" });
    answer(&serve, &flow, &chat, &yes).expect(200, "the first gate");
    let before = serve.pending();
    assert_eq!(before[0]["nodeId"], "humanInputAgentflow_1", "{before:?}");
    let refused = answer(&serve, &flow, &chat, &yes).expect(409, "the same once more");
    assert!(
        refused
            .message()
            .contains("\"startNodeId\":\"humanInputAgentflow_1\""),
        "what to send to answer the second one: {}",
        refused.message()
    );
    assert_eq!(serve.pending(), before, "the second gate waits unseen");
    let named = json!({ "type": "proceed", "startNodeId": "humanInputAgentflow_1" });
    let done = answer(&serve, &flow, &chat, &named)
        .expect(200, "the second gate")
        .json();
    assert_eq!(
        done["executionId"], before[0]["executionId"],
        "the run went on to its end"
    );
    assert!(serve.pending().is_empty());
}

#[test]
fn d1_7_an_answer_that_names_the_first_gate_twice_never_reaches_the_second() {
    let setup = installation();
    let serve = setup.start();
    let flow = serve.import("gates", &flows::start_two_gates(&FlowOptions::sync()));
    let chat = stopped(&serve, &flow)["chatId"].clone();
    let first = json!({ "type": "proceed", "startNodeId": "humanInputAgentflow_0" });
    answer(&serve, &flow, &chat, &first).expect(200, "the first gate");
    let before = serve.pending();
    assert_eq!(before[0]["nodeId"], "humanInputAgentflow_1", "{before:?}");
    answer(&serve, &flow, &chat, &first).expect(409, "the first gate again");
    assert_eq!(serve.pending(), before, "the second gate waits unseen");
}

#[test]
fn d1_8_of_two_answers_at_once_one_is_carried_out() {
    let setup = installation();
    let serve = setup.start();
    let flow = serve.import("gate", &flows::start_gate_replies(&FlowOptions::sync()));
    for _ in 0..20 {
        let chat = stopped(&serve, &flow)["chatId"].clone();
        let both = std::sync::Barrier::new(2);
        let send = |word: &str| {
            both.wait();
            answer(&serve, &flow, &chat, &json!({ "type": word })).status
        };
        let (one, other) = std::thread::scope(|scope| {
            let other = scope.spawn(|| send("reject"));
            (send("proceed"), other.join().expect("an answer"))
        });
        assert!(
            matches!((one, other), (200, 409) | (409, 200)),
            "{one} and {other}"
        );
    }
}

#[test]
fn d1_9_two_questions_under_one_chat_can_both_be_answered() {
    let setup = installation();
    let serve = setup.start();
    let flow = serve.import("gate", &flows::start_gate_replies(&FlowOptions::sync()));
    let ask = |item: &str| serve.post(&flow, &json!({ "item": item, "chatId": "shared" }));
    let first = ask("first").expect(200, "stopped").json();
    let second = ask("second").expect(200, "stopped").json();
    assert_eq!(serve.pending().len(), 2, "both wait");
    for (asked, outcome) in [(&first, "approve"), (&second, "reject")] {
        let id = asked["action"]["id"].as_str().expect("an id");
        serve.decide(id, outcome).expect(200, "by its own id");
        let execution = asked["executionId"].as_str().expect("an execution");
        serve.wait_for_execution(execution, "FINISHED");
    }
}

#[test]
fn d1_10_an_edit_while_a_question_waits_changes_new_runs_only() {
    let setup = installation();
    let serve = setup.start();
    let flow = serve.import("gate", &flows::start_gate_replies(&FlowOptions::sync()));
    let chat = stopped(&serve, &flow)["chatId"].clone();
    let edited = flows::start_gate_replies(&FlowOptions::sync()).replace("released", "rewired");
    let path = format!("/api/v1/chatflows/{flow}");
    serve
        .manage("PUT", &path, Some(&json!({ "flowData": edited })))
        .expect(200, "edited");
    let yes = json!({ "type": "proceed" });
    let old = answer(&serve, &flow, &chat, &yes).expect(200, "as it was").json();
    assert_eq!(old["text"], "released v1");
    let chat = stopped(&serve, &flow)["chatId"].clone();
    let new = answer(&serve, &flow, &chat, &yes).expect(200, "as it is").json();
    assert_eq!(new["text"], "rewired v1");
}

#[test]
fn d1_11_a_question_outlives_its_flow() {
    let setup = installation();
    let serve = setup.start();
    let flow = serve.import("gate", &flows::start_gate_replies(&FlowOptions::sync()));
    let asked = stopped(&serve, &flow);
    let deleted = serve.manage("DELETE", &format!("/api/v1/chatflows/{flow}"), None);
    assert!(deleted.status < 300, "{}", deleted.text());
    serve
        .decide(asked["action"]["id"].as_str().expect("an id"), "approve")
        .expect(200, "the question is still there");
    let execution = asked["executionId"].as_str().expect("an execution");
    let ended = serve.wait_for_execution(execution, "FINISHED");
    let data = ended["executionData"].as_str().expect("records");
    assert!(data.contains("released v1"), "{data}");
}

#[test]
fn d1_12_an_answer_that_names_the_start_runs_nothing_again() {
    let setup = installation();
    let serve = setup.start();
    let flow = serve.import("gate", &flows::start_gate_replies(&FlowOptions::sync()));
    let chat = stopped(&serve, &flow)["chatId"].clone();
    let start = json!({ "type": "proceed", "startNodeId": "startAgentflow_0" });
    let before = serve.pending();
    answer(&serve, &flow, &chat, &start).expect(409, "Start does not wait");
    assert_eq!(serve.pending(), before);
}

/// Gate, then code that fails until the variable `ready` is there, then a reply.
fn failing_until_ready(options: &FlowOptions) -> String {
    let text = flows::start_gate_http_reply(options, "http://unused.example");
    let mut flow: Value = serde_json::from_str(&text).expect("a flow");
    let code = "if ($vars.ready !== 'yes') throw new Error('not ready'); return 'went through';";
    for node in flow["nodes"].as_array_mut().expect("nodes") {
        if node["id"] == "httpAgentflow_0" {
            node["data"] = json!({
                "id": "httpAgentflow_0", "label": "Deploy it", "name": "customFunctionAgentflow",
                "inputs": { "customFunctionJavascriptFunction": code },
            });
        }
    }
    flow.to_string()
}

#[test]
fn d1_13_a_run_that_failed_behind_its_answer_goes_on_at_the_failed_step() {
    let setup = installation();
    let serve = setup.start();
    let receiver = CallbackReceiver::answering(|_, _| ScriptedReply::status(200));
    let options = FlowOptions::callback(receiver.url("/cb"), None);
    let flow = serve.import("deploy", &failing_until_ready(&options));
    let asked = serve
        .post(&flow, &json!({ "item": "v1" }))
        .expect(202, "accepted")
        .json();
    receiver.blocking_wait_for(1, SOON);
    let chat = &asked["chatId"];
    let yes = json!({ "type": "proceed" });
    answer(&serve, &flow, chat, &yes).expect(202, "taken");
    let sent = receiver.blocking_wait_for(2, SOON);
    assert_eq!(sent[1].status(), "ERROR");
    let run = &serve.get("/api/v1/executions?summary=true")["runs"][0];
    assert_eq!(
        (&run["state"], &run["failedStep"]),
        (&json!("ERROR"), &json!("Deploy it"))
    );
    let id = run["id"].as_str().expect("an id").to_owned();

    answer(&serve, &flow, chat, &yes).expect(409, "the question is answered");
    let go_on = || serve.manage("POST", &format!("/api/v1/executions/{id}/continue"), None);
    let went = go_on().expect(200, "tried again").json();
    assert_eq!((&went["state"], &went["id"]), (&json!("INPROGRESS"), &json!(id)));
    let sent = receiver.blocking_wait_for(3, SOON);
    assert_eq!(
        sent[2].status(),
        "ERROR",
        "nothing has changed, so it fails again"
    );

    let ready = json!({ "type": "static", "value": "yes" });
    serve
        .manage("PUT", "/api/v1/variables/ready", Some(&ready))
        .expect(200, "set");
    let mut console = setup.bare_command();
    let console = console
        .arg("--data-dir")
        .arg(setup.data_dir())
        .args(["continue", &id[id.len() - 8..]]);
    let console = console.output().expect("the command runs");
    assert_eq!(console.status.code(), Some(0), "{console:?}");
    let ended = serve.wait_for_execution(&id, "FINISHED");
    assert_eq!(
        serve.get("/api/v1/executions?summary=true")["runs"][0]["failedStep"],
        Value::Null
    );
    let data: Value = serde_json::from_str(ended["executionData"].as_str().expect("records")).expect("JSON");
    let steps: Vec<_> = data
        .as_array()
        .expect("a list")
        .iter()
        .map(|record| (&record["nodeId"], &record["status"]))
        .collect();
    assert_eq!(
        steps[2..5]
            .iter()
            .map(|(_, status)| status.as_str())
            .collect::<Vec<_>>(),
        [Some("ERROR"), Some("ERROR"), Some("FINISHED")],
        "what failed stays on record: {data}"
    );
    assert!(serve.pending().is_empty(), "nobody was asked again");
    let sent = receiver.blocking_wait_for(4, SOON);
    assert_eq!(sent[3].status(), "SUCCESS");
    assert_eq!(
        sent[3].json()["countersign"]["outcome"],
        "approve",
        "under the answer that stands"
    );
    let refused = go_on();
    assert_eq!(
        (refused.status, &refused.json()["code"]),
        (409, &json!("not-waiting"))
    );
}

#[test]
fn d2_1_a_status_of_500_is_tried_again_and_shown() {
    let setup = installation().with_config("retry-plan-seconds = [0, 0, 0, 0]\n");
    let serve = setup.start();
    let receiver =
        CallbackReceiver::answering(|_, before| ScriptedReply::status(if before < 3 { 500 } else { 200 }));
    let flow = serve.import(
        "hello",
        &flows::start_reply(&FlowOptions::callback(receiver.url("/cb"), None)),
    );
    serve
        .post(&flow, &json!({ "who": "Ada" }))
        .expect(202, "accepted");
    let sent = receiver.blocking_wait_for(4, SOON);
    assert_only(4, &receiver, &serve);
    let callback = serve.get(&format!("/api/v1/callbacks/{}", sent[0].id()));
    assert_eq!(callback["state"], "delivered");
    let attempts = callback["attempts"].as_array().expect("a log");
    let log: Vec<_> = attempts
        .iter()
        .map(|attempt| attempt["status"].as_u64())
        .collect();
    assert_eq!(log, [Some(500), Some(500), Some(500), Some(200)]);
}

#[test]
fn d2_2_a_callback_outlives_a_restart_under_the_same_id() {
    let setup = installation().with_config("retry-plan-seconds = [0, 2, 2, 2]\n");
    let receiver = CallbackReceiver::answering(|_, before| match before {
        0 => ScriptedReply::dropped(),
        _ => ScriptedReply::status(200),
    });
    let serve = setup.start();
    let flow = serve.import(
        "hello",
        &flows::start_reply(&FlowOptions::callback(receiver.url("/cb"), None)),
    );
    serve
        .post(&flow, &json!({ "who": "Ada" }))
        .expect(202, "accepted");
    let first = receiver.blocking_wait_for(1, SOON).remove(0);
    serve.kill();
    let serve = setup.start();
    let second = receiver.blocking_wait_for(2, SOON).remove(1);
    assert_eq!((second.id(), &second.body), (first.id(), &first.body));
    assert_only(2, &receiver, &serve);
}

#[test]
fn d2_3_a_redirect_is_no_delivery_and_is_not_followed() {
    let setup = installation().with_config("retry-plan-seconds = [0]\n");
    let serve = setup.start();
    let elsewhere = CallbackReceiver::new();
    let receiver = CallbackReceiver::new();
    let to = elsewhere.url("/other");
    receiver.always("/cb", ScriptedReply::status(302).header("location", &to));
    let options = FlowOptions::callback(receiver.url("/cb"), Some("secret"));
    let flow = serve.import("hello", &flows::start_reply(&options));
    serve
        .post(&flow, &json!({ "who": "Ada" }))
        .expect(202, "accepted");
    let sent = receiver.blocking_wait_for(1, SOON).remove(0);
    assert_only(1, &receiver, &serve);
    assert!(
        elsewhere.received().is_empty(),
        "nobody else gets message or signature"
    );
    let callback = serve.get(&format!("/api/v1/callbacks/{}", sent.id()));
    assert_eq!(callback["state"], "abandoned", "{callback}");
}

#[test]
fn d2_4_the_signature_covers_the_bytes_of_what_is_no_ascii() {
    let setup = installation();
    let serve = setup.start();
    let receiver = CallbackReceiver::new();
    let options = FlowOptions::callback(receiver.url("/cb"), Some("cb_demo"));
    let flow = serve.import("hello", &flows::start_reply(&options));
    serve
        .post(&flow, &json!({ "who": "Zoé ☂" }))
        .expect(202, "accepted");
    let sent = receiver.blocking_wait_for(1, SOON).remove(0);
    assert_eq!(sent.json()["data"]["text"], "Hello Zoé ☂!");
    let expected = format!("sha256={}", hex::encode(hmac_sha256(b"cb_demo", &sent.body)));
    assert_eq!(sent.header("x-flowise-signature"), Some(expected.as_str()));
}

#[test]
fn d2_5_and_d2_6_a_body_that_is_not_read_is_refused() {
    let setup = installation();
    let serve = setup.start();
    let (flow, secret) = signed(&serve, "plain-token", json!({ "webhookContentType": "" }));
    for kind in ["text/plain", "application/vnd.github+json"] {
        let headers = [("content-type", kind), ("x-signature", secret.as_str())];
        let reply = call(&serve, &flow, &headers, br#"{"who":"Ada"}"#);
        match (kind, reply.status) {
            // D2.6: read as the JSON that it is, or refused; never dropped.
            ("application/vnd.github+json", 200) => assert_eq!(reply.json()["text"], "Hello Ada!"),
            (_, status) => assert_eq!(status, 415, "{kind}: {}", reply.text()),
        }
    }
}

#[test]
fn d2_7_a_field_named_streaming_does_not_swallow_the_error() {
    let setup = installation();
    let serve = setup.start();
    let checked = json!({
        "webhookEnableValidation": true,
        "webhookBodyParams": [{ "name": "item", "type": "string", "required": true }],
    });
    let flow = replying(&serve, checked);
    let refused = serve
        .post(&flow, &json!({ "streaming": true }))
        .expect(400, "at once");
    assert_eq!(
        refused.message(),
        "Missing required webhook body parameters: item"
    );
}

#[test]
fn d2_8_query_values_stay_as_they_were_sent() {
    let setup = installation();
    let serve = setup.start();
    let flow = replying(&serve, json!({}));
    let path = format!("/api/v1/webhook/{flow}?a=x%26y%3C");
    let reply = serve.call(
        "POST",
        &path,
        &[("content-type", "application/json")],
        Some(b"{}"),
    );
    let body = reply.expect(200, "answered").json();
    let seen = &body["agentFlowExecutedData"][0]["data"]["output"]["webhook"]["query"];
    assert_eq!(seen, &json!({ "a": "x&y<" }));
}

#[test]
fn d2_9_a_form_with_a_payload_is_signed_as_a_form() {
    let setup = installation();
    let serve = setup.start();
    let (flow, secret) = signed(&serve, "hmac-sha256", json!({ "webhookContentType": "" }));
    let form = b"payload=%7B%22who%22%3A%22Ada%22%7D";
    let signature = hex::encode(hmac_sha256(secret.as_bytes(), form));
    let headers = [
        ("content-type", "application/x-www-form-urlencoded"),
        ("x-signature", signature.as_str()),
    ];
    let reply = call(&serve, &flow, &headers, form).expect(200, "signed");
    assert_eq!(reply.json()["text"], "Hello Ada!");
}

#[test]
fn d2_10_and_d2_11_a_signature_is_exactly_what_it_should_be() {
    let setup = installation();
    let serve = setup.start();
    let (flow, secret) = signed(&serve, "hmac-sha256", json!({}));
    let body = br#"{"who":"Ada"}"#;
    let right = hex::encode(hmac_sha256(secret.as_bytes(), body));
    for (signature, status) in [
        (format!("sha256={right}"), 200),
        (format!("sha256={right}zz"), 401),
        (format!("sha512={right}"), 401),
    ] {
        let headers = [
            ("content-type", "application/json"),
            ("x-signature", signature.as_str()),
        ];
        let reply = call(&serve, &flow, &headers, body);
        assert_eq!(reply.status, status, "{signature}: {}", reply.text());
    }
}

#[test]
fn d2_12_a_call_without_a_body_is_not_taken_as_signed() {
    let setup = installation();
    let serve = setup.start();
    let (flow, secret) = signed(
        &serve,
        "hmac-sha256",
        json!({ "webhookMethod": "GET", "webhookContentType": "" }),
    );
    let nothing = hex::encode(hmac_sha256(secret.as_bytes(), b""));
    let path = format!("/api/v1/webhook/{flow}");
    serve
        .call("GET", &path, &[("x-signature", nothing.as_str())], None)
        .expect(401, "nothing was signed");
}

#[test]
fn d2_13_a_wrong_key_is_told_before_a_call_is_accepted() {
    let setup = installation();
    let serve = setup.start();
    let receiver = CallbackReceiver::new();
    let (flow, secret) = signed(
        &serve,
        "plain-token",
        json!({ "webhookResponseMode": "async", "callbackUrl": receiver.url("/cb") }),
    );
    let with = |key: &str| {
        let headers = [("content-type", "application/json"), ("x-signature", key)];
        call(&serve, &flow, &headers, br#"{"who":"Ada"}"#)
    };
    for wrong in ["", "wrong", &secret[1..]] {
        with(wrong).expect(401, "at once, not by a callback");
    }
    assert_eq!(serve.get("/api/v1/executions")["total"], 0, "no run was begun");
    with(&secret).expect(202, "the right one");
    assert_eq!(receiver.blocking_wait_for(1, SOON)[0].status(), "SUCCESS");
    assert_only(1, &receiver, &serve);
}

#[test]
fn d2_15_an_address_that_is_not_allowed_is_refused_with_its_reason() {
    let setup = installation().with(&["--outbound-loopback", "deny"]);
    let serve = setup.start();
    let change = json!({ "callbackUrl": "http://127.0.0.1:9/cb" });
    let refused = serve.manage("PATCH", "/api/v1/settings", Some(&change));
    assert_eq!(refused.status, 400, "said when it is saved: {}", refused.text());
    assert!(refused.message().contains("127.0.0.1"), "{}", refused.message());
}

#[test]
fn d2_16_a_token_is_not_shown_to_the_flow() {
    let setup = installation();
    let serve = setup.start();
    let (flow, secret) = signed(&serve, "plain-token", json!({}));
    let headers = [
        ("content-type", "application/json"),
        ("x-signature", secret.as_str()),
    ];
    let reply = call(&serve, &flow, &headers, br#"{"who":"Ada"}"#).expect(200, "known");
    let seen = &reply.json()["agentFlowExecutedData"][0]["data"]["output"]["webhook"]["headers"];
    assert_eq!(seen["x-signature"], "[REDACTED]", "{seen}");
}

#[test]
fn d3_14_a_run_that_a_kill_cut_off_is_told_and_can_be_continued() {
    let setup = installation();
    let target = CallbackReceiver::answering(|_, before| {
        let slow = Duration::from_secs(if before == 0 { 30 } else { 0 });
        ScriptedReply::status(200).body("{}").after(slow)
    });
    let serve = setup.start();
    let flow = serve.import(
        "calls",
        &flows::start_http_reply(&FlowOptions::sync(), &target.url("/t")),
    );
    let mut caller = serve.connect();
    let path = format!("/api/v1/webhook/{flow}");
    let called = std::thread::spawn(move || {
        caller.send(
            "POST",
            &path,
            &[("content-type", "application/json")],
            Some(br#"{"item":"v1"}"#),
        )
    });
    let first = target.blocking_wait_for(1, SOON).remove(0);
    serve.kill();
    let _ = called.join();

    let serve = setup.start();
    let cut_off = serve.get("/api/v1/executions")["data"][0].clone();
    let id = cut_off["id"].as_str().expect("an id");
    let cut_off = serve.get(&format!("/api/v1/executions/{id}"));
    assert_eq!(
        (&cut_off["state"], &cut_off["interrupted"]),
        (&json!("ERROR"), &json!(true))
    );
    let records = cut_off["executionData"].as_str().expect("records");
    assert!(
        records.contains("startAgentflow_0"),
        "what was done is on record: {records}"
    );
    serve
        .manage("POST", &format!("/api/v1/executions/{id}/continue"), None)
        .expect(200, "it goes on");
    serve.wait_for_execution(id, "FINISHED");
    let second = target.blocking_wait_for(2, SOON).remove(1);
    assert!(first.header("idempotency-key").is_some(), "the request has a key");
    assert_eq!(second.header("idempotency-key"), first.header("idempotency-key"));
}

#[test]
fn d3_16_a_run_that_waits_can_be_cancelled() {
    let setup = installation();
    let receiver = CallbackReceiver::new();
    let serve = setup.start();
    let options = FlowOptions::callback(receiver.url("/cb"), None);
    let flow = serve.import("gate", &flows::start_gate_replies(&options));
    let chat = serve
        .post(&flow, &json!({ "item": "v1" }))
        .expect(202, "accepted")
        .json()["chatId"]
        .clone();
    let approval = serve.wait_for_pending(1).remove(0);
    let id = approval["executionId"].as_str().expect("an id");
    let cancelled = serve
        .manage("POST", &format!("/api/v1/executions/{id}/cancel"), None)
        .expect(200, "cancelled");
    assert_eq!(cancelled.json()["state"], "TERMINATED");
    let told = receiver.blocking_wait_for(2, SOON).remove(1).json();
    assert_eq!(
        (&told["status"], &told["error"]),
        (&json!("ERROR"), &json!("Flow execution was cancelled"))
    );
    answer(&serve, &flow, &chat, &json!({ "type": "proceed" })).expect(409, "nothing waits any more");
}
