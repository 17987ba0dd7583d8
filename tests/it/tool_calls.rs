//! The calls of an agent's tools: each is asked as data, can be changed before it is allowed, and the model is told.

use std::time::Duration;

use countersign_testkit::flows::FlowOptions;
use countersign_testkit::{
    CallbackReceiver, Headless, Installation, ModelAnswer, ModelServer, ScriptedReply, eventually, flows,
};
use serde_json::{Value, json};

use crate::cli::Console;
use crate::support::installation;

const SOON: Duration = Duration::from_secs(15);
const SECRET: &str = "the receiver's secret";

/// What the model wants: far too much.
fn wanted() -> Value {
    json!({"body": {"amount": 7000, "to": "Ann"}})
}

/// A host whose agent has asked before it pays.
struct Desk {
    setup: Installation,
    models: ModelServer,
    target: CallbackReceiver,
    receiver: CallbackReceiver,
}

impl Desk {
    /// The model speaks in the format of this provider, and wants to pay once.
    fn new() -> Self {
        Self {
            setup: installation(),
            models: ModelServer::saying([
                ModelAnswer::Calls("I will pay.".to_owned(), vec![("pay".to_owned(), wanted())]),
                ModelAnswer::text("It is done."),
            ]),
            target: CallbackReceiver::new(),
            receiver: CallbackReceiver::new(),
        }
    }

    /// The approval that waits, with everything that belongs to it.
    fn asked(&self, serve: &Headless, provider: &str) -> Value {
        let connection = json!({"provider": provider, "baseUrl": self.models.base_url(provider), "key": "sk-test",
            "defaultModel": "m", "components": ["chatOpenAI"]});
        serve
            .manage("PUT", "/api/v1/connections/models", Some(&connection))
            .expect(200, "a connection");
        let flow = serve.import("payer", &self.flow());
        serve.post(&flow, &json!({"who": "Ann"})).expect(202, "taken");
        let id = serve.wait_for_pending(1)[0]["id"].clone();
        serve.get(&path(&id))
    }

    /// Start → Agent with a tool that is put to a person; its result leaves as a callback.
    fn flow(&self) -> String {
        let options = FlowOptions::callback(self.receiver.url("/cb"), Some(SECRET));
        let mut flow: Value = serde_json::from_str(&flows::start_reply(&options)).expect("JSON");
        let data = &mut flow["nodes"][1]["data"];
        data["name"] = "agentAgentflow".into();
        data["label"] = "Payer".into();
        data["inputs"] = json!({
            "agentModel": "chatOpenAI", "agentModelConfig": {"modelName": "m"},
            "agentMessages": [{"role": "user", "content": "Pay {{ $webhook.body.who }}"}],
            "agentTools": [{
                "agentSelectedTool": "requestsPost", "agentSelectedToolRequiresHumanInput": true,
                "agentSelectedToolConfig": {"requestsPostUrl": self.target.url("/pay"), "requestsPostName": "pay",
                    "requestsPostBodySchema": "{\"amount\": {\"type\": \"number\", \"required\": true}}"},
            }],
            "agentReturnResponseAs": "assistantMessage",
        });
        flow.to_string()
    }

    /// What the model was told about its call, in whatever format it speaks.
    fn told(&self) -> String {
        let asked = self.models.asked();
        assert_eq!(asked.len(), 2, "the model was asked again once");
        asked[1].body["messages"].to_string()
    }
}

fn path(id: &Value) -> String {
    format!("/api/v1/approvals/{}", id.as_str().expect("an id"))
}

fn finished(serve: &Headless, approval: &Value) -> Value {
    let id = approval["executionId"].as_str().expect("an execution");
    let execution = serve.wait_for_execution(id, "FINISHED");
    let data = execution["executionData"].as_str().expect("the records");
    serde_json::from_str::<Value>(data).expect("JSON")[1]["data"]["output"]["usedTools"].clone()
}

#[test]
fn a_call_is_asked_as_data_and_made_with_the_arguments_that_the_person_gave() {
    for provider in ["openai", "anthropic", "ollama"] {
        let desk = Desk::new();
        let serve = desk.setup.start();
        let approval = desk.asked(&serve, provider);
        assert_eq!(
            approval["call"],
            json!({"tool": "pay", "arguments": wanted()}),
            "{provider}: {approval}"
        );
        assert_eq!(approval["body"], "I will pay.", "the text does not say it again");

        let given = json!({"body": {"amount": 7, "to": "Ann"}});
        let answer = json!({"outcome": "approve", "arguments": given, "feedback": "seven is enough",
            "contentHash": approval["contentHash"]});
        let decision = format!("{}/decision", path(&approval["id"]));
        let decided = serve
            .manage("POST", &decision, Some(&answer))
            .expect(200, "yes, but")
            .json();
        assert_eq!(
            (&decided["decision"]["edited"], &decided["decision"]["arguments"]),
            (&json!(true), &given)
        );
        assert_eq!(
            (&decided["contentHash"], &decided["call"]),
            (&approval["contentHash"], &approval["call"]),
            "what was asked stays what was asked"
        );

        let used = finished(&serve, &approval);
        assert_eq!(
            (&used[0]["toolInput"], &used[0]["requestedToolInput"]),
            (&given, &wanted()),
            "{provider}: {used}"
        );
        let sent = desk.target.received();
        assert_eq!((sent.len(), sent[0].json()), (1, given["body"].clone()));
        let told = desk.told();
        for part in ["A person changed the arguments", "seven is enough", "7000"] {
            assert!(told.contains(part), "{provider}: {part:?} is missing in {told}");
        }

        let callbacks = desk.receiver.blocking_wait_for(2, SOON);
        callbacks[1].assert_signed(SECRET);
        let proof = &callbacks[1].json()["countersign"];
        assert_eq!(
            (&proof["arguments"], &proof["contentHash"]),
            (&given, &approval["contentHash"])
        );
        let journal =
            std::fs::read_to_string(desk.setup.data_dir().join("journal.jsonl")).expect("the journal");
        let line = journal
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("a line"))
            .find(|line| line["event"] == "approval-decided")
            .expect("the decision is in the journal");
        assert_eq!(line["approval"]["decision"]["arguments"], given);
        assert_eq!(line["approval"]["question"]["call"]["arguments"], wanted());

        let listed = &serve.get("/api/v1/approvals?state=decided")["approvals"][0]["decision"];
        assert_eq!(
            (&listed["edited"], listed.get("arguments")),
            (&json!(true), None),
            "lists are short"
        );
    }
}

#[test]
fn arguments_that_cannot_be_taken_are_refused_and_the_question_still_waits() {
    let desk = Desk::new();
    let serve = desk.setup.start();
    let approval = desk.asked(&serve, "openai");
    let gate = serve.import("gate", &flows::start_gate_replies(&FlowOptions::sync()));
    serve.post(&gate, &json!({"item": "v1"})).expect(200, "stopped");
    let plain = serve.pending().remove(0);
    let before = std::fs::read(desk.setup.data_dir().join("journal.jsonl")).expect("the journal");

    let nested = (0..70).fold(json!({}), |inner, _| json!({"in": inner}));
    let call = &approval["id"];
    let cases = [
        ("a list", call, "approve", json!([1]), "must be a JSON object"),
        ("nothing", call, "approve", json!(null), "must be a JSON object"),
        ("a text", call, "approve", json!("{}"), "must be a JSON object"),
        ("too deep", call, "approve", nested, "levels deep"),
        (
            "too long",
            call,
            "approve",
            json!({"a": "x".repeat(1 << 20)}),
            "longer than",
        ),
        (
            "with no",
            call,
            "reject",
            json!({"amount": 1}),
            "only together with approve",
        ),
        (
            "no, unchanged",
            call,
            "reject",
            wanted(),
            "only together with approve",
        ),
        (
            "a question without a call",
            &plain["id"],
            "approve",
            json!({"amount": 1}),
            "no call of a tool",
        ),
    ];
    for (what, id, outcome, arguments, why) in &cases {
        let body = json!({"outcome": outcome, "arguments": arguments});
        let refused = serve
            .manage("POST", &format!("{}/decision", path(id)), Some(&body))
            .expect(400, what);
        assert_eq!(refused.json()["code"], "invalid", "{what}");
        let message = refused.message();
        assert!(
            message.contains(why) && message.contains("Nothing was decided"),
            "{what}: {message}"
        );
    }
    assert_eq!(serve.get(&path(call)), approval, "the question is as it was");
    assert_eq!(serve.get(&path(&plain["id"]))["state"], "pending");
    assert!(desk.target.received().is_empty(), "nothing was called");
    let after = std::fs::read(desk.setup.data_dir().join("journal.jsonl")).expect("the journal");
    assert_eq!(after, before, "nothing is on record");

    // Equal arguments are a yes as any other, whatever their order.
    let equal = json!({"outcome": "approve", "arguments": {"body": {"to": "Ann", "amount": 7000}}});
    let decided = serve
        .manage("POST", &format!("{}/decision", path(call)), Some(&equal))
        .expect(200, "the same")
        .json();
    assert_eq!(
        (
            &decided["decision"]["edited"],
            decided["decision"].get("arguments")
        ),
        (&json!(false), None)
    );
    let used = finished(&serve, &approval);
    assert_eq!(used[0].get("requestedToolInput"), None, "{used}");
    assert!(!desk.told().contains("A person changed"), "{}", desk.told());
    let proof = desk.receiver.blocking_wait_for(2, SOON)[1].json();
    assert_eq!(proof["countersign"].get("arguments"), None, "{proof}");
}

#[test]
fn after_a_kill_the_call_is_made_again_as_the_person_changed_it() {
    let desk = Desk::new();
    desk.target.script(
        "/pay",
        [ScriptedReply::status(200).after(Duration::from_secs(60))],
    );
    let serve = desk.setup.start();
    let approval = desk.asked(&serve, "openai");
    let given = json!({"body": {"amount": 7}});
    let body = json!({"outcome": "approve", "arguments": given});
    serve
        .manage(
            "POST",
            &format!("{}/decision", path(&approval["id"])),
            Some(&body),
        )
        .expect(200, "decided");
    eventually("the call is under way", SOON, || {
        (!desk.target.received().is_empty()).then_some(())
    });
    serve.kill();

    let serve = desk.setup.start();
    let used = finished(&serve, &approval);
    assert_eq!(
        (&used[0]["toolInput"], &used[0]["requestedToolInput"]),
        (&given, &wanted())
    );
    let sent = desk.target.received();
    let bodies: Vec<Value> = sent.iter().map(|one| one.json()).collect();
    assert_eq!(bodies, [given["body"].clone(), given["body"].clone()]);
    assert_eq!(
        sent[0].header("idempotency-key"),
        sent[1].header("idempotency-key"),
        "it is the same call"
    );
}

#[test]
fn the_command_line_shows_a_call_and_changes_it() {
    let desk = Desk::new();
    let serve = desk.setup.start();
    let approval = desk.asked(&serve, "openai");
    let console = Console { setup: &desk.setup };
    let id = approval["id"].as_str().expect("an id");
    let page = console.expect(0, &["show", id]);
    for part in ["Tool       pay", "\n  {\n    \"body\": {", "\"amount\": 7000"] {
        assert!(page.contains(part), "{part:?} is missing in\n{page}");
    }
    console.expect(2, &["approve", id, "--arguments", "{amount: 1}"]);
    console.expect(2, &["reject", id, "--arguments", "{}"]);
    console.expect(1, &["approve", id, "--arguments", "[1]"]);
    assert_eq!(serve.get(&path(&approval["id"])), approval, "it still waits");

    let file = desk.setup.folder().join("arguments.json");
    std::fs::write(&file, r#"{"body": {"amount": 7}}"#).expect("a file");
    let said = console.expect(
        0,
        &["approve", id, "--arguments", &format!("@{}", file.display())],
    );
    assert!(said.starts_with("Approved with changes: Run the tool"), "{said}");
    finished(&serve, &approval);
    assert_eq!(desk.target.received()[0].json(), json!({"amount": 7}));
    let page = console.expect(0, &["show", id]);
    assert!(
        page.contains("\"amount\": 7000")
            && page.contains("Approved with\n  {\n    \"body\": {\n      \"amount\": 7\n"),
        "{page}"
    );
}

#[test]
fn a_webhook_client_answers_what_it_was_shown() {
    let desk = Desk::new();
    let serve = desk.setup.start();
    let approval = desk.asked(&serve, "openai");
    let flow = approval["flowId"].as_str().expect("a flow");
    let answer = json!({"chatId": approval["chatId"],
        "humanInput": {"type": "proceed", "arguments": {"body": {"amount": 1}}}});
    serve.post(flow, &answer).expect(202, "resumed");
    let used = finished(&serve, &approval);
    assert_eq!(used[0]["toolInput"], wanted(), "{used}");
}
