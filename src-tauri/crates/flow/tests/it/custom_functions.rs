//! Custom Function (format §5.7).

use std::collections::HashSet;

use countersign_flow::{Advance, Run};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::support::{
    TestHost, answer, block_on, check, gate, input, node, order, plain, plan, records, reply, start, stopped,
    to_rest,
};
use countersign_domain::Outcome;

fn function(short: &str, code: &str, more: Value) -> Value {
    let mut inputs = json!({"customFunctionJavascriptFunction": code});
    for (key, value) in more.as_object().unwrap() {
        inputs[key] = value.clone();
    }
    let mut node = node(short, "Run", inputs);
    node["data"]["inputParams"] = json!([
        {"name": "customFunctionInputVariables", "type": "array", "acceptVariable": true},
        {"name": "customFunctionJavascriptFunction", "type": "code"},
        {"name": "customFunctionUpdateState", "type": "array", "acceptVariable": true},
    ]);
    node
}

/// The records of `start → function → reply` where the code returns this.
fn after(returned: Result<Option<Value>, String>) -> (Advance, Value) {
    let plan = plan(
        vec![
            start(json!({})),
            function("f0", "code", json!({})),
            reply("d0", "got {{ customFunctionAgentflow_0 }}"),
        ],
        &[("s", "f0"), ("f0", "d0")],
    );
    let host = TestHost::new().with_scripts(move |_| returned.clone());
    let mut run = Run::begin(&plan, input(json!({})));
    let rest = to_rest(&mut run, &plan, &host);
    (rest, serde_json::to_value(run.records()).unwrap())
}

#[test]
fn what_the_code_returns_becomes_the_content() {
    let cases = [
        (Some(json!("text")), json!("text")),
        (Some(json!(42)), json!(42)),
        (Some(json!(0)), json!(0)),
        (Some(json!(1.5e300)), json!(1.5e300)),
        (Some(json!(false)), json!(false)),
        (Some(json!(true)), json!(true)),
        (Some(json!(null)), json!("null")),
        (
            Some(json!({"a": 1, "b": [2]})),
            json!("{\n  \"a\": 1,\n  \"b\": [\n    2\n  ]\n}"),
        ),
        (Some(json!([1, "x"])), json!("[\n  1,\n  \"x\"\n]")),
        (Some(json!({})), json!("{}")),
        (
            Some(json!("{\"a\":{\"b\":1}}")),
            json!("{\n  \"a\": {\n    \"b\": 1\n  }\n}"),
        ),
        (Some(json!("  [1]\n")), json!("[\n  1\n]")),
        (Some(json!("{not json")), json!("{not json")),
        (Some(json!("[a] and [b]")), json!("[a] and [b]")),
        (Some(json!("42")), json!("42")),
        (Some(json!("")), json!("")),
    ];
    for (returned, content) in cases {
        let (rest, records) = after(Ok(returned.clone()));
        assert_eq!(rest, Advance::Finished, "{returned:?}");
        assert_eq!(
            records[1]["data"]["output"],
            json!({"content": content}),
            "the content of {returned:?}"
        );
        assert_eq!(
            records[1]["data"]["input"].to_string(),
            r#"{"inputVariables":[],"code":"code"}"#,
            "the input is shown whether or not there are variables"
        );
    }
    let (_, records) = after(Ok(None));
    assert_eq!(
        records[1]["data"]["output"],
        json!({}),
        "undefined leaves no content"
    );
}

#[test]
fn what_the_code_throws_fails_the_run_in_its_own_words() {
    let (rest, records) = after(Err("Error: broken on purpose".to_owned()));
    let Advance::Failed(failure) = rest else {
        panic!("the run should fail: {rest:?}");
    };
    let message = "Error: NodeVM Execution Error: Error: broken on purpose";
    assert_eq!(failure.message, message);
    assert_eq!(failure.node_label, "Run");
    assert_eq!(records[1]["data"]["error"], json!(message));
    assert_eq!(records.as_array().unwrap().len(), 2, "nothing runs behind it");
}

#[test]
fn the_code_sees_its_variables_and_the_flow() {
    let more = json!({"customFunctionInputVariables": [
        {"variableName": "who", "variableValue": "{{ $webhook.body.who }} at {{ $flow.chatId }}"},
        {"variableName": "plain", "variableValue": "as it is"},
        {"variableName": "empty"},
        {"variableName": "", "variableValue": "nameless"},
        {"variableName": "flow", "variableValue": "not the flow"},
    ]});
    let state = json!({"webhookDefaultInput": "ask", "startState": [{"key": "count", "value": "1"}]});
    let code = "return {{ $flow.chatId }}";
    let plan = plan(vec![start(state), function("f0", code, more)], &[("s", "f0")]);
    let host = TestHost::new().with_scripts(|_| Ok(None));
    let mut run = Run::begin(&plan, input(json!({"who": "Ada"})));
    to_rest(&mut run, &plan, &host);
    let scripts = host.scripts();
    assert_eq!(scripts.len(), 1);
    assert_eq!(scripts[0].code, code, "the code is no template");
    assert_eq!(
        scripts[0].idempotency_key,
        "execution-1:customFunctionAgentflow_0:0"
    );
    let names: Vec<_> = scripts[0].globals.keys().map(String::as_str).collect();
    assert_eq!(names, ["$input", "$who", "$plain", "$empty", "$flow", "$vars"]);
    let globals = Value::Object(scripts[0].globals.clone());
    assert_eq!(globals["$input"], json!("ask"));
    assert_eq!(globals["$who"], json!("Ada at chat-1"));
    assert_eq!(globals["$vars"], json!({"V": "secret"}));
    assert_eq!(
        globals["$flow"],
        json!({
            "input": "ask", "state": {"count": "1"}, "chatflowId": "flow-1", "sessionId": "chat-1",
            "chatId": "chat-1", "rawOutput": "", "chatHistory": [],
        })
    );
    let shown = serde_json::to_value(run.records()).unwrap()[1]["data"]["input"]["inputVariables"].clone();
    assert_eq!(
        shown[0],
        json!({"variableName": "who", "variableValue": "Ada at chat-1"}),
        "the record shows values, not references"
    );
}

#[test]
fn s8_the_state_takes_what_came_out() {
    let rows = json!({"customFunctionUpdateState": [
        {"key": "note", "value": "{{ output }}"},
        {"key": "part", "value": "{{ output.a.b }}"},
    ]});
    let plan = plan(
        vec![
            start(json!({"startState": [{"key": "note", "value": "first"}]})),
            function("f0", "code", rows),
            gate("h0", "ok?"),
            reply("d0", "{{ $flow.state.note }}"),
        ],
        &[("s", "f0"), ("f0", "h0"), ("h0.0", "d0")],
    );
    let host = TestHost::new().with_scripts(|_| Ok(Some(json!({"a": {"b": "deep"}}))));
    let (mut run, _) = stopped(&plan, json!({}), &host);
    let content = "{\n  \"a\": {\n    \"b\": \"deep\"\n  }\n}";
    assert_eq!(
        run.records()[1].state(),
        &json!({"note": content, "part": "deep"})
    );
    run.answer(&plan, &host, answer(Outcome::Approve, None), Vec::new())
        .unwrap();
    assert_eq!(to_rest(&mut run, &plan, &host), Advance::Finished);
    assert_eq!(run.final_text(), content, "the state is there behind the gate");
    assert_eq!(
        host.scripts().len(),
        1,
        "the code does not run again after the answer"
    );
}

/// A text full of beginnings, which a caller can send, does not hold the run up.
#[test]
fn a_state_full_of_braces_costs_linear_time() {
    let braces = format!("{}}}}}", "{{a".repeat(300_000));
    let update = json!([{"key": "sent", "value": "{{ $webhook.body.x }}"}]);
    let update = function("f0", "code", json!({"customFunctionUpdateState": update}));
    let plan = plan(vec![start(json!({})), update], &[("s", "f0")]);
    let host = TestHost::new().with_scripts(|_| Ok(None));
    let mut run = Run::begin(&plan, input(json!({"x": &braces})));
    let began = std::time::Instant::now();
    assert_eq!(to_rest(&mut run, &plan, &host), Advance::Finished);
    assert_eq!(run.state()["sent"], braces);
    assert!(
        began.elapsed() < std::time::Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn s8_the_output_is_found_in_a_state_however_it_is_written() {
    let content = "{\"a\":{\"b\":7}}";
    for (value, expected) in [
        ("{{output}}", json!(content)),
        (
            "{{ \n output\t}} and {{output}}",
            json!(format!("{content} and {content}")),
        ),
        ("{{ output.a.b }}", json!(7)),
        ("so {{output.a }} far", json!({"b": 7})),
        ("{{ output.a.c }}", json!("{{ output.a.c }}")),
        (
            "{{output x}} {{outputs}} {{ output",
            json!("{{output x}} {{outputs}} {{ output"),
        ),
        ("{{ a {{ output }}", json!(format!("{{{{ a {content}"))),
        ("{{output{{output}}", json!(format!("{{{{output{content}"))),
    ] {
        let rows = json!({"customFunctionUpdateState": [{"key": "k", "value": value}]});
        let plan = plan(
            vec![start(json!({})), function("f0", "code", rows)],
            &[("s", "f0")],
        );
        let host = TestHost::new().with_scripts(move |_| Ok(Some(json!(content))));
        let mut run = Run::begin(&plan, input(json!({})));
        assert_eq!(to_rest(&mut run, &plan, &host), Advance::Finished);
        let content = run.records()[1].content().map(std::borrow::Cow::into_owned);
        let expected = match (&expected, content) {
            // The function's text is shown indented.
            (Value::String(text), Some(shown)) => json!(text.replace("{\"a\":{\"b\":7}}", &shown)),
            _ => expected,
        };
        assert_eq!(run.state()["k"], expected, "{value:?}");
    }
}

/// D3.9: a Start row with a key and no value, then a function with update rows.
#[test]
fn d3_9_a_state_row_without_a_value_is_an_empty_text_for_later_updates() {
    let plan = plan(
        vec![
            start(json!({"startState": [{"key": "note"}]})),
            function(
                "f0",
                "code",
                json!({"customFunctionUpdateState": [{"key": "other", "value": "{{ output }}"}]}),
            ),
        ],
        &[("s", "f0")],
    );
    let host = TestHost::new().with_scripts(|_| Ok(Some(json!(7))));
    let mut run = Run::begin(&plan, input(json!({})));
    assert_eq!(to_rest(&mut run, &plan, &host), Advance::Finished);
    assert_eq!(run.records()[1].state(), &json!({"note": "", "other": "7"}));
}

/// Two functions without update rows run at the same time, and their records stand in the order of the document.
#[test]
fn functions_that_change_nothing_run_beside_each_other() {
    let nodes = |more: Value| {
        vec![
            start(json!({})),
            function("f0", "one", more.clone()),
            function("f1", "two", more),
            reply(
                "d0",
                "{{ customFunctionAgentflow_0 }}+{{ customFunctionAgentflow_1 }}",
            ),
        ]
    };
    let edges = [("s", "f0"), ("s", "f1"), ("f0", "d0"), ("f1", "d0")];
    let steps = |more: Value| {
        let plan = plan(nodes(more), &edges);
        let host = TestHost::new().with_scripts(|script| Ok(Some(json!(script.code))));
        let mut run = Run::begin(&plan, input(json!({})));
        block_on(run.advance(&plan, &host));
        block_on(run.advance(&plan, &host));
        let ran = host.scripts().len();
        to_rest(&mut run, &plan, &host);
        assert_eq!(order(&run), ["s", "c0", "c1", "d0"]);
        assert_eq!(run.final_text(), "one+two");
        ran
    };
    assert_eq!(steps(json!({})), 2, "both ran in one step");
    let rows = json!({"customFunctionUpdateState": [{"key": "k", "value": "v"}]});
    assert_eq!(steps(rows), 1, "what changes the state runs alone");
}

#[test]
fn only_code_that_may_make_requests_touches_the_world() {
    let acts = |code: &str| {
        let plan = plan(
            vec![start(json!({})), function("f0", code, json!({}))],
            &[("s", "f0")],
        );
        let host = TestHost::new();
        let mut run = Run::begin(&plan, input(json!({})));
        block_on(run.advance(&plan, &host));
        run.acts_next(&plan, &host)
    };
    for code in [
        "return (await fetch('http://h')).status",
        "return globalThis['fe' + 'tch']",
        "return global['fe' + 'tch']",
        "return (function () { return this })()['fe' + 'tch']",
        "return f\\u0065tch('http://h')",
    ] {
        assert!(acts(code), "{code} may make a request");
    }
    for code in [
        "",
        "return $input",
        "let a = 1; return a + Number($flow.state.count)",
    ] {
        assert!(!acts(code), "{code} cannot make a request");
    }
}

#[test]
fn each_run_of_a_function_has_its_own_key() {
    let plan = plan(
        vec![
            start(json!({})),
            function("f0", "code", json!({})),
            check("c0", "{{ customFunctionAgentflow_0 }}", "done"),
            node(
                "loopAgentflow_0",
                "Again",
                json!({"loopBackToNode": "customFunctionAgentflow_0-Run", "maxLoopCount": 3}),
            ),
        ],
        &[("s", "f0"), ("f0", "c0"), ("c0.1", "loopAgentflow_0")],
    );
    let host = TestHost::new().with_scripts(|_| Ok(Some(json!("not yet"))));
    let mut run = Run::begin(&plan, input(json!({})));
    assert_eq!(to_rest(&mut run, &plan, &host), Advance::Finished);
    let keys: HashSet<_> = host
        .scripts()
        .into_iter()
        .map(|script| script.idempotency_key)
        .collect();
    assert_eq!(keys.len(), 3, "{keys:?}");
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((".{0,6}", inner), 0..4)
                .prop_map(|pairs| Value::Object(Map::from_iter(pairs))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whether the code returns a value or its JSON makes no difference for objects and arrays.
    #[test]
    fn an_object_and_its_json_become_the_same_content(value in value()) {
        prop_assume!(value.is_object() || value.is_array());
        let (_, direct) = after(Ok(Some(value.clone())));
        let (_, as_text) = after(Ok(Some(Value::String(value.to_string()))));
        prop_assert_eq!(&direct[1]["data"]["output"], &as_text[1]["data"]["output"]);
        prop_assert!(direct[1]["data"]["output"]["content"].is_string());
    }
}

/// What the code wrote is part of the record for people, whatever came of it, and not of what Flowise shows.
#[test]
fn what_the_code_wrote_stays_with_its_step() {
    for fails in [false, true] {
        let plan = plan(
            vec![
                start(json!({})),
                plain("f0", "Code", json!({"customFunctionJavascriptFunction": "x"})),
            ],
            &[("s", "f0")],
        );
        let host = TestHost::new().with_scripts(move |script| {
            script.console.extend(["one".to_owned(), "two".to_owned()]);
            if fails { Err("broken".to_owned()) } else { Ok(None) }
        });
        let mut run = Run::begin(&plan, input(json!({})));
        to_rest(&mut run, &plan, &host);
        let again: Run = serde_json::from_str(&serde_json::to_string(&run).unwrap()).unwrap();
        assert_eq!(again.records()[1].console(), ["one", "two"], "fails: {fails}");
        assert!(!records(&run).contains("two"), "{}", records(&run));
    }
}
