//! How much one run may take.

use std::time::Duration;

/// What one run may take, and how many may run side by side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Time from the beginning of the run to its end, waiting included.
    pub time: Duration,
    /// Bytes that the engine may hold for the run: code, values and what the run was given.
    pub memory: usize,
    /// Bytes of stack. A script that calls itself without end gets a `RangeError` that it can catch.
    pub stack: usize,
    /// Bytes of the result as JSON.
    pub output: usize,
    /// How many requests `fetch` may make.
    pub requests: usize,
    /// Bytes of the body of an answer to a request.
    pub response: usize,
    /// Runs side by side; further ones wait for their turn, and their time begins with it. Those of one group have at most
    /// a quarter of the turns.
    pub side_by_side: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(30),
            memory: 64 << 20,
            stack: 1 << 20,
            output: 8 << 20,
            requests: 64,
            response: 8 << 20,
            side_by_side: 32,
        }
    }
}
