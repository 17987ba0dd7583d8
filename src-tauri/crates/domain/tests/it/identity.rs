//! Ids: their order, their text, and what does not count as one.

use std::collections::HashSet;

use countersign_domain::{ApprovalId, CallbackId, FlowId, Ids, RandomIds, SequentialIds, Timestamp};
use proptest::prelude::*;

proptest! {
    #[test]
    fn later_ids_sort_behind_earlier_ones(earlier in 0_i64..281_474_976_710_655, step in 1_i64..1_000_000) {
        let later = Timestamp::from_millis((earlier + step).min(281_474_976_710_655));
        prop_assume!(later.as_millis() > earlier);
        let first = ApprovalId::from_uuid(RandomIds.ordered(Timestamp::from_millis(earlier)));
        let second = ApprovalId::from_uuid(RandomIds.ordered(later));
        prop_assert!(first < second, "{} is not before {}", first, second);
        prop_assert!(first.to_string() < second.to_string(), "the texts sort like the ids");
        prop_assert!(first.as_bytes() < second.as_bytes(), "and so do the bytes");
        prop_assert_eq!(first.uuid().get_version_num(), 7);
    }

    #[test]
    fn an_id_reads_back_from_its_text(millis in 0_i64..281_474_976_710_655) {
        let id = CallbackId::from_uuid(RandomIds.ordered(Timestamp::from_millis(millis)));
        prop_assert_eq!(id.to_string().parse::<CallbackId>(), Ok(id));
        let json = serde_json::to_string(&id).expect("an id can be written");
        prop_assert_eq!(serde_json::from_str::<CallbackId>(&json).expect("and read"), id);
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in ".{0,64}") {
        let _ = text.parse::<ApprovalId>();
        let _ = FlowId::from_url(&text);
    }
}

#[test]
fn a_flow_url_takes_version_4_with_hyphens_only() {
    let flow = RandomIds.random();
    assert_eq!(FlowId::from_url(&flow.to_string()), Ok(FlowId::from_uuid(flow)));
    assert_eq!(
        FlowId::from_url(&flow.to_string().to_uppercase()),
        Ok(FlowId::from_uuid(flow)),
        "case is free"
    );
    let version_7 = RandomIds.ordered(Timestamp::from_millis(1));
    let refused = [
        version_7.to_string(),
        flow.simple().to_string(),
        format!("{{{flow}}}"),
        format!("urn:uuid:{flow}"),
        format!("{flow} "),
        "00000000-0000-0000-0000-000000000000".to_owned(),
        String::new(),
        "../../etc/passwd".to_owned(),
    ];
    for text in refused {
        assert!(
            FlowId::from_url(&text).is_err(),
            "{text:?} must not pass for a flow id"
        );
    }
}

#[test]
fn two_ids_are_never_the_same() {
    let now = Timestamp::from_millis(1_700_000_000_000);
    for (name, ids) in [
        ("random", &RandomIds as &dyn Ids),
        ("sequential", &SequentialIds::default() as &dyn Ids),
    ] {
        let made: HashSet<_> = (0..2_000)
            .flat_map(|_| [ids.random(), ids.ordered(now)])
            .collect();
        assert_eq!(made.len(), 4_000, "{name} ids repeat");
    }
}

#[test]
fn random_bytes_are_not_left_as_they_were() {
    let mut bytes = [0_u8; 64];
    RandomIds.fill(&mut bytes);
    assert!(
        bytes.iter().filter(|byte| **byte == 0).count() < 16,
        "64 bytes hold {bytes:?}"
    );
}
