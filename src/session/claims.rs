//! What the session cookie says: one struct, written as JSON in base64url (RFC 4648, section 5).
//! ```json
//! {"v":2,"aud":"session_user","jti":"AAECAwQFBgcICQoLDA0ODw","sub":"alice","iat":1795478400,
//!  "exp":1796083200,"act":1795478400,"data":{}}
//! ```
//!
//! Names are those of RFC 7519, section 4.1; times are seconds since the Unix epoch. The signature covers
//! this value alone, so it names the cookie that it was made for (OWASP ASVS 9.2.2).

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, serde::timestamp};

use crate::defaults::COOKIE_NAME;
use crate::error::{Error, Result};

/// Counts the formats of the cookie. One in another format is no session: a change logs everybody out.
pub(super) const VERSION: u8 = 2;

/// What your app adds to a session, from login until it ends: a line here, set in `create_session` of
/// `src/login.rs`. Cookies from before still count, with the default of the value's type. Whoever holds
/// the cookie can read it.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct SessionData {
    // pub(crate) language: String,
}

#[derive(Clone, Deserialize, Serialize)]
pub(super) struct Claims {
    pub v: u8,
    /// The name of the cookie that it was made for.
    pub aud: String,
    /// Which session this is: 128 random bits in base64url (OWASP ASVS 7.2.3).
    pub jti: String,
    pub sub: String,
    /// When the session began, and when it ends.
    #[serde(with = "timestamp")]
    pub iat: OffsetDateTime,
    #[serde(with = "timestamp")]
    pub exp: OffsetDateTime,
    /// When the cookie was written; the idle timeout counts from here.
    #[serde(with = "timestamp")]
    pub act: OffsetDateTime,
    /// The user's number in the store at login; see [`super::revocation`].
    #[serde(default, rename = "gen", skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
    /// The stamp of the user's password at login; none where login takes no password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stamp: Option<String>,
    #[serde(default)]
    pub data: SessionData,
}

impl Claims {
    /// Reads what [`encode`](Self::encode) wrote, for this cookie and in this format; else `None`.
    pub fn decode(text: &str) -> Option<Self> {
        let json = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        let claims: Self = serde_json::from_slice(&json).ok()?;
        (claims.v == VERSION && claims.aud == COOKIE_NAME).then_some(claims)
    }

    /// The claims as the cookie carries them. Fails only for a value of yours that JSON cannot hold.
    pub fn encode(&self) -> Result<String> {
        let json = serde_json::to_vec(self).map_err(Error::internal)?;
        Ok(BASE64_URL_SAFE_NO_PAD.encode(json))
    }
}
