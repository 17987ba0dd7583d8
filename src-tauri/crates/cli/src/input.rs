//! Reading what a command is given.

use std::io::Read;
use std::path::Path;

use crate::exit::Failure;

/// The largest input that is read. The server's own limit is smaller; this one only guards the command's memory.
const LARGEST: u64 = 64 * 1024 * 1024;

/// What is in a file, or in the standard input if its name is `-`; `what` it should be, for people.
pub(crate) fn read(path: &Path, what: &str) -> Result<Vec<u8>, Failure> {
    let shown = path.display();
    let mut bytes = Vec::new();
    let mut read_from = |source: &mut dyn Read| source.take(LARGEST + 1).read_to_end(&mut bytes);
    let read = if path == Path::new("-") {
        read_from(&mut std::io::stdin().lock())
    } else {
        std::fs::File::open(path).and_then(|mut file| read_from(&mut file))
    };
    read.map_err(|error| Failure::failed(format!("{shown} cannot be read: {error}.")))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > LARGEST {
        return Err(Failure::failed(format!("{shown} is larger than any {what}.")));
    }
    Ok(bytes)
}

/// What an option brings: a text, or `@FILE`, or `@-` for the standard input; `what` it should be, for people.
pub(crate) fn given(option: &str, what: &str) -> Result<String, Failure> {
    match option.strip_prefix('@') {
        None => Ok(option.to_owned()),
        Some(file) => String::from_utf8(read(Path::new(file), what)?)
            .map_err(|_| Failure::failed(format!("{file} is not text."))),
    }
}
