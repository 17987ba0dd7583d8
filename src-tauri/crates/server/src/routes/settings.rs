//! `/api/v1/settings` and its two tests.

use std::sync::Arc;

use axum::extract::{Request, State};
use countersign_app::view::SettingsChange;

use super::{Answer, body, nothing, ok};
use crate::front::Shared;

/// `GET`
pub(super) async fn show(State(shared): State<Arc<Shared>>) -> Answer {
    Ok(ok(&shared.app.settings()?))
}

/// `PATCH`: what is absent stays.
pub(super) async fn change(State(shared): State<Arc<Shared>>, request: Request) -> Answer {
    let change: SettingsChange = body(&shared, request).await?;
    Ok(ok(&shared
        .carry_out(|app| async move { app.change_settings(change).await })
        .await?))
}

/// `POST …/test-callback`: 200 with what came of it, also when it was not delivered.
pub(super) async fn test_callback(State(shared): State<Arc<Shared>>) -> Answer {
    Ok(ok(&shared.app.test_callback().await?))
}

/// `POST …/test-notification`: 204 once it is handed to the desktop.
pub(super) async fn test_notification(State(shared): State<Arc<Shared>>) -> Answer {
    shared.app.test_notification().await?;
    Ok(nothing())
}
