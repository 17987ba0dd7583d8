//! `callbacks`.

use countersign_app::view::{CallbackSummary, CallbackView};
use countersign_domain::{Attempt, CallbackKind, CallbackState, display_line, display_text};

use crate::args::Callbacks;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::{Output, cell, more, relative, short_id, table};

/// `countersign callbacks [ID]`
pub(crate) async fn run(client: &Client, arguments: &Callbacks, output: &Output) -> Result<Exit, Failure> {
    match &arguments.id {
        Some(id) => show(client, id, output).await,
        None => list(client, arguments, output).await,
    }
}

async fn show(client: &Client, id: &str, output: &Output) -> Result<Exit, Failure> {
    let id = client.callback_id(id).await?;
    let view: CallbackView = client.get(&format!("/api/v1/callbacks/{id}")).await?;
    output.print(&view, || page(&view));
    Ok(Exit::Done)
}

async fn list(client: &Client, arguments: &Callbacks, output: &Output) -> Result<Exit, Failure> {
    let state = Some(arguments.state.as_str()).filter(|state| *state != "all");
    let limit = usize::try_from(arguments.limit).unwrap_or(usize::MAX);
    let page = client.callbacks(state, limit).await?;
    output.print(&page, || {
        if page.callbacks.is_empty() {
            return "No callbacks.".to_owned();
        }
        let rows: Vec<_> = page.callbacks.iter().map(row).collect();
        let mut text = table(
            &["ID", "KIND", "STATE", "TRIES", "LAST", "NEXT", "FLOW", "TO"],
            &rows,
        );
        if page.next.is_some() {
            // How many there are is known of those that wait only.
            text.push_str(&more(
                rows.len(),
                (arguments.state == "waiting").then_some(page.waiting),
            ));
        }
        text
    });
    Ok(Exit::Done)
}

/// Everything that is known about a callback.
fn page(view: &CallbackView) -> String {
    let callback = &view.summary;
    let mut text = format!("{} to {}\n\n", kind(callback), cell(&callback.url, 2_000));
    for (name, fact) in [
        ("State", state(callback).to_owned()),
        ("Next", next(callback)),
        ("Flow", cell(&callback.flow_name, 200)),
        (
            "Written",
            format!(
                "{} ({})",
                relative(&callback.created_at),
                cell(&callback.created_at, 40)
            ),
        ),
        ("Id", cell(&callback.id, 64)),
        ("Execution", cell(&callback.execution_id, 64)),
        ("Chat", cell(&callback.chat_id, 200)),
    ] {
        text.push_str(&format!("{name:<10} {fact}\n"));
    }
    text.push_str("\nAttempts\n");
    for attempt in &callback.attempts {
        let said = attempt.response.as_deref().unwrap_or_default();
        text.push_str(&format!(
            "  {:>2}  {}  {}  {}\n",
            attempt.number,
            cell(&attempt.started_at.to_string(), 40),
            came_to(attempt, 400),
            display_line(said, 200)
        ));
    }
    if callback.attempts.is_empty() {
        text.push_str("  none yet\n");
    }
    text.push_str(&format!("\nBody\n{}\n", display_text(&view.body)));
    text
}

fn row(view: &CallbackSummary) -> Vec<String> {
    vec![
        short_id(&view.id),
        kind(view).to_owned(),
        state(view).to_owned(),
        view.attempts.len().to_string(),
        view.attempts
            .last()
            .map_or_else(|| "-".to_owned(), |attempt| came_to(attempt, 40)),
        next(view),
        cell(&view.flow_name, 32),
        cell(&view.url, 200),
    ]
}

fn kind(view: &CallbackSummary) -> &'static str {
    match view.kind {
        CallbackKind::Stopped => "STOPPED",
        CallbackKind::Success => "SUCCESS",
        CallbackKind::Error => "ERROR",
    }
}

fn state(view: &CallbackSummary) -> &'static str {
    match view.state {
        CallbackState::Waiting => "waiting",
        CallbackState::Delivered => "delivered",
        CallbackState::Abandoned => "abandoned",
    }
}

/// What an attempt came to, in at most so many letters.
fn came_to(attempt: &Attempt, width: usize) -> String {
    match (attempt.status, &attempt.error) {
        (Some(status), _) => status.to_string(),
        (None, Some(error)) => cell(error, width),
        (None, None) if attempt.ended_at.is_none() => "under way".to_owned(),
        (None, None) => "-".to_owned(),
    }
}

fn next(view: &CallbackSummary) -> String {
    match &view.next_attempt_at {
        Some(_) if view.behind_earlier => "after an earlier one".to_owned(),
        Some(at) => relative(at),
        None => "-".to_owned(),
    }
}
