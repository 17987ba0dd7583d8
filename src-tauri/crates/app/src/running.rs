//! Finding the Countersign that runs on a data folder, by what it leaves there for others of the same account: the
//! command line, and a second start of the desktop app.

use std::io;
use std::path::{Path, PathBuf};

use countersign_domain::display_line;
pub use countersign_store::is_in_use;

use crate::token::TOKEN_FILE;

/// The file in the data folder that says where the program listens.
pub(crate) const ADDRESS_FILE: &str = "address";

/// Beside it, why there is no address.
pub(crate) const ADDRESS_PROBLEM_FILE: &str = "address-problem";

/// Why nobody can be talked to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotReachable {
    /// Nobody works on the folder.
    #[error("nothing runs on the data folder {}", .0.display())]
    NotRunning(PathBuf),
    /// Somebody does, and does not listen.
    #[error(
        "Countersign runs on the data folder {}, but does not listen{}", dir.display(),
        why.as_deref().map_or_else(
            || " yet, or no more: it starts or closes".to_owned(), |why| format!(". {}", why.trim_end_matches('.')))
    )]
    NotListening {
        /// The folder.
        dir: PathBuf,
        /// The reason, in its own words; `None` while it starts or closes.
        why: Option<String>,
    },
}

/// The address of whoever runs on this data folder, such as `127.0.0.1:8420`. Who was killed leaves it behind, and the
/// port may be somebody else's by now, who must not be sent the token: so it counts only while the folder is in use.
///
/// # Errors
/// [`NotReachable`]
pub fn address(dir: &Path) -> Result<String, NotReachable> {
    let written = first_line(&dir.join(ADDRESS_FILE)).ok();
    // Looked at after reading: what was read then is of whoever runs, or of nobody.
    if !is_in_use(dir) {
        return Err(NotReachable::NotRunning(dir.to_owned()));
    }
    written.ok_or_else(|| {
        let why = std::fs::read_to_string(dir.join(ADDRESS_PROBLEM_FILE)).unwrap_or_default();
        NotReachable::NotListening {
            dir: dir.to_owned(),
            why: Some(display_line(&why, 500)).filter(|why| !why.is_empty()),
        }
    })
}

/// Where the token of the management API lies.
pub fn token_file(dir: &Path) -> PathBuf {
    dir.join(TOKEN_FILE)
}

/// The token in such a file.
///
/// # Errors
/// It cannot be read, or is empty.
pub fn token(file: &Path) -> io::Result<String> {
    first_line(file)
}

/// The first line of a file. One that is empty is an error.
fn first_line(path: &Path) -> io::Result<String> {
    let text = std::fs::read_to_string(path)?;
    match text.lines().next().map(str::trim) {
        Some(line) if !line.is_empty() => Ok(line.to_owned()),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "it is empty")),
    }
}
