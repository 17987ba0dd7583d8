//! A document that was checked and compiled.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, OnceLock};

use countersign_domain::display_line;

use crate::clear_text::{Sighting, sightings};
use crate::document::{Document, DocumentEdge, DocumentNode};
use crate::graph::{Graph, Outputs};
use crate::nodes::{self, Nature, Node};
use crate::policy::{OnError, RunPolicy, StepPolicy};
use crate::record::NodeFacts;
use crate::refusal::{Problem, ProblemKind, Refusal};
use crate::report::Finding;
use crate::start::StartSettings;
use crate::template::Mention;

/// A document that was checked and can run. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Plan {
    inner: Arc<Inner>,
    policy: Arc<RunPolicy>,
}

#[derive(Debug)]
struct Inner {
    nodes: Vec<PlannedNode>,
    graph: Graph,
    /// The nodes that a run begins with: Start, or inside an Iteration all that no edge leads to.
    starts: Vec<usize>,
    settings: Arc<StartSettings>,
    /// What lies inside the Iterations, by their index.
    bodies: HashMap<usize, Arc<Inner>>,
    findings: OnceLock<Vec<Finding>>,
}

/// A node that was compiled.
#[derive(Debug)]
pub(crate) struct PlannedNode {
    pub(crate) facts: Arc<NodeFacts>,
    pub(crate) kind: Box<dyn Node>,
    pub(crate) nature: Nature,
    /// The nodes that its inputs refer to, by index.
    pub(crate) refers_to: Vec<usize>,
    /// Whether it works with what was said in the chat.
    pub(crate) reads_chat: bool,
    /// The node that it leads back to, for a Loop.
    pub(crate) leads_back_to: Option<usize>,
    /// The secrets that stand in its inputs.
    pub(crate) secrets: Vec<Sighting>,
}

/// How many nodes a flow may have: far more than any editor shows, and few enough that reading them is quick.
const NODES_MAX: usize = 10_000;

/// One step, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepInfo {
    /// The node's id.
    pub id: String,
    /// Its label.
    pub label: String,
    /// Its kind in words, `Human Input`.
    pub kind: String,
    /// Whether it decides where the run goes, so that the run cannot go on after it failed.
    pub decides: bool,
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
        if kept.len() > NODES_MAX {
            let message = format!("it has {} nodes, and {NODES_MAX} is the most", kept.len());
            return Err(Refusal::one(ProblemKind::TooManyNodes, message));
        }
        let mut problems = Vec::new();
        let settings = kept
            .iter()
            .find(|node| node.name == nodes::START)
            .map(|start| Arc::new(StartSettings::read(&start.inputs)));
        let parts = Parts::of(&kept, &document.edges, &mut problems);
        let inner = read_part(&parts, None, settings.as_ref(), &mut problems);
        match inner {
            Some(inner) if problems.is_empty() => Ok(Self {
                inner: Arc::new(inner),
                policy: Arc::default(),
            }),
            _ => Err(Refusal::new(sorted(problems, &kept))),
        }
    }

    /// The same plan under what the operator says about its steps.
    pub fn with_policy(&self, policy: RunPolicy) -> Self {
        Self {
            inner: self.inner.clone(),
            policy: Arc::new(policy),
        }
    }

    /// What the Start node says.
    pub fn start(&self) -> &StartSettings {
        &self.inner.settings
    }

    /// The steps in the order of the document, without sticky notes; those inside an Iteration come after it.
    pub fn steps(&self) -> Vec<StepInfo> {
        let mut steps = Vec::with_capacity(self.inner.nodes.len());
        for (index, node) in self.inner.nodes.iter().enumerate() {
            steps.push(StepInfo {
                id: node.facts.id.clone(),
                label: node.facts.label.clone(),
                kind: nodes::title(&node.facts.name).to_owned(),
                decides: self.decides(index),
            });
            if let Some(body) = self.body(index) {
                steps.extend(body.steps());
            }
        }
        steps
    }

    /// The nodes of this part of the flow.
    pub(crate) fn nodes(&self) -> &[PlannedNode] {
        &self.inner.nodes
    }

    /// Where [`Plan::findings`] keeps what it found.
    pub(crate) fn kept_findings(&self) -> &OnceLock<Vec<Finding>> {
        &self.inner.findings
    }

    /// The nodes of this part, and those of the parts that lie in its Iterations.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &[PlannedNode]> {
        self.graphs().map(|(nodes, _)| nodes)
    }

    /// The same with their graphs.
    pub(crate) fn graphs(&self) -> impl Iterator<Item = (&[PlannedNode], &Graph)> {
        // Iterations do not lie in one another, so this is all there is.
        let mut bodies: Vec<_> = self.inner.bodies.iter().collect();
        bodies.sort_by_key(|(index, _)| **index);
        let bodies = bodies
            .into_iter()
            .map(|(_, body)| (body.nodes.as_slice(), &body.graph));
        std::iter::once((self.nodes(), self.graph())).chain(bodies)
    }

    /// What comes after a node, one line a step, up to the next gates: behind one of its outputs, or all of them.
    /// `in_words` says what a node does.
    pub(crate) fn after(
        &self,
        node: usize,
        taken: Option<usize>,
        in_words: impl Fn(&PlannedNode) -> String,
    ) -> Vec<String> {
        let graph = &self.inner.graph;
        let mut seen = vec![false; self.inner.nodes.len()];
        let mut queue: VecDeque<usize> = graph.outgoing[node]
            .iter()
            .map(|edge| graph.edges[*edge])
            .filter(|edge| taken.is_none() || edge.output.is_none_or(|output| Some(output) == taken))
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
            let node = &self.inner.nodes[index];
            lines.push(display_line(&in_words(node), LINE));
            if !node.nature.asks {
                queue.extend(graph.outgoing[index].iter().map(|edge| graph.edges[*edge].target));
            }
        }
        if lines.is_empty() {
            lines.push("The flow ends".to_owned());
        }
        lines
    }

    pub(crate) fn node(&self, index: usize) -> &PlannedNode {
        &self.inner.nodes[index]
    }

    pub(crate) fn node_count(&self) -> usize {
        self.inner.nodes.len()
    }

    pub(crate) fn graph(&self) -> &Graph {
        &self.inner.graph
    }

    pub(crate) fn starts(&self) -> &[usize] {
        &self.inner.starts
    }

    /// The node of this id, in this part of the flow.
    pub(crate) fn index_of(&self, id: &str) -> Option<usize> {
        self.inner.nodes.iter().position(|node| node.facts.id == id)
    }

    /// What lies inside an Iteration, if anything does.
    pub(crate) fn body(&self, index: usize) -> Option<Self> {
        self.inner.bodies.get(&index).map(|body| Self {
            inner: body.clone(),
            policy: self.policy.clone(),
        })
    }

    pub(crate) fn has_body(&self, index: usize) -> bool {
        self.inner.bodies.contains_key(&index)
    }

    pub(crate) fn is_strict(&self) -> bool {
        self.policy.strict
    }

    /// Whether a node has several outputs, one of which it takes.
    fn decides(&self, index: usize) -> bool {
        matches!(self.node(index).kind.outputs(), Outputs::Indexed(_))
    }

    /// Whether the run goes on after a step failed. After one that decides it would go every way at once: past a gate
    /// that nobody was asked at, say.
    pub(crate) fn goes_on_after_failure(&self, index: usize) -> bool {
        self.policy(index).on_error == OnError::Continue && !self.decides(index)
    }

    /// What the operator says about a step.
    pub(crate) fn policy(&self, index: usize) -> &StepPolicy {
        static NOTHING_SAID: StepPolicy = StepPolicy::NOTHING_SAID;
        if self.policy.steps.is_empty() {
            return &NOTHING_SAID;
        }
        self.policy
            .steps
            .get(&self.node(index).facts.id)
            .unwrap_or(&NOTHING_SAID)
    }
}

/// The nodes and edges of a document by where they lie: at the top, or inside an Iteration.
struct Parts<'a> {
    nodes: HashMap<Option<&'a str>, Vec<&'a DocumentNode>>,
    edges: HashMap<Option<&'a str>, Vec<&'a DocumentEdge>>,
}

impl<'a> Parts<'a> {
    fn of(kept: &[&'a DocumentNode], edges: &'a [DocumentEdge], problems: &mut Vec<Problem>) -> Self {
        let by_id: HashMap<&str, &DocumentNode> = kept.iter().map(|node| (node.id.as_str(), *node)).collect();
        let mut parts = Self {
            nodes: HashMap::new(),
            edges: HashMap::new(),
        };
        for node in kept {
            let parent = node.parent.as_deref();
            let lies_in = parent.and_then(|parent| by_id.get(parent));
            match (parent, lies_in) {
                (Some(_), Some(outer)) if outer.name == nodes::ITERATION && outer.parent.is_none() => {
                    if node.name == nodes::ITERATION {
                        let message = format!(
                            "the Iteration {} lies inside another Iteration; call a flow of its own there instead",
                            node.described()
                        );
                        let kind = ProblemKind::IterationInIteration;
                        problems.push(Problem::at(kind, &node.id, &node.label, message));
                    }
                }
                (None, _) => {}
                (Some(_), Some(outer)) if outer.name == nodes::ITERATION => {}
                (Some(parent), _) => {
                    let message = format!(
                        "{} lies inside “{parent}”, which is not an Iteration of this flow",
                        node.described()
                    );
                    let kind = ProblemKind::AcrossIteration;
                    problems.push(Problem::at(kind, &node.id, &node.label, message));
                }
            }
            if let Some(outer) = lies_in
                && node.name == nodes::HUMAN_INPUT
            {
                let message = format!(
                    "the Human Input {} lies inside the Iteration {}; move it in front of or behind the Iteration",
                    node.described(),
                    outer.described()
                );
                let kind = ProblemKind::GateInIteration;
                problems.push(Problem::at(kind, &node.id, &node.label, message));
            }
            parts.nodes.entry(parent).or_default().push(node);
        }
        for edge in edges {
            let source = by_id.get(edge.source.as_str());
            let target = by_id.get(edge.target.as_str());
            let place = source.or(target).and_then(|node| node.parent.as_deref());
            if let (Some(source), Some(target)) = (source, target)
                && source.parent != target.parent
            {
                let message = format!(
                    "an edge leads from {} to {}, across the border of an Iteration",
                    source.described(),
                    target.described()
                );
                let kind = ProblemKind::AcrossIteration;
                problems.push(Problem::at(kind, &source.id, &source.label, message));
                continue;
            }
            parts.edges.entry(place).or_default().push(edge);
        }
        parts
    }
}

/// Reads the top of a document, or what lies inside an Iteration.
fn read_part(
    parts: &Parts<'_>,
    place: Option<&str>,
    settings: Option<&Arc<StartSettings>>,
    problems: &mut Vec<Problem>,
) -> Option<Inner> {
    let none = Vec::new();
    let nodes = parts.nodes.get(&place).unwrap_or(&none);
    let no_edges = Vec::new();
    let edges = parts.edges.get(&place).unwrap_or(&no_edges);
    let mut kinds = Vec::with_capacity(nodes.len());
    for node in nodes {
        match nodes::read(node) {
            Ok(kind) => kinds.push(Some(kind)),
            Err(problem) => {
                problems.push(problem);
                kinds.push(None);
            }
        }
    }
    // The outputs of a node that could not be read are not checked.
    let outputs = |index: usize| kinds[index].as_ref().map_or(Outputs::One, |kind| kind.outputs());
    let graph = Graph::build(edges, nodes, place.is_some(), outputs, problems);
    let index_of: HashMap<&str, usize> = nodes
        .iter()
        .enumerate()
        .map(|(index, node)| (node.id.as_str(), index))
        .collect();
    let mut bodies = HashMap::new();
    for (index, node) in nodes.iter().enumerate() {
        if node.name == nodes::ITERATION && place.is_none() && parts.nodes.contains_key(&Some(&node.id)) {
            let body = read_part(parts, Some(&node.id), settings, problems);
            bodies.extend(body.map(|body| (index, Arc::new(body))));
        }
    }
    let mut planned = Vec::with_capacity(nodes.len());
    for (index, (node, kind)) in nodes.iter().zip(kinds).enumerate() {
        let Some(kind) = kind else { continue };
        let leads_back_to = kind.leads_back_to().map(|id| (id, index_of.get(id).copied()));
        if let Some((id, None)) = leads_back_to {
            let message = format!(
                "the Loop {} leads back to “{id}”, which is not there",
                node.described()
            );
            problems.push(Problem::at(
                ProblemKind::DanglingEdge,
                &node.id,
                &node.label,
                message,
            ));
        }
        let nature = kind.nature();
        let mut refers_to = Vec::new();
        let mut reads_chat = nature.remembers;
        for (_, field) in kind.fields() {
            field.mentions(&mut |mention| match mention {
                Mention::Node(id) => refers_to.extend(index_of.get(id).copied()),
                Mention::Chat => reads_chat = true,
                Mention::Variable(_) | Mention::File => {}
            });
        }
        let sources = graph.sources[index].iter();
        planned.push(PlannedNode {
            facts: Arc::new(NodeFacts {
                id: node.id.clone(),
                label: node.label.clone(),
                name: node.name.clone(),
                previous: sources.map(|source| nodes[*source].id.clone()).collect(),
            }),
            nature,
            refers_to,
            reads_chat,
            leads_back_to: leads_back_to.and_then(|(_, index)| index),
            secrets: sightings(node, &*kind),
            kind,
        });
    }
    let starts = match place {
        None => nodes
            .iter()
            .position(|node| node.name == nodes::START)
            .into_iter()
            .collect(),
        Some(_) => (0..nodes.len())
            .filter(|index| graph.incoming[*index].is_empty())
            .collect(),
    };
    Some(Inner {
        nodes: planned,
        graph,
        starts,
        settings: settings?.clone(),
        bodies,
        findings: OnceLock::new(),
    })
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
