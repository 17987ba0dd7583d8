//! URLs of scripts, by the URL standard.

use serde::Serialize;
use url::{Url, quirks};

/// The parts of a URL, named as scripts name them.
#[derive(Serialize)]
struct Parts<'a> {
    href: &'a str,
    origin: String,
    protocol: &'a str,
    username: &'a str,
    password: &'a str,
    host: &'a str,
    hostname: &'a str,
    port: &'a str,
    pathname: &'a str,
    search: &'a str,
    hash: &'a str,
}

/// Reads a URL, sets a part of it if one is given, and gives all its parts as JSON. `None` if it is no URL. A part that
/// cannot have the value keeps the one it has, as the standard wants it.
pub(crate) fn parts(text: &str, base: Option<&str>, set: Option<(&str, &str)>) -> Option<String> {
    let base = match base {
        Some(base) => Some(Url::parse(base).ok()?),
        None => None,
    };
    let mut url = Url::options().base_url(base.as_ref()).parse(text).ok()?;
    if let Some((part, value)) = set {
        match part {
            "href" => url = Url::parse(value).ok()?,
            "protocol" => drop(quirks::set_protocol(&mut url, value)),
            "username" => drop(quirks::set_username(&mut url, value)),
            "password" => drop(quirks::set_password(&mut url, value)),
            "host" => drop(quirks::set_host(&mut url, value)),
            "hostname" => drop(quirks::set_hostname(&mut url, value)),
            "port" => drop(quirks::set_port(&mut url, value)),
            "pathname" => quirks::set_pathname(&mut url, value),
            "search" => quirks::set_search(&mut url, value),
            "hash" => quirks::set_hash(&mut url, value),
            _ => {}
        }
    }
    let parts = Parts {
        href: quirks::href(&url),
        origin: quirks::origin(&url),
        protocol: quirks::protocol(&url),
        username: quirks::username(&url),
        password: quirks::password(&url),
        host: quirks::host(&url),
        hostname: quirks::hostname(&url),
        port: quirks::port(&url),
        pathname: quirks::pathname(&url),
        search: quirks::search(&url),
        hash: quirks::hash(&url),
    };
    serde_json::to_string(&parts).ok()
}
