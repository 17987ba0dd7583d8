//! The world, as far as a node may see it.

use countersign_domain::Timestamp;
use uuid::Uuid;

/// What the runner needs from outside. Tests replace it.
pub trait Host: Send + Sync {
    /// The present moment, for `{{ current_date_time }}`.
    fn now(&self) -> Timestamp;

    /// A new id. It is asked for exactly once for each stop and becomes the `id` of the stop's action.
    fn new_id(&self) -> Uuid;

    /// The workspace variable of this name, for `{{ $vars.name }}`; `None` leaves the reference as it is.
    fn variable(&self, name: &str) -> Option<String>;
}
