//! Why a document cannot be imported.

use std::fmt;

/// What is wrong with a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProblemKind {
    /// The text is not JSON, or is nested too deeply.
    NotJson,
    /// It is JSON, but not of the form of a flow.
    NotAFlow,
    /// A kind of AgentFlow v2 that this version does not run yet.
    NotSupportedYet,
    /// A kind that AgentFlow v2 does not have.
    UnknownKind,
    /// The flow has no Start.
    NoStart,
    /// The flow has more than one Start.
    SeveralStarts,
    /// Two nodes have the same id.
    DuplicateNode,
    /// An edge begins or ends at a node that is not there.
    DanglingEdge,
    /// An edge begins at an output that its node does not have.
    NoSuchOutput,
    /// A cycle that no Loop node makes.
    Cycle,
    /// No edge leads to this node.
    NotConnected,
    /// A Human Input inside an Iteration.
    GateInIteration,
    /// An Iteration inside another.
    IterationInIteration,
    /// A node lies in something that is not an Iteration of this flow, or an edge leads across the border of one.
    AcrossIteration,
    /// It has more nodes than can be run.
    TooManyNodes,
    /// A setting of a node asks for something that is not there.
    Setting,
}

/// One thing that is wrong, with the node it concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What it is, for programs.
    pub kind: ProblemKind,
    /// The id of the node, if it concerns one.
    pub node_id: Option<String>,
    /// The label of that node.
    pub node_label: Option<String>,
    /// What it is, for people: a sentence without a full stop.
    pub message: String,
}

impl Problem {
    pub(crate) fn new(kind: ProblemKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            node_id: None,
            node_label: None,
            message: message.into(),
        }
    }

    pub(crate) fn at(kind: ProblemKind, id: &str, label: &str, message: impl Into<String>) -> Self {
        Self {
            kind,
            node_id: Some(id.to_owned()),
            node_label: Some(label.to_owned()),
            message: message.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// A document that is not imported, with everything that is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", describe(.0))]
pub struct Refusal(Vec<Problem>);

impl Refusal {
    pub(crate) fn new(problems: Vec<Problem>) -> Self {
        Self(problems)
    }

    pub(crate) fn one(kind: ProblemKind, message: impl Into<String>) -> Self {
        Self(vec![Problem::new(kind, message)])
    }

    /// Everything that is wrong, in the order of the document; never empty.
    pub fn problems(&self) -> &[Problem] {
        &self.0
    }
}

/// More than this would be a wall of text; the rest is counted.
const SHOWN: usize = 20;

fn describe(problems: &[Problem]) -> String {
    let mut parts = Vec::new();
    let of_kind = |kind| problems.iter().filter(move |problem| problem.kind == kind);
    for (kind, lead) in [
        (
            ProblemKind::NotSupportedYet,
            "these steps are of kinds that are not there yet",
        ),
        (
            ProblemKind::UnknownKind,
            "these steps are of kinds that AgentFlow v2 does not have",
        ),
    ] {
        let names: Vec<_> = of_kind(kind).map(|problem| problem.message.as_str()).collect();
        if !names.is_empty() {
            parts.push(format!("{lead}: {}", names.join(", ")));
        }
    }
    let others: Vec<_> = problems
        .iter()
        .filter(|problem| {
            !matches!(
                problem.kind,
                ProblemKind::NotSupportedYet | ProblemKind::UnknownKind
            )
        })
        .collect();
    parts.extend(others.iter().take(SHOWN).map(|problem| problem.message.clone()));
    if others.len() > SHOWN {
        parts.push(format!("and {} more", others.len() - SHOWN));
    }
    format!("This flow cannot be imported: {}", parts.join("; "))
}
