//! Flows: importing, replacing and deleting them, their secrets, and choosing a file.

use std::path::{Path, PathBuf};

use countersign_app::view::{
    FlowImport, FlowStart, FlowSummary, FlowView, MovedSecretsView, RunSummary, ScheduleChange, ScheduleView,
};
use countersign_app::{App, Error, ErrorCode, RunPolicy};
use tauri::{State, WebviewWindow};
use tauri_plugin_dialog::{DialogExt as _, FilePath};

use super::{Answer, refusal};

/// No exported flow comes near this.
const LARGEST_FILE: u64 = 50 * 1024 * 1024;

#[tauri::command(async)]
#[tracing::instrument(skip_all)]
pub(crate) fn list_flows(app: State<'_, App>) -> Answer<Vec<FlowSummary>> {
    app.flow_summaries().map_err(refusal)
}

#[tauri::command(async)]
#[tracing::instrument(skip(app))]
pub(crate) fn get_flow(app: State<'_, App>, id: String) -> Answer<FlowView> {
    app.flow(&id).map_err(refusal)
}

#[tauri::command]
#[tracing::instrument(skip_all)]
pub(crate) async fn import_flow(app: State<'_, App>, name: String, flow_data: String) -> Answer<FlowView> {
    app.import_flow(&flow_data, Some(&name)).await.map_err(refusal)
}

#[tauri::command]
#[tracing::instrument(skip(app, name, flow_data))]
pub(crate) async fn replace_flow(
    app: State<'_, App>,
    id: String,
    name: Option<String>,
    flow_data: Option<String>,
) -> Answer<FlowView> {
    app.replace_flow(&id, flow_data.as_deref(), name.as_deref())
        .await
        .map_err(refusal)
}

#[tauri::command]
#[tracing::instrument(skip(app))]
pub(crate) async fn delete_flow(app: State<'_, App>, id: String) -> Answer<()> {
    app.delete_flow(&id).await.map_err(refusal)
}

#[tauri::command]
#[tracing::instrument(skip(app))]
pub(crate) async fn create_webhook_secret(app: State<'_, App>, id: String) -> Answer<String> {
    app.create_webhook_secret(&id).await.map_err(refusal)
}

#[tauri::command]
#[tracing::instrument(skip(app))]
pub(crate) async fn delete_webhook_secret(app: State<'_, App>, id: String) -> Answer<()> {
    app.delete_webhook_secret(&id).await.map_err(refusal)
}

#[tauri::command]
#[tracing::instrument(skip(app))]
pub(crate) async fn move_flow_secrets(app: State<'_, App>, id: String) -> Answer<MovedSecretsView> {
    app.move_flow_secrets(&id).await.map_err(refusal)
}

#[tauri::command(async)]
#[tracing::instrument(skip(app))]
pub(crate) fn get_flow_policy(app: State<'_, App>, id: String) -> Answer<RunPolicy> {
    app.flow_policy(&id).map_err(refusal)
}

#[tauri::command]
#[tracing::instrument(skip(app, policy))]
pub(crate) async fn set_flow_policy(app: State<'_, App>, id: String, policy: RunPolicy) -> Answer<RunPolicy> {
    app.set_flow_policy(&id, policy).await.map_err(refusal)
}

#[tauri::command]
#[tracing::instrument(skip(app, change))]
pub(crate) async fn change_flow_schedule(
    app: State<'_, App>,
    id: String,
    change: ScheduleChange,
) -> Answer<ScheduleView> {
    app.change_flow_schedule(&id, change).await.map_err(refusal)
}

#[tauri::command]
#[tracing::instrument(skip(app, start))]
pub(crate) async fn start_flow(app: State<'_, App>, id: String, start: FlowStart) -> Answer<RunSummary> {
    app.start_flow(&id, start).await.map_err(refusal)
}

/// Lets the person choose a file; `null` if they chose none. `name` is the file's name. The dialog is opened here, so
/// the page needs no right to open dialogs or to read files.
#[tauri::command]
#[tracing::instrument(skip_all)]
pub(crate) async fn pick_flow_file(window: WebviewWindow) -> Answer<Option<FlowImport>> {
    let (answer, chosen) = tokio::sync::oneshot::channel();
    window
        .dialog()
        .file()
        .set_title("Import a flow")
        .add_filter("Exported flows", &["json"])
        .set_parent(&window)
        .pick_file(move |file| {
            // Nobody waits any more if the window was closed meanwhile.
            let _ = answer.send(file.and_then(|file: FilePath| file.into_path().ok()));
        });
    let Ok(Some(path)) = chosen.await else {
        return Ok(None);
    };
    read_file(path).await.map(Some).map_err(refusal)
}

/// Reads a file that the person chose or dropped; the error is in words for them.
pub(crate) async fn read_file(path: PathBuf) -> Result<FlowImport, Error> {
    let name = path
        .file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let unreadable = |error: std::io::Error| {
        Error::new(
            ErrorCode::Invalid,
            format!("{name} cannot be read. Check its permissions and try again."),
        )
        .caused_by(error)
    };
    let size = tokio::fs::metadata(&path).await.map_err(unreadable)?.len();
    if size > LARGEST_FILE {
        return Err(Error::new(
            ErrorCode::TooLarge,
            format!("{name} is larger than 50 MiB, so it is not a flow."),
        ));
    }
    let bytes = tokio::fs::read(&path).await.map_err(unreadable)?;
    let flow_data = String::from_utf8(bytes).map_err(|error| {
        Error::new(
            ErrorCode::FlowRefused,
            format!("{name} is not a text file, so it is not an exported flow."),
        )
        .caused_by(error)
    })?;
    Ok(FlowImport { name, flow_data })
}

/// The name of a flow as its file suggests it: `deploy-gate.json` is "Deploy gate".
pub(crate) fn name_of(file: &Path) -> String {
    let stem = file
        .file_stem()
        .map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    let words = stem.trim_end_matches(" Agents").replace(['-', '_'], " ");
    let mut letters = words.trim().chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => "Example".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_becomes_a_flow_name() {
        assert_eq!(
            name_of(Path::new("flows/deploy-gate.json")),
            "Deploy gate",
            "words, not a file name"
        );
        assert_eq!(
            name_of(Path::new("Refunds Agents.json")),
            "Refunds",
            "as Flowise names its exports"
        );
        assert_eq!(name_of(Path::new("/")), "Example", "there is always a name");
    }

    #[tokio::test]
    async fn a_chosen_file_is_read_or_refused_in_words() {
        let folder = tempfile::tempdir().expect("a folder");
        let flow = folder.path().join("gate.json");
        std::fs::write(&flow, "{}").expect("written");
        let read = read_file(flow).await.expect("a text file");
        assert_eq!(
            (read.name.as_str(), read.flow_data.as_str()),
            ("gate.json", "{}"),
            "unchanged"
        );

        let picture = folder.path().join("picture.json");
        std::fs::write(&picture, b"\x89PNG\r\n\x1a\n\xff").expect("written");
        let error = read_file(picture).await.expect_err("not text");
        assert_eq!(error.code, ErrorCode::FlowRefused, "a picture is no flow");
        let error = read_file(folder.path().join("gone.json"))
            .await
            .expect_err("not there");
        assert_eq!(
            error.code,
            ErrorCode::Invalid,
            "a file that went away is said to be unreadable"
        );
    }
}
