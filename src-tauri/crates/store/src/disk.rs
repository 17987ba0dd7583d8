//! The file system calls that differ between systems.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::OpenError;
#[cfg(unix)]
use crate::journal::JOURNAL_FILE;
#[cfg(unix)]
use crate::open::{ENGINE, LOCK_FILE};

/// Makes new names in this folder durable. Only Unix has the call; elsewhere the file system does it itself.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(path)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// What a path is to a program that wants its data there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FolderState {
    /// Nothing is there; opening makes the folder.
    Missing,
    /// Others may use it too, but only this program does; opening takes it away from them.
    Open,
    /// Nobody else may use it.
    Private,
}

/// Looks whether a data folder could be opened there, and changes nothing. One that others can use and that is not
/// this program's is refused: narrowing it would take its files from whoever uses them.
///
/// # Errors
/// Why opening would refuse it, as [`Store::open`](crate::Store::open) says it.
pub fn look_at_folder(path: &Path) -> Result<FolderState, OpenError> {
    state_of(path).map_err(|error| OpenError::io("set up", path, error))
}

fn state_of(path: &Path) -> io::Result<FolderState> {
    let found = match std::fs::metadata(path) {
        Ok(found) => found,
        // A link that leads nowhere is there.
        Err(error) if error.kind() == io::ErrorKind::NotFound && path.symlink_metadata().is_err() => {
            return Ok(FolderState::Missing);
        }
        Err(error) => return Err(error),
    };
    if !found.is_dir() {
        return Err(io::Error::other("it is not a folder; name another one"));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, PermissionsExt};
        let mode = found.permissions().mode() & 0o7777;
        let refuse = |why: &str| Err(io::Error::other(why));
        let user = own_user();
        let of_others = user.is_some_and(|user| user != found.uid());
        let others_may = mode & 0o077 != 0;
        // Root may do everything everywhere.
        if of_others && !others_may && user != Some(0) {
            return refuse("it belongs to somebody else; name a folder of its own");
        }
        if mode & 0o700 != 0o700 {
            return refuse("nothing may be written to it; give yourself that right");
        }
        if !others_may {
            return Ok(FolderState::Private);
        }
        if mode & 0o1000 != 0 {
            return refuse("it is shared by everybody; name a folder of its own");
        }
        if of_others {
            return refuse("others may use it, and it belongs to somebody else; name a folder of its own");
        }
        if !is_ours(path) && std::fs::read_dir(path)?.next().is_some() {
            return refuse("others may use it, and other files lie in it; name a folder of its own");
        }
        Ok(FolderState::Open)
    }
    #[cfg(not(unix))]
    Ok(FolderState::Private)
}

/// Makes durable what was written to a file. One that was removed meanwhile has no name any more and goes with the
/// program, so it does not count.
pub(crate) fn sync_data(file: &File) -> io::Result<()> {
    #[cfg(unix)]
    if std::os::unix::fs::MetadataExt::nlink(&file.metadata()?) == 0 {
        return Err(io::Error::other(
            "files of the data folder were removed while the program ran",
        ));
    }
    file.sync_data()
}

/// Creates the folder if needed and takes it away from everybody else, if it is one that may be used.
pub(crate) fn private_folder(path: &Path) -> Result<(), OpenError> {
    let state = look_at_folder(path)?;
    let io = |error| OpenError::io("set up", path, error);
    if state == FolderState::Missing {
        std::fs::create_dir_all(path).map_err(io)?;
    }
    #[cfg(unix)]
    if state != FolderState::Private {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).map_err(io)?;
    }
    Ok(())
}

/// Whether this program, or who configured it, has left its files there.
#[cfg(unix)]
fn is_ours(path: &Path) -> bool {
    let has = |name: &str| path.join(name).exists();
    // The lock is missing in a backup, and more may be missing after damage.
    has(LOCK_FILE) || has("countersign.toml") || has(JOURNAL_FILE) || path.join(ENGINE).join("conf").exists()
}

/// The user that this process runs as, where the system tells that in a file. Elsewhere only the owner can change the
/// rights of a folder, unless it is root.
#[cfg(unix)]
fn own_user() -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").ok().map(|found| found.uid())
}

/// Reads exactly these bytes; `UnexpectedEof` if the file is shorter.
pub(crate) fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    #[cfg(unix)]
    {
        std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
    }
    #[cfg(windows)]
    {
        use std::os::windows::fs::FileExt;
        let mut done = 0;
        while done < buffer.len() {
            match file.seek_read(&mut buffer[done..], offset + done as u64)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => done += read,
            }
        }
        Ok(())
    }
}
