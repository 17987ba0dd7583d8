//! The main job: a webhook, a press on the notification, a signed callback.

use std::time::Duration;

use countersign_signature::{Secret, flowise_signature};
use countersign_testkit::flows::{FlowOptions, start_gate_replies};
use countersign_testkit::{CallbackReceiver, Received};
use serde_json::json;

use crate::desktop::Desktop;
use crate::notification::Button;
use crate::program::{Program, approvals, import, trigger};

const SECRET: &str = "a secret of the receiver";

/// The words in the callbacks so far.
fn states(received: &[Received]) -> Vec<String> {
    received
        .iter()
        .map(|request| request.json()["status"].as_str().unwrap_or_default().to_owned())
        .collect()
}

async fn press_and_receive(desktop: &Desktop, button: Button) -> Vec<Received> {
    let receiver = CallbackReceiver::start().await;
    let program = Program::start(desktop, &desktop.folder("data"), &[]);
    let client = program.client();
    let options = FlowOptions::callback(receiver.url("/done"), Some(SECRET));
    let flow = import(&client, "Release gate", &start_gate_replies(&options)).await;

    trigger(&client, &flow, &json!({ "item": "billing 2.4" })).await;
    let card = desktop.wait_for_notification();
    desktop.press(card, button);

    let received = receiver
        .wait_until(Duration::from_secs(20), |all| {
            states(all).contains(&"SUCCESS".to_owned())
        })
        .await
        .unwrap_or_else(|all| panic!("the answer leaves as a callback; so far: {:?}", states(&all)));
    desktop.wait_for_no_notification();
    let decided = approvals(&client, "decided").await;
    assert_eq!(decided.len(), 1, "one question was answered");
    assert_eq!(
        decided[0]["decision"]["surface"], "notification",
        "it says where the answer came from"
    );
    program.terminate();
    received
}

fn assert_signed_and_in_order(received: &[Received]) {
    assert_eq!(
        states(received),
        ["STOPPED", "SUCCESS"],
        "first that it waits, then what came of it"
    );
    let secret = Secret::new(SECRET).expect("a secret");
    for request in received {
        let expected = flowise_signature(&secret, &request.body);
        assert_eq!(
            request.header("x-flowise-signature"),
            Some(expected.as_str()),
            "signed over the bytes as sent"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn approve_on_the_real_notification_sends_a_signed_callback() {
    let desktop = Desktop::with_notifications("approve");
    let received = press_and_receive(&desktop, Button::Approve).await;
    assert_signed_and_in_order(&received);
    let last = received.last().expect("a callback").json();
    assert!(
        last.to_string().contains("released billing 2.4"),
        "the flow went the way of yes: {last}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn reject_on_the_real_notification_goes_the_other_way() {
    let desktop = Desktop::with_notifications("reject");
    let received = press_and_receive(&desktop, Button::Reject).await;
    assert_signed_and_in_order(&received);
    let last = received.last().expect("a callback").json();
    assert!(
        last.to_string().contains("held billing 2.4"),
        "the flow went the way of no: {last}"
    );
}
