//! Why a script has no result.

use std::fmt;
use std::time::Duration;

/// Why a script has no result. Its text is for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScriptError {
    /// It threw, or a promise that it returned was rejected: `String(error)`, such as `TypeError: x is not a function`.
    #[error("{0}")]
    Thrown(String),
    /// It took longer than it may.
    #[error("the script took longer than its limit of {}", Seconds(*.0))]
    TimeLimit(Duration),
    /// It needed more memory than it may.
    #[error("the script needs more memory than its limit of {}", Bytes(*.0))]
    MemoryLimit(usize),
    /// Its result is larger than it may be.
    #[error("the result of the script is larger than its limit of {}", Bytes(*.0))]
    OutputLimit(usize),
    /// Its result has no form as JSON that can be kept.
    #[error("the result of the script cannot be kept: {0}")]
    NoJson(String),
    /// It awaits something, and nothing is left that could bring it about.
    #[error("the script waits for a promise that nothing will settle")]
    NeverSettles,
    /// Whoever wanted the result no longer does.
    #[error("the script was cancelled")]
    Cancelled,
    /// Too many scripts are stuck where they cannot be ended.
    #[error(
        "{0} scripts are stuck in operations that cannot be interrupted; no more are run until a restart"
    )]
    Exhausted(usize),
    /// The engine itself failed.
    #[error("the script engine failed: {0}")]
    Engine(String),
}

struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", self.0.as_secs_f64())
    }
}

struct Bytes(usize);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes >= 1 << 20 && bytes % (1 << 20) == 0 => write!(f, "{} MiB", bytes >> 20),
            bytes if bytes >= 1 << 10 && bytes % (1 << 10) == 0 => write!(f, "{} KiB", bytes >> 10),
            bytes => write!(f, "{bytes} bytes"),
        }
    }
}
