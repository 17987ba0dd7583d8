//! Delivery over real sockets, and its rules without any.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests"
)]

mod attempt;
mod client;
mod dispatcher;
mod guard;
mod plan;
mod receiver;
mod request;

use std::time::Duration;

use countersign_delivery::ClientOptions;
use countersign_domain::{
    Callback, CallbackId, CallbackKind, CallbackState, ExecutionId, FlowId, Ids, Timestamp, UrlSource,
};

/// Limits that a test can wait for.
fn quick() -> ClientOptions {
    ClientOptions {
        connect_timeout: Duration::from_millis(400),
        total_timeout: Duration::from_millis(400),
        ..ClientOptions::default()
    }
}

/// What every callback sends.
const BODY: &str = r#"{"status":"SUCCESS","chatId":"c-1","data":{"text":"done"}}"#;

/// A callback that waits and is due.
fn callback(ids: &dyn Ids, execution: ExecutionId, url: &str, now: Timestamp) -> Callback {
    Callback {
        id: CallbackId::from_uuid(ids.ordered(now)),
        execution_id: execution,
        flow_id: FlowId::from_uuid(ids.random()),
        flow_name: "Deploy gate".to_owned(),
        chat_id: "c-1".to_owned(),
        kind: CallbackKind::Success,
        url: url.to_owned(),
        url_source: UrlSource::Operator,
        signed: false,
        state: CallbackState::Waiting,
        attempts: Vec::new(),
        created_at: now,
        next_attempt_at: Some(now),
    }
}
