//! The session cookie on the wire: read from `Cookie`, written to `Set-Cookie`.

use std::borrow::Cow;

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::ResponseParts;
use axum_extra::extract::cookie::Cookie;

use crate::defaults::{COOKIE_NAME, SAME_SITE};
use crate::error::{Error, Result};

/// The values of all cookies with the session's name. Reads bytes, because a strange byte in another
/// cookie must not hide ours, and compares the name as it was sent: `__%48ost-id` is not `__Host-id`
/// (CVE-2020-8184 was that). Some clients quote a value with `/` or `=`, or percent-encode it.
pub fn session_values(headers: &HeaderMap) -> impl Iterator<Item = Cow<'_, str>> {
    let lines = headers.get_all(header::COOKIE).iter();
    let pairs = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    pairs.filter_map(|pair| {
        let value = value_of_ours(pair.trim_ascii())?;
        let quoted = value.strip_prefix(b"\"");
        let inside = quoted.and_then(|value| value.strip_suffix(b"\""));
        let value = std::str::from_utf8(inside.unwrap_or(value)).ok()?;
        if !value.contains('%') {
            return Some(value.into());
        }
        let decoded = Cookie::parse_encoded(format!("{COOKIE_NAME}={value}"));
        Some(decoded.ok()?.value().to_owned().into())
    })
}

fn value_of_ours(pair: &[u8]) -> Option<&[u8]> {
    pair.strip_prefix(COOKIE_NAME.as_bytes())?
        .strip_prefix(b"=")
}

/// The `Set-Cookie` that carries `value` for `max_age`; empty and for no time, the one that removes it.
pub(super) fn set(value: &str, max_age: time::Duration, secure: bool) -> Result<HeaderValue> {
    let cookie = Cookie::build((COOKIE_NAME, value))
        .max_age(max_age)
        .path("/");
    let cookie = cookie.http_only(true).secure(secure).same_site(SAME_SITE);
    let mut header = HeaderValue::try_from(cookie.to_string()).map_err(Error::internal)?;
    // `Debug` does not show it.
    header.set_sensitive(true);
    Ok(header)
}

/// Adds a change to an answer, in place of any that it already holds: two `Set-Cookie` of one name are
/// forbidden (RFC 6265bis, section 4.1.1).
pub(super) fn put(change: Option<HeaderValue>, mut answer: ResponseParts) -> ResponseParts {
    if let Some(change) = change {
        let headers = answer.headers_mut();
        let all: Vec<_> = headers
            .get_all(header::SET_COOKIE)
            .iter()
            .cloned()
            .collect();
        headers.remove(header::SET_COOKIE);
        let is_other = |cookie: &HeaderValue| value_of_ours(cookie.as_bytes()).is_none();
        for cookie in all.into_iter().filter(is_other).chain([change]) {
            headers.append(header::SET_COOKIE, cookie);
        }
    }
    answer
}
