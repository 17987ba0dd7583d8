//! Notifications: the freedesktop backend against a fake server on a private bus, the broker against the fake
//! backend, and one look at a real server.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on must stop"
)]

mod broker;
mod desktop;
mod server_modes;
mod xdg_rules;

use std::time::Duration;

use countersign_domain::{ApprovalId, QuestionHash};
use countersign_notify::{Importance, Notice, NoticeKey, Prompt};

/// How long anything may take before a test gives up. Nothing takes that long when all is well.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);
/// How long a test looks whether something happens that must not.
pub(crate) const QUIET: Duration = Duration::from_millis(150);

/// The id of the n-th approval; later ones have greater ids.
pub(crate) fn id(number: u32) -> ApprovalId {
    format!("0192f0c1-7b1e-7000-8000-{number:012x}")
        .parse()
        .expect("an identifier")
}

pub(crate) fn key(number: u32) -> NoticeKey {
    NoticeKey::Approval(id(number))
}

/// What a question is bound to.
pub(crate) fn content_hash(number: u32) -> QuestionHash {
    QuestionHash::from_client(format!("hash of {number}"))
}

pub(crate) fn prompt(number: u32) -> Prompt {
    Prompt {
        id: id(number),
        content_hash: content_hash(number),
        title: format!("Release item {number} now?"),
        body: "Asked by the build".into(),
        flow_name: "Release gate".into(),
        buttons: true,
        importance: Importance::Normal,
    }
}

pub(crate) fn notice(number: u32) -> Notice {
    Notice {
        key: key(number),
        summary: format!("Release item {number} now?"),
        body: format!("Asked by the build\n#{number}"),
        buttons: true,
        importance: Importance::Normal,
    }
}
