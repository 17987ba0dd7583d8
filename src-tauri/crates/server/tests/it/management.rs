//! The management API: its token, its routes, its refusals.

use axum::body::Body;
use serde_json::{Value, json};

use crate::support::{House, SOON, eventually, gate_flow, reply_flow, request};

const ID: &str = "01890000-0000-7000-8000-000000000001";

#[tokio::test]
async fn nothing_without_the_token() {
    let house = House::open().await;
    let routes = [
        ("GET", "/api/v1/chatflows"),
        ("POST", "/api/v1/chatflows"),
        ("GET", "/api/v1/chatflows/x"),
        ("PUT", "/api/v1/chatflows/x"),
        ("DELETE", "/api/v1/chatflows/x"),
        ("POST", "/api/v1/chatflows/x/webhook-secret"),
        ("DELETE", "/api/v1/chatflows/x/webhook-secret"),
        ("GET", "/api/v1/chatflows/x/policy"),
        ("PUT", "/api/v1/chatflows/x/policy"),
        ("POST", "/api/v1/chatflows/x/start"),
        ("GET", "/api/v1/variables"),
        ("PUT", "/api/v1/variables/x"),
        ("DELETE", "/api/v1/variables/x"),
        ("GET", "/api/v1/connections"),
        ("PUT", "/api/v1/connections/x"),
        ("DELETE", "/api/v1/connections/x"),
        ("GET", "/api/v1/executions"),
        ("GET", "/api/v1/executions/x"),
        ("POST", "/api/v1/executions/x/continue"),
        ("POST", "/api/v1/executions/x/cancel"),
        ("GET", "/api/v1/approvals"),
        ("GET", "/api/v1/approvals/x"),
        ("POST", "/api/v1/approvals/x/decision"),
        ("GET", "/api/v1/approvals/x/wait"),
        ("GET", "/api/v1/callbacks"),
        ("GET", "/api/v1/callbacks/x"),
        ("POST", "/api/v1/callbacks/x/redeliver"),
        ("GET", "/api/v1/settings"),
        ("PATCH", "/api/v1/settings"),
        ("POST", "/api/v1/settings/test-callback"),
        ("POST", "/api/v1/settings/test-notification"),
        ("GET", "/api/v1/status"),
        ("GET", "/api/v1/events"),
        ("GET", "/api/v1/unknown"),
        ("GET", "/api/v2/x"),
        ("GET", "/api/"),
    ];
    let token = house.app.api_token().to_owned();
    for (method, path) in routes {
        let answer = house.send(request(method, path, &[], Body::empty())).await;
        assert_eq!(answer.status, 401, "{method} {path}");
        assert_eq!(
            answer.json(),
            json!({ "error": "Unauthorized Access" }),
            "as recorded: {method} {path}"
        );
        assert_eq!(answer.header("www-authenticate"), "Bearer", "{method} {path}");
    }
    let in_query = house
        .send(request(
            "GET",
            &format!("/api/v1/status?token={token}"),
            &[],
            Body::empty(),
        ))
        .await;
    assert_eq!(in_query.status, 401, "a token in the URL is none");
    let bare = house
        .send(request(
            "GET",
            "/api/v1/status",
            &[("authorization", &token)],
            Body::empty(),
        ))
        .await;
    assert_eq!(bare.status, 401, "without its scheme it is none");
    for scheme in ["Bearer", "bearer"] {
        let header = format!("{scheme} {token}");
        let answer = house
            .send(request(
                "GET",
                "/api/v1/status",
                &[("authorization", &header)],
                Body::empty(),
            ))
            .await;
        assert_eq!(answer.status, 200, "{scheme}");
    }
}

#[tokio::test]
async fn guessing_slows_down_and_locks_nobody_out() {
    let house = House::open().await;
    let mut statuses = Vec::new();
    for guess in 0..30 {
        let header = format!("Bearer guess-{guess}");
        let answer = house
            .send(request(
                "GET",
                "/api/v1/status",
                &[("authorization", &header)],
                Body::empty(),
            ))
            .await;
        statuses.push(answer.status.as_u16());
        if answer.status == 429 {
            assert!(
                answer.header("retry-after").parse::<u64>().unwrap() <= 60,
                "{answer:?}"
            );
        }
    }
    assert_eq!(statuses[0], 401);
    assert_eq!(statuses[29], 429);
    assert_eq!(
        house.manage("GET", "/api/v1/status", None).await.status,
        200,
        "the right token still works"
    );
}

#[tokio::test]
async fn open_routes() {
    let house = House::open().await;
    let get = async |path: &str| house.send(request("GET", path, &[], Body::empty())).await;
    assert_eq!(get("/api/v1/ping").await.text, "pong");
    assert_eq!(get("/healthz").await.json(), json!({ "status": "ok" }));
    assert_eq!(get("/readyz").await.json(), json!({ "status": "ready" }));
    let answer = house.send(request("POST", "/healthz", &[], Body::empty())).await;
    assert_eq!(answer.refusal().0, 405);
    assert!(answer.header("allow").contains("GET"), "{answer:?}");
}

#[tokio::test]
async fn flows() {
    let house = House::open().await;
    let export = gate_flow(json!({}));
    let form =
        json!({ "name": "Gate", "type": "AGENTFLOW", "deployed": false, "flowData": export.to_string() });
    let created = house.manage("POST", "/api/v1/chatflows", Some(&form)).await;
    assert_eq!(created.status, 200, "{created:?}");
    let flow = created.json();
    let path = format!("/api/v1/chatflows/{}", flow["id"].as_str().unwrap());
    assert_eq!(
        (&flow["name"], &flow["type"]),
        (&json!("Gate"), &json!("AGENTFLOW")),
        "{flow}"
    );
    assert_eq!(flow["flowData"], export.to_string(), "kept unchanged");
    assert_eq!(house.manage("GET", &path, None).await.json(), flow);

    let plain = house.manage("POST", "/api/v1/chatflows", Some(&export)).await;
    assert_eq!(plain.status, 200, "the export as it is: {plain:?}");
    let list = house
        .manage("GET", "/api/v1/chatflows?type=AGENTFLOW", None)
        .await
        .json();
    assert_eq!(list.as_array().unwrap().len(), 2, "{list}");

    let renamed = house
        .manage("PUT", &path, Some(&json!({ "name": "Better" })))
        .await
        .json();
    assert_eq!(
        (&renamed["name"], &renamed["flowData"]),
        (&json!("Better"), &flow["flowData"]),
        "{renamed}"
    );
    let other = reply_flow(json!({}));
    let replaced = house
        .manage("PUT", &path, Some(&json!({ "flowData": other.to_string() })))
        .await
        .json();
    assert_eq!(
        (&replaced["name"], &replaced["flowData"]),
        (&json!("Better"), &json!(other.to_string())),
        "{replaced}"
    );
    assert_eq!(replaced["id"], flow["id"]);

    let secret = format!("{path}/webhook-secret");
    assert_eq!(
        house.manage("POST", &secret, None).await.json()["webhookSecret"]
            .as_str()
            .unwrap()
            .len(),
        64
    );
    let shown = house.manage("GET", &path, None).await;
    assert_eq!(shown.json()["hasWebhookSecret"], true, "{shown:?}");
    assert_eq!(house.manage("DELETE", &secret, None).await.status, 204);
    assert_eq!(
        house.manage("GET", &path, None).await.json()["hasWebhookSecret"],
        false
    );

    assert_eq!(house.manage("DELETE", &path, None).await.status, 200);
    assert_eq!(house.manage("GET", &path, None).await.refusal().0, 404);
    assert_eq!(house.manage("DELETE", &path, None).await.refusal().0, 404);
}

#[tokio::test]
async fn imports_that_are_refused() {
    let house = House::open().await;
    let token = format!("Bearer {}", house.app.api_token());
    for body in [
        json!({ "name": "x", "type": "AGENTFLOW" }),
        json!({ "name": "x", "flowData": "{" }),
        json!({ "name": "x", "flowData": { "nodes": [], "edges": [] } }),
        json!({ "nodes": [], "edges": [] }),
        json!([]),
        json!(5),
    ] {
        let answer = house.manage("POST", "/api/v1/chatflows", Some(&body)).await;
        assert_eq!(answer.refusal().0, 400, "{body}");
    }
    let png: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
    for (kind, status) in [
        ("image/png", 400),
        ("application/json", 400),
        ("application/x-www-form-urlencoded", 400),
    ] {
        let headers = [("authorization", token.as_str()), ("content-type", kind)];
        let answer = house
            .send(request("POST", "/api/v1/chatflows", &headers, png))
            .await;
        assert_eq!(answer.refusal().0, status, "{kind}");
    }
    let untyped = house
        .send(request(
            "POST",
            "/api/v1/chatflows",
            &[("authorization", &token)],
            "{}",
        ))
        .await;
    assert_eq!(untyped.refusal().0, 400);
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let headers = [
        ("authorization", token.as_str()),
        ("content-type", "application/json"),
    ];
    let answer = house
        .send(request("POST", "/api/v1/chatflows", &headers, deep))
        .await;
    assert_eq!(answer.refusal().0, 400, "10,000 levels");
    let list = house.manage("GET", "/api/v1/chatflows", None).await.json();
    assert_eq!(list, json!([]), "nothing was kept");
}

async fn stopped(house: &House) -> Value {
    let path = house.import(&gate_flow(json!({}))).await;
    let answer = house.post(&path, &json!({ "item": "v1" })).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

#[tokio::test]
async fn approvals_are_listed_and_decided_once() {
    let house = House::open().await;
    let stopped = stopped(&house).await;
    let page = house
        .manage("GET", "/api/v1/approvals?state=pending&limit=10", None)
        .await
        .json();
    let approval = &page["approvals"][0];
    assert_eq!(approval["id"], stopped["action"]["id"], "{page}");
    assert_eq!(
        (&page["next"], &page["pending"]),
        (&Value::Null, &json!(1)),
        "{page}"
    );
    for key in [
        "state",
        "flowId",
        "flowName",
        "executionId",
        "chatId",
        "nodeId",
        "title",
        "body",
        "createdAt",
        "contentHash",
    ] {
        assert!(approval[key].is_string(), "{key}: {approval}");
    }
    let path = format!("/api/v1/approvals/{}", approval["id"].as_str().unwrap());
    let decision = format!("{path}/decision");
    for bad in [
        json!({}),
        json!({ "outcome": "maybe" }),
        json!({ "outcome": true }),
        json!([]),
        json!("approve"),
        json!({ "outcome": "approve", "force": true }),
        json!({ "outcome": "approve", "feedback": 7 }),
    ] {
        assert_eq!(
            house.manage("POST", &decision, Some(&bad)).await.refusal().0,
            400,
            "{bad}"
        );
    }
    let stale = json!({ "outcome": "approve", "contentHash": "0".repeat(64) });
    assert_eq!(
        house.manage("POST", &decision, Some(&stale)).await.json()["code"],
        "content-changed"
    );
    let get = house.manage("GET", &decision, None).await;
    assert_eq!(
        (get.refusal().0, get.header("allow")),
        (405, "POST"),
        "a GET never decides"
    );
    assert_eq!(
        house.manage("GET", &path, None).await.json()["state"],
        "pending",
        "nothing was decided so far"
    );

    let answer = house
        .manage(
            "POST",
            &decision,
            Some(&json!({ "outcome": "reject", "feedback": "not today" })),
        )
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let decided = answer.json();
    assert_eq!(
        (&decided["state"], &decided["decision"]["surface"]),
        (&json!("rejected"), &json!("api")),
        "{decided}"
    );
    assert_eq!(decided["decision"]["feedback"], "not today", "{decided}");

    let second = house
        .manage("POST", &decision, Some(&json!({ "outcome": "approve" })))
        .await;
    let (status, message) = second.refusal();
    assert_eq!(status, 409, "{message}");
    assert_eq!(second.json()["code"], "already-decided");
    assert_eq!(
        second.json()["approval"]["decision"],
        decided["decision"],
        "who, when and where: {second:?}"
    );

    let unknown = format!("/api/v1/approvals/{ID}");
    assert_eq!(house.manage("GET", &unknown, None).await.refusal().0, 404);
    let body = json!({ "outcome": "approve" });
    assert_eq!(
        house
            .manage("POST", &format!("{unknown}/decision"), Some(&body))
            .await
            .refusal()
            .0,
        404
    );
    for query in [
        "?state=perhaps",
        "?limit=0",
        "?limit=x",
        "?cursor=x",
        "?unknown=1",
    ] {
        let answer = house
            .manage("GET", &format!("/api/v1/approvals{query}"), None)
            .await;
        assert_eq!(answer.refusal().0, 400, "{query}");
    }
}

#[tokio::test]
async fn our_own_clients_say_who_they_are() {
    let house = House::open().await;
    let token = format!("Bearer {}", house.app.api_token());
    let decide = async |id: &str, surface: &str, person: &str| {
        let headers = [
            ("authorization", token.as_str()),
            ("content-type", "application/json"),
            ("x-countersign-surface", surface),
            ("x-countersign-person", person),
        ];
        let path = format!("/api/v1/approvals/{id}/decision");
        house
            .send(request("POST", &path, &headers, r#"{"outcome":"approve"}"#))
            .await
    };
    for surface in ["notification", "policy", "webhook", "INBOX", ""] {
        let stopped = stopped(&house).await;
        let answer = decide(stopped["action"]["id"].as_str().unwrap(), surface, "ada").await;
        assert_eq!(answer.refusal().0, 400, "{surface:?} cannot be claimed");
    }
    let in_a_browser = stopped(&house).await["action"]["id"].as_str().unwrap().to_owned();
    let headers = [
        ("authorization", token.as_str()),
        ("content-type", "application/json"),
        ("origin", "http://127.0.0.1:8420"),
        ("sec-fetch-site", "same-origin"),
    ];
    let path = format!("/api/v1/approvals/{in_a_browser}/decision");
    let answer = house
        .send(request("POST", &path, &headers, r#"{"outcome":"approve"}"#))
        .await;
    assert_eq!(answer.json()["decision"]["surface"], "inbox", "{answer:?}");
    for surface in ["inbox", "cli", "api"] {
        let stopped = stopped(&house).await;
        let answer = decide(stopped["action"]["id"].as_str().unwrap(), surface, "ada").await;
        let decision = answer.json()["decision"].clone();
        assert_eq!(
            (&decision["surface"], &decision["person"]),
            (&json!(surface), &json!("ada")),
            "{decision}"
        );
    }
}

#[tokio::test]
async fn waiting_for_an_answer() {
    let house = House::open().await;
    let id = stopped(&house).await["action"]["id"].as_str().unwrap().to_owned();
    let wait = |seconds: u32| format!("/api/v1/approvals/{id}/wait?timeout={seconds}");
    let early = house.manage("GET", &wait(0), None).await;
    assert_eq!(early.json()["state"], "pending", "{early:?}");
    let body = json!({ "outcome": "approve" });
    let path = format!("/api/v1/approvals/{id}/decision");
    let patient = wait(60);
    let mut waiting = std::pin::pin!(house.manage("GET", &patient, None));
    assert!(
        futures_util::poll!(waiting.as_mut()).is_pending(),
        "it waits before there is an answer"
    );
    let decided = house.manage("POST", &path, Some(&body)).await;
    let waited = tokio::time::timeout(SOON, waiting)
        .await
        .expect("the wait ends with the answer");
    assert_eq!(
        (waited.json()["state"].as_str(), decided.status.as_u16()),
        (Some("approved"), 200),
        "{waited:?}"
    );
    let unknown = house
        .manage("GET", &format!("/api/v1/approvals/{ID}/wait"), None)
        .await;
    assert_eq!(unknown.refusal().0, 404);
}

#[tokio::test]
async fn executions_have_flowises_shape() {
    let house = House::open().await;
    let stopped = stopped(&house).await;
    let flow = house.manage("GET", "/api/v1/chatflows", None).await.json()[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let page = house
        .manage(
            "GET",
            &format!("/api/v1/executions?agentflowId={flow}&state=STOPPED"),
            None,
        )
        .await
        .json();
    assert_eq!(
        (&page["total"], &page["data"][0]["id"]),
        (&json!(1), &stopped["executionId"]),
        "{page}"
    );
    let execution = &page["data"][0];
    assert_eq!(
        (&execution["state"], &execution["agentflowId"]),
        (&json!("STOPPED"), &json!(flow))
    );
    assert_eq!(execution["sessionId"], stopped["chatId"]);
    let records: Value = serde_json::from_str(execution["executionData"].as_str().unwrap()).unwrap();
    assert_eq!(
        records, stopped["agentFlowExecutedData"],
        "the records of the answer"
    );
    let path = format!("/api/v1/executions/{}", execution["id"].as_str().unwrap());
    assert_eq!(&house.manage("GET", &path, None).await.json(), execution);
    assert_eq!(
        house
            .manage("GET", "/api/v1/executions?state=FINISHED", None)
            .await
            .json(),
        json!({ "data": [], "total": 0 })
    );
    assert_eq!(
        house
            .manage("GET", &format!("/api/v1/executions/{ID}"), None)
            .await
            .refusal()
            .0,
        404
    );
    assert_eq!(
        house
            .manage("GET", "/api/v1/executions?state=NOWHERE", None)
            .await
            .refusal()
            .0,
        400
    );
}

#[tokio::test]
async fn executions_in_short_tell_runs_apart_and_no_more() {
    let house = House::open().await;
    let stopped = stopped(&house).await;
    let id = stopped["executionId"].as_str().unwrap();
    let flow = house.manage("GET", "/api/v1/chatflows", None).await.json()[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!("/api/v1/executions?summary=true&agentflowId={flow}&state=STOPPED&limit=1");
    let page = house.manage("GET", &path, None).await.json();
    assert_eq!(page["next"], Value::Null, "{page}");
    let run = &page["runs"][0];
    assert_eq!(
        (&run["id"], &run["state"], &run["flowId"], &run["chatId"]),
        (&json!(id), &json!("STOPPED"), &json!(flow), &stopped["chatId"])
    );
    assert_eq!(
        (run.get("executionData"), page.get("total")),
        (None, None),
        "neither what it did nor how many there are: {page}"
    );
    let alone = house
        .manage("GET", &format!("/api/v1/executions/{id}?summary=true"), None)
        .await;
    assert_eq!(&alone.json(), run);
    let none = house
        .manage("GET", "/api/v1/executions?summary=true&state=FINISHED", None)
        .await;
    assert_eq!(none.json(), json!({ "runs": [], "next": null }));
}

#[tokio::test]
async fn only_what_a_restart_ended_can_go_on() {
    let house = House::open().await;
    let stopped = stopped(&house).await;
    let path = format!("/api/v1/executions/{}", stopped["executionId"].as_str().unwrap());
    let go_on = format!("{path}/continue");
    let before = house.manage("GET", &path, None).await;
    assert_eq!(before.json().get("interrupted"), None, "{before:?}");
    let answer = house.manage("POST", &go_on, None).await;
    let (status, message) = answer.refusal();
    assert_eq!((status, &answer.json()["code"]), (409, &json!("not-waiting")));
    assert!(
        message.contains("STOPPED"),
        "it says where the run stands: {message}"
    );
    assert_eq!(
        house.manage("GET", &path, None).await.json(),
        before.json(),
        "nothing changed"
    );
    let get = house.manage("GET", &go_on, None).await;
    assert_eq!((get.refusal().0, get.header("allow")), (405, "POST"));
    for unknown in [ID, "x"] {
        let path = format!("/api/v1/executions/{unknown}/continue");
        assert_eq!(
            house.manage("POST", &path, None).await.refusal().0,
            404,
            "{unknown}"
        );
    }
}

#[tokio::test]
async fn callbacks_of_one_execution() {
    let house = House::open().await;
    // Nobody listens there: what is sent stays in the list.
    let change = json!({ "callbackUrl": "http://127.0.0.1:9/cb" });
    house
        .manage("PATCH", "/api/v1/settings", Some(&change))
        .await
        .json();
    let path = house
        .import(&gate_flow(json!({ "webhookResponseMode": "async" })))
        .await;
    for item in ["one", "two"] {
        assert_eq!(house.post(&path, &json!({ "item": item })).await.status, 202);
    }
    let list = async |query: &str| {
        house
            .manage("GET", &format!("/api/v1/callbacks{query}"), None)
            .await
    };
    eventually("both runs ask", async || list("").await.json()["waiting"] == 2).await;
    let all = list("").await.json()["callbacks"].clone();
    for callback in all.as_array().unwrap() {
        let execution = callback["executionId"].as_str().unwrap();
        let page = list(&format!("?execution={execution}&state=waiting"))
            .await
            .json();
        assert_eq!(
            (
                page["callbacks"].as_array().unwrap().len(),
                &page["callbacks"][0]["id"]
            ),
            (1, &callback["id"]),
            "its own and no other: {page}"
        );
        assert_eq!(callback.get("body"), None, "a list carries no bodies: {callback}");
        let path = format!("/api/v1/callbacks/{}", callback["id"].as_str().unwrap());
        let whole = house.manage("GET", &path, None).await.json();
        assert_eq!(
            whole["body"].as_str().map(|body| body.len() as u64),
            callback["bodyBytes"].as_u64(),
            "the one that is asked for has it: {whole}"
        );
    }
    assert_eq!(
        list(&format!("?execution={ID}")).await.json()["callbacks"],
        json!([]),
        "an execution that nothing reports on"
    );
    assert_eq!(list("?execution=x").await.refusal().0, 400);
}

#[tokio::test]
async fn lists_show_what_a_list_needs() {
    let house = House::open().await;
    let stopped = stopped(&house).await;
    let page = house.manage("GET", "/api/v1/approvals", None).await.json();
    let (entry, path) = (
        &page["approvals"][0],
        format!("/api/v1/approvals/{}", stopped["action"]["id"].as_str().unwrap()),
    );
    let whole = house.manage("GET", &path, None).await.json();
    for key in ["payload", "ifApproved", "ifRejected"] {
        assert_eq!(entry.get(key), None, "{key} in a list: {entry}");
        assert!(
            !whole[key].is_null(),
            "{key} of the one that is asked for: {whole}"
        );
    }
    assert!(
        entry["payloadBytes"].as_u64().is_some_and(|bytes| bytes > 0),
        "{entry}"
    );
    assert_eq!(entry["bodyTruncated"], false, "{entry}");
}

#[tokio::test]
async fn addresses_and_queries_that_are_no_text_are_refused_as_every_bad_request() {
    let house = House::open().await;
    for (method, path) in [
        ("GET", "approvals/%ff"),
        ("POST", "approvals/%ff/decision"),
        ("GET", "approvals/%ff/wait"),
        ("GET", "chatflows/%ff"),
        ("PUT", "chatflows/%ff"),
        ("DELETE", "chatflows/%ff"),
        ("POST", "chatflows/%ff/webhook-secret"),
        ("GET", "chatflows/%ff/policy"),
        ("POST", "chatflows/%ff/start"),
        ("GET", "executions/%ff"),
        ("POST", "executions/%ff/continue"),
        ("GET", "callbacks/%ff"),
        ("POST", "callbacks/%ff/redeliver"),
        ("DELETE", "variables/%ff"),
        ("PUT", "connections/%ff"),
        ("POST", "prediction/%ff"),
        ("POST", "webhook/%ff"),
        ("POST", "webhook/%c3%28"),
        ("GET", "approvals?limit=%ff"),
        ("GET", "approvals?limit=-1"),
        ("GET", "executions?limit=many"),
        ("GET", "callbacks?limit=1&limit=2"),
        ("GET", "executions/x?explain=perhaps"),
        ("GET", "executions/x?summary=perhaps"),
        ("GET", "executions?summary=true&limit=0"),
        ("GET", "executions?summary=true&cursor=x"),
        ("GET", "executions?summary=true&state=NOWHERE"),
    ] {
        let answer = house.manage(method, &format!("/api/v1/{path}"), None).await;
        let (status, message) = answer.refusal();
        assert_eq!(status, 400, "{method} {path}: {message}");
        assert!(!message.is_empty(), "{method} {path}");
    }
    for path in ["approvals", "executions", "callbacks"] {
        let answer = house.manage("GET", &format!("/api/v1/{path}/%zz"), None).await;
        assert_eq!(answer.refusal().0, 404, "{path}: text, but nobody's name");
    }
}

#[tokio::test]
async fn settings_status_and_callbacks() {
    let house = House::open().await;
    let settings = house.manage("GET", "/api/v1/settings", None).await.json();
    assert_eq!(settings["callbackUrl"], "", "{settings}");
    let change = json!({ "callbackUrl": "http://127.0.0.1:9/cb", "callbackSecret": "hush-hush" });
    let changed = house.manage("PATCH", "/api/v1/settings", Some(&change)).await;
    assert_eq!(
        changed.json()["callbackUrl"],
        "http://127.0.0.1:9/cb",
        "{changed:?}"
    );
    assert_eq!(changed.json()["hasCallbackSecret"], true, "{changed:?}");
    assert!(!changed.text.contains("hush-hush"), "secrets are write-only");
    assert_eq!(
        house
            .manage("PATCH", "/api/v1/settings", Some(&json!({ "colour": "red" })))
            .await
            .refusal()
            .0,
        400
    );
    assert_eq!(
        house
            .manage(
                "PATCH",
                "/api/v1/settings",
                Some(&json!({ "callbackUrl": "ftp://x" }))
            )
            .await
            .refusal()
            .0,
        400
    );

    let status = house.manage("GET", "/api/v1/status", None).await.json();
    assert_eq!(
        (&status["pending"], &status["hasFlows"]),
        (&json!(0), &json!(false)),
        "{status}"
    );
    let callbacks = house
        .manage("GET", "/api/v1/callbacks?state=waiting", None)
        .await
        .json();
    assert_eq!(callbacks["callbacks"], json!([]), "{callbacks}");
    assert_eq!(
        house
            .manage("GET", "/api/v1/callbacks?state=lost", None)
            .await
            .refusal()
            .0,
        400
    );
    assert_eq!(
        house
            .manage("GET", &format!("/api/v1/callbacks/{ID}"), None)
            .await
            .refusal()
            .0,
        404
    );
    assert_eq!(
        house
            .manage("POST", &format!("/api/v1/callbacks/{ID}/redeliver"), None)
            .await
            .refusal()
            .0,
        404
    );
    assert_eq!(
        house.manage("GET", "/api/v1/nothing", None).await.refusal().0,
        404
    );
    let wrong = house.manage("POST", "/api/v1/status", None).await;
    assert_eq!(wrong.refusal().0, 405);
    assert!(wrong.header("allow").contains("GET"), "{wrong:?}");
}

#[tokio::test]
async fn after_shutdown_work_is_refused_as_our_fault() {
    let house = House::open().await;
    let path = house.import(&reply_flow(json!({}))).await;
    house.app.shutdown().await;
    let answer = house.post(&path, &json!({ "who": "late" })).await;
    assert_eq!(answer.refusal().0, 503);
    assert_eq!(answer.json()["code"], "shutting-down");
    assert_eq!(answer.header("retry-after"), "5");
}

#[tokio::test]
async fn the_window_is_shown_on_request_where_there_is_one() {
    let house = House::open().await;
    let id = stopped(&house).await["action"]["id"].as_str().unwrap().to_owned();
    let open = async |body: Value| house.manage("POST", "/api/v1/open", Some(&body)).await;

    let answer = open(json!({})).await;
    let (status, message) = answer.refusal();
    assert_eq!((status, &answer.json()["code"]), (409, &json!("no-window")));
    assert!(message.contains("countersign serve"), "{message}");

    let mut window = house.app.open_requests();
    assert_eq!(open(json!({})).await.status, 204);
    assert_eq!(window.recv().await.unwrap().approval, None, "the inbox");
    assert_eq!(open(json!({ "approvalId": id })).await.status, 204);
    let shown = window.recv().await.unwrap().approval;
    assert_eq!(shown.map(|id| id.to_string()), Some(id), "one question");
    for (body, status) in [
        (
            json!({ "approvalId": "01890000-0000-7000-8000-000000000000" }),
            404,
        ),
        (json!({ "approvalId": "nonsense" }), 404),
        (json!({ "approvalId": 7 }), 400),
        (json!({ "page": "settings" }), 400),
        (json!([]), 400),
    ] {
        let answer = open(body.clone()).await;
        assert_eq!(answer.refusal().0, status, "{body}");
    }
    assert!(window.try_recv().is_err(), "what is refused shows nothing");

    house.app.shutdown().await;
    assert_eq!(open(json!({})).await.refusal().0, 503, "it closes");
}
