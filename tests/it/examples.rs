//! Every example that ships imports and runs to each of its ends.

use countersign_testkit::flows::{example, examples};
use countersign_testkit::{CallbackReceiver, eventually};
use serde_json::{Value, json};

use crate::support::installation;

/// A call that fits every example.
fn order() -> Value {
    json!({
        "service": "api", "version": "2.4.1", "environment": "production",
        "order": "A-17", "amount": 500, "change": "#42",
    })
}

#[test]
fn the_four_examples_of_the_issue_are_there() {
    assert!(examples().len() >= 4, "{:?}", examples());
    for name in examples() {
        let document: Value =
            serde_json::from_str(&example(&name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(
            document["nodes"].is_array() && document["edges"].is_array(),
            "{name} is an export"
        );
    }
}

#[test]
fn every_example_runs_to_its_end_whatever_is_answered() {
    let setup = installation().with(&["--outbound-loopback", "allow"]);
    let serve = setup.start();
    let receiver = CallbackReceiver::new();
    let default = json!({ "callbackUrl": receiver.url("/default") });
    serve
        .manage("PATCH", "/api/v1/settings", Some(&default))
        .expect(200, "settings");
    let mut stops = 0;
    for shown in examples() {
        let mut document: Value = serde_json::from_str(&example(&shown)).expect("an example is JSON");
        // An example may call a receiver that is not there in this test.
        for node in document["nodes"].as_array_mut().expect("nodes") {
            if node["data"]["inputs"]["callbackUrl"]
                .as_str()
                .is_some_and(|url| !url.is_empty())
            {
                node["data"]["inputs"]["callbackUrl"] = json!(receiver.url("/example"));
            }
        }
        let flow = serve.import(&shown, &document.to_string());
        for outcome in ["approve", "reject"] {
            for amount in [5, 500, 50_000] {
                let mut body = order();
                body["amount"] = json!(amount);
                let reply = serve.post(&flow, &body);
                assert!(matches!(reply.status, 200 | 202), "{shown}: {}", reply.text());
                let page = eventually(
                    &format!("{shown} stops or ends"),
                    std::time::Duration::from_secs(10),
                    || {
                        let page = serve.get(&format!("/api/v1/executions?agentflowId={flow}&limit=1"));
                        (page["data"][0]["state"] != "INPROGRESS" && page["total"] != 0).then_some(page)
                    },
                );
                let execution = page["data"][0]["id"].as_str().expect("an execution").to_owned();
                // Each gate in turn, until the run has ended.
                for gate in 0.. {
                    assert!(gate < 10, "{shown} asks without end");
                    let state = eventually("it stops or ends", std::time::Duration::from_secs(10), || {
                        let state = serve.get(&format!("/api/v1/executions/{execution}"))["state"].clone();
                        (state != "INPROGRESS").then_some(state)
                    });
                    if state == "FINISHED" {
                        break;
                    }
                    assert_eq!(state, "STOPPED", "{shown}");
                    let approval = serve.pending().remove(0);
                    assert!(
                        !approval["title"].as_str().unwrap_or_default().is_empty(),
                        "{shown} asks something"
                    );
                    assert!(
                        !approval["title"].to_string().contains("{{"),
                        "{shown}: every value is filled in: {}",
                        approval["title"]
                    );
                    serve
                        .decide(approval["id"].as_str().expect("an id"), outcome)
                        .expect(200, "decided");
                    stops += 1;
                }
            }
        }
    }
    assert!(stops >= 8, "the examples asked {stops} times");
    assert!(serve.pending().is_empty());
}
