//! Loop: turns, joins inside it, and what survives a stop (semantics §5.3).

use countersign_domain::Outcome::Reject;
use countersign_flow::{Advance, Run};
use serde_json::json;

use crate::support::{
    TestHost, answer, back, chat, check, gate, input, order, plan, reply, start, stop_of, stopped, to_rest,
};

#[test]
fn s5_3_the_target_runs_as_often_as_the_limit_says() {
    for (limit, runs) in [
        (json!(3), 3),
        (json!("2"), 2),
        (json!(1), 1),
        (json!(0), 5),
        (json!(""), 5),
    ] {
        let plan = plan(
            vec![
                start(json!({})),
                reply("d0", "turn {{ loop_count }}"),
                back(
                    "l0",
                    "d0",
                    json!({"maxLoopCount": limit, "fallbackMessage": "enough"}),
                ),
            ],
            &[("s", "d0"), ("d0", "l0")],
        );
        let mut run = Run::begin(&plan, input(json!({})));
        assert_eq!(to_rest(&mut run, &plan, &TestHost::new()), Advance::Finished);
        let turns = order(&run).iter().filter(|step| *step == "d0").count();
        assert_eq!((turns, run.final_text().as_str()), (runs, "enough"), "{limit}");
    }
}

#[test]
fn s5_3_the_first_pass_counts_no_turn_and_the_second_one() {
    let plan = plan(
        vec![
            start(json!({})),
            reply("d0", "turn {{ loop_count }}"),
            back("l0", "d0", json!({"maxLoopCount": 2})),
        ],
        &[("s", "d0"), ("d0", "l0")],
    );
    let mut run = Run::begin(&plan, input(json!({})));
    to_rest(&mut run, &plan, &TestHost::new());
    let texts: Vec<_> = run
        .records()
        .iter()
        .filter_map(|record| record.content())
        .collect();
    assert_eq!(
        texts,
        [
            "turn 0",
            "Loop back to Target (directReplyAgentflow_0)",
            "turn 1",
            "Loop completed after reaching maximum iteration count of 2."
        ]
    );
}

/// D1.14: Flowise forgets its turns at each stop, so a reviewer who rejects is asked for ever.
#[test]
fn d1_14_turns_survive_a_stop_and_every_answer_keeps_its_record() {
    let plan = plan(
        vec![
            start(json!({})),
            reply("d0", "draft"),
            gate("h0", "good?"),
            reply("d1", "accepted"),
            back(
                "l0",
                "d0",
                json!({"maxLoopCount": 3, "fallbackMessage": "gave up"}),
            ),
        ],
        &[("s", "d0"), ("d0", "h0"), ("h0.0", "d1"), ("h0.1", "l0")],
    );
    let host = TestHost::new();
    let (mut run, _) = stopped(&plan, json!({}), &host);
    for turn in 0..3 {
        let stored = serde_json::to_string(&run).unwrap();
        run = serde_json::from_str(&stored).unwrap();
        let past = chat(&run);
        run.answer(&plan, &host, answer(Reject, Some("no")), past)
            .unwrap();
        let rest = to_rest(&mut run, &plan, &host);
        if turn < 2 {
            stop_of(rest);
        } else {
            assert_eq!(rest, Advance::Finished);
        }
    }
    assert_eq!(run.final_text(), "gave up");
    assert_eq!(
        order(&run),
        ["s", "d0", "h0", "l0", "d0", "h0", "l0", "d0", "h0", "l0"],
        "each answer is on record"
    );
}

#[test]
fn a_join_inside_the_loop_waits_in_every_turn() {
    let plan = plan(
        vec![
            start(json!({})),
            reply("d0", "a"),
            reply("d1", "b"),
            reply("d2", "c"),
            reply("d3", "joined"),
            back("l0", "d0", json!({"maxLoopCount": 2})),
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
    let mut run = Run::begin(&plan, input(json!({})));
    to_rest(&mut run, &plan, &TestHost::new());
    assert_eq!(
        order(&run),
        ["s", "d0", "d1", "d2", "d3", "l0", "d0", "d1", "d2", "d3", "l0"]
    );
}

#[test]
fn a_branch_outside_the_loop_is_not_run_again() {
    let plan = plan(
        vec![
            start(json!({})),
            reply("d0", "outside"),
            reply("d1", "inside"),
            reply("d2", "joined"),
            back("l0", "d1", json!({"maxLoopCount": 2})),
        ],
        &[("s", "d0"), ("s", "d1"), ("d0", "d2"), ("d1", "d2"), ("d2", "l0")],
    );
    let mut run = Run::begin(&plan, input(json!({})));
    to_rest(&mut run, &plan, &TestHost::new());
    assert_eq!(order(&run), ["s", "d0", "d1", "d2", "l0", "d1", "d2", "l0"]);
}

#[test]
fn the_branch_that_was_not_taken_can_be_taken_in_the_next_turn() {
    let plan = plan(
        vec![
            start(json!({})),
            reply("d0", "{{ loop_count }}"),
            check("c0", "{{ directReplyAgentflow_0 }}", "1"),
            reply("d1", "done"),
            back("l0", "d0", json!({"maxLoopCount": 5})),
        ],
        &[("s", "d0"), ("d0", "c0"), ("c0.0", "d1"), ("c0.1", "l0")],
    );
    let mut run = Run::begin(&plan, input(json!({})));
    assert_eq!(to_rest(&mut run, &plan, &TestHost::new()), Advance::Finished);
    assert_eq!(order(&run), ["s", "d0", "c0", "l0", "d0", "c0", "d1"]);
}

/// Here Flowise begins the next turn while B of the last one still waits, so that the join meets pieces of two turns.
#[test]
fn a_turn_is_done_before_the_next_one_begins() {
    let plan = plan(
        vec![
            start(json!({})),
            reply("d0", "turn {{ loop_count }}"),
            back("l0", "d0", json!({"maxLoopCount": 2})),
            reply("d1", "A {{ directReplyAgentflow_0 }}"),
            reply("d2", "B {{ directReplyAgentflow_0 }}"),
            reply("d3", "joined {{ directReplyAgentflow_2 }}"),
        ],
        &[
            ("s", "d0"),
            ("d0", "l0"),
            ("d0", "d1"),
            ("d1", "d2"),
            ("d1", "d3"),
            ("d2", "d3"),
        ],
    );
    let mut run = Run::begin(&plan, input(json!({})));
    assert_eq!(to_rest(&mut run, &plan, &TestHost::new()), Advance::Finished);
    let turn = ["d0", "d1", "d2", "d3", "l0"];
    assert_eq!(order(&run), [&["s"], &turn[..], &turn[..]].concat());
    let texts: Vec<_> = run.records()[8..10]
        .iter()
        .filter_map(|record| record.content())
        .collect();
    assert_eq!(texts, ["B turn 1", "joined B turn 1"]);
}

/// Two Loops of one part: the first one leads back, and the other one has its say in the turn after.
#[test]
fn of_two_loops_in_one_turn_the_first_leads_back() {
    let plan = plan(
        vec![
            start(json!({})),
            reply("d0", "turn"),
            back("l0", "d0", json!({"maxLoopCount": 2})),
            back("l1", "d0", json!({"maxLoopCount": 2})),
        ],
        &[("s", "d0"), ("d0", "l0"), ("d0", "l1")],
    );
    let mut run = Run::begin(&plan, input(json!({})));
    assert_eq!(to_rest(&mut run, &plan, &TestHost::new()), Advance::Finished);
    assert_eq!(order(&run), ["s", "d0", "l0", "d0", "l0", "l1", "d0", "l0", "l1"]);
}
