//! Streams cut into events: server-sent events (HTML, §9.2), or one JSON a line.

use countersign_domain::json as bounded;
use serde_json::Value;

use crate::ModelError;

/// How a provider's stream is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Server-sent events whose data is JSON; `[DONE]` ends them.
    Events,
    /// One JSON a line.
    Lines,
}

/// Bytes that came, cut into events. What it holds is limited by whoever reads the bytes.
#[derive(Debug)]
pub(crate) struct Frames {
    framing: Framing,
    /// What is no whole line yet.
    rest: Vec<u8>,
    /// The data of an event that has not ended.
    data: String,
}

impl Frames {
    pub(crate) const fn new(framing: Framing) -> Self {
        Self {
            framing,
            rest: Vec::new(),
            data: String::new(),
        }
    }

    /// The events that are whole now that these bytes have come.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<Vec<Value>, ModelError> {
        let mut events = Vec::new();
        let mut bytes = bytes;
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.rest.extend_from_slice(&bytes[..end]);
            bytes = &bytes[end + 1..];
            let line = std::mem::take(&mut self.rest);
            self.line(&line, &mut events)?;
        }
        self.rest.extend_from_slice(bytes);
        Ok(events)
    }

    /// What is left when the stream ends.
    pub(crate) fn end(mut self) -> Result<Vec<Value>, ModelError> {
        let mut events = Vec::new();
        let line = std::mem::take(&mut self.rest);
        self.line(&line, &mut events)?;
        self.event(&mut events)?;
        Ok(events)
    }

    fn line(&mut self, line: &[u8], events: &mut Vec<Value>) -> Result<(), ModelError> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let text = String::from_utf8_lossy(line);
        match self.framing {
            Framing::Lines if text.trim().is_empty() => Ok(()),
            Framing::Lines => {
                events.push(json(&text)?);
                Ok(())
            }
            Framing::Events if text.is_empty() => self.event(events),
            Framing::Events => {
                if let Some(data) = text.strip_prefix("data:") {
                    if !self.data.is_empty() {
                        self.data.push('\n');
                    }
                    self.data.push_str(data.strip_prefix(' ').unwrap_or(data));
                }
                Ok(())
            }
        }
    }

    fn event(&mut self, events: &mut Vec<Value>) -> Result<(), ModelError> {
        let data = std::mem::take(&mut self.data);
        let data = data.trim();
        if !data.is_empty() && data != "[DONE]" {
            events.push(json(data)?);
        }
        Ok(())
    }
}

/// An event of a stream, or a whole answer.
pub(crate) fn json(text: &str) -> Result<Value, ModelError> {
    match bounded::parse(text.as_bytes(), bounded::MOST) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err(ModelError::NotUnderstood("it is no JSON object".to_owned())),
        Err(bounded::Problem::Malformed(error)) => {
            Err(ModelError::NotUnderstood(format!("it is no JSON ({error})")))
        }
        Err(bounded::Problem::Beyond(beyond)) => Err(ModelError::NotUnderstood(beyond.to_string())),
    }
}
