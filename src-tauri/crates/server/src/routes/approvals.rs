//! `/api/v1/approvals`: the queue, and answering it.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use countersign_app::view::{ApprovalQuery, DecisionRequest};
use countersign_domain::{ApprovalState, Surface, display_line};
use http::header::ORIGIN;
use http::{HeaderMap, Uri};
use serde::Deserialize;
use tokio::sync::broadcast::error::RecvError;

use super::{Answer, Id, body, invalid, ok, query};
use crate::error::Failure;
use crate::front::Shared;

/// Which of our own clients calls: `inbox` or `cli`; every other program is `api`. A browser need not say it.
const SURFACE: &str = "x-countersign-surface";

/// Who sits in front of that client, for the record.
const PERSON: &str = "x-countersign-person";

/// `GET`
pub(super) async fn list(State(shared): State<Arc<Shared>>, uri: Uri) -> Answer {
    let wanted: ApprovalQuery = query(&uri)?;
    Ok(ok(&shared.app.approvals(&wanted)?))
}

/// `GET …/{id}`
pub(super) async fn show(State(shared): State<Arc<Shared>>, Id(id): Id) -> Answer {
    Ok(ok(&shared.app.approval(&id)?))
}

/// `POST …/{id}/decision`: 200 with the approval; 409 with who was first.
pub(super) async fn decide(State(shared): State<Arc<Shared>>, Id(id): Id, request: Request) -> Answer {
    let surface = surface(request.headers())?;
    let person = person(request.headers());
    let decision: DecisionRequest = body(&shared, request).await?;
    Ok(ok(&shared
        .carry_out(|app| async move { app.decide(&id, decision, surface, person).await })
        .await?))
}

/// `POST …/{id}/cancel`: takes the question back, and its run with it; 409 with who answered first.
pub(super) async fn cancel(State(shared): State<Arc<Shared>>, Id(id): Id, headers: HeaderMap) -> Answer {
    let person = person(&headers);
    Ok(ok(&shared
        .carry_out(|app| async move { app.cancel_approval(&id, person).await })
        .await?))
}

fn surface(headers: &HeaderMap) -> Result<Surface, Failure> {
    match headers.get(SURFACE).map(|value| value.as_bytes()) {
        // Only browsers send these, and only pages of this server get past the guards with them.
        None if headers.contains_key(ORIGIN) || headers.contains_key("sec-fetch-site") => Ok(Surface::Inbox),
        None | Some(b"api") => Ok(Surface::Api),
        Some(b"inbox") => Ok(Surface::Inbox),
        Some(b"cli") => Ok(Surface::Cli),
        // The others are not told but known: nobody can pass for a notification or a rule.
        Some(_) => Err(invalid(format!("{SURFACE} must be inbox, cli or api"))),
    }
}

pub(super) fn person(headers: &HeaderMap) -> Option<String> {
    let text = String::from_utf8_lossy(headers.get(PERSON)?.as_bytes());
    Some(display_line(&text, 80)).filter(|name| !name.is_empty())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Patience {
    /// Seconds, at most 60; 30 if absent.
    timeout: Option<u64>,
}

/// `GET …/{id}/wait?timeout=30`: the approval as soon as it has an answer, or as it stands after that time.
pub(super) async fn wait(State(shared): State<Arc<Shared>>, Id(id): Id, uri: Uri) -> Answer {
    let patience: Patience = query(&uri)?;
    let time = Duration::from_secs(patience.timeout.unwrap_or(30).min(60));
    let mut events = shared.app.subscribe();
    let mut closing = shared.closing.subscribe();
    let answered = async {
        loop {
            // Subscribed before looking, so that no answer falls between.
            let approval = shared.app.approval(&id)?;
            if approval.summary.state != ApprovalState::Pending {
                return Ok(());
            }
            if let Err(RecvError::Closed) = events.recv().await {
                return Ok(());
            }
        }
    };
    tokio::select! {
        done = answered => done,
        () = tokio::time::sleep(time) => Ok(()),
        _ = closing.wait_for(|closing| *closing) => Ok(()),
    }
    .map_err(Failure)?;
    Ok(ok(&shared.app.approval(&id)?))
}
