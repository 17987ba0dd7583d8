//! A desktop for tests.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use countersign_domain::ApprovalId;
use tokio::sync::{Notify, mpsc};

use crate::{
    Answer, BoxFuture, Capabilities, Closed, Notice, NoticeKey, Notifier, NotifierEvent, PresentError,
    ServerState,
};

/// Records what was presented and lets a test answer, close and restart. Clones share one desktop.
#[derive(Clone)]
pub struct FakeNotifier {
    shared: Arc<Shared>,
}

struct Shared {
    screen: Mutex<Screen>,
    changed: Notify,
    events: mpsc::UnboundedSender<NotifierEvent>,
}

struct Screen {
    state: ServerState,
    showing: Vec<Notice>,
    history: Vec<Notice>,
    refusals: Vec<PresentError>,
    asked: usize,
    epoch: u64,
    delay: Duration,
    stream: Option<mpsc::UnboundedReceiver<NotifierEvent>>,
}

impl std::fmt::Debug for FakeNotifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FakeNotifier")
            .field("showing", &self.showing())
            .finish_non_exhaustive()
    }
}

impl Default for FakeNotifier {
    fn default() -> Self {
        Self::new()
    }
}

impl FakeNotifier {
    /// A desktop that is up and draws buttons.
    pub fn new() -> Self {
        let (events, stream) = mpsc::unbounded_channel();
        let screen = Screen {
            state: Self::up(Capabilities {
                buttons: true,
                markup: true,
                reply: false,
                keeps: true,
            }),
            showing: Vec::new(),
            history: Vec::new(),
            refusals: Vec::new(),
            asked: 0,
            epoch: 0,
            delay: Duration::ZERO,
            stream: Some(stream),
        };
        Self {
            shared: Arc::new(Shared {
                screen: Mutex::new(screen),
                changed: Notify::new(),
                events,
            }),
        }
    }

    /// The state of a fake server with these capabilities.
    pub fn up(capabilities: Capabilities) -> ServerState {
        ServerState::Up {
            name: "Fake desktop".into(),
            version: "1".into(),
            capabilities,
            epoch: 0,
        }
    }

    fn screen(&self) -> MutexGuard<'_, Screen> {
        self.shared.screen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, event: NotifierEvent) {
        // Nobody listens before the broker starts and after it ends; then there is nobody to tell.
        let _ = self.shared.events.send(event);
        self.shared.changed.notify_waiters();
    }

    /// Changes what the server says the next time it is asked, without telling anybody, as Do Not Disturb does.
    /// It stays the same server.
    pub fn set_state(&self, state: ServerState) {
        let mut screen = self.screen();
        screen.state = numbered(state, screen.epoch);
    }

    /// The server goes away and another takes its place: the screen is empty, the change is reported.
    pub fn restart(&self, state: ServerState) {
        let state = {
            let mut screen = self.screen();
            screen.epoch += 1;
            screen.state = numbered(state, screen.epoch);
            screen.showing.clear();
            screen.state.clone()
        };
        self.tell(NotifierEvent::ServerChanged(state));
    }

    /// The next notification is refused with this error.
    pub fn refuse_next(&self, error: PresentError) {
        self.screen().refusals.insert(0, error);
    }

    /// How long each call takes from now on.
    pub fn set_delay(&self, delay: Duration) {
        self.screen().delay = delay;
    }

    /// What is on the screen, in the order in which it came.
    pub fn showing(&self) -> Vec<Notice> {
        self.screen().showing.clone()
    }

    /// What is on the screen under this key.
    pub fn find(&self, key: NoticeKey) -> Option<Notice> {
        self.screen()
            .showing
            .iter()
            .find(|notice| notice.key == key)
            .cloned()
    }

    /// Everything that was ever presented, in order.
    pub fn history(&self) -> Vec<Notice> {
        self.screen().history.clone()
    }

    /// How often it was asked for its state.
    pub fn times_asked(&self) -> usize {
        self.screen().asked
    }

    /// A person presses a button on the notification of an approval. The notification goes away, as on a real
    /// desktop. `false` if it is not on the screen or has no such button.
    pub fn answer(&self, id: ApprovalId, answer: Answer) -> bool {
        self.answer_key(NoticeKey::Approval(id), answer)
    }

    /// As [`Self::answer`], for any notification.
    pub fn answer_key(&self, key: NoticeKey, answer: Answer) -> bool {
        let found = self.take(key, answer != Answer::Open);
        if found {
            self.tell(NotifierEvent::Answered {
                key,
                answer,
                activation_token: None,
            });
            self.tell(NotifierEvent::Closed {
                key,
                reason: Closed::Dismissed,
            });
        }
        found
    }

    /// A notification goes away for this reason. `false` if it is not on the screen.
    pub fn close(&self, key: NoticeKey, reason: Closed) -> bool {
        let found = self.take(key, false);
        if found {
            self.tell(NotifierEvent::Closed { key, reason });
        }
        found
    }

    /// Reports an event as it is, whether or not it fits what is on the screen.
    pub fn emit(&self, event: NotifierEvent) {
        self.tell(event);
    }

    fn take(&self, key: NoticeKey, needs_buttons: bool) -> bool {
        let mut screen = self.screen();
        let place = screen
            .showing
            .iter()
            .position(|notice| notice.key == key && (notice.buttons || !needs_buttons));
        place.map(|at| screen.showing.remove(at)).is_some()
    }

    /// Waits until what is on the screen satisfies the condition. `false` if that takes longer than `limit`.
    pub async fn wait_for(&self, limit: Duration, condition: impl Fn(&[Notice]) -> bool) -> bool {
        let wait = async {
            loop {
                let changed = self.shared.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if condition(&self.showing()) {
                    return;
                }
                changed.await;
            }
        };
        tokio::time::timeout(limit, wait).await.is_ok()
    }

    async fn delay(&self) {
        let delay = self.screen().delay;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
    }
}

fn numbered(mut state: ServerState, number: u64) -> ServerState {
    if let ServerState::Up { epoch, .. } = &mut state {
        *epoch = number;
    }
    state
}

impl Notifier for FakeNotifier {
    fn present(&self, notice: Notice) -> BoxFuture<'_, Result<(), PresentError>> {
        Box::pin(async move {
            self.delay().await;
            {
                let mut screen = self.screen();
                if let ServerState::Down { reason } = &screen.state {
                    return Err(PresentError::Down(reason.clone()));
                }
                if let Some(error) = screen.refusals.pop() {
                    return Err(error);
                }
                screen.history.push(notice.clone());
                match screen.showing.iter_mut().find(|shown| shown.key == notice.key) {
                    Some(shown) => *shown = notice,
                    None => screen.showing.push(notice),
                }
            }
            self.shared.changed.notify_waiters();
            Ok(())
        })
    }

    fn withdraw(&self, key: NoticeKey) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.delay().await;
            self.screen().showing.retain(|notice| notice.key != key);
            self.shared.changed.notify_waiters();
        })
    }

    fn state(&self) -> BoxFuture<'_, ServerState> {
        Box::pin(async move {
            self.delay().await;
            let mut screen = self.screen();
            screen.asked += 1;
            screen.state.clone()
        })
    }

    fn events(&self) -> mpsc::Receiver<NotifierEvent> {
        let (sender, receiver) = mpsc::channel(64);
        if let Some(mut stream) = self.screen().stream.take() {
            tokio::spawn(async move {
                while let Some(event) = stream.recv().await {
                    if sender.send(event).await.is_err() {
                        break;
                    }
                }
            });
        }
        receiver
    }

    fn shutdown(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            {
                let mut screen = self.screen();
                screen.showing.clear();
                screen.state = ServerState::down("shut down");
            }
            self.shared.changed.notify_waiters();
        })
    }
}
