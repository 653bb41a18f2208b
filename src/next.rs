//! Where a login may lead to when the request says so.

use url::Url;

/// The longest `next` that is honoured, in bytes.
const MAX_NEXT_BYTES: usize = 2048;

/// Any origin will do: only whether `next` leaves it matters.
const SOME_ORIGIN: &str = "http://origin.invalid";

/// Returns `next` if it is a path on this site, to be used as it stands (OWASP ASVS 3.7.2).
///
/// Browsers read more than a path out of `//evil.example`, `/\evil.example` and a path with a TAB
/// in it. So the form is narrow, and a parser that reads addresses like a browser (WHATWG URL) has
/// to agree that the origin stays.
pub fn safe_next(next: &str) -> Option<&str> {
    let bytes = next.as_bytes();
    let well_formed = bytes.len() <= MAX_NEXT_BYTES
        && bytes.first() == Some(&b'/')
        && bytes.get(1) != Some(&b'/')
        && bytes
            .iter()
            .all(|byte| matches!(byte, 0x21..=0x7E) && *byte != b'\\');
    if !well_formed {
        return None;
    }
    let site = Url::parse(SOME_ORIGIN).ok()?;
    let resolved = site.join(next).ok()?;
    (resolved.origin() == site.origin()).then_some(next)
}
