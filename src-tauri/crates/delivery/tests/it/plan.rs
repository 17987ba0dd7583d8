use std::time::Duration;

use countersign_delivery::RetryPlan;
use countersign_domain::Timestamp;
use proptest::prelude::*;

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

fn after(plan: &RetryPlan, attempts: usize, retry_after: Option<u64>) -> Option<u64> {
    plan.after_failure(attempts, NOW, retry_after.map(Duration::from_secs))
        .map(|due| due.since(NOW).as_secs())
}

#[test]
fn the_default_plan_is_three_quick_attempts_and_then_wider_ones() {
    let plan = RetryPlan::default();
    assert_eq!(plan.first(NOW), NOW, "the first is due at once");
    let waits: Vec<_> = (1..12)
        .map_while(|attempts| after(&plan, attempts, None))
        .collect();
    assert_eq!(waits, [3, 6, 30, 120, 600, 3600, 7200, 18_000, 36_000, 36_000]);
    assert_eq!(after(&plan, 11, None), None, "eleven attempts and no more");
    assert_eq!(after(&plan, usize::MAX, Some(5)), None);
}

#[test]
fn retry_after_is_heard_between_the_planned_wait_and_twice_that() {
    let plan = RetryPlan::default();
    for (asked, granted) in [
        (0, 30),
        (29, 30),
        (30, 30),
        (45, 45),
        (60, 60),
        (61, 60),
        (31_536_000, 60),
        (u64::MAX, 60),
    ] {
        assert_eq!(
            after(&plan, 3, Some(asked)),
            Some(granted),
            "the receiver asked for {asked} s"
        );
    }
    assert_eq!(
        after(&plan, 11, Some(5)),
        None,
        "it makes no attempt that is not planned"
    );
}

#[test]
fn a_plan_without_waits_is_one_attempt() {
    let plan = RetryPlan::new(Vec::new());
    assert_eq!(plan.first(NOW), NOW);
    assert_eq!(after(&plan, 1, None), None);
}

#[test]
fn a_clock_that_was_set_back_does_not_stop_the_queue() {
    let plan = RetryPlan::default();
    let hours = |h: u64| NOW.plus(Duration::from_secs(h * 3600));
    assert!(plan.is_due(NOW, NOW));
    assert!(!plan.is_due(NOW.plus(Duration::from_millis(1)), NOW));
    assert!(
        !plan.is_due(hours(20), NOW),
        "the longest wait, doubled, is a time that the plan can give"
    );
    assert!(plan.is_due(hours(29), NOW), "no plan of 28 hours gives this one");
    assert!(plan.is_due(Timestamp::from_millis(i64::MAX), NOW));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// No due time that a plan gives is ever mistaken for the work of a changed clock.
    #[test]
    fn what_the_plan_gives_lies_within_its_horizon(
        waits in prop::collection::vec(1..100_000_u32, 0..15),
        attempts in 0..20_usize,
        retry_after in prop::option::of(any::<u64>()),
    ) {
        let plan = RetryPlan::from_seconds(&waits);
        if let Some(due) = plan.after_failure(attempts, NOW, retry_after.map(Duration::from_secs)) {
            let planned = plan.waits()[attempts];
            prop_assert!(due.since(NOW) >= planned && due.since(NOW) <= planned * 2);
            prop_assert!(planned.is_zero() || !plan.is_due(due, NOW));
            prop_assert!(plan.is_due(due, due));
        } else {
            prop_assert!(attempts >= plan.waits().len());
        }
    }
}
