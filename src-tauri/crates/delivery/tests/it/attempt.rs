use std::time::Duration;

use countersign_delivery::attempt::{begin, end, give_up, recover};
use countersign_delivery::{RetryPlan, Sent};
use countersign_domain::{
    AttemptTrigger, Callback, CallbackState, Clock as _, ExecutionId, Ids as _, ManualClock, SequentialIds,
    Timestamp,
};

struct Case {
    callback: Callback,
    clock: ManualClock,
    plan: RetryPlan,
}

impl Case {
    fn new() -> Self {
        let ids = SequentialIds::default();
        let clock = ManualClock::new(Timestamp::from_millis(1_700_000_000_000));
        let execution = ExecutionId::from_uuid(ids.random());
        let callback = crate::callback(&ids, execution, "http://127.0.0.1:9/", clock.now());
        Self {
            callback,
            clock,
            plan: RetryPlan::default(),
        }
    }

    fn begin(&mut self, trigger: AttemptTrigger) -> bool {
        begin(&mut self.callback, trigger, self.clock.now())
    }

    fn end(&mut self, sent: Sent) {
        self.clock.advance(Duration::from_secs(1));
        end(&mut self.callback, sent, &self.plan, self.clock.now());
    }

    fn attempt(&mut self, trigger: AttemptTrigger, status: u16) {
        assert!(self.begin(trigger), "there is an attempt to make");
        self.end(answered(status));
    }

    /// Seconds until the next attempt.
    fn wait(&self) -> Option<u64> {
        self.callback
            .next_attempt_at
            .map(|due| due.since(self.clock.now()).as_secs())
    }
}

fn answered(status: u16) -> Sent {
    let error = (!(200..300).contains(&status)).then(|| format!("The receiver answered {status}."));
    Sent {
        status: Some(status),
        error,
        ..Sent::default()
    }
}

#[test]
fn a_2xx_delivers() {
    for status in [200, 204, 299] {
        let mut case = Case::new();
        case.attempt(AttemptTrigger::Scheduled, status);
        assert_eq!(
            (case.callback.state, case.wait()),
            (CallbackState::Delivered, None),
            "{status}"
        );
        let attempt = &case.callback.attempts[0];
        assert_eq!((attempt.number, attempt.status), (1, Some(status)));
        assert_eq!(
            attempt.ended_at.map(|at| at.since(attempt.started_at)),
            Some(Duration::from_secs(1))
        );
        assert!(
            !case.begin(AttemptTrigger::Scheduled),
            "a delivered one is not sent again by the plan"
        );
        assert_eq!(case.callback.attempts.len(), 1);
    }
}

#[test]
fn failures_follow_the_plan_to_its_end() {
    let mut case = Case::new();
    let mut waits = Vec::new();
    while case.callback.state == CallbackState::Waiting {
        case.attempt(AttemptTrigger::Scheduled, 500);
        waits.extend(case.wait());
    }
    assert_eq!(waits, [3, 6, 30, 120, 600, 3600, 7200, 18_000, 36_000, 36_000]);
    assert_eq!(case.callback.state, CallbackState::Abandoned);
    assert_eq!(case.callback.attempts.len(), 11);
    assert_eq!(case.callback.attempts.last().map(|a| a.number), Some(11));
    assert!(!case.begin(AttemptTrigger::Scheduled));
}

#[test]
fn what_counts_as_a_failure() {
    for status in [100, 199, 300, 301, 307, 400, 401, 404, 429, 500, 503] {
        let mut case = Case::new();
        case.attempt(AttemptTrigger::Scheduled, status);
        assert_eq!(
            (case.callback.state, case.wait()),
            (CallbackState::Waiting, Some(3)),
            "{status}"
        );
    }
    let mut case = Case::new();
    case.begin(AttemptTrigger::Scheduled);
    case.end(Sent {
        error: Some("No answer within 10 s.".to_owned()),
        ..Sent::default()
    });
    assert_eq!(
        (case.callback.state, case.wait()),
        (CallbackState::Waiting, Some(3)),
        "no answer"
    );
}

#[test]
fn gone_ends_the_plan_at_once() {
    let mut case = Case::new();
    case.attempt(AttemptTrigger::Scheduled, 410);
    assert_eq!(
        (case.callback.state, case.wait()),
        (CallbackState::Abandoned, None)
    );
}

#[test]
fn retry_after_moves_the_next_attempt() {
    let mut case = Case::new();
    case.begin(AttemptTrigger::Scheduled);
    case.end(Sent {
        retry_after: Some(Duration::from_secs(5)),
        ..answered(503)
    });
    assert_eq!(case.wait(), Some(5));
}

#[test]
fn an_attempt_by_hand_leaves_the_plan_alone() {
    let mut case = Case::new();
    case.attempt(AttemptTrigger::Scheduled, 500);
    let due = case.callback.next_attempt_at;
    case.attempt(AttemptTrigger::Manual, 500);
    case.attempt(AttemptTrigger::Manual, 410);
    assert_eq!(
        (case.callback.state, case.callback.next_attempt_at),
        (CallbackState::Waiting, due)
    );
    case.attempt(AttemptTrigger::Scheduled, 500);
    assert_eq!(
        case.wait(),
        Some(6),
        "the second wait of the plan, not the fourth"
    );
    assert_eq!(
        case.callback
            .attempts
            .iter()
            .map(|a| a.number)
            .collect::<Vec<_>>(),
        [1, 2, 3, 4]
    );
}

#[test]
fn an_attempt_by_hand_works_in_every_state() {
    let mut case = Case::new();
    case.attempt(AttemptTrigger::Manual, 200);
    assert_eq!(
        (case.callback.state, case.wait()),
        (CallbackState::Delivered, None),
        "before the plan got there"
    );
    case.attempt(AttemptTrigger::Manual, 500);
    assert_eq!(
        case.callback.state,
        CallbackState::Delivered,
        "once delivered, always delivered"
    );

    let mut case = Case::new();
    case.attempt(AttemptTrigger::Scheduled, 410);
    case.attempt(AttemptTrigger::Manual, 500);
    assert_eq!(
        (case.callback.state, case.wait()),
        (CallbackState::Abandoned, None)
    );
    case.attempt(AttemptTrigger::Manual, 200);
    assert_eq!(case.callback.state, CallbackState::Delivered);
}

#[test]
fn what_is_lost_is_given_up_and_says_why() {
    let mut case = Case::new();
    case.attempt(AttemptTrigger::Scheduled, 500);
    let now = case.clock.now();
    assert!(give_up(
        &mut case.callback,
        AttemptTrigger::Scheduled,
        "lost",
        now
    ));
    assert_eq!(
        (case.callback.state, case.wait()),
        (CallbackState::Abandoned, None)
    );
    let attempt = &case.callback.attempts[1];
    assert_eq!(
        (
            attempt.number,
            attempt.error.as_deref(),
            attempt.ended_at,
            attempt.status
        ),
        (2, Some("lost"), Some(now), None)
    );
    let before = case.callback.clone();
    assert!(!give_up(
        &mut case.callback,
        AttemptTrigger::Scheduled,
        "lost",
        now
    ));
    assert_eq!(
        case.callback, before,
        "the plan has nothing to do with it any more"
    );
    assert!(give_up(&mut case.callback, AttemptTrigger::Manual, "lost", now));
    assert_eq!(
        (case.callback.state, case.callback.attempts.len()),
        (CallbackState::Abandoned, 3)
    );

    let mut case = Case::new();
    case.attempt(AttemptTrigger::Scheduled, 200);
    let now = case.clock.now();
    give_up(&mut case.callback, AttemptTrigger::Manual, "lost", now);
    assert_eq!(
        case.callback.state,
        CallbackState::Delivered,
        "once delivered, always delivered"
    );
}

#[test]
fn an_attempt_without_an_end_counts_as_failed() {
    let mut case = Case::new();
    let id = case.callback.id;
    case.attempt(AttemptTrigger::Scheduled, 500);
    case.clock.advance(Duration::from_secs(3));
    case.begin(AttemptTrigger::Scheduled);
    let started = case.clock.now();

    // The program is killed here and comes back two seconds later.
    case.clock.advance(Duration::from_secs(2));
    assert!(recover(&mut case.callback, &case.plan, case.clock.now()));
    assert_eq!(case.callback.state, CallbackState::Waiting);
    assert_eq!(
        case.callback.next_attempt_at,
        Some(started.plus(Duration::from_secs(6))),
        "counted from its start"
    );
    let attempt = &case.callback.attempts[1];
    assert_eq!((attempt.ended_at, attempt.status), (Some(case.clock.now()), None));
    assert!(attempt.error.is_some(), "it says why");
    assert!(
        !recover(&mut case.callback, &case.plan, case.clock.now()),
        "once is enough"
    );

    case.attempt(AttemptTrigger::Scheduled, 200);
    assert_eq!(
        (case.callback.state, case.callback.id),
        (CallbackState::Delivered, id)
    );
    assert_eq!(case.callback.attempts.len(), 3);
}

#[test]
fn the_last_planned_attempt_without_an_end_abandons() {
    let mut case = Case::new();
    case.plan = RetryPlan::from_seconds(&[0]);
    case.begin(AttemptTrigger::Scheduled);
    recover(&mut case.callback, &case.plan, case.clock.now());
    assert_eq!(
        (case.callback.state, case.wait()),
        (CallbackState::Abandoned, None)
    );
}

#[test]
fn an_attempt_by_hand_without_an_end_changes_nothing_else() {
    let mut case = Case::new();
    case.attempt(AttemptTrigger::Scheduled, 500);
    let due = case.callback.next_attempt_at;
    case.begin(AttemptTrigger::Manual);
    recover(&mut case.callback, &case.plan, case.clock.now());
    assert_eq!(
        (case.callback.state, case.callback.next_attempt_at),
        (CallbackState::Waiting, due)
    );
    assert!(case.callback.attempts[1].ended_at.is_some());
}
