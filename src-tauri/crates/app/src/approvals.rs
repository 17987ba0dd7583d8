//! Approvals, as the doors show them.

use countersign_domain::{Approval, ApprovalId, ApprovalState, ErrorCode};
use countersign_store::ApprovalFilter;

use crate::app::{Inner, storage};
use crate::decide::{approval_id, no_such_approval};
use crate::executions::read_run;
use crate::view::{ApprovalPage, ApprovalQuery, ApprovalSummary, ApprovalView, DecisionView};
use crate::{App, Error};

/// How many a page holds unless something else is said, and at most.
pub(crate) const PAGE: u32 = 50;
const LARGEST_PAGE: u32 = 200;

/// How much of a text lists show, in characters.
const LISTED_BODY: usize = 1000;

impl App {
    /// A page of approvals, newest first.
    ///
    /// # Errors
    /// [`ErrorCode::Invalid`] for a state, limit or cursor without meaning.
    pub fn approvals(&self, query: &ApprovalQuery) -> Result<ApprovalPage, Error> {
        let filter = match query.state.as_deref() {
            None | Some("") => ApprovalFilter::All,
            Some("pending") => ApprovalFilter::Pending,
            Some("decided") => ApprovalFilter::Decided,
            Some(word) => match serde_json::from_value::<ApprovalState>(word.into()) {
                Ok(state) => ApprovalFilter::States(vec![state]),
                Err(_) => {
                    return Err(Error::new(
                        ErrorCode::Invalid,
                        format!(
                            "{word:?} is not a state: use pending, decided, approved, rejected, expired or withdrawn."
                        ),
                    ));
                }
            },
        };
        let before = cursor::<ApprovalId>(query.cursor.as_deref())?;
        let page = self
            .inner
            .store
            .approvals(&countersign_store::ApprovalQuery {
                filter,
                limit: limit(query.limit)?,
                before,
            })
            .map_err(storage)?;
        Ok(ApprovalPage {
            approvals: page.items.iter().map(ApprovalSummary::in_list).collect(),
            next: page.next.map(|id| id.to_string()),
            pending: u32::try_from(self.inner.store.pending_count()).unwrap_or(u32::MAX),
        })
    }

    /// One approval.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`] for an unknown id or one that is none.
    pub fn approval(&self, id: &str) -> Result<ApprovalView, Error> {
        let id = approval_id(id)?;
        let approval = self.inner.store.approval(id).map_err(storage)?;
        self.view_of_approval(&approval.ok_or_else(|| no_such_approval(id))?)
    }

    /// An approval with the payload, which lies in its execution.
    fn view_of_approval(&self, approval: &Approval) -> Result<ApprovalView, Error> {
        let (payload, problem) = match self.inner.run_behind(approval)? {
            Ok(whole) => (whole.run.payload(), None),
            Err(lost) => {
                let run = lost
                    .execution
                    .as_ref()
                    .and_then(|execution| read_run(execution).ok());
                let payload = run.map_or(serde_json::Value::Null, |run| run.payload());
                let waits = approval.state == ApprovalState::Pending;
                (payload, waits.then(|| lost.refuse(approval).message))
            }
        };
        Ok(ApprovalView {
            problem,
            summary: ApprovalSummary::whole(approval),
            call: approval.question.call.clone(),
            payload,
            if_approved: approval.question.if_approved.clone(),
            if_rejected: approval.question.if_rejected.clone(),
        })
    }
}

impl Inner {
    /// Every approval that waits, oldest first.
    pub(crate) fn all_pending(&self) -> Result<Vec<Approval>, countersign_store::StoreError> {
        let query = countersign_store::ApprovalQuery {
            filter: ApprovalFilter::Pending,
            limit: usize::MAX,
            before: None,
        };
        let mut pending = self.store.approvals(&query)?.items;
        pending.reverse();
        Ok(pending)
    }
}

/// How a page is limited.
pub(crate) fn limit(asked: Option<u32>) -> Result<usize, Error> {
    match asked {
        None => Ok(PAGE as usize),
        Some(count @ 1..=LARGEST_PAGE) => Ok(count as usize),
        Some(_) => Err(Error::new(
            ErrorCode::Invalid,
            format!("limit must lie between 1 and {LARGEST_PAGE}."),
        )),
    }
}

/// Where a page begins.
pub(crate) fn cursor<T: std::str::FromStr>(asked: Option<&str>) -> Result<Option<T>, Error> {
    match asked {
        None | Some("") => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|_| {
            Error::new(
                ErrorCode::Invalid,
                "This cursor is not one: send the value of `next` of the page before.",
            )
        }),
    }
}

impl ApprovalSummary {
    /// As lists have it.
    pub fn in_list(approval: &Approval) -> Self {
        let mut summary = Self::whole(approval);
        if let Some((end, _)) = summary.body.char_indices().nth(LISTED_BODY) {
            summary.body.truncate(end);
            summary.body_truncated = true;
        }
        if let Some(decision) = &mut summary.decision {
            decision.arguments = None;
        }
        summary
    }

    /// With the whole text.
    fn whole(approval: &Approval) -> Self {
        let question = &approval.question;
        Self {
            id: approval.id.to_string(),
            state: approval.state,
            flow_id: approval.flow_id.to_string(),
            flow_name: approval.asked_in(),
            execution_id: approval.execution_id.to_string(),
            chat_id: approval.chat_id.clone(),
            node_id: approval.node_id.clone(),
            node_label: approval.node_label.clone(),
            title: question.title.clone(),
            body: question.body.clone(),
            body_truncated: false,
            feedback_enabled: question.feedback_enabled,
            created_at: approval.created_at.to_string(),
            content_hash: approval.content_hash.as_str().to_owned(),
            payload_bytes: question.payload_bytes,
            decision: approval.decision.as_ref().map(DecisionView::from),
            signed: approval.signed,
        }
    }
}
