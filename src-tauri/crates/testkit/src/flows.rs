//! Small flows in the shape of an export, as JSON text.

use std::path::PathBuf;

use serde_json::{Map, Value, json};

/// What the Start node of a flow says, and the gates behind it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FlowOptions {
    /// Answer 202 at once and send a callback, rather than answer with the result.
    pub asynchronous: bool,
    /// Where callbacks go.
    pub callback_url: Option<String>,
    /// What signs them.
    pub callback_secret: Option<String>,
    /// Whether requests must be signed (`hmac-sha256`, header `x-webhook-signature`).
    pub signed: bool,
    /// The question of the gate; "Release {{ $webhook.body.item }} now?" if nothing is said.
    pub question: Option<String>,
    /// Whether the gate takes no note with the answer.
    pub without_feedback: bool,
    /// Further inputs of the Start node, as the editor writes them; they win over what the other fields lead to.
    pub inputs: Map<String, Value>,
}

impl FlowOptions {
    /// The caller waits for the result.
    pub fn sync() -> Self {
        Self::default()
    }

    /// The caller gets 202, the result goes to this URL, signed with this secret.
    pub fn callback(url: impl Into<String>, secret: Option<&str>) -> Self {
        Self {
            asynchronous: true,
            callback_url: Some(url.into()),
            callback_secret: secret.map(ToOwned::to_owned),
            ..Self::default()
        }
    }

    /// The same with these inputs of the Start node, an object.
    ///
    /// # Panics
    /// If it is none.
    #[must_use]
    pub fn with(mut self, inputs: Value) -> Self {
        let Value::Object(inputs) = inputs else {
            panic!("the inputs of a node are an object, not {inputs}");
        };
        self.inputs.extend(inputs);
        self
    }

    /// The same with another question.
    #[must_use]
    pub fn asking(mut self, question: impl Into<String>) -> Self {
        self.question = Some(question.into());
        self
    }
}

/// Start → Reply: "Hello {{ $webhook.body.who }}!".
pub fn start_reply(options: &FlowOptions) -> String {
    let nodes = [
        start(options),
        reply(0, "Answer", "Hello {{ $webhook.body.who }}!", 1),
    ];
    document(
        &nodes,
        &[edge(
            "startAgentflow_0",
            "startAgentflow",
            "directReplyAgentflow_0",
            None,
        )],
    )
}

/// Start → Gate → Reply "released {{ $webhook.body.item }}" or "held {{ $webhook.body.item }}".
pub fn start_gate_replies(options: &FlowOptions) -> String {
    let nodes = [
        start(options),
        gate(0, options, 1),
        reply(0, "Released", "released {{ $webhook.body.item }}", 2),
        reply(1, "Held", "held {{ $webhook.body.item }}", 3),
    ];
    let edges = [
        edge(
            "startAgentflow_0",
            "startAgentflow",
            "humanInputAgentflow_0",
            None,
        ),
        edge(
            "humanInputAgentflow_0",
            "0",
            "directReplyAgentflow_0",
            Some("proceed"),
        ),
        edge(
            "humanInputAgentflow_0",
            "1",
            "directReplyAgentflow_1",
            Some("reject"),
        ),
    ];
    document(&nodes, &edges)
}

/// Start → Gate → Gate → Reply "released twice {{ $webhook.body.item }}", with "held" after each no.
pub fn start_two_gates(options: &FlowOptions) -> String {
    let second = options
        .clone()
        .asking("Are you sure about {{ $webhook.body.item }}?");
    let nodes = [
        start(options),
        gate(0, options, 1),
        gate(1, &second, 2),
        reply(0, "Released", "released twice {{ $webhook.body.item }}", 3),
        reply(1, "Held", "held {{ $webhook.body.item }}", 4),
        reply(2, "Held late", "held late {{ $webhook.body.item }}", 5),
    ];
    let edges = [
        edge(
            "startAgentflow_0",
            "startAgentflow",
            "humanInputAgentflow_0",
            None,
        ),
        edge(
            "humanInputAgentflow_0",
            "0",
            "humanInputAgentflow_1",
            Some("proceed"),
        ),
        edge(
            "humanInputAgentflow_0",
            "1",
            "directReplyAgentflow_1",
            Some("reject"),
        ),
        edge(
            "humanInputAgentflow_1",
            "0",
            "directReplyAgentflow_0",
            Some("proceed"),
        ),
        edge(
            "humanInputAgentflow_1",
            "1",
            "directReplyAgentflow_2",
            Some("reject"),
        ),
    ];
    document(&nodes, &edges)
}

/// Start → Condition on `amount` against 100 → Gate → Reply "paid after asking" if it holds, else Reply "paid {{ $webhook.body.amount }}" at
/// once. `operation` is the comparison, `larger` for instance.
pub fn start_condition_gate(options: &FlowOptions, operation: &str) -> String {
    let question = options
        .question
        .as_deref()
        .unwrap_or("Pay {{ $webhook.body.amount }}?");
    let asking = options.clone().asking(question);
    let nodes = [
        start(options),
        condition(0, operation, 1),
        gate(0, &asking, 2),
        reply(0, "Paid", "paid {{ $webhook.body.amount }}", 2),
        reply(1, "Asked", "paid after asking", 3),
    ];
    let edges = [
        edge("startAgentflow_0", "startAgentflow", "conditionAgentflow_0", None),
        edge("conditionAgentflow_0", "0", "humanInputAgentflow_0", None),
        edge("conditionAgentflow_0", "1", "directReplyAgentflow_0", None),
        edge(
            "humanInputAgentflow_0",
            "0",
            "directReplyAgentflow_1",
            Some("proceed"),
        ),
    ];
    document(&nodes, &edges)
}

/// Start → HTTP (POST to `url`) → Reply "called for {{ $webhook.body.item }}".
pub fn start_http_reply(options: &FlowOptions, url: &str) -> String {
    let nodes = [
        start(options),
        http(0, url, 1),
        reply(0, "Called", "called for {{ $webhook.body.item }}", 2),
    ];
    let edges = [
        edge("startAgentflow_0", "startAgentflow", "httpAgentflow_0", None),
        edge("httpAgentflow_0", "httpAgentflow", "directReplyAgentflow_0", None),
    ];
    document(&nodes, &edges)
}

/// Start → Gate → HTTP (POST to `url`) → Reply "called for {{ $webhook.body.item }}", with "held {{ $webhook.body.item }}" after a no.
pub fn start_gate_http_reply(options: &FlowOptions, url: &str) -> String {
    let nodes = [
        start(options),
        gate(0, options, 1),
        http(0, url, 2),
        reply(0, "Called", "called for {{ $webhook.body.item }}", 3),
        reply(1, "Held", "held {{ $webhook.body.item }}", 2),
    ];
    let edges = [
        edge(
            "startAgentflow_0",
            "startAgentflow",
            "humanInputAgentflow_0",
            None,
        ),
        edge("humanInputAgentflow_0", "0", "httpAgentflow_0", Some("proceed")),
        edge(
            "humanInputAgentflow_0",
            "1",
            "directReplyAgentflow_1",
            Some("reject"),
        ),
        edge("httpAgentflow_0", "httpAgentflow", "directReplyAgentflow_0", None),
    ];
    document(&nodes, &edges)
}

/// Wraps a flow in the form of the API: `{"name", "flowData"}` with the flow as text.
pub fn with_name(name: &str, flow: &str) -> Value {
    json!({ "name": name, "flowData": flow, "type": "AGENTFLOW" })
}

/// The text of `tests/fixtures/flows/<name>.json` at the top of the workspace.
///
/// # Panics
/// If there is none.
pub fn example(name: &str) -> String {
    let path = examples_folder().join(format!("{name}.json"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The names that [`example`] takes, sorted.
///
/// # Panics
/// If the folder cannot be read.
pub fn examples() -> Vec<String> {
    let folder = std::fs::read_dir(examples_folder()).expect("the folder of examples can be read");
    let mut names: Vec<String> = folder
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned()))
        .collect();
    names.sort();
    names
}

fn examples_folder() -> PathBuf {
    crate::checkout().join("tests/fixtures/flows")
}

/// A field of a node: name, type, whether it takes variables, and its value.
type Field<'a> = (&'a str, &'a str, bool, Value);

fn start(options: &FlowOptions) -> Value {
    let mode = if options.asynchronous { "async" } else { "sync" };
    let text = |value: &Option<String>| json!(value.clone().unwrap_or_default());
    let fields = [
        ("startInputType", "options", false, json!("webhookTrigger")),
        ("webhookMethod", "options", false, json!("POST")),
        ("webhookContentType", "options", false, json!("application/json")),
        ("webhookInputMode", "options", false, json!("text")),
        ("webhookDefaultInput", "string", true, json!("")),
        ("webhookEnableAuth", "boolean", false, json!(options.signed)),
        ("webhookSignatureHeader", "string", false, json!("")),
        ("webhookSignatureType", "options", false, json!("hmac-sha256")),
        ("webhookResponseMode", "options", false, json!(mode)),
        ("callbackUrl", "string", false, text(&options.callback_url)),
        (
            "callbackSecret",
            "password",
            false,
            text(&options.callback_secret),
        ),
    ];
    let mut node = node(
        "startAgentflow",
        0,
        "Start",
        "Start",
        1.4,
        &fields,
        &["startAgentflow"],
        0,
    );
    let inputs = node["data"]["inputs"].as_object_mut().expect("inputs");
    inputs.extend(options.inputs.clone());
    node
}

fn http(number: usize, url: &str, column: usize) -> Value {
    let fields = [
        ("method", "options", false, json!("POST")),
        ("url", "string", true, json!(url)),
        ("bodyType", "options", false, json!("json")),
        (
            "body",
            "string",
            true,
            json!(r#"{"item":"{{ $webhook.body.item }}"}"#),
        ),
        ("responseType", "options", false, json!("json")),
    ];
    node(
        "httpAgentflow",
        number,
        "Call",
        "HTTP",
        1.1,
        &fields,
        &["httpAgentflow"],
        column,
    )
}

fn condition(number: usize, operation: &str, column: usize) -> Value {
    let conditions = json!([{
        "type": "number", "value1": "{{ $webhook.body.amount }}", "operation": operation, "value2": "100",
    }]);
    let fields = [("conditions", "array", true, conditions)];
    node(
        "conditionAgentflow",
        number,
        "Large?",
        "Condition",
        1.0,
        &fields,
        &["0", "1"],
        column,
    )
}

fn gate(number: usize, options: &FlowOptions, column: usize) -> Value {
    let question = options
        .question
        .as_deref()
        .unwrap_or("Release {{ $webhook.body.item }} now?");
    let fields = [
        ("humanInputDescriptionType", "options", false, json!("fixed")),
        ("humanInputDescription", "string", true, json!(question)),
        (
            "humanInputEnableFeedback",
            "boolean",
            false,
            json!(!options.without_feedback),
        ),
    ];
    let label = format!("Gate {number}");
    node(
        "humanInputAgentflow",
        number,
        &label,
        "HumanInput",
        1.0,
        &fields,
        &["0", "1"],
        column,
    )
}

fn reply(number: usize, label: &str, message: &str, column: usize) -> Value {
    let fields = [("directReplyMessage", "string", true, json!(message))];
    node(
        "directReplyAgentflow",
        number,
        label,
        "DirectReply",
        1.0,
        &fields,
        &[],
        column,
    )
}

#[expect(
    clippy::too_many_arguments,
    reason = "a node has that many parts, and only this file makes nodes"
)]
fn node(
    name: &str,
    number: usize,
    label: &str,
    kind: &str,
    version: f64,
    fields: &[Field<'_>],
    outputs: &[&str],
    column: usize,
) -> Value {
    let id = format!("{name}_{number}");
    let params: Vec<Value> = fields
        .iter()
        .map(|(field, kind, variables, _)| {
            let mut param = json!({
                "label": field, "name": field, "type": kind,
                "id": format!("{id}-input-{field}-{kind}"), "display": true,
            });
            if *variables {
                param["acceptVariable"] = json!(true);
            }
            param
        })
        .collect();
    let inputs: serde_json::Map<String, Value> = fields
        .iter()
        .map(|(field, _, _, value)| ((*field).to_owned(), value.clone()))
        .collect();
    let anchors: Vec<Value> = outputs
        .iter()
        .map(|output| json!({ "id": format!("{id}-output-{output}"), "label": output, "name": output }))
        .collect();
    let position = json!({ "x": 240 * column, "y": 80 });
    json!({
        "id": id, "type": "agentFlow", "position": position, "positionAbsolute": position,
        "width": 200, "height": 66, "selected": false, "dragging": false,
        "data": {
            "id": id, "label": label, "version": version, "name": name, "type": kind,
            "baseClasses": [kind], "category": "Agent Flows", "description": "",
            "inputParams": params, "inputAnchors": [], "inputs": inputs,
            "outputAnchors": anchors, "outputs": {}, "selected": false,
        },
    })
}

fn edge(source: &str, output: &str, target: &str, label: Option<&str>) -> Value {
    let handle = format!("{source}-output-{output}");
    let mut data = json!({ "sourceColor": "#7EE787", "targetColor": "#4DDBBB" });
    if let Some(label) = label {
        data["edgeLabel"] = json!(label);
        data["isHumanInput"] = json!(true);
    }
    json!({
        "id": format!("{source}-{handle}-{target}-{target}"), "source": source, "sourceHandle": handle,
        "target": target, "targetHandle": target, "type": "agentFlow", "data": data,
    })
}

fn document(nodes: &[Value], edges: &[Value]) -> String {
    json!({ "nodes": nodes, "edges": edges }).to_string()
}
