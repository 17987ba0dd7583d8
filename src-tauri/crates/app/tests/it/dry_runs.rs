//! Dry runs: every flow that runs can be tried without an outside effect (issue 3, explain).

use countersign_app::view::{DryRunOutcome, DryRunRequest, DryRunView, StepStateView};
use countersign_app::{App, ErrorCode};
use serde_json::{Value, json};

use crate::support::start;

fn node(id: &str, label: &str, inputs: &Value) -> Value {
    let name = id.rsplit_once('_').unwrap().0;
    json!({"id": id, "data": {"name": name, "label": label, "inputs": inputs}})
}

fn edge(from: &str, output: &str, to: &str) -> Value {
    json!({"source": from, "sourceHandle": format!("{from}-output-{output}"), "target": to})
}

async fn dry(app: &App, nodes: Value, edges: Value, body: Option<Value>) -> DryRunView {
    let text = json!({"nodes": nodes, "edges": edges}).to_string();
    let flow = app.import_flow(&text, None).await.unwrap();
    let request = DryRunRequest { body, answer: None };
    app.dry_run(&flow.summary.id, request).await.unwrap()
}

fn webhook(more: &Value) -> Value {
    let mut inputs = json!({"startInputType": "webhookTrigger"});
    for (key, value) in more.as_object().unwrap() {
        inputs[key] = value.clone();
    }
    node("startAgentflow_0", "Start", &inputs)
}

/// A step that can go on only with an answer of some form gets one, and the run says which.
#[tokio::test]
async fn a_model_whose_answer_decides_or_has_a_form_lets_the_run_go_on_and_the_run_says_how() {
    let dir = tempfile::tempdir().unwrap();
    let app = start(dir.path()).await;
    let scenarios = json!([{"scenario": "It is \"urgent\""}, {"scenario": "Anything else"}]);
    let view = dry(
        &app,
        json!([
            webhook(&json!({})),
            node("conditionAgentAgentflow_0", "Sort", &json!({
                "conditionAgentModel": "chatOpenAI", "conditionAgentInput": "x", "conditionAgentScenarios": scenarios,
            })),
            node("llmAgentflow_0", "Write", &json!({
                "llmModel": "chatOpenAI", "llmMessages": [{"role": "user", "content": "hi"}],
                "llmStructuredOutput": [{"key": "risk", "type": "enum", "enumValues": "low,high"}],
            })),
            node("directReplyAgentflow_0", "Other", &json!({"directReplyMessage": "no"})),
        ]),
        json!([
            edge("startAgentflow_0", "startAgentflow", "conditionAgentAgentflow_0"),
            edge("conditionAgentAgentflow_0", "0", "llmAgentflow_0"),
            edge("conditionAgentAgentflow_0", "1", "directReplyAgentflow_0"),
        ]),
        None,
    )
    .await;
    assert_eq!(
        (view.outcome, view.error.as_deref()),
        (DryRunOutcome::Finished, None)
    );
    assert_eq!(
        view.effects,
        [
            r#"“Sort” would ask the language model chatOpenAI; here it counts as answered by {"output":"It is \"urgent\""}"#,
            r#"“Write” would ask the language model chatOpenAI; here it counts as answered by {"risk":"low"}"#,
        ]
    );
    let other = view.steps.iter().find(|step| step.label == "Other").unwrap();
    assert_eq!(other.state, StepStateView::Skipped);
    app.shutdown().await;
}

#[tokio::test]
async fn requests_of_code_count_as_answered_and_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let app = start(dir.path()).await;
    let code = "const answer = await fetch('http://192.0.2.1/pay?x=1', {method: 'POST', body: 'five'});\n\
                return answer.status + JSON.stringify(await answer.json());";
    let view = dry(
        &app,
        json!([
            webhook(&json!({})),
            node(
                "customFunctionAgentflow_0",
                "Pay",
                &json!({"customFunctionJavascriptFunction": code})
            ),
        ]),
        json!([edge(
            "startAgentflow_0",
            "startAgentflow",
            "customFunctionAgentflow_0"
        )]),
        None,
    )
    .await;
    assert_eq!((view.text.as_str(), view.error.as_deref()), ("200{}", None));
    assert_eq!(view.effects, ["POST http://192.0.2.1/pay?x=1: five"]);
    app.shutdown().await;
}

/// What no webhook call could bring is refused, instead of being taken for something else.
#[tokio::test]
async fn a_body_that_no_call_could_bring_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let app = start(dir.path()).await;
    let flow = async |start: Value| {
        let nodes = json!([
            start,
            node(
                "directReplyAgentflow_0",
                "Reply",
                &json!({
                    "directReplyMessage": "{{ $webhook.body.a }}{{ question }}"
                })
            )
        ]);
        let edges = json!([edge(
            "startAgentflow_0",
            "startAgentflow",
            "directReplyAgentflow_0"
        )]);
        let text = json!({"nodes": nodes, "edges": edges}).to_string();
        app.import_flow(&text, None).await.unwrap().summary.id
    };
    let run = async |id: &str, body: Value| {
        let request = DryRunRequest {
            body: Some(body),
            answer: None,
        };
        app.dry_run(id, request).await
    };
    for content_type in [json!({}), json!({"webhookContentType": "application/json"})] {
        let id = flow(webhook(&content_type)).await;
        for body in [json!("{bad"), json!(7), json!(true), json!(null)] {
            let refused = run(&id, body.clone()).await.unwrap_err();
            assert_eq!(refused.code, ErrorCode::Invalid, "{body}");
            assert!(refused.to_string().contains("JSON object"), "{refused}");
        }
        assert!(run(&id, json!({"a": "1"})).await.unwrap().text.starts_with('1'));
    }
    let form = flow(webhook(
        &json!({"webhookContentType": "application/x-www-form-urlencoded"}),
    ))
    .await;
    assert!(
        run(&form, json!("a=1+2&b=3"))
            .await
            .unwrap()
            .text
            .starts_with("1 2")
    );
    let chat = flow(node(
        "startAgentflow_0",
        "Start",
        &json!({"startInputType": "chatInput"}),
    ))
    .await;
    assert!(
        run(&chat, json!("{bad")).await.unwrap().text.ends_with("{bad"),
        "a message is a text"
    );
    app.shutdown().await;
}
