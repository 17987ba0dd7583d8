//! Variables that flows read.

use countersign_app::App;
use countersign_app::view::{VariableChange, VariableView};
use tauri::State;

use super::{Answer, refusal};

#[tauri::command(async)]
#[tracing::instrument(skip_all)]
pub(crate) fn list_variables(app: State<'_, App>) -> Vec<VariableView> {
    app.variables()
}

#[tauri::command]
#[tracing::instrument(skip(app, change))]
pub(crate) async fn set_variable(
    app: State<'_, App>,
    name: String,
    change: VariableChange,
) -> Answer<VariableView> {
    app.set_variable(&name, change).await.map_err(refusal)
}

#[tauri::command]
#[tracing::instrument(skip(app))]
pub(crate) async fn delete_variable(app: State<'_, App>, name: String) -> Answer<()> {
    app.delete_variable(&name).await.map_err(refusal)
}
