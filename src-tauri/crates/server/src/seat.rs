//! How many connections there are, and which of them gives way to a new one.
//!
//! A limit alone would let a few hundred clients that never finish what they began lock everybody out until their
//! time is up. So, once all seats are taken, the connection that has waited longest for its client loses its own:
//! for a head, for a body, for the next request, or for the client to read. One that works on a request never does.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// How long a client is waited for at least: longer than one that is at work takes from an answer to its next call.
const GRACE: Duration = Duration::from_millis(500);

/// How long until somebody else is asked, or the same one again.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// All seats.
pub(crate) struct Seats {
    free: Arc<Semaphore>,
    limit: usize,
    begun: Instant,
    taken: Vec<Weak<Seat>>,
}

/// The seat of one connection. It is free again once the last of its handles is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    begun: Instant,
    /// Since when the client has to send; see [`Seat::now`]. 0 while it has not.
    waits: AtomicU64,
    /// Since when the client has to read. 0 while it has not.
    sends: AtomicU64,
    leave: Notify,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Seats {
    /// So many seats.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(limit)),
            limit,
            begun: Instant::now(),
            taken: Vec::new(),
        }
    }

    /// Waits for a seat. If none is free, the connections that wait longest are asked to leave.
    pub(crate) async fn take(&mut self) -> Arc<Seat> {
        let permit = loop {
            if let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() {
                break Some(permit);
            }
            self.ask_to_leave();
            match timeout(ASK_AGAIN, Arc::clone(&self.free).acquire_owned()).await {
                Ok(Ok(permit)) => break Some(permit),
                Err(_) => {}
                // Nobody closes it; and if so, then there is no limit any more.
                Ok(Err(_)) => break None,
            }
        };
        let seat = Arc::new(Seat {
            begun: self.begun,
            waits: AtomicU64::new(0),
            sends: AtomicU64::new(0),
            leave: Notify::new(),
            _permit: permit,
        });
        seat.waits.store(seat.now(), Ordering::Relaxed);
        if self.taken.len() >= self.limit.saturating_mul(2) {
            self.taken.retain(|seat| seat.strong_count() > 0);
        }
        self.taken.push(Arc::downgrade(&seat));
        seat
    }

    /// Asks the one that has waited longest, if that is long enough.
    fn ask_to_leave(&self) {
        let waiting = self.taken.iter().filter_map(Weak::upgrade);
        let longest = waiting.max_by_key(|seat| seat.waited());
        if let Some(seat) = longest.filter(|seat| seat.waited() >= GRACE) {
            seat.leave.notify_one();
        }
    }
}

impl Seat {
    /// Milliseconds since the server began, from 1.
    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).map_or(u64::MAX, |now| now.saturating_add(1))
    }

    /// Everything was received: from now on we are at work.
    pub(crate) fn works(&self) {
        self.waits.store(0, Ordering::Relaxed);
    }

    /// The answer is done, and the next thing has to come from the client.
    fn rests(&self) {
        self.waits.store(self.now(), Ordering::Relaxed);
    }

    /// Whether what we send has to wait for the client to read.
    pub(crate) fn sends(&self, waits: bool) {
        let since = self.sends.load(Ordering::Relaxed);
        if waits != (since != 0) {
            self.sends
                .store(if waits { self.now() } else { 0 }, Ordering::Relaxed);
        }
    }

    /// Whether it is the client's turn.
    pub(crate) fn waits(&self) -> bool {
        self.waits.load(Ordering::Relaxed) != 0 || self.sends.load(Ordering::Relaxed) != 0
    }

    /// For how long it has been the client's turn.
    fn waited(&self) -> Duration {
        let now = self.now();
        [&self.waits, &self.sends]
            .into_iter()
            .map(|since| since.load(Ordering::Relaxed))
            .filter(|since| *since != 0)
            .map(|since| Duration::from_millis(now.saturating_sub(since)))
            .max()
            .unwrap_or_default()
    }

    /// Waits until a new connection needs this seat.
    pub(crate) async fn asked_to_leave(&self) {
        self.leave.notified().await;
    }
}

/// The body of an answer. As long as it is there, the connection is at work.
pub(crate) struct Answering {
    body: Body,
    seat: Arc<Seat>,
}

impl Answering {
    pub(crate) fn new(body: Body, seat: &Arc<Seat>) -> Self {
        seat.works();
        Self {
            body,
            seat: Arc::clone(seat),
        }
    }
}

impl hyper::body::Body for Answering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.seat.rests();
    }
}
