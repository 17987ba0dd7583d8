//! Scripts as nodes run them.

use serde_json::{Map, Value};

/// JavaScript: the body of an asynchronous function, and what it can see.
#[derive(Debug, Clone, PartialEq)]
pub struct Script {
    /// The code. Top-level `return` and `await` are legal.
    pub code: String,
    /// Global values by name, `$` included: `$input`, `$flow`, `$vars`, `$item`.
    pub globals: Map<String, Value>,
    /// Equal each time the same step of the same run runs this script; requests that it makes derive their
    /// `Idempotency-Key` from it.
    pub idempotency_key: String,
}
