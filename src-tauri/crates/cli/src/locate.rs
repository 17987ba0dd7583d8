//! Finds the running Countersign: its address and the token for its management API.

use std::path::Path;

use countersign_app::{Config, Flags};
use countersign_domain::display_line;

use crate::args::Target;
use crate::exit::Failure;

/// The file in the data folder that holds the address of whoever runs on it.
const ADDRESS_FILE: &str = "address";

/// Beside it, why whoever runs has no address.
const PROBLEM_FILE: &str = "address-problem";

/// The file in the data folder that whoever runs on it has locked.
const LOCK_FILE: &str = "countersign.lock";

/// The file in the data folder that holds the token.
const TOKEN_FILE: &str = "api-token";

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
    let in_data_dir = |name: &str| data_dir.as_ref().map(|dir| dir.join(name)).unwrap_or_default();
    let address = match &target.url {
        Some(url) => address_of_url(url)?,
        None => address_of(data_dir.as_deref().unwrap_or(Path::new(".")))?,
    };
    let token_file = target
        .token_file
        .clone()
        .unwrap_or_else(|| in_data_dir(TOKEN_FILE));
    let token = read(&token_file).ok_or_else(|| {
        Failure::failed(format!(
            "The token file {} cannot be read. Run the command as the account that runs Countersign, or name the file with --token-file.",
            token_file.display()
        ))
    })?;
    Ok(Server { address, token })
}

/// The address of whoever runs on this data folder. Who was killed leaves it behind, and the port may be somebody else's
/// by now, who must not be sent the token: so it counts only while the folder is in use.
fn address_of(data_dir: &Path) -> Result<String, Failure> {
    let address = read(&data_dir.join(ADDRESS_FILE)).filter(|_| in_use(data_dir));
    address.ok_or_else(|| no_address(data_dir))
}

/// The first line of a file; nothing if it is not there or empty.
fn read(path: &Path) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    text.lines()
        .next()
        .map(|line| {
            line.trim()
                .trim_start_matches("http://")
                .trim_end_matches('/')
                .to_owned()
        })
        .filter(|line| !line.is_empty())
}

/// Why there is no address: nothing runs on this data folder, or what runs does not listen.
fn no_address(data_dir: &Path) -> Failure {
    let folder = data_dir.display();
    if !in_use(data_dir) {
        return Failure::not_running(format!(
            "Nothing runs on the data folder {folder}. Start the desktop app or `countersign serve`, or name another one with --data-dir or --url.",
        ));
    }
    let why = std::fs::read_to_string(data_dir.join(PROBLEM_FILE)).unwrap_or_default();
    Failure::not_listening(match display_line(&why, 500).as_str() {
        "" => format!(
            "Countersign runs on the data folder {folder}, but does not listen yet, or no more: it starts or closes. Try again in a moment."
        ),
        why => format!("Countersign runs on the data folder {folder}, but does not listen. {why}"),
    })
}

/// Whether somebody works on this data folder, as far as that can be seen.
fn in_use(data_dir: &Path) -> bool {
    // The lock is given back at once; whoever starts at this very moment waits longer than that.
    std::fs::File::open(data_dir.join(LOCK_FILE))
        .is_ok_and(|file| matches!(file.try_lock_shared(), Err(std::fs::TryLockError::WouldBlock)))
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
