//! Why each step of a run ran, waits, or was passed over.

use serde_json::Value;

use crate::host::Host;
use crate::nodes;
use crate::plan::Plan;
use crate::record::{Record, RecordStatus};
use crate::run::Run;

/// Where a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StepState {
    /// It ran.
    Finished,
    /// It waits for a person.
    Stopped,
    /// It failed.
    Failed,
    /// It comes as soon as what it waits for is there.
    Waiting,
    /// The way to it was not taken.
    Skipped,
    /// The run ended before it came to it.
    NotReached,
}

/// One step, explained.
#[derive(Debug, Clone)]
pub struct Explained<'a> {
    /// The node.
    pub node_id: &'a str,
    /// Its label.
    pub label: &'a str,
    /// Its kind in words.
    pub kind: &'a str,
    /// Where it stands.
    pub state: StepState,
    /// Why, in a sentence.
    pub why: String,
    /// What was recorded of it, if it ran.
    pub record: Option<&'a Record>,
    /// The flow state before it ran.
    pub state_before: Option<&'a Value>,
    /// What follows after yes and after no, for a step that waits.
    pub follows: Option<[Vec<String>; 2]>,
}

impl Run {
    /// Every step with the reason why it stands where it stands: first what ran, in its order, then what did not, in
    /// the order of the document.
    pub fn explain<'a>(&'a self, plan: &'a Plan, host: &dyn Host) -> Vec<Explained<'a>> {
        let records = self.records();
        let mut explained = Vec::with_capacity(records.len().max(plan.node_count()));
        let mut before: Option<&Value> = None;
        for (place, record) in records.iter().enumerate() {
            let follows = (record.status() == RecordStatus::Stopped && place + 1 == records.len())
                .then(|| [true, false].map(|approve| self.what_follows(plan, host, approve)));
            explained.push(Explained {
                node_id: record.node_id(),
                label: record.node_label(),
                kind: nodes::title(record.kind()),
                state: match record.status() {
                    RecordStatus::Finished => StepState::Finished,
                    RecordStatus::Stopped => StepState::Stopped,
                    RecordStatus::Error => StepState::Failed,
                },
                why: why_it_ran(plan, &records[..place], record),
                record: Some(record),
                state_before: before,
                follows,
            });
            if record.error().is_none() {
                before = Some(record.state());
            }
        }
        let ended = !self.has_more() && self.waiting().is_none();
        for index in 0..plan.node_count() {
            let node = plan.node(index);
            if records.iter().any(|record| record.node_id() == node.facts.id) {
                continue;
            }
            let (state, why) = why_it_did_not(plan, records, index, ended);
            explained.push(Explained {
                node_id: &node.facts.id,
                label: &node.facts.label,
                kind: nodes::title(&node.facts.name),
                state,
                why,
                record: None,
                state_before: None,
                follows: None,
            });
        }
        explained
    }
}

fn why_it_ran(plan: &Plan, earlier: &[Record], record: &Record) -> String {
    if let Some((item, iteration)) = record.item() {
        // Its own record comes last, and in the flow it lies at the top.
        let around = plan.index_of(iteration).map(|around| plan.node(around));
        let label = around.map_or(iteration, |around| &around.facts.label);
        return format!("For item {} of “{label}”", item + 1);
    }
    let Some(index) = plan.index_of(record.node_id()) else {
        return "It is not part of the flow any more".to_owned();
    };
    let mut reasons = Vec::new();
    let graph = plan.graph();
    for id in &graph.incoming[index] {
        let source = plan.node(graph.edges[*id].source);
        let edge = graph.edges[*id];
        let Some(last) = newest(earlier, &source.facts.id) else {
            continue;
        };
        match (edge.output, taken_by(last)) {
            (Some(output), Some(taken)) if output == taken => reasons.push(format!(
                "“{}” took {}",
                source.facts.label,
                source.kind.output_name(output)
            )),
            (Some(_), Some(_)) => {}
            _ => reasons.push(format!("“{}” was done", source.facts.label)),
        }
    }
    // A Loop leads back past the edges.
    let back = earlier
        .last()
        .filter(|_| newest(earlier, record.node_id()).is_some())
        .and_then(|last| plan.index_of(last.node_id()))
        .filter(|last| plan.node(*last).leads_back_to == Some(index));
    if let Some(back) = back {
        return format!("“{}” led back to it", plan.node(back).facts.label);
    }
    if reasons.is_empty() {
        reasons.push("The run begins with it".to_owned());
    }
    if newest(earlier, record.node_id()).is_some_and(|last| last.error().is_some()) {
        reasons.push("it had failed and was tried again".to_owned());
    }
    reasons.join(", ")
}

fn why_it_did_not(plan: &Plan, records: &[Record], index: usize, ended: bool) -> (StepState, String) {
    let graph = plan.graph();
    let mut reasons = Vec::new();
    let mut can_come = false;
    for id in &graph.incoming[index] {
        let source = plan.node(graph.edges[*id].source);
        let label = &source.facts.label;
        match newest(records, &source.facts.id) {
            Some(last) if last.error().is_some() => reasons.push(format!("“{label}” failed")),
            Some(last) if last.status() == RecordStatus::Stopped => {
                can_come = true;
                reasons.push(format!("“{label}” waits for an answer"));
            }
            Some(last) => match (graph.edges[*id].output, taken_by(last)) {
                (Some(output), Some(taken)) if output != taken => reasons.push(format!(
                    "“{label}” took {} and not {}",
                    source.kind.output_name(taken),
                    source.kind.output_name(output)
                )),
                _ => {
                    can_come = true;
                    reasons.push(format!("“{label}” is done"));
                }
            },
            None => {
                can_come |= !ended;
                reasons.push(format!("“{label}” has not run"));
            }
        }
    }
    let state = match (can_come, ended) {
        (true, false) => StepState::Waiting,
        (true, true) => StepState::NotReached,
        (false, _) => StepState::Skipped,
    };
    (state, reasons.join(", "))
}

/// The output that a step took, as its record says.
fn taken_by(record: &Record) -> Option<usize> {
    let output = record.output();
    let conditions = output.get("conditions")?.as_array()?;
    conditions
        .iter()
        .position(|condition| condition.get("isFulfilled") == Some(&Value::Bool(true)))
}

fn newest<'a>(records: &'a [Record], id: &str) -> Option<&'a Record> {
    records.iter().rev().find(|record| record.node_id() == id)
}
