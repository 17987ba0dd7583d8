//! Which callback goes next. Pure: no I/O, no clock.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use countersign_domain::{CallbackId, ExecutionId, Timestamp};

use crate::RetryPlan;

/// How many requests may be under way at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// To one origin, so that a slow receiver keeps no other waiting.
    pub(crate) per_origin: usize,
    /// In all.
    pub(crate) overall: usize,
}

/// A callback that waits, as far as the order matters.
#[derive(Debug, Clone)]
struct Entry {
    execution: ExecutionId,
    origin: Arc<str>,
    due: Timestamp,
}

/// The waiting callbacks of all executions, and what is under way.
///
/// Only the first callback of an execution can go: the others of the same execution follow once it has left
/// the queue. A first one that is not under way stands either in `timers` or, once due, in `ready`.
#[derive(Debug)]
pub(crate) struct Queue {
    limits: Limits,
    entries: HashMap<CallbackId, Entry>,
    lines: HashMap<ExecutionId, BTreeSet<CallbackId>>,
    timers: BTreeSet<(Timestamp, CallbackId)>,
    ready: BTreeMap<Arc<str>, BTreeSet<(Timestamp, CallbackId)>>,
    under_way: HashMap<CallbackId, Arc<str>>,
    per_origin: HashMap<Arc<str>, usize>,
}

impl Queue {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            entries: HashMap::new(),
            lines: HashMap::new(),
            timers: BTreeSet::new(),
            ready: BTreeMap::new(),
            under_way: HashMap::new(),
            per_origin: HashMap::new(),
        }
    }

    /// Adds a waiting callback, or gives one that is there another due time.
    pub(crate) fn put(&mut self, id: CallbackId, execution: ExecutionId, origin: &str, due: Timestamp) {
        self.remove(id);
        let before = self.first(execution);
        let entry = Entry {
            execution,
            origin: self.origin(origin),
            due,
        };
        self.entries.insert(id, entry);
        self.lines.entry(execution).or_default().insert(id);
        let after = self.first(execution);
        if before != after {
            if let Some(before) = before {
                self.unschedule(before);
            }
            self.schedule(after);
        }
    }

    /// Takes out a callback that does not wait any more; the next one of its execution moves up.
    pub(crate) fn remove(&mut self, id: CallbackId) {
        if !self.entries.contains_key(&id) {
            return;
        }
        self.unschedule(id);
        let Some(entry) = self.entries.remove(&id) else {
            return;
        };
        let Some(line) = self.lines.get_mut(&entry.execution) else {
            return;
        };
        let was_first = line.first() == Some(&id);
        line.remove(&id);
        if line.is_empty() {
            self.lines.remove(&entry.execution);
        } else if was_first {
            let next = self.first(entry.execution);
            self.schedule(next);
        }
    }

    /// Whether this callback waits here.
    pub(crate) fn contains(&self, id: CallbackId) -> bool {
        self.entries.contains_key(&id)
    }

    /// The ids of all that wait.
    pub(crate) fn ids(&self) -> Vec<CallbackId> {
        self.entries.keys().copied().collect()
    }

    /// The next callback to send, marked as under way; `None` if none is due or may go now. Receivers
    /// with few requests under way come first, then what is due longest.
    pub(crate) fn next(&mut self, now: Timestamp, plan: &RetryPlan) -> Option<CallbackId> {
        self.ripen(now, plan);
        if self.under_way.len() >= self.limits.overall {
            return None;
        }
        let (_, _, origin) = self
            .ready
            .iter()
            .filter_map(|(origin, line)| {
                let count = self.per_origin.get(origin).copied().unwrap_or(0);
                let first = line.first()?;
                (count < self.limits.per_origin).then_some((count, *first, origin))
            })
            .min()?;
        let origin = origin.clone();
        let (_, id) = *self.ready.get(&origin)?.first()?;
        self.unschedule(id);
        self.set_under_way(id, origin);
        Some(id)
    }

    /// Marks a callback as under way outside the plan, if the limits allow that and it is not under way.
    pub(crate) fn start_by_hand(&mut self, id: CallbackId, origin: &str) -> bool {
        let origin = self.origin(origin);
        let count = self.per_origin.get(&origin).copied().unwrap_or(0);
        if self.under_way.contains_key(&id)
            || self.under_way.len() >= self.limits.overall
            || count >= self.limits.per_origin
        {
            return false;
        }
        self.unschedule(id);
        self.set_under_way(id, origin);
        true
    }

    /// The request of this callback is over.
    pub(crate) fn finished(&mut self, id: CallbackId) {
        let Some(origin) = self.under_way.remove(&id) else {
            return;
        };
        if let Some(count) = self.per_origin.get_mut(&origin) {
            *count -= 1;
            if *count == 0 {
                self.per_origin.remove(&origin);
            }
        }
        if self
            .entries
            .get(&id)
            .is_some_and(|entry| self.first(entry.execution) == Some(id))
        {
            self.schedule(Some(id));
        }
    }

    pub(crate) fn is_under_way(&self, id: CallbackId) -> bool {
        self.under_way.contains_key(&id)
    }

    /// Whether this callback waits behind another one of its execution.
    pub(crate) fn is_behind(&self, id: CallbackId) -> bool {
        self.entries
            .get(&id)
            .is_some_and(|entry| self.first(entry.execution) != Some(id))
    }

    /// Whether something waits for its time.
    pub(crate) fn has_timers(&self) -> bool {
        !self.timers.is_empty()
    }

    /// The nearest due time.
    pub(crate) fn nearest(&self) -> Option<Timestamp> {
        self.timers.first().map(|(due, _)| *due)
    }

    /// Moves what is due from the timers to the ready ones.
    fn ripen(&mut self, now: Timestamp, plan: &RetryPlan) {
        while let Some(item) = self
            .timers
            .first()
            .copied()
            .filter(|(due, _)| plan.is_due(*due, now))
        {
            self.make_ready(item);
        }
        // Due times that no plan can have put there stand at the far end.
        while let Some(item) = self
            .timers
            .last()
            .copied()
            .filter(|(due, _)| plan.is_due(*due, now))
        {
            self.make_ready(item);
        }
    }

    fn make_ready(&mut self, item: (Timestamp, CallbackId)) {
        self.timers.remove(&item);
        if let Some(entry) = self.entries.get(&item.1) {
            self.ready.entry(entry.origin.clone()).or_default().insert(item);
        }
    }

    fn first(&self, execution: ExecutionId) -> Option<CallbackId> {
        self.lines.get(&execution).and_then(|line| line.first()).copied()
    }

    fn schedule(&mut self, id: Option<CallbackId>) {
        let Some(id) = id.filter(|id| !self.under_way.contains_key(id)) else {
            return;
        };
        if let Some(entry) = self.entries.get(&id) {
            self.timers.insert((entry.due, id));
        }
    }

    fn unschedule(&mut self, id: CallbackId) {
        let Some(entry) = self.entries.get(&id) else {
            return;
        };
        self.timers.remove(&(entry.due, id));
        if let Some(line) = self.ready.get_mut(&entry.origin) {
            line.remove(&(entry.due, id));
            if line.is_empty() {
                self.ready.remove(&entry.origin);
            }
        }
    }

    fn set_under_way(&mut self, id: CallbackId, origin: Arc<str>) {
        *self.per_origin.entry(origin.clone()).or_default() += 1;
        self.under_way.insert(id, origin);
    }

    /// The shared text of an origin that is known, so that ten thousand callbacks to one receiver hold it once.
    fn origin(&self, origin: &str) -> Arc<str> {
        self.ready
            .get_key_value(origin)
            .map(|(known, _)| known)
            .or_else(|| self.per_origin.get_key_value(origin).map(|(known, _)| known))
            .cloned()
            .unwrap_or_else(|| Arc::from(origin))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use countersign_domain::{Ids as _, SequentialIds};
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits {
        per_origin: 2,
        overall: 5,
    };

    /// What can happen to the queue.
    #[derive(Debug, Clone)]
    enum Step {
        New {
            execution: u8,
            origin: u8,
            wait: u16,
            early: bool,
        },
        Advance {
            by: u16,
        },
        SetBack {
            by: u16,
        },
        SendAll,
        Succeed {
            which: usize,
        },
        Fail {
            which: usize,
            wait: u16,
        },
        ByHand {
            which: usize,
        },
        Withdraw {
            which: usize,
        },
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0..6_u8, 0..4_u8, 0..100_u16, any::<bool>())
                .prop_map(|(execution, origin, wait, early)| Step::New { execution, origin, wait, early }),
            2 => (0..200_u16).prop_map(|by| Step::Advance { by }),
            1 => (0..60_000_u16).prop_map(|by| Step::SetBack { by }),
            3 => Just(Step::SendAll),
            3 => any::<usize>().prop_map(|which| Step::Succeed { which }),
            2 => (any::<usize>(), 0..100_u16).prop_map(|(which, wait)| Step::Fail { which, wait }),
            1 => any::<usize>().prop_map(|which| Step::ByHand { which }),
            1 => any::<usize>().prop_map(|which| Step::Withdraw { which }),
        ];
        prop::collection::vec(step, 0..80)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

        /// Against a plain list: what goes out is the first of its execution, due and not under way; the
        /// limits hold; and nothing that may go is left behind.
        #[test]
        fn the_queue_does_what_a_list_would_do(steps in steps()) {
            let plan = RetryPlan::new(vec![Duration::from_millis(100)]);
            let ids = SequentialIds::default();
            let mut now = Timestamp::from_millis(1_000_000);
            let mut queue = Queue::new(LIMITS);
            // id, execution, origin, due
            let mut waiting: Vec<(CallbackId, u8, u8, Timestamp)> = Vec::new();
            let mut under_way: Vec<(CallbackId, u8)> = Vec::new();
            // What was seen to be due stays so, also if the clock is set back afterwards.
            let mut seen_due: BTreeSet<CallbackId> = BTreeSet::new();
            let origin = |number: u8| format!("http://receiver-{number}");
            let executions: Vec<_> = (0..6).map(|_| ExecutionId::from_uuid(ids.random())).collect();
            let execution = |number: u8| executions[usize::from(number)];

            for step in steps {
                match step {
                    Step::New { execution: e, origin: o, wait, early } => {
                        let id = CallbackId::from_uuid(ids.ordered(Timestamp::from_millis(i64::from(!early))));
                        let due = now.plus(Duration::from_millis(u64::from(wait)));
                        queue.put(id, execution(e), &origin(o), due);
                        waiting.push((id, e, o, due));
                    }
                    Step::Advance { by } => now = now.plus(Duration::from_millis(u64::from(by))),
                    Step::SetBack { by } => now = Timestamp::from_millis(now.as_millis() - i64::from(by)),
                    Step::SendAll => {
                        seen_due.extend(waiting.iter().filter(|w| plan.is_due(w.3, now)).map(|w| w.0));
                        while let Some(id) = queue.next(now, &plan) {
                            let (_, e, o, _) = *waiting.iter().find(|w| w.0 == id).expect("it waits");
                            prop_assert!(seen_due.contains(&id), "{id} is not due");
                            prop_assert!(!under_way.iter().any(|u| u.0 == id), "{id} goes twice");
                            let first = waiting.iter().filter(|w| w.1 == e).map(|w| w.0).min();
                            prop_assert_eq!(first, Some(id), "out of order");
                            under_way.push((id, o));
                            prop_assert!(under_way.len() <= LIMITS.overall);
                            prop_assert!(under_way.iter().filter(|u| u.1 == o).count() <= LIMITS.per_origin);
                        }
                        for (id, e, o, due) in &waiting {
                            let may_go = plan.is_due(*due, now)
                                && waiting.iter().filter(|w| w.1 == *e).map(|w| w.0).min() == Some(*id)
                                && !under_way.iter().any(|u| u.0 == *id)
                                && under_way.len() < LIMITS.overall
                                && under_way.iter().filter(|u| u.1 == *o).count() < LIMITS.per_origin;
                            prop_assert!(!may_go, "{id} was left behind");
                        }
                    }
                    Step::Succeed { which } if !under_way.is_empty() => {
                        let (id, _) = under_way.remove(which % under_way.len());
                        queue.finished(id);
                        queue.remove(id);
                        waiting.retain(|w| w.0 != id);
                    }
                    Step::Fail { which, wait } if !under_way.is_empty() => {
                        let (id, _) = under_way.remove(which % under_way.len());
                        queue.finished(id);
                        if let Some(entry) = waiting.iter_mut().find(|w| w.0 == id) {
                            seen_due.remove(&id);
                            entry.3 = now.plus(Duration::from_millis(u64::from(wait)));
                            queue.put(id, execution(entry.1), &origin(entry.2), entry.3);
                        }
                    }
                    Step::ByHand { which } if !waiting.is_empty() => {
                        let (id, e, o, _) = waiting[which % waiting.len()];
                        let allowed = !under_way.iter().any(|u| u.0 == id)
                            && under_way.len() < LIMITS.overall
                            && under_way.iter().filter(|u| u.1 == o).count() < LIMITS.per_origin;
                        let first = waiting.iter().filter(|w| w.1 == e).map(|w| w.0).min() == Some(id);
                        prop_assert_eq!(queue.is_behind(id), !first);
                        prop_assert_eq!(queue.start_by_hand(id, &origin(o)), allowed);
                        if allowed {
                            under_way.push((id, o));
                        }
                    }
                    Step::Withdraw { which } if !waiting.is_empty() => {
                        let (id, ..) = waiting.remove(which % waiting.len());
                        queue.remove(id);
                    }
                    _ => {}
                }
                for (id, ..) in &waiting {
                    prop_assert!(queue.contains(*id));
                    prop_assert_eq!(queue.is_under_way(*id), under_way.iter().any(|u| u.0 == *id));
                }
                let mut ids = queue.ids();
                ids.sort();
                let mut expected: Vec<_> = waiting.iter().map(|w| w.0).collect();
                expected.sort();
                prop_assert_eq!(ids, expected);
            }
        }
    }
}
