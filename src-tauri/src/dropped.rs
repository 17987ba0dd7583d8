//! Files that are dropped on the window.
//!
//! WebKitGTK keeps dropped files from pages: since the fix of CVE-2025-13947 a page sees that an address is
//! held over it and never the file (WebKit's bugs 271957 and 320301). So on Linux the program takes the drop,
//! reads the files and gives them to the page as the drop that other engines give it themselves.

use std::path::PathBuf;

use countersign_app::view::FlowImport;
use serde_json::json;
use tauri::{AppHandle, DragDropEvent, Manager as _};
use tauri_plugin_dialog::{DialogExt as _, MessageDialogKind};

use crate::commands::flows;
use crate::window;

/// Whether the program takes drops rather than the page.
pub(crate) const TAKEN_HERE: bool = cfg!(target_os = "linux");

/// Tells the page what is held over it or dropped on it.
pub(crate) fn on_event(handle: &AppHandle, event: &DragDropEvent) {
    match event {
        // What is held is not read yet; that it is a file is enough for the page to say where to drop it.
        DragDropEvent::Enter { paths, .. } if !paths.is_empty() => tell(handle, "dragenter", &[nothing()]),
        DragDropEvent::Leave => tell(handle, "dragleave", &[nothing()]),
        DragDropEvent::Drop { paths, .. } => {
            tauri::async_runtime::spawn(read_and_tell(handle.clone(), paths.clone()));
        }
        _ => {}
    }
}

fn nothing() -> FlowImport {
    FlowImport {
        name: String::new(),
        flow_data: String::new(),
    }
}

async fn read_and_tell(handle: AppHandle, paths: Vec<PathBuf>) {
    let mut files = Vec::new();
    let mut refused = Vec::new();
    for path in paths {
        match flows::read_file(path).await {
            Ok(file) => files.push(file),
            Err(error) => refused.push(error.message),
        }
    }
    tell(&handle, "drop", &files);
    if !refused.is_empty() {
        handle
            .dialog()
            .message(refused.join("\n"))
            .title("Not imported")
            .kind(MessageDialogKind::Error)
            .show(|_| {});
    }
}

fn tell(handle: &AppHandle, event: &str, files: &[FlowImport]) {
    let Some(window) = handle.get_webview_window(window::LABEL) else {
        return;
    };
    if let Err(error) = window.eval(script(event, files)) {
        tracing::warn!(%error, "the page did not hear of a drop");
    }
}

/// The event as a browser makes it. Names and contents are only ever JSON inside, so they stay data.
fn script(event: &str, files: &[FlowImport]) -> String {
    let files: Vec<_> = files.iter().map(|file| [&file.name, &file.flow_data]).collect();
    format!(
        "{{ const dataTransfer = new DataTransfer(); \
         for (const [name, text] of {}) dataTransfer.items.add(new File([text], name)); \
         document.body.dispatchEvent(new DragEvent({}, {{ bubbles: true, cancelable: true, dataTransfer }})); }}",
        json!(files),
        json!(event),
    )
}

#[cfg(test)]
mod tests {
    use super::{FlowImport, script};

    #[test]
    fn what_is_in_a_file_or_its_name_stays_data() {
        let file = FlowImport {
            name: "\"]]) alert(1); //.json".to_owned(),
            flow_data: "\\\"\n`${alert(2)}`".to_owned(),
        };
        let script = script("drop", &[file]);
        assert!(
            script.contains(r#"[["\"]]) alert(1); //.json","\\\"\n`${alert(2)}`"]]"#),
            "quotes, backslashes and line ends are written as JSON writes them: {script}"
        );
    }
}
