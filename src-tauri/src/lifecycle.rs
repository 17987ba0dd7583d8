//! How the program starts, stays and ends. The rules are pure functions; what acts on them is below.

use std::future::Future;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use countersign_app::{App, StartError};
use tauri::{AppHandle, Manager as _};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The exit code when another copy works on the same data folder.
pub(crate) const IN_USE: u8 = 3;

/// The longest that each half of an ending may take: first the server, then the application.
const LONGEST: Duration = Duration::from_secs(8);

/// Whether the window is there from the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// With the window.
    Visible,
    /// With the tray icon only.
    Hidden,
}

/// A hidden start needs something to come back from: without a tray it would look like a failed one.
pub(crate) fn at_start(hidden_wanted: bool, tray_host: bool) -> Start {
    if hidden_wanted && tray_host {
        Start::Hidden
    } else {
        Start::Visible
    }
}

/// Whether a request to exit is declined. Closing the last window raises one without a code, and closing
/// keeps the program running; Quit and signals carry a code.
pub(crate) fn keeps_running(code: Option<i32>) -> bool {
    code.is_none()
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OnSignal {
    /// The same orderly ending as Quit.
    End,
    /// Out, now. What was acknowledged is on disk anyway.
    Now,
}

/// The second signal means that somebody does not want to wait.
fn on_signal(ending: bool) -> OnSignal {
    if ending { OnSignal::Now } else { OnSignal::End }
}

/// The exit code of a start that failed.
pub(crate) fn exit_code_of(error: Option<&StartError>) -> u8 {
    match error {
        Some(StartError::InUse(_)) => IN_USE,
        _ => 1,
    }
}

/// There is no desktop to be on.
#[derive(Debug, thiserror::Error)]
#[error(
    "there is no display: neither DISPLAY nor WAYLAND_DISPLAY is set. `countersign serve` works without one \
     and shows the inbox in a browser"
)]
pub(crate) struct NoDisplay;

/// Refuses to start where no window can be shown, because the toolkit would only crash.
pub(crate) fn require_display(environment: impl Fn(&str) -> Option<String>) -> Result<(), NoDisplay> {
    let set = |name: &str| environment(name).is_some_and(|value| !value.is_empty());
    if !cfg!(target_os = "linux") || set("DISPLAY") || set("WAYLAND_DISPLAY") {
        Ok(())
    } else {
        Err(NoDisplay)
    }
}

/// Waits for a step of the ending, but not for ever.
pub(crate) async fn bounded(step: impl Future<Output = ()>) {
    if !ends_within(LONGEST, step).await {
        tracing::warn!("a part of the program did not end in time and is left behind");
    }
}

async fn ends_within(limit: Duration, step: impl Future<Output = ()>) -> bool {
    tokio::time::timeout(limit, step).await.is_ok()
}

/// The server and the ending of the program.
#[derive(Default)]
pub(crate) struct Lifecycle {
    ending: AtomicBool,
    stop_server: watch::Sender<bool>,
    server: Mutex<Option<JoinHandle<()>>>,
}

impl Lifecycle {
    /// Starts listening for webhooks.
    pub(crate) fn serve(&self, app: App) {
        let task = tauri::async_runtime::handle()
            .inner()
            .spawn(crate::listen::serve(app, self.stop_server.subscribe()));
        *self
            .server
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = Some(task);
    }

    /// Whether the ending has begun.
    pub(crate) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::SeqCst)
    }

    /// The orderly ending: no new webhooks, those under way finish, then the application closes.
    async fn end(&self, app: Option<App>) {
        self.stop_server.send_replace(true);
        let server = self
            .server
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .take();
        if let Some(server) = server {
            bounded(async {
                let _ = server.await;
            })
            .await;
        }
        if let Some(app) = app {
            bounded(app.shutdown()).await;
        }
    }
}

/// Ends the program in order, once; a second call is ignored.
pub(crate) fn quit(handle: &AppHandle) {
    if handle.state::<Lifecycle>().ending.swap(true, Ordering::SeqCst) {
        return;
    }
    let handle = handle.clone();
    tauri::async_runtime::spawn(async move {
        let app = handle.try_state::<App>().map(|app| app.inner().clone());
        handle.state::<Lifecycle>().end(app).await;
        handle.exit(0);
    });
}

/// Ends the program on SIGTERM and SIGINT, which Tauri does not do: at the end of a session and under
/// service managers these are how a program is told. SIGUSR1 is left to WebKit's garbage collector.
#[cfg(unix)]
pub(crate) fn end_on_signals(handle: &AppHandle) {
    use tokio::signal::unix::{SignalKind, signal};

    let handle = handle.clone();
    tauri::async_runtime::spawn(async move {
        let (mut terminate, mut interrupt) =
            match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
                (Ok(terminate), Ok(interrupt)) => (terminate, interrupt),
                (Err(error), _) | (_, Err(error)) => {
                    tracing::warn!(%error, "signals cannot be heard; use Quit to end in order");
                    return;
                }
            };
        loop {
            let number = tokio::select! {
                _ = terminate.recv() => SignalKind::terminate().as_raw_value(),
                _ = interrupt.recv() => SignalKind::interrupt().as_raw_value(),
            };
            match on_signal(handle.state::<Lifecycle>().is_ending()) {
                OnSignal::End => quit(&handle),
                OnSignal::Now => std::process::exit(128 + number),
            }
        }
    });
}

/// Windows ends programs through their windows.
#[cfg(not(unix))]
pub(crate) fn end_on_signals(_handle: &AppHandle) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hidden_start_needs_a_tray_to_come_back_from() {
        assert_eq!(at_start(true, true), Start::Hidden, "wanted and possible");
        assert_eq!(
            at_start(true, false),
            Start::Visible,
            "without a tray nobody would find the window"
        );
        assert_eq!(
            at_start(false, true),
            Start::Visible,
            "nobody asked for a hidden start"
        );
    }

    #[test]
    fn closing_the_window_keeps_the_program_and_quit_does_not() {
        assert!(keeps_running(None), "the last window was closed");
        assert!(!keeps_running(Some(0)), "Quit");
        assert!(!keeps_running(Some(1)), "an exit with an error");
    }

    #[test]
    fn the_second_signal_does_not_wait() {
        assert_eq!(on_signal(false), OnSignal::End, "the first one ends in order");
        assert_eq!(on_signal(true), OnSignal::Now, "the second one is impatient");
    }

    #[test]
    fn a_folder_in_use_has_its_own_exit_code() {
        assert_eq!(
            exit_code_of(Some(&StartError::InUse("in use".to_owned()))),
            3,
            "scripts can tell it apart"
        );
        assert_eq!(exit_code_of(None), 1, "everything else is a plain failure");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_start_without_a_display_points_to_the_headless_host() {
        let only = |wanted: &'static str| move |name: &str| (name == wanted).then(|| ":1".to_owned());
        require_display(only("DISPLAY")).expect("X11 is a display");
        require_display(only("WAYLAND_DISPLAY")).expect("Wayland is one");
        let refusal = require_display(|_| Some(String::new())).expect_err("empty means not set");
        assert!(
            refusal.to_string().contains("countersign serve"),
            "there is a way to go on: {refusal}"
        );
    }

    #[tokio::test]
    async fn an_ending_never_hangs() {
        assert!(ends_within(LONGEST, async {}).await, "what is done is done");
        assert!(
            !ends_within(Duration::from_millis(20), std::future::pending()).await,
            "what hangs is left behind"
        );
    }
}
