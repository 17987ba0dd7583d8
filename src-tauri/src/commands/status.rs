//! How the program is doing.

use countersign_app::App;
use countersign_app::view::StatusView;
use tauri::State;

#[tauri::command(async)]
#[tracing::instrument(skip_all)]
pub(crate) fn get_status(app: State<'_, App>) -> StatusView {
    app.status()
}
