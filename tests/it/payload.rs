//! A call with as much in it as a call may have: lists stay small, nothing of it is lost.

use std::time::Duration;

use countersign_testkit::flows::FlowOptions;
use countersign_testkit::{CallbackReceiver, Headless, Installation, eventually, flows};
use serde_json::{Value, json};

use crate::support::installation;

const SOON: Duration = Duration::from_secs(30);

/// What a list may weigh, however much lies behind its rows.
const LIGHT: usize = 100_000;

/// The first page of a list, which must be light.
#[track_caller]
fn light(host: &Headless, what: &str) -> Value {
    let reply = host
        .manage("GET", &format!("/api/v1/{what}"), None)
        .expect(200, what);
    assert!(
        reply.body.len() < LIGHT,
        "the list of {what} weighs {} bytes",
        reply.body.len()
    );
    reply.json()
}

/// The payload is there, whole. A difference must not print megabytes.
#[track_caller]
fn assert_whole(found: &Value, item: &str, what: &str) {
    let found = found.as_str().unwrap_or_default();
    assert!(found == item, "{what}: {} of {} bytes", found.len(), item.len());
}

/// The newest of each list.
fn check_lists(host: &Headless) -> (Value, Value, Value) {
    let approvals = light(host, "approvals")["approvals"][0].clone();
    let executions = light(host, "executions")["data"][0].clone();
    let callbacks = light(host, "callbacks")["callbacks"][0].clone();
    assert!(approvals.get("payload").is_none(), "the list has no payload");
    assert_eq!(approvals["bodyTruncated"], true, "and says that there is more");
    assert!(
        approvals["payloadBytes"].as_u64() > Some(10 << 20),
        "and how much"
    );
    assert!(callbacks.get("body").is_none(), "the list has no bodies");
    assert_eq!(
        (&executions["executionData"], &executions["executionDataOmitted"]),
        (&json!("[]"), &json!(true)),
        "the list leaves large records out and says so"
    );
    (approvals, executions, callbacks)
}

#[test]
fn lists_do_not_carry_payloads() {
    let setup: Installation = installation();
    let host = setup.start();
    let receiver = CallbackReceiver::new();
    let options = FlowOptions::callback(receiver.url("/cb"), Some("secret"));
    let flow = host.import("gate", &flows::start_gate_replies(&options));
    // What is asked is long, and what is sent is as much as a call may well have.
    let item = "a long question ".repeat(200 * 1024 / 16);
    let blob = "payload ".repeat(10 * 1024 * 1024 / 8);
    host.post(&flow, &json!({ "item": item, "blob": blob }))
        .expect(202, "10 MiB");
    receiver.blocking_wait_for(1, SOON);
    host.wait_until_idle(SOON);

    let (approval, execution, callback) = check_lists(&host);
    let id = approval["id"].as_str().expect("an id");
    let path = format!("/api/v1/approvals/{id}");
    let detail = host.get(&path);
    assert_whole(
        &detail["payload"]["body"]["blob"],
        &blob,
        "the approval's payload",
    );
    let body = detail["body"].as_str().expect("a text");
    assert!(
        body.chars().count() <= 50_500,
        "the text of the question is {} characters long",
        body.chars().count()
    );
    let last = body.lines().last().unwrap_or_default();
    assert!(
        last.chars().count() < 500 && last.contains(|c: char| c.is_ascii_digit()),
        "its last line says how much is missing: {last:.200?}"
    );
    assert_eq!(detail["contentHash"], approval["contentHash"]);
    let path_of_run = format!("/api/v1/executions/{}", execution["id"].as_str().expect("an id"));
    let run = host.get(&path_of_run);
    assert!(run["executionDataOmitted"] != true, "alone it is whole");
    let records: Value = serde_json::from_str(run["executionData"].as_str().expect("a text")).expect("JSON");
    assert_whole(
        &records[0]["data"]["output"]["webhook"]["body"]["blob"],
        &blob,
        "the run's record",
    );
    let path_of_callback = format!("/api/v1/callbacks/{}", callback["id"].as_str().expect("an id"));
    let sent = host.get(&path_of_callback);
    assert!(
        sent["body"].as_str().map(str::as_bytes) == Some(&receiver.received()[0].body[..]),
        "the callback's body is what was sent"
    );

    host.kill();
    let host = setup.start();
    assert!(
        host.ready_after < Duration::from_secs(5),
        "ready after {:?}",
        host.ready_after
    );
    check_lists(&host);
    let detail = host.get(&path);
    assert_whole(
        &detail["payload"]["body"]["blob"],
        &blob,
        "the payload after a restart",
    );
    let decided = host.decide(id, "approve").expect(200, "decided").json();
    assert_whole(
        &decided["payload"]["body"]["blob"],
        &blob,
        "the answer has everything too",
    );
    // The stop may be told twice, since the host was killed.
    let success = eventually("the result", SOON, || {
        receiver
            .received()
            .into_iter()
            .find(|received| received.status() == "SUCCESS")
    });
    success.assert_signed("secret");
    let result = success.json();
    assert!(
        result["data"]["text"] == format!("released {item}"),
        "the result is whole"
    );
    assert_whole(
        &result["data"]["agentFlowExecutedData"][0]["data"]["output"]["webhook"]["body"]["blob"],
        &blob,
        "the result's record",
    );
    host.wait_until_idle(SOON);
    check_lists(&host);
}
