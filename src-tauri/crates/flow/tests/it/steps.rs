//! How steps are carried out: side by side where nothing depends on the order, with the operator's limits, and with
//! nothing done twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use countersign_flow::{Advance, Plan, Run, RunPolicy};
use serde_json::{Value, json};

use crate::support::{
    TestHost, at_once, block_on, finished, http, id, input, ok, order, plain, plan, records, reply, start,
    to_rest,
};

fn policy(value: Value) -> RunPolicy {
    serde_json::from_value(value).unwrap()
}

/// A fan-out of requests, and a join.
fn fan_out(width: usize) -> Plan {
    let mut nodes = vec![start(json!({})), reply("d0", "joined")];
    let mut edges = Vec::new();
    for number in 0..width {
        let short = format!("t{number}");
        nodes.push(http(&short, json!({"url": format!("http://x/{number}")})));
        edges.push(("s".to_owned(), short.clone()));
        edges.push((short, "d0".to_owned()));
    }
    let edges: Vec<_> = edges
        .iter()
        .map(|(from, to)| (from.as_str(), to.as_str()))
        .collect();
    plan(nodes, &edges)
}

#[test]
fn requests_that_do_not_depend_on_one_another_run_side_by_side_and_are_recorded_in_order() {
    let plan = fan_out(40);
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (under_way, peak) = (now.clone(), most.clone());
    let host = TestHost::new().with_http(move |request| {
        let (now, most) = (under_way.clone(), peak.clone());
        let body = json!(request.url);
        // Later ones are quicker, so that the order of their ends is another one.
        let number: u64 = request.url.rsplit('/').next().unwrap().parse().unwrap();
        Box::pin(async move {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(41 - number)).await;
            now.fetch_sub(1, Ordering::SeqCst);
            Ok(ok(&body))
        })
    });
    let mut run = Run::begin(&plan, input(json!({})));
    let timed = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    timed.block_on(async { while run.advance(&plan, &host).await != Advance::Finished {} });
    let ran: Vec<_> = run
        .records()
        .iter()
        .map(|record| record.node_id().to_owned())
        .collect();
    let expected: Vec<_> = (0..40).map(|number| format!("httpAgentflow_{number}")).collect();
    assert_eq!(ran[1..41], expected, "recorded as if one had run after the other");
    assert_eq!(ran[41], "directReplyAgentflow_0", "the join runs once, after all");
    assert_eq!(
        most.load(Ordering::SeqCst),
        16,
        "side by side, and not more than that"
    );
}

#[test]
fn a_step_that_reads_another_one_waits_for_it() {
    let plan = plan(
        vec![
            start(json!({})),
            http("t0", json!({"url": "http://x/first"})),
            http("t1", json!({"url": "http://x/{{ httpAgentflow_0 }}"})),
        ],
        &[("s", "t0"), ("s", "t1")],
    );
    let host = TestHost::new().with_http(|_| at_once(ok(&json!("seen"))));
    let mut run = Run::begin(&plan, input(json!({})));
    assert_eq!(to_rest(&mut run, &plan, &host), Advance::Finished);
    assert_eq!(
        host.requests()[1].url,
        "http://x/seen",
        "it sees what the one before it in the queue gave"
    );
}

#[test]
fn one_that_fails_ends_the_run_and_what_ran_beside_it_stays_on_record() {
    let plan = fan_out(3);
    let host = TestHost::new().with_http(|request| {
        let answer = if request.url.ends_with('1') {
            Err("no connection".to_owned())
        } else {
            Ok(ok(&json!(1)))
        };
        Box::pin(std::future::ready(answer))
    });
    let mut run = Run::begin(&plan, input(json!({})));
    let Advance::Failed(failure) = to_rest(&mut run, &plan, &host) else {
        panic!("the run should fail");
    };
    assert_eq!(failure.node_id, "httpAgentflow_1");
    assert_eq!(order(&run), ["s", "h0", "h2", "h1"], "the failure comes last");
}

#[test]
fn a_step_is_tried_again_as_often_as_the_operator_says() {
    let flow = plan(
        vec![start(json!({})), http("t0", json!({"url": "http://x"}))],
        &[("s", "t0")],
    );
    let retries = json!({"steps": {"httpAgentflow_0": {"retries": 2, "retryDelaySeconds": 5}}});
    let plan = flow.with_policy(policy(retries));
    let tries = Arc::new(AtomicUsize::new(0));
    let tried = tries.clone();
    let host = TestHost::new().with_http(move |_| {
        let answer = if tried.fetch_add(1, Ordering::SeqCst) < 2 {
            Err("no connection".to_owned())
        } else {
            Ok(ok(&json!("ok")))
        };
        Box::pin(std::future::ready(answer))
    });
    let mut run = Run::begin(&plan, input(json!({})));
    assert_eq!(to_rest(&mut run, &plan, &host), Advance::Finished);
    assert_eq!(
        (tries.load(Ordering::SeqCst), host.slept()),
        (3, Duration::from_secs(10))
    );
    let keys: Vec<_> = host
        .requests()
        .into_iter()
        .map(|request| request.idempotency_key)
        .collect();
    assert!(
        keys.iter().all(|key| *key == keys[0]),
        "every attempt has the same key: {keys:?}"
    );
}

/// D3.12: Flowise waits for ever.
#[test]
fn d3_12_a_target_that_never_answers_is_given_up() {
    let flow = plan(
        vec![start(json!({})), http("t0", json!({"url": "http://x"}))],
        &[("s", "t0")],
    );
    let plan = flow.with_policy(policy(
        json!({"steps": {"httpAgentflow_0": {"timeoutSeconds": 7}}}),
    ));
    let host = TestHost::new().with_http(|_| Box::pin(std::future::pending()));
    let mut run = Run::begin(&plan, input(json!({})));
    let Advance::Failed(failure) = to_rest(&mut run, &plan, &host) else {
        panic!("the run should fail");
    };
    assert!(failure.message.contains("7 s"), "{}", failure.message);
    assert_eq!(host.requests()[0].timeout, Duration::from_secs(7));
}

#[test]
fn a_failure_can_be_gone_on_from_and_read() {
    let flow = plan(
        vec![
            start(json!({})),
            http("t0", json!({"url": "http://x"})),
            reply("d0", "said: {{ httpAgentflow_0.output.error }}"),
        ],
        &[("s", "t0"), ("t0", "d0")],
    );
    let plan = flow.with_policy(policy(
        json!({"steps": {"httpAgentflow_0": {"onError": "continue"}}}),
    ));
    let host = TestHost::new().with_http(|_| Box::pin(std::future::ready(Err("no connection".to_owned()))));
    let mut run = Run::begin(&plan, input(json!({})));
    assert_eq!(to_rest(&mut run, &plan, &host), Advance::Finished);
    assert_eq!(run.final_text(), "said: no connection");
}

/// Each of several failures that are gone on from leaves its record, and what comes after it runs.
#[test]
fn failures_side_by_side_are_all_gone_on_from() {
    let edges = [
        ("s", "t0"),
        ("s", "t1"),
        ("s", "t2"),
        ("t0", "d0"),
        ("t1", "d1"),
        ("t2", "d2"),
    ];
    let call = |short: &str| http(short, json!({"url": format!("http://x/{short}")}));
    let read = |short: &str, of: u8| reply(short, &format!("{{{{ httpAgentflow_{of}.output.error }}}}"));
    let nodes = vec![
        start(json!({})),
        call("t0"),
        call("t1"),
        call("t2"),
        read("d0", 0),
        read("d1", 1),
        read("d2", 2),
    ];
    let go_on = json!({"steps": {
        "httpAgentflow_0": {"onError": "continue"}, "httpAgentflow_1": {"onError": "continue"},
        "httpAgentflow_2": {"onError": "continue"},
    }});
    let plan = plan(nodes, &edges).with_policy(policy(go_on));
    let host = TestHost::new().with_http(|request| {
        let failed = format!("no answer from {}", request.url);
        Box::pin(std::future::ready(Err(failed)))
    });
    let mut run = Run::begin(&plan, input(json!({})));
    assert_eq!(to_rest(&mut run, &plan, &host), Advance::Finished);
    assert_eq!(order(&run), ["s", "h0", "h1", "h2", "d0", "d1", "d2"]);
    assert_eq!(run.final_text(), "no answer from http://x/t2");
}

/// Without what it decides, a run would go every way at once: past a gate that nobody was asked at, too.
#[test]
fn no_run_goes_on_after_a_step_that_decides_has_failed() {
    let mut gate = plain(
        "h0",
        "Gate",
        json!({
            "humanInputDescriptionType": "dynamic", "humanInputModel": "chatOpenAI",
            "humanInputModelConfig": {"modelName": "g"}, "humanInputModelPrompt": "Ask",
        }),
    );
    gate["data"]["label"] = "Decides".into();
    let judge = plain(
        "p0",
        "Decides",
        json!({
            "conditionAgentModel": "chatOpenAI", "conditionAgentModelConfig": {"modelName": "g"},
            "conditionAgentScenarios": [{"scenario": "yes"}, {"scenario": "no"}],
        }),
    );
    for (short, step) in [("h0", gate), ("p0", judge)] {
        let (yes, no) = (format!("{short}.0"), format!("{short}.1"));
        let flow = plan(
            vec![start(json!({})), step, reply("d0", "yes"), reply("d1", "no")],
            &[("s", short), (&yes, "d0"), (&no, "d1")],
        );
        assert!(
            flow.steps()
                .iter()
                .all(|step| step.decides == (step.label == "Decides"))
        );
        let plan = flow.with_policy(policy(json!({"steps": {id(short): {"onError": "continue"}}})));
        let host = TestHost::new().with_model(|_| Err("the model is not there".to_owned()));
        let mut run = Run::begin(&plan, input(json!({})));
        let end = to_rest(&mut run, &plan, &host);
        assert!(matches!(end, Advance::Failed(_)), "{short}: {end:?}");
        assert!(!order(&run).iter().any(|step| step.starts_with('d')), "{short}");
    }
}

/// D3.10: a status is an answer, unless the operator says that it is a failure.
#[test]
fn d3_10_a_bad_status_fails_only_where_that_was_said() {
    let flow = plan(
        vec![start(json!({})), http("t0", json!({"url": "http://x"}))],
        &[("s", "t0")],
    );
    let host = || {
        TestHost::new().with_http(|_| {
            let mut answer = ok(&json!({"ok": false}));
            answer.status = 503;
            answer.status_text = "Service Unavailable".to_owned();
            at_once(answer)
        })
    };
    let mut run = Run::begin(&flow, input(json!({})));
    assert_eq!(to_rest(&mut run, &flow, &host()), Advance::Finished);
    let strict = flow.with_policy(policy(
        json!({"steps": {"httpAgentflow_0": {"failOnStatus": true}}}),
    ));
    let mut run = Run::begin(&strict, input(json!({})));
    let Advance::Failed(failure) = to_rest(&mut run, &strict, &host()) else {
        panic!("the run should fail");
    };
    assert_eq!(failure.message, "The target answered 503 Service Unavailable");
}

/// D3.8: lenient, a reference without a value stays as it is written; strict, it names node and field.
#[test]
fn d3_8_a_strict_flow_fails_on_what_has_no_value() {
    let flow = plan(
        vec![start(json!({})), reply("d0", "x {{ neverRun_0 }}")],
        &[("s", "d0")],
    );
    assert_eq!(finished(&flow, json!({})).final_text(), "x {{ neverRun_0 }}");
    let strict = flow.with_policy(policy(json!({"strict": true})));
    let (_, failure) = crate::support::failure(&strict, json!({}));
    assert_eq!(
        failure.message,
        "{{ neverRun_0 }} in the field directReplyMessage of “Reply” has no value, and this flow is strict"
    );
}

#[test]
fn only_steps_that_touch_the_world_ask_to_be_made_durable() {
    let plan = plan(
        vec![
            start(json!({})),
            reply("d0", "inner"),
            http("t0", json!({"url": "http://x"})),
            reply("d1", "inner again"),
        ],
        &[("s", "d0"), ("d0", "t0"), ("t0", "d1")],
    );
    let host = TestHost::new().with_http(|_| at_once(ok(&json!(1))));
    let mut run = Run::begin(&plan, input(json!({})));
    let mut acts = Vec::new();
    block_on(async {
        loop {
            acts.push(run.acts_next(&plan, &host));
            if run.advance(&plan, &host).await == Advance::Finished {
                return;
            }
        }
    });
    assert_eq!(acts, [false, false, true, false, false]);
}

/// Code that touches nothing, taken up together with a request: what comes before the request is made durable.
#[test]
fn a_request_beside_something_that_touches_nothing_is_announced_too() {
    let code = json!({"customFunctionJavascriptFunction": "return 1"});
    let plan = plan(
        vec![
            start(json!({})),
            plain("f0", "Run", code),
            http("t0", json!({"url": "http://x"})),
        ],
        &[("s", "f0"), ("s", "t0")],
    );
    let host = TestHost::new()
        .with_http(|_| at_once(ok(&json!(1))))
        .with_scripts(|_| Ok(None));
    let mut run = Run::begin(&plan, input(json!({})));
    block_on(async {
        run.advance(&plan, &host).await;
        let announced = run.acts_next(&plan, &host);
        run.advance(&plan, &host).await;
        assert_eq!(host.requests().len(), 1, "both were taken up at once");
        assert!(announced, "a request was made that nobody was told of beforehand");
    });
}

/// A kill right before, during or right after a request: the run goes on from what was stored, and the request that
/// was under way is made again with the same key.
#[test]
fn a_request_that_is_made_again_has_the_same_key() {
    let plan = fan_out(1);
    let host = TestHost::new().with_http(|_| at_once(ok(&json!(1))));
    let mut run = Run::begin(&plan, input(json!({})));
    block_on(async {
        while !run.acts_next(&plan, &host) {
            run.advance(&plan, &host).await;
        }
        let stored = serde_json::to_string(&run).unwrap();
        for _ in 0..2 {
            let mut again: Run = serde_json::from_str(&stored).unwrap();
            while again.advance(&plan, &host).await != Advance::Finished {}
            run = again;
        }
    });
    let keys: Vec<_> = host
        .requests()
        .into_iter()
        .map(|request| request.idempotency_key)
        .collect();
    assert_eq!(
        keys,
        ["execution-1:httpAgentflow_0:0", "execution-1:httpAgentflow_0:0"]
    );
    assert!(records(&run).contains("joined"));
}
