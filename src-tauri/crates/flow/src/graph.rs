//! The graph of a flow, by index: what the runner walks and what an import is checked for.

use std::collections::{HashMap, VecDeque};

use crate::document::{DocumentEdge, DocumentNode};
use crate::refusal::{Problem, ProblemKind};

/// An edge. `output` is the index of the output it begins at, for nodes that decide; `None` elsewhere.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Edge {
    pub(crate) source: usize,
    pub(crate) target: usize,
    pub(crate) output: Option<usize>,
}

/// Nodes and edges by index, sticky notes left out. Acyclic, every node reachable from the only node that no
/// edge leads to, which is Start.
#[derive(Debug)]
pub(crate) struct Graph {
    pub(crate) edges: Vec<Edge>,
    /// For each node the edges that leave it, in the order of the document.
    pub(crate) outgoing: Vec<Vec<usize>>,
    /// For each node the edges that lead to it, in the order of the document.
    pub(crate) incoming: Vec<Vec<usize>>,
    /// For each node the sources of those edges.
    pub(crate) sources: Vec<Vec<usize>>,
}

impl Graph {
    /// Builds the graph over `nodes`: those at the top of the document, or those inside an Iteration. Everything that
    /// is wrong is added to `problems`; with problems the graph must not be run.
    pub(crate) fn build(
        edges: &[&DocumentEdge],
        nodes: &[&DocumentNode],
        inside: bool,
        outputs: impl Fn(usize) -> Outputs,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let mut index_of = HashMap::with_capacity(nodes.len());
        for (index, node) in nodes.iter().enumerate() {
            if index_of.insert(node.id.as_str(), index).is_some() {
                let message = format!("there are two nodes with the id “{}”", node.id);
                problems.push(Problem::at(
                    ProblemKind::DuplicateNode,
                    &node.id,
                    &node.label,
                    message,
                ));
            }
        }
        let mut graph = Self {
            edges: Vec::with_capacity(edges.len()),
            outgoing: vec![Vec::new(); nodes.len()],
            incoming: vec![Vec::new(); nodes.len()],
            sources: vec![Vec::new(); nodes.len()],
        };
        for edge in edges {
            let (source, target) = match (index_of.get(&*edge.source), index_of.get(&*edge.target)) {
                (Some(source), Some(target)) => (*source, *target),
                (Some(source), None) => {
                    let node = nodes[*source];
                    let message = format!(
                        "an edge from {} leads to “{}”, which is not there",
                        node.described(),
                        edge.target
                    );
                    problems.push(Problem::at(
                        ProblemKind::DanglingEdge,
                        &node.id,
                        &node.label,
                        message,
                    ));
                    continue;
                }
                (None, Some(target)) => {
                    let node = nodes[*target];
                    let message = format!(
                        "an edge to {} comes from “{}”, which is not there",
                        node.described(),
                        edge.source
                    );
                    problems.push(Problem::at(
                        ProblemKind::DanglingEdge,
                        &node.id,
                        &node.label,
                        message,
                    ));
                    continue;
                }
                (None, None) => {
                    let message = format!(
                        "an edge leads from “{}” to “{}”, and neither is there",
                        edge.source, edge.target
                    );
                    problems.push(Problem::new(ProblemKind::DanglingEdge, message));
                    continue;
                }
            };
            let output = match outputs(source) {
                Outputs::One => None,
                Outputs::Indexed(count) => {
                    let node = nodes[source];
                    let output = output_index(&node.id, &edge.source_handle);
                    if output.is_none_or(|output| count.is_some_and(|count| output >= count)) {
                        let message = format!(
                            "an edge begins at the output “{}” of {}, which has no such output",
                            edge.source_handle,
                            node.described()
                        );
                        problems.push(Problem::at(
                            ProblemKind::NoSuchOutput,
                            &node.id,
                            &node.label,
                            message,
                        ));
                    }
                    output
                }
            };
            let id = graph.edges.len();
            graph.edges.push(Edge {
                source,
                target,
                output,
            });
            graph.outgoing[source].push(id);
            graph.incoming[target].push(id);
            graph.sources[target].push(source);
        }
        graph.check(nodes, inside, problems);
        graph
    }

    fn check(&self, nodes: &[&DocumentNode], inside: bool, problems: &mut Vec<Problem>) {
        let starts: Vec<_> = nodes
            .iter()
            .filter(|node| node.name == "startAgentflow")
            .collect();
        match starts.as_slice() {
            _ if inside => {
                for start in &starts {
                    let message = format!("the Start {} lies inside an Iteration", start.described());
                    let kind = ProblemKind::SeveralStarts;
                    problems.push(Problem::at(kind, &start.id, &start.label, message));
                }
            }
            [] => problems.push(Problem::new(ProblemKind::NoStart, "it has no Start node")),
            [_] => {}
            several => {
                let names: Vec<_> = several.iter().map(|node| node.described()).collect();
                let second = several[1];
                problems.push(Problem::at(
                    ProblemKind::SeveralStarts,
                    &second.id,
                    &second.label,
                    format!("it has several Start nodes: {}", names.join(", ")),
                ));
            }
        }
        for (index, node) in nodes.iter().enumerate() {
            if self.incoming[index].is_empty()
                && !inside
                && node.name != "startAgentflow"
                && !starts.is_empty()
            {
                let message = format!("no edge leads to {}", node.described());
                problems.push(Problem::at(
                    ProblemKind::NotConnected,
                    &node.id,
                    &node.label,
                    message,
                ));
            }
        }
        if let Some(cycle) = self.cycle() {
            let names: Vec<_> = cycle.iter().map(|index| nodes[*index].described()).collect();
            let first = nodes[cycle[0]];
            problems.push(Problem::at(
                ProblemKind::Cycle,
                &first.id,
                &first.label,
                format!(
                    "these nodes form a cycle, which only a Loop node may do: {}",
                    names.join(" → ")
                ),
            ));
        }
    }

    /// Which nodes lie behind a node, itself included.
    pub(crate) fn behind(&self, node: usize) -> Vec<bool> {
        let mut behind = vec![false; self.outgoing.len()];
        let mut open = vec![node];
        while let Some(node) = open.pop() {
            if std::mem::replace(&mut behind[node], true) {
                continue;
            }
            open.extend(self.outgoing[node].iter().map(|edge| self.edges[*edge].target));
        }
        behind
    }

    /// The edges that leave a node or anything behind it.
    pub(crate) fn edges_behind(&self, node: usize) -> Vec<usize> {
        let behind = self.behind(node);
        (0..self.edges.len())
            .filter(|edge| behind[self.edges[*edge].source])
            .collect()
    }

    /// Whether a person's answer turns a run away from a node: it hangs on an output of a gate that was not taken, and
    /// nothing behind that gate led to it.
    pub(crate) fn turns_away(
        &self,
        node: usize,
        not_taken: impl Fn(usize) -> bool,
        led: impl Fn(usize) -> bool,
    ) -> bool {
        let incoming = &self.incoming[node];
        incoming.iter().filter(|id| not_taken(**id)).any(|turned| {
            let behind = self.behind(self.edges[*turned].source);
            let mut led_here = incoming.iter().filter(|id| led(**id));
            led_here.all(|id| !behind[self.edges[*id].source])
        })
    }

    /// The nodes in an order in which each comes after those that lead to it.
    pub(crate) fn sources_first(&self) -> Vec<usize> {
        let mut open: Vec<usize> = self.incoming.iter().map(Vec::len).collect();
        let mut order: Vec<usize> = (0..open.len()).filter(|node| open[*node] == 0).collect();
        let mut at = 0;
        while let Some(node) = order.get(at).copied() {
            at += 1;
            for edge in &self.outgoing[node] {
                let target = self.edges[*edge].target;
                open[target] -= 1;
                if open[target] == 0 {
                    order.push(target);
                }
            }
        }
        order
    }

    /// The nodes of one cycle, in their order, if there is one.
    fn cycle(&self) -> Option<Vec<usize>> {
        let mut open: Vec<usize> = self.incoming.iter().map(Vec::len).collect();
        let mut ready: VecDeque<usize> = (0..open.len()).filter(|node| open[*node] == 0).collect();
        let mut left = open.len();
        while let Some(node) = ready.pop_front() {
            left -= 1;
            for edge in &self.outgoing[node] {
                let target = self.edges[*edge].target;
                open[target] -= 1;
                if open[target] == 0 {
                    ready.push_back(target);
                }
            }
        }
        if left == 0 {
            return None;
        }
        // Each node that is left has a source that is left: going backwards runs into a cycle.
        let mut at = open.iter().position(|count| *count > 0)?;
        let mut place = vec![None; open.len()];
        let mut walked = Vec::new();
        while place[at].is_none() {
            place[at] = Some(walked.len());
            walked.push(at);
            at = *self.sources[at].iter().find(|source| open[**source] > 0)?;
        }
        let mut cycle = walked.split_off(place[at]?);
        cycle.reverse();
        Some(cycle)
    }
}

/// The outputs that a node has.
pub(crate) enum Outputs {
    /// One; whatever leaves the node begins there.
    One,
    /// Numbered ones, if it is known how many.
    Indexed(Option<usize>),
}

/// The index in `<node id>-output-<index>` (format §3).
fn output_index(node_id: &str, handle: &str) -> Option<usize> {
    handle
        .strip_prefix(node_id)?
        .strip_prefix("-output-")?
        .parse()
        .ok()
}
