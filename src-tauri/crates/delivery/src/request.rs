//! Requests that flows make: any method, the whole answer, redirects within bounds. Under the same guard and resolver
//! as callbacks.

use std::time::Duration;

use bytes::Bytes;
use countersign_domain::UrlSource;
use reqwest::header::{
    CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_TYPE, HOST, HeaderMap,
    HeaderName, HeaderValue, LOCATION, TRANSFER_ENCODING,
};
use reqwest::{Method, StatusCode};
use url::Url;

use crate::{AddressKind, Client};

/// How many redirects are followed.
const REDIRECTS_MAX: usize = 5;

/// Words in names of headers that carry secrets: `X-Api-Key`, `Private-Token`, `Proxy-Authorization` and the like.
const SECRET_WORDS: [&str; 13] = [
    "apikey",
    "auth",
    "authorization",
    "cookie",
    "cookie2",
    "credential",
    "credentials",
    "key",
    "password",
    "secret",
    "session",
    "signature",
    "token",
];

/// A request of a flow.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The address; it is checked here.
    pub url: String,
    /// Who says to which host it goes: the guard is stricter with what came in from outside.
    pub url_source: UrlSource,
    /// Headers. Those that carry secrets are named in `secret_headers`.
    pub headers: Vec<(String, String)>,
    /// Names, in lower case, of headers that must not reach another origin. `authorization`, `cookie`, `x-api-key` and
    /// others that say so in their names always count.
    pub secret_headers: Vec<String>,
    /// What is sent, with the type that it has unless a header says otherwise.
    pub body: Option<(String, String)>,
    /// How long the whole exchange may take, redirects included.
    pub timeout: Duration,
    /// How many bytes of body the answer may have.
    pub response_limit: usize,
}

/// Headers may hold secrets, so they are not shown.
impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("headers", &self.headers.len())
            .finish_non_exhaustive()
    }
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The usual words for it.
    pub status_text: String,
    /// Where it came from, after redirects.
    pub url: String,
    /// Headers, names in lower case; one that came twice stands here twice.
    pub headers: Vec<(String, String)>,
    /// The body as it was sent.
    pub body: Vec<u8>,
}

/// An answer whose body is still to come.
#[derive(Debug)]
pub struct OpenResponse {
    /// The status.
    pub status: u16,
    /// Headers, names in lower case; one that came twice stands here twice.
    pub headers: Vec<(String, String)>,
    answer: reqwest::Response,
    read: usize,
    limit: usize,
}

impl OpenResponse {
    fn new(answer: reqwest::Response, limit: usize) -> Self {
        let headers = answer.headers().iter().map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        });
        Self {
            status: answer.status().as_u16(),
            headers: headers.collect(),
            answer,
            read: 0,
            limit,
        }
    }

    /// The first header of this name, which is given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The next piece of the body, as it comes; `None` at its end.
    ///
    /// # Errors
    /// It broke off, or is longer than the limit of its request; in words for people.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, String> {
        match self.answer.chunk().await {
            Ok(Some(piece)) if self.read + piece.len() > self.limit => Err(too_long(self.limit)),
            Ok(Some(piece)) => {
                self.read += piece.len();
                Ok(Some(piece))
            }
            Ok(None) => Ok(None),
            Err(_) => Err("The answer broke off.".to_owned()),
        }
    }
}

impl Client {
    /// Makes a request as [`Client::request`] does, and leaves the body of the answer to be read piece by piece.
    /// `timeout` covers the way to the answer's head; how long the body may take is up to who reads it.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn open(&self, request: Request) -> Result<OpenResponse, String> {
        let (timeout, limit) = (request.timeout, request.response_limit);
        let (answer, _) = tokio::time::timeout(timeout, self.follow(request))
            .await
            .unwrap_or_else(|_| Err(format!("No answer within {} s.", timeout.as_secs_f64())))?;
        Ok(OpenResponse::new(answer, limit))
    }

    /// Makes a request that an operator's flow describes: loopback is a normal target as for callbacks, unless the host
    /// came in from outside. At most five
    /// redirects are followed, as Flowise does it (webhook spec §12); secrets do not go to another origin, every address
    /// on the way is checked, and no answer from the internet sends on into the operator's networks.
    ///
    /// # Errors
    /// What went wrong, for people: the address is refused or none, no connection, no answer in time, too long.
    pub async fn request(&self, request: Request) -> Result<Response, String> {
        let timeout = request.timeout;
        let exchange = async {
            let limit = request.response_limit;
            let (answer, url) = self.follow(request).await?;
            let status_text = answer.status().canonical_reason().unwrap_or_default().to_owned();
            let length = answer.content_length();
            let mut opened = OpenResponse::new(answer, limit);
            if length.is_some_and(|length| length > limit as u64) {
                return Err(too_long(limit));
            }
            let mut body = Vec::new();
            while let Some(piece) = opened.piece().await? {
                body.extend_from_slice(&piece);
            }
            Ok(Response {
                status: opened.status,
                status_text,
                url: url.into(),
                headers: opened.headers,
                body,
            })
        };
        tokio::time::timeout(timeout, exchange)
            .await
            .unwrap_or_else(|_| Err(format!("No answer within {} s.", timeout.as_secs_f64())))
    }

    async fn follow(&self, request: Request) -> Result<(reqwest::Response, Url), String> {
        let mut method = Method::from_bytes(request.method.as_bytes())
            .map_err(|_| "The method is not one that HTTP has.".to_owned())?;
        let mut headers = header_map(&request.headers)?;
        let mut body = request.body;
        if let Some((_, content_type)) = &body
            && !headers.contains_key(CONTENT_TYPE)
        {
            let value = HeaderValue::from_str(content_type)
                .map_err(|_| "The content type cannot be written.".to_owned())?;
            headers.insert(CONTENT_TYPE, value);
        }
        let mut url = self
            .guard()
            .check_url(&request.url, request.url_source)
            .map_err(|refused| refused.message_for_flow().to_owned())?;
        let mut source = request.url_source;
        for _ in 0..=REDIRECTS_MAX {
            let answer = self
                .exchange_once(
                    source,
                    &method,
                    &url,
                    &headers,
                    body.as_ref().map(|(text, _)| text.as_str()),
                )
                .await?;
            let Some(target) = redirect_of(&answer, &url) else {
                return Ok((answer, url));
            };
            let answered = answer.remote_addr().map(|address| AddressKind::of(address.ip()));
            if answered.map_or(UrlSource::Caller, AddressKind::source_of_redirect) == UrlSource::Caller {
                // Once outside, nothing leads back in.
                source = UrlSource::Caller;
            }
            let target = self
                .guard()
                .check_url(target.as_str(), source)
                .map_err(|refused| {
                    format!(
                        "The target redirects to where nothing is sent. {}",
                        refused.message_for_flow()
                    )
                })?;
            if target.origin() != url.origin() {
                drop_what_is_for_one_origin(&mut headers, &request.secret_headers);
            }
            let rewrites = match answer.status() {
                StatusCode::SEE_OTHER => method != Method::HEAD,
                StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => {
                    matches!(method, Method::POST | Method::PUT | Method::PATCH)
                }
                _ => false,
            };
            if rewrites {
                method = Method::GET;
                body = None;
                for about_the_body in [CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LOCATION] {
                    headers.remove(about_the_body);
                }
            }
            url = target;
        }
        Err(format!("The target redirected more than {REDIRECTS_MAX} times."))
    }
}

fn drop_what_is_for_one_origin(headers: &mut HeaderMap, secret: &[String]) {
    let names: Vec<HeaderName> = headers.keys().cloned().collect();
    for name in names {
        let says_so = name != "idempotency-key"
            && name
                .as_str()
                .split(['-', '_'])
                .any(|word| SECRET_WORDS.contains(&word));
        if name == HOST || says_so || secret.iter().any(|secret| name == secret.as_str()) {
            headers.remove(name);
        }
    }
}

/// Where an answer sends on to, if it does.
fn redirect_of(answer: &reqwest::Response, from: &Url) -> Option<Url> {
    let sends_on = matches!(
        answer.status(),
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    );
    let location = answer.headers().get(LOCATION).filter(|_| sends_on)?;
    from.join(location.to_str().ok()?).ok()
}

fn too_long(limit: usize) -> String {
    format!("The answer is longer than {limit} bytes.")
}

fn header_map(headers: &[(String, String)]) -> Result<HeaderMap, String> {
    let mut map = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        let shown = countersign_domain::display_line(name, 60);
        let key = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| format!("“{shown}” is not a name of a header."))?;
        // How long the body is, is said by who writes it: another length would cut it off or never end it.
        if key == CONTENT_LENGTH || key == TRANSFER_ENCODING {
            continue;
        }
        // The value may be a secret, so it is not repeated.
        let value = HeaderValue::from_str(value).map_err(|_| {
            format!("The value of the header “{shown}” holds characters that headers cannot.")
        })?;
        map.append(key, value);
    }
    Ok(map)
}
