//! Variables of all flows, and what the operator says about the steps of one.

use countersign_app::view::{VariableChange, VariableKind};
use countersign_app::{ErrorCode, RunPolicy, StepPolicy};
use countersign_testkit::flows::FlowOptions;
use serde_json::{Value, json};

use crate::support::{call, start};

const REPLY: &str = r#"{"nodes":[
    {"id":"startAgentflow_0","data":{"name":"startAgentflow","label":"Start",
      "inputs":{"startInputType":"webhookTrigger","webhookResponseMode":"sync"}}},
    {"id":"directReplyAgentflow_0","data":{"name":"directReplyAgentflow","label":"Answer",
      "inputs":{"directReplyMessage":"{{ $vars.GREETING }} {{ $vars.KEY }} {{ $vars.MISSING }}"}}}],
  "edges":[{"source":"startAgentflow_0","sourceHandle":"startAgentflow_0-output-startAgentflow",
    "target":"directReplyAgentflow_0"}]}"#;

fn change(kind: VariableKind, value: &str) -> VariableChange {
    VariableChange {
        kind,
        value: Some(value.to_owned()),
    }
}

#[tokio::test]
async fn flows_read_variables_and_secrets_are_shown_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    let app = start(dir.path()).await;
    let flow = app.import_flow(REPLY, Some("Vars")).await.unwrap();
    app.set_variable("GREETING", change(VariableKind::Static, "hello"))
        .await
        .unwrap();
    app.set_variable("KEY", change(VariableKind::Secret, "s3cret-value"))
        .await
        .unwrap();
    let answer = call(&app, &flow.summary.id, json!({})).await.unwrap();
    assert_eq!(answer["text"], "hello s3cret-value {{ $vars.MISSING }}");

    let shown = serde_json::to_string(&app.variables()).unwrap();
    assert!(shown.contains("hello") && !shown.contains("s3cret"), "{shown}");
    let execution = answer["executionId"].as_str().unwrap();
    let steps = serde_json::to_string(&app.execution_steps(execution).unwrap()).unwrap();
    assert!(
        steps.contains("hello [REDACTED]") && !steps.contains("s3cret"),
        "{steps}"
    );
    app.shutdown().await;

    let stored = std::fs::read_dir(dir.path().join("store"))
        .into_iter()
        .flatten()
        .flatten();
    for file in stored {
        let bytes = std::fs::read(file.path()).unwrap_or_default();
        let found = bytes.windows(9).any(|window| window == b"\"s3cret-v");
        assert!(!found, "{} holds the secret as it is", file.path().display());
    }
    let app = start(dir.path()).await;
    let answer = call(&app, &flow.summary.id, json!({})).await.unwrap();
    assert_eq!(
        answer["text"], "hello s3cret-value {{ $vars.MISSING }}",
        "they outlive a restart"
    );
    app.delete_variable("GREETING").await.unwrap();
    assert_eq!(
        app.delete_variable("GREETING").await.unwrap_err().code,
        ErrorCode::NotFound
    );
    for name in ["", "a b", "a.b", "{{x}}"] {
        let refused = app.set_variable(name, change(VariableKind::Static, "x")).await;
        assert_eq!(refused.unwrap_err().code, ErrorCode::Invalid, "{name:?}");
    }
}

#[tokio::test]
async fn a_strict_flow_fails_on_a_reference_without_a_value_and_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let app = start(dir.path()).await;
    let flow = app.import_flow(REPLY, Some("Vars")).await.unwrap();
    let strict = RunPolicy {
        strict: true,
        ..RunPolicy::default()
    };
    app.set_flow_policy(&flow.summary.id, strict.clone())
        .await
        .unwrap();
    let error = call(&app, &flow.summary.id, json!({})).await.unwrap_err();
    assert!(
        error.message.contains("{{ $vars.GREETING }}")
            && error.message.contains("directReplyMessage")
            && error.message.contains("“Answer”"),
        "{error}"
    );
    app.shutdown().await;
    let app = start(dir.path()).await;
    assert_eq!(
        app.flow_policy(&flow.summary.id).unwrap(),
        strict,
        "it outlives a restart"
    );
    assert!(call(&app, &flow.summary.id, json!({})).await.is_err());

    let unknown: RunPolicy =
        serde_json::from_value(json!({"steps": {"nothing_0": StepPolicy::default()}})).unwrap();
    assert_eq!(
        app.set_flow_policy(&flow.summary.id, unknown)
            .await
            .unwrap_err()
            .code,
        ErrorCode::Invalid
    );
    let never: RunPolicy =
        serde_json::from_value(json!({"steps": {"directReplyAgentflow_0": {"timeoutSeconds": 0}}})).unwrap();
    assert_eq!(
        app.set_flow_policy(&flow.summary.id, never)
            .await
            .unwrap_err()
            .code,
        ErrorCode::Invalid
    );
}

#[tokio::test]
async fn every_step_says_why_it_ran_or_did_not() {
    let dir = tempfile::tempdir().unwrap();
    let app = start(dir.path()).await;
    let flow = crate::support::import_gate(&app, &FlowOptions::sync()).await;
    let stopped = call(&app, &flow.summary.id, json!({ "item": "v1" }))
        .await
        .unwrap();
    let execution = stopped["executionId"].as_str().unwrap();
    let steps = serde_json::to_value(app.execution_steps(execution).unwrap()).unwrap();
    let of = |steps: &Value, state: &str| -> Vec<String> {
        let steps = steps.as_array().unwrap().iter();
        steps
            .filter(|step| step["state"] == state)
            .map(|step| step["why"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(of(&steps, "finished"), ["The run begins with it"]);
    assert_eq!(of(&steps, "stopped").len(), 1);
    assert_eq!(
        of(&steps, "waiting").len(),
        2,
        "both answers are still possible: {steps}"
    );
    let gate = steps
        .as_array()
        .unwrap()
        .iter()
        .find(|step| step["state"] == "stopped")
        .unwrap();
    assert_eq!(gate["ifApproved"][0], "Reply “released v1”");

    let answer = json!({"chatId": stopped["chatId"], "humanInput": {"type": "reject"}});
    call(&app, &flow.summary.id, answer).await.unwrap();
    let steps = serde_json::to_value(app.execution_steps(execution).unwrap()).unwrap();
    let skipped = of(&steps, "skipped");
    assert_eq!(skipped.len(), 1, "{steps}");
    assert!(skipped[0].contains("took Reject and not Proceed"), "{skipped:?}");
}
