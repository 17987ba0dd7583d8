//! Small flows, a host that is predictable, and a way to run to rest.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use countersign_domain::{DocumentHash, Outcome, Role, Timestamp};
use countersign_flow::{
    Advance, Answer, CalledFlow, Host, HostFuture, HttpRequest, HttpResponse, Incoming, Lookup, ModelReply,
    ModelRequest, NodeFailure, Passage, PastMessage, Plan, Run, RunEvent, RunInput, Script, Stop, ToolCall,
};
use serde_json::{Map, Value, json};
use uuid::Uuid;

pub(crate) struct TestHost {
    ids: AtomicU64,
    variables: HashMap<String, String>,
    /// What scripts return, and those that ran.
    run_script: RunScript,
    scripts: Mutex<Vec<Script>>,
    /// What HTTP targets answer, and what they were asked.
    answer_http: AnswerHttp,
    requests: Mutex<Vec<HttpRequest>>,
    /// What models answer, and what they were asked.
    answer_model: AnswerModel,
    asked: Mutex<Vec<ModelRequest>>,
    /// What document stores hold: every passage fits.
    passages: Vec<Passage>,
    /// The pieces of the answer that were told.
    told: Mutex<String>,
    /// The flows that can be called, by id.
    flows: HashMap<String, CalledFlow>,
    /// How long was slept in all.
    slept: Mutex<Duration>,
}

type AnswerHttp =
    Box<dyn Fn(&HttpRequest) -> HostFuture<'static, Result<HttpResponse, String>> + Send + Sync>;

type AnswerModel =
    Box<dyn Fn(&ModelRequest) -> HostFuture<'static, Result<ModelReply, String>> + Send + Sync>;

type RunScript = Box<dyn Fn(&Script) -> Result<Option<Value>, String> + Send + Sync>;

impl TestHost {
    pub(crate) fn new() -> Self {
        Self {
            ids: AtomicU64::new(0),
            variables: HashMap::from([("V".to_owned(), "secret".to_owned())]),
            run_script: Box::new(|script| Err(format!("no script was expected: {}", script.code))),
            scripts: Mutex::default(),
            answer_http: Box::new(|request| {
                let message = format!("no request was expected: {}", request.url);
                Box::pin(std::future::ready(Err(message)))
            }),
            requests: Mutex::default(),
            answer_model: Box::new(|request| {
                let message = format!("no question was expected: {request:?}");
                Box::pin(std::future::ready(Err(message)))
            }),
            asked: Mutex::default(),
            passages: Vec::new(),
            told: Mutex::default(),
            flows: HashMap::new(),
            slept: Mutex::default(),
        }
    }

    /// The same with a target for requests, which may take its time.
    pub(crate) fn with_http(
        self,
        answer: impl Fn(&HttpRequest) -> HostFuture<'static, Result<HttpResponse, String>> + Send + Sync + 'static,
    ) -> Self {
        Self {
            answer_http: Box::new(answer),
            ..self
        }
    }

    /// The same with a language model.
    pub(crate) fn with_model(
        self,
        answer: impl Fn(&ModelRequest) -> Result<ModelReply, String> + Send + Sync + 'static,
    ) -> Self {
        self.with_slow_model(move |request| Box::pin(std::future::ready(answer(request))))
    }

    /// The same with a language model that may take its time.
    pub(crate) fn with_slow_model(
        self,
        answer: impl Fn(&ModelRequest) -> HostFuture<'static, Result<ModelReply, String>> + Send + Sync + 'static,
    ) -> Self {
        Self {
            answer_model: Box::new(answer),
            ..self
        }
    }

    /// The same with a language model that gives these answers, one each.
    pub(crate) fn saying(self, replies: Vec<ModelReply>) -> Self {
        let replies = Mutex::new(replies.into_iter());
        self.with_model(move |_| {
            let reply = replies.lock().unwrap().next();
            reply.ok_or_else(|| "the model was asked too often".to_owned())
        })
    }

    /// The same with a document store.
    pub(crate) fn with_passages(mut self, texts: &[&str]) -> Self {
        let passage = |text: &&str| Passage {
            page_content: (*text).to_owned(),
            metadata: json!({"source": "notes.md"}),
        };
        self.passages = texts.iter().map(passage).collect();
        self
    }

    /// What models were asked.
    pub(crate) fn asked(&self) -> Vec<ModelRequest> {
        self.asked.lock().unwrap().clone()
    }

    /// The pieces of the answer that were told.
    pub(crate) fn told(&self) -> String {
        self.told.lock().unwrap().clone()
    }

    /// The same with a flow that others can call.
    pub(crate) fn with_flow(mut self, id: &str, text: &str) -> Self {
        let flow = CalledFlow {
            name: format!("Flow {id}"),
            document: DocumentHash::of(text),
            plan: Plan::parse(text).unwrap(),
        };
        self.flows.insert(id.to_owned(), flow);
        self
    }

    /// The requests that were made.
    pub(crate) fn requests(&self) -> Vec<HttpRequest> {
        self.requests.lock().unwrap().clone()
    }

    /// How long was slept in all.
    pub(crate) fn slept(&self) -> Duration {
        *self.slept.lock().unwrap()
    }

    /// The same with an engine for scripts.
    pub(crate) fn with_scripts(
        self,
        run: impl Fn(&Script) -> Result<Option<Value>, String> + Send + Sync + 'static,
    ) -> Self {
        Self {
            run_script: Box::new(run),
            ..self
        }
    }

    /// The scripts that ran.
    pub(crate) fn scripts(&self) -> Vec<Script> {
        self.scripts.lock().unwrap().clone()
    }

    /// How many ids were taken.
    pub(crate) fn ids_taken(&self) -> u64 {
        self.ids.load(Ordering::Relaxed)
    }
}

impl Host for TestHost {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_123)
    }

    fn new_id(&self) -> Uuid {
        Uuid::from_u128(u128::from(self.ids.fetch_add(1, Ordering::Relaxed) + 1))
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }

    fn variables(&self) -> Map<String, Value> {
        let variables = self.variables.iter();
        variables
            .map(|(name, value)| (name.clone(), value.clone().into()))
            .collect()
    }

    fn sleep(&self, duration: Duration) -> HostFuture<'_, ()> {
        *self.slept.lock().unwrap() += duration;
        Box::pin(std::future::ready(()))
    }

    fn http(&self, request: HttpRequest) -> HostFuture<'_, Result<HttpResponse, String>> {
        let answer = (self.answer_http)(&request);
        self.requests.lock().unwrap().push(request);
        answer
    }

    fn event(&self, event: RunEvent<'_>) {
        if let RunEvent::Token(text) = event {
            self.told.lock().unwrap().push_str(text);
        }
    }

    fn model(&self, request: ModelRequest) -> HostFuture<'_, Result<ModelReply, String>> {
        let answer = (self.answer_model)(&request);
        let stream = request.stream;
        self.asked.lock().unwrap().push(request);
        Box::pin(async move {
            let answer = answer.await;
            if let (Ok(reply), true) = (&answer, stream) {
                self.told.lock().unwrap().push_str(&reply.content);
            }
            answer
        })
    }

    fn look_up(&self, lookup: Lookup) -> HostFuture<'_, Result<Vec<Passage>, String>> {
        let found = if self.passages.is_empty() {
            Err(format!("the store {} is mapped to no folder", lookup.store))
        } else {
            Ok(self.passages.iter().take(lookup.limit).cloned().collect())
        };
        Box::pin(std::future::ready(found))
    }

    fn called_flow(&self, id: &str) -> Option<CalledFlow> {
        self.flows.get(id).cloned()
    }

    fn plan(&self, document: &DocumentHash) -> Option<Plan> {
        let known = self.flows.values().find(|flow| flow.document == *document);
        known.map(|flow| flow.plan.clone())
    }

    fn script(&self, script: Script) -> HostFuture<'_, Result<Option<Value>, String>> {
        let returned = (self.run_script)(&script);
        self.scripts.lock().unwrap().push(script);
        Box::pin(std::future::ready(returned))
    }
}

/// A model that says this.
pub(crate) fn says(content: &str) -> ModelReply {
    ModelReply {
        content: content.to_owned(),
        usage: Some(json!({"input_tokens": 2, "output_tokens": 1, "total_tokens": 3})),
        ..ModelReply::default()
    }
}

/// A model that wants these tools to be called.
pub(crate) fn wants(content: &str, calls: &[(&str, Value)]) -> ModelReply {
    let calls = calls.iter().enumerate();
    ModelReply {
        tool_calls: calls
            .map(|(at, (name, arguments))| ToolCall {
                id: format!("id-{at}"),
                name: (*name).to_owned(),
                arguments: arguments.clone(),
            })
            .collect(),
        ..says(content)
    }
}

/// A node without the definitions of its fields, so that ours count.
pub(crate) fn plain(short: &str, label: &str, inputs: Value) -> Value {
    let mut step = node(short, label, inputs);
    step["data"].as_object_mut().unwrap().remove("inputParams");
    step
}

/// An answer with a JSON body.
pub(crate) fn ok(body: &Value) -> HttpResponse {
    HttpResponse {
        status: 200,
        status_text: "OK".to_owned(),
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: body.to_string().into_bytes(),
    }
}

/// An answer that is there at once.
pub(crate) fn at_once(response: HttpResponse) -> HostFuture<'static, Result<HttpResponse, String>> {
    Box::pin(std::future::ready(Ok(response)))
}

/// An HTTP step.
pub(crate) fn http(short: &str, inputs: Value) -> Value {
    let mut step = node(short, "Call", inputs);
    step["data"].as_object_mut().unwrap().remove("inputParams");
    step
}

/// A Loop back to a node.
pub(crate) fn back(short: &str, target: &str, more: Value) -> Value {
    let mut inputs = json!({"loopBackToNode": format!("{}-Target", id(target))});
    for (key, value) in more.as_object().unwrap() {
        inputs[key] = value.clone();
    }
    let mut step = node(short, "Again", inputs);
    step["data"].as_object_mut().unwrap().remove("inputParams");
    step
}

/// An Iteration over a list.
pub(crate) fn each(short: &str, list: &str) -> Value {
    let mut step = node(short, "Each", json!({"iterationInput": list}));
    step["data"].as_object_mut().unwrap().remove("inputParams");
    step
}

/// A node that lies inside an Iteration.
pub(crate) fn inside(iteration: &str, mut node: Value) -> Value {
    node["parentNode"] = id(iteration).into();
    node["extent"] = "parent".into();
    node
}

/// A step that calls another flow.
pub(crate) fn call(short: &str, flow: &str, input: &str) -> Value {
    let inputs = json!({"executeFlowSelectedFlow": flow, "executeFlowInput": input});
    let mut step = node(short, "Call it", inputs);
    step["data"].as_object_mut().unwrap().remove("inputParams");
    step
}

/// `s`, `h0`, `c0`, `d0` stand for the ids of Start, Human Input, Condition and Direct Reply.
pub(crate) fn id(short: &str) -> String {
    let (kind, number) = short.split_at(1);
    if !number.bytes().all(|digit| digit.is_ascii_digit()) {
        return short.to_owned();
    }
    let name = match kind {
        "s" => "startAgentflow",
        "h" => "humanInputAgentflow",
        "c" => "conditionAgentflow",
        "d" => "directReplyAgentflow",
        "f" => "customFunctionAgentflow",
        "l" => "loopAgentflow",
        "i" => "iterationAgentflow",
        "e" => "executeFlowAgentflow",
        "t" => "httpAgentflow",
        "m" => "llmAgentflow",
        "a" => "agentAgentflow",
        "p" => "conditionAgentAgentflow",
        "o" => "toolAgentflow",
        "r" => "retrieverAgentflow",
        _ => return short.to_owned(),
    };
    format!("{name}_{}", if number.is_empty() { "0" } else { number })
}

pub(crate) fn node(short: &str, label: &str, inputs: Value) -> Value {
    let id = id(short);
    let name = id
        .rsplit_once('_')
        .map_or(id.as_str(), |(name, _)| name)
        .to_owned();
    let accepting = |field: &str| json!([{"name": field, "type": "string", "acceptVariable": true}]);
    let params = match name.as_str() {
        "humanInputAgentflow" => accepting("humanInputDescription"),
        "conditionAgentflow" => accepting("conditions"),
        "directReplyAgentflow" => accepting("directReplyMessage"),
        _ => json!([]),
    };
    json!({"id": id, "type": "agentFlow", "data": {
        "id": id, "label": label, "name": name, "inputParams": params, "inputs": inputs,
    }})
}

pub(crate) fn start(more: Value) -> Value {
    let mut inputs = json!({"startInputType": "webhookTrigger", "webhookInputMode": "text"});
    for (key, value) in more.as_object().unwrap() {
        inputs[key] = value.clone();
    }
    node("s", "Start", inputs)
}

pub(crate) fn gate(short: &str, text: &str) -> Value {
    let inputs = json!({
        "humanInputDescriptionType": "fixed", "humanInputDescription": text, "humanInputEnableFeedback": true,
    });
    node(short, "Gate", inputs)
}

pub(crate) fn reply(short: &str, text: &str) -> Value {
    node(short, "Reply", json!({"directReplyMessage": text}))
}

/// A Condition with one row that compares texts.
pub(crate) fn check(short: &str, one: &str, two: &str) -> Value {
    condition(
        short,
        json!([{"type": "string", "value1": one, "operation": "equal", "value2": two}]),
    )
}

pub(crate) fn condition(short: &str, rows: Value) -> Value {
    node(short, "Check", json!({"conditions": rows}))
}

/// Edges are written `("h0.1", "d0")`: output 1 of the gate to the reply.
pub(crate) fn flow(nodes: Vec<Value>, edges: &[(&str, &str)]) -> String {
    let edges: Vec<_> = edges
        .iter()
        .map(|(from, to)| {
            let (from, output) = from.split_once('.').unwrap_or((from, ""));
            let (source, target) = (id(from), id(to));
            let output = if output.is_empty() {
                source.rsplit_once('_').map_or("", |(name, _)| name)
            } else {
                output
            };
            json!({"source": source, "sourceHandle": format!("{source}-output-{output}"), "target": target})
        })
        .collect();
    json!({"nodes": nodes, "edges": edges}).to_string()
}

pub(crate) fn plan(nodes: Vec<Value>, edges: &[(&str, &str)]) -> Plan {
    let text = flow(nodes, edges);
    Plan::parse(&text).unwrap_or_else(|refusal| panic!("{refusal}: {text}"))
}

pub(crate) fn input(body: Value) -> RunInput {
    RunInput {
        incoming: Incoming::Webhook(json!({"body": body, "headers": {"host": "h"}, "query": {}})),
        execution_id: "execution-1".to_owned(),
        chat_id: "chat-1".to_owned(),
        session_id: "chat-1".to_owned(),
        flow_id: "flow-1".to_owned(),
        api_message_id: "message-1".to_owned(),
        past_history: Vec::new(),
    }
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

/// Advances until the run rests; never `Ran`.
pub(crate) fn to_rest(run: &mut Run, plan: &Plan, host: &TestHost) -> Advance {
    block_on(async {
        loop {
            match run.advance(plan, host).await {
                Advance::Ran { .. } => {}
                rest => return rest,
            }
        }
    })
}

pub(crate) fn finished(plan: &Plan, body: Value) -> Run {
    let mut run = Run::begin(plan, input(body));
    let rest = to_rest(&mut run, plan, &TestHost::new());
    assert_eq!(rest, Advance::Finished, "the run comes to its end");
    run
}

pub(crate) fn stopped(plan: &Plan, body: Value, host: &TestHost) -> (Run, Stop) {
    let mut run = Run::begin(plan, input(body));
    let stop = stop_of(to_rest(&mut run, plan, host));
    (run, stop)
}

pub(crate) fn stop_of(advance: Advance) -> Stop {
    match advance {
        Advance::Stopped(stop) => stop,
        other => panic!("the run should wait, but {other:?}"),
    }
}

pub(crate) fn failure(plan: &Plan, body: Value) -> (Run, NodeFailure) {
    let mut run = Run::begin(plan, input(body));
    match to_rest(&mut run, plan, &TestHost::new()) {
        Advance::Failed(failure) => (run, failure),
        other => panic!("the run should fail, but {other:?}"),
    }
}

pub(crate) fn answer(outcome: Outcome, feedback: Option<&str>) -> Answer {
    Answer {
        outcome,
        feedback: feedback.map(Into::into),
        arguments: None,
        start_node_id: None,
    }
}

/// The chat after the run stopped: what the app keeps of it.
pub(crate) fn chat(run: &Run) -> Vec<PastMessage> {
    vec![
        PastMessage {
            role: Role::User,
            content: run.user_message(),
        },
        PastMessage {
            role: Role::Assistant,
            content: run.assistant_message(),
        },
    ]
}

/// The ids of what ran, short, with `!` for a step that waits.
pub(crate) fn order(run: &Run) -> Vec<String> {
    run.records()
        .iter()
        .map(|record| {
            let id = record.node_id();
            let (name, number) = id.rsplit_once('_').unwrap();
            let mark = if record.status() == countersign_flow::RecordStatus::Stopped {
                "!"
            } else {
                ""
            };
            let number = if name == "startAgentflow" { "" } else { number };
            format!("{}{number}{mark}", &name[..1])
        })
        .collect()
}

pub(crate) fn records(run: &Run) -> String {
    serde_json::to_string(run.records()).unwrap()
}

/// What a Direct Reply makes of a message.
pub(crate) fn replied(message: &str, body: Value) -> Value {
    let plan = plan(vec![start(json!({})), reply("d0", message)], &[("s", "d0")]);
    let run = finished(&plan, body);
    serde_json::to_value(run.records()).unwrap()[1]["data"]["output"]["content"].clone()
}
