//! Asks, waits, tries again, and reads the answer.

use std::time::Duration;

use countersign_delivery::{Client, OpenResponse, Request};
use countersign_domain::{UrlSource, display_line};
use serde_json::Value;
use tokio::time::Instant;

use crate::frames::{Frames, Framing, json};
use crate::partial::Partial;
use crate::{Connection, ModelCall, ModelError, Piece, Provider, Reply, anthropic, error, ollama, openai};

/// How much of what a provider says in an error is repeated, in characters.
const SHOWN: usize = 300;

/// The bounds of one question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// For everything, further attempts included. 10 min: large answers take their time.
    pub total: Duration,
    /// How long nothing may come. A model that is loaded first is quiet for long, so 5 min.
    pub silence: Duration,
    /// The longest answer as the provider writes it, in bytes. 16 MiB.
    pub answer: usize,
    /// How often it is tried again after 408, 429, 5xx. 3.
    pub retries: u32,
    /// The first pause before that; each further one is twice as long. 1 s. What the provider says wins.
    pub pause: Duration,
    /// The longest pause; a provider that wants a longer one is given up. 60 s.
    pub longest_pause: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            total: Duration::from_secs(600),
            silence: Duration::from_secs(300),
            answer: 16 << 20,
            retries: 3,
            pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(60),
        }
    }
}

/// Asks language models. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ModelClient {
    http: Client,
    limits: Limits,
}

/// Why an attempt failed, and whether another one may help.
struct Failed {
    error: ModelError,
    /// How long the provider wants to be left alone, if it says so.
    after: Option<Duration>,
    again: bool,
}

impl From<ModelError> for Failed {
    fn from(error: ModelError) -> Self {
        Self {
            error,
            after: None,
            again: false,
        }
    }
}

impl ModelClient {
    /// A client with the usual limits.
    pub fn new(http: Client) -> Self {
        Self::with_limits(http, Limits::default())
    }

    /// A client with other limits.
    pub const fn with_limits(http: Client, limits: Limits) -> Self {
        Self { http, limits }
    }

    /// Asks. With [`ModelCall::stream`], `on_piece` gets the answer in pieces while it comes; what was told is never
    /// told again, so nothing is tried again from then on.
    ///
    /// # Errors
    /// [`ModelError`], in words for people, without the key.
    pub async fn ask(
        &self,
        connection: &Connection,
        call: &ModelCall,
        on_piece: &mut (dyn FnMut(Piece<'_>) + Send),
    ) -> Result<Reply, ModelError> {
        let asked = tokio::time::timeout(self.limits.total, self.attempts(connection, call, on_piece)).await;
        let result = asked.unwrap_or(Err(ModelError::TooSlow(self.limits.total)));
        result.map_err(|error| for_people(error, connection))
    }

    async fn attempts(
        &self,
        connection: &Connection,
        call: &ModelCall,
        on_piece: &mut (dyn FnMut(Piece<'_>) + Send),
    ) -> Result<Reply, ModelError> {
        let began = Instant::now();
        let mut pause = self.limits.pause;
        let mut left = self.limits.retries;
        loop {
            let mut told = false;
            let mut tell = |piece: Piece<'_>| {
                told = true;
                on_piece(piece);
            };
            let failed = match self.attempt(connection, call, &mut tell).await {
                Ok(reply) => return Ok(reply),
                Err(failed) => failed,
            };
            if !failed.again || told || left == 0 {
                return Err(failed.error);
            }
            let wait = failed.after.unwrap_or(pause);
            let in_time = began.elapsed() + wait < self.limits.total;
            if wait > self.limits.longest_pause || !in_time {
                let message = match failed.error {
                    ModelError::Refused { message, .. } => message,
                    other => other.to_string(),
                };
                return Err(ModelError::Busy { after: wait, message });
            }
            tracing::info!(
                seconds = wait.as_secs_f64(),
                "a model is asked again after a pause"
            );
            tokio::time::sleep(wait).await;
            left -= 1;
            pause = (pause * 2).min(self.limits.longest_pause);
        }
    }

    async fn attempt(
        &self,
        connection: &Connection,
        call: &ModelCall,
        on_piece: &mut (dyn FnMut(Piece<'_>) + Send),
    ) -> Result<Reply, Failed> {
        let request = self.request(connection, call);
        let opened = self.http.open(request).await;
        let mut answer = opened.map_err(ModelError::Exchange)?;
        if !(200..300).contains(&answer.status) {
            let body = self.rest(&mut answer).await.unwrap_or_default();
            return Err(refused(connection.provider, &answer, &body));
        }
        let framing = match connection.provider {
            Provider::Ollama => Framing::Lines,
            Provider::OpenAi | Provider::Anthropic => Framing::Events,
        };
        let mut partial = Partial::default();
        let structured = call.answer_schema.is_some();
        // An endpoint that cannot stream answers in one piece.
        let is_one_piece = framing == Framing::Events
            && answer
                .header("content-type")
                .is_some_and(|kind| kind.starts_with("application/json"));
        if call.stream && !is_one_piece {
            self.read_stream(
                connection.provider,
                framing,
                &mut answer,
                structured,
                &mut partial,
                on_piece,
            )
            .await?;
        } else {
            let body = self.rest(&mut answer).await?;
            let whole = json(&String::from_utf8_lossy(&body))?;
            read_whole(connection.provider, &whole, structured, &mut partial)?;
            if call.stream {
                tell_new(&partial, 0, Some(&partial.content), on_piece);
            }
        }
        Ok(partial.whole(openai::calls_so_far(call)))
    }

    fn request(&self, connection: &Connection, call: &ModelCall) -> Request {
        let (path, mut headers, body) = match connection.provider {
            Provider::OpenAi => (
                openai::PATH,
                openai::headers(connection),
                openai::body(connection, call),
            ),
            Provider::Anthropic => (
                anthropic::PATH,
                anthropic::headers(connection),
                anthropic::body(connection, call),
            ),
            Provider::Ollama => (
                ollama::PATH,
                ollama::headers(connection),
                ollama::body(connection, call),
            ),
        };
        if let Some(key) = &call.idempotency_key {
            headers.push(("idempotency-key".to_owned(), key.clone()));
        }
        let base = connection.base_url.as_deref();
        let base = base
            .unwrap_or(connection.provider.usual_url())
            .trim_end_matches('/');
        // Anthropic's address is often given with the version that its path has.
        let base = match connection.provider {
            Provider::Anthropic => base.strip_suffix("/v1").unwrap_or(base),
            _ => base,
        };
        Request {
            method: "POST".to_owned(),
            url: format!("{base}{path}"),
            url_source: UrlSource::Operator,
            headers,
            secret_headers: Vec::new(),
            body: Some((body.to_string(), "application/json".to_owned())),
            timeout: self.limits.silence,
            response_limit: self.limits.answer,
        }
    }

    /// The next piece, unless nothing comes for too long.
    async fn piece(&self, answer: &mut OpenResponse) -> Result<Option<bytes::Bytes>, ModelError> {
        let silence = self.limits.silence;
        let piece = tokio::time::timeout(silence, answer.piece()).await;
        piece
            .map_err(|_| ModelError::TooSlow(silence))?
            .map_err(ModelError::Exchange)
    }

    async fn rest(&self, answer: &mut OpenResponse) -> Result<Vec<u8>, ModelError> {
        let mut body = Vec::new();
        while let Some(piece) = self.piece(answer).await? {
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }

    async fn read_stream(
        &self,
        provider: Provider,
        framing: Framing,
        answer: &mut OpenResponse,
        structured: bool,
        partial: &mut Partial,
        on_piece: &mut (dyn FnMut(Piece<'_>) + Send),
    ) -> Result<(), Failed> {
        let mut frames = Frames::new(framing);
        let mut take = |events: Vec<Value>, partial: &mut Partial| -> Result<(), ModelError> {
            for event in events {
                let thought = partial.reasoning.len();
                let text = match provider {
                    Provider::OpenAi => openai::event(&event, partial)?,
                    Provider::Anthropic => anthropic::event(&event, partial, structured)?,
                    Provider::Ollama => ollama::event(&event, partial)?,
                };
                tell_new(partial, thought, text.as_deref(), on_piece);
            }
            Ok(())
        };
        while let Some(piece) = self.piece(answer).await? {
            take(frames.take(&piece)?, partial).map_err(in_stream)?;
        }
        take(frames.end()?, partial).map_err(in_stream)?;
        if partial.ended {
            Ok(())
        } else {
            Err(ModelError::Exchange("The answer broke off.".to_owned()).into())
        }
    }
}

/// Tells what is new: what was thought behind that place, and a piece of the answer.
fn tell_new(
    partial: &Partial,
    thought: usize,
    text: Option<&str>,
    on_piece: &mut (dyn FnMut(Piece<'_>) + Send),
) {
    if let Some(thought) = partial.reasoning.get(thought..).filter(|new| !new.is_empty()) {
        on_piece(Piece::Thought(thought));
    }
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        on_piece(Piece::Text(text));
    }
}

fn read_whole(
    provider: Provider,
    answer: &Value,
    structured: bool,
    partial: &mut Partial,
) -> Result<(), ModelError> {
    match provider {
        Provider::OpenAi => openai::whole(answer, partial),
        Provider::Anthropic => anthropic::whole(answer, partial, structured),
        Provider::Ollama => ollama::event(answer, partial).map(drop),
    }
}

/// A provider that refuses within a stream is overloaded as a rule; what is wrong with a question it says before.
fn in_stream(error: ModelError) -> Failed {
    let again = matches!(error, ModelError::Refused { status: None, .. });
    Failed {
        error,
        after: None,
        again,
    }
}

fn refused(provider: Provider, answer: &OpenResponse, body: &[u8]) -> Failed {
    let status = answer.status;
    let seconds = |name: &str, of_one: f64| {
        let value = answer.header(name)?.trim().parse::<f64>().ok()?;
        Duration::try_from_secs_f64(value * of_one).ok()
    };
    Failed {
        error: ModelError::Refused {
            status: Some(status),
            message: error::said(body),
        },
        after: seconds("retry-after-ms", 0.001).or_else(|| seconds("retry-after", 1.0)),
        again: matches!(status, 408 | 429 | 500 | 502 | 503 | 504 | 529) && !openai::is_final(provider, body),
    }
}

/// Fit to be shown: short, and without the key, which some providers repeat when they refuse it.
fn for_people(error: ModelError, connection: &Connection) -> ModelError {
    let clean = |text: String| {
        let text = match &connection.key {
            Some(key) => text.replace(key.expose(), "…"),
            None => text,
        };
        display_line(&text, SHOWN)
    };
    match error {
        ModelError::Exchange(text) => ModelError::Exchange(clean(text)),
        ModelError::Refused { status, message } => ModelError::Refused {
            status,
            message: clean(message),
        },
        ModelError::Busy { after, message } => ModelError::Busy {
            after,
            message: clean(message),
        },
        ModelError::NotUnderstood(text) => ModelError::NotUnderstood(clean(text)),
        slow @ ModelError::TooSlow(_) => slow,
    }
}
