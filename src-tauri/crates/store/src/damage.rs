//! What was met damaged while the store was open, for people.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// So many are told one by one.
const TOLD: usize = 20;
/// So many are remembered.
const KEPT: usize = 10_000;

/// Each is told once.
#[derive(Debug, Default)]
pub(crate) struct Damage(Mutex<BTreeSet<String>>);

impl Damage {
    fn found(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn note(&self, what: String) {
        let mut found = self.found();
        if found.len() < KEPT && !found.contains(&what) {
            tracing::error!("{what}");
            found.insert(what);
        }
    }

    /// It was replaced by something whole.
    pub(crate) fn mended(&self, what: &str) {
        self.found().remove(what);
    }

    pub(crate) fn list(&self) -> Vec<String> {
        let found = self.found();
        let mut list: Vec<_> = found.iter().take(TOLD).cloned().collect();
        if found.len() > TOLD {
            list.push(format!("and {} more", found.len() - TOLD));
        }
        list
    }
}
