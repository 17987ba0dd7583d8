//! `/api/v1/open`: the window is to be shown, as by a second start of the desktop app.

use std::sync::Arc;

use axum::extract::{Request, State};
use serde::Deserialize;

use super::{Answer, body, nothing};
use crate::front::Shared;

/// What is to be shown.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Opening {
    /// The approval; the inbox if absent.
    approval_id: Option<String>,
}

/// `POST`: 204 once the window was asked; 409 where there is none.
pub(super) async fn show(State(shared): State<Arc<Shared>>, request: Request) -> Answer {
    let opening: Opening = body(&shared, request).await?;
    shared.app.open(opening.approval_id.as_deref())?;
    Ok(nothing())
}
