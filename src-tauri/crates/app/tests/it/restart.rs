//! What a new start makes of what the last one left.

use std::sync::Arc;

use countersign_domain::{
    ApprovalId, Decision, ErrorCode, Execution, ExecutionState, Outcome, ResponseMode, Surface, SystemClock,
    Timestamp,
};
use countersign_store::{Changes, Options, Store};
use countersign_testkit::flows::FlowOptions;
use serde_json::json;

use crate::support::{call, import_gate, pending, start, until};

/// A host for what needs none.
struct Nowhere;

impl countersign_flow::Host for Nowhere {
    fn now(&self) -> Timestamp {
        Timestamp::default()
    }

    fn new_id(&self) -> uuid::Uuid {
        uuid::Uuid::nil()
    }

    fn variable(&self, _name: &str) -> Option<String> {
        None
    }
}

/// Leaves a run in the middle, as a kill right after its decision does.
async fn leave_decided_run_behind(dir: &std::path::Path, mode: ResponseMode) -> String {
    let app = start(dir).await;
    let flow = import_gate(&app, &FlowOptions::sync()).await;
    call(&app, &flow.summary.id, json!({ "item": "v1" }))
        .await
        .unwrap();
    let id: ApprovalId = pending(&app).remove(0).id.parse().unwrap();
    app.shutdown().await;

    let store = Store::open(Options::new(dir), Arc::new(SystemClock)).unwrap();
    let mut approval = store.approval(id).unwrap().unwrap();
    let mut execution = store.execution(approval.execution_id).unwrap().unwrap();
    approval
        .decide(Decision {
            outcome: Outcome::Approve,
            feedback: None,
            arguments: None,
            surface: Surface::Inbox,
            person: None,
            decided_at: Timestamp::from_millis(1_800_000_000_000),
            content_hash: approval.content_hash.clone(),
        })
        .unwrap();
    let document = store.document(&execution.document).unwrap().unwrap();
    let plan = countersign_flow::Plan::parse(&document).unwrap();
    let mut run: countersign_flow::Run = serde_json::from_str(execution.run.get()).unwrap();
    let answer = countersign_flow::Answer {
        outcome: Outcome::Approve,
        feedback: None,
        arguments: None,
        start_node_id: None,
    };
    run.answer(&plan, &Nowhere, answer, Vec::new()).unwrap();
    execution = Execution {
        state: ExecutionState::InProgress,
        mode,
        run: serde_json::value::to_raw_value(&run).unwrap(),
        ..execution
    };
    let mut changes = Changes::new();
    changes.put_approval(&approval);
    changes.put_execution(&execution);
    store.commit(changes).await.unwrap();
    store.close().await;
    execution.id.to_string()
}

#[tokio::test]
async fn an_asynchronous_run_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let execution = Box::pin(leave_decided_run_behind(dir.path(), ResponseMode::Async)).await;
    let app = start(dir.path()).await;
    until("the end of the run", || {
        app.execution(&execution).unwrap().state == ExecutionState::Finished
    })
    .await;
    let data = app.execution(&execution).unwrap().execution_data;
    assert!(data.contains("released v1"), "the chosen branch ran: {data}");
    assert!(!data.contains("held v1"), "the other branch did not: {data}");
}

#[tokio::test]
async fn a_synchronous_run_whose_caller_is_gone_ends_as_an_error_and_never_asks_again() {
    let dir = tempfile::tempdir().unwrap();
    let execution = Box::pin(leave_decided_run_behind(dir.path(), ResponseMode::Sync)).await;
    let app = start(dir.path()).await;
    let ended = app.execution(&execution).unwrap();
    assert_eq!((ended.state, ended.interrupted), (ExecutionState::Error, true));
    let listed = app.run(&execution).unwrap();
    assert_eq!(
        (listed.interrupted, listed.error.as_deref()),
        (true, Some("interrupted by a restart")),
        "lists tell it from one that failed by itself"
    );
    assert!(pending(&app).is_empty(), "the decision stands");
}

#[tokio::test]
async fn an_interrupted_run_can_go_on_once() {
    let dir = tempfile::tempdir().unwrap();
    let execution = Box::pin(leave_decided_run_behind(dir.path(), ResponseMode::Sync)).await;
    start(dir.path()).await.shutdown().await;
    // A further restart changes nothing about what can go on.
    let app = start(dir.path()).await;
    let asked = futures_util::future::join_all((0..8).map(|_| {
        let (app, execution) = (app.clone(), execution.clone());
        async move { app.continue_execution(&execution, Some("mika".to_owned())).await }
    }))
    .await;
    let (went, refused): (Vec<_>, Vec<_>) = asked.into_iter().partition(Result::is_ok);
    assert_eq!(went.len(), 1, "exactly one gets it going");
    for refused in refused {
        assert_eq!(refused.unwrap_err().code, ErrorCode::NotWaiting);
    }
    until("the end of the run", || {
        app.execution(&execution).unwrap().state == ExecutionState::Finished
    })
    .await;
    let ended = app.execution(&execution).unwrap();
    assert!(!ended.interrupted && ended.execution_data.contains("released v1"));
    assert!(pending(&app).is_empty(), "nothing was asked again");
    let journal = std::fs::read_to_string(dir.path().join("journal.jsonl")).unwrap();
    assert_eq!(
        journal.matches("execution-continued").count(),
        1,
        "the journal says who wanted it, once"
    );
    assert_eq!(
        app.continue_execution("nothing", None).await.unwrap_err().code,
        ErrorCode::NotFound
    );
}

#[tokio::test]
async fn the_receiver_hears_that_a_synchronous_run_was_interrupted() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = countersign_testkit::CallbackReceiver::start().await;
    let app = start(dir.path()).await;
    let change = countersign_app::view::SettingsChange {
        callback_url: Some(receiver.url("/cb")),
        ..Default::default()
    };
    app.change_settings(change).await.unwrap();
    app.shutdown().await;
    let execution = Box::pin(leave_decided_run_behind(dir.path(), ResponseMode::Sync)).await;

    let app = start(dir.path()).await;
    let received = receiver.wait_for(1, std::time::Duration::from_secs(10)).await;
    assert_eq!(received[0].json()["status"], "ERROR");
    assert_eq!(
        received[0].json()["countersign"]["outcome"],
        "approve",
        "with the decision that stands"
    );
    assert_eq!(app.execution(&execution).unwrap().state, ExecutionState::Error);
}

#[tokio::test]
async fn what_waited_still_waits_with_the_same_id_and_hash() {
    let dir = tempfile::tempdir().unwrap();
    let app = start(dir.path()).await;
    let flow = import_gate(&app, &FlowOptions::sync()).await;
    call(&app, &flow.summary.id, json!({ "item": "v1" }))
        .await
        .unwrap();
    let before = pending(&app);
    app.shutdown().await;

    let app = start(dir.path()).await;
    assert_eq!(pending(&app), before);
    assert_eq!(app.flows().unwrap()[0].summary.pending, 1);
}

#[tokio::test]
async fn a_closing_program_takes_no_new_work() {
    let dir = tempfile::tempdir().unwrap();
    let app = start(dir.path()).await;
    let flow = import_gate(&app, &FlowOptions::sync()).await;
    app.shutdown().await;
    let error = call(&app, &flow.summary.id, json!({ "item": "v1" }))
        .await
        .unwrap_err();
    assert_eq!(error.status, 503);
}

#[tokio::test]
async fn ids_rise_across_a_restart_also_if_the_clock_was_set_back() {
    let dir = tempfile::tempdir().unwrap();
    let app = start(dir.path()).await;
    let flow = import_gate(&app, &FlowOptions::sync()).await;
    let stopped = call(&app, &flow.summary.id, json!({ "item": "v1" }))
        .await
        .unwrap();
    app.shutdown().await;

    // What a run a day later would have left.
    let store = Store::open(Options::new(dir.path()), Arc::new(SystemClock)).unwrap();
    let id = stopped["executionId"].as_str().unwrap().parse().unwrap();
    let mut execution: Execution = store.execution(id).unwrap().unwrap();
    let tomorrow = execution.created_at.plus(std::time::Duration::from_secs(86_400));
    let millis = u64::try_from(tomorrow.as_millis()).unwrap();
    let later = uuid::Builder::from_unix_timestamp_millis(millis, &[0xff; 10]).into_uuid();
    execution.id = countersign_domain::ExecutionId::from_uuid(later);
    let mut changes = Changes::new();
    changes.put_execution(&execution);
    store.commit(changes).await.unwrap();
    store.close().await;
    drop(store);

    let app = start(dir.path()).await;
    let stopped = call(&app, &flow.summary.id, json!({ "item": "v2" }))
        .await
        .unwrap();
    let id: uuid::Uuid = stopped["executionId"].as_str().unwrap().parse().unwrap();
    assert!(id > later, "{id} is listed after {later}");
    let asked: uuid::Uuid = pending(&app)[0].id.parse().unwrap();
    assert!(asked > later, "and the newest question is the first in the list");
    app.shutdown().await;
}
