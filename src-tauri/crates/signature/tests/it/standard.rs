use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_domain::Timestamp;
use countersign_signature::{Invalid, StandardWebhook};
use proptest::prelude::*;

use crate::{flipped, secret};

const KEY: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const ID: &str = "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk";
const TIME: i64 = 1_649_367_553;
const BODY: &[u8] = br#"{"email":"test@example.com","username":"test_user"}"#;
const SIGNATURE: &str = "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=";
const PLAIN_KEY_SIGNATURE: &str = "v1,nlvq3jym1+XBvR4DASP3L9zTtw5PtzLWiul4x8767Og=";

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

fn verify(signatures: &str) -> Result<(), Invalid> {
    StandardWebhook {
        id: ID,
        timestamp: TIME,
    }
    .verify(&secret(KEY), signatures, BODY, at(TIME))
}

#[test]
fn the_published_vectors_are_reproduced() {
    let vectors: [(&str, &str, i64, &[u8], &str); 5] = [
        (KEY, ID, TIME, BODY, SIGNATURE),
        (
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            br#"{"test": 2432232314}"#,
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        ),
        (
            KEY,
            "msg_test",
            1_700_000_000,
            b"",
            "v1,4uJ2Qx7nEN82O0d+TGiGdTo0V31VG7BYDpWDejjlaEg=",
        ),
        (
            KEY,
            "msg_test",
            1_700_000_000,
            r#"{"n":"Zoë ✓"}"#.as_bytes(),
            "v1,xS2f0wm0kaHL1h0bZ73/pnzq8kSf6aTRfaZLbgm9dxA=",
        ),
        // A text without the prefix is used as it is: HMAC-SHA256 of `msg_test.1700000000.{}` under `cb_demo`,
        // computed with OpenSSL.
        ("cb_demo", "msg_test", 1_700_000_000, b"{}", PLAIN_KEY_SIGNATURE),
    ];
    for (key, id, timestamp, body, expected) in vectors {
        let webhook = StandardWebhook { id, timestamp };
        assert_eq!(webhook.sign(&secret(key), body), expected, "{id} under {key}");
        assert_eq!(
            webhook.verify(&secret(key), expected, body, at(timestamp)),
            Ok(()),
            "{id} under {key}"
        );
    }
}

#[test]
fn a_prefix_without_base64_behind_it_is_text() {
    let webhook = StandardWebhook {
        id: "m",
        timestamp: 1,
    };
    let odd = webhook.sign(&secret("whsec_not base64!"), b"");
    // The Flowise scheme always takes the text: the same bytes are signed under the same key.
    let text = countersign_signature::flowise_signature(&secret("whsec_not base64!"), b"m.1.");
    let digest = STANDARD.decode(odd.strip_prefix("v1,").unwrap()).unwrap();
    assert_eq!(text, format!("sha256={}", hex::encode(digest)));
}

#[test]
fn foreign_short_and_strange_signatures_are_refused() {
    let refused = [
        "v1,R3PTzyfHASBKHH98a7yexTwaJ4yNIcGhFQc1yuN+BPU=",
        "v1,tZ1I4/hD",
        "v1,",
        "v1",
        "",
        " ",
        "tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
        "v1a,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
        "v2,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
        "V1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
        "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw",
        "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkx=",
        "v1,tZ1I4_hDygAJgO5TYxiSd6Sd0kDW6hPenDe-bTa3Kkw=",
        "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=,x",
    ];
    for signatures in refused {
        assert_eq!(verify(signatures), Err(Invalid::Mismatch), "{signatures:?}");
    }
}

#[test]
fn one_item_that_matches_is_enough() {
    let foreign = "v1,R3PTzyfHASBKHH98a7yexTwaJ4yNIcGhFQc1yuN+BPU=";
    let asymmetric =
        "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==";
    for list in [
        format!("{foreign} {SIGNATURE}"),
        format!("{SIGNATURE} {foreign}"),
        format!("{asymmetric} {SIGNATURE} v1,%%%"),
    ] {
        assert_eq!(verify(&list), Ok(()), "{list}");
    }
    assert_eq!(verify(&format!("{foreign} {asymmetric}")), Err(Invalid::Mismatch));
}

#[test]
fn the_time_may_differ_by_five_minutes() {
    let webhook = StandardWebhook {
        id: ID,
        timestamp: TIME,
    };
    for (offset, expected) in [
        (-301, Err(Invalid::OutOfTime)),
        (-300, Ok(())),
        (0, Ok(())),
        (300, Ok(())),
        (301, Err(Invalid::OutOfTime)),
    ] {
        let answer = webhook.verify(&secret(KEY), SIGNATURE, BODY, at(TIME + offset));
        assert_eq!(answer, expected, "{offset} s away");
    }
}

#[test]
fn headers_are_read_strictly() {
    let read = |id, time| StandardWebhook::from_headers(id, time);
    assert_eq!(
        read("0192f0c1-7b1e-7c3a-9d55-0a1b2c3d4e5f", "0").map(|w| w.timestamp),
        Ok(0)
    );
    assert_eq!(
        read(ID, "1649367553"),
        Ok(StandardWebhook {
            id: ID,
            timestamp: TIME
        })
    );
    let long = "x".repeat(129);
    for id in ["", "a.b", "a b", "ä", "a\n", long.as_str()] {
        assert_eq!(read(id, "1"), Err(Invalid::Malformed), "id {id:?}");
        let webhook = StandardWebhook { id, timestamp: 1 };
        let signed = webhook.sign(&secret(KEY), BODY);
        assert_eq!(
            webhook.verify(&secret(KEY), &signed, BODY, at(1)),
            Err(Invalid::Malformed),
            "id {id:?}"
        );
    }
    for time in [
        "",
        "+1",
        "-1",
        " 1",
        "1 ",
        "1.0",
        "1e3",
        "0x1",
        "1649367553x",
        "1234567890123",
        "１",
    ] {
        assert_eq!(read(ID, time), Err(Invalid::Malformed), "time {time:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Flipping a bit of id, time, body, key or signature ends it.
    #[test]
    fn any_turned_bit_is_noticed(
        id in "[A-Za-z0-9_-]{1,40}",
        timestamp in 0_i64..4_000_000_000,
        body in prop::collection::vec(any::<u8>(), 1..200),
        key in prop::collection::vec(any::<u8>(), 24..=64),
        bit in any::<usize>(),
    ) {
        let text = |key: &[u8]| secret(&format!("whsec_{}", STANDARD.encode(key)));
        let webhook = StandardWebhook { id: &id, timestamp };
        let good = webhook.sign(&text(&key), &body);
        let now = at(timestamp);
        prop_assert_eq!(webhook.verify(&text(&key), &good, &body, now), Ok(()));

        prop_assert!(webhook.verify(&text(&key), &good, &flipped(&body, bit), now).is_err(), "body");
        prop_assert!(webhook.verify(&text(&flipped(&key, bit)), &good, &body, now).is_err(), "key");
        let other = timestamp ^ (1 << (bit % 32));
        let moved = StandardWebhook { id: &id, timestamp: other };
        prop_assert_eq!(moved.verify(&text(&key), &good, &body, at(other)), Err(Invalid::Mismatch), "time");
        if let Ok(other) = String::from_utf8(flipped(id.as_bytes(), bit)) {
            let renamed = StandardWebhook { id: &other, timestamp };
            prop_assert!(renamed.verify(&text(&key), &good, &body, now).is_err(), "id {}", other);
        }
        if let Ok(other) = String::from_utf8(flipped(good.as_bytes(), bit)) {
            prop_assert!(webhook.verify(&text(&key), &other, &body, now).is_err(), "signature {}", other);
        }
        let tag = flipped(&STANDARD.decode(&good[3..]).unwrap(), bit);
        let other = format!("v1,{}", STANDARD.encode(tag));
        prop_assert!(webhook.verify(&text(&key), &other, &body, now).is_err(), "digest");
    }
}
