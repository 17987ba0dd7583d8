//! The management API: shapes, paging, settings, events.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use countersign_testkit::flows::FlowOptions;
use countersign_testkit::{CallbackReceiver, Headless, ScriptedReply, eventually, flows};
use serde_json::{Value, json};

use crate::support::{Dice, installation};

const SOON: Duration = Duration::from_secs(10);

/// The size of what was sent, as JSON text.
fn approval_payload_bytes(serve: &Headless, approval: &Value) -> u64 {
    let path = format!("/api/v1/approvals/{}", approval["id"].as_str().expect("an id"));
    let size = serve.get(&path)["payload"].to_string().len();
    u64::try_from(size).expect("a size")
}

#[test]
fn an_approval_shows_everything_that_is_asked() {
    let setup = installation();
    let serve = setup.start();
    let flow = serve.import("Release", &flows::start_gate_replies(&FlowOptions::sync()));
    let headers = [
        ("content-type", "application/json"),
        ("authorization", "Bearer of-the-sender"),
    ];
    let path = format!("/api/v1/webhook/{flow}?lane=7");
    let stopped = serve
        .call("POST", &path, &headers, Some(br#"{"item":"v1"}"#))
        .expect(200, "stopped")
        .json();
    let page = serve.get("/api/v1/approvals?state=pending");
    assert_eq!((&page["next"], &page["pending"]), (&Value::Null, &json!(1)));
    let approval = &page["approvals"][0];
    for (key, value) in [
        ("id", &stopped["action"]["id"]),
        ("state", &json!("pending")),
        ("flowId", &json!(flow)),
        ("flowName", &json!("Release")),
        ("executionId", &stopped["executionId"]),
        ("chatId", &stopped["chatId"]),
        ("nodeId", &json!("humanInputAgentflow_0")),
        ("nodeLabel", &json!("Gate 0")),
        ("title", &json!("Release v1 now?")),
        ("feedbackEnabled", &json!(true)),
        ("signed", &json!(false)),
        ("decision", &Value::Null),
    ] {
        assert_eq!(&approval[key], value, "{key}");
    }
    assert!(approval["body"].is_string());
    assert_eq!(approval["contentHash"].as_str().map(str::len), Some(64));
    let created = approval["createdAt"].as_str().expect("a time");
    assert!(
        created.len() == 24 && created.ends_with('Z'),
        "RFC 3339 with milliseconds: {created}"
    );
    assert_eq!(
        (&approval["bodyTruncated"], approval["payloadBytes"].as_u64()),
        (&json!(false), Some(approval_payload_bytes(&serve, approval)))
    );
    let alone = serve.get(&format!(
        "/api/v1/approvals/{}",
        approval["id"].as_str().expect("an id")
    ));
    for (key, value) in approval.as_object().expect("an object") {
        if key != "bodyTruncated" {
            assert_eq!(&alone[key], value, "{key} is the same in the list and alone");
        }
    }
    assert_eq!(alone["payload"]["body"], json!({ "item": "v1" }));
    assert_eq!(alone["payload"]["headers"]["authorization"], "[REDACTED]");
    assert_eq!(
        alone["ifApproved"].as_array().map(Vec::len),
        Some(1),
        "one step follows: {alone}"
    );
    assert!(
        alone["ifRejected"][0]
            .as_str()
            .is_some_and(|step| step.contains("held")),
        "{alone}"
    );
    for part in ["payload", "ifApproved", "ifRejected"] {
        assert!(approval.get(part).is_none(), "the list has no {part}");
    }
    assert!(
        !page.to_string().contains("of-the-sender") && !alone.to_string().contains("of-the-sender"),
        "secrets of the sender are not kept"
    );
}

#[test]
fn lists_page_from_the_newest_without_gaps_or_repeats() {
    let setup = installation();
    let serve = setup.start();
    let flow = serve.import("gate", &flows::start_gate_replies(&FlowOptions::sync()));
    let mut asked: Vec<Value> = (0..23)
        .map(|item| {
            serve
                .post(&flow, &json!({ "item": item }))
                .expect(200, "stopped")
                .json()["action"]["id"]
                .clone()
        })
        .collect();
    asked.reverse();
    let mut read = Vec::new();
    let mut path = "/api/v1/approvals?state=pending&limit=5".to_owned();
    loop {
        let page = serve.get(&path);
        let items = page["approvals"].as_array().expect("a list").clone();
        assert!(items.len() <= 5, "the limit holds");
        assert_eq!(page["pending"], 23);
        read.extend(items.into_iter().map(|approval| approval["id"].clone()));
        // What is asked or answered meanwhile must not shift the pages.
        serve
            .post(&flow, &json!({ "item": "meanwhile" }))
            .expect(200, "stopped");
        let newest = serve.pending().remove(0);
        serve
            .decide(newest["id"].as_str().expect("an id"), "approve")
            .expect(200, "decided");
        match page["next"].as_str() {
            Some(next) => path = format!("/api/v1/approvals?state=pending&limit=5&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(read, asked, "newest first, each once");

    let decided = serve.get("/api/v1/approvals?state=decided");
    assert_eq!(decided["approvals"].as_array().map(Vec::len), Some(5));
    assert_eq!(
        serve.get("/api/v1/approvals?state=approved")["approvals"],
        decided["approvals"]
    );
    assert_eq!(
        serve.get("/api/v1/approvals?state=rejected")["approvals"],
        json!([])
    );
    assert_eq!(
        serve.get("/api/v1/approvals?limit=200")["approvals"]
            .as_array()
            .map(Vec::len),
        Some(28)
    );
    for wrong in [
        "state=nonsense",
        "limit=0",
        "limit=-1",
        "limit=many",
        "cursor=nonsense",
        "stat=pending",
    ] {
        assert_eq!(
            serve
                .manage("GET", &format!("/api/v1/approvals?{wrong}"), None)
                .status,
            400,
            "{wrong}"
        );
    }
}

#[test]
fn executions_have_flowises_shape() {
    let setup = installation();
    let serve = setup.start();
    let gate = serve.import("gate", &flows::start_gate_replies(&FlowOptions::sync()));
    let hello = serve.import("hello", &flows::start_reply(&FlowOptions::sync()));
    let stopped = serve
        .post(&gate, &json!({ "item": "v1" }))
        .expect(200, "stopped")
        .json();
    serve
        .post(&hello, &json!({ "who": "Ada" }))
        .expect(200, "finished");
    let all = serve.get("/api/v1/executions");
    assert_eq!(all["total"], 2);
    let of_gate = serve.get(&format!("/api/v1/executions?agentflowId={gate}"));
    assert_eq!(of_gate["total"], 1);
    let execution = &of_gate["data"][0];
    assert_eq!(
        (&execution["id"], &execution["state"]),
        (&stopped["executionId"], &json!("STOPPED"))
    );
    assert_eq!(
        (&execution["agentflowId"], &execution["sessionId"]),
        (&json!(gate), &stopped["chatId"])
    );
    let data = execution["executionData"].as_str().expect("a JSON text");
    let data: Value = serde_json::from_str(data).expect("which is JSON");
    assert_eq!(
        data, stopped["agentFlowExecutedData"],
        "the record is what the caller was told"
    );
    let first = serve.get("/api/v1/executions?limit=1&page=1");
    let second = serve.get("/api/v1/executions?limit=1&page=2");
    assert_eq!(
        (&first["total"], first["data"].as_array().map(Vec::len)),
        (&json!(2), Some(1))
    );
    assert_ne!(first["data"][0]["id"], second["data"][0]["id"]);
    assert_eq!(
        serve
            .manage(
                "GET",
                "/api/v1/executions/0192f0c1-7b1e-7c3a-9d55-0a1b2c3d4e5f",
                None
            )
            .status,
        404
    );
}

#[test]
fn flows_are_kept_unchanged_listed_replaced_and_deleted() {
    let setup = installation();
    let serve = setup.start();
    // Spacing, key order and unknown keys are the author's and stay.
    let document = format!(
        "{{ \"viewport\": {{}},\n{}",
        &flows::start_gate_replies(&FlowOptions::sync())[1..]
    );
    let body = json!({ "name": "Release", "flowData": document, "type": "AGENTFLOW", "deployed": false });
    let imported = serve.manage("POST", "/api/v1/chatflows", Some(&body)).json();
    let id = imported["id"].as_str().expect("an id");
    let flow = serve.get(&format!("/api/v1/chatflows/{id}"));
    assert_eq!(flow["flowData"], *document, "the document is kept byte for byte");
    assert_eq!(
        (&flow["name"], &flow["type"]),
        (&json!("Release"), &json!("AGENTFLOW"))
    );
    assert_eq!(
        flow["webhookUrl"],
        format!("http://{}/api/v1/webhook/{id}", serve.address)
    );
    assert_eq!(
        (&flow["method"], &flow["responseMode"]),
        (&json!("POST"), &json!("sync"))
    );
    assert_eq!(
        (&flow["signature"], &flow["hasWebhookSecret"]),
        (&Value::Null, &json!(false))
    );
    assert_eq!(flow["steps"].as_array().map(Vec::len), Some(4), "{flow}");

    // The file that Flowise writes is taken as it is.
    let export: Value =
        serde_json::from_str(&flows::start_reply(&FlowOptions::sync())).expect("a flow is JSON");
    let export = serve.manage("POST", "/api/v1/chatflows", Some(&export));
    assert!(
        matches!(export.status, 200 | 201),
        "a plain export: {}",
        export.text()
    );
    assert_eq!(serve.get("/api/v1/chatflows").as_array().map(Vec::len), Some(2));
    assert_lean_is_the_same_without_documents(&serve);

    let secret = serve
        .manage("POST", &format!("/api/v1/chatflows/{id}/webhook-secret"), None)
        .json();
    assert!(secret["webhookSecret"].is_string());
    let with_secret = serve.get(&format!("/api/v1/chatflows/{id}"));
    assert_eq!(with_secret["hasWebhookSecret"], true);
    assert!(
        !with_secret
            .to_string()
            .contains(secret["webhookSecret"].as_str().expect("a secret")),
        "shown once only"
    );
    let deleted = serve.manage("DELETE", &format!("/api/v1/chatflows/{id}/webhook-secret"), None);
    assert_eq!(deleted.status, 204);

    let other = flows::start_reply(&FlowOptions::sync());
    serve
        .manage(
            "PUT",
            &format!("/api/v1/chatflows/{id}"),
            Some(&json!({ "flowData": other })),
        )
        .expect(200, "replaced");
    assert_eq!(
        serve
            .post(id, &json!({ "who": "Ada" }))
            .expect(200, "the new document")
            .json()["text"],
        "Hello Ada!"
    );
    let broken = json!({ "flowData": "{" });
    assert_eq!(
        serve
            .manage("PUT", &format!("/api/v1/chatflows/{id}"), Some(&broken))
            .status,
        400
    );
    assert_eq!(
        serve.get(&format!("/api/v1/chatflows/{id}"))["flowData"],
        *other,
        "a refused document changes nothing"
    );
    let deleted = serve.manage("DELETE", &format!("/api/v1/chatflows/{id}"), None);
    assert!(matches!(deleted.status, 200 | 204), "{}", deleted.text());
    assert_eq!(serve.post(id, &json!({})).status, 404);
    assert_eq!(
        serve
            .manage("GET", &format!("/api/v1/chatflows/{id}"), None)
            .status,
        404
    );
}

/// What a flow says in this document; the number makes documents differ.
/// Clients that show a list need no documents: with `summary=true` everything else comes.
fn assert_lean_is_the_same_without_documents(serve: &Headless) {
    let mut whole = serve.get("/api/v1/chatflows");
    let lean = serve.get("/api/v1/chatflows?summary=true");
    for flow in whole.as_array_mut().expect("a list") {
        let document = flow
            .as_object_mut()
            .expect("a flow")
            .remove("flowData")
            .expect("its document");
        assert!(
            document.as_str().is_some_and(|text| text.contains("nodes")),
            "{document}"
        );
    }
    assert_eq!(lean, whole);
    assert!(
        !lean.to_string().contains("startAgentflow_0-output"),
        "nothing else carries it"
    );
    serve
        .manage("GET", "/api/v1/chatflows?summary=short", None)
        .expect(400, "a form that does not exist");
}

fn numbered(number: usize) -> String {
    flows::start_reply(&FlowOptions::sync()).replace("Hello ", &format!("Hello {number} "))
}

/// The flows as the API has them, without what a restart may change: the port in their URLs.
fn flows_of(serve: &Headless) -> Vec<Value> {
    let mut flows = serve.get("/api/v1/chatflows");
    let flows = flows.as_array_mut().expect("a list");
    for flow in &mut *flows {
        flow.as_object_mut().expect("an object").remove("webhookUrl");
    }
    flows.sort_by_key(|flow| flow["id"].to_string());
    std::mem::take(flows)
}

/// Each flow runs the document that the API shows.
#[track_caller]
fn assert_live(serve: &Headless, flows: &[Value]) {
    for flow in flows {
        let id = flow["id"].as_str().expect("an id");
        let reply = serve
            .post(id, &json!({ "who": "Ada" }))
            .expect(200, "the flow can be called");
        let text = reply.json()["text"].as_str().expect("a text").to_owned();
        let template = text.replace("Ada", "{{ $webhook.body.who }}");
        let document = flow["flowData"].as_str().expect("a document");
        assert!(
            document.contains(&template),
            "{id} ran another document than the stored one: {text}"
        );
    }
}

#[test]
fn flows_that_change_at_once_are_the_same_in_memory_and_on_disk() {
    const THREADS: usize = 8;
    const CHANGES: usize = 40;
    let setup = installation();
    let serve = Arc::new(setup.start());
    let shared: Vec<String> = (0..3)
        .map(|number| serve.import("shared", &numbered(number)))
        .collect();
    let ids = Arc::new(Mutex::new(shared));
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let (serve, ids) = (Arc::clone(&serve), Arc::clone(&ids));
            std::thread::spawn(move || {
                let mut dice = Dice::new();
                for change in 0..CHANGES {
                    let number = 1_000 * (thread + 1) + change;
                    let body = json!({ "name": format!("flow {number}"), "flowData": numbered(number) });
                    let id = {
                        let ids = ids.lock().expect("no thread panics with the lock");
                        let index = usize::try_from(dice.roll(0..1_000)).expect("a small number");
                        ids[index % ids.len()].clone()
                    };
                    let path = format!("/api/v1/chatflows/{id}");
                    // Half of the changes meet on the same few flows.
                    let status = match dice.roll(0..10) {
                        0..=1 => {
                            let reply = serve.manage("POST", "/api/v1/chatflows", Some(&body));
                            let id = reply.json()["id"].as_str().expect("an id").to_owned();
                            ids.lock().expect("no thread panics with the lock").push(id);
                            reply.status
                        }
                        2 => serve.manage("DELETE", &path, None).status,
                        3 => {
                            serve
                                .manage("POST", &format!("{path}/webhook-secret"), None)
                                .status
                        }
                        _ => serve.manage("PUT", &path, Some(&body)).status,
                    };
                    assert!(
                        matches!(status, 200 | 201 | 204 | 404),
                        "a change was refused with {status}"
                    );
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("no thread fails");
    }
    let before = flows_of(&serve);
    assert!(!before.is_empty(), "some flows are left");
    assert_live(&serve, &before);
    let known = ids.lock().expect("no thread panics with the lock").clone();
    let gone: Vec<String> = known
        .into_iter()
        .filter(|id| !before.iter().any(|flow| flow["id"] == **id))
        .collect();
    for id in &gone {
        serve
            .post(id, &json!({ "who": "Ada" }))
            .expect(404, "a deleted flow cannot be called");
    }

    let serve = Arc::into_inner(serve).expect("all threads are gone");
    serve.kill();
    let serve = setup.start();
    let after = flows_of(&serve);
    assert_eq!(after, before, "the disk has what the memory had");
    assert_live(&serve, &after);
    for id in &gone {
        serve
            .post(id, &json!({ "who": "Ada" }))
            .expect(404, "a deleted flow stays deleted");
    }
}

#[test]
fn callbacks_show_each_attempt_and_can_be_sent_again() {
    let setup = installation().with_config("retry-plan-seconds = [0]\n");
    let serve = setup.start();
    let receiver = CallbackReceiver::answering(|_, before| {
        ScriptedReply::status(if before == 0 { 503 } else { 200 }).body("ok")
    });
    let flow = serve.import(
        "hello",
        &flows::start_reply(&FlowOptions::callback(receiver.url("/cb"), Some("secret"))),
    );
    serve
        .post(&flow, &json!({ "who": "Ada" }))
        .expect(202, "accepted");
    let callback = eventually("the only planned attempt has failed", SOON, || {
        let page = serve.get("/api/v1/callbacks?state=abandoned");
        page["callbacks"].get(0).cloned()
    });
    let id = callback["id"].as_str().expect("an id");
    assert_eq!(
        (&callback["kind"], &callback["url"]),
        (&json!("SUCCESS"), &json!(receiver.url("/cb")))
    );
    assert_eq!(callback["nextAttemptAt"], Value::Null);
    let attempt = &callback["attempts"][0];
    assert_eq!(
        (&attempt["number"], &attempt["status"], &attempt["trigger"]),
        (&json!(1), &json!(503), &json!("scheduled"))
    );
    assert_eq!(attempt["response"], "ok", "what the receiver said is kept");
    assert!(callback.get("body").is_none(), "the list has no bodies");
    let whole = serve.get(&format!("/api/v1/callbacks/{id}"));
    assert_eq!(
        whole["body"].as_str().map(str::as_bytes),
        Some(&receiver.received()[0].body[..])
    );

    serve
        .manage("POST", &format!("/api/v1/callbacks/{id}/redeliver"), None)
        .expect(200, "sent again");
    let arrivals = receiver.blocking_wait_for(2, SOON);
    assert_eq!(
        (arrivals[1].id(), &arrivals[1].body),
        (arrivals[0].id(), &arrivals[0].body)
    );
    let callback = eventually("it is delivered", SOON, || {
        let callback = serve.get(&format!("/api/v1/callbacks/{id}"));
        (callback["state"] == "delivered").then_some(callback)
    });
    assert_eq!(callback["attempts"][1]["trigger"], "manual");
    let unknown = "/api/v1/callbacks/0192f0c1-7b1e-7c3a-9d55-0a1b2c3d4e5f";
    assert_eq!(serve.manage("GET", unknown, None).status, 404);
    assert_eq!(
        serve.manage("POST", &format!("{unknown}/redeliver"), None).status,
        404
    );
}

#[test]
fn settings_keep_secrets_to_themselves_and_can_be_tried() {
    let setup = installation();
    let serve = setup.start();
    let receiver = CallbackReceiver::new();
    let change = json!({ "callbackUrl": receiver.url("/test"), "callbackSecret": "a very secret secret" });
    let reply = serve
        .manage("PATCH", "/api/v1/settings", Some(&change))
        .expect(200, "settings");
    let settings = serve.get("/api/v1/settings");
    assert_eq!(reply.json(), settings);
    assert_eq!(
        (&settings["callbackUrl"], &settings["hasCallbackSecret"]),
        (&change["callbackUrl"], &json!(true))
    );
    assert_eq!(
        settings["listen"]
            .as_str()
            .map(|listen| listen.starts_with("127.0.0.1:")),
        Some(true),
        "{settings}"
    );
    let plan = settings["retryPlanSeconds"].as_array().expect("a list");
    assert_eq!(plan[..3], [json!(0), json!(3), json!(6)]);
    assert_eq!(settings["acceptCallerCallbackUrl"], false, "off by default");
    assert!(!settings.to_string().contains("very secret"), "write-only");

    let tried = serve
        .manage("POST", "/api/v1/settings/test-callback", None)
        .expect(200, "tried")
        .json();
    assert_eq!(
        (&tried["delivered"], &tried["signed"], &tried["status"]),
        (&json!(true), &json!(true), &json!(200))
    );
    receiver.blocking_wait_for(1, SOON)[0].assert_signed("a very secret secret");
    let removed = json!({ "callbackSecret": "" });
    serve
        .manage("PATCH", "/api/v1/settings", Some(&removed))
        .expect(200, "the secret is removed");
    assert_eq!(serve.get("/api/v1/settings")["hasCallbackSecret"], false);

    // Nothing in the data folder holds the secret in the clear.
    for file in files(&setup.data_dir()) {
        let bytes = std::fs::read(&file).unwrap_or_default();
        let found = bytes.windows(20).any(|window| window == b"a very secret secret");
        assert!(!found, "the secret lies in {}", file.display());
    }
}

fn files(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("the folder can be read").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path))
        } else {
            found.push(path)
        }
    }
    found
}

#[test]
fn the_data_folder_is_private() {
    let setup = installation();
    let serve = setup.start();
    let mode =
        |path: &std::path::Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(&serve.token_file), 0o600, "the token");
    assert_eq!(serve.token_file.parent(), Some(setup.data_dir().as_path()));
    let told = std::fs::read_to_string(setup.data_dir().join("address")).expect("where it listens");
    assert_eq!(told.trim(), serve.address);
}

#[test]
fn status_and_probes_tell_how_it_is() {
    let setup = installation();
    let serve = setup.start();
    let status = serve.get("/api/v1/status");
    assert_eq!(
        (&status["pending"], &status["failingCallbacks"]),
        (&json!(0), &json!(0))
    );
    assert_eq!(
        (&status["address"], &status["addressProblem"]),
        (&json!(serve.address), &Value::Null)
    );
    assert_eq!(
        (&status["storageProblem"], &status["hasFlows"]),
        (&Value::Null, &json!(false))
    );
    assert_eq!(
        serve
            .call("GET", "/api/v1/ping", &[], None)
            .expect(200, "ping")
            .text(),
        "pong"
    );
    let flow = serve.import("gate", &flows::start_gate_replies(&FlowOptions::sync()));
    serve.post(&flow, &json!({ "item": "v1" })).expect(200, "stopped");
    let status = serve.get("/api/v1/status");
    assert_eq!(
        (&status["pending"], &status["hasFlows"]),
        (&json!(1), &json!(true))
    );
}

#[test]
fn events_tell_what_changes() {
    let setup = installation();
    let serve = setup.start();
    let mut stream = serve.connect();
    let token = format!("Bearer {}", serve.token);
    let head = stream
        .open_stream("/api/v1/events", &[("authorization", &token)])
        .expect("a stream");
    assert_eq!(
        (head.status, head.header("content-type")),
        (200, Some("text/event-stream"))
    );
    let (sender, events) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        while let Ok(line) = stream.read_line() {
            if let Some(data) = line.strip_prefix("data: ") {
                let event: Value = serde_json::from_str(data).expect("an event is JSON");
                if sender.send(event).is_err() {
                    return;
                }
            }
        }
    });
    let wait_for = |what: &str, fits: &dyn Fn(&Value) -> bool| {
        let started = std::time::Instant::now();
        while started.elapsed() < SOON {
            if let Ok(event) = events.recv_timeout(SOON)
                && fits(&event)
            {
                return;
            }
        }
        panic!("no event: {what}");
    };
    let flow = serve.import("gate", &flows::start_gate_replies(&FlowOptions::sync()));
    wait_for("a flow was imported", &|event| event["kind"] == "flows");
    let stopped = serve
        .post(&flow, &json!({ "item": "v1" }))
        .expect(200, "stopped")
        .json();
    let id = stopped["action"]["id"].clone();
    wait_for("a question was asked", &|event| {
        event["id"] == id && event["state"] == "pending"
    });
    serve
        .decide(id.as_str().expect("an id"), "reject")
        .expect(200, "decided");
    wait_for("it was answered", &|event| {
        event["id"] == id && event["state"] == "rejected" && event["surface"] == "api"
    });
    let change = json!({ "notificationsEnabled": false });
    serve
        .manage("PATCH", "/api/v1/settings", Some(&change))
        .expect(200, "settings");
    wait_for("a setting changed", &|event| event["kind"] == "settings");
}
