//! Runs that would fill the memory end with a reason before they do.

use countersign_flow::{Advance, Run, STEP_LIMIT};
use serde_json::{Value, json};

use crate::support::{
    TestHost, at_once, failure, finished, http, input, node, ok, order, plan, reply, start, to_rest,
};

const MIB: usize = 1 << 20;

/// A text of so many bytes.
fn text(bytes: usize) -> String {
    "x".repeat(bytes)
}

#[test]
fn a_template_that_multiplies_what_came_in_is_refused_before_it_is_made() {
    let many = "{{ $webhook.body.item }}".repeat(40_000);
    let flow = plan(vec![start(json!({})), reply("d0", &many)], &[("s", "d0")]);
    let (run, failed) = failure(&flow, json!({ "item": text(MIB) }));
    assert!(
        failed.message.contains("directReplyMessage"),
        "{}",
        failed.message
    );
    assert!(failed.message.contains("32 MiB"), "{}", failed.message);
    assert_eq!(order(&run), ["s", "d0"], "the record of the failure");
    assert_eq!(
        finished(&flow, json!({ "item": "y" })).final_text().len(),
        40_000,
        "the same flow with what fits"
    );
}

#[test]
fn steps_that_double_what_the_one_before_said_end() {
    let mut nodes = vec![start(json!({})), reply("d0", "{{ $webhook.body.item }}")];
    let mut edges = vec![("s".to_owned(), "d0".to_owned())];
    for number in 1..60 {
        let before = format!("directReplyAgentflow_{}", number - 1);
        nodes.push(reply(
            &format!("d{number}"),
            &format!("{{{{ {before} }}}}{{{{ {before} }}}}"),
        ));
        edges.push((format!("d{}", number - 1), format!("d{number}")));
    }
    let edges: Vec<_> = edges
        .iter()
        .map(|(from, to)| (from.as_str(), to.as_str()))
        .collect();
    let (run, failed) = failure(&plan(nodes, &edges), json!({ "item": "xy" }));
    assert!(failed.message.contains("too large"), "{}", failed.message);
    let longest = run
        .records()
        .iter()
        .filter_map(|record| record.content().map(|content| content.len()));
    assert_eq!(longest.max(), Some(32 * MIB), "up to the limit it runs");
}

#[test]
fn what_all_steps_leave_together_has_a_limit_too() {
    let names: Vec<String> = (0..60).map(|number| format!("d{number}")).collect();
    let mut nodes = vec![start(json!({}))];
    nodes.extend(names.iter().map(|name| reply(name, "{{ $webhook.body.item }}")));
    let edges: Vec<_> = std::iter::once("s")
        .chain(names.iter().map(String::as_str))
        .zip(names.iter().map(String::as_str))
        .collect();
    let flow = plan(nodes, &edges);
    let (run, failed) = failure(&flow, json!({ "item": text(4 * MIB) }));
    assert!(failed.message.contains("128 MiB"), "{}", failed.message);
    let ran = run.records().len();
    assert!((30..40).contains(&ran), "about 32 of 4 MiB each: {ran}");
    assert!(ran < STEP_LIMIT as usize);
    assert_eq!(
        finished(&flow, json!({ "item": text(MIB) })).records().len(),
        61,
        "the same flow with what fits"
    );
}

#[test]
fn a_request_that_would_be_too_large_is_not_sent() {
    let many = "{{ $webhook.body.item }}".repeat(40);
    let flow = plan(
        vec![
            start(json!({})),
            http(
                "t0",
                json!({"url": "http://x", "method": "POST", "bodyType": "raw", "body": many}),
            ),
        ],
        &[("s", "t0")],
    );
    let host = TestHost::new().with_http(|_| at_once(ok(&json!(1))));
    let mut run = Run::begin(&flow, input(json!({ "item": text(MIB) })));
    let Advance::Failed(failed) = to_rest(&mut run, &flow, &host) else {
        panic!("the run should fail");
    };
    assert!(failed.message.contains("too large"), "{}", failed.message);
    assert!(host.requests().is_empty(), "nothing left");
}

#[test]
fn a_default_input_that_would_be_too_large_fails_the_run_at_start() {
    let many = "{{ $webhook.body.item }}".repeat(40);
    let flow = plan(
        vec![
            start(json!({ "webhookInputMode": "text", "webhookDefaultInput": many })),
            reply("d0", "x"),
        ],
        &[("s", "d0")],
    );
    let (_, failed) = failure(&flow, json!({ "item": text(MIB) }));
    assert!(
        failed.message.contains("webhookDefaultInput"),
        "{}",
        failed.message
    );
    assert_eq!(failed.node_id, "startAgentflow_0");
}

#[test]
fn a_state_that_multiplies_the_output_is_refused() {
    let mut function = node(
        "f0",
        "Run",
        json!({
            "customFunctionJavascriptFunction": "code",
            "customFunctionUpdateState": [{ "key": "all", "value": "{{ output }}".repeat(40) }],
        }),
    );
    function["data"]["inputParams"] =
        json!([{"name": "customFunctionUpdateState", "type": "array", "acceptVariable": true}]);
    let flow = plan(vec![start(json!({})), function], &[("s", "f0")]);
    let host = TestHost::new().with_scripts(|_| Ok(Some(Value::String(text(MIB)))));
    let mut run = Run::begin(&flow, input(json!({})));
    let Advance::Failed(failed) = to_rest(&mut run, &flow, &host) else {
        panic!("the run should fail");
    };
    assert!(
        failed.message.contains("all of the flow state"),
        "{}",
        failed.message
    );
}
