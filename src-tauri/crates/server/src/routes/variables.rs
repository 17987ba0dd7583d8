//! `/api/v1/variables`: what flows read as `{{ $vars.name }}`.

use std::sync::Arc;

use axum::extract::{Request, State};
use countersign_app::view::VariableChange;

use super::{Answer, Id, body, nothing, ok};
use crate::front::Shared;

/// `GET`: all by name, secrets without their values.
pub(super) async fn list(State(shared): State<Arc<Shared>>) -> Answer {
    Ok(ok(&shared.app.variables()))
}

/// `PUT …/{name}`
pub(super) async fn set(State(shared): State<Arc<Shared>>, Id(name): Id, request: Request) -> Answer {
    let change: VariableChange = body(&shared, request).await?;
    Ok(ok(&shared
        .carry_out(|app| async move { app.set_variable(&name, change).await })
        .await?))
}

/// `DELETE …/{name}`: 204.
pub(super) async fn delete(State(shared): State<Arc<Shared>>, Id(name): Id) -> Answer {
    shared
        .carry_out(|app| async move { app.delete_variable(&name).await })
        .await?;
    Ok(nothing())
}
