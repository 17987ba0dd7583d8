//! Language models for runs: which connection answers for a component, and the question in its form.

use countersign_flow::{ModelChoice, ModelMessage, ModelReply, ModelRequest, ToolCall};
use countersign_model::{Connection, Message, ModelCall, Piece, Provider, Reply, Tool};
use serde_json::{Map, Value, json};

use crate::app::Inner;
use crate::connections::WHERE;
use crate::view::ConnectionKind;

impl Inner {
    /// Asks the model that a step names. `on_piece` hears the answer in pieces, if the step wants that.
    ///
    /// # Errors
    /// For people: no connection, no model, what the provider said. Keys are not part of it.
    pub(crate) async fn ask_model(
        &self,
        request: ModelRequest,
        on_piece: &mut (dyn FnMut(Piece<'_>) + Send),
    ) -> Result<ModelReply, String> {
        let component = &request.model.component;
        let (name, kept) = self.model_connection(component).ok_or_else(|| {
            format!(
                "No connection serves {component}, which “{}” asks. Set one {WHERE} and list {component} among what it \
                 serves.",
                request.node_label
            )
        })?;
        let provider = match kept.provider {
            ConnectionKind::Anthropic => Provider::Anthropic,
            ConnectionKind::Ollama => Provider::Ollama,
            _ => Provider::OpenAi,
        };
        // A name of another provider's model means nothing here, unless nothing else is said.
        let default = kept.default_model.as_deref();
        let own = model_of(&request.model).filter(|_| default.is_none() || is_at_home(component, provider));
        let model = own.or(default).ok_or_else(|| {
            format!(
                "“{}” names no model, and the connection “{name}” has no default. Set one {WHERE}.",
                request.node_label
            )
        })?;
        let connection = Connection {
            provider,
            base_url: kept.base_url.clone(),
            model: model.to_owned(),
            key: self.connection_key(&name, &kept)?,
        };
        let call = call_of(request);
        let asked = self.models.ask(&connection, &call, on_piece).await;
        let reply = asked.map_err(|error| format!("The connection “{name}”: {error}"))?;
        Ok(reply_of(reply))
    }
}

/// Whether a component is one of the provider's own, so that the names of its models mean something there.
fn is_at_home(component: &str, provider: Provider) -> bool {
    match provider {
        Provider::OpenAi => component.starts_with("chatOpenAI"),
        Provider::Anthropic => component.starts_with("chatAnthropic"),
        Provider::Ollama => component.starts_with("chatOllama"),
    }
}

/// The model that the settings of a component name.
fn model_of(choice: &ModelChoice) -> Option<&str> {
    let texts = ModelChoice::NAMES
        .into_iter()
        .filter_map(|name| choice.settings.get(name)?.as_str());
    texts.map(str::trim).find(|name| !name.is_empty())
}

/// A number in the settings of a component, which may be written as a text.
fn number(settings: &Map<String, Value>, names: &[&str]) -> Option<f64> {
    let mut numbers = names.iter().filter_map(|name| match settings.get(*name)? {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    });
    numbers.find(|number: &f64| number.is_finite())
}

fn call_of(request: ModelRequest) -> ModelCall {
    let settings = &request.model.settings;
    let most = number(settings, &ModelChoice::MOST_TOKENS);
    ModelCall {
        temperature: number(settings, &[ModelChoice::TEMPERATURE]),
        top_p: number(settings, &[ModelChoice::TOP_P]),
        max_tokens: most.filter(|most| *most >= 1.0).map(|most| most as u32),
        messages: request.messages.into_iter().map(message_of).collect(),
        tools: request
            .tools
            .into_iter()
            .map(|tool| Tool {
                name: tool.name,
                description: tool.description,
                parameters: tool.parameters,
            })
            .collect(),
        answer_schema: request.answer_schema,
        stream: request.stream,
        idempotency_key: Some(request.idempotency_key),
    }
}

fn message_of(message: ModelMessage) -> Message {
    match message {
        ModelMessage::System { content } => Message::System(content),
        ModelMessage::User { content } => Message::User(content),
        ModelMessage::Assistant { content, tool_calls } => Message::Assistant {
            content,
            tool_calls: tool_calls
                .into_iter()
                .map(|call| countersign_model::ToolCall {
                    id: call.id,
                    name: call.name,
                    arguments: call.arguments,
                })
                .collect(),
        },
        ModelMessage::Tool {
            call_id,
            name,
            content,
        } => Message::Tool {
            call_id,
            name,
            content,
        },
    }
}

fn reply_of(reply: Reply) -> ModelReply {
    let usage = reply.usage.map(|usage| {
        json!({
            "input_tokens": usage.input,
            "output_tokens": usage.output,
            "total_tokens": usage.total(),
        })
    });
    let mut metadata = Map::new();
    for (name, fact) in [
        ("model_name", reply.model),
        ("finish_reason", reply.finish_reason),
    ] {
        if let Some(fact) = fact {
            metadata.insert(name.to_owned(), fact.into());
        }
    }
    ModelReply {
        content: reply.content,
        reasoning: reply.reasoning,
        tool_calls: reply
            .tool_calls
            .into_iter()
            .map(|call| ToolCall {
                id: call.id,
                name: call.name,
                arguments: call.arguments,
            })
            .collect(),
        usage,
        metadata: (!metadata.is_empty()).then(|| metadata.into()),
    }
}
