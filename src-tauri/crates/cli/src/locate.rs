//! Finds the running Countersign: its address and the token for its management API.

use std::path::Path;

use countersign_app::running::{self, NotReachable};
use countersign_app::{Config, Flags};

use crate::args::Target;
use crate::exit::Failure;

/// A running Countersign.
#[derive(Clone)]
pub(crate) struct Server {
    /// `127.0.0.1:8420`
    pub(crate) address: String,
    /// The bearer token.
    pub(crate) token: String,
}

/// The configuration that these options and the environment lead to.
pub(crate) fn config(target: &Target, flags: Flags) -> Result<Config, Failure> {
    let flags = Flags {
        data_dir: target.data_dir.clone(),
        ..flags
    };
    Config::load(&flags, |name| std::env::var_os(name))
        .map_err(|error| Failure::usage(format!("{}.", with_causes(&error).trim_end_matches('.'))))
}

/// Finds the server by `--url` and `--token-file`, else in the data folder.
pub(crate) fn server(target: &Target) -> Result<Server, Failure> {
    let data_dir = match (&target.url, &target.token_file) {
        (Some(_), Some(_)) => None,
        _ => Some(config(target, Flags::default())?.data_dir),
    };
    let dir = data_dir.as_deref().unwrap_or(Path::new("."));
    let address = match &target.url {
        Some(url) => address_of_url(url)?,
        None => running::address(dir).map_err(|error| unreachable(&error))?,
    };
    let token_file = target
        .token_file
        .clone()
        .unwrap_or_else(|| running::token_file(dir));
    let token = running::token(&token_file).map_err(|error| {
        let advice = match error.kind() {
            std::io::ErrorKind::PermissionDenied => {
                "Run the command as the account that runs Countersign, or name the file with --token-file."
            }
            _ => "Name the file with --token-file; it is called api-token and lies in the data folder of whoever runs.",
        };
        Failure::failed(format!(
            "The token file {} cannot be read: {error}. {advice}",
            token_file.display()
        ))
    })?;
    Ok(Server { address, token })
}

/// Why there is no address, and what to do.
fn unreachable(error: &NotReachable) -> Failure {
    match error {
        NotReachable::NotRunning(dir) => Failure::not_running(format!(
            "Nothing runs on the data folder {}. Start the desktop app or `countersign serve`, or name another one with --data-dir or --url.",
            dir.display()
        )),
        NotReachable::NotListening { why: Some(_), .. } => Failure::not_listening(format!("{error}.")),
        NotReachable::NotListening { why: None, .. } => {
            Failure::not_listening(format!("{error}. Try again in a moment."))
        }
    }
}

/// Host and port of `http://host:port`. The token goes there in the clear, so only this machine will do.
fn address_of_url(url: &str) -> Result<String, Failure> {
    let wrong = || Failure::usage(format!("--url: {url:?} is not like http://127.0.0.1:8420."));
    let uri: http::Uri = url.parse().map_err(|_| wrong())?;
    let authority = uri.authority().ok_or_else(wrong)?;
    if uri.scheme_str().is_some_and(|scheme| scheme != "http") || !matches!(uri.path(), "" | "/") {
        return Err(wrong());
    }
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let local = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if !local {
        return Err(Failure::usage(format!(
            "--url: {host:?} is another machine, and the token would travel unprotected. Open a tunnel (ssh -L) and name its local end."
        )));
    }
    let port = authority.port_u16().unwrap_or(80);
    Ok(format!("{}:{port}", authority.host()))
}

/// An error with what lies behind it, for people.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::address_of_url;

    #[test]
    fn only_this_machine_gets_the_token() {
        for (url, address) in [
            ("http://127.0.0.1:8420", "127.0.0.1:8420"),
            ("http://localhost:1/", "localhost:1"),
            ("http://[::1]:9", "[::1]:9"),
        ] {
            assert_eq!(address_of_url(url).ok().as_deref(), Some(address), "{url}");
        }
        for url in [
            "http://192.0.2.1:8420",
            "https://127.0.0.1:8420",
            "http://127.0.0.1/x",
            "ftp://localhost",
            "",
            "http://127.0.0.1.example.org:1",
        ] {
            assert!(address_of_url(url).is_err(), "{url} must be refused");
        }
    }
}
