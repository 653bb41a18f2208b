//! Where a login may lead to: what the contract says about the bytes, and the same origin for a
//! parser that reads addresses like a browser, wherever the app is served from.

#![no_main]

use app::next::safe_next;
use axum::http::HeaderValue;
use libfuzzer_sys::fuzz_target;
use url::Url;

const BASES: [&str; 2] = ["http://localhost/", "https://app.example:8443/a/b?c#d"];

fuzz_target!(|next: &str| {
    let expected = is_path_on_this_site(next).then_some(next);
    assert_eq!(safe_next(next), expected);
    if expected.is_none() {
        return;
    }
    assert!(HeaderValue::from_str(next).is_ok());
    for base in BASES {
        let base = Url::parse(base).expect("a base is an address");
        let resolved = base.join(next).expect("a path resolves");
        assert_eq!(resolved.origin(), base.origin());
        assert_eq!((resolved.username(), resolved.password()), ("", None));
    }
});

fn is_path_on_this_site(next: &str) -> bool {
    let mut bytes = next.bytes();
    let starts_well = bytes.next() == Some(b'/') && !matches!(bytes.next(), Some(b'/' | b'\\'));
    let printable = !next.contains(|char: char| !('\u{21}'..='\u{7E}').contains(&char));
    starts_well && printable && !next.contains('\\') && next.len() <= 2048
}
