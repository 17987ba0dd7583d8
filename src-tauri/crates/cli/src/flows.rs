//! `import` and `flows`.

use std::path::Path;

use countersign_app::view::FlowView;
use countersign_domain::{ResponseMode, display_text};
use serde_json::{Value, json};

use crate::args::Import;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::input;
use crate::output::{Output, cell, table};

/// `countersign import FILE`
pub(crate) async fn import(client: &Client, arguments: &Import, output: &Output) -> Result<Exit, Failure> {
    let text = read_flow(&arguments.file)?;
    let stem = arguments
        .file
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned());
    let stem = stem
        .filter(|stem| stem != "-")
        .unwrap_or_else(|| "Imported flow".to_owned());
    let body = import_body(text, arguments.name.as_deref(), &stem);
    let flow: FlowView = client.post("/api/v1/chatflows", Some(&body)).await?;
    output.print(&flow, || {
        let mut text = format!(
            "Imported {}\n\nId       {}\n",
            cell(&flow.name, 200),
            cell(&flow.id, 64)
        );
        text.push_str(&format!("Post to  {}\n", cell(&flow.webhook_url, 400)));
        for step in &flow.steps {
            text.push_str(&format!("  {}\n", cell(step, 200)));
        }
        text.push_str(&problems(&flow));
        text.push_str(&notes(&flow));
        text
    });
    Ok(Exit::Done)
}

/// The body of the call: the API form with the document's text unchanged. A name on the command line wins over
/// the one in the file, and that over the file's own name.
fn import_body(text: String, name: Option<&str>, stem: &str) -> Value {
    let document: Value = serde_json::from_str(&text).unwrap_or_default();
    let named = document
        .get("name")
        .and_then(Value::as_str)
        .filter(|name| !name.trim().is_empty());
    let name = name.or(named).unwrap_or(stem);
    match document.get("flowData").and_then(Value::as_str) {
        Some(flow_data) => json!({ "name": name, "flowData": flow_data }),
        None => json!({ "name": name, "flowData": text }),
    }
}

fn read_flow(path: &Path) -> Result<String, Failure> {
    let bytes = input::read(path, "flow")?;
    String::from_utf8(bytes).map_err(|_| {
        let shown = path.display();
        Failure::failed(format!(
            "{shown} is not a flow: it is not text. Export the flow in Flowise as JSON and import that file."
        ))
    })
}

/// `countersign flows`
pub(crate) async fn list(client: &Client, output: &Output) -> Result<Exit, Failure> {
    let flows: Vec<FlowView> = client.get("/api/v1/chatflows").await?;
    output.print(&flows, || {
        if flows.is_empty() {
            return "No flows yet. Import one with `countersign import FILE`.".to_owned();
        }
        let rows: Vec<_> = flows.iter().map(row).collect();
        let mut text = table(&["NAME", "MODE", "SIGNED", "WAITING", "POST TO"], &rows);
        for flow in &flows {
            text.push_str(&problems(flow));
        }
        text
    });
    Ok(Exit::Done)
}

/// What will not work although the flow was imported; nothing if all is well.
fn problems(flow: &FlowView) -> String {
    section("What will not work in", flow, &flow.problems)
}

/// What is good to know about it.
fn notes(flow: &FlowView) -> String {
    section("Good to know about", flow, &flow.notes)
}

fn section(title: &str, flow: &FlowView, lines: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let mut text = format!("\n{title} {}\n", cell(&flow.name, 200));
    for line in lines {
        text.push_str(&format!("  {}\n", cell(line, 1_000)));
    }
    text
}

fn row(flow: &FlowView) -> Vec<String> {
    let mode = match flow.response_mode {
        ResponseMode::Sync => "sync",
        ResponseMode::Async => "async",
    };
    vec![
        cell(&flow.name, 40),
        mode.to_owned(),
        flow.signature
            .as_deref()
            .map_or_else(|| "no".to_owned(), |kind| cell(kind, 20)),
        flow.pending.to_string(),
        display_text(&flow.webhook_url),
    ]
}

#[cfg(test)]
mod tests {
    use super::import_body;

    #[test]
    fn the_document_stays_as_it_is_and_the_name_is_the_nearest() {
        let export = r#"{ "nodes": [], "edges": [] }"#;
        let body = import_body(export.to_owned(), None, "deploy");
        assert_eq!(body["flowData"], export, "the text is sent unchanged");
        assert_eq!(body["name"], "deploy");

        let api = r#"{"name":"Refunds","flowData":"{\"nodes\":[]}"}"#;
        let body = import_body(api.to_owned(), None, "file");
        assert_eq!(
            (body["name"].as_str(), body["flowData"].as_str()),
            (Some("Refunds"), Some(r#"{"nodes":[]}"#))
        );
        assert_eq!(import_body(api.to_owned(), Some("Mine"), "file")["name"], "Mine");
        assert_eq!(
            import_body("not JSON".to_owned(), None, "x")["flowData"],
            "not JSON",
            "the server says what is wrong"
        );
    }
}
