//! The session cookie on the wire: read from `Cookie`, written to `Set-Cookie`.

use std::{iter, time::Duration};

use axum::{
    http::{
        HeaderMap, HeaderValue,
        header::{COOKIE, SET_COOKIE},
    },
    response::{IntoResponseParts, ResponseParts},
};
use axum_extra::extract::cookie::Cookie;
use memchr::memchr;

use crate::{
    defaults::{COOKIE_NAME, SAME_SITE},
    error::Error,
};

/// The values of all cookies with the session's name, as they were sent.
///
/// Reads bytes, because a strange byte in another cookie must not hide ours, and compares the name
/// undecoded: `__%48ost-id` is not `__Host-id` (CVE-2020-8184 was that).
pub fn session_values(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(COOKIE).iter();
    lines.flat_map(|line| values_in(line.as_bytes()))
}

fn values_in(mut line: &[u8]) -> impl Iterator<Item = &str> {
    let pairs = iter::from_fn(move || {
        if line.is_empty() {
            return None;
        }
        let end = memchr(b';', line).unwrap_or(line.len());
        let (pair, rest) = line.split_at(end);
        line = rest.get(1..).unwrap_or_default();
        Some(pair)
    });
    pairs.filter_map(|pair| {
        let value = pair
            .trim_ascii_start()
            .strip_prefix(COOKIE_NAME.as_bytes())?;
        let value = value.strip_prefix(b"=")?.trim_ascii_end();
        std::str::from_utf8(value).ok()
    })
}

/// A change of the session cookie, to be returned with an answer.
///
/// Replaces any change that the answer already holds: two `Set-Cookie` of one name are forbidden
/// (RFC 6265bis, section 4.1.1).
///
/// `Debug` does not show the value.
#[derive(Clone, Debug)]
pub struct SessionCookie(HeaderValue);

impl SessionCookie {
    /// The cookie that carries `value` for `max_age`.
    pub(super) fn set(value: String, max_age: Duration, secure: bool) -> Result<Self, Error> {
        let mut cookie = with_attributes(value, secure);
        cookie.set_max_age(time::Duration::try_from(max_age).map_err(Error::internal)?);
        Self::write(&cookie)
    }

    /// The cookie that removes it: same name, same `Path`, same attributes.
    pub(super) fn removal(secure: bool) -> Result<Self, Error> {
        let mut cookie = with_attributes(String::new(), secure);
        cookie.make_removal();
        Self::write(&cookie)
    }

    fn write(cookie: &Cookie<'_>) -> Result<Self, Error> {
        let mut header = HeaderValue::from_str(&cookie.to_string()).map_err(Error::internal)?;
        header.set_sensitive(true);
        Ok(Self(header))
    }
}

fn with_attributes(value: String, secure: bool) -> Cookie<'static> {
    Cookie::build((COOKIE_NAME, value))
        .path("/")
        .http_only(true)
        .secure(secure)
        .same_site(SAME_SITE)
        .build()
}

impl IntoResponseParts for SessionCookie {
    type Error = std::convert::Infallible;

    fn into_response_parts(self, mut res: ResponseParts) -> Result<ResponseParts, Self::Error> {
        let headers = res.headers_mut();
        let strangers: Vec<HeaderValue> = headers
            .get_all(SET_COOKIE)
            .iter()
            .filter(|header| !is_ours(header))
            .cloned()
            .collect();
        headers.remove(SET_COOKIE);
        for header in strangers {
            headers.append(SET_COOKIE, header);
        }
        headers.append(SET_COOKIE, self.0);
        Ok(res)
    }
}

fn is_ours(set_cookie: &HeaderValue) -> bool {
    let rest = set_cookie.as_bytes().strip_prefix(COOKIE_NAME.as_bytes());
    rest.is_some_and(|rest| rest.starts_with(b"="))
}
