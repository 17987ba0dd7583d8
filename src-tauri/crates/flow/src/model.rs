//! Language models as nodes ask them.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::js;

/// Which model is asked, as the export names it.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelChoice {
    /// The component: `chatOpenAI`, `chatAnthropic`, `chatOllama` and the like.
    pub component: String,
    /// Its settings: `modelName`, `temperature` and the like. Exports never hold the credential, at most its id.
    pub settings: Map<String, Value>,
}

/// Settings that say nothing about the answer, or that are read elsewhere.
const ASIDE: [&str; 5] = [
    "streaming",
    "cache",
    "credential",
    "FLOWISE_CREDENTIAL_ID",
    "imageResolution",
];

impl ModelChoice {
    /// The settings with the model's name, the first one that is filled counts.
    pub const NAMES: [&'static str; 4] = ["customModelName", "customModel", "modelName", "model"];
    /// The settings with the most tokens of an answer.
    pub const MOST_TOKENS: [&'static str; 4] =
        ["maxTokens", "maxTokensToSample", "maxOutputTokens", "numPredict"];
    /// The setting with the temperature.
    pub const TEMPERATURE: &'static str = "temperature";
    /// The setting with the share of the likeliest tokens.
    pub const TOP_P: &'static str = "topP";

    /// Whether the model is to be shown the images of a message.
    pub(crate) fn takes_images(&self) -> bool {
        js::truthy(self.settings.get(IMAGES))
    }

    /// The settings that are set and that nothing here reads.
    pub(crate) fn unread(&self) -> Vec<&str> {
        let is_set = |value: &Value| match value {
            Value::Null | Value::Bool(false) => false,
            Value::String(text) => !text.trim().is_empty() && *text != self.component,
            Value::Array(items) => !items.is_empty(),
            Value::Object(fields) => !fields.is_empty(),
            Value::Bool(true) | Value::Number(_) => true,
        };
        let is_read = |name: &str| {
            let mut read = Self::NAMES.iter().chain(&Self::MOST_TOKENS).chain(&ASIDE);
            name == Self::TEMPERATURE
                || name == Self::TOP_P
                || name == IMAGES
                || read.any(|known| *known == name)
        };
        let settings = self.settings.iter();
        settings
            .filter(|(name, value)| is_set(value) && !is_read(name))
            .map(|(name, _)| name.as_str())
            .collect()
    }
}

/// The setting that lets a model see images.
const IMAGES: &str = "allowImageUploads";

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
    /// The JSON schema of an answer that the step can go on with, where the messages ask for it in words only. Providers
    /// are not told; whoever answers in a model's place can know what to say.
    pub expected: Option<Value>,
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
