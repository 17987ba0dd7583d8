//! The tray icon: what waits, at a glance, and the way to the window and out.
//!
//! On Linux a tray icon has a menu and nothing else: no click, no tooltip. So the first entry opens the
//! inbox and carries the count. Handles are kept and their text and picture changed; the menu is never
//! rebuilt, because an open one would close under the pointer.

use std::sync::{Mutex, PoisonError};

use countersign_app::view::StatusView;
use tauri::image::Image;
use tauri::menu::{Menu, MenuEvent, MenuItem, PredefinedMenuItem};
use tauri::tray::{MouseButton, MouseButtonState, TrayIcon, TrayIconBuilder, TrayIconEvent};
use tauri::{AppHandle, Wry};

use crate::lifecycle;
use crate::window::{self, Place};

const INBOX: &str = "inbox";
const SETTINGS: &str = "settings";
const QUIT: &str = "quit";

/// The three pictures. They differ in shape, not only in colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Picture {
    /// Nothing waits: an outlined square with a check mark.
    Idle,
    /// Something waits: a filled square with a dot.
    Waiting,
    /// Something is wrong: a triangle.
    Trouble,
}

impl Picture {
    fn image(self) -> Image<'static> {
        match self {
            Self::Idle => tauri::include_image!("src-tauri/icons/tray-idle.png"),
            Self::Waiting => tauri::include_image!("src-tauri/icons/tray-waiting.png"),
            Self::Trouble => tauri::include_image!("src-tauri/icons/tray-trouble.png"),
        }
    }
}

/// What the tray shows.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Face {
    picture: Picture,
    inbox: String,
    state: String,
}

/// What of the status matters here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Facts {
    pending: u32,
    failing_callbacks: u32,
    address: Option<String>,
    not_listening: bool,
    storage_failed: bool,
}

impl From<&StatusView> for Facts {
    fn from(status: &StatusView) -> Self {
        Self {
            pending: status.pending,
            failing_callbacks: status.failing_callbacks,
            address: status.address.clone(),
            not_listening: status.address_problem.is_some(),
            storage_failed: status.storage_problem.is_some(),
        }
    }
}

/// What the tray is to show for this status. Trouble wins over waiting: the count is in the text anyway.
fn face(status: &Facts) -> Face {
    let inbox = match status.pending {
        0 => "Show inbox".to_owned(),
        waiting => format!("Show inbox ({waiting})"),
    };
    let trouble = if status.storage_failed {
        Some("Storage failed: no work is taken".to_owned())
    } else if status.not_listening {
        Some("Not listening for webhooks".to_owned())
    } else {
        match status.failing_callbacks {
            0 => None,
            1 => Some("1 callback is not delivered yet".to_owned()),
            failing => Some(format!("{failing} callbacks are not delivered yet")),
        }
    };
    let picture = match (&trouble, status.pending) {
        (Some(_), _) => Picture::Trouble,
        (None, 0) => Picture::Idle,
        (None, _) => Picture::Waiting,
    };
    let state = trouble.unwrap_or_else(|| match &status.address {
        Some(address) => format!("Listening on {address}"),
        None => "Starting".to_owned(),
    });
    Face {
        picture,
        inbox,
        state,
    }
}

/// The icon with the handles that change.
pub(crate) struct Tray {
    icon: TrayIcon<Wry>,
    inbox: MenuItem<Wry>,
    state: MenuItem<Wry>,
    shown: Mutex<Face>,
}

impl Tray {
    /// Follows the status; does nothing if it looks the same.
    pub(crate) fn show(&self, status: &StatusView) {
        let next = face(&status.into());
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if *shown == next {
            return;
        }
        if let Err(error) = self.change(&shown, &next) {
            tracing::warn!(%error, "the tray icon could not be changed");
        }
        *shown = next;
    }

    fn change(&self, shown: &Face, next: &Face) -> tauri::Result<()> {
        if shown.inbox != next.inbox {
            self.inbox.set_text(&next.inbox)?;
        }
        if shown.state != next.state {
            self.state.set_text(&next.state)?;
        }
        if shown.picture != next.picture {
            self.icon.set_icon(Some(next.picture.image()))?;
        }
        self.icon
            .set_tooltip(Some(format!("Countersign: {}", next.state)))
    }
}

/// Makes the icon.
pub(crate) fn build(handle: &AppHandle, status: &StatusView) -> tauri::Result<Tray> {
    let shown = face(&status.into());
    let inbox = MenuItem::with_id(handle, INBOX, &shown.inbox, true, None::<&str>)?;
    let state = MenuItem::with_id(handle, "state", &shown.state, false, None::<&str>)?;
    let settings = MenuItem::with_id(handle, SETTINGS, "Settings", true, None::<&str>)?;
    let quit = MenuItem::with_id(handle, QUIT, "Quit", true, None::<&str>)?;
    let line = || PredefinedMenuItem::separator(handle);
    let menu = Menu::with_items(handle, &[&inbox, &state, &line()?, &settings, &line()?, &quit])?;
    let icon = TrayIconBuilder::with_id("countersign")
        .icon(shown.picture.image())
        .tooltip("Countersign")
        .title("Countersign")
        .menu(&menu)
        .show_menu_on_left_click(cfg!(target_os = "macos"))
        .on_menu_event(on_menu)
        .on_tray_icon_event(|tray, event| {
            if is_left_click(&event) && !cfg!(target_os = "macos") {
                window::show(tray.app_handle(), Place::Inbox);
            }
        })
        .build(handle)?;
    Ok(Tray {
        icon,
        inbox,
        state,
        shown: Mutex::new(shown),
    })
}

/// Whether an event is a finished click with the left button. Linux reports none.
fn is_left_click(event: &TrayIconEvent) -> bool {
    matches!(
        event,
        TrayIconEvent::Click {
            button: MouseButton::Left,
            button_state: MouseButtonState::Up,
            ..
        }
    )
}

fn on_menu(handle: &AppHandle, event: MenuEvent) {
    match event.id().as_ref() {
        INBOX => window::show(handle, Place::Inbox),
        SETTINGS => window::show(handle, Place::Settings),
        QUIT => lifecycle::quit(handle),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::{Facts, Picture, face};

    fn facts() -> Facts {
        Facts {
            address: Some("127.0.0.1:8420".to_owned()),
            ..Facts::default()
        }
    }

    #[test]
    fn the_count_is_in_the_first_entry_and_only_if_something_waits() {
        let idle = face(&facts());
        assert_eq!(
            (idle.inbox.as_str(), idle.picture),
            ("Show inbox", Picture::Idle),
            "nothing waits"
        );
        assert_eq!(
            idle.state, "Listening on 127.0.0.1:8420",
            "the state is said in words"
        );
        let waiting = face(&Facts {
            pending: 3,
            ..facts()
        });
        assert_eq!(
            (waiting.inbox.as_str(), waiting.picture),
            ("Show inbox (3)", Picture::Waiting),
            "three wait"
        );
    }

    #[test]
    fn trouble_is_shown_and_named_and_hides_no_count() {
        let taken = face(&Facts {
            not_listening: true,
            pending: 2,
            ..facts()
        });
        assert_eq!(taken.picture, Picture::Trouble, "trouble wins over waiting");
        assert_eq!(taken.inbox, "Show inbox (2)", "the count stays");
        assert_eq!(
            taken.state, "Not listening for webhooks",
            "and it says which trouble"
        );
        let one = face(&Facts {
            failing_callbacks: 1,
            ..facts()
        });
        assert_eq!(one.state, "1 callback is not delivered yet", "one is one");
        let storage = face(&Facts {
            storage_failed: true,
            failing_callbacks: 4,
            ..facts()
        });
        assert_eq!(
            storage.state, "Storage failed: no work is taken",
            "the worst is named first"
        );
    }
}
