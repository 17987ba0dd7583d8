//! The answer of a run: in one piece, by and by, or as a promise (webhook spec §8).

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use countersign_app::{Error, RunStream, WebhookReply};
use futures_util::stream;
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use crate::error;

/// How often a comment shows that a stream lives.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// Answers a call that was taken, or refused.
pub(super) fn answer(reply: Result<WebhookReply, Error>) -> Response {
    match reply {
        Ok(WebhookReply::Done(text)) => error::json_text(StatusCode::OK, text),
        Ok(WebhookReply::Accepted { chat_id }) => {
            let body = serde_json::json!({ "chatId": chat_id, "status": "PROCESSING" });
            error::json(StatusCode::ACCEPTED, &body)
        }
        Ok(WebhookReply::Stream(events)) => watched(events),
        Err(error) => error::compatible(&error),
    }
}

/// The events of a run as they happen. A client that goes leaves the run alone.
fn watched(events: RunStream) -> Response {
    let mut heartbeat = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let frames = stream::unfold((events, heartbeat), |(mut events, mut heartbeat)| async move {
        let frame = frame(&mut events, &mut heartbeat).await?;
        Some((Ok::<_, Infallible>(frame), (events, heartbeat)))
    });
    let headers = [
        (CONTENT_TYPE.as_str(), "text/event-stream"),
        (CACHE_CONTROL.as_str(), "no-cache"),
        (CONNECTION.as_str(), "keep-alive"),
        ("x-accel-buffering", "no"),
    ];
    (headers, Body::from_stream(frames)).into_response()
}

/// The next frame in Flowise's form; `None` at the end.
async fn frame(events: &mut RunStream, heartbeat: &mut Interval) -> Option<Bytes> {
    tokio::select! {
        biased;
        event = events.next() => event.map(|event| Bytes::from(format!("message:\ndata:{}\n\n", event.json))),
        _ = heartbeat.tick() => Some(Bytes::from_static(b":heartbeat\n\n")),
    }
}
