//! What happened in the application, told to the window and the tray.

use std::time::Duration;

use countersign_app::view::EventView;
use countersign_app::{App, OpenRequest};
use tauri::{AppHandle, Emitter as _, Manager as _};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::tray::Tray;
use crate::window::{self, Place};

/// The event that carries an [`EventView`] to the window.
const EVENT: &str = "countersign-event";

/// The tray follows at most this often, so that a burst does not redraw it for each approval.
const TRAY_PACE: Duration = Duration::from_millis(200);

/// Starts the three listeners: events for the window, the tray's state, and requests to open an approval.
pub(crate) fn forward(handle: &AppHandle, app: &App) {
    tauri::async_runtime::spawn(to_window(handle.clone(), app.clone()));
    tauri::async_runtime::spawn(to_tray(handle.clone(), app.clone()));
    tauri::async_runtime::spawn(open(handle.clone(), app.open_requests()));
}

async fn to_window(handle: AppHandle, app: App) {
    let mut events = app.subscribe();
    loop {
        match events.recv().await {
            Ok(event) => tell(&handle, &event),
            // What was missed is not known, so the window looks at everything again.
            Err(RecvError::Lagged(_)) => {
                if let Err(error) = window::reload(&handle) {
                    tracing::warn!(%error, "the window could not be refreshed");
                }
            }
            Err(RecvError::Closed) => return,
        }
    }
}

fn tell(handle: &AppHandle, event: &EventView) {
    // Without a window nobody listens, and it looks at everything when it opens.
    if let Err(error) = handle.emit_to(window::LABEL, EVENT, event) {
        tracing::warn!(%error, "the window did not hear of a change");
    }
}

async fn to_tray(handle: AppHandle, app: App) {
    let mut events = app.subscribe();
    loop {
        if matches!(events.recv().await, Err(RecvError::Closed)) {
            return;
        }
        tokio::time::sleep(TRAY_PACE).await;
        events = events.resubscribe();
        if let Some(tray) = handle.try_state::<Tray>() {
            tray.show(&app.status());
        }
    }
}

async fn open(handle: AppHandle, mut requests: Receiver<OpenRequest>) {
    loop {
        match requests.recv().await {
            Ok(request) => window::show(&handle, request.approval.map_or(Place::Inbox, Place::Approval)),
            Err(RecvError::Lagged(_)) => window::show(&handle, Place::Inbox),
            Err(RecvError::Closed) => return,
        }
    }
}
