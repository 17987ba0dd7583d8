//! One look at a real notification server: `xfce4-notifyd` on a screen and a bus of our own.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use countersign_notify::{Broker, BrokerOptions, XdgNotifier};
use countersign_testkit::{PrivateBus, TempDataDir, VirtualDisplay};

use crate::{LIMIT, id, prompt};

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn notifyd() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib")
        .expect("there is /usr/lib")
        .flatten()
        .map(|entry| entry.path());
    let places = folders.chain(["/usr/lib".into(), "/usr/libexec".into()]);
    places
        .map(|folder| folder.join("xfce4/notifyd/xfce4-notifyd"))
        .find(|path| path.is_file())
        .expect("xfce4-notifyd is installed (Debian package: xfce4-notifyd)")
}

/// How many notification windows are on the screen.
fn windows(display: &VirtualDisplay) -> usize {
    let search = Command::new("xdotool")
        .args([
            "search",
            "--onlyvisible",
            "--class",
            "xfce4-notifyd",
            "getwindowgeometry",
            "--shell",
            "%@",
        ])
        .env("DISPLAY", display.name())
        .output()
        .expect("xdotool is installed (Debian package: xdotool)");
    let text = String::from_utf8_lossy(&search.stdout).into_owned();
    // The server has invisible helper windows of one pixel under the same name.
    text.lines()
        .filter_map(|line| line.strip_prefix("WIDTH=")?.parse::<u32>().ok())
        .filter(|w| *w > 50)
        .count()
}

async fn shows(display: &VirtualDisplay, count: usize) -> bool {
    let wait = async {
        while windows(display) != count {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(LIMIT, wait).await.is_ok()
}

#[tokio::test]
async fn a_real_server_shows_and_withdraws() {
    let display = VirtualDisplay::start();
    let home = TempDataDir::new();
    // No services on this bus: the server uses its defaults and touches nobody's settings.
    let bus = PrivateBus::start();
    let server = Command::new(notifyd())
        .env("DISPLAY", display.name())
        .env("DBUS_SESSION_BUS_ADDRESS", bus.address())
        .env("HOME", home.path())
        .env("XDG_CONFIG_HOME", home.path())
        .env("XDG_RUNTIME_DIR", home.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let _server = Running(server.expect("it can be started"));

    let (broker, _events) = Broker::start(BrokerOptions::default(), Box::new(XdgNotifier::at(bus.address())));
    let up = async {
        while !broker.status().available {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    assert!(
        tokio::time::timeout(LIMIT, up).await.is_ok(),
        "the server is found: {:?}",
        broker.status()
    );
    let status = broker.status();
    assert_eq!(status.name.as_deref(), Some("Xfce Notify Daemon"), "{status:?}");
    assert!(status.buttons, "it draws buttons: {status:?}");
    assert_eq!(status.note, None, "there is nothing to complain about");

    broker.present(prompt(1));
    broker.present(prompt(2));
    assert!(
        shows(&display, 2).await,
        "both are on the screen, {} windows",
        windows(&display)
    );
    broker.withdraw(id(1));
    assert!(
        shows(&display, 1).await,
        "one is withdrawn, {} windows",
        windows(&display)
    );
    broker.shutdown().await;
    assert!(
        shows(&display, 0).await,
        "nothing is left behind, {} windows",
        windows(&display)
    );
}
