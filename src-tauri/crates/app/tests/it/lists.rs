//! Lists stay small, whatever was sent.

use countersign_app::view::CallbackQuery;
use countersign_app::{ErrorCode, ExecutionQuery};
use countersign_testkit::flows::FlowOptions;
use serde_json::json;

use crate::support::{call, import_gate, pending, start, until};

#[tokio::test]
async fn a_large_payload_is_in_no_list_and_whole_where_it_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let app = start(dir.path()).await;
    let flow = import_gate(&app, &FlowOptions::callback("http://127.0.0.1:9/nowhere", None)).await;
    let large = "x".repeat(3_000_000);
    call(&app, &flow.summary.id, json!({ "item": "v1", "large": large }))
        .await
        .unwrap();
    until("the question", || pending(&app).len() == 1).await;
    let small = |name: &str, list: String| assert!(list.len() < 20_000, "{name}: {} bytes", list.len());
    let approvals = pending(&app);
    small("approvals", serde_json::to_string(&approvals).unwrap());
    let (executions, _) = app
        .executions(&ExecutionQuery {
            limit: 10,
            ..ExecutionQuery::default()
        })
        .unwrap();
    assert!(
        executions[0].execution_data_omitted,
        "the list says what it leaves out"
    );
    small("executions", serde_json::to_string(&executions).unwrap());
    let callbacks = app.callbacks(&CallbackQuery::default()).unwrap();
    small("callbacks", serde_json::to_string(&callbacks).unwrap());

    let approval = app.approval(&approvals[0].id).unwrap();
    assert_eq!(
        approval.payload["body"]["large"],
        large.as_str(),
        "the payload is whole"
    );
    let payload = approval.payload.to_string();
    assert_eq!(approval.summary.payload_bytes, payload.len() as u64);
    let execution = app.execution(&approvals[0].execution_id).unwrap();
    assert!(execution.execution_data.contains(&large) && !execution.execution_data_omitted);
    let journal = std::fs::metadata(dir.path().join("journal.jsonl")).unwrap().len();
    assert!(
        journal < 50_000,
        "the journal does not repeat the payload: {journal} bytes"
    );

    let of_run = CallbackQuery {
        execution: Some(approvals[0].execution_id.clone()),
        ..CallbackQuery::default()
    };
    let found = app.callbacks(&of_run).unwrap().callbacks;
    assert_eq!(found.len(), 1, "the callbacks of one run can be asked for");
    assert!(app.callback(&found[0].id).unwrap().body.contains("STOPPED"));
}

#[tokio::test]
async fn a_long_question_is_cut_where_nobody_reads_on_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let app = start(dir.path()).await;
    let flow = import_gate(&app, &FlowOptions::sync()).await;
    let long = format!("line one\n{}", "long ".repeat(20_000));
    call(&app, &flow.summary.id, json!({ "item": long }))
        .await
        .unwrap();
    let listed = pending(&app).remove(0);
    assert!(listed.body_truncated && listed.body.chars().count() == 1000);
    let whole = app.approval(&listed.id).unwrap().summary;
    assert!(!whole.body_truncated);
    assert!(
        whole.body.contains("more characters are not shown"),
        "what is cut is said"
    );
    assert!(whole.body.chars().count() < 50_300);
}

#[tokio::test]
async fn a_chat_id_that_hides_something_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let app = start(dir.path()).await;
    let flow = import_gate(&app, &FlowOptions::sync()).await;
    for chat in [
        "x".repeat(513),
        "a\0b".to_owned(),
        "a\u{202e}b".to_owned(),
        "a\nb".to_owned(),
    ] {
        let refused = call(&app, &flow.summary.id, json!({ "item": "v1", "chatId": chat })).await;
        assert_eq!(refused.unwrap_err().code, ErrorCode::Invalid, "{chat:?}");
    }
    assert!(pending(&app).is_empty());
    let longest = "ü".repeat(512);
    let taken = call(&app, &flow.summary.id, json!({ "item": "v1", "chatId": longest }))
        .await
        .unwrap();
    assert_eq!(taken["chatId"], longest.as_str());
}
