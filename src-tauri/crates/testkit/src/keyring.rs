//! A keychain for one test.

use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use zbus::zvariant::ObjectPath;

use crate::{PrivateBus, TempDataDir, eventually};

const NAME: &str = "org.freedesktop.secrets";
const LOGIN: &str = "/org/freedesktop/secrets/collection/login";

/// The real GNOME Keyring on a bus and in folders of its own. It ends on drop, and with it all that it keeps.
#[derive(Debug)]
pub struct GnomeKeyring {
    daemon: Option<Child>,
    folder: TempDataDir,
    bus: PrivateBus,
}

impl GnomeKeyring {
    /// Starts it as a sign-in does: the login keyring is made, or opened, with the account's password.
    ///
    /// # Panics
    /// If it is not installed or does not start.
    pub fn start() -> Self {
        let folder = TempDataDir::new();
        // Where its socket lies must be closed to others.
        for name in ["home", "runtime"] {
            let path = folder.join(name);
            std::fs::DirBuilder::new()
                .mode(0o700)
                .create(path)
                .expect("a folder");
        }
        let mut keyring = Self {
            daemon: None,
            folder,
            bus: PrivateBus::start(),
        };
        keyring.sign_in();
        keyring
    }

    /// The address of its bus.
    pub fn address(&self) -> &str {
        self.bus.address()
    }

    /// Starts it again with the password, so that the login keyring is open.
    ///
    /// # Panics
    /// If it does not start.
    pub fn sign_in(&mut self) {
        self.stop();
        let mut daemon = Command::new("gnome-keyring-daemon")
            .args(["--foreground", "--unlock", "--components=secrets"])
            .env("DBUS_SESSION_BUS_ADDRESS", self.bus.address())
            .env("HOME", self.folder.join("home"))
            .env("XDG_DATA_HOME", self.folder.join("home/share"))
            .env("XDG_RUNTIME_DIR", self.folder.join("runtime"))
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("gnome-keyring-daemon can be started (Debian package: gnome-keyring)");
        let mut password = daemon.stdin.take().expect("its input is piped");
        password
            .write_all(b"password")
            .expect("it reads the password to the end");
        drop(password);
        self.daemon = Some(daemon);
        eventually("the keyring is on its bus", Duration::from_secs(15), || {
            let owned: bool = self.call(
                "org.freedesktop.DBus",
                "/org/freedesktop/DBus",
                "org.freedesktop.DBus",
                "NameHasOwner",
                &NAME,
            );
            owned.then_some(())
        });
    }

    /// Locks the login keyring. Nothing here shows the dialog to open it.
    ///
    /// # Panics
    /// If it refuses.
    pub fn lock(&self) {
        let login = ObjectPath::from_static_str_unchecked(LOGIN);
        let (locked, _prompt): (
            Vec<zbus::zvariant::OwnedObjectPath>,
            zbus::zvariant::OwnedObjectPath,
        ) = self.call(
            NAME,
            "/org/freedesktop/secrets",
            "org.freedesktop.Secret.Service",
            "Lock",
            &(vec![login]),
        );
        assert_eq!(locked.len(), 1, "the login keyring is locked");
    }

    /// Ends the daemon, as a crash does; the bus stays.
    pub fn stop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            // It may have ended by itself.
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }

    fn call<B, R>(&self, to: &str, path: &str, interface: &str, method: &str, body: &B) -> R
    where
        B: serde::Serialize + zbus::zvariant::DynamicType,
        R: for<'d> zbus::zvariant::DynamicDeserialize<'d>,
    {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let bus = self.bus.connect().await;
            let reply = bus
                .call_method(Some(to), path, Some(interface), method, body)
                .await
                .unwrap_or_else(|error| panic!("{method} failed: {error}"));
            reply.body().deserialize().expect("the answer is what it must be")
        })
    }
}

impl Drop for GnomeKeyring {
    fn drop(&mut self) {
        self.stop();
    }
}
