//! Error codes, for programs that branch on them.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// Why something was refused. A variant exists only where somebody decides by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorCode {
    /// The request itself is wrong: a field is missing or has no meaning. 400.
    Invalid,
    /// The token or the signature is missing or wrong. 401.
    Unauthorized,
    /// The request comes from where it must not: a foreign Host or Origin. 403.
    Forbidden,
    /// There is nothing under this id. 404.
    NotFound,
    /// The method is not allowed. 405.
    MethodNotAllowed,
    /// Somebody was first, or the step does not wait. 409.
    AlreadyDecided,
    /// The answer is for another text than the one that waits. 409.
    ContentChanged,
    /// Nothing waits there for an answer. 409.
    NotWaiting,
    /// There is no window that could be shown: whoever runs has none. 409.
    NoWindow,
    /// The run behind the question is lost, so it can be taken back but not answered. 410.
    RunLost,
    /// The body is larger than allowed. 413.
    TooLarge,
    /// The body's type is not one that is read. 415.
    UnsupportedMediaType,
    /// The flow cannot be imported as it is. 400.
    FlowRefused,
    /// A step of the flow failed. 500.
    RunFailed,
    /// The storage failed; no work is taken until it is back. 503.
    StorageUnavailable,
    /// The program is closing. 503.
    ShuttingDown,
    /// Too much at once. 429.
    TooManyRequests,
    /// Our own fault. 500.
    Internal,
}
