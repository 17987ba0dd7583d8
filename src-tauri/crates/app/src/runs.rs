//! Runs as people see them: in lists, one by one, and started by a person.

use countersign_domain::{ErrorCode, Execution, ExecutionId, display_line};
use countersign_flow::{Incoming, RUN_FAILED, StartTrigger};
use serde_json::{Map, Value};

use crate::app::storage;
use crate::approvals::{cursor, limit};
use crate::executions::{failed_step, flow_named, state_named};
use crate::redact::Redact;
use crate::view::{FlowStart, FormView, RunPage, RunQuery, RunSummary};
use crate::{App, Error};

/// How much of an error lists show, in characters.
const LISTED_ERROR: usize = 1000;

impl App {
    /// A page of runs, newest first. Reads no further than the page.
    ///
    /// # Errors
    /// [`ErrorCode::Invalid`] for a state, limit or cursor without meaning.
    pub fn runs(&self, query: &RunQuery) -> Result<RunPage, Error> {
        let Ok(flow) = flow_named(query.flow.as_deref()) else {
            return Ok(RunPage {
                runs: Vec::new(),
                next: None,
            });
        };
        let page = self
            .inner
            .store
            .executions(&countersign_store::ExecutionQuery {
                flow,
                state: state_named(query.state.as_deref())?,
                limit: limit(query.limit)?,
                before: cursor::<ExecutionId>(query.cursor.as_deref())?,
                ..countersign_store::ExecutionQuery::default()
            })
            .map_err(storage)?;
        let redact = Redact::of(&self.inner);
        Ok(RunPage {
            runs: page.items.iter().map(|run| summary(run, &redact)).collect(),
            next: page.next.map(|id| id.to_string()),
        })
    }

    /// One run.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`] for an unknown id or one that is none.
    pub fn run(&self, id: &str) -> Result<RunSummary, Error> {
        let execution = self.stored_execution(id)?;
        let failed_step = self.can_be_tried_again(&execution)?;
        Ok(RunSummary {
            failed_step,
            ..summary(&execution, &Redact::of(&self.inner))
        })
    }

    /// Starts a flow for a person, who does not wait: the run is durable when this returns and goes on by itself. Its
    /// result leaves as a callback, where an address for that is known.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`] for an unknown flow; [`ErrorCode::Invalid`] if it starts with something else, or naming
    /// the field of its form that does not fit. Then nothing was started.
    pub async fn start_flow(&self, id: &str, start: FlowStart) -> Result<RunSummary, Error> {
        self.ready()?;
        let live = self.live_flow(id)?;
        let invalid = |message: &str| Err(Error::new(ErrorCode::Invalid, message));
        let settings = live.plan.start();
        let incoming = match (settings.trigger, start.form, start.question) {
            (StartTrigger::FormInput, Some(form), None) => {
                check(&FormView::read(&settings.form), &form)?;
                Incoming::Form(Value::Object(form))
            }
            (StartTrigger::ChatInput, None, Some(question)) if !question.trim().is_empty() => {
                Incoming::Message(question)
            }
            (StartTrigger::FormInput, ..) => return invalid("This flow starts with a form. Fill it in."),
            (StartTrigger::ChatInput, ..) => return invalid("This flow starts with a message. Write one."),
            _ => return invalid("This flow is not started by a person."),
        };
        let begun = self.begin_unattended(live, incoming)?;
        let id = begun.execution.id.to_string();
        self.run_behind(begun, countersign_store::Changes::new()).await?;
        self.run(&id)
    }
}

/// Whether what was filled in is what the form asks for: all of it, and nothing else.
fn check(form: &FormView, filled: &Map<String, Value>) -> Result<(), Error> {
    let wrong = |what: &str, name: &str| {
        let name = display_line(name, 100);
        Err(Error::new(
            ErrorCode::Invalid,
            format!("“{name}” {what}. Nothing was started."),
        ))
    };
    for field in &form.fields {
        if let Some(problem) = field.problem(filled.get(&field.name)) {
            return wrong(problem, &field.label);
        }
    }
    let unknown = filled
        .keys()
        .find(|name| form.fields.iter().all(|field| field.name != **name));
    match unknown {
        Some(name) => wrong("is not a field of this form", name),
        None => Ok(()),
    }
}

fn summary(execution: &Execution, redact: &Redact) -> RunSummary {
    let error = execution.error.as_deref().map(|error| {
        let error = error.strip_prefix(RUN_FAILED).unwrap_or(error);
        display_line(&redact.text(error), LISTED_ERROR)
    });
    RunSummary {
        id: execution.id.to_string(),
        state: execution.state,
        interrupted: execution.interrupted,
        failed_step: failed_step(execution),
        flow_id: execution.flow_id.to_string(),
        flow_name: execution.flow_name.clone(),
        chat_id: execution.chat_id.clone(),
        approval_id: execution.approval_id.map(|id| id.to_string()),
        error,
        created_at: execution.created_at.to_string(),
        updated_at: execution.updated_at.to_string(),
    }
}
