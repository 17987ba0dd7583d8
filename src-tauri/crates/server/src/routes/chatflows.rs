//! `/api/v1/chatflows`: the flows, under Flowise's name for them.

use std::sync::Arc;

use axum::extract::{Request, State};
use countersign_app::RunPolicy;
use countersign_app::view::{DryRunRequest, FlowStart, ScheduleChange};
use http::Uri;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use super::{Answer, Id, body, nothing, ok, query, text};
use crate::front::Shared;

/// How much of each flow is wanted.
#[derive(Debug, Deserialize)]
struct Depth {
    /// Whether the documents are left out. Flowise's clients do not ask for that.
    #[serde(default)]
    summary: bool,
}

/// `GET`, newest first; with `summary=true` without the documents.
pub(super) async fn list(State(shared): State<Arc<Shared>>, uri: Uri) -> Answer {
    let depth: Depth = query(&uri)?;
    if depth.summary {
        return Ok(ok(&shared.app.flow_summaries()?));
    }
    Ok(ok(&shared.app.flows()?))
}

/// `GET …/{id}`
pub(super) async fn show(State(shared): State<Arc<Shared>>, Id(id): Id) -> Answer {
    Ok(ok(&shared.app.flow(&id)?))
}

/// `POST`: `{"name", "flowData", …}`, or the file of an export as it is.
pub(super) async fn import(State(shared): State<Arc<Shared>>, request: Request) -> Answer {
    let text = text(&shared, request).await?;
    Ok(ok(&shared
        .carry_out(|app| async move { app.import_flow(&text, None).await })
        .await?))
}

/// What a replacement names beside a document.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Replacement {
    name: Option<String>,
    flow_data: Option<IgnoredAny>,
    nodes: Option<IgnoredAny>,
}

/// `PUT …/{id}`: another document, another name, or both.
pub(super) async fn replace(State(shared): State<Arc<Shared>>, Id(id): Id, request: Request) -> Answer {
    let text = text(&shared, request).await?;
    // Whatever is not of this form is a document, or what the import says about it.
    let replacement: Replacement = serde_json::from_str(&text).unwrap_or_default();
    let renamed =
        replacement.flow_data.is_none() && replacement.nodes.is_none() && replacement.name.is_some();
    let view = shared.carry_out(|app| async move {
        let document = (!renamed).then_some(text.as_str());
        app.replace_flow(&id, document, replacement.name.as_deref()).await
    });
    Ok(ok(&view.await?))
}

/// `DELETE …/{id}`: ends new calls; approvals that wait keep their flow.
pub(super) async fn delete(State(shared): State<Arc<Shared>>, Id(id): Id) -> Answer {
    shared
        .carry_out(|app| async move { app.delete_flow(&id).await })
        .await?;
    Ok(ok(&json!({ "raw": [], "affected": 1 })))
}

/// `POST …/{id}/webhook-secret`: a new secret, shown this once.
pub(super) async fn create_secret(State(shared): State<Arc<Shared>>, Id(id): Id) -> Answer {
    let secret = shared
        .carry_out(|app| async move { app.create_webhook_secret(&id).await })
        .await?;
    Ok(ok(&json!({ "webhookSecret": secret })))
}

/// `DELETE …/{id}/webhook-secret`
pub(super) async fn delete_secret(State(shared): State<Arc<Shared>>, Id(id): Id) -> Answer {
    shared
        .carry_out(|app| async move { app.delete_webhook_secret(&id).await })
        .await?;
    Ok(nothing())
}

/// `POST …/{id}/move-secrets`: the secrets that stand in the document in clear text become secret variables.
pub(super) async fn move_secrets(State(shared): State<Arc<Shared>>, Id(id): Id) -> Answer {
    let moved = shared.carry_out(|app| async move { app.move_flow_secrets(&id).await });
    Ok(ok(&moved.await?))
}

/// `GET …/{id}/policy`: what is said about the steps of the flow.
pub(super) async fn policy(State(shared): State<Arc<Shared>>, Id(id): Id) -> Answer {
    Ok(ok(&shared.app.flow_policy(&id)?))
}

/// `PUT …/{id}/policy`
pub(super) async fn set_policy(State(shared): State<Arc<Shared>>, Id(id): Id, request: Request) -> Answer {
    let policy: RunPolicy = body(&shared, request).await?;
    Ok(ok(&shared
        .carry_out(|app| async move { app.set_flow_policy(&id, policy).await })
        .await?))
}

/// `PATCH …/{id}/schedule`: whether the schedule counts, and what becomes of missed and overlapping moments.
pub(super) async fn change_schedule(
    State(shared): State<Arc<Shared>>,
    Id(id): Id,
    request: Request,
) -> Answer {
    let change: ScheduleChange = body(&shared, request).await?;
    Ok(ok(&shared
        .carry_out(|app| async move { app.change_flow_schedule(&id, change).await })
        .await?))
}

/// `POST …/{id}/start`: starts the flow for a person, with its form or a message, and does not wait for its end.
pub(super) async fn start(State(shared): State<Arc<Shared>>, Id(id): Id, request: Request) -> Answer {
    let start: FlowStart = body(&shared, request).await?;
    Ok(ok(&shared
        .carry_out(|app| async move { app.start_flow(&id, start).await })
        .await?))
}

/// `POST …/{id}/dry-run`: what the flow would do with this body. Nothing is sent, asked or kept.
pub(super) async fn dry_run(State(shared): State<Arc<Shared>>, Id(id): Id, request: Request) -> Answer {
    let wish: DryRunRequest = body(&shared, request).await?;
    Ok(ok(&shared.app.dry_run(&id, wish).await?))
}
