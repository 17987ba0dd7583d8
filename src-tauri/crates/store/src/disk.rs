//! The file system calls that differ between systems.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::journal::JOURNAL_FILE;
use crate::open::{ENGINE, LOCK_FILE};

/// Makes new names in this folder durable. Only Unix has the call; elsewhere the file system does it itself.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(path)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// What shows that a folder is one of this program's.
const OURS: [&str; 4] = [LOCK_FILE, "countersign.toml", JOURNAL_FILE, ENGINE];

/// Creates the folder if needed and takes it away from everybody else. A folder that others can read and that holds
/// other files is left as it is and refused: narrowing it would take those files from whoever uses them.
pub(crate) fn private_folder(path: &Path) -> io::Result<()> {
    let new = !path.exists();
    std::fs::create_dir_all(path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(path)?.permissions().mode() & 0o777;
        if mode == 0o700 {
            return Ok(());
        }
        if mode & 0o300 != 0o300 {
            return Err(io::Error::other(
                "nothing may be written to it; give yourself that right",
            ));
        }
        let ours = new || OURS.iter().any(|name| path.join(name).exists());
        if !ours && mode & 0o077 != 0 && std::fs::read_dir(path)?.next().is_some() {
            return Err(io::Error::other(
                "others may read it, and other files lie in it; name a folder of its own",
            ));
        }
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))?;
    }
    #[cfg(not(unix))]
    let _ = new;
    Ok(())
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
