//! Why each step of a run ran, waits, or was passed over.
//!
//! Everything is read from the records, so that it can be said as well of a called flow and of an item of an Iteration,
//! of which nothing else is left when they are done.

use std::collections::HashMap;

use serde_json::Value;

use crate::host::Host;
use crate::nodes;
use crate::plan::{Plan, PlannedNode};
use crate::record::{Record, RecordStatus};
use crate::run::{Child, Run};

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
    pub node_id: String,
    /// Its label.
    pub label: String,
    /// Its kind in words.
    pub kind: String,
    /// Where it stands.
    pub state: StepState,
    /// Why, in a sentence.
    pub why: String,
    /// The item of an Iteration that this is about, from 0.
    pub item: Option<usize>,
    /// What was recorded of it, if it ran.
    pub record: Option<&'a Record>,
    /// The flow state before it ran.
    pub state_before: Option<&'a Value>,
    /// What follows after yes and after no, for a step that waits.
    pub follows: Option<[Vec<String>; 2]>,
    /// The steps of the flow that it called.
    pub called: Vec<Explained<'a>>,
}

/// For how many steps of all items together it is said that they did not run; nobody reads more, and a list can have
/// many items.
const NOT_RUN_IN_ITEMS: usize = 2_000;

impl Run {
    /// Every step with the reason why it stands where it stands: first what ran, in its order, then what did not, in
    /// the order of the document. What lies in an Iteration stands in front of it, item by item.
    pub fn explain<'a>(&'a self, plan: &Plan, host: &dyn Host) -> Vec<Explained<'a>> {
        let mut explaining = Explaining {
            host,
            room: NOT_RUN_IN_ITEMS,
        };
        let mut before = None;
        explaining.part(&Part::of_run(self, plan, Place::Run, true), &mut before)
    }
}

/// Where steps lie.
#[derive(Clone, Copy)]
enum Place<'p> {
    /// At the top of a run.
    Run,
    /// In a flow that was called.
    Called,
    /// In an Iteration of this label, for one item.
    Item(usize, &'p str),
}

impl Place<'_> {
    /// These reasons in one sentence. A step without one is where its flow begins.
    fn why(self, reasons: &[String]) -> String {
        let reasons = reasons.join(", ");
        match (self, reasons.is_empty()) {
            (Self::Item(item, label), true) => format!("For item {} of “{label}”", item + 1),
            (Self::Item(item, label), false) => format!("For item {} of “{label}”: {reasons}", item + 1),
            (Self::Run, true) => "The run begins with it".to_owned(),
            (Self::Called, true) => "The called flow begins with it".to_owned(),
            (_, false) => reasons,
        }
    }
}

/// Steps that one graph connects: a flow, or what lies in an Iteration for one item.
struct Part<'p, 'a> {
    plan: &'p Plan,
    place: Place<'p>,
    /// What is told elsewhere and counts for the reasons only.
    earlier: Vec<&'a Record>,
    records: Vec<&'a Record>,
    /// The run of them, while there is one.
    run: Option<&'a Run>,
    /// Whether nothing more comes.
    ended: bool,
    /// Whether what did not run is told too.
    rest: bool,
}

impl<'p, 'a> Part<'p, 'a> {
    fn of_run(run: &'a Run, plan: &'p Plan, place: Place<'p>, open: bool) -> Self {
        Self {
            plan,
            place,
            earlier: Vec::new(),
            records: run.records().iter().collect(),
            run: Some(run),
            ended: !open || (!run.has_more() && run.waiting().is_none()),
            rest: true,
        }
    }
}

/// What has run so far.
#[derive(Default)]
struct Seen<'a> {
    newest: HashMap<&'a str, &'a Record>,
    last: Option<&'a Record>,
}

impl<'a> Seen<'a> {
    fn take(&mut self, record: &'a Record) {
        self.newest.insert(record.node_id(), record);
        self.last = Some(record);
    }

    fn newest(&self, node: &PlannedNode) -> Option<&'a Record> {
        self.newest.get(node.facts.id.as_str()).copied()
    }
}

/// Records in a row that are of the flow itself, or of one item of an Iteration.
enum Piece<'a> {
    Own(&'a Record),
    Item(Item<'a>),
}

struct Item<'a> {
    index: usize,
    iteration: &'a str,
    earlier: Vec<&'a Record>,
    records: Vec<&'a Record>,
    /// The run for it, if it is under way.
    run: Option<&'a Run>,
    rest: bool,
}

struct Explaining<'h> {
    host: &'h dyn Host,
    room: usize,
}

impl Explaining<'_> {
    fn part<'a>(&mut self, part: &Part<'_, 'a>, before: &mut Option<&'a Value>) -> Vec<Explained<'a>> {
        let plan = part.plan;
        let mut explained = Vec::with_capacity(part.records.len().max(plan.node_count()));
        let mut seen = Seen::default();
        part.earlier.iter().for_each(|record| seen.take(record));
        let child = part.run.and_then(Run::inside);
        for piece in pieces(part, child) {
            match piece {
                Piece::Own(record) => {
                    explained.push(self.step(part, &seen, record, *before));
                    seen.take(record);
                    if record.error().is_none() {
                        *before = Some(record.state());
                    }
                }
                Piece::Item(item) => explained.extend(self.item(part, item, before)),
            }
        }
        let waits = part.run.is_some_and(|run| run.waiting().is_some());
        let under_way = child.filter(|_| !waits && !part.ended).map(Child::node);
        if let Some(index) = under_way.filter(|index| *index < plan.node_count()) {
            explained.push(Explained {
                called: self.inside(part, child),
                ..not_run(part, index, StepState::Waiting, "It is under way".to_owned())
            });
        }
        if part.rest {
            let not_run = not_run_yet(part, &seen);
            explained.extend(not_run.filter(|step| match part.place {
                Place::Item(..) => {
                    let fits = self.room > 0;
                    self.room = self.room.saturating_sub(1);
                    fits
                }
                _ => under_way.is_none_or(|index| plan.node(index).facts.id != step.node_id),
            }));
        }
        explained
    }

    fn step<'a>(
        &mut self,
        part: &Part<'_, 'a>,
        seen: &Seen<'a>,
        record: &'a Record,
        before: Option<&'a Value>,
    ) -> Explained<'a> {
        let waits = record.status() == RecordStatus::Stopped;
        let run = part.run.filter(|run| {
            let is_last = run
                .records()
                .last()
                .is_some_and(|last| std::ptr::eq(last, record));
            waits && is_last && run.waiting().is_some()
        });
        let follows = run.map(|run| [true, false].map(|yes| run.what_follows(part.plan, self.host, yes)));
        let called = match record.called() {
            [] => self.inside(part, run.and_then(Run::inside)),
            records => self.called(record, records),
        };
        Explained {
            follows,
            called,
            ..recorded(record, before, why_it_ran(part, seen, record))
        }
    }

    /// The steps of a called flow that is not done yet.
    fn inside<'a>(&mut self, part: &Part<'_, 'a>, child: Option<&'a Child>) -> Vec<Explained<'a>> {
        let Some(child) = child.filter(|child| child.calls_a_flow()) else {
            return Vec::new();
        };
        let Some(plan) = child.plan(part.plan, self.host) else {
            return without_plan(child.run().records());
        };
        let inside = Part::of_run(child.run(), &plan, Place::Called, !part.ended);
        self.part(&inside, &mut None)
    }

    /// The steps of a called flow that is done.
    fn called<'a>(&mut self, record: &'a Record, records: &'a [Record]) -> Vec<Explained<'a>> {
        let plan = record
            .called_document()
            .and_then(|document| self.host.plan(document));
        let Some(plan) = plan else {
            return without_plan(records);
        };
        let inside = Part {
            plan: &plan,
            place: Place::Called,
            earlier: Vec::new(),
            records: records.iter().collect(),
            run: None,
            ended: true,
            rest: true,
        };
        self.part(&inside, &mut None)
    }

    fn item<'a>(
        &mut self,
        around: &Part<'_, 'a>,
        item: Item<'a>,
        before: &mut Option<&'a Value>,
    ) -> Vec<Explained<'a>> {
        // Its own record comes last, and in the flow it lies at the top.
        let index = around.plan.index_of(item.iteration);
        let body = index.and_then(|index| Some((index, around.plan.body(index)?)));
        let Some((index, body)) = body else {
            return without_plan(item.records);
        };
        let run_is_done = item
            .run
            .is_none_or(|run| !run.has_more() && run.waiting().is_none());
        let part = Part {
            plan: &body,
            place: Place::Item(item.index, &around.plan.node(index).facts.label),
            earlier: item.earlier,
            records: item.records,
            run: item.run,
            ended: around.ended || run_is_done,
            rest: item.rest,
        };
        self.part(&part, before)
    }
}

/// The records of a part in pieces, with those of the item that is under way.
fn pieces<'a>(part: &Part<'_, 'a>, child: Option<&'a Child>) -> Vec<Piece<'a>> {
    if matches!(part.place, Place::Item(..)) {
        return part.records.iter().map(|record| Piece::Own(record)).collect();
    }
    let mut pieces: Vec<Piece<'a>> = Vec::new();
    for record in &part.records {
        let Some((index, iteration)) = record.item() else {
            pieces.push(Piece::Own(record));
            continue;
        };
        match pieces.last_mut() {
            Some(Piece::Item(last)) if (last.index, last.iteration) == (index, iteration) => {
                last.records.push(record);
            }
            _ => pieces.push(Piece::Item(Item {
                index,
                iteration,
                earlier: Vec::new(),
                records: vec![record],
                run: None,
                rest: true,
            })),
        }
    }
    if let Some(child) = child
        && let Some((index, iteration)) = child.item()
    {
        let asks = matches!(pieces.last(), Some(Piece::Own(last)) if last.status() == RecordStatus::Stopped);
        pieces.insert(
            pieces.len() - usize::from(asks),
            Piece::Item(Item {
                index,
                iteration,
                earlier: Vec::new(),
                records: child.run().records().iter().skip(child.handed_over()).collect(),
                run: Some(child.run()),
                rest: true,
            }),
        );
    }
    // An item that failed and was tried again lies in two pieces, around the record of the failure.
    for later in 1..pieces.len() {
        let (earlier, later) = pieces.split_at_mut(later);
        let (Some(Piece::Item(item)), [rest @ .., Piece::Own(failed)]) = (later.first_mut(), earlier) else {
            continue;
        };
        if failed.error().is_some()
            && let Some(Piece::Item(first)) = rest.last_mut()
            && (first.index, first.iteration) == (item.index, item.iteration)
            && failed.node_id() == item.iteration
        {
            first.rest = false;
            item.earlier.clone_from(&first.earlier);
            item.earlier.extend(&first.records);
        }
    }
    pieces
}

/// What is known of steps whose flow is not here any more.
fn without_plan<'a>(records: impl IntoIterator<Item = &'a Record>) -> Vec<Explained<'a>> {
    let mut before = None;
    let mut explained = Vec::new();
    for record in records {
        let why = "The flow that it is part of is not here any more, so what led to it is not known";
        explained.push(Explained {
            called: without_plan(record.called()),
            ..recorded(record, before, why.to_owned())
        });
        if record.error().is_none() {
            before = Some(record.state());
        }
    }
    explained
}

/// A step of which there is a record.
fn recorded<'a>(record: &'a Record, state_before: Option<&'a Value>, why: String) -> Explained<'a> {
    Explained {
        node_id: record.node_id().to_owned(),
        label: record.node_label().to_owned(),
        kind: nodes::title(record.kind()).to_owned(),
        state: match record.status() {
            RecordStatus::Finished => StepState::Finished,
            RecordStatus::Stopped => StepState::Stopped,
            RecordStatus::Error => StepState::Failed,
        },
        why,
        item: record.item().map(|(index, _)| index),
        record: Some(record),
        state_before,
        follows: None,
        called: Vec::new(),
    }
}

fn not_run<'a>(part: &Part<'_, 'a>, index: usize, state: StepState, why: String) -> Explained<'a> {
    let node = part.plan.node(index);
    Explained {
        node_id: node.facts.id.clone(),
        label: node.facts.label.clone(),
        kind: nodes::title(&node.facts.name).to_owned(),
        state,
        why,
        item: match part.place {
            Place::Item(index, _) => Some(index),
            _ => None,
        },
        record: None,
        state_before: None,
        follows: None,
        called: Vec::new(),
    }
}

fn why_it_ran(part: &Part<'_, '_>, seen: &Seen<'_>, record: &Record) -> String {
    let plan = part.plan;
    let Some(index) = plan.index_of(record.node_id()) else {
        return "It is not part of the flow any more".to_owned();
    };
    let mut reasons = Vec::new();
    let graph = plan.graph();
    for id in &graph.incoming[index] {
        let source = plan.node(graph.edges[*id].source);
        let edge = graph.edges[*id];
        let Some(last) = seen.newest(source) else {
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
    let before = seen.newest(plan.node(index));
    // A Loop leads back past the edges.
    let back = seen
        .last
        .filter(|_| before.is_some())
        .and_then(|last| plan.index_of(last.node_id()))
        .filter(|last| plan.node(*last).leads_back_to == Some(index));
    if let Some(back) = back {
        reasons = vec![format!("“{}” led back to it", plan.node(back).facts.label)];
    } else if before.is_some_and(|last| last.error().is_some()) {
        reasons.push("it had failed and was tried again".to_owned());
    }
    part.place.why(&reasons)
}

/// What is known of an edge.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Led {
    /// It led to its target.
    There,
    /// Its source decided otherwise; whether its source is a gate.
    Elsewhere { gate: bool },
    /// Its source was passed over.
    Nowhere,
    /// Its source has not run, waits or has failed.
    NotYet,
}

/// What did not run, in the order of the document.
fn not_run_yet<'a>(part: &Part<'_, 'a>, seen: &Seen<'a>) -> impl Iterator<Item = Explained<'a>> {
    let (plan, graph) = (part.plan, part.plan.graph());
    let mut states: Vec<Option<StepState>> = vec![None; plan.node_count()];
    let led = |states: &[Option<StepState>], id: usize| {
        let edge = graph.edges[id];
        let source = plan.node(edge.source);
        match seen.newest(source) {
            Some(last) if last.error().is_some() || last.status() == RecordStatus::Stopped => Led::NotYet,
            Some(last) => match (edge.output, taken_by(last)) {
                (Some(output), Some(taken)) if output != taken => Led::Elsewhere {
                    gate: source.nature.asks,
                },
                _ => Led::There,
            },
            None if states[edge.source] == Some(StepState::Skipped) => Led::Nowhere,
            None => Led::NotYet,
        }
    };
    for index in graph.sources_first() {
        if seen.newest(plan.node(index)).is_some() {
            continue;
        }
        let incoming = || graph.incoming[index].iter().map(|id| led(&states, *id));
        let there = incoming().any(|led| led == Led::There);
        let open = incoming().any(|led| led == Led::NotYet) || graph.incoming[index].is_empty();
        let is = |wanted: Led| {
            let states = &states;
            move |id: usize| led(states, id) == wanted
        };
        let turned_away =
            !open && there && graph.turns_away(index, is(Led::Elsewhere { gate: true }), is(Led::There));
        states[index] = Some(match (open || (there && !turned_away), part.ended) {
            (true, false) => StepState::Waiting,
            (true, true) => StepState::NotReached,
            (false, _) => StepState::Skipped,
        });
    }
    let mut explained = Vec::new();
    for (index, state) in states.iter().enumerate() {
        let Some(state) = *state else { continue };
        let mut reasons = Vec::with_capacity(graph.incoming[index].len() + 1);
        for id in &graph.incoming[index] {
            let edge = graph.edges[*id];
            let source = plan.node(edge.source);
            let label = &source.facts.label;
            let last = seen.newest(source);
            reasons.push(match (led(&states, *id), last) {
                (Led::NotYet, Some(last)) if last.error().is_some() => format!("“{label}” failed"),
                (Led::NotYet, Some(_)) => format!("“{label}” waits for an answer"),
                (Led::NotYet, None) => format!("“{label}” has not run"),
                (Led::Nowhere, _) => format!("“{label}” was passed over"),
                (Led::There, _) => format!("“{label}” is done"),
                (Led::Elsewhere { .. }, last) => format!(
                    "“{label}” took {} and not {}",
                    last.and_then(taken_by)
                        .map_or_else(String::new, |taken| source.kind.output_name(taken)),
                    edge.output
                        .map_or_else(String::new, |output| source.kind.output_name(output))
                ),
            });
        }
        if state == StepState::NotReached {
            reasons.push("the run ended before it came to it".to_owned());
        }
        explained.push(not_run(part, index, state, part.place.why(&reasons)));
    }
    explained.into_iter()
}

/// The output that a step took, as its record says.
fn taken_by(record: &Record) -> Option<usize> {
    let conditions = record.output.field("conditions")?.as_array()?;
    conditions
        .iter()
        .position(|condition| condition.get("isFulfilled") == Some(&Value::Bool(true)))
}
