//! Messages, the format of Anthropic.

use serde_json::{Value, json};

use crate::partial::{Partial, text};
use crate::{Connection, Message, ModelCall, ModelError};

pub(crate) const PATH: &str = "/v1/messages";

/// The version of the format that this is.
const VERSION: &str = "2023-06-01";

/// The format demands a limit; this many tokens every model of it takes.
const MAX_TOKENS: u32 = 4096;

/// The tool by which an answer of a given form is asked for.
const ANSWER: &str = "answer";

pub(crate) fn headers(connection: &Connection) -> Vec<(String, String)> {
    let mut headers = vec![("anthropic-version".to_owned(), VERSION.to_owned())];
    if let Some(key) = &connection.key {
        headers.push(("x-api-key".to_owned(), key.expose().to_owned()));
    }
    headers
}

pub(crate) fn body(connection: &Connection, call: &ModelCall) -> Value {
    let mut body = json!({
        "model": connection.model,
        "max_tokens": call.max_tokens.unwrap_or(MAX_TOKENS),
        "messages": messages(call),
    });
    let system: Vec<&str> = call
        .messages
        .iter()
        .filter_map(|message| match message {
            Message::System(content) if !content.is_empty() => Some(content.as_str()),
            _ => None,
        })
        .collect();
    if !system.is_empty() {
        body["system"] = system.join("\n\n").into();
    }
    let mut tools: Vec<Value> = call
        .tools
        .iter()
        .map(|tool| {
            json!({"name": tool.name, "description": tool.description, "input_schema": tool.parameters})
        })
        .collect();
    if let Some(schema) = &call.answer_schema {
        tools.push(json!({"name": ANSWER, "description": "Gives the answer.", "input_schema": schema}));
        body["tool_choice"] = json!({"type": "tool", "name": ANSWER});
    }
    if !tools.is_empty() {
        body["tools"] = tools.into();
    }
    if let Some(temperature) = call.temperature {
        body["temperature"] = json!(temperature);
    }
    if let Some(top_p) = call.top_p {
        body["top_p"] = json!(top_p);
    }
    if call.stream {
        body["stream"] = json!(true);
    }
    body
}

/// The conversation as turns of user and assistant. What one of them says in a row is one turn, empty texts are left
/// out, and the first turn is the user's: the format demands all of that.
fn messages(call: &ModelCall) -> Value {
    let mut turns: Vec<(&str, Vec<Value>)> = Vec::new();
    let mut add = |role: &'static str, block: Value| match turns.last_mut() {
        Some((last, blocks)) if *last == role => blocks.push(block),
        _ => turns.push((role, vec![block])),
    };
    let said = |content: &str| json!({"type": "text", "text": content});
    for message in &call.messages {
        match message {
            Message::System(_) => {}
            Message::User(content) => {
                if !content.trim().is_empty() {
                    add("user", said(content));
                }
            }
            Message::Assistant { content, tool_calls } => {
                // White space at the end is refused.
                let content = content.trim_end();
                if !content.is_empty() {
                    add("assistant", said(content));
                }
                for call in tool_calls {
                    let input = if call.arguments.is_object() {
                        call.arguments.clone()
                    } else {
                        json!({})
                    };
                    let block = json!({"type": "tool_use", "id": call.id, "name": call.name, "input": input});
                    add("assistant", block);
                }
            }
            Message::Tool { call_id, content, .. } => {
                add(
                    "user",
                    json!({"type": "tool_result", "tool_use_id": call_id, "content": content}),
                );
            }
        }
    }
    if turns.first().is_none_or(|(role, _)| *role != "user") {
        turns.insert(0, ("user", vec![said("Go on.")]));
    }
    let turns = turns.into_iter();
    turns
        .map(|(role, content)| json!({"role": role, "content": content}))
        .collect()
}

/// A whole answer.
pub(crate) fn whole(answer: &Value, partial: &mut Partial, structured: bool) -> Result<(), ModelError> {
    let blocks = answer
        .get("content")
        .and_then(Value::as_array)
        .ok_or_else(|| ModelError::NotUnderstood("it holds no content".to_owned()))?;
    partial.model = text(answer, "model").map(str::to_owned);
    partial.finish_reason = text(answer, "stop_reason").map(str::to_owned);
    usage(answer, partial);
    for (place, block) in blocks.iter().enumerate() {
        begin(block, partial, place as u64, structured)?;
        match (text(block, "type"), block.get("input")) {
            (Some("tool_use"), Some(input)) if structured => partial.content.push_str(&input.to_string()),
            (Some("tool_use"), Some(input)) => partial.call(place as u64, None, None, &input.to_string())?,
            _ => {}
        }
    }
    partial.ended = true;
    Ok(())
}

/// An event of a stream. Gives the piece of text in it.
pub(crate) fn event(
    event: &Value,
    partial: &mut Partial,
    structured: bool,
) -> Result<Option<String>, ModelError> {
    let place = event.get("index").and_then(Value::as_u64).unwrap_or_default();
    let before = partial.content.len();
    match text(event, "type").unwrap_or_default() {
        "message_start" => {
            let message = event.get("message").unwrap_or(&Value::Null);
            partial.model = text(message, "model").map(str::to_owned);
            usage(message, partial);
        }
        "content_block_start" => {
            begin(
                event.get("content_block").unwrap_or(&Value::Null),
                partial,
                place,
                structured,
            )?;
        }
        "content_block_delta" => {
            let delta = event.get("delta").unwrap_or(&Value::Null);
            partial.content.push_str(text(delta, "text").unwrap_or_default());
            partial
                .reasoning
                .push_str(text(delta, "thinking").unwrap_or_default());
            match text(delta, "partial_json") {
                Some(json) if structured => partial.content.push_str(json),
                Some(json) => partial.call(place, None, None, json)?,
                None => {}
            }
        }
        "message_delta" => {
            let reason = event.pointer("/delta/stop_reason").and_then(Value::as_str);
            partial.finish_reason = reason.map(str::to_owned);
            usage(event, partial);
        }
        "message_stop" => partial.ended = true,
        "error" => {
            return Err(ModelError::Refused {
                status: None,
                message: crate::error::said(event.to_string().as_bytes()),
            });
        }
        _ => {}
    }
    Ok(Some(partial.content[before..].to_owned()).filter(|text| !text.is_empty()))
}

fn usage(message: &Value, partial: &mut Partial) {
    let tokens = |name: &str| message.pointer(&format!("/usage/{name}")).and_then(Value::as_u64);
    partial.input_tokens = tokens("input_tokens").or(partial.input_tokens);
    partial.output_tokens = tokens("output_tokens").or(partial.output_tokens);
}

/// The beginning of a block; in a whole answer also all of its text.
fn begin(block: &Value, partial: &mut Partial, place: u64, structured: bool) -> Result<(), ModelError> {
    match text(block, "type") {
        Some("text") => partial.content.push_str(text(block, "text").unwrap_or_default()),
        Some("thinking") => partial
            .reasoning
            .push_str(text(block, "thinking").unwrap_or_default()),
        // What was said before the answer in its form is no part of it.
        Some("tool_use") if structured => partial.content.clear(),
        Some("tool_use") => partial.call(place, text(block, "id"), text(block, "name"), "")?,
        _ => {}
    }
    Ok(())
}
