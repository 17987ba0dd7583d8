//! The file system calls that differ between systems.

use std::fs::File;
use std::io;
use std::path::Path;

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

/// Creates the folder if needed and takes it away from everybody else. One that others can use and that is not this
/// program's is left as it is and refused: narrowing it would take its files from whoever uses them.
pub(crate) fn private_folder(path: &Path) -> io::Result<()> {
    let new = !path.exists();
    std::fs::create_dir_all(path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, PermissionsExt};
        let found = std::fs::metadata(path)?;
        let mode = found.permissions().mode() & 0o7777;
        if mode == 0o700 {
            return Ok(());
        }
        let refuse = |why: &str| Err(io::Error::other(why));
        if mode & 0o700 != 0o700 {
            return refuse("nothing may be written to it; give yourself that right");
        }
        if !new && mode & 0o077 != 0 {
            if mode & 0o1000 != 0 {
                return refuse("it is shared by everybody; name a folder of its own");
            }
            if own_user().is_some_and(|user| user != found.uid()) {
                return refuse(
                    "others may use it, and it belongs to somebody else; name a folder of its own",
                );
            }
            if !is_ours(path) && std::fs::read_dir(path)?.next().is_some() {
                return refuse("others may use it, and other files lie in it; name a folder of its own");
            }
        }
        if new || mode & 0o077 != 0 {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))?;
        }
    }
    #[cfg(not(unix))]
    let _ = new;
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
