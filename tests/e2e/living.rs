//! Starting, staying and ending.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_testkit::TrayHost;
use countersign_testkit::flows::{FlowOptions, start_gate_replies};
use rustix::process::Signal;
use serde_json::json;

use crate::desktop::{Desktop, NO_BUS, wait_for};
use crate::program::{self, Program, import, trigger, wait_for_end};
use crate::screen::Screen;

const TITLE: &str = "Countersign";
/// What the program says, if asked to say much, about the window.
const CLOSES: &str = "the window closes";
const ASKED_FOR: &str = "the window is asked for";
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

/// Closing takes less than a millisecond inside the program. So that a request falls into it, the program is
/// stopped, both are sent, and it goes on with both at once; its own words tell what came first.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_asked_for_while_the_window_closes_is_shown() {
    let desktop = Desktop::without_notifications("race");
    let bus = desktop.bus().connect().await;
    let _tray = TrayHost::start(bus.clone()).await;
    let screen = Screen::of(&desktop);
    let log = ["--log", "countersign_desktop=debug"];
    let program = Program::start(&desktop, &desktop.folder("data"), &log);
    let mut window = desktop.wait_for_windows(TITLE, 1).remove(0);
    let start_again = program::start_again(&bus).await;

    let (mut rounds, mut met) = (0, 0);
    while met < 3 {
        rounds += 1;
        assert!(rounds <= 600, "requests fall into the closing; {met} did");
        let number = window.parse().expect("windows have numbers");
        screen.watch(number);
        let before = desktop.said().len();
        program.signal(Signal::STOP);
        screen.ask_to_close(number);
        bus.send(&start_again).await.expect("sent");
        program.signal(Signal::CONT);
        screen.wait_until_gone(number);

        let said = wait_for("the program has seen both", Duration::from_secs(20), || {
            let said = desktop.said()[before..].to_owned();
            (said.contains(CLOSES) && said.contains(ASKED_FOR)).then_some(said)
        });
        if said.find(ASKED_FOR) < said.find(CLOSES) {
            // It was shown and then closed, as it was asked to be.
            bus.send(&start_again).await.expect("sent");
        } else if said.contains("closing=true") {
            met += 1;
        }
        let next = desktop.wait_for_windows(TITLE, 1).remove(0);
        assert_ne!(next, window, "round {rounds}: a new window is shown");
        window = next;
    }
    eprintln!("{rounds} rounds, {met} within the closing");
    program.terminate();
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_tray_it_can_start_hidden() {
    let desktop = Desktop::without_notifications("hidden");
    let tray = TrayHost::start(desktop.bus().connect().await).await;
    let data_dir = desktop.folder("data");
    let program = Program::start(&desktop, &data_dir, &["--hidden"]);
    let client = program.client();
    let begun = Instant::now();
    while client.get("/api/v1/status").await.json()["trayHost"] != true {
        assert!(begun.elapsed() < Duration::from_secs(20), "the tray is found");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // A window would be made on the same thread that changes the menu, and before: when the count is there, it is
    // certain that none was asked for.
    let flow = start_gate_replies(&FlowOptions::callback("http://127.0.0.1:9/", None));
    let flow = import(&client, "Release gate", &flow).await;
    trigger(&client, &flow, &json!({ "item": "billing 2.4" })).await;
    tray.wait_for_entry("Show inbox (1)").await;
    assert!(desktop.windows(TITLE).is_empty(), "no window was asked for");
    program::command(&desktop, &data_dir, &[])
        .status()
        .expect("a second start");
    desktop.wait_for_windows(TITLE, 1);
    program.terminate();
}

/// Starts the program once more, without a bus in common; its exit code, what it said, and how long that took.
fn second_start(desktop: &Desktop, data_dir: &Path) -> (Option<i32>, String, Duration) {
    let begun = Instant::now();
    let second = program::command(desktop, data_dir, &[])
        .env("DBUS_SESSION_BUS_ADDRESS", NO_BUS)
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    let output = second.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), said, begun.elapsed())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_session_bus_a_second_start_shows_the_inbox_again() {
    let desktop = Desktop::without_bus("no-bus");
    let data_dir = desktop.folder("data");
    let mut program = Program::start(&desktop, &data_dir, &["--hidden"]);
    desktop.wait_for_windows(TITLE, 1);
    for round in 0..2 {
        desktop.close_window(TITLE);
        desktop.wait_for_windows(TITLE, 0);
        if round == 0 {
            // What it says then is compared in the tests of the window.
            desktop.wait_for_windows(GOES_ON, 1);
            desktop.picture("no-bus");
            desktop.close_window(GOES_ON);
            desktop.wait_for_windows(GOES_ON, 0);
        }
        let (code, said, took) = second_start(&desktop, &data_dir);
        assert_eq!(code, Some(0), "it hands over: {said}");
        assert!(said.contains("shows its inbox now"), "and says so: {said}");
        assert!(took < Duration::from_secs(6), "soon: {took:?}");
        desktop.wait_for_windows(TITLE, 1);
    }
    assert!(program.is_running(), "there is one program all the time");
    program.terminate();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_start_from_another_session_shows_the_inbox_too() {
    let desktop = Desktop::without_notifications("sessions");
    let _tray = TrayHost::start(desktop.bus().connect().await).await;
    let data_dir = desktop.folder("data");
    let first = Program::start(&desktop, &data_dir, &[]);
    desktop.wait_for_windows(TITLE, 1);
    desktop.close_window(TITLE);
    desktop.wait_for_windows(TITLE, 0);
    let (code, said, _) = second_start(&desktop, &data_dir);
    assert_eq!(code, Some(0), "{said}");
    desktop.wait_for_windows(TITLE, 1);
    first.terminate();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_copy_that_cannot_hand_over_says_so_and_ends_soon() {
    let desktop = Desktop::without_bus("second");
    // Somebody works there who does not listen.
    let silent = desktop.folder("silent");
    std::fs::create_dir(&silent).expect("a folder");
    let lock = std::fs::File::create(silent.join("countersign.lock")).expect("a file");
    lock.lock().expect("the lock");
    // And somebody who listens and has no window, as `countersign serve`.
    let served = desktop.folder("served");
    let app = headless(&served).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = listener.local_addr().expect("its address");
    app.set_address(Some(address), None);
    let server = tokio::spawn(countersign_server::serve(
        app.clone(),
        listener,
        countersign_server::Options::default(),
        std::future::pending::<()>(),
    ));
    for (data_dir, named) in [
        (&silent, "--data-dir".to_owned()),
        (&served, format!("http://{address}/")),
    ] {
        let (code, said, took) = second_start(&desktop, data_dir);
        // Three seconds are promised, and 2.3 measured; a machine that is busy with other tests gets twice that.
        assert!(
            took < Duration::from_secs(6),
            "it does not wait for ever: {took:?}"
        );
        assert_eq!(code, Some(3), "scripts can tell it apart: {said}");
        assert!(
            said.contains(&data_dir.display().to_string()) && said.contains(&named),
            "it names the folder and what to do: {said}"
        );
    }
    assert!(desktop.windows(TITLE).is_empty(), "nothing was shown");
    server.abort();
    app.shutdown().await;
}

async fn headless(data_dir: &Path) -> countersign_app::App {
    let flags = countersign_app::Flags {
        data_dir: Some(data_dir.to_owned()),
        keychain: Some("off".to_owned()),
        ..Default::default()
    };
    let options = countersign_app::Options {
        config: countersign_app::Config::load(&flags, |_| None).expect("a configuration"),
        notifier: countersign_app::headless_notifier(),
        clock: Arc::new(countersign_app::SystemClock),
        ids: Arc::new(countersign_app::RandomIds),
        keychain: countersign_app::keychain_of_this_system(),
    };
    countersign_app::App::start(options).await.expect("it starts")
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
