//! The broker: between the use cases, which must never wait for a desktop, and one backend.
//!
//! Callers change a set of pending prompts and return at once. One task compares that set with what is on the
//! screen and brings the screen up to date; another passes on what the backend reports. So a slow or dead
//! notification server delays notifications and nothing else, and no burst can fill a queue.

mod policy;
mod text;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use countersign_domain::{ApprovalId, Outcome, QuestionHash};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;

use crate::{Importance, Notifier, NotifierEvent, PresentError, Prompt, ServerState, ServerStatus};
use policy::{Policy, Settled};

/// How the broker behaves. The defaults are meant for use; tests shorten the times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerOptions {
    /// Whether notifications are shown at all.
    pub enabled: bool,
    /// Whether a notification says only that something waits, without what (rule 14). Then it has no buttons.
    pub details_hidden: bool,
    /// The most pressing level that is ever used (rule 13).
    pub most_important: Importance,
    /// How many notifications there are at once (rule 11). GNOME before 48 keeps three.
    pub slots: usize,
    /// How many notifications one flow may show one by one within [`Self::flow_span`] (rule 16).
    pub flow_limit: usize,
    /// See [`Self::flow_limit`].
    pub flow_span: Duration,
    /// The least time between two notifications (rule 5).
    pub gap: Duration,
    /// How many notifications may appear within [`Self::pace_span`], over all flows.
    pub pace_limit: usize,
    /// See [`Self::pace_limit`].
    pub pace_span: Duration,
    /// The least time between two changes of the roll-up.
    pub roll_up_gap: Duration,
    /// After how long a notification that the desktop swallowed is tried again. Doubles each time, up to
    /// twenty-fold.
    pub retry_after: Duration,
    /// How long changes are gathered before the screen is brought up to date.
    pub settle: Duration,
    /// How long shutting down may take.
    pub shutdown_limit: Duration,
}

impl Default for BrokerOptions {
    fn default() -> Self {
        Self {
            enabled: true,
            details_hidden: false,
            most_important: Importance::Critical,
            slots: 3,
            flow_limit: 10,
            flow_span: Duration::from_secs(60),
            gap: Duration::from_millis(200),
            pace_limit: 5,
            pace_span: Duration::from_secs(10),
            roll_up_gap: Duration::from_secs(10),
            retry_after: Duration::from_secs(30),
            settle: Duration::from_millis(15),
            shutdown_limit: Duration::from_secs(3),
        }
    }
}

/// What the broker tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BrokerEvent {
    /// A person pressed Approve or Reject. This is a wish: only the store makes it a decision. Afterwards call
    /// [`BrokerHandle::withdraw`], or [`BrokerHandle::present`] to ask again.
    Answered {
        /// Which approval.
        id: ApprovalId,
        /// What was pressed.
        outcome: Outcome,
        /// The hash of what was shown; absent if the approval was settled before the press arrived.
        content_hash: Option<QuestionHash>,
    },
    /// A person wants to see an approval, or the inbox.
    OpenRequested {
        /// Which approval; none for the inbox.
        approval: Option<ApprovalId>,
        /// What the compositor wants to see before it lets a window come to the front (Wayland: xdg-activation).
        activation_token: Option<String>,
    },
    /// [`BrokerHandle::status`] says something new.
    StatusChanged(ServerStatus),
    /// The test prompt was answered.
    TestAnswered {
        /// Whether it was the button for yes.
        approve: bool,
    },
}

/// The policy between the use cases, which must never wait for a desktop, and one backend.
#[derive(Debug)]
pub struct Broker;

struct Shared {
    policy: Mutex<Policy>,
    work: Notify,
    backend: Box<dyn Notifier>,
    events: mpsc::Sender<BrokerEvent>,
    stop: watch::Sender<bool>,
    asked: watch::Sender<bool>,
    shutdown_limit: Duration,
    settle: Duration,
}

impl Shared {
    fn policy(&self) -> MutexGuard<'_, Policy> {
        self.policy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn tell(&self, event: BrokerEvent) {
        // Nobody listens any more when the program ends.
        let _ = self.events.send(event).await;
    }

    /// Applies a change that may alter the status, and tells of it.
    async fn change(&self, change: impl FnOnce(&mut Policy)) {
        let status = {
            let mut policy = self.policy();
            change(&mut policy);
            policy.status_if_new()
        };
        if let Some(status) = status {
            self.tell(BrokerEvent::StatusChanged(status)).await;
        }
    }
}

impl Broker {
    /// Starts a broker over a backend. Must be called inside a tokio runtime.
    ///
    /// The receiver must be read: while it is full, answers wait (and are not lost).
    pub fn start(
        options: BrokerOptions,
        backend: Box<dyn Notifier>,
    ) -> (BrokerHandle, mpsc::Receiver<BrokerEvent>) {
        let (events, receiver) = mpsc::channel(64);
        let shared = Arc::new(Shared {
            work: Notify::new(),
            backend,
            events,
            stop: watch::Sender::new(false),
            asked: watch::Sender::new(false),
            shutdown_limit: options.shutdown_limit,
            settle: options.settle,
            policy: Mutex::new(Policy::new(options)),
        });
        let reports = shared.backend.events();
        tokio::spawn(pass_on(Arc::clone(&shared), reports));
        tokio::spawn(keep_up(Arc::clone(&shared)));
        (BrokerHandle { shared }, receiver)
    }
}

/// The way to a broker. Clones are cheap. No method waits for the desktop, except where its documentation says so.
#[derive(Clone)]
pub struct BrokerHandle {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for BrokerHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BrokerHandle")
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

impl BrokerHandle {
    fn change(&self, change: impl FnOnce(&mut Policy)) {
        change(&mut self.shared.policy());
        self.shared.work.notify_one();
    }

    /// An approval waits. A known id takes the new texts, and is shown again if its notification was closed or
    /// answered before.
    pub fn present(&self, prompt: Prompt) {
        self.change(|policy| policy.present(prompt));
    }

    /// An approval waits no longer, whatever settled it: its notification goes.
    pub fn withdraw(&self, id: ApprovalId) {
        self.change(|policy| policy.withdraw(id));
    }

    /// Replaces the set of pending approvals; for the start of the program.
    pub fn set_pending(&self, prompts: Vec<Prompt>) {
        self.change(|policy| policy.set_pending(prompts));
    }

    /// How notifications stand, as far as it is known now.
    pub fn status(&self) -> ServerStatus {
        self.shared.policy().status()
    }

    /// Waits until the desktop has been asked for the first time (some seconds at most), then gives the status.
    pub async fn ready(&self) -> ServerStatus {
        let mut asked = self.shared.asked.subscribe();
        let _ = asked.wait_for(|asked| *asked).await;
        self.status()
    }

    /// Asks the desktop anew what it can do; a difference comes as [`BrokerEvent::StatusChanged`].
    pub fn refresh(&self) {
        self.change(Policy::ask_again);
    }

    /// Shows a test prompt with the two buttons. Its answer comes as [`BrokerEvent::TestAnswered`].
    pub fn test_prompt(&self) {
        self.change(Policy::show_test);
    }

    /// Tells the person something that wants no answer, for instance that an approval was answered already.
    pub fn tell(&self, summary: &str, body: &str) {
        self.change(|policy| policy.show_message(summary, body));
    }

    /// Switches notifications on or off. What is on the screen follows.
    pub fn set_enabled(&self, enabled: bool) {
        self.change(|policy| policy.options_mut().enabled = enabled);
    }

    /// Hides or shows details. What is on the screen follows.
    pub fn set_details_hidden(&self, hidden: bool) {
        self.change(|policy| policy.options_mut().details_hidden = hidden);
    }

    /// Withdraws everything and ends, within [`BrokerOptions::shutdown_limit`].
    pub async fn shutdown(&self) {
        self.shared.stop.send_replace(true);
        let end = self.shared.backend.shutdown();
        if tokio::time::timeout(self.shared.shutdown_limit, end)
            .await
            .is_err()
        {
            tracing::warn!("the notification server did not let go in time");
        }
    }
}

/// Passes on what the backend reports.
async fn pass_on(shared: Arc<Shared>, mut reports: mpsc::Receiver<NotifierEvent>) {
    let mut stop = shared.stop.subscribe();
    loop {
        let report = tokio::select! {
            report = reports.recv() => report,
            _ = stop.wait_for(|stop| *stop) => None,
        };
        let Some(report) = report else { return };
        match report {
            NotifierEvent::Answered {
                key,
                answer,
                activation_token,
            } => {
                let event = shared.policy().answered(key, answer, activation_token);
                if let Some(event) = event {
                    shared.tell(event).await;
                }
            }
            NotifierEvent::Closed { key, reason } => shared.policy().closed(key, reason, Instant::now()),
            NotifierEvent::ServerChanged(state) => {
                shared.change(|policy| policy.server_is(state)).await;
            }
        }
        shared.work.notify_one();
    }
}

/// Keeps the screen up to date.
async fn keep_up(shared: Arc<Shared>) {
    let mut stop = shared.stop.subscribe();
    let work = async {
        shared.policy().ask_again();
        loop {
            let wake_at = bring_up_to_date(&shared).await;
            let _ = shared.asked.send_replace(true);
            match wake_at {
                Some(at) => {
                    tokio::select! {
                        () = shared.work.notified() => {}
                        () = tokio::time::sleep_until(at) => continue,
                    }
                }
                None => shared.work.notified().await,
            }
            // Callers often change several things at once.
            tokio::time::sleep(shared.settle).await;
        }
    };
    tokio::select! {
        () = work => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}

/// One round. Says when to look again although nothing changed.
async fn bring_up_to_date(shared: &Shared) -> Option<Instant> {
    // Capabilities change while a server runs (Do Not Disturb takes the buttons away), so they are asked before
    // each notification; it is one short call, and notifications are few.
    let mut asked: Option<ServerState> = None;
    loop {
        let plan = {
            let mut policy = shared.policy();
            policy.plan(Instant::now())
        };
        for key in &plan.withdraw {
            shared.backend.withdraw(*key).await;
            shared.policy().withdrawn(*key);
        }
        if asked.is_none() && (plan.next.is_some() || plan.ask) {
            let state = shared.backend.state().await;
            shared.change(|policy| policy.server_is(state.clone())).await;
            asked = Some(state);
            continue;
        }
        // A flow that asks too often changes the status without any change of the server.
        shared.change(|_| ()).await;
        let Some((key, draft)) = plan.next else {
            return plan.wake_at;
        };
        let Some(ServerState::Up { capabilities, .. }) = &asked else {
            return plan.wake_at;
        };
        let notice = draft.notice(key, *capabilities, shared.policy().options_mut().most_important);
        // It counts as shown before the call: a report of its end may come before the call returns.
        shared.policy().showing(key, draft, Instant::now());
        let result = shared.backend.present(notice).await;
        let settled = match result {
            Ok(()) => {
                asked = None;
                continue;
            }
            Err(PresentError::Down(_)) => Settled::NoServer,
            Err(PresentError::Discarded) => Settled::Swallowed,
            Err(PresentError::Refused(ref text)) => {
                tracing::warn!(error = %text, "the notification server refused a notification");
                Settled::Failed
            }
            Err(ref error @ (PresentError::TimedOut | PresentError::Busy)) => {
                tracing::warn!(%error, "a notification was not shown");
                Settled::Failed
            }
        };
        shared
            .change(|policy| policy.not_shown(key, settled, Instant::now()))
            .await;
        if settled == Settled::NoServer {
            return plan.wake_at;
        }
    }
}
