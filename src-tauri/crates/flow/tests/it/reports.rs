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
        json!({"method": "POST", "url": "http://x/", "bodyType": "xWwwFormUrlencoded", "responseType": "base64"}),
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

/// Where secrets lie in real exports: each is told, none is repeated, and where a reference can stand in its place the
/// step does afterwards what it did before.
#[test]
fn secrets_are_found_wherever_they_stand_and_what_moves_does_the_same_as_before() {
    let secret = "s3cr3t-value-42";
    let headers = |name: &str| json!([{"key": name, "value": secret}]);
    let text = |text: &str| text.replace("SECRET", secret);
    // (kind, inputs, place, whether it can be moved)
    let cases = [
        (
            "t0",
            json!({"url": "http://x/", "headers": headers("X-Secret-Token")}),
            "X-Secret-Token",
            true,
        ),
        (
            "t0",
            json!({"url": "http://x/", "headers": headers("x-functions-key ")}),
            "x-functions-key",
            true,
        ),
        (
            "t0",
            json!({"url": "http://x/", "headers": headers("X-DB-Password")}),
            "X-DB-Password",
            true,
        ),
        (
            "t0",
            json!({"url": "http://x/", "queryParams": headers("api_key")}),
            "api_key",
            true,
        ),
        (
            "t0",
            json!({"url": text("http://x/p?a=1&api_key=SECRET#f")}),
            "api_key in url",
            true,
        ),
        (
            "t0",
            json!({"url": text("http://{{ question }}/p?token=SECRET&b={{ question }}")}),
            "token in url",
            true,
        ),
        (
            "t0",
            json!({"url": text("https://me:SECRET@x/p")}),
            "password in url",
            true,
        ),
        (
            "t0",
            json!({"url": "http://x/", "method": "POST", "bodyType": "json",
            "body": text("{\"user\": \"é\\u00e9\", \"password\": \"SECRET\", \"n\": {{ question }}}")}),
            "password in body",
            true,
        ),
        (
            "t0",
            json!({"url": "http://x/", "method": "POST", "bodyType": "formData",
            "body": [{"key": "client_secret", "value": secret}]}),
            "client_secret",
            true,
        ),
        (
            "d0",
            json!({"directReplyMessage": "use ghp_0123456789abcdefABCDEF now"}),
            "key in directReplyMessage",
            true,
        ),
        (
            "d0",
            json!({"directReplyMessage": "<p>use ghp_0123456789abcdefABCDEF <b>now</b></p>"}),
            "key in directReplyMessage",
            true,
        ),
        (
            "o0",
            json!({"selectedTool": "requestsPost", "selectedToolConfig": {"requestsPostUrl": "http://x/",
            "requestsPostHeaders": text("{\"X-Api-Key\": \"SECRET\"}")}}),
            "X-Api-Key in requestsPostHeaders",
            true,
        ),
        (
            "a0",
            json!({"agentModel": "chatOpenAI", "agentTools": [{"agentSelectedTool": "requestsGet",
            "agentSelectedToolConfig": {"requestsGetUrl": text("http://x/?key=SECRET")}}]}),
            "key in requestsGetUrl",
            true,
        ),
        (
            "f0",
            json!({"customFunctionJavascriptFunction": "const k = 'sk-proj-abc123DEF456';"}),
            "key in customFunctionJavascriptFunction",
            false,
        ),
        (
            "f0",
            json!({"customFunctionJavascriptFunction": text("login({user: 'me', password: 'SECRET'})")}),
            "password in customFunctionJavascriptFunction",
            false,
        ),
        (
            "f0",
            json!({"customFunctionJavascriptFunction": text("h = {'X-Auth': `Bearer SECRET`}")}),
            "key in customFunctionJavascriptFunction",
            false,
        ),
        (
            "m0",
            json!({"llmModel": "chatOpenAI", "llmModelConfig": {"openAIApiKey": secret},
            "llmMessages": [{"role": "user", "content": "hi"}]}),
            "openAIApiKey in llmModelConfig",
            false,
        ),
    ];
    for (kind, inputs, place, moves) in cases {
        let document = flow(
            vec![start(json!({})), plain(kind, "Step", inputs)],
            &[("s", kind)],
        );
        let found = clear_text_secrets(&document);
        let places: Vec<_> = found
            .iter()
            .map(|one| (&*one.place, one.by_hand.is_none()))
            .collect();
        assert_eq!(places, [(place, moves)], "{document}");
        let told = Plan::parse(&document).unwrap();
        let kind = if moves {
            FindingKind::ClearTextSecret
        } else {
            FindingKind::ClearTextByHand
        };
        let finding = told.findings().iter().find(|finding| finding.kind == kind);
        let message = &finding
            .unwrap_or_else(|| panic!("{place}: {}", messages(&told)))
            .message;
        assert!(
            message.contains(place) && !message.contains(&*found[0].value),
            "{message}"
        );
        if !moves {
            continue;
        }
        let value = found[0].value.clone();
        assert!(
            value == secret || value.starts_with("ghp_"),
            "all of it, and nothing else: {value}"
        );
        let changed = with_references(&document, &[(found[0].clone(), "moved".to_owned())]);
        assert_eq!(
            changed.replace("{{ $vars.moved }}", &value),
            document,
            "everything else stays byte for byte"
        );
        assert_eq!(clear_text_secrets(&changed), [], "{changed}");
        let reads = Plan::parse(&changed).unwrap();
        assert!(
            reads.needs().contains(&("Step", Need::Variable("moved"))),
            "{changed}"
        );
    }
}

/// What only looks like one is left alone.
#[test]
fn ordinary_texts_are_no_secrets() {
    let code = "const token = input.token; const key = 'name'; const t = {type: 'string', token: 'string'};\n\
                const id = task-1234567890; if (password === '') { return `Bearer ${token}` } return {'sk-': 1}";
    for (kind, inputs) in [
        ("f0", json!({"customFunctionJavascriptFunction": code})),
        (
            "t0",
            json!({"url": "http://x/?page_token=abcdef&max_tokens=512&key={{ $vars.k }}&sort=key",
            "headers": [{"key": "Idempotency-Key", "value": "abc"}, {"key": "Authorization", "value": "Bearer {{ $vars.t }}"},
                {"key": "X-Token", "value": " "}, {"key": "Accept", "value": "text/plain"}]}),
        ),
        (
            "m0",
            json!({"llmModel": "chatOpenAI", "llmModelConfig": {"maxTokens": "90", "modelName": "gpt-4"},
            "llmMessages": [{"role": "user", "content": "Explain what a password: is, and risk-assessment-2024."}]}),
        ),
        (
            "d0",
            json!({"directReplyMessage": "Your token is {{ $flow.state.token }}; see https://x/?token={{ question }}"}),
        ),
    ] {
        let document = flow(
            vec![start(json!({})), plain(kind, "Step", inputs)],
            &[("s", kind)],
        );
        assert_eq!(clear_text_secrets(&document), [], "{document}");
    }
}

/// What can never come to its end is told before it is tried.
#[test]
fn steps_that_can_only_fail_are_told() {
    let scenario = json!([{"scenario": "a"}]);
    for (kind, inputs, why) in [
        ("e0", json!({}), "has no flow that it calls"),
        (
            "m0",
            json!({"llmMessages": [{"role": "user", "content": "x"}]}),
            "names no language model",
        ),
        ("a0", json!({}), "names no language model"),
        (
            "p0",
            json!({"conditionAgentScenarios": scenario}),
            "names no language model",
        ),
        (
            "p0",
            json!({"conditionAgentModel": "chatOpenAI", "conditionAgentScenarios": []}),
            "has no scenario",
        ),
        ("o0", json!({}), "has no tool"),
        ("t0", json!({"method": "GET"}), "has no URL"),
        ("t0", json!({"url": " "}), "has no URL"),
        ("t0", json!({"url": "example.org/x"}), "calls what is no URL"),
        ("t0", json!({"url": "ftp://example.org/x"}), "scheme ftp"),
        (
            "c0",
            json!({"conditions": [{"type": "string", "value1": "a", "operation": "like", "value2": "b"}]}),
            "“like”",
        ),
    ] {
        let plan = plan(
            vec![start(json!({})), plain(kind, "Step", inputs)],
            &[("s", kind)],
        );
        let fails: Vec<_> = plan
            .findings()
            .iter()
            .filter(|finding| finding.kind == FindingKind::AlwaysFails)
            .collect();
        assert!(
            fails.len() == 1 && fails[0].message.starts_with("“Step” ") && fails[0].message.contains(why),
            "{why}: {fails:?}"
        );
        let mut run = Run::begin(&plan, input(json!({})));
        let host = TestHost::new().with_http(|request| {
            let message = format!("{} cannot be called", request.url);
            Box::pin(std::future::ready(Err(message)))
        });
        assert!(
            matches!(to_rest(&mut run, &plan, &host), Advance::Failed(_)),
            "{why}"
        );
    }
}

#[test]
fn an_operation_that_a_reference_names_is_known_only_when_it_runs() {
    let rows =
        json!([{"type": "string", "value1": "a", "operation": "{{ $webhook.body.how }}", "value2": "b"}]);
    let plan = plan(
        vec![start(json!({})), plain("c0", "Step", json!({"conditions": rows}))],
        &[("s", "c0")],
    );
    assert_eq!(kinds(&plan), []);
}

/// The rows of `DEVIATIONS.md` that are marked there as told.
#[test]
fn what_single_steps_and_loops_do_differently_is_told_by_its_row() {
    let rows = |nodes: Vec<Value>, edges: &[(&str, &str)]| -> Vec<&'static str> {
        let plan = plan(nodes, edges);
        let kinds = kinds(&plan).into_iter();
        kinds
            .filter_map(|kind| match kind {
                FindingKind::Differs(row) => Some(row),
                _ => None,
            })
            .collect()
    };
    let one = |step: Value, short: &str| rows(vec![start(json!({})), step], &[("s", short)]);
    let text = |one: &str| json!({"conditions": [{"type": "string", "value1": one, "operation": "equal", "value2": "200"}]});
    let status = rows(
        vec![
            start(json!({})),
            http("t0", json!({"url": "http://x/"})),
            plain("c0", "Check", text("{{ httpAgentflow_0.output.http.status }}")),
            plain("c1", "Check", text("is {{ httpAgentflow_0.output.http.status }}")),
        ],
        &[("s", "t0"), ("t0", "c0"), ("c0.0", "c1")],
    );
    assert_eq!(status, ["D3.5"], "a text with something around it is a text");
    let state = start(json!({"startState": [{"key": "a", "value": "1"}, {"key": "b"}]}));
    assert_eq!(rows(vec![state, reply("d0", "x")], &[("s", "d0")]), ["D3.9"]);
    let gated = |more: Value| {
        let mut tool =
            json!({"agentSelectedTool": "calculator", "agentSelectedToolRequiresHumanInput": true});
        tool["more"] = more;
        plain(
            "a0",
            "Agent",
            json!({"agentModel": "chatOpenAI", "agentTools": [tool]}),
        )
    };
    assert_eq!(one(gated(json!(1)), "a0"), ["semantics §11"]);
    let in_iteration = rows(
        vec![start(json!({})), each("i0", "[1]"), inside("i0", gated(json!(1)))],
        &[("s", "i0")],
    );
    assert_eq!(in_iteration, ["semantics §11", "gated tool in an Iteration"]);
    let two = json!([{"role": "system", "content": "a"}, {"role": "user", "content": "u"}, {"role": "system", "content": "b"}]);
    let llm = plain(
        "m0",
        "Model",
        json!({"llmModel": "chatOpenAI", "llmMessages": two}),
    );
    assert_eq!(one(llm, "m0"), ["order of system messages"]);
    let odd = http(
        "t0",
        json!({"url": "http://x/#part", "headers": [{"key": " content-length", "value": "3"}]}),
    );
    assert_eq!(one(odd, "t0"), ["fragment of a URL", "length of a body"]);
    let over_a_gate = rows(
        vec![
            start(json!({})),
            reply("d0", "a"),
            gate("h0", "again?"),
            back("l0", "d0", json!({})),
            reply("d1", "done"),
        ],
        &[("s", "d0"), ("d0", "h0"), ("h0.0", "l0"), ("h0.1", "d1")],
    );
    assert_eq!(over_a_gate, ["D1.14"]);
    let with_a_join = rows(
        vec![
            start(json!({})),
            reply("d0", "a"),
            reply("d1", "b"),
            reply("d2", "c"),
            reply("d3", "join"),
            back("l0", "d0", json!({})),
        ],
        &[
            ("s", "d0"),
            ("d0", "d1"),
            ("d0", "d2"),
            ("d1", "d3"),
            ("d2", "d3"),
            ("d3", "l0"),
        ],
    );
    assert_eq!(with_a_join, ["join in a Loop"]);
    let gate_outside = rows(
        vec![
            start(json!({})),
            gate("h0", "?"),
            reply("d0", "a"),
            back("l0", "d0", json!({})),
        ],
        &[("s", "h0"), ("h0.0", "d0"), ("d0", "l0")],
    );
    assert_eq!(gate_outside, Vec::<&str>::new());
}

/// The page says which of its rows the report tells; each of them is told by one of the tests above.
#[test]
fn the_page_of_differences_marks_what_is_told() {
    let page = include_str!("../../DEVIATIONS.md");
    let marked = page
        .lines()
        .filter(|line| line.starts_with("| ") && line.contains(" ° |"));
    assert_eq!(marked.count(), 17);
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
