//! What the session cookie says, and how it is written.
//!
//! The payload is one line of ASCII, its fields separated by `:`.
//!
//! ```text
//! v1:session_user:AAECAwQFBgcICQoLDA0ODw:1795478400000:1796083200000:1795478400000:YWxpY2U
//! |  |            |                      |             |             |             |
//! |  |            |                      |             |             |             user id, base64url
//! |  |            |                      |             |             last activity
//! |  |            |                      |             end, whatever happens
//! |  |            |                      issued
//! |  |            session id, 128 random bits, base64url
//! |  purpose: the name of the cookie it was made for
//! version of this format
//! ```
//!
//! Times are milliseconds since the Unix epoch in decimal; base64url is RFC 4648's without
//! padding. The cookie's value is the payload with its signature in front of it: see
//! [`super::keys`]. A signature covers the value alone, which is why the payload has to name its
//! purpose (OWASP ASVS 9.2.2): another cookie signed with the same key must not pass for a session.

use std::fmt;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

use super::clock::Timestamp;
use crate::{defaults::COOKIE_NAME, error::Error};

const VERSION: &str = "v1";

/// The name of one session: 128 bits from the operating system's generator (OWASP ASVS 7.2.3).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId(pub [u8; 16]);

impl SessionId {
    /// Draws a new one. Fails only where the operating system has no randomness to give.
    pub(super) fn random() -> Result<Self, Error> {
        let mut bytes = [0; 16];
        getrandom::getrandom(&mut bytes).map_err(Error::internal)?;
        Ok(Self(bytes))
    }

    /// Reads what [`to_base64`](Self::to_base64) wrote.
    pub fn parse(text: impl AsRef<[u8]>) -> Option<Self> {
        let mut id = [0; 16];
        let length = BASE64_URL_SAFE_NO_PAD.decode_slice(text, &mut id).ok()?;
        (length == id.len()).then_some(Self(id))
    }

    /// The id in 22 characters of base64url.
    pub fn to_base64(self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.0)
    }
}

/// An id is part of a credential: it stays out of logs.
impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(..)")
    }
}

/// The facts of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// Which session this is; the same in every cookie that renews it.
    pub id: SessionId,
    /// When the session began.
    pub issued: Timestamp,
    /// When it ends, whatever happens.
    pub ends: Timestamp,
    /// When the cookie was written; the idle timeout counts from here.
    pub active: Timestamp,
    /// Who is logged in.
    pub user_id: String,
}

impl Payload {
    /// Reads what [`Display`](fmt::Display) wrote, in that one spelling only. `None` for anything
    /// else: made for another cookie, by another version of this format, or by nobody.
    pub fn parse(text: &str) -> Option<Self> {
        let mut fields = text.as_bytes().split(|byte| *byte == b':');
        if fields.next()? != VERSION.as_bytes() || fields.next()? != COOKIE_NAME.as_bytes() {
            return None;
        }
        let payload = Self {
            id: SessionId::parse(fields.next()?)?,
            issued: parse_time(fields.next()?)?,
            ends: parse_time(fields.next()?)?,
            active: parse_time(fields.next()?)?,
            user_id: parse_user_id(fields.next()?)?,
        };
        fields.next().is_none().then_some(payload)
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{VERSION}:{COOKIE_NAME}:{}:{}:{}:{}:{}",
            self.id.to_base64(),
            self.issued.0,
            self.ends.0,
            self.active.0,
            BASE64_URL_SAFE_NO_PAD.encode(&self.user_id),
        )
    }
}

fn parse_time(field: &[u8]) -> Option<Timestamp> {
    let canonical = matches!(field, [b'0'] | [b'1'..=b'9', ..]);
    let digits = std::str::from_utf8(field).ok().filter(|_| canonical)?;
    digits.parse().map(Timestamp).ok()
}

fn parse_user_id(field: &[u8]) -> Option<String> {
    String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(field).ok()?).ok()
}
