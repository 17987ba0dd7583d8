//! A run that failed at a step is taken up again there (known gaps D1.13).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use countersign_domain::Outcome::Approve;
use countersign_flow::{Advance, Plan, RecordStatus, RetryError, Run, StepState};
use serde_json::{Value, json};

use crate::support::{
    TestHost, answer, chat, each, gate, http, input, inside, ok, order, plain, plan, reply, says, start,
    stop_of, to_rest, wants,
};

/// A target that cannot be reached until `from` requests were made to it.
fn reached_from(from: usize, what: impl Fn(&str) -> bool + Send + Sync + 'static) -> TestHost {
    let asked = Arc::new(AtomicUsize::new(0));
    TestHost::new().with_http(move |request| {
        let fails = what(&request.url) && asked.fetch_add(1, Ordering::SeqCst) < from;
        let answer = if fails {
            Err("no connection".to_owned())
        } else {
            Ok(ok(&json!(request.url)))
        };
        Box::pin(std::future::ready(answer))
    })
}

fn keys(host: &TestHost) -> Vec<String> {
    let asked = host.requests().into_iter();
    asked.map(|request| request.idempotency_key).collect()
}

fn fails(run: &mut Run, plan: &Plan, host: &TestHost) {
    let rest = to_rest(run, plan, host);
    assert!(
        matches!(rest, Advance::Failed(_)),
        "the run should fail, but {rest:?}"
    );
}

/// Writes the run down, reads it again, and puts it back to work.
fn try_again(run: &mut Run, plan: &Plan, host: &TestHost) {
    *run = serde_json::from_str(&serde_json::to_string(&run).unwrap()).unwrap();
    run.retry(plan, host).unwrap();
    *run = serde_json::from_str(&serde_json::to_string(&run).unwrap()).unwrap();
    assert_eq!(run.failed_step(), None, "it has not failed any more");
}

fn failures(run: &Run) -> usize {
    let records = run.records().iter();
    records
        .filter(|record| record.status() == RecordStatus::Error)
        .count()
}

#[test]
fn d1_13_what_failed_is_taken_up_again_as_often_as_somebody_wants_and_stays_on_record() {
    let plan = plan(
        vec![
            start(json!({})),
            http("t0", json!({"url": "http://x/a"})),
            reply("d0", "got {{ httpAgentflow_0 }}"),
        ],
        &[("s", "t0"), ("t0", "d0")],
    );
    let host = reached_from(2, |_| true);
    let mut run = Run::begin(&plan, input(json!({})));
    assert_eq!(run.retry(&plan, &host), Err(RetryError::NothingToRetry));
    for _ in 0..2 {
        fails(&mut run, &plan, &host);
        assert_eq!(run.failed_step().as_deref(), Some("Call"));
        try_again(&mut run, &plan, &host);
    }
    assert_eq!(to_rest(&mut run, &plan, &host), Advance::Finished);
    assert_eq!(run.final_text(), "got http://x/a");
    assert_eq!(order(&run), ["s", "h0", "h0", "h0", "d0"]);
    assert_eq!(failures(&run), 2);
    assert_eq!(
        keys(&host),
        [
            "execution-1:httpAgentflow_0:0",
            "execution-1:httpAgentflow_0:1",
            "execution-1:httpAgentflow_0:2"
        ],
        "what is known to have failed is another request the next time"
    );
    let explained = run.explain(&plan, &host);
    let (state, why) = (explained[3].state, explained[3].why.as_str());
    assert_eq!(
        (state, why),
        (
            StepState::Finished,
            "“Start” was done, it had failed and was tried again"
        )
    );
    let before = serde_json::to_string(&run).unwrap();
    assert_eq!(run.retry(&plan, &host), Err(RetryError::NothingToRetry));
    assert_eq!(
        serde_json::to_string(&run).unwrap(),
        before,
        "nothing has changed"
    );
}

#[test]
fn all_that_failed_side_by_side_comes_again_and_what_ran_beside_it_does_not() {
    let names = ["t0", "t1", "t2"];
    let mut nodes = vec![start(json!({})), reply("d0", "joined")];
    nodes.extend(names.map(|name| http(name, json!({"url": format!("http://x/{name}")}))));
    let edges = names.iter().flat_map(|name| [("s", *name), (*name, "d0")]);
    let plan = plan(nodes, &edges.collect::<Vec<_>>());
    let host = reached_from(2, |url| !url.ends_with("t1"));
    let mut run = Run::begin(&plan, input(json!({})));
    fails(&mut run, &plan, &host);
    assert_eq!(order(&run), ["s", "h1", "h0"]);
    try_again(&mut run, &plan, &host);
    assert_eq!(to_rest(&mut run, &plan, &host), Advance::Finished);
    assert_eq!(order(&run), ["s", "h1", "h0", "h0", "h2", "d0"]);
    let keys = keys(&host);
    assert_eq!(keys.iter().filter(|key| key.contains("flow_1")).count(), 1);
    assert_eq!(
        keys[3..],
        ["execution-1:httpAgentflow_0:1", "execution-1:httpAgentflow_2:0"],
        "of the one that is not on record nothing is known"
    );
}

#[test]
fn d1_13_an_answer_that_was_given_before_the_failure_is_not_asked_for_again() {
    let plan = plan(
        vec![
            start(json!({})),
            gate("h0", "go?"),
            http("t0", json!({"url": "http://x/a"})),
            reply(
                "d0",
                "{{ humanInputAgentflow_0.output.conditions[0].feedback }} {{ httpAgentflow_0 }}",
            ),
            reply("d1", "no"),
        ],
        &[("s", "h0"), ("h0.0", "t0"), ("t0", "d0"), ("h0.1", "d1")],
    );
    let host = reached_from(1, |_| true);
    let mut run = Run::begin(&plan, input(json!({})));
    stop_of(to_rest(&mut run, &plan, &host));
    let past = chat(&run);
    run.answer(&plan, &host, answer(Approve, Some("do it")), past)
        .unwrap();
    fails(&mut run, &plan, &host);
    try_again(&mut run, &plan, &host);
    assert_eq!(to_rest(&mut run, &plan, &host), Advance::Finished);
    assert_eq!(
        (run.final_text().as_str(), host.ids_taken()),
        ("do it http://x/a", 1)
    );
}

/// What a person has allowed was done; then the model cannot be reached.
#[test]
fn an_agent_goes_on_behind_the_tool_that_was_allowed() {
    let tool = json!({
        "agentSelectedTool": "requestsPost",
        "agentSelectedToolConfig": {"requestsPostUrl": "http://x/pay", "requestsPostName": "pay",
            "requestsPostDescription": "Pays", "requestPostBody": "{}",
            "requestsPostBodySchema": "{\"amount\": {\"type\": \"number\", \"required\": true}}"},
        "agentSelectedToolRequiresHumanInput": true,
    });
    let inputs = json!({
        "agentModel": "chatOpenAI", "agentModelConfig": {"modelName": "g"}, "agentTools": [tool],
        "agentMessages": [{"role": "user", "content": "Pay."}], "agentReturnResponseAs": "assistantMessage",
    });
    let plan = plan(
        vec![start(json!({})), plain("a0", "Payer", inputs)],
        &[("s", "a0")],
    );
    let asked = AtomicUsize::new(0);
    let host = reached_from(0, |_| true).with_model(move |_| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => Ok(wants("", &[("pay", json!({"body": {"amount": 1}}))])),
        1 => Err("the model is overloaded".to_owned()),
        _ => Ok(says("Paid.")),
    });
    let mut run = Run::begin(&plan, input(json!({})));
    stop_of(to_rest(&mut run, &plan, &host));
    let past = chat(&run);
    run.answer(&plan, &host, answer(Approve, None), past).unwrap();
    fails(&mut run, &plan, &host);
    try_again(&mut run, &plan, &host);
    assert_eq!(to_rest(&mut run, &plan, &host), Advance::Finished);
    assert_eq!(run.final_text(), "Paid.");
    assert_eq!(
        (host.ids_taken(), keys(&host).len()),
        (1, 1),
        "asked once, paid once"
    );
}

#[test]
fn an_iteration_goes_on_at_the_item_that_failed() {
    let flow = plan(
        vec![
            start(json!({})),
            each("i0", "[1, 2, 3]"),
            inside("i0", http("t0", json!({"url": "http://x/{{ $iteration }}"}))),
            inside("i0", reply("d0", "got {{ httpAgentflow_0 }}")),
        ],
        &[("s", "i0"), ("t0", "d0")],
    );
    let stop = json!({"steps": {"iterationAgentflow_0": {"stopOnItemError": true}}});
    let plan = flow.with_policy(serde_json::from_value(stop).unwrap());
    let host = reached_from(2, |url| url.ends_with('2'));
    let mut run = Run::begin(&plan, input(json!({})));
    for _ in 0..2 {
        fails(&mut run, &plan, &host);
        assert_eq!(run.failed_step().as_deref(), Some("Each › Call"));
        try_again(&mut run, &plan, &host);
    }
    assert_eq!(to_rest(&mut run, &plan, &host), Advance::Finished);
    assert_eq!(run.final_text(), "got http://x/1\ngot http://x/2\ngot http://x/3");
    let paths: Vec<_> = host.requests().into_iter().map(|request| request.url).collect();
    assert_eq!(
        paths,
        [
            "http://x/1",
            "http://x/2",
            "http://x/2",
            "http://x/2",
            "http://x/3"
        ]
    );
    let different: std::collections::BTreeSet<_> = keys(&host).into_iter().collect();
    assert_eq!(different.len(), 5);
    assert_eq!(
        order(&run),
        [
            "s", "h0", "d0", "h0", "i0", "h0", "i0", "h0", "d0", "h0", "d0", "i0"
        ],
        "each record once, in the order in which it came"
    );
}

#[test]
fn a_limit_of_the_run_is_no_failed_step() {
    let names: Vec<String> = (0..countersign_flow::STEP_LIMIT)
        .map(|at| format!("d{at}"))
        .collect();
    let mut nodes: Vec<Value> = vec![start(json!({}))];
    nodes.extend(names.iter().map(|name| reply(name, "x")));
    let edges: Vec<_> = std::iter::once("s")
        .chain(names.iter().map(String::as_str))
        .zip(names.iter().map(String::as_str))
        .collect();
    let plan = plan(nodes, &edges);
    let host = TestHost::new();
    let mut run = Run::begin(&plan, input(json!({})));
    fails(&mut run, &plan, &host);
    assert_eq!(
        (run.failed_step(), run.retry(&plan, &host)),
        (None, Err(RetryError::NothingToRetry))
    );
}
