//! The freedesktop notification protocol over D-Bus.
//!
//! One task owns one connection to the session bus (GNOME drops the notifications of a connection that ends).
//! It subscribes before it sends, takes signals only from the owner of the service name, and gives every call
//! a time limit: rules 1 to 8 of the [crate]. The protocol is the Desktop Notifications Specification 1.2 and its
//! later `ActivationToken` signal.

mod session;

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use countersign_domain::{Ids, RandomIds};
use tokio::sync::{mpsc, oneshot};

use crate::{BoxFuture, Notice, NoticeKey, Notifier, NotifierEvent, PresentError, ServerState};
use session::{Ended, Session};

/// How many calls may wait for the bus. The broker makes one at a time.
const QUEUE: usize = 16;

/// How the backend reaches the bus.
#[derive(Clone)]
pub struct XdgOptions {
    /// The address of the bus; none for the session bus of this process (`DBUS_SESSION_BUS_ADDRESS`).
    pub address: Option<String>,
    /// How long one call may take.
    pub call_limit: Duration,
    /// How long to wait before the bus is tried again after it was not there.
    pub reconnect: Duration,
    /// The name that servers show and group by.
    pub app_name: String,
    /// The base name of the installed desktop file, for the hint `desktop-entry`.
    pub desktop_entry: String,
    /// Where the unguessable part of action keys comes from.
    pub ids: Arc<dyn Ids>,
}

impl std::fmt::Debug for XdgOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("XdgOptions")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Default for XdgOptions {
    fn default() -> Self {
        Self {
            address: None,
            call_limit: Duration::from_secs(3),
            reconnect: Duration::from_secs(5),
            app_name: "Countersign".into(),
            desktop_entry: "Countersign".into(),
            ids: Arc::new(RandomIds),
        }
    }
}

/// Notifications on Linux and the BSDs.
pub struct XdgNotifier {
    commands: mpsc::Sender<Command>,
    events: Mutex<Option<mpsc::Receiver<NotifierEvent>>>,
}

impl std::fmt::Debug for XdgNotifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("XdgNotifier")
    }
}

enum Command {
    Present(Notice, oneshot::Sender<Result<(), PresentError>>),
    Withdraw(NoticeKey, oneshot::Sender<()>),
    State(oneshot::Sender<ServerState>),
    Shutdown(oneshot::Sender<()>),
}

impl XdgNotifier {
    /// Starts the task that connects to the bus, and keeps trying. Must be called inside a tokio runtime.
    pub fn start(options: XdgOptions) -> Self {
        let (commands, queue) = mpsc::channel(QUEUE);
        let (events, stream) = mpsc::channel(64);
        tokio::spawn(run(options, queue, events));
        Self {
            commands,
            events: Mutex::new(Some(stream)),
        }
    }

    /// As [`Self::start`] with the defaults, on the bus at this address (`unix:path=…`).
    pub fn at(address: &str) -> Self {
        Self::start(XdgOptions {
            address: Some(address.to_owned()),
            ..XdgOptions::default()
        })
    }

    /// Hands a command over. None once the task has ended.
    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Option<T> {
        let (sender, receiver) = oneshot::channel();
        self.commands.send(command(sender)).await.ok()?;
        receiver.await.ok()
    }
}

const ENDED: &str = "Notifications were shut down.";

impl Notifier for XdgNotifier {
    fn present(&self, notice: Notice) -> BoxFuture<'_, Result<(), PresentError>> {
        Box::pin(async move {
            let (sender, receiver) = oneshot::channel();
            match self.commands.try_send(Command::Present(notice, sender)) {
                Ok(()) => receiver
                    .await
                    .unwrap_or_else(|_| Err(PresentError::Down(ENDED.into()))),
                Err(mpsc::error::TrySendError::Full(_)) => Err(PresentError::Busy),
                Err(mpsc::error::TrySendError::Closed(_)) => Err(PresentError::Down(ENDED.into())),
            }
        })
    }

    fn withdraw(&self, key: NoticeKey) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.ask(|done| Command::Withdraw(key, done))
                .await
                .unwrap_or_default()
        })
    }

    fn state(&self) -> BoxFuture<'_, ServerState> {
        Box::pin(async move {
            self.ask(Command::State)
                .await
                .unwrap_or_else(|| ServerState::down(ENDED))
        })
    }

    fn events(&self) -> mpsc::Receiver<NotifierEvent> {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.take().unwrap_or_else(|| mpsc::channel(1).1)
    }

    fn shutdown(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move { self.ask(Command::Shutdown).await.unwrap_or_default() })
    }
}

/// Connects, serves, and connects again when the bus went away.
async fn run(
    options: XdgOptions,
    mut commands: mpsc::Receiver<Command>,
    events: mpsc::Sender<NotifierEvent>,
) {
    let mut known_down = false;
    let epochs = AtomicU64::new(1);
    loop {
        let reason = match Session::open(&options, &events, &epochs).await {
            Ok(session) => {
                known_down = false;
                match session.serve(&mut commands).await {
                    Ended::Finished => return,
                    Ended::BusLost => {
                        "The connection to the desktop session was lost. Questions wait in the inbox."
                    }
                }
            }
            Err(error) => {
                if !known_down {
                    tracing::info!(error = %error, "no session bus: notifications are not shown");
                }
                "No desktop session was found on this machine, so there are no notifications. \
                 Questions wait in the inbox."
            }
        };
        let down = ServerState::down(reason);
        if !known_down {
            known_down = true;
            if events
                .send(NotifierEvent::ServerChanged(down.clone()))
                .await
                .is_err()
            {
                return;
            }
        }
        if !wait_without_bus(&options, &mut commands, &down).await {
            return;
        }
    }
}

/// Answers commands until it is time to try the bus again. `false` if it is over.
async fn wait_without_bus(
    options: &XdgOptions,
    commands: &mut mpsc::Receiver<Command>,
    down: &ServerState,
) -> bool {
    let ServerState::Down { reason } = down else {
        return true;
    };
    let pause = tokio::time::sleep(options.reconnect);
    tokio::pin!(pause);
    loop {
        let command = tokio::select! {
            () = &mut pause => return true,
            command = commands.recv() => command,
        };
        // Whoever asked may have given up waiting; that is fine everywhere here.
        match command {
            None => return false,
            Some(Command::Present(_, done)) => {
                let _ = done.send(Err(PresentError::Down(reason.clone())));
            }
            Some(Command::Withdraw(_, done)) => {
                let _ = done.send(());
            }
            Some(Command::State(done)) => {
                let _ = done.send(down.clone());
            }
            Some(Command::Shutdown(done)) => {
                let _ = done.send(());
                return false;
            }
        }
    }
}
