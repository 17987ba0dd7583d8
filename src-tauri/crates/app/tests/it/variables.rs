//! Variables of all flows, and what the operator says about the steps of one.

use std::path::{Path, PathBuf};

use countersign_app::view::{VariableChange, VariableKind};
use countersign_app::{ErrorCode, RunPolicy, StepPolicy, Surface};
use countersign_testkit::flows::FlowOptions;
use countersign_testkit::{CallbackReceiver, ScriptedReply};
use serde_json::{Value, json};

use crate::support::{call, pending, start, until};

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
    assert_eq!(answer["text"], "hello [REDACTED] {{ $vars.MISSING }}");

    let shown = serde_json::to_string(&app.variables()).unwrap();
    assert!(shown.contains("hello") && !shown.contains("s3cret"), "{shown}");
    let execution = answer["executionId"].as_str().unwrap();
    let steps = serde_json::to_string(&app.execution_steps(execution).unwrap()).unwrap();
    assert!(
        steps.contains("hello [REDACTED]") && !steps.contains("s3cret"),
        "{steps}"
    );
    app.shutdown().await;

    let mut files = 0;
    for file in files_below(dir.path()) {
        let bytes = std::fs::read(&file).unwrap();
        let found = bytes.windows(8).any(|window| window == b"s3cret-v");
        assert!(!found, "{} holds the secret as it is", file.display());
        files += 1;
    }
    assert!(files > 5, "it was looked for");
    let app = start(dir.path()).await;
    let answer = call(&app, &flow.summary.id, json!({})).await.unwrap();
    assert_eq!(
        answer["text"], "hello [REDACTED] {{ $vars.MISSING }}",
        "they outlive a restart"
    );
    app.set_variable("KEY", change(VariableKind::Secret, "another s3cret"))
        .await
        .unwrap();
    let answer = call(&app, &flow.summary.id, json!({})).await.unwrap();
    assert_eq!(
        answer["text"], "hello [REDACTED] {{ $vars.MISSING }}",
        "a secret that changed is known at once"
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

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => files.extend(files_below(&entry.path())),
            false => files.push(entry.path()),
        }
    }
    files
}

/// Start → Call with the secret → Gate that shows the answer → Reply with it, or a step that fails with it.
fn telling(url: &str, callback: &str, fails: bool) -> String {
    let node = |name: &str, label: &str, inputs: Value| {
        let id = format!("{name}_0");
        json!({"id": id, "data": {"name": name, "label": label, "inputs": inputs}})
    };
    let edge = |source: &str, output: &str, target: &str| {
        let handle = format!("{source}_0-output-{output}");
        json!({"source": format!("{source}_0"), "sourceHandle": handle, "target": format!("{target}_0")})
    };
    let code = "throw new Error(`it was ${$vars.KEY}`)";
    let last = match fails {
        true => node(
            "customFunctionAgentflow",
            "Fail",
            json!({"customFunctionJavascriptFunction": code}),
        ),
        false => node(
            "directReplyAgentflow",
            "Answer",
            json!({"directReplyMessage": "got {{ httpAgentflow_0.output.http.data }}"}),
        ),
    };
    let name = last["data"]["name"].as_str().unwrap().to_owned();
    let start =
        json!({"startInputType": "webhookTrigger", "webhookResponseMode": "async", "callbackUrl": callback});
    let call = json!({"method": "GET", "url": format!("{url}?key={{{{ $vars.KEY }}}}"), "responseType": "text",
        "headers": [{"key": "authorization", "value": "Bearer {{ $vars.KEY }}"}]});
    let gate = json!({"humanInputDescriptionType": "fixed", "humanInputDescription": "Use {{ $vars.KEY }}?"});
    let nodes = [
        node("startAgentflow", "Start", start),
        node("httpAgentflow", "Call", call),
        node("humanInputAgentflow", "Gate", gate),
        last,
    ];
    let edges = [
        edge("startAgentflow", "startAgentflow", "httpAgentflow"),
        edge("httpAgentflow", "httpAgentflow", "humanInputAgentflow"),
        edge("humanInputAgentflow", "0", &name),
    ];
    json!({"nodes": nodes, "edges": edges}).to_string()
}

#[tokio::test]
async fn a_secret_works_in_a_run_and_leaves_it_nowhere() {
    const SECRET: &str = "s3cret \"value\"/x";
    let dir = tempfile::tempdir().unwrap();
    let receiver = CallbackReceiver::answering(|asked, _| ScriptedReply {
        body: asked.header("authorization").unwrap_or_default().to_owned(),
        ..ScriptedReply::status(200)
    });
    let app = start(dir.path()).await;
    app.set_variable("KEY", change(VariableKind::Secret, SECRET))
        .await
        .unwrap();
    let mut shown = Vec::new();
    for (round, fails) in [false, true].into_iter().enumerate() {
        let flow = telling(&receiver.url("/api"), &receiver.url("/cb"), fails);
        let flow = app.import_flow(&flow, Some("Telling")).await.unwrap();
        call(&app, &flow.summary.id, json!({})).await.unwrap();
        let callbacks = || receiver.received_at("/cb");
        until("a question", || callbacks().len() == 2 * round + 1).await;
        let question = pending(&app).remove(0);
        shown.push(serde_json::to_string(&app.approval(&question.id).unwrap()).unwrap());
        let yes = serde_json::from_value(json!({"outcome": "approve"})).unwrap();
        app.decide(&question.id, yes, Surface::Inbox, None).await.unwrap();
        until("an end", || callbacks().len() == 2 * round + 2).await;
        shown.push(serde_json::to_string(&app.execution(&question.execution_id).unwrap()).unwrap());
        shown.push(serde_json::to_string(&app.execution_steps(&question.execution_id).unwrap()).unwrap());
        shown.push(serde_json::to_string(&app.run(&question.execution_id).unwrap()).unwrap());
    }
    let calls = receiver.received_at("/api");
    assert_eq!(
        calls[0].header("authorization"),
        Some(format!("Bearer {SECRET}").as_str()),
        "where it is meant to go it goes"
    );
    let callbacks = receiver.received_at("/cb");
    let statuses: Vec<_> = callbacks.iter().map(|one| one.status()).collect();
    assert_eq!(statuses, ["STOPPED", "SUCCESS", "STOPPED", "ERROR"]);
    shown.extend(callbacks.iter().map(|one| one.json().to_string()));
    for text in &shown {
        assert!(!text.contains("s3cret"), "{text}");
    }
    let whole = shown.concat();
    assert!(whole.contains("Use [REDACTED]?"), "{whole}");
    assert!(whole.contains("got Bearer [REDACTED]"), "{whole}");
    assert!(whole.contains("it was [REDACTED]"), "{whole}");
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

#[tokio::test]
async fn a_run_cannot_be_told_to_go_on_without_what_a_step_decides() {
    let dir = tempfile::tempdir().unwrap();
    let app = start(dir.path()).await;
    let gate =
        countersign_testkit::flows::start_gate_replies(&countersign_testkit::flows::FlowOptions::sync());
    let flow = app.import_flow(&gate, Some("Gate")).await.unwrap();
    let go_on = |step: &str| -> RunPolicy {
        serde_json::from_value(json!({"steps": {step: {"onError": "continue"}}})).unwrap()
    };
    let refused = app
        .set_flow_policy(&flow.summary.id, go_on("humanInputAgentflow_0"))
        .await;
    assert_eq!(refused.unwrap_err().code, ErrorCode::Invalid);
    assert_eq!(app.flow_policy(&flow.summary.id).unwrap(), RunPolicy::default());
    app.set_flow_policy(&flow.summary.id, go_on("directReplyAgentflow_0"))
        .await
        .unwrap();
}
