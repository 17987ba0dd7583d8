//! The bearer token of the management API.

use std::io::Write;
use std::path::{Path, PathBuf};

use countersign_domain::Ids;

/// The name of the file in the data folder.
const TOKEN_FILE: &str = "api-token";

/// A token of 32 random bytes in hexadecimal, created at the first start and kept in a file that only
/// the user can read.
pub(crate) struct ApiToken {
    path: PathBuf,
    text: String,
}

impl std::fmt::Debug for ApiToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ApiToken({}, ***)", self.path.display())
    }
}

impl ApiToken {
    /// Reads the token, or creates it.
    ///
    /// # Errors
    /// The file can be neither read nor written.
    pub(crate) fn open(dir: &Path, ids: &dyn Ids) -> std::io::Result<Self> {
        let path = dir.join(TOKEN_FILE);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) if text.trim().len() >= 32 => {
                keep_private(&path)?;
                text.trim().to_owned()
            }
            Ok(_) => create(&path, ids)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => create(&path, ids)?,
            Err(error) => return Err(error),
        };
        Ok(Self { path, text })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

/// A file that was copied or edited may have got other rights.
fn keep_private(path: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

fn create(path: &Path, ids: &dyn Ids) -> std::io::Result<String> {
    let mut bytes = [0_u8; 32];
    ids.fill(&mut bytes);
    let text = hex::encode(bytes);
    write_private(path, &text)?;
    Ok(text)
}

/// Writes a file that only the user can read, whole or not at all.
pub(crate) fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let temporary = path.with_extension("new");
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)
}
