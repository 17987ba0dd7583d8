//! Flows that run by themselves.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use countersign_app::view::{
    MissedRuns, OverlappingRuns, RunQuery, RunSummary, ScheduleChange, ScheduleOutcome, ScheduleView,
};
use countersign_app::{App, ErrorCode, headless_notifier};
use countersign_domain::{Clock as _, ExecutionState, ManualClock, Timestamp};
use serde_json::json;

use crate::support::{pending, predict, start_at, until};

const HOUR: Duration = Duration::from_secs(3600);

/// 2026-03-01, half past eight in the morning, UTC.
fn half_past_eight() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(
        serde_json::from_value(json!("2026-03-01T08:30:00Z")).unwrap(),
    ))
}

async fn begin(dir: &Path, clock: &Arc<ManualClock>) -> App {
    start_at(dir, headless_notifier(), clock.clone()).await
}

/// Daily at nine: Start → Gate → Reply.
fn daily(cron: &str) -> String {
    json!({
        "nodes": [
            {"id": "startAgentflow_0", "data": {"id": "startAgentflow_0", "name": "startAgentflow", "label": "Start",
             "inputs": {"startInputType": "scheduleInput", "scheduleType": "cronExpression",
                        "scheduleCronExpression": cron, "scheduleDefaultInput": "good morning"}}},
            {"id": "humanInputAgentflow_0", "data": {"id": "humanInputAgentflow_0", "name": "humanInputAgentflow",
             "label": "Gate", "inputs": {"humanInputDescriptionType": "fixed",
                                         "humanInputDescription": "Clean up? {{ question }}"}}},
            {"id": "directReplyAgentflow_0", "data": {"id": "directReplyAgentflow_0", "name": "directReplyAgentflow",
             "label": "Done", "inputs": {"directReplyMessage": "cleaned"}}},
        ],
        "edges": [
            {"source": "startAgentflow_0", "sourceHandle": "startAgentflow_0-output-startAgentflow",
             "target": "humanInputAgentflow_0", "targetHandle": "humanInputAgentflow_0"},
            {"source": "humanInputAgentflow_0", "sourceHandle": "humanInputAgentflow_0-output-0",
             "target": "directReplyAgentflow_0", "targetHandle": "directReplyAgentflow_0"},
        ],
    })
    .to_string()
}

async fn import(app: &App, cron: &str) -> String {
    app.import_flow(&daily(cron), Some("Clean up"))
        .await
        .unwrap()
        .summary
        .id
}

fn schedule(app: &App, flow: &str) -> ScheduleView {
    app.flow(flow).unwrap().summary.schedule.unwrap()
}

fn runs(app: &App) -> Vec<RunSummary> {
    app.runs(&RunQuery::default()).unwrap().runs
}

/// What was done about the last moments: outcome and how many, the newest first.
fn told(app: &App, flow: &str) -> Vec<(ScheduleOutcome, u32)> {
    schedule(app, flow)
        .recent
        .iter()
        .map(|moment| (moment.outcome, moment.count))
        .collect()
}

#[tokio::test]
async fn a_flow_runs_when_its_moment_comes_and_once() {
    let dir = tempfile::tempdir().unwrap();
    let clock = half_past_eight();
    let app = begin(dir.path(), &clock).await;
    let flow = import(&app, "0 9 * * *").await;
    assert_eq!(
        schedule(&app, &flow).next.as_deref(),
        Some("2026-03-01T09:00:00.000Z")
    );

    let next = app.run_due_schedules().await;
    assert_eq!(
        next.map(|next| next.to_string()).as_deref(),
        Some("2026-03-01T09:00:00.000Z")
    );
    assert!(runs(&app).is_empty(), "nothing runs before its moment");

    clock.advance(HOUR / 2);
    app.run_due_schedules().await;
    app.run_due_schedules().await;
    assert_eq!(runs(&app).len(), 1, "one run for one moment");
    until("the question", || pending(&app).len() == 1).await;
    assert_eq!(pending(&app)[0].title, "Clean up? good morning");
    assert_eq!(told(&app, &flow), [(ScheduleOutcome::Started, 1)]);
    assert_eq!(
        schedule(&app, &flow).recent[0].execution_id,
        Some(runs(&app)[0].id.clone())
    );
    assert_eq!(
        schedule(&app, &flow).next.as_deref(),
        Some("2026-03-02T09:00:00.000Z")
    );
    app.shutdown().await;
}

#[tokio::test]
async fn moments_that_passed_meanwhile_are_made_up_for_once() {
    let dir = tempfile::tempdir().unwrap();
    let clock = half_past_eight();
    let app = begin(dir.path(), &clock).await;
    let flow = import(&app, "0 9 * * *").await;
    app.shutdown().await;
    drop(app);

    clock.advance(HOUR * 24 * 3);
    let app = begin(dir.path(), &clock).await;
    app.run_due_schedules().await;
    assert_eq!(runs(&app).len(), 1, "one run for three mornings");
    assert_eq!(
        told(&app, &flow),
        [(ScheduleOutcome::Started, 1), (ScheduleOutcome::Missed, 2)]
    );

    // A restart does not begin it again.
    app.shutdown().await;
    drop(app);
    let app = begin(dir.path(), &clock).await;
    app.run_due_schedules().await;
    assert_eq!(runs(&app).len(), 1);
    app.shutdown().await;
}

#[tokio::test]
async fn missed_moments_are_only_told_where_that_is_wanted() {
    let dir = tempfile::tempdir().unwrap();
    let clock = half_past_eight();
    let app = begin(dir.path(), &clock).await;
    let flow = import(&app, "0 9 * * *").await;
    let change = ScheduleChange {
        missed: Some(MissedRuns::Skip),
        ..ScheduleChange::default()
    };
    app.change_flow_schedule(&flow, change).await.unwrap();
    clock.advance(HOUR * 24 * 3);
    app.run_due_schedules().await;
    assert!(runs(&app).is_empty());
    assert_eq!(told(&app, &flow), [(ScheduleOutcome::Missed, 3)]);

    // One that is a few seconds late is not missed.
    clock.set(serde_json::from_value(json!("2026-03-05T09:00:20Z")).unwrap());
    app.run_due_schedules().await;
    assert_eq!(runs(&app).len(), 1);
    app.shutdown().await;
}

#[tokio::test]
async fn a_moment_that_comes_while_the_last_run_waits_is_left_out_and_told() {
    let dir = tempfile::tempdir().unwrap();
    let clock = half_past_eight();
    let app = begin(dir.path(), &clock).await;
    let flow = import(&app, "0 * * * *").await;
    clock.advance(HOUR);
    app.run_due_schedules().await;
    until("the question", || pending(&app).len() == 1).await;
    for _ in 0..3 {
        clock.advance(HOUR);
        app.run_due_schedules().await;
    }
    assert_eq!(runs(&app).len(), 1, "nobody is asked the same thing twice");
    assert_eq!(
        told(&app, &flow),
        [(ScheduleOutcome::Overlapped, 3), (ScheduleOutcome::Started, 1)]
    );
    assert_eq!(
        schedule(&app, &flow).recent[0].execution_id,
        Some(runs(&app)[0].id.clone()),
        "it names the run in the way"
    );

    let change = ScheduleChange {
        overlap: Some(OverlappingRuns::Start),
        ..ScheduleChange::default()
    };
    app.change_flow_schedule(&flow, change).await.unwrap();
    clock.advance(HOUR);
    app.run_due_schedules().await;
    until("both questions", || pending(&app).len() == 2).await;
    app.shutdown().await;
}

#[tokio::test]
async fn a_schedule_that_does_not_count_begins_nothing_also_not_later() {
    let dir = tempfile::tempdir().unwrap();
    let clock = half_past_eight();
    let app = begin(dir.path(), &clock).await;
    let flow = import(&app, "0 9 * * *").await;
    let enabled = |enabled| ScheduleChange {
        enabled: Some(enabled),
        ..ScheduleChange::default()
    };
    let view = app.change_flow_schedule(&flow, enabled(false)).await.unwrap();
    assert_eq!((view.enabled, view.next), (false, None));
    clock.advance(HOUR * 24);
    assert_eq!(app.run_due_schedules().await, None);
    let view = app.change_flow_schedule(&flow, enabled(true)).await.unwrap();
    assert_eq!(view.next.as_deref(), Some("2026-03-02T09:00:00.000Z"));
    app.run_due_schedules().await;
    assert!(runs(&app).is_empty(), "what passed meanwhile is not made up for");
    app.shutdown().await;
}

#[tokio::test]
async fn a_clock_that_was_wrong_does_not_stop_a_schedule() {
    let dir = tempfile::tempdir().unwrap();
    let clock = half_past_eight();
    let right = clock.now();
    let app = begin(dir.path(), &clock).await;
    let flow = import(&app, "0 9 * * *").await;
    clock.advance(HOUR * 24 * 365);
    app.run_due_schedules().await;
    assert_eq!(runs(&app).len(), 1);
    let change = ScheduleChange {
        overlap: Some(OverlappingRuns::Start),
        ..ScheduleChange::default()
    };
    app.change_flow_schedule(&flow, change).await.unwrap();

    clock.set(Timestamp::from_millis(right.as_millis()));
    assert_eq!(
        schedule(&app, &flow).next.as_deref(),
        Some("2026-03-01T09:00:00.000Z")
    );
    app.run_due_schedules().await;
    clock.advance(HOUR);
    app.run_due_schedules().await;
    assert_eq!(runs(&app).len(), 2, "the moment of the right clock counts");
    app.shutdown().await;
}

#[tokio::test]
async fn the_program_looks_at_the_clock_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let app = crate::support::start(dir.path()).await;
    import(&app, "* * * * * *").await;
    until("a run", || {
        runs(&app).iter().any(|run| run.state == ExecutionState::Stopped)
    })
    .await;
    app.shutdown().await;
}

#[tokio::test]
async fn a_schedule_that_cannot_be_used_is_told_and_cannot_be_changed() {
    let dir = tempfile::tempdir().unwrap();
    let app = begin(dir.path(), &half_past_eight()).await;
    let flow = import(&app, "every morning").await;
    let view = app.flow(&flow).unwrap();
    assert!(view.summary.schedule.is_none());
    assert!(
        view.summary
            .problems
            .iter()
            .any(|problem| problem.contains("every morning")),
        "{:?}",
        view.summary.problems
    );
    let refused = app
        .change_flow_schedule(&flow, ScheduleChange::default())
        .await
        .unwrap_err();
    assert_eq!(refused.code, ErrorCode::Invalid);
    assert!(app.delete_flow(&flow).await.is_ok());
    app.shutdown().await;
}

/// Nobody starts it from outside; what it asks is answered there all the same.
#[tokio::test]
async fn a_scheduled_flow_is_not_started_by_the_prediction_api_and_answered_by_it() {
    let dir = tempfile::tempdir().unwrap();
    let clock = half_past_eight();
    let app = begin(dir.path(), &clock).await;
    let flow = import(&app, "0 9 * * *").await;
    let refused = predict(&app, &flow, json!({ "question": "now" }))
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("configured as a Schedule Trigger"),
        "{refused}"
    );
    assert!(runs(&app).is_empty());
    clock.advance(HOUR);
    app.run_due_schedules().await;
    until("the question", || pending(&app).len() == 1).await;
    let answer = json!({ "chatId": pending(&app)[0].chat_id, "humanInput": { "type": "proceed" } });
    assert_eq!(predict(&app, &flow, answer).await.unwrap()["text"], "cleaned");
    app.shutdown().await;
}
