//! What a use case says when it refuses or fails.

use countersign_domain::{AlreadyDecided, Approval, ErrorCode};

/// A refusal or a fault, in words for people. The text never repeats its source; a log prints both.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// For programs that branch.
    pub code: ErrorCode,
    /// The HTTP status that says the same.
    pub status: u16,
    /// What happened, what was kept, what to do next.
    pub message: String,
    /// The approval that stands in the way, if the answer came second.
    pub approval: Option<Box<Approval>>,
    /// The cause inside.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error with this code, the code's usual status and this message.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            status: status(code),
            message: message.into(),
            approval: None,
            source: None,
        }
    }

    /// [`ErrorCode::Invalid`]
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Invalid, message)
    }

    /// The same with another HTTP status, where Flowise's answer is another one.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// The same with its cause, for the log.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}

/// The usual HTTP status of a code.
fn status(code: ErrorCode) -> u16 {
    match code {
        ErrorCode::Invalid | ErrorCode::FlowRefused => 400,
        ErrorCode::Unauthorized => 401,
        ErrorCode::Forbidden => 403,
        ErrorCode::NotFound => 404,
        ErrorCode::MethodNotAllowed => 405,
        ErrorCode::AlreadyDecided
        | ErrorCode::ContentChanged
        | ErrorCode::NotWaiting
        | ErrorCode::NoWindow => 409,
        ErrorCode::RunLost => 410,
        ErrorCode::TooLarge => 413,
        ErrorCode::UnsupportedMediaType => 415,
        ErrorCode::TooManyRequests => 429,
        ErrorCode::RunFailed | ErrorCode::Internal => 500,
        ErrorCode::StorageUnavailable | ErrorCode::ShuttingDown => 503,
    }
}

impl From<AlreadyDecided> for Error {
    fn from(already: AlreadyDecided) -> Self {
        let mut error = Self::new(ErrorCode::AlreadyDecided, already.to_string());
        error.approval = Some(already.0);
        error
    }
}
