//! Sends one message once.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use countersign_domain::{CallbackId, Clock, Timestamp, UrlSource, display_text};
use countersign_signature::{Secret, StandardWebhook, flowise_signature};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use url::Url;

use crate::{AddressGuard, AddressRefused, BoxFuture};

/// How much of an answer is read, in bytes. The connection is closed on the rest.
const ANSWER_READ: usize = 64 * 1024;

/// No exchange of a flow takes longer, whatever its own limit says.
const LONGEST_EXCHANGE: Duration = Duration::from_secs(24 * 60 * 60);

/// How much of an answer is kept, in characters.
const ANSWER_KEPT: usize = 2_000;

/// One message to one receiver.
#[derive(Debug, Clone)]
pub struct Message {
    /// Sent as `webhook-id`; the same for each attempt.
    pub id: CallbackId,
    /// Where to.
    pub url: String,
    /// Who named that URL.
    pub source: UrlSource,
    /// The JSON text, sent and signed as these bytes.
    pub body: Bytes,
    /// What to sign with. Without it the message carries no signature.
    pub secret: Option<Secret>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sent {
    /// The HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// Why it counts as failed, for people; `None` after 2xx, and only then.
    pub error: Option<String>,
    /// The beginning of the answer's body: at most 2,000 characters, without control and direction characters,
    /// `…` at the end if it was cut. `None` if it was empty.
    pub response: Option<String>,
    /// How long the receiver asks to be left alone (`Retry-After`, RFC 9110 §10.2.3), if that makes sense.
    pub retry_after: Option<Duration>,
    /// How long it took in all.
    pub duration: Duration,
}

impl Sent {
    /// Nothing was sent, for this reason.
    pub(crate) fn withheld(why: String) -> Self {
        Self {
            status: None,
            error: Some(why),
            response: None,
            retry_after: None,
            duration: Duration::ZERO,
        }
    }

    /// Whether the receiver took the message.
    pub fn delivered(&self) -> bool {
        self.error.is_none() && matches!(self.status, Some(200..=299))
    }
}

/// Finds the addresses of a name.
pub trait Lookup: Send + Sync + 'static {
    /// All addresses of this name.
    fn addresses(&self, name: String) -> BoxFuture<'static, std::io::Result<Vec<IpAddr>>>;
}

/// The resolver of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn addresses(&self, name: String) -> BoxFuture<'static, std::io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            Ok(tokio::net::lookup_host((name, 0))
                .await?
                .map(|address| address.ip())
                .collect())
        })
    }
}

/// What can be set otherwise.
#[derive(Clone)]
pub struct ClientOptions {
    /// Until the connection stands, the name's resolution and TLS included. 5 s.
    pub connect_timeout: Duration,
    /// For everything, the answer's body included. 10 s (webhook spec §9).
    pub total_timeout: Duration,
    /// Where names are looked up.
    pub lookup: Arc<dyn Lookup>,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            total_timeout: Duration::from_secs(10),
            lookup: Arc::new(SystemLookup),
        }
    }
}

/// Sends messages within the rules: addresses are checked before and at each connection; redirects are
/// answers like any other; proxies of the environment are not used; nothing is decompressed; an answer is read
/// only so far. Cheap to clone.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    guard: AddressGuard,
    clock: Arc<dyn Clock>,
    options: ClientOptions,
    // One each, because the resolver inside has to know who named the URL, and so that no connection that
    // was made for one source serves the other.
    operator: OnceLock<Result<reqwest::Client, String>>,
    caller: OnceLock<Result<reqwest::Client, String>>,
}

impl Client {
    /// A client with the usual limits.
    pub fn new(guard: AddressGuard, clock: Arc<dyn Clock>) -> Self {
        Self::with_options(guard, clock, ClientOptions::default())
    }

    /// A client with other limits or another resolver.
    pub fn with_options(guard: AddressGuard, clock: Arc<dyn Clock>, options: ClientOptions) -> Self {
        let (operator, caller) = (OnceLock::new(), OnceLock::new());
        Self(Arc::new(Inner {
            guard,
            clock,
            options,
            operator,
            caller,
        }))
    }

    /// The guard it works by.
    pub fn guard(&self) -> AddressGuard {
        self.0.guard
    }

    /// Sends the message by POST, once. All that can go wrong is in the result.
    ///
    /// Headers: `Content-Type: application/json`, `webhook-id`, `webhook-timestamp` (now, in seconds), and with
    /// a secret `X-Flowise-Signature` and `webhook-signature`.
    pub async fn send(&self, message: &Message) -> Sent {
        let started = Instant::now();
        let mut sent = match self.exchange(message).await {
            Ok(sent) => sent,
            Err(error) => Sent {
                error: Some(error),
                ..Sent::default()
            },
        };
        sent.duration = started.elapsed();
        sent
    }

    async fn exchange(&self, message: &Message) -> Result<Sent, String> {
        let url = self
            .0
            .guard
            .check_url(&message.url, message.source)
            .map_err(|e| e.to_string())?;
        let now = self.0.clock.now();
        let headers = headers(message, now)?;
        let client = self.0.client(message.source)?;
        let request = client
            .post(url.clone())
            .headers(headers)
            .body(message.body.clone());
        // Boxed: the future of a request is large, and many of these are under way at once.
        let answer = Box::pin(request.send())
            .await
            .map_err(|error| self.0.explain(&url, &error))?;
        let status = answer.status();
        let retry_after = answer
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| retry_after(value, now));
        let response = read_beginning(answer).await;
        Ok(Sent {
            status: Some(status.as_u16()),
            error: (!status.is_success()).then(|| refusal(status)),
            response,
            retry_after,
            duration: Duration::ZERO,
        })
    }
}

impl Client {
    /// One exchange of a flow's request, redirects not followed. Its time is limited by whoever waits for it.
    pub(crate) async fn exchange_once(
        &self,
        source: UrlSource,
        method: &reqwest::Method,
        url: &Url,
        headers: &HeaderMap,
        body: Option<&str>,
    ) -> Result<reqwest::Response, String> {
        let client = self.0.client(source)?;
        let mut request = client
            .request(method.clone(), url.clone())
            .headers(headers.clone())
            .timeout(LONGEST_EXCHANGE);
        if let Some(body) = body {
            request = request.body(body.to_owned());
        }
        Box::pin(request.send())
            .await
            .map_err(|error| match find::<AddressRefused>(&error) {
                Some(refused) => refused.message_for_flow().to_owned(),
                None => self.0.explain(url, &error),
            })
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("guard", &self.0.guard)
            .finish_non_exhaustive()
    }
}

impl Inner {
    /// The HTTP client for URLs of this source. Built when first needed: reading the system's certificates takes
    /// longer than the rest of a start.
    fn client(&self, source: UrlSource) -> Result<&reqwest::Client, String> {
        let cell = match source {
            UrlSource::Operator => &self.operator,
            UrlSource::Caller => &self.caller,
        };
        cell.get_or_init(|| self.build(source))
            .as_ref()
            .map_err(Clone::clone)
    }

    fn build(&self, source: UrlSource) -> Result<reqwest::Client, String> {
        // An error says that there is a provider already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = || {
            let resolver = GuardedResolver {
                guard: self.guard,
                source,
                lookup: self.options.lookup.clone(),
            };
            reqwest::Client::builder()
                .user_agent(concat!("Countersign/", env!("CARGO_PKG_VERSION")))
                .redirect(reqwest::redirect::Policy::none())
                .referer(false)
                .no_proxy()
                .http1_only()
                .connect_timeout(self.options.connect_timeout)
                .timeout(self.options.total_timeout)
                .pool_max_idle_per_host(2)
                .pool_idle_timeout(Duration::from_secs(30))
                .dns_resolver(resolver)
        };
        builder().build().or_else(|error| {
            // A machine without root certificates can still reach its receivers on plain HTTP.
            tracing::warn!(
                error = cause(&error),
                "no root certificates were found: HTTPS receivers will be refused"
            );
            builder()
                .tls_certs_only([])
                .build()
                .map_err(|error| format!("The HTTP client cannot be set up: {}.", cause(&error)))
        })
    }

    /// What went wrong, for people. The URL is not repeated: it may hold a token.
    fn explain(&self, url: &Url, error: &reqwest::Error) -> String {
        let host = url.host_str().unwrap_or_default();
        let port = url.port_or_known_default().unwrap_or_default();
        if let Some(refused) = find::<AddressRefused>(error) {
            return refused.to_string();
        }
        if find::<NotFound>(error).is_some() {
            return format!("DNS resolution failed for {host}");
        }
        match (error.is_timeout(), error.is_connect()) {
            (true, true) => {
                format!(
                    "No connection to {host}:{port} within {}.",
                    seconds(self.options.connect_timeout)
                )
            }
            (true, false) => format!("No answer within {}.", seconds(self.options.total_timeout)),
            (false, true) => format!("No connection to {host}:{port}: {}.", cause(error)),
            (false, false) => format!("The exchange with {host}:{port} broke off: {}.", cause(error)),
        }
    }
}

fn headers(message: &Message, now: Timestamp) -> Result<HeaderMap, String> {
    let id = message.id.to_string();
    let webhook = StandardWebhook {
        id: &id,
        timestamp: now.as_seconds(),
    };
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let mut texts = vec![
        ("webhook-id", id.clone()),
        ("webhook-timestamp", webhook.timestamp.to_string()),
    ];
    if let Some(secret) = &message.secret {
        texts.push(("x-flowise-signature", flowise_signature(secret, &message.body)));
        texts.push(("webhook-signature", webhook.sign(secret, &message.body)));
    }
    for (name, text) in texts {
        let value =
            HeaderValue::try_from(text).map_err(|_| format!("The header {name} cannot be written."))?;
        headers.insert(name, value);
    }
    Ok(headers)
}

/// Why an answer that is not 2xx is a failure, in words.
fn refusal(status: reqwest::StatusCode) -> String {
    let advice = match status.as_u16() {
        300..=399 => ": a redirect, and those are not followed",
        401 | 403 => ": it does not accept the signature or the sender",
        410 => ": it wants no more of these",
        _ => "",
    };
    format!("The receiver answered {status}{advice}.")
}

/// Reads at most [`ANSWER_READ`] bytes. What breaks while the body is read changes nothing: the status has come.
async fn read_beginning(mut answer: reqwest::Response) -> Option<String> {
    let mut bytes = Vec::new();
    while bytes.len() < ANSWER_READ {
        match answer.chunk().await {
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk[..chunk.len().min(ANSWER_READ - bytes.len())]),
            Ok(None) | Err(_) => break,
        }
    }
    let text = display_text(&String::from_utf8_lossy(&bytes));
    if text.is_empty() {
        return None;
    }
    match text.char_indices().nth(ANSWER_KEPT) {
        None => Some(text),
        Some(_) => Some(text.chars().take(ANSWER_KEPT - 1).chain(['…']).collect()),
    }
}

/// Reads `Retry-After`: whole seconds or an HTTP date. Anything else, and a date that is over, is `None`.
fn retry_after(value: &HeaderValue, now: Timestamp) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().ok().map(Duration::from_secs);
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_millisecond();
    let ahead = Timestamp::from_millis(date).since(now);
    (!ahead.is_zero()).then_some(ahead)
}

fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}

/// An error of a given type among the causes.
fn find<E: std::error::Error + 'static>(error: &reqwest::Error) -> Option<&E> {
    std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source())
        .find_map(|error| error.downcast_ref())
}

/// The text of the innermost cause, which says most.
fn cause(error: &reqwest::Error) -> String {
    std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source())
        .last()
        .map(|error| display_text(&error.to_string()))
        .unwrap_or_default()
}

/// Resolves a name and lets the guard see every address of it. One that is refused refuses the name: else
/// the order of the answers would decide where a message goes.
struct GuardedResolver {
    guard: AddressGuard,
    source: UrlSource,
    lookup: Arc<dyn Lookup>,
}

/// A name without an address.
#[derive(Debug, thiserror::Error)]
#[error("the name has no address")]
struct NotFound(#[source] Option<std::io::Error>);

impl reqwest::dns::Resolve for GuardedResolver {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let (guard, source) = (self.guard, self.source);
        let lookup = self.lookup.addresses(name.as_str().to_owned());
        Box::pin(async move {
            let addresses = lookup.await.map_err(|error| NotFound(Some(error)))?;
            if addresses.is_empty() {
                return Err(NotFound(None).into());
            }
            for address in &addresses {
                guard.check_address(*address, source)?;
            }
            let addresses = addresses.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(addresses) as reqwest::dns::Addrs)
        })
    }
}
