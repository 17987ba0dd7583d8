//! Out of a damaged tree into a new one.
//!
//! sled opens many damaged files with records missing and no error, and then walks and lookups no longer agree
//! (a walk that misses keys which a lookup finds). Such a tree is not written to any more: what can be read is
//! copied to a new one, and the old one is set aside.

use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use crate::disk;
use crate::error::EngineError;

const PART: usize = 500;

fn new_path(path: &Path) -> PathBuf {
    path.with_extension("new")
}

/// Ends a repair that was interrupted after the damaged tree was set aside; begins one anew that was interrupted
/// before.
pub(crate) fn finish(path: &Path) -> io::Result<()> {
    let new = new_path(path);
    if !new.exists() {
        return Ok(());
    }
    if path.exists() {
        fs::remove_dir_all(&new)
    } else {
        fs::rename(&new, path)
    }
}

/// Copies what can be read and puts the copy in the place of the original.
pub(crate) fn salvage(old: sled::Db, path: &Path, stamp: &str, repairs: &mut Vec<String>) -> io::Result<()> {
    let new = new_path(path);
    let to = sled::Config::new().path(&new).open().map_err(engine)?;
    // From both ends: what stops a walk in one direction may lie behind everything else in the other.
    for backwards in [false, true] {
        let copied = catch_unwind(AssertUnwindSafe(|| copy(&old, &to, backwards)));
        if let Ok(Err(CopyError::Write(error))) = copied {
            return Err(engine(error));
        }
    }
    let records = to.len();
    to.flush().map_err(engine)?;
    drop(to);
    fs::File::options()
        .read(true)
        .write(true)
        .open(new.join("db"))?
        .sync_all()?;
    disk::sync_folder(&new)?;
    // Dropping a damaged tree may panic as well.
    let _ = catch_unwind(AssertUnwindSafe(move || drop(old)));
    let aside = path.with_extension(format!("damaged-{stamp}"));
    fs::rename(path, &aside)?;
    fs::rename(&new, path)?;
    if let Some(parent) = path.parent() {
        disk::sync_folder(parent)?;
    }
    repairs.push(format!(
        "the database has lost or damaged something that waits; its {records} readable values were copied to a new \
         one, and it was set aside as {}",
        aside.display()
    ));
    Ok(())
}

/// An error of sled's among those of the system, in words for people.
fn engine(error: sled::Error) -> io::Error {
    io::Error::other(EngineError(error))
}

enum CopyError {
    Read,
    Write(sled::Error),
}

fn copy(from: &sled::Db, to: &sled::Db, backwards: bool) -> Result<(), CopyError> {
    let mut walk = from.iter();
    let mut batch = sled::Batch::default();
    let mut size = 0;
    let mut last: Option<sled::IVec> = None;
    let end = loop {
        let next = if backwards { walk.next_back() } else { walk.next() };
        match next {
            Some(Ok((key, value))) => {
                // A walk over a damaged tree may go round in circles.
                if last.is_some_and(|last| if backwards { key >= last } else { key <= last }) {
                    break Err(CopyError::Read);
                }
                last = Some(key.clone());
                if to.contains_key(&key).map_err(CopyError::Write)? {
                    continue;
                }
                batch.insert(key, value);
                size += 1;
                if size == PART {
                    to.apply_batch(std::mem::take(&mut batch))
                        .map_err(CopyError::Write)?;
                    size = 0;
                }
            }
            Some(Err(_)) => break Err(CopyError::Read),
            None => break Ok(()),
        }
    };
    to.apply_batch(batch).map_err(CopyError::Write)?;
    end
}
