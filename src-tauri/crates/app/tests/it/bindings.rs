//! The TypeScript types of the user interface are the wire types of this crate.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use countersign_app::RunPolicy;
use countersign_app::view::{
    ApprovalPage, ApprovalQuery, ApprovalView, CallbackPage, CallbackQuery, CallbackView, ConnectionChange,
    ConnectionView, DecisionRequest, ErrorView, EventView, ExecutionView, FlowImport, FlowStart, FlowSummary,
    FlowView, MovedSecretsView, RunPage, RunQuery, ScheduleChange, SettingsChange, SettingsView, StatusView,
    StepView, TestCallbackView, VariableChange, VariableView,
};
use ts_rs::{Config, TS};

fn committed() -> PathBuf {
    countersign_testkit::checkout().join("ui/src/bindings")
}

fn export(dir: &Path) {
    let config = Config::new().with_out_dir(dir);
    ApprovalPage::export_all(&config).unwrap();
    ApprovalQuery::export_all(&config).unwrap();
    ApprovalView::export_all(&config).unwrap();
    CallbackPage::export_all(&config).unwrap();
    ConnectionChange::export_all(&config).unwrap();
    ConnectionView::export_all(&config).unwrap();
    CallbackQuery::export_all(&config).unwrap();
    CallbackView::export_all(&config).unwrap();
    DecisionRequest::export_all(&config).unwrap();
    ErrorView::export_all(&config).unwrap();
    EventView::export_all(&config).unwrap();
    ExecutionView::export_all(&config).unwrap();
    FlowImport::export_all(&config).unwrap();
    FlowStart::export_all(&config).unwrap();
    FlowSummary::export_all(&config).unwrap();
    FlowView::export_all(&config).unwrap();
    MovedSecretsView::export_all(&config).unwrap();
    RunPage::export_all(&config).unwrap();
    RunPolicy::export_all(&config).unwrap();
    RunQuery::export_all(&config).unwrap();
    ScheduleChange::export_all(&config).unwrap();
    SettingsChange::export_all(&config).unwrap();
    SettingsView::export_all(&config).unwrap();
    StatusView::export_all(&config).unwrap();
    StepView::export_all(&config).unwrap();
    TestCallbackView::export_all(&config).unwrap();
    VariableChange::export_all(&config).unwrap();
    VariableView::export_all(&config).unwrap();
}

fn files(dir: &Path) -> BTreeMap<String, String> {
    std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "ts"))
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read_to_string(&path).unwrap())
        })
        .collect()
}

#[test]
fn the_bindings_of_the_user_interface_are_those_of_the_wire_types() {
    let fresh = tempfile::tempdir().unwrap();
    export(fresh.path());
    let fresh = files(fresh.path());
    if std::env::var_os("COUNTERSIGN_WRITE_BINDINGS").is_some() {
        for stale in files(&committed())
            .keys()
            .filter(|name| !fresh.contains_key(*name))
        {
            std::fs::remove_file(committed().join(stale)).unwrap();
        }
        for (name, text) in &fresh {
            std::fs::write(committed().join(name), text).unwrap();
        }
    }
    let committed = files(&committed());
    let how = "write them with: COUNTERSIGN_WRITE_BINDINGS=1 cargo test -p countersign-app bindings";
    assert_eq!(
        fresh.keys().collect::<Vec<_>>(),
        committed.keys().collect::<Vec<_>>(),
        "there are other types than in ui/src/bindings; {how}"
    );
    for (name, text) in &fresh {
        assert_eq!(text, &committed[name], "ui/src/bindings/{name} is stale; {how}");
    }
}
