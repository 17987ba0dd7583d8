//! The servers that are measured, as processes of their own.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::load;

/// A folder on the disk that is measured (`TMPDIR`), gone afterwards.
pub(crate) struct Place(tempfile::TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.path("data")
    }
}

/// A running server.
pub(crate) struct Host {
    child: Child,
    pub(crate) address: String,
    /// From the start of the process to its first line.
    pub(crate) ready_after: Duration,
    token_file: PathBuf,
}

impl Host {
    /// `countersign serve` on this place.
    pub(crate) fn start(binary: &Path, place: &Place) -> Self {
        let mut command = Command::new(binary);
        command.args([
            "serve",
            "--json",
            "--log",
            "warn",
            "--notifications",
            "off",
            "--keychain",
            "off",
            "--listen",
            "127.0.0.1:0",
            "--data-dir",
        ]);
        command.arg(place.data_dir());
        let (child, line, ready_after) = first_line(command);
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("the host said {line:?}"));
        Self {
            child,
            address: ready["address"].as_str().expect("an address").to_owned(),
            ready_after,
            token_file: ready["tokenFile"].as_str().expect("a token file").into(),
        }
    }

    /// The reference that answers the bytes of a file.
    pub(crate) fn start_bare(binary: &Path, answer: &Path) -> Self {
        let mut command = Command::new(binary);
        command.arg("127.0.0.1:0").arg(answer);
        let (child, line, ready_after) = first_line(command);
        Self {
            child,
            address: line.trim().to_owned(),
            ready_after,
            token_file: PathBuf::new(),
        }
    }

    pub(crate) fn token(&self) -> String {
        std::fs::read_to_string(&self.token_file)
            .expect("a token")
            .trim()
            .to_owned()
    }

    /// Imports a flow; its id.
    pub(crate) async fn import(&self, name: &str, document: &str) -> String {
        let body = json!({ "name": name, "flowData": document }).to_string();
        let answer = load::once(
            &self.address,
            "POST",
            "/api/v1/chatflows",
            Some(&self.token()),
            body.as_bytes(),
        )
        .await;
        let flow: Value = serde_json::from_slice(&answer).expect("JSON");
        flow["id"].as_str().expect("an id").to_owned()
    }

    /// Resident memory in KiB.
    pub(crate) fn memory(&self) -> u64 {
        memory_of(&self.child)
    }

    /// Ends it in order.
    pub(crate) fn end(mut self) {
        let id = self.child.id().to_string();
        let sent = Command::new("sh")
            .args(["-c", &format!("kill -TERM {id}")])
            .status()
            .expect("a shell");
        assert!(sent.success(), "the host is there");
        self.child.wait().expect("it ends");
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn first_line(mut command: Command) -> (Child, String, Duration) {
    let started = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the server starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("a pipe"))
        .read_line(&mut line)
        .expect("its first line");
    (child, line, started.elapsed())
}

/// Resident memory of a process in KiB.
pub(crate) fn memory_of(child: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).expect("Linux");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .expect("a resident size");
    line.split_whitespace()
        .nth(1)
        .and_then(|size| size.parse().ok())
        .expect("a number")
}
