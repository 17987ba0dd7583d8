//! Iteration: one run of what lies in it for each item (semantics §6).

use countersign_flow::{Advance, Plan, ProblemKind, Run, RunPolicy};
use serde_json::{Value, json};

use crate::support::{
    TestHost, block_on, each, finished, flow, http, input, inside, ok, plan, records, reply, start, to_rest,
};

fn three_replies() -> Plan {
    plan(
        vec![
            start(json!({})),
            reply("d9", "around"),
            each("i0", "{{ $webhook.body.items }}"),
            inside(
                "i0",
                reply("d0", "{{ directReplyAgentflow_9 }} {{ $iteration.name }}"),
            ),
            reply("d1", "{{ iterationAgentflow_0 }}"),
        ],
        &[("s", "d9"), ("d9", "i0"), ("i0", "d1")],
    )
}

#[test]
fn s6_each_item_runs_and_its_text_is_a_result() {
    let run = finished(&three_replies(), json!({"items": [{"name": "a"}, {"name": "b"}]}));
    assert_eq!(
        run.final_text(),
        "around a\naround b",
        "steps outside can be referred to"
    );
    let records: Value = serde_json::from_str(&records(&run)).unwrap();
    assert_eq!(records[2]["data"]["iterationIndex"], 0);
    assert_eq!(
        records[3]["data"]["iterationContext"],
        json!({"index": 1, "value": {"name": "b"}, "isFirst": false, "isLast": true, "sessionId": "chat-1"})
    );
    assert_eq!(records[3]["data"]["parentNodeId"], "iterationAgentflow_0");
    assert_eq!(
        records[4]["data"]["output"]["iterationResults"],
        json!(["around a", "around b"])
    );
}

#[test]
fn s6_lists_are_read_as_people_write_them() {
    for (items, text) in [
        (json!("[{name: 'x'},]"), "around x"),
        (json!("[{\\\"name\\\": \\\"y\\\"}]"), "around y"),
        (json!([]), ""),
    ] {
        assert_eq!(
            finished(&three_replies(), json!({"items": items})).final_text(),
            text,
            "{items}"
        );
    }
    for wrong in [json!("no list"), json!("{\"a\":1}"), json!("")] {
        let (_, failure) = crate::support::failure(&three_replies(), json!({"items": wrong}));
        assert_eq!(failure.message, "Invalid input array", "{wrong}");
    }
}

fn with_calls() -> Plan {
    plan(
        vec![
            start(json!({})),
            each("i0", "[1, 2, 3]"),
            inside("i0", http("t0", json!({"url": "http://x/{{ $iteration }}"}))),
            inside("i0", reply("d0", "got {{ httpAgentflow_0 }}")),
            reply("d1", "{{ iterationAgentflow_0 }}"),
        ],
        &[("s", "i0"), ("t0", "d0"), ("i0", "d1")],
    )
}

fn second_fails() -> TestHost {
    TestHost::new().with_http(|request| {
        let answer = if request.url.ends_with('2') {
            Err("no connection".to_owned())
        } else {
            Ok(ok(&json!(request.url)))
        };
        Box::pin(std::future::ready(answer))
    })
}

/// D3.13: the flow goes on, and unlike in Flowise the item that failed is on record.
#[test]
fn d3_13_an_item_that_fails_is_a_result_and_a_record() {
    let plan = with_calls();
    let mut run = Run::begin(&plan, input(json!({})));
    assert_eq!(to_rest(&mut run, &plan, &second_fails()), Advance::Finished);
    assert_eq!(
        run.final_text(),
        "got http://x/1\nError in iteration 2: no connection\ngot http://x/3"
    );
    let failed: Vec<_> = run
        .records()
        .iter()
        .filter(|record| record.error().is_some())
        .collect();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].item(), Some((1, "iterationAgentflow_0")));
}

#[test]
fn an_operator_can_have_it_stop_at_the_first_item_that_fails() {
    let policy: RunPolicy =
        serde_json::from_value(json!({"steps": {"iterationAgentflow_0": {"stopOnItemError": true}}}))
            .unwrap();
    let plan = with_calls().with_policy(policy);
    let mut run = Run::begin(&plan, input(json!({})));
    let Advance::Failed(failure) = to_rest(&mut run, &plan, &second_fails()) else {
        panic!("the run should fail");
    };
    assert_eq!(
        (failure.node_label.as_str(), failure.message.as_str()),
        ("Each", "Item 2: no connection")
    );
}

/// Whatever the moment: storing the run between two steps changes nothing.
#[test]
fn it_goes_on_from_any_item_after_a_restart() {
    let plan = with_calls();
    let through = {
        let mut run = Run::begin(&plan, input(json!({})));
        to_rest(&mut run, &plan, &second_fails());
        run
    };
    let host = second_fails();
    let mut run = Run::begin(&plan, input(json!({})));
    let mut acts = 0;
    block_on(async {
        loop {
            run = serde_json::from_str(&serde_json::to_string(&run).unwrap()).unwrap();
            acts += usize::from(run.acts_next(&plan, &host));
            if run.advance(&plan, &host).await == Advance::Finished {
                return;
            }
        }
    });
    assert_eq!(records(&run), records(&through));
    assert_eq!(
        acts, 3,
        "before each request the run says that it is about to act"
    );
    let keys: Vec<_> = host
        .requests()
        .into_iter()
        .map(|request| request.idempotency_key)
        .collect();
    assert_eq!(
        keys,
        [
            "execution-1:iterationAgentflow_0:0:0:httpAgentflow_0:0",
            "execution-1:iterationAgentflow_0:0:1:httpAgentflow_0:0",
            "execution-1:iterationAgentflow_0:0:2:httpAgentflow_0:0"
        ],
        "each request has a key of its own"
    );
}

#[test]
fn what_cannot_lie_in_an_iteration_is_refused_by_name() {
    let nested = flow(
        vec![start(json!({})), each("i0", "[]"), inside("i0", each("i1", "[]"))],
        &[("s", "i0")],
    );
    let across = flow(
        vec![
            start(json!({})),
            each("i0", "[]"),
            inside("i0", reply("d0", "x")),
            reply("d1", "y"),
        ],
        &[("s", "i0"), ("i0", "d1"), ("d0", "d1")],
    );
    let nowhere = flow(
        vec![start(json!({})), reply("d1", "y"), inside("d1", reply("d0", "x"))],
        &[("s", "d1")],
    );
    for (text, kind) in [
        (nested, ProblemKind::IterationInIteration),
        (across, ProblemKind::AcrossIteration),
        (nowhere, ProblemKind::AcrossIteration),
    ] {
        let refusal = Plan::parse(&text).unwrap_err();
        assert!(
            refusal.problems().iter().any(|problem| problem.kind == kind),
            "{refusal}"
        );
    }
}
