//! `countersign serve` as a process.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Connection, Reply, eventually};

/// How long a start may take on a busy machine before the test gives up.
const START_WITHIN: Duration = Duration::from_secs(30);

/// The command under test.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    // Nothing of the machine's own Countersign or desktop may be touched or seen.
    for name in [
        "COUNTERSIGN_DATA_DIR",
        "COUNTERSIGN_LISTEN",
        "COUNTERSIGN_LOG",
        "COUNTERSIGN_OUTBOUND_LOOPBACK",
        "COUNTERSIGN_UI",
        "DBUS_SESSION_BUS_ADDRESS",
        "DISPLAY",
        "WAYLAND_DISPLAY",
        "XDG_RUNTIME_DIR",
        "XDG_DATA_HOME",
    ] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// A data folder and the way in which the host is started on it.
pub(crate) struct Setup {
    folder: TempDir,
    arguments: Vec<String>,
}

impl Setup {
    /// An empty data folder; a free port; no notifications.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder for the test");
        std::fs::create_dir(folder.path().join("data")).expect("a data folder");
        Self {
            folder,
            arguments: Vec::new(),
        }
    }

    /// With more options for `serve`.
    pub(crate) fn with(mut self, arguments: &[&str]) -> Self {
        self.arguments
            .extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self
    }

    /// With a configuration file.
    pub(crate) fn with_config(self, text: &str) -> Self {
        std::fs::write(self.data_dir().join("countersign.toml"), text).expect("the configuration is written");
        self
    }

    /// The data folder.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A place for files of the test.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The command that starts the host.
    pub(crate) fn command(&self) -> Command {
        let mut command = command();
        command.env("HOME", self.folder.path());
        command.args([
            "serve",
            "--json",
            "--notifications",
            "off",
            "--listen",
            "127.0.0.1:0",
            "--data-dir",
        ]);
        command.arg(self.data_dir()).args(&self.arguments);
        command
    }

    /// Starts the host and waits until it is ready.
    pub(crate) fn start(&self) -> Serve {
        let log = self.folder.path().join("serve.log");
        let errors = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .expect("a log file");
        let started = Instant::now();
        let child = self
            .command()
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .expect("the host starts");
        let mut serve = Serve {
            child,
            address: String::new(),
            token: String::new(),
            token_file: PathBuf::new(),
            ready_after: Duration::ZERO,
            log,
        };
        let stdout = serve.child.stdout.take().expect("standard output is piped");
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            let _ = BufReader::new(stdout).read_line(&mut line);
            let _ = sender.send(line);
        });
        let line = receiver.recv_timeout(START_WITHIN).unwrap_or_default();
        serve.ready_after = started.elapsed();
        let ready: Value = serde_json::from_str(&line)
            .unwrap_or_else(|_| panic!("the host is not ready; it printed {line:?} and\n{}", serve.log()));
        serve.address = ready["address"].as_str().expect("an address").to_owned();
        serve.token_file = PathBuf::from(ready["tokenFile"].as_str().expect("a token file"));
        serve.token = std::fs::read_to_string(&serve.token_file)
            .expect("a token")
            .trim()
            .to_owned();
        serve
    }
}

/// A running host. It is killed when it goes out of scope.
pub(crate) struct Serve {
    child: Child,
    pub(crate) address: String,
    pub(crate) token: String,
    pub(crate) token_file: PathBuf,
    /// From the start of the process to the line that says it is ready.
    pub(crate) ready_after: Duration,
    log: PathBuf,
}

impl Serve {
    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// A connection of its own.
    pub(crate) fn connect(&self) -> Connection {
        Connection::open(&self.address).expect("the host takes connections")
    }

    /// A request without a token.
    pub(crate) fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Reply {
        self.connect()
            .send(method, path, headers, body)
            .unwrap_or_else(|error| panic!("{method} {path} got no answer: {error}\n{}", self.log()))
    }

    /// JSON to a webhook.
    pub(crate) fn post(&self, flow: &str, body: &Value) -> Reply {
        let path = format!("/api/v1/webhook/{flow}");
        self.call(
            "POST",
            &path,
            &[("content-type", "application/json")],
            Some(body.to_string().as_bytes()),
        )
    }

    /// A call of the management API.
    pub(crate) fn manage(&self, method: &str, path: &str, body: Option<&Value>) -> Reply {
        let token = format!("Bearer {}", self.token);
        let mut headers = vec![("authorization", token.as_str())];
        let body = body.map(Value::to_string);
        if body.is_some() {
            headers.push(("content-type", "application/json"));
        }
        self.call(method, path, &headers, body.as_deref().map(str::as_bytes))
    }

    /// A resource of the management API.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Value {
        self.manage("GET", path, None).expect(200, path).json()
    }

    /// Imports a flow and gives its id.
    #[track_caller]
    pub(crate) fn import(&self, name: &str, document: &Value) -> String {
        let reply = self.manage(
            "POST",
            "/api/v1/chatflows",
            Some(&json!({ "name": name, "flowData": document.to_string() })),
        );
        assert!(
            matches!(reply.status, 200 | 201),
            "{name} is not imported: {}",
            reply.text()
        );
        reply.json()["id"]
            .as_str()
            .expect("an imported flow has an id")
            .to_owned()
    }

    /// Answers an approval over the management API.
    pub(crate) fn decide(&self, approval: &str, outcome: &str) -> Reply {
        self.manage(
            "POST",
            &format!("/api/v1/approvals/{approval}/decision"),
            Some(&json!({ "outcome": outcome })),
        )
    }

    /// What waits for an answer, newest first (the first page).
    #[track_caller]
    pub(crate) fn pending(&self) -> Vec<Value> {
        let page = self.get("/api/v1/approvals?state=pending&limit=200");
        page["approvals"].as_array().expect("a list").clone()
    }

    /// Waits until exactly this many approvals wait.
    #[track_caller]
    pub(crate) fn wait_for_pending(&self, count: usize) -> Vec<Value> {
        eventually(
            &format!("{count} approvals wait"),
            Duration::from_secs(10),
            || Some(self.pending()).filter(|pending| pending.len() == count),
        )
    }

    /// An execution in this state.
    #[track_caller]
    pub(crate) fn wait_for_execution(&self, id: &str, state: &str) -> Value {
        eventually(
            &format!("execution {id} is {state}"),
            Duration::from_secs(10),
            || {
                Some(self.get(&format!("/api/v1/executions/{id}")))
                    .filter(|execution| execution["state"] == state)
            },
        )
    }

    /// SIGKILL, as a crash or a power cut would look to the host.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("the host can be killed");
        self.child.wait().expect("and is gone");
    }

    /// SIGTERM without waiting.
    pub(crate) fn terminate(&self) {
        let id = self.child.id().to_string();
        let sent = Command::new("sh")
            .args(["-c", &format!("kill -TERM {id}")])
            .status()
            .expect("a shell");
        assert!(sent.success(), "SIGTERM reaches the host");
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self, within: Duration) -> ExitStatus {
        wait_for_end(&mut self.child, within)
    }
}

/// Waits for the end of a process.
pub(crate) fn wait_for_end(child: &mut Child, within: Duration) -> ExitStatus {
    eventually("the process ends", within, || {
        child.try_wait().expect("its status can be asked")
    })
}

impl Drop for Serve {
    fn drop(&mut self) {
        // Ours, by its handle; an error means that it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
