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
use serde_json::{Value, json};

use crate::support::{call, import_gate, pending, predict, start};

const SECRET: &str = "the receiver's secret";

fn approve() -> DecisionRequest {
    DecisionRequest {
        outcome: Outcome::Approve,
        feedback: None,
        arguments: None,
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
    let flow = import_gate(&app, &FlowOptions::callback(receiver.url("/cb"), None)).await;
    call(&app, &flow.summary.id, json!({ "item": "v1" }))
        .await
        .unwrap();
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
async fn who_answers_by_the_chat_of_a_lost_question_is_told_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let app = start(dir.path()).await;
    let hook = import_gate(&app, &FlowOptions::sync()).await.summary.id;
    let chat = FlowOptions::sync().with(json!({ "startInputType": "chatInput" }));
    let chat = import_gate(&app, &chat).await.summary.id;
    let asked = call(&app, &hook, json!({ "item": "v1" })).await.unwrap();
    let asked_in_chat = predict(&app, &chat, json!({ "question": "now?" })).await.unwrap();
    app.shutdown().await;
    // The flows go with it.
    lose(dir.path(), &["db"]);

    let app = start(dir.path()).await;
    let answer = |chat: &Value| json!({ "chatId": chat, "humanInput": { "type": "proceed" } });
    let error = call(&app, &hook, answer(&asked["chatId"])).await.unwrap_err();
    assert_eq!((error.code, error.status), (ErrorCode::RunLost, 410), "{error}");
    let error = predict(&app, &chat, answer(&asked_in_chat["chatId"]))
        .await
        .unwrap_err();
    assert_eq!((error.code, error.status), (ErrorCode::RunLost, 410), "{error}");
    assert_eq!(pending(&app).len(), 2, "nothing was decided");

    let new = json!({ "item": "v2", "question": "and now?" });
    let other = answer(&json!("another chat"));
    let none = answer(&Value::Null);
    for body in [new, other, none] {
        for error in [
            call(&app, &hook, body.clone()).await.unwrap_err(),
            predict(&app, &chat, body.clone()).await.unwrap_err(),
        ] {
            assert_eq!(
                (error.code, error.status),
                (ErrorCode::NotFound, 404),
                "{body}: {error}"
            );
            assert!(
                error.to_string().contains("not found in the database!"),
                "{error}"
            );
        }
    }
    let id = asked["executionId"].as_str().unwrap();
    app.cancel_execution(id, None).await.unwrap();
    let error = call(&app, &hook, answer(&asked["chatId"])).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::NotFound, "it waits no more: {error}");
    app.shutdown().await;
}

#[tokio::test]
async fn a_question_whose_run_is_damaged_can_be_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = CallbackReceiver::start().await;
    let app = start(dir.path()).await;
    let flow = import_gate(&app, &FlowOptions::callback(receiver.url("/cb"), None)).await;
    let large = "x".repeat(20_000);
    call(&app, &flow.summary.id, json!({ "item": "v1", "large": large }))
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
    call(&app, &small.summary.id, json!({ "item": "v1" }))
        .await
        .unwrap();
    let kept = all_executions(&app);
    call(&app, &broken[0].summary.id, json!({ "item": "v1" }))
        .await
        .unwrap();
    assert_eq!(all_executions(&app).len(), 2);
    app.shutdown().await;
    let document = countersign_domain::DocumentHash::of(&broken[0].flow_data);
    std::fs::remove_file(dir.path().join("blobs").join(document.as_str())).unwrap();
    lose(dir.path(), &["records"]);

    let app = start(dir.path()).await;
    let flows = app.flows().unwrap();
    assert_eq!(flows.len(), 3, "all are listed");
    for flow in &flows {
        let problems = flow.summary.problems.join("\n");
        if flow.summary.id == small.summary.id {
            assert_eq!((problems.as_str(), &flow.flow_data), ("", &small.flow_data));
        } else {
            assert!(problems.contains("cannot be read any more"), "{problems}");
            assert_eq!(app.flow(&flow.summary.id).unwrap(), *flow);
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
    call(&app, &small.summary.id, json!({ "item": "v2" }))
        .await
        .unwrap();
    let error = call(&app, &broken[0].summary.id, json!({ "item": "v2" }))
        .await
        .unwrap_err();
    assert_eq!(
        (error.code, error.status),
        (ErrorCode::Internal, 500),
        "it is our fault that it does not run: {error}"
    );

    app.delete_flow(&broken[1].summary.id).await.unwrap();
    let mended = app
        .replace_flow(&broken[0].summary.id, Some(&text), None)
        .await
        .unwrap();
    assert!(
        mended.summary.problems.is_empty() && !mended.flow_data.is_empty(),
        "{:?}",
        mended.summary.problems
    );
    call(&app, &broken[0].summary.id, json!({ "item": "v3" }))
        .await
        .unwrap();
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
    let stopped = call(&app, &flow.summary.id, question.clone()).await.unwrap();
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
    call(&app, &flow.summary.id, question).await.unwrap();
    app.shutdown().await;
    let store = Store::open(Options::new(dir.path()), Arc::new(SystemClock)).unwrap();
    let messages = store.messages(execution.flow_id, "one chat").unwrap();
    assert!(messages.len() > said.len());
    assert_eq!(messages[..said.len()], said, "the older ones come first");
    store.close().await;
}

/// What has failed at a step, but whose document is gone, is not offered to be tried again, and is told apart.
#[tokio::test]
async fn a_failed_run_without_its_document_does_not_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let app = start(dir.path()).await;
    // Large enough for a file of its own; nobody listens at that port.
    let name = "x".repeat(20_000);
    let options = FlowOptions::sync().with(json!({ "description": name }));
    let text = countersign_testkit::flows::start_http_reply(&options, "http://127.0.0.1:9/");
    let flow = app.import_flow(&text, Some("calls")).await.unwrap();
    call(&app, &flow.summary.id, json!({ "item": "v1" }))
        .await
        .unwrap_err();
    let id = all_executions(&app).remove(0);
    assert_eq!(app.run(&id).unwrap().failed_step.as_deref(), Some("Call"));
    app.shutdown().await;
    let document = countersign_domain::DocumentHash::of(&flow.flow_data);
    std::fs::remove_file(dir.path().join("blobs").join(document.as_str())).unwrap();

    let app = start(dir.path()).await;
    let before = app.run(&id).unwrap();
    assert_eq!(before.failed_step, None, "it is not offered");
    let error = app.continue_execution(&id, None).await.unwrap_err();
    assert_eq!((error.code, error.status), (ErrorCode::RunLost, 410), "{error}");
    assert_eq!(app.run(&id).unwrap(), before, "nothing was changed");
    app.shutdown().await;
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => {
                std::fs::copy(entry.path(), target).unwrap();
            }
        }
    }
}

/// What happens to a data folder whose database falls back to where it was before `then`, as sled does after damage.
async fn fallen_back<T>(
    dir: &Path,
    before: impl AsyncFnOnce(&App) -> T,
    then: impl AsyncFnOnce(&App, &T),
) -> (App, T) {
    let app = start(dir).await;
    let made = Box::pin(before(&app)).await;
    app.shutdown().await;
    let old = tempfile::tempdir().unwrap();
    copy(&dir.join("db"), old.path());
    let app = start(dir).await;
    Box::pin(then(&app, &made)).await;
    app.shutdown().await;
    lose(dir, &["db"]);
    copy(old.path(), &dir.join("db"));
    (start(dir).await, made)
}

#[tokio::test]
async fn what_was_decided_is_not_asked_again_by_a_database_that_fell_back() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = CallbackReceiver::start().await;
    let options = FlowOptions::callback(receiver.url("/cb"), Some(SECRET));
    let (app, execution) = fallen_back(
        dir.path(),
        async |app| {
            let flow = import_gate(app, &options).await;
            call(app, &flow.summary.id, json!({ "item": "v1" }))
                .await
                .unwrap();
            receiver.wait_for(1, Duration::from_secs(10)).await;
            pending(app).remove(0).execution_id
        },
        async |app, _| {
            let question = pending(app).remove(0);
            let reject = DecisionRequest {
                outcome: Outcome::Reject,
                ..approve()
            };
            app.decide(&question.id, reject, Surface::Inbox, None)
                .await
                .unwrap();
            receiver.wait_for(2, Duration::from_secs(10)).await;
        },
    )
    .await;
    assert!(pending(&app).is_empty(), "it is not asked again");
    let stands = app.execution(&execution).unwrap();
    assert_eq!(
        stands.state,
        ExecutionState::Error,
        "and its run does not wait on"
    );
    let again = app.continue_execution(&execution, None).await;
    assert!(again.is_err(), "nor can it be made to go on");
    let repairs = app.status().storage_repairs.join("\n");
    assert!(repairs.contains("1 executions are older"), "{repairs}");
    tokio::time::sleep(Duration::from_millis(300)).await;
    let statuses: Vec<_> = receiver.received().iter().map(|one| one.status()).collect();
    assert_eq!(statuses, ["STOPPED", "SUCCESS"], "it has heard of an end already");
    app.shutdown().await;
    let app = start(dir.path()).await;
    assert_eq!(
        app.execution(&execution).unwrap().state,
        ExecutionState::Error,
        "also after a restart"
    );
}

#[tokio::test]
async fn a_run_that_was_answered_since_ends_and_tells_so() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = CallbackReceiver::start().await;
    let options = FlowOptions::callback(receiver.url("/cb"), Some(SECRET));
    let (app, execution) = fallen_back(
        dir.path(),
        async |app| {
            let two = countersign_testkit::flows::start_two_gates(&options);
            let flow = app.import_flow(&two, Some("two")).await.unwrap();
            call(app, &flow.summary.id, json!({ "item": "v1" }))
                .await
                .unwrap();
            receiver.wait_for(1, Duration::from_secs(10)).await;
            pending(app).remove(0).execution_id
        },
        async |app, _| {
            let question = pending(app).remove(0);
            app.decide(&question.id, approve(), Surface::Inbox, None)
                .await
                .unwrap();
            receiver.wait_for(2, Duration::from_secs(10)).await;
        },
    )
    .await;
    // The second question is in the journal, the run behind it waits on the first one.
    let question = pending(&app).remove(0);
    assert_eq!(question.execution_id, execution);
    let error = app
        .decide(&question.id, approve(), Surface::Inbox, None)
        .await
        .unwrap_err();
    assert_eq!((error.code, error.status), (ErrorCode::RunLost, 410), "{error}");
    assert_eq!(
        app.approval(&question.id).unwrap().problem,
        Some(error.to_string())
    );
    let ended = app.cancel_execution(&execution, None).await.unwrap();
    assert_eq!(ended.state, ExecutionState::Terminated);
    assert!(pending(&app).is_empty());
    receiver.wait_for(3, Duration::from_secs(10)).await;
    let statuses: Vec<_> = receiver.received().iter().map(|one| one.status()).collect();
    assert_eq!(statuses, ["STOPPED", "STOPPED", "ERROR"]);
}

#[tokio::test]
async fn nothing_leaves_unsigned_because_a_secret_was_lost() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = CallbackReceiver::start().await;
    let app = start(dir.path()).await;
    let settings = json!({ "callbackUrl": receiver.url("/cb"), "callbackSecret": SECRET });
    app.change_settings(serde_json::from_value(settings).unwrap())
        .await
        .unwrap();
    let gate = start_gate_replies(&FlowOptions {
        asynchronous: true,
        ..FlowOptions::default()
    });
    let flow = app.import_flow(&gate, Some("gate")).await.unwrap();
    call(&app, &flow.summary.id, json!({ "item": "v1" }))
        .await
        .unwrap();
    receiver.wait_for(1, Duration::from_secs(10)).await[0].assert_signed(SECRET);
    let execution = pending(&app).remove(0).execution_id;
    app.shutdown().await;
    // The settings and their secrets go with it.
    lose(dir.path(), &["db"]);

    let app = start(dir.path()).await;
    app.cancel_execution(&execution, None).await.unwrap();
    let query = countersign_app::view::CallbackQuery {
        state: Some("waiting".to_owned()),
        ..Default::default()
    };
    let mut said = None;
    for _ in 0..200 {
        let page = app.callbacks(&query).unwrap();
        said = page.callbacks.first().and_then(|callback| {
            let attempt = callback.attempts.last()?;
            attempt.ended_at.and(attempt.error.clone())
        });
        if said.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let said = said.expect("an attempt");
    assert!(said.contains("secret") && said.contains("not sent"), "{said}");
    assert_eq!(receiver.received().len(), 1, "nothing left");

    let again = json!({ "callbackSecret": SECRET });
    app.change_settings(serde_json::from_value(again).unwrap())
        .await
        .unwrap();
    let id = app.callbacks(&query).unwrap().callbacks[0].id.clone();
    app.redeliver(&id).await.unwrap();
    let received = receiver.wait_for(2, Duration::from_secs(10)).await;
    received[1].assert_signed(SECRET);
    assert_eq!(received[1].status(), "ERROR");
}
