//! JavaScript of flows in an embedded engine.
//!
//! [`Engine::run`] takes code as Custom Functions hold it: the body of an asynchronous function, with top-level
//! `return` and `await`. Each run has a thread and an engine of its own, so that nothing is left over from another
//! run, and ends within its [`Limits`]. Code sees the language itself, the values that it is given, `console`,
//! timers, `fetch` through [`Fetch`], and a few helpers (`URL`, `URLSearchParams`, `Headers`, `Buffer`,
//! `TextEncoder`, `TextDecoder`, `atob`, `btoa`, `AbortController`). It sees no files, no processes, no modules and
//! no other network, and cannot make code out of text (format §5.7).

mod address;
mod console;
mod engine;
mod error;
mod fetch;
mod limits;
mod machine;

pub use console::Console;
pub use engine::Engine;
pub use error::ScriptError;
pub use fetch::{Fetch, FetchFuture, FetchRequest, FetchResponse, NoFetch};
pub use limits::Limits;
