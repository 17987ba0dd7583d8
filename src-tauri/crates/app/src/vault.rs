//! Secrets at rest (anchors: webhook security §6.1).
//!
//! One data key seals all secrets with XChaCha20-Poly1305; the name of the record is authenticated with it, so that
//! a sealed text is worth nothing in another record. The key lies in `secret.key` in the data folder, beside
//! `secret.check`, a known text sealed with it. While the check is there, a missing or foreign key is told as such
//! and no new one takes its place: that would turn a lost file into lost secrets.

use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};
use countersign_domain::Ids;
use countersign_signature::Secret;

const KEY_FILE: &str = "secret.key";
const CHECK_FILE: &str = "secret.check";
/// The record name and the text of the check. No secret has such a name.
const CHECK: &str = ".check";
/// What sealed texts begin with; then standard base64 of nonce, ciphertext and tag.
const FORMAT: &str = "v1.";
const NONCE: usize = 24;

/// What keeps the data key from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protection {
    /// The permissions of a file, and nothing else.
    File,
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "file",
        })
    }
}

/// Why there is no key to work with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Locked {
    /// There was a key, and its file is gone.
    #[error(
        "cannot read secret: the file secret.key is missing from the data folder. Put it back from a backup; or delete \
         secret.check to begin with a new key, and enter all secrets again"
    )]
    KeyMissing,
    /// The file holds no key.
    #[error(
        "cannot read secret: the file secret.key in the data folder is damaged. Put it back from a backup; or delete \
         it and secret.check to begin with a new key, and enter all secrets again"
    )]
    KeyDamaged,
    /// The file holds another key than the one that sealed the secrets.
    #[error(
        "cannot read secret: the file secret.key in the data folder belongs to other secrets. Put the right one back; \
         or delete secret.check to go on with this key, and enter all secrets again"
    )]
    ForeignKey,
}

/// Why a secret cannot be sealed or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VaultError {
    /// The files of the vault cannot be read or written.
    #[error("the key of the secrets cannot be read or written: {}", .path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What happened to it.
        #[source]
        source: io::Error,
    },
    /// There is no key.
    #[error(transparent)]
    Locked(#[from] Locked),
    /// The sealed text is damaged, or belongs to another record or another key.
    #[error(
        "cannot read secret “{name}”: what is stored is damaged or was sealed with another key. Enter it again"
    )]
    Unreadable {
        /// The name of the record.
        name: String,
    },
    /// An empty secret is none; to remove one, remove its record.
    #[error("the secret is empty")]
    Empty,
    /// The cipher takes no text of this length.
    #[error("the secret is too long")]
    TooLong,
}

/// Seals secrets and opens them.
pub(crate) struct Vault {
    key: Result<XChaCha20Poly1305, Locked>,
    ids: Arc<dyn Ids>,
}

impl Vault {
    /// Opens the vault of this data folder. The first time it makes the key. A key that is missing although
    /// something was sealed with it does not fail here but at each use, so that the rest of the program works;
    /// [`Self::problem`] tells.
    ///
    /// # Errors
    /// [`VaultError::Io`].
    pub(crate) fn open(dir: &Path, ids: Arc<dyn Ids>) -> Result<Self, VaultError> {
        let (key_file, check_file) = (dir.join(KEY_FILE), dir.join(CHECK_FILE));
        let check = read(&check_file)?;
        let mut text = read(&key_file)?;
        if text.is_none() && check.is_none() {
            let mut bytes = [0; 32];
            ids.fill(&mut bytes);
            write_new(&key_file, format!("{}\n", hex::encode(bytes)).as_bytes())?;
            // Read again: another copy of the program may have been quicker, and then its key counts.
            text = read(&key_file)?;
        }
        let key = match text {
            None => Err(Locked::KeyMissing),
            Some(text) => {
                keep_private(&key_file)?;
                cipher(&text).ok_or(Locked::KeyDamaged)
            }
        };
        let mut vault = Self { key, ids };
        if vault.key.is_ok() {
            match check {
                Some(check) if vault.open_sealed(CHECK, check.trim_end()).is_err() => {
                    vault.key = Err(Locked::ForeignKey);
                }
                Some(_) => {}
                None => write_new(&check_file, vault.seal(CHECK, CHECK)?.as_bytes())?,
            }
        }
        Ok(vault)
    }

    /// What keeps the key from others.
    pub(crate) fn protection(&self) -> Protection {
        Protection::File
    }

    /// Why no secret can be read or sealed, for people.
    pub(crate) fn problem(&self) -> Option<Locked> {
        self.key.as_ref().err().copied()
    }

    /// Seals a secret for the record of this name. Each call gives another text.
    ///
    /// # Errors
    /// [`VaultError::Empty`], [`VaultError::Locked`], [`VaultError::TooLong`].
    pub(crate) fn seal(&self, name: &str, plain: &str) -> Result<String, VaultError> {
        if Secret::new(plain).is_err() {
            return Err(VaultError::Empty);
        }
        let cipher = self.key.as_ref().map_err(|locked| *locked)?;
        let mut sealed = vec![0; NONCE];
        self.ids.fill(&mut sealed);
        let nonce = nonce(&sealed).ok_or(VaultError::TooLong)?;
        let payload = Payload {
            msg: plain.as_bytes(),
            aad: name.as_bytes(),
        };
        sealed.extend(cipher.encrypt(&nonce, payload).map_err(|_| VaultError::TooLong)?);
        Ok(format!("{FORMAT}{}", STANDARD.encode(sealed)))
    }

    /// Opens what [`Self::seal`] made for the record of this name.
    ///
    /// # Errors
    /// [`VaultError::Unreadable`], [`VaultError::Locked`]. Never an empty secret instead.
    pub(crate) fn open_sealed(&self, name: &str, sealed: &str) -> Result<Secret, VaultError> {
        let cipher = self.key.as_ref().map_err(|locked| *locked)?;
        unseal(cipher, name, sealed).ok_or_else(|| VaultError::Unreadable {
            name: name.to_owned(),
        })
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault")
            .field("problem", &self.problem())
            .finish_non_exhaustive()
    }
}

fn unseal(cipher: &XChaCha20Poly1305, name: &str, sealed: &str) -> Option<Secret> {
    let bytes = STANDARD.decode(sealed.strip_prefix(FORMAT)?).ok()?;
    let (nonce_bytes, ciphertext) = bytes.split_at_checked(NONCE)?;
    let payload = Payload {
        msg: ciphertext,
        aad: name.as_bytes(),
    };
    let plain = cipher.decrypt(&nonce(nonce_bytes)?, payload).ok()?;
    Secret::new(String::from_utf8(plain).ok()?).ok()
}

fn nonce(bytes: &[u8]) -> Option<XNonce> {
    <[u8; NONCE]>::try_from(bytes).ok().map(XNonce::from)
}

/// The key in the text of a key file: 64 hexadecimal digits.
fn cipher(text: &str) -> Option<XChaCha20Poly1305> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text.trim_end(), &mut bytes).ok()?;
    Some(XChaCha20Poly1305::new(&bytes.into()))
}

/// The text of a file, if there is such a file. Bytes that are no text are replaced: they are no key either.
fn read(path: &Path) -> Result<Option<String>, VaultError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(VaultError::Io {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Writes a file that only this user can read: in full or not at all, and never over one that is there.
fn write_new(path: &Path, bytes: &[u8]) -> Result<(), VaultError> {
    let failed = |source| VaultError::Io {
        path: path.to_owned(),
        source,
    };
    let draft = path.with_extension("new");
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&draft).map_err(failed)?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(failed)?;
    drop(file);
    // A link, unlike a renaming, fails if the name is taken. Some file systems know no links.
    let placed = match fs::hard_link(&draft, path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists && !path.exists() => {
            fs::rename(&draft, path)
        }
        _ => Ok(()),
    };
    placed.map_err(failed)?;
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    #[cfg(unix)]
    if let Some(dir) = path.parent() {
        fs::File::open(dir)
            .and_then(|dir| dir.sync_all())
            .map_err(failed)?;
    }
    Ok(())
}

/// Takes the file from everybody but its owner, in case a backup came back with other permissions.
#[cfg(unix)]
fn keep_private(path: &Path) -> Result<(), VaultError> {
    use std::os::unix::fs::PermissionsExt as _;
    let failed = |source| VaultError::Io {
        path: path.to_owned(),
        source,
    };
    let mode = fs::metadata(path).map_err(failed)?.permissions().mode();
    if mode & 0o077 != 0 {
        tracing::warn!(path = %path.display(), "the key file could be read by others; its permissions were narrowed");
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(failed)?;
    }
    Ok(())
}

/// Elsewhere the file has the permissions of the data folder.
#[cfg(not(unix))]
fn keep_private(_: &Path) -> Result<(), VaultError> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use countersign_domain::RandomIds;
    use tempfile::TempDir;

    use super::*;

    fn open(dir: &TempDir) -> Vault {
        Vault::open(dir.path(), Arc::new(RandomIds)).expect("the vault opens")
    }

    fn key_of(dir: &TempDir) -> String {
        fs::read_to_string(dir.path().join(KEY_FILE)).expect("there is a key")
    }

    #[test]
    fn what_was_sealed_opens_again_also_after_a_restart() {
        let dir = TempDir::new().unwrap();
        let vault = open(&dir);
        let sealed = vault.seal("flow/1", "whsec_tökén").unwrap();
        assert!(!sealed.contains("whsec"), "{sealed} shows the secret");
        assert_ne!(
            sealed,
            vault.seal("flow/1", "whsec_tökén").unwrap(),
            "each time under another nonce"
        );
        assert_eq!(
            open(&dir).open_sealed("flow/1", &sealed).unwrap().expose(),
            "whsec_tökén"
        );
        assert_eq!(
            (vault.problem(), vault.protection().to_string()),
            (None, "file".to_owned())
        );
    }

    #[test]
    fn a_sealed_text_is_bound_to_its_record_and_its_key() {
        let (dir, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let vault = open(&dir);
        let sealed = vault.seal("flow/1", "s3cret").unwrap();
        for (vault, name) in [(&vault, "flow/2"), (&open(&other), "flow/1")] {
            let error = vault.open_sealed(name, &sealed).unwrap_err();
            assert!(error.to_string().starts_with("cannot read secret"), "{error}");
        }
    }

    #[test]
    fn any_change_of_a_sealed_text_is_noticed() {
        let dir = TempDir::new().unwrap();
        let vault = open(&dir);
        let sealed = vault.seal("a", "s3cret").unwrap();
        let bytes = STANDARD.decode(&sealed[FORMAT.len()..]).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let changed = format!("{FORMAT}{}", STANDARD.encode(changed));
            assert!(
                vault.open_sealed("a", &changed).is_err(),
                "bit {bit} can be turned"
            );
        }
        for broken in [
            "",
            "v1.",
            "v1.AAAA",
            "s3cret",
            &sealed[FORMAT.len()..],
            &sealed[..sealed.len() - 4],
        ] {
            let error = vault.open_sealed("a", broken).unwrap_err();
            assert!(
                matches!(error, VaultError::Unreadable { .. }),
                "{broken:?}: {error:?}"
            );
        }
    }

    #[test]
    fn an_empty_secret_is_refused() {
        let dir = TempDir::new().unwrap();
        for plain in ["", "whsec_"] {
            assert!(
                matches!(open(&dir).seal("a", plain), Err(VaultError::Empty)),
                "{plain:?}"
            );
        }
    }

    #[test]
    fn a_lost_key_is_told_and_never_replaced() {
        let dir = TempDir::new().unwrap();
        let sealed = open(&dir).seal("a", "s3cret").unwrap();
        let key = key_of(&dir);
        fs::remove_file(dir.path().join(KEY_FILE)).unwrap();

        let vault = open(&dir);
        assert_eq!(vault.problem(), Some(Locked::KeyMissing));
        let error = vault.open_sealed("a", &sealed).unwrap_err();
        assert!(error.to_string().starts_with("cannot read secret"), "{error}");
        assert!(matches!(
            vault.seal("b", "new"),
            Err(VaultError::Locked(Locked::KeyMissing))
        ));
        assert!(!dir.path().join(KEY_FILE).exists(), "no new key was made");

        fs::write(dir.path().join(KEY_FILE), key).unwrap();
        assert_eq!(
            open(&dir).open_sealed("a", &sealed).unwrap().expose(),
            "s3cret",
            "the backup works"
        );
    }

    #[test]
    fn a_damaged_or_foreign_key_is_told_and_left_as_it_is() {
        let dir = TempDir::new().unwrap();
        let sealed = open(&dir).seal("a", "s3cret").unwrap();
        let key = key_of(&dir);
        let foreign = format!("{}\n", "ab".repeat(32));
        for (text, problem) in [
            ("", Locked::KeyDamaged),
            (&key[..40], Locked::KeyDamaged),
            ("no key at all", Locked::KeyDamaged),
            (foreign.as_str(), Locked::ForeignKey),
        ] {
            fs::write(dir.path().join(KEY_FILE), text).unwrap();
            let vault = open(&dir);
            assert_eq!(vault.problem(), Some(problem), "{text:?}");
            assert!(
                matches!(vault.open_sealed("a", &sealed), Err(VaultError::Locked(told)) if told == problem)
            );
            assert_eq!(key_of(&dir), text, "the file is not touched");
        }
        // Also before anything was sealed: what lies there may be somebody's key.
        fs::remove_file(dir.path().join(CHECK_FILE)).unwrap();
        fs::write(dir.path().join(KEY_FILE), "half").unwrap();
        assert_eq!(open(&dir).problem(), Some(Locked::KeyDamaged));
        assert_eq!(key_of(&dir), "half");
    }

    #[test]
    fn a_start_that_was_cut_off_is_made_good() {
        let dir = TempDir::new().unwrap();
        // Killed while the key was written: only the draft is there.
        fs::write(dir.path().join("secret.new"), "half a k").unwrap();
        let sealed = open(&dir).seal("a", "s3cret").unwrap();
        // Killed between key and check.
        fs::remove_file(dir.path().join(CHECK_FILE)).unwrap();
        assert_eq!(open(&dir).open_sealed("a", &sealed).unwrap().expose(), "s3cret");
        let mut files: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        assert_eq!(files, [CHECK_FILE, KEY_FILE], "nothing else is left behind");
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        let dir = TempDir::new().unwrap();
        let error = Vault::open(&dir.path().join("none"), Arc::new(RandomIds)).unwrap_err();
        assert!(matches!(error, VaultError::Io { .. }), "{error:?}");
    }

    #[test]
    fn debug_shows_no_key() {
        let dir = TempDir::new().unwrap();
        let text = format!("{:?}", open(&dir));
        assert!(!text.contains(key_of(&dir).trim_end()), "{text}");
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_can_read_the_files() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = TempDir::new().unwrap();
        let mode = |file| fs::metadata(dir.path().join(file)).unwrap().permissions().mode() & 0o777;
        open(&dir);
        assert_eq!((mode(KEY_FILE), mode(CHECK_FILE)), (0o600, 0o600));
        fs::set_permissions(dir.path().join(KEY_FILE), fs::Permissions::from_mode(0o644)).unwrap();
        open(&dir);
        assert_eq!(mode(KEY_FILE), 0o600, "narrowed again");
    }
}
