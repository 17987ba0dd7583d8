//! Language models as nodes ask them.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Which model is asked, as the export names it.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelChoice {
    /// The component: `chatOpenAI`, `chatAnthropic`, `chatOllama` and the like.
    pub component: String,
    /// Its settings: `modelName`, `temperature` and the like. Exports never hold the credential, at most its id.
    pub settings: Map<String, Value>,
}

/// One message to a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "lowercase", rename_all_fields = "camelCase")]
pub enum ModelMessage {
    /// What the model is told to be.
    System {
        /// The text.
        content: String,
    },
    /// What a user says.
    User {
        /// The text.
        content: String,
    },
    /// What the model has said, with the tools that it wanted to be called.
    Assistant {
        /// The text.
        content: String,
        /// The calls.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolDefinition {
    /// Its name.
    pub name: String,
    /// What it does, for the model.
    pub description: String,
    /// The JSON schema of its arguments.
    pub parameters: Value,
}

/// A call that a model wants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolCall {
    /// Its id, which the answer repeats.
    pub id: String,
    /// The tool.
    pub name: String,
    /// The arguments; not checked against the tool's schema.
    pub arguments: Value,
}

/// A call that a person is asked about before it is carried out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AskedCall {
    /// The tool.
    pub tool: String,
    /// The arguments, as the model wrote them.
    pub arguments: Value,
}

/// A question to a model.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelRequest {
    /// The label of the step that asks, for errors.
    pub node_label: String,
    /// The model.
    pub model: ModelChoice,
    /// The conversation, oldest first.
    pub messages: Vec<ModelMessage>,
    /// The tools that it may want.
    pub tools: Vec<ToolDefinition>,
    /// The JSON schema that its answer has to have.
    pub answer_schema: Option<Value>,
    /// Whether the host should tell the answer in pieces, by [`crate::RunEvent::Token`], while it comes.
    pub stream: bool,
    /// Equal each time the same step of the same run asks the same.
    pub idempotency_key: String,
}

/// The answer of a model.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelReply {
    /// The text.
    pub content: String,
    /// What it thought before, if the model shows that.
    pub reasoning: Option<String>,
    /// The tools that it wants to be called.
    pub tool_calls: Vec<ToolCall>,
    /// Tokens, as `{"input_tokens","output_tokens","total_tokens"}`.
    pub usage: Option<Value>,
    /// Further facts that the provider gave.
    pub metadata: Option<Value>,
}

/// A question to a document store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// The store as the export names it, `<id>:<name>`.
    pub store: String,
    /// What is looked for.
    pub query: String,
    /// How many passages at most.
    pub limit: usize,
}

/// A passage that was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Passage {
    /// The text.
    pub page_content: String,
    /// Where it comes from.
    pub metadata: Value,
}
