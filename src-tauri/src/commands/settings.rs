//! Settings, and trying out what they say.

use countersign_app::App;
use countersign_app::view::{SettingsChange, SettingsView, TestCallbackView};
use tauri::State;

use super::{Answer, refusal};

#[tauri::command(async)]
#[tracing::instrument(skip_all)]
pub(crate) fn get_settings(app: State<'_, App>) -> Answer<SettingsView> {
    app.settings().map_err(refusal)
}

#[tauri::command]
#[tracing::instrument(skip_all)]
pub(crate) async fn change_settings(app: State<'_, App>, change: SettingsChange) -> Answer<SettingsView> {
    app.change_settings(change).await.map_err(refusal)
}

#[tauri::command]
#[tracing::instrument(skip_all)]
pub(crate) async fn test_callback(app: State<'_, App>) -> Answer<TestCallbackView> {
    app.test_callback().await.map_err(refusal)
}

#[tauri::command]
#[tracing::instrument(skip_all)]
pub(crate) async fn test_notification(app: State<'_, App>) -> Answer<()> {
    app.test_notification().await.map_err(refusal)
}
