//! The keys that sign the session cookie and verify it, each in a `SignedCookieJar` of axum-extra.

use axum::{http::header, response::IntoResponse};
use axum_extra::extract::SignedCookieJar;
use axum_extra::extract::cookie::{Cookie, Key};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};

use crate::defaults::COOKIE_NAME;

const MIN_KEY_BYTES: usize = 64;

/// One signing key or several: the first signs, all verify, so that keys can be replaced without
/// logging anybody out (OWASP ASVS 13.3.4). There is no `Debug`, so that no key gets into a log.
pub struct SessionKeys(Vec<SignedCookieJar>);

impl SessionKeys {
    /// Takes the decoded keys, newest first. `None` without any.
    pub fn new(keys: impl IntoIterator<Item = Key>) -> Option<Self> {
        let jars: Vec<_> = keys.into_iter().map(SignedCookieJar::new).collect();
        (!jars.is_empty()).then_some(Self(jars))
    }

    /// The value with its signature in front.
    pub(super) fn sign(&self, value: &str) -> Option<String> {
        let jar = self.0[0].clone().add((COOKIE_NAME, value.to_owned()));
        // The jar gives the signed value in `Set-Cookie` alone, where it is percent-encoded.
        let answer = jar.into_response();
        let encoded = answer.headers().get(header::SET_COOKIE)?.to_str().ok()?;
        Some(Cookie::parse_encoded(encoded).ok()?.value().to_owned())
    }

    /// The cookie without its signature, and which key made that: 0 is the newest.
    pub(super) fn verify(&self, signed: &str) -> Option<(Cookie<'static>, usize)> {
        self.0.iter().zip(0..).find_map(|(jar, index)| {
            let cookie = Cookie::new(COOKIE_NAME, signed.to_owned());
            Some((jar.verify(cookie)?, index))
        })
    }
}

/// Reads a key: at least 64 random bytes in base64, all of which count. Fails with what is wrong.
pub fn parse_key(text: &str) -> Result<Key, String> {
    let unpadded = text.trim_end_matches('=');
    let bytes = BASE64_STANDARD_NO_PAD.decode(unpadded);
    let bytes = bytes.map_err(|_| "is not base64")?;
    if bytes.len() < MIN_KEY_BYTES {
        let length = bytes.len();
        return Err(format!("has {length} bytes, fewer than {MIN_KEY_BYTES}"));
    }
    // A `Key` signs with its first 32 bytes alone: derived, it depends on every byte given.
    Ok(Key::derive_from(&bytes))
}

/// A fresh key, as `SESSION_KEYS` takes it; `None` where the operating system has no randomness.
pub fn generate_key() -> Option<String> {
    Some(BASE64_STANDARD.encode(Key::try_generate()?.master()))
}

/// 128 random bits, from the same source.
pub(super) fn random_id() -> Option<String> {
    Some(BASE64_URL_SAFE_NO_PAD.encode(&Key::try_generate()?.master()[..16]))
}
