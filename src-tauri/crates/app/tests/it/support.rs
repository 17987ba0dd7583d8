//! An application on a folder of its own, and what tests do with it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use countersign_app::view::{ApprovalQuery, ApprovalSummary, FlowView};
use countersign_app::{
    App, Config, Error, Flags, Options, PredictionRequest, RandomIds, SystemClock, WebhookReply,
    WebhookRequest, headless_notifier, keychain_of_this_system,
};
use countersign_domain::Clock;
use countersign_notify::Notifier;
use countersign_testkit::flows::{FlowOptions, start_gate_replies};
use serde_json::{Value, json};

pub(crate) async fn start(dir: &Path) -> App {
    start_with(dir, headless_notifier()).await
}

pub(crate) async fn start_with(dir: &Path, notifier: Box<dyn Notifier>) -> App {
    start_at(dir, notifier, Arc::new(SystemClock)).await
}

pub(crate) async fn start_at(dir: &Path, notifier: Box<dyn Notifier>, clock: Arc<dyn Clock>) -> App {
    let flags = Flags {
        data_dir: Some(dir.to_owned()),
        keychain: Some("off".to_owned()),
        ..Flags::default()
    };
    let config = Config::load(&flags, |name| (name == "USER").then(|| "mika".into())).unwrap();
    App::start(Options {
        config,
        notifier,
        clock,
        ids: Arc::new(RandomIds),
        keychain: keychain_of_this_system(),
    })
    .await
    .unwrap()
}

pub(crate) async fn import_gate(app: &App, options: &FlowOptions) -> FlowView {
    app.import_flow(&start_gate_replies(options), Some("Release gate"))
        .await
        .unwrap()
}

pub(crate) async fn call(app: &App, flow: &str, body: Value) -> Result<Value, Error> {
    let raw = body.to_string();
    let request = WebhookRequest {
        flow_id: flow.to_owned(),
        method: "POST".to_owned(),
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        query: json!({}),
        body: Some(body),
        raw_body: Some(Bytes::from(raw)),
    };
    Box::pin(app.webhook(request)).await.map(replied)
}

/// The same for a flow that a message starts.
pub(crate) async fn predict(app: &App, flow: &str, body: Value) -> Result<Value, Error> {
    let flow_id = flow.to_owned();
    app.predict(PredictionRequest { flow_id, body })
        .await
        .map(replied)
}

fn replied(reply: WebhookReply) -> Value {
    match reply {
        WebhookReply::Done(body) => serde_json::from_slice(&body).unwrap(),
        WebhookReply::Accepted { chat_id } => json!({ "chatId": chat_id, "status": "PROCESSING" }),
        WebhookReply::Stream(_) => panic!("no flow of these tests streams"),
    }
}

pub(crate) fn pending(app: &App) -> Vec<ApprovalSummary> {
    let query = ApprovalQuery {
        state: Some("pending".to_owned()),
        ..ApprovalQuery::default()
    };
    app.approvals(&query).unwrap().approvals
}

/// Waits until the condition holds; a test that waits longer than ten seconds has failed.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..1000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what} did not happen within ten seconds");
}
