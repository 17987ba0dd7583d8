//! Secrets at rest (anchors: webhook security §6.1).
//!
//! One data key seals all secrets with XChaCha20-Poly1305; the name of the record is authenticated with it, so that
//! a sealed text is worth nothing in another record.
//!
//! Where the key lies is settled when the data folder is made, and stays so:
//! - in the keychain of the system, under an entry with a random name that `secret.place` notes, if writing and
//!   reading back work within [`LIMIT`];
//! - else in `secret.key`, which only this account can read; `secret.place` then notes why.
//!
//! A folder with a `secret.key` never asks the keychain. `secret.check` holds a known text sealed with the key. While
//! the check or the place is there, a missing or foreign key is told as such and no new one takes its place: that
//! would turn a lost key into lost secrets.

use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};
use countersign_domain::Ids;
use countersign_keychain::{Asked, Dialog, Keychain, LIMIT, SERVICE, Unavailable, ask, keep_and_read_back};
use countersign_signature::Secret;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

const KEY_FILE: &str = "secret.key";
const CHECK_FILE: &str = "secret.check";
const PLACE_FILE: &str = "secret.place";
/// The record name and the text of the check. No secret has such a name.
const CHECK: &str = ".check";
/// What sealed texts begin with; then standard base64 of nonce, ciphertext and tag.
const FORMAT: &str = "v1.";
const NONCE: usize = 24;
/// A keychain that could not be read is asked again when a secret is needed, but not more often than this,
const PAUSE: Duration = if cfg!(test) {
    Duration::from_millis(400)
} else {
    Duration::from_secs(5)
};
/// and whoever needs the secret waits for it only so long; the answer is then there for the next one.
const PATIENCE: Duration = Duration::from_millis(250);

/// What keeps the data key from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protection {
    /// The permissions of a file, and nothing else.
    File,
    /// The keychain of the system.
    Keychain,
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "file",
            Self::Keychain => "keychain",
        })
    }
}

/// Why there is no key to work with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
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
    /// The note says nothing that we know.
    #[error(
        "cannot read secret: the file secret.place in the data folder, which says where the key lies, is damaged. Put \
         it back from a backup; or delete it and secret.check to begin with a new key, and enter all secrets again"
    )]
    PlaceDamaged,
    /// The keychain may not be asked.
    #[error(
        "cannot read secret: the key lies in the keychain of the system, and --keychain off forbids to ask it. Start \
         without that setting"
    )]
    SwitchedOff,
    /// The keychain cannot be read now.
    #[error(
        "cannot read secret: the key lies in the keychain of the system, and {0}. Unlock the keychain; Countersign \
         notices by itself"
    )]
    Keychain(Unavailable),
    /// The keychain works, and the key is not in it.
    #[error(
        "cannot read secret: the keychain of the system has no entry “{0}” of {SERVICE}, in which the key lay. Put it \
         back from a backup of the keychain; or delete secret.place and secret.check from the data folder to begin \
         with a new key, and enter all secrets again"
    )]
    EntryMissing(String),
    /// The entry holds no key, or another one than the one that sealed the secrets.
    #[error(
        "cannot read secret: the entry “{0}” of {SERVICE} in the keychain of the system does not hold the key of these \
         secrets. Put it back from a backup of the keychain; or delete secret.place and secret.check from the data \
         folder to begin with a new key, and enter all secrets again"
    )]
    ForeignEntry(String),
}

impl Locked {
    /// The same as sentences of their own.
    pub(crate) fn advice(&self) -> String {
        format!("{}.", self.to_string().replacen("cannot", "Cannot", 1))
    }
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

impl VaultError {
    /// What to tell people: without a key what to do about that, else this.
    pub(crate) fn advice(&self, otherwise: &str) -> String {
        match self {
            Self::Locked(locked) => locked.advice(),
            _ => otherwise.to_owned(),
        }
    }
}

/// What `secret.place` notes.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "place", rename_all = "lowercase")]
enum Place {
    /// The key lies in the keychain.
    Keychain {
        /// Under this name.
        entry: String,
    },
    /// The key lies in its file; the note only says why.
    File {
        /// Why not in the keychain: a clause for people.
        because: String,
    },
}

/// Seals secrets and opens them.
pub(crate) struct Vault {
    key: OnceLock<XChaCha20Poly1305>,
    /// Why there is no key, while there is none.
    locked: Mutex<Option<Locked>>,
    protection: Protection,
    note: Option<String>,
    /// Where to ask again, if the key lies in the keychain.
    remote: Option<Remote>,
    check_file: PathBuf,
    ids: Arc<dyn Ids>,
}

/// The key in the keychain.
struct Remote {
    keychain: Arc<dyn Keychain>,
    entry: String,
    question: Mutex<Question>,
}

type Text = Zeroizing<Vec<u8>>;

enum Question {
    UnderWay(Asked<Option<Text>>),
    Over(Instant),
}

impl Vault {
    /// Opens the vault of this data folder. The first time it makes the key, and settles where it lies; without a
    /// keychain that is the file. It may block for a little more than [`LIMIT`].
    ///
    /// A key that cannot be had although something was sealed with it does not fail here but at each use, so that
    /// the rest of the program works; [`Self::problem`] tells.
    ///
    /// # Errors
    /// [`VaultError::Io`].
    pub(crate) fn open(
        dir: &Path,
        ids: Arc<dyn Ids>,
        keychain: Option<Arc<dyn Keychain>>,
    ) -> Result<Self, VaultError> {
        let [key_file, check_file, place_file] =
            [KEY_FILE, CHECK_FILE, PLACE_FILE].map(|name| dir.join(name));
        let checked = read(&check_file)?.is_some();
        let mut text = read(&key_file)?;
        let mut place = read(&place_file)?.map(|text| serde_json::from_str::<Place>(&text));
        let in_file = matches!(place, None | Some(Ok(Place::File { .. })));
        if text.is_none() && in_file && !checked {
            place = first_place(&place_file, ids.as_ref(), keychain.as_ref())?.map(Ok);
            if !matches!(place, Some(Ok(Place::Keychain { .. }))) {
                write_new(&key_file, new_key(ids.as_ref()).as_bytes())?;
                // Read again: another copy of the program may have been quicker, and then its key counts.
                text = read(&key_file)?;
            }
        }

        let mut vault = Self {
            key: OnceLock::new(),
            locked: Mutex::new(None),
            protection: Protection::File,
            note: None,
            remote: None,
            check_file,
            ids,
        };
        match (text, place) {
            (Some(text), place) => {
                keep_private(&key_file)?;
                if let Some(Ok(Place::File { because })) = place {
                    vault.note = Some(because);
                }
                match cipher(text.as_bytes()) {
                    Some(key) => vault.take(key, Locked::ForeignKey)?,
                    None => vault.lock(Locked::KeyDamaged),
                }
            }
            (None, None | Some(Ok(Place::File { .. }))) => vault.lock(Locked::KeyMissing),
            (None, Some(Err(_))) => vault.lock(Locked::PlaceDamaged),
            (None, Some(Ok(Place::Keychain { entry }))) => {
                vault.protection = Protection::Keychain;
                match keychain {
                    None => vault.lock(Locked::SwitchedOff),
                    Some(keychain) => {
                        // The person is asked once, by the system's dialog at the start, and later never again.
                        let question = Question::UnderWay(question(&keychain, &entry, Dialog::Allowed));
                        vault.lock(Locked::Keychain(Unavailable::Hanging));
                        vault.remote = Some(Remote {
                            keychain,
                            entry,
                            question: Mutex::new(question),
                        });
                        vault.ask_keychain(LIMIT)?;
                    }
                }
            }
        }
        Ok(vault)
    }

    /// What keeps the key from others.
    pub(crate) fn protection(&self) -> Protection {
        self.protection
    }

    /// Why the key is in a file and not in the keychain, if that is known: a clause for people.
    pub(crate) fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// Why no secret can be read or sealed, for people. A keychain is asked again first.
    pub(crate) fn problem(&self) -> Option<Locked> {
        self.key().err()
    }

    /// Takes this key, if it is the one that sealed the check. Without a check it makes one.
    fn take(&self, key: XChaCha20Poly1305, foreign: Locked) -> Result<(), VaultError> {
        match read(&self.check_file)? {
            Some(check) if unseal(&key, CHECK, check.trim_end()).is_none() => {
                self.lock(foreign);
                return Ok(());
            }
            Some(_) => {}
            None => {
                let check = seal(&key, CHECK, CHECK, self.ids.as_ref()).ok_or(VaultError::TooLong)?;
                write_new(&self.check_file, check.as_bytes())?;
            }
        }
        // Another thread may have been quicker, with the same key.
        let _ = self.key.set(key);
        *self.locked.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(())
    }

    fn lock(&self, why: Locked) {
        *self.locked.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
    }

    /// The key; a keychain that could not be read before is asked again.
    fn key(&self) -> Result<&XChaCha20Poly1305, Locked> {
        if let Some(key) = self.key.get() {
            return Ok(key);
        }
        if let Err(error) = self.ask_keychain(PATIENCE) {
            tracing::error!(%error, "the key from the keychain cannot be checked");
        }
        self.key.get().ok_or_else(|| {
            let locked = self.locked.lock().unwrap_or_else(PoisonError::into_inner);
            locked.clone().unwrap_or(Locked::Keychain(Unavailable::Hanging))
        })
    }

    /// Waits so long for what the keychain says, if it is one's turn.
    fn ask_keychain(&self, patience: Duration) -> Result<(), VaultError> {
        let Some(remote) = &self.remote else {
            return Ok(());
        };
        let Some(answer) = remote.answer(patience) else {
            return Ok(());
        };
        match answer {
            Err(why) => self.lock(Locked::Keychain(why)),
            Ok(None) => self.lock(Locked::EntryMissing(remote.entry.clone())),
            Ok(Some(text)) => match cipher(&text) {
                None => self.lock(Locked::ForeignEntry(remote.entry.clone())),
                Some(key) => {
                    self.take(key, Locked::ForeignEntry(remote.entry.clone()))?;
                }
            },
        }
        if let Some(problem) = &*self.locked.lock().unwrap_or_else(PoisonError::into_inner) {
            tracing::warn!(%problem, "the key of the secrets cannot be had");
        }
        Ok(())
    }

    /// Seals a secret for the record of this name. Each call gives another text.
    ///
    /// # Errors
    /// [`VaultError::Empty`], [`VaultError::Locked`], [`VaultError::TooLong`].
    pub(crate) fn seal(&self, name: &str, plain: &str) -> Result<String, VaultError> {
        if Secret::new(plain).is_err() {
            return Err(VaultError::Empty);
        }
        seal(self.key()?, name, plain, self.ids.as_ref()).ok_or(VaultError::TooLong)
    }

    /// Whether there is a key now. Asks nobody for it.
    pub(crate) fn is_open(&self) -> bool {
        self.key.get().is_some()
    }

    /// Opens what [`Self::seal`] made for the record of this name.
    ///
    /// # Errors
    /// [`VaultError::Unreadable`], [`VaultError::Locked`]. Never an empty secret instead.
    pub(crate) fn open_sealed(&self, name: &str, sealed: &str) -> Result<Secret, VaultError> {
        unseal(self.key()?, name, sealed).ok_or_else(|| VaultError::Unreadable {
            name: name.to_owned(),
        })
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault")
            .field("protection", &self.protection)
            .field("open", &self.is_open())
            .finish_non_exhaustive()
    }
}

impl Remote {
    /// The answer to the question that is under way, if it comes in time. If none is, and the last one is long
    /// enough ago, the keychain is asked again.
    fn answer(&self, patience: Duration) -> Option<Result<Option<Text>, Unavailable>> {
        // Somebody else is waiting for it already; what comes is for all.
        let mut current = self.question.try_lock().ok()?;
        if let Question::Over(when) = &*current {
            if when.elapsed() < PAUSE {
                return None;
            }
            *current = Question::UnderWay(question(&self.keychain, &self.entry, Dialog::Never));
        }
        let Question::UnderWay(asked) = &*current else {
            return None;
        };
        let answer = asked.wait(patience)?;
        *current = Question::Over(Instant::now());
        Some(answer)
    }
}

fn question(keychain: &Arc<dyn Keychain>, entry: &str, dialog: Dialog) -> Asked<Option<Text>> {
    let entry = entry.to_owned();
    ask(keychain.clone(), move |keychain| keychain.read(&entry, dialog))
}

/// Settles where the key of a new data folder lies. If that is the keychain, the key is in it afterwards, and noted;
/// without a keychain there is nothing to note.
fn first_place(
    place_file: &Path,
    ids: &dyn Ids,
    keychain: Option<&Arc<dyn Keychain>>,
) -> Result<Option<Place>, VaultError> {
    // A note of an earlier beginning, whose file was given up.
    remove(place_file)?;
    let Some(keychain) = keychain else {
        return Ok(None);
    };
    let entry = ids.random().to_string();
    let text = new_key(ids);
    let asked = {
        let entry = entry.clone();
        ask(keychain.clone(), move |keychain| {
            keep_and_read_back(keychain, &entry, text.trim_end().as_bytes())
        })
    };
    let place = match asked.wait(LIMIT).unwrap_or(Err(Unavailable::Hanging)) {
        Ok(()) => Place::Keychain { entry },
        Err(why) => {
            tracing::info!(%why, "the key of the secrets is kept in a file");
            Place::File {
                because: why.to_string(),
            }
        }
    };
    let text = serde_json::to_string(&place).unwrap_or_default();
    write_new(place_file, format!("{text}\n").as_bytes())?;
    Ok(Some(place))
}

/// A key as it is kept: 64 hexadecimal digits and the end of the line.
fn new_key(ids: &dyn Ids) -> Zeroizing<String> {
    let mut bytes = Zeroizing::new([0; 32]);
    ids.fill(bytes.as_mut());
    let mut text = Zeroizing::new(hex::encode(bytes.as_ref()));
    text.push('\n');
    text
}

fn seal(cipher: &XChaCha20Poly1305, name: &str, plain: &str, ids: &dyn Ids) -> Option<String> {
    let mut sealed = vec![0; NONCE];
    ids.fill(&mut sealed);
    let nonce = nonce(&sealed)?;
    let payload = Payload {
        msg: plain.as_bytes(),
        aad: name.as_bytes(),
    };
    sealed.extend(cipher.encrypt(&nonce, payload).ok()?);
    Some(format!("{FORMAT}{}", STANDARD.encode(sealed)))
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

/// The key in the text of a key file or an entry: 64 hexadecimal digits.
fn cipher(text: &[u8]) -> Option<XChaCha20Poly1305> {
    let mut bytes = Zeroizing::new([0; 32]);
    hex::decode_to_slice(text.trim_ascii_end(), bytes.as_mut()).ok()?;
    XChaCha20Poly1305::new_from_slice(bytes.as_ref()).ok()
}

/// The text of a file, if there is such a file. Bytes that are no text are replaced: they are no key either.
fn read(path: &Path) -> Result<Option<String>, VaultError> {
    // A link would lead to a file of somebody else's, whose text is no key and whose rights are not ours to change.
    let plain = fs::symlink_metadata(path).and_then(|found| match found.is_file() {
        true => Ok(()),
        false => Err(io::Error::other(
            "it is a link or no file; put the file itself there",
        )),
    });
    match plain.and_then(|()| fs::read(path)) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(VaultError::Io {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Removes a file, if there is such a file.
fn remove(path: &Path) -> Result<(), VaultError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(VaultError::Io {
            path: path.to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}

/// Writes a file that only this user can read: in full or not at all, and never over one that is there.
fn write_new(path: &Path, bytes: &[u8]) -> Result<(), VaultError> {
    let failed = |source| VaultError::Io {
        path: path.to_owned(),
        source,
    };
    let draft = path.with_extension("new");
    remove(&draft)?;
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
    remove(&draft)?;
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
    let found = fs::symlink_metadata(path).map_err(failed)?;
    if !found.is_file() {
        return Err(failed(io::Error::other("it is a link or no file")));
    }
    let mode = found.permissions().mode();
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
    use countersign_keychain::{InMemory, Mood};
    use tempfile::TempDir;

    use super::*;

    fn open(dir: &TempDir) -> Vault {
        Vault::open(dir.path(), Arc::new(RandomIds), None).expect("the vault opens")
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
            assert_eq!(vault.problem().as_ref(), Some(&problem), "{text:?}");
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
        let error = Vault::open(&dir.path().join("none"), Arc::new(RandomIds), None).unwrap_err();
        assert!(matches!(error, VaultError::Io { .. }), "{error:?}");
    }

    #[test]
    fn debug_shows_no_key() {
        let dir = TempDir::new().unwrap();
        let text = format!("{:?}", open(&dir));
        assert!(!text.contains(key_of(&dir).trim_end()), "{text}");
    }

    fn open_with(dir: &TempDir, keychain: &Arc<InMemory>) -> Vault {
        let keychain: Arc<dyn Keychain> = keychain.clone();
        Vault::open(dir.path(), Arc::new(RandomIds), Some(keychain)).expect("the vault opens")
    }

    fn files(dir: &TempDir) -> Vec<String> {
        let entries = fs::read_dir(dir.path()).unwrap();
        let mut files: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        files
    }

    /// A folder whose key lies in the keychain, a secret sealed there, and the entry with the key.
    fn kept_in_keychain(keychain: &Arc<InMemory>) -> (TempDir, String, String) {
        let dir = TempDir::new().unwrap();
        let sealed = open_with(&dir, keychain).seal("a", "s3cret").unwrap();
        let place: serde_json::Value =
            serde_json::from_str(&fs::read_to_string(dir.path().join(PLACE_FILE)).unwrap()).unwrap();
        let entry = place["entry"]
            .as_str()
            .expect("the place names an entry")
            .to_owned();
        (dir, sealed, entry)
    }

    fn opens(vault: &Vault, sealed: &str) -> bool {
        vault
            .open_sealed("a", sealed)
            .is_ok_and(|secret| secret.expose() == "s3cret")
    }

    #[test]
    fn a_keychain_that_works_keeps_the_key_and_the_folder_keeps_none() {
        let keychain = Arc::new(InMemory::default());
        let (dir, sealed, entry) = kept_in_keychain(&keychain);
        assert_eq!(files(&dir), [CHECK_FILE, PLACE_FILE], "no key file");
        let kept = keychain.entries();
        assert_eq!(kept.keys().collect::<Vec<_>>(), [&entry]);
        assert!(cipher(&kept[&entry]).is_some(), "it holds a key");

        let again = open_with(&dir, &keychain);
        assert!(opens(&again, &sealed));
        assert_eq!(
            (again.protection(), again.note(), again.problem()),
            (Protection::Keychain, None, None)
        );
        assert_eq!(keychain.entries(), kept, "nothing was written again");

        // Another folder has another key in the same keychain.
        let (other, _, other_entry) = kept_in_keychain(&keychain);
        assert_ne!(entry, other_entry);
        assert!(!opens(&open_with(&other, &keychain), &sealed));
    }

    #[test]
    fn a_folder_with_a_key_file_does_not_ask_the_keychain() {
        let dir = TempDir::new().unwrap();
        let sealed = open(&dir).seal("a", "s3cret").unwrap();
        let keychain = Arc::new(InMemory::default());
        let vault = open_with(&dir, &keychain);
        assert!(opens(&vault, &sealed));
        assert_eq!(vault.protection(), Protection::File);
        assert_eq!(keychain.asked(), []);

        // Nor if the file was lost, and put back later.
        let key = key_of(&dir);
        fs::remove_file(dir.path().join(KEY_FILE)).unwrap();
        assert_eq!(open_with(&dir, &keychain).problem(), Some(Locked::KeyMissing));
        fs::write(dir.path().join(KEY_FILE), key).unwrap();
        assert!(opens(&open_with(&dir, &keychain), &sealed));
        assert_eq!(keychain.asked(), []);
        assert_eq!(files(&dir), [CHECK_FILE, KEY_FILE]);
    }

    #[test]
    fn a_keychain_that_does_not_work_leaves_the_key_to_a_file_and_the_reason_is_kept() {
        for mood in [
            Mood::Fails(Unavailable::NoBus),
            Mood::Fails(Unavailable::Locked),
            Mood::Garbles,
        ] {
            let dir = TempDir::new().unwrap();
            let keychain = Arc::new(InMemory::in_mood(mood.clone()));
            let vault = open_with(&dir, &keychain);
            assert_eq!(
                (vault.protection(), vault.problem()),
                (Protection::File, None),
                "{mood:?}"
            );
            let because = match mood {
                Mood::Fails(why) => why,
                _ => Unavailable::Forgetful,
            };
            assert_eq!(vault.note(), Some(because.to_string().as_str()));
            let sealed = vault.seal("a", "s3cret").unwrap();
            assert_eq!(files(&dir), [CHECK_FILE, KEY_FILE, PLACE_FILE]);
            assert!(
                keychain.asked().iter().all(|dialog| *dialog == Dialog::Never),
                "a first start opens no dialog"
            );

            // It stays there, also when the keychain works later.
            keychain.change_mood(Mood::Works);
            let asked = keychain.asked().len();
            let again = open_with(&dir, &keychain);
            assert!(opens(&again, &sealed));
            assert_eq!(again.note(), Some(because.to_string().as_str()));
            assert_eq!(keychain.asked().len(), asked, "it is not asked again");
        }
    }

    #[test]
    fn a_keychain_that_hangs_costs_three_seconds_once() {
        let dir = TempDir::new().unwrap();
        let keychain = Arc::new(InMemory::in_mood(Mood::Hangs));
        let begun = Instant::now();
        let vault = open_with(&dir, &keychain);
        assert!(begun.elapsed() >= LIMIT && begun.elapsed() < LIMIT + Duration::from_secs(1));
        assert_eq!(vault.protection(), Protection::File);
        assert_eq!(vault.note(), Some(Unavailable::Hanging.to_string().as_str()));
        let sealed = vault.seal("a", "s3cret").unwrap();
        let key = key_of(&dir);
        // What it does when it wakes up is of no account.
        keychain.change_mood(Mood::Works);
        let again = open_with(&dir, &keychain);
        assert!(opens(&again, &sealed) && key_of(&dir) == key);
    }

    #[test]
    fn a_locked_keychain_is_told_and_the_vault_opens_when_it_is_unlocked() {
        let keychain = Arc::new(InMemory::default());
        let (dir, sealed, _) = kept_in_keychain(&keychain);
        let kept = keychain.entries();
        keychain.change_mood(Mood::Fails(Unavailable::Locked));
        let before = keychain.asked().len();
        let vault = open_with(&dir, &keychain);
        assert_eq!(vault.protection(), Protection::Keychain);
        for _ in 0..20 {
            let error = vault.open_sealed("a", &sealed).unwrap_err().to_string();
            assert!(
                error.starts_with("cannot read secret") && error.contains("locked"),
                "{error}"
            );
            assert!(vault.seal("b", "new").is_err());
        }
        assert_eq!(
            keychain.asked()[before..],
            [Dialog::Allowed],
            "one dialog at the start, and no storm of questions"
        );
        std::thread::sleep(PAUSE);
        assert_eq!(vault.problem(), Some(Locked::Keychain(Unavailable::Locked)));
        assert_eq!(keychain.asked()[before..], [Dialog::Allowed, Dialog::Never]);

        keychain.change_mood(Mood::Works);
        std::thread::sleep(PAUSE);
        assert!(opens(&vault, &sealed), "without a restart");
        assert_eq!(vault.problem(), None);
        assert_eq!(keychain.entries(), kept, "no key was made");
        assert_eq!(files(&dir), [CHECK_FILE, PLACE_FILE]);
    }

    #[test]
    fn an_answer_that_comes_late_counts_too() {
        let keychain = Arc::new(InMemory::default());
        let (dir, sealed, _) = kept_in_keychain(&keychain);
        keychain.change_mood(Mood::Hangs);
        let begun = Instant::now();
        let vault = open_with(&dir, &keychain);
        assert!(begun.elapsed() < LIMIT + Duration::from_secs(1));
        let begun = Instant::now();
        assert_eq!(vault.problem(), Some(Locked::Keychain(Unavailable::Hanging)));
        assert!(
            begun.elapsed() < Duration::from_secs(2),
            "a use waits only a moment"
        );
        // As if somebody typed the password into the dialog.
        keychain.change_mood(Mood::Works);
        std::thread::sleep(Duration::from_millis(100));
        assert!(opens(&vault, &sealed));
    }

    #[test]
    fn a_missing_or_foreign_entry_is_told_and_left_as_it_is() {
        let keychain = Arc::new(InMemory::default());
        let (dir, sealed, entry) = kept_in_keychain(&keychain);
        let key = keychain.entries()[&entry].clone();
        let foreign = "ab".repeat(32);
        let missing = Locked::EntryMissing(entry.clone());
        let wrong = Locked::ForeignEntry(entry.clone());
        for (text, problem) in [
            (None, missing),
            (Some(foreign.as_bytes()), wrong.clone()),
            (Some(b"no key".as_slice()), wrong.clone()),
            (Some(b"".as_slice()), wrong),
        ] {
            keychain.put(&entry, text);
            let before = keychain.entries();
            let vault = open_with(&dir, &keychain);
            assert_eq!(vault.problem().as_ref(), Some(&problem), "{text:?}");
            assert!(problem.to_string().contains(&entry));
            assert!(
                matches!(vault.open_sealed("a", &sealed), Err(VaultError::Locked(told)) if told == problem)
            );
            assert!(vault.seal("b", "new").is_err());
            assert_eq!(keychain.entries(), before, "the keychain is not touched");
            assert_eq!(files(&dir), [CHECK_FILE, PLACE_FILE]);
        }
        // Not even without the check: the place says that there was a key.
        keychain.put(&entry, None);
        fs::remove_file(dir.path().join(CHECK_FILE)).unwrap();
        assert!(open_with(&dir, &keychain).problem().is_some());
        assert!(keychain.entries().is_empty());
        keychain.put(&entry, Some(&key));
        assert!(opens(&open_with(&dir, &keychain), &sealed), "put back");
    }

    #[test]
    fn a_keychain_that_is_switched_off_is_not_asked() {
        let keychain = Arc::new(InMemory::default());
        let (dir, sealed, entry) = kept_in_keychain(&keychain);
        let before = keychain.asked().len();
        let vault = open(&dir);
        assert_eq!(
            (vault.protection(), vault.problem()),
            (Protection::Keychain, Some(Locked::SwitchedOff))
        );
        assert_eq!(keychain.asked().len(), before);
        // The way out: the key as a file, as the README says.
        fs::write(dir.path().join(KEY_FILE), &keychain.entries()[&entry]).unwrap();
        let vault = open(&dir);
        assert!(opens(&vault, &sealed));
        assert_eq!(vault.protection(), Protection::File);
    }

    #[test]
    fn a_damaged_place_is_told_and_no_key_is_made() {
        let keychain = Arc::new(InMemory::default());
        let (dir, sealed, _) = kept_in_keychain(&keychain);
        let place = fs::read(dir.path().join(PLACE_FILE)).unwrap();
        for damaged in [&b""[..], &place[..20], br#"{"place":"elsewhere"}"#] {
            fs::write(dir.path().join(PLACE_FILE), damaged).unwrap();
            assert_eq!(open_with(&dir, &keychain).problem(), Some(Locked::PlaceDamaged));
            fs::rename(dir.path().join(CHECK_FILE), dir.path().join("aside")).unwrap();
            assert_eq!(open_with(&dir, &keychain).problem(), Some(Locked::PlaceDamaged));
            fs::rename(dir.path().join("aside"), dir.path().join(CHECK_FILE)).unwrap();
        }
        assert_eq!(keychain.entries().len(), 1);
        fs::write(dir.path().join(PLACE_FILE), place).unwrap();
        assert!(opens(&open_with(&dir, &keychain), &sealed));
    }

    #[test]
    fn a_first_start_that_was_cut_off_is_made_good() {
        // Killed before the place was noted: nothing was sealed with that key yet.
        let keychain = Arc::new(InMemory::default());
        keychain.put("left behind", Some(b"somebody's key"));
        let (dir, sealed, entry) = kept_in_keychain(&keychain);
        assert_eq!(keychain.entries().len(), 2);
        // Killed between place and check.
        fs::remove_file(dir.path().join(CHECK_FILE)).unwrap();
        assert!(opens(&open_with(&dir, &keychain), &sealed));
        assert!(keychain.entries().contains_key(&entry));
        // Killed between the note why not and the key file.
        let dir = TempDir::new().unwrap();
        fs::write(
            dir.path().join(PLACE_FILE),
            r#"{"place":"file","because":"of old"}"#,
        )
        .unwrap();
        let vault = open_with(&dir, &keychain);
        assert_eq!(
            (vault.protection(), vault.problem()),
            (Protection::Keychain, None)
        );
        let dir = TempDir::new().unwrap();
        fs::write(
            dir.path().join(PLACE_FILE),
            r#"{"place":"file","because":"of old"}"#,
        )
        .unwrap();
        assert_eq!(open(&dir).note(), None, "the old reason is gone");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_neither_followed_nor_replaced() {
        use std::os::unix::fs::PermissionsExt as _;
        for file in [KEY_FILE, CHECK_FILE, PLACE_FILE] {
            let dir = TempDir::new().unwrap();
            open(&dir);
            let outside = dir.path().join("outside");
            let inside = dir.path().join(file);
            match fs::rename(&inside, &outside) {
                Ok(()) => {}
                Err(_) => fs::write(&outside, r#"{"place":"file","because":"of old"}"#).unwrap(),
            }
            fs::set_permissions(&outside, fs::Permissions::from_mode(0o644)).unwrap();
            std::os::unix::fs::symlink(&outside, &inside).unwrap();
            let before = fs::read(&outside).unwrap();
            let opened = Vault::open(dir.path(), Arc::new(RandomIds), None);
            let error = opened
                .err()
                .unwrap_or_else(|| panic!("{file}: a link was followed"));
            assert!(
                std::error::Error::source(&error).is_some_and(|why| why.to_string().contains("link")),
                "{file}: {error:?}"
            );
            assert_eq!(fs::read(&outside).unwrap(), before, "{file}");
            assert_eq!(
                fs::metadata(&outside).unwrap().permissions().mode() & 0o777,
                0o644,
                "{file}: its rights stay"
            );
        }
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_can_read_the_files() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = TempDir::new().unwrap();
        let mode = |file| fs::metadata(dir.path().join(file)).unwrap().permissions().mode() & 0o777;
        open(&dir);
        assert_eq!((mode(KEY_FILE), mode(CHECK_FILE)), (0o600, 0o600));
        let (in_keychain, _, _) = kept_in_keychain(&Arc::new(InMemory::default()));
        let place = fs::metadata(in_keychain.path().join(PLACE_FILE)).unwrap();
        assert_eq!(place.permissions().mode() & 0o777, 0o600);
        fs::set_permissions(dir.path().join(KEY_FILE), fs::Permissions::from_mode(0o644)).unwrap();
        open(&dir);
        assert_eq!(mode(KEY_FILE), 0o600, "narrowed again");
    }
}
