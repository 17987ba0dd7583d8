//! Moments: their text and their arithmetic.

use std::time::Duration;

use countersign_domain::{Clock, ManualClock, SystemClock, Timestamp};
use proptest::prelude::*;
use serde_json::json;

/// Years 0 to 9999, which RFC 3339 can write.
const WRITABLE: std::ops::Range<i64> = -62_167_219_200_000..253_402_207_200_000;

proptest! {
    #[test]
    fn a_moment_reads_back_from_its_text(millis in WRITABLE) {
        let moment = Timestamp::from_millis(millis);
        let json = serde_json::to_value(moment).expect("a moment can be written");
        prop_assert_eq!(serde_json::from_value::<Timestamp>(json).expect("and read"), moment);
    }

    #[test]
    fn texts_of_our_time_sort_like_moments(a in 0_i64..4_000_000_000_000, b in 0_i64..4_000_000_000_000) {
        let (a, b) = (Timestamp::from_millis(a), Timestamp::from_millis(b));
        prop_assert_eq!(a.to_string().cmp(&b.to_string()), a.cmp(&b));
    }

    #[test]
    fn going_forward_and_looking_back_agree(start in 0_i64..4_000_000_000_000, step in 0_u64..4_000_000_000) {
        let start = Timestamp::from_millis(start);
        let later = start.plus(Duration::from_millis(step));
        prop_assert_eq!(later.since(start), Duration::from_millis(step));
        prop_assert_eq!(start.since(later), Duration::ZERO, "what lies ahead was not a while ago");
    }

    #[test]
    fn no_number_makes_it_panic(millis in any::<i64>(), step in any::<u64>()) {
        let moment = Timestamp::from_millis(millis);
        let later = moment.plus(Duration::from_millis(step));
        let _ = (moment.to_string(), later.since(moment), moment.since(later), moment.as_seconds());
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in ".{0,40}") {
        let _ = serde_json::from_value::<Timestamp>(json!(text));
    }
}

#[test]
fn a_moment_is_written_in_utc_with_milliseconds() {
    assert_eq!(Timestamp::from_millis(0).to_string(), "1970-01-01T00:00:00.000Z");
    assert_eq!(
        Timestamp::from_millis(1_764_000_000_007).to_string(),
        "2025-11-24T16:00:00.007Z"
    );
    let offset: Timestamp =
        serde_json::from_value(json!("2025-11-24T17:00:00.007+01:00")).expect("an offset is fine");
    assert_eq!(offset, Timestamp::from_millis(1_764_000_000_007));
    for wrong in [
        "",
        "yesterday",
        "2025-11-24",
        "2025-13-01T00:00:00Z",
        "1764000000",
    ] {
        assert!(
            serde_json::from_value::<Timestamp>(json!(wrong)).is_err(),
            "{wrong:?} is no moment"
        );
    }
}

#[test]
fn whole_seconds_are_rounded_down_also_before_the_epoch() {
    assert_eq!(Timestamp::from_millis(1_999).as_seconds(), 1);
    assert_eq!(Timestamp::from_millis(-1).as_seconds(), -1);
}

#[test]
fn a_manual_clock_moves_only_when_it_is_moved() {
    let clock = ManualClock::new(Timestamp::from_millis(5));
    assert_eq!(
        (clock.now(), clock.now()),
        (Timestamp::from_millis(5), Timestamp::from_millis(5))
    );
    clock.advance(Duration::from_secs(1));
    assert_eq!(clock.now(), Timestamp::from_millis(1_005));
    clock.set(Timestamp::from_millis(1));
    assert_eq!(clock.now(), Timestamp::from_millis(1));
    assert!(
        SystemClock.now() > Timestamp::from_millis(1_700_000_000_000),
        "the machine's clock tells the present"
    );
}
