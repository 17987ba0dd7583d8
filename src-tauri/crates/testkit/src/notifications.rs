//! A notification server for tests, with the bad habits of real ones.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use zbus::message::Type;
use zbus::zvariant::OwnedValue;
use zbus::{Connection, Message, MessageStream};

use crate::PrivateBus;

const SERVICE: &str = "org.freedesktop.Notifications";
const PATH: &str = "/org/freedesktop/Notifications";

/// How the server behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// As the specification says.
    Normal,
    /// It closes each notification with reason 4 before it even answers Notify, as Xfce does under Do Not Disturb
    /// (only the order is worse here).
    CloseAtOnce,
    /// It reports the button with this label (`Approve`) before it answers Notify.
    PressAtOnce(String),
    /// Once there are so many, the button with this label is pressed on all of them at once, in one burst.
    Burst(usize, String),
    /// It refuses a text that it was given within the last second, as Plasma does.
    RefuseDuplicates,
    /// It does not offer buttons, as Xfce under Do Not Disturb.
    NoActions,
    /// It sends its signals to the sender of the notification only, as dunst and GNOME do.
    Unicast,
    /// It gives the id of a closed notification to the next one.
    ReuseIds,
    /// It takes this long to answer Notify.
    SlowAnswer(Duration),
    /// It never answers anything.
    Silent,
    /// It answers Notify with id zero and shows nothing, as dunst can.
    Discard,
}

/// One recorded call of Notify.
#[derive(Debug, Clone)]
pub struct NotifyCall {
    /// The id it got.
    pub id: u32,
    /// Who called: the unique name of a connection.
    pub sender: String,
    /// The name of the program.
    pub app_name: String,
    /// The id to replace; 0 for none.
    pub replaces_id: u32,
    /// The first line.
    pub summary: String,
    /// The text below.
    pub body: String,
    /// Keys and labels of the actions.
    pub actions: Vec<(String, String)>,
    /// The hint `urgency`.
    pub urgency: Option<u8>,
    /// The hint `desktop-entry`.
    pub desktop_entry: Option<String>,
    /// The names of all hints.
    pub hints: Vec<String>,
    /// Milliseconds, 0 for never, -1 for the server's choice.
    pub expire_timeout: i32,
    /// When the call came.
    pub at: Instant,
}

impl NotifyCall {
    /// The key of the action with this label.
    pub fn key(&self, label: &str) -> Option<&str> {
        self.actions
            .iter()
            .find(|(_, other)| other == label)
            .map(|(key, _)| key.as_str())
    }

    /// The labels of the actions, without that of `default`.
    pub fn buttons(&self) -> Vec<&str> {
        self.actions
            .iter()
            .filter(|(key, _)| key != "default")
            .map(|(_, label)| label.as_str())
            .collect()
    }
}

struct State {
    mode: Mode,
    capabilities: Vec<String>,
    calls: Vec<NotifyCall>,
    /// What is on the screen, by id; the place of its call in `calls`.
    showing: HashMap<u32, usize>,
    free_ids: Vec<u32>,
    closed_by_client: Vec<u32>,
    capability_queries: usize,
}

struct Shared {
    state: Mutex<State>,
    changed: Notify,
    next_id: AtomicU32,
}

/// Owns `org.freedesktop.Notifications` on a private bus, records what it is asked and does what a test says.
pub struct FakeNotificationServer {
    address: String,
    shared: Arc<Shared>,
    running: Option<(Connection, JoinHandle<()>)>,
}

impl std::fmt::Debug for FakeNotificationServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FakeNotificationServer")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl FakeNotificationServer {
    /// Starts one, and waits until it owns the name.
    ///
    /// # Panics
    /// If the bus does not let it.
    pub async fn start(bus: &PrivateBus, mode: Mode) -> Self {
        Self::start_at(bus.address(), mode).await
    }

    /// As [`Self::start`], on the bus at this address.
    ///
    /// # Panics
    /// If the bus does not let it.
    pub async fn start_at(address: &str, mode: Mode) -> Self {
        let state = State {
            mode,
            capabilities: ["actions", "body", "body-markup", "persistence"]
                .map(String::from)
                .to_vec(),
            calls: Vec::new(),
            showing: HashMap::new(),
            free_ids: Vec::new(),
            closed_by_client: Vec::new(),
            capability_queries: 0,
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            changed: Notify::new(),
            next_id: AtomicU32::new(1),
        });
        let mut server = Self {
            address: address.to_owned(),
            shared,
            running: None,
        };
        server.run().await;
        server
    }

    async fn run(&mut self) {
        let builder =
            zbus::connection::Builder::address(self.address.as_str()).expect("the address is valid");
        let connection = builder.build().await.expect("the bus takes connections");
        let stream = MessageStream::from(&connection);
        let task = tokio::spawn(serve(connection.clone(), stream, Arc::clone(&self.shared)));
        connection
            .request_name(SERVICE)
            .await
            .expect("the name of the notification service is free");
        self.running = Some((connection, task));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap()
    }

    fn connection(&self) -> &Connection {
        &self.running.as_ref().expect("the server runs").0
    }

    /// Changes its behaviour.
    pub fn set_mode(&self, mode: Mode) {
        self.state().mode = mode;
    }

    /// Changes what it says it can do.
    pub fn set_capabilities(&self, capabilities: &[&str]) {
        self.state().capabilities = capabilities.iter().map(ToString::to_string).collect();
    }

    /// Goes away without a word.
    pub async fn stop(&mut self) {
        if let Some((connection, task)) = self.running.take() {
            task.abort();
            connection.close().await.expect("the connection can be closed");
        }
        self.state().showing.clear();
    }

    /// Goes away and comes back with an empty screen; ids begin with 1 again.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.shared.next_id.store(1, Ordering::SeqCst);
        self.run().await;
    }

    /// Every call of Notify so far, in order, over all restarts.
    pub fn calls(&self) -> Vec<NotifyCall> {
        self.state().calls.clone()
    }

    /// The calls of Notify for what is on the screen, by id.
    pub fn showing(&self) -> Vec<NotifyCall> {
        let state = self.state();
        let mut calls: Vec<NotifyCall> = state
            .showing
            .values()
            .map(|place| state.calls[*place].clone())
            .collect();
        calls.sort_by_key(|call| call.id);
        calls
    }

    /// The ids that the client closed.
    pub fn closed_by_client(&self) -> Vec<u32> {
        self.state().closed_by_client.clone()
    }

    /// How often it was asked what it can do.
    pub fn capability_queries(&self) -> usize {
        self.state().capability_queries
    }

    /// Waits until the condition holds. `false` if that takes longer than `limit`.
    pub async fn wait_until(&self, limit: Duration, condition: impl Fn(&Self) -> bool) -> bool {
        let wait = async {
            loop {
                let changed = self.shared.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if condition(self) {
                    return;
                }
                changed.await;
            }
        };
        tokio::time::timeout(limit, wait).await.is_ok()
    }

    /// Waits until there were so many calls of Notify, and gives them all.
    ///
    /// # Panics
    /// If that takes longer than `limit`.
    pub async fn wait_for_calls(&self, count: usize, limit: Duration) -> Vec<NotifyCall> {
        let came = self
            .wait_until(limit, |server| server.calls().len() >= count)
            .await;
        let calls = self.calls();
        assert!(
            came,
            "{count} notifications were expected within {limit:?}, these came: {calls:#?}"
        );
        calls
    }

    /// Waits until a notification whose summary contains this text is on the screen, and gives its call.
    ///
    /// # Panics
    /// If that takes longer than `limit`.
    pub async fn wait_for_summary(&self, text: &str, limit: Duration) -> NotifyCall {
        let find = |server: &Self| {
            server
                .showing()
                .into_iter()
                .find(|call| call.summary.contains(text))
        };
        self.wait_until(limit, |server| find(server).is_some()).await;
        find(self).unwrap_or_else(|| {
            panic!(
                "no notification with {text:?} within {limit:?}; on the screen: {:#?}",
                self.showing()
            )
        })
    }

    /// A person presses the button with this label; the notification goes, as on a real desktop.
    ///
    /// # Panics
    /// If there is no such notification or button.
    pub async fn press(&self, id: u32, label: &str) {
        let call = self.showing().into_iter().find(|call| call.id == id);
        let call = call.unwrap_or_else(|| panic!("notification {id} is not on the screen"));
        let key = call
            .key(label)
            .unwrap_or_else(|| panic!("notification {id} has no button {label:?}"))
            .to_owned();
        self.emit_action(id, &key).await;
        self.close(id, 2).await;
    }

    /// A notification goes for this reason: 1 expired, 2 dismissed, 3 closed by a call, 4 undefined.
    pub async fn close(&self, id: u32, reason: u32) {
        let sender = self.sender_of(id);
        self.state().remove(id);
        self.emit("NotificationClosed", &(id, reason), sender).await;
    }

    /// Emits ActionInvoked, whatever is on the screen.
    pub async fn emit_action(&self, id: u32, key: &str) {
        self.emit("ActionInvoked", &(id, key), self.sender_of(id)).await;
    }

    /// Emits ActivationToken, which comes before ActionInvoked.
    pub async fn emit_activation_token(&self, id: u32, token: &str) {
        self.emit("ActivationToken", &(id, token), self.sender_of(id))
            .await;
    }

    /// Emits NotificationReplied, as Plasma does for the action `inline-reply`.
    pub async fn emit_reply(&self, id: u32, text: &str) {
        self.emit("NotificationReplied", &(id, text), self.sender_of(id))
            .await;
    }

    /// Somebody else on the bus claims that an action was invoked: broadcast, and sent to the client itself.
    ///
    /// # Panics
    /// If the bus does not take it.
    pub async fn spoof_action(&self, bus: &PrivateBus, id: u32, key: &str) {
        let stranger = bus.connect().await;
        let client = self
            .calls()
            .iter()
            .rev()
            .find(|call| call.id == id)
            .map(|call| call.sender.clone());
        for destination in [None, client.as_deref()] {
            stranger
                .emit_signal(destination, PATH, SERVICE, "ActionInvoked", &(id, key))
                .await
                .expect("anybody may emit signals");
        }
        // An answer of the bus on the same connection says that it has passed the signals on.
        let (name, path) = ("org.freedesktop.DBus", "/org/freedesktop/DBus");
        stranger
            .call_method(Some(name), path, Some(name), "GetId", &())
            .await
            .expect("the bus answers");
    }

    fn sender_of(&self, id: u32) -> Option<String> {
        let state = self.state();
        if state.mode != Mode::Unicast {
            return None;
        }
        state
            .calls
            .iter()
            .rev()
            .find(|call| call.id == id)
            .map(|call| call.sender.clone())
    }

    async fn emit<B>(&self, signal: &str, body: &B, destination: Option<String>)
    where
        B: serde::Serialize + zbus::zvariant::DynamicType,
    {
        self.connection()
            .emit_signal(destination.as_deref(), PATH, SERVICE, signal, body)
            .await
            .expect("the bus takes signals");
        self.shared.changed.notify_waiters();
    }
}

impl State {
    fn remove(&mut self, id: u32) -> bool {
        let was_there = self.showing.remove(&id).is_some();
        if was_there && self.mode == Mode::ReuseIds {
            self.free_ids.push(id);
        }
        was_there
    }
}

async fn serve(connection: Connection, mut stream: MessageStream, shared: Arc<Shared>) {
    while let Some(Ok(message)) = stream.next().await {
        if message.message_type() == Type::MethodCall {
            // Side by side: a slow answer must not hold up the next call.
            tokio::spawn(answer(connection.clone(), message, Arc::clone(&shared)));
        }
    }
}

async fn answer(connection: Connection, message: Message, shared: Arc<Shared>) {
    let header = message.header();
    let mode = shared.state.lock().unwrap().mode.clone();
    if mode == Mode::Silent {
        return;
    }
    let member = header
        .member()
        .map(|name| name.as_str().to_owned())
        .unwrap_or_default();
    // The client may have gone away meanwhile; then nobody waits for the answer.
    let _ = match member.as_str() {
        "GetCapabilities" => {
            let capabilities: Vec<String> = {
                let mut state = shared.state.lock().unwrap();
                state.capability_queries += 1;
                let names = state.capabilities.iter();
                names
                    .filter(|name| mode != Mode::NoActions || *name != "actions")
                    .cloned()
                    .collect()
            };
            connection.reply(&header, &capabilities).await
        }
        "GetServerInformation" => {
            connection
                .reply(
                    &header,
                    &("Fake notification server", "Countersign", "1.0", "1.2"),
                )
                .await
        }
        "CloseNotification" => {
            let id: u32 = message.body().deserialize().unwrap_or(0);
            let was_there = {
                let mut state = shared.state.lock().unwrap();
                state.closed_by_client.push(id);
                state.remove(id)
            };
            let sender = header
                .sender()
                .map(|name| name.to_string())
                .filter(|_| mode == Mode::Unicast);
            if was_there {
                let body = (id, 3_u32);
                let _ = connection
                    .emit_signal(sender.as_deref(), PATH, SERVICE, "NotificationClosed", &body)
                    .await;
            }
            connection.reply(&header, &()).await
        }
        "Notify" => notify(&connection, &message, &mode, &shared).await,
        other => {
            let text = format!("no method {other}");
            connection
                .reply_error(&header, "org.freedesktop.DBus.Error.UnknownMethod", &text)
                .await
        }
    };
    shared.changed.notify_waiters();
}

type NotifyBody = (
    String,
    u32,
    String,
    String,
    String,
    Vec<String>,
    HashMap<String, OwnedValue>,
    i32,
);

async fn notify(
    connection: &Connection,
    message: &Message,
    mode: &Mode,
    shared: &Shared,
) -> zbus::Result<()> {
    let header = message.header();
    let body: NotifyBody = match message.body().deserialize() {
        Ok(body) => body,
        Err(error) => {
            let name = "org.freedesktop.DBus.Error.InvalidArgs";
            return connection.reply_error(&header, name, &error.to_string()).await;
        }
    };
    let (app_name, replaces_id, _icon, summary, body, actions, hints, expire_timeout) = body;
    let sender = header.sender().map(|name| name.to_string()).unwrap_or_default();
    let urgency = hints
        .get("urgency")
        .and_then(|value| u8::try_from(value.clone()).ok());
    let desktop_entry = hints
        .get("desktop-entry")
        .and_then(|value| String::try_from(value.clone()).ok());
    let mut names: Vec<String> = hints.keys().cloned().collect();
    names.sort();
    let mut call = NotifyCall {
        id: 0,
        sender: sender.clone(),
        app_name,
        replaces_id,
        summary,
        body,
        actions: actions
            .chunks_exact(2)
            .map(|pair| (pair[0].clone(), pair[1].clone()))
            .collect(),
        urgency,
        desktop_entry,
        hints: names,
        expire_timeout,
        at: Instant::now(),
    };

    enum Verdict {
        Duplicate,
        Taken(u32, Vec<(u32, String)>),
    }
    let verdict = {
        let mut state = shared.state.lock().unwrap();
        let duplicate = state.calls.iter().any(|other| {
            other.summary == call.summary
                && other.body == call.body
                && other.at.elapsed() < Duration::from_secs(1)
        });
        if *mode == Mode::RefuseDuplicates && duplicate {
            Verdict::Duplicate
        } else if *mode == Mode::Discard {
            state.calls.push(call.clone());
            Verdict::Taken(0, Vec::new())
        } else {
            let known = replaces_id != 0 && state.showing.contains_key(&replaces_id);
            let id = if known {
                replaces_id
            } else {
                state
                    .free_ids
                    .pop()
                    .unwrap_or_else(|| shared.next_id.fetch_add(1, Ordering::SeqCst))
            };
            call.id = id;
            let place = state.calls.len();
            state.calls.push(call.clone());
            state.showing.insert(id, place);
            let mut burst = Vec::new();
            if let Mode::Burst(count, label) = mode
                && state.showing.len() >= *count
            {
                let all = state.showing.iter();
                burst = all
                    .filter_map(|(id, place)| Some((*id, state.calls[*place].key(label)?.to_owned())))
                    .collect();
            }
            Verdict::Taken(id, burst)
        }
    };
    let (id, burst) = match verdict {
        Verdict::Duplicate => {
            let name = "org.freedesktop.Notifications.Error.ExcessNotificationGeneration";
            return connection
                .reply_error(&header, name, &"a duplicate within a second")
                .await;
        }
        Verdict::Taken(id, burst) => (id, burst),
    };
    match mode {
        Mode::SlowAnswer(time) => tokio::time::sleep(*time).await,
        Mode::CloseAtOnce => {
            shared.state.lock().unwrap().remove(id);
            connection
                .emit_signal(None::<&str>, PATH, SERVICE, "NotificationClosed", &(id, 4_u32))
                .await?;
        }
        Mode::PressAtOnce(label) => {
            if let Some(key) = call.key(label) {
                shared.state.lock().unwrap().remove(id);
                connection
                    .emit_signal(None::<&str>, PATH, SERVICE, "ActionInvoked", &(id, key))
                    .await?;
                connection
                    .emit_signal(None::<&str>, PATH, SERVICE, "NotificationClosed", &(id, 2_u32))
                    .await?;
            }
        }
        _ => {}
    }
    connection.reply(&header, &id).await?;
    for (id, key) in burst {
        shared.state.lock().unwrap().remove(id);
        connection
            .emit_signal(None::<&str>, PATH, SERVICE, "ActionInvoked", &(id, key))
            .await?;
        connection
            .emit_signal(None::<&str>, PATH, SERVICE, "NotificationClosed", &(id, 2_u32))
            .await?;
    }
    Ok(())
}
