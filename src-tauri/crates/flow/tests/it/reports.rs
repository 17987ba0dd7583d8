//! What is told about a flow that can be imported (issue 3, import report).

use countersign_flow::{FindingKind, Need, Plan};
use serde_json::{Value, json};

use crate::support::{call, check, each, flow, gate, http, inside, plan, reply, start};

fn kinds(plan: &Plan) -> Vec<FindingKind> {
    plan.findings().iter().map(|finding| finding.kind).collect()
}

fn messages(plan: &Plan) -> String {
    let messages: Vec<_> = plan.findings().iter().map(|finding| &*finding.message).collect();
    messages.join("\n")
}

#[test]
fn an_ordinary_flow_has_nothing_to_tell() {
    let plan = plan(
        vec![
            start(json!({})),
            gate("h0", "Release {{ $webhook.body.item }}?"),
            reply("d0", "yes: {{ humanInputAgentflow_0 }}"),
            reply(
                "d1",
                "no: {{ humanInputAgentflow_0.output.conditions[1].feedback }}",
            ),
        ],
        &[("s", "h0"), ("h0.0", "d0"), ("h0.1", "d1")],
    );
    assert_eq!((plan.findings(), plan.needs()), (&[][..], vec![]));
}

#[test]
fn what_a_flow_needs_from_elsewhere_is_listed_once_a_step() {
    let mut target = http(
        "t0",
        json!({"method": "GET", "url": "https://{{ $vars.host }}/{{ $vars.host }}"}),
    );
    target["data"]["credential"] = "cred-7".into();
    let plan = plan(
        vec![
            start(json!({})),
            call("e0", "5b1d9a64-3f0e-4c39-9a5e-0a6f1c2d7e02", "{{ $vars.name }}"),
            each("i0", "[1]"),
            inside("i0", target),
        ],
        &[("s", "e0"), ("e0", "i0")],
    );
    assert_eq!(
        plan.needs(),
        [
            ("Call it", Need::Flow("5b1d9a64-3f0e-4c39-9a5e-0a6f1c2d7e02")),
            ("Call it", Need::Variable("name")),
            ("Call", Need::Credential("cred-7")),
            ("Call", Need::Variable("host")),
        ]
    );
}

#[test]
fn a_reference_to_a_step_that_is_not_there_is_told_with_its_field() {
    let plan = plan(
        vec![
            start(json!({})),
            each("i0", "[1]"),
            inside("i0", reply("d0", "{{ startAgentflow_0 }}{{ $iteration }}")),
            reply("d1", "{{ llmAgentflow_9 }} {{ llmAgentflow_9.output.x }}"),
        ],
        &[("s", "i0"), ("i0", "d1")],
    );
    assert_eq!(
        kinds(&plan),
        [FindingKind::UnknownStep],
        "what lies outside an Iteration is there"
    );
    assert!(
        messages(&plan).contains("“llmAgentflow_9” in directReplyMessage"),
        "{}",
        messages(&plan)
    );
}

#[test]
fn secrets_in_the_file_are_told_and_never_repeated() {
    let headers = json!([
        {"key": "Authorization", "value": "Bearer s3cret"},
        {"key": "x-api-key", "value": "{{ $vars.key }}"},
        {"key": "Accept", "value": "text/plain"},
    ]);
    let plan = plan(
        vec![
            start(json!({"callbackSecret": "s3cret"})),
            http(
                "t0",
                json!({"method": "GET", "url": "https://example.org", "headers": headers}),
            ),
        ],
        &[("s", "t0")],
    );
    assert_eq!(
        kinds(&plan),
        [FindingKind::ClearTextSecret, FindingKind::ClearTextSecret]
    );
    assert!(!messages(&plan).contains("s3cret"), "{}", messages(&plan));
}

#[test]
fn a_double_edge_is_told() {
    let plan = plan(
        vec![start(json!({})), reply("d0", "a")],
        &[("s", "d0"), ("s", "d0")],
    );
    assert_eq!(kinds(&plan), [FindingKind::DoubleEdge]);
}

/// Each graph of known gaps part D, and the row that is told for it.
#[test]
fn what_this_very_flow_does_differently_is_told_by_its_row() {
    let some = |rows: &[&'static str]| {
        rows.iter()
            .map(|row| FindingKind::Differs(row))
            .collect::<Vec<_>>()
    };
    let replies = || vec![reply("d0", "a"), reply("d1", "b"), reply("d2", "c")];
    let graph = |first: Value, more: Vec<Value>, edges: &[(&str, &str)]| {
        let nodes = [vec![start(json!({})), first], more].concat();
        kinds(&Plan::parse(&flow(nodes, edges)).unwrap())
    };
    let found = graph(
        gate("h0", "?"),
        replies(),
        &[("s", "h0"), ("h0.0", "d0"), ("h0.0", "d1"), ("h0.1", "d2")],
    );
    assert_eq!(found, some(&["D1.1"]));
    let found = graph(
        gate("h0", "?"),
        vec![reply("d0", "a")],
        &[("s", "h0"), ("h0.0", "d0"), ("h0.1", "d0")],
    );
    assert_eq!(found, some(&["D1.2"]));
    let edges = [
        ("s", "c0"),
        ("c0.0", "d0"),
        ("c0.1", "d1"),
        ("d0", "d2"),
        ("d1", "d2"),
    ];
    assert_eq!(
        graph(check("c0", "a", "a"), replies(), &edges),
        some(&["D3.1–D3.3"])
    );
    let found = graph(
        gate("h0", "?"),
        replies(),
        &[("s", "h0"), ("s", "d0"), ("h0.0", "d1"), ("d0", "d2")],
    );
    assert_eq!(found, some(&["D3.4"]));
    let form = http(
        "t0",
        json!({"method": "POST", "bodyType": "xWwwFormUrlencoded", "responseType": "base64"}),
    );
    assert_eq!(graph(form, vec![], &[("s", "t0")]), some(&["D3.11", "r"]));
    // A join of branches that all come, and what another answer leads to, are the same in both.
    let edges = [("s", "d0"), ("s", "d1"), ("d0", "d2"), ("d1", "d2")];
    assert_eq!(
        kinds(&plan([vec![start(json!({}))], replies()].concat(), &edges)),
        []
    );
    let second = vec![gate("h1", "?"), reply("d0", "a")];
    assert_eq!(
        graph(
            gate("h0", "?"),
            second,
            &[("s", "h0"), ("h0.0", "h1"), ("h0.1", "d0")]
        ),
        []
    );
}

/// Ten thousand nodes, each of them a gate beside all that comes before: told in time, and not all of it.
#[test]
fn a_large_flow_is_looked_through_in_time() {
    let mut nodes = vec![start(json!({}))];
    let names: Vec<_> = (0..9_999).map(|index| format!("h{index}")).collect();
    nodes.extend(names.iter().map(|name| gate(name, "?")));
    let edges: Vec<_> = names.iter().map(|name| ("s", name.as_str())).collect();
    let plan = plan(nodes, &edges);
    assert!(
        (100..=200).contains(&plan.findings().len()),
        "{}",
        plan.findings().len()
    );
}
