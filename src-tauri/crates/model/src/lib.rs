//! Language models, asked over HTTP: OpenAI and whatever speaks its format, Anthropic, and Ollama.
//!
//! The three wire formats are driven over [`countersign_delivery::Client`], so that a model is reached under the same
//! address guard, redirect rules and limits as every other target of a flow. What belongs to one format is in its file;
//! retries, time limits and the framing of streams are common to them.

mod anthropic;
mod call;
mod client;
mod error;
mod frames;
mod ollama;
mod openai;
mod partial;

pub use call::{Connection, Message, ModelCall, Piece, Provider, Reply, Tool, ToolCall, Usage};
pub use client::{Limits, ModelClient};
pub use error::ModelError;
