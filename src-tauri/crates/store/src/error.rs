//! What can go wrong.

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
        Self::Read(Box::new(error))
    }
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        Self::Read(Box::new(error))
    }
}
