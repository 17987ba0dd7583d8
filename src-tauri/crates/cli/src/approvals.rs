//! `list`, `show`, `approve` and `reject`.

use countersign_app::view::{ApprovalSummary, ApprovalView, DecisionView};
use countersign_domain::{Outcome, display_json, display_text};
use serde_json::{Value, json};

use crate::args::{Approve, Decide, List, Show};
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::input;
use crate::output::{Output, cell, more, relative, short_id, table};

/// `countersign list`
pub(crate) async fn list(client: &Client, arguments: &List, output: &Output) -> Result<Exit, Failure> {
    let state = Some(arguments.state.as_str()).filter(|state| *state != "all");
    let limit = usize::try_from(arguments.limit).unwrap_or(usize::MAX);
    let page = client.approvals(state, limit).await?;
    output.print(&page, || {
        if page.approvals.is_empty() {
            return if arguments.state == "pending" {
                "Nothing waits for an answer.".to_owned()
            } else {
                "None.".to_owned()
            };
        }
        let rows: Vec<_> = page.approvals.iter().map(row).collect();
        let mut text = table(&["ID", "STATE", "ASKED", "FLOW", "QUESTION"], &rows);
        if page.next.is_some() {
            // How many there are is known of those that wait only.
            text.push_str(&more(
                rows.len(),
                (arguments.state == "pending").then_some(page.pending),
            ));
        }
        text
    });
    Ok(Exit::Done)
}

fn row(view: &ApprovalSummary) -> Vec<String> {
    vec![
        short_id(&view.id),
        view.state.to_string(),
        relative(&view.created_at),
        cell(&view.flow_name, 32),
        cell(&view.title, 200),
    ]
}

/// `countersign show ID`
pub(crate) async fn show(client: &Client, arguments: &Show, output: &Output) -> Result<Exit, Failure> {
    // The list has what fits into a list; this is the whole of it.
    let view = whole(client, &arguments.id).await?;
    output.print(&view, || page(&view));
    Ok(Exit::Done)
}

async fn whole(client: &Client, id: &str) -> Result<ApprovalView, Failure> {
    let id = client.approval_id(id).await?;
    client.get(&format!("/api/v1/approvals/{id}")).await
}

/// Everything that is known about an approval.
fn page(view: &ApprovalView) -> String {
    let mut text = format!("{}\n", cell(&view.summary.title, 200));
    let body = display_text(&view.summary.body);
    if !body.trim().is_empty() {
        text.push_str(&format!("\n{}\n", body.trim_matches('\n')));
    }
    if let Some(problem) = &view.problem {
        text.push_str(&format!("\n{}\n", display_text(problem)));
    }
    let decision = view.summary.decision.as_ref();
    if let Some(call) = &view.call {
        let changed = decision.and_then(|decision| decision.arguments.as_ref());
        text.push_str(&format!("\nTool       {}\n", cell(&call.tool, 200)));
        text.push_str(&format!("Arguments\n{}\n", indented(&call.arguments)));
        if let Some(changed) = changed {
            text.push_str(&format!("Approved with\n{}\n", indented(changed)));
        }
    }
    text.push('\n');
    let mut facts = vec![
        ("State", standing(view)),
        ("Flow", cell(&view.summary.flow_name, 200)),
        ("Step", cell(&view.summary.node_label, 200)),
        (
            "Asked",
            format!(
                "{} ({})",
                relative(&view.summary.created_at),
                cell(&view.summary.created_at, 40)
            ),
        ),
        (
            "Signed",
            if view.summary.signed {
                "yes, the call was verified"
            } else {
                "no"
            }
            .to_owned(),
        ),
        (
            "Feedback",
            if view.summary.feedback_enabled {
                "can be given"
            } else {
                "is not asked for"
            }
            .to_owned(),
        ),
        ("Id", cell(&view.summary.id, 64)),
        ("Execution", cell(&view.summary.execution_id, 64)),
        ("Chat", cell(&view.summary.chat_id, 200)),
        ("Hash", cell(&view.summary.content_hash, 80)),
    ];
    if let Some(feedback) = decision.and_then(|decision| decision.feedback.as_deref()) {
        facts.insert(1, ("Note", cell(feedback, 1_000)));
    }
    for (name, fact) in facts {
        text.push_str(&format!("{name:<10} {fact}\n"));
    }
    for (heading, steps) in [
        ("If approved", &view.if_approved),
        ("If rejected", &view.if_rejected),
    ] {
        text.push_str(&format!("\n{heading}\n"));
        for step in steps {
            text.push_str(&format!("  {}\n", cell(step, 200)));
        }
        if steps.is_empty() {
            text.push_str("  the flow ends\n");
        }
    }
    text.push_str("\nWhat was sent\n");
    if view.payload.is_null() {
        text.push_str("  is not kept any more\n");
    } else {
        let payload = serde_json::to_string_pretty(&view.payload).unwrap_or_default();
        text.push_str(&format!("{}\n", display_text(&payload)));
    }
    text
}

/// JSON with its lines, a little to the right.
fn indented(value: &Value) -> String {
    let lines = display_json(value);
    let lines: Vec<String> = lines.lines().map(|line| format!("  {line}")).collect();
    lines.join("\n")
}

/// The state with who, when and where.
fn standing(view: &ApprovalView) -> String {
    match &view.summary.decision {
        Some(decision) => format!("{} {}", view.summary.state, by(decision)),
        None => view.summary.state.to_string(),
    }
}

fn by(decision: &DecisionView) -> String {
    let person = decision
        .person
        .as_deref()
        .map(|person| format!("by {} ", cell(person, 80)))
        .unwrap_or_default();
    format!(
        "{person}{} from {}",
        relative(&decision.decided_at),
        decision.surface
    )
}

/// `countersign approve ID`
pub(crate) async fn approve(client: &Client, arguments: &Approve, output: &Output) -> Result<Exit, Failure> {
    let changed = arguments.arguments.as_deref().map(arguments_of).transpose()?;
    decide(client, &arguments.answer, Outcome::Approve, changed, output).await
}

/// The arguments for a tool.
fn arguments_of(given: &str) -> Result<Value, Failure> {
    let text = input::given(given, "arguments")?;
    serde_json::from_str(&text).map_err(|error| {
        Failure::usage(format!(
            "--arguments is no JSON: {error}. Nothing was decided. `countersign show` prints what is asked."
        ))
    })
}

/// `countersign reject ID`
pub(crate) async fn reject(client: &Client, arguments: &Decide, output: &Output) -> Result<Exit, Failure> {
    decide(client, arguments, Outcome::Reject, None, output).await
}

async fn decide(
    client: &Client,
    arguments: &Decide,
    outcome: Outcome,
    changed: Option<Value>,
    output: &Output,
) -> Result<Exit, Failure> {
    let shown = whole(client, &arguments.id).await?;
    // The answer is bound to a text: the one the caller names, else the one that was found under this id.
    let content_hash = arguments
        .content_hash
        .as_ref()
        .unwrap_or(&shown.summary.content_hash);
    let mut body = json!({ "outcome": outcome, "contentHash": content_hash });
    if let Some(feedback) = &arguments.feedback {
        body["feedback"] = json!(feedback);
    }
    if let Some(changed) = changed {
        body["arguments"] = changed;
    }
    let decided = client.decide(&shown.summary.id, &body).await?;
    output.print(&decided, || {
        let edited = decided
            .summary
            .decision
            .as_ref()
            .is_some_and(|decision| decision.edited);
        let done = match outcome {
            Outcome::Approve if edited => "Approved with changes",
            Outcome::Approve => "Approved",
            Outcome::Reject => "Rejected",
        };
        format!(
            "{done}: {} ({}, {})",
            cell(&decided.summary.title, 200),
            cell(&decided.summary.flow_name, 80),
            short_id(&decided.summary.id)
        )
    });
    Ok(Exit::Done)
}
