//! Kills and restarts (tests/conformance/RESTART.md), as far as the five node kinds reach.

use std::time::Duration;

use serde_json::json;

use crate::support::{Answer, Receiver, Setup, eventually, flows};

const SECRET: &str = "the receiver's secret";
const SOON: Duration = Duration::from_secs(15);

#[test]
fn restart_stopped_sync() {
    let setup = Setup::new();
    let serve = setup.start();
    let flow = serve.import("gate", &flows::gate(json!({})));
    let stopped = serve
        .post(&flow, &json!({ "item": "v1" }))
        .expect(200, "stopped")
        .json();
    let before = serve.pending();
    let token = serve.token.clone();
    serve.kill();

    let serve = setup.start();
    assert_eq!(serve.token, token, "the token stays");
    assert_eq!(
        serve.pending(),
        before,
        "the question is in the inbox again, with the same id and hash"
    );
    let answer = json!({
        "chatId": stopped["chatId"],
        "humanInput": { "type": "proceed", "startNodeId": "humanInputAgentflow_0", "feedback": "late but yes" },
    });
    let done = serve.post(&flow, &answer).expect(200, "answered").json();
    assert_eq!(
        (&done["text"], &done["executionId"]),
        (&json!("released v1"), &stopped["executionId"])
    );
    let steps: Vec<_> = done["agentFlowExecutedData"]
        .as_array()
        .expect("records")
        .iter()
        .collect();
    assert_eq!(steps.len(), 3, "start, gate, reply: {done}");
    let executions = serve.get("/api/v1/executions");
    assert_eq!(
        (&executions["total"], &executions["data"][0]["state"]),
        (&json!(1), &json!("FINISHED"))
    );
}

#[test]
fn restart_stopped_async() {
    let setup = Setup::new();
    let serve = setup.start();
    let receiver = Receiver::new();
    let flow = serve.import(
        "gate",
        &flows::gate(flows::calling_back(&receiver.url("/cb"), SECRET)),
    );
    let accepted = serve
        .post(&flow, &json!({ "item": "v1" }))
        .expect(202, "accepted")
        .json();
    let stopped = receiver.wait_for(1, SOON).remove(0);
    eventually("the delivery is on record", SOON, || {
        (serve.get("/api/v1/callbacks?state=waiting")["waiting"] == 0).then_some(())
    });
    serve.kill();

    let serve = setup.start();
    let answer = json!({ "chatId": accepted["chatId"], "humanInput": { "type": "reject" } });
    serve.post(&flow, &answer).expect(202, "answered");
    let arrivals = receiver.wait_for(2, SOON);
    arrivals[1].assert_signed(SECRET);
    assert_eq!(arrivals[1].json()["data"]["text"], "held v1");
    receiver.assert_only(2, Duration::from_millis(500));
    assert_ne!(arrivals[1].id(), stopped.id());
    let executions = serve.get("/api/v1/executions");
    assert_eq!(
        (&executions["total"], &executions["data"][0]["state"]),
        (&json!(1), &json!("FINISHED"))
    );
}

#[test]
fn restart_callback_pending() {
    let setup = Setup::new();
    let serve = setup.start();
    let receiver = Receiver::answering(|_, before| {
        if before == 0 {
            Answer::Drop
        } else {
            Answer::Status(200)
        }
    });
    let flow = serve.import(
        "hello",
        &flows::hello(flows::calling_back(&receiver.url("/cb"), SECRET)),
    );
    serve
        .post(&flow, &json!({ "who": "Ada" }))
        .expect(202, "accepted");
    let first = receiver.wait_for(1, SOON).remove(0);
    serve.kill();

    let serve = setup.start();
    let second = receiver.wait_for(2, SOON).remove(1);
    assert_eq!(
        (second.id(), &second.body),
        (first.id(), &first.body),
        "the same id and the same bytes"
    );
    second.assert_signed(SECRET);
    let callback = eventually("it is delivered", SOON, || {
        let callback = serve.get(&format!("/api/v1/callbacks/{}", first.id()));
        (callback["state"] == "delivered").then_some(callback)
    });
    assert_eq!(
        callback["attempts"].as_array().map(Vec::len),
        Some(2),
        "the attempt before the kill counts: {callback}"
    );
    receiver.assert_only(2, Duration::from_millis(500));
}

#[test]
fn a_delivery_under_way_at_the_kill_is_repeated_with_the_same_id() {
    let setup = Setup::new();
    let serve = setup.start();
    let receiver = Receiver::answering(|_, before| {
        if before == 0 {
            Answer::Late(Duration::from_secs(5))
        } else {
            Answer::Status(200)
        }
    });
    let flow = serve.import(
        "hello",
        &flows::hello(flows::calling_back(&receiver.url("/cb"), SECRET)),
    );
    serve
        .post(&flow, &json!({ "who": "Ada" }))
        .expect(202, "accepted");
    let first = receiver.wait_for(1, SOON).remove(0);
    serve.kill();

    let _serve = setup.start();
    let second = receiver.wait_for(2, SOON).remove(1);
    assert_eq!((second.id(), &second.body), (first.id(), &first.body));
    second.assert_signed(SECRET);
}

#[test]
fn an_answer_stands_after_a_kill_and_the_gate_never_asks_again() {
    let setup = Setup::new();
    let serve = setup.start();
    let receiver = Receiver::new();
    let flow = serve.import(
        "gate",
        &flows::gate(flows::calling_back(&receiver.url("/cb"), SECRET)),
    );
    let accepted = serve
        .post(&flow, &json!({ "item": "v1" }))
        .expect(202, "accepted")
        .json();
    let approval = serve.wait_for_pending(1).remove(0);
    let id = approval["id"].as_str().expect("an id");
    serve.decide(id, "approve").expect(200, "decided");
    serve.kill();

    let serve = setup.start();
    let second = serve.decide(id, "reject").expect(409, "the second answer");
    assert!(
        second.message().contains("already approved"),
        "{}",
        second.message()
    );
    let answer = json!({ "chatId": accepted["chatId"], "humanInput": { "type": "reject" } });
    let second = serve.post(&flow, &answer).expect(409, "also over the webhook");
    assert!(
        second.message().starts_with("Approval already approved"),
        "{}",
        second.message()
    );
    let success = eventually("the run goes on by itself", SOON, || {
        receiver
            .arrivals()
            .into_iter()
            .find(|arrival| arrival.status() == "SUCCESS")
    });
    assert_eq!(success.json()["data"]["text"], "released v1");
    assert!(serve.pending().is_empty());
    serve.wait_for_execution(
        approval["executionId"].as_str().expect("an execution"),
        "FINISHED",
    );
}

#[test]
fn sigterm_ends_cleanly_and_keeps_what_waits() {
    let setup = Setup::new();
    let mut serve = setup.start();
    let flow = serve.import("gate", &flows::gate(json!({})));
    serve.post(&flow, &json!({ "item": "v1" })).expect(200, "stopped");
    let before = serve.pending();
    serve.terminate();
    let status = serve.wait(Duration::from_secs(8));
    assert_eq!(status.code(), Some(0), "{}", serve.log());
    assert!(
        !setup.data_dir().join("address").exists(),
        "nobody is told to call there any more"
    );
    let serve = setup.start();
    assert_eq!(serve.pending(), before);
}

#[test]
fn edits_and_settings_are_kept_over_a_kill() {
    let setup = Setup::new();
    let serve = setup.start();
    let flow = serve.import("one", &flows::hello(json!({})));
    let document = flows::gate(json!({}));
    let body = json!({ "name": "renamed", "flowData": document.to_string() });
    serve
        .manage("PUT", &format!("/api/v1/chatflows/{flow}"), Some(&body))
        .expect(200, "replaced");
    let change = json!({ "callbackUrl": "https://ci.example.org/cb", "retryPlanSeconds": [0, 9] });
    serve
        .manage("PATCH", "/api/v1/settings", Some(&change))
        .expect(200, "settings");
    serve.kill();

    let serve = setup.start();
    let found = serve.get(&format!("/api/v1/chatflows/{flow}"));
    assert_eq!(
        (&found["name"], &found["flowData"]),
        (&json!("renamed"), &json!(document.to_string()))
    );
    let settings = serve.get("/api/v1/settings");
    assert_eq!(settings["callbackUrl"], "https://ci.example.org/cb");
    assert_eq!(settings["retryPlanSeconds"], json!([0, 9]));
}
