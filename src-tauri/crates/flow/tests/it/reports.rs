//! What is told about a flow that can be imported (issue 3, import report).

use countersign_flow::{Advance, FindingKind, Need, Plan, Run, clear_text_secrets, with_references};
use serde_json::{Value, json};

use crate::support::{
    TestHost, back, call, check, each, flow, gate, http, input, inside, order, plain, plan, reply, start,
    to_rest,
};

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

#[test]
fn secrets_give_way_to_references_and_nothing_else_changes() {
    // Written as an editor writes it: escapes, numbers and spaces that no program would write again in the same way.
    let document = concat!(
        "\u{FEFF}{ \"nodes\" : [ {\"id\":\"startAgentflow_0\",\"position\":{\"x\":1.50,\"y\":2e1},\"data\":{\"id\":\"startAgentflow_0\",",
        "\"name\":\"startAgentflow\",\"label\":\"Start\",\"inputs\":{\"startInputType\":\"webhookTrigger\",",
        "\"callbackSecret\":\"old\", \"callbackSecret\" : \"s3\\u0063ret\\n\"}}},\n\t",
        "{\"id\":\"httpAgentflow_0\",\"data\":{\"id\":\"httpAgentflow_0\",\"name\":\"httpAgentflow\",\"label\":\"C\\u0061ll\",",
        "\"inputs\":{\"url\":\"https:\\/\\/example.org\",\"headers\":[{\"key\":\"Accept\",\"value\":\"s3cret\\n\"},",
        "{\"value\":\"Bearer \\\"x\\\"\",\"key\":\" authorization\"},{\"key\":\"Cookie\",\"value\":\"{{ $vars.jar }}\"}]}}},",
        "{\"data\":{\"name\":\"stickyNoteAgentflow\"}, \"id\":\"stickyNoteAgentflow_0\"}],\"edges\":[{\"source\":\"startAgentflow_0\",",
        "\"sourceHandle\":\"startAgentflow_0-output-startAgentflow\",\"target\":\"httpAgentflow_0\"}]}"
    );
    let found = clear_text_secrets(document);
    let told: Vec<_> = found
        .iter()
        .map(|secret| (&*secret.step, &*secret.place, &*secret.value))
        .collect();
    assert_eq!(
        told,
        [
            ("Start", "callbackSecret", "s3cret\n"),
            ("Call", "authorization", "Bearer \"x\"")
        ]
    );
    assert!(!format!("{found:?}").contains("s3cret"), "{found:?}");
    let names = ["start-key", "call-key"].map(str::to_owned);
    let moved: Vec<_> = found.into_iter().zip(names).collect();
    let changed = with_references(document, &moved);
    let expected = document
        .replace("\"s3\\u0063ret\\n\"", "\"{{ $vars.start-key }}\"")
        .replace("\"Bearer \\\"x\\\"\"", "\"{{ $vars.call-key }}\"");
    assert_eq!(changed, expected);
    assert_eq!(clear_text_secrets(&changed), []);
    let plan = Plan::parse(&changed).unwrap();
    assert_eq!(plan.findings(), [], "nothing stands in the file any more");
    assert_eq!(
        plan.needs(),
        [
            ("Start", Need::Variable("start-key")),
            ("Call", Need::Variable("call-key")),
            ("Call", Need::Variable("jar"))
        ]
    );
    for none in ["", "{", "[]", "{\"nodes\":7}", "{\"nodes\":[7,{\"data\":null}]}"] {
        assert_eq!(clear_text_secrets(none), [], "{none}");
    }
}

/// What the report tells of secrets is what can be moved: no more, no less.
#[test]
fn each_secret_that_is_told_is_found_in_the_text() {
    for name in [
        "AUTHORIZATION",
        "x-api-key ",
        "Accept",
        "Private-Token",
        "proxy-authorization",
    ] {
        for value in ["s3cret", " ", "{{ $vars.x }}", "Bearer {{ $vars.x }}"] {
            let headers = json!([{"key": name, "value": value}]);
            let text = flow(
                vec![
                    start(json!({})),
                    http("t0", json!({"url": "http://x", "headers": headers})),
                ],
                &[("s", "t0")],
            );
            let told = kinds(&Plan::parse(&text).unwrap());
            let told = told.iter().filter(|kind| **kind == FindingKind::ClearTextSecret);
            assert_eq!(
                told.count(),
                clear_text_secrets(&text).len(),
                "{name:?}: {value:?}"
            );
        }
    }
}

/// It is no fault that keeps a flow from running, in Flowise neither.
#[test]
fn a_loop_that_leads_elsewhere_runs_and_is_told() {
    let sideways = plan(
        vec![
            start(json!({})),
            reply("d0", "a"),
            back("l0", "d1", json!({"maxLoopCount": 9})),
            reply("d1", "b"),
        ],
        &[("s", "d0"), ("d0", "l0"), ("s", "d1")],
    );
    assert_eq!(kinds(&sideways), [FindingKind::NoLoop]);
    let told = messages(&sideways);
    assert!(
        told.starts_with("“Again” leads to “Reply”, and no way leads"),
        "{told}"
    );
    let mut run = Run::begin(&sideways, input(json!({})));
    assert_eq!(to_rest(&mut run, &sideways, &TestHost::new()), Advance::Finished);
    assert_eq!(order(&run), ["s", "d0", "d1", "l0", "d1"]);

    let back_by_another = plan(
        vec![
            start(json!({})),
            reply("d0", "a"),
            check("c0", "a", "{{ loop_count }}"),
            back("l0", "d1", json!({})),
            reply("d1", "b"),
            back("l1", "d0", json!({})),
        ],
        &[
            ("s", "d0"),
            ("d0", "c0"),
            ("c0.0", "l0"),
            ("c0.1", "d1"),
            ("d1", "l1"),
        ],
    );
    assert_eq!(kinds(&back_by_another), [], "the other Loop leads back to it");
    let inside_one = plan(
        vec![
            start(json!({})),
            each("i0", "[1]"),
            inside("i0", reply("d0", "a")),
            inside("i0", back("l0", "d1", json!({}))),
            inside("i0", reply("d1", "b")),
        ],
        &[("s", "i0"), ("d0", "l0")],
    );
    assert_eq!(kinds(&inside_one), [FindingKind::NoLoop]);
}

/// What the runner leaves out or does by simpler means is told for the very flow that has it, with its step.
#[test]
fn what_works_less_well_here_is_told_with_its_step() {
    let model = |more: Value| {
        let mut config = json!({
            "modelName": "g", "temperature": "0.2", "topP": "", "streaming": true, "maxTokens": "90", "cache": "",
            "agentModel": "chatOpenAI", "allowImageUploads": false, "imageResolution": "low",
        });
        for (key, value) in more.as_object().unwrap() {
            config[key] = value.clone();
        }
        config
    };
    let message = |text: &str| json!([{"role": "user", "content": text}]);
    let plain_agent = plain(
        "a0",
        "Plain",
        json!({"agentModel": "chatOpenAI", "agentModelConfig": model(json!({})), "agentMessages": message("hi"),
            "agentEnableMemory": true, "agentMemoryType": "windowSize",
            "agentTools": [{"agentSelectedTool": "calculator"}]}),
    );
    let agent = plain(
        "a1",
        "Helper",
        json!({
            "agentModel": "chatOpenAI", "agentMessages": message("Read {{ file_attachment }}."),
            "agentModelConfig": model(json!({"allowImageUploads": true, "basepath": "https://proxy.example", "presencePenalty": 1})),
            "agentEnableMemory": true, "agentMemoryType": "conversationSummaryBuffer",
            "agentTools": [
                {"agentSelectedTool": "customMCP"},
                {"agentSelectedTool": "customTool", "agentSelectedToolConfig":
                    {"customToolName": "ask", "customToolFunc": "const x = require( 'axios' ); return require(\"url\")"}},
            ],
            "agentKnowledgeDocumentStores": [{"documentStore": "7:Handbook"}],
            "agentKnowledgeVSEmbeddings": [{"vectorStore": "pinecone", "knowledgeName": "Facts"}],
        }),
    );
    let other = plain(
        "m0",
        "Writer",
        json!({"llmModel": "chatOllama", "llmModelConfig": {"modelName": "l"}, "llmMessages": message("hi"),
            "llmEnableMemory": true, "llmMemoryType": "zepMemory"}),
    );
    let retriever = plain(
        "r0",
        "Look up",
        json!({"retrieverKnowledgeDocumentStores": [{"documentStore": "1:A"}, {"documentStore": "2:B"}]}),
    );
    let mut called = call("e0", "5b1d9a64-3f0e-4c39-9a5e-0a6f1c2d7e02", "x");
    called["data"]["inputs"]["executeFlowOverrideConfig"] = "{\"sessionId\": \"s\"}".into();
    called["data"]["inputs"]["executeFlowBaseURL"] = "https://flows.example".into();
    let mut harmless = call("e1", "5b1d9a64-3f0e-4c39-9a5e-0a6f1c2d7e02", "x");
    harmless["data"]["inputs"]["executeFlowOverrideConfig"] = "{}".into();
    harmless["data"]["inputs"]["executeFlowBaseURL"] = "".into();
    let code = json!({"customFunctionJavascriptFunction":
        "const fs = require('node:fs'), moment = require(`moment`), again = require('moment'); return require('buffer')"});
    let plan = plan(
        vec![
            start(json!({})),
            plain_agent,
            agent,
            other,
            retriever,
            called,
            harmless,
            plain("f0", "Compute", code),
        ],
        &[
            ("s", "a0"),
            ("a0", "a1"),
            ("a1", "m0"),
            ("m0", "r0"),
            ("r0", "e0"),
            ("e0", "e1"),
            ("e1", "f0"),
        ],
    );
    let told = messages(&plan);
    let about = |label: &str| -> Vec<String> {
        let name = format!("“{label}” ");
        let lines = told.lines().filter_map(|line| line.strip_prefix(name.as_str()));
        lines.map(|line| line.chars().take(48).collect()).collect()
    };
    assert_eq!(about("Plain"), Vec::<String>::new(), "{told}");
    assert_eq!(
        about("Helper"),
        [
            "remembers as much as fits into a number of token",
            "requires the module axios in the code of its too",
            "lets its model see images. Here models get texts",
            "sets what is not used here for chatOpenAI: basep",
            "looks into 7:Handbook. Here a folder stands for ",
            "refers to files that come with a message in agen",
        ]
    );
    assert!(told.contains("chatOpenAI: basepath, presencePenalty."), "{told}");
    assert_eq!(
        about("Writer"),
        ["has the memory “zepMemory”, which is not known h"]
    );
    assert_eq!(
        about("Look up"),
        [
            "looks into 1:A, 2:B. Here a folder stands for a ",
            "looks into several document stores. Here the pas"
        ]
    );
    assert_eq!(
        about("Call it"),
        [
            "overrides settings of the flow that it calls. He",
            "names another server for the flow that it calls."
        ]
    );
    assert_eq!(about("Compute").len(), 1);
    assert!(
        told.contains("requires the modules moment, node:fs in its code."),
        "{told}"
    );
    let kinds = kinds(&plan);
    let degraded = kinds.iter().filter(|kind| **kind == FindingKind::Degraded);
    assert_eq!((degraded.count(), kinds.len()), (11, 12), "{told}");
    let missing: Vec<_> = plan
        .needs()
        .into_iter()
        .filter_map(|(label, need)| match need {
            Need::Missing(why) => Some(format!("{label}: {why}")),
            _ => None,
        })
        .collect();
    assert_eq!(missing.len(), 2, "{missing:?}");
    assert!(missing[0].starts_with("Helper: The MCP server “customMCP” and its tools are not available"));
    assert!(missing[1].starts_with("Helper: The knowledge “Facts” lies in the vector store pinecone"));
}
