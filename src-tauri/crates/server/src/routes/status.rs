//! `GET /api/v1/status`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::ok;
use crate::front::Shared;

pub(super) async fn show(State(shared): State<Arc<Shared>>) -> Response {
    ok(&shared.app.status())
}
