//! What somebody should know about a flow that can be imported: what it needs from the place where it runs, what will
//! not do what it looks like, and where it goes another way than in Flowise.

use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet};

use countersign_domain::display_line;

use crate::clear_text::variable_of;
use crate::graph::{Edge, Graph};
use crate::nodes;
use crate::plan::{Plan, PlannedNode};
use crate::template::Mention;

/// How long a line gets that other people's texts are part of.
const LINE: usize = 300;
/// How many findings of one sort are told; nobody reads more.
const FINDINGS: usize = 100;
/// How many names a sentence lists.
const NAMES: usize = 5;

/// Something that a step needs and no export contains, in the order in which [`Plan::needs`] tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need<'a> {
    /// Another flow, by id.
    Flow(&'a str),
    /// A credential, by the id it has in Flowise.
    Credential(&'a str),
    /// A variable, by name.
    Variable(&'a str),
    /// A language model, by its component: `chatOpenAI`.
    Model(&'a str),
    /// A document store, as the export names it.
    Store(&'a str),
    /// Something that is not available here at all, in words.
    Missing(&'a str),
}

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FindingKind {
    /// A reference to a step that is not there: it stays in the text as it is written.
    UnknownStep,
    /// A secret that stands in the document for everybody to read, and can become a secret variable on request.
    ClearTextSecret,
    /// The same where somebody has to change the file.
    ClearTextByHand,
    /// It fails whenever it comes to this step.
    AlwaysFails,
    /// Two edges between the same two places; the second one changes nothing.
    DoubleEdge,
    /// A Loop that leads to where nothing comes back from.
    NoLoop,
    /// Something in it works less well here than in Flowise, or is left out.
    Degraded,
    /// This flow does something else here than in Flowise, by the rule of this letter or row.
    Differs(&'static str),
}

/// Something about a flow that can be imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is about.
    pub kind: FindingKind,
    /// The step that it concerns.
    pub node_id: String,
    /// What it is, for people: whole sentences.
    pub message: String,
}

impl Plan {
    /// What its steps need from outside the document, with the step's label; each need is told once a step. First what
    /// can be imported or set by its name, then what connections stand for, each in the order of the document.
    pub fn needs(&self) -> Vec<(&str, Need<'_>)> {
        let (mut needs, mut told) = (Vec::new(), BTreeSet::new());
        for node in self.parts().flatten() {
            let label = node.facts.label.as_str();
            let mut need = |need| {
                if told.insert((label, need)) {
                    needs.push((label, need));
                }
            };
            if let Some(id) = node.kind.calls() {
                need(Need::Flow(id));
            }
            if let Some(id) = node.kind.credential() {
                need(Need::Credential(id));
            }
            for (_, field) in node.kind.fields() {
                field.mentions(&mut |mention| {
                    if let Mention::Variable(name) = mention {
                        need(Need::Variable(name));
                    }
                });
            }
            if node.facts.name == nodes::START
                && let Some(name) = self.start().callback_secret.as_deref().and_then(variable_of)
            {
                need(Need::Variable(name));
            }
            if let Some(model) = node.kind.model() {
                need(Need::Model(&model.component));
            }
            for store in node.kind.stores() {
                need(Need::Store(store));
            }
            for why in node.kind.lacks() {
                need(Need::Missing(why));
            }
        }
        needs.sort_by_key(|(_, need)| match need {
            Need::Flow(_) | Need::Credential(_) | Need::Variable(_) => 0,
            Need::Model(_) => 1,
            Need::Store(_) => 2,
            Need::Missing(_) => 3,
        });
        needs
    }

    /// What somebody should know about it, in the order of the document, and not more than people read. Found out
    /// once.
    pub fn findings(&self) -> &[Finding] {
        self.kept_findings().get_or_init(|| self.find())
    }

    fn find(&self) -> Vec<Finding> {
        let ids: BTreeSet<&str> = self
            .parts()
            .flatten()
            .map(|node| node.facts.id.as_str())
            .collect();
        let mut findings = Vec::new();
        let without_value = &self.start().state_without_value;
        if let (false, Some(start)) = (
            without_value.is_empty(),
            self.nodes().iter().find(|node| node.facts.name == nodes::START),
        ) {
            let names: Vec<&str> = without_value.iter().map(String::as_str).collect();
            let message = format!(
                "“{}” begins the flow state with {} and without a value. Here that is an empty text; in Flowise later steps \
                 fail.",
                start.facts.label,
                some_of(&names)
            );
            findings.push(finding(FindingKind::Differs("D3.9"), start, message));
        }
        let places = self.parts().enumerate();
        let nodes = places.flat_map(|(place, nodes)| nodes.iter().map(move |node| (place > 0, node)));
        for (in_iteration, node) in nodes {
            if findings.len() >= FINDINGS {
                break;
            }
            unknown_steps(node, &ids, &mut findings);
            degraded(node, &mut findings);
            clear_text(node, &mut findings);
            faults_and_differences(node, in_iteration, &mut findings);
        }
        for (nodes, graph) in self.graphs() {
            loops_that_lead_elsewhere(nodes, graph, &mut findings);
            loops_over(nodes, graph, &mut findings);
        }
        self.graph_findings(&mut findings);
        findings
    }

    fn graph_findings(&self, findings: &mut Vec<Finding>) {
        let (graph, nodes) = (self.graph(), self.nodes());
        let behind_decisions = behind_decisions(graph);
        for (index, node) in nodes.iter().enumerate() {
            if findings.len() >= FINDINGS {
                return;
            }
            let leaving: Vec<Edge> = graph.outgoing[index]
                .iter()
                .map(|edge| graph.edges[*edge])
                .collect();
            let mut seen = BTreeSet::new();
            let double = leaving
                .iter()
                .filter(|edge| !seen.insert((edge.output, edge.target)));
            for edge in double {
                let message = format!(
                    "Two edges lead from “{}” to “{}”. The second one changes nothing here; in Flowise the step can run \
                     twice.",
                    node.facts.label, nodes[edge.target].facts.label
                );
                findings.push(finding(FindingKind::DoubleEdge, node, message));
            }
            outputs(nodes, node, &seen, findings);
            if node.nature.asks {
                self.beside(index, findings);
            }
            let sources: BTreeSet<_> = graph.sources[index].iter().collect();
            if sources.len() > 1 && behind_decisions[index] {
                let message = format!(
                    "“{}” comes after several branches, and a decision lies before them. Here it runs once, when all \
                     that can still come has come; Flowise can run it too early, twice or never.",
                    node.facts.label
                );
                findings.push(finding(FindingKind::Differs("D3.1–D3.3"), node, message));
            }
        }
    }

    /// What can run while a question waits: it lies behind a fork of which another edge leads to the gate.
    fn beside(&self, gate: usize, findings: &mut Vec<Finding>) {
        let (graph, nodes) = (self.graph(), self.nodes());
        let before = before(graph, gate);
        let mut forked = Vec::new();
        for leaving in graph
            .outgoing
            .iter()
            .enumerate()
            .filter(|(node, _)| before[*node])
        {
            let edges: Vec<Edge> = leaving.1.iter().map(|edge| graph.edges[*edge]).collect();
            let mut by_output: BTreeMap<Option<usize>, BTreeSet<usize>> = BTreeMap::new();
            for edge in edges {
                by_output.entry(edge.output).or_default().insert(edge.target);
            }
            for targets in by_output.into_values() {
                let leading = targets.iter().filter(|target| before[**target]).count();
                let taken = targets.into_iter().filter(|target| match leading {
                    0 => false,
                    1 => !before[*target],
                    _ => true,
                });
                forked.extend(taken);
            }
        }
        let (behind_gate, behind_forks) = (graph.behind(gate), reached(graph, forked));
        let beside: Vec<&str> = (0..nodes.len())
            .filter(|node| behind_forks[*node] && !behind_gate[*node] && !before[*node])
            .map(|node| nodes[node].facts.label.as_str())
            .collect();
        if beside.is_empty() {
            return;
        }
        let message = format!(
            "{} beside “{}”. Here that is done before the question is asked; Flowise drops it.",
            listed(&beside),
            nodes[gate].facts.label
        );
        findings.push(finding(FindingKind::Differs("D3.4"), &nodes[gate], message));
    }
}

/// A Loop whose target does not lead back to it, neither by edges nor by other Loops. It runs, here as in Flowise: what
/// lies behind its target comes once more, and that is all.
fn loops_that_lead_elsewhere(nodes: &[PlannedNode], graph: &Graph, findings: &mut Vec<Finding>) {
    for (index, node) in nodes.iter().enumerate() {
        let Some(target) = node.leads_back_to.filter(|_| findings.len() < FINDINGS) else {
            continue;
        };
        let mut behind = vec![false; nodes.len()];
        let mut open = vec![target];
        while let Some(next) = open.pop() {
            if !std::mem::replace(&mut behind[next], true) {
                open.extend(graph.outgoing[next].iter().map(|edge| graph.edges[*edge].target));
                open.extend(nodes[next].leads_back_to);
            }
        }
        if behind[index] {
            continue;
        }
        let message = format!(
            "“{}” leads to “{}”, and no way leads from there back to it. So nothing is repeated: what lies behind “{}” runs \
             once more, here as in Flowise.",
            node.facts.label, nodes[target].facts.label, nodes[target].facts.label
        );
        findings.push(finding(FindingKind::NoLoop, node, message));
    }
}

/// Which nodes lie behind a step that decides.
fn behind_decisions(graph: &Graph) -> Vec<bool> {
    let decided = graph.edges.iter().filter(|edge| edge.output.is_some());
    reached(graph, decided.map(|edge| edge.target).collect())
}

/// Which nodes lie behind any of these, themselves included.
fn reached(graph: &Graph, mut open: Vec<usize>) -> Vec<bool> {
    let mut reached = vec![false; graph.outgoing.len()];
    while let Some(node) = open.pop() {
        if !std::mem::replace(&mut reached[node], true) {
            open.extend(graph.outgoing[node].iter().map(|edge| graph.edges[*edge].target));
        }
    }
    reached
}

/// Which nodes lead to this one, itself included.
fn before(graph: &Graph, node: usize) -> Vec<bool> {
    let mut before = vec![false; graph.outgoing.len()];
    let mut open = vec![node];
    while let Some(node) = open.pop() {
        if !std::mem::replace(&mut before[node], true) {
            open.extend(&graph.sources[node]);
        }
    }
    before
}

fn finding(kind: FindingKind, node: &PlannedNode, message: String) -> Finding {
    Finding {
        kind,
        node_id: node.facts.id.clone(),
        message: display_line(&message, LINE),
    }
}

/// `“A”, “B” and 3 more lie`.
fn listed(labels: &[&str]) -> String {
    let mut names: Vec<String> = labels
        .iter()
        .take(NAMES)
        .map(|label| format!("“{label}”"))
        .collect();
    if labels.len() > NAMES {
        names.push(format!("{} more", labels.len() - NAMES));
    }
    match names.as_slice() {
        [one] => format!("{one} lies"),
        [first @ .., last] => format!("{} and {last} lie", first.join(", ")),
        [] => String::new(),
    }
}

fn unknown_steps(node: &PlannedNode, ids: &BTreeSet<&str>, findings: &mut Vec<Finding>) {
    let mut told = BTreeSet::new();
    for (name, field) in node.kind.fields() {
        field.mentions(&mut |mention| {
            let Mention::Node(id) = mention else { return };
            if ids.contains(id) || !told.insert(id) {
                return;
            }
            let message = format!(
                "“{}” refers to “{id}” in {name}, and there is no such step. The text stays as it is written.",
                node.facts.label
            );
            findings.push(finding(FindingKind::UnknownStep, node, message));
        });
    }
}

/// What works less well here, or is left out.
fn degraded(node: &PlannedNode, findings: &mut Vec<Finding>) {
    let mut told: Vec<String> = node.kind.degraded();
    if let Some(model) = node.kind.model() {
        if model.takes_images() {
            told.push(
                "lets its model see images. Here models get texts only; images are left out.".to_owned(),
            );
        }
        let unread = model.unread();
        if !unread.is_empty() {
            told.push(format!(
                "sets what is not used here for {}: {}. Where it is asked and with which key is said by the connection.",
                model.component,
                some_of(&unread)
            ));
        }
    }
    let stores = node.kind.stores();
    if !stores.is_empty() {
        told.push(format!(
            "looks into {}. Here a folder stands for a document store, and passages are found by their words; its vectors, \
             its record manager and its retriever stay in Flowise.",
            some_of(&stores)
        ));
    }
    let mut files = BTreeSet::new();
    for (name, field) in node.kind.fields() {
        field.mentions(&mut |mention| {
            if mention == Mention::File {
                files.insert(name);
            }
        });
    }
    for name in files {
        told.push(format!(
            "refers to files that come with a message in {name}. Files are not read here, so that is an empty text."
        ));
    }
    for what in told {
        let message = format!("“{}” {what}", node.facts.label);
        findings.push(finding(FindingKind::Degraded, node, message));
    }
    if node.facts.name == nodes::RETRIEVER && stores.len() > 1 {
        let message = format!(
            "“{}” looks into several document stores. Here the passages of all count; in Flowise only those of the last one.",
            node.facts.label
        );
        findings.push(finding(FindingKind::Differs("5.14"), node, message));
    }
}

/// Names, not more than people read.
fn some_of(names: &[&str]) -> String {
    let mut shown: Vec<String> = names.iter().take(NAMES).map(|name| (*name).to_owned()).collect();
    if names.len() > NAMES {
        shown.push(format!("{} more", names.len() - NAMES));
    }
    shown.join(", ")
}

/// Secrets that stand in the file.
fn clear_text(node: &PlannedNode, findings: &mut Vec<Finding>) {
    for secret in &node.secrets {
        let (kind, what_to_do) = match secret.by_hand {
            None => (
                FindingKind::ClearTextSecret,
                "Make it a secret variable: the step reads that, and nobody else can.",
            ),
            Some(by_hand) => (FindingKind::ClearTextByHand, by_hand),
        };
        let message = format!(
            "“{}” has a secret that everybody who gets the file can read: {}. {what_to_do}",
            node.facts.label, secret.place
        );
        findings.push(finding(kind, node, message));
    }
}

/// What a step does otherwise than in Flowise, and why it can only fail.
fn faults_and_differences(node: &PlannedNode, in_iteration: bool, findings: &mut Vec<Finding>) {
    let label = &node.facts.label;
    for fault in node.kind.faults() {
        let message = format!("“{label}” {fault} It fails whenever a run comes to it.");
        findings.push(finding(FindingKind::AlwaysFails, node, message));
    }
    for (row, message) in node.kind.differs() {
        findings.push(finding(
            FindingKind::Differs(row),
            node,
            format!("“{label}” {message}"),
        ));
    }
    if in_iteration && node.kind.gates_tools() {
        let message = format!(
            "“{label}” lies in an Iteration and asks before it runs tools. Here a person is asked for each item; in Flowise \
             the tools run unasked."
        );
        findings.push(finding(
            FindingKind::Differs("gated tool in an Iteration"),
            node,
            message,
        ));
    }
}

/// What comes again by a Loop: questions in it, and branches that come together.
fn loops_over(nodes: &[PlannedNode], graph: &Graph, findings: &mut Vec<Finding>) {
    let decided = LazyCell::new(|| behind_decisions(graph));
    for (index, node) in nodes.iter().enumerate() {
        let Some(target) = node.leads_back_to.filter(|_| findings.len() < FINDINGS) else {
            continue;
        };
        let (behind, before) = (graph.behind(target), before(graph, index));
        if !behind[index] {
            continue;
        }
        let again = || (0..nodes.len()).filter(|at| behind[*at] && before[*at]);
        let asks: Vec<&str> = again()
            .filter(|at| nodes[*at].nature.asks)
            .map(|at| nodes[at].facts.label.as_str())
            .collect();
        if !asks.is_empty() {
            let message = format!(
                "{} in what “{}” repeats. Here its turns are counted over the questions; Flowise forgets them at each \
                 question, so it never ends.",
                listed(&asks),
                node.facts.label
            );
            findings.push(finding(FindingKind::Differs("D1.14"), node, message));
        }
        let join = again().find(|at| {
            let sources: BTreeSet<_> = graph.sources[*at]
                .iter()
                .filter(|source| behind[**source])
                .collect();
            sources.len() > 1 && !decided[*at]
        });
        if let Some(join) = join {
            let message = format!(
                "Branches come together at “{}”, in what “{}” repeats. Here it waits for them in every turn; Flowise can \
                 run it with what an earlier turn left.",
                nodes[join].facts.label, node.facts.label
            );
            findings.push(finding(FindingKind::Differs("join in a Loop"), node, message));
        }
    }
}

/// What leaves a node that decides.
fn outputs(
    nodes: &[PlannedNode],
    node: &PlannedNode,
    leaving: &BTreeSet<(Option<usize>, usize)>,
    findings: &mut Vec<Finding>,
) {
    let mut told = BTreeSet::new();
    for (output, target) in leaving {
        let Some(output) = output else { continue };
        let same = leaving
            .iter()
            .filter(|(other, _)| *other == Some(*output))
            .count();
        if same > 1 && told.insert(*output) {
            let message = format!(
                "{same} edges leave {} of “{}”. When it is not taken, all of them are left out; Flowise leaves out only \
                 the first.",
                node.kind.output_name(*output),
                node.facts.label
            );
            findings.push(finding(FindingKind::Differs("D1.1"), node, message));
        }
        let first_edge = leaving.iter().find(|(_, other)| other == target);
        let on_both = leaving
            .iter()
            .any(|(other, other_target)| *other > Some(*output) && other_target == target);
        if on_both && first_edge.is_some_and(|(first, _)| *first == Some(*output)) {
            let message = format!(
                "“{}” comes after several answers of “{}”. Here it runs after each of them; in Flowise never.",
                nodes[*target].facts.label, node.facts.label
            );
            findings.push(finding(FindingKind::Differs("D1.2"), node, message));
        }
    }
}
