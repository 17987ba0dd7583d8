//! Human Input: stopping, answering, and what lies beside and behind it.

use countersign_domain::Outcome::{Approve, Reject};
use countersign_domain::{ArgumentsRefused, Role};
use countersign_flow::{Advance, Answer, AnswerError, PastMessage, Run};
use serde_json::{Value, json};

use crate::support::{
    TestHost, answer, chat, gate, input, node, order, plan, records, reply, start, stop_of, stopped, to_rest,
};

fn deploy() -> countersign_flow::Plan {
    plan(
        vec![
            start(json!({})),
            gate("h0", "Release {{ $webhook.body.item }} now?"),
            reply(
                "d0",
                "released {{ $webhook.body.item }}: {{ humanInputAgentflow_0 }}",
            ),
            reply(
                "d1",
                "held {{ humanInputAgentflow_0.output.conditions[1].feedback }}",
            ),
        ],
        &[("s", "h0"), ("h0.0", "d0"), ("h0.1", "d1")],
    )
}

const ACTION: &str = r#"{"id":"00000000-0000-0000-0000-000000000001","mapping":{"approve":"Proceed","reject":"Reject"},"elements":[{"type":"agentflowv2-approve-button","label":"Proceed"},{"type":"agentflowv2-reject-button","label":"Reject"}],"data":{"nodeId":"humanInputAgentflow_0","nodeLabel":"Gate","input":{"messages":[],"humanInputEnableFeedback":true}}}"#;

#[test]
fn a_stop_has_the_recorded_form() {
    let (plan, host) = (deploy(), TestHost::new());
    let (run, stop) = stopped(&plan, json!({"item": "v1"}), &host);
    assert_eq!(stop.action.to_string(), ACTION);
    assert_eq!(
        (stop.text.as_str(), stop.description.as_str()),
        ("\n\nRelease v1 now?", "Release v1 now?")
    );
    assert!(stop.feedback_enabled);
    assert_eq!(host.ids_taken(), 1, "one id a stop");
    assert_eq!(run.waiting(), Some(&stop));
    assert_eq!(
        serde_json::to_string(&run.records()[1]).unwrap(),
        format!(
            "{{\"nodeId\":\"humanInputAgentflow_0\",\"nodeLabel\":\"Gate\",\"data\":{{\"id\":\"humanInputAgentflow_0\",\
             \"name\":\"humanInputAgentflow\",\"input\":{{\"messages\":[],\"humanInputEnableFeedback\":true}},\
             \"output\":{{\"content\":\"\\n\\nRelease v1 now?\",\"humanInputAction\":{ACTION}}},\"state\":{{}},\
             \"chatHistory\":[{{\"role\":\"assistant\",\"content\":\"\\n\\nRelease v1 now?\"}}]}},\
             \"previousNodeIds\":[\"startAgentflow_0\"],\"status\":\"STOPPED\"}}"
        )
    );
    assert_eq!(
        (run.question(), run.final_text().as_str()),
        (Some(" "), "\n\nRelease v1 now?")
    );
}

#[test]
fn an_answer_has_the_recorded_form() {
    let (plan, host) = (deploy(), TestHost::new());
    let (mut run, _) = stopped(&plan, json!({"item": "v1"}), &host);
    let past = chat(&run);
    run.answer(
        &plan,
        &TestHost::new(),
        answer(Approve, Some("looks right")),
        past,
    )
    .unwrap();
    assert_eq!(run.waiting(), None);
    assert_eq!(to_rest(&mut run, &plan, &host), Advance::Finished);
    let condition = |kind: &str, fulfilled: bool| {
        format!(
            "{{\"type\":\"{kind}\",\"startNodeId\":\"humanInputAgentflow_0\",\"feedback\":\"looks right\",\"isFulfilled\":{fulfilled}}}"
        )
    };
    assert_eq!(
        serde_json::to_string(&run.records()[1]).unwrap(),
        format!(
            "{{\"nodeId\":\"humanInputAgentflow_0\",\"nodeLabel\":\"Gate\",\"data\":{{\"id\":\"humanInputAgentflow_0\",\
             \"name\":\"humanInputAgentflow\",\"input\":{{\"type\":\"proceed\",\"startNodeId\":\"humanInputAgentflow_0\",\
             \"feedback\":\"looks right\",\"messages\":[{{\"content\":\" \",\"role\":\"user\"}},\
             {{\"content\":\"\\n\\nRelease v1 now?\",\"role\":\"assistant\"}},{{\"role\":\"user\",\"content\":\"looks right\"}}]}},\
             \"output\":{{\"content\":\"looks right\",\"conditions\":[{},{}]}},\"state\":{{}},\
             \"chatHistory\":[{{\"role\":\"user\",\"content\":\"looks right\"}}]}},\
             \"previousNodeIds\":[\"startAgentflow_0\"],\"status\":\"FINISHED\"}}",
            condition("proceed", true),
            condition("reject", false),
        )
    );
    assert_eq!(
        order(&run),
        ["s", "h0", "d0"],
        "the record of the question gave way to that of the answer"
    );
    assert_eq!(run.final_text(), "released v1: looks right");
    assert_eq!(
        (run.question(), run.user_message().as_str()),
        (None, "looks right")
    );
}

#[test]
fn without_a_note_the_word_stands_for_it() {
    let (plan, host) = (deploy(), TestHost::new());
    for feedback in [None, Some("")] {
        let (mut run, _) = stopped(&plan, json!({"item": "v1"}), &host);
        let past = chat(&run);
        run.answer(&plan, &TestHost::new(), answer(Reject, feedback), past)
            .unwrap();
        to_rest(&mut run, &plan, &host);
        assert_eq!(order(&run), ["s", "h0", "d1"]);
        assert_eq!(
            run.final_text(),
            "held {{ humanInputAgentflow_0.output.conditions[1].feedback }}"
        );
        let record = serde_json::to_value(&run.records()[1]).unwrap();
        assert_eq!(record["data"]["output"]["content"], "reject");
        assert_eq!(record["data"].get("chatHistory"), None);
        assert_eq!(
            record["data"]["input"].get("feedback"),
            feedback.map(Value::from).as_ref(),
            "repeated as it was sent"
        );
        assert_eq!(
            record["data"]["input"]["messages"][2],
            json!({"role": "user", "content": "reject"})
        );
        assert_eq!(run.user_message(), " ");
    }
}

#[test]
fn a_note_counts_although_it_was_not_asked_for() {
    let mut quiet = gate("h0", "");
    quiet["data"]["inputs"]["humanInputEnableFeedback"] = json!("");
    let plan = plan(vec![start(json!({})), quiet], &[("s", "h0")]);
    let host = TestHost::new();
    let (mut run, stop) = stopped(&plan, json!({}), &host);
    assert!(!stop.feedback_enabled);
    assert_eq!(stop.description, "Do you want to proceed?");
    assert_eq!(
        stop.action["data"]["input"]["humanInputEnableFeedback"], "",
        "repeated as it is stored"
    );
    let note = Answer {
        outcome: Approve,
        feedback: Some(json!({"a": 1})),
        arguments: None,
        start_node_id: None,
    };
    run.answer(&plan, &TestHost::new(), note, Vec::new()).unwrap();
    to_rest(&mut run, &plan, &host);
    let record = serde_json::to_value(&run.records()[1]).unwrap();
    assert_eq!(
        record["data"]["output"]["content"],
        json!({"a": 1}),
        "any JSON is taken, as recorded"
    );
    assert_eq!(record["data"]["output"]["conditions"][0].get("feedback"), None);
    assert_eq!(
        record["data"]["chatHistory"],
        json!([{"role": "user", "content": {"a": 1}}])
    );
    assert_eq!(
        (run.final_text().as_str(), run.user_message().as_str()),
        ("{\"a\":1}", "{\"a\":1}")
    );
}

#[test]
fn a_wrong_answer_changes_nothing() {
    let (plan, host) = (deploy(), TestHost::new());
    let (mut run, stop) = stopped(&plan, json!({"item": "v1"}), &host);
    let before = serde_json::to_string(&run).unwrap();
    for named in ["startAgentflow_0", "directReplyAgentflow_0", "nobody"] {
        let wrong = Answer {
            start_node_id: Some(named.to_owned()),
            ..answer(Approve, None)
        };
        let expected = AnswerError::OtherStep {
            waiting: "humanInputAgentflow_0".to_owned(),
            named: named.to_owned(),
        };
        assert_eq!(
            run.answer(&plan, &TestHost::new(), wrong, Vec::new()),
            Err(expected)
        );
    }
    let other = crate::support::plan(vec![start(json!({}))], &[]);
    assert_eq!(
        run.answer(&other, &TestHost::new(), answer(Approve, None), Vec::new()),
        Err(AnswerError::OtherPlan)
    );
    let with_arguments = Answer {
        arguments: Some(json!({"a": 1})),
        ..answer(Approve, None)
    };
    assert_eq!(
        run.answer(&plan, &TestHost::new(), with_arguments, Vec::new()),
        Err(AnswerError::Arguments(ArgumentsRefused::NoCall))
    );
    assert_eq!(serde_json::to_string(&run).unwrap(), before);
    assert_eq!(
        stop_of(to_rest(&mut run, &plan, &host)),
        stop,
        "it still waits with the same question"
    );
    let right = Answer {
        start_node_id: Some("humanInputAgentflow_0".to_owned()),
        ..answer(Approve, None)
    };
    run.answer(&plan, &TestHost::new(), right, Vec::new()).unwrap();
    assert_eq!(
        run.answer(&plan, &TestHost::new(), answer(Reject, None), Vec::new()),
        Err(AnswerError::NotWaiting)
    );
    assert_eq!(to_rest(&mut run, &plan, &host), Advance::Finished);
    assert_eq!(
        run.answer(&plan, &TestHost::new(), answer(Reject, None), Vec::new()),
        Err(AnswerError::NotWaiting)
    );
}

#[test]
fn two_gates_ask_one_after_the_other() {
    let plan = plan(
        vec![
            start(json!({})),
            gate("h0", "first?"),
            gate("h1", "second?"),
            reply("d0", "both"),
            reply("d1", "one"),
            reply("d2", "two"),
        ],
        &[
            ("s", "h0"),
            ("h0.0", "h1"),
            ("h0.1", "d1"),
            ("h1.0", "d0"),
            ("h1.1", "d2"),
        ],
    );
    let host = TestHost::new();
    let (mut run, first) = stopped(&plan, json!({}), &host);
    let mut past = chat(&run);
    run.answer(
        &plan,
        &TestHost::new(),
        answer(Approve, Some("one")),
        past.clone(),
    )
    .unwrap();
    let second = stop_of(to_rest(&mut run, &plan, &host));
    assert_eq!(second.text, "one\n\nsecond?", "the note is the last message");
    assert_ne!(first.action["id"], second.action["id"]);
    assert_eq!(
        second.action["data"]["input"]["messages"],
        json!([{"content": " ", "role": "user"}, {"content": "\n\nfirst?", "role": "assistant"}, {"role": "user", "content": "one"}])
    );
    past.extend(chat(&run));
    run.answer(&plan, &TestHost::new(), answer(Reject, Some("two")), past)
        .unwrap();
    to_rest(&mut run, &plan, &host);
    assert_eq!(order(&run), ["s", "h0", "h1", "d2"]);
    let messages = serde_json::to_value(&run.records()[2]).unwrap()["data"]["input"]["messages"].clone();
    let said: Vec<_> = messages
        .as_array()
        .unwrap()
        .iter()
        .map(|message| message["content"].clone())
        .collect();
    assert_eq!(said, [" ", "\n\nfirst?", "one", "one\n\nsecond?", "two"]);
}

#[test]
fn the_text_begins_with_the_last_message_of_the_chat() {
    let plan = deploy();
    let mut input = input(json!({"item": "v2"}));
    input.past_history = vec![PastMessage {
        role: Role::Assistant,
        content: "earlier".to_owned(),
    }];
    let mut run = Run::begin(&plan, input);
    let stop = stop_of(to_rest(&mut run, &plan, &TestHost::new()));
    assert_eq!(
        (stop.text.as_str(), stop.description.as_str()),
        ("earlier\n\nRelease v2 now?", "Release v2 now?")
    );
}

/// D1.1: Flowise skips only the first edge of the branch that was not taken.
#[test]
fn d1_1_reject_runs_nothing_that_hangs_on_proceed() {
    let plan = plan(
        vec![
            start(json!({})),
            gate("h0", "go?"),
            reply("d0", "A"),
            reply("d1", "B"),
            reply("d2", "C"),
        ],
        &[("s", "h0"), ("h0.0", "d0"), ("h0.0", "d1"), ("h0.1", "d2")],
    );
    let host = TestHost::new();
    for (outcome, expected) in [
        (Reject, vec!["s", "h0", "d2"]),
        (Approve, vec!["s", "h0", "d0", "d1"]),
    ] {
        let (mut run, _) = stopped(&plan, json!({}), &host);
        run.answer(&plan, &TestHost::new(), answer(outcome, None), Vec::new())
            .unwrap();
        to_rest(&mut run, &plan, &host);
        assert_eq!(order(&run), expected, "{outcome:?}");
    }
}

/// D1.2: Flowise runs nothing at all here.
#[test]
fn d1_2_a_node_on_both_branches_runs_once() {
    let plan = plan(
        vec![start(json!({})), gate("h0", "go?"), reply("d0", "x")],
        &[("s", "h0"), ("h0.0", "d0"), ("h0.1", "d0")],
    );
    let host = TestHost::new();
    for outcome in [Approve, Reject] {
        let (mut run, _) = stopped(&plan, json!({}), &host);
        run.answer(&plan, &TestHost::new(), answer(outcome, None), Vec::new())
            .unwrap();
        to_rest(&mut run, &plan, &host);
        assert_eq!(order(&run), ["s", "h0", "d0"]);
    }
}

/// D3.4: Flowise drops what is queued behind a gate.
#[test]
fn d3_4_what_lies_beside_a_gate_runs_before_the_question() {
    let plan = plan(
        vec![
            start(json!({})),
            gate("h0", "go?"),
            gate("h1", "and this?"),
            reply("d0", "side done"),
            reply("d1", "further"),
            reply("d2", "yes"),
        ],
        &[
            ("s", "h0"),
            ("s", "h1"),
            ("s", "d0"),
            ("d0", "d1"),
            ("h0.0", "d2"),
        ],
    );
    let host = TestHost::new();
    let (mut run, first) = stopped(&plan, json!({}), &host);
    assert_eq!(order(&run), ["s", "d0", "d1", "h0!"]);
    assert_eq!(
        (first.description.as_str(), run.final_text().as_str()),
        ("go?", "\n\ngo?")
    );
    run.answer(&plan, &TestHost::new(), answer(Approve, None), Vec::new())
        .unwrap();
    let second = stop_of(to_rest(&mut run, &plan, &host));
    assert_eq!(second.description, "and this?");
    assert_eq!(order(&run), ["s", "d0", "d1", "h0", "d2", "h1!"]);
    run.answer(&plan, &TestHost::new(), answer(Approve, None), Vec::new())
        .unwrap();
    assert_eq!(to_rest(&mut run, &plan, &host), Advance::Finished);
    assert_eq!(order(&run), ["s", "d0", "d1", "h0", "d2", "h1"]);
}

/// D3.3: Flowise forgets at the stop what the finished branch had delivered.
#[test]
fn d3_3_a_join_across_a_gate_runs_once_after_the_answer() {
    let plan = plan(
        vec![
            start(json!({})),
            reply("d0", "a"),
            gate("h0", "go?"),
            reply("d1", "join: {{directReplyAgentflow_0}} {{humanInputAgentflow_0}}"),
        ],
        &[("s", "d0"), ("s", "h0"), ("d0", "d1"), ("h0.0", "d1")],
    );
    let host = TestHost::new();
    // What hangs on Proceed does not run after Reject, although the branch beside the gate leads to it too.
    let ways: [(_, &[&str], _); 2] = [
        (Approve, &["s", "d0", "h0", "d1"], "join: a proceed"),
        (Reject, &["s", "d0", "h0"], "reject"),
    ];
    for (outcome, ran, text) in ways {
        let (mut run, _) = stopped(&plan, json!({}), &host);
        let stored = serde_json::to_string(&run).unwrap();
        run = serde_json::from_str(&stored).unwrap();
        run.answer(&plan, &TestHost::new(), answer(outcome, None), Vec::new())
            .unwrap();
        assert_eq!(to_rest(&mut run, &plan, &host), Advance::Finished);
        assert_eq!(
            (order(&run), run.final_text()),
            (ran.iter().map(|id| (*id).to_owned()).collect(), text.to_owned())
        );
    }
}

#[test]
fn what_follows_a_gate_is_said_in_lines() {
    let plan = plan(
        vec![
            start(json!({})),
            gate("h0", "first?"),
            crate::support::check("c0", "a", "b"),
            gate("h1", "Second\n\nfor {{ $webhook.body.x }}?"),
            reply(
                "d0",
                "released {{ $webhook.body.x }} after {{ humanInputAgentflow_0 }}",
            ),
            reply("d1", "after"),
        ],
        &[
            ("s", "h0"),
            ("h0.0", "c0"),
            ("c0.0", "h1"),
            ("c0.1", "d0"),
            ("h1.0", "d1"),
        ],
    );
    let host = TestHost::new();
    let (run, _) = stopped(&plan, json!({ "x": "v1" }), &host);
    assert_eq!(
        run.what_follows(&plan, &host, true),
        [
            "Check “Check”",
            "Ask: Second for v1?",
            "Reply “released v1 after {{ humanInputAgentflow_0 }}”"
        ],
        "up to the next gate, with what is known by now"
    );
    assert_eq!(run.what_follows(&plan, &host, false), ["The flow ends"]);
    let begun = Run::begin(&plan, input(json!({ "x": "v1" })));
    assert!(begun.what_follows(&plan, &host, true).is_empty(), "nothing waits");
}

#[test]
fn a_stored_run_holds_its_payload_once_and_goes_on_from_there() {
    let (plan, host) = (deploy(), TestHost::new());
    let (run, stop) = stopped(&plan, json!({"item": "needle"}), &host);
    let stored = serde_json::to_string(&run).unwrap();
    assert_eq!(
        stored.matches("\"needle\"").count(),
        1,
        "the payload stands in it once: {stored}"
    );
    let mut again: Run = serde_json::from_str(&stored).unwrap();
    assert_eq!(again.waiting(), Some(&stop));
    assert_eq!(records(&again), records(&run));
    again
        .answer(&plan, &TestHost::new(), answer(Approve, None), chat(&run))
        .unwrap();
    let decided = serde_json::to_string(&again).unwrap();
    let mut again: Run = serde_json::from_str(&decided).unwrap();
    assert_eq!(
        to_rest(&mut again, &plan, &host),
        Advance::Finished,
        "a decided run goes on after a restart"
    );
    assert_eq!(
        (again.final_text().as_str(), again.question()),
        ("released needle: proceed", None)
    );
    assert_eq!(host.ids_taken(), 1);
}

#[test]
fn damaged_stored_runs_are_refused() {
    let (plan, host) = (deploy(), TestHost::new());
    let (run, _) = stopped(&plan, json!({}), &host);
    let good = serde_json::to_value(&run).unwrap();
    for (field, value) in [
        ("version", json!(99)),
        ("tokens", json!("wq")),
        ("records", json!([])),
        ("phase", json!({})),
    ] {
        let mut bad = good.clone();
        bad[field] = value;
        assert!(
            serde_json::from_value::<Run>(bad).is_err(),
            "a run with a wrong {field}"
        );
    }
}

#[test]
fn a_node_without_a_label_is_known_by_its_id() {
    let mut bare = node("h0", "", json!({"humanInputDescriptionType": "fixed"}));
    bare["data"].as_object_mut().unwrap().remove("label");
    let plan = plan(vec![start(json!({})), bare], &[("s", "h0")]);
    let (_, stop) = stopped(&plan, json!({}), &TestHost::new());
    assert_eq!(stop.node_label, "humanInputAgentflow_0");
}
