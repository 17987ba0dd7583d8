//! `GET /api/v1/events`: server-sent events, one `EventView` each.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use countersign_app::Error;
use countersign_app::view::EventView;
use countersign_domain::ErrorCode;
use futures_util::stream;
use http::header::CONTENT_TYPE;
use tokio::sync::broadcast::Receiver;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::error::Failure;
use crate::front::Shared;

/// How often a comment shows that the stream lives.
const HEARTBEAT: Duration = Duration::from_secs(15);

struct Open {
    events: Receiver<EventView>,
    closing: watch::Receiver<bool>,
    heartbeat: Interval,
    _permit: OwnedSemaphorePermit,
}

/// A stream begins with a comment, so that a client knows that it misses nothing from now on. A reader that
/// falls behind is cut off: it connects again and looks at everything anew.
pub(super) async fn stream(State(shared): State<Arc<Shared>>) -> Response {
    let Ok(permit) = Arc::clone(&shared.streams).try_acquire_owned() else {
        return Failure(Error::new(
            ErrorCode::TooManyRequests,
            "Too many event streams are open",
        ))
        .into_response();
    };
    let mut heartbeat = interval(HEARTBEAT);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let open = Open {
        events: shared.app.subscribe(),
        closing: shared.closing.subscribe(),
        heartbeat,
        _permit: permit,
    };
    // The first tick is due at once: it is the comment at the beginning.
    let frames = stream::unfold(open, |mut open| async move {
        let frame = tokio::select! {
            biased;
            _ = open.closing.wait_for(|closing| *closing) => return None,
            _ = open.heartbeat.tick() => Bytes::from_static(b": alive\n\n"),
            event = open.events.recv() => frame(&event.ok()?)?,
        };
        Some((Ok::<_, Infallible>(frame), open))
    });
    let headers = [
        (CONTENT_TYPE.as_str(), "text/event-stream"),
        ("x-accel-buffering", "no"),
    ];
    (headers, Body::from_stream(frames)).into_response()
}

fn frame(event: &EventView) -> Option<Bytes> {
    let json = serde_json::to_string(event).ok()?;
    Some(Bytes::from(format!("data: {json}\n\n")))
}
