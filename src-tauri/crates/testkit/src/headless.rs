//! The headless host as a process of its own.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{Connection, HttpClient, HttpResponse, TempDataDir, eventually};

/// How long it may take to become ready. A debug build on a busy machine is slow.
const READY_LIMIT: Duration = Duration::from_secs(30);

/// How long anything else may take before a test gives up.
const LIMIT: Duration = Duration::from_secs(15);

/// Variables by which a child would see or touch the machine's own Countersign or desktop.
const HIDDEN: [&str; 10] = [
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
];

/// A folder with a data folder in it, and the way in which `countersign serve` is started on it.
#[derive(Debug)]
pub struct Installation {
    binary: PathBuf,
    folder: TempDataDir,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
}

impl Installation {
    /// An empty data folder for this binary; a free port; no notifications; nothing of the machine's own desktop.
    ///
    /// # Panics
    /// If the folder cannot be made.
    pub fn new(binary: impl Into<PathBuf>) -> Self {
        let folder = TempDataDir::new();
        std::fs::create_dir(folder.join("data")).expect("a data folder");
        Self {
            binary: binary.into(),
            folder,
            arguments: Vec::new(),
            environment: Vec::new(),
        }
    }

    /// With more options for `serve`.
    #[must_use]
    pub fn with(mut self, arguments: &[&str]) -> Self {
        self.arguments
            .extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self
    }

    /// With a variable in its environment.
    #[must_use]
    pub fn with_environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a configuration file.
    ///
    /// # Panics
    /// If it cannot be written.
    #[must_use]
    pub fn with_config(self, text: &str) -> Self {
        std::fs::write(self.data_dir().join("countersign.toml"), text).expect("the configuration is written");
        self
    }

    /// The data folder.
    pub fn data_dir(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// A place for files of the test.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The bare binary: no arguments, and nothing of the machine's own Countersign in its environment.
    pub fn bare_command(&self) -> Command {
        let mut command = Command::new(&self.binary);
        for name in HIDDEN {
            command.env_remove(name);
        }
        command.env("HOME", self.folder.path());
        // Also where a test gives it a bus back; what the test says comes after this.
        command.env("COUNTERSIGN_KEYCHAIN", "off").stdin(Stdio::null());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// The command that starts the host.
    pub fn command(&self) -> Command {
        let mut command = self.bare_command();
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
    ///
    /// # Panics
    /// If it does not become ready; with what it printed.
    #[track_caller]
    pub fn start(&self) -> Headless {
        self.try_start()
            .unwrap_or_else(|error| panic!("countersign serve did not become ready: {error}"))
    }

    /// As [`Self::start`], for tests in which it must not become ready.
    ///
    /// # Errors
    /// What it printed, and its exit status if it has ended.
    ///
    /// # Panics
    /// If the binary cannot be started at all.
    pub fn try_start(&self) -> Result<Headless, String> {
        let log = self.folder.join("serve.log");
        let errors: File = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .expect("a log file");
        let started = Instant::now();
        let child = self.command().stdout(Stdio::piped()).stderr(errors).spawn();
        let mut child =
            child.unwrap_or_else(|error| panic!("{} cannot be started: {error}", self.binary.display()));
        let stdout = child.stdout.take().expect("standard output is piped");
        let mut host = Headless {
            child,
            address: String::new(),
            token: String::new(),
            token_file: PathBuf::new(),
            ready_after: Duration::ZERO,
            log,
        };
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            // Nothing read means that it has ended; an empty line says so.
            let _ = BufReader::new(stdout).read_line(&mut line);
            let _ = sender.send(line);
        });
        let line = receiver.recv_timeout(READY_LIMIT).unwrap_or_default();
        host.ready_after = started.elapsed();
        let ready: Value = serde_json::from_str(&line).unwrap_or_default();
        let (Some(address), Some(token_file)) = (ready["address"].as_str(), ready["tokenFile"].as_str())
        else {
            let ended = Instant::now();
            let mut status = None;
            while status.is_none() && ended.elapsed() < Duration::from_secs(2) {
                status = host.child.try_wait().expect("its status can be asked");
                std::thread::sleep(Duration::from_millis(5));
            }
            let status = status.map_or_else(|| "still running".to_owned(), |status| status.to_string());
            return Err(format!("it printed {line:?} ({status})\n{}", host.log()));
        };
        host.address = address.to_owned();
        host.token_file = PathBuf::from(token_file);
        host.token = std::fs::read_to_string(&host.token_file)
            .expect("the token file can be read")
            .trim()
            .to_owned();
        Ok(host)
    }
}

/// A running `countersign serve`. It is killed when it goes out of scope. Its methods block.
#[derive(Debug)]
pub struct Headless {
    child: Child,
    /// Where it listens, `127.0.0.1:PORT`.
    pub address: String,
    /// The bearer token of the management API.
    pub token: String,
    /// The file with that token.
    pub token_file: PathBuf,
    /// From the start of the process to the line that says it is ready.
    pub ready_after: Duration,
    log: PathBuf,
}

impl Headless {
    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// A connection of its own.
    ///
    /// # Panics
    /// If the host takes none.
    #[track_caller]
    pub fn connect(&self) -> Connection {
        Connection::open(&self.address).expect("the host takes connections")
    }

    /// A client with the token, for tests on tokio.
    pub fn client(&self) -> HttpClient {
        HttpClient::new(&self.address).with_token(&self.token)
    }

    /// A request without a token.
    ///
    /// # Panics
    /// If there is no answer.
    #[track_caller]
    pub fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> HttpResponse {
        self.connect()
            .send(method, path, headers, body)
            .unwrap_or_else(|error| panic!("{method} {path} got no answer: {error}\n{}", self.log()))
    }

    /// JSON to a webhook.
    ///
    /// # Panics
    /// If there is no answer.
    #[track_caller]
    pub fn post(&self, flow: &str, body: &Value) -> HttpResponse {
        let path = format!("/api/v1/webhook/{flow}");
        let json = [("content-type", "application/json")];
        self.call("POST", &path, &json, Some(body.to_string().as_bytes()))
    }

    /// A call of the management API.
    ///
    /// # Panics
    /// If there is no answer.
    #[track_caller]
    pub fn manage(&self, method: &str, path: &str, body: Option<&Value>) -> HttpResponse {
        let token = format!("Bearer {}", self.token);
        let mut headers = vec![("authorization", token.as_str())];
        let body = body.map(Value::to_string);
        if body.is_some() {
            headers.push(("content-type", "application/json"));
        }
        self.call(method, path, &headers, body.as_deref().map(str::as_bytes))
    }

    /// A resource of the management API.
    ///
    /// # Panics
    /// If it is not there.
    #[track_caller]
    pub fn get(&self, path: &str) -> Value {
        self.manage("GET", path, None).expect(200, path).json()
    }

    /// Imports a flow and gives its id.
    ///
    /// # Panics
    /// If it is refused.
    #[track_caller]
    pub fn import(&self, name: &str, document: &str) -> String {
        let body = json!({ "name": name, "flowData": document });
        let reply = self.manage("POST", "/api/v1/chatflows", Some(&body));
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
    ///
    /// # Panics
    /// If there is no answer.
    #[track_caller]
    pub fn decide(&self, approval: &str, outcome: &str) -> HttpResponse {
        self.manage(
            "POST",
            &format!("/api/v1/approvals/{approval}/decision"),
            Some(&json!({ "outcome": outcome })),
        )
    }

    /// What waits for an answer, newest first (the first page).
    ///
    /// # Panics
    /// If the list cannot be read.
    #[track_caller]
    pub fn pending(&self) -> Vec<Value> {
        let page = self.get("/api/v1/approvals?state=pending&limit=200");
        page["approvals"].as_array().expect("a list").clone()
    }

    /// Waits until exactly this many approvals wait.
    ///
    /// # Panics
    /// If that takes too long.
    #[track_caller]
    pub fn wait_for_pending(&self, count: usize) -> Vec<Value> {
        eventually(&format!("{count} approvals wait"), LIMIT, || {
            Some(self.pending()).filter(|pending| pending.len() == count)
        })
    }

    /// Waits until an execution is in this state.
    ///
    /// # Panics
    /// If that takes too long.
    #[track_caller]
    pub fn wait_for_execution(&self, id: &str, state: &str) -> Value {
        let path = format!("/api/v1/executions/{id}");
        eventually(&format!("execution {id} is {state}"), LIMIT, || {
            Some(self.get(&path)).filter(|execution| execution["state"] == state)
        })
    }

    /// Waits until nothing runs and no callback is on its way, so that nothing more can happen by itself: what has not
    /// been sent by then is never sent. An end and its callback are one commit, hence this order.
    ///
    /// # Panics
    /// If that takes longer than `within`.
    #[track_caller]
    pub fn wait_until_idle(&self, within: Duration) {
        eventually("nothing runs", within, || {
            (self.get("/api/v1/executions?state=INPROGRESS&limit=1")["total"] == 0).then_some(())
        });
        eventually("no callback is on its way", within, || {
            (self.get("/api/v1/callbacks?state=waiting&limit=1")["waiting"] == 0).then_some(())
        });
    }

    /// The most memory that it has held so far, in bytes.
    ///
    /// # Panics
    /// If the system does not tell.
    pub fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("a status");
        let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = most.and_then(|most| most.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        kib.expect("a peak in kB") * 1024
    }

    /// Ends it in order.
    ///
    /// # Panics
    /// If it does not end, or not cleanly.
    #[track_caller]
    pub fn end(mut self) {
        self.terminate();
        let status = self.wait(LIMIT);
        assert!(status.success(), "it ends cleanly: {status}");
    }

    /// SIGKILL, as a crash or a power cut would look to the host.
    ///
    /// # Panics
    /// If it is gone already.
    pub fn kill(mut self) -> ExitStatus {
        self.child.kill().expect("the host can be killed");
        self.child.wait().expect("and is gone")
    }

    /// SIGTERM without waiting.
    ///
    /// # Panics
    /// If it is gone already.
    #[cfg(unix)]
    pub fn terminate(&self) {
        let pid = i32::try_from(self.child.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        rustix::process::kill_process(pid.expect("a process id"), rustix::process::Signal::TERM)
            .expect("SIGTERM reaches the host");
    }

    /// Whether it still runs.
    ///
    /// # Panics
    /// If its status cannot be asked.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("its status can be asked").is_none()
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// If that takes longer than `within`; with what it logged.
    #[track_caller]
    pub fn wait(&mut self, within: Duration) -> ExitStatus {
        wait_for_end(&mut self.child, within)
    }
}

/// Waits for the end of a process.
///
/// # Panics
/// If that takes longer than `within`.
#[track_caller]
pub fn wait_for_end(child: &mut Child, within: Duration) -> ExitStatus {
    eventually("the process ends", within, || {
        child.try_wait().expect("its status can be asked")
    })
}

impl Drop for Headless {
    fn drop(&mut self) {
        // Ours, by its handle; an error means that it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
