//! The headless host as a child process.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};

use crate::HttpClient;

/// How long it may take to become ready. A debug build on a busy machine is slow.
const READY_LIMIT: Duration = Duration::from_secs(30);
/// How long it may take to end after it was asked to.
const END_LIMIT: Duration = Duration::from_secs(15);

/// `countersign serve` on a free port. Killed on drop.
#[derive(Debug)]
pub struct Headless {
    child: Child,
    address: String,
    token_file: PathBuf,
    data_dir: PathBuf,
    log: Arc<Mutex<String>>,
}

impl Headless {
    /// Starts the binary with `serve --listen 127.0.0.1:0 --data-dir DIR --json` and waits until it is ready.
    /// It sees no session bus, so a test neither sees nor disturbs the desktop it runs on.
    ///
    /// # Panics
    /// If it does not become ready; with what it printed.
    pub async fn start(binary: impl AsRef<Path>, data_dir: impl AsRef<Path>) -> Self {
        Self::start_with(binary, data_dir, &[], &[]).await
    }

    /// As [`Self::start`], with more arguments and environment variables; `DBUS_SESSION_BUS_ADDRESS` lets it see a
    /// bus.
    ///
    /// # Panics
    /// If it does not become ready; with what it printed.
    pub async fn start_with(
        binary: impl AsRef<Path>,
        data_dir: impl AsRef<Path>,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Self {
        let result = Self::try_start(binary, data_dir, arguments, environment).await;
        result.unwrap_or_else(|error| panic!("countersign serve did not become ready: {error}"))
    }

    /// As [`Self::start_with`], for tests in which it must not become ready.
    ///
    /// # Errors
    /// The exit status, if there is one, and what it printed.
    ///
    /// # Panics
    /// If the binary cannot be started at all.
    pub async fn try_start(
        binary: impl AsRef<Path>,
        data_dir: impl AsRef<Path>,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Result<Self, String> {
        let data_dir = data_dir.as_ref().to_path_buf();
        let mut all: Vec<OsString> = vec!["serve".into()];
        if !arguments.contains(&"--listen") {
            all.extend(["--listen".into(), "127.0.0.1:0".into()]);
        }
        all.extend(["--data-dir".into(), data_dir.clone().into(), "--json".into()]);
        all.extend(arguments.iter().map(OsString::from));
        let mut child = Command::new(binary.as_ref())
            .args(all)
            .env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent/bus")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{} cannot be started: {error}", binary.as_ref().display()));
        let log = Arc::new(Mutex::new(String::new()));
        let stdout = child.stdout.take().expect("its output is piped");
        let stderr = child.stderr.take().expect("its errors are piped");
        collect(BufReader::new(stderr), Arc::clone(&log));

        let mut lines = BufReader::new(stdout);
        let mut line = String::new();
        let read = tokio::time::timeout(READY_LIMIT, lines.read_line(&mut line)).await;
        let ready = match read {
            Err(_) => Err(format!("nothing within {READY_LIMIT:?}")),
            Ok(Err(error)) => Err(error.to_string()),
            Ok(Ok(_)) => serde_json::from_str::<Value>(&line).map_err(|_| format!("it printed {line:?}")),
        };
        let field = |value: &Value, name: &str| value[name].as_str().map(ToOwned::to_owned);
        let ready = ready.and_then(|value| {
            let address = field(&value, "address").ok_or_else(|| format!("no address in {line:?}"))?;
            let token_file = field(&value, "tokenFile").ok_or_else(|| format!("no tokenFile in {line:?}"))?;
            Ok((address, PathBuf::from(token_file)))
        });
        match ready {
            Ok((address, token_file)) => {
                collect(lines, Arc::clone(&log));
                Ok(Self {
                    child,
                    address,
                    token_file,
                    data_dir,
                    log,
                })
            }
            Err(error) => {
                let status = tokio::time::timeout(Duration::from_secs(1), child.wait()).await;
                let status = match status {
                    Ok(Ok(status)) => status.to_string(),
                    _ => "still running".to_owned(),
                };
                // The rest of its errors may still be on the way.
                tokio::time::sleep(Duration::from_millis(50)).await;
                Err(format!("{error} ({status})\n{}", log.lock().unwrap()))
            }
        }
    }

    /// Where it listens, `127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// `http://127.0.0.1:PORT<path>`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Its data folder.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The file with the bearer token.
    pub fn token_file(&self) -> &Path {
        &self.token_file
    }

    /// The bearer token of the management API.
    ///
    /// # Panics
    /// If the file cannot be read.
    pub fn token(&self) -> String {
        let text = std::fs::read_to_string(&self.token_file).expect("the token file can be read");
        text.trim().to_owned()
    }

    /// A client without the token: what a webhook sender is.
    pub fn client(&self) -> HttpClient {
        HttpClient::new(&self.address)
    }

    /// A client with the token.
    ///
    /// # Panics
    /// If the token file cannot be read.
    pub fn api(&self) -> HttpClient {
        self.client().with_token(self.token())
    }

    /// What it printed so far, apart from the first line.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Its process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Kills it without warning (SIGKILL) and waits until it is gone.
    ///
    /// # Panics
    /// If that does not work.
    pub async fn kill9(&mut self) -> ExitStatus {
        self.child.start_kill().expect("it runs");
        self.child.wait().await.expect("it ends")
    }

    /// Asks it to end (SIGTERM) and waits until it did.
    ///
    /// # Panics
    /// If it takes too long; with what it printed.
    #[cfg(unix)]
    pub async fn sigterm(&mut self) -> ExitStatus {
        let pid = self
            .child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(rustix::process::Pid::from_raw);
        rustix::process::kill_process(pid.expect("it runs"), rustix::process::Signal::TERM).expect("it runs");
        self.wait().await
    }

    /// Waits until it ends.
    ///
    /// # Panics
    /// If it takes too long; with what it printed.
    pub async fn wait(&mut self) -> ExitStatus {
        match tokio::time::timeout(END_LIMIT, self.child.wait()).await {
            Ok(status) => status.expect("it ends"),
            Err(_) => panic!("it did not end within {END_LIMIT:?}\n{}", self.log()),
        }
    }
}

/// Keeps what a stream prints, so that the child never waits for a reader.
fn collect(reader: impl AsyncBufReadExt + AsyncRead + Unpin + Send + 'static, log: Arc<Mutex<String>>) {
    tokio::spawn(async move {
        let mut lines = reader.lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let mut log = log.lock().unwrap();
            log.push_str(&line);
            log.push('\n');
        }
    });
}
