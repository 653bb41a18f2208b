//! Files that a person writes, from any editor: `.env` and the users file.

use std::{fs, io, path::Path};

/// Reads such a file, without a byte order mark at its beginning. Fails where the file cannot be read, and
/// with the number of the line where it is not UTF-8 or holds a NUL. The line may be a secret.
pub fn read(path: &Path) -> io::Result<String> {
    let bytes = fs::read(path)?;
    let line_of = |at: usize| bytes[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        let line = line_of(error.valid_up_to());
        io::Error::other(format!("line {line}: the file must be UTF-8 and is not"))
    })?;
    if let Some(line) = text.find('\0').map(line_of) {
        let problem = format!("line {line}: there must be no NUL in it");
        return Err(io::Error::other(problem));
    }
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text).to_owned())
}
