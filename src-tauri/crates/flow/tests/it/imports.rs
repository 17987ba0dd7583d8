//! What is refused at import, and how it is said.

use countersign_flow::{Plan, ProblemKind, Refusal, read_import};
use serde_json::{Value, json};

use crate::support::{check, flow, gate, reply, start};

fn refusal(text: &str) -> Refusal {
    match Plan::parse(text) {
        Err(refusal) => refusal,
        Ok(_) => panic!("this should be refused: {text}"),
    }
}

/// The refusal has this kind, and names what it is about.
fn refused(text: &str, kind: ProblemKind, names: &[&str]) {
    let refusal = refusal(text);
    assert!(
        refusal.problems().iter().any(|problem| problem.kind == kind),
        "{kind:?} in {refusal}"
    );
    for name in names {
        assert!(refusal.to_string().contains(name), "{name:?} in {refusal}");
    }
}

#[test]
fn every_kind_that_does_not_run_is_listed_with_its_label() {
    let other = |id: &str, label: &str| {
        let name = id.rsplit_once('_').unwrap().0;
        json!({"id": id, "data": {"id": id, "label": label, "name": name, "inputs": {}}})
    };
    let nodes = vec![
        start(json!({})),
        other("puzzleAgentflow_0", "Call API"),
        other("mysteryAgentflow_0", "Riddle"),
        other("loopAgentflow_0", "Again"),
    ];
    let edges = json!([
        {"source": "startAgentflow_0", "target": "puzzleAgentflow_0"},
        {"source": "puzzleAgentflow_0", "target": "mysteryAgentflow_0"},
        {"source": "mysteryAgentflow_0", "target": "loopAgentflow_0"},
    ]);
    let refusal = refusal(&json!({"nodes": nodes, "edges": edges}).to_string());
    assert_eq!(
        refusal.to_string(),
        "This flow cannot be imported: these steps are of kinds that AgentFlow v2 does not have: \
         puzzleAgentflow “Call API” (puzzleAgentflow_0), mysteryAgentflow “Riddle” (mysteryAgentflow_0); \
         the Loop “Again” (loopAgentflow_0) does not say to which node it leads back"
    );
    let found: Vec<_> = refusal
        .problems()
        .iter()
        .map(|problem| (problem.kind, problem.node_label.as_deref().unwrap()))
        .collect();
    assert_eq!(
        found,
        [
            (ProblemKind::UnknownKind, "Call API"),
            (ProblemKind::UnknownKind, "Riddle"),
            (ProblemKind::Setting, "Again")
        ]
    );
}

#[test]
fn faulty_graphs_are_refused_by_the_name_of_the_node() {
    let s = || start(json!({}));
    refused(&flow(vec![], &[]), ProblemKind::NoStart, &["no Start"]);
    let mut second = start(json!({}));
    second["id"] = json!("startAgentflow_1");
    second["data"]["label"] = json!("Other start");
    refused(
        &flow(vec![s(), second], &[]),
        ProblemKind::SeveralStarts,
        &["“Start”", "Other start"],
    );
    refused(
        &flow(vec![s()], &[("s", "d7")]),
        ProblemKind::DanglingEdge,
        &["“Start”", "directReplyAgentflow_7"],
    );
    refused(
        &flow(vec![s()], &[("d7", "s")]),
        ProblemKind::DanglingEdge,
        &["“Start”", "directReplyAgentflow_7"],
    );
    refused(
        &flow(vec![s()], &[("d7", "d8")]),
        ProblemKind::DanglingEdge,
        &["directReplyAgentflow_8"],
    );
    refused(
        &flow(
            vec![s(), reply("d0", "a"), reply("d1", "b")],
            &[("s", "d0"), ("d0", "d1"), ("d1", "d0")],
        ),
        ProblemKind::Cycle,
        &["directReplyAgentflow_0", "directReplyAgentflow_1", "Loop"],
    );
    refused(
        &flow(vec![s(), reply("d0", "a")], &[("s", "d0"), ("d0", "d0")]),
        ProblemKind::Cycle,
        &["directReplyAgentflow_0"],
    );
    refused(
        &flow(vec![s(), reply("d0", "a")], &[]),
        ProblemKind::NotConnected,
        &["“Reply” (directReplyAgentflow_0)"],
    );
    refused(
        &flow(vec![s(), reply("d0", "a"), reply("d0", "b")], &[("s", "d0")]),
        ProblemKind::DuplicateNode,
        &["directReplyAgentflow_0"],
    );
    refused(
        &flow(
            vec![s(), gate("h0", "?"), reply("d0", "a")],
            &[("s", "h0"), ("h0.2", "d0")],
        ),
        ProblemKind::NoSuchOutput,
        &["“Gate”"],
    );
    refused(
        &flow(
            vec![s(), gate("h0", "?"), reply("d0", "a")],
            &[("s", "h0"), ("h0", "d0")],
        ),
        ProblemKind::NoSuchOutput,
        &["“Gate”"],
    );
    refused(
        &flow(
            vec![s(), check("c0", "a", "b"), reply("d0", "a")],
            &[("s", "c0"), ("c0.2", "d0")],
        ),
        ProblemKind::NoSuchOutput,
        &["“Check”"],
    );
}

/// D1.15: Flowise accepts it and loses the question.
#[test]
fn d1_15_a_gate_inside_an_iteration_is_refused() {
    let iteration = json!({"id": "iterationAgentflow_0", "data": {"label": "Each", "name": "iterationAgentflow", "inputs": {}}});
    let mut inside = gate("h0", "ok?");
    inside["parentNode"] = json!("iterationAgentflow_0");
    inside["extent"] = json!("parent");
    let text = flow(
        vec![start(json!({})), iteration, inside],
        &[("s", "iterationAgentflow_0")],
    );
    refused(
        &text,
        ProblemKind::GateInIteration,
        &["“Gate” (humanInputAgentflow_0) lies inside the Iteration “Each”"],
    );
}

#[test]
fn texts_that_are_no_flows_are_refused_in_words() {
    let deep = format!("{{\"nodes\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let png = String::from_utf8_lossy(&[0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', 0, 0, 0, 13])
        .into_owned();
    for (text, kind, words) in [
        ("", ProblemKind::NotJson, "empty"),
        ("{", ProblemKind::NotJson, "not JSON"),
        (&png, ProblemKind::NotJson, "not a text file"),
        (&deep, ProblemKind::NotJson, "levels deep"),
        ("5", ProblemKind::NotAFlow, "a number"),
        ("[]", ProblemKind::NotAFlow, "a list"),
        (
            "{\"nodes\":{},\"edges\":5}",
            ProblemKind::NotAFlow,
            "edges must be a list, but it is a number",
        ),
        (
            "{\"nodes\":[5]}",
            ProblemKind::NotAFlow,
            "node number 1 is not an object",
        ),
        (
            "{\"nodes\":[{\"id\":\"a_0\"}]}",
            ProblemKind::NotAFlow,
            "“a_0”) has no data",
        ),
        (
            "{\"nodes\":[{\"data\":{\"name\":\"x\"}}]}",
            ProblemKind::NotAFlow,
            "has no id",
        ),
        (
            "{\"nodes\":[{\"id\":\"a_0\",\"data\":{}}]}",
            ProblemKind::NotAFlow,
            "data.name is missing",
        ),
        (
            "{\"edges\":[{\"source\":\"a\"}]}",
            ProblemKind::NotAFlow,
            "edge number 1",
        ),
        ("{}", ProblemKind::NoStart, "no Start"),
    ] {
        refused(text, kind, &[words]);
    }
    assert!(read_import(&deep).is_err() && read_import(&png).is_err());
}

#[test]
fn sticky_notes_are_left_out() {
    let note = json!({"id": "stickyNoteAgentflow_0", "type": "stickyNote", "data": {"name": "stickyNoteAgentflow", "inputs": {"note": "n"}}});
    let plan = Plan::parse(&flow(
        vec![note, start(json!({})), reply("d0", "x")],
        &[("s", "d0")],
    ))
    .unwrap();
    let steps: Vec<_> = plan
        .steps()
        .into_iter()
        .map(|step| format!("{}: {} {}", step.kind, step.label, step.id))
        .collect();
    assert_eq!(
        steps,
        [
            "Start: Start startAgentflow_0",
            "Direct Reply: Reply directReplyAgentflow_0"
        ]
    );
}

#[test]
fn flows_with_another_start_can_be_imported() {
    for kind in ["chatInput", "formInput", "scheduleInput", ""] {
        let text = flow(
            vec![start(json!({"startInputType": kind})), reply("d0", "x")],
            &[("s", "d0")],
        );
        assert!(Plan::parse(&text).is_ok(), "a flow that starts by {kind:?}");
    }
}

#[test]
fn the_forms_of_an_import_are_unwrapped_without_change() {
    let export = " {\"edges\" : [], \"nodes\": [ ]\n}";
    let read = |text: &str| read_import(text).map(|import| (import.name, import.flow_data));
    assert_eq!(read(export).unwrap(), (None, export.to_owned()));
    let api = json!({"name": "Deploy", "type": "AGENTFLOW", "flowData": export}).to_string();
    assert_eq!(
        read(&api).unwrap(),
        (Some("Deploy".to_owned()), export.to_owned())
    );
    let item = |name: &str| json!({"id": "i", "name": name, "type": "AGENTFLOW", "flowData": export});
    let bulk = |flows: Value| json!({"AgentFlowV2": flows, "ChatFlow": [], "Variable": []}).to_string();
    assert_eq!(
        read(&bulk(json!([item("One")]))).unwrap(),
        (Some("One".to_owned()), export.to_owned())
    );
    let several = read(&bulk(json!([item("One"), item("Two")]))).unwrap_err();
    assert!(several.to_string().contains("“One”, “Two”"), "{several}");
    for bad in [
        json!({"name": "x", "type": "AGENTFLOW"}).to_string(),
        json!({"name": "x", "flowData": {"nodes": [], "edges": []}}).to_string(),
        json!({"flowData": null}).to_string(),
        bulk(json!([])),
        bulk(json!(5)),
        bulk(json!([{"name": "x"}])),
        "{}".to_owned(),
    ] {
        assert!(read(&bad).is_err(), "{bad}");
    }
}
