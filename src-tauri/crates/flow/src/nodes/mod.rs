//! The kinds of nodes, one file each. A kind is added by a file here and its row in [`KINDS`].

mod agent;
mod condition;
mod condition_agent;
mod conversation;
mod custom_function;
mod direct_reply;
mod execute_flow;
mod http;
mod human_input;
mod iteration;
mod llm;
mod loop_back;
mod retriever;
mod start;
mod structured;
mod tool;

pub use condition::plain_text;
pub use execute_flow::RUN_FAILED;

use std::fmt;
use std::sync::Arc;

use countersign_domain::{AskedCall, Outcome as Answered};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::document::DocumentNode;
use crate::graph::Outputs;
use crate::host::{CalledFlow, HostFuture};
use crate::model::ModelChoice;
use crate::record::{Body, NodeFacts};
use crate::refusal::{Problem, ProblemKind};
use crate::run::{RunScope, Said};
use crate::script::ScriptConsole;
use crate::template::{Field, Scope};

pub(crate) const START: &str = "startAgentflow";

/// The kind of a Retriever.
pub(crate) const RETRIEVER: &str = "retrieverAgentflow";

/// The kind of an HTTP step.
pub(crate) const HTTP: &str = "httpAgentflow";
pub(crate) const STICKY_NOTE: &str = "stickyNoteAgentflow";
pub(crate) const HUMAN_INPUT: &str = "humanInputAgentflow";
pub(crate) const ITERATION: &str = "iterationAgentflow";

type Read = fn(&DocumentNode) -> Result<Box<dyn Node>, Problem>;

/// A kind of AgentFlow v2 (format §5).
struct Kind {
    /// `data.name`.
    name: &'static str,
    /// The editor's name for it.
    title: &'static str,
    /// Compiles a node of it; absent while it cannot run here.
    read: Option<Read>,
}

const fn kind(name: &'static str, title: &'static str, read: Read) -> Kind {
    Kind {
        name,
        title,
        read: Some(read),
    }
}

const fn not_yet(name: &'static str, title: &'static str) -> Kind {
    Kind {
        name,
        title,
        read: None,
    }
}

const KINDS: [Kind; 15] = [
    kind(START, "Start", start::read),
    kind(HUMAN_INPUT, "Human Input", human_input::read),
    kind("conditionAgentflow", "Condition", condition::read),
    kind("directReplyAgentflow", "Direct Reply", direct_reply::read),
    not_yet(STICKY_NOTE, "Sticky Note"),
    kind(
        "conditionAgentAgentflow",
        "Condition Agent",
        condition_agent::read,
    ),
    kind(HTTP, "HTTP", http::read),
    kind(
        "customFunctionAgentflow",
        "Custom Function",
        custom_function::read,
    ),
    kind("executeFlowAgentflow", "Execute Flow", execute_flow::read),
    kind(ITERATION, "Iteration", iteration::read),
    kind("loopAgentflow", "Loop", loop_back::read),
    kind("llmAgentflow", "LLM", llm::read),
    kind("agentAgentflow", "Agent", agent::read),
    kind("toolAgentflow", "Tool", tool::read),
    kind(RETRIEVER, "Retriever", retriever::read),
];

/// The editor's name for a kind, `data.name` of the document.
pub fn title(name: &str) -> &str {
    KINDS
        .iter()
        .find(|kind| kind.name == name)
        .map_or(name, |kind| kind.title)
}

/// Compiles a node.
pub(crate) fn read(node: &DocumentNode) -> Result<Box<dyn Node>, Problem> {
    let known = KINDS.iter().find(|kind| kind.name == node.name);
    let (problem, title) = match known {
        Some(Kind { read: Some(read), .. }) => return read(node),
        Some(kind) => (ProblemKind::NotSupportedYet, kind.title),
        None => (ProblemKind::UnknownKind, node.name.as_str()),
    };
    Err(Problem::at(
        problem,
        &node.id,
        &node.label,
        format!("{title} {}", node.described()),
    ))
}

/// How a node works, as far as the runner has to know it beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Nature {
    /// It waits for a person whenever it is reached. It is taken up last, so that what lies beside it is done first.
    pub(crate) asks: bool,
    /// It touches the world: what led to it is made durable before it runs.
    pub(crate) outside: bool,
    /// It takes time and changes nothing but its own record and what is said in the chat, so that it can run beside
    /// others of its sort.
    pub(crate) beside: bool,
    /// It says something in the chat, and what began the run too if it is the first to say something.
    pub(crate) speaks: bool,
    /// It works with what was said in the chat, whatever its texts refer to.
    pub(crate) remembers: bool,
}

/// A node with its inputs compiled.
pub(crate) trait Node: fmt::Debug + Send + Sync {
    /// How it works.
    fn nature(&self) -> Nature {
        Nature::default()
    }

    /// Its outputs.
    fn outputs(&self) -> Outputs {
        Outputs::One
    }

    /// What one of its outputs is called, for nodes that decide.
    fn output_name(&self, output: usize) -> String {
        format!("output {output}")
    }

    /// The inputs that may hold references, by name.
    fn fields(&self) -> Vec<(&'static str, &Field)> {
        Vec::new()
    }

    /// The credential that it names.
    fn credential(&self) -> Option<&str> {
        None
    }

    /// The flows that it calls, by id.
    fn calls(&self) -> Option<&str> {
        None
    }

    /// The model that it asks.
    fn model(&self) -> Option<&ModelChoice> {
        None
    }

    /// The document stores that it looks into, as the export names them.
    fn stores(&self) -> Vec<&str> {
        Vec::new()
    }

    /// What it uses that is not there, in words.
    fn lacks(&self) -> Vec<&str> {
        Vec::new()
    }

    /// What of it works less well here, or is left out, in sentences that the step's name goes before.
    fn degraded(&self) -> Vec<String> {
        Vec::new()
    }

    /// Why it can only fail, in sentences that the step's name goes before.
    fn faults(&self) -> Vec<String> {
        Vec::new()
    }

    /// What it does otherwise than Flowise by what the document says of it: the letter or row, and a sentence that the
    /// step's name goes before.
    fn differs(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// Whether a person is asked before a tool of it runs.
    fn gates_tools(&self) -> bool {
        false
    }

    /// What an answer to its question does before anything that follows, in words, for nodes that go on themselves.
    fn answered_in_words(&self, _call: Option<&AskedCall>, _approve: bool) -> Option<String> {
        None
    }

    /// The node that it leads back to, by id.
    fn leads_back_to(&self) -> Option<&str> {
        None
    }

    /// What it will do, for people.
    fn in_words(&self, label: &str, scope: &dyn Scope) -> String;

    /// Runs it. The error is the message of the failure.
    fn run<'a>(&'a self, at: At<'a>) -> Step<'a>;

    /// For a node that called a flow or went through a list: makes its record of what came out.
    fn returned(&self, _scope: &RunScope<'_>, _input: Body, _returned: Returned) -> Result<Ran, String> {
        Err("this step called nothing".to_owned())
    }
}

/// Where a node runs.
#[derive(Clone, Copy)]
pub(crate) struct At<'a> {
    pub(crate) scope: RunScope<'a>,
    /// The answer to what it asked.
    pub(crate) decision: Option<&'a Decision>,
    /// What it left for itself when it ran last, see [`Outcome::Again`] and [`Question::carried`].
    pub(crate) carried: Option<&'a Value>,
    /// What it writes on the way, for whoever looks into it.
    pub(crate) console: &'a ScriptConsole,
}

/// A node at work.
pub(crate) enum Step<'a> {
    /// It is done already.
    Done(Result<Outcome, String>),
    /// It waits for the world.
    Waits(HostFuture<'a, Result<Outcome, String>>),
}

/// What running a node came to.
pub(crate) enum Outcome {
    /// It ran.
    Ran(Ran),
    /// It waits for a person.
    Asks(Box<Question>),
    /// It did one thing of several and goes on from this value, which is kept in the run.
    Again(Value),
    /// It calls a flow; what comes out goes to [`Node::returned`].
    Calls {
        input: Body,
        flow: Box<CalledFlow>,
        id: String,
        question: String,
    },
    /// It runs the nodes that lie in it once for each item; what comes out goes to [`Node::returned`].
    Iterates { input: Body, items: Vec<Value> },
}

/// What came out of a called flow or a list.
pub(crate) enum Returned {
    /// The text of the called flow, or why it failed.
    Flow {
        question: String,
        result: Result<String, String>,
    },
    /// The text of each item.
    Items(Vec<String>),
}

/// A node that ran.
pub(crate) struct Ran {
    pub(crate) input: Body,
    pub(crate) output: Body,
    /// The flow state after it, if it changed.
    pub(crate) state: Option<Arc<Value>>,
    /// What was said in it.
    pub(crate) said: Vec<Said>,
    /// The output that was taken, for nodes that decide.
    pub(crate) taken: Option<usize>,
    /// The node that runs again, for a Loop.
    pub(crate) back_to: Option<usize>,
}

impl Ran {
    /// A node that only made an output.
    pub(crate) fn new(input: Body, output: Body) -> Self {
        Self {
            input,
            output,
            state: None,
            said: Vec::new(),
            taken: None,
            back_to: None,
        }
    }
}

/// A question that is asked now.
pub(crate) struct Question {
    pub(crate) text: String,
    pub(crate) description: String,
    pub(crate) feedback_enabled: bool,
    pub(crate) input: Value,
    /// Further facts of the record's output.
    pub(crate) output: Map<String, Value>,
    /// The call of a tool that is asked about.
    pub(crate) call: Option<AskedCall>,
    /// What the node needs again when it is answered.
    pub(crate) carried: Option<Value>,
}

/// The answer to the step that waits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Decision {
    /// The index of the node it is for.
    pub(crate) node: usize,
    pub(crate) outcome: Answered,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) feedback: Option<Value>,
    /// What the tool is called with in place of what was shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) arguments: Option<Value>,
    pub(crate) start_node_id: String,
}

/// Those of a node's inputs that are set, with their names.
pub(crate) fn set_fields<'a, const N: usize>(
    named: [(&'static str, &'a Option<Field>); N],
) -> Vec<(&'static str, &'a Field)> {
    let named = named.into_iter();
    named
        .filter_map(|(name, field)| Some((name, field.as_ref()?)))
        .collect()
}

/// The `action` object that clients build their buttons from (webhook spec §8.1).
pub(crate) fn action(id: Uuid, node: &NodeFacts, label: &str, input: &Value) -> Value {
    json!({
        "id": id.hyphenated().to_string(),
        "mapping": {"approve": "Proceed", "reject": "Reject"},
        "elements": [
            {"type": "agentflowv2-approve-button", "label": "Proceed"},
            {"type": "agentflowv2-reject-button", "label": "Reject"},
        ],
        "data": {"nodeId": node.id, "nodeLabel": label, "input": input},
    })
}
