//! Execute Flow: a flow calls another one in the same process (deviation (i)).

use countersign_domain::Outcome::Approve;
use countersign_flow::{Advance, Run};
use serde_json::{Value, json};

use crate::support::{
    TestHost, answer, call, chat, flow, gate, input, order, plan, records, reply, start, stop_of, to_rest,
};

const OTHER: &str = "00000000-0000-4000-8000-000000000002";

fn chat_start() -> Value {
    start(json!({"startInputType": "chatInput"}))
}

fn outer() -> countersign_flow::Plan {
    plan(
        vec![
            start(json!({})),
            call("e0", OTHER, "hi {{ $webhook.body.who }}"),
            reply("d0", "outer got: {{ executeFlowAgentflow_0 }}"),
        ],
        &[("s", "e0"), ("e0", "d0")],
    )
}

#[test]
fn the_text_of_the_called_flow_comes_back_and_its_steps_are_kept_inside() {
    let inner = flow(
        vec![chat_start(), reply("d0", "callee says: {{ question }}")],
        &[("s", "d0")],
    );
    let host = TestHost::new().with_flow(OTHER, &inner);
    let mut run = Run::begin(&outer(), input(json!({"who": "Ada"})));
    assert_eq!(to_rest(&mut run, &outer(), &host), Advance::Finished);
    assert_eq!(run.final_text(), "outer got: callee says: hi Ada");
    assert_eq!(order(&run), ["s", "e0", "d0"], "the record is that of Flowise");
    let inside: Vec<_> = run.records()[1]
        .called()
        .iter()
        .map(|record| record.node_id())
        .collect();
    assert_eq!(inside, ["startAgentflow_0", "directReplyAgentflow_0"]);
    let again: Run = serde_json::from_str(&serde_json::to_string(&run).unwrap()).unwrap();
    assert_eq!(again.records()[1].called().len(), 2, "also after a restart");
}

#[test]
fn a_gate_inside_lets_the_caller_wait_and_shows_both_names() {
    let inner = flow(
        vec![
            chat_start(),
            gate("h0", "inner?"),
            reply("d0", "inner yes"),
            reply("d1", "inner no"),
        ],
        &[("s", "h0"), ("h0.0", "d0"), ("h0.1", "d1")],
    );
    let host = TestHost::new().with_flow(OTHER, &inner);
    let mut run = Run::begin(&outer(), input(json!({"who": "Ada"})));
    let stop = stop_of(to_rest(&mut run, &outer(), &host));
    assert_eq!(
        (
            stop.node_id.as_str(),
            stop.node_label.as_str(),
            stop.text.as_str()
        ),
        ("executeFlowAgentflow_0", "Call it › Gate", "\n\ninner?")
    );
    assert_eq!(stop.action["data"]["nodeLabel"], "Call it › Gate");
    assert_eq!(
        stop.called_flows,
        [format!("Flow {OTHER}")],
        "and the name of the flow"
    );
    assert_eq!(host.ids_taken(), 1, "one id for one question");
    assert_eq!(
        run.what_follows(&outer(), &host, true),
        [
            "Reply “inner yes”",
            "Reply “outer got: {{ executeFlowAgentflow_0 }}”"
        ],
        "what follows inside, then outside"
    );
    let stored = serde_json::to_string(&run).unwrap();
    run = serde_json::from_str(&stored).unwrap();
    assert_eq!(run.waiting(), Some(&stop), "the same after a restart");
    let past = chat(&run);
    let mut wrong = answer(Approve, None);
    wrong.start_node_id = Some("humanInputAgentflow_0".to_owned());
    assert!(
        run.answer(&outer(), &host, wrong, past.clone()).is_err(),
        "the caller's step is what waits"
    );
    run.answer(&outer(), &host, answer(Approve, None), past).unwrap();
    assert_eq!(to_rest(&mut run, &outer(), &host), Advance::Finished);
    assert_eq!(run.final_text(), "outer got: inner yes");
    assert_eq!(order(&run), ["s", "e0", "d0"]);
}

#[test]
fn a_failure_inside_is_text_as_a_client_would_have_got_it() {
    let webhook = flow(vec![start(json!({})), reply("d0", "x")], &[("s", "d0")]);
    let failing = flow(
        vec![
            chat_start(),
            crate::support::condition(
                "c0",
                json!([{"type": "string", "value1": "a", "operation": "bogus", "value2": "b"}]),
            ),
        ],
        &[("s", "c0")],
    );
    for (inner, expected) in [
        (
            Some(webhook),
            format!("Call POST /api/v1/webhook/{OTHER} instead of the prediction API."),
        ),
        (Some(failing), "Condition has no operation “bogus”".to_owned()),
        (None, format!("Chatflow {OTHER} not found in the database!")),
    ] {
        let host = TestHost::new();
        let host = match &inner {
            Some(inner) => host.with_flow(OTHER, inner),
            None => host,
        };
        let mut run = Run::begin(&outer(), input(json!({})));
        assert_eq!(
            to_rest(&mut run, &outer(), &host),
            Advance::Finished,
            "{}",
            records(&run)
        );
        let text = run.final_text();
        assert!(
            text.contains(&expected) && text.contains("\"success\": false"),
            "{text}"
        );
    }
}

#[test]
fn flows_that_call_one_another_without_end_are_stopped_and_named() {
    const OWN: &str = "flow-1";
    let calls = |id: &str| flow(vec![chat_start(), call("e0", id, "x")], &[("s", "e0")]);
    let host = TestHost::new()
        .with_flow(OTHER, &calls(OWN))
        .with_flow(OWN, &calls(OTHER));
    let mut run = Run::begin(&outer(), input(json!({})));
    to_rest(&mut run, &outer(), &host);
    assert!(
        run.final_text().contains(&format!("{OWN} → {OTHER} → {OWN}")),
        "{}",
        run.final_text()
    );
    let own = plan(vec![start(json!({})), call("e0", OWN, "x")], &[("s", "e0")]);
    let (_, failure) = crate::support::failure(&own, json!({}));
    assert_eq!(failure.message, "Error: Cannot call the same agentflow!");
}
