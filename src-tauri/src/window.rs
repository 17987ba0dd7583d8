//! The inbox window: made when it is wanted, gone when it is closed.
//!
//! A hidden window keeps its web processes and some 280 MiB (measured), a closed one does not, so closing
//! destroys it while the program goes on.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use countersign_app::App;
use countersign_domain::ApprovalId;
use serde::Serialize;
use tauri::webview::NewWindowResponse;
use tauri::{AppHandle, Emitter as _, Manager as _, Url, WebviewUrl, WebviewWindow, WebviewWindowBuilder};
use tauri_plugin_dialog::{DialogExt as _, MessageDialogButtons, MessageDialogKind};

use crate::lifecycle::{self, Lifecycle};
use crate::tray_host;

/// The label by which capabilities and events know the window.
pub(crate) const LABEL: &str = "inbox";

/// The event that asks the page to show an approval, or the inbox.
const OPEN_EVENT: &str = "countersign-open";

/// The longest that a window takes to be gone once it is being closed.
const CLOSING_TAKES: Duration = Duration::from_secs(5);

/// A place in the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// What waits.
    Inbox,
    /// One question.
    Approval(ApprovalId),
    /// The settings panel.
    Settings,
}

impl Place {
    /// The address in the page, as its router writes it. Only fixed words and ids, so it is safe inside a URL and a script.
    fn fragment(self) -> String {
        match self {
            Self::Inbox => "#/inbox".to_owned(),
            Self::Approval(id) => format!("#/inbox/{id}"),
            Self::Settings => "#/settings".to_owned(),
        }
    }
}

/// What [`OPEN_EVENT`] carries.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
struct Open {
    /// The approval; the inbox if absent.
    approval_id: Option<ApprovalId>,
}

/// The window's state that outlives the window.
pub(crate) struct Inbox {
    /// Where the webview keeps what belongs to the window only, such as the theme.
    kept_in: PathBuf,
    /// Whether the window is being closed. Held while one is shown or made, so that this happens one at a time.
    closing: Mutex<bool>,
    /// Told when it is gone.
    gone: Condvar,
    no_tray_host: AtomicBool,
    told_about_closing: AtomicBool,
}

impl Inbox {
    /// The state for a program on this data folder.
    pub(crate) fn new(data_dir: &Path) -> Self {
        Self {
            kept_in: data_dir.join("window"),
            closing: Mutex::default(),
            gone: Condvar::new(),
            no_tray_host: AtomicBool::default(),
            told_about_closing: AtomicBool::default(),
        }
    }

    /// Asks whether this desktop shows tray icons, and remembers the answer.
    pub(crate) async fn look_for_tray_host(&self, app: &App) -> bool {
        let present = tray_host::is_present().await;
        self.no_tray_host.store(!present, Ordering::Relaxed);
        app.set_tray_host(Some(present));
        present
    }

    fn set_closing(&self, closing: bool) {
        *self.closing.lock().unwrap_or_else(PoisonError::into_inner) = closing;
        self.gone.notify_all();
    }

    /// Waits until no window is being closed. The guard keeps others from showing one meanwhile.
    fn settled(&self) -> MutexGuard<'_, bool> {
        let closing = self.closing.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .gone
            .wait_timeout_while(closing, CLOSING_TAKES, |closing| *closing);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Shows the window, in front, at this place. Returns at once; can be called from anywhere.
pub(crate) fn show(handle: &AppHandle, place: Place) {
    if handle.state::<Lifecycle>().is_ending() {
        return;
    }
    let handle = handle.clone();
    // On some systems a window cannot be made inside an event's handler, so never there.
    tauri::async_runtime::spawn_blocking(move || {
        if let Err(error) = show_now(&handle, place)
            && !handle.state::<Lifecycle>().is_ending()
        {
            tracing::error!(%error, "the window cannot be shown");
        }
    });
}

fn show_now(handle: &AppHandle, place: Place) -> tauri::Result<()> {
    let inbox = handle.state::<Inbox>();
    // A window that is being closed is still known for a moment; what was shown in it would be gone.
    let _one_at_a_time = inbox.settled();
    match handle.get_webview_window(LABEL) {
        Some(window) => {
            window.unminimize()?;
            window.show()?;
            window.set_focus()?;
            lead(&window, place)
        }
        None => make(handle, place)?.set_focus(),
    }
}

/// Leads the page of a window that is there already. The address is changed by script because loading it
/// again would lose a note that is being typed; a page that still loads takes it up as well.
fn lead(window: &WebviewWindow, place: Place) -> tauri::Result<()> {
    match place {
        Place::Inbox => window.emit(OPEN_EVENT, Open { approval_id: None }),
        Place::Approval(id) => {
            go(window, place)?;
            window.emit(
                OPEN_EVENT,
                Open {
                    approval_id: Some(id),
                },
            )
        }
        Place::Settings => go(window, place),
    }
}

fn go(window: &WebviewWindow, place: Place) -> tauri::Result<()> {
    window.eval(format!("window.location.hash = \"{}\"", place.fragment()))
}

fn make(handle: &AppHandle, place: Place) -> tauri::Result<WebviewWindow> {
    let page = WebviewUrl::App(format!("index.html{}", place.fragment()).into());
    WebviewWindowBuilder::new(handle, LABEL, page)
        .title("Countersign")
        .data_directory(handle.state::<Inbox>().kept_in.clone())
        .inner_size(1180.0, 780.0)
        .min_inner_size(640.0, 480.0)
        .center()
        // Files are dropped on the page itself, which Tauri's own handler would keep from it.
        .disable_drag_drop_handler()
        // What the page shows came in from outside: no link in it may take the window anywhere.
        .on_navigation(is_own_page)
        .on_new_window(|_, _| NewWindowResponse::Deny)
        .build()
}

/// Whether a page is one of ours: `tauri://localhost`, and on Windows `http://tauri.localhost`.
fn is_own_page(url: &Url) -> bool {
    match url.scheme() {
        "tauri" => url.host_str() == Some("localhost"),
        "http" | "https" => cfg!(windows) && url.host_str() == Some("tauri.localhost"),
        _ => false,
    }
}

/// Loads the page again, for a window that missed something.
pub(crate) fn reload(handle: &AppHandle) -> tauri::Result<()> {
    handle
        .get_webview_window(LABEL)
        .map_or(Ok(()), |window| window.reload())
}

/// The window is about to be closed.
pub(crate) fn closing(handle: &AppHandle) {
    handle.state::<Inbox>().set_closing(true);
}

/// The window was closed. Where no tray icon shows that the program goes on, a word says so, once, and
/// offers the only other way to quit.
pub(crate) fn closed(handle: &AppHandle) {
    let inbox = handle.state::<Inbox>();
    inbox.set_closing(false);
    if handle.state::<Lifecycle>().is_ending()
        || !inbox.no_tray_host.load(Ordering::Relaxed)
        || inbox.told_about_closing.swap(true, Ordering::Relaxed)
    {
        return;
    }
    let quit = handle.clone();
    handle
        .dialog()
        .message(
            "Countersign keeps listening and asks by notification. This desktop shows no tray icons, so start \
             Countersign again whenever you want to see the inbox.",
        )
        .title("Countersign goes on without its window")
        .kind(MessageDialogKind::Info)
        .buttons(MessageDialogButtons::OkCancelCustom("Quit".to_owned(), "Keep running".to_owned()))
        // Closing the question counts as the second button: silence changes nothing.
        .show(move |wants_to_quit| {
            if wants_to_quit {
                lifecycle::quit(&quit);
            }
        });
}

#[cfg(test)]
mod tests {
    use super::{Open, Place, is_own_page};

    #[test]
    fn the_window_stays_on_its_own_pages() {
        let own = |url: &str| is_own_page(&url.parse().expect("a URL"));
        assert!(own("tauri://localhost/index.html"), "the page itself");
        assert_eq!(
            own("http://tauri.localhost/"),
            cfg!(windows),
            "how Windows writes it"
        );
        for url in [
            "https://example.org/",
            "tauri://example.org/",
            "file:///etc/passwd",
            "http://127.0.0.1:8420/",
        ] {
            assert!(!own(url), "{url} is not ours");
        }
    }

    #[test]
    fn places_have_the_addresses_of_the_pages_router() {
        let id: countersign_domain::ApprovalId =
            "0192f0c1-7b1e-7c3a-9d55-0a1b2c3d4e5f".parse().expect("an id");
        assert_eq!(
            Place::Approval(id).fragment(),
            "#/inbox/0192f0c1-7b1e-7c3a-9d55-0a1b2c3d4e5f",
            "one question"
        );
        let router = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/ui/src/shell/router.ts"))
            .expect("the router of the page");
        for place in [Place::Inbox, Place::Settings] {
            let page = place.fragment().replace("#/", "");
            assert!(router.contains(&format!("\"{page}\"")), "the router knows {page}");
        }
    }

    #[test]
    fn the_page_is_told_in_the_agreed_words() {
        let nothing = serde_json::to_string(&Open { approval_id: None }).expect("JSON");
        assert_eq!(
            nothing, r#"{"approvalId":null}"#,
            "the UI reads approvalId, null for the inbox"
        );
    }
}
