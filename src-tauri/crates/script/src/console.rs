//! What scripts write to their console.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// How many lines are kept; the last ones say what led to the end.
const LINES: usize = 50;

/// How much of a line is kept, in characters.
const LETTERS: usize = 500;

/// Hears what a script writes by `console`, and keeps the last lines. The clones are one.
#[derive(Debug, Clone, Default)]
pub struct Console(Arc<Mutex<VecDeque<String>>>);

impl Console {
    /// The last lines so far, the oldest first; those that are no mere `log` begin with their level: `warn: …`.
    pub fn lines(&self) -> Vec<String> {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().cloned().collect()
    }

    pub(crate) fn write(&self, level: &str, text: &str) {
        let mut line = match level {
            "log" => String::new(),
            level => format!("{level}: "),
        };
        line.extend(text.chars().take(LETTERS));
        if text.chars().nth(LETTERS).is_some() {
            line.push('…');
        }
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }
}
