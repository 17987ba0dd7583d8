use countersign_signature::{EmptySecret, Secret};

use crate::secret;

#[test]
fn a_secret_without_a_key_is_refused() {
    for text in ["", "whsec_"] {
        assert_eq!(Secret::new(text), Err(EmptySecret), "{text:?} holds no key");
    }
}

#[test]
fn debug_shows_neither_the_secret_nor_its_length() {
    let short = format!("{:?}", secret("k"));
    let long = format!("{:?}", secret("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"));
    assert_eq!(short, long);
    assert!(!short.contains('k'), "{short} shows the secret");
}
