//! HMAC (RFC 2104) over bytes.

use hmac::{EagerHash, Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use sha2::Sha256;

/// HMAC-SHA256 of the parts one after another.
pub(crate) fn sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    mac::<Sha256>(key, parts).into()
}

/// HMAC-SHA1 of the parts one after another. Only for senders that still sign that way.
pub(crate) fn sha1(key: &[u8], parts: &[&[u8]]) -> [u8; 20] {
    mac::<Sha1>(key, parts).into()
}

fn mac<D: EagerHash>(key: &[u8], parts: &[&[u8]]) -> hmac::digest::Output<Hmac<D>> {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
    let mut mac = Hmac::<D>::new_from_slice(key).expect("HMAC takes keys of every length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes()
}
