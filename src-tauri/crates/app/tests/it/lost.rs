//! What is lost or damaged is told, can be settled, and hides nothing else.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use countersign_app::view::{ApprovalQuery, DecisionRequest};
use countersign_app::{App, ErrorCode, ExecutionQuery, Outcome, Surface};
use countersign_domain::{ApprovalState, Execution, ExecutionState, MessageId, SystemClock};
use countersign_store::{Changes, Options, Store};
use countersign_testkit::CallbackReceiver;
use countersign_testkit::flows::{FlowOptions, start_gate_replies};
use serde_json::json;

use crate::support::{call, import_gate, pending, start};

const SECRET: &str = "the receiver's secret";

fn approve() -> DecisionRequest {
    DecisionRequest {
        outcome: Outcome::Approve,
        feedback: None,
        content_hash: None,
    }
}

fn lose(dir: &Path, folders: &[&str]) {
    for folder in folders {
        std::fs::remove_dir_all(dir.join(folder)).unwrap();
    }
}

fn all_executions(app: &App) -> Vec<String> {
    let query = ExecutionQuery {
        limit: 50,
        ..ExecutionQuery::default()
    };
    let (found, _) = app.executions(&query).unwrap();
    found.into_iter().map(|execution| execution.id).collect()
}

/// The question waits, cannot be answered, and is taken back; its receiver is told.
async fn cannot_be_answered_but_taken_back(app: &App, receiver: &CallbackReceiver) {
    let question = pending(app).remove(0);
    let shown = app.approval(&question.id).unwrap();
    let problem = shown.problem.unwrap();
    let error = app
        .decide(&question.id, approve(), Surface::Inbox, None)
        .await
        .unwrap_err();
    assert_eq!((error.code, error.status), (ErrorCode::RunLost, 410), "{error}");
    assert_eq!(error.to_string(), problem);
    assert!(
        problem.contains(&format!("countersign cancel {}", question.id)),
        "{problem}"
    );
    assert_eq!(pending(app).len(), 1, "nothing was decided");

    let ended = app
        .cancel_execution(&question.execution_id, Some("mika".to_owned()))
        .await
        .unwrap();
    assert_eq!(ended.state, ExecutionState::Terminated);
    assert!(pending(app).is_empty());
    let stands = app.approval(&question.id).unwrap();
    assert_eq!(stands.summary.state, ApprovalState::Withdrawn);
    assert_eq!(stands.problem, None);
    let received = receiver.wait_for(2, Duration::from_secs(10)).await;
    let statuses: Vec<_> = received.iter().map(|one| one.status()).collect();
    assert_eq!(statuses, ["STOPPED", "ERROR"]);
    assert_eq!(received[0].chat(), received[1].chat());
    assert_eq!(received[1].json()["error"], "Flow execution was cancelled");

    let again = app.cancel_execution(&question.execution_id, None).await;
    assert!(
        matches!(
            again.unwrap_err().code,
            ErrorCode::NotFound | ErrorCode::AlreadyDecided
        ),
        "once is enough"
    );
    let error = app
        .decide(&question.id, approve(), Surface::Inbox, None)
        .await
        .unwrap_err();
    assert_eq!(error.code, ErrorCode::AlreadyDecided);
}

#[tokio::test]
async fn a_question_from_the_journal_can_be_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = CallbackReceiver::start().await;
    let app = start(dir.path()).await;
    let flow = import_gate(&app, &FlowOptions::callback(receiver.url("/cb"), Some(SECRET))).await;
    call(&app, &flow.id, json!({ "item": "v1" })).await.unwrap();
    receiver.wait_for(1, Duration::from_secs(10)).await;
    app.shutdown().await;
    lose(dir.path(), &["db"]);

    let app = start(dir.path()).await;
    let repairs = app.status().storage_repairs.join("\n");
    assert!(
        repairs.contains("1 of the questions that wait has lost the run behind it"),
        "{repairs}"
    );
    cannot_be_answered_but_taken_back(&app, &receiver).await;
    app.shutdown().await;
}

#[tokio::test]
async fn a_question_whose_run_is_damaged_can_be_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = CallbackReceiver::start().await;
    let app = start(dir.path()).await;
    let flow = import_gate(&app, &FlowOptions::callback(receiver.url("/cb"), Some(SECRET))).await;
    let large = "x".repeat(20_000);
    call(&app, &flow.id, json!({ "item": "v1", "large": large }))
        .await
        .unwrap();
    receiver.wait_for(1, Duration::from_secs(10)).await;
    app.shutdown().await;
    lose(dir.path(), &["blobs"]);

    let app = start(dir.path()).await;
    cannot_be_answered_but_taken_back(&app, &receiver).await;
    let damage = app.status().storage_damage.join("\n");
    assert!(damage.contains("execution"), "{damage}");
    app.shutdown().await;
}

#[tokio::test]
async fn a_flow_whose_document_is_lost_is_marked_and_hides_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let app = start(dir.path()).await;
    let small = import_gate(&app, &FlowOptions::sync()).await;
    // Large enough for a file of its own.
    let large = FlowOptions {
        question: Some("Release? ".repeat(2_000)),
        ..FlowOptions::sync()
    };
    let text = start_gate_replies(&large);
    let mut broken = Vec::new();
    for name in ["replaced", "deleted"] {
        broken.push(app.import_flow(&text, Some(name)).await.unwrap());
    }
    call(&app, &small.id, json!({ "item": "v1" })).await.unwrap();
    let kept = all_executions(&app);
    call(&app, &broken[0].id, json!({ "item": "v1" })).await.unwrap();
    assert_eq!(all_executions(&app).len(), 2);
    app.shutdown().await;
    let document = countersign_domain::DocumentHash::of(&broken[0].flow_data);
    std::fs::remove_file(dir.path().join("blobs").join(document.as_str())).unwrap();
    lose(dir.path(), &["records"]);

    let app = start(dir.path()).await;
    let flows = app.flows().unwrap();
    assert_eq!(flows.len(), 3, "all are listed");
    for flow in &flows {
        let problems = flow.problems.join("\n");
        if flow.id == small.id {
            assert_eq!((problems.as_str(), &flow.flow_data), ("", &small.flow_data));
        } else {
            assert!(problems.contains("cannot be read any more"), "{problems}");
            assert_eq!(app.flow(&flow.id).unwrap(), *flow);
        }
    }
    let damage = app.status().storage_damage.join("\n");
    assert!(damage.contains("document"), "{damage}");
    assert!(
        kept.iter().all(|id| all_executions(&app).contains(id)),
        "what is whole is in the list"
    );
    let all = app.approvals(&ApprovalQuery::default()).unwrap().approvals;
    assert_eq!(all.len(), 2, "questions are in the journal too");
    call(&app, &small.id, json!({ "item": "v2" })).await.unwrap();
    let error = call(&app, &broken[0].id, json!({ "item": "v2" }))
        .await
        .unwrap_err();
    assert_eq!(
        (error.code, error.status),
        (ErrorCode::Internal, 500),
        "it is our fault that it does not run: {error}"
    );

    app.delete_flow(&broken[1].id).await.unwrap();
    let mended = app.replace_flow(&broken[0].id, Some(&text), None).await.unwrap();
    assert!(
        mended.problems.is_empty() && !mended.flow_data.is_empty(),
        "{:?}",
        mended.problems
    );
    call(&app, &broken[0].id, json!({ "item": "v3" })).await.unwrap();
    assert_eq!(app.flows().unwrap().len(), 2);
    let damage = app.status().storage_damage.join("\n");
    assert!(!damage.contains("document"), "{damage}");
    app.shutdown().await;
}

#[tokio::test]
async fn what_is_said_in_a_chat_stands_behind_what_was_said_with_a_clock_that_was_ahead() {
    let dir = tempfile::tempdir().unwrap();
    let app = start(dir.path()).await;
    let flow = import_gate(&app, &FlowOptions::sync()).await;
    let question = json!({ "item": "v1", "chatId": "one chat" });
    let stopped = call(&app, &flow.id, question.clone()).await.unwrap();
    app.shutdown().await;

    let store = Store::open(Options::new(dir.path()), Arc::new(SystemClock)).unwrap();
    let id = stopped["executionId"].as_str().unwrap().parse().unwrap();
    let mut execution: Execution = store.execution(id).unwrap().unwrap();
    let ahead = execution.created_at.plus(Duration::from_secs(40 * 86_400));
    let millis = u64::try_from(ahead.as_millis()).unwrap();
    for message in &mut execution.messages {
        let later = uuid::Builder::from_unix_timestamp_millis(millis, &[0xff; 10]).into_uuid();
        message.id = MessageId::from_uuid(later);
    }
    let said: Vec<_> = execution.messages.clone();
    let mut changes = Changes::new();
    changes.put_execution(&execution);
    store.commit(changes).await.unwrap();
    store.close().await;
    drop(store);

    let app = start(dir.path()).await;
    call(&app, &flow.id, question).await.unwrap();
    app.shutdown().await;
    let store = Store::open(Options::new(dir.path()), Arc::new(SystemClock)).unwrap();
    let messages = store.messages(execution.flow_id, "one chat").unwrap();
    assert!(messages.len() > said.len());
    assert_eq!(messages[..said.len()], said, "the older ones come first");
    store.close().await;
}
