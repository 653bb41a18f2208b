//! Where a login may lead to when the request says so.

use crate::defaults::LOGIN_REDIRECT;

/// The longest `next` that is honoured, in bytes.
const MAX_BYTES: usize = 2048;

/// Returns `next` if it is a path on this site, to be used as it stands (OWASP ASVS 3.7.2).
/// Browsers read more than a path out of `//evil.example`, `/\evil.example` and a path with a TAB in it.
/// A path that logs in or out is refused, and so is one with `.` or `..`, which could hide it.
pub fn safe_next(next: &str) -> Option<&str> {
    let bytes = next.as_bytes();
    let visible = |byte: &u8| matches!(byte, 0x21..=0x7E) && *byte != b'\\';
    let is_path = matches!(bytes, [b'/'] | [b'/', 0..=b'.' | b'0'.., ..]);
    let well_formed = is_path && bytes.len() <= MAX_BYTES && bytes.iter().all(visible);
    let is_dots = |segment: &str| {
        let segment = segment.to_ascii_lowercase().replace("%2e", ".");
        matches!(&*segment, "." | "..")
    };
    let path = next.split(['?', '#']).next().unwrap_or(next);
    let logs_in_or_out = matches!(path, "/login" | "/logout" | "/logout/everywhere");
    (well_formed && (!logs_in_or_out || path == LOGIN_REDIRECT) && !path.split('/').any(is_dots))
        .then_some(next)
}
