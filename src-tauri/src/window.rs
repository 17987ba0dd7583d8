//! The inbox window: made when it is wanted, gone when it is closed.
//!
//! A hidden window keeps its web processes and some 280 MiB (measured), a closed one does not, so closing
//! destroys it while the program goes on.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use countersign_app::App;
use countersign_app::view::StatusView;
use countersign_domain::ApprovalId;
use serde::Serialize;
use tauri::webview::NewWindowResponse;
use tauri::{AppHandle, Emitter as _, Manager as _, Url, WebviewUrl, WebviewWindow, WebviewWindowBuilder};
use tauri_plugin_dialog::{DialogExt as _, MessageDialogButtons, MessageDialogKind};

use crate::lifecycle::{self, Lifecycle};
use crate::{dropped, instance, tray_host};

/// The label by which capabilities and events know the window.
pub(crate) const LABEL: &str = "inbox";

/// The event that asks the page to show an approval, or the inbox.
const OPEN_EVENT: &str = "countersign-open";

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

/// Whether the window is on its way out, and what was asked for meanwhile. A window that is being closed is
/// still known to Tauri for a while; whatever is shown in it is gone with it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Closing {
    under_way: bool,
    wanted: Option<Place>,
}

impl Closing {
    fn begins(&mut self) {
        self.under_way = true;
    }

    /// Keeps a place for the next window if this one is being closed; the last one asked for counts.
    fn keeps(&mut self, place: Place) -> bool {
        if self.under_way {
            self.wanted = Some(place);
        }
        self.under_way
    }

    /// The window is gone. What was asked for meanwhile is to be shown now.
    fn ends(&mut self) -> Option<Place> {
        std::mem::take(self).wanted
    }
}

/// The window's state that outlives the window.
pub(crate) struct Inbox {
    /// The name by which a second start finds this program on the session bus.
    bus_name: String,
    /// Where the webview keeps what belongs to the window only, such as the theme.
    kept_in: PathBuf,
    closing: Mutex<Closing>,
    told_about_closing: AtomicBool,
}

impl Inbox {
    /// The state for a program on this data folder, which has this name on the bus if there is one.
    pub(crate) fn new(data_dir: &Path, bus_name: &str) -> Self {
        Self {
            bus_name: bus_name.to_owned(),
            kept_in: data_dir.join("window"),
            closing: Mutex::default(),
            told_about_closing: AtomicBool::default(),
        }
    }

    /// Only for one look or one change, never while a window is touched.
    fn closing<T>(&self, f: impl FnOnce(&mut Closing) -> T) -> T {
        f(&mut self.closing.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Asks whether this desktop shows tray icons, and tells the application.
pub(crate) async fn look_for_tray_host(app: &App) -> bool {
    let present = tray_host::is_present().await;
    app.set_tray_host(Some(present));
    present
}

/// Shows the window, in front, at this place. Returns at once; can be called from anywhere.
pub(crate) fn show(handle: &AppHandle, place: Place) {
    let handle = handle.clone();
    // On the event loop, so that showing, closing and being gone have one order; and as an event of its own,
    // because on some systems a window cannot be made inside the handler of another.
    tauri::async_runtime::spawn(async move {
        let here = handle.clone();
        if let Err(error) = handle.run_on_main_thread(move || show_here(&here, place)) {
            tracing::warn!(%error, "the window cannot be asked for any more");
        }
    });
}

fn show_here(handle: &AppHandle, place: Place) {
    if handle.state::<Lifecycle>().is_ending() {
        return;
    }
    let closing = handle.state::<Inbox>().closing(|closing| closing.keeps(place));
    tracing::debug!(?place, closing, "the window is asked for");
    if closing {
        return;
    }
    let shown = match handle.get_webview_window(LABEL) {
        Some(window) => bring_forward(&window, place),
        None => make(handle, place).and_then(|window| window.set_focus()),
    };
    if let Err(error) = shown {
        tracing::error!(%error, "the window cannot be shown");
    }
}

fn bring_forward(window: &WebviewWindow, place: Place) -> tauri::Result<()> {
    window.unminimize()?;
    window.show()?;
    window.set_focus()?;
    lead(window, place)
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
    let builder = WebviewWindowBuilder::new(handle, LABEL, page);
    // Where the page gets the files that are dropped on it, Tauri's handler would keep them from it.
    let builder = if dropped::TAKEN_HERE {
        builder
    } else {
        builder.disable_drag_drop_handler()
    };
    builder
        .title("Countersign")
        .data_directory(handle.state::<Inbox>().kept_in.clone())
        .inner_size(1180.0, 780.0)
        .min_inner_size(640.0, 480.0)
        .center()
        // What the page shows came in from outside: no link in it may take the window anywhere.
        .on_navigation(|url| {
            let stays = is_own_page(url);
            if !stays {
                // Without the path, which may hold what is nobody's business.
                tracing::warn!(
                    scheme = url.scheme(),
                    host = url.host_str(),
                    "the page may not go there"
                );
            }
            stays
        })
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

/// The window was asked to close, and nothing here ever declines that.
pub(crate) fn close_requested(handle: &AppHandle) {
    tracing::debug!("the window closes");
    handle.state::<Inbox>().closing(Closing::begins);
}

/// The window is gone, and Tauri has forgotten it: what was asked for meanwhile is shown in a new one. Otherwise,
/// where no tray icon shows that the program goes on, a word says so, once, and offers the only other way to
/// quit.
pub(crate) fn destroyed(handle: &AppHandle, app: &App) {
    let inbox = handle.state::<Inbox>();
    let wanted = inbox.closing(Closing::ends);
    if handle.state::<Lifecycle>().is_ending() {
        return;
    }
    if let Some(place) = wanted {
        show(handle, place);
        return;
    }
    if inbox.told_about_closing.load(Ordering::Relaxed) {
        return;
    }
    let (handle, app) = (handle.clone(), app.clone());
    tauri::async_runtime::spawn(async move {
        // Asked again: at the start of a session the panel may come later than this program.
        if look_for_tray_host(&app).await {
            return;
        }
        let bus_name = handle.state::<Inbox>().bus_name.clone();
        let standing = Standing {
            status: app.status(),
            notifications_enabled: app
                .settings()
                .map_or(true, |settings| settings.notifications_enabled),
            on_bus: instance::is_running(&bus_name).await,
        };
        explain(&handle, &standing);
    });
}

/// What decides how the program goes on without its window.
struct Standing {
    status: StatusView,
    notifications_enabled: bool,
    /// Whether a second start finds it on the session bus.
    on_bus: bool,
}

/// What goes on without the window, and how to come back to it.
fn farewell(standing: &Standing) -> String {
    let status = &standing.status;
    let listens = match (&status.address, &status.address_problem) {
        (Some(_), _) => "Countersign keeps listening".to_owned(),
        (None, Some(problem)) => format!("Countersign does not listen: {problem} It goes on"),
        (None, None) => "Countersign goes on".to_owned(),
    };
    let asks = if !standing.notifications_enabled {
        ". Questions wait in the inbox, because notifications are switched off"
    } else if status.notifications.available {
        " and asks by notification"
    } else {
        ". Questions wait in the inbox, because nothing shows notifications here"
    };
    // A second start finds this program on the bus or where it listens.
    let back = if standing.on_bus || status.address.is_some() {
        "so start Countersign again whenever you want to see the inbox"
    } else {
        "and a second start cannot reach it while it does not listen. To see the inbox then, quit it and start it again"
    };
    format!("{listens}{asks}. This desktop shows no tray icons, {back}.")
}

fn explain(handle: &AppHandle, standing: &Standing) {
    let told = &handle.state::<Inbox>().told_about_closing;
    if handle.state::<Lifecycle>().is_ending()
        || handle.get_webview_window(LABEL).is_some()
        || told.swap(true, Ordering::Relaxed)
    {
        return;
    }
    let quit = handle.clone();
    handle
        .dialog()
        .message(farewell(standing))
        .title("Countersign goes on without its window")
        .kind(MessageDialogKind::Info)
        .buttons(MessageDialogButtons::OkCancelCustom(
            "Quit".to_owned(),
            "Keep running".to_owned(),
        ))
        // Closing the question counts as the second button: silence changes nothing.
        .show(move |wants_to_quit| {
            if wants_to_quit {
                lifecycle::quit(&quit);
            } else {
                tracing::info!("goes on without a window");
            }
        });
}

#[cfg(test)]
mod tests {
    use super::{Closing, Open, Place, Standing, farewell, is_own_page};

    #[test]
    fn what_is_asked_for_while_the_window_closes_is_kept_until_it_is_gone() {
        let mut closing = Closing::default();
        assert!(!closing.keeps(Place::Inbox), "an open window is used");
        closing.begins();
        assert!(closing.keeps(Place::Inbox), "one that is being closed is not");
        assert!(closing.keeps(Place::Settings), "however often it is asked for");
        assert_eq!(
            closing.ends(),
            Some(Place::Settings),
            "the last wish is shown then"
        );
        assert!(!closing.keeps(Place::Inbox), "and the next window is a new one");
        closing.begins();
        assert_eq!(closing.ends(), None, "nobody asked this time");
    }

    #[test]
    fn what_is_said_at_closing_is_true() {
        let said = |address: bool, notifications: bool, notifications_enabled, on_bus| {
            let status = serde_json::json!({
                "address": address.then_some("127.0.0.1:8420"),
                "addressProblem": (!address).then_some("Port 8420 is taken by another program. It is tried again."),
                "pending": 0, "failingCallbacks": 0,
                "notifications": { "available": notifications, "server": null, "buttons": true, "reply": false, "note": null },
                "storageProblem": null, "storageRepairs": [], "storageDamage": [],
                "trayHost": false, "version": "1", "hasFlows": true,
            });
            farewell(&Standing {
                status: serde_json::from_value(status).expect("a status"),
                notifications_enabled,
                on_bus,
            })
        };
        for on_bus in [true, false] {
            let text = said(true, on_bus, true, on_bus);
            assert!(text.starts_with("Countersign keeps listening"), "{text}");
            assert_eq!(text.contains("asks by notification"), on_bus, "{text}");
            assert_eq!(
                text.contains("nothing shows notifications here"),
                !on_bus,
                "{text}"
            );
            assert!(
                text.contains("start Countersign again whenever"),
                "either way: {text}"
            );
        }
        let text = said(true, true, false, true);
        assert!(
            text.contains("switched off") && !text.contains("asks by"),
            "{text}"
        );
        let text = said(false, true, true, true);
        assert!(
            text.contains("does not listen: Port 8420 is taken")
                && text.contains("start Countersign again whenever"),
            "the bus leads to it: {text}"
        );
        let text = said(false, false, true, false);
        assert!(
            text.contains("cannot reach it") && !text.contains("whenever"),
            "nothing leads to it: {text}"
        );
    }

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
        let router = std::fs::read_to_string(countersign_testkit::checkout().join("ui/src/shell/router.ts"))
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
