//! What is asked and what is answered, in the same form for every provider.

use std::fmt;

use countersign_signature::Secret;
use serde_json::Value;

/// The wire format of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Provider {
    /// Chat Completions, which most endpoints speak.
    OpenAi,
    /// Messages.
    Anthropic,
    /// Ollama's own chat format.
    Ollama,
}

impl Provider {
    /// Where its own service listens.
    pub const fn usual_url(self) -> &'static str {
        match self {
            Self::OpenAi => "https://api.openai.com/v1",
            Self::Anthropic => "https://api.anthropic.com",
            Self::Ollama => "http://127.0.0.1:11434",
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Ollama => "ollama",
        })
    }
}

/// Who is asked.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The wire format.
    pub provider: Provider,
    /// Where it listens; [`Provider::usual_url`] if absent. What follows the host is kept: `https://host/v1`.
    pub base_url: Option<String>,
    /// The model, as the endpoint calls it.
    pub model: String,
    /// The key, if one is needed.
    pub key: Option<Secret>,
}

/// One message.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// What the model is told to be.
    System(String),
    /// What a user says.
    User(String),
    /// What the model has said.
    Assistant {
        /// The text.
        content: String,
        /// The tools that it wanted to be called.
        tool_calls: Vec<ToolCall>,
    },
    /// What a tool gave.
    Tool {
        /// The call it answers.
        call_id: String,
        /// The tool.
        name: String,
        /// What it gave.
        content: String,
    },
}

/// A tool that a model may want to be called.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    /// Its name: letters, digits, `_` and `-`.
    pub name: String,
    /// What it does, for the model.
    pub description: String,
    /// The JSON schema of its arguments, an object.
    pub parameters: Value,
}

/// A call that a model wants.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolCall {
    /// Its id; made up where the provider gives none.
    pub id: String,
    /// The tool, as the model wrote it.
    pub name: String,
    /// The arguments as JSON; what is no JSON stays a text. Nothing is checked against the tool's schema.
    pub arguments: Value,
}

/// A question.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelCall {
    /// The conversation, oldest first.
    pub messages: Vec<Message>,
    /// The tools that it may want.
    pub tools: Vec<Tool>,
    /// The JSON schema of an object that the answer has to be.
    pub answer_schema: Option<Value>,
    /// How much chance there is in the answer.
    pub temperature: Option<f64>,
    /// The part of the likeliest words that is chosen from.
    pub top_p: Option<f64>,
    /// How many tokens the answer may have.
    pub max_tokens: Option<u32>,
    /// Whether the answer is told in pieces while it comes.
    pub stream: bool,
    /// Sent as `Idempotency-Key`.
    pub idempotency_key: Option<String>,
}

/// How many tokens were used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Of the question.
    pub input: u64,
    /// Of the answer.
    pub output: u64,
}

impl Usage {
    /// Both together.
    pub const fn total(self) -> u64 {
        self.input.saturating_add(self.output)
    }
}

/// An answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reply {
    /// The text; JSON if a schema was given.
    pub content: String,
    /// What it thought before, if the provider shows that.
    pub reasoning: Option<String>,
    /// The tools that it wants to be called.
    pub tool_calls: Vec<ToolCall>,
    /// What it cost, if the provider says.
    pub usage: Option<Usage>,
    /// The model that answered, if the provider says.
    pub model: Option<String>,
    /// Why it ended, in the provider's word.
    pub finish_reason: Option<String>,
}

/// A piece of an answer, as it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Of the answer itself.
    Text(&'a str),
    /// Of what the model thinks before it answers, if it shows that.
    Thought(&'a str),
}
