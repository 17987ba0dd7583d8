//! Kills and restarts (tests/conformance/RESTART.md), each for synchronous and asynchronous
//! flows where both can be.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use countersign_testkit::flows::FlowOptions;
use countersign_testkit::{
    CallbackReceiver, Connection, Headless, HttpResponse, Installation, Received, ScriptedReply, eventually,
    flows,
};
use serde_json::{Value, json};

use crate::support::{assert_only, installation};

const SECRET: &str = "the receiver's secret";
const SOON: Duration = Duration::from_secs(15);

/// How the caller of a flow gets its result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Sync,
    Async,
}

/// A host with a flow whose receiver is known, also in sync mode.
struct Scene {
    setup: Installation,
    host: Headless,
    receiver: CallbackReceiver,
    flow: String,
    mode: Mode,
}

/// A question that waits.
struct Asked {
    chat: String,
    approval: String,
    execution: String,
}

impl Scene {
    /// Start → gate → reply.
    fn with_gate(mode: Mode) -> Self {
        Self::new(mode, CallbackReceiver::new(), flows::start_gate_replies)
    }

    fn new(mode: Mode, receiver: CallbackReceiver, flow: impl Fn(&FlowOptions) -> String) -> Self {
        let setup = installation();
        let host = setup.start();
        let options = FlowOptions {
            asynchronous: mode == Mode::Async,
            ..FlowOptions::callback(receiver.url("/cb"), Some(SECRET))
        };
        let flow = host.import("flow", &flow(&options));
        Self {
            setup,
            host,
            receiver,
            flow,
            mode,
        }
    }

    /// SIGKILL and a new start on the same folder.
    fn kill_and_start(self) -> Self {
        let Self { setup, host, .. } = self;
        host.kill();
        let host = setup.start();
        Self { setup, host, ..self }
    }

    /// Waits until nothing happens any more and all of it is on disk. What the API shows may be a moment ahead of the
    /// disk: the end of a callback's attempt is acknowledged to nobody. A change that is acknowledged after it, is not.
    fn wait_until_on_disk(&self) {
        self.host.wait_until_idle(SOON);
        let change = json!({ "notificationsEnabled": false });
        self.host
            .manage("PATCH", "/api/v1/settings", Some(&change))
            .expect(200, "a change that is durable");
    }

    /// Calls the flow; its gate stops it.
    fn ask(&self, item: &str) -> Asked {
        let reply = self.host.post(&self.flow, &json!({ "item": item }));
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        match self.mode {
            Mode::Sync => {
                let stopped = reply.expect(200, "stopped").json();
                Asked {
                    chat: text(&stopped["chatId"]),
                    approval: text(&stopped["action"]["id"]),
                    execution: text(&stopped["executionId"]),
                }
            }
            Mode::Async => {
                let chat = text(&reply.expect(202, "accepted").json()["chatId"]);
                let path = format!(
                    "/api/v1/executions?agentflowId={}&sessionId={chat}&state=STOPPED",
                    self.flow
                );
                let execution = eventually("it stops", SOON, || {
                    self.host.get(&path)["data"]
                        .get(0)
                        .map(|found| text(&found["id"]))
                });
                let mut pending = self.host.pending();
                pending.retain(|approval| approval["chatId"] == *chat);
                assert_eq!(pending.len(), 1, "it asks once");
                Asked {
                    chat,
                    approval: text(&pending[0]["id"]),
                    execution,
                }
            }
        }
    }

    /// Answers over the webhook.
    fn answer(&self, asked: &Asked, human_input: &Value) -> HttpResponse {
        let body = json!({ "chatId": asked.chat, "humanInput": human_input });
        self.host.post(&self.flow, &body)
    }

    /// Answers over the webhook and waits for the result, wherever it appears; its text.
    fn answer_and_get(&self, asked: &Asked, human_input: &Value) -> String {
        let reply = self.answer(asked, human_input);
        let result = match self.mode {
            Mode::Sync => reply.expect(200, "answered").json(),
            Mode::Async => {
                reply.expect(202, "answered");
                self.wait_for_callback(&asked.chat, "SUCCESS").json()["data"].clone()
            }
        };
        assert_eq!(result["executionId"], *asked.execution, "the same run goes on");
        assert_eq!(
            result["agentFlowExecutedData"].as_array().map(Vec::len),
            Some(3),
            "start, gate, reply: {result}"
        );
        result["text"].as_str().expect("a text").to_owned()
    }

    /// The callback of this status for this chat.
    #[track_caller]
    fn wait_for_callback(&self, chat: &str, status: &str) -> Received {
        let found = eventually(&format!("a callback {status}"), SOON, || {
            self.receiver
                .received()
                .into_iter()
                .find(|one| one.chat() == chat && one.status() == status)
        });
        found.assert_signed(SECRET);
        found
    }

    /// Its one run is finished, and no second answer is taken.
    fn assert_finished_once(&self, asked: &Asked, state: &str) {
        self.host.wait_for_execution(&asked.execution, "FINISHED");
        let all = format!("/api/v1/executions?agentflowId={}", self.flow);
        assert_eq!(self.host.get(&all)["total"], 1, "there is one run only");
        self.assert_answered(asked, state);
    }

    /// Neither door takes a second answer, and the gate does not ask again.
    fn assert_answered(&self, asked: &Asked, state: &str) {
        for outcome in ["approve", "reject"] {
            let second = self.host.decide(&asked.approval, outcome).expect(409, "decided");
            let message = second.message();
            assert!(message.contains(&format!("already {state}")), "{message}");
        }
        for word in ["proceed", "reject"] {
            let second = self
                .answer(asked, &json!({ "type": word }))
                .expect(409, "decided, also over the webhook");
            let message = second.message();
            assert!(
                message.starts_with(&format!("Approval already {state}")),
                "{message}"
            );
        }
        let waits = self
            .host
            .pending()
            .into_iter()
            .any(|approval| approval["id"] == *asked.approval);
        assert!(!waits, "the gate asks again");
    }
}

/// Stop, kill, start, answer: as if nothing had happened.
fn a_stop_outlives_a_kill(mode: Mode, human_input: &Value, text: &str, state: &str) {
    let scene = Scene::with_gate(mode);
    let asked = scene.ask("v1");
    scene.wait_until_on_disk();
    let before = scene.host.pending();
    let token = scene.host.token.clone();

    let scene = scene.kill_and_start();
    assert_eq!(scene.host.token, token, "the token stays");
    assert_eq!(
        scene.host.pending(),
        before,
        "the question is in the inbox again, with the same id and hash"
    );
    assert_eq!(scene.answer_and_get(&asked, human_input), text);
    scene.assert_finished_once(&asked, state);
    // The stop was told before the kill and is not told again.
    let callbacks = if mode == Mode::Async { 2 } else { 0 };
    assert_only(callbacks, &scene.receiver, &scene.host);
    let ids: BTreeSet<String> = scene.receiver.received().iter().map(Received::id).collect();
    assert_eq!(ids.len(), callbacks, "each callback has an id of its own");
}

#[test]
fn restart_stopped_sync() {
    let proceed =
        json!({ "type": "proceed", "startNodeId": "humanInputAgentflow_0", "feedback": "late but yes" });
    a_stop_outlives_a_kill(Mode::Sync, &proceed, "released v1", "approved");
    a_stop_outlives_a_kill(Mode::Sync, &json!({ "type": "reject" }), "held v1", "rejected");
}

/// What came in is part of the run, and the run has to be readable again.
#[test]
fn what_is_nested_as_deep_as_can_be_is_answered_after_a_kill() {
    let scene = Scene::with_gate(Mode::Sync);
    let nested = |depth: usize| {
        let list = format!("{}{}", "[".repeat(depth - 1), "]".repeat(depth - 1));
        let list: Value = serde_json::from_str(&list).expect("a list");
        json!({ "chatId": "deep", "item": list })
    };
    scene
        .host
        .post(&scene.flow, &nested(65))
        .expect(400, "one level too deep");
    scene
        .host
        .post(&scene.flow, &nested(64))
        .expect(200, "a question");
    let scene = scene.kill_and_start();
    let answer = json!({ "chatId": "deep", "humanInput": { "type": "proceed" } });
    let reply = scene.host.post(&scene.flow, &answer).expect(200, "an answer");
    assert!(reply.text().contains("[[[["), "{}", reply.text());
}

#[test]
fn restart_stopped_async() {
    let proceed =
        json!({ "type": "proceed", "startNodeId": "humanInputAgentflow_0", "feedback": "late but yes" });
    a_stop_outlives_a_kill(Mode::Async, &proceed, "released v1", "approved");
    a_stop_outlives_a_kill(Mode::Async, &json!({ "type": "reject" }), "held v1", "rejected");
}

/// What an HTTP step calls: the first calls take long enough to be interrupted, the later ones a moment.
fn slow_target(slow: usize) -> CallbackReceiver {
    CallbackReceiver::answering(move |_, before| {
        let delay = Duration::from_millis(if before < slow { 20_000 } else { 300 });
        ScriptedReply::status(200).body("{}").after(delay)
    })
}

/// Each of the first calls came once more, with the key by which the target knows it again.
fn assert_repeated(target: &CallbackReceiver, calls: usize) {
    let received = target.blocking_wait_for(2 * calls, SOON);
    assert_eq!(received.len(), 2 * calls, "each call is repeated once");
    let keys = |of: &[Received]| -> BTreeSet<(String, String)> {
        of.iter()
            .map(|one| {
                let key = one.header("idempotency-key").expect("every call has a key");
                (key.to_owned(), one.json()["item"].to_string())
            })
            .collect()
    };
    assert_eq!(
        keys(&received[calls..]),
        keys(&received[..calls]),
        "the same keys for the same work"
    );
    assert_eq!(keys(&received).len(), calls, "and a key of its own for each");
}

#[test]
fn restart_inflight_async() {
    let target = slow_target(1);
    let scene = Scene::new(Mode::Async, CallbackReceiver::new(), |options| {
        flows::start_http_reply(options, &target.url("/target"))
    });
    let accepted = scene
        .host
        .post(&scene.flow, &json!({ "item": "v1" }))
        .expect(202, "accepted")
        .json();
    target.blocking_wait_for(1, SOON);

    let scene = scene.kill_and_start();
    let chat = accepted["chatId"].as_str().expect("a chat");
    let answer = json!({ "chatId": chat, "humanInput": { "type": "proceed" } });
    scene
        .host
        .post(&scene.flow, &answer)
        .expect(409, "nothing waits, and that is said at once");
    let success = scene.wait_for_callback(chat, "SUCCESS");
    assert_eq!(success.json()["data"]["text"], "called for v1");
    assert_only(1, &scene.receiver, &scene.host);
    assert_repeated(&target, 1);
    let executions = scene.host.get("/api/v1/executions");
    assert_eq!(
        (&executions["total"], &executions["data"][0]["state"]),
        (&json!(1), &json!("FINISHED"))
    );
    scene
        .host
        .post(&scene.flow, &answer)
        .expect(409, "nothing waits afterwards either");
}

#[test]
fn restart_callback_pending() {
    let receiver = CallbackReceiver::answering(|_, before| {
        if before == 0 {
            ScriptedReply::dropped()
        } else {
            ScriptedReply::status(200)
        }
    });
    let scene = Scene::new(Mode::Async, receiver, flows::start_reply);
    scene
        .host
        .post(&scene.flow, &json!({ "who": "Ada" }))
        .expect(202, "accepted");
    let first = scene.receiver.blocking_wait_for(1, SOON).remove(0);

    let scene = scene.kill_and_start();
    let second = scene.receiver.blocking_wait_for(2, SOON).remove(1);
    assert_eq!(
        (second.id(), &second.body),
        (first.id(), &first.body),
        "the same id and the same bytes"
    );
    second.assert_signed(SECRET);
    assert_only(2, &scene.receiver, &scene.host);
    let callback = scene.host.get(&format!("/api/v1/callbacks/{}", first.id()));
    assert_eq!(callback["state"], "delivered");
    assert_eq!(
        callback["attempts"].as_array().map(Vec::len),
        Some(2),
        "the attempt before the kill counts: {callback}"
    );
}

#[test]
fn a_delivery_under_way_at_the_kill_is_repeated_with_the_same_id() {
    let receiver = CallbackReceiver::answering(|_, before| {
        let delay = Duration::from_secs(if before == 0 { 5 } else { 0 });
        ScriptedReply::status(200).after(delay)
    });
    let scene = Scene::new(Mode::Async, receiver, flows::start_reply);
    scene
        .host
        .post(&scene.flow, &json!({ "who": "Ada" }))
        .expect(202, "accepted");
    let first = scene.receiver.blocking_wait_for(1, SOON).remove(0);

    let scene = scene.kill_and_start();
    let second = scene.receiver.blocking_wait_for(2, SOON).remove(1);
    assert_eq!((second.id(), &second.body), (first.id(), &first.body));
    second.assert_signed(SECRET);
}

/// An answer from the inbox: nobody waits for the result on a connection, so the run goes on by itself in both modes.
#[test]
fn an_answer_stands_after_a_kill_and_the_gate_never_asks_again() {
    for mode in [Mode::Sync, Mode::Async] {
        let scene = Scene::with_gate(mode);
        let asked = scene.ask("v1");
        scene
            .host
            .decide(&asked.approval, "approve")
            .expect(200, "decided");

        let scene = scene.kill_and_start();
        scene.assert_answered(&asked, "approved");
        let success = scene.wait_for_callback(&asked.chat, "SUCCESS");
        assert_eq!(success.json()["data"]["text"], "released v1");
        scene.assert_finished_once(&asked, "approved");
    }
}

/// Of many calls exactly one lets the run go on; what one of the others was told.
fn continue_at_once(host: &Headless, path: &str) -> String {
    let barrier = Barrier::new(6);
    let replies: Vec<HttpResponse> = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..6)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    host.manage("POST", path, None)
                })
            })
            .collect();
        calls
            .into_iter()
            .map(|call| call.join().expect("no call fails"))
            .collect()
    });
    let (won, lost): (Vec<_>, Vec<_>) = replies.into_iter().partition(|reply| reply.status == 200);
    assert_eq!(won.len(), 1, "one call wins: {lost:?}");
    let lost: Vec<String> = lost
        .into_iter()
        .map(|reply| reply.expect(409, "the others are told").text())
        .collect();
    lost[0].clone()
}

/// Runs behind an answered gate, killed while their HTTP step waits for its target.
fn killed_midway(mode: Mode, target: &CallbackReceiver, count: usize) -> (Scene, Vec<Asked>) {
    let scene = Scene::new(mode, CallbackReceiver::new(), |options| {
        flows::start_gate_http_reply(options, &target.url("/target"))
    });
    let asked: Vec<Asked> = (1..=count)
        .map(|number| scene.ask(&format!("v{number}")))
        .collect();
    let mut callers = Vec::new();
    for one in &asked {
        let body = json!({ "chatId": one.chat, "humanInput": { "type": "proceed" } }).to_string();
        let mut caller = scene.host.connect();
        let request = format!(
            "POST /api/v1/webhook/{} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            scene.flow,
            scene.host.address,
            body.len()
        );
        caller.write_raw(request.as_bytes()).expect("the answer is sent");
        callers.push(caller);
    }
    target.blocking_wait_for(count, SOON);
    let scene = scene.kill_and_start();
    for (mut caller, one) in callers.into_iter().zip(&asked) {
        assert_eq!(
            caller.read_head().is_ok(),
            mode == Mode::Async,
            "only an asynchronous answer was answered before the kill"
        );
        scene.assert_answered(one, "approved");
    }
    (scene, asked)
}

/// It has come to its end, each step once, and only on the branch that was chosen.
fn assert_called(scene: &Scene, one: &Asked) {
    let finished = scene.host.wait_for_execution(&one.execution, "FINISHED");
    assert!(finished["interrupted"] != true, "{finished}");
    let data: Value =
        serde_json::from_str(finished["executionData"].as_str().expect("a text")).expect("JSON");
    let steps: Vec<&Value> = data
        .as_array()
        .expect("records")
        .iter()
        .map(|record| &record["nodeId"])
        .collect();
    assert_eq!(
        steps,
        [
            "startAgentflow_0",
            "humanInputAgentflow_0",
            "httpAgentflow_0",
            "directReplyAgentflow_0"
        ]
    );
    let success = scene.wait_for_callback(&one.chat, "SUCCESS");
    assert!(
        success.json()["data"]["text"]
            .as_str()
            .is_some_and(|text| text.starts_with("called for v"))
    );
    scene.assert_answered(one, "approved");
}

/// The statuses of the messages for a chat, in order.
fn told(scene: &Scene, chat: &str) -> Vec<String> {
    let mut told: Vec<(String, String)> = Vec::new();
    for received in scene.receiver.received() {
        // A kill between a delivery and its record repeats it, under the same id.
        let fact = (received.id(), received.status());
        if received.chat() == chat && !told.contains(&fact) {
            told.push(fact);
        }
    }
    told.into_iter().map(|(_, status)| status).collect()
}

/// The caller of a synchronous answer went with the host: the run says so, and goes on when a person wants that.
#[test]
fn resume_kill_midway() {
    let target = slow_target(3);
    let (scene, interrupted) = killed_midway(Mode::Sync, &target, 3);
    let unknown = "/api/v1/executions/0192f0c1-7b1e-7c3a-9d55-0a1b2c3d4e5f/continue";
    scene
        .host
        .manage("POST", unknown, None)
        .expect(404, "an unknown run");
    for (index, one) in interrupted.iter().enumerate() {
        let path = format!("/api/v1/executions/{}", one.execution);
        let execution = scene.host.get(&path);
        assert_eq!(
            (&execution["state"], &execution["interrupted"]),
            (&json!("ERROR"), &json!(true))
        );
        let error = scene.wait_for_callback(&one.chat, "ERROR");
        let message = error.json()["error"].as_str().unwrap_or_default().to_owned();
        assert!(message.contains("interrupted by a restart"), "{message}");

        let path = format!("{path}/continue");
        let console = |status: i32| {
            let mut command = scene.setup.bare_command();
            command.args(["continue", &one.execution, "--json", "--data-dir"]);
            let output = command
                .arg(scene.setup.data_dir())
                .output()
                .expect("the command runs");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(status), "{said}");
            (
                serde_json::from_slice::<Value>(&output.stdout).unwrap_or_default(),
                said,
            )
        };
        // Each door in turn, and the other one for the second call; the last time many at once.
        let second = match index {
            0 => {
                let begun = scene
                    .host
                    .manage("POST", &path, None)
                    .expect(200, "it goes on")
                    .json();
                assert_eq!(begun["id"], *one.execution);
                console(1).1
            }
            1 => {
                assert_eq!(console(0).0["id"], *one.execution);
                let second = scene.host.manage("POST", &path, None);
                second.expect(409, "once only").text()
            }
            _ => continue_at_once(&scene.host, &path),
        };
        assert!(
            second.contains("not-waiting"),
            "the second call is told: {second}"
        );
        assert_called(&scene, one);
        scene
            .host
            .manage("POST", &path, None)
            .expect(409, "a finished run cannot go on");
    }
    scene.host.wait_until_idle(SOON);
    assert_repeated(&target, 3);
    for one in &interrupted {
        assert_eq!(told(&scene, &one.chat), ["ERROR", "SUCCESS"]);
    }
}

#[test]
fn resume_kill_midway_async() {
    let target = slow_target(2);
    let (scene, asked) = killed_midway(Mode::Async, &target, 2);
    for one in &asked {
        assert_called(&scene, one);
    }
    scene.host.wait_until_idle(SOON);
    assert_repeated(&target, 2);
    for one in &asked {
        assert_eq!(told(&scene, &one.chat), ["STOPPED", "SUCCESS"]);
    }
}

#[test]
fn sigterm_ends_cleanly_and_keeps_what_waits() {
    for mode in [Mode::Sync, Mode::Async] {
        let mut scene = Scene::with_gate(mode);
        scene.ask("v1");
        let before = scene.host.pending();
        scene.host.terminate();
        let status = scene.host.wait(Duration::from_secs(8));
        assert_eq!(status.code(), Some(0), "{}", scene.host.log());
        assert!(
            !scene.setup.data_dir().join("address").exists(),
            "nobody is told to call there any more"
        );
        assert_eq!(scene.setup.start().pending(), before);
    }
}

#[test]
fn sigterm_inflight_sync() {
    let target = CallbackReceiver::answering(|_, _| {
        ScriptedReply::status(200)
            .body("{}")
            .after(Duration::from_secs(1))
    });
    let mut scene = Scene::new(Mode::Sync, CallbackReceiver::new(), |options| {
        flows::start_http_reply(options, &target.url("/target"))
    });
    let mut caller = scene.host.connect();
    let path = format!("/api/v1/webhook/{}", scene.flow);
    let called = std::thread::spawn(move || {
        let json = [("content-type", "application/json")];
        caller.send("POST", &path, &json, Some(br#"{"item":"v1"}"#))
    });
    target.blocking_wait_for(1, SOON);
    scene.host.terminate();
    let status = scene.host.wait(Duration::from_secs(8));
    assert_eq!(status.code(), Some(0), "{}", scene.host.log());
    let reply = called
        .join()
        .expect("the caller ends")
        .expect("the caller gets its answer")
        .expect(200, "the usual one");
    assert_eq!(reply.json()["text"], "called for v1");

    let host = scene.setup.start();
    let executions = host.get("/api/v1/executions");
    assert_eq!(
        (&executions["total"], &executions["data"][0]["state"]),
        (&json!(1), &json!("FINISHED"))
    );
    assert_eq!(target.received().len(), 1, "the call was made once");
}

#[test]
fn sigterm_under_load_loses_nothing_that_was_answered() {
    let mut scene = Scene::new(Mode::Sync, CallbackReceiver::new(), flows::start_reply);
    let stop = Arc::new(AtomicBool::new(false));
    let answers = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let (stop, answers) = (Arc::clone(&stop), Arc::clone(&answers));
            let (address, path) = (
                scene.host.address.clone(),
                format!("/api/v1/webhook/{}", scene.flow),
            );
            std::thread::spawn(move || {
                let mut finished = Vec::new();
                let json = [("content-type", "application/json")];
                let Ok(mut connection) = Connection::open(&address) else {
                    return finished;
                };
                while !stop.load(Ordering::Relaxed) {
                    let Ok(reply) = connection.send("POST", &path, &json, Some(br#"{"who":"Ada"}"#)) else {
                        break;
                    };
                    match reply.status {
                        200 => finished.push(reply.json()["executionId"].as_str().expect("an id").to_owned()),
                        503 => break,
                        other => panic!("a call during the end got {other}: {}", reply.text()),
                    }
                    answers.fetch_add(1, Ordering::Relaxed);
                }
                finished
            })
        })
        .collect();
    eventually("the clients are at work", SOON, || {
        (answers.load(Ordering::Relaxed) > 50).then_some(())
    });
    scene.host.terminate();
    let status = scene.host.wait(Duration::from_secs(8));
    stop.store(true, Ordering::Relaxed);
    assert_eq!(status.code(), Some(0), "{}", scene.host.log());

    let host = scene.setup.start();
    let in_progress = host.get("/api/v1/executions?state=INPROGRESS&limit=1");
    assert_eq!(in_progress["total"], 0, "nothing is left in the middle");
    for client in clients {
        for execution in client.join().expect("no client fails") {
            let found = host.get(&format!("/api/v1/executions/{execution}"));
            assert_eq!(
                found["state"], "FINISHED",
                "what was answered is on record: {found}"
            );
        }
    }
}

#[test]
fn edits_and_settings_are_kept_over_a_kill() {
    let setup = installation();
    let host = setup.start();
    let flow = host.import("one", &flows::start_reply(&FlowOptions::sync()));
    let document = flows::start_gate_replies(&FlowOptions::sync());
    let body = json!({ "name": "renamed", "flowData": document });
    host.manage("PUT", &format!("/api/v1/chatflows/{flow}"), Some(&body))
        .expect(200, "replaced");
    let change = json!({ "callbackUrl": "https://ci.example.org/cb", "retryPlanSeconds": [0, 9] });
    host.manage("PATCH", "/api/v1/settings", Some(&change))
        .expect(200, "settings");
    host.kill();

    let host = setup.start();
    let found = host.get(&format!("/api/v1/chatflows/{flow}"));
    assert_eq!(
        (&found["name"], &found["flowData"]),
        (&json!("renamed"), &json!(document))
    );
    let settings = host.get("/api/v1/settings");
    assert_eq!(settings["callbackUrl"], "https://ci.example.org/cb");
    assert_eq!(settings["retryPlanSeconds"], json!([0, 9]));
}

/// The journal carries questions and callbacks, but no runs.
#[test]
fn a_question_whose_run_is_lost_can_be_taken_back() {
    let scene = Scene::with_gate(Mode::Async);
    let chat = scene.ask("v1").chat;
    scene.receiver.blocking_wait_for(1, SOON);
    scene.wait_until_on_disk();
    let Scene {
        setup,
        host,
        receiver,
        flow,
        ..
    } = scene;
    host.kill();
    let journal = setup.data_dir().join("journal.jsonl");
    std::fs::remove_dir_all(setup.data_dir().join("db")).expect("the database goes");
    let mut text = std::fs::read_to_string(&journal).expect("the journal");
    text = text.replacen("Gate 0", "Gate 1", 1);
    std::fs::write(&journal, text).expect("somebody changes it");

    let host = setup.start();
    let command = |arguments: &[&str]| {
        let output = setup
            .bare_command()
            .arg("--data-dir")
            .arg(setup.data_dir())
            .args(arguments)
            .output()
            .expect("the command runs");
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&said).into_owned())
    };
    let (status, said) = command(&["doctor"]);
    assert!(
        status == Some(1) && said.contains("journal was changed after it was written"),
        "the change is told: {said}"
    );
    let pending = host.pending();
    assert_eq!(pending.len(), 1, "the question is back");
    let id = pending[0]["id"].as_str().expect("an id");
    let refused = host.decide(id, "approve").expect(410, "nothing goes on");
    assert_eq!(refused.json()["code"], "run-lost");
    let answer = |chat: &str| json!({ "chatId": chat, "humanInput": { "type": "proceed" } });
    let refused = host.post(&flow, &answer(&chat)).expect(410, "nor by the webhook");
    assert_eq!(refused.json()["code"], "run-lost");
    host.post(&flow, &answer("another chat"))
        .expect(404, "what is not known is not found");
    let (status, said) = command(&["show", id]);
    assert!(
        status == Some(0) && said.contains("This question cannot be answered any more"),
        "{said}"
    );
    let (status, said) = command(&["approve", id]);
    assert!(
        status == Some(1) && said.contains(&format!("countersign cancel {id}")),
        "{said}"
    );
    assert_eq!(host.pending().len(), 1, "nothing was decided");
    let (status, said) = command(&["cancel", id]);
    assert_eq!(status, Some(0), "{said}");
    assert!(host.pending().is_empty());
    // The flow went with the database, and the secret with it; unsigned nothing leaves.
    let waiting = || host.get("/api/v1/callbacks?state=waiting")["callbacks"][0].clone();
    let said = eventually("an attempt", SOON, || {
        waiting()["attempts"][0]["error"].as_str().map(str::to_owned)
    });
    assert!(said.contains("not sent"), "{said}");
    host.manage(
        "PATCH",
        "/api/v1/settings",
        Some(&json!({ "callbackSecret": SECRET })),
    )
    .expect(200, "the secret is set again");
    let received = receiver.blocking_wait_for(2, SOON);
    let told: Vec<_> = received.iter().map(|one| (one.status(), one.chat())).collect();
    assert_eq!(
        told,
        [("STOPPED".to_owned(), chat.clone()), ("ERROR".to_owned(), chat)],
        "and the receiver hears of it"
    );
    received[1].assert_signed(SECRET);
}
