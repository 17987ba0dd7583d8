//! The example flows that are delivered with the program: each imports and does what it says.

use std::path::Path;

use countersign_domain::Outcome::{Approve, Reject};
use countersign_flow::{Advance, Plan, ResponseMode, read_import};
use serde_json::{Value, json};

use crate::support::{TestHost, answer, chat, finished, stop_of, stopped, to_rest};

fn example(name: &str) -> Plan {
    // Not `env!`: checkouts may share one build folder.
    let package = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default();
    let path = Path::new(&package)
        .join("../../../tests/fixtures/flows")
        .join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let import = read_import(&text).unwrap();
    assert_eq!(import.flow_data, text, "the export is kept as it is");
    Plan::parse(&import.flow_data).unwrap_or_else(|refusal| panic!("{name}: {refusal}"))
}

fn answered(
    plan: &Plan,
    body: Value,
    outcome: countersign_domain::Outcome,
    note: Option<&str>,
) -> (String, String) {
    let host = TestHost::new();
    let (mut run, stop) = stopped(plan, body, &host);
    let past = chat(&run);
    run.answer(plan, &TestHost::new(), answer(outcome, note), past)
        .unwrap();
    assert_eq!(to_rest(&mut run, plan, &host), Advance::Finished);
    (stop.description, run.final_text())
}

#[test]
fn deploy_gate() {
    let plan = example("deploy-gate.json");
    assert_eq!(plan.start().response_mode, ResponseMode::Async);
    assert_eq!(
        plan.start().callback_url,
        None,
        "the default of the settings applies"
    );
    let body = json!({"service": "shop", "version": "1.4.2", "environment": "production"});
    let (asked, text) = answered(&plan, body.clone(), Approve, None);
    assert!(
        asked.starts_with("Deploy shop 1.4.2 to production?\n\n"),
        "{asked}"
    );
    assert_eq!(text, "deployed shop 1.4.2 to production");
    assert_eq!(
        answered(&plan, body, Reject, Some("not today")).1,
        "kept shop as it is in production"
    );
}

#[test]
fn two_gates() {
    let plan = example("two-gates.json");
    assert_eq!(plan.start().response_mode, ResponseMode::Sync);
    let host = TestHost::new();
    let (mut run, _) = stopped(&plan, json!({"change": "C-1"}), &host);
    let past = chat(&run);
    run.answer(&plan, &TestHost::new(), answer(Approve, Some("sound")), past)
        .unwrap();
    let second = stop_of(to_rest(&mut run, &plan, &host));
    assert_eq!(
        second.description,
        "May the change C-1 go live?\n\nThe first reviewer said: sound"
    );
    run.answer(&plan, &TestHost::new(), answer(Approve, None), Vec::new())
        .unwrap();
    to_rest(&mut run, &plan, &host);
    assert_eq!(run.final_text(), "accepted C-1: proceed");
    assert_eq!(
        answered(&plan, json!({"change": "C-2"}), Reject, Some("no")).1,
        "sent back C-2 by the first reviewer: no"
    );
}

#[test]
fn condition_gate() {
    let plan = example("condition-gate.json");
    let body = |environment: &str| json!({"service": "shop", "environment": environment});
    assert_eq!(
        answered(&plan, body("production"), Approve, None).1,
        "restarted shop in production"
    );
    assert_eq!(
        answered(&plan, body("production"), Reject, None).1,
        "left shop alone"
    );
    assert_eq!(
        finished(&plan, body("staging")).final_text(),
        "restarted shop in staging without asking"
    );
}

#[test]
fn refund_limit() {
    let plan = example("refund-limit.json");
    assert_eq!(plan.start().response_mode, ResponseMode::Async);
    assert_eq!(plan.start().validation.as_ref().unwrap().body.len(), 2);
    let body = |amount: f64| json!({"order": "17", "amount": amount});
    assert_eq!(
        answered(&plan, body(100.5), Approve, Some("ok")).1,
        "refund 100.5 for order 17: approved (ok)"
    );
    assert_eq!(
        answered(&plan, body(250.0), Reject, None).1,
        "refund 250 for order 17: declined (reject)"
    );
    assert_eq!(
        finished(&plan, body(100.0)).final_text(),
        "refund 100 for order 17: below the limit"
    );
}
