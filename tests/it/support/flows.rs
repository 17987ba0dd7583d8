//! AgentFlow v2 documents in the shape of Flowise's export.

use serde_json::{Map, Value, json};

/// Name, type and whether it accepts variables.
type Field = (&'static str, &'static str, bool);

/// The inputs of each kind, as the editor writes them.
const FIELDS: &[(&str, &[Field])] = &[
    (
        "startAgentflow",
        &[
            ("startInputType", "options", false),
            ("webhookDefaultInput", "string", true),
            ("callbackSecret", "password", false),
        ],
    ),
    (
        "humanInputAgentflow",
        &[
            ("humanInputDescriptionType", "options", false),
            ("humanInputDescription", "string", true),
            ("humanInputEnableFeedback", "boolean", false),
        ],
    ),
    ("conditionAgentflow", &[("conditions", "array", true)]),
    ("directReplyAgentflow", &[("directReplyMessage", "string", true)]),
    ("stickyNoteAgentflow", &[("note", "string", false)]),
];

/// A document under construction.
#[derive(Default)]
pub(crate) struct Document {
    nodes: Vec<Value>,
    edges: Vec<Value>,
}

impl Document {
    /// With a node of this kind (`directReply`) and number.
    pub(crate) fn node(mut self, kind: &str, number: usize, label: &str, inputs: Value) -> Self {
        let name = format!("{kind}Agentflow");
        let id = format!("{name}_{number}");
        let fields = FIELDS
            .iter()
            .find(|(of, _)| *of == name)
            .map(|(_, fields)| *fields)
            .unwrap_or_default();
        let params: Vec<Value> = fields
            .iter()
            .map(|(field, kind, variables)| {
                json!({
                    "label": field, "name": field, "type": kind, "acceptVariable": variables, "display": true,
                    "id": format!("{id}-input-{field}-{kind}"),
                })
            })
            .collect();
        self.nodes.push(json!({
            "id": id, "type": if kind == "stickyNote" { "stickyNote" } else { "agentFlow" },
            "position": { "x": 240 * self.nodes.len(), "y": 80 },
            "data": {
                "id": id, "label": label, "version": 1, "name": name, "type": kind, "baseClasses": [kind],
                "category": "Agent Flows", "description": "", "inputParams": params, "inputAnchors": [],
                "inputs": inputs, "outputAnchors": [], "outputs": {}, "selected": false,
            },
        }));
        self
    }

    /// With an edge from an output of one node to another.
    pub(crate) fn edge(mut self, source: &str, output: &str, target: &str) -> Self {
        let handle = format!("{source}-output-{output}");
        self.edges.push(json!({
            "id": format!("{source}-{handle}-{target}-{target}"), "type": "agentFlow",
            "source": source, "sourceHandle": handle, "target": target, "targetHandle": target,
            "data": { "isHumanInput": source.starts_with("humanInput") },
        }));
        self
    }

    pub(crate) fn json(self) -> Value {
        json!({ "nodes": self.nodes, "edges": self.edges })
    }
}

/// The inputs of a webhook start in sync mode, with these changes.
pub(crate) fn webhook(changes: Value) -> Value {
    let mut inputs = json!({
        "startInputType": "webhookTrigger", "webhookMethod": "POST", "webhookContentType": "application/json",
        "webhookInputMode": "text", "webhookDefaultInput": "", "webhookResponseMode": "sync",
    });
    let changes: Map<String, Value> = changes.as_object().cloned().unwrap_or_default();
    inputs.as_object_mut().expect("an object").extend(changes);
    inputs
}

/// The changes for async mode with a callback.
pub(crate) fn calling_back(url: &str, secret: &str) -> Value {
    json!({ "webhookResponseMode": "async", "callbackUrl": url, "callbackSecret": secret })
}

/// Start → reply `Hello …!`.
pub(crate) fn hello(start: Value) -> Value {
    Document::default()
        .node("start", 0, "Start", webhook(start))
        .node(
            "directReply",
            0,
            "Reply",
            json!({ "directReplyMessage": "Hello {{ $webhook.body.who }}!" }),
        )
        .edge("startAgentflow_0", "startAgentflow", "directReplyAgentflow_0")
        .json()
}

/// Start → gate → `released …` or `held …`.
pub(crate) fn gate(start: Value) -> Value {
    Document::default()
        .node("start", 0, "Start", webhook(start))
        .node(
            "humanInput",
            0,
            "Gate",
            json!({
                "humanInputDescriptionType": "fixed", "humanInputEnableFeedback": true,
                "humanInputDescription": "Release {{ $webhook.body.item }} now?",
            }),
        )
        .node(
            "directReply",
            0,
            "Yes",
            json!({ "directReplyMessage": "released {{ $webhook.body.item }}" }),
        )
        .node(
            "directReply",
            1,
            "No",
            json!({ "directReplyMessage": "held {{ $webhook.body.item }}" }),
        )
        .edge("startAgentflow_0", "startAgentflow", "humanInputAgentflow_0")
        .edge("humanInputAgentflow_0", "0", "directReplyAgentflow_0")
        .edge("humanInputAgentflow_0", "1", "directReplyAgentflow_1")
        .json()
}

/// Start → first gate → second gate → reply; a rejection ends with a reply of its own.
pub(crate) fn two_gates(start: Value) -> Value {
    let question = |text: &str| json!({ "humanInputDescriptionType": "fixed", "humanInputDescription": text, "humanInputEnableFeedback": false });
    Document::default()
        .node("start", 0, "Start", webhook(start))
        .node("humanInput", 0, "First", question("first?"))
        .node("humanInput", 1, "Second", question("second?"))
        .node(
            "directReply",
            0,
            "Both",
            json!({ "directReplyMessage": "both passed" }),
        )
        .node(
            "directReply",
            1,
            "None",
            json!({ "directReplyMessage": "stopped at first" }),
        )
        .node(
            "directReply",
            2,
            "One",
            json!({ "directReplyMessage": "stopped at second" }),
        )
        .edge("startAgentflow_0", "startAgentflow", "humanInputAgentflow_0")
        .edge("humanInputAgentflow_0", "0", "humanInputAgentflow_1")
        .edge("humanInputAgentflow_0", "1", "directReplyAgentflow_1")
        .edge("humanInputAgentflow_1", "0", "directReplyAgentflow_0")
        .edge("humanInputAgentflow_1", "1", "directReplyAgentflow_2")
        .json()
}

/// Start → condition on `amount` → a gate above 100, else `paid …` at once. `operation` is the comparison.
pub(crate) fn condition(start: Value, operation: &str) -> Value {
    Document::default()
        .node("start", 0, "Start", webhook(start))
        .node(
            "condition",
            0,
            "Large?",
            json!({ "conditions": [{
                "type": "number", "value1": "{{ $webhook.body.amount }}", "operation": operation, "value2": "100",
            }] }),
        )
        .node(
            "humanInput",
            0,
            "Gate",
            json!({
                "humanInputDescriptionType": "fixed", "humanInputEnableFeedback": false,
                "humanInputDescription": "Pay {{ $webhook.body.amount }}?",
            }),
        )
        .node("directReply", 0, "Paid", json!({ "directReplyMessage": "paid {{ $webhook.body.amount }}" }))
        .node("directReply", 1, "Asked", json!({ "directReplyMessage": "paid after asking" }))
        .edge("startAgentflow_0", "startAgentflow", "conditionAgentflow_0")
        .edge("conditionAgentflow_0", "0", "humanInputAgentflow_0")
        .edge("conditionAgentflow_0", "1", "directReplyAgentflow_0")
        .edge("humanInputAgentflow_0", "0", "directReplyAgentflow_1")
        .json()
}
