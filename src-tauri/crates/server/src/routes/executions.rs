//! `/api/v1/executions`, in Flowise's shape.

use std::sync::Arc;

use axum::extract::State;
use countersign_app::ExecutionQuery;
use countersign_app::view::{ExecutionView, RunQuery, StepView};
use http::{HeaderMap, Uri};
use serde::{Deserialize, Serialize};

use super::approvals::person;
use super::{Answer, Id, ok, query};
use crate::front::Shared;

/// What Flowise's clients send; what is not listed is ignored, as there.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wanted {
    agentflow_id: Option<String>,
    session_id: Option<String>,
    state: Option<String>,
    page: Option<usize>,
    limit: Option<usize>,
    /// Whether only what tells runs apart is wanted, by `cursor` and uncounted. Flowise's clients do not ask for it.
    #[serde(default)]
    summary: bool,
    cursor: Option<String>,
}

#[derive(Serialize)]
struct Page {
    data: Vec<ExecutionView>,
    total: usize,
}

/// `GET`, newest first, 50 a page if the caller does not say. With `summary=true` in the shape of the other lists.
pub(super) async fn list(State(shared): State<Arc<Shared>>, uri: Uri) -> Answer {
    let wanted: Wanted = query(&uri)?;
    if wanted.summary {
        return Ok(ok(&shared.app.runs(&RunQuery {
            flow: wanted.agentflow_id,
            state: wanted.state,
            limit: wanted.limit.map(|limit| u32::try_from(limit).unwrap_or(u32::MAX)),
            cursor: wanted.cursor,
        })?));
    }
    let (data, total) = shared.app.executions(&ExecutionQuery {
        flow: wanted.agentflow_id,
        state: wanted.state,
        session: wanted.session_id,
        page: wanted.page.unwrap_or(1),
        limit: wanted.limit.unwrap_or(50),
    })?;
    Ok(ok(&Page { data, total }))
}

/// How much of an execution is wanted.
#[derive(Debug, Deserialize)]
struct Depth {
    /// Whether each step is explained too, under `steps`. Flowise's clients do not ask for it.
    #[serde(default)]
    explain: bool,
    /// Whether only what lists show is wanted.
    #[serde(default)]
    summary: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Explained {
    #[serde(flatten)]
    execution: ExecutionView,
    steps: Vec<StepView>,
}

/// `GET …/{id}`, with `?explain=true` for why each step ran or did not, with `?summary=true` as lists have it.
pub(super) async fn show(State(shared): State<Arc<Shared>>, Id(id): Id, uri: Uri) -> Answer {
    let depth: Depth = query(&uri)?;
    if depth.summary {
        return Ok(ok(&shared.app.run(&id)?));
    }
    let execution = shared.app.execution(&id)?;
    if !depth.explain {
        return Ok(ok(&execution));
    }
    let steps = shared.app.execution_steps(&id)?;
    Ok(ok(&Explained { execution, steps }))
}

/// `POST …/{id}/continue`: goes on with what a restart had ended, or tries the step again that failed.
pub(super) async fn go_on(State(shared): State<Arc<Shared>>, Id(id): Id, headers: HeaderMap) -> Answer {
    let person = person(&headers);
    Ok(ok(&shared
        .carry_out(|app| async move { app.continue_execution(&id, person).await })
        .await?))
}

/// `POST …/{id}/cancel`: takes back what waits, or gives up what a restart had ended.
pub(super) async fn cancel(State(shared): State<Arc<Shared>>, Id(id): Id, headers: HeaderMap) -> Answer {
    let person = person(&headers);
    Ok(ok(&shared
        .carry_out(|app| async move { app.cancel_execution(&id, person).await })
        .await?))
}
