//! Callbacks: what went out, and sending it again.

use countersign_app::App;
use countersign_app::view::{CallbackPage, CallbackQuery, CallbackView};
use tauri::State;

use super::{Answer, refusal};

#[tauri::command(async)]
#[tracing::instrument(skip_all)]
pub(crate) fn list_callbacks(app: State<'_, App>, query: CallbackQuery) -> Answer<CallbackPage> {
    app.callbacks(&query).map_err(refusal)
}

#[tauri::command(async)]
#[tracing::instrument(skip(app))]
pub(crate) fn get_callback(app: State<'_, App>, id: String) -> Answer<CallbackView> {
    app.callback(&id).map_err(refusal)
}

#[tauri::command]
#[tracing::instrument(skip(app))]
pub(crate) async fn redeliver_callback(app: State<'_, App>, id: String) -> Answer<CallbackView> {
    app.redeliver(&id).await.map_err(refusal)
}
