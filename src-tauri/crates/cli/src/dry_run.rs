//! `run --dry`.

use countersign_app::view::{DryRunOutcome, DryRunView, StepStateView, StepView};
use countersign_domain::{Outcome, display_text};
use serde_json::{Value, json};

use crate::args::Run;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::flows::flow_id;
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

/// JSON, or what is no JSON as text: a message needs no quotation marks.
fn body_of(given: &str) -> Result<Value, Failure> {
    let text = input::given(given, "body")?;
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
