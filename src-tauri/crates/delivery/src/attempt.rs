//! What attempts do to a callback. Pure: the host makes each result durable.

use countersign_domain::{Attempt, AttemptTrigger, Callback, CallbackState, Timestamp};

use crate::{RetryPlan, Sent};

/// What is noted for an attempt whose end was never seen.
const INTERRUPTED: &str =
    "The program ended before the receiver's answer was known. The message may have arrived.";

/// Notes the start of an attempt. To be made durable before the request leaves.
///
/// Gives back whether there is one to make, else nothing has changed: a scheduled one only for a callback that
/// [waits](CallbackState::Waiting), a manual one always. Earlier attempts without an end get one.
pub fn begin(callback: &mut Callback, trigger: AttemptTrigger, now: Timestamp) -> bool {
    if trigger == AttemptTrigger::Scheduled && callback.state != CallbackState::Waiting {
        return false;
    }
    close_interrupted(callback, now);
    let number = callback
        .attempts
        .last()
        .map_or(0, |attempt| attempt.number)
        .saturating_add(1);
    callback.attempts.push(Attempt {
        number,
        trigger,
        started_at: now,
        ended_at: None,
        status: None,
        error: None,
        response: None,
    });
    true
}

/// Notes the end of the attempt that [`begin`] noted last, and what follows from it.
///
/// * 2xx: delivered, whatever it was before.
/// * A scheduled attempt that failed: due again as the plan says; abandoned at the plan's end, or at once
///   if the receiver answered 410 Gone.
/// * A manual attempt that failed: nothing else changes.
pub fn end(callback: &mut Callback, sent: Sent, plan: &RetryPlan, now: Timestamp) {
    let Some(attempt) = callback.attempts.last_mut() else {
        return;
    };
    attempt.ended_at = Some(now);
    attempt.status = sent.status;
    attempt.error = sent.error;
    attempt.response = sent.response;
    let (delivered, trigger) = (attempt.delivered(), attempt.trigger);
    if delivered {
        callback.state = CallbackState::Delivered;
        callback.next_attempt_at = None;
    } else if trigger == AttemptTrigger::Scheduled && callback.state == CallbackState::Waiting {
        let gone = sent.status == Some(410);
        let next = if gone {
            None
        } else {
            plan.after_failure(planned(callback), now, sent.retry_after)
        };
        put_off(callback, next);
    }
}

/// Notes an attempt that cannot be made, now or later, because what the callback sends is lost: it failed, and the
/// plan is over, so that what waits behind the callback can go. One that was delivered stays delivered.
/// Gives back whether anything changed; as in [`begin`], a scheduled attempt is only noted for one that waits.
pub fn give_up(callback: &mut Callback, trigger: AttemptTrigger, reason: &str, now: Timestamp) -> bool {
    if !begin(callback, trigger, now) {
        return false;
    }
    if let Some(attempt) = callback.attempts.last_mut() {
        attempt.ended_at = Some(now);
        attempt.error = Some(reason.to_owned());
    }
    if callback.state == CallbackState::Waiting {
        put_off(callback, None);
    }
    true
}

/// Settles what a former run of the program left behind: an attempt without an end counts as failed, and the
/// plan goes on from the moment it started. Gives back whether anything changed.
pub fn recover(callback: &mut Callback, plan: &RetryPlan, now: Timestamp) -> bool {
    let last_planned = callback
        .attempts
        .iter()
        .rev()
        .find(|attempt| attempt.trigger == AttemptTrigger::Scheduled)
        .filter(|attempt| attempt.ended_at.is_none())
        .map(|attempt| attempt.started_at);
    let changed = close_interrupted(callback, now);
    if let (Some(started), CallbackState::Waiting) = (last_planned, callback.state) {
        put_off(callback, plan.after_failure(planned(callback), started, None));
    }
    changed
}

fn put_off(callback: &mut Callback, next: Option<Timestamp>) {
    callback.next_attempt_at = next;
    if next.is_none() {
        callback.state = CallbackState::Abandoned;
    }
}

/// How many attempts of the plan were made.
fn planned(callback: &Callback) -> usize {
    callback
        .attempts
        .iter()
        .filter(|attempt| attempt.trigger == AttemptTrigger::Scheduled)
        .count()
}

fn close_interrupted(callback: &mut Callback, now: Timestamp) -> bool {
    let mut changed = false;
    for attempt in callback
        .attempts
        .iter_mut()
        .filter(|attempt| attempt.ended_at.is_none())
    {
        attempt.ended_at = Some(now);
        attempt.error = Some(INTERRUPTED.to_owned());
        changed = true;
    }
    changed
}
