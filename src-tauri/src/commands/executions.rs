//! Executions: lists of them, what ran, why, going on with what a restart had ended, and taking back.

use countersign_app::App;
use countersign_app::view::{ExecutionView, RunPage, RunQuery, RunSummary, StepView};
use tauri::State;

use super::{Answer, refusal};
use crate::person;

#[tauri::command(async)]
#[tracing::instrument(skip(app))]
pub(crate) fn list_executions(app: State<'_, App>, query: RunQuery) -> Answer<RunPage> {
    app.runs(&query).map_err(refusal)
}

#[tauri::command(async)]
#[tracing::instrument(skip(app))]
pub(crate) fn get_execution(app: State<'_, App>, id: String) -> Answer<RunSummary> {
    app.run(&id).map_err(refusal)
}

#[tauri::command(async)]
#[tracing::instrument(skip(app))]
pub(crate) fn explain_execution(app: State<'_, App>, id: String) -> Answer<Vec<StepView>> {
    app.execution_steps(&id).map_err(refusal)
}

#[tauri::command]
#[tracing::instrument(skip(app))]
pub(crate) async fn continue_execution(app: State<'_, App>, id: String) -> Answer<ExecutionView> {
    let person = person::account_name(|name| std::env::var(name).ok());
    app.continue_execution(&id, person).await.map_err(refusal)
}

#[tauri::command]
#[tracing::instrument(skip(app))]
pub(crate) async fn cancel_execution(app: State<'_, App>, id: String) -> Answer<ExecutionView> {
    let person = person::account_name(|name| std::env::var(name).ok());
    app.cancel_execution(&id, person).await.map_err(refusal)
}
