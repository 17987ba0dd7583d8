//! The words of Countersign and their rules: ids, time, approvals, decisions, executions, callbacks.
//!
//! This crate does no I/O, reads no clock and knows no other crate of the workspace. Whatever needs the
//! time, a new id or randomness gets it as an argument ([`Clock`], [`Ids`]).

mod approval;
mod call;
mod callback;
mod code;
mod execution;
mod flow;
mod id;
mod journal;
pub mod json;
mod keyed_call;
mod message;
mod text;
mod time;

pub use approval::{
    AlreadyDecided, Approval, ApprovalState, Decision, Outcome, Question, QuestionHash, Surface,
    payload_facts,
};
pub use call::{ARGUMENTS_LIMIT, ArgumentsRefused, AskedCall};
pub use callback::{Attempt, AttemptTrigger, Callback, CallbackKind, CallbackState, UrlSource};
pub use code::ErrorCode;
pub use execution::{Execution, ExecutionState, ResponseMode};
pub use flow::{DocumentHash, Flow};
pub use id::{
    ApprovalId, CallbackId, ExecutionId, FlowId, Ids, InvalidId, MessageId, RandomIds, SequentialIds,
};
pub use journal::{JournalEvent, JournalLine};
pub use keyed_call::{ContentHash, FirstAnswer, KeyedCall, SenderId};
pub use message::{Message, Role};
pub use text::{disguises, display_json, display_line, display_text};
pub use time::{Clock, ManualClock, SystemClock, Timestamp};
