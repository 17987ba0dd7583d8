//! A document that was checked and compiled.

use std::sync::Arc;

use countersign_domain::display_line;

use crate::document::Document;
use crate::graph::{Graph, Outputs};
use crate::nodes::{self, Kind, Node};
use crate::record::NodeFacts;
use crate::refusal::{Problem, Refusal};
use crate::start::StartSettings;

/// A document that was checked and can run. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Plan(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    nodes: Vec<Node>,
    graph: Graph,
    start: usize,
    settings: StartSettings,
}

/// One step, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepInfo {
    /// The node's id.
    pub id: String,
    /// Its label.
    pub label: String,
    /// Its kind in words, `Human Input`.
    pub kind: String,
}

/// How long a line of [`Plan::what_follows`] gets, and how many there are.
const LINE: usize = 160;
const LINES: usize = 12;

impl Plan {
    /// Reads an export, or any JSON with `nodes` and `edges`. Sticky notes are left out.
    ///
    /// # Errors
    /// [`Refusal`] with everything that is wrong. No input makes it panic.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let document = Document::parse(text)?;
        let kept: Vec<_> = document
            .nodes
            .iter()
            .filter(|node| node.name != nodes::STICKY_NOTE)
            .collect();
        let mut problems = Vec::new();
        let mut kinds = Vec::with_capacity(kept.len());
        for node in &kept {
            match Kind::read(node) {
                Ok(kind) => kinds.push(Some(kind)),
                Err(problem) => {
                    problems.push(problem);
                    kinds.push(None);
                }
            }
        }
        // The outputs of a node that could not be read are not checked.
        let outputs = |index: usize| kinds[index].as_ref().map_or(Outputs::One, Kind::outputs);
        let graph = Graph::build(&document, &kept, outputs, &mut problems);
        let start = kept.iter().position(|node| node.name == nodes::START);
        let (Some(start), true) = (start, problems.is_empty()) else {
            return Err(Refusal::new(sorted(problems, &kept)));
        };
        let nodes: Vec<Node> = kept
            .iter()
            .zip(kinds.into_iter().flatten())
            .enumerate()
            .map(|(index, (node, kind))| Node {
                facts: Arc::new(NodeFacts {
                    id: node.id.clone(),
                    label: node.label.clone(),
                    name: node.name.clone(),
                    previous: graph.sources[index]
                        .iter()
                        .map(|source| kept[*source].id.clone())
                        .collect(),
                }),
                kind,
            })
            .collect();
        let settings = StartSettings::read(&kept[start].inputs);
        Ok(Self(Arc::new(Inner {
            nodes,
            graph,
            start,
            settings,
        })))
    }

    /// What the Start node says.
    pub fn start(&self) -> &StartSettings {
        &self.0.settings
    }

    /// The steps in the order of the document, without sticky notes.
    pub fn steps(&self) -> Vec<StepInfo> {
        self.0
            .nodes
            .iter()
            .map(|node| StepInfo {
                id: node.facts.id.clone(),
                label: node.facts.label.clone(),
                kind: nodes::title(&node.facts.name).to_owned(),
            })
            .collect()
    }

    /// What comes after a gate is answered, one line a step, up to the next gates; `in_words` says what a node
    /// does.
    pub(crate) fn after_gate(
        &self,
        gate: usize,
        approve: bool,
        in_words: impl Fn(&Node) -> String,
    ) -> Vec<String> {
        let taken = usize::from(!approve);
        let mut seen = vec![false; self.0.nodes.len()];
        let mut queue: std::collections::VecDeque<usize> = self.0.graph.outgoing[gate]
            .iter()
            .map(|edge| self.0.graph.edges[*edge])
            .filter(|edge| edge.output.is_none_or(|output| output == taken))
            .map(|edge| edge.target)
            .collect();
        let mut lines = Vec::new();
        while let Some(index) = queue.pop_front() {
            if std::mem::replace(&mut seen[index], true) {
                continue;
            }
            if lines.len() == LINES {
                lines.push("…".to_owned());
                break;
            }
            let node = &self.0.nodes[index];
            lines.push(display_line(&in_words(node), LINE));
            if !node.kind.waits() {
                queue.extend(
                    self.0.graph.outgoing[index]
                        .iter()
                        .map(|edge| self.0.graph.edges[*edge].target),
                );
            }
        }
        if lines.is_empty() {
            lines.push("The flow ends".to_owned());
        }
        lines
    }

    pub(crate) fn node(&self, index: usize) -> &Node {
        &self.0.nodes[index]
    }

    pub(crate) fn node_count(&self) -> usize {
        self.0.nodes.len()
    }

    pub(crate) fn graph(&self) -> &Graph {
        &self.0.graph
    }

    pub(crate) fn start_index(&self) -> usize {
        self.0.start
    }
}

/// In the order of the document; what concerns no node comes first.
fn sorted(mut problems: Vec<Problem>, nodes: &[&crate::document::DocumentNode]) -> Vec<Problem> {
    let places: std::collections::HashMap<&str, usize> = nodes
        .iter()
        .enumerate()
        .map(|(index, node)| (node.id.as_str(), index + 1))
        .collect();
    problems.sort_by_key(|problem| {
        problem
            .node_id
            .as_deref()
            .and_then(|id| places.get(id))
            .copied()
            .unwrap_or(0)
    });
    problems
}
