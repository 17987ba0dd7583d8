//! Executions, as the management API shows them.

use countersign_domain::{
    ErrorCode, Execution, ExecutionId, ExecutionState, FlowId, InvalidId, display_line,
};
use countersign_flow::Run;

use crate::app::storage;
use crate::redact::Redact;
use crate::view::ExecutionView;
use crate::{App, Error};

/// The longest `executionData` that a list carries, in bytes.
const LISTED_DATA: usize = 256 * 1024;

/// How much of a step's label is shown, in characters.
const STEP_LABEL: usize = 200;

/// Which executions are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecutionQuery {
    /// Only those of this flow.
    pub flow: Option<String>,
    /// Only those in this state, `STOPPED` for instance.
    pub state: Option<String>,
    /// Only those of this chat.
    pub session: Option<String>,
    /// Which page, from 1.
    pub page: usize,
    /// How many a page.
    pub limit: usize,
}

impl App {
    /// A page of executions, newest first, and how many fit in all.
    ///
    /// # Errors
    /// [`ErrorCode::Invalid`] for a state that does not exist.
    pub fn executions(&self, query: &ExecutionQuery) -> Result<(Vec<ExecutionView>, usize), Error> {
        let state = state_named(query.state.as_deref())?;
        let Ok(flow) = flow_named(query.flow.as_deref()) else {
            return Ok((Vec::new(), 0));
        };
        let limit = query.limit.clamp(1, 200);
        let skip = query.page.max(1).saturating_sub(1).saturating_mul(limit);
        let wanted = countersign_store::ExecutionQuery {
            flow,
            chat_id: query.session.clone(),
            state,
            skip,
            limit,
            before: None,
        };
        let total = self.inner.store.execution_count(&wanted).map_err(storage)?;
        let found = self.inner.store.executions(&wanted).map_err(storage)?.items;
        let redact = Redact::of(&self.inner);
        let views = found.iter().map(|execution| in_list(execution, &redact));
        Ok((views.collect::<Result<_, _>>()?, total))
    }

    /// One execution.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`] for an unknown id or one that is none.
    pub fn execution(&self, id: &str) -> Result<ExecutionView, Error> {
        view(&self.stored_execution(id)?, &Redact::of(&self.inner))
    }

    /// The step that failed an execution, if all that it needs to be tried again is still there. Lists do not look.
    pub(crate) fn can_be_tried_again(&self, execution: &Execution) -> Result<Option<String>, Error> {
        let Some(label) = failed_step(execution) else {
            return Ok(None);
        };
        Ok(self.inner.run_of(execution.id)?.is_ok().then_some(label))
    }

    /// The record of an execution.
    pub(crate) fn stored_execution(&self, id: &str) -> Result<Execution, Error> {
        let parsed: ExecutionId = id.parse().map_err(|_| no_such_execution(id))?;
        let stored = self.inner.store.execution(parsed).map_err(storage)?;
        stored.ok_or_else(|| no_such_execution(id))
    }
}

/// The flow that a filter names; none if it names none. A word that is no id stands for a flow without runs.
pub(crate) fn flow_named(word: Option<&str>) -> Result<Option<FlowId>, InvalidId> {
    word.filter(|word| !word.is_empty())
        .map(FlowId::from_url)
        .transpose()
}

/// The state that a filter names; none if it names none.
pub(crate) fn state_named(word: Option<&str>) -> Result<Option<ExecutionState>, Error> {
    match word {
        None | Some("") => Ok(None),
        Some(word) => serde_json::from_value(word.into()).map(Some).map_err(|_| {
            Error::new(
                ErrorCode::Invalid,
                format!("{word:?} is not a state of executions."),
            )
        }),
    }
}

/// The label of the step at which an execution failed and can go on, as one line.
pub(crate) fn failed_step(execution: &Execution) -> Option<String> {
    let label = execution
        .failed_step
        .as_deref()
        .filter(|_| execution.can_go_on())?;
    Some(display_line(label, STEP_LABEL))
}

/// There is nothing under this id.
pub(crate) fn no_such_execution(id: impl std::fmt::Display) -> Error {
    Error::new(ErrorCode::NotFound, format!("Execution {id} not found"))
}

/// As lists have it: what would make them huge is left out and can be asked for alone.
fn in_list(execution: &Execution, redact: &Redact) -> Result<ExecutionView, Error> {
    let mut view = view(execution, redact)?;
    if view.execution_data.len() > LISTED_DATA {
        "[]".clone_into(&mut view.execution_data);
        view.execution_data_omitted = true;
    }
    Ok(view)
}

fn view(execution: &Execution, redact: &Redact) -> Result<ExecutionView, Error> {
    // One whose state cannot be read hides neither that it is there nor any other.
    let run = read_run(execution)
        .inspect_err(|error| tracing::error!(%error, source = ?error.source, "an execution is shown without its steps"))
        .ok();
    let execution_data = match &run {
        Some(run) => redact.json(run.records()).map_err(|error| {
            Error::new(ErrorCode::Internal, "An execution cannot be written as JSON.").caused_by(error)
        })?,
        None => "[]".to_owned(),
    };
    Ok(ExecutionView {
        id: execution.id.to_string(),
        execution_data,
        state: execution.state,
        agentflow_id: execution.flow_id.to_string(),
        session_id: execution.chat_id.clone(),
        created_date: execution.created_at.to_string(),
        updated_date: execution.updated_at.to_string(),
        stopped_date: execution.stopped_at.map(|at| at.to_string()),
        interrupted: execution.interrupted,
        execution_data_omitted: run.is_none(),
    })
}

/// The runner's state of an execution.
pub(crate) fn read_run(execution: &Execution) -> Result<Run, Error> {
    serde_json::from_str(execution.run.get()).map_err(|error| {
        Error::new(
            ErrorCode::Internal,
            format!(
                "The state of execution {} cannot be read. It is kept as it is; please report this.",
                execution.id
            ),
        )
        .caused_by(error)
    })
}
