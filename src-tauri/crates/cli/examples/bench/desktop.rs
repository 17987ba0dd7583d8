//! The desktop application on a screen nobody sees.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use countersign_testkit::{PrivateBus, TrayHost, VirtualDisplay, eventually};

use crate::host::{Place, memory_of};

/// The resident memory of its process in KiB, started with its tray icon only, once it has come to rest.
pub(crate) fn memory_without_window(binary: &Path) -> u64 {
    let place = Place::new();
    let screen = VirtualDisplay::start();
    let bus = PrivateBus::start();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let _panel = runtime.block_on(async { TrayHost::start(bus.connect().await).await });
    let mut child = Command::new(binary)
        .args([
            "--hidden",
            "--keychain",
            "off",
            "--listen",
            "127.0.0.1:0",
            "--data-dir",
        ])
        .arg(place.data_dir())
        .env("DISPLAY", screen.name())
        .env("DBUS_SESSION_BUS_ADDRESS", bus.address())
        .env_remove("WAYLAND_DISPLAY")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the desktop application can be started");
    eventually("it listens", Duration::from_secs(30), || {
        place.data_dir().join("address").exists().then_some(())
    });
    std::thread::sleep(Duration::from_secs(5));
    let memory = memory_of(&child);
    // It may have ended by itself; then there was no memory to read either.
    let _ = child.kill();
    let _ = child.wait();
    memory
}
