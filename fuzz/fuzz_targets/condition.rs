//! One row of a Condition: its type, operation and values, divided by null characters. `value1` comes with the call, as
//! it does in life, `value2` stands in the flow or comes with the call too.

#![no_main]

use countersign_flow::{Plan, plain_text};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

const TYPES: [&str; 3] = ["string", "number", "boolean"];

const OPERATIONS: [&str; 14] = [
    "contains",
    "notContains",
    "startsWith",
    "endsWith",
    "equal",
    "notEqual",
    "smaller",
    "smallerEqual",
    "larger",
    "largerEqual",
    "isEmpty",
    "notEmpty",
    "regex",
    "unknown",
];

fuzz_target!(|input: (u8, u8, bool, &str)| {
    let (kind, operation, fixed, values) = input;
    let (one, two) = values.split_once('\0').unwrap_or((values, "1"));
    let read = |text: &str| serde_json::from_str(text).unwrap_or_else(|_| Value::from(text));
    let two_written = if fixed {
        read(two)
    } else {
        "{{ $webhook.body.two }}".into()
    };
    let row = json!({
        "type": TYPES[usize::from(kind) % TYPES.len()],
        "value1": "{{ $webhook.body.one }}",
        "operation": OPERATIONS[usize::from(operation) % OPERATIONS.len()],
        "value2": two_written,
    });
    let node = |id: &str, name: &str, inputs: Value| json!({"id": id, "data": {"id": id, "name": name, "inputs": inputs}});
    let document = json!({
        "nodes": [
            node("startAgentflow_0", "startAgentflow", json!({"startInputType": "webhookTrigger"})),
            node("conditionAgentflow_0", "conditionAgentflow", json!({"conditions": [row]})),
        ],
        "edges": [{
            "source": "startAgentflow_0",
            "sourceHandle": "startAgentflow_0-output-startAgentflow",
            "target": "conditionAgentflow_0",
        }],
    });
    let plan = match Plan::parse(&document.to_string()) {
        Ok(plan) => plan,
        // What JSON cannot say this way, a document cannot either.
        Err(_) => return,
    };
    countersign_fuzz::run(&plan, json!({"one": read(one), "two": two}));
    let _ = plain_text(one);
});
