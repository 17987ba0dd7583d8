//! Signatures of webhook senders (webhook spec §7; DEVIATIONS (q)).

use subtle::ConstantTimeEq as _;

use crate::{Invalid, Secret, mac};

/// How a sender proves that it knows the secret: the Start node's `webhookSignatureType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum InboundKind {
    /// `hmac-sha256`: the header carries the digest of the raw body.
    #[default]
    HmacSha256,
    /// `plain-token`: the header carries the secret itself.
    PlainToken,
}

/// Checks the header value of a webhook call.
///
/// * [`InboundKind::PlainToken`]: the value is the secret's text, byte for byte; the body does not matter.
/// * [`InboundKind::HmacSha256`]: the value is the hexadecimal HMAC-SHA256 of the body under the secret's
///   UTF-8 bytes, alone or behind `sha256=`; or the HMAC-SHA1 behind `sha1=`. Upper-case digits count.
///   Nothing may stand behind the digest, and no other prefix in front of it.
///
/// `raw_body` is what was received, before any parsing; `None` if the request had no body that is read. An
/// empty body is a body.
///
/// # Errors
/// [`Invalid`], never [`Invalid::OutOfTime`]: these schemes sign no time.
pub fn verify_inbound(
    kind: InboundKind,
    secret: &Secret,
    header_value: &str,
    raw_body: Option<&[u8]>,
) -> Result<(), Invalid> {
    match kind {
        InboundKind::PlainToken => compare(secret.text_key(), header_value.as_bytes()),
        InboundKind::HmacSha256 => {
            let body = raw_body.ok_or(Invalid::NoBody)?;
            if let Some(digits) = header_value.strip_prefix("sha1=") {
                return compare(&mac::sha1(secret.text_key(), &[body]), &digest::<20>(digits)?);
            }
            let digits = header_value.strip_prefix("sha256=").unwrap_or(header_value);
            compare(&mac::sha256(secret.text_key(), &[body]), &digest::<32>(digits)?)
        }
    }
}

/// Reads exactly N bytes in hexadecimal.
fn digest<const N: usize>(digits: &str) -> Result<[u8; N], Invalid> {
    let mut bytes = [0; N];
    hex::decode_to_slice(digits, &mut bytes).map_err(|_| Invalid::Malformed)?;
    Ok(bytes)
}

fn compare(expected: &[u8], given: &[u8]) -> Result<(), Invalid> {
    if bool::from(expected.ct_eq(given)) {
        Ok(())
    } else {
        Err(Invalid::Mismatch)
    }
}
