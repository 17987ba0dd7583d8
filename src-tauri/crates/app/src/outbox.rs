//! The outbox: what the dispatcher needs of the store.

use std::sync::Weak;

use countersign_delivery::{BoxFuture, Outbox, OutboxError, Started, attempt};
use countersign_domain::{AttemptTrigger, Callback, CallbackId, CallbackState, JournalEvent, Timestamp};
use countersign_store::{Changes, StoreError};

use crate::app::Inner;

/// What is noted for a callback whose body is lost.
const BODY_LOST: &str = "The stored message is damaged, so it cannot be sent.";

/// What is noted for one that would leave without the signature that its receiver waits for.
const SECRET_LOST: &str = "The secret that signs it is gone, so it was not sent. Set the secret again, in the settings or as the \
                           variable that the flow names; then it is sent.";

/// The callbacks of the store, as the dispatcher sees them.
pub(crate) struct CallbackOutbox(Weak<Inner>);

impl CallbackOutbox {
    pub(crate) const fn new(inner: Weak<Inner>) -> Self {
        Self(inner)
    }
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> OutboxError {
    OutboxError(Box::new(error))
}

impl Outbox for CallbackOutbox {
    fn waiting(&self) -> BoxFuture<'_, Result<Vec<Callback>, OutboxError>> {
        Box::pin(async move {
            let Some(inner) = self.0.upgrade() else {
                return Ok(Vec::new());
            };
            inner.store.outbox().map_err(failed)
        })
    }

    fn callback(&self, id: CallbackId) -> BoxFuture<'_, Result<Option<Callback>, OutboxError>> {
        Box::pin(async move {
            let Some(inner) = self.0.upgrade() else {
                return Ok(None);
            };
            inner.store.callback(id).map_err(failed)
        })
    }

    fn attempt_started(
        &self,
        id: CallbackId,
        trigger: AttemptTrigger,
        now: Timestamp,
    ) -> BoxFuture<'_, Result<Option<Started>, OutboxError>> {
        Box::pin(async move {
            let Some(inner) = self.0.upgrade() else {
                return Ok(None);
            };
            let Some(mut callback) = inner.store.callback(id).map_err(failed)? else {
                return Ok(None);
            };
            let body = match inner.store.callback_body(id) {
                Ok(Some(body)) => body,
                // Waiting would not bring it back, and would keep what comes after it waiting too.
                Ok(None) | Err(StoreError::Damaged { .. }) => {
                    tracing::error!(callback = %id, "what a callback sends is damaged; it is given up");
                    if attempt::give_up(&mut callback, trigger, BODY_LOST, now) {
                        self.attempt_ended(callback).await?;
                    }
                    return Ok(None);
                }
                Err(error) => return Err(failed(error)),
            };
            if !attempt::begin(&mut callback, trigger, now) {
                return Ok(None);
            }
            let secret = match inner.callback_secret(&callback).map_err(failed)? {
                None if callback.signed && !inner.settings().unsigned_on_purpose => {
                    Err(SECRET_LOST.to_owned())
                }
                secret => Ok(secret),
            };
            let mut changes = Changes::new();
            changes.put_callback(&callback);
            inner.store.commit(changes).await.map_err(failed)?;
            inner.events.callback(&callback);
            Ok(Some(Started {
                callback,
                body,
                secret,
            }))
        })
    }

    fn attempt_ended(&self, callback: Callback) -> BoxFuture<'_, Result<(), OutboxError>> {
        Box::pin(async move {
            let Some(inner) = self.0.upgrade() else {
                return Ok(());
            };
            let mut changes = Changes::new();
            changes.put_callback(&callback);
            // The body is in the line that queued the callback.
            let settled = Box::new(callback.clone());
            match callback.state {
                CallbackState::Waiting => {}
                CallbackState::Delivered => {
                    changes.journal(&JournalEvent::CallbackDelivered { callback: settled });
                }
                CallbackState::Abandoned => {
                    changes.journal(&JournalEvent::CallbackAbandoned { callback: settled });
                }
            }
            inner.store.commit(changes).await.map_err(failed)?;
            inner.events.callback(&callback);
            Ok(())
        })
    }
}
