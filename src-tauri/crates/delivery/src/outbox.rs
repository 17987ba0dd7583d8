//! Where waiting callbacks are kept.

use std::future::Future;
use std::pin::Pin;

use countersign_domain::{AttemptTrigger, Callback, CallbackId, Timestamp};
use countersign_signature::Secret;

/// A future behind a pointer, so that [`Outbox`] can be a trait object.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The storage failed; nothing was sent, or its result was not kept.
#[derive(Debug, thiserror::Error)]
#[error("the outbox cannot be read or written")]
pub struct OutboxError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// An attempt that has begun.
#[derive(Debug, Clone)]
pub struct Started {
    /// The callback.
    pub callback: Callback,
    /// The JSON text that is sent.
    pub body: String,
    /// What to sign it with, if its receiver has a secret. An error is why the attempt fails without a request.
    pub secret: Result<Option<Secret>, String>,
}

/// The durable store of callbacks, as the dispatcher needs it. While a dispatcher runs, nothing else changes
/// a callback that exists; new ones may appear at any time.
pub trait Outbox: Send + Sync + 'static {
    /// All callbacks in the state `Waiting`. Read at the start and after the storage has failed.
    fn waiting(&self) -> BoxFuture<'_, Result<Vec<Callback>, OutboxError>>;

    /// One callback in any state.
    fn callback(&self, id: CallbackId) -> BoxFuture<'_, Result<Option<Callback>, OutboxError>>;

    /// Applies [`attempt::begin`](crate::attempt::begin) to the callback. `Ok(Some(…))` only once that is durable.
    /// `Ok(None)` if there is no such callback, if `begin` says that there is nothing to do, or if what it sends is
    /// lost: then [`attempt::give_up`](crate::attempt::give_up) was applied instead, and that is durable.
    fn attempt_started(
        &self,
        id: CallbackId,
        trigger: AttemptTrigger,
        now: Timestamp,
    ) -> BoxFuture<'_, Result<Option<Started>, OutboxError>>;

    /// Stores the callback as [`attempt::end`](crate::attempt::end) or [`attempt::recover`](crate::attempt::recover)
    /// left it: what it sends stays as it is. `Ok` only once that is durable.
    fn attempt_ended(&self, callback: Callback) -> BoxFuture<'_, Result<(), OutboxError>>;
}
