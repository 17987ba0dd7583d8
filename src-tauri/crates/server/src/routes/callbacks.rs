//! `/api/v1/callbacks`: what was sent, and sending it again.

use std::sync::Arc;

use axum::extract::State;
use countersign_app::view::CallbackQuery;
use http::Uri;

use super::{Answer, Id, ok, query};
use crate::front::Shared;

/// `GET`
pub(super) async fn list(State(shared): State<Arc<Shared>>, uri: Uri) -> Answer {
    let wanted: CallbackQuery = query(&uri)?;
    Ok(ok(&shared.app.callbacks(&wanted)?))
}

/// `GET …/{id}`
pub(super) async fn show(State(shared): State<Arc<Shared>>, Id(id): Id) -> Answer {
    Ok(ok(&shared.app.callback(&id)?))
}

/// `POST …/{id}/redeliver`: tries at once, with the same id and the same bytes.
pub(super) async fn redeliver(State(shared): State<Arc<Shared>>, Id(id): Id) -> Answer {
    Ok(ok(&shared
        .carry_out(|app| async move { app.redeliver(&id).await })
        .await?))
}
