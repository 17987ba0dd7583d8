//! `POST /api/v1/prediction/{flowId}`: the door of flows that start with a chat or a form (webhook spec §10).

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use countersign_app::{Error, PredictionRequest, WebhookReply};
use countersign_domain::ErrorCode;

use super::{Id, reply};
use crate::front::Shared;

/// Without an id nothing can be run.
pub(super) async fn no_flow() -> Response {
    let error = Error::new(
        ErrorCode::Invalid,
        "Error: predictionsController.createPrediction - id not provided!",
    );
    reply::answer(Err(error.with_status(412)))
}

/// Answers one call.
pub(super) async fn call(State(shared): State<Arc<Shared>>, Id(flow_id): Id, request: Request) -> Response {
    reply::answer(predict(&shared, flow_id, request).await)
}

async fn predict(shared: &Shared, flow_id: String, request: Request) -> Result<WebhookReply, Error> {
    let (parts, incoming) = request.into_parts();
    let received = shared.bodies.webhook(&parts.headers, incoming).await?;
    let prediction = PredictionRequest {
        flow_id,
        body: received.value,
    };
    tracing::debug!(flow = prediction.flow_id, "prediction");
    let answer = shared
        .carry_out(|app| async move { app.predict(prediction).await })
        .await;
    drop(received.room);
    answer
}
