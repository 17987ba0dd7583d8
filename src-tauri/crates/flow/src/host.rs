//! The world, as far as a node may see it.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use countersign_domain::{DocumentHash, Timestamp};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::http::{HttpRequest, HttpResponse};
use crate::model::{Lookup, ModelReply, ModelRequest, Passage};
use crate::plan::Plan;
use crate::record::RecordStatus;
use crate::script::Script;

/// What a host promises to deliver.
pub type HostFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A flow that another one calls.
#[derive(Debug, Clone)]
pub struct CalledFlow {
    /// Its name, for people.
    pub name: String,
    /// Its document: a run that waits inside the called flow goes on with this one, whatever was edited since.
    pub document: DocumentHash,
    /// That document, read.
    pub plan: Plan,
}

/// What happens in a run while it happens, for streams and views. Nothing depends on anybody listening.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum RunEvent<'a> {
    /// A step begins.
    StepBegan {
        /// Its id.
        node_id: &'a str,
        /// Its label.
        node_label: &'a str,
    },
    /// A piece of the answer.
    Token(&'a str),
    /// A piece of what a model thinks before it answers.
    Thought {
        /// The text, empty once it has finished.
        text: &'a str,
        /// How long it took, once it has finished.
        seconds: Option<u64>,
    },
    /// What belongs to the answer beside its text.
    Fact {
        /// `calledTools`, `usedTools`, `sourceDocuments` or `usageMetadata`.
        name: &'static str,
        /// The fact.
        data: &'a Value,
    },
    /// A step came to an end.
    StepEnded {
        /// Its id.
        node_id: &'a str,
        /// Its label.
        node_label: &'a str,
        /// How.
        status: RecordStatus,
        /// Why it failed.
        error: Option<&'a str>,
    },
}

/// What the runner needs from outside. Tests replace it. What a host does not offer fails the step that asks for
/// it, with a message that says so.
pub trait Host: Send + Sync {
    /// The present moment, for `{{ current_date_time }}` and the times in records.
    fn now(&self) -> Timestamp;

    /// A new id. It is asked for exactly once for each stop and becomes the `id` of the stop's action.
    fn new_id(&self) -> Uuid;

    /// The workspace variable of this name, for `{{ $vars.name }}`; `None` leaves the reference as it is.
    fn variable(&self, name: &str) -> Option<String>;

    /// All workspace variables, for scripts.
    fn variables(&self) -> Map<String, Value> {
        Map::new()
    }

    /// Hears what happens.
    fn event(&self, _event: RunEvent<'_>) {}

    /// Ends after that time; what time limits and pauses between attempts are made of.
    fn sleep(&self, _duration: Duration) -> HostFuture<'_, ()> {
        Box::pin(std::future::pending())
    }

    /// The flow of this id, to be called now.
    fn called_flow(&self, _id: &str) -> Option<CalledFlow> {
        None
    }

    /// A document by its hash, for a run that goes on inside a called flow.
    fn plan(&self, _document: &DocumentHash) -> Option<Plan> {
        None
    }

    /// Performs an HTTP request. The error is for people.
    fn http(&self, _request: HttpRequest) -> HostFuture<'_, Result<HttpResponse, String>> {
        not_here("HTTP requests")
    }

    /// Runs a script; `None` is JavaScript's `undefined`. The error is what it threw, in words.
    fn script(&self, _script: Script) -> HostFuture<'_, Result<Option<Value>, String>> {
        not_here("scripts")
    }

    /// Asks a language model. The error is for people: which credential or mapping is missing, what the provider said.
    fn model(&self, _request: ModelRequest) -> HostFuture<'_, Result<ModelReply, String>> {
        not_here("language models")
    }

    /// Looks something up in a document store.
    fn look_up(&self, _lookup: Lookup) -> HostFuture<'_, Result<Vec<Passage>, String>> {
        not_here("document stores")
    }
}

fn not_here<'a, T: Send + 'a>(what: &str) -> HostFuture<'a, Result<T, String>> {
    let message = format!("{what} are not available here");
    Box::pin(std::future::ready(Err(message)))
}
