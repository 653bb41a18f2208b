//! The rules of the five choices, checked while compiling.
//!
//! Every function here is `const` and panics outside its rule. Called from a constant, that is a
//! compile error which shows the rule; nothing calls them at run time except
//! [`parse_duration`], which returns its verdict.

#![expect(clippy::panic, reason = "in a constant, a panic is a compile error")]

use std::time::Duration;

use axum_extra::extract::cookie::SameSite;

const MINUTE: u64 = 60;
const DAY: u64 = 24 * 60 * MINUTE;
/// Browsers cut any longer `Max-Age` to this (RFC 6265bis, section 5.5).
const MAX_AGE_LIMIT: u64 = 400 * DAY;

/// Checks a cookie name: a subset of RFC 6265's token that no library encodes on its way.
pub(crate) const fn cookie_name(name: &'static str) -> &'static str {
    assert!(
        is_cookie_name(name.as_bytes()),
        "COOKIE_NAME: letters, digits, `-`, `_` and `.`; starts with a letter, or with exactly \
         `__Host-` or `__Secure-`; at most 64 bytes"
    );
    name
}

/// Checks and reads the lifetime of a session.
pub(crate) const fn max_age(text: &'static str) -> Duration {
    match parse_duration(text) {
        Some(duration) => duration,
        None => panic!(
            "SESSION_MAX_AGE: a whole number and a unit, `m`, `h` or `d`; at least 1 minute, at \
             most 400 days"
        ),
    }
}

/// Checks and reads a `SameSite` value.
pub(crate) const fn same_site(text: &'static str) -> SameSite {
    match text.as_bytes() {
        b"Lax" => SameSite::Lax,
        b"Strict" => SameSite::Strict,
        b"None" => SameSite::None,
        _ => panic!("SAME_SITE: `Lax`, `Strict` or `None`"),
    }
}

/// Checks a path on this site that a redirect may lead to.
pub(crate) const fn local_path(path: &'static str) -> &'static str {
    assert!(
        is_local_path(path.as_bytes()),
        "LOGIN_REDIRECT and LOGOUT_REDIRECT: a path on this site, one `/`, then segments of \
         letters, digits, `_`, `~`, `.` and `-`; no `.` or `..` segment, no `//`, no query; not \
         `/login`, `/logout` or `/healthz`"
    );
    path
}

/// Reads a duration such as `30m`, `12h` or `7d`: a whole number and a unit, between one minute
/// and 400 days. `None` for anything else.
pub(crate) const fn parse_duration(text: &str) -> Option<Duration> {
    let [digits @ .., unit] = text.as_bytes() else {
        return None;
    };
    let unit = match unit {
        b'm' => MINUTE,
        b'h' => 60 * MINUTE,
        b'd' => DAY,
        _ => return None,
    };
    if digits.is_empty() {
        return None;
    }
    let mut number: u64 = 0;
    let mut at = 0;
    while at < digits.len() {
        if !digits[at].is_ascii_digit() {
            return None;
        }
        number = number
            .saturating_mul(10)
            .saturating_add((digits[at] - b'0') as u64);
        at += 1;
    }
    let seconds = number.saturating_mul(unit);
    if seconds < MINUTE || seconds > MAX_AGE_LIMIT {
        return None;
    }
    Some(Duration::from_secs(seconds))
}

const fn is_cookie_name(name: &[u8]) -> bool {
    if name.len() > 64 {
        return false;
    }
    let starts_well = match name {
        [b'_', b'_', b'H', b'o', b's', b't', b'-', ..]
        | [b'_', b'_', b'S', b'e', b'c', b'u', b'r', b'e', b'-', ..] => true,
        [first, ..] => first.is_ascii_alphabetic(),
        [] => false,
    };
    let mut at = 0;
    while at < name.len() {
        if !matches!(name[at], b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'-' | b'_' | b'.') {
            return false;
        }
        at += 1;
    }
    starts_well
}

const fn is_local_path(path: &[u8]) -> bool {
    let [b'/', rest @ ..] = path else {
        return false;
    };
    if matches!(path, b"/login" | b"/logout" | b"/healthz") {
        return false;
    }
    let mut rest = rest;
    // `/` alone is a path; everywhere else a segment must not be empty.
    while let [_, ..] = rest {
        let mut end = 0;
        while end < rest.len() && rest[end] != b'/' {
            if !matches!(rest[end], b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'~' | b'.' | b'-')
            {
                return false;
            }
            end += 1;
        }
        let (segment, tail) = rest.split_at(end);
        if matches!(segment, b"" | b"." | b"..") || matches!(tail, b"/") {
            return false;
        }
        rest = if let [b'/', next @ ..] = tail {
            next
        } else {
            tail
        };
    }
    true
}
