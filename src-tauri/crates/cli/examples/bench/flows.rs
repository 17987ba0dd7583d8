//! The two flows that are measured.

use serde_json::{Value, json};

fn node(name: &str, number: usize, label: &str, fields: &[(&str, &str)], inputs: Value) -> Value {
    let id = format!("{name}_{number}");
    let params: Vec<Value> = fields
        .iter()
        .map(|(field, kind)| json!({ "label": field, "name": field, "type": kind, "acceptVariable": *kind == "string" }))
        .collect();
    json!({
        "id": id, "type": "agentFlow", "position": { "x": 0, "y": 0 },
        "data": { "id": id, "label": label, "version": 1, "name": name, "inputParams": params, "inputs": inputs },
    })
}

fn edge(source: &str, output: &str, target: &str) -> Value {
    json!({
        "id": format!("{source}-{output}-{target}"), "source": source, "target": target, "type": "agentFlow",
        "sourceHandle": format!("{source}-output-{output}"), "targetHandle": target,
    })
}

fn start() -> Value {
    let inputs = json!({
        "startInputType": "webhookTrigger", "webhookMethod": "POST", "webhookContentType": "application/json",
        "webhookInputMode": "text", "webhookDefaultInput": "", "webhookResponseMode": "sync",
    });
    node(
        "startAgentflow",
        0,
        "Start",
        &[("startInputType", "options")],
        inputs,
    )
}

fn reply(number: usize, text: &str) -> Value {
    let fields = [("directReplyMessage", "string")];
    node(
        "directReplyAgentflow",
        number,
        "Reply",
        &fields,
        json!({ "directReplyMessage": text }),
    )
}

/// Start → Direct Reply.
pub(crate) fn hello() -> Value {
    json!({
        "nodes": [start(), reply(0, "Hello {{ $webhook.body.who }}!")],
        "edges": [edge("startAgentflow_0", "startAgentflow", "directReplyAgentflow_0")],
    })
}

/// Start → Human Input → one reply for each answer.
pub(crate) fn gate() -> Value {
    let inputs = json!({
        "humanInputDescriptionType": "fixed", "humanInputEnableFeedback": true,
        "humanInputDescription": "Release {{ $webhook.body.item }} now?",
    });
    let fields = [
        ("humanInputDescriptionType", "options"),
        ("humanInputDescription", "string"),
    ];
    json!({
        "nodes": [
            start(),
            node("humanInputAgentflow", 0, "Gate", &fields, inputs),
            reply(0, "released {{ $webhook.body.item }}"),
            reply(1, "held {{ $webhook.body.item }}"),
        ],
        "edges": [
            edge("startAgentflow_0", "startAgentflow", "humanInputAgentflow_0"),
            edge("humanInputAgentflow_0", "0", "directReplyAgentflow_0"),
            edge("humanInputAgentflow_0", "1", "directReplyAgentflow_1"),
        ],
    })
}
