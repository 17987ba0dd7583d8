//! A file that somebody imports: it is refused or it is a plan, and a plan can be shown, explained and run.

#![no_main]

use countersign_flow::{Plan, read_import};
use libfuzzer_sys::fuzz_target;
use serde_json::json;

fuzz_target!(|text: &str| {
    let text = match read_import(text) {
        Ok(imported) => imported.flow_data,
        Err(refusal) => {
            let _ = (refusal.to_string(), refusal.problems().len());
            text.to_owned()
        }
    };
    match Plan::parse(&text) {
        Err(refusal) => assert!(!refusal.problems().is_empty(), "a refusal says why"),
        Ok(plan) => {
            let steps = plan.steps();
            let _ = (plan.findings(), plan.start());
            assert!(!steps.is_empty(), "a plan has a Start");
            countersign_fuzz::run(&plan, json!({"x": "1", "items": [1, "a", {"b": null}]}));
        }
    }
});
