//! What lists are asked for, and what they answer.

use countersign_domain::{
    Approval, ApprovalId, ApprovalState, Callback, CallbackId, CallbackState, Execution, ExecutionId,
    ExecutionState, FlowId,
};

/// Something that is listed in the order of its time-ordered id.
pub trait Listed {
    /// The id.
    type Id;
}

impl Listed for Approval {
    type Id = ApprovalId;
}

impl Listed for Callback {
    type Id = CallbackId;
}

impl Listed for Execution {
    type Id = ExecutionId;
}

/// A page of a list, the newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T: Listed> {
    /// What is on it.
    pub items: Vec<T>,
    /// Where the next page begins, to be given as `before`; `None` on the last page.
    pub next: Option<T::Id>,
}

/// Which approvals are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ApprovalFilter {
    /// All.
    #[default]
    All,
    /// Those that wait.
    Pending,
    /// Those that do not wait any more.
    Decided,
    /// Those in one of these states.
    States(Vec<ApprovalState>),
}

/// A question for approvals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalQuery {
    /// Which ones.
    pub filter: ApprovalFilter,
    /// At most so many.
    pub limit: usize,
    /// Only those before this one, which need not exist.
    pub before: Option<ApprovalId>,
}

/// A question for executions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecutionQuery {
    /// Only those of this flow.
    pub flow: Option<FlowId>,
    /// Only those of this chat.
    pub chat_id: Option<String>,
    /// Only those in this state.
    pub state: Option<ExecutionState>,
    /// Leave out so many of the newest that match. For lists with page numbers; `before` costs less.
    pub skip: usize,
    /// At most so many.
    pub limit: usize,
    /// Only those before this one, which need not exist.
    pub before: Option<ExecutionId>,
}

/// A question for callbacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallbackQuery {
    /// Only those in this state.
    pub state: Option<CallbackState>,
    /// Only those that report on this execution.
    pub execution: Option<ExecutionId>,
    /// At most so many.
    pub limit: usize,
    /// Only those before this one, which need not exist.
    pub before: Option<CallbackId>,
}

impl Default for ApprovalQuery {
    fn default() -> Self {
        Self {
            filter: ApprovalFilter::All,
            limit: 50,
            before: None,
        }
    }
}

impl Default for ExecutionQuery {
    fn default() -> Self {
        Self {
            flow: None,
            chat_id: None,
            state: None,
            skip: 0,
            limit: 50,
            before: None,
        }
    }
}

impl Default for CallbackQuery {
    fn default() -> Self {
        Self {
            state: None,
            execution: None,
            limit: 50,
            before: None,
        }
    }
}
