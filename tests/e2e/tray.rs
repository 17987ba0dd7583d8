//! The tray icon's menu, as a panel reads it.

use std::time::Duration;

use countersign_testkit::TrayHost;
use countersign_testkit::flows::{FlowOptions, start_gate_replies};
use serde_json::json;

use crate::desktop::Desktop;
use crate::program::{Program, approvals, import, trigger, wait_for_approval};
use crate::window::Window;

#[tokio::test(flavor = "multi_thread")]
async fn the_menu_counts_what_waits_opens_the_window_and_quits() {
    let desktop = Desktop::without_notifications("tray");
    let panel = TrayHost::start(desktop.bus().connect().await).await;
    let program = Program::start(&desktop, &desktop.folder("data"), &["--hidden"]);
    let client = program.client();
    panel.wait_for_entry("Show inbox").await;
    panel
        .wait_for_entry(&format!("Listening on {}", client.address()))
        .await;

    let flow = start_gate_replies(&FlowOptions::callback("http://127.0.0.1:9/", None));
    let flow = import(&client, "Release gate", &flow).await;
    for number in 1..=3 {
        trigger(&client, &flow, &json!({ "item": format!("billing 2.{number}") })).await;
    }
    let inbox = panel.wait_for_entry("Show inbox (3)").await;
    let waiting = wait_for_approval(&client, "pending").await;
    let id = waiting["id"].as_str().expect("an id");
    let answer = client
        .post(
            &format!("/api/v1/approvals/{id}/decision"),
            &json!({ "outcome": "approve" }),
        )
        .await;
    assert_eq!(
        answer.status,
        200,
        "it can be answered elsewhere: {}",
        answer.text()
    );
    panel.wait_for_entry("Show inbox (2)").await;
    assert_eq!(
        approvals(&client, "pending").await.len(),
        2,
        "the count is the truth"
    );

    assert!(desktop.windows("Countersign").is_empty(), "it started hidden");
    panel.choose(&inbox).await;
    desktop.wait_for_windows("Countersign", 1);
    let quit = panel.wait_for_entry("Quit").await;
    panel.choose(&quit).await;
    let (status, time) = program.wait(Duration::from_secs(20));
    assert!(status.success(), "Quit is an orderly end: {status}");
    assert!(time < Duration::from_secs(10), "and bounded: {time:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_opened_from_the_menu() {
    let desktop = Desktop::without_notifications("tray-settings");
    let panel = TrayHost::start(desktop.bus().connect().await).await;
    let window = Window::open(&desktop, &desktop.folder("data"), &[]).await;
    window.wait_for_text("Nothing waits").await;

    let settings = panel.wait_for_entry("Settings").await;
    panel.choose(&settings).await;
    window.wait_for_text("Listening address").await;
    assert!(
        window.address().await.ends_with("#/settings"),
        "the window that is there goes to the settings"
    );

    desktop.close_window("Countersign");
    desktop.wait_for_windows("Countersign", 0);
    panel.choose(&settings).await;
    desktop.wait_for_windows("Countersign", 1);
    window.follow().await;
    window.wait_for_text("Listening address").await;
    assert!(
        window.address().await.ends_with("#/settings"),
        "a new window begins there"
    );
}
