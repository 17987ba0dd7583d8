//! Who may talk to a server on this machine: the checks that stand in front of everything
//! (webhook-security anchors §4.4, conformance deviation (r)).
//!
//! Other programs on this machine may call; a web page of a stranger, in the browser of the same machine,
//! may not: neither by a plain cross-site request nor by a name that it points to 127.0.0.1.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use countersign_app::Error;
use countersign_domain::ErrorCode;
use http::header::{HOST, HeaderMap, ORIGIN};
use http::{Method, Uri};

/// Whether a connection may come from there. The listener is on loopback already; this keeps it true
/// whatever the listener was.
pub(crate) fn peer_is_local(peer: SocketAddr) -> bool {
    match peer.ip() {
        IpAddr::V4(ip) => ip.is_loopback(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.to_ipv4_mapped().is_some_and(|mapped| mapped.is_loopback()),
    }
}

/// Checks the head of a request: Host, Origin, fetch metadata, method.
pub(crate) fn check(
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    allowed_origins: &[String],
) -> Result<(), Error> {
    let own = host(uri, headers)?;
    origin(headers, own, allowed_origins)?;
    fetch_metadata(method, uri, headers)?;
    if *method == Method::TRACE || *method == Method::CONNECT {
        return Err(Error::new(
            ErrorCode::MethodNotAllowed,
            format!("Method {method} not allowed"),
        ));
    }
    Ok(())
}

fn forbidden(message: &str) -> Error {
    Error::new(ErrorCode::Forbidden, message)
}

/// A host without its trailing dot, and a port.
#[derive(Clone, Copy)]
struct Authority<'a> {
    host: &'a str,
    port: u16,
}

impl<'a> Authority<'a> {
    /// Reads `name`, `name:port`, `1.2.3.4:port` or `[v6]:port`; without a port it is 80.
    fn parse(text: &'a str) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']')?;
                host.parse::<Ipv6Addr>().ok()?;
                (
                    host,
                    if rest.is_empty() {
                        None
                    } else {
                        Some(rest.strip_prefix(':')?)
                    },
                )
            }
            None => match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        let port = match port {
            None => 80,
            Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().ok()?
            }
            Some(_) => return None,
        };
        let host = host.strip_suffix('.').unwrap_or(host);
        if host.is_empty() {
            None
        } else {
            Some(Self { host, port })
        }
    }

    /// Whether this can only be the machine itself. `0.0.0.0` is not among them: browsers reach loopback
    /// by it from foreign pages.
    fn is_loopback(&self) -> bool {
        self.host.eq_ignore_ascii_case("localhost")
            || self.host.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
            || self.host.parse::<Ipv6Addr>().is_ok_and(|ip| ip.is_loopback())
    }

    fn same(&self, other: &Authority<'_>) -> bool {
        self.port == other.port && self.host.eq_ignore_ascii_case(other.host)
    }
}

/// The one Host of the request, which must name loopback; any port, because of tunnels and because some
/// clients leave it out.
fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Result<Authority<'a>, Error> {
    const FOREIGN: &str =
        "This Host is not accepted: the server answers only to 127.0.0.1, [::1] and localhost";
    let mut values = headers.get_all(HOST).iter();
    let value = values
        .next()
        .ok_or_else(|| forbidden("A request needs a Host header"))?;
    if values.next().is_some() {
        return Err(forbidden("A request needs exactly one Host header"));
    }
    let own = value
        .to_str()
        .ok()
        .and_then(Authority::parse)
        .filter(Authority::is_loopback);
    let own = own.ok_or_else(|| forbidden(FOREIGN))?;
    // A request line with a whole URL names the host a second time, and that name would count.
    if let Some(authority) = uri.authority() {
        let named = Authority::parse(authority.as_str()).filter(Authority::is_loopback);
        if named.is_none_or(|named| !named.same(&own)) {
            return Err(forbidden(FOREIGN));
        }
    }
    Ok(own)
}

/// A page may call only from where it was served: this server, or an origin of the options.
fn origin(headers: &HeaderMap, own: Authority<'_>, allowed: &[String]) -> Result<(), Error> {
    let mut values = headers.get_all(ORIGIN).iter();
    let Some(value) = values.next() else { return Ok(()) };
    let only = values.next().is_none();
    let text = value.to_str().unwrap_or_default();
    let same = text
        .strip_prefix("http://")
        .and_then(Authority::parse)
        .is_some_and(|origin| origin.same(&own));
    if only && (same || allowed.iter().any(|origin| origin.eq_ignore_ascii_case(text))) {
        return Ok(());
    }
    Err(forbidden(
        "This Origin is not accepted: web pages of other origins may not call this server",
    ))
}

/// Browsers say where a request started. A link to a page of the user interface may start anywhere: it has
/// no effect and shows nothing without the token.
fn fetch_metadata(method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Error> {
    let Some(site) = headers.get("sec-fetch-site") else {
        return Ok(());
    };
    if matches!(site.as_bytes(), b"same-origin" | b"none") {
        return Ok(());
    }
    let is = |name: &str, wanted: &[u8]| headers.get(name).is_some_and(|value| value.as_bytes() == wanted);
    let page = (*method == Method::GET || *method == Method::HEAD)
        && !uri.path().starts_with("/api/")
        && is("sec-fetch-mode", b"navigate")
        && is("sec-fetch-dest", b"document");
    if page {
        return Ok(());
    }
    Err(forbidden(
        "Requests from web pages of other sites are not accepted",
    ))
}

#[cfg(test)]
mod tests {
    use super::{Authority, peer_is_local};

    #[test]
    fn only_this_machine_is_local() {
        for (peer, expected) in [
            ("127.0.0.1:1", true),
            ("127.8.0.1:1", true),
            ("[::1]:1", true),
            ("[::ffff:127.0.0.1]:1", true),
            ("192.168.0.7:1", false),
            ("[::ffff:10.0.0.1]:1", false),
            ("[fe80::1]:1", false),
            ("0.0.0.0:1", false),
        ] {
            assert_eq!(peer_is_local(peer.parse().unwrap()), expected, "{peer}");
        }
    }

    #[test]
    fn loopback_names() {
        for (host, expected) in [
            ("localhost", true),
            ("LocalHost:8420", true),
            ("localhost.:8420", true),
            ("127.0.0.1", true),
            ("127.0.0.1:1", true),
            ("[::1]:8420", true),
            ("[0:0:0:0:0:0:0:1]", true),
            ("0.0.0.0:8420", false),
            ("[::]:8420", false),
            ("127.0.0.1.example.org", false),
            ("localhost.example.org", false),
            ("example.org", false),
            ("2130706433", false),
            ("127.1", false),
            ("localhost:", false),
            ("localhost:99999", false),
            ("localhost:80:80", false),
            ("user@localhost", false),
            ("::1", false),
            ("[localhost]", false),
            ("", false),
        ] {
            let accepted = Authority::parse(host).is_some_and(|authority| authority.is_loopback());
            assert_eq!(accepted, expected, "{host:?}");
        }
    }
}
