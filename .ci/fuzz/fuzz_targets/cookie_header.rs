//! The session's values in `Cookie` headers, against a second and plainer reading of the bytes.
//!
//! Every line of the input is one header.

#![no_main]

use std::borrow::Cow;

use app::{defaults::COOKIE_NAME, session::cookie::session_values};
use axum::http::{HeaderMap, HeaderValue, header::COOKIE};
use libfuzzer_sys::fuzz_target;
use percent_encoding::percent_decode_str;

fuzz_target!(|input: &[u8]| {
    let mut headers = HeaderMap::new();
    for line in input.split(|byte| *byte == b'\n') {
        if let Ok(header) = HeaderValue::from_bytes(line) {
            headers.append(COOKIE, header);
        }
    }
    let found: Vec<Cow<str>> = session_values(&headers).collect();
    let expected: Vec<Cow<str>> = headers
        .get_all(COOKIE)
        .iter()
        .flat_map(|header| read_plainly(header.as_bytes()))
        .collect();
    assert_eq!(found, expected);
});

/// What follows `COOKIE_NAME=` up to the next `;`, wherever that name stands at the start of a pair,
/// without the blanks around it.
fn read_plainly(header: &[u8]) -> Vec<Cow<'_, str>> {
    let opening = format!("{COOKIE_NAME}=");
    let mut values = Vec::new();
    for at in 0..header.len() {
        let before = header[..at].trim_ascii_end();
        let starts_pair = before.is_empty() || before.ends_with(b";");
        if starts_pair && header[at..].starts_with(opening.as_bytes()) {
            let rest = &header[at + opening.len()..];
            let end = rest.iter().position(|byte| *byte == b';');
            let value = rest[..end.unwrap_or(rest.len())].trim_ascii_end();
            values.extend(meaning(value));
        }
    }
    values
}

/// What a value says: what stands in its quotes, percent-decoded. Nothing where that is not UTF-8.
fn meaning(value: &[u8]) -> Option<Cow<'_, str>> {
    let value = std::str::from_utf8(value).ok()?;
    let quoted = value.len() > 1 && value.starts_with('"') && value.ends_with('"');
    let value = if quoted {
        &value[1..value.len() - 1]
    } else {
        value
    };
    if value.contains('%') {
        // The `cookie` crate, which decodes it, takes the blanks in quotes for blanks around it.
        return percent_decode_str(value.trim()).decode_utf8().ok();
    }
    Some(Cow::Borrowed(value))
}
