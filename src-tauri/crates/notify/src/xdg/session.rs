//! One connection to the session bus, from its opening to its end.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use zbus::message::Type;
use zbus::names::OwnedUniqueName;
use zbus::zvariant::{DynamicType, Value};
use zbus::{Connection, Message, MessageStream};

use super::{Command, XdgOptions};
use crate::{
    Answer, Capabilities, Closed, Importance, Notice, NoticeKey, NotifierEvent, PresentError, ServerState,
};

const SERVICE: &str = "org.freedesktop.Notifications";
const PATH: &str = "/org/freedesktop/Notifications";
const BUS: &str = "org.freedesktop.DBus";
const BUS_PATH: &str = "/org/freedesktop/DBus";

/// How many signals may wait while a call is under way. When it is full the bus connection is not read.
const SIGNALS: usize = 256;
/// How often the bus is asked to start a server that is installed and not running. A server that cannot start
/// costs the machine some work each time.
const START_AGAIN: Duration = Duration::from_secs(300);
/// How soon a server that owns the name and does not answer is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(2);
/// How long a late answer to a Notify call is still awaited, to close what it put on the screen.
const LATE: Duration = Duration::from_secs(60);

const NO_SERVER: &str = "No notification server is running on this desktop. Questions wait in the inbox.";
const SILENT: &str = "The notification server of this desktop does not answer. Questions wait in the inbox.";

/// How a session came to its end.
pub(super) enum Ended {
    /// On request.
    Finished,
    /// The bus went away.
    BusLost,
}

/// One notification on the screen.
struct Record {
    key: NoticeKey,
    /// The unguessable parts of the action keys that count. Two while an update is under way, none without
    /// buttons.
    tokens: Vec<String>,
    answered: bool,
    activation_token: Option<String>,
}

/// A signal of the server that is not checked against what is on the screen yet.
enum Signal {
    Action { id: u32, key: String },
    Closed { id: u32, reason: u32 },
    Token { id: u32, token: String },
}

impl Signal {
    const fn id(&self) -> u32 {
        match self {
            Self::Action { id, .. } | Self::Closed { id, .. } | Self::Token { id, .. } => *id,
        }
    }
}

enum CallError {
    TimedOut,
    Bus(zbus::Error),
}

pub(super) struct Session<'a> {
    options: &'a XdgOptions,
    events: &'a mpsc::Sender<NotifierEvent>,
    epochs: &'a AtomicU64,
    /// Which server this is, see [`ServerState::Up`].
    epoch: u64,
    connection: Connection,
    reader: JoinHandle<()>,
    incoming: mpsc::Receiver<Message>,
    owner: Option<OwnedUniqueName>,
    state: ServerState,
    records: HashMap<u32, Record>,
    /// When to ask the server who it is and what it can do, and to tell of it.
    introduce_at: Option<Instant>,
    started: Option<Instant>,
    lost: bool,
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// Whether a message can be of interest. Everything else on the connection is dropped unread.
fn matters(message: &Message) -> bool {
    if message.message_type() != Type::Signal {
        return false;
    }
    let header = message.header();
    match header.interface().map(|name| name.as_str()) {
        Some(SERVICE) => header.path().is_some_and(|path| path.as_str() == PATH),
        Some(BUS) => {
            header
                .member()
                .is_some_and(|name| name.as_str() == "NameOwnerChanged")
                && header.sender().is_some_and(|name| name.as_str() == BUS)
        }
        _ => false,
    }
}

impl<'a> Session<'a> {
    /// Connects, subscribes, and only then looks who the server is (rule 1).
    pub(super) async fn open(
        options: &'a XdgOptions,
        events: &'a mpsc::Sender<NotifierEvent>,
        epochs: &'a AtomicU64,
    ) -> Result<Session<'a>, zbus::Error> {
        let builder = match &options.address {
            Some(address) => zbus::connection::Builder::address(address.as_str())?,
            None => zbus::connection::Builder::session()?,
        };
        let connection = match tokio::time::timeout(options.call_limit, builder.build()).await {
            Ok(connection) => connection?,
            Err(_) => return Err(zbus::Error::Failure("the session bus does not answer".into())),
        };
        let mut stream = MessageStream::from(&connection);
        let (sender, incoming) = mpsc::channel(SIGNALS);
        // The connection must be read all the time, also while a call waits for its answer. Signals queue up
        // here, in the order in which they came, until the id that Notify returns is known (rule 4).
        let reader = tokio::spawn(async move {
            while let Some(Ok(message)) = stream.next().await {
                if matters(&message) && sender.send(message).await.is_err() {
                    return;
                }
            }
        });
        let mut session = Session {
            options,
            events,
            epochs,
            epoch: epochs.fetch_add(1, Ordering::Relaxed),
            connection,
            reader,
            incoming,
            owner: None,
            state: ServerState::down(NO_SERVER),
            records: HashMap::new(),
            introduce_at: Some(Instant::now()),
            started: None,
            lost: false,
        };
        session.subscribe().await?;
        session.owner = session.owner_of_name().await;
        Ok(session)
    }

    async fn subscribe(&self) -> Result<(), zbus::Error> {
        let rules = [
            format!("type='signal',sender='{SERVICE}',interface='{SERVICE}',path='{PATH}'"),
            format!(
                "type='signal',sender='{BUS}',interface='{BUS}',member='NameOwnerChanged',arg0='{SERVICE}'"
            ),
        ];
        for rule in rules {
            self.call_bus("AddMatch", &rule.as_str())
                .await
                .map_err(|error| match error {
                    CallError::Bus(error) => error,
                    CallError::TimedOut => zbus::Error::Failure("the session bus does not answer".into()),
                })?;
        }
        Ok(())
    }

    async fn owner_of_name(&self) -> Option<OwnedUniqueName> {
        let reply = self.call_bus("GetNameOwner", &SERVICE).await.ok()?;
        reply.body().deserialize::<OwnedUniqueName>().ok()
    }

    async fn call_bus<B>(&self, method: &str, body: &B) -> Result<Message, CallError>
    where
        B: CallBody,
    {
        let call = self
            .connection
            .call_method(Some(BUS), BUS_PATH, Some(BUS), method, body);
        match tokio::time::timeout(self.options.call_limit, call).await {
            Ok(reply) => reply.map_err(CallError::Bus),
            Err(_) => Err(CallError::TimedOut),
        }
    }

    /// Works until the bus goes away or it is told to end.
    pub(super) async fn serve(mut self, commands: &mut mpsc::Receiver<Command>) -> Ended {
        loop {
            if self.lost {
                return Ended::BusLost;
            }
            if self.introduce_at.is_some_and(|at| at <= Instant::now()) {
                self.introduce().await;
                continue;
            }
            let introduce_at = self.introduce_at;
            let introduction = async {
                match introduce_at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let command = tokio::select! {
                message = self.incoming.recv() => {
                    self.receive(message, None).await;
                    continue;
                }
                () = introduction => continue,
                command = commands.recv() => command,
            };
            // Whoever asked may have given up waiting; that is fine everywhere here.
            match command {
                Some(Command::Present(notice, done)) => {
                    let result = self.present(notice).await;
                    let _ = done.send(result);
                }
                Some(Command::Withdraw(key, done)) => {
                    self.withdraw(key).await;
                    let _ = done.send(());
                }
                Some(Command::State(done)) => {
                    if self.introduce_at.is_none() {
                        self.state = self.ask().await;
                        self.introduce_at = self.introduce_at.or(self.when_to_ask_again());
                    } else {
                        self.introduce().await;
                    }
                    let _ = done.send(self.state.clone());
                }
                Some(Command::Shutdown(done)) => {
                    self.withdraw_all().await;
                    let _ = done.send(());
                    return Ended::Finished;
                }
                None => {
                    self.withdraw_all().await;
                    return Ended::Finished;
                }
            }
        }
    }

    /// Asks a server that is new to us who it is, and tells of it.
    async fn introduce(&mut self) {
        self.introduce_at = None;
        let state = self.ask().await;
        let news = state != self.state || state.is_up();
        self.state = state.clone();
        // The server may have changed while it was asked; then it is asked at once.
        self.introduce_at = self.introduce_at.or(self.when_to_ask_again());
        if news {
            self.tell(NotifierEvent::ServerChanged(state)).await;
        }
    }

    /// A server that is there and silent is asked again by ourselves: nothing else would tell that it recovered.
    fn when_to_ask_again(&self) -> Option<Instant> {
        (self.owner.is_some() && !self.state.is_up()).then(|| Instant::now() + ASK_AGAIN)
    }

    /// What the server is and can do, now.
    async fn ask(&mut self) -> ServerState {
        if self.owner.is_none() {
            self.start_a_server();
            return ServerState::down(NO_SERVER);
        }
        let Ok(reply) = self.call("GetCapabilities", ()).await else {
            return ServerState::down(SILENT);
        };
        let Ok(names) = reply.body().deserialize::<Vec<String>>() else {
            return ServerState::down(SILENT);
        };
        let has = |name: &str| names.iter().any(|other| other == name);
        let capabilities = Capabilities {
            buttons: has("actions"),
            markup: has("body-markup"),
            reply: has("inline-reply"),
            keeps: has("persistence"),
        };
        if let ServerState::Up { name, version, .. } = &self.state {
            let (name, version) = (name.clone(), version.clone());
            return ServerState::Up {
                name,
                version,
                capabilities,
                epoch: self.epoch,
            };
        }
        let Ok(reply) = self.call("GetServerInformation", ()).await else {
            return ServerState::down(SILENT);
        };
        let (name, version) = match reply.body().deserialize::<(String, String, String, String)>() {
            Ok((name, _vendor, version, _specification)) => (name, version),
            Err(_) => ("A notification server".into(), String::new()),
        };
        ServerState::Up {
            name,
            version,
            capabilities,
            epoch: self.epoch,
        }
    }

    /// Asks the bus to start a server if one is installed. Its coming is seen by the change of the owner, so
    /// nobody waits for it: a server that cannot start takes long to say so.
    fn start_a_server(&mut self) {
        if self.started.is_some_and(|at| at.elapsed() < START_AGAIN) {
            return;
        }
        self.started = Some(Instant::now());
        let connection = self.connection.clone();
        let limit = self.options.call_limit;
        tokio::spawn(async move {
            let list = connection.call_method(Some(BUS), BUS_PATH, Some(BUS), "ListActivatableNames", &());
            let Ok(Ok(reply)) = tokio::time::timeout(limit, list).await else {
                return;
            };
            let names = reply.body().deserialize::<Vec<String>>().unwrap_or_default();
            if names.iter().any(|name| name == SERVICE) {
                let body = (SERVICE, 0_u32);
                let start =
                    connection.call_method(Some(BUS), BUS_PATH, Some(BUS), "StartServiceByName", &body);
                if let Ok(Err(error)) = tokio::time::timeout(LATE, start).await {
                    tracing::info!(%error, "the notification server could not be started");
                }
            }
        });
    }

    /// Calls the server within the time limit. Signals are received meanwhile.
    async fn call<B>(&mut self, method: &'static str, body: B) -> Result<Message, CallError>
    where
        B: CallBody + Send + Sync + 'static,
    {
        let mut held = Vec::new();
        let (result, _) = self.call_holding(method, body, &mut held).await;
        result
    }

    /// As [`Self::call`]. Signals for ids that are not known yet are put into `held`. The second value is the
    /// call itself, if it is still under way.
    async fn call_holding<B>(
        &mut self,
        method: &'static str,
        body: B,
        held: &mut Vec<Signal>,
    ) -> (
        Result<Message, CallError>,
        Option<JoinHandle<zbus::Result<Message>>>,
    )
    where
        B: CallBody + Send + Sync + 'static,
    {
        let Some(owner) = self.owner.clone() else {
            return (Err(CallError::Bus(zbus::Error::Failure(NO_SERVER.into()))), None);
        };
        let connection = self.connection.clone();
        // To the owner itself, not to the name: so it is sure who answers, and the bus never starts a server.
        let asked = owner.clone();
        let mut call = tokio::spawn(async move {
            connection
                .call_method(Some(asked), PATH, Some(SERVICE), method, &body)
                .await
        });
        let limit = tokio::time::sleep(self.options.call_limit);
        tokio::pin!(limit);
        loop {
            tokio::select! {
                result = &mut call => {
                    let result = match result {
                        Ok(Ok(reply)) if self.owner.as_ref() == Some(&owner) => Ok(reply),
                        Ok(Ok(_)) | Err(_) => {
                            Err(CallError::Bus(zbus::Error::Failure("the notification server changed".into())))
                        }
                        Ok(Err(error)) => Err(CallError::Bus(error)),
                    };
                    return (result, None);
                }
                message = self.incoming.recv(), if !self.lost => self.receive(message, Some(held)).await,
                () = &mut limit => return (Err(CallError::TimedOut), Some(call)),
            }
        }
    }

    async fn present(&mut self, notice: Notice) -> Result<(), PresentError> {
        let ServerState::Up { capabilities, .. } = self.state else {
            return Err(self.down());
        };
        let buttons = notice.buttons && capabilities.buttons;
        let token = buttons.then(|| {
            let mut bytes = [0_u8; 16];
            self.options.ids.fill(&mut bytes);
            hex::encode(bytes)
        });
        let mut actions: Vec<String> = vec!["default".into(), "Open".into()];
        if let Some(token) = &token {
            actions.extend([format!("approve.{token}"), "Approve".into()]);
            actions.extend([format!("reject.{token}"), "Reject".into()]);
        }
        let replaces = self
            .records
            .iter()
            .find(|(_, record)| record.key == notice.key)
            .map_or(0, |(id, _)| *id);
        if let Some(record) = self.records.get_mut(&replaces) {
            // A press may be reported before the answer to this call.
            record.tokens.extend(token.clone());
            record.answered = false;
        }
        let urgency: u8 = match notice.importance {
            Importance::Low => 0,
            Importance::Normal => 1,
            Importance::Critical => 2,
        };
        let hints: HashMap<&'static str, Value<'static>> = HashMap::from([
            ("urgency", Value::from(urgency)),
            ("desktop-entry", Value::from(self.options.desktop_entry.clone())),
        ]);
        // Questions stay until they are settled; a message goes when the server sees fit.
        let expires: i32 = if notice.importance == Importance::Low {
            -1
        } else {
            0
        };
        let body = if capabilities.markup {
            escaped(&notice.body)
        } else {
            notice.body
        };
        let arguments = (
            self.options.app_name.clone(),
            replaces,
            "",
            notice.summary,
            body,
            actions,
            hints,
            expires,
        );
        let owner = self.owner.clone();
        let mut held = Vec::new();
        let (result, unfinished) = self.call_holding("Notify", arguments, &mut held).await;
        if let (Some(call), Some(owner)) = (unfinished, owner) {
            self.close_when_late(call, owner, replaces);
        }
        let reply = match result {
            Ok(reply) => reply,
            Err(CallError::TimedOut) => return Err(PresentError::TimedOut),
            Err(CallError::Bus(_)) if self.owner.is_none() || self.introduce_at.is_some() || self.lost => {
                return Err(self.down());
            }
            Err(CallError::Bus(error)) => return Err(PresentError::Refused(error.to_string())),
        };
        let id = reply
            .body()
            .deserialize::<u32>()
            .map_err(|error| PresentError::Refused(error.to_string()))?;
        if id == 0 {
            return Err(PresentError::Discarded);
        }
        self.records.retain(|_, record| record.key != notice.key);
        let record = Record {
            key: notice.key,
            tokens: token.into_iter().collect(),
            answered: false,
            activation_token: None,
        };
        if let Some(former) = self.records.insert(id, record) {
            // The server gave an id away again, so what had it before is gone.
            self.tell(NotifierEvent::Closed {
                key: former.key,
                reason: Closed::Unknown,
            })
            .await;
        }
        for signal in held {
            if signal.id() == id {
                self.apply(signal).await;
            }
        }
        Ok(())
    }

    fn down(&self) -> PresentError {
        PresentError::Down(match &self.state {
            ServerState::Down { reason } => reason.clone(),
            ServerState::Up { .. } => "the notification server changed".into(),
        })
    }

    /// A Notify call that was given up may still put something on the screen that nobody knows of.
    fn close_when_late(
        &self,
        call: JoinHandle<zbus::Result<Message>>,
        owner: OwnedUniqueName,
        replaces: u32,
    ) {
        let connection = self.connection.clone();
        tokio::spawn(async move {
            let Ok(Ok(Ok(reply))) = tokio::time::timeout(LATE, call).await else {
                return;
            };
            let Ok(id) = reply.body().deserialize::<u32>() else {
                return;
            };
            if id != 0 && id != replaces {
                let close =
                    connection.call_method(Some(owner), PATH, Some(SERVICE), "CloseNotification", &id);
                let _ = tokio::time::timeout(LATE, close).await;
            }
        });
    }

    async fn withdraw(&mut self, key: NoticeKey) {
        let ids: Vec<u32> = self
            .records
            .iter()
            .filter(|(_, record)| record.key == key)
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            self.records.remove(&id);
            // It may be gone already, which some servers report as an error.
            let _ = self.call("CloseNotification", id).await;
        }
    }

    /// Side by side, so that all of it fits into one time limit.
    async fn withdraw_all(&mut self) {
        let Some(owner) = &self.owner else { return };
        let closing = self.records.drain().map(|(id, _)| {
            let (connection, owner) = (self.connection.clone(), owner.clone());
            async move {
                let _ = connection
                    .call_method(Some(owner), PATH, Some(SERVICE), "CloseNotification", &id)
                    .await;
            }
        });
        let all = futures_util::future::join_all(closing);
        let _ = tokio::time::timeout(self.options.call_limit, all).await;
    }

    /// Takes one message from the bus, in order.
    async fn receive(&mut self, message: Option<Message>, held: Option<&mut Vec<Signal>>) {
        let Some(message) = message else {
            self.lost = true;
            return;
        };
        let header = message.header();
        let Some(member) = header.member() else { return };
        if header.interface().is_some_and(|name| name.as_str() == BUS) {
            let body = message.body();
            let Ok((name, _, new)) = body.deserialize::<(&str, &str, &str)>() else {
                return;
            };
            if name == SERVICE {
                self.owner_changed(new).await;
            }
            return;
        }
        // Rule 2: only the owner of the name speaks for the server, whoever else the bus lets through.
        if header.sender().map(|name| name.as_str()) != self.owner.as_ref().map(|name| name.as_str()) {
            tracing::warn!("a notification signal from a stranger was ignored");
            return;
        }
        let body = message.body();
        let signal = match member.as_str() {
            "ActionInvoked" => body
                .deserialize::<(u32, String)>()
                .ok()
                .map(|(id, key)| Signal::Action { id, key }),
            "NotificationClosed" => body
                .deserialize::<(u32, u32)>()
                .ok()
                .map(|(id, reason)| Signal::Closed { id, reason }),
            "ActivationToken" => body
                .deserialize::<(u32, String)>()
                .ok()
                .map(|(id, token)| Signal::Token { id, token }),
            // NotificationReplied carries no secret, so a forged or stray one could not be told from a real
            // one; we never offer a reply, and nothing that comes as one is an answer (rule 3).
            _ => None,
        };
        let Some(signal) = signal else { return };
        if self.records.contains_key(&signal.id()) {
            self.apply(signal).await;
        } else if let Some(held) = held
            && held.len() < SIGNALS
        {
            held.push(signal);
        }
    }

    /// Rule 5: a new owner knows nothing of the ids of the former one.
    async fn owner_changed(&mut self, new: &str) {
        let new = OwnedUniqueName::try_from(new).ok();
        if new == self.owner {
            return;
        }
        self.owner = new;
        self.epoch = self.epochs.fetch_add(1, Ordering::Relaxed);
        self.records.clear();
        self.state = ServerState::down(NO_SERVER);
        if self.owner.is_some() {
            self.introduce_at = Some(Instant::now());
        } else {
            self.introduce_at = None;
            self.tell(NotifierEvent::ServerChanged(self.state.clone())).await;
        }
    }

    /// Takes a signal for a notification that is ours.
    async fn apply(&mut self, signal: Signal) {
        match signal {
            Signal::Token { id, token } => {
                if let Some(record) = self.records.get_mut(&id) {
                    record.activation_token = Some(token);
                }
            }
            Signal::Closed { id, reason } => {
                let Some(record) = self.records.remove(&id) else {
                    return;
                };
                let reason = match reason {
                    1 => Closed::Expired,
                    2 => Closed::Dismissed,
                    3 => Closed::Withdrawn,
                    _ => Closed::Unknown,
                };
                self.tell(NotifierEvent::Closed {
                    key: record.key,
                    reason,
                })
                .await;
            }
            Signal::Action { id, key } => {
                let Some(record) = self.records.get_mut(&id) else {
                    return;
                };
                let answer = match key.split_once('.') {
                    None if key == "default" => Answer::Open,
                    Some((word, token)) if record.tokens.iter().any(|ours| ours == token) => match word {
                        "approve" => Answer::Approve,
                        "reject" => Answer::Reject,
                        _ => return,
                    },
                    _ => {
                        tracing::warn!("an action with a key that was not given out was ignored");
                        return;
                    }
                };
                if answer != Answer::Open && std::mem::replace(&mut record.answered, true) {
                    return;
                }
                let event = NotifierEvent::Answered {
                    key: record.key,
                    answer,
                    activation_token: record.activation_token.take(),
                };
                self.tell(event).await;
            }
        }
    }

    async fn tell(&self, event: NotifierEvent) {
        // Nobody listens any more when the program ends.
        let _ = self.events.send(event).await;
    }
}

/// Servers with `body-markup` parse the body; elsewhere entities would show.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// What zbus asks of the body of a call.
trait CallBody: DynamicType + Serialize {}
impl<T: DynamicType + Serialize> CallBody for T {}
