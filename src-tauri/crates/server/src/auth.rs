//! The bearer token of the management API.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use subtle::ConstantTimeEq;
use tokio::time::Instant;

/// How many wrong tokens are answered with 401 before the answer is 429, in one [`WINDOW`].
const FAILURES: u32 = 20;
const WINDOW: Duration = Duration::from_secs(60);

/// What a request without the right token gets.
pub(crate) enum Refused {
    /// 401: the token is missing or wrong.
    Unauthorized,
    /// 429: too many wrong ones lately; try again after so long.
    TooMany(Duration),
}

/// Counts wrong tokens. The right one always works: a program that guesses locks out nobody else.
#[derive(Debug, Default)]
pub(crate) struct Auth {
    failures: Mutex<Option<(Instant, u32)>>,
}

impl Auth {
    /// Compares the request's token with the one that is right, in constant time.
    pub(crate) fn check(&self, headers: &HeaderMap, token: &str) -> Result<(), Refused> {
        let given = headers
            .get(AUTHORIZATION)
            .and_then(|value| bearer(value.as_bytes()));
        match given {
            Some(given) if bool::from(given.ct_eq(token.as_bytes())) && !token.is_empty() => Ok(()),
            // Without a token nothing was guessed.
            None => Err(Refused::Unauthorized),
            Some(_) => Err(self.failed()),
        }
    }

    fn failed(&self) -> Refused {
        let now = Instant::now();
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, count) = match *failures {
            Some((since, count)) if now.duration_since(since) < WINDOW => (since, count.saturating_add(1)),
            _ => (now, 1),
        };
        *failures = Some((since, count));
        if count > FAILURES {
            Refused::TooMany((since + WINDOW).saturating_duration_since(now))
        } else {
            Refused::Unauthorized
        }
    }
}

/// The token of `Bearer <token>`; the scheme's letters may be of either case (RFC 9110 §11.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme
        .eq_ignore_ascii_case(b"bearer ")
        .then(|| token.trim_ascii())
}
