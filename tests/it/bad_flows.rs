//! Flows that would take all the time or all the memory: each ends in a clear record, within its limit, and harms no
//! other run.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use countersign_testkit::flows::FlowOptions;
use countersign_testkit::{Headless, ModelAnswer, ModelServer, eventually, flows};
use serde_json::{Value, json};

use crate::support::installation;

/// The kind of a step and its inputs.
type Step = (&'static str, Value);

/// A flow of these steps in a row behind a webhook that is answered at once.
fn in_a_row(steps: &[Step]) -> String {
    let begin = json!({"startInputType": "webhookTrigger", "webhookResponseMode": "async"});
    let start = [("startAgentflow", begin)];
    let all: Vec<(String, &Step)> = start
        .iter()
        .chain(steps)
        .enumerate()
        .map(|(place, step)| (format!("{}_{place}", step.0), step))
        .collect();
    let nodes: Vec<Value> = all
        .iter()
        .map(|(id, (kind, inputs))| json!({"id": id, "data": {"name": kind, "label": id, "inputs": inputs}}))
        .collect();
    let edges: Vec<Value> = all
        .windows(2)
        .map(|pair| {
            let [(source, (kind, _)), (target, _)] = [&pair[0], &pair[1]];
            json!({"source": source, "target": target, "sourceHandle": format!("{source}-output-{kind}")})
        })
        .collect();
    json!({"nodes": nodes, "edges": edges}).to_string()
}

fn script(code: &str) -> Step {
    (
        "customFunctionAgentflow",
        json!({"customFunctionJavascriptFunction": code}),
    )
}

fn get(target: SocketAddr) -> Step {
    let inputs = json!({"method": "GET", "url": format!("http://{target}/"), "responseType": "text"});
    ("httpAgentflow", inputs)
}

fn agent() -> Step {
    let inputs = json!({
        "agentModel": "chatOpenAI", "agentModelConfig": {"modelName": "m"},
        "agentMessages": [{"role": "user", "content": "Go"}],
        "agentTools": [{"agentSelectedTool": "calculator"}],
    });
    ("agentAgentflow", inputs)
}

fn matching(pattern: &str, text: &str) -> Step {
    let row = json!({"type": "string", "value1": text, "operation": "regex", "value2": pattern});
    ("conditionAgentflow", json!({"conditions": [row]}))
}

/// Each says twice what the one before it said.
fn doubling() -> Vec<Step> {
    let say = |place: usize| match place {
        1 => json!({"directReplyMessage": "xy"}),
        _ => {
            let before = format!("{{{{ directReplyAgentflow_{} }}}}", place - 1);
            json!({"directReplyMessage": format!("{before}{before}")})
        }
    };
    (1..=60)
        .map(|place| ("directReplyAgentflow", say(place)))
        .collect()
}

/// A target that takes requests and does this with each, on a thread of its own.
fn target(
    answer: impl Fn(&mut dyn Write) -> std::io::Result<()> + Send + Sync + Clone + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let answer = answer.clone();
            std::thread::spawn(move || {
                let _ = stream.read(&mut [0; 4096]);
                // An error is a client that has gone away, which is what it should do.
                let _ = answer(&mut stream);
            });
        }
    });
    address
}

fn silent() -> SocketAddr {
    target(|_| {
        std::thread::sleep(Duration::from_secs(120));
        Ok(())
    })
}

/// One that would send a gigabyte.
fn flooding() -> SocketAddr {
    target(|stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\n")?;
        let piece = vec![b'x'; 1 << 20];
        (0..1024).try_for_each(|_| stream.write_all(&piece))
    })
}

fn import(serve: &Headless, name: &str, steps: &[Step]) -> String {
    let flow = serve.import(name, &in_a_row(steps));
    // Two seconds instead of the half minute that scripts and requests have otherwise.
    let steps: serde_json::Map<String, Value> = (1..=steps.len())
        .map(|place| {
            (
                format!("{}_{place}", steps[place - 1].0),
                json!({"timeoutSeconds": 2}),
            )
        })
        .collect();
    let path = format!("/api/v1/chatflows/{flow}/policy");
    serve
        .manage("PUT", &path, Some(&json!({ "steps": steps })))
        .expect(200, "the policy");
    flow
}

#[test]
fn flows_that_would_take_all_time_or_memory_end_and_harm_no_other() {
    let models = ModelServer::answering(|asked| {
        if asked.conversation().contains("rubbish") {
            ModelAnswer::Raw("text/html".to_owned(), "<h1>no model here</h1>".to_owned())
        } else {
            // It never gets enough of a tool that is not there.
            ModelAnswer::call("format_disk", json!({"really": true}))
        }
    });
    let setup = installation().with(&["--outbound-loopback", "allow"]);
    let serve = setup.start();
    let connection = json!({
        "provider": "openai", "baseUrl": models.base_url("openai"), "key": "sk-test", "components": ["chatOpenAI"],
    });
    serve
        .manage("PUT", "/api/v1/connections/models", Some(&connection))
        .expect(200, "a connection");
    let gate = serve.import("gate", &flows::start_gate_replies(&FlowOptions::sync()));

    let rubbish = json!({
        "llmModel": "chatOpenAI", "llmModelConfig": {"modelName": "m"},
        "llmMessages": [{"role": "user", "content": "rubbish, please"}],
    });
    let cases: Vec<(&str, Vec<Step>, &str)> = vec![
        ("a script without end", vec![script("for (;;) {}")], "2 s"),
        (
            "a script that takes all memory",
            vec![script(
                "const all = []; for (;;) all.push(new Array(100000).fill('x'));",
            )],
            "memory",
        ),
        ("a target that never answers", vec![get(silent())], "2 s"),
        (
            "a target that sends a gigabyte",
            vec![get(flooding())],
            "is longer than",
        ),
        ("steps that double their text", doubling(), "MiB"),
        (
            "a pattern that explodes",
            vec![matching("^(a+)+(b)\\2$", &"a".repeat(200_000))],
            "pattern",
        ),
        (
            "a model that gives rubbish",
            vec![("llmAgentflow", rubbish)],
            "model",
        ),
        (
            "a model that wants a tool that is not there",
            vec![agent()],
            "50 times",
        ),
    ];
    let flows: Vec<String> = cases
        .iter()
        .map(|(name, steps, _)| import(&serve, name, steps))
        .collect();
    for flow in &flows {
        serve.post(flow, &json!({})).expect(202, "taken");
    }

    // While they run, others are asked and answered.
    for round in 0..10 {
        serve
            .post(&gate, &json!({ "item": format!("v{round}") }))
            .expect(200, "another run");
        let id = serve.pending()[0]["id"].as_str().expect("an id").to_owned();
        serve.decide(&id, "approve").expect(200, "and its answer");
    }

    for ((name, _, expected), flow) in cases.iter().zip(&flows) {
        let runs = format!("/api/v1/executions?agentflowId={flow}");
        let failed = eventually(name, Duration::from_secs(60), || {
            let run = serve.get(&runs)["data"][0].clone();
            (run["state"] == "ERROR").then_some(run)
        });
        let path = format!("/api/v1/executions/{}", failed["id"].as_str().expect("an id"));
        let text = serve.get(&path).to_string();
        assert!(text.contains(expected), "{name}: {text:.2000}");
        assert!(!text.contains("panicked"), "{name}: {text:.2000}");
    }
    assert_eq!(serve.pending(), Vec::<Value>::new(), "none of them asks anything");
    let most = serve.peak_memory();
    assert!(most < 1 << 30, "all of them together took {} MiB", most >> 20);
}
