//! The bearer token of the management API.

use std::io::Write;
use std::path::{Path, PathBuf};

use countersign_domain::Ids;

/// The name of the file in the data folder.
pub(crate) const TOKEN_FILE: &str = "api-token";

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
        // A link would lead to a file of somebody else's, whose rights and text are not ours to change or to trust.
        match std::fs::symlink_metadata(&path) {
            Ok(found) if !found.is_file() => {
                return Err(std::io::Error::other(
                    "api-token in the data folder is a link or no file. Remove it, and a new token is made",
                ));
            }
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let text = create(&path, ids)?;
                return Ok(Self { path, text });
            }
            Err(error) => return Err(error),
        }
        let text = std::fs::read_to_string(&path)?;
        let text = match token_in(&text) {
            Some(token) => {
                keep_private(&path)?;
                token.to_owned()
            }
            None => create(&path, ids)?,
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

/// The token in the text of its file: one word of at least 32 visible characters, such as a header can carry.
fn token_in(text: &str) -> Option<&str> {
    let token = text.trim();
    (token.len() >= 32 && token.bytes().all(|byte| byte.is_ascii_graphic())).then_some(token)
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
    // What lies there under this name may be a link to something else; so it goes, and is never written through.
    match std::fs::remove_file(&temporary) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_link_in_the_place_of_the_draft_is_not_written_through() {
        let dir = tempfile::tempdir().unwrap();
        let outside = dir.path().join("outside");
        std::fs::write(&outside, "somebody else's").unwrap();
        let path = dir.path().join(TOKEN_FILE);
        std::os::unix::fs::symlink(&outside, path.with_extension("new")).unwrap();
        write_private(&path, "a token").unwrap();
        assert_eq!(std::fs::read_to_string(&outside).unwrap(), "somebody else's");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "a token");
        assert!(std::fs::symlink_metadata(&path).unwrap().is_file(), "no link");
    }
}
