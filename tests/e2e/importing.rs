//! A flow comes in by the dialog of the desktop and by being dropped on the window.

use std::path::PathBuf;

use countersign_testkit::flows::{FlowOptions, start_gate_replies};

use crate::desktop::Desktop;
use crate::screen::Screen;
use crate::window::Window;

const TITLE: &str = "Countersign";

/// A flow in a file, with a name that has a space in it.
fn flow_file(desktop: &Desktop) -> PathBuf {
    let file = desktop.folder("Night shift Agents.json");
    std::fs::write(&file, start_gate_replies(&FlowOptions::sync())).expect("a file can be written");
    file
}

async fn assert_imported(window: &Window) {
    window.wait_for_text("Imported “Night shift”").await;
    let answer = window.http().get("/api/v1/chatflows").await;
    let flows = answer.json();
    let names: Vec<_> = flows
        .as_array()
        .expect("a list")
        .iter()
        .map(|flow| &flow["name"])
        .collect();
    assert_eq!(names, ["Night shift"], "there is this one flow");
    let id = flows[0]["id"].as_str().expect("an id");
    assert!(
        window.address().await.ends_with(&format!("#/flows/{id}")),
        "and the window shows it"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flow_is_imported_by_the_file_dialog() {
    let desktop = Desktop::without_notifications("file-dialog");
    let file = flow_file(&desktop);
    let window = Window::open(&desktop, &desktop.folder("data"), &[]).await;
    window.go("#/flows").await;

    // Nothing chosen, nothing imported, and the button works again.
    window.click("Import flow").await;
    desktop.wait_for_windows("Import a flow", 1);
    desktop.close_window("Import a flow");
    desktop.wait_for_windows("Import a flow", 0);
    window.click("Import flow").await;
    let dialog = desktop.wait_for_windows("Import a flow", 1).remove(0);
    desktop.xdotool(&["windowactivate", "--sync", &dialog]);
    // A slash opens the line in which a path is typed. It comes a moment later, and no event tells of it: so it is
    // typed twice, and the second time replaces what came of the first.
    let path = file.display().to_string();
    desktop.xdotool(&["type", "--delay", "20", &path]);
    desktop.xdotool(&["key", "ctrl+a"]);
    desktop.xdotool(&["type", "--delay", "20", &path]);
    desktop.picture("file-dialog");
    desktop.xdotool(&["key", "Return"]);

    assert_imported(&window).await;
    desktop.wait_for_windows("Import a flow", 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flow_is_imported_by_dropping_its_file_on_the_window() {
    let desktop = Desktop::without_notifications("drop");
    let file = flow_file(&desktop);
    let window = Window::open(&desktop, &desktop.folder("data"), &[]).await;
    window.go("#/flows").await;
    window.wait_for_text("No flows yet").await;

    let target = desktop.wait_for_windows(TITLE, 1).remove(0);
    let target = target.parse().expect("windows have numbers");
    let screen = Screen::of(&desktop);
    let held = screen.hold_file(target, &file);
    window.wait_for_text("Drop to import").await;
    held.drop_it();

    assert_imported(&window).await;
}
