//! Where a login may lead to, against `url`, a parser that reads addresses like a browser: whatever is
//! honoured stays on the same origin, leads to the path as it is written, and neither logs in nor out.

#![no_main]

use app::next::safe_next;
use axum::http::HeaderValue;
use libfuzzer_sys::fuzz_target;
use percent_encoding::percent_decode_str;
use url::Url;

const BASES: [&str; 2] = ["http://localhost/", "https://app.example:8443/a/b?c#d"];

fuzz_target!(|next: &str| {
    let expected = is_one_path(next) && BASES.iter().all(|base| stays(base, next));
    assert_eq!(safe_next(next), expected.then_some(next));
    if expected {
        assert!(HeaderValue::from_str(next).is_ok());
    }
});

/// What the contract says about the bytes.
fn is_one_path(next: &str) -> bool {
    let mut bytes = next.bytes();
    let starts_well = bytes.next() == Some(b'/') && !matches!(bytes.next(), Some(b'/' | b'\\'));
    let printable = !next.contains(|char: char| !('\u{21}'..='\u{7E}').contains(&char));
    starts_well && printable && !next.contains('\\') && next.len() <= 2048
}

/// Whether a browser on the page `base` follows `next` to the path that is written there, on the same
/// origin, and to none that logs in or out.
fn stays(base: &str, next: &str) -> bool {
    let base = Url::parse(base).expect("a base is an address");
    let resolved = base.join(next).expect("a path resolves");
    assert_eq!(resolved.origin(), base.origin());
    assert_eq!((resolved.username(), resolved.password()), ("", None));
    // Browsers write some characters of a path in another way, but take nothing out but dots.
    let written = next
        .split(['?', '#'])
        .next()
        .expect("there is a first part");
    let as_written = percent_decode_str(resolved.path()).eq(percent_decode_str(written));
    let ends = ["/login", "/logout", "/logout/everywhere"];
    as_written && !ends.contains(&resolved.path())
}
