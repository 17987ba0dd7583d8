//! Secrets that stand in a flow's document are moved into the vault on request.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use countersign_app::view::{DecisionRequest, MovedSecretsView, VariableChange, VariableKind};
use countersign_app::{App, ErrorCode, Outcome, Surface};
use countersign_domain::{DocumentHash, ExecutionState, SystemClock};
use countersign_store::{Options, Store};
use countersign_testkit::CallbackReceiver;
use countersign_testkit::flows::{FlowOptions, start_gate_http_reply};
use serde_json::{Value, json};

use crate::support::{call, pending, start, until};

const CALLBACK: &str = "s3cret of the callbacks";
const HEADER: &str = "Bearer s3cret-of-the-step";

fn with_header(text: &str, accepts: bool) -> String {
    let mut flow: Value = serde_json::from_str(text).unwrap();
    let http = &mut flow["nodes"][2]["data"];
    http["inputs"]["headers"] = json!([{ "key": "Authorization", "value": HEADER }]);
    http["inputParams"] = json!([{ "name": "headers", "type": "array", "acceptVariable": accepts }]);
    flow.to_string()
}

/// A gate and then a call with a secret header; the outcome leaves signed.
fn with_secrets(receiver: &CallbackReceiver) -> String {
    let options = FlowOptions::callback(receiver.url("/cb"), Some(CALLBACK));
    with_header(&start_gate_http_reply(&options, &receiver.url("/api")), true)
}

async fn approve(app: &App) {
    let request = DecisionRequest {
        outcome: Outcome::Approve,
        feedback: None,
        arguments: None,
        content_hash: None,
    };
    let id = pending(app).remove(0).id;
    app.decide(&id, request, Surface::Inbox, None).await.unwrap();
}

fn places(moved: &MovedSecretsView) -> Vec<(&str, &str)> {
    let secrets = moved.moved.iter();
    secrets
        .map(|secret| (&*secret.place, &*secret.variable))
        .collect()
}

async fn stored_document(dir: &Path, text: &str) -> Option<String> {
    let store = Store::open(Options::new(dir), Arc::new(SystemClock)).unwrap();
    let found = store.document(&DocumentHash::of(text)).unwrap();
    store.close().await;
    found
}

#[tokio::test]
async fn the_flow_goes_on_with_what_the_vault_holds_and_its_document_holds_it_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = CallbackReceiver::start().await;
    let app = start(dir.path()).await;
    let text = with_secrets(&receiver);
    let flow = app.import_flow(&text, Some("Deploy")).await.unwrap().summary;
    let twin = app.import_flow(&text, Some("Twin")).await.unwrap().summary;
    assert_eq!(flow.clear_text_secrets, 2);
    // One run is done, another one waits.
    call(&app, &flow.id, json!({ "item": "v1" })).await.unwrap();
    until("the first question", || pending(&app).len() == 1).await;
    let done = pending(&app)[0].execution_id.clone();
    approve(&app).await;
    until("its end", || {
        app.execution(&done).unwrap().state == ExecutionState::Finished
    })
    .await;
    call(&app, &flow.id, json!({ "item": "v2" })).await.unwrap();
    until("the second question", || pending(&app).len() == 1).await;
    let waits = pending(&app);

    let moved = app.move_flow_secrets(&flow.id).await.unwrap();
    assert_eq!(
        places(&moved),
        [
            ("callbackSecret", "deploy-start-callbacksecret"),
            ("Authorization", "deploy-call-authorization")
        ]
    );
    assert!(
        moved.left.len() == 1 && moved.left[0].contains("“Twin”"),
        "{:?}",
        moved.left
    );
    let changed = app.flow(&flow.id).unwrap();
    let expected = text
        .replace(CALLBACK, "{{ $vars.deploy-start-callbacksecret }}")
        .replace(HEADER, "{{ $vars.deploy-call-authorization }}");
    assert_eq!(changed.flow_data, expected, "everything else stays as it was");
    assert_eq!(
        (changed.summary.clear_text_secrets, &changed.summary.problems),
        (0, &flow.problems)
    );
    assert_eq!(app.flow(&twin.id).unwrap().flow_data, expected);
    assert_eq!(pending(&app), waits, "what waits still waits, as it was shown");
    let again = app.move_flow_secrets(&flow.id).await.unwrap();
    assert_eq!((again.moved.len(), again.left.len()), (0, 0));
    assert_eq!(
        app.flow(&flow.id).unwrap(),
        changed,
        "a second request changes nothing"
    );
    app.shutdown().await;
    assert_eq!(
        stored_document(dir.path(), &text).await,
        None,
        "the old one is gone"
    );

    let app = start(dir.path()).await;
    assert_eq!(pending(&app), waits);
    approve(&app).await;
    let execution = &waits[0].execution_id;
    until("its end", || {
        app.execution(execution).unwrap().state == ExecutionState::Finished
    })
    .await;
    let steps = serde_json::to_string(&app.execution_steps(&done).unwrap()).unwrap();
    assert!(
        steps.contains("[REDACTED]") && !steps.contains("s3cret"),
        "runs from before are explained, and show no secret any more: {steps}"
    );
    let received = receiver.wait_for(6, Duration::from_secs(10)).await;
    let called: Vec<_> = received.iter().filter(|one| one.path == "/api").collect();
    assert_eq!(called.len(), 2);
    for one in called {
        assert_eq!(one.header("authorization"), Some(HEADER));
    }
    for one in received.iter().filter(|one| one.path == "/cb") {
        one.assert_signed(CALLBACK);
    }
    app.shutdown().await;
}

#[tokio::test]
async fn what_is_imported_again_gets_the_same_variables_and_a_changed_secret_another_one() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = CallbackReceiver::start().await;
    let app = start(dir.path()).await;
    let text = with_secrets(&receiver);
    let flow = app.import_flow(&text, Some("Deploy")).await.unwrap().summary;
    let first = app.move_flow_secrets(&flow.id).await.unwrap();
    let after = app.flow(&flow.id).unwrap().flow_data;
    let back = app.replace_flow(&flow.id, Some(&text), None).await.unwrap();
    assert_eq!(
        (back.flow_data.as_str(), back.summary.clear_text_secrets),
        (&*text, 2)
    );
    assert_eq!(app.move_flow_secrets(&flow.id).await.unwrap(), first);
    assert_eq!(app.flow(&flow.id).unwrap().flow_data, after);

    let other = text.replace(HEADER, "Bearer another");
    app.replace_flow(&flow.id, Some(&other), None).await.unwrap();
    let second = app.move_flow_secrets(&flow.id).await.unwrap();
    assert_eq!(
        places(&second)[1],
        ("Authorization", "deploy-call-authorization-2"),
        "what others may read under the name is left alone"
    );
    app.shutdown().await;
}

#[tokio::test]
async fn what_cannot_be_moved_stays_and_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let app = start(dir.path()).await;
    for unknown in ["5b1d9a64-3f0e-4c39-9a5e-0a6f1c2d7e02", "x"] {
        let error = app.move_flow_secrets(unknown).await.unwrap_err();
        assert!(
            matches!(error.code, ErrorCode::NotFound | ErrorCode::Invalid),
            "{error}"
        );
    }
    let text = start_gate_http_reply(&FlowOptions::sync(), "https://example.org");
    let stays = with_header(&text, false);
    let flow = app.import_flow(&stays, Some("Fixed")).await.unwrap().summary;
    let moved = app.move_flow_secrets(&flow.id).await.unwrap();
    assert!(moved.moved.is_empty(), "{moved:?}");
    assert!(
        moved.left.len() == 1
            && moved.left[0].contains("Authorization of “Call” stays where it is")
            && !moved.left[0].contains("s3cret"),
        "{:?}",
        moved.left
    );
    assert_eq!(app.flow(&flow.id).unwrap().flow_data, stays);
    assert!(app.variables().is_empty());

    // A run that waits on an earlier version needs that version, and with it the secrets in it.
    let text = with_header(&text, true);
    let flow = app.import_flow(&text, Some("Deploy")).await.unwrap().summary;
    call(&app, &flow.id, json!({ "item": "v1" })).await.unwrap();
    let newer = text.replace("held {{", "stopped {{");
    app.replace_flow(&flow.id, Some(&newer), None).await.unwrap();
    let moved = app.move_flow_secrets(&flow.id).await.unwrap();
    assert!(
        moved.left.len() == 1 && moved.left[0].starts_with("1 of its runs that are not done"),
        "{:?}",
        moved.left
    );
    app.shutdown().await;
    assert_eq!(stored_document(dir.path(), &newer).await, None);
    assert_eq!(stored_document(dir.path(), &text).await, Some(text));
}

/// A callback that was to be signed with a variable is not signed with the text of the reference.
#[tokio::test]
async fn a_secret_that_is_gone_signs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = CallbackReceiver::start().await;
    let app = start(dir.path()).await;
    let options = FlowOptions::callback(receiver.url("/cb"), Some("{{ $vars.KEY }}"));
    let text = countersign_testkit::flows::start_reply(&options);
    let flow = app.import_flow(&text, Some("Hello")).await.unwrap().summary;
    assert!(
        flow.problems
            .iter()
            .any(|problem| problem.contains("variable KEY")),
        "{:?}",
        flow.problems
    );
    call(&app, &flow.id, json!({ "who": "Ada" })).await.unwrap();
    let received = receiver.wait_for(1, Duration::from_secs(10)).await;
    for name in ["x-flowise-signature", "webhook-signature"] {
        assert_eq!(received[0].header(name), None);
    }
    let change = VariableChange {
        kind: VariableKind::Secret,
        value: Some(CALLBACK.to_owned()),
    };
    app.set_variable("KEY", change).await.unwrap();
    call(&app, &flow.id, json!({ "who": "Ada" })).await.unwrap();
    let received = receiver.wait_for(2, Duration::from_secs(10)).await;
    received[1].assert_signed(CALLBACK);
    app.shutdown().await;
}

/// Parts of addresses and bodies move too; what stands in code stays and is told with what to do.
#[tokio::test]
async fn parts_of_texts_move_and_what_stands_in_code_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = CallbackReceiver::start().await;
    let app = start(dir.path()).await;
    let step = |id: &str, label: &str, inputs: Value| {
        let name = id.rsplit_once('_').unwrap().0;
        json!({ "id": id, "data": { "id": id, "name": name, "label": label, "inputs": inputs } })
    };
    let edge = |from: &str, to: &str| {
        let name = from.rsplit_once('_').unwrap().0;
        json!({ "source": from, "sourceHandle": format!("{from}-output-{name}"), "target": to })
    };
    let text = json!({
        "nodes": [
            step("startAgentflow_0", "Start", json!({ "startInputType": "webhookTrigger" })),
            step("httpAgentflow_0", "Call", json!({
                "method": "POST", "url": receiver.url("/api?api_key=k3y%2Fone&x=1"), "bodyType": "json",
                "body": "{\"user\": \"me\", \"password\": \"p4ss w\u{f6}rd\"}",
                "headers": [{ "key": "X-Secret-Token", "value": "t0k" }],
            })),
            step("customFunctionAgentflow_0", "Code", json!({
                "customFunctionJavascriptFunction": "const key = 'sk-live-0123456789'; return key.length"
            })),
        ],
        "edges": [
            edge("startAgentflow_0", "httpAgentflow_0"),
            edge("httpAgentflow_0", "customFunctionAgentflow_0"),
        ],
    })
    .to_string();
    let flow = app.import_flow(&text, Some("Deploy")).await.unwrap().summary;
    assert_eq!(flow.clear_text_secrets, 3, "as many as can be moved");
    let in_code = |notes: &[String]| {
        let notes = notes.iter();
        notes
            .filter(|note| {
                note.contains("key in customFunctionJavascriptFunction") && note.contains("$vars.NAME")
            })
            .count()
    };
    assert_eq!(in_code(&flow.notes), 1, "{:?}", flow.notes);
    call(&app, &flow.id, json!({})).await.unwrap();
    let moved = app.move_flow_secrets(&flow.id).await.unwrap();
    let names: Vec<_> = moved.moved.iter().map(|secret| secret.place.as_str()).collect();
    assert_eq!(names, ["api_key in url", "password in body", "X-Secret-Token"]);
    assert_eq!(
        (moved.left.len(), in_code(&moved.left)),
        (1, 1),
        "{:?}",
        moved.left
    );
    let changed = app.flow(&flow.id).unwrap();
    for secret in ["k3y", "p4ss", "t0k"] {
        assert!(!changed.flow_data.contains(secret), "{}", changed.flow_data);
    }
    assert_eq!(changed.summary.clear_text_secrets, 0);
    call(&app, &flow.id, json!({})).await.unwrap();
    let received = receiver.wait_for(2, Duration::from_secs(10)).await;
    for header in ["x-secret-token", "content-type"] {
        assert_eq!(received[0].header(header), received[1].header(header));
    }
    assert_eq!(received[0].header("x-secret-token"), Some("t0k"));
    assert_eq!(
        (&received[0].path, &received[0].body),
        (&received[1].path, &received[1].body)
    );
    app.shutdown().await;
}
