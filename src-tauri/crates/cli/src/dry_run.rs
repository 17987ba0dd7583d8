//! `run --dry`.

use std::path::Path;

use countersign_app::view::{DryRunOutcome, DryRunView, FlowView, StepStateView, StepView};
use countersign_domain::{Outcome, display_text};
use serde_json::{Value, json};

use crate::args::Run;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::input;
use crate::output::{Output, cell};

/// The longest line of what a step made.
const LINE: usize = 200;

/// `countersign run FLOW --dry`
pub(crate) async fn run(client: &Client, arguments: &Run, output: &Output) -> Result<Exit, Failure> {
    let flow = flow_id(client, &arguments.flow).await?;
    let body = arguments.body.as_deref().map(body_of).transpose()?;
    let answer = if arguments.reject {
        Outcome::Reject
    } else {
        Outcome::Approve
    };
    let view: DryRunView = client
        .post(
            &format!("/api/v1/chatflows/{flow}/dry-run"),
            Some(&json!({ "body": body, "answer": answer })),
        )
        .await?;
    output.print(&view, || in_words(&view));
    Ok(match view.outcome {
        DryRunOutcome::Finished => Exit::Done,
        DryRunOutcome::Failed => Exit::Failed,
    })
}

/// The id of a flow that was named by its id or by its name.
async fn flow_id(client: &Client, named: &str) -> Result<String, Failure> {
    let flows: Vec<FlowView> = client.get("/api/v1/chatflows").await?;
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

/// JSON, or what is no JSON as text: a message needs no quotation marks.
fn body_of(given: &str) -> Result<Value, Failure> {
    let text = match given.strip_prefix('@') {
        None => given.to_owned(),
        Some(file) => String::from_utf8(input::read(Path::new(file), "body")?)
            .map_err(|_| Failure::failed(format!("{file} is not text.")))?,
    };
    Ok(serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

fn in_words(view: &DryRunView) -> String {
    let mut text = "Dry run: nothing was sent, asked or kept.\n\n".to_owned();
    for step in &view.steps {
        push_step(&mut text, step, 0);
    }
    if !view.questions.is_empty() {
        text.push_str("\nWould ask\n");
        for question in &view.questions {
            let answer = match question.answer {
                Outcome::Approve => "approved",
                Outcome::Reject => "rejected",
            };
            text.push_str(&format!("  {} ({answer} here)\n", cell(&question.text, LINE)));
        }
    }
    if !view.effects.is_empty() {
        text.push_str("\nWould send\n");
        for effect in &view.effects {
            text.push_str(&format!("  {}\n", cell(effect, LINE * 3)));
        }
    }
    match &view.error {
        Some(error) => text.push_str(&format!("\nFailed: {}\n", display_text(error))),
        None => text.push_str(&format!("\nAnswer: {}\n", display_text(&view.text))),
    }
    text
}

fn push_step(text: &mut String, step: &StepView, depth: usize) {
    let state = match step.state {
        StepStateView::Finished => "ran",
        StepStateView::Failed => "FAILED",
        StepStateView::Stopped | StepStateView::Waiting => "waits",
        StepStateView::Skipped => "skipped",
        StepStateView::NotReached => "not reached",
    };
    let item = step.item.map(|item| format!(", item {item}")).unwrap_or_default();
    text.push_str(&format!(
        "{:indent$}{state:<12}{}: {}{item}\n",
        "",
        step.kind,
        cell(&step.label, LINE),
        indent = depth * 2
    ));
    for called in &step.called {
        push_step(text, called, depth + 1);
    }
}
