//! `POST /api/v1/approvals/{id}/decision`: every answer of the contract.

use std::time::Duration;

use countersign_testkit::flows::FlowOptions;
use countersign_testkit::{CallbackReceiver, Headless, HttpResponse, eventually, flows};
use serde_json::{Value, json};

use crate::support::installation;

const SOON: Duration = Duration::from_secs(15);

/// A host with one question that waits; its approval.
fn asked(serve: &Headless) -> Value {
    let flow = serve.import("gate", &flows::start_gate_replies(&FlowOptions::sync()));
    serve.post(&flow, &json!({ "item": "v1" })).expect(200, "stopped");
    serve.pending().remove(0)
}

fn post(serve: &Headless, id: &str, headers: &[(&str, &str)], body: &str) -> HttpResponse {
    let token = format!("Bearer {}", serve.token);
    let mut all = vec![
        ("authorization", token.as_str()),
        ("content-type", "application/json"),
    ];
    all.extend_from_slice(headers);
    serve.call(
        "POST",
        &format!("/api/v1/approvals/{id}/decision"),
        &all,
        Some(body.as_bytes()),
    )
}

#[test]
fn an_answer_is_taken_once_and_the_second_one_is_told_who_when_and_where() {
    let setup = installation();
    let serve = setup.start();
    let approval = asked(&serve);
    let id = approval["id"].as_str().expect("an id");
    let headers = [
        ("x-countersign-surface", "inbox"),
        ("x-countersign-person", "ada"),
    ];
    let body = json!({ "outcome": "approve", "feedback": "go", "contentHash": approval["contentHash"] });
    let decided = post(&serve, id, &headers, &body.to_string())
        .expect(200, "the first answer")
        .json();
    assert_eq!(
        (&decided["id"], &decided["state"]),
        (&json!(id), &json!("approved"))
    );
    let decision = &decided["decision"];
    assert_eq!(
        (
            &decision["outcome"],
            &decision["feedback"],
            &decision["surface"],
            &decision["person"]
        ),
        (&json!("approve"), &json!("go"), &json!("inbox"), &json!("ada"))
    );

    let second = serve.decide(id, "reject").expect(409, "the second answer");
    let (message, body) = (second.message(), second.json());
    let at = decision["decidedAt"].as_str().expect("a time");
    for part in ["already approved", "ada", at, "the inbox"] {
        assert!(message.contains(part), "{part:?} is missing in {message:?}");
    }
    assert_eq!(body["code"], "already-decided");
    assert_eq!(
        body["approval"]["decision"], *decision,
        "programs get the same facts"
    );
    let execution = approval["executionId"].as_str().expect("an execution");
    let execution = serve.wait_for_execution(execution, "FINISHED");
    assert!(
        execution["executionData"]
            .as_str()
            .is_some_and(|data| data.contains("released v1")),
        "{execution}"
    );
    assert!(serve.pending().is_empty());
}

#[test]
fn what_is_no_answer_is_refused_and_changes_nothing() {
    let setup = installation();
    let serve = setup.start();
    let approval = asked(&serve);
    let id = approval["id"].as_str().expect("an id");
    for body in [
        "",
        "{",
        "null",
        "[]",
        r#"["approve"]"#,
        r#"["approve",null,null]"#,
        "\"approve\"",
        "{}",
        r#"{"outcome":null}"#,
        r#"{"outcome":"yes"}"#,
        r#"{"outcome":"Approve"}"#,
        r#"{"outcome":["approve"]}"#,
        r#"{"outcome":"approve","feedback":5}"#,
        r#"{"outcome":"approve","surface":"notification"}"#,
        r#"{"outcome":"approve","contentHash":5}"#,
    ] {
        assert_eq!(post(&serve, id, &[], body).status, 400, "{body:?}");
    }
    let approve = r#"{"outcome":"approve"}"#;
    for surface in ["notification", "policy", "webhook", "nonsense"] {
        let reply = post(&serve, id, &[("x-countersign-surface", surface)], approve);
        assert_eq!(reply.status, 400, "no client can pass for {surface}");
    }
    let path = format!("/api/v1/approvals/{id}/decision");
    for method in ["GET", "PUT", "DELETE", "PATCH"] {
        let reply = serve.manage(method, &path, None);
        assert_eq!(reply.status, 405, "{method}: {}", reply.text());
    }
    let unsigned = [("content-type", "application/json")];
    let reply = serve.call("POST", &path, &unsigned, Some(approve.as_bytes()));
    assert_eq!(reply.status, 401, "no token");
    let wrong = [
        ("content-type", "application/json"),
        ("authorization", "Bearer 0000"),
    ];
    assert_eq!(
        serve.call("POST", &path, &wrong, Some(approve.as_bytes())).status,
        401,
        "a wrong token"
    );

    let other = r#"{"outcome":"approve","contentHash":"0000"}"#;
    let changed = post(&serve, id, &[], other).expect(409, "another text than the one that waits");
    assert_eq!(changed.json()["code"], "content-changed");
    for unknown in [
        "0192f0c1-7b1e-7c3a-9d55-0a1b2c3d4e5f",
        "11111111-1111-4111-8111-111111111111",
    ] {
        assert_eq!(serve.decide(unknown, "approve").status, 404, "{unknown}");
    }
    let odd = serve.decide("no-id", "approve").status;
    assert!(matches!(odd, 400 | 404), "an id that is none: {odd}");

    assert_eq!(
        serve.pending(),
        std::slice::from_ref(&approval),
        "the question waits as before"
    );
    serve
        .decide(id, "reject")
        .expect(200, "a good answer still works");
}

#[test]
fn a_decision_outlives_its_flow() {
    let setup = installation();
    let serve = setup.start();
    let approval = asked(&serve);
    let flow = approval["flowId"].as_str().expect("a flow");
    let deleted = serve.manage("DELETE", &format!("/api/v1/chatflows/{flow}"), None);
    assert!(matches!(deleted.status, 200 | 204), "{}", deleted.text());
    serve
        .decide(approval["id"].as_str().expect("an id"), "approve")
        .expect(200, "its flow is gone, the question is not");
    serve.wait_for_execution(
        approval["executionId"].as_str().expect("an execution"),
        "FINISHED",
    );
}

/// Known gaps D3.16: in Flowise a run that waits cannot be cancelled.
#[test]
fn a_cancelled_run_tells_its_receiver_and_nobody_can_answer_it_any_more() {
    let setup = installation();
    let receiver = CallbackReceiver::new();
    let options = FlowOptions {
        asynchronous: true,
        ..FlowOptions::callback(receiver.url("/cb"), None)
    };
    let serve = setup.start();
    let flow = serve.import("gate", &flows::start_gate_replies(&options));
    let call = json!({ "item": "v1", "chatId": "release" });
    serve.post(&flow, &call).expect(202, "it begins");
    eventually("the question", SOON, || serve.pending().pop());
    let approval = serve.pending().remove(0);
    let text = |key: &str| approval[key].as_str().expect("a text").to_owned();
    let (id, execution) = (text("id"), text("executionId"));
    let cancel = format!("/api/v1/executions/{execution}/cancel");
    let cancelled = serve
        .manage("POST", &cancel, None)
        .expect(200, "it is cancelled")
        .json();
    assert_eq!(cancelled["state"], "TERMINATED");
    let told = eventually("both callbacks", SOON, || {
        let all = receiver.received();
        (all.len() == 2).then_some(all)
    });
    let status: Vec<String> = told.iter().map(countersign_testkit::Received::status).collect();
    assert_eq!(status, ["STOPPED", "ERROR"]);
    let body = told[1].json();
    assert_eq!(
        (&body["error"], &body["countersign"]),
        (&json!("Flow execution was cancelled"), &Value::Null)
    );

    let check = |serve: &Headless| {
        assert_eq!(serve.pending(), Vec::<Value>::new());
        let view = serve.get(&format!("/api/v1/approvals/{id}"));
        assert_eq!(
            (&view["state"], &view["decision"]),
            (&json!("withdrawn"), &Value::Null)
        );
        let answer = json!({ "chatId": "release", "humanInput": { "type": "proceed" } });
        for (what, reply) in [
            ("an answer", serve.decide(&id, "approve")),
            ("an answer by webhook", serve.post(&flow, &answer)),
            ("a second cancellation", serve.manage("POST", &cancel, None)),
        ] {
            let message = reply.expect(409, what).message();
            assert!(
                message.contains("withdrawn") || message.contains("TERMINATED"),
                "{what}: {message}"
            );
        }
    };
    check(&serve);
    serve.kill();
    let serve = setup.start();
    check(&serve);
    assert_eq!(receiver.received().len(), 2, "and nothing is told again");
    serve
        .manage(
            "POST",
            "/api/v1/executions/0192f0c1-7b1e-7c3a-9d55-0a1b2c3d4e5f/cancel",
            None,
        )
        .expect(404, "an unknown run");
}

#[test]
fn of_an_answer_and_a_cancellation_at_once_one_counts() {
    let setup = installation();
    let serve = setup.start();
    let flow = serve.import("gate", &flows::start_gate_replies(&FlowOptions::sync()));
    let (mut answered, mut cancelled) = (0, 0);
    for round in 0..40 {
        serve
            .post(
                &flow,
                &json!({ "item": "v1", "chatId": format!("round {round}") }),
            )
            .expect(200, "stopped");
        let approval = serve.pending().remove(0);
        let text = |key: &str| approval[key].as_str().expect("a text").to_owned();
        let (id, cancel) = (
            text("id"),
            format!("/api/v1/executions/{}/cancel", text("executionId")),
        );
        let both = std::sync::Barrier::new(2);
        let (yes, no) = std::thread::scope(|scope| {
            let answer = scope.spawn(|| {
                both.wait();
                serve.decide(&id, "approve").status
            });
            both.wait();
            let cancel = serve.manage("POST", &cancel, None).status;
            (answer.join().expect("an answer"), cancel)
        });
        assert!(
            matches!((yes, no), (200, 409) | (409, 200)),
            "answer {yes}, cancellation {no}"
        );
        answered += u32::from(yes == 200);
        cancelled += u32::from(no == 200);
        let state = if yes == 200 { "approved" } else { "withdrawn" };
        assert_eq!(serve.get(&format!("/api/v1/approvals/{id}"))["state"], state);
    }
    assert_eq!(answered + cancelled, 40);
}
