//! Standard Webhooks 1.0.0, symmetric signatures (`v1`).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_domain::Timestamp;
use subtle::{Choice, ConstantTimeEq as _};

use crate::{Invalid, Secret, mac};

/// How far the signed time may lie from now, in both directions; exactly this far still counts.
pub const TOLERANCE: Duration = Duration::from_secs(300);

/// The longest id that is accepted, in bytes.
const LONGEST_ID: usize = 128;

/// The two headers that are signed together with the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StandardWebhook<'a> {
    /// `webhook-id`: the same for every attempt to deliver one message. Must hold no full stop, because
    /// that separates it from the time in what is signed.
    pub id: &'a str,
    /// `webhook-timestamp`: seconds since 1970-01-01T00:00:00Z, the time of this attempt.
    pub timestamp: i64,
}

impl<'a> StandardWebhook<'a> {
    /// Reads the two headers as a receiver gets them.
    ///
    /// # Errors
    /// [`Invalid::Malformed`] unless the id is 1 to 128 characters of `A-Z a-z 0-9 _ -` and the time is 1 to
    /// 12 decimal digits. A header that occurs twice is for the caller to refuse.
    pub fn from_headers(id: &'a str, timestamp: &str) -> Result<Self, Invalid> {
        if !(1..=12).contains(&timestamp.len()) || !timestamp.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Invalid::Malformed);
        }
        let timestamp = timestamp.parse().map_err(|_| Invalid::Malformed)?;
        let webhook = Self { id, timestamp };
        if webhook.well_formed() {
            Ok(webhook)
        } else {
            Err(Invalid::Malformed)
        }
    }

    /// One item of the header `webhook-signature`: `v1,` and the HMAC-SHA256 of `id.timestamp.body` in
    /// standard base64. How the key follows from the secret is said at [`Secret`].
    pub fn sign(&self, secret: &Secret, body: &[u8]) -> String {
        format!("v1,{}", STANDARD.encode(self.mac(secret, body)))
    }

    /// Checks the header `webhook-signature` as a receiver does. The header may carry several items with a
    /// space between them, as after a change of the key; one that matches is enough, and items of versions
    /// other than `v1` are passed over.
    ///
    /// # Errors
    /// [`Invalid::Malformed`] for an id or a time that [`Self::from_headers`] would refuse,
    /// [`Invalid::OutOfTime`] if the time is more than [`TOLERANCE`] from `now`, [`Invalid::Mismatch`]
    /// if no item matches. Never [`Invalid::NoBody`]: an empty body is signed like any other.
    pub fn verify(
        &self,
        secret: &Secret,
        signatures: &str,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(), Invalid> {
        if !self.well_formed() {
            return Err(Invalid::Malformed);
        }
        if self.timestamp.abs_diff(now.as_seconds()) > TOLERANCE.as_secs() {
            return Err(Invalid::OutOfTime);
        }
        let expected = self.mac(secret, body);
        let mut found = Choice::from(0);
        for item in signatures.split(' ') {
            if let Some(given) = item
                .strip_prefix("v1,")
                .and_then(|text| STANDARD.decode(text).ok())
            {
                // All items are compared, also after a match, so that the time does not tell which one it was.
                found |= expected.ct_eq(given.as_slice());
            }
        }
        if bool::from(found) {
            Ok(())
        } else {
            Err(Invalid::Mismatch)
        }
    }

    fn mac(&self, secret: &Secret, body: &[u8]) -> [u8; 32] {
        let timestamp = self.timestamp.to_string();
        mac::sha256(
            &secret.standard_key(),
            &[self.id.as_bytes(), b".", timestamp.as_bytes(), b".", body],
        )
    }

    fn well_formed(&self) -> bool {
        (1..=LONGEST_ID).contains(&self.id.len())
            && self
                .id
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
            && (0..=999_999_999_999).contains(&self.timestamp)
    }
}
