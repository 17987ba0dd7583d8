//! The inbox in the real webview, by keyboard.

use std::time::{Duration, Instant};

use countersign_testkit::CallbackReceiver;
use countersign_testkit::flows::{FlowOptions, start_gate_replies};
use serde_json::json;

use crate::desktop::Desktop;
use crate::program::{approvals, import, trigger, wait_for_approval};
use crate::window::Window;

#[tokio::test(flavor = "multi_thread")]
async fn a_question_arrives_in_the_inbox_and_is_approved_with_a_key() {
    let desktop = Desktop::with_notifications("by-window");
    let receiver = CallbackReceiver::start().await;
    let window = Window::open(&desktop, &desktop.folder("data"), &[]).await;
    let client = window.http();
    let flow = start_gate_replies(&FlowOptions::callback(receiver.url("/done"), None));
    let flow = import(&client, "Release gate", &flow).await;

    trigger(&client, &flow, &json!({ "item": "billing 2.4" })).await;
    let waiting = wait_for_approval(&client, "pending").await;
    let title = waiting["title"].as_str().expect("a title").to_owned();
    window.wait_for_text(&title).await;
    window.wait_for_text("If you approve").await;
    // Keys are ignored for a moment after another question came under the hands, so it is pressed until it counts.
    let begun = Instant::now();
    while approvals(&client, "decided").await.is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(20), "the key answers");
        window.key("a").await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    let received = receiver
        .wait_until(Duration::from_secs(20), |all| {
            all.iter().any(|request| request.json()["status"] == "SUCCESS")
        })
        .await
        .unwrap_or_else(|all| panic!("the answer leaves as a callback; {} came", all.len()));
    assert!(
        received
            .last()
            .expect("a callback")
            .json()
            .to_string()
            .contains("released billing 2.4"),
        "the flow went the way of yes"
    );
    let decided = wait_for_approval(&client, "decided").await;
    assert_eq!(
        decided["decision"]["surface"], "inbox",
        "it says where the answer came from"
    );
    assert_eq!(decided["decision"]["person"], "tester", "and who gave it");
    desktop.wait_for_no_notification();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_can_reach_nothing_but_its_commands() {
    let desktop = Desktop::without_notifications("rights");
    let window = Window::open(&desktop, &desktop.folder("data"), &[]).await;
    let address = window.http().address().to_owned();
    window.wait_for_text("Countersign").await;

    let reached = window
        .run_async(&format!(
            "const done = arguments[0]; fetch('http://{address}/api/v1/ping').then(() => done('reached'), () => done('refused'));"
        ))
        .await;
    assert_eq!(reached, "refused", "the webview never talks to the server");
    assert_eq!(
        window.run("return typeof window.__TAURI__").await,
        "undefined",
        "no global handle for injected scripts"
    );

    let refused = window
        .run_async(
            "const done = arguments[0]; window.__TAURI_INTERNALS__.invoke('plugin:dialog|open', { options: {} })\
             .then(() => done('allowed'), (error) => done(String(error)));",
        )
        .await;
    assert!(
        refused.as_str().is_some_and(|text| text.contains("not allowed")),
        "only declared rights: {refused}"
    );

    let elsewhere = CallbackReceiver::start().await;
    let script = format!("window.location.href = {}", json!(elsewhere.url("/page")));
    window.run(&script).await;
    desktop.wait_for_log("the page may not go there");
    assert!(
        elsewhere.received().is_empty(),
        "nobody out there was asked for a page"
    );
    assert!(
        window.address().await.starts_with("tauri://localhost"),
        "no link takes the window away"
    );
}
