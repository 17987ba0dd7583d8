//! `POST /api/v1/prediction/{flowId}`: the door of flows that start with a chat or a form. Such flows do not
//! run yet, so a caller is told where the others are.

use axum::response::Response;
use countersign_app::Error;
use countersign_domain::ErrorCode;

use crate::error;

pub(super) async fn call() -> Response {
    error::compatible(&Error::new(
        ErrorCode::NotFound,
        "Flows that start with a chat or a form do not run here yet. A flow with a webhook start is called \
         at /api/v1/webhook/<id>.",
    ))
}
