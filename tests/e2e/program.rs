//! The program under test.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use countersign_testkit::HttpClient;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::desktop::{Desktop, Kept, wait_for};

/// The binary.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_countersign-desktop");

/// How long a start may take on a busy machine.
const READY: Duration = Duration::from_secs(30);

/// What a start looks like on this desktop: its own data folder, a free port.
pub(crate) fn command(desktop: &Desktop, data_dir: &Path, more: &[&str]) -> Command {
    assert_page_is_built();
    let mut command = desktop.command(BINARY);
    command
        .args(arguments(data_dir, more))
        .stdout(Stdio::null())
        .stderr(desktop.log());
    command
}

/// The arguments of such a start.
pub(crate) fn arguments(data_dir: &Path, more: &[&str]) -> Vec<String> {
    let mut all = vec!["--data-dir".to_owned(), data_dir.display().to_string()];
    if !more.contains(&"--listen") {
        all.extend(["--listen".to_owned(), "127.0.0.1:0".to_owned()]);
    }
    all.extend(more.iter().map(|argument| (*argument).to_owned()));
    all
}

/// The page is embedded when the program is compiled; with the placeholder the window has nothing to test.
pub(crate) fn assert_page_is_built() {
    let page = countersign_testkit::checkout().join("ui/dist/index.html");
    let text = std::fs::read_to_string(&page).unwrap_or_default();
    assert!(
        !text.is_empty() && !text.contains("data-placeholder"),
        "the page is not built: run npm ci and npm run build in ui/ before building the program; script/test does both"
    );
}

/// The program, started directly. Ends on drop.
#[derive(Debug)]
pub(crate) struct Program {
    child: Kept,
    data_dir: PathBuf,
}

impl Program {
    /// Starts it and waits until it listens.
    pub(crate) fn start(desktop: &Desktop, data_dir: &Path, more: &[&str]) -> Self {
        let program = Self::launch(desktop, data_dir, more);
        address(data_dir);
        program
    }

    /// Starts it without waiting.
    pub(crate) fn launch(desktop: &Desktop, data_dir: &Path, more: &[&str]) -> Self {
        let child = command(desktop, data_dir, more)
            .spawn()
            .expect("the program can be started");
        Self {
            child: Kept(child),
            data_dir: data_dir.to_owned(),
        }
    }

    /// A client of its server.
    pub(crate) fn client(&self) -> HttpClient {
        client(&self.data_dir)
    }

    /// Whether it runs.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.0.try_wait().expect("its state can be asked").is_none()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child.0);
        kill_process(pid, signal).expect("a signal can be sent");
    }

    /// Waits for its end and says how it ended and how long that took.
    pub(crate) fn wait(mut self, limit: Duration) -> (ExitStatus, Duration) {
        wait_for_end(&mut self.child.0, limit)
    }

    /// Ends it as the end of a session does.
    pub(crate) fn terminate(self) {
        self.signal(Signal::TERM);
        let (status, _) = self.wait(Duration::from_secs(20));
        assert!(status.success(), "SIGTERM is an orderly end: {status}");
    }
}

/// Waits for a process to end.
pub(crate) fn wait_for_end(child: &mut Child, limit: Duration) -> (ExitStatus, Duration) {
    let begun = Instant::now();
    let status = wait_for("the end of the program", limit, || {
        child.try_wait().expect("its state can be asked")
    });
    (status, begun.elapsed())
}

/// Where the program on this folder listens.
pub(crate) fn address(data_dir: &Path) -> String {
    let file = data_dir.join("address");
    wait_for("the program listens", READY, || {
        std::fs::read_to_string(&file)
            .ok()
            .filter(|text| !text.is_empty())
    })
}

/// A client of the program on this folder.
pub(crate) fn client(data_dir: &Path) -> HttpClient {
    let address = address(data_dir);
    let token =
        std::fs::read_to_string(data_dir.join("api-token")).expect("the token was made at the first start");
    HttpClient::new(address.trim()).with_token(token.trim())
}

/// Imports a flow and gives its id.
pub(crate) async fn import(client: &HttpClient, name: &str, flow: &str) -> String {
    let answer = client
        .post(
            "/api/v1/chatflows",
            &countersign_testkit::flows::with_name(name, flow),
        )
        .await;
    assert!(
        answer.status < 300,
        "the flow is imported: {} {}",
        answer.status,
        answer.text()
    );
    answer.json()["id"].as_str().expect("it has an id").to_owned()
}

/// Posts to a flow's webhook, for an asynchronous flow.
pub(crate) async fn trigger(client: &HttpClient, flow: &str, body: &Value) {
    let answer = client.post(&format!("/api/v1/webhook/{flow}"), body).await;
    assert_eq!(answer.status, 202, "the webhook is taken: {}", answer.text());
}

/// The approvals in this state, newest first.
pub(crate) async fn approvals(client: &HttpClient, state: &str) -> Vec<Value> {
    let answer = client.get(&format!("/api/v1/approvals?state={state}")).await;
    assert_eq!(answer.status, 200, "approvals can be listed: {}", answer.text());
    answer.json()["approvals"].as_array().expect("a list").clone()
}

/// Waits until one approval is in this state, and gives it.
pub(crate) async fn wait_for_approval(client: &HttpClient, state: &str) -> Value {
    let begun = Instant::now();
    loop {
        if let Some(approval) = approvals(client, state).await.into_iter().next() {
            return approval;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "no approval became {state}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The message by which a second start asks the program on this bus to show itself.
pub(crate) async fn start_again(bus: &zbus::Connection) -> zbus::Message {
    let names = zbus::fdo::DBusProxy::new(bus).await.expect("a bus");
    let names = names.list_names().await.expect("names on the bus");
    let name = names
        .into_iter()
        .find(|name| name.ends_with(".SingleInstance"))
        .expect("the program is on the bus");
    zbus::Message::method_call(format!("/{}", name.replace('.', "/")), "ExecuteCallback")
        .and_then(|message| message.interface("org.SingleInstance.DBus"))
        .and_then(|message| message.destination(name.into_inner()))
        .and_then(|message| message.with_flags(zbus::message::Flags::NoReplyExpected))
        .and_then(|message| message.build(&(Vec::<&str>::new(), "/")))
        .expect("a message")
}
