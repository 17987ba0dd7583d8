//! Routing without gates: the graphs of execution semantics §5.2 and known gaps D3.

use serde_json::json;

use crate::support::{check, condition, failure, finished, order, plan, reply, start};

/// D3.1: Flowise runs D twice, the first time before C.
#[test]
fn d3_1_a_fork_behind_a_decision_joins_once() {
    let plan = plan(
        vec![
            start(json!({})),
            check("c0", "a", "a"),
            reply("d0", "A"),
            reply("d1", "B"),
            reply("d2", "C"),
            reply("d3", "D"),
        ],
        &[
            ("s", "c0"),
            ("c0.0", "d0"),
            ("d0", "d1"),
            ("d0", "d2"),
            ("d1", "d3"),
            ("d2", "d3"),
        ],
    );
    assert_eq!(
        order(&finished(&plan, json!({}))),
        ["s", "c0", "d0", "d1", "d2", "d3"]
    );
}

#[test]
fn s5_2_a_join_without_a_decision_runs_after_both() {
    let plan = plan(
        vec![
            start(json!({})),
            reply("d0", "A"),
            reply("d1", "B"),
            reply("d2", "D"),
        ],
        &[("s", "d0"), ("s", "d1"), ("d0", "d2"), ("d1", "d2")],
    );
    assert_eq!(order(&finished(&plan, json!({}))), ["s", "d0", "d1", "d2"]);
}

/// D3.2: in Flowise D never runs.
#[test]
fn d3_2_a_join_does_not_wait_for_a_branch_that_cannot_come() {
    let plan = plan(
        vec![
            start(json!({})),
            reply("d0", "A"),
            check("c0", "a", "b"),
            reply("d1", "X"),
            reply("d2", "Y"),
            reply("d3", "D"),
        ],
        &[
            ("s", "d0"),
            ("s", "c0"),
            ("c0.0", "d1"),
            ("c0.1", "d2"),
            ("d0", "d3"),
            ("d1", "d3"),
        ],
    );
    assert_eq!(order(&finished(&plan, json!({}))), ["s", "d0", "c0", "d2", "d3"]);
}

#[test]
fn s5_2_two_decisions_that_feed_one_join_do_not_block_it() {
    let plan = plan(
        vec![
            start(json!({})),
            check("c0", "a", "a"),
            check("c1", "a", "b"),
            reply("d0", "X"),
            reply("d1", "elsewhere"),
            reply("d2", "join"),
        ],
        &[
            ("s", "c0"),
            ("s", "c1"),
            ("c0.0", "d0"),
            ("d0", "d2"),
            ("c1.0", "d2"),
            ("c1.1", "d1"),
        ],
    );
    assert_eq!(
        order(&finished(&plan, json!({}))),
        ["s", "c0", "c1", "d0", "d1", "d2"]
    );
}

#[test]
fn s5_1_all_edges_of_an_output_that_was_not_taken_are_skipped() {
    let plan = plan(
        vec![
            start(json!({})),
            check("c0", "a", "b"),
            reply("d0", "A"),
            reply("d1", "B"),
            reply("d2", "C"),
            reply("d3", "deep"),
        ],
        &[
            ("s", "c0"),
            ("c0.0", "d0"),
            ("c0.0", "d1"),
            ("c0.1", "d2"),
            ("d0", "d3"),
            ("d1", "d3"),
        ],
    );
    assert_eq!(order(&finished(&plan, json!({}))), ["s", "c0", "d2"]);
}

#[test]
fn s5_1_a_node_on_a_taken_and_an_untaken_output_runs_once() {
    let plan = plan(
        vec![start(json!({})), check("c0", "a", "a"), reply("d0", "x")],
        &[("s", "c0"), ("c0.0", "d0"), ("c0.1", "d0")],
    );
    assert_eq!(order(&finished(&plan, json!({}))), ["s", "c0", "d0"]);
}

#[test]
fn the_same_edge_twice_runs_its_target_once_and_is_recorded_twice() {
    let plan = plan(
        vec![start(json!({})), reply("d0", "x")],
        &[("s", "d0"), ("s", "d0")],
    );
    let run = finished(&plan, json!({}));
    assert_eq!(order(&run), ["s", "d0"]);
    let record = serde_json::to_value(&run.records()[1]).unwrap();
    assert_eq!(
        record["previousNodeIds"],
        json!(["startAgentflow_0", "startAgentflow_0"])
    );
}

#[test]
fn s5_1_of_three_outputs_none_of_which_holds_the_last_is_taken() {
    let rows = json!([
        {"type": "string", "value1": "a", "operation": "equal", "value2": "b"},
        {"type": "string", "value1": "a", "operation": "equal", "value2": "c"},
    ]);
    let plan = plan(
        vec![
            start(json!({})),
            condition("c0", rows),
            reply("d0", "0"),
            reply("d1", "1"),
            reply("d2", "2"),
        ],
        &[("s", "c0"), ("c0.0", "d0"), ("c0.1", "d1"), ("c0.2", "d2")],
    );
    assert_eq!(order(&finished(&plan, json!({}))), ["s", "c0", "d2"]);
}

/// D3.15: Flowise throws outside its own error handling and leaves the run in progress for ever.
#[test]
fn d3_15_the_step_after_the_limit_fails_the_run() {
    let chain = |replies: usize| {
        let names: Vec<String> = (0..replies).map(|index| format!("d{index}")).collect();
        let mut nodes = vec![start(json!({}))];
        nodes.extend(names.iter().map(|name| reply(name, "x")));
        let edges: Vec<_> = std::iter::once("s")
            .chain(names.iter().map(String::as_str))
            .zip(names.iter().map(String::as_str))
            .collect();
        plan(nodes, &edges)
    };
    let limit = countersign_flow::STEP_LIMIT as usize;
    assert_eq!(finished(&chain(limit - 1), json!({})).records().len(), limit);
    let (run, failed) = failure(&chain(limit), json!({}));
    assert_eq!(failed.message, "Maximum iteration limit reached");
    assert_eq!(failed.node_id, format!("directReplyAgentflow_{}", limit - 1));
    assert_eq!(run.records().len(), limit);
}
