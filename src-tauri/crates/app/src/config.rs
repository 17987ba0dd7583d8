//! Where the program finds its data folder, its address and its few start-up choices.
//!
//! Order, later wins: built-in default, `countersign.toml` in the data folder, environment
//! `COUNTERSIGN_*`, flags. What the settings panel changes lies in the store, between the file and the
//! environment.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use countersign_delivery::{LoopbackPolicy, RetryPlan};
use serde::Deserialize;

/// The address that is used unless something else is said.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:8420";

/// The name of the configuration file in the data folder.
pub const CONFIG_FILE: &str = "countersign.toml";

/// What flags said. Absent means "not given".
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--data-dir`
    pub data_dir: Option<PathBuf>,
    /// `--listen`
    pub listen: Option<String>,
    /// `--log`
    pub log: Option<String>,
    /// `--outbound-loopback`: `configured`, `allow` or `deny`.
    pub outbound_loopback: Option<String>,
    /// `--keychain`: `auto` or `off`.
    pub keychain: Option<String>,
}

/// Whether the keychain of the operating system is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeychainUse {
    /// If it works when a data folder is made; and where the key lies in it.
    Auto,
    /// Never, not even to read.
    Off,
}

/// The start-up configuration, put together.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The data folder.
    pub data_dir: PathBuf,
    /// The address from a flag or the environment, which win over the settings panel.
    pub forced_listen: Option<SocketAddr>,
    /// The address from the file or the default, over which the settings panel wins.
    pub listen: SocketAddr,
    /// What is logged, in the syntax of `tracing`'s environment filter.
    pub log: String,
    /// Whether outgoing calls may go to this machine.
    pub outbound_loopback: LoopbackPolicy,
    /// Whether the keychain of the operating system is used.
    pub keychain: KeychainUse,
    /// Who answers at this desktop: the account name, as far as it is known.
    pub person: Option<String>,
    /// The times between attempts of a callback, unless the settings panel says otherwise.
    pub retry_plan: RetryPlan,
}

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{} cannot be read{}", .path.display(), if denied(.source) { "; check its permissions" } else { "" })]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// Something else has the file's name: a folder, or what never ends when it is read.
    #[error(
        "{} is {}, not a file. Move it away to start with the defaults, or put a file in its place", .path.display(),
        if *.folder { "a folder" } else { "a device or a pipe" }
    )]
    NotAFile {
        /// What lies there.
        path: PathBuf,
        /// Whether that is a folder.
        folder: bool,
    },
    /// The file is not text, or not in the one way that is read.
    #[error("{} is not text in UTF-8. Save it as UTF-8, or move it away to start with the defaults", .0.display())]
    FileNotText(PathBuf),
    /// The data folder is a file.
    #[error(
        "the data folder {} is a file, not a folder. Name another one with --data-dir, or move the file away", .0.display()
    )]
    NotAFolder(PathBuf),
    /// The file is not TOML, or has a key or value that means nothing. The line itself is not repeated: it may hold
    /// what nobody should read.
    #[error("{} has a mistake in line {line}: {problem}", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// The retry plan cannot be used.
    #[error("{origin}: retry-plan-seconds cannot be used")]
    RetryPlan {
        /// Where it was said.
        origin: &'static str,
        /// What is wrong.
        #[source]
        problem: RetryPlanError,
    },
    /// An address is not one, or is not on this machine.
    #[error("{origin}: {text:?} is not an address on this machine; write for example 127.0.0.1:8420")]
    Address {
        /// Where it was said.
        origin: &'static str,
        /// What was said.
        text: String,
    },
    /// The word for outgoing loopback means nothing.
    #[error("{origin}: {text:?} is none of configured, allow, deny")]
    Loopback {
        /// Where it was said.
        origin: &'static str,
        /// What was said.
        text: String,
    },
    /// The word for the keychain means nothing.
    #[error("{origin}: {text:?} is none of auto, off")]
    Keychain {
        /// Where it was said.
        origin: &'static str,
        /// What was said.
        text: String,
    },
    /// A variable holds bytes that are no text.
    #[error("{name} is not text in UTF-8")]
    NotText {
        /// The variable.
        name: &'static str,
    },
    /// There is no home folder to put data in.
    #[error("no folder for data was found: set COUNTERSIGN_DATA_DIR or use --data-dir")]
    NoDataDir,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    listen: Option<String>,
    log: Option<String>,
    outbound_loopback: Option<String>,
    keychain: Option<String>,
    retry_plan_seconds: Option<Vec<u32>>,
}

impl Config {
    /// Puts the configuration together. `environment` answers what a variable is set to.
    ///
    /// # Errors
    /// [`ConfigError`] naming the place of the mistake.
    pub fn load(flags: &Flags, environment: impl Fn(&str) -> Option<OsString>) -> Result<Self, ConfigError> {
        // A variable that is empty counts as not set.
        let set = |name: &str| environment(name).filter(|value| !value.is_empty());
        let data_dir = match &flags.data_dir {
            Some(dir) => dir.clone(),
            None => match set("COUNTERSIGN_DATA_DIR") {
                Some(dir) => PathBuf::from(dir),
                None => default_data_dir(&set).ok_or(ConfigError::NoDataDir)?,
            },
        };
        if data_dir.is_file() {
            return Err(ConfigError::NotAFolder(data_dir));
        }
        let word = |name: &'static str| match set(name).map(OsString::into_string) {
            None => Ok(None),
            Some(Ok(text)) => Ok(Some(text)),
            Some(Err(_)) => Err(ConfigError::NotText { name }),
        };
        let file = read_file(&data_dir.join(CONFIG_FILE))?;

        let listen = match file.listen {
            Some(text) => loopback_address(&text, CONFIG_FILE)?,
            None => loopback_address(DEFAULT_LISTEN, "default")?,
        };
        let forced_listen = match (&flags.listen, word("COUNTERSIGN_LISTEN")?) {
            (Some(text), _) => Some(loopback_address(text, "--listen")?),
            (None, Some(text)) => Some(loopback_address(&text, "COUNTERSIGN_LISTEN")?),
            (None, None) => None,
        };
        let log = flags
            .log
            .clone()
            .or(word("COUNTERSIGN_LOG")?)
            .or(file.log)
            .unwrap_or_else(|| "warn,countersign=info".to_owned());
        let outbound_loopback = match (&flags.outbound_loopback, word("COUNTERSIGN_OUTBOUND_LOOPBACK")?) {
            (Some(word), _) => loopback_policy(word, "--outbound-loopback")?,
            (None, Some(word)) => loopback_policy(&word, "COUNTERSIGN_OUTBOUND_LOOPBACK")?,
            (None, None) => match file.outbound_loopback {
                Some(word) => loopback_policy(&word, CONFIG_FILE)?,
                None => LoopbackPolicy::Configured,
            },
        };
        let keychain = match (&flags.keychain, word("COUNTERSIGN_KEYCHAIN")?, file.keychain) {
            (Some(word), _, _) => keychain_use(word, "--keychain")?,
            (None, Some(word), _) => keychain_use(&word, "COUNTERSIGN_KEYCHAIN")?,
            (None, None, Some(word)) => keychain_use(&word, CONFIG_FILE)?,
            (None, None, None) => KeychainUse::Auto,
        };
        let retry_plan = match file.retry_plan_seconds {
            Some(seconds) => retry_plan(&seconds).map_err(|problem| ConfigError::RetryPlan {
                origin: CONFIG_FILE,
                problem,
            })?,
            None => RetryPlan::default(),
        };
        let person = ["USER", "LOGNAME", "USERNAME"]
            .into_iter()
            .find_map(|name| set(name)?.into_string().ok());
        Ok(Self {
            data_dir,
            forced_listen,
            listen,
            log,
            outbound_loopback,
            keychain,
            person,
            retry_plan,
        })
    }
}

/// How many attempts a retry plan has at most, and the longest time between two: a week.
const PLAN_LIMIT: usize = 50;
const WAIT_LIMIT: u32 = 7 * 24 * 60 * 60;

/// A retry plan that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("give 1 to {PLAN_LIMIT} numbers of seconds, each at most {WAIT_LIMIT}")]
pub struct RetryPlanError;

/// A plan from seconds; the first entry is the time before the first attempt. The one check for the file, the panel
/// and the API.
pub(crate) fn retry_plan(seconds: &[u32]) -> Result<RetryPlan, RetryPlanError> {
    let fits = (1..=PLAN_LIMIT).contains(&seconds.len()) && seconds.iter().all(|wait| *wait <= WAIT_LIMIT);
    if fits {
        Ok(RetryPlan::from_seconds(seconds))
    } else {
        Err(RetryPlanError)
    }
}

fn read_file(path: &Path) -> Result<File, ConfigError> {
    let read = std::fs::metadata(path).and_then(|found| match found.is_file() {
        true => std::fs::read(path).map(Ok),
        false => Ok(Err(found.is_dir())),
    });
    let path = path.to_owned();
    let bytes = match read {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(folder)) => return Err(ConfigError::NotAFile { path, folder }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(File::default()),
        Err(source) => return Err(ConfigError::Unreadable { path, source }),
    };
    let Ok(text) = String::from_utf8(bytes) else {
        return Err(ConfigError::FileNotText(path));
    };
    toml::from_str(&text).map_err(|error| ConfigError::Malformed {
        path,
        line: line_of(&text, &error),
        problem: without_values(error.message()),
    })
}

/// Whether other rights would help.
fn denied(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::PermissionDenied
}

fn line_of(text: &str, error: &toml::de::Error) -> usize {
    let start = error.span().map_or(0, |span| span.start);
    let before = text.as_bytes().iter().take(start);
    before.filter(|byte| **byte == b'\n').count() + 1
}

/// The parser quotes a value that has the wrong type; a key it quotes in other marks.
fn without_values(message: &str) -> String {
    let mut shown = String::with_capacity(message.len());
    for (place, part) in message.split('"').enumerate() {
        shown.push_str(if place % 2 == 0 { part } else { "…" });
    }
    shown.replace('\n', " ").trim().to_owned()
}

/// Reads an address and refuses one that other machines could reach.
pub(crate) fn loopback_address(text: &str, origin: &'static str) -> Result<SocketAddr, ConfigError> {
    let named = text
        .strip_prefix("localhost:")
        .map(|port| format!("127.0.0.1:{port}"));
    named
        .as_deref()
        .unwrap_or(text)
        .parse::<SocketAddr>()
        .ok()
        .filter(|address| address.ip().is_loopback())
        .ok_or_else(|| ConfigError::Address {
            origin,
            text: text.to_owned(),
        })
}

fn loopback_policy(word: &str, origin: &'static str) -> Result<LoopbackPolicy, ConfigError> {
    match word {
        "configured" => Ok(LoopbackPolicy::Configured),
        "allow" => Ok(LoopbackPolicy::Allow),
        "deny" => Ok(LoopbackPolicy::Deny),
        other => Err(ConfigError::Loopback {
            origin,
            text: other.to_owned(),
        }),
    }
}

fn keychain_use(word: &str, origin: &'static str) -> Result<KeychainUse, ConfigError> {
    match word {
        "auto" => Ok(KeychainUse::Auto),
        "off" => Ok(KeychainUse::Off),
        other => Err(ConfigError::Keychain {
            origin,
            text: other.to_owned(),
        }),
    }
}

fn default_data_dir(environment: &impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let set = |name: &str| environment(name).map(PathBuf::from);
    if cfg!(windows) {
        set("LOCALAPPDATA").map(|dir| dir.join("Countersign"))
    } else if cfg!(target_os = "macos") {
        set("HOME").map(|home| home.join("Library/Application Support/Countersign"))
    } else {
        set("XDG_DATA_HOME")
            .filter(|dir| dir.is_absolute())
            .or_else(|| set("HOME").map(|home| home.join(".local/share")))
            .map(|dir| dir.join("countersign"))
    }
}
