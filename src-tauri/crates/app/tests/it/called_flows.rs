//! Flows that call other flows, as people see them.

use countersign_domain::ExecutionState;
use countersign_notify::{FakeNotifier, NoticeKey};
use serde_json::{Value, json};

use crate::support::{call, pending, start, start_with, until};

fn node(id: &str, label: &str, inputs: &Value) -> Value {
    let name = id.rsplit_once('_').unwrap().0;
    json!({"id": id, "data": {"id": id, "name": name, "label": label, "inputs": inputs}})
}

fn flow(start: &str, step: Value) -> String {
    let target = step["id"].clone();
    json!({
        "nodes": [node("startAgentflow_0", "Start", &json!({"startInputType": start})), step],
        "edges": [{"source": "startAgentflow_0", "sourceHandle": "startAgentflow_0-output-startAgentflow", "target": target}],
    })
    .to_string()
}

fn calls(id: &str) -> String {
    flow(
        "webhookTrigger",
        node(
            "executeFlowAgentflow_0",
            "Call child",
            &json!({"executeFlowSelectedFlow": id, "executeFlowInput": "x"}),
        ),
    )
}

/// Issue 3, item 1: a question of a called flow shows the names of both.
#[tokio::test]
async fn a_question_of_a_called_flow_shows_the_names_of_both_everywhere() {
    let dir = tempfile::tempdir().unwrap();
    let desktop = FakeNotifier::new();
    let app = start_with(dir.path(), Box::new(desktop.clone())).await;
    let ask = node(
        "humanInputAgentflow_0",
        "Gate",
        &json!({
            "humanInputDescriptionType": "fixed", "humanInputDescription": "Pay?"
        }),
    );
    let child = app
        .import_flow(&flow("chatInput", ask), Some("Review"))
        .await
        .unwrap()
        .summary;
    let parent = app
        .import_flow(&calls(&child.id), Some("Payments"))
        .await
        .unwrap()
        .summary;
    call(&app, &parent.id, json!({})).await.unwrap();
    until("the question", || pending(&app).len() == 1).await;
    let listed = pending(&app).remove(0);
    assert_eq!(
        (listed.flow_name.as_str(), listed.node_label.as_str()),
        ("Payments › Review", "Call child › Gate")
    );
    assert_eq!(listed.flow_id, parent.id, "the flow that was called from outside");
    let view = app.approval(&listed.id).unwrap();
    assert_eq!(view.summary.flow_name, "Payments › Review");
    let steps = app.execution_steps(&listed.execution_id).unwrap();
    assert_eq!(
        steps[1].called[1].why, "“Start” was done",
        "the steps inside say why"
    );
    let key = NoticeKey::Approval(listed.id.parse().unwrap());
    until("the notification", || desktop.find(key).is_some()).await;
    let shown = format!("{:?}", desktop.find(key));
    assert!(shown.contains("Payments › Review"), "{shown}");
    app.shutdown().await;
    let app = start(dir.path()).await;
    assert_eq!(
        pending(&app)[0].flow_name,
        "Payments › Review",
        "also after a restart"
    );
    app.shutdown().await;
}

/// What can only fail is among the problems of the flow.
#[tokio::test]
async fn a_flow_that_calls_itself_or_nothing_is_told_to_fail() {
    let dir = tempfile::tempdir().unwrap();
    let app = start(dir.path()).await;
    let id = app.import_flow(&calls(""), Some("Round")).await.unwrap().summary;
    assert!(
        id.problems
            .iter()
            .any(|problem| problem.contains("has no flow that it calls")),
        "{:?}",
        id.problems
    );
    let itself = app
        .replace_flow(&id.id, Some(&calls(&id.id)), None)
        .await
        .unwrap()
        .summary;
    assert_eq!(
        itself.problems,
        ["“Call child” calls this flow itself, so it fails whenever a run comes to it."]
    );
    call(&app, &id.id, json!({})).await.unwrap_err();
    let run = app
        .runs(&countersign_app::view::RunQuery::default())
        .unwrap()
        .runs
        .remove(0);
    assert_eq!(run.state, ExecutionState::Error, "and so it does");
    app.shutdown().await;
}
