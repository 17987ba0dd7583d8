//! `callbacks`.

use countersign_app::view::{CallbackPage, CallbackView};
use countersign_domain::{CallbackKind, CallbackState};
use serde_json::json;

use crate::args::Callbacks;
use crate::client::{Client, list_path};
use crate::exit::{Exit, Failure};
use crate::output::{Output, cell, relative, short_id, table};

/// `countersign callbacks`
pub(crate) async fn list(client: &Client, arguments: &Callbacks, output: &Output) -> Result<Exit, Failure> {
    let state = Some(arguments.state.as_str()).filter(|state| *state != "all");
    let limit = usize::try_from(arguments.limit).unwrap_or(usize::MAX);
    let mut callbacks: Vec<CallbackView> = Vec::new();
    let mut cursor: Option<String> = None;
    let (waiting, failing) = loop {
        let path = list_path("callbacks", state, limit - callbacks.len(), cursor.as_deref());
        let page: CallbackPage = client.get(&path).await?;
        callbacks.extend(page.callbacks);
        match page.next {
            Some(next) if callbacks.len() < limit => cursor = Some(next),
            _ => break (page.waiting, page.failing),
        }
    };
    callbacks.truncate(limit);
    output.print(
        &json!({ "callbacks": callbacks, "waiting": waiting, "failing": failing }),
        || {
            if callbacks.is_empty() {
                return "No callbacks.".to_owned();
            }
            let rows: Vec<_> = callbacks.iter().map(row).collect();
            table(
                &["ID", "KIND", "STATE", "TRIES", "LAST", "NEXT", "FLOW", "TO"],
                &rows,
            )
        },
    );
    Ok(Exit::Done)
}

fn row(view: &CallbackView) -> Vec<String> {
    let kind = match view.kind {
        CallbackKind::Stopped => "STOPPED",
        CallbackKind::Success => "SUCCESS",
        CallbackKind::Error => "ERROR",
    };
    let state = match view.state {
        CallbackState::Waiting => "waiting",
        CallbackState::Delivered => "delivered",
        CallbackState::Abandoned => "abandoned",
    };
    vec![
        short_id(&view.id),
        kind.to_owned(),
        state.to_owned(),
        view.attempts.len().to_string(),
        last_answer(view),
        next(view),
        cell(&view.flow_name, 32),
        cell(&view.url, 200),
    ]
}

/// What the last attempt came to.
fn last_answer(view: &CallbackView) -> String {
    let Some(attempt) = view.attempts.last() else {
        return "-".to_owned();
    };
    match (attempt.status, &attempt.error) {
        (Some(status), _) => status.to_string(),
        (None, Some(error)) => cell(error, 40),
        (None, None) if attempt.ended_at.is_none() => "under way".to_owned(),
        (None, None) => "-".to_owned(),
    }
}

fn next(view: &CallbackView) -> String {
    match &view.next_attempt_at {
        Some(_) if view.behind_earlier => "after an earlier one".to_owned(),
        Some(at) => relative(at),
        None => "-".to_owned(),
    }
}
