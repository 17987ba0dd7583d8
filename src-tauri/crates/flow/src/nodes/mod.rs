//! The kinds of nodes, one file each. A kind is added by a file here, its row in [`KINDS`] and its arms below.

mod condition;
mod direct_reply;
mod human_input;
mod start;

pub use condition::plain_text;

use std::sync::Arc;

use crate::document::DocumentNode;
use crate::graph::Outputs;
use crate::host::Host;
use crate::record::{Body, NodeFacts};
use crate::refusal::{Problem, ProblemKind};
use crate::run::RunScope;
use crate::template::Scope;
use serde_json::Value;

pub(crate) use human_input::{Decision, Question, action};

pub(crate) const START: &str = "startAgentflow";
pub(crate) const STICKY_NOTE: &str = "stickyNoteAgentflow";

/// The kinds of AgentFlow v2: `data.name` and the editor's name for it (format §5).
const KINDS: [(&str, &str); 15] = [
    (START, "Start"),
    ("humanInputAgentflow", "Human Input"),
    ("conditionAgentflow", "Condition"),
    ("directReplyAgentflow", "Direct Reply"),
    (STICKY_NOTE, "Sticky Note"),
    ("conditionAgentAgentflow", "Condition Agent"),
    ("httpAgentflow", "HTTP"),
    ("customFunctionAgentflow", "Custom Function"),
    ("executeFlowAgentflow", "Execute Flow"),
    ("iterationAgentflow", "Iteration"),
    ("loopAgentflow", "Loop"),
    ("llmAgentflow", "LLM"),
    ("agentAgentflow", "Agent"),
    ("toolAgentflow", "Tool"),
    ("retrieverAgentflow", "Retriever"),
];

/// The editor's name for a kind.
pub(crate) fn title(name: &str) -> &str {
    KINDS
        .iter()
        .find(|(kind, _)| *kind == name)
        .map_or(name, |(_, title)| title)
}

/// A node that was read.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) facts: Arc<NodeFacts>,
    pub(crate) kind: Kind,
}

/// What a node does, with its inputs compiled.
#[derive(Debug)]
pub(crate) enum Kind {
    Start,
    HumanInput(human_input::HumanInput),
    Condition(condition::Condition),
    DirectReply(direct_reply::DirectReply),
}

/// What running a node came to.
pub(crate) enum Outcome {
    /// It ran.
    Ran(Ran),
    /// It waits for a person.
    Asks(Question),
}

/// A node that ran.
pub(crate) struct Ran {
    pub(crate) input: Body,
    pub(crate) output: Body,
    /// The flow state after it, if it changed.
    pub(crate) state: Option<Arc<Value>>,
    /// A message that the user said in it.
    pub(crate) said: Option<Value>,
    /// The output that was taken, for nodes that decide.
    pub(crate) taken: Option<usize>,
}

impl Kind {
    pub(crate) fn read(node: &DocumentNode) -> Result<Self, Problem> {
        match node.name.as_str() {
            START => Ok(Self::Start),
            "humanInputAgentflow" => human_input::HumanInput::read(node).map(Self::HumanInput),
            "conditionAgentflow" => Ok(Self::Condition(condition::Condition::read(node))),
            "directReplyAgentflow" => Ok(Self::DirectReply(direct_reply::DirectReply::read(node))),
            name => match KINDS.iter().find(|(kind, _)| *kind == name) {
                Some((_, title)) => Err(Problem::at(
                    ProblemKind::NotSupportedYet,
                    &node.id,
                    &node.label,
                    format!("{title} {}", node.described()),
                )),
                None => Err(Problem::at(
                    ProblemKind::UnknownKind,
                    &node.id,
                    &node.label,
                    format!("{name} {}", node.described()),
                )),
            },
        }
    }

    pub(crate) fn outputs(&self) -> Outputs {
        match self {
            Self::Start | Self::DirectReply(_) => Outputs::One,
            Self::HumanInput(_) => Outputs::Indexed(Some(2)),
            Self::Condition(condition) => Outputs::Indexed(condition.output_count()),
        }
    }

    /// Whether it waits for a person.
    pub(crate) fn waits(&self) -> bool {
        matches!(self, Self::HumanInput(_))
    }

    /// What it will do, for people.
    pub(crate) fn in_words<S: Scope + ?Sized>(&self, label: &str, scope: &S) -> String {
        match self {
            Self::Start => "Start".to_owned(),
            Self::HumanInput(gate) => format!("Ask: {}", gate.description(scope)),
            Self::Condition(_) => format!("Check “{label}”"),
            Self::DirectReply(reply) => format!("Reply “{}”", reply.text(scope)),
        }
    }

    /// Runs it. The error is the message of the failure.
    pub(crate) async fn run<H: Host + ?Sized>(
        &self,
        scope: &RunScope<'_, H>,
        decision: Option<&Decision>,
    ) -> Result<Outcome, String> {
        match self {
            Self::Start => start::run(scope).map(Outcome::Ran),
            Self::HumanInput(gate) => Ok(gate.run(scope, decision)),
            Self::Condition(condition) => condition.run(scope).map(Outcome::Ran),
            Self::DirectReply(reply) => Ok(Outcome::Ran(reply.run(scope))),
        }
    }
}
