use countersign_signature::{InboundKind, Invalid, Secret, verify_inbound};
use proptest::prelude::*;

use crate::{flipped, secret};

const BODY: &[u8] = br#"{"event":"push","n":1}"#;
const SHA256: &str = "52d486aa07b3c26e8683f158699b0c2a547e1203f0cc33c2f85f65d2c5703a83";
const SHA1: &str = "16ab66747a42312839cee5554437ccd951c93edd";
const SHA256_OF_EMPTY: &str = "e6e0a9ff90901abf1090ace8a4c1156b643fb754ca9259a3ca12b0c401496bc5";

fn hmac(value: &str, body: Option<&[u8]>) -> Result<(), Invalid> {
    verify_inbound(InboundKind::HmacSha256, &secret("whsec_demo"), value, body)
}

#[test]
fn the_vectors_of_the_specification_pass() {
    assert_eq!(hmac(SHA256, Some(BODY)), Ok(()), "bare");
    assert_eq!(
        hmac(&format!("sha256={SHA256}"), Some(BODY)),
        Ok(()),
        "with its prefix"
    );
    assert_eq!(
        hmac(&format!("sha1={SHA1}"), Some(BODY)),
        Ok(()),
        "the older algorithm"
    );
    assert_eq!(
        hmac(&SHA256.to_uppercase(), Some(BODY)),
        Ok(()),
        "upper case, as recorded"
    );
    assert_eq!(
        hmac(&format!("sha256={SHA256_OF_EMPTY}"), Some(b"")),
        Ok(()),
        "an empty body is a body"
    );
}

#[test]
fn the_vectors_of_github_and_slack_pass() {
    let github = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let key = secret("It's a Secret to Everybody");
    assert_eq!(
        verify_inbound(InboundKind::HmacSha256, &key, github, Some(b"Hello, World!")),
        Ok(())
    );

    // Slack's header has another form; its digest over what it signs is the same HMAC.
    let key = secret("8f742231b10e8888abcd99yyyzzz85a5");
    let signed = "v0:1531420618:token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow\
        &channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner\
        &command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands\
        %2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN\
        &trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    let digest = "a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";
    assert_eq!(
        verify_inbound(InboundKind::HmacSha256, &key, digest, Some(signed.as_bytes())),
        Ok(())
    );
}

#[test]
fn everything_but_the_digest_is_refused() {
    let sha256 = |text: &str| text.replace("{}", SHA256);
    let refused = [
        String::new(),
        sha256("sha512={}"),
        sha256("SHA256={}"),
        sha256("sha256={}zz"),
        sha256("sha256={}00"),
        sha256("{}zz"),
        sha256("{} "),
        sha256(" {}"),
        sha256("0x{}"),
        sha256("sha256=sha256={}"),
        sha256("=") + SHA256,
        sha256("sha256={},sha256={}"),
        SHA256[..63].to_owned(),
        SHA256[..62].to_owned(),
        SHA1.to_owned(),
        format!("sha256={SHA1}"),
        sha256("sha1={}"),
        format!("sha1={SHA1}00"),
        "sha256=".to_owned(),
        "sha256=00".to_owned(),
        "sha256=zz".to_owned(),
        format!("sha256={}", "0".repeat(64)),
        format!("sha256={SHA256_OF_EMPTY}"),
        SHA256.replace('5', "５"),
    ];
    for value in refused {
        assert!(hmac(&value, Some(BODY)).is_err(), "{value:?} passed");
    }
    assert_eq!(
        hmac(SHA256_OF_EMPTY, None),
        Err(Invalid::NoBody),
        "no body is not an empty body"
    );
}

#[test]
fn a_plain_token_is_the_secret_and_nothing_else() {
    let plain = |value: &str, body| verify_inbound(InboundKind::PlainToken, &secret("tökén 1"), value, body);
    assert_eq!(plain("tökén 1", None), Ok(()), "it needs no body");
    assert_eq!(plain("tökén 1", Some(BODY)), Ok(()));
    for value in ["", "tökén", "tökén 1 ", "Bearer tökén 1", "TÖKÉN 1", "tökén 2"] {
        assert_eq!(plain(value, None), Err(Invalid::Mismatch), "{value:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Flipping a bit of body, key or header ends the signature, but for the case of a digit.
    #[test]
    fn any_turned_bit_is_noticed(
        body in prop::collection::vec(any::<u8>(), 1..200),
        key in "[ -~]{1,80}",
        bit in any::<usize>(),
        old in any::<bool>(),
    ) {
        prop_assume!(key != "whsec_");
        let key = secret(&key);
        let good = if old {
            use hmac::{Hmac, KeyInit as _, Mac as _};
            let mut mac = Hmac::<sha1::Sha1>::new_from_slice(key.expose().as_bytes()).unwrap();
            mac.update(&body);
            format!("sha1={}", hex::encode(mac.finalize().into_bytes()))
        } else {
            countersign_signature::flowise_signature(&key, &body)
        };
        fn verify(key: &Secret, value: &str, body: &[u8]) -> Result<(), Invalid> {
            verify_inbound(InboundKind::HmacSha256, key, value, Some(body))
        }
        prop_assert_eq!(verify(&key, &good, &body), Ok(()));

        prop_assert!(verify(&key, &good, &flipped(&body, bit)).is_err(), "body");
        if let Ok(other) = String::from_utf8(flipped(key.expose().as_bytes(), bit)) {
            prop_assert!(verify(&secret(&other), &good, &body).is_err(), "key");
        }
        if let Ok(other) = String::from_utf8(flipped(good.as_bytes(), bit)) {
            let digits = good.find('=').unwrap();
            let same = other[..digits] == good[..digits] && other.eq_ignore_ascii_case(&good);
            prop_assert_eq!(verify(&key, &other, &body).is_ok(), same, "header {}", other);
        }
    }

    /// No value, however strange, does more than fail.
    #[test]
    fn any_header_is_survived(value in any::<String>(), body in prop::option::of(prop::collection::vec(any::<u8>(), 0..50))) {
        prop_assert!(hmac(&value, body.as_deref()).is_err());
    }
}
