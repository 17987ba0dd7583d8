//! The records of a run, and where the newest of each step lies: a list of ten thousand items leaves as many behind, and
//! each of them may refer to what ran before.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::Arc;

use crate::record::{Record, RecordStatus};

/// The records of a run, in their order. They can be read as a slice.
#[derive(Debug, Clone, Default)]
pub(crate) struct Records {
    list: Vec<Record>,
    of_step: HashMap<String, OfStep>,
    /// About how many bytes were ever recorded.
    weight: usize,
    /// How many were ever recorded.
    made: usize,
}

/// What there is of one step. A question that waits does not count: it is part of what it will be.
#[derive(Debug, Clone, Copy)]
struct OfStep {
    /// The place of the newest one.
    newest: usize,
    times: usize,
}

impl Records {
    pub(super) fn push(&mut self, record: Record) {
        let newest = self.list.len();
        if record.status != RecordStatus::Stopped {
            match self.of_step.get_mut(&record.facts.id) {
                Some(of_step) => {
                    of_step.newest = newest;
                    of_step.times += 1;
                }
                None => {
                    let of_step = OfStep { newest, times: 1 };
                    self.of_step.insert(record.facts.id.clone(), of_step);
                }
            }
        }
        self.weight += record.weight(self.list.last());
        self.made += 1;
        self.list.push(record);
    }

    /// Notes what the code of a step wrote, at the record that it has just left.
    pub(super) fn note_console(&mut self, node_id: &str, lines: Vec<String>) {
        let newest = self.list.last_mut().filter(|record| record.facts.id == node_id);
        if let (Some(newest), false) = (newest, lines.is_empty()) {
            self.weight += lines.iter().map(String::len).sum::<usize>();
            newest.console = Some(Arc::new(lines));
        }
    }

    /// About how many bytes they hold.
    pub(super) fn weight(&self) -> usize {
        self.weight
    }

    /// How many there ever were, with the questions that gave way to what came of them.
    pub(super) fn made(&self) -> usize {
        self.made
    }

    /// Takes away the question that a step waited with.
    pub(super) fn take_question(&mut self, node_id: &str) {
        let is_it = |record: &Record| record.status == RecordStatus::Stopped && record.facts.id == node_id;
        let Some(place) = self.list.iter().rposition(is_it) else {
            return;
        };
        self.list.remove(place);
        for of_step in self.of_step.values_mut().filter(|of_step| of_step.newest > place) {
            of_step.newest -= 1;
        }
    }

    pub(super) fn into_list(self) -> Vec<Record> {
        self.list
    }

    /// What the step did last.
    pub(super) fn newest(&self, node_id: &str) -> Option<&Record> {
        self.list.get(self.of_step.get(node_id)?.newest)
    }

    /// How often the step was done.
    pub(super) fn times(&self, node_id: &str) -> usize {
        self.of_step.get(node_id).map_or(0, |of_step| of_step.times)
    }
}

impl Deref for Records {
    type Target = [Record];

    fn deref(&self) -> &[Record] {
        &self.list
    }
}

impl Extend<Record> for Records {
    fn extend<I: IntoIterator<Item = Record>>(&mut self, records: I) {
        for record in records {
            self.push(record);
        }
    }
}

impl FromIterator<Record> for Records {
    fn from_iter<I: IntoIterator<Item = Record>>(records: I) -> Self {
        let mut these = Self::default();
        these.extend(records);
        these
    }
}
