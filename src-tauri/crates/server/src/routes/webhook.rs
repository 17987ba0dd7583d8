//! `ANY /api/v1/webhook/{flowId}`: trigger a flow, or answer its question (webhook spec §1-§5, §10).

use std::borrow::Cow;

use axum::response::Response;
use bytes::Bytes;
use countersign_app::{Error, WebhookReply, WebhookRequest};
use countersign_domain::ErrorCode;
use http::{Request, Uri};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::reply;
use crate::front::Shared;
use crate::{body, error, form};

/// Answers one call.
pub(crate) async fn call<B>(shared: &Shared, request: Request<B>) -> Response
where
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    reply::answer(trigger(shared, request).await)
}

async fn trigger<B>(shared: &Shared, request: Request<B>) -> Result<WebhookReply, Error>
where
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    let (parts, incoming) = request.into_parts();
    let received = shared.bodies.webhook(&parts.headers, incoming).await?;
    let webhook = WebhookRequest {
        flow_id: flow_id(&parts.uri)?,
        method: parts.method.as_str().to_owned(),
        headers: body::header_list(&parts.headers),
        query: query(&parts.uri)?,
        body: Some(received.value),
        raw_body: received.raw,
    };
    tracing::debug!(flow = webhook.flow_id, method = webhook.method, "webhook");
    let reply = shared
        .carry_out(|app| async move { app.webhook(webhook).await })
        .await;
    drop(received.room);
    reply
}

/// The segment after `/api/v1/webhook/`, as it was sent.
fn flow_id(uri: &Uri) -> Result<String, Error> {
    let rest = uri.path().strip_prefix("/api/v1/webhook").unwrap_or_default();
    let segment = rest.strip_prefix('/').unwrap_or(rest);
    let segment = segment.strip_suffix('/').unwrap_or(segment);
    if segment.is_empty() {
        return Err(Error::new(
            ErrorCode::Invalid,
            "Error: webhookController.createWebhook - id not provided!",
        )
        .with_status(412));
    }
    if segment.contains('/') {
        return Err(error::nothing_here());
    }
    if !form::well_formed(segment.as_bytes()) {
        return Err(malformed());
    }
    percent_decode_str(segment)
        .decode_utf8()
        .map(Cow::into_owned)
        .map_err(|_| malformed())
}

fn malformed() -> Error {
    Error::new(ErrorCode::Invalid, "URI malformed")
}

/// Query values stay as they were sent (conformance deviation (h)).
fn query(uri: &Uri) -> Result<Value, Error> {
    let Some(text) = uri.query().filter(|text| !text.is_empty()) else {
        return Ok(Value::Object(Map::new()));
    };
    if !form::well_formed(text.as_bytes()) || percent_decode_str(text).decode_utf8().is_err() {
        return Err(malformed());
    }
    form::parse(text.as_bytes(), form::Syntax::QUERY)
        .map_err(|_| Error::new(ErrorCode::Invalid, "The query has too many parameters"))
}
