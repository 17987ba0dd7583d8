//! Whether the server runs and takes work. Open to every program on this machine; says nothing else.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::json;

use crate::error;
use crate::front::Shared;

/// `GET /api/v1/ping`: Flowise's sign of life.
pub(super) async fn ping() -> Response {
    "pong".into_response()
}

/// `GET /healthz`: the process answers.
pub(super) async fn alive() -> Response {
    error::json(StatusCode::OK, &json!({ "status": "ok" }))
}

/// `GET /readyz`: 200 if work is taken, 503 while the storage has failed or the server closes.
pub(super) async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    if *shared.closing.borrow() {
        return error::json(StatusCode::SERVICE_UNAVAILABLE, &json!({ "status": "closing" }));
    }
    match shared.app.status().storage_problem {
        None => error::json(StatusCode::OK, &json!({ "status": "ready" })),
        Some(_) => error::json(
            StatusCode::SERVICE_UNAVAILABLE,
            &json!({ "status": "storage unavailable" }),
        ),
    }
}
