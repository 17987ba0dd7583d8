//! Runs that are watched: what a reader hears, and what one that reads slowly or not at all costs.

use std::time::Duration;

use countersign_app::view::{ConnectionChange, ConnectionKind, RunQuery};
use countersign_app::{App, RunStream, WebhookReply, WebhookRequest};
use countersign_domain::ExecutionState;
use countersign_testkit::{ModelAnswer, ModelServer};
use serde_json::{Value, json};

use crate::support::{start, until};

/// A flow of these nodes in a row, each its kind and its inputs, whose caller watches it.
fn flow(nodes: &[(&str, Value)]) -> String {
    document(nodes, false)
}

/// The same, where all of them may lie behind the Start.
fn document(nodes: &[(&str, Value)], beside: bool) -> String {
    let start = json!({"startInputType": "webhookTrigger", "webhookResponseMode": "stream",
        "webhookDefaultInput": "{{ $webhook.body.q }}"});
    let all = std::iter::once(("startAgentflow", start)).chain(nodes.iter().cloned());
    let made: Vec<Value> = all
        .enumerate()
        .map(|(place, (name, inputs))| {
            json!({"id": format!("{name}_{place}"), "data": {"name": name, "label": format!("Step {place}"), "inputs": inputs}})
        })
        .collect();
    let source = |place: usize| if beside { 0 } else { place };
    let edges: Vec<Value> = (1..made.len())
        .map(|place| {
            let source = made[source(place - 1)]["id"].as_str().unwrap();
            json!({"source": source, "target": made[place]["id"], "sourceHandle": format!("{source}-output-x")})
        })
        .collect();
    json!({"nodes": made, "edges": edges}).to_string()
}

/// Replies, each of which repeats the call, one behind the other or all behind the Start. The last of a branch is told.
fn replies(count: usize, beside: bool) -> String {
    let reply = json!({"directReplyMessage": "{{ question }}"});
    document(&vec![("directReplyAgentflow", reply); count], beside)
}

async fn import(app: &App, text: &str) -> String {
    app.import_flow(text, Some("Watched")).await.unwrap().summary.id
}

async fn watch(app: &App, flow: &str, body: Value) -> RunStream {
    let request = WebhookRequest {
        flow_id: flow.to_owned(),
        method: "POST".to_owned(),
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        query: json!({}),
        raw_body: Some(body.to_string().into()),
        body: Some(body),
    };
    match Box::pin(app.webhook(request)).await.unwrap() {
        WebhookReply::Stream(stream) => stream,
        other => panic!("a stream was expected: {other:?}"),
    }
}

async fn rest(mut stream: RunStream) -> Vec<Value> {
    let mut events = Vec::new();
    while let Some(event) = stream.next().await {
        events.push(serde_json::from_str(&event.json).unwrap());
    }
    events
}

/// Waits until the only run has come to its end.
async fn finished(app: &App) {
    let all = RunQuery::default();
    until("the end of the run", || {
        let runs = app.runs(&all).unwrap().runs;
        runs.first()
            .is_some_and(|run| run.state == ExecutionState::Finished)
    })
    .await;
}

fn states(events: &[Value]) -> Vec<&Value> {
    let states = events
        .iter()
        .filter(|event| event["event"] == "agentFlowExecutedData");
    states.map(|event| &event["data"]).collect()
}

/// Each event in a word or two; pieces of a text that follow one another count as one.
fn in_words(events: &[Value]) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for event in events {
        let (name, data) = (event["event"].as_str().unwrap(), &event["data"]);
        let text = match name {
            "agentFlowEvent" | "token" | "end" | "error" => data.as_str().unwrap().to_owned(),
            "thinking" => format!("{}{}", data.as_str().unwrap(), event["duration"]),
            "nextAgentFlow" => format!(
                "{} {}",
                data["nodeLabel"].as_str().unwrap(),
                data["status"].as_str().unwrap()
            ),
            "usageMetadata" => data["total_tokens"].to_string(),
            "calledTools" | "usedTools" => {
                let tools = data.as_array().unwrap().iter();
                let names: Vec<_> = tools.map(|tool| tool["tool"].as_str().unwrap()).collect();
                names.join(" ")
            }
            "agentFlowExecutedData" => data.as_array().unwrap().len().to_string(),
            _ => String::new(),
        };
        match words.last_mut() {
            Some(last) if name == "token" && last.starts_with("token: ") => last.push_str(&text),
            _ => words.push(format!("{name}: {text}")),
        }
    }
    words
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_was_away_gets_the_newest_state_and_everything_else() {
    let dir = tempfile::tempdir().unwrap();
    let app = start(dir.path()).await;
    let id = import(&app, &replies(60, false)).await;
    let stream = watch(&app, &id, json!({"q": "y".repeat(40_000)})).await;
    finished(&app).await;
    let events = rest(stream).await;
    let ended = events
        .iter()
        .filter(|event| event["data"]["status"] == "FINISHED");
    assert_eq!(ended.count(), 61, "each step was told");
    let states = states(&events);
    assert_eq!(
        states.last().unwrap().as_array().unwrap().len(),
        61,
        "the last state is whole"
    );
    let bytes: usize = states.iter().map(|state| state.to_string().len()).sum();
    assert!(
        bytes < 4 << 20,
        "all states would be 70 MiB, the last one is 2.5: {bytes} bytes in {}",
        states.len()
    );
    let end = in_words(&events[events.len() - 5..]);
    assert_eq!(
        end,
        [
            "nextAgentFlow: Step 60 FINISHED",
            "agentFlowExecutedData: 61",
            "agentFlowEvent: FINISHED",
            "metadata: ",
            "end: [DONE]"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_never_reads_loses_the_stream_and_not_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let app = start(dir.path()).await;
    let id = import(&app, &replies(300, true)).await;
    let stream = watch(&app, &id, json!({"q": "y".repeat(40_000)})).await;
    finished(&app).await;
    let left = rest(stream).await;
    assert!(left.is_empty(), "nothing waits for it any more: {}", left.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_reads_gets_the_whole_stream_whatever_its_size() {
    let dir = tempfile::tempdir().unwrap();
    let app = start(dir.path()).await;
    let id = import(&app, &replies(300, true)).await;
    let stream = watch(&app, &id, json!({"q": "y".repeat(40_000)})).await;
    let events = rest(stream).await;
    let tokens = events.iter().filter(|event| event["event"] == "token").count();
    assert_eq!(tokens, 300);
    assert_eq!(states(&events).last().unwrap().as_array().unwrap().len(), 301);
    assert_eq!(events.last().unwrap()["data"], "[DONE]");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_leaves_the_run_alone() {
    let dir = tempfile::tempdir().unwrap();
    let app = start(dir.path()).await;
    let id = import(&app, &replies(300, true)).await;
    let mut stream = watch(&app, &id, json!({"q": "y".repeat(40_000)})).await;
    // It goes while an event is being written for it.
    let _ = tokio::time::timeout(Duration::from_micros(50), stream.next()).await;
    drop(stream);
    finished(&app).await;
}

async fn with_model(app: &App, answers: Vec<ModelAnswer>) -> ModelServer {
    let server = ModelServer::saying(answers);
    let change = ConnectionChange {
        base_url: Some(server.base_url("openai")),
        key: Some("sk-key-that-nobody-sees".to_owned()),
        components: vec!["chatOpenAI".to_owned()],
        ..serde_json::from_value(json!({"provider": ConnectionKind::Openai})).unwrap()
    };
    app.set_connection("Mine", change).await.unwrap();
    server
}

#[tokio::test]
async fn an_agent_tells_its_calls_and_each_state_once_before_and_after_a_person() {
    let dir = tempfile::tempdir().unwrap();
    let app = start(dir.path()).await;
    let call = |tool: &str, input: Value| {
        ModelAnswer::Calls("Let me see.".to_owned(), vec![(tool.to_owned(), input)])
    };
    let _server = with_model(
        &app,
        vec![
            call("calculator", json!({"input": "1+1"})),
            call("current_date_time", json!({})),
            ModelAnswer::text("It is two."),
        ],
    )
    .await;
    let tools = json!([
        {"agentSelectedTool": "calculator"},
        {"agentSelectedTool": "currentDateTime", "agentSelectedToolRequiresHumanInput": true},
    ]);
    let agent =
        json!({"agentModel": "chatOpenAI", "agentModelConfig": {"modelName": "m"}, "agentTools": tools});
    let id = import(&app, &flow(&[("agentAgentflow", agent)])).await;
    let stream = watch(&app, &id, json!({"q": "Go", "chatId": "c-1"})).await;
    let asked = in_words(&rest(stream).await);
    let question = asked
        .iter()
        .position(|word| word.contains("Attempting to use tool"))
        .unwrap();
    assert_eq!(
        asked[..question],
        [
            "agentFlowEvent: INPROGRESS",
            "nextAgentFlow: Step 0 INPROGRESS",
            "nextAgentFlow: Step 0 FINISHED",
            "agentFlowExecutedData: 1",
            "nextAgentFlow: Step 1 INPROGRESS",
            "token: Let me see.",
            "calledTools: calculator",
            "token: Let me see.",
            "calledTools: current_date_time",
            "usedTools: calculator",
        ]
    );
    assert_eq!(
        asked[question + 1..],
        [
            "nextAgentFlow: Step 1 STOPPED",
            "agentFlowExecutedData: 2",
            "agentFlowEvent: STOPPED",
            "action: ",
            "agentFlowEvent: STOPPED",
            "metadata: ",
            "end: [DONE]"
        ]
    );
    let stream = watch(
        &app,
        &id,
        json!({"chatId": "c-1", "humanInput": {"type": "proceed"}}),
    )
    .await;
    assert_eq!(
        in_words(&rest(stream).await),
        [
            "agentFlowEvent: INPROGRESS",
            "nextAgentFlow: Step 1 INPROGRESS",
            "token: It is two.",
            "usedTools: calculator current_date_time",
            "calledTools: ",
            "usageMetadata: 36",
            "nextAgentFlow: Step 1 FINISHED",
            "agentFlowExecutedData: 2",
            "agentFlowEvent: FINISHED",
            "metadata: ",
            "end: [DONE]"
        ]
    );
}

#[tokio::test]
async fn what_a_model_thinks_is_told_before_its_answer() {
    let dir = tempfile::tempdir().unwrap();
    let app = start(dir.path()).await;
    let said = [
        json!({"choices": [{"index": 0, "delta": {"reasoning_content": "Hm."}}]}),
        json!({"choices": [{"index": 0, "delta": {"content": "Yes."}, "finish_reason": "stop"}]}),
    ];
    let body: String = said.iter().map(|event| format!("data: {event}\n\n")).collect();
    let raw = ModelAnswer::Raw("text/event-stream".to_owned(), body + "data: [DONE]\n\n");
    let _server = with_model(&app, vec![raw]).await;
    let llm = json!({"llmModel": "chatOpenAI", "llmModelConfig": {"modelName": "m"}});
    let id = import(&app, &flow(&[("llmAgentflow", llm)])).await;
    let told = in_words(&rest(watch(&app, &id, json!({"q": "Really?"})).await).await);
    assert_eq!(
        told[4..9],
        [
            "nextAgentFlow: Step 1 INPROGRESS",
            "thinking: Hm.null",
            "thinking: 0",
            "token: Yes.",
            "calledTools: "
        ]
    );
}

#[tokio::test]
async fn steps_side_by_side_are_told_in_their_order_and_recorded_together() {
    let dir = tempfile::tempdir().unwrap();
    let app = start(dir.path()).await;
    let answers = vec![ModelAnswer::text("Same."), ModelAnswer::text("Same.")];
    let _server = with_model(&app, answers).await;
    let llm = json!({"llmModel": "chatOpenAI", "llmModelConfig": {"modelName": "m"},
        "llmMessages": [{"role": "user", "content": "Say"}]});
    let two = vec![("llmAgentflow", llm); 2];
    let id = import(&app, &document(&two, true)).await;
    let told = in_words(&rest(watch(&app, &id, json!({"q": "Go"})).await).await);
    assert_eq!(
        told[4..15],
        [
            "nextAgentFlow: Step 1 INPROGRESS",
            "nextAgentFlow: Step 2 INPROGRESS",
            "token: Same.",
            "calledTools: ",
            "usageMetadata: 12",
            "nextAgentFlow: Step 1 FINISHED",
            "token: Same.",
            "calledTools: ",
            "usageMetadata: 12",
            "nextAgentFlow: Step 2 FINISHED",
            "agentFlowExecutedData: 3",
        ]
    );
}
