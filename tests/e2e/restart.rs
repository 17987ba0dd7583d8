//! What waits survives.

use std::time::Duration;

use countersign_testkit::CallbackReceiver;
use countersign_testkit::flows::{FlowOptions, start_gate_replies};
use rustix::process::Signal;
use serde_json::json;

use crate::desktop::Desktop;
use crate::notification::Button;
use crate::program::{Program, approvals, import, trigger, wait_for_approval};
use crate::window::Window;

#[tokio::test(flavor = "multi_thread")]
async fn a_pending_question_is_back_in_the_inbox_and_as_a_notification() {
    let desktop = Desktop::with_notifications("restart");
    let receiver = CallbackReceiver::start().await;
    let data_dir = desktop.folder("data");
    let first = Program::start(&desktop, &data_dir, &[]);
    let client = first.client();
    let flow = start_gate_replies(&FlowOptions::callback(receiver.url("/done"), None));
    let flow = import(&client, "Release gate", &flow).await;
    trigger(&client, &flow, &json!({ "item": "billing 2.4" })).await;
    let waiting = wait_for_approval(&client, "pending").await;
    desktop.wait_for_notification();

    first.signal(Signal::KILL);
    first.wait(Duration::from_secs(10));
    std::fs::remove_file(data_dir.join("address")).expect("a killed program leaves its address behind");

    let window = Window::open(&desktop, &data_dir, &[]).await;
    window
        .wait_for_text(waiting["title"].as_str().expect("a title"))
        .await;
    let client = window.http();
    let again = approvals(&client, "pending").await;
    assert_eq!(again.len(), 1, "it waits once");
    assert_eq!(again[0]["id"], waiting["id"], "it is the same question");
    assert_eq!(
        again[0]["contentHash"], waiting["contentHash"],
        "with the same text"
    );

    // The upper one was left behind by the killed program: nobody knows its buttons any more.
    let [left_behind, fresh] = desktop.wait_for_notifications(2)[..] else {
        panic!("two notifications")
    };
    desktop.press(left_behind, Button::Reject);
    desktop.wait_for_notifications(1);
    // Both presses go over one bus in this order, and the first answer counts: had the old one been taken, this
    // would be a rejection.
    desktop.press(fresh, Button::Approve);
    receiver
        .wait_until(Duration::from_secs(20), |all| {
            all.iter().any(|request| request.json()["status"] == "SUCCESS")
        })
        .await
        .unwrap_or_else(|all| panic!("the answer leaves as a callback; {} came", all.len()));
    let decided = approvals(&client, "decided").await;
    assert_eq!(decided.len(), 1, "it was answered once");
    assert_eq!(
        decided[0]["decision"]["outcome"], "approve",
        "a press on an old notification decides nothing"
    );
    let last = receiver.received().pop().expect("a callback").json();
    assert!(
        last.to_string().contains("released billing 2.4"),
        "the flow went the way of yes: {last}"
    );
}
