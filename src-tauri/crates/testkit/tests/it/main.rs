//! The kit itself: a helper that lies makes every test that uses it lie.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on must stop"
)]

use std::collections::HashSet;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_domain::{Clock as _, SystemClock};
use countersign_testkit::flows::{self, FlowOptions};
use countersign_testkit::{
    CallbackReceiver, Connection, HttpClient, Installation, ScriptedReply, TempDataDir, hmac_sha256,
};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(10);

#[tokio::test]
async fn the_receiver_records_what_came_and_answers_by_script() {
    let receiver = CallbackReceiver::start().await;
    let client = HttpClient::new(receiver.address().to_string());
    let slow = ScriptedReply::status(503)
        .header("retry-after", "1")
        .body("later")
        .after(Duration::from_millis(80));
    receiver.script("/hook", [ScriptedReply::dropped(), slow]);

    let broken = client
        .try_request("POST", "/hook?a=1", &[("x-test", "yes")], "one")
        .await;
    assert!(broken.is_err(), "the first connection breaks off: {broken:?}");
    let begin = Instant::now();
    let second = client.post("/hook", &json!({"n": 2})).await;
    assert_eq!(
        (second.status, second.text().as_str()),
        (503, "later"),
        "the second answer is scripted"
    );
    assert_eq!(second.header("Retry-After"), Some("1"), "with its header");
    assert!(begin.elapsed() >= Duration::from_millis(80), "and its delay");
    assert_eq!(
        client.post("/hook", &json!({})).await.status,
        200,
        "after the script all is well"
    );
    receiver.always("/hook", ScriptedReply::status(410));
    assert_eq!(client.get("/hook").await.status, 410, "a standing answer holds");
    assert_eq!(
        client.get("/other").await.status,
        200,
        "other paths are not concerned"
    );

    let all = receiver.wait_for(5, LIMIT).await;
    assert_eq!(receiver.received_at("/hook").len(), 4, "by path");
    assert_eq!(
        (all[0].query.as_deref(), &all[0].body[..]),
        (Some("a=1"), &b"one"[..]),
        "raw query and body"
    );
    assert_eq!(all[0].header("X-Test"), Some("yes"), "headers");
    assert_eq!(all[1].json()["n"], 2, "JSON bodies");
}

/// A stand-in for the real program.
fn program(folder: &TempDataDir, text: &str) -> PathBuf {
    let path = folder.join("program");
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("it can be written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700))
        .expect("it can be made a program");
    path
}

#[test]
fn the_headless_host_is_started_read_and_ended() {
    let folder = TempDataDir::new();
    std::fs::write(folder.join("token"), "secret\n").expect("it can be written");
    let line = format!(
        r#"{{"address":"127.0.0.1:4321","tokenFile":"{}"}}"#,
        folder.join("token").display()
    );
    let text =
        format!("trap 'exit 7' TERM\necho \"args: $@\" >&2\necho '{line}'\nwhile :; do sleep 0.05; done");
    let installation = Installation::new(program(&folder, &text)).with(&["--log", "debug"]);

    let mut host = installation.start();
    assert_eq!(
        (host.address.as_str(), host.token.as_str()),
        ("127.0.0.1:4321", "secret"),
        "the line is read"
    );
    assert!(host.is_running());
    host.terminate();
    assert_eq!(
        host.wait(LIMIT).code(),
        Some(7),
        "it can clean up when it is asked to end"
    );
    let wanted = format!(
        "args: serve --json --notifications off --listen 127.0.0.1:0 --data-dir {} --log debug",
        installation.data_dir().display()
    );
    assert!(host.log().contains(&wanted), "{}", host.log());
    assert_eq!(
        installation.start().kill().code(),
        None,
        "and cannot when it is killed"
    );
}

#[test]
fn a_host_that_does_not_start_is_told_from_one_that_does() {
    let folder = TempDataDir::new();
    let binary = program(&folder, "echo 'the data folder is in use' >&2\nexit 3");
    let error = Installation::new(binary)
        .try_start()
        .expect_err("it ends at once");
    assert!(
        error.contains("exit status: 3") && error.contains("the data folder is in use"),
        "{error}"
    );
}

#[test]
fn the_receiver_checks_signatures_and_is_gone_when_it_is_dropped() {
    let receiver =
        CallbackReceiver::answering(|_, before| ScriptedReply::status(if before == 0 { 500 } else { 204 }));
    let address = receiver.address().to_string();
    let mut connection = Connection::open(&address).expect("it listens");
    let time = SystemClock.now().as_seconds().to_string();
    let body = r#"{"status":"SUCCESS","chatId":"c"}"#;
    let (flowise, standard) = (
        hmac_sha256(b"key", body.as_bytes()),
        hmac_sha256(b"key", format!("msg_1.{time}.{body}").as_bytes()),
    );
    let flowise = format!(
        "sha256={}",
        flowise
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    );
    let standard = format!("v1,{}", STANDARD.encode(standard));
    let headers = [
        ("webhook-id", "msg_1"),
        ("webhook-timestamp", time.as_str()),
        ("webhook-signature", standard.as_str()),
        ("x-flowise-signature", flowise.as_str()),
    ];
    for status in [500, 204] {
        let reply = connection
            .send("POST", "/cb", &headers, Some(body.as_bytes()))
            .expect("an answer on the same connection");
        assert_eq!(reply.status, status, "it answers as the function says");
    }
    let received = receiver.blocking_wait_for(2, LIMIT);
    assert_eq!(
        (received[0].taken, received[1].taken),
        (false, true),
        "only 2xx takes it"
    );
    let one = &received[1];
    assert_eq!(
        (one.id(), one.status(), one.chat()),
        ("msg_1".to_owned(), "SUCCESS".to_owned(), "c".to_owned())
    );
    one.assert_signed("key");
    let wrong = one.clone();
    assert!(
        std::panic::catch_unwind(move || wrong.assert_signed("another key")).is_err(),
        "another key does not fit"
    );

    drop(receiver);
    assert!(
        connection.send("POST", "/cb", &[], Some(b"{}")).is_err(),
        "no answer after its end"
    );
    assert!(Connection::open(&address).is_err(), "and nobody listens");
}

#[test]
fn flows_are_whole_documents() {
    let options = FlowOptions::callback("http://127.0.0.1:1/cb", Some("s3cret"))
        .asking("Really?")
        .with(json!({ "webhookMethod": "PUT" }));
    for text in [
        flows::start_reply(&options),
        flows::start_gate_replies(&options),
        flows::start_two_gates(&options),
        flows::start_condition_gate(&options, "larger"),
        flows::start_http_reply(&options, "http://127.0.0.1:1/target"),
        flows::start_gate_http_reply(&options, "http://127.0.0.1:1/target"),
    ] {
        let document: Value = serde_json::from_str(&text).expect("JSON");
        let nodes = document["nodes"].as_array().expect("nodes");
        let ids: HashSet<&str> = nodes.iter().filter_map(|node| node["id"].as_str()).collect();
        assert_eq!(ids.len(), nodes.len(), "ids are unique");
        let anchors: HashSet<&str> = nodes
            .iter()
            .flat_map(|node| node["data"]["outputAnchors"].as_array().expect("anchors"))
            .filter_map(|anchor| anchor["id"].as_str())
            .collect();
        for edge in document["edges"].as_array().expect("edges") {
            let end = |name: &str| edge[name].as_str().expect("a text");
            assert!(
                ids.contains(end("source")) && ids.contains(end("target")),
                "no edge dangles: {edge}"
            );
            assert!(
                anchors.contains(end("sourceHandle")),
                "it leaves from an anchor: {edge}"
            );
        }
        let inputs = &nodes[0]["data"]["inputs"];
        assert_eq!(inputs["webhookResponseMode"], "async", "the options arrive");
        assert_eq!(
            inputs["callbackUrl"], "http://127.0.0.1:1/cb",
            "the options arrive"
        );
        assert_eq!(inputs["callbackSecret"], "s3cret", "the options arrive");
        assert_eq!(inputs["webhookMethod"], "PUT", "further inputs win");
    }
}
