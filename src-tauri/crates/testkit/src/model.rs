//! A language model that says what it is told to say, in the wire formats of OpenAI, Anthropic and Ollama.
//!
//! It is as strict about questions as the services are: a question that one of them would refuse is answered with 400.

use std::collections::VecDeque;
use std::io::{self, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use crate::wire::{self, Otherwise};

/// Into how many bytes streams are cut: so few that events are torn.
const PIECE: usize = 37;

/// A question that came.
#[derive(Debug, Clone)]
pub struct Asked {
    /// `/v1/chat/completions`, `/v1/messages` or `/api/chat`.
    pub path: String,
    /// Names in lower case and values, in order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Value,
}

impl Asked {
    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        wire::header(&self.headers, name)
    }

    /// Everything that was said in it, whatever the format, one line a message.
    pub fn conversation(&self) -> String {
        let mut lines = Vec::new();
        if let Some(system) = self.body["system"].as_str() {
            lines.push(format!("system: {system}"));
        }
        for message in self.body["messages"].as_array().into_iter().flatten() {
            let role = message["role"].as_str().unwrap_or_default();
            let texts = match &message["content"] {
                Value::String(text) => vec![text.clone()],
                Value::Array(blocks) => blocks.iter().map(block_text).collect(),
                _ => Vec::new(),
            };
            lines.push(format!("{role}: {}", texts.join(" | ")));
        }
        lines.join("\n")
    }
}

fn block_text(block: &Value) -> String {
    let text = block["text"].as_str().or(block["content"].as_str());
    text.map_or_else(
        || format!("[{}]", block["name"].as_str().unwrap_or_default()),
        str::to_owned,
    )
}

/// What the model answers.
#[derive(Debug, Clone, PartialEq)]
pub enum ModelAnswer {
    /// This text.
    Text(String),
    /// This text, and then it wants these tools to be called, with these arguments.
    Calls(String, Vec<(String, Value)>),
    /// It refuses with this status and message, after so many seconds the next question may come.
    Refusal(u16, String, Option<u32>),
    /// These bytes, of this type, whatever was asked.
    Raw(String, String),
    /// A stream that breaks off after this text.
    BreaksOff(String),
    /// A stream without end.
    Endless,
    /// Nothing, for so long.
    Silence(Duration),
}

impl ModelAnswer {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// One call without a text.
    pub fn call(tool: &str, arguments: Value) -> Self {
        Self::Calls(String::new(), vec![(tool.to_owned(), arguments)])
    }
}

type Answers = dyn Fn(&Asked) -> ModelAnswer + Send + Sync;

#[derive(Default)]
struct State {
    asked: Vec<Asked>,
    script: VecDeque<ModelAnswer>,
    closed: bool,
}

struct Shared {
    state: Mutex<State>,
    answers: Box<Answers>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics with the lock")
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

/// Listens on a free port of 127.0.0.1 and answers by script. Ends on drop.
#[derive(Debug)]
pub struct ModelServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl ModelServer {
    /// One that gives these answers, one each; then it refuses.
    ///
    /// # Panics
    /// If there is no free port.
    pub fn saying(answers: impl IntoIterator<Item = ModelAnswer>) -> Self {
        let server = Self::answering(|_| ModelAnswer::Refusal(500, "the script is over".to_owned(), None));
        server.shared.state().script.extend(answers);
        server
    }

    /// One that answers as the function says.
    ///
    /// # Panics
    /// If there is no free port.
    pub fn answering(answers: impl Fn(&Asked) -> ModelAnswer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let address = listener.local_addr().expect("it has an address");
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            answers: Box::new(answers),
        });
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if of_thread.state().closed {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let shared = Arc::clone(&of_thread);
                std::thread::spawn(move || {
                    // An error is a client that went away.
                    let _ = serve(stream, &shared);
                });
            }
        });
        Self {
            address,
            shared,
            thread: Some(thread),
        }
    }

    /// The base URL for a provider: `openai`, `anthropic` or `ollama`.
    pub fn base_url(&self, provider: &str) -> String {
        let version = if provider == "openai" { "/v1" } else { "" };
        format!("http://{}{version}", self.address)
    }

    /// The questions so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.shared.state().asked.clone()
    }
}

impl Drop for ModelServer {
    fn drop(&mut self) {
        self.shared.state().closed = true;
        // The thread waits for a connection; this one wakes it up.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    loop {
        let head = wire::read_head(&mut reader)?;
        let body = wire::read_body(&mut reader, &head.headers, Otherwise::Empty)?;
        let asked = Asked {
            path: head.line.split(' ').nth(1).unwrap_or_default().to_owned(),
            headers: head.headers,
            body: serde_json::from_slice(&body).unwrap_or_default(),
        };
        let answer = {
            let mut state = shared.state();
            state.asked.push(asked.clone());
            state.script.pop_front()
        };
        let answer = match faults(&asked) {
            Some(fault) => ModelAnswer::Refusal(400, fault, None),
            None => answer.unwrap_or_else(|| (shared.answers)(&asked)),
        };
        let format = match asked.path.as_str() {
            "/v1/messages" => Format::Anthropic,
            "/api/chat" => Format::Ollama,
            _ => Format::OpenAi,
        };
        let stream = reader.get_mut();
        if !say(stream, format, &asked, answer)? {
            return Ok(());
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    OpenAi,
    Anthropic,
    Ollama,
}

/// Whether the connection stays open.
fn say(stream: &mut TcpStream, format: Format, asked: &Asked, answer: ModelAnswer) -> io::Result<bool> {
    let streams = asked.body["stream"].as_bool().unwrap_or(format == Format::Ollama);
    let kind = match (format, streams) {
        (_, false) => "application/json",
        (Format::Ollama, true) => "application/x-ndjson",
        (_, true) => "text/event-stream",
    };
    let structured = structured(format, asked);
    match answer {
        ModelAnswer::Text(text) if streams => {
            chunked(stream, kind, &streamed(format, &text, &[], structured, true))
        }
        ModelAnswer::Calls(text, calls) if streams => {
            chunked(stream, kind, &streamed(format, &text, &calls, structured, true))
        }
        ModelAnswer::Text(text) => whole(stream, 200, kind, &[], &plain(format, &text, &[], structured)),
        ModelAnswer::Calls(text, calls) => {
            whole(stream, 200, kind, &[], &plain(format, &text, &calls, structured))
        }
        ModelAnswer::Refusal(status, message, after) => {
            let body = match format {
                Format::OpenAi => json!({"error": {"message": message, "type": "error", "code": null}}),
                Format::Anthropic => json!({"type": "error", "error": {"type": "error", "message": message}}),
                Format::Ollama => json!({"error": message}),
            };
            let after = after.map(|seconds| format!("retry-after: {seconds}\r\n"));
            whole(
                stream,
                status,
                "application/json",
                after.as_slice(),
                &body.to_string(),
            )
        }
        ModelAnswer::Raw(kind, body) => whole(stream, 200, &kind, &[], &body),
        ModelAnswer::BreaksOff(text) => {
            head(stream, 200, kind, &["transfer-encoding: chunked\r\n".to_owned()])?;
            for piece in streamed(format, &text, &[], structured, false)
                .as_bytes()
                .chunks(PIECE)
            {
                chunk(stream, piece)?;
            }
            Ok(false)
        }
        ModelAnswer::Endless => {
            head(stream, 200, kind, &["transfer-encoding: chunked\r\n".to_owned()])?;
            loop {
                chunk(stream, &[b'x'; 64 * 1024])?;
            }
        }
        ModelAnswer::Silence(time) => {
            std::thread::sleep(time);
            Ok(false)
        }
    }
}

fn head(stream: &mut TcpStream, status: u16, kind: &str, more: &[String]) -> io::Result<()> {
    let more = more.concat();
    write!(
        stream,
        "HTTP/1.1 {status} Scripted\r\ncontent-type: {kind}\r\n{more}\r\n"
    )
}

fn whole(stream: &mut TcpStream, status: u16, kind: &str, more: &[String], body: &str) -> io::Result<bool> {
    let mut headers = more.to_vec();
    headers.push(format!("content-length: {}\r\n", body.len()));
    head(stream, status, kind, &headers)?;
    stream.write_all(body.as_bytes())?;
    Ok(true)
}

fn chunked(stream: &mut TcpStream, kind: &str, body: &str) -> io::Result<bool> {
    head(stream, 200, kind, &["transfer-encoding: chunked\r\n".to_owned()])?;
    for piece in body.as_bytes().chunks(PIECE) {
        chunk(stream, piece)?;
    }
    stream.write_all(b"0\r\n\r\n")?;
    Ok(true)
}

fn chunk(stream: &mut TcpStream, piece: &[u8]) -> io::Result<()> {
    write!(stream, "{:x}\r\n", piece.len())?;
    stream.write_all(piece)?;
    stream.write_all(b"\r\n")?;
    stream.flush()
}

/// Whether an answer of a given form is wanted; Anthropic is asked for it by a tool.
fn structured(format: Format, asked: &Asked) -> bool {
    format == Format::Anthropic && asked.body["tool_choice"]["type"] == "tool"
}

fn id(format: Format, at: usize) -> String {
    match format {
        Format::Anthropic => format!("toolu_{at}"),
        _ => format!("call_x{at}"),
    }
}

fn plain(format: Format, text: &str, calls: &[(String, Value)], structured: bool) -> String {
    let answer = match format {
        Format::OpenAi => {
            let tool_calls: Vec<Value> = calls
                .iter()
                .enumerate()
                .map(|(at, (name, arguments))| {
                    json!({"id": id(format, at), "type": "function",
                        "function": {"name": name, "arguments": arguments.to_string()}})
                })
                .collect();
            let mut message = json!({"role": "assistant", "content": text});
            let mut reason = "stop";
            if !tool_calls.is_empty() {
                message["tool_calls"] = tool_calls.into();
                reason = "tool_calls";
            }
            json!({"id": "chatcmpl-1", "object": "chat.completion", "model": "fixture-1",
                "choices": [{"index": 0, "message": message, "finish_reason": reason}],
                "usage": {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}})
        }
        Format::Anthropic => {
            let mut content = Vec::new();
            if structured {
                let input: Value = serde_json::from_str(text).expect("an answer in a form is JSON");
                content.push(json!({"type": "tool_use", "id": "toolu_a", "name": "answer", "input": input}));
            } else if !text.is_empty() {
                content.push(json!({"type": "text", "text": text}));
            }
            content.extend(calls.iter().enumerate().map(|(at, (name, arguments))| {
                json!({"type": "tool_use", "id": id(format, at), "name": name, "input": arguments})
            }));
            let uses = content.iter().any(|block| block["type"] == "tool_use");
            json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "fixture-1",
                "content": content, "stop_reason": if uses { "tool_use" } else { "end_turn" },
                "usage": {"input_tokens": 7, "output_tokens": 5}})
        }
        Format::Ollama => {
            let tool_calls: Vec<Value> = calls
                .iter()
                .map(|(name, arguments)| json!({"function": {"name": name, "arguments": arguments}}))
                .collect();
            let mut message = json!({"role": "assistant", "content": text});
            if !tool_calls.is_empty() {
                message["tool_calls"] = tool_calls.into();
            }
            json!({"model": "fixture-1", "created_at": "2025-01-01T00:00:00Z", "message": message,
                "done": true, "done_reason": "stop", "prompt_eval_count": 7, "eval_count": 5})
        }
    };
    answer.to_string()
}

/// The same as a stream, a word an event. `ends` says whether it comes to its end.
fn streamed(format: Format, text: &str, calls: &[(String, Value)], structured: bool, ends: bool) -> String {
    let words: Vec<&str> = text.split_inclusive(' ').collect();
    let mut stream = String::new();
    match format {
        Format::OpenAi => {
            let mut event = |delta: Value, reason: Value| {
                let chunk = json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "fixture-1",
                    "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]});
                stream.push_str(&format!("data: {chunk}\n\n"));
            };
            event(json!({"role": "assistant", "content": ""}), Value::Null);
            for word in words {
                event(json!({"content": word}), Value::Null);
            }
            for (at, (name, arguments)) in calls.iter().enumerate() {
                let arguments = arguments.to_string();
                let half = (0..=arguments.len() / 2)
                    .rev()
                    .find(|at| arguments.is_char_boundary(*at));
                let (first, rest) = arguments.split_at(half.unwrap_or_default());
                event(
                    json!({"tool_calls": [{"index": at, "id": id(format, at), "type": "function",
                        "function": {"name": name, "arguments": first}}]}),
                    Value::Null,
                );
                event(
                    json!({"tool_calls": [{"index": at, "function": {"arguments": rest}}]}),
                    Value::Null,
                );
            }
            if ends {
                event(
                    json!({}),
                    if calls.is_empty() { "stop" } else { "tool_calls" }.into(),
                );
                let usage = json!({"model": "fixture-1", "choices": [],
                    "usage": {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}});
                stream.push_str(&format!("data: {usage}\n\ndata: [DONE]\n\n"));
            }
        }
        Format::Anthropic => {
            let mut event = |event: Value| {
                let kind = event["type"].as_str().unwrap_or_default().to_owned();
                stream.push_str(&format!("event: {kind}\ndata: {event}\n\n"));
            };
            event(
                json!({"type": "message_start", "message": {"id": "msg_1", "role": "assistant",
                "model": "fixture-1", "content": [], "usage": {"input_tokens": 7, "output_tokens": 1}}}),
            );
            event(json!({"type": "ping"}));
            let mut place = 0;
            let mut block = |begin: Value, deltas: Vec<Value>| {
                event(json!({"type": "content_block_start", "index": place, "content_block": begin}));
                for delta in deltas {
                    event(json!({"type": "content_block_delta", "index": place, "delta": delta}));
                }
                event(json!({"type": "content_block_stop", "index": place}));
                place += 1;
            };
            let json_deltas = |text: &str| {
                let half = (0..=text.len() / 2).rev().find(|at| text.is_char_boundary(*at));
                let (first, rest) = text.split_at(half.unwrap_or_default());
                vec![
                    json!({"type": "input_json_delta", "partial_json": first}),
                    json!({"type": "input_json_delta", "partial_json": rest}),
                ]
            };
            if structured {
                let begin = json!({"type": "tool_use", "id": "toolu_a", "name": "answer", "input": {}});
                block(begin, json_deltas(text));
            } else if !text.is_empty() {
                let deltas = words
                    .iter()
                    .map(|word| json!({"type": "text_delta", "text": word}));
                block(json!({"type": "text", "text": ""}), deltas.collect());
            }
            for (at, (name, arguments)) in calls.iter().enumerate() {
                let begin = json!({"type": "tool_use", "id": id(format, at), "name": name, "input": {}});
                block(begin, json_deltas(&arguments.to_string()));
            }
            if ends {
                let reason = if calls.is_empty() && !structured {
                    "end_turn"
                } else {
                    "tool_use"
                };
                event(json!({"type": "message_delta", "delta": {"stop_reason": reason},
                    "usage": {"output_tokens": 5}}));
                event(json!({"type": "message_stop"}));
            }
        }
        Format::Ollama => {
            let mut line = |message: Value, done: bool| {
                let mut event = json!({"model": "fixture-1", "created_at": "2025-01-01T00:00:00Z",
                    "message": message, "done": done});
                if done {
                    event["done_reason"] = "stop".into();
                    event["prompt_eval_count"] = 7.into();
                    event["eval_count"] = 5.into();
                }
                stream.push_str(&format!("{event}\n"));
            };
            for word in words {
                line(json!({"role": "assistant", "content": word}), false);
            }
            for (name, arguments) in calls {
                let call = json!({"function": {"name": name, "arguments": arguments}});
                line(
                    json!({"role": "assistant", "content": "", "tool_calls": [call]}),
                    false,
                );
            }
            if ends {
                line(json!({"role": "assistant", "content": ""}), true);
            }
        }
    }
    stream
}

/// What the service would refuse a question for.
fn faults(asked: &Asked) -> Option<String> {
    let body = &asked.body;
    if body["model"].as_str().is_none_or(str::is_empty) {
        return Some("model: field required".to_owned());
    }
    let messages = match body["messages"].as_array() {
        Some(messages) if !messages.is_empty() => messages,
        _ => return Some("messages: at least one message is required".to_owned()),
    };
    match asked.path.as_str() {
        "/v1/chat/completions" => openai_faults(messages),
        "/v1/messages" => anthropic_faults(asked, messages),
        "/api/chat" => messages
            .iter()
            .find(|message| !message["content"].is_string())
            .map(|message| format!("invalid message content type: {}", message["content"])),
        other => Some(format!("{other} is not found")),
    }
}

/// Every call has to be answered before anything else is said.
fn openai_faults(messages: &[Value]) -> Option<String> {
    let mut open: Vec<&str> = Vec::new();
    for message in messages {
        match message["role"].as_str() {
            Some("tool") => {
                let id = message["tool_call_id"].as_str().unwrap_or_default();
                let Some(at) = open.iter().position(|one| *one == id) else {
                    return Some(format!("tool_call_id {id} answers no call"));
                };
                open.remove(at);
            }
            Some("system" | "user" | "assistant" | "developer") => {
                if !open.is_empty() {
                    return Some(format!(
                        "tool_call_ids did not have response messages: {}",
                        open.join(", ")
                    ));
                }
                let calls = message["tool_calls"].as_array();
                open.extend(calls.into_iter().flatten().filter_map(|call| call["id"].as_str()));
                if message["content"].is_null() && open.is_empty() {
                    return Some("content: expected a string".to_owned());
                }
            }
            _ => return Some(format!("{} is not one of the roles", message["role"])),
        }
    }
    (!open.is_empty()).then(|| {
        format!(
            "tool_call_ids did not have response messages: {}",
            open.join(", ")
        )
    })
}

fn anthropic_faults(asked: &Asked, messages: &[Value]) -> Option<String> {
    if asked.header("anthropic-version").is_none() {
        return Some("anthropic-version: header is required".to_owned());
    }
    if !asked.body["max_tokens"].is_u64() {
        return Some("max_tokens: field required".to_owned());
    }
    if messages[0]["role"] != "user" {
        return Some("messages: first message must use the \"user\" role".to_owned());
    }
    let mut wanted: Vec<&str> = Vec::new();
    for message in messages {
        if !matches!(message["role"].as_str(), Some("user" | "assistant")) {
            return Some(format!("{} is not one of the roles", message["role"]));
        }
        let blocks = message["content"].as_array()?;
        let given: Vec<&str> = blocks
            .iter()
            .filter_map(|block| block["tool_use_id"].as_str())
            .collect();
        if let Some(missing) = wanted.iter().find(|id| !given.contains(id)) {
            return Some(format!(
                "`tool_use` ids were found without `tool_result` blocks: {missing}"
            ));
        }
        if let Some(extra) = given.iter().find(|id| !wanted.contains(id)) {
            return Some(format!(
                "unexpected `tool_use_id` found in `tool_result` blocks: {extra}"
            ));
        }
        if blocks
            .iter()
            .any(|block| block["type"] == "text" && block["text"] == "")
        {
            return Some("text content blocks must be non-empty".to_owned());
        }
        let uses = blocks.iter().filter(|block| block["type"] == "tool_use");
        wanted = uses.filter_map(|block| block["id"].as_str()).collect();
    }
    None
}
