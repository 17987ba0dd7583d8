//! Questions: listing them and answering them.

use countersign_app::view::{ApprovalPage, ApprovalQuery, ApprovalView, DecisionRequest};
use countersign_app::{App, Surface};
use tauri::State;

use super::{Answer, refusal};
use crate::person;

#[tauri::command(async)]
#[tracing::instrument(skip_all)]
pub(crate) fn list_approvals(app: State<'_, App>, query: ApprovalQuery) -> Answer<ApprovalPage> {
    app.approvals(&query).map_err(refusal)
}

#[tauri::command(async)]
#[tracing::instrument(skip(app))]
pub(crate) fn get_approval(app: State<'_, App>, id: String) -> Answer<ApprovalView> {
    app.approval(&id).map_err(refusal)
}

#[tauri::command]
#[tracing::instrument(skip(app, request))]
pub(crate) async fn decide_approval(
    app: State<'_, App>,
    id: String,
    request: DecisionRequest,
) -> Answer<ApprovalView> {
    let person = person::account_name(|name| std::env::var(name).ok());
    app.decide(&id, request, Surface::Inbox, person)
        .await
        .map_err(refusal)
}

#[tauri::command]
#[tracing::instrument(skip(app))]
pub(crate) async fn cancel_approval(app: State<'_, App>, id: String) -> Answer<ApprovalView> {
    let person = person::account_name(|name| std::env::var(name).ok());
    app.cancel_approval(&id, person).await.map_err(refusal)
}
