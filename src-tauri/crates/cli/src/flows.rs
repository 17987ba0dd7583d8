//! `import` and `flows`.

use std::path::Path;

use countersign_app::view::{FlowSummary, FlowView, MovedSecretsView};
use countersign_domain::{ResponseMode, display_text};
use serde_json::{Value, json};

use crate::args::{Import, MoveSecrets};
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::input;
use crate::output::{Output, cell, table};

/// Where the list of flows is, without their documents.
const FLOWS: &str = "/api/v1/chatflows?summary=true";

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
        let flow = &flow.summary;
        let mut text = format!(
            "Imported {}\n\nId       {}\n",
            cell(&flow.name, 200),
            cell(&flow.id, 64)
        );
        text.push_str(&format!("Post to  {}\n", cell(&flow.webhook_url, 400)));
        for step in &flow.steps {
            text.push_str(&format!("  {}\n", cell(step, 200)));
        }
        text.push_str(&problems(flow));
        text.push_str(&notes(flow));
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
    let flows: Vec<FlowSummary> = client.get(FLOWS).await?;
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

/// `countersign move-secrets FLOW`
pub(crate) async fn move_secrets(
    client: &Client,
    arguments: &MoveSecrets,
    output: &Output,
) -> Result<Exit, Failure> {
    let flow = flow_id(client, &arguments.flow).await?;
    let view: MovedSecretsView = client
        .post(&format!("/api/v1/chatflows/{flow}/move-secrets"), None)
        .await?;
    output.print(&view, || {
        let mut text = match view.moved.len() {
            0 => "Nothing was moved: no secret that can be moved stands in the document.\n".to_owned(),
            _ => "Moved out of the document. The file that was imported and earlier backups still hold what they held.\n\n"
                .to_owned(),
        };
        for secret in &view.moved {
            text.push_str(&format!(
                "  {} of “{}” is the secret variable {} now\n",
                cell(&secret.place, 100),
                cell(&secret.step, 100),
                cell(&secret.variable, 100)
            ));
        }
        for line in &view.left {
            text.push_str(&format!("\n{}\n", cell(line, 1_000)));
        }
        text
    });
    Ok(Exit::Done)
}

/// The id of a flow that was named by its id or by its name.
pub(crate) async fn flow_id(client: &Client, named: &str) -> Result<String, Failure> {
    let flows: Vec<FlowSummary> = client.get(FLOWS).await?;
    let mut named_so = flows.iter().filter(|flow| flow.name == named);
    match (
        flows.iter().find(|flow| flow.id == named),
        named_so.next(),
        named_so.next(),
    ) {
        (Some(flow), ..) | (None, Some(flow), None) => Ok(flow.id.clone()),
        (None, Some(_), Some(_)) => Err(Failure::usage(format!(
            "Several flows are called {named}. Name it by its id; `countersign flows` shows them."
        ))),
        (None, None, _) => Err(Failure::not_found(format!(
            "There is no flow {named}. `countersign flows` shows what there is."
        ))),
    }
}

/// What will not work although the flow was imported; nothing if all is well.
fn problems(flow: &FlowSummary) -> String {
    section("What will not work in", flow, &flow.problems)
}

/// What is good to know about it.
fn notes(flow: &FlowSummary) -> String {
    section("Good to know about", flow, &flow.notes)
}

fn section(title: &str, flow: &FlowSummary, lines: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let mut text = format!("\n{title} {}\n", cell(&flow.name, 200));
    for line in lines {
        text.push_str(&format!("  {}\n", cell(line, 1_000)));
    }
    text
}

fn row(flow: &FlowSummary) -> Vec<String> {
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
