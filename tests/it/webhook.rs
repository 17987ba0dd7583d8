//! `ANY /api/v1/webhook/{flowId}`: statuses and messages (webhook spec §4), both modes, resume, callbacks.

use std::time::Duration;

use countersign_testkit::flows::FlowOptions;
use countersign_testkit::{CallbackReceiver, Headless, HttpResponse, ScriptedReply, flows, hmac_sha256};
use serde_json::{Value, json};

use crate::support::{assert_only, installation};

const SECRET: &str = "whsec_Y291bnRlcnNpZ24gdGVzdCBzZWNyZXQ=";
const SOON: Duration = Duration::from_secs(10);

/// What an error answer must look like, and that its message is this one.
#[track_caller]
fn assert_refused(reply: &HttpResponse, status: u16, message: &str) {
    let body = reply.json();
    assert_eq!(reply.status, status, "{message}: {}", reply.text());
    assert_eq!(body["message"], message);
    assert_eq!(body["statusCode"], status, "the body repeats the status");
    assert_eq!(
        (&body["success"], &body["stack"]),
        (&json!(false), &json!({})),
        "Flowise's shape"
    );
    assert!(
        body["code"].as_str().is_some_and(|code| !code.is_empty()),
        "a code for programs: {body}"
    );
    assert_eq!(reply.header("content-type"), Some("application/json"));
}

fn json_call(
    serve: &Headless,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> HttpResponse {
    let mut all = vec![("content-type", "application/json")];
    all.extend_from_slice(headers);
    serve.call(method, path, &all, Some(body.as_bytes()))
}

#[test]
fn a_flow_that_cannot_be_called_says_why() {
    let setup = installation();
    let serve = setup.start();
    let chat = serve.import(
        "chat",
        &flows::start_reply(&FlowOptions::sync().with(json!({ "startInputType": "chatInput" }))),
    );
    let unknown = "11111111-1111-4111-8111-111111111111";
    for (id, status, message) in [
        (
            "",
            412,
            "Error: webhookController.createWebhook - id not provided!".to_owned(),
        ),
        ("not-an-id", 400, "Invalid Chatflow ID".to_owned()),
        (
            "0192f0c1-7b1e-7c3a-9d55-0a1b2c3d4e5f",
            400,
            "Invalid Chatflow ID".to_owned(),
        ),
        (
            unknown,
            404,
            format!("Chatflow {unknown} not found in the database!"),
        ),
        (
            chat.as_str(),
            404,
            format!("Chatflow {chat} is not configured as a webhook trigger"),
        ),
    ] {
        assert_refused(&serve.post(id, &json!({})), status, &message);
    }
    assert!(serve.pending().is_empty());
}

#[test]
fn method_type_and_declared_fields_are_checked_in_this_order() {
    let setup = installation();
    let serve = setup.start();
    let flow = serve.import(
        "checked",
        &flows::start_reply(&FlowOptions::sync().with(json!({
            "webhookEnableValidation": true,
            "webhookHeaderParams": [{ "name": "X-Source", "required": true }, { "name": "X-Run", "required": true }],
            "webhookBodyParams": [
                { "name": "who", "type": "string", "required": true },
                { "name": "count", "type": "number", "required": true },
                { "name": "flag", "type": "boolean", "required": false },
                { "name": "tags", "type": "array[string]", "required": false },
            ],
            "webhookQueryParams": [{ "name": "lane", "required": true }],
        }))),
    );
    let path = format!("/api/v1/webhook/{flow}");
    assert_refused(
        &serve.call("GET", &path, &[], None),
        405,
        "Method GET not allowed. Expected POST",
    );
    assert_refused(
        &json_call(&serve, "PUT", &path, &[], "{}"),
        405,
        "Method PUT not allowed. Expected POST",
    );
    let form = [("content-type", "application/x-www-form-urlencoded")];
    assert_refused(
        &serve.call("POST", &path, &form, Some(b"who=x")),
        415,
        "Content-Type application/x-www-form-urlencoded not allowed. Expected application/json",
    );
    let source = [("x-source", "ci"), ("x-run", "7")];
    for (headers, query, body, message) in [
        (
            &source[..0],
            "",
            json!({}),
            "Missing required headers: X-Source, X-Run",
        ),
        (&source[..1], "", json!({}), "Missing required headers: X-Run"),
        (
            &source[..],
            "",
            json!({}),
            "Missing required webhook body parameters: who, count",
        ),
        (
            &source[..],
            "",
            json!({"who": null, "count": 0}),
            "Missing required webhook body parameters: who",
        ),
        (
            &source[..],
            "",
            json!({"who": 5, "count": "many", "flag": "yes", "tags": ["a", 1]}),
            "Invalid type for parameter(s): who, count, flag, tags",
        ),
        (
            &source[..],
            "",
            json!({"who": "a", "count": "12"}),
            "Missing required query parameters: lane",
        ),
    ] {
        let reply = json_call(
            &serve,
            "POST",
            &format!("{path}{query}"),
            headers,
            &body.to_string(),
        );
        assert_refused(&reply, 400, message);
    }
    let good = json!({"who": "Ada", "count": "12", "flag": "true", "tags": [], "more": {}});
    let reply = json_call(
        &serve,
        "POST",
        &format!("{path}?lane="),
        &source,
        &good.to_string(),
    );
    assert_eq!(reply.expect(200, "a complete call").json()["text"], "Hello Ada!");
}

#[test]
fn signatures_are_checked_before_everything_else_about_the_call() {
    let setup = installation();
    let serve = setup.start();
    let signed = |kind: &str| {
        flows::start_reply(&FlowOptions::sync().with(json!({
            "webhookEnableAuth": true, "webhookSignatureType": kind, "webhookSignatureHeader": "X-Hub-Signature-256",
        })))
    };
    let flow = serve.import("hmac", &signed("hmac-sha256"));
    let path = format!("/api/v1/webhook/{flow}");
    let body = r#"{"who":"Ada"}"#;
    assert_refused(
        &json_call(
            &serve,
            "POST",
            &path,
            &[("x-hub-signature-256", "sha256=00")],
            body,
        ),
        500,
        "Webhook signature verification is enabled but no secret has been generated. Open the Start node and click Generate Secret.",
    );
    let secret = serve
        .manage("POST", &format!("/api/v1/chatflows/{flow}/webhook-secret"), None)
        .json();
    let secret = secret["webhookSecret"]
        .as_str()
        .expect("the secret is shown once")
        .to_owned();
    assert_eq!(secret.len(), 64, "32 bytes in hexadecimal");

    let missing = "Missing signature header: x-hub-signature-256";
    let invalid = "Invalid webhook signature";
    assert_refused(&json_call(&serve, "POST", &path, &[], body), 401, missing);
    assert_refused(&json_call(&serve, "PUT", &path, &[], body), 401, missing);
    let right = hex::encode(hmac_sha256(secret.as_bytes(), body.as_bytes()));
    let mut flipped = right.clone().into_bytes();
    flipped[10] = if flipped[10] == b'0' { b'1' } else { b'0' };
    let flipped = String::from_utf8(flipped).expect("hexadecimal");
    for wrong in [
        "zz".to_owned(),
        format!("sha512={right}"),
        format!("sha256={right}00"),
        right[..40].to_owned(),
        flipped,
    ] {
        let reply = json_call(&serve, "POST", &path, &[("x-hub-signature-256", &wrong)], body);
        assert_refused(&reply, 401, invalid);
    }
    let other_body = r#"{"who":"Eve"}"#;
    let reply = json_call(
        &serve,
        "POST",
        &path,
        &[("x-hub-signature-256", &format!("sha256={right}"))],
        other_body,
    );
    assert_refused(&reply, 401, invalid);

    for good in [right.clone(), format!("sha256={right}"), right.to_uppercase()] {
        let reply =
            json_call(&serve, "POST", &path, &[("x-hub-signature-256", &good)], body).expect(200, "signed");
        let text = reply.text();
        assert!(text.contains("Hello Ada!"), "{text}");
        assert!(
            !text.contains(&good),
            "the signature header is redacted in what the flow sees: {text}"
        );
    }

    let flow = serve.import("token", &signed("plain-token"));
    let secret = serve
        .manage("POST", &format!("/api/v1/chatflows/{flow}/webhook-secret"), None)
        .json();
    let secret = secret["webhookSecret"]
        .as_str()
        .expect("the secret is shown once")
        .to_owned();
    let path = format!("/api/v1/webhook/{flow}");
    for wrong in [
        format!("Bearer {secret}"),
        secret[1..].to_owned(),
        format!("{secret}x"),
    ] {
        assert_refused(
            &json_call(&serve, "POST", &path, &[("x-hub-signature-256", &wrong)], body),
            401,
            invalid,
        );
    }
    let reply =
        json_call(&serve, "POST", &path, &[("x-hub-signature-256", &secret)], body).expect(200, "token");
    assert!(!reply.text().contains(&secret), "the token is not shown again");
}

#[test]
fn a_failing_step_is_a_500_with_flowises_words_in_front() {
    let setup = installation();
    let serve = setup.start();
    let flow = serve.import(
        "fails",
        &flows::start_condition_gate(&FlowOptions::sync(), "no such comparison"),
    );
    let reply = serve
        .post(&flow, &json!({ "amount": 5 }))
        .expect(500, "the comparison does not exist");
    let message = reply.message();
    assert!(
        message.starts_with("Error: predictionsServices.buildChatflow - "),
        "{message}"
    );
    let executions = serve.get("/api/v1/executions");
    assert_eq!(executions["data"][0]["state"], "ERROR", "the run is on record");
}

#[test]
fn a_sync_call_is_answered_with_the_result() {
    let setup = installation();
    let serve = setup.start();
    let flow = serve.import("hello", &flows::start_reply(&FlowOptions::sync()));
    let headers = [("authorization", "Bearer s3cret-of-the-sender"), ("x-lane", "7")];
    let path = format!("/api/v1/webhook/{flow}?ref=a%26b");
    let reply = json_call(&serve, "POST", &path, &headers, r#"{"who":"Ada"}"#).expect(200, "sync");
    let body = reply.json();
    let keys: Vec<&String> = body.as_object().expect("an object").keys().collect();
    let expected = [
        "text",
        "question",
        "chatId",
        "chatMessageId",
        "executionId",
        "agentFlowExecutedData",
        "sessionId",
    ];
    assert_eq!(keys, expected, "the keys of the spec §8.1 in their order");
    assert_eq!(
        (&body["text"], &body["question"]),
        (&json!("Hello Ada!"), &json!(" "))
    );
    assert_eq!(body["sessionId"], body["chatId"]);
    let seen = &body["agentFlowExecutedData"][0]["data"]["output"]["webhook"];
    assert_eq!(seen["headers"]["authorization"], "[REDACTED]");
    assert_eq!(
        (&seen["headers"]["x-lane"], &seen["query"]["ref"]),
        (&json!("7"), &json!("a&b"))
    );
    assert!(
        !reply.text().contains("s3cret-of-the-sender"),
        "secrets of the sender are not shown"
    );

    let given = serve
        .post(&flow, &json!({ "who": "Bo", "chatId": "my-chat" }))
        .expect(200, "own chat id");
    assert_eq!(given.json()["chatId"], "my-chat");
}

#[test]
fn a_form_with_a_payload_is_read_as_json() {
    let setup = installation();
    let serve = setup.start();
    let flow = serve.import(
        "form",
        &flows::start_reply(&FlowOptions::sync().with(json!({ "webhookContentType": "" }))),
    );
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let path = format!("/api/v1/webhook/{flow}");
    let reply = serve.call("POST", &path, &form, Some(b"payload=%7B%22who%22%3A%22Ada%22%7D"));
    assert_eq!(reply.expect(200, "payload").json()["text"], "Hello Ada!");
    let reply = serve.call("POST", &path, &form, Some(b"who=Bo&more[a]=1"));
    assert_eq!(reply.expect(200, "plain form").json()["text"], "Hello Bo!");
}

#[test]
fn a_sync_gate_stops_and_is_answered_over_the_webhook() {
    let setup = installation();
    let serve = setup.start();
    let flow = serve.import("gate", &flows::start_gate_replies(&FlowOptions::sync()));
    for (word, text) in [("proceed", "released v1"), ("reject", "held v1")] {
        let stopped = serve
            .post(&flow, &json!({ "item": "v1" }))
            .expect(200, "stopped")
            .json();
        assert_eq!(stopped["text"], "\n\nRelease v1 now?");
        let action = &stopped["action"];
        assert_eq!(
            action["mapping"],
            json!({ "approve": "Proceed", "reject": "Reject" })
        );
        assert_eq!(
            action["elements"][0],
            json!({ "type": "agentflowv2-approve-button", "label": "Proceed" })
        );
        assert_eq!(action["data"]["nodeId"], "humanInputAgentflow_0");
        let pending = serve.wait_for_pending(1);
        assert_eq!(
            pending[0]["id"], action["id"],
            "the action's id is the approval's"
        );
        assert_eq!(pending[0]["title"], "Release v1 now?");

        let chat = &stopped["chatId"];
        let answer = json!({
            "chatId": chat,
            "humanInput": { "type": word, "startNodeId": "humanInputAgentflow_0", "feedback": "said so" },
        });
        let done = serve.post(&flow, &answer).expect(200, "answered").json();
        assert_eq!(done["text"], text);
        assert!(
            done.get("question").is_none() && done.get("action").is_none(),
            "no question on a resume: {done}"
        );
        assert_eq!(
            done["executionId"], stopped["executionId"],
            "the same execution goes on"
        );
        serve.wait_for_pending(0);
        let approval = serve.get(&format!(
            "/api/v1/approvals/{}",
            action["id"].as_str().expect("an id")
        ));
        assert_eq!(approval["decision"]["surface"], "webhook");
        assert_eq!(approval["decision"]["feedback"], "said so");

        let again = serve.post(&flow, &answer).expect(409, "the second answer");
        let state = if word == "proceed" { "approved" } else { "rejected" };
        assert!(
            again.message().starts_with(&format!("Approval already {state}")),
            "{}",
            again.message()
        );
    }
}

#[test]
fn an_answer_that_means_nothing_changes_nothing() {
    let setup = installation();
    let serve = setup.start();
    let flow = serve.import("gate", &flows::start_gate_replies(&FlowOptions::sync()));
    let stopped = serve
        .post(&flow, &json!({ "item": "v1" }))
        .expect(200, "stopped")
        .json();
    let chat = stopped["chatId"].clone();
    let before = serve.pending();
    for human_input in [
        json!(false),
        json!(0),
        json!(""),
        json!("proceed"),
        json!([]),
        json!({}),
        json!({"type": "yes"}),
        json!({"type": null}),
        json!({"type": "Proceed"}),
        json!({"type": ["proceed"]}),
    ] {
        let reply = serve.post(&flow, &json!({ "chatId": chat, "humanInput": human_input }));
        assert_eq!(reply.status, 400, "{human_input}: {}", reply.text());
    }
    for (body, status) in [
        (
            json!({ "chatId": chat, "humanInput": { "type": "proceed", "startNodeId": "directReplyAgentflow_0" } }),
            409,
        ),
        (
            json!({ "chatId": "another", "humanInput": { "type": "proceed" } }),
            404,
        ),
        (json!({ "humanInput": { "type": "proceed" } }), 404),
    ] {
        let reply = serve.post(&flow, &body);
        assert_eq!(reply.status, status, "{body}: {}", reply.text());
    }
    assert_eq!(serve.pending(), before, "the question waits as before");
    let good = serve.post(
        &flow,
        &json!({ "chatId": chat, "humanInput": { "type": "proceed" } }),
    );
    assert_eq!(
        good.expect(200, "a good answer still works").json()["text"],
        "released v1"
    );
}

#[test]
fn async_calls_are_answered_by_callbacks_signed_both_ways_and_in_order() {
    let setup = installation();
    let serve = setup.start();
    for secret in [SECRET, "plain text secret"] {
        let receiver = CallbackReceiver::new();
        let start = FlowOptions::callback(receiver.url("/cb"), Some(secret));
        let flow = serve.import("async", &flows::start_gate_replies(&start));
        let accepted = serve
            .post(&flow, &json!({ "item": "v1" }))
            .expect(202, "accepted")
            .json();
        assert_eq!(accepted["status"], "PROCESSING");
        assert_eq!(
            accepted.as_object().map(serde_json::Map::len),
            Some(2),
            "chat and status only: {accepted}"
        );

        let stopped = receiver.blocking_wait_for(1, SOON).remove(0);
        stopped.assert_signed(secret);
        assert_eq!(stopped.header("content-type"), Some("application/json"));
        let body = stopped.json();
        assert_eq!(
            (&body["status"], &body["chatId"]),
            (&json!("STOPPED"), &accepted["chatId"])
        );
        assert_eq!(body["data"]["text"], "\n\nRelease v1 now?");
        let approval = serve.wait_for_pending(1).remove(0);
        assert_eq!(body["data"]["action"]["id"], approval["id"]);
        assert_eq!(body["data"]["executionId"], approval["executionId"]);

        let answer = json!({ "chatId": accepted["chatId"], "humanInput": { "type": "reject" } });
        let resumed = serve.post(&flow, &answer).expect(202, "an async resume").json();
        assert_eq!(resumed, accepted);
        let success = receiver.blocking_wait_for(2, SOON).remove(1);
        success.assert_signed(secret);
        let body = success.json();
        assert_eq!(
            (&body["status"], &body["data"]["text"]),
            (&json!("SUCCESS"), &json!("held v1"))
        );
        assert_ne!(success.id(), stopped.id(), "each message has an id of its own");

        let again = serve
            .post(&flow, &answer)
            .expect(409, "told at once, also in async mode");
        assert!(
            again.message().starts_with("Approval already rejected"),
            "{}",
            again.message()
        );
        assert_only(2, &receiver, &serve);
    }
}

#[test]
fn an_async_run_that_fails_reports_an_error() {
    let setup = installation();
    let serve = setup.start();
    let receiver = CallbackReceiver::new();
    let start = FlowOptions::callback(receiver.url("/cb"), Some(SECRET));
    let flow = serve.import(
        "fails",
        &flows::start_condition_gate(&start, "no such comparison"),
    );
    let accepted = serve
        .post(&flow, &json!({ "amount": 5 }))
        .expect(202, "accepted")
        .json();
    let error = receiver.blocking_wait_for(1, SOON).remove(0);
    error.assert_signed(SECRET);
    let body = error.json();
    assert_eq!(
        (&body["status"], &body["chatId"]),
        (&json!("ERROR"), &accepted["chatId"])
    );
    let message = body["error"].as_str().unwrap_or_default();
    assert!(
        message.starts_with("Error: predictionsServices.buildChatflow - "),
        "{message}"
    );
}

#[test]
fn only_2xx_is_a_delivery_and_every_attempt_is_the_same_message() {
    let setup = installation().with_config("retry-plan-seconds = [0, 0, 0, 0, 0]\n");
    let serve = setup.start();
    let receiver = CallbackReceiver::answering(|_, before| match before {
        0 => ScriptedReply::status(500),
        1 => ScriptedReply::status(307).header("location", "/landed"),
        2 => ScriptedReply::dropped(),
        _ => ScriptedReply::status(204),
    });
    let flow = serve.import(
        "hello",
        &flows::start_reply(&FlowOptions::callback(receiver.url("/cb"), Some(SECRET))),
    );
    serve
        .post(&flow, &json!({ "who": "Ada" }))
        .expect(202, "accepted");
    let arrivals = receiver.blocking_wait_for(4, SOON);
    for arrival in &arrivals {
        assert_eq!(arrival.path, "/cb", "a redirect is not followed");
        assert_eq!(
            (arrival.id(), &arrival.body),
            (arrivals[0].id(), &arrivals[0].body),
            "the same id and bytes"
        );
        arrival.assert_signed(SECRET);
    }
    assert_only(4, &receiver, &serve);
    let callback = serve.get(&format!("/api/v1/callbacks/{}", arrivals[0].id()));
    assert_eq!(callback["state"], "delivered");
    let statuses: Vec<&Value> = callback["attempts"]
        .as_array()
        .expect("attempts")
        .iter()
        .map(|attempt| &attempt["status"])
        .collect();
    assert_eq!(statuses.len(), 4, "every attempt is on record: {callback}");
    assert_eq!(
        (statuses[0], statuses[1], statuses[3]),
        (&json!(500), &json!(307), &json!(204))
    );
}

#[test]
fn the_quick_attempts_come_after_0_3_and_6_seconds() {
    let setup = installation();
    let serve = setup.start();
    let receiver =
        CallbackReceiver::answering(|_, before| ScriptedReply::status(if before < 2 { 503 } else { 200 }));
    let flow = serve.import(
        "hello",
        &flows::start_reply(&FlowOptions::callback(receiver.url("/cb"), Some(SECRET))),
    );
    let posted = std::time::Instant::now();
    serve
        .post(&flow, &json!({ "who": "Ada" }))
        .expect(202, "accepted");
    let arrivals = receiver.blocking_wait_for(3, Duration::from_secs(20));
    let gaps = [
        arrivals[0].at - posted,
        arrivals[1].at - arrivals[0].at,
        arrivals[2].at - arrivals[1].at,
    ];
    for (gap, wanted) in gaps.iter().zip([0.0, 3.0, 6.0]) {
        let gap = gap.as_secs_f64();
        assert!(
            gap > wanted - 0.3 && gap < wanted + 2.5,
            "waited {gap:.1} s instead of {wanted} s: {gaps:?}"
        );
    }
}

#[test]
fn a_success_never_overtakes_its_stop() {
    let setup = installation().with_config("retry-plan-seconds = [0, 1, 1, 1, 1]\n");
    let serve = setup.start();
    let receiver =
        CallbackReceiver::answering(|_, before| ScriptedReply::status(if before < 2 { 500 } else { 200 }));
    let flow = serve.import(
        "gate",
        &flows::start_gate_replies(&FlowOptions::callback(receiver.url("/cb"), Some(SECRET))),
    );
    serve
        .post(&flow, &json!({ "item": "v1" }))
        .expect(202, "accepted");
    let approval = serve.wait_for_pending(1).remove(0);
    serve
        .decide(approval["id"].as_str().expect("an id"), "approve")
        .expect(200, "decided meanwhile");
    let statuses: Vec<String> = receiver
        .blocking_wait_for(4, SOON)
        .iter()
        .map(|arrival| arrival.status())
        .collect();
    assert_eq!(statuses, ["STOPPED", "STOPPED", "STOPPED", "SUCCESS"]);
}

#[test]
fn a_flow_without_a_url_uses_the_one_of_the_settings() {
    let setup = installation();
    let serve = setup.start();
    let receiver = CallbackReceiver::new();
    let flow = serve.import(
        "async",
        &flows::start_reply(&FlowOptions::sync().with(json!({ "webhookResponseMode": "async" }))),
    );
    serve
        .post(&flow, &json!({ "who": "nobody" }))
        .expect(202, "fire and forget");
    assert_only(0, &receiver, &serve);

    let change = json!({ "callbackUrl": receiver.url("/default"), "callbackSecret": SECRET });
    serve
        .manage("PATCH", "/api/v1/settings", Some(&change))
        .expect(200, "settings");
    serve
        .post(&flow, &json!({ "who": "Ada" }))
        .expect(202, "accepted");
    let callback = receiver.blocking_wait_for(1, SOON).remove(0);
    assert_eq!(
        (callback.path.as_str(), callback.json()["data"]["text"].as_str()),
        ("/default", Some("Hello Ada!"))
    );
    callback.assert_signed(SECRET);
}

#[test]
fn a_callers_callback_url_is_off_unless_allowed_and_only_for_listed_origins() {
    let setup = installation().with(&["--outbound-loopback", "allow"]);
    let serve = setup.start();
    let receiver = CallbackReceiver::new();
    let flow = serve.import(
        "hello",
        &flows::start_reply(&FlowOptions::sync().with(json!({ "callbackSecret": SECRET }))),
    );
    let path = format!("/api/v1/webhook/{flow}");
    let call = |url: &str| {
        json_call(
            &serve,
            "POST",
            &path,
            &[("x-callback-url", url)],
            r#"{"who":"Ada"}"#,
        )
    };
    let settings = |change: Value| {
        serve
            .manage("PATCH", "/api/v1/settings", Some(&change))
            .expect(200, "settings")
    };
    let url = receiver.url("/caller");

    assert_eq!(
        call(&url).expect(200, "off: the header means nothing").json()["text"],
        "Hello Ada!"
    );
    settings(json!({ "acceptCallerCallbackUrl": true, "callerCallbackOrigins": ["https://ci.example.org"] }));
    let refused = call(&url);
    assert!(
        (400..=403).contains(&refused.status),
        "an origin that is not listed: {}",
        refused.text()
    );
    assert_only(0, &receiver, &serve);

    settings(json!({ "callerCallbackOrigins": [format!("http://{}", receiver.address())] }));
    for wrong in ["ftp://127.0.0.1/x", "not a url", "/relative"] {
        assert_refused(
            &call(wrong),
            400,
            "Invalid callbackUrl: must be a valid http or https URL",
        );
    }
    call(&url).expect(202, "a listed origin makes the call asynchronous");
    let callback = receiver.blocking_wait_for(1, SOON).remove(0);
    assert_eq!(
        (callback.path.as_str(), callback.status().as_str()),
        ("/caller", "SUCCESS")
    );
    callback.assert_signed(SECRET);
}

#[test]
fn a_callers_url_never_reaches_this_machine_by_default() {
    // With one attempt only, so that the refused one is the end of it.
    let setup = installation().with_config("retry-plan-seconds = [0]\noutbound-loopback = \"allow\"\n");
    let serve = setup.start();
    let receiver = CallbackReceiver::new();
    let flow = serve.import("hello", &flows::start_reply(&FlowOptions::sync()));
    let origin = format!("http://{}", receiver.address());
    let change = json!({ "acceptCallerCallbackUrl": true, "callerCallbackOrigins": [origin] });
    serve
        .manage("PATCH", "/api/v1/settings", Some(&change))
        .expect(200, "settings");
    serve.kill();
    // What was allowed then does not count now; and it would not be taken again.
    let setup = setup.with_config("retry-plan-seconds = [0]\n");
    let serve = setup.start();
    let refused = serve.manage("PATCH", "/api/v1/settings", Some(&change));
    assert_eq!(refused.status, 400, "{}", refused.text());
    assert!(refused.text().contains(&origin), "{}", refused.text());
    let path = format!("/api/v1/webhook/{flow}");
    let reply = json_call(
        &serve,
        "POST",
        &path,
        &[("x-callback-url", &receiver.url("/cb"))],
        r#"{"who":"Ada"}"#,
    );
    assert!(matches!(reply.status, 202 | 400 | 403), "{}", reply.text());
    assert_only(0, &receiver, &serve);
}

#[test]
fn an_async_flow_with_a_callback_that_is_no_web_address_is_refused() {
    let setup = installation();
    let serve = setup.start();
    for url in ["ftp://127.0.0.1/x", "not a url", "/relative"] {
        let flow = serve.import(
            url,
            &flows::start_gate_replies(&FlowOptions::callback(url, Some(SECRET))),
        );
        let reply = serve.post(&flow, &json!({ "item": "v1" }));
        assert_refused(
            &reply,
            400,
            "Invalid callbackUrl: must be a valid http or https URL",
        );
    }
    assert_eq!(serve.get("/api/v1/executions")["total"], 0, "nothing was started");
}

#[test]
fn two_gates_ask_one_after_the_other() {
    let setup = installation();
    let serve = setup.start();
    let flow = serve.import("two", &flows::start_two_gates(&FlowOptions::sync()));
    let first = serve
        .post(&flow, &json!({ "item": "v1" }))
        .expect(200, "stopped")
        .json();
    let chat = first["chatId"].clone();
    let answer = |node: &str, word: &str| {
        serve.post(
            &flow,
            &json!({ "chatId": chat, "humanInput": { "type": word, "startNodeId": node } }),
        )
    };
    let second = answer("humanInputAgentflow_0", "proceed")
        .expect(200, "the next gate")
        .json();
    assert_eq!(second["action"]["data"]["nodeId"], "humanInputAgentflow_1");
    assert_ne!(second["action"]["id"], first["action"]["id"]);
    answer("humanInputAgentflow_0", "reject").expect(409, "the first gate has its answer");
    let done = answer("humanInputAgentflow_1", "reject")
        .expect(200, "done")
        .json();
    assert_eq!(done["text"], "held late v1");
    let states: Vec<Value> = done["agentFlowExecutedData"]
        .as_array()
        .expect("records")
        .iter()
        .map(|record| json!([record["nodeId"], record["status"]]))
        .collect();
    assert_eq!(states.len(), 4, "each step is recorded once: {states:?}");
}

#[test]
fn a_condition_asks_only_on_its_branch() {
    let setup = installation();
    let serve = setup.start();
    let flow = serve.import(
        "refund",
        &flows::start_condition_gate(&FlowOptions::sync(), "larger"),
    );
    let small = serve
        .post(&flow, &json!({ "amount": 5 }))
        .expect(200, "small")
        .json();
    assert_eq!(small["text"], "paid 5");
    let large = serve
        .post(&flow, &json!({ "amount": 500 }))
        .expect(200, "large")
        .json();
    assert_eq!(large["text"], "\n\nPay 500?");
    assert_eq!(serve.pending().len(), 1);
}
