//! What is missing is shown, and the rest works.

use std::time::Duration;

use countersign_testkit::flows::{FlowOptions, start_gate_replies};
use serde_json::json;

use crate::desktop::Desktop;
use crate::program::{self, Program, import, trigger, wait_for_approval};
use crate::window::Window;

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_named_and_taken_up_when_it_is_free() {
    let desktop = Desktop::without_notifications("port");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("its address");
    let data_dir = desktop.folder("data");
    let window = Window::open(&desktop, &data_dir, &["--listen", &address.to_string()]).await;
    window
        .wait_for_text(&format!("Port {} is taken", address.port()))
        .await;
    window.wait_until_drawn().await;
    desktop.picture("port-taken");
    assert!(
        !data_dir.join("address").exists(),
        "no client is led to somebody else's port"
    );

    drop(taken);
    window.wait_for_text(&address.to_string()).await;
    assert_eq!(
        window.http().get("/api/v1/ping").await.status,
        200,
        "webhooks arrive again"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_notification_server_the_inbox_says_so_and_works() {
    let desktop = Desktop::without_notifications("silent");
    let window = Window::open(&desktop, &desktop.folder("data"), &[]).await;
    let client = window.http();
    let flow = import(
        &client,
        "Release gate",
        &start_gate_replies(&FlowOptions::callback("http://127.0.0.1:9/", None)),
    )
    .await;
    trigger(&client, &flow, &json!({ "item": "billing 2.4" })).await;
    let waiting = wait_for_approval(&client, "pending").await;
    window
        .wait_for_text(waiting["title"].as_str().expect("a title"))
        .await;
    let status = client.get("/api/v1/status").await.json();
    assert_eq!(
        status["notifications"]["available"], false,
        "nothing shows notifications here: {status}"
    );
    let note = status["notifications"]["note"]
        .as_str()
        .expect("it says why")
        .to_owned();
    window.go("#/settings").await;
    window.wait_for_text("Listening address").await;
    window.wait_for_text(&note).await;
    window.wait_until_drawn().await;
    desktop.picture("no-notification-server");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_tray_it_starts_visible_and_explains_how_to_come_back() {
    let desktop = Desktop::without_notifications("no-tray");
    let data_dir = desktop.folder("data");
    let mut program = Program::start(&desktop, &data_dir, &["--hidden"]);
    desktop.wait_for_windows("Countersign", 1);
    let status = program.client().get("/api/v1/status").await.json();
    assert_eq!(
        status["trayHost"], false,
        "nothing shows tray icons here: {status}"
    );

    desktop.close_window("Countersign");
    desktop.wait_for_windows("Countersign goes on without its window", 1);
    desktop.picture("no-tray-host");
    assert!(
        program.is_running(),
        "closing the window does not end the program"
    );
    // Closing the explanation is no answer, so it changes nothing.
    desktop.close_window("Countersign goes on without its window");
    desktop.wait_for_windows("Countersign goes on without its window", 0);
    desktop.wait_for_log("goes on without a window");
    let mut second = program::command(&desktop, &data_dir, &[])
        .spawn()
        .expect("started");
    let (status, _) = program::wait_for_end(&mut second, Duration::from_secs(10));
    assert!(status.success(), "silence does not end it either: {status}");
    desktop.wait_for_windows("Countersign", 1);
    program.terminate();
}
