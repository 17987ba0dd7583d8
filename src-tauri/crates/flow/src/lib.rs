//! AgentFlow v2 documents and the runner that executes them.
//!
//! [`Plan::parse`] checks a document once and compiles it; [`Run`] is the serialisable state of one execution,
//! which [`Run::advance`] takes one node further. Neither does I/O: what a node needs from the world comes
//! through [`Host`]. `DEVIATIONS.md` in this crate lists where the behaviour differs from Flowise on purpose.

mod clear_text;
mod document;
mod explain;
mod graph;
mod host;
mod http;
mod js;
mod lenient;
mod model;
mod nodes;
mod plan;
mod policy;
mod record;
mod refusal;
mod report;
mod run;
mod schedule;
mod script;
mod start;
mod state;
mod template;
mod tools;

pub use clear_text::{ClearText, clear_text_secrets, variable_of, with_references};
pub use document::{Imported, read_import};
pub use explain::{Explained, StepState};
pub use host::{CalledFlow, Host, HostFuture, RunEvent};
pub use http::{HttpBody, HttpRequest, HttpResponse};
pub use model::{
    Lookup, ModelChoice, ModelMessage, ModelReply, ModelRequest, Passage, ToolCall, ToolDefinition,
};
pub use nodes::{RUN_FAILED, plain_text, title as kind_in_words};
pub use plan::{Plan, StepInfo};
pub use policy::{OnError, RunPolicy, StepPolicy};
pub use record::{Record, RecordStatus, weight};
pub use refusal::{Problem, ProblemKind, Refusal};
pub use report::{Finding, FindingKind, Need};
pub use run::{
    Advance, Answer, AnswerError, Incoming, NodeFailure, PastMessage, RetryError, Run, RunInput, STEP_LIMIT,
    Stop,
};
pub use schedule::Schedule;
pub use script::{Script, ScriptConsole};
pub use start::{
    BodyParameter, InputMode, Parameter, ParameterType, ResponseMode, SignatureKind, SignatureSettings,
    StartSettings, StartTrigger, Validation,
};
pub use template::{Path, Scope, Template, html_to_markdown};
