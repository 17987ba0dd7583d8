//! HTTP requests as tools: address and headers are the flow's, parameters and body the model's.

use countersign_domain::UrlSource;
use serde_json::{Map, Value, json};
use url::form_urlencoded;

use super::{json_setting, object, setting};
use crate::http::{HttpBody, HttpRequest};
use crate::js;
use crate::lenient;
use crate::run::RunScope;
use crate::template::Field;

#[derive(Debug)]
pub(super) struct RequestTool {
    method: &'static str,
    url: Option<Field>,
    headers: Option<Field>,
    body: Option<Field>,
    /// What the model may give, by name: `{"type","description","required","in"}`.
    schema: Map<String, Value>,
    /// How many characters of the answer are given back.
    most: Option<usize>,
}

/// A tool, its name, its description and the schema of its arguments.
type Described<T> = (T, String, String, Value);

impl RequestTool {
    /// `None` if the component is none of these.
    pub(super) fn read(component: &str, config: &Map<String, Value>) -> Option<Described<Self>> {
        let method = match component {
            "requestsGet" => "GET",
            "requestsPost" => "POST",
            "requestsPut" => "PUT",
            "requestsDelete" => "DELETE",
            _ => return None,
        };
        let word = component.strip_prefix("requests").unwrap_or_default();
        let named = |what: &str| format!("requests{word}{what}");
        let field = |names: &[&str]| Some(Field::read(&setting(config, names)?.into(), true));
        let object_or_text = |names: &[&str]| {
            let object = names
                .iter()
                .find_map(|name| config.get(*name).filter(|value| value.is_object()));
            object
                .map(|object| Field::read(object, true))
                .or_else(|| field(names))
        };
        let gives_body = matches!(method, "POST" | "PUT");
        let schema_name = named(if gives_body {
            "BodySchema"
        } else {
            "QueryParamsSchema"
        });
        let schema = config.get(&schema_name).filter(|schema| js::truthy(Some(schema)));
        let schema = match schema.map(json_setting) {
            Some(Ok(Value::Object(schema))) => schema,
            _ => Map::new(),
        };
        let most = config
            .get(&named("MaxOutputLength"))
            .or_else(|| config.get("maxOutputLength"));
        let most = most.map_or(f64::NAN, js::number);
        let tool = Self {
            method,
            url: field(&[&named("Url"), "url"]),
            headers: object_or_text(&[&named("Headers"), "headers"]),
            body: object_or_text(&[&format!("request{word}Body"), "body"]).filter(|_| gives_body),
            most: (most >= 1.0).then_some(most as usize),
            schema,
        };
        let name = named("Name");
        let name = setting(config, &[&name, "name"])
            .map_or_else(|| format!("requests_{}", word.to_lowercase()), str::to_owned);
        let description = named("Description");
        let description = setting(config, &[&description, "description"]);
        let usual = match method {
            "GET" => "Gets data from a website.",
            "POST" => "Creates or changes something by a POST request.",
            "PUT" => "Changes or replaces something by a PUT request.",
            _ => "Deletes something by a DELETE request.",
        };
        let parameters = tool.parameters();
        Some((tool, name, description.unwrap_or(usual).to_owned(), parameters))
    }

    pub(super) fn fields(&self) -> Vec<&Field> {
        [&self.url, &self.headers, &self.body]
            .into_iter()
            .flatten()
            .collect()
    }

    const fn gives_body(&self) -> bool {
        matches!(self.method.as_bytes(), b"POST" | b"PUT")
    }

    fn parameters(&self) -> Value {
        let (name, what) = if self.gives_body() {
            ("body", "The body of the request")
        } else {
            ("queryParams", "The parameters of the request")
        };
        let given: Vec<(&str, Value, bool)> = self
            .schema
            .iter()
            .map(|(name, row)| {
                let known = |kind: &&str| matches!(*kind, "number" | "boolean" | "object" | "array");
                let kind = row["type"].as_str().filter(known).unwrap_or("string");
                let mut schema = json!({"type": kind});
                if let Some(description) = row["description"].as_str() {
                    schema["description"] = description.into();
                }
                (name.as_str(), schema, js::truthy(row.get("required")))
            })
            .collect();
        let mut inner = object(&given);
        inner["description"] = what.into();
        if given.is_empty() {
            inner["additionalProperties"] = true.into();
        }
        object(&[(name, inner, !given.is_empty() && self.gives_body())])
    }

    pub(super) async fn call(
        &self,
        scope: &RunScope<'_>,
        arguments: &Map<String, Value>,
        key: String,
    ) -> Result<String, String> {
        let failed = |why: &str| format!("Failed to make {} request: {why}", self.method);
        let resolved = |field: &Option<Field>| field.as_ref().map(|field| field.resolve(scope));
        let url = resolved(&self.url).map(|url| js::trim(&js::text(&url)).to_owned());
        let url = url.filter(|url| !url.is_empty());
        let mut url = url.ok_or_else(|| format!("URL is required for {} request", self.method))?;
        let headers = match resolved(&self.headers) {
            Some(Value::String(text)) => lenient::parse(&text)?,
            Some(value) => value,
            None => Value::Null,
        };
        let headers = headers.as_object().into_iter().flatten();
        let headers = headers.map(|(name, value)| (name.clone(), js::text(value).into_owned()));
        let body = if self.gives_body() {
            let mut body = match arguments.get("body") {
                Some(Value::Object(given)) => given.clone(),
                _ => Map::new(),
            };
            let own = match resolved(&self.body) {
                Some(Value::String(text)) => lenient::parse(&text)?,
                Some(value) => value,
                None => Value::Null,
            };
            // What the flow says is not for the model to change.
            if let Value::Object(own) = own {
                body.extend(own);
            }
            Some(HttpBody {
                text: js::json_text(&Value::Object(body)),
                content_type: "application/json".to_owned(),
            })
        } else {
            if let Some(Value::Object(given)) = arguments.get("queryParams") {
                url = self.with_parameters(url, given).map_err(|why| failed(&why))?;
            }
            None
        };
        let request = HttpRequest {
            method: self.method.to_owned(),
            url,
            url_source: self
                .url
                .as_ref()
                .map_or(UrlSource::Operator, Field::source_of_host),
            headers: headers.collect(),
            body,
            credential: None,
            idempotency_key: key,
            timeout: scope.request_timeout(),
        };
        let answer = scope.host.http(request).await.map_err(|error| failed(&error))?;
        if !(200..300).contains(&answer.status) {
            return Err(failed(&format!(
                "HTTP Error {}: {}",
                answer.status, answer.status_text
            )));
        }
        let text = String::from_utf8_lossy(&answer.body);
        Ok(match self.most {
            Some(most) => text.chars().take(most).collect(),
            None => text.into_owned(),
        })
    }

    /// The address with what the model gave: `:name` in the path, else a segment of it, else in the query.
    fn with_parameters(&self, mut url: String, given: &Map<String, Value>) -> Result<String, String> {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let mut has_query = false;
        for (name, value) in given {
            let row = self.schema.get(name);
            // With a schema only what is in it goes along.
            if value.is_null() || (row.is_none() && !self.schema.is_empty()) {
                continue;
            }
            let value = js::text(value);
            if row.and_then(|row| row["in"].as_str()) != Some("path") {
                query.append_pair(name, &value);
                has_query = true;
                continue;
            }
            // These lead to another place of the target, however they are written.
            if matches!(&*value, "" | "." | "..") {
                return Err(format!("“{value}” cannot be part of the path"));
            }
            // As `encodeURIComponent` would: a slash in a value is none of the path.
            let segment: String = form_urlencoded::byte_serialize(value.as_bytes()).collect();
            let segment = segment.replace('+', "%20");
            match place_of(&url, name) {
                Some((from, to)) => url.replace_range(from..to, &segment),
                None => url = format!("{}/{segment}", url.trim_end_matches('/')),
            }
        }
        if has_query {
            url.push(if url.contains('?') { '&' } else { '?' });
            url.push_str(&query.finish());
        }
        Ok(url)
    }
}

/// Where `:name` stands in an address, as a word of its own.
fn place_of(url: &str, name: &str) -> Option<(usize, usize)> {
    let wanted = format!(":{name}");
    url.match_indices(&wanted)
        .map(|(from, found)| (from, from + found.len()))
        .find(|(_, to)| !url[*to..].starts_with(|next: char| next.is_alphanumeric() || next == '_'))
}
