//! Large values: one file each, named by the SHA-256 of its bytes.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

use crate::{StoreError, disk, key};

/// SHA-256 of a blob file's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct BlobHash(pub(crate) [u8; 32]);

impl BlobHash {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

/// The folder of blob files.
#[derive(Debug)]
pub(crate) struct Blobs {
    dir: PathBuf,
    temporary: AtomicU64,
    /// Files that a commit under way relies on, and by how many. They are not removed, even if the last stored
    /// value that named them goes away meanwhile.
    pins: Mutex<HashMap<BlobHash, usize>>,
}

impl Blobs {
    pub(crate) fn open(dir: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&dir)?;
        for entry in fs::read_dir(&dir)? {
            let entry = entry?;
            if entry.path().extension().is_some_and(|end| end == "tmp") {
                // Never renamed, so no value was ever acknowledged with it.
                fs::remove_file(entry.path())?;
            }
        }
        Ok(Self {
            dir,
            temporary: AtomicU64::new(0),
            pins: Mutex::default(),
        })
    }

    fn path(&self, hash: &BlobHash) -> PathBuf {
        self.dir.join(hex::encode(hash.0))
    }

    /// Keeps the file from being removed until [`Self::unpin`].
    pub(crate) fn pin(&self, hash: BlobHash) {
        *self
            .pins
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(hash)
            .or_default() += 1;
    }

    pub(crate) fn unpin(&self, hash: BlobHash) {
        let mut pins = self.pins.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = pins.get_mut(&hash) {
            *count -= 1;
            if *count == 0 {
                pins.remove(&hash);
            }
        }
    }

    /// Writes and syncs the file under its name. [`Self::sync`] has to follow.
    pub(crate) fn write(&self, hash: &BlobHash, bytes: &[u8]) -> io::Result<()> {
        let path = self.path(hash);
        // The whole file is compared, so that a damaged one is written again.
        if fs::read(&path).is_ok_and(|found| found == bytes) {
            return Ok(());
        }
        let number = self.temporary.fetch_add(1, Ordering::Relaxed);
        let temporary = self.dir.join(format!("{number}.tmp"));
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        drop(file);
        fs::rename(&temporary, &path)
    }

    /// Makes the names of the files written so far durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        disk::sync_folder(&self.dir)
    }

    /// Removes a file that no stored value names any more, unless a commit under way needs it.
    pub(crate) fn remove(&self, hash: &BlobHash) -> io::Result<()> {
        let pins = self.pins.lock().unwrap_or_else(PoisonError::into_inner);
        if pins.contains_key(hash) {
            return Ok(());
        }
        match fs::remove_file(self.path(hash)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Whether the files are there and have this length together. Does not read them.
    pub(crate) fn are_there(&self, hashes: &[BlobHash], length: u64) -> bool {
        let found = hashes.iter().map(|hash| fs::metadata(self.path(hash)));
        let found = found.map(|found| found.map(|found| found.len()));
        found.sum::<io::Result<u64>>().is_ok_and(|found| found == length)
    }

    /// The bytes of the files, one after the other; `None` if one of them is not there.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if the length of all or the hash of one differs.
    pub(crate) fn read(
        &self,
        for_key: &[u8],
        hashes: &[BlobHash],
        length: u64,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let damaged = || StoreError::Damaged {
            key: key::describe(for_key),
        };
        let mut all = Vec::new();
        for hash in hashes {
            let bytes = match fs::read(self.path(hash)) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error.into()),
            };
            if BlobHash::of(&bytes) != *hash {
                return Err(damaged());
            }
            match hashes.len() {
                1 => all = bytes,
                _ => all.extend_from_slice(&bytes),
            }
        }
        if all.len() as u64 != length {
            return Err(damaged());
        }
        Ok(Some(all))
    }
}
