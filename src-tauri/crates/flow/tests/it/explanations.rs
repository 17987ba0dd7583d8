//! Why each step ran, waits, was passed over or was not reached (issue 3, explain).

use countersign_domain::Outcome::Approve;
use countersign_flow::{Explained, OnError, Plan, Run, RunPolicy, StepPolicy, StepState};
use serde_json::{Value, json};

use crate::support::{
    TestHost, answer, back, call, chat, check, condition, each, failure, finished, flow, gate, id, input,
    inside, node, plain, plan, reply, start, stopped, to_rest,
};

const CHILD: &str = "00000000-0000-4000-8000-000000000002";

fn short(node_id: &str) -> String {
    let (name, number) = node_id.rsplit_once('_').unwrap();
    format!("{}{number}", &name[..1])
}

/// Each step as a line: id, item, state, why; those of a called flow with a `>` in front.
fn lines(explained: &[Explained<'_>]) -> Vec<String> {
    let mut lines = Vec::new();
    for step in explained {
        let item = step.item.map(|item| format!("[{item}]")).unwrap_or_default();
        let name = short(&step.node_id);
        lines.push(format!("{name}{item} {:?}: {}", step.state, step.why));
        lines.extend(
            self::lines(&step.called)
                .into_iter()
                .map(|line| format!("> {line}")),
        );
    }
    lines
}

fn told(run: &Run, plan: &Plan, host: &TestHost) -> Vec<String> {
    let before = lines(&run.explain(plan, host));
    let again: Run = serde_json::from_str(&serde_json::to_string(run).unwrap()).unwrap();
    assert_eq!(
        lines(&again.explain(plan, host)),
        before,
        "the same after a restart"
    );
    before
}

#[test]
fn each_step_says_why_it_ran_waits_or_was_passed_over() {
    let plan = plan(
        vec![
            start(json!({})),
            check("c0", "a", "a"),
            reply("d0", "yes"),
            reply("d1", "no"),
            reply("d3", "behind no"),
            gate("h0", "go?"),
            reply("d2", "after"),
        ],
        &[
            ("s", "c0"),
            ("c0.0", "d0"),
            ("c0.1", "d1"),
            ("d1", "d3"),
            ("d0", "h0"),
            ("h0.0", "d2"),
        ],
    );
    let host = TestHost::new();
    let (run, _) = stopped(&plan, json!({}), &host);
    assert_eq!(
        told(&run, &plan, &host),
        [
            "s0 Finished: The run begins with it",
            "c0 Finished: “Start” was done",
            "d0 Finished: “Check” took row 1",
            "h0 Stopped: “Reply” was done",
            "d1 Skipped: “Check” took row 1 and not Else",
            "d3 Skipped: “Reply” was passed over",
            "d2 Waiting: “Gate” waits for an answer",
        ]
    );
}

/// What a failure keeps from running was not decided against.
#[test]
fn what_lies_behind_a_failure_was_not_reached_and_what_was_decided_against_was_passed_over() {
    let broken = condition(
        "c1",
        json!([{"type": "string", "value1": "a", "operation": "bogus", "value2": "b"}]),
    );
    let plan = plan(
        vec![
            start(json!({})),
            check("c0", "a", "a"),
            broken,
            reply("d0", "behind it"),
            reply("d1", "further behind"),
            reply("d2", "the other way"),
            reply("d3", "behind both"),
        ],
        &[
            ("s", "c0"),
            ("c0.0", "c1"),
            ("c0.1", "d2"),
            ("c1.0", "d0"),
            ("d0", "d1"),
            ("d1", "d3"),
            ("d2", "d3"),
        ],
    );
    let (run, _) = failure(&plan, json!({}));
    assert_eq!(
        told(&run, &plan, &TestHost::new())[2..],
        [
            "c1 Failed: “Check” took row 1",
            "d0 NotReached: “Check” failed, the run ended before it came to it",
            "d1 NotReached: “Reply” has not run, the run ended before it came to it",
            "d2 Skipped: “Check” took row 1 and not Else",
            "d3 NotReached: “Reply” has not run, “Reply” was passed over, the run ended before it came to it",
        ]
    );
}

#[test]
fn what_a_persons_no_turned_away_was_passed_over() {
    let plan = plan(
        vec![
            start(json!({})),
            gate("h0", "?"),
            reply("d0", "beside"),
            reply("d1", "both"),
        ],
        &[("s", "h0"), ("s", "d0"), ("d0", "d1"), ("h0.0", "d1")],
    );
    let host = TestHost::new();
    let (mut run, _) = stopped(&plan, json!({}), &host);
    let past = chat(&run);
    run.answer(
        &plan,
        &host,
        answer(countersign_domain::Outcome::Reject, None),
        past,
    )
    .unwrap();
    to_rest(&mut run, &plan, &host);
    assert_eq!(
        told(&run, &plan, &host).last().unwrap(),
        "d1 Skipped: “Reply” is done, “Gate” took Reject and not Proceed"
    );
}

/// Of each item: which way it took, what it passed over, and where it failed.
#[test]
fn each_item_says_which_way_it_took_and_what_it_passed_over() {
    let row = json!([{"type": "string", "value1": "{{ $iteration }}", "operation": "equal", "value2": "a"}]);
    let broken = condition(
        "c1",
        json!([{"type": "string", "value1": "a", "operation": "bogus", "value2": "b"}]),
    );
    let plan = plan(
        vec![
            start(json!({})),
            each("i0", "[\"a\",\"b\"]"),
            inside("i0", plain("c0", "Check", json!({"conditions": row}))),
            inside("i0", reply("d0", "yes")),
            inside("i0", broken),
            inside("i0", reply("d1", "behind the failure")),
        ],
        &[("s", "i0"), ("c0.0", "d0"), ("c0.1", "c1"), ("c1.0", "d1")],
    );
    let run = finished(&plan, json!({}));
    let item = |line: &str, item: usize| {
        format!(
            "{}For item {} of “Each”{}",
            &line[..line.find('|').unwrap()],
            item + 1,
            &line[line.find('|').unwrap() + 1..]
        )
    };
    let expected = vec![
        "s0 Finished: The run begins with it".to_owned(),
        item("c0[0] Finished: |", 0),
        item("d0[0] Finished: |: “Check” took row 1", 0),
        item("c1[0] Skipped: |: “Check” took row 1 and not Else", 0),
        item("d1[0] Skipped: |: “Check” was passed over", 0),
        item("c0[1] Finished: |", 1),
        item("c1[1] Failed: |: “Check” took Else", 1),
        item("d0[1] Skipped: |: “Check” took Else and not row 1", 1),
        item(
            "d1[1] NotReached: |: “Check” failed, the run ended before it came to it",
            1,
        ),
        "i0 Finished: “Start” was done".to_owned(),
    ];
    assert_eq!(told(&run, &plan, &TestHost::new()), expected);
}

/// An item that fails, stops the run and is tried again is told in two pieces, and what did not run once.
#[test]
fn an_item_that_was_tried_again_tells_what_it_did_not_reach_once() {
    let text = flow(
        vec![
            start(json!({})),
            each("i0", "[1]"),
            inside("i0", reply("d0", "first")),
            inside(
                "i0",
                plain("f0", "Code", json!({"customFunctionJavascriptFunction": "x"})),
            ),
            inside("i0", reply("d1", "last")),
        ],
        &[("s", "i0"), ("d0", "f0"), ("f0", "d1")],
    );
    let mut policy = RunPolicy::default();
    policy.steps.insert(
        id("i0"),
        StepPolicy {
            stop_on_item_error: true,
            on_error: OnError::Fail,
            ..StepPolicy::default()
        },
    );
    let plan = Plan::parse(&text).unwrap().with_policy(policy);
    let failing = TestHost::new();
    let mut run = Run::begin(&plan, input(json!({})));
    to_rest(&mut run, &plan, &failing);
    let states = |run: &Run, host: &TestHost| -> Vec<String> {
        let lines = told(run, &plan, host).into_iter();
        lines
            .map(|line| line.split(':').next().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        states(&run, &failing),
        [
            "s0 Finished",
            "d0[0] Finished",
            "c0[0] Failed",
            "d1[0] NotReached",
            "i0 Failed"
        ]
    );
    let working = TestHost::new().with_scripts(|_| Ok(Some(json!("ok"))));
    run.retry(&plan, &working).unwrap();
    to_rest(&mut run, &plan, &working);
    assert_eq!(
        told(&run, &plan, &working)[1..],
        [
            "d0[0] Finished: For item 1 of “Each”",
            "c0[0] Failed: For item 1 of “Each”: “Reply” was done",
            "i0 Failed: “Start” was done",
            "c0[0] Finished: For item 1 of “Each”: “Reply” was done, it had failed and was tried again",
            "d1[0] Finished: For item 1 of “Each”: “Code” was done",
            "i0 Finished: “Start” was done, it had failed and was tried again",
        ]
    );
}

fn caller() -> Plan {
    plan(
        vec![start(json!({})), call("e0", CHILD, "hi"), reply("d0", "outer")],
        &[("s", "e0"), ("e0", "d0")],
    )
}

fn child(gate_first: bool) -> String {
    let mut nodes = vec![
        start(json!({"startInputType": "chatInput"})),
        check("c0", "a", "a"),
        reply("d0", "yes"),
        reply("d1", "no"),
    ];
    let mut edges = vec![("c0.0", "d0"), ("c0.1", "d1")];
    if gate_first {
        nodes.push(gate("h0", "inner?"));
        edges.extend([("s", "h0"), ("h0.0", "c0")]);
    } else {
        edges.push(("s", "c0"));
    }
    flow(nodes, &edges)
}

#[test]
fn the_steps_of_a_called_flow_say_why_too() {
    let host = TestHost::new().with_flow(CHILD, &child(false));
    let mut run = Run::begin(&caller(), input(json!({})));
    to_rest(&mut run, &caller(), &host);
    let lines = told(&run, &caller(), &host);
    assert_eq!(
        lines[1..6],
        [
            "e0 Finished: “Start” was done",
            "> s0 Finished: The called flow begins with it",
            "> c0 Finished: “Start” was done",
            "> d0 Finished: “Check” took row 1",
            "> d1 Skipped: “Check” took row 1 and not Else",
        ]
    );
    let forgotten = told(&run, &caller(), &TestHost::new());
    assert_eq!(forgotten.len(), lines.len() - 1);
    assert!(
        forgotten[2].starts_with("> s0 Finished: The flow that it is part of is not here"),
        "without its document: {forgotten:?}"
    );
}

/// While a called flow waits or is under way, its steps are there as well.
#[test]
fn a_called_flow_that_waits_or_is_under_way_shows_its_steps() {
    let host = TestHost::new().with_flow(CHILD, &child(true));
    let (mut run, _) = stopped(&caller(), json!({}), &host);
    assert_eq!(
        told(&run, &caller(), &host)[1..],
        [
            "e0 Stopped: “Start” was done",
            "> s0 Finished: The called flow begins with it",
            "> h0 Stopped: “Start” was done",
            "> c0 Waiting: “Gate” waits for an answer",
            "> d0 Waiting: “Check” has not run",
            "> d1 Waiting: “Check” has not run",
            "d0 Waiting: “Call it” waits for an answer",
        ]
    );
    let past = chat(&run);
    run.answer(&caller(), &host, answer(Approve, None), past).unwrap();
    let lines = told(&run, &caller(), &host);
    assert_eq!(lines[1], "e0 Waiting: It is under way", "{lines:?}");
    assert_eq!(
        lines[2], "> s0 Finished: The called flow begins with it",
        "{lines:?}"
    );
}

/// A list with a thousand items does not tell of each what it did not come to.
#[test]
fn long_lists_are_told_within_bounds() {
    let items: Vec<Value> = (0..1500).map(Value::from).collect();
    let rows = json!([{"type": "string", "value1": "a", "operation": "equal", "value2": "b"}]);
    let plan = plan(
        vec![
            start(json!({})),
            each("i0", &json!(items).to_string()),
            inside("i0", node("c0", "Check", json!({"conditions": rows}))),
            inside("i0", reply("d0", "a")),
            inside("i0", reply("d1", "b")),
            back("l0", "s", json!({"maxLoopCount": 1})),
        ],
        &[("s", "i0"), ("c0.0", "d0"), ("d0", "d1"), ("i0", "l0")],
    );
    let run = finished(&plan, json!({}));
    let explained = run.explain(&plan, &TestHost::new());
    let passed = explained.iter().filter(|step| step.state == StepState::Skipped);
    assert_eq!((passed.count(), explained.len()), (2000, 1500 + 2000 + 3));
}
