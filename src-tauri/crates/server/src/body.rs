//! Request bodies: which types are read, how large they may be, and what a webhook call carries
//! (webhook spec §2, conformance deviations (n) and (p)).

use std::io::Read;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use countersign_app::Error;
use countersign_domain::ErrorCode;
use countersign_domain::json::{self, Beyond};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName};
use http_body_util::BodyExt;
use hyper::body::Body;
use serde_json::{Map, Value};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::{Options, form};

/// Bodies up to this size are read and parsed without further ado.
const SMALL: usize = 64 << 10;

/// How long a body that has a share of the memory may send nothing: others wait for that share.
const PAUSE: Duration = Duration::from_secs(5);

/// How bodies are read: the limits, and the memory that large ones share.
#[derive(Debug)]
pub(crate) struct Bodies {
    limit: usize,
    value_limit: usize,
    timeout: Duration,
    /// One permit is 1 KiB.
    memory: Semaphore,
}

/// A webhook's body.
#[derive(Debug)]
pub(crate) struct Received<'a> {
    /// The parsed value, `payload` unwrapped; `{}` for none, as recorded.
    pub(crate) value: Value,
    /// The bytes that a signature is over: after decompression, before anything else. Absent if no
    /// body of a type that is read was sent.
    pub(crate) raw: Option<Bytes>,
    /// Its share of the memory for bodies, to be kept until the call is answered.
    pub(crate) room: Room<'a>,
}

/// A share of the memory for bodies; small bodies have none.
pub(crate) type Room<'a> = Option<SemaphorePermit<'a>>;

impl Received<'_> {
    fn nothing(raw: Option<Bytes>) -> Self {
        Self {
            value: Value::Object(Map::new()),
            raw,
            room: None,
        }
    }
}

/// What the `Content-Type` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Json(Charset),
    Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Charset {
    Utf8,
    /// By the byte order mark, without one little-endian.
    Utf16,
    Utf16Le,
    Utf16Be,
}

impl Bodies {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            limit: options.body_limit,
            value_limit: options.value_limit,
            timeout: options.body_timeout,
            // A body of the largest size must always find room.
            memory: Semaphore::new(options.body_memory.max(options.body_limit).div_ceil(1024)),
        }
    }

    /// Reads and parses the body of a webhook call.
    pub(crate) async fn webhook<B>(&self, headers: &HeaderMap, body: B) -> Result<Received<'_>, Error>
    where
        B: Body<Data = Bytes>,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        let announced = headers.contains_key("content-length") || headers.contains_key("transfer-encoding");
        if body.is_end_stream() && !announced {
            return Ok(Received::nothing(None));
        }
        let kind = kind(headers);
        let (bytes, room) = self.read(body).await?;
        let kind = match kind {
            Ok(kind) => kind,
            // A type says nothing about a body that is not there.
            Err(_) if bytes.is_empty() => return Ok(Received::nothing(None)),
            Err(refused) => return Err(refused),
        };
        let raw = self.decompress(headers, bytes).await?;
        if raw.is_empty() {
            return Ok(Received::nothing(Some(raw)));
        }
        let value_limit = self.value_limit;
        let (raw, value) = away(raw.len(), move || {
            let value = match kind {
                Kind::Json(charset) => parse_json(&raw, charset, value_limit),
                Kind::Form => parse_form(&raw, value_limit),
            };
            (raw, value)
        })
        .await?;
        Ok(Received {
            value: value?,
            raw: Some(raw),
            room,
        })
    }

    /// Reads the body of a management call: UTF-8 text that its sender calls JSON.
    pub(crate) async fn text<B>(&self, headers: &HeaderMap, body: B) -> Result<String, Error>
    where
        B: Body<Data = Bytes>,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        let kind = kind(headers);
        let (bytes, _room) = self.read(body).await?;
        if !matches!(kind, Ok(Kind::Json(Charset::Utf8))) {
            return Err(invalid(format!(
                "Content-Type {} is not read here: send JSON with Content-Type: application/json",
                sent_type(headers).unwrap_or("undefined")
            )));
        }
        let bytes = self.decompress(headers, bytes).await?;
        let text = String::from_utf8(bytes.into())
            .map_err(|error| invalid("The body is not text in UTF-8").caused_by(error.utf8_error()))?;
        Ok(match text.strip_prefix('\u{feff}') {
            Some(rest) => rest.to_owned(),
            None => text,
        })
    }

    /// The bytes as they were sent.
    async fn read<B>(&self, body: B) -> Result<(Bytes, Room<'_>), Error>
    where
        B: Body<Data = Bytes>,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        let announced = body.size_hint();
        if announced.lower() > self.limit as u64 {
            return Err(too_large(self.limit));
        }
        let announced = announced.exact().and_then(|size| usize::try_from(size).ok());
        timeout(self.timeout, self.collect(body, announced))
            .await
            .unwrap_or_else(|_| Err(too_slow()))
    }

    /// A whole body, refused as soon as it is larger than allowed. One that came in a single piece is not copied.
    ///
    /// Room is taken once more has come than a small body has, and not when it is announced: who announces much and
    /// sends nothing holds nobody up.
    async fn collect<B>(&self, body: B, announced: Option<usize>) -> Result<(Bytes, Room<'_>), Error>
    where
        B: Body<Data = Bytes>,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        let mut body = std::pin::pin!(body);
        let (mut first, mut all) = (Bytes::new(), BytesMut::new());
        let mut room = None;
        loop {
            let next = match room {
                None => body.frame().await,
                Some(_) => timeout(PAUSE, body.frame()).await.map_err(|_| too_slow())?,
            };
            let Some(frame) = next else { break };
            let frame = frame.map_err(|error| invalid("The body ended early").caused_by(error))?;
            let Ok(data) = frame.into_data() else { continue };
            let size = first.len() + all.len() + data.len();
            if size > self.limit {
                return Err(too_large(self.limit));
            }
            if size > SMALL && room.is_none() {
                // One that does not tell its size may be as large as allowed.
                room = self.room(announced.unwrap_or(self.limit)).await;
            }
            if first.is_empty() && all.is_empty() {
                first = data;
                continue;
            }
            if all.is_empty() {
                let size = room.as_ref().and(announced).unwrap_or(SMALL).max(size);
                all.reserve(size);
                all.extend_from_slice(&std::mem::take(&mut first));
            }
            all.extend_from_slice(&data);
        }
        Ok((if all.is_empty() { first } else { all.freeze() }, room))
    }

    /// Waits for room for a body of this size.
    async fn room(&self, size: usize) -> Room<'_> {
        let permits = u32::try_from(size.div_ceil(1024)).ok()?;
        self.memory.acquire_many(permits).await.ok()
    }

    async fn decompress(&self, headers: &HeaderMap, bytes: Bytes) -> Result<Bytes, Error> {
        let Some(encoding) = headers.get(CONTENT_ENCODING) else {
            return Ok(bytes);
        };
        let encoding = encoding
            .to_str()
            .unwrap_or("unreadable")
            .trim()
            .to_ascii_lowercase();
        let gzip = match encoding.as_str() {
            "" | "identity" => return Ok(bytes),
            "gzip" | "x-gzip" => true,
            "deflate" => false,
            _ => {
                return Err(unsupported(format!(
                    "unsupported content encoding \"{encoding}\""
                )));
            }
        };
        let limit = self.limit;
        // The size of what comes out is not known: always away from the threads that serve.
        away(usize::MAX, move || {
            let reader: Box<dyn Read> = match gzip {
                true => Box::new(flate2::read::MultiGzDecoder::new(&bytes[..])),
                false => Box::new(flate2::read::ZlibDecoder::new(&bytes[..])),
            };
            let mut plain = Vec::new();
            reader
                .take(limit as u64 + 1)
                .read_to_end(&mut plain)
                .map_err(|error| invalid(format!("The body is not {encoding} data")).caused_by(error))?;
            if plain.len() > limit {
                Err(too_large(limit))
            } else {
                Ok(Bytes::from(plain))
            }
        })
        .await?
    }
}

fn too_slow() -> Error {
    Error::new(ErrorCode::Invalid, "The body did not arrive in time").with_status(408)
}

/// Does work of this size here if it is short, else on a thread that may be kept busy.
async fn away<T: Send + 'static>(size: usize, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    if size <= SMALL {
        return Ok(work());
    }
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::new(ErrorCode::Internal, "Reading the body failed").caused_by(error))
}

fn parse_json(raw: &[u8], charset: Charset, value_limit: usize) -> Result<Value, Error> {
    let decoded;
    let text = match charset {
        Charset::Utf8 => raw.strip_prefix(b"\xef\xbb\xbf").unwrap_or(raw),
        wide => {
            decoded = utf16(raw, wide);
            decoded.as_bytes()
        }
    };
    match json::parse(text, value_limit) {
        Ok(value @ (Value::Object(_) | Value::Array(_))) => Ok(value),
        Ok(_) => Err(invalid("The body must be a JSON object or list")),
        Err(json::Problem::Malformed(error)) => {
            Err(invalid(format!("The body is not valid JSON: {error}")).caused_by(error))
        }
        Err(json::Problem::Beyond(beyond)) => Err(too_much(beyond)),
    }
}

fn parse_form(raw: &[u8], value_limit: usize) -> Result<Value, Error> {
    let mut fields = form::parse(raw, form::Syntax::BODY).map_err(|problem| match problem {
        form::Problem::TooMany => Error::new(ErrorCode::TooLarge, "too many parameters"),
        form::Problem::TooDeep => invalid("The form is nested too deeply"),
    })?;
    // Senders such as GitHub put their JSON into one form field.
    if let Some(payload) = fields.get("payload").and_then(Value::as_str) {
        match json::parse(payload.as_bytes(), value_limit) {
            Ok(value) => fields = value,
            Err(json::Problem::Beyond(beyond)) => return Err(too_much(beyond)),
            Err(json::Problem::Malformed(_)) => {}
        }
    }
    Ok(fields)
}

fn utf16(raw: &[u8], charset: Charset) -> String {
    let (raw, big) = match (charset, raw) {
        (Charset::Utf16 | Charset::Utf16Be, [0xfe, 0xff, rest @ ..]) => (rest, true),
        (Charset::Utf16 | Charset::Utf16Le, [0xff, 0xfe, rest @ ..]) => (rest, false),
        (charset, raw) => (raw, charset == Charset::Utf16Be),
    };
    let units = raw.chunks_exact(2).map(|pair| match big {
        true => u16::from_be_bytes([pair[0], pair[1]]),
        false => u16::from_le_bytes([pair[0], pair[1]]),
    });
    char::decode_utf16(units)
        .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}

fn sent_type(headers: &HeaderMap) -> Option<&str> {
    headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok())
}

/// Which of the types that are read this is: JSON under any of its names, or a form.
fn kind(headers: &HeaderMap) -> Result<Kind, Error> {
    let Some(sent) = sent_type(headers) else {
        return Err(unsupported(
            "The body has no Content-Type: send application/json or application/x-www-form-urlencoded"
                .to_owned(),
        ));
    };
    // The usual spellings first: this runs for every call.
    if sent.eq_ignore_ascii_case("application/json") {
        return Ok(Kind::Json(Charset::Utf8));
    }
    let (media, parameters) = sent.split_once(';').unwrap_or((sent, ""));
    let media = media.trim().to_ascii_lowercase();
    let charset = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("charset")
            .then(|| value.trim().trim_matches('"').to_ascii_lowercase())
    });
    let unknown = |charset: &str| {
        unsupported(format!(
            "unsupported charset \"{}\"",
            charset.to_ascii_uppercase()
        ))
    };
    let json = media == "application/json" || (media.starts_with("application/") && media.ends_with("+json"));
    match (json, charset.as_deref()) {
        (true, None | Some("utf-8" | "utf8")) => Ok(Kind::Json(Charset::Utf8)),
        (true, Some("utf-16")) => Ok(Kind::Json(Charset::Utf16)),
        (true, Some("utf-16le")) => Ok(Kind::Json(Charset::Utf16Le)),
        (true, Some("utf-16be")) => Ok(Kind::Json(Charset::Utf16Be)),
        (true, Some(other)) => Err(unknown(other)),
        (false, charset) if media == "application/x-www-form-urlencoded" => match charset {
            None | Some("utf-8" | "utf8") => Ok(Kind::Form),
            Some(other) => Err(unknown(other)),
        },
        (false, _) => Err(unsupported(format!(
            "Content-Type {sent} is not read: send application/json or application/x-www-form-urlencoded"
        ))),
    }
}

/// The headers of a call for the flow: lower-case names in their order, values as received; those of equal
/// names joined as Node.js joins them, because that is what flows were written for.
pub(crate) fn header_list(headers: &HeaderMap) -> Vec<(String, String)> {
    /// Where only the first value counts.
    const SINGLE: [&str; 14] = [
        "age",
        "authorization",
        "content-length",
        "content-type",
        "etag",
        "expires",
        "from",
        "host",
        "if-modified-since",
        "if-unmodified-since",
        "last-modified",
        "location",
        "referer",
        "user-agent",
    ];
    let mut list: Vec<(String, String)> = Vec::with_capacity(headers.keys_len());
    let mut last: Option<&HeaderName> = None;
    for (name, value) in headers {
        let value = latin1(value.as_bytes());
        match list.last_mut() {
            // Equal names follow each other in the map.
            Some((_, joined)) if last == Some(name) => {
                if !SINGLE.contains(&name.as_str()) {
                    joined.push_str(if name == http::header::COOKIE { "; " } else { ", " });
                    joined.push_str(&value);
                }
            }
            _ => list.push((name.as_str().to_owned(), value)),
        }
        last = Some(name);
    }
    list
}

/// Header bytes as text: what is not ASCII counts as Latin-1, as in Node.js.
fn latin1(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.is_ascii() => text.to_owned(),
        _ => bytes.iter().map(|byte| char::from(*byte)).collect(),
    }
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::Invalid, message)
}

fn unsupported(message: String) -> Error {
    Error::new(ErrorCode::UnsupportedMediaType, message)
}

fn too_large(limit: usize) -> Error {
    Error::new(
        ErrorCode::TooLarge,
        format!("request entity too large: at most {limit} bytes are read"),
    )
}

fn too_much(beyond: Beyond) -> Error {
    match beyond {
        // What came in is part of the run, which has to be readable after a restart.
        Beyond::Depth => invalid(format!("The body is not taken: {beyond}")),
        Beyond::Number(_) => Error::new(ErrorCode::TooLarge, format!("request entity too large: {beyond}")),
    }
}
