//! Runs in lists, and flows that a person starts.

use countersign_app::view::{
    ExecutionView, FlowStart, FormFieldKind, RunQuery, RunSummary, StartView, VariableChange, VariableKind,
};
use countersign_app::{App, ErrorCode};
use countersign_domain::ExecutionState;
use countersign_testkit::flows::FlowOptions;
use serde_json::{Value, json};

use crate::support::{call, import_gate, pending, predict, start, until};

/// Start → a step of this kind.
fn flow(start: &Value, kind: &str, inputs: &Value) -> String {
    json!({
        "nodes": [
            {"id": "startAgentflow_0", "data": {"name": "startAgentflow", "label": "Start", "inputs": start}},
            {"id": "step_0", "data": {"name": kind, "label": "Step", "inputs": inputs}},
        ],
        "edges": [{"source": "startAgentflow_0", "sourceHandle": "startAgentflow_0-output-startAgentflow", "target": "step_0"}],
    })
    .to_string()
}

fn reply(start: &Value, message: &str) -> String {
    flow(
        start,
        "directReplyAgentflow",
        &json!({ "directReplyMessage": message }),
    )
}

fn form() -> Value {
    json!({
        "startInputType": "formInput",
        "formTitle": "Access",
        "formDescription": "Who, and for how long?",
        "formInputTypes": [
            {"type": "string", "label": "Reason", "name": "reason"},
            {"type": "number", "label": "Hours", "name": "hours"},
            {"type": "boolean", "label": "", "name": "write"},
            {"type": "options", "label": "System", "name": "system", "addOptions": [{"option": "Billing"}, {"option": "Search"}]},
            {"type": "string", "label": "Nobody can read this", "name": ""},
            {"type": "number", "label": "Twice", "name": "reason"},
        ],
    })
}

fn filled(fields: Value) -> FlowStart {
    FlowStart {
        form: fields.as_object().cloned(),
        question: None,
    }
}

fn asked(question: &str) -> FlowStart {
    FlowStart {
        form: None,
        question: Some(question.to_owned()),
    }
}

fn runs(app: &App, query: RunQuery) -> Vec<RunSummary> {
    app.runs(&query).unwrap().runs
}

/// Waits until the run has ended.
async fn ended(app: &App, id: &str) -> ExecutionView {
    until("the end of the run", || {
        app.execution(id).unwrap().state != ExecutionState::InProgress
    })
    .await;
    app.execution(id).unwrap()
}

#[tokio::test]
async fn runs_are_listed_newest_first_by_flow_state_and_page_without_what_they_did() {
    let dir = tempfile::tempdir().unwrap();
    let app = start(dir.path()).await;
    let gate = import_gate(&app, &FlowOptions::sync()).await;
    let webhook = json!({"startInputType": "webhookTrigger"});
    let quick = app
        .import_flow(&reply(&webhook, "done"), Some("Quick"))
        .await
        .unwrap();
    let mut began = Vec::new();
    for flow in [&gate.summary.id, &quick.summary.id, &gate.summary.id] {
        let body = json!({ "item": "v1", "large": "x".repeat(100_000) });
        let answer = call(&app, flow, body).await.unwrap();
        began.insert(0, answer["executionId"].as_str().unwrap().to_owned());
    }

    let first = app
        .runs(&RunQuery {
            limit: Some(2),
            ..RunQuery::default()
        })
        .unwrap();
    let second = app
        .runs(&RunQuery {
            limit: Some(2),
            cursor: first.next.clone(),
            ..RunQuery::default()
        })
        .unwrap();
    let listed: Vec<_> = first.runs.iter().chain(&second.runs).collect();
    assert_eq!(
        listed.iter().map(|run| run.id.clone()).collect::<Vec<_>>(),
        began,
        "each once, the newest first"
    );
    assert!(first.next.is_some() && second.next.is_none(), "{second:?}");
    let text = serde_json::to_string(&listed).unwrap();
    assert!(text.len() < 3_000, "payloads stay where they are: {text}");

    let stopped = RunQuery {
        flow: Some(gate.summary.id.clone()),
        state: Some("STOPPED".to_owned()),
        ..RunQuery::default()
    };
    let waiting = runs(&app, stopped);
    assert_eq!(waiting.len(), 2, "{waiting:?}");
    assert_eq!(waiting[0], app.run(&began[0]).unwrap(), "alone as in the list");
    assert_eq!(
        waiting[0].approval_id.as_ref(),
        Some(&pending(&app)[0].id),
        "the way to the question"
    );
    let quick_run = &runs(
        &app,
        RunQuery {
            flow: Some(quick.summary.id),
            ..RunQuery::default()
        },
    )[0];
    assert_eq!(
        (
            quick_run.state,
            quick_run.flow_name.as_str(),
            &quick_run.approval_id
        ),
        (ExecutionState::Finished, "Quick", &None)
    );

    let nowhere = |query: RunQuery| app.runs(&query).unwrap_err().code;
    assert_eq!(
        nowhere(RunQuery {
            state: Some("ASLEEP".to_owned()),
            ..RunQuery::default()
        }),
        ErrorCode::Invalid
    );
    assert_eq!(
        nowhere(RunQuery {
            limit: Some(201),
            ..RunQuery::default()
        }),
        ErrorCode::Invalid
    );
    assert_eq!(
        nowhere(RunQuery {
            cursor: Some("x".to_owned()),
            ..RunQuery::default()
        }),
        ErrorCode::Invalid
    );
    assert_eq!(app.run("x").unwrap_err().code, ErrorCode::NotFound);
}

#[tokio::test]
async fn a_filled_form_starts_its_flow_which_goes_on_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let app = start(dir.path()).await;
    let text = reply(
        &form(),
        "{{ $form.reason }}: {{ $form.hours }} h of {{ $form.system }}, {{ $form.write }}",
    );
    let flow = app.import_flow(&text, Some("Access")).await.unwrap();
    assert_eq!(flow.summary.starts_by, StartView::Form);
    let shown = flow.summary.form.unwrap();
    assert_eq!(
        (shown.title.as_str(), shown.description.as_str()),
        ("Access", "Who, and for how long?")
    );
    let fields: Vec<_> = shown
        .fields
        .iter()
        .map(|field| (field.name.as_str(), field.label.as_str(), field.kind))
        .collect();
    assert_eq!(
        fields,
        [
            ("reason", "Reason", FormFieldKind::String),
            ("hours", "Hours", FormFieldKind::Number),
            ("write", "write", FormFieldKind::Boolean),
            ("system", "System", FormFieldKind::Options),
        ],
        "what can be read by its name, once"
    );
    assert_eq!(shown.fields[3].options, ["Billing", "Search"]);

    let good = json!({ "reason": "keys", "hours": 2, "write": true, "system": "Search" });
    let with = |name: &str, value: Value| {
        let mut fields = good.clone();
        fields[name] = value;
        filled(fields)
    };
    for (start, says) in [
        (with("hours", json!("2")), "“Hours” must be a number"),
        (with("hours", Value::Null), "“Hours” is missing"),
        (with("write", json!("yes")), "“write” must be yes or no"),
        (with("reason", json!(1)), "“Reason” must be a text"),
        (
            with("system", json!("Payroll")),
            "“System” must be one of its options",
        ),
        (with("other", json!(1)), "“other” is not a field of this form"),
        (filled(json!({})), "“Reason” is missing"),
        (asked("hello"), "starts with a form"),
        (FlowStart::default(), "starts with a form"),
    ] {
        let refused = app.start_flow(&flow.summary.id, start).await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::Invalid);
        assert!(refused.message.contains(says), "{}", refused.message);
    }
    assert_eq!(runs(&app, RunQuery::default()), [], "nothing was started");

    let started = app.start_flow(&flow.summary.id, filled(good)).await.unwrap();
    assert_eq!(started.flow_name, "Access");
    let done = ended(&app, &started.id).await;
    assert_eq!(done.state, ExecutionState::Finished);
    assert!(
        done.execution_data.contains("keys: 2 h of Search, true"),
        "{}",
        done.execution_data
    );
    let unknown = app.start_flow("00000000-0000-4000-8000-000000000001", FlowStart::default());
    assert_eq!(unknown.await.unwrap_err().code, ErrorCode::NotFound);
}

#[tokio::test]
async fn a_message_starts_a_flow_that_is_asked_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let app = start(dir.path()).await;
    let chat = reply(&json!({"startInputType": "chatInput"}), "You said {{ question }}");
    let chat = app.import_flow(&chat, Some("Chat")).await.unwrap();
    assert_eq!(
        (chat.summary.starts_by, &chat.summary.form),
        (StartView::Chat, &None)
    );
    let gate = import_gate(&app, &FlowOptions::sync()).await;
    assert_eq!(gate.summary.starts_by, StartView::Webhook);
    let ids: Vec<_> = gate.summary.nodes.iter().map(|node| node.id.as_str()).collect();
    assert_eq!(
        ids[0], "startAgentflow_0",
        "settings of single steps go by these: {ids:?}"
    );
    assert_eq!(gate.summary.nodes.len(), gate.summary.steps.len());

    for (flow, start) in [
        (&chat.summary.id, asked("  ")),
        (&chat.summary.id, filled(json!({}))),
        (&gate.summary.id, asked("hello")),
    ] {
        assert_eq!(
            app.start_flow(flow, start).await.unwrap_err().code,
            ErrorCode::Invalid
        );
    }
    let started = app.start_flow(&chat.summary.id, asked("hello")).await.unwrap();
    let done = ended(&app, &started.id).await;
    assert!(
        done.execution_data.contains("You said hello"),
        "{}",
        done.execution_data
    );
}

#[tokio::test]
async fn why_a_run_failed_is_said_without_its_secrets() {
    let dir = tempfile::tempdir().unwrap();
    let app = start(dir.path()).await;
    let change = VariableChange {
        kind: VariableKind::Secret,
        value: Some("s3cret-value".to_owned()),
    };
    app.set_variable("KEY", change).await.unwrap();
    let fails = flow(
        &json!({"startInputType": "chatInput"}),
        "customFunctionAgentflow",
        &json!({"customFunctionJavascriptFunction": "throw new Error('refused with ' + $vars.KEY)"}),
    );
    let flow = app.import_flow(&fails, Some("Fails")).await.unwrap();
    let started = app.start_flow(&flow.summary.id, asked("go")).await.unwrap();
    assert_eq!(ended(&app, &started.id).await.state, ExecutionState::Error);
    let failed = runs(
        &app,
        RunQuery {
            state: Some("ERROR".to_owned()),
            ..RunQuery::default()
        },
    )
    .remove(0);
    let error = failed.error.unwrap();
    assert!(
        error.contains("refused with [REDACTED]") && !error.contains("buildChatflow"),
        "for people: {error}"
    );
}

/// Of several people who try a failed step again at once, one does.
#[tokio::test]
async fn a_failed_step_is_tried_again_once_at_a_time() {
    let target = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", target.local_addr().unwrap());
    let taken = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let calls = taken.clone();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((connection, _)) = target.accept().await {
            // The first one gets no answer; those after it wait for one.
            if calls.fetch_add(1, std::sync::atomic::Ordering::SeqCst) > 0 {
                held.push(connection);
            }
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let app = start(dir.path()).await;
    let text = flow(
        &json!({ "startInputType": "chatInput" }),
        "httpAgentflow",
        &json!({ "method": "POST", "url": url }),
    );
    let id = app.import_flow(&text, Some("calls")).await.unwrap().summary.id;
    let run = app.start_flow(&id, asked("now")).await.unwrap().id;
    let failed = ended(&app, &run).await;
    assert_eq!(failed.state, ExecutionState::Error);
    assert_eq!(app.run(&run).unwrap().failed_step.as_deref(), Some("Step"));
    let listed = runs(&app, RunQuery::default());
    assert_eq!(listed[0].failed_step.as_deref(), Some("Step"), "lists say it too");

    let tried = futures_util::future::join_all((0..8).map(|_| app.continue_execution(&run, None))).await;
    let (went, refused): (Vec<_>, Vec<_>) = tried.into_iter().partition(Result::is_ok);
    assert_eq!(went.len(), 1, "exactly one gets it going");
    for refused in refused {
        assert_eq!(refused.unwrap_err().code, ErrorCode::NotWaiting);
    }
    until("the second call", || {
        taken.load(std::sync::atomic::Ordering::SeqCst) == 2
    })
    .await;
    let under_way = app.run(&run).unwrap();
    assert_eq!(
        (under_way.state, under_way.failed_step),
        (ExecutionState::InProgress, None)
    );
}

/// The answer repeats what was filled in, at its place among the keys (webhook spec §8.1), until somebody has answered.
#[tokio::test]
async fn the_answer_of_a_form_flow_holds_the_form() {
    let dir = tempfile::tempdir().unwrap();
    let app = start(dir.path()).await;
    let id = app
        .import_flow(&reply(&form(), "because {{ $form.reason }}"), None)
        .await
        .unwrap()
        .summary
        .id;
    let answer = predict(&app, &id, json!({ "form": { "reason": "x", "hours": 2 } }))
        .await
        .unwrap();
    let keys: Vec<&str> = answer.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        [
            "text",
            "form",
            "chatId",
            "chatMessageId",
            "executionId",
            "agentFlowExecutedData",
            "sessionId"
        ]
    );
    assert_eq!(answer["form"], json!({ "reason": "x", "hours": 2 }));
    let asks = flow(
        &form(),
        "humanInputAgentflow",
        &json!({ "humanInputDescriptionType": "fixed" }),
    );
    let id = app.import_flow(&asks, None).await.unwrap().summary.id;
    let stopped = predict(&app, &id, json!({ "form": { "reason": "y" } }))
        .await
        .unwrap();
    assert_eq!(stopped["form"], json!({ "reason": "y" }));
    let resume = json!({ "chatId": stopped["chatId"], "humanInput": { "type": "proceed" } });
    assert_eq!(predict(&app, &id, resume).await.unwrap().get("form"), None);
    app.shutdown().await;
}
