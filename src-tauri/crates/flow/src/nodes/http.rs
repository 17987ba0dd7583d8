//! HTTP (format §5.5): one request; its answer becomes the output.

use std::borrow::Cow;
use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use countersign_domain::UrlSource;
use countersign_domain::json as bounded;
use serde_json::{Map, Value, json};

use super::{At, Nature, Node, Outcome, Ran, Step};
use crate::document::DocumentNode;
use crate::http::{HttpBody, HttpRequest, HttpResponse};
use crate::js;
use crate::lenient;
use crate::record::Body;
use crate::refusal::Problem;
use crate::run::RunScope;
use crate::template::{Field, Scope};

/// What the boundaries of a form begin with; digits follow.
const BOUNDARY: &str = "form-boundary-";

/// How many digits.
const BOUNDARY_DIGITS: usize = 8;

/// U+FEFF in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// The inputs in the order in which the record repeats them.
const INPUTS: [&str; 7] = [
    "method",
    "url",
    "headers",
    "queryParams",
    "bodyType",
    "body",
    "responseType",
];

/// An HTTP node.
#[derive(Debug)]
struct Http {
    /// The inputs that the document has.
    inputs: Vec<(&'static str, Field)>,
    credential: Option<String>,
}

pub(super) fn read(node: &DocumentNode) -> Result<Box<dyn Node>, Problem> {
    let inputs = INPUTS.into_iter().filter_map(|name| {
        let built_in = matches!(name, "url" | "headers" | "queryParams" | "body");
        let value = node.inputs.get(name)?;
        let accepts = node.accepts_variables(name, built_in);
        Some((name, Field::read(value, accepts)))
    });
    Ok(Box::new(Http {
        inputs: inputs.collect(),
        credential: node.credential.clone(),
    }))
}

impl Node for Http {
    fn nature(&self) -> Nature {
        Nature {
            outside: true,
            beside: true,
            ..Nature::default()
        }
    }

    fn fields(&self) -> Vec<(&'static str, &Field)> {
        self.inputs.iter().map(|(name, field)| (*name, field)).collect()
    }

    fn faults(&self) -> Vec<String> {
        let url = self.inputs.iter().find(|(name, _)| *name == "url");
        let constant = url.map_or(Some(&Value::Null), |(_, field)| field.plain());
        let url = match constant.map(js::text) {
            _ if constant == Some(&Value::Null) => Cow::Borrowed(""),
            Some(url) => url,
            None => return Vec::new(),
        };
        let url = js::trim(&url);
        if url.is_empty() {
            return vec!["has no URL that it calls.".to_owned()];
        }
        match url::Url::parse(url) {
            Ok(url) if matches!(url.scheme(), "http" | "https") => Vec::new(),
            Ok(url) => vec![format!(
                "calls a URL with the scheme {}; only http and https can be called.",
                url.scheme()
            )],
            Err(error) => vec![format!("calls what is no URL: {error}.")],
        }
    }

    fn differs(&self) -> Vec<(&'static str, String)> {
        let field = |wanted: &str| self.inputs.iter().find(|(name, _)| *name == wanted);
        let says = |wanted: &str, value: &str| {
            field(wanted).and_then(|(_, field)| field.plain()?.as_str()) == Some(value)
        };
        let mut differs = Vec::new();
        if says("bodyType", "xWwwFormUrlencoded") {
            let form = "sends a form. Here its fields go by their names; Flowise sends them by their numbers, and empty.";
            differs.push(("D3.11", form.to_owned()));
        }
        if says("responseType", "base64") {
            let bytes = "takes bytes as base64. Here they stay whole; Flowise damages them.";
            differs.push(("r", bytes.to_owned()));
        }
        let fragment = field("url").is_some_and(|(_, field)| {
            field
                .plain()
                .and_then(Value::as_str)
                .is_some_and(|url| url.contains('#'))
        });
        if fragment {
            let message = "has a URL with a fragment, behind a #. Here that is left out; in Flowise the query goes into it.";
            differs.push(("fragment of a URL", message.to_owned()));
        }
        let rows = field("headers").map(|(_, field)| field.names());
        let rows = rows.unwrap_or_default();
        let length = rows.into_iter().find(|name| {
            ["content-length", "transfer-encoding"]
                .iter()
                .any(|header| header.eq_ignore_ascii_case(js::trim(name)))
        });
        if let Some(header) = length {
            let message = format!(
                "sends the header {}. Here it is left out, because it would cut the body off.",
                js::trim(&header)
            );
            differs.push(("length of a body", message));
        }
        differs
    }

    fn credential(&self) -> Option<&str> {
        self.credential.as_deref()
    }

    fn in_words(&self, _label: &str, scope: &dyn Scope) -> String {
        let text = |wanted: &str| {
            let found = self.inputs.iter().find(|(name, _)| *name == wanted);
            found.map_or_else(String::new, |(_, field)| {
                js::text(&field.resolve(scope)).into_owned()
            })
        };
        let url = text("url");
        // The query may hold what nobody should read.
        let place = url.split(['?', '#']).next().unwrap_or_default();
        format!("Call {} {place}", method_of(&text("method")))
    }

    fn run<'a>(&'a self, at: At<'a>) -> Step<'a> {
        let resolved: Map<String, Value> = self
            .inputs
            .iter()
            .map(|(name, field)| ((*name).to_owned(), field.resolve(&at.scope)))
            .collect();
        let request = match self.request(&at.scope, &resolved) {
            Ok(request) => request,
            Err(message) => return Step::Done(Err(message)),
        };
        let response_type = resolved.get("responseType").map(js::text).unwrap_or_default();
        let response_type = response_type.into_owned();
        Step::Waits(Box::pin(async move {
            let response = at.scope.host.http(request).await?;
            if at.scope.policy().fail_on_status && !(200..300).contains(&response.status) {
                return Err(format!(
                    "The target answered {} {}",
                    response.status, response.status_text
                ));
            }
            let output = output_of(&response, &response_type)?;
            // Editors leave empty texts behind; Flowise repeats what was set.
            let shown: Map<String, Value> = resolved
                .into_iter()
                .filter(|(_, value)| *value != Value::String(String::new()))
                .collect();
            Ok(Outcome::Ran(Ran::new(
                Body::json(json!({"http": shown})),
                Body::json(json!({"http": output})),
            )))
        }))
    }
}

impl Http {
    fn url_source(&self) -> UrlSource {
        let url = self.inputs.iter().find(|(name, _)| *name == "url");
        url.map_or(UrlSource::Operator, |(_, field)| field.source_of_host())
    }

    fn request(&self, scope: &RunScope<'_>, inputs: &Map<String, Value>) -> Result<HttpRequest, String> {
        let text = |name: &str| inputs.get(name).map(js::text).unwrap_or_default();
        let method = method_of(&text("method"));
        let body = match inputs.get("body") {
            Some(body) if method != "GET" && js::truthy(Some(body)) => body_of(&text("bodyType"), body)?,
            _ => None,
        };
        // A fragment is not sent, and would swallow the query.
        let url = text("url");
        let mut url = js::trim(url.split('#').next().unwrap_or_default()).to_owned();
        let query = form(&rows(inputs.get("queryParams"), Empty::IsLeftOut));
        if !query.is_empty() {
            url.push(if url.contains('?') { '&' } else { '?' });
            url.push_str(&query);
        }
        Ok(HttpRequest {
            method,
            url,
            url_source: self.url_source(),
            headers: headers(inputs.get("headers")),
            body,
            credential: self.credential.clone(),
            idempotency_key: scope.idempotency_key(),
            timeout: scope.request_timeout(),
        })
    }
}

fn method_of(text: &str) -> String {
    if text.is_empty() {
        "GET".to_owned()
    } else {
        text.to_ascii_uppercase()
    }
}

/// What becomes of a row without a value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Empty {
    IsLeftOut,
    IsSent,
}

/// Rows of headers. White space around them comes from the editor and means nothing (RFC 9110 §5.5).
fn headers(value: Option<&Value>) -> Vec<(String, String)> {
    let rows = rows(value, Empty::IsLeftOut).into_iter();
    rows.map(|(key, value)| (js::trim(&key).to_owned(), js::trim(&value).to_owned()))
        .filter(|(key, value)| !key.is_empty() && !value.is_empty())
        .collect()
}

/// Rows of `{key, value}`. One without a key means nothing.
fn rows(value: Option<&Value>, empty: Empty) -> Vec<(String, String)> {
    let rows = value.and_then(Value::as_array).into_iter().flatten();
    rows.filter_map(|row| {
        let filled = |name: &str| row.get(name).filter(|value| !value.is_null());
        let text = |name: &str| filled(name).map(js::text).unwrap_or_default().into_owned();
        let (key, value) = (text("key"), text("value"));
        let counts = !key.is_empty() && (empty == Empty::IsSent || !value.is_empty());
        counts.then_some((key, value))
    })
    .collect()
}

/// `application/x-www-form-urlencoded`.
fn form(pairs: &[(String, String)]) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}

fn body_of(kind: &str, body: &Value) -> Result<Option<HttpBody>, String> {
    let typed = |text: String, content_type: &str| {
        Ok(Some(HttpBody {
            text,
            content_type: content_type.to_owned(),
        }))
    };
    match kind {
        "json" => {
            let value = match body {
                Value::String(text) => lenient::parse(text)?,
                other => other.clone(),
            };
            typed(js::json_text(&value), "application/json")
        }
        // What the client of the recorded program says of a text without a type.
        "raw" => typed(js::text(body).into_owned(), "application/x-www-form-urlencoded"),
        "formData" => {
            let (text, content_type) = multipart(&pairs(body)?);
            typed(text, &content_type)
        }
        "xWwwFormUrlencoded" => typed(form(&pairs(body)?), "application/x-www-form-urlencoded"),
        _ => Ok(None),
    }
}

/// The fields of a form: rows, or an object, which may be written as JSON.
fn pairs(body: &Value) -> Result<Vec<(String, String)>, String> {
    let parsed;
    let body = match body {
        Value::String(text) => {
            parsed = lenient::parse(text)?;
            &parsed
        }
        other => other,
    };
    Ok(match body {
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| (key.clone(), js::text(value).into_owned()))
            .collect(),
        rows_of_fields => rows(Some(rows_of_fields), Empty::IsSent),
    })
}

/// `multipart/form-data` (RFC 7578), with a boundary that is in none of the fields.
fn multipart(fields: &[(String, String)]) -> (String, String) {
    // All that could be taken for a boundary is found in one go: the fields may hold any number of them.
    let taken: HashSet<u32> = fields
        .iter()
        .flat_map(|(_, value)| value.split(BOUNDARY).skip(1))
        .filter_map(|behind| behind.get(..BOUNDARY_DIGITS)?.parse().ok())
        .collect();
    let free = (0..).find(|number| !taken.contains(number)).unwrap_or_default();
    let boundary = format!("{BOUNDARY}{free:0BOUNDARY_DIGITS$}");
    let mut text = String::new();
    for (name, value) in fields {
        // As browsers write names that would end the quotes or the line (HTML, multipart/form-data encoding).
        let name = name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A");
        text.push_str(&format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        ));
    }
    text.push_str(&format!("--{boundary}--\r\n"));
    (text, format!("multipart/form-data; boundary={boundary}"))
}

/// `{data, status, statusText, headers}`. The error says why the answer is not taken this way.
fn output_of(response: &HttpResponse, kind: &str) -> Result<Value, String> {
    // The mark says nothing in UTF-8, and no JSON begins with it.
    let unmarked = response
        .body
        .strip_prefix(BYTE_ORDER_MARK)
        .unwrap_or(&response.body);
    let text = || String::from_utf8_lossy(unmarked).into_owned();
    let data = match kind {
        "text" => Value::String(text()),
        "arraybuffer" if response.body.len() > bounded::MOST => {
            return Err(format!(
                "The answer has {} bytes, which is too much for a list of bytes; the response type base64 takes it.",
                response.body.len()
            ));
        }
        "arraybuffer" => json!({"type": "Buffer", "data": response.body}),
        "base64" => Value::String(BASE64.encode(&response.body)),
        _ => match bounded::parse(unmarked, bounded::MOST) {
            Ok(value) => value,
            Err(bounded::Problem::Malformed(_)) => Value::String(text()),
            Err(bounded::Problem::Beyond(beyond)) => {
                return Err(format!(
                    "The answer is not taken as JSON: {beyond}; the response type text takes it."
                ));
            }
        },
    };
    Ok(json!({
        "data": data,
        "status": response.status,
        "statusText": response.status_text,
        "headers": headers_of(&response.headers),
    }))
}

/// Headers as an object: what came twice is joined by a comma, cookies are a list.
fn headers_of(headers: &[(String, String)]) -> Value {
    let mut object = Map::with_capacity(headers.len());
    for (name, value) in headers {
        if name == "set-cookie" {
            let cookies = object.entry(name.clone()).or_insert_with(|| json!([]));
            if let Some(cookies) = cookies.as_array_mut() {
                cookies.push(value.clone().into());
            }
            continue;
        }
        match object.get_mut(name) {
            Some(Value::String(before)) => {
                before.push_str(", ");
                before.push_str(value);
            }
            _ => {
                object.insert(name.clone(), value.clone().into());
            }
        }
    }
    Value::Object(object)
}
