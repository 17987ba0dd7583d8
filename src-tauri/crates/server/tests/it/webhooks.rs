//! Each status of the webhook spec §4, and answering over the webhook.

use axum::body::Body;
use countersign_signature::{Secret, flowise_signature};
use serde_json::{Value, json};

use crate::support::{House, eventually, gate_flow, reply_flow, request};

const UNKNOWN: &str = "/api/v1/webhook/00000000-0000-4000-8000-000000000001";

#[tokio::test]
async fn addresses_that_lead_nowhere() {
    let house = House::open().await;
    for (path, status, message) in [
        (
            "/api/v1/webhook",
            412,
            "Error: webhookController.createWebhook - id not provided!",
        ),
        (
            "/api/v1/webhook/",
            412,
            "Error: webhookController.createWebhook - id not provided!",
        ),
        ("/api/v1/webhook/not-a-uuid", 400, "Invalid Chatflow ID"),
        (
            "/api/v1/webhook/00000000-0000-1000-8000-000000000001",
            400,
            "Invalid Chatflow ID",
        ),
        (
            UNKNOWN,
            404,
            "Chatflow 00000000-0000-4000-8000-000000000001 not found in the database!",
        ),
        ("/api/v1/webhook/%zz", 400, "URI malformed"),
        ("/api/v1/webhook/%ff", 400, "URI malformed"),
    ] {
        let answer = house.post(path, &json!({ "a": 1 })).await;
        assert_eq!(answer.refusal(), (status, message.to_owned()), "{path}");
    }
    assert_eq!(
        house
            .post(&format!("{UNKNOWN}/more"), &json!({}))
            .await
            .refusal()
            .0,
        404
    );
    let flow = house.import(&reply_flow(json!({}))).await;
    assert_eq!(
        house.post(&format!("{flow}/"), &json!({})).await.status,
        200,
        "a slash at the end"
    );
    let upper = flow.rsplit('/').next().unwrap().to_uppercase();
    if upper.bytes().any(|byte| byte.is_ascii_uppercase()) {
        let answer = house.post(&format!("/api/v1/webhook/{upper}"), &json!({})).await;
        assert_eq!(
            answer.refusal(),
            (404, format!("Chatflow {upper} not found in the database!"))
        );
    }
}

#[tokio::test]
async fn method_and_type_of_the_flow() {
    let house = House::open().await;
    let path = house.import(&reply_flow(json!({}))).await;
    for method in ["GET", "PUT", "PATCH", "DELETE"] {
        let answer = house.send(request(method, &path, &[], Body::empty())).await;
        assert_eq!(
            answer.refusal(),
            (405, format!("Method {method} not allowed. Expected POST"))
        );
    }
    let head = house.send(request("HEAD", &path, &[], Body::empty())).await;
    assert_eq!(head.status, 405, "{head:?}");
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let answer = house.send(request("POST", &path, &form, "who=x")).await;
    let message = "Content-Type application/x-www-form-urlencoded not allowed. Expected application/json";
    assert_eq!(answer.refusal(), (415, message.to_owned()));
    let patch = [("content-type", "application/json-patch+json")];
    assert_eq!(
        house.send(request("POST", &path, &patch, "[{}]")).await.status,
        200
    );
    assert_eq!(house.traces().await.0, 1, "only the good call ran");
}

#[tokio::test]
async fn required_parts_are_checked_in_order() {
    let house = House::open().await;
    let path = house
        .import(&reply_flow(json!({
            "webhookEnableValidation": true,
            "webhookHeaderParams": [{ "name": "X-Source", "required": true }],
            "webhookBodyParams": [
                { "name": "who", "type": "string", "required": true },
                { "name": "count", "type": "number", "required": true }
            ],
            "webhookQueryParams": [{ "name": "lane", "required": true }]
        })))
        .await;
    let call = async |query: &str, source: bool, body: Value| {
        let mut headers = vec![("content-type", "application/json")];
        if source {
            headers.push(("x-source", "me"));
        }
        house
            .send(request(
                "POST",
                &format!("{path}{query}"),
                &headers,
                body.to_string(),
            ))
            .await
    };
    let good = json!({ "who": "a", "count": 1 });
    for (query, source, body, message) in [
        (
            "?lane=1",
            false,
            good.clone(),
            "Missing required headers: X-Source",
        ),
        (
            "?lane=1",
            true,
            json!({}),
            "Missing required webhook body parameters: who, count",
        ),
        // Flowise answers nothing at all here.
        (
            "?lane=1",
            true,
            json!({ "streaming": true }),
            "Missing required webhook body parameters: who, count",
        ),
        (
            "?lane=1",
            true,
            json!({ "who": 5, "count": "many" }),
            "Invalid type for parameter(s): who, count",
        ),
        ("", true, good.clone(), "Missing required query parameters: lane"),
    ] {
        assert_eq!(
            call(query, source, body).await.refusal(),
            (400, message.to_owned())
        );
    }
    assert_eq!(
        call("", false, json!({ "humanInput": false })).await.refusal().0,
        400,
        "no way around the checks"
    );
    let answer = call("?lane=1", true, good).await;
    assert_eq!(answer.json()["text"], "Hello a on 1!", "{answer:?}");
}

#[tokio::test]
async fn signatures() {
    let house = House::open().await;
    let flow = reply_flow(json!({ "webhookEnableAuth": true, "webhookSignatureType": "hmac-sha256" }));
    let path = house.import(&flow).await;
    let id = path.rsplit('/').next().unwrap();
    let body = r#"{"who":"signed"}"#;
    let call = async |signature: Option<&str>, body: &str| {
        let mut headers = vec![("content-type", "application/json")];
        headers.extend(signature.map(|value| ("x-webhook-signature", value)));
        house
            .send(request("POST", &path, &headers, body.to_owned()))
            .await
    };
    let answer = call(None, body).await;
    assert_eq!(answer.refusal().0, 500, "no secret was generated yet");
    let answer = house
        .manage("POST", &format!("/api/v1/chatflows/{id}/webhook-secret"), None)
        .await;
    let secret = answer.json()["webhookSecret"].as_str().unwrap().to_owned();
    assert_eq!(secret.len(), 64, "{answer:?}");
    let valid = flowise_signature(&Secret::new(secret).unwrap(), body.as_bytes());

    let missing = (401, "Missing signature header: x-webhook-signature".to_owned());
    let wrong = (401, "Invalid webhook signature".to_owned());
    assert_eq!(call(None, body).await.refusal(), missing);
    assert_eq!(call(Some(""), body).await.refusal(), missing);
    assert_eq!(call(Some("sha256=00"), body).await.refusal(), wrong);
    assert_eq!(
        call(Some(&valid), r#"{"who":"signed" }"#).await.refusal(),
        wrong,
        "over other bytes"
    );
    assert_eq!(call(Some(&valid), body).await.status, 200);

    // The bytes of a form are signed as they came, not what was unwrapped from them.
    let any = reply_flow(json!({
        "webhookEnableAuth": true, "webhookSignatureType": "hmac-sha256", "webhookContentType": ""
    }));
    let answer = house
        .manage(
            "PUT",
            &format!("/api/v1/chatflows/{id}"),
            Some(&json!({ "flowData": any.to_string() })),
        )
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let secret = house
        .manage("POST", &format!("/api/v1/chatflows/{id}/webhook-secret"), None)
        .await
        .json();
    let secret = Secret::new(secret["webhookSecret"].as_str().unwrap()).unwrap();
    let form = "payload=%7B%22who%22%3A%22P%22%7D";
    let signature = flowise_signature(&secret, form.as_bytes());
    let headers = [
        ("content-type", "application/x-www-form-urlencoded"),
        ("x-webhook-signature", signature.as_str()),
    ];
    let answer = house.send(request("POST", &path, &headers, form)).await;
    assert_eq!(
        answer.json()["text"],
        "Hello P on {{ $webhook.query.lane }}!",
        "{answer:?}"
    );
}

#[tokio::test]
async fn stop_and_answer_in_sync_mode() {
    let house = House::open().await;
    let path = house.import(&gate_flow(json!({}))).await;
    let stopped = house.post(&path, &json!({ "item": "v1" })).await.json();
    assert_eq!(stopped["text"], "\n\nRelease v1 now?", "{stopped}");
    assert_eq!(stopped["action"]["mapping"]["approve"], "Proceed", "{stopped}");
    let chat = &stopped["chatId"];

    let unknown = json!({ "chatId": "nobody", "humanInput": { "type": "proceed" } });
    assert_eq!(house.post(&path, &unknown).await.refusal().0, 404);
    for bad in [
        json!("proceed"),
        json!({ "type": "maybe" }),
        json!({}),
        json!([]),
        json!(7),
    ] {
        let answer = house
            .post(&path, &json!({ "chatId": chat, "humanInput": bad }))
            .await;
        assert_eq!(answer.refusal().0, 400, "{bad}");
    }
    let elsewhere = json!({ "chatId": chat, "humanInput": { "type": "proceed", "startNodeId": "humanInputAgentflow_9" } });
    assert_eq!(house.post(&path, &elsewhere).await.refusal().0, 409);

    let answer = json!({ "chatId": chat, "humanInput": { "type": "proceed" } });
    let finished = house.post(&path, &answer).await.json();
    assert_eq!(finished["text"], "released", "{finished}");
    let second = house.post(&path, &answer).await;
    let (status, message) = second.refusal();
    assert_eq!(status, 409, "{message}");
    assert!(message.starts_with("Approval already approved"), "{message}");
    assert_eq!(
        second.json().get("approval"),
        None,
        "webhook clients get Flowise's keys only"
    );
}

#[tokio::test]
async fn asynchronous_mode() {
    let house = House::open().await;
    let path = house
        .import(&gate_flow(json!({ "webhookResponseMode": "async" })))
        .await;
    let answer = house.post(&path, &json!({ "item": "v1" })).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let chat = answer.json()["chatId"].clone();
    assert_eq!(answer.json(), json!({ "chatId": chat, "status": "PROCESSING" }));
    eventually("the run comes to its gate", async || house.traces().await.1 == 1).await;
    let answer = house
        .post(
            &path,
            &json!({ "chatId": chat, "humanInput": { "type": "reject" } }),
        )
        .await;
    assert_eq!(answer.status, 202, "{answer:?}");

    let bad = house
        .import(&reply_flow(
            json!({ "webhookResponseMode": "async", "callbackUrl": "ftp://x" }),
        ))
        .await;
    let answer = house.post(&bad, &json!({})).await;
    let message = "Invalid callbackUrl: must be a valid http or https URL".to_owned();
    assert_eq!(answer.refusal(), (400, message));
}

/// A flow that starts with a chat message or a form.
fn chat_flow(trigger: &str, message: &str) -> Value {
    let mut flow = reply_flow(json!({ "startInputType": trigger }));
    for node in flow["nodes"].as_array_mut().unwrap() {
        if node["data"]["name"] == "directReplyAgentflow" {
            node["data"]["inputs"]["directReplyMessage"] = message.into();
        }
    }
    flow
}

#[tokio::test]
async fn prediction_runs_what_starts_with_a_chat_or_a_form() {
    let house = House::open().await;
    let chat = house
        .import(&chat_flow("chatInput", "You said {{ question }}"))
        .await;
    let path = chat.replace("/webhook/", "/prediction/");
    let answer = house
        .post(&path, &json!({ "question": "hi", "chatId": "c-1" }))
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let body = answer.json();
    assert_eq!(
        (&body["text"], &body["question"], &body["chatId"]),
        (&json!("You said hi"), &json!("hi"), &json!("c-1"))
    );
    let form = house
        .import(&chat_flow("formInput", "Size {{ $form.size }}"))
        .await;
    let path = form.replace("/webhook/", "/prediction/");
    let answer = house.post(&path, &json!({ "form": { "size": 3 } })).await;
    assert_eq!(answer.json()["text"], "Size 3", "{answer:?}");
    let both = house
        .post(&path, &json!({ "form": { "size": 3 }, "question": "x" }))
        .await;
    assert_eq!(
        both.refusal(),
        (
            500,
            "Error: predictionsServices.buildChatflow - Question and form cannot be provided at the same time"
                .to_owned()
        )
    );
    let history = house
        .post(
            &path,
            &json!({ "form": { "size": 3 }, "history": [{ "role": "x" }] }),
        )
        .await;
    assert!(
        history.refusal().1.contains("Invalid history format"),
        "{history:?}"
    );
    let unknown = "/api/v1/prediction/00000000-0000-4000-8000-000000000001";
    assert_eq!(
        house.post(unknown, &json!({ "question": "x" })).await.refusal().0,
        404
    );
    assert_eq!(
        house.post("/api/v1/prediction", &json!({})).await.refusal().0,
        412
    );
}

#[tokio::test]
async fn a_person_starts_a_flow_and_does_not_wait() {
    let house = House::open().await;
    let mut flow = chat_flow("formInput", "Size {{ $form.size }}");
    flow["nodes"][0]["data"]["inputs"]["formInputTypes"] =
        json!([{ "type": "number", "label": "Size", "name": "size" }]);
    let path = house.import(&flow).await.replace("/webhook/", "/chatflows/");
    let start = format!("{path}/start");
    let view = house.manage("GET", &path, None).await.json();
    assert_eq!(
        (&view["startsBy"], &view["form"]["fields"][0]["type"]),
        (&json!("form"), &json!("number")),
        "{view}"
    );
    let wrong = json!({ "form": { "size": "large" } });
    let refused = house.manage("POST", &start, Some(&wrong)).await;
    assert_eq!(
        refused.refusal(),
        (400, "“Size” must be a number. Nothing was started.".to_owned())
    );
    let unknown = json!({ "form": { "size": 3 }, "chatId": "c-1" });
    assert_eq!(
        house.manage("POST", &start, Some(&unknown)).await.refusal().0,
        400
    );
    let run = house
        .manage("POST", &start, Some(&json!({ "form": { "size": 3 } })))
        .await
        .json();
    let run = format!("/api/v1/executions/{}", run["id"].as_str().unwrap());
    eventually("the run has finished", async || {
        house.manage("GET", &run, None).await.json()["state"] == "FINISHED"
    })
    .await;
    let done = house.manage("GET", &run, None).await.json();
    assert!(
        done["executionData"].as_str().unwrap().contains("Size 3"),
        "{done}"
    );
}

#[tokio::test]
async fn a_watched_run_tells_each_step_and_ends() {
    let house = House::open().await;
    let chat = house
        .import(&chat_flow("chatInput", "You said {{ question }}"))
        .await;
    let path = chat.replace("/webhook/", "/prediction/");
    let answer = house
        .post(&path, &json!({ "question": "hi", "streaming": true }))
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(
        answer.header("content-type").starts_with("text/event-stream"),
        "{answer:?}"
    );
    for (name, value) in [
        ("cache-control", "no-cache"),
        ("connection", "keep-alive"),
        ("x-accel-buffering", "no"),
    ] {
        assert_eq!(answer.header(name), value, "{name}");
    }
    let frames: Vec<Value> = answer
        .text
        .split("\n\n")
        .filter(|frame| !frame.is_empty())
        .map(|frame| serde_json::from_str(frame.strip_prefix("message:\ndata:").unwrap()).unwrap())
        .collect();
    let told: Vec<&str> = frames
        .iter()
        .map(|frame| frame["event"].as_str().unwrap())
        .collect();
    assert_eq!(
        told,
        [
            "agentFlowEvent",
            "nextAgentFlow",
            "nextAgentFlow",
            "agentFlowExecutedData",
            "nextAgentFlow",
            "token",
            "nextAgentFlow",
            "agentFlowExecutedData",
            "agentFlowEvent",
            "metadata",
            "end"
        ]
    );
    assert_eq!(frames[5]["data"], "You said hi");
    assert_eq!(frames[10]["data"], "[DONE]");
}
