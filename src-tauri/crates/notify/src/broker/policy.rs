//! What should be on the screen: a pure decision from the pending prompts, what happened to their notifications
//! and the time. Rules 9 to 16 of the notification design live here, and nothing of any desktop.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use countersign_domain::{ApprovalId, Outcome};
use tokio::time::Instant;

use super::text::{Draft, cleaned, message};
use super::{BrokerEvent, BrokerOptions};
use crate::{Answer, Closed, NoticeKey, Prompt, ServerState, ServerStatus};

/// What to do next.
pub(super) struct Plan {
    /// These go.
    pub(super) withdraw: Vec<NoticeKey>,
    /// This one is shown next, now.
    pub(super) next: Option<(NoticeKey, Draft)>,
    /// Whether somebody wants the server to be asked although nothing is to be shown.
    pub(super) ask: bool,
    /// When to plan again although nothing happened.
    pub(super) wake_at: Option<Instant>,
}

/// Why a notification did not get onto the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Settled {
    /// There is no server; the next one gets it.
    NoServer,
    /// The server took it and showed nothing.
    Swallowed,
    /// The call failed.
    Failed,
}

struct Entry {
    prompt: Prompt,
    phase: Phase,
    /// How often in a row the desktop swallowed it.
    swallowed: u32,
}

enum Phase {
    /// It may be shown, or is.
    Waiting,
    /// Somebody pressed a button, and the store has not confirmed it yet.
    Answered,
    /// Its notification went without an answer. It still waits, in the inbox.
    Closed {
        /// When, as a number that counts closings and arrivals.
        at: u64,
        /// When it is tried again, if the desktop swallowed it rather than a person closing it.
        again: Option<Instant>,
    },
}

/// What happened to the roll-up.
#[derive(Default)]
struct RollUp {
    /// When it was closed, counted as in [`Phase::Closed`].
    closed: Option<u64>,
    /// When it is tried again although nothing arrived.
    again: Option<Instant>,
    /// When it was shown last.
    changed: Option<Instant>,
}

/// A message to the person. It is there for some seconds only, because it takes a place from approvals.
struct Message {
    summary: String,
    body: String,
    round: u64,
    until: Option<Instant>,
}

/// How long a message stays.
const MESSAGE_SPAN: Duration = Duration::from_secs(10);

/// At most so many within a span.
struct Window {
    limit: usize,
    span: Duration,
    times: VecDeque<Instant>,
}

impl Window {
    fn new(limit: usize, span: Duration) -> Self {
        Self {
            limit: limit.max(1),
            span,
            times: VecDeque::new(),
        }
    }

    /// When the next one may come, if not now.
    fn busy_until(&mut self, now: Instant) -> Option<Instant> {
        self.forget(now);
        if self.times.len() < self.limit {
            None
        } else {
            self.times.front().map(|first| *first + self.span)
        }
    }

    fn forget(&mut self, now: Instant) {
        while self.times.front().is_some_and(|first| *first + self.span <= now) {
            self.times.pop_front();
        }
    }

    fn take(&mut self, now: Instant) {
        self.times.push_back(now);
    }
}

/// The earliest of some moments.
#[derive(Default)]
struct Earliest(Option<Instant>);

impl Earliest {
    fn add(&mut self, at: Instant) {
        self.0 = Some(self.0.map_or(at, |other| other.min(at)));
    }
}

pub(super) struct Policy {
    options: BrokerOptions,
    /// By id, which sorts the one that waits longest to the front.
    entries: BTreeMap<ApprovalId, Entry>,
    /// What is on the screen, as far as we know. Without a draft it must be shown anew whatever it shows.
    shown: HashMap<NoticeKey, Option<Draft>>,
    server: ServerState,
    /// Which server the screen belongs to.
    epoch: Option<u64>,
    told: Option<ServerStatus>,
    ask: bool,
    test: Option<u64>,
    message: Option<Message>,
    /// Counts arrivals, closings and requests.
    count: u64,
    last_arrival: u64,
    roll_up: RollUp,
    flows: HashMap<String, Window>,
    gap: Window,
    pace: Window,
    held_back: usize,
    held_flow: Option<String>,
}

impl Policy {
    pub(super) fn new(options: BrokerOptions) -> Self {
        Self {
            gap: Window::new(1, options.gap),
            pace: Window::new(options.pace_limit, options.pace_span),
            options,
            entries: BTreeMap::new(),
            shown: HashMap::new(),
            server: ServerState::down("Countersign is looking for the notification server."),
            epoch: None,
            told: None,
            ask: false,
            test: None,
            message: None,
            count: 0,
            last_arrival: 0,
            roll_up: RollUp::default(),
            flows: HashMap::new(),
            held_back: 0,
            held_flow: None,
        }
    }

    pub(super) fn options_mut(&mut self) -> &mut BrokerOptions {
        &mut self.options
    }

    fn tick(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    // Wishes of the callers.

    pub(super) fn present(&mut self, prompt: Prompt) {
        let prompt = cleaned(prompt);
        let key = NoticeKey::Approval(prompt.id);
        match self.entries.get_mut(&prompt.id) {
            Some(entry) => {
                if !matches!(entry.phase, Phase::Waiting)
                    && let Some(draft) = self.shown.get_mut(&key)
                {
                    // It was answered and is asked again, so its old notification says nothing any more.
                    *draft = None;
                }
                entry.prompt = prompt;
                entry.phase = Phase::Waiting;
            }
            None => {
                self.last_arrival = self.tick();
                self.entries.insert(
                    prompt.id,
                    Entry {
                        prompt,
                        phase: Phase::Waiting,
                        swallowed: 0,
                    },
                );
            }
        }
    }

    pub(super) fn withdraw(&mut self, id: ApprovalId) {
        self.entries.remove(&id);
    }

    pub(super) fn set_pending(&mut self, prompts: Vec<Prompt>) {
        let mut before = std::mem::take(&mut self.entries);
        for prompt in prompts {
            let prompt = cleaned(prompt);
            if let Some(entry) = before.remove(&prompt.id) {
                self.entries.insert(prompt.id, Entry { prompt, ..entry });
            } else {
                self.present(prompt);
            }
        }
    }

    pub(super) fn ask_again(&mut self) {
        self.ask = true;
    }

    pub(super) fn show_test(&mut self) {
        self.test = Some(self.tick());
    }

    pub(super) fn show_message(&mut self, summary: &str, body: &str) {
        let (summary, body) = message(summary, body);
        let round = self.tick();
        self.message = Some(Message {
            summary,
            body,
            round,
            until: None,
        });
    }

    // Reports of the backend.

    pub(super) fn answered(
        &mut self,
        key: NoticeKey,
        answer: Answer,
        activation_token: Option<String>,
    ) -> Option<BrokerEvent> {
        let outcome = match answer {
            Answer::Approve => Some(Outcome::Approve),
            Answer::Reject => Some(Outcome::Reject),
            Answer::Open => None,
        };
        match (key, outcome) {
            (NoticeKey::Approval(id), Some(outcome)) => {
                let content_hash = match self.entries.get_mut(&id) {
                    Some(entry) if matches!(entry.phase, Phase::Answered) => return None,
                    // Rule 15, once more: a step without buttons is not approved by a notification.
                    Some(entry) if !entry.prompt.buttons => return None,
                    Some(entry) => {
                        entry.phase = Phase::Answered;
                        Some(entry.prompt.content_hash.clone())
                    }
                    // Settled elsewhere a moment ago: the store says so to whoever pressed.
                    None => None,
                };
                Some(BrokerEvent::Answered {
                    id,
                    outcome,
                    content_hash,
                })
            }
            (NoticeKey::Test, Some(outcome)) => {
                self.test = None;
                Some(BrokerEvent::TestAnswered {
                    approve: outcome == Outcome::Approve,
                })
            }
            (NoticeKey::RollUp | NoticeKey::Message, Some(_)) => None,
            (NoticeKey::Approval(id), None) => Some(BrokerEvent::OpenRequested {
                approval: Some(id),
                activation_token,
            }),
            (_, None) => Some(BrokerEvent::OpenRequested {
                approval: None,
                activation_token,
            }),
        }
    }

    /// Rule 10: nothing here answers anything.
    pub(super) fn closed(&mut self, key: NoticeKey, reason: Closed, now: Instant) {
        self.shown.remove(&key);
        match key {
            NoticeKey::Approval(id) => {
                let retry = (reason == Closed::Unknown).then_some(self.options.retry_after);
                self.park(id, retry, now);
            }
            NoticeKey::RollUp => self.park_roll_up(reason == Closed::Unknown, now),
            NoticeKey::Test => self.test = None,
            NoticeKey::Message => self.message = None,
        }
    }

    fn park_roll_up(&mut self, swallowed: bool, now: Instant) {
        self.roll_up.closed = Some(self.tick());
        self.roll_up.again = swallowed.then_some(now + self.options.retry_after);
    }

    fn park(&mut self, id: ApprovalId, retry: Option<Duration>, now: Instant) {
        let at = self.tick();
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        if !matches!(entry.phase, Phase::Waiting | Phase::Closed { .. }) {
            return;
        }
        let again = retry.map(|retry| {
            let times = 2_u32.saturating_pow(entry.swallowed).min(20);
            entry.swallowed += 1;
            now + retry * times
        });
        entry.phase = Phase::Closed { at, again };
    }

    /// What the server is, whether it told by itself or was asked.
    pub(super) fn server_is(&mut self, state: ServerState) {
        self.ask = false;
        if let ServerState::Up { epoch, .. } = &state
            && self.epoch.replace(*epoch) != Some(*epoch)
        {
            // Rule 5: whatever was on the screen of another server is gone.
            self.shown.clear();
            self.roll_up = RollUp::default();
            for entry in self.entries.values_mut() {
                if matches!(entry.phase, Phase::Closed { .. }) {
                    entry.phase = Phase::Waiting;
                    entry.swallowed = 0;
                }
            }
        }
        if !state.is_up() {
            // A test or a message that turns up much later would only puzzle.
            self.test = None;
            self.message = None;
        }
        self.server = state;
    }

    // The rounds of the broker.

    pub(super) fn withdrawn(&mut self, key: NoticeKey) {
        self.shown.remove(&key);
    }

    pub(super) fn showing(&mut self, key: NoticeKey, draft: Draft, now: Instant) {
        self.gap.take(now);
        match key {
            NoticeKey::Approval(_) => self.pace.take(now),
            NoticeKey::RollUp => self.roll_up.changed = Some(now),
            NoticeKey::Message => {
                if let Some(message) = &mut self.message {
                    message.until = Some(now + MESSAGE_SPAN);
                }
            }
            NoticeKey::Test => {}
        }
        if let (Draft::Prompt { prompt, .. }, false) = (&draft, self.shown.contains_key(&key)) {
            self.flows
                .entry(prompt.flow_name.clone())
                .or_insert_with(|| Window::new(self.options.flow_limit, self.options.flow_span))
                .take(now);
        }
        if let NoticeKey::Approval(id) = key
            && let Some(entry) = self.entries.get_mut(&id)
            && matches!(entry.phase, Phase::Closed { .. })
        {
            entry.phase = Phase::Waiting;
        }
        self.shown.insert(key, Some(draft));
    }

    pub(super) fn not_shown(&mut self, key: NoticeKey, settled: Settled, now: Instant) {
        self.shown.remove(&key);
        if settled == Settled::NoServer {
            return;
        }
        match key {
            NoticeKey::Approval(id) => {
                let retry = match settled {
                    // A refusal is often for a moment only: Plasma takes no equal one within a second.
                    Settled::Failed => self.options.retry_after / 10,
                    _ => self.options.retry_after,
                };
                self.park(id, Some(retry), now);
            }
            NoticeKey::RollUp => self.park_roll_up(true, now),
            NoticeKey::Test => self.test = None,
            NoticeKey::Message => self.message = None,
        }
    }

    /// What should be on the screen, and what to do first about it.
    pub(super) fn plan(&mut self, now: Instant) -> Plan {
        let mut wake = Earliest::default();
        let wanted = self.wanted(now, &mut wake);
        let withdraw: Vec<NoticeKey> = self
            .shown
            .keys()
            .filter(|key| !wanted.iter().any(|(wanted, _)| wanted == *key) && !self.lingers(**key))
            .copied()
            .collect();
        let mut next = wanted
            .into_iter()
            .find(|(key, draft)| self.shown.get(key).and_then(Option::as_ref) != Some(draft));
        if let Some((key, _)) = &next {
            let mut busy = self.gap.busy_until(now);
            if matches!(key, NoticeKey::Approval(_)) {
                busy = busy.max(self.pace.busy_until(now));
            }
            if let Some(at) = busy {
                wake.add(at);
                next = None;
            }
        }
        if !self.server.is_up() && !self.ask {
            // The server's coming is reported; until then there is no point in trying.
            next = None;
            wake = Earliest::default();
        }
        Plan {
            withdraw,
            next,
            ask: self.ask,
            wake_at: wake.0,
        }
    }

    /// A notification whose answer is not confirmed yet stays where it is.
    fn lingers(&self, key: NoticeKey) -> bool {
        let NoticeKey::Approval(id) = key else {
            return false;
        };
        self.entries
            .get(&id)
            .is_some_and(|entry| matches!(entry.phase, Phase::Answered))
    }

    fn wanted(&mut self, now: Instant, wake: &mut Earliest) -> Vec<(NoticeKey, Draft)> {
        let mut wanted = Vec::new();
        if let Some(round) = self.test {
            wanted.push((NoticeKey::Test, Draft::Test { round }));
        }
        if self
            .message
            .as_ref()
            .is_some_and(|message| message.until.is_some_and(|until| until <= now))
        {
            self.message = None;
        }
        if let Some(Message {
            summary,
            body,
            round,
            until,
        }) = &self.message
        {
            if let Some(until) = until {
                wake.add(*until);
            }
            let draft = Draft::Message {
                summary: summary.clone(),
                body: body.clone(),
                round: *round,
            };
            wanted.push((NoticeKey::Message, draft));
        }
        if !self.options.enabled {
            self.held_back = 0;
            self.held_flow = None;
            return wanted;
        }
        let lingering = self.shown.keys().filter(|key| self.lingers(**key)).count();

        // A closed notification keeps its place until something new arrives: closing one must not bring up
        // the next one that has been waiting anyway.
        let mut kept = 0;
        let mut waiting = 0;
        let mut open: Vec<&Prompt> = Vec::new();
        for entry in self.entries.values() {
            match entry.phase {
                Phase::Answered => continue,
                Phase::Waiting => open.push(&entry.prompt),
                Phase::Closed {
                    again: Some(again), ..
                } if again <= now => open.push(&entry.prompt),
                Phase::Closed { at, again } => {
                    if let Some(again) = again {
                        wake.add(again);
                    }
                    kept += usize::from(at > self.last_arrival || again.is_some());
                }
            }
            waiting += 1;
        }
        // The most pressing first; among equals the one that waits longest, so that what is shown stays.
        open.sort_by_key(|prompt| std::cmp::Reverse(prompt.importance));

        let slots = self
            .options
            .slots
            .saturating_sub(wanted.len() + lingering + kept)
            .max(1);
        let room = if open.len() <= slots { slots } else { slots - 1 };
        let mut picked = 0;
        let mut held_back = 0;
        let mut held_flow = None;
        for prompt in &open {
            if picked == room {
                break;
            }
            let key = NoticeKey::Approval(prompt.id);
            if !self.shown.contains_key(&key)
                && let Some(window) = self.flows.get_mut(&prompt.flow_name)
                && let Some(until) = window.busy_until(now)
            {
                wake.add(until);
                held_back += 1;
                held_flow = Some(prompt.flow_name.clone());
                continue;
            }
            let draft = Draft::Prompt {
                prompt: (*prompt).clone(),
                details_hidden: self.options.details_hidden,
            };
            wanted.push((key, draft));
            picked += 1;
        }
        let rest = open.len() > picked;
        self.held_back = held_back;
        self.held_flow = held_flow;

        let roll_up = if self.roll_up.closed.is_none_or(|at| at < self.last_arrival) {
            true
        } else if let Some(again) = self.roll_up.again {
            if rest && again > now {
                wake.add(again);
            }
            again <= now
        } else {
            false
        };
        if rest && roll_up {
            let draft = Draft::RollUp {
                count: waiting - picked,
                more: picked > 0,
            };
            match (
                self.shown.get(&NoticeKey::RollUp).and_then(Option::as_ref),
                self.roll_up.changed,
            ) {
                (Some(shown), Some(changed))
                    if *shown != draft && now < changed + self.options.roll_up_gap =>
                {
                    wake.add(changed + self.options.roll_up_gap);
                    wanted.push((NoticeKey::RollUp, shown.clone()));
                }
                _ => wanted.push((NoticeKey::RollUp, draft)),
            }
        }
        self.flows.retain(|_, window| {
            window.forget(now);
            !window.times.is_empty()
        });
        wanted
    }

    // What people are told.

    pub(super) fn status(&self) -> ServerStatus {
        match &self.server {
            ServerState::Up {
                name,
                version,
                capabilities,
                ..
            } => ServerStatus {
                available: true,
                name: Some(name.clone()),
                version: Some(version.clone()),
                buttons: capabilities.buttons,
                reply: capabilities.reply,
                note: self.note(name, capabilities.buttons),
                held_back: self.held_back,
            },
            ServerState::Down { reason } => ServerStatus {
                available: false,
                name: None,
                version: None,
                buttons: false,
                reply: false,
                note: Some(reason.clone()),
                held_back: 0,
            },
        }
    }

    fn note(&self, name: &str, buttons: bool) -> Option<String> {
        if !self.options.enabled {
            return Some(
                "Notifications are switched off in the settings. Questions wait in the inbox.".into(),
            );
        }
        let mut notes = Vec::new();
        if !buttons {
            notes.push(format!(
                "{name} shows no buttons at the moment; Do Not Disturb may be on. Approvals are answered in the inbox."
            ));
        }
        if let Some(flow) = &self.held_flow {
            let what = match self.held_back {
                1 => "1 notification is".to_owned(),
                count => format!("{count} notifications are"),
            };
            notes.push(format!(
                "{what} held back because “{flow}” asked very often. Look in the inbox."
            ));
        }
        if notes.is_empty() {
            None
        } else {
            Some(notes.join(" "))
        }
    }

    /// The status, if it differs from the last one given by this function.
    pub(super) fn status_if_new(&mut self) -> Option<ServerStatus> {
        let status = self.status();
        if self.told.as_ref() == Some(&status) {
            return None;
        }
        self.told = Some(status.clone());
        Some(status)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use countersign_domain::QuestionHash;
    use proptest::prelude::*;

    use super::*;
    use crate::{Capabilities, Importance};

    #[derive(Debug, Clone)]
    enum Step {
        Present(u8, bool),
        Withdraw(u8),
        Answer(u8),
        Close(u8, Closed),
        CloseRollUp(Closed),
        Refuse(u8),
        Restart,
        Down,
        Wait(u16),
    }

    fn step() -> impl Strategy<Value = Step> {
        let reason = prop::sample::select(vec![
            Closed::Expired,
            Closed::Dismissed,
            Closed::Withdrawn,
            Closed::Unknown,
        ]);
        prop_oneof![
            4 => (0..12_u8, any::<bool>()).prop_map(|(id, critical)| Step::Present(id, critical)),
            2 => (0..12_u8).prop_map(Step::Withdraw),
            1 => (0..12_u8).prop_map(Step::Answer),
            2 => (0..12_u8, reason.clone()).prop_map(|(id, reason)| Step::Close(id, reason)),
            1 => reason.prop_map(Step::CloseRollUp),
            1 => (0..12_u8).prop_map(Step::Refuse),
            1 => Just(Step::Restart),
            1 => Just(Step::Down),
            2 => (0..20_000_u16).prop_map(Step::Wait),
        ]
    }

    fn id(number: u8) -> ApprovalId {
        format!("0192f0c1-7b1e-7000-8000-{number:012x}")
            .parse()
            .expect("an identifier")
    }

    fn prompt(number: u8, critical: bool) -> Prompt {
        Prompt {
            id: id(number),
            content_hash: QuestionHash::from_client(format!("hash {number}")),
            title: format!("Question {number}"),
            body: String::new(),
            flow_name: format!("Flow {}", number % 3),
            buttons: true,
            importance: if critical {
                Importance::Critical
            } else {
                Importance::Normal
            },
        }
    }

    fn up(epoch: u64) -> ServerState {
        let capabilities = Capabilities {
            buttons: true,
            ..Capabilities::default()
        };
        ServerState::Up {
            name: "Test".into(),
            version: "1".into(),
            capabilities,
            epoch,
        }
    }

    /// Does what the broker does until there is nothing to do at this moment, on a screen of our own. Gives how
    /// often something was presented.
    fn settle(policy: &mut Policy, screen: &mut BTreeSet<NoticeKey>, now: &mut Instant) -> usize {
        let mut presented = 0;
        for _ in 0..200 {
            let plan = policy.plan(*now);
            for key in plan.withdraw {
                screen.remove(&key);
                policy.withdrawn(key);
            }
            match plan.next {
                Some((key, draft)) => {
                    policy.showing(key, draft, *now);
                    screen.insert(key);
                    presented += 1;
                }
                // The gap between two notifications is waited for, longer things are not.
                None if plan.wake_at.is_some_and(|at| at <= *now + policy.options.gap) => {
                    *now += policy.options.gap;
                }
                None => return presented,
            }
        }
        panic!("the broker does not come to rest");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn whatever_happens_the_screen_tells_the_truth_and_is_never_flooded(
            steps in prop::collection::vec(step(), 1..60)
        ) {
            let mut policy = Policy::new(BrokerOptions::default());
            let mut now = Instant::now();
            let mut epoch = 1;
            policy.server_is(up(epoch));
            let mut screen = BTreeSet::new();
            let mut pending = BTreeSet::new();
            for step in steps {
                match step {
                    Step::Present(number, critical) => {
                        pending.insert(number);
                        policy.present(prompt(number, critical));
                    }
                    Step::Withdraw(number) => {
                        pending.remove(&number);
                        policy.withdraw(id(number));
                    }
                    Step::Answer(number) => {
                        let key = NoticeKey::Approval(id(number));
                        if screen.contains(&key) {
                            let answer = policy.answered(key, Answer::Approve, None);
                            let told = BrokerEvent::Answered {
                                id: id(number),
                                outcome: Outcome::Approve,
                                content_hash: Some(QuestionHash::from_client(format!("hash {number}"))),
                            };
                            prop_assert!(answer.is_none() || answer == Some(told), "only this one is answered");
                            screen.remove(&key);
                            policy.closed(key, Closed::Dismissed, now);
                            pending.remove(&number);
                            policy.withdraw(id(number));
                        }
                    }
                    Step::Close(number, reason) => {
                        let key = NoticeKey::Approval(id(number));
                        if screen.remove(&key) {
                            policy.closed(key, reason, now);
                        }
                    }
                    Step::CloseRollUp(reason) => {
                        if screen.remove(&NoticeKey::RollUp) {
                            policy.closed(NoticeKey::RollUp, reason, now);
                        }
                    }
                    Step::Refuse(number) => {
                        let key = NoticeKey::Approval(id(number));
                        if screen.remove(&key) {
                            policy.not_shown(key, Settled::Failed, now);
                        }
                    }
                    Step::Restart => {
                        epoch += 1;
                        screen.clear();
                        policy.server_is(up(epoch));
                    }
                    Step::Down => {
                        screen.clear();
                        policy.server_is(ServerState::down("gone"));
                    }
                    Step::Wait(millis) => now += Duration::from_millis(u64::from(millis)),
                }
                let presented = settle(&mut policy, &mut screen, &mut now);
                // Twice the places: what a limit held back may become due while the change is shown.
                prop_assert!(presented <= 6, "one change is no flood: {presented}");
                prop_assert!(screen.len() <= 3, "three places: {screen:?}");
                for key in &screen {
                    if let NoticeKey::Approval(shown) = key {
                        let known = pending.iter().any(|number| id(*number) == *shown);
                        prop_assert!(known, "what is settled is off the screen: {shown}");
                    }
                }
                if pending.is_empty() {
                    prop_assert!(screen.is_empty(), "nothing waits, nothing is shown: {screen:?}");
                }
            }
            // Another server comes, and time passes: everything that waits is on the screen or counted there.
            policy.server_is(up(epoch + 1));
            screen.clear();
            for _ in 0..100 {
                settle(&mut policy, &mut screen, &mut now);
                now += Duration::from_secs(5);
            }
            let one_by_one = screen.iter().filter(|key| matches!(key, NoticeKey::Approval(_))).count();
            let counted = match policy.shown.get(&NoticeKey::RollUp) {
                Some(Some(Draft::RollUp { count, .. })) => *count,
                _ => 0,
            };
            prop_assert_eq!(one_by_one + counted, pending.len(), "every approval that waits is accounted for");
        }
    }
}
