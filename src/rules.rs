//! The rules of the five choices, checked while compiling: the functions are `const` and panic outside
//! their rule, which is a compile error in a constant. Only [`parse_duration`] is called at run time.

#![expect(clippy::panic, reason = "in a constant, a panic is a compile error")]

use std::time::Duration;

use axum_extra::extract::cookie::SameSite;

const MINUTE: u64 = 60;
const DAY: u64 = 24 * 60 * MINUTE;
/// Browsers cut any longer `Max-Age` to this (RFC 6265bis, section 5.5).
const MAX_AGE_LIMIT: u64 = 400 * DAY;

const LOGIN_RULE: &str = "LOGIN_REDIRECT: one `/`, then segments of letters, digits, `_`, `~`, `.`, `-`; no `.` \
                          or `..` segment, no `//`, no query; not `/login`, `/logout` or `/healthz`";
const LOGOUT_RULE: &str = "LOGOUT_REDIRECT: one `/`, then segments of letters, digits, `_`, `~`, `.`, `-`; no \
                           `.` or `..` segment, no `//`, no query; not `/me`, `/logout` or `/healthz`";

/// Checks a cookie name: a subset of RFC 6265's token that no library encodes on its way.
pub(crate) const fn cookie_name(name: &'static str) -> &'static str {
    let starts_well = match name.as_bytes() {
        [b'_', b'_', b'H', b'o', b's', b't', b'-', ..]
        | [b'_', b'_', b'S', b'e', b'c', b'u', b'r', b'e', b'-', ..] => true,
        [first, ..] => first.is_ascii_alphabetic(),
        [] => false,
    };
    assert!(
        starts_well && name.len() <= 64 && consists_of(name.as_bytes(), b"-_."),
        "COOKIE_NAME: letters, digits, `-`, `_` and `.`; starts with a letter, or with exactly \
         `__Host-` or `__Secure-`; at most 64 bytes"
    );
    name
}

pub(crate) const fn max_age(text: &'static str) -> Duration {
    match parse_duration(text) {
        Some(duration) => duration,
        None => panic!(
            "SESSION_MAX_AGE: a whole number and a unit, `m`, `h` or `d`; at least 1 minute, at \
             most 400 days"
        ),
    }
}

pub(crate) const fn same_site(text: &'static str) -> SameSite {
    match text.as_bytes() {
        b"Lax" => SameSite::Lax,
        b"Strict" => SameSite::Strict,
        b"None" => SameSite::None,
        _ => panic!("SAME_SITE: `Lax`, `Strict` or `None`"),
    }
}

pub(crate) const fn login_redirect(path: &'static str) -> &'static str {
    let is_taken = matches!(path.as_bytes(), b"/login" | b"/logout" | b"/healthz");
    redirect(path, is_taken, LOGIN_RULE)
}

/// Checks the path that logout leads to. `/me` would answer 401 to whoever has just logged out.
pub(crate) const fn logout_redirect(path: &'static str) -> &'static str {
    let is_taken = matches!(path.as_bytes(), b"/me" | b"/logout" | b"/healthz");
    redirect(path, is_taken, LOGOUT_RULE)
}

const fn redirect(path: &'static str, is_taken: bool, rule: &str) -> &'static str {
    assert!(!is_taken && is_local_path(path.as_bytes()), "{}", rule);
    path
}

/// Reads a duration such as `30m`, `12h` or `7d`: a whole number and a unit, between one minute
/// and 400 days. `None` for anything else.
pub(crate) const fn parse_duration(text: &str) -> Option<Duration> {
    let (mut rest, unit) = match text.as_bytes() {
        [digits @ .., b'm'] => (digits, MINUTE),
        [digits @ .., b'h'] => (digits, 60 * MINUTE),
        [digits @ .., b'd'] => (digits, DAY),
        _ => return None,
    };
    let mut seconds: u64 = 0;
    while let [digit @ b'0'..=b'9', behind @ ..] = rest {
        let number = (*digit - b'0') as u64 * unit;
        seconds = seconds.saturating_mul(10).saturating_add(number);
        rest = behind;
    }
    if !rest.is_empty() || seconds < MINUTE || seconds > MAX_AGE_LIMIT {
        return None;
    }
    Some(Duration::from_secs(seconds))
}

const fn is_local_path(path: &[u8]) -> bool {
    let mut rest = path;
    // Each round takes a `/` and the segment behind it.
    while let [b'/', behind @ ..] = rest {
        if let [b'/', ..] | [b'.'] | [b'.', b'/', ..] | [b'.', b'.'] | [b'.', b'.', b'/', ..] =
            behind
        {
            return false;
        }
        rest = behind;
        while let [byte, next @ ..] = rest
            && *byte != b'/'
        {
            rest = next;
        }
    }
    let is_more = matches!(path, [b'/', .., last] if *last != b'/');
    rest.is_empty() && (is_more || matches!(path, b"/")) && consists_of(path, b"/_~.-")
}

/// Whether there is nothing but letters, digits and these.
const fn consists_of(mut text: &[u8], others: &[u8]) -> bool {
    while let [byte, rest @ ..] = text {
        let mut known = byte.is_ascii_alphanumeric();
        let mut others = others;
        while let [other, more @ ..] = others {
            known |= *byte == *other;
            others = more;
        }
        if !known {
            return false;
        }
        text = rest;
    }
    true
}
