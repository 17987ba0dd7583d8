//! A message bus for one test.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use zbus::Connection;

/// A `dbus-daemon` of our own, ended on drop. Tests on it neither see nor disturb the desktop they run on.
#[derive(Debug)]
pub struct PrivateBus {
    child: Child,
    address: String,
    _folder: tempfile::TempDir,
    socket_folder: Option<tempfile::TempDir>,
}

/// No service files: nothing is started because somebody calls it.
const CONFIGURATION: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path=SOCKET</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"#;

impl PrivateBus {
    /// Starts a bus on which no service is started by itself.
    ///
    /// # Panics
    /// If `dbus-daemon` is not installed or does not start.
    pub fn start() -> Self {
        let folder = folder();
        let socket = folder.path().join("bus");
        let mut bus = Self::start_at(&socket);
        bus.socket_folder = Some(folder);
        bus
    }

    /// As [`Self::start`], with its socket at this path: for a bus that comes later than its user. The address
    /// is `unix:path=<socket>`.
    ///
    /// # Panics
    /// If `dbus-daemon` is not installed or does not start.
    pub fn start_at(socket: &Path) -> Self {
        let folder = folder();
        if let Some(parent) = socket.parent() {
            std::fs::create_dir_all(parent).expect("the folder of the socket can be made");
        }
        let file = folder.path().join("bus.conf");
        let configuration = CONFIGURATION.replace("SOCKET", &socket.display().to_string());
        std::fs::write(&file, configuration).expect("the bus configuration can be written");
        Self::spawn(&format!("--config-file={}", file.display()), folder, &[])
    }

    /// Starts a bus with the services that are installed on this machine, which it starts on demand. They inherit
    /// the environment of the bus, so give it `HOME`, `XDG_CONFIG_HOME` and `DISPLAY` of the test.
    ///
    /// # Panics
    /// If `dbus-daemon` is not installed or does not start.
    pub fn with_services(environment: &[(&str, &str)]) -> Self {
        Self::spawn("--session", folder(), environment)
    }

    fn spawn(configuration: &str, folder: tempfile::TempDir, environment: &[(&str, &str)]) -> Self {
        let mut child = Command::new("dbus-daemon")
            .args([configuration, "--nofork", "--nopidfile", "--print-address"])
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("dbus-daemon can be started (Debian package: dbus)");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("its output is piped");
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("dbus-daemon prints its address");
        let address = line.trim().to_owned();
        assert!(!address.is_empty(), "dbus-daemon prints its address");
        Self {
            child,
            address,
            _folder: folder,
            socket_folder: None,
        }
    }

    /// Its address, as `DBUS_SESSION_BUS_ADDRESS` wants it.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A new connection to it.
    ///
    /// # Panics
    /// If it does not take one.
    pub async fn connect(&self) -> Connection {
        let builder =
            zbus::connection::Builder::address(self.address.as_str()).expect("the address is valid");
        builder.build().await.expect("the private bus takes connections")
    }

    /// Ends it at once; the same as dropping it.
    pub fn stop(self) {}
}

fn folder() -> tempfile::TempDir {
    tempfile::Builder::new()
        .prefix("csbus-")
        .tempdir()
        .expect("a temporary folder can be made")
}

impl Drop for PrivateBus {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
