//! Which endpoint, key or folder stands for what exports name.

use countersign_app::App;
use countersign_app::view::{ConnectionChange, ConnectionView};
use tauri::State;

use super::{Answer, refusal};

#[tauri::command(async)]
#[tracing::instrument(skip_all)]
pub(crate) fn list_connections(app: State<'_, App>) -> Vec<ConnectionView> {
    app.connections()
}

#[tauri::command]
#[tracing::instrument(skip(app, change))]
pub(crate) async fn set_connection(
    app: State<'_, App>,
    name: String,
    change: ConnectionChange,
) -> Answer<ConnectionView> {
    app.set_connection(&name, change).await.map_err(refusal)
}

#[tauri::command]
#[tracing::instrument(skip(app))]
pub(crate) async fn delete_connection(app: State<'_, App>, name: String) -> Answer<()> {
    app.delete_connection(&name).await.map_err(refusal)
}
