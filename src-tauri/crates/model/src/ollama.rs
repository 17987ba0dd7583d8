//! Ollama's own chat format.

use serde_json::{Map, Value, json};

use crate::openai::tools;
use crate::partial::{Partial, text};
use crate::{Connection, Message, ModelCall, ModelError};

pub(crate) const PATH: &str = "/api/chat";

pub(crate) fn headers(connection: &Connection) -> Vec<(String, String)> {
    // A server of one's own asks for none; a proxy in front of it may.
    crate::openai::headers(connection)
}

pub(crate) fn body(connection: &Connection, call: &ModelCall) -> Value {
    let messages: Vec<Value> = call.messages.iter().map(message).collect();
    // It streams unless told otherwise.
    let mut body = json!({"model": connection.model, "messages": messages, "stream": call.stream});
    if !call.tools.is_empty() {
        body["tools"] = tools(call);
    }
    if let Some(schema) = &call.answer_schema {
        body["format"] = schema.clone();
    }
    let mut options = Map::new();
    if let Some(temperature) = call.temperature {
        options.insert("temperature".to_owned(), json!(temperature));
    }
    if let Some(top_p) = call.top_p {
        options.insert("top_p".to_owned(), json!(top_p));
    }
    if let Some(most) = call.max_tokens {
        options.insert("num_predict".to_owned(), json!(most));
    }
    if !options.is_empty() {
        body["options"] = options.into();
    }
    body
}

fn message(message: &Message) -> Value {
    match message {
        Message::System(content) => json!({"role": "system", "content": content}),
        Message::User(content) => json!({"role": "user", "content": content}),
        Message::Assistant { content, tool_calls } => {
            let mut message = json!({"role": "assistant", "content": content});
            if !tool_calls.is_empty() {
                let calls = tool_calls.iter().map(|call| {
                    let arguments = if call.arguments.is_object() {
                        call.arguments.clone()
                    } else {
                        json!({})
                    };
                    json!({"function": {"name": call.name, "arguments": arguments}})
                });
                message["tool_calls"] = calls.collect();
            }
            message
        }
        Message::Tool { name, content, .. } => {
            json!({"role": "tool", "tool_name": name, "content": content})
        }
    }
}

/// A whole answer, or an event of a stream, which has the same form. Gives the piece of text in it.
pub(crate) fn event(event: &Value, partial: &mut Partial) -> Result<Option<String>, ModelError> {
    if let Some(error) = event.get("error") {
        return Err(ModelError::Refused {
            status: None,
            message: crate::error::said(error.to_string().as_bytes()),
        });
    }
    let message = event
        .get("message")
        .ok_or_else(|| ModelError::NotUnderstood("it holds no message".to_owned()))?;
    let content = text(message, "content").unwrap_or_default();
    partial.content.push_str(content);
    partial
        .reasoning
        .push_str(text(message, "thinking").unwrap_or_default());
    let calls = message.get("tool_calls").and_then(Value::as_array);
    for call in calls.into_iter().flatten() {
        let function = call.get("function").unwrap_or(&Value::Null);
        let arguments = function
            .get("arguments")
            .map(Value::to_string)
            .unwrap_or_default();
        // Each comes whole, so each has a place of its own.
        let place = partial.calls() as u64;
        partial.call(place, text(call, "id"), text(function, "name"), &arguments)?;
    }
    if let Some(model) = text(event, "model") {
        partial.model = Some(model.to_owned());
    }
    let tokens = |name: &str| event.get(name).and_then(Value::as_u64);
    partial.input_tokens = tokens("prompt_eval_count").or(partial.input_tokens);
    partial.output_tokens = tokens("eval_count").or(partial.output_tokens);
    if event.get("done") == Some(&Value::Bool(true)) {
        partial.finish_reason = text(event, "done_reason").map(str::to_owned);
        partial.ended = true;
    }
    Ok(Some(content.to_owned()).filter(|text| !text.is_empty()))
}
