//! Vectors of execution semantics §5 to §8 that the other files do not hold, each named by its section.

use countersign_flow::{Advance, Incoming, Plan, Run};
use serde_json::{Value, json};

use crate::support::{
    TestHost, at_once, back, call, check, each, finished, flow, gate, http, input, inside, node, ok, order,
    plan, records, reply, start, to_rest,
};

const OTHER: &str = "00000000-0000-4000-8000-000000000002";

/// Code, which these tests answer by what stands in it.
fn function(short: &str, code: &str, updates: Value) -> Value {
    let inputs = json!({"customFunctionJavascriptFunction": code, "customFunctionUpdateState": updates});
    let mut function = node(short, "Run", inputs);
    function["data"].as_object_mut().unwrap().remove("inputParams");
    function
}

/// A host whose code returns its own text.
fn echo() -> TestHost {
    TestHost::new().with_scripts(|script| Ok(Some(json!(script.code))))
}

fn run_with(plan: &Plan, host: &TestHost, incoming: Incoming) -> Run {
    let mut run = Run::begin(
        plan,
        countersign_flow::RunInput {
            incoming,
            ..input(json!({}))
        },
    );
    assert_eq!(to_rest(&mut run, plan, host), Advance::Finished);
    run
}

fn webhook(body: Value) -> Incoming {
    Incoming::Webhook(json!({"body": body, "headers": {}, "query": {}}))
}

/// The state after each record, in order.
fn states(run: &Run) -> Vec<Value> {
    run.records()
        .iter()
        .map(|record| record.state().clone())
        .collect()
}

#[test]
fn s5_3_what_comes_after_a_loop_runs_once_its_turns_are_used_up() {
    let plan = plan(
        vec![
            start(json!({})),
            reply("d0", "turn {{ loop_count }}"),
            back("l0", "d0", json!({"maxLoopCount": 3})),
            reply("d1", "{{ loopAgentflow_0 }} after {{ loop_count }}"),
        ],
        &[("s", "d0"), ("d0", "l0"), ("l0", "d1")],
    );
    let run = finished(&plan, json!({}));
    assert_eq!(order(&run), ["s", "d0", "l0", "d0", "l0", "d0", "l0", "d1"]);
    assert_eq!(
        run.final_text(),
        "Loop completed after reaching maximum iteration count of 3. after 2"
    );
}

#[test]
fn s6_the_state_goes_through_the_items_and_comes_out() {
    let plan = plan(
        vec![
            start(json!({"startState": [{"key": "seen", "value": ""}, {"key": "kept", "value": "k"}]})),
            each("i0", "[1, 2, 3]"),
            inside("i0", reply("d0", "{{ $flow.state.seen }}{{ $iteration }}")),
            inside(
                "i0",
                function(
                    "f0",
                    "x",
                    json!([{"key": "seen", "value": "{{ directReplyAgentflow_0 }}"}]),
                ),
            ),
            reply("d1", "{{ $flow.state.seen }} {{ $flow.state.kept }}"),
        ],
        &[("s", "i0"), ("d0", "f0"), ("i0", "d1")],
    );
    let run = run_with(&plan, &echo(), webhook(json!({})));
    assert_eq!(
        run.final_text(),
        "123 k",
        "each item sees what the one before it left"
    );
}

#[test]
fn s6_the_record_of_the_iteration_follows_those_of_its_items() {
    let plan = plan(
        vec![
            start(json!({})),
            each("i0", "[1, 2]"),
            inside("i0", reply("d0", "{{ $iteration }}")),
            inside("i0", reply("d1", "then {{ directReplyAgentflow_0 }}")),
        ],
        &[("s", "i0"), ("d0", "d1")],
    );
    let run = finished(&plan, json!({}));
    assert_eq!(order(&run), ["s", "d0", "d1", "d0", "d1", "i0"]);
    assert_eq!(
        run.final_text(),
        "then 1\nthen 2",
        "the newest record of a node counts"
    );
}

#[test]
fn s6_an_item_without_a_text_leaves_no_result() {
    let plan = plan(
        vec![
            start(json!({})),
            each("i0", "[{\"t\": \"a\"}, {\"t\": \"\"}, {\"t\": \"c\"}]"),
            inside("i0", reply("d0", "{{ $iteration.t }}")),
        ],
        &[("s", "i0")],
    );
    let run = finished(&plan, json!({}));
    let output = serde_json::to_value(run.records()).unwrap()[4]["data"]["output"].clone();
    assert_eq!(output["iterationResults"], json!(["a", "c"]));
    assert_eq!(output["content"], "a\nc");
}

#[test]
fn s6_the_call_is_seen_inside_and_what_was_said_outside_is_not() {
    let plan = plan(
        vec![
            start(json!({})),
            each("i0", "[1]"),
            inside(
                "i0",
                reply(
                    "d0",
                    "{{ $webhook.body.x }}[{{ chat_history }}]{{ $flow.sessionId }}",
                ),
            ),
        ],
        &[("s", "i0")],
    );
    assert_eq!(finished(&plan, json!({"x": "seen"})).final_text(), "seen[]chat-1");
}

#[test]
fn s7_3_a_form_is_referred_to_by_its_fields() {
    let plan = plan(
        vec![
            start(json!({"startInputType": "formInput"})),
            reply(
                "d0",
                "{{ $form.name }}, {{ $form.address.street }}, {{ $form.missing }}",
            ),
        ],
        &[("s", "d0")],
    );
    let form = json!({"name": "Ada: A.\nB", "address": {"street": "1 x"}});
    let run = run_with(&plan, &TestHost::new(), Incoming::Form(form));
    assert_eq!(
        run.final_text(),
        "Ada: A.\nB, 1 x, {{ $form.missing }}",
        "§8: nothing is damaged"
    );
}

#[test]
fn s7_3_the_data_of_an_http_answer_stands_for_its_node() {
    let plan = plan(
        vec![
            start(json!({})),
            http("t0", json!({"url": "http://x"})),
            reply(
                "d0",
                "{{ httpAgentflow_0 }} {{ httpAgentflow_0.output.http.status }} {{ httpAgentflow_0.output.http.data.a }}",
            ),
        ],
        &[("s", "t0"), ("t0", "d0")],
    );
    let host = TestHost::new().with_http(|_| at_once(ok(&json!({"a": 1}))));
    let run = run_with(&plan, &host, webhook(json!({})));
    assert_eq!(run.final_text(), "{\"a\":1} 200 1");
}

#[test]
fn s7_3_nodes_without_content_leave_their_reference_alone() {
    let plan = plan(
        vec![
            start(json!({})),
            check("c0", "a", "a"),
            reply(
                "d0",
                "{{ startAgentflow_0 }} {{ conditionAgentflow_0 }} {{ conditionAgentflow_0.output.conditions[0].isFulfilled }}",
            ),
        ],
        &[("s", "c0"), ("c0.0", "d0")],
    );
    assert_eq!(
        finished(&plan, json!({})).final_text(),
        "{{ startAgentflow_0 }} {{ conditionAgentflow_0 }} true"
    );
}

#[test]
fn s8_a_loop_puts_its_content_in_place_of_a_whole_value() {
    let updates = json!({"maxLoopCount": 2, "loopUpdateState": [
        {"key": "a", "value": "so {{ output }} far"}, {"key": "b", "value": "plain"},
    ]});
    let plan = plan(
        vec![start(json!({})), reply("d0", "x"), back("l0", "d0", updates)],
        &[("s", "d0"), ("d0", "l0")],
    );
    let run = finished(&plan, json!({}));
    let content = "Loop back to Target (directReplyAgentflow_0)";
    assert_eq!(states(&run)[2], json!({"a": content, "b": "plain"}));
}

#[test]
fn s8_every_value_is_looked_through_and_not_only_those_of_the_rows() {
    let plan = plan(
        vec![
            start(json!({"startState": [{"key": "early", "value": "{{ output }}!"}]})),
            function("f0", "made", json!([{"key": "other", "value": "1"}])),
        ],
        &[("s", "f0")],
    );
    let run = run_with(&plan, &echo(), webhook(json!({})));
    assert_eq!(states(&run)[1], json!({"early": "made!", "other": "1"}));
}

#[test]
fn s8_a_path_into_what_is_no_json_leaves_the_value() {
    let plan = plan(
        vec![
            start(json!({})),
            function("f0", "no json", json!([{"key": "k", "value": "{{ output.a }}"}])),
        ],
        &[("s", "f0")],
    );
    let run = run_with(&plan, &echo(), webhook(json!({})));
    assert_eq!(states(&run)[1], json!({"k": "{{ output.a }}"}));
}

#[test]
fn s8_a_called_flow_has_a_state_of_its_own() {
    let called = flow(
        vec![
            start(json!({"startInputType": "chatInput", "startState": [{"key": "k", "value": "inner"}]})),
            reply("d0", "{{ $flow.state }}"),
        ],
        &[("s", "d0")],
    );
    let mut calling = call("e0", OTHER, "x");
    calling["data"]["inputs"]["executeFlowUpdateState"] = json!([{"key": "got", "value": "{{ output.k }}"}]);
    let plan = plan(
        vec![
            start(json!({"startState": [{"key": "k", "value": "outer"}]})),
            calling,
        ],
        &[("s", "e0")],
    );
    let run = run_with(
        &plan,
        &TestHost::new().with_flow(OTHER, &called),
        webhook(json!({})),
    );
    assert_eq!(states(&run)[1], json!({"k": "outer", "got": "inner"}));
    assert_eq!(run.records()[1].content().unwrap(), "{\"k\":\"inner\"}");
}

#[test]
fn s8_steps_without_rows_pass_the_state_on() {
    let plan = plan(
        vec![
            start(json!({"startState": [{"key": "k", "value": "v"}]})),
            check("c0", "a", "a"),
            http("t0", json!({"url": "http://x"})),
            each("i0", "[1]"),
            inside("i0", reply("d0", "x")),
            reply("d1", "x"),
            gate("h0", "ok?"),
        ],
        &[
            ("s", "c0"),
            ("c0.0", "t0"),
            ("t0", "i0"),
            ("i0", "d1"),
            ("d1", "h0"),
        ],
    );
    let host = TestHost::new().with_http(|_| at_once(ok(&json!(1))));
    let mut run = Run::begin(&plan, input(json!({})));
    assert!(matches!(to_rest(&mut run, &plan, &host), Advance::Stopped(_)));
    assert_eq!(states(&run), vec![json!({"k": "v"}); 7], "{}", records(&run));
}
