//! The session's values in `Cookie` headers, against a second and plainer reading of the bytes.
//!
//! Every line of the input is one header.

#![no_main]

use app::{defaults::COOKIE_NAME, session::cookie::session_values};
use axum::http::{HeaderMap, HeaderValue, header::COOKIE};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut headers = HeaderMap::new();
    for line in input.split(|byte| *byte == b'\n') {
        if let Ok(header) = HeaderValue::from_bytes(line) {
            headers.append(COOKIE, header);
        }
    }
    let found: Vec<&str> = session_values(&headers).collect();
    let expected: Vec<&str> = headers
        .get_all(COOKIE)
        .iter()
        .flat_map(|header| read_plainly(header.as_bytes()))
        .collect();
    assert_eq!(found, expected);
    // The same text is not enough: it has to be the same place in the header.
    for (found, expected) in found.into_iter().zip(expected) {
        assert!(std::ptr::eq(found, expected), "{found:?} is from elsewhere");
    }
});

/// What follows `COOKIE_NAME=` up to the next `;`, wherever that name stands at the start of a
/// pair, without the blanks around it. Values that are not UTF-8 are left out.
fn read_plainly(header: &[u8]) -> Vec<&str> {
    let is_blank = |byte: u8| byte == b' ' || byte == b'\t';
    let opening = format!("{COOKIE_NAME}=");
    let mut values = Vec::new();
    for at in 0..header.len() {
        let mut before = at;
        while before > 0 && is_blank(header[before - 1]) {
            before -= 1;
        }
        let starts_pair = before == 0 || header[before - 1] == b';';
        if !starts_pair || !header[at..].starts_with(opening.as_bytes()) {
            continue;
        }
        let start = at + opening.len();
        let mut end = start;
        while end < header.len() && header[end] != b';' {
            end += 1;
        }
        while end > start && is_blank(header[end - 1]) {
            end -= 1;
        }
        values.extend(std::str::from_utf8(&header[start..end]));
    }
    values
}
