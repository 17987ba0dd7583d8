//! What can go wrong.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a data folder could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process holds the folder.
    #[error(
        "another copy of Countersign is using the data folder {}. Use that copy, or close it and try again, \
         or start this one on another folder with --data-dir.",
        dir.display()
    )]
    InUse {
        /// The data folder.
        dir: PathBuf,
    },
    /// The database does not open, and there is no journal to rebuild it from. Nothing was removed.
    #[error(
        "the database in {} is damaged and there is no journal to rebuild it from ({reason}). \
         Nothing was removed: restore the folder from a backup, or move it away to start empty.",
        dir.display()
    )]
    Damaged {
        /// The data folder.
        dir: PathBuf,
        /// What the database said.
        reason: String,
    },
    /// The file system refused something.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl OpenError {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io {
            action,
            path: path.into(),
            source,
        }
    }
}

/// Why a read or a commit failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The storage takes no work: it is closed, or it failed once and has to be opened again. Answer 503.
    #[error("the storage takes no work: {0}")]
    Unavailable(String),
    /// A stored value does not match its checksum, or something that must be there is missing.
    /// It is never reported as absent.
    #[error("the stored {key} is damaged")]
    Damaged {
        /// Which value, for people: `approval 0192f0c1-…`.
        key: String,
    },
    /// A value could not be written as JSON, so nothing of these changes was stored.
    #[error("a value cannot be stored")]
    Encode(#[source] serde_json::Error),
    /// The disk could not be read.
    #[error("the storage cannot be read")]
    Read(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<sled::Error> for StoreError {
    fn from(error: sled::Error) -> Self {
        Self::Read(Box::new(EngineError(error)))
    }
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        Self::Read(Box::new(error))
    }
}

/// What sled says, in words for people: its own are for its programmers.
#[derive(Debug)]
pub(crate) struct EngineError(pub(crate) sled::Error);

impl std::error::Error for EngineError {}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&said_by_engine(&self.0))
    }
}

/// An error and what caused it, in one line, for people.
pub(crate) fn error_chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = said(error);
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {}", said(error));
        source = error.source();
    }
    text
}

fn said(error: &(dyn std::error::Error + 'static)) -> String {
    match error.downcast_ref::<sled::Error>() {
        Some(error) => said_by_engine(error),
        None => error.to_string(),
    }
}

fn said_by_engine(error: &sled::Error) -> String {
    match error {
        sled::Error::Io(error) => {
            as_the_system_said_it(error).map_or_else(|| error.to_string(), |error| error.to_string())
        }
        sled::Error::Corruption { .. } => "what is written in it does not match its checksums".to_owned(),
        sled::Error::CollectionNotFound(_) => "a part of it is missing".to_owned(),
        sled::Error::Unsupported(_) => {
            "it is not in the form that this version of Countersign writes".to_owned()
        }
        sled::Error::ReportableBug(_) => "reading it led to what must not be".to_owned(),
    }
}

/// sled copies errors of the system by writing them down as Rust does; this is what was copied.
pub(crate) fn as_the_system_said_it(error: &io::Error) -> Option<io::Error> {
    let text = error.to_string();
    let code = text.strip_prefix("Os { code: ")?.split(',').next()?;
    code.parse().ok().map(io::Error::from_raw_os_error)
}
