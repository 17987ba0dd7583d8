//! Chat Completions, the format of OpenAI and of most other endpoints.

use serde_json::{Map, Value, json};

use crate::partial::{Partial, text};
use crate::{Connection, Message, ModelCall, ModelError, Provider};

pub(crate) const PATH: &str = "/chat/completions";

pub(crate) fn headers(connection: &Connection) -> Vec<(String, String)> {
    let key = connection.key.iter();
    key.map(|key| ("authorization".to_owned(), format!("Bearer {}", key.expose())))
        .collect()
}

pub(crate) fn body(connection: &Connection, call: &ModelCall) -> Value {
    let messages: Vec<Value> = call.messages.iter().map(message).collect();
    let mut body = json!({"model": connection.model, "messages": messages});
    if !call.tools.is_empty() {
        body["tools"] = tools(call);
    }
    if let Some(schema) = &call.answer_schema {
        body["response_format"] = json!({"type": "json_schema", "json_schema": {
            "name": "answer", "schema": schema, "strict": is_strict(schema),
        }});
    }
    if let Some(temperature) = call.temperature {
        body["temperature"] = json!(temperature);
    }
    if let Some(top_p) = call.top_p {
        body["top_p"] = json!(top_p);
    }
    if let Some(most) = call.max_tokens {
        // OpenAI's own newer models refuse the old name; other endpoints know only that.
        let own = connection.base_url.is_none();
        body[if own {
            "max_completion_tokens"
        } else {
            "max_tokens"
        }] = json!(most);
    }
    if call.stream {
        body["stream"] = json!(true);
        body["stream_options"] = json!({"include_usage": true});
    }
    body
}

/// Tools in the form that Ollama has too.
pub(crate) fn tools(call: &ModelCall) -> Value {
    let tools = call.tools.iter().map(|tool| {
        json!({"type": "function", "function": {
            "name": tool.name, "description": tool.description, "parameters": tool.parameters,
        }})
    });
    tools.collect()
}

fn message(message: &Message) -> Value {
    match message {
        Message::System(content) => json!({"role": "system", "content": content}),
        Message::User(content) => json!({"role": "user", "content": content}),
        Message::Assistant { content, tool_calls } => {
            let mut message = Map::from_iter([("role".to_owned(), json!("assistant"))]);
            // Beside calls there may be no text at all.
            let no_text = content.is_empty() && !tool_calls.is_empty();
            message.insert(
                "content".to_owned(),
                if no_text { Value::Null } else { json!(content) },
            );
            if !tool_calls.is_empty() {
                let calls = tool_calls.iter().map(|call| {
                    let arguments = match &call.arguments {
                        Value::String(text) => text.clone(),
                        other => other.to_string(),
                    };
                    json!({"id": call.id, "type": "function",
                        "function": {"name": call.name, "arguments": arguments}})
                });
                message.insert("tool_calls".to_owned(), calls.collect());
            }
            Value::Object(message)
        }
        Message::Tool { call_id, content, .. } => {
            json!({"role": "tool", "tool_call_id": call_id, "content": content})
        }
    }
}

/// Whether a schema is what the strict mode asks for: every object lists all its properties as required and takes no
/// others.
fn is_strict(schema: &Value) -> bool {
    match schema {
        Value::Object(object) => {
            let of_an_object = schema.get("type") == Some(&json!("object"));
            let properties = schema.get("properties").and_then(Value::as_object);
            let required = schema.get("required").and_then(Value::as_array);
            let all = properties.zip(required).is_some_and(|(properties, required)| {
                properties
                    .keys()
                    .all(|name| required.iter().any(|one| one == name))
            });
            (!of_an_object || (all && schema.get("additionalProperties") == Some(&json!(false))))
                && object.values().all(is_strict)
        }
        Value::Array(items) => items.iter().all(is_strict),
        _ => true,
    }
}

/// A whole answer.
pub(crate) fn whole(answer: &Value, partial: &mut Partial) -> Result<(), ModelError> {
    let message = answer
        .pointer("/choices/0/message")
        .ok_or_else(|| ModelError::NotUnderstood("it holds no message".to_owned()))?;
    facts(answer, partial);
    piece(message, partial)?;
    partial.ended = true;
    Ok(())
}

/// An event of a stream. Gives the piece of text in it.
pub(crate) fn event(event: &Value, partial: &mut Partial) -> Result<Option<String>, ModelError> {
    if let Some(error) = event.get("error").filter(|error| !error.is_null()) {
        return Err(ModelError::Refused {
            status: None,
            message: crate::error::said(error.to_string().as_bytes()),
        });
    }
    facts(event, partial);
    let Some(delta) = event.pointer("/choices/0/delta") else {
        return Ok(None);
    };
    let before = partial.content.len();
    piece(delta, partial)?;
    Ok(Some(partial.content[before..].to_owned()).filter(|text| !text.is_empty()))
}

fn facts(answer: &Value, partial: &mut Partial) {
    if let Some(model) = text(answer, "model").filter(|model| !model.is_empty()) {
        partial.model = Some(model.to_owned());
    }
    let reason = answer.pointer("/choices/0/finish_reason").and_then(Value::as_str);
    if let Some(reason) = reason {
        partial.finish_reason = Some(reason.to_owned());
        partial.ended = true;
    }
    let tokens = |name: &str| answer.pointer(&format!("/usage/{name}")).and_then(Value::as_u64);
    partial.input_tokens = tokens("prompt_tokens").or(partial.input_tokens);
    partial.output_tokens = tokens("completion_tokens").or(partial.output_tokens);
}

/// What a message or a piece of one adds.
fn piece(message: &Value, partial: &mut Partial) -> Result<(), ModelError> {
    for name in ["content", "refusal"] {
        partial.content.push_str(text(message, name).unwrap_or_default());
    }
    let thought = text(message, "reasoning_content").or_else(|| text(message, "reasoning"));
    partial.reasoning.push_str(thought.unwrap_or_default());
    let calls = message.get("tool_calls").and_then(Value::as_array);
    for (at, call) in calls.into_iter().flatten().enumerate() {
        let place = call.get("index").and_then(Value::as_u64).unwrap_or(at as u64);
        let function = call.get("function").unwrap_or(&Value::Null);
        let arguments = match function.get("arguments") {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        partial.call(place, text(call, "id"), text(function, "name"), &arguments)?;
    }
    Ok(())
}

/// How many calls the conversation holds.
pub(crate) fn calls_so_far(call: &ModelCall) -> usize {
    let calls = call.messages.iter().map(|message| match message {
        Message::Assistant { tool_calls, .. } => tool_calls.len(),
        _ => 0,
    });
    calls.sum()
}

/// Whether a refusal will stay one however long is waited.
pub(crate) fn is_final(provider: Provider, body: &[u8]) -> bool {
    provider == Provider::OpenAi
        && serde_json::from_slice::<Value>(body)
            .is_ok_and(|body| body.pointer("/error/code") == Some(&json!("insufficient_quota")))
}
