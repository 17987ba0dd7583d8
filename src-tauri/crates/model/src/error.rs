//! Why there is no answer.

use std::time::Duration;

use serde_json::Value;

/// Why a model gave no answer, in words for people. Keys are never part of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// It could not be reached, or the exchange broke off.
    #[error("{0}")]
    Exchange(String),
    /// It did not answer in time.
    #[error("The model did not answer within {} s.", .0.as_secs())]
    TooSlow(Duration),
    /// The provider refused the question.
    #[error("{}", refusal(.status.as_ref(), message))]
    Refused {
        /// The HTTP status; none where the refusal came within a stream.
        status: Option<u16>,
        /// What the provider says.
        message: String,
    },
    /// The provider wants to be left alone for longer than is waited.
    #[error("The provider takes no more questions for {} s. {message}", .after.as_secs())]
    Busy {
        /// How long.
        after: Duration,
        /// What the provider says.
        message: String,
    },
    /// The answer makes no sense.
    #[error("The answer of the model is not understood: {0}.")]
    NotUnderstood(String),
}

fn refusal(status: Option<&u16>, message: &str) -> String {
    let advice = match status {
        Some(401 | 403) => " Check the key of the connection.",
        Some(404) => " Check the name of the model and the base URL of the connection.",
        Some(300..=399) => " It is a redirect; give the connection the address that it leads to.",
        _ => "",
    };
    let said = if message.is_empty() {
        ".".to_owned()
    } else {
        format!(": {message}")
    };
    match status {
        Some(status) => format!("The provider answered {status}{said}{advice}"),
        None => format!("The provider broke the answer off{said}"),
    }
}

/// What a provider says in an error: `{"error": {"message"}}` or `{"error": "…"}`, else the text.
pub(crate) fn said(body: &[u8]) -> String {
    let message = serde_json::from_slice::<Value>(body).ok().and_then(|body| {
        let error = body.get("error").unwrap_or(&body);
        let message = error.get("message").unwrap_or(error);
        message.as_str().map(str::to_owned)
    });
    message.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned())
}
