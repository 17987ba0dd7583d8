//! One answer to each question.

use countersign_app::view::DecisionRequest;
use countersign_app::{ErrorCode, Outcome, Surface};
use countersign_testkit::flows::FlowOptions;
use serde_json::json;

use crate::support::{call, import_gate, pending, predict, start, until};

fn approve() -> DecisionRequest {
    DecisionRequest {
        outcome: Outcome::Approve,
        feedback: None,
        arguments: None,
        content_hash: None,
    }
}

#[tokio::test]
async fn an_answer_to_another_text_decides_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let app = start(dir.path()).await;
    let flow = import_gate(&app, &FlowOptions::sync()).await;
    call(&app, &flow.summary.id, json!({ "item": "v1" }))
        .await
        .unwrap();
    let approval = pending(&app).remove(0);

    let other = DecisionRequest {
        content_hash: Some("0".repeat(64)),
        ..approve()
    };
    let error = app
        .decide(&approval.id, other, Surface::Api, None)
        .await
        .unwrap_err();
    assert_eq!(error.code, ErrorCode::ContentChanged);
    assert_eq!(pending(&app).len(), 1, "the question still waits");

    let same = DecisionRequest {
        content_hash: Some(approval.content_hash),
        ..approve()
    };
    app.decide(&approval.id, same, Surface::Api, None).await.unwrap();
    assert!(pending(&app).is_empty());
}

#[tokio::test]
async fn the_second_answer_is_told_who_was_first_when_and_where() {
    let dir = tempfile::tempdir().unwrap();
    let app = start(dir.path()).await;
    let flow = import_gate(&app, &FlowOptions::sync()).await;
    call(&app, &flow.summary.id, json!({ "item": "v1" }))
        .await
        .unwrap();
    let approval = pending(&app).remove(0);

    app.decide(&approval.id, approve(), Surface::Inbox, Some("mika".to_owned()))
        .await
        .unwrap();
    let reject = DecisionRequest {
        outcome: Outcome::Reject,
        ..approve()
    };
    let error = app
        .decide(&approval.id, reject, Surface::Cli, Some("noa".to_owned()))
        .await
        .unwrap_err();
    assert_eq!((error.code, error.status), (ErrorCode::AlreadyDecided, 409));
    let text = error.to_string();
    assert!(
        text.starts_with("Approval already approved by mika at "),
        "{text}"
    );
    assert!(text.ends_with("from the inbox"), "{text}");
}

#[tokio::test]
async fn an_approval_keeps_its_flow_when_that_is_replaced_or_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let app = start(dir.path()).await;
    let flow = import_gate(&app, &FlowOptions::sync()).await;
    let stopped = call(&app, &flow.summary.id, json!({ "item": "v1" }))
        .await
        .unwrap();
    app.delete_flow(&flow.summary.id).await.unwrap();

    let answer = json!({ "chatId": stopped["chatId"], "humanInput": { "type": "proceed" } });
    let done = call(&app, &flow.summary.id, answer).await.unwrap();
    assert_eq!(done["text"], "released v1");
    let gone = call(&app, &flow.summary.id, json!({ "item": "v2" }))
        .await
        .unwrap_err();
    assert_eq!(gone.status, 404, "new calls find no flow");

    let chat = FlowOptions::sync().with(json!({ "startInputType": "chatInput" }));
    let flow = import_gate(&app, &chat).await;
    let stopped = predict(&app, &flow.summary.id, json!({ "question": "now?" }))
        .await
        .unwrap();
    app.delete_flow(&flow.summary.id).await.unwrap();
    let answer = json!({ "chatId": stopped["chatId"], "humanInput": { "type": "proceed" } });
    let done = predict(&app, &flow.summary.id, answer).await.unwrap();
    assert!(done["text"].as_str().unwrap().starts_with("released"), "{done}");
    let gone = predict(&app, &flow.summary.id, json!({ "question": "again?" })).await;
    assert_eq!(gone.unwrap_err().status, 404, "nor do new messages");
}

#[tokio::test]
async fn the_result_of_a_synchronous_run_that_was_answered_elsewhere_leaves_as_a_callback() {
    let dir = tempfile::tempdir().unwrap();
    let app = start(dir.path()).await;
    let receiver = countersign_testkit::CallbackReceiver::start().await;
    let url = receiver.url("/cb");
    let change = countersign_app::view::SettingsChange {
        callback_url: Some(url),
        callback_secret: Some("a secret of ours".to_owned()),
        ..Default::default()
    };
    app.change_settings(change).await.unwrap();
    let flow = import_gate(&app, &FlowOptions::sync()).await;
    call(&app, &flow.summary.id, json!({ "item": "v1" }))
        .await
        .unwrap();
    let approval = pending(&app).remove(0);
    app.decide(&approval.id, approve(), Surface::Inbox, Some("mika".to_owned()))
        .await
        .unwrap();

    let received = receiver.wait_for(1, std::time::Duration::from_secs(10)).await;
    let body = received[0].json();
    assert_eq!(body["status"], "SUCCESS");
    assert_eq!(body["data"]["text"], "released v1");
    assert_eq!(body["countersign"]["person"], "mika");
    assert_eq!(body["countersign"]["contentHash"], approval.content_hash);
    until("the delivery", || {
        let callbacks = app.callbacks(&Default::default()).unwrap().callbacks;
        callbacks.len() == 1
            && callbacks[0]
                .attempts
                .iter()
                .all(|attempt| attempt.ended_at.is_some())
    })
    .await;
}
