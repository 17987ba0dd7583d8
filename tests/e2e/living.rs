//! Starting, staying and ending.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;

use crate::desktop::{Desktop, wait_for};
use crate::program::{self, Program, wait_for_end};
use crate::tray_host::TrayHost;

const TITLE: &str = "Countersign";
const GOES_ON: &str = "Countersign goes on without its window";

#[tokio::test(flavor = "multi_thread")]
async fn closing_the_window_keeps_it_running_and_a_second_start_shows_it_again() {
    let desktop = Desktop::without_notifications("closing");
    let _tray = TrayHost::start(desktop.bus().connect().await).await;
    let data_dir = desktop.folder("data");
    let mut program = Program::start(&desktop, &data_dir, &[]);
    desktop.wait_for_windows(TITLE, 1);

    desktop.close_window(TITLE);
    desktop.wait_for_windows(TITLE, 0);
    assert!(
        program.is_running(),
        "closing the window does not end the program"
    );
    assert_eq!(
        program.client().get("/api/v1/ping").await.status,
        200,
        "it still listens"
    );

    let mut second = program::command(&desktop, &data_dir, &[])
        .stderr(Stdio::null())
        .spawn()
        .expect("started");
    let (status, _) = wait_for_end(&mut second, Duration::from_secs(10));
    assert!(status.success(), "the second start hands over and ends: {status}");
    desktop.wait_for_windows(TITLE, 1);
    assert!(
        desktop.windows(GOES_ON).is_empty(),
        "with a tray nothing needs to be explained"
    );
    program.terminate();
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_tray_it_can_start_hidden() {
    let desktop = Desktop::without_notifications("hidden");
    let _tray = TrayHost::start(desktop.bus().connect().await).await;
    let data_dir = desktop.folder("data");
    let program = Program::start(&desktop, &data_dir, &["--hidden"]);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(desktop.windows(TITLE).is_empty(), "no window was asked for");
    program::command(&desktop, &data_dir, &[])
        .status()
        .expect("a second start");
    desktop.wait_for_windows(TITLE, 1);
    program.terminate();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_copy_without_a_bus_says_so_and_ends_soon() {
    let desktop = Desktop::without_notifications("second");
    let data_dir = desktop.folder("data");
    let first = Program::start(&desktop, &data_dir, &[]);
    let second = program::command(&desktop, &data_dir, &[])
        .env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent/bus")
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    let begun = std::time::Instant::now();
    let output = second.wait_with_output().expect("it ends");
    // Three seconds are promised, and 2.3 measured; a machine that is busy with other tests gets twice that.
    assert!(
        begun.elapsed() < Duration::from_secs(6),
        "it does not wait for ever: {:?}",
        begun.elapsed()
    );
    assert_eq!(output.status.code(), Some(3), "scripts can tell it apart");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains(&data_dir.display().to_string()),
        "it names the folder: {said}"
    );
    first.terminate();
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_end_it_in_order() {
    let desktop = Desktop::without_notifications("signals");
    for signal in [Signal::TERM, Signal::INT] {
        let data_dir = desktop.folder("data");
        let program = Program::start(&desktop, &data_dir, &[]);
        desktop.wait_for_windows(TITLE, 1);
        program.signal(signal);
        let (status, time) = program.wait(Duration::from_secs(20));
        assert!(status.success(), "{signal:?} is an orderly end: {status}");
        assert!(time < Duration::from_secs(10), "the end is bounded: {time:?}");
        wait_for("its address is taken back", Duration::from_secs(1), || {
            (!data_dir.join("address").exists()).then_some(())
        });
    }
}
