//! A desktop for one test.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use countersign_testkit::PrivateBus;

/// Xfce's notification server, which draws real buttons; Debian's package xfce4-notifyd.
const NOTIFICATION_SERVERS: [&str; 2] = [
    "/usr/lib/x86_64-linux-gnu/xfce4/notifyd/xfce4-notifyd",
    "/usr/lib/xfce4/notifyd/xfce4-notifyd",
];

/// An address of a bus that is not there.
pub(crate) const NO_BUS: &str = "unix:path=/nonexistent/bus";

/// A child process that ends with its owner.
#[derive(Debug)]
pub(crate) struct Kept(pub(crate) Child);

impl Drop for Kept {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a program, or says which package is missing.
pub(crate) fn start(command: &mut Command, package: &str) -> Child {
    let program = command.get_program().to_string_lossy().into_owned();
    command.spawn().unwrap_or_else(|error| {
        panic!("{program} cannot be started ({error}). It is in Debian's package {package}; script/test installs it.")
    })
}

/// A display, a bus and a window manager; on drop everything ends, the picture of the last moment is kept.
#[derive(Debug)]
pub(crate) struct Desktop {
    display: String,
    // In this order they end: the server before its bus, all before the display.
    notification_server: Option<Kept>,
    _window_manager: Kept,
    bus: PrivateBus,
    /// Where programs look for the bus; nothing is there on a desktop without one.
    bus_address: String,
    _screen: Kept,
    home: tempfile::TempDir,
    name: &'static str,
}

impl Desktop {
    /// A desktop with a notification server. `name` names the picture that is kept of a failure.
    pub(crate) fn with_notifications(name: &'static str) -> Self {
        let mut desktop = Self::without_notifications(name);
        desktop.start_notification_server();
        desktop
    }

    /// A desktop on which nothing shows notifications, not even on demand.
    pub(crate) fn without_notifications(name: &'static str) -> Self {
        // A bus that starts no service by itself, so nobody's settings are read or changed.
        let bus = PrivateBus::start();
        let mut screen = start(
            Command::new("Xvfb")
                .args([
                    "-displayfd",
                    "1",
                    "-screen",
                    "0",
                    "1280x900x24",
                    "-nolisten",
                    "tcp",
                ])
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::null()),
            "xvfb",
        );
        let mut number = String::new();
        BufReader::new(screen.stdout.take().expect("its output is piped"))
            .read_line(&mut number)
            .expect("Xvfb writes its display number");
        let display = format!(":{}", number.trim());
        let home = tempfile::Builder::new()
            .prefix("countersign-e2e-")
            .tempdir()
            .expect("a folder");
        let runtime = home.path().join("runtime");
        std::fs::create_dir(&runtime).expect("a folder");
        let mut manager = Command::new("openbox");
        environment(&mut manager, &display, bus.address(), home.path());
        let window_manager = start(
            manager
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null()),
            "openbox",
        );
        Self {
            display,
            notification_server: None,
            _window_manager: Kept(window_manager),
            bus_address: bus.address().to_owned(),
            bus,
            _screen: Kept(screen),
            home,
            name,
        }
    }

    /// A desktop without a session bus, as one that was put together by hand: a display and a window manager.
    pub(crate) fn without_bus(name: &'static str) -> Self {
        let mut desktop = Self::without_notifications(name);
        desktop.bus_address = NO_BUS.to_owned();
        desktop
    }

    fn start_notification_server(&mut self) {
        let path = NOTIFICATION_SERVERS.into_iter().find(|path| Path::new(path).exists()).unwrap_or_else(|| {
            panic!("Xfce's notification server is not there. It is in Debian's package xfce4-notifyd; script/test installs it.")
        });
        let mut server = self.command(path);
        let server = start(
            server.stdout(Stdio::null()).stderr(Stdio::null()),
            "xfce4-notifyd",
        );
        self.notification_server = Some(Kept(server));
        self.wait_for_owner("org.freedesktop.Notifications");
    }

    /// The session bus.
    pub(crate) fn bus(&self) -> &PrivateBus {
        &self.bus
    }

    /// The number of the display.
    pub(crate) fn display(&self) -> &str {
        &self.display
    }

    /// A folder that is gone after the test.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// A command that sees this desktop and nothing of the machine's own.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        environment(&mut command, &self.display, &self.bus_address, self.home.path());
        command.stdin(Stdio::null());
        command
    }

    /// Where the program under test writes its words; printed if the test fails.
    pub(crate) fn log(&self) -> Stdio {
        let file = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder("log"));
        file.expect("a log can be written").into()
    }

    /// What the program under test has said so far.
    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(self.folder("log")).unwrap_or_default()
    }

    /// Waits until the program under test has said this.
    pub(crate) fn wait_for_log(&self, text: &str) {
        wait_for(
            &format!("the program says {text:?}"),
            Duration::from_secs(20),
            || self.said().contains(text).then_some(()),
        );
    }

    /// What xdotool says.
    pub(crate) fn xdotool(&self, arguments: &[&str]) -> String {
        let output = self.command("xdotool").args(arguments).output();
        let output = output.unwrap_or_else(|error| {
            panic!("xdotool cannot be started ({error}). It is in Debian's package xdotool; script/test installs it.")
        });
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// The visible windows with exactly this title.
    pub(crate) fn windows(&self, title: &str) -> Vec<String> {
        let found = self.xdotool(&["search", "--onlyvisible", "--name", &format!("^{title}$")]);
        found.lines().map(ToOwned::to_owned).collect()
    }

    /// Waits until there are so many visible windows with this title.
    pub(crate) fn wait_for_windows(&self, title: &str, count: usize) -> Vec<String> {
        wait_for(
            &format!("{count} window(s) called {title:?}"),
            Duration::from_secs(20),
            || Some(self.windows(title)).filter(|windows| windows.len() == count),
        )
    }

    /// Asks a window to close, as its button in the title bar does.
    pub(crate) fn close_window(&self, title: &str) {
        let status = self.command("wmctrl").args(["-F", "-c", title]).status();
        let status = status.expect("wmctrl can be started (Debian package: wmctrl)");
        assert!(status.success(), "{title:?} can be asked to close");
    }

    fn wait_for_owner(&self, name: &str) {
        wait_for(&format!("{name} on the bus"), Duration::from_secs(20), || {
            let output = self
                .command("dbus-send")
                .args([
                    "--session",
                    "--print-reply=literal",
                    "--dest=org.freedesktop.DBus",
                    "/org/freedesktop/DBus",
                ])
                .args(["org.freedesktop.DBus.NameHasOwner", &format!("string:{name}")])
                .output()
                .expect("dbus-send can be started (Debian package: dbus)");
            String::from_utf8_lossy(&output.stdout)
                .contains("true")
                .then_some(())
        });
    }

    /// A picture of the whole screen, into Cargo's folder for tests.
    pub(crate) fn picture(&self, name: &str) {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("e2e");
        let _ = std::fs::create_dir_all(&folder);
        let file = folder.join(format!("{name}.png"));
        // Pictures help people; a test never fails for want of one.
        let _ = self
            .command("import")
            .args(["-window", "root"])
            .arg(&file)
            .status();
        eprintln!("picture: {}", file.display());
    }
}

impl Drop for Desktop {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.picture(&format!("{}-failed", self.name));
            eprintln!("the program said:\n{}", self.said());
        }
    }
}

fn environment(command: &mut Command, display: &str, bus: &str, home: &Path) {
    command
        .env("DISPLAY", display)
        .env("DBUS_SESSION_BUS_ADDRESS", bus)
        .env("HOME", home)
        .env("XDG_RUNTIME_DIR", home.join("runtime"))
        .env("XDG_DATA_HOME", home.join("share"))
        .env("XDG_CONFIG_HOME", home.join("config"))
        .env("XDG_CACHE_HOME", home.join("cache"))
        .env("GDK_BACKEND", "x11")
        .env("NO_AT_BRIDGE", "1")
        .env("GSETTINGS_BACKEND", "memory")
        .env("MESA_SHADER_CACHE_DISABLE", "true")
        .env("COUNTERSIGN_KEYCHAIN", "off")
        .env("LANG", "C.UTF-8")
        .env("USER", "tester")
        .env_remove("WAYLAND_DISPLAY")
        .env_remove("XDG_CURRENT_DESKTOP")
        .env_remove("GTK_THEME");
}

/// Tries until it gives something.
pub(crate) fn wait_for<T>(what: &str, limit: Duration, mut attempt: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = attempt() {
            return found;
        }
        assert!(begun.elapsed() < limit, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
