//! `/api/v1/executions`, in Flowise's shape.

use std::sync::Arc;

use axum::extract::{Path, State};
use countersign_app::ExecutionQuery;
use countersign_app::view::ExecutionView;
use http::Uri;
use serde::{Deserialize, Serialize};

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
}

#[derive(Serialize)]
struct Page {
    data: Vec<ExecutionView>,
    total: usize,
}

/// `GET`, newest first, 50 a page if the caller does not say.
pub(super) async fn list(State(shared): State<Arc<Shared>>, uri: Uri) -> Answer {
    let wanted: Wanted = query(&uri)?;
    let (data, total) = shared.app.executions(&ExecutionQuery {
        flow: wanted.agentflow_id,
        state: wanted.state,
        session: wanted.session_id,
        page: wanted.page.unwrap_or(1),
        limit: wanted.limit.unwrap_or(50),
    })?;
    Ok(ok(&Page { data, total }))
}

/// `GET …/{id}`
pub(super) async fn show(State(shared): State<Arc<Shared>>, Path(id): Id) -> Answer {
    Ok(ok(&shared.app.execution(&id)?))
}
