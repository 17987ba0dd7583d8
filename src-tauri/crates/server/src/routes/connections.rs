//! `/api/v1/connections`: which endpoint, key or folder stands for what exports name.

use std::sync::Arc;

use axum::extract::{Request, State};
use countersign_app::view::ConnectionChange;

use super::{Answer, Id, body, nothing, ok};
use crate::front::Shared;

/// `GET`: all by name, without their keys.
pub(super) async fn list(State(shared): State<Arc<Shared>>) -> Answer {
    Ok(ok(&shared.app.connections()))
}

/// `PUT …/{name}`
pub(super) async fn set(State(shared): State<Arc<Shared>>, Id(name): Id, request: Request) -> Answer {
    let change: ConnectionChange = body(&shared, request).await?;
    Ok(ok(&shared
        .carry_out(|app| async move { app.set_connection(&name, change).await })
        .await?))
}

/// `DELETE …/{name}`: 204.
pub(super) async fn delete(State(shared): State<Arc<Shared>>, Id(name): Id) -> Answer {
    shared
        .carry_out(|app| async move { app.delete_connection(&name).await })
        .await?;
    Ok(nothing())
}
