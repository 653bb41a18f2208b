//! The keys that sign the session cookie and verify it.
//!
//! A signed value is what axum-extra's `SignedCookieJar` makes of it: its HMAC-SHA256 (RFC 2104) in
//! base64, and the value. The jar itself would prepare the key and copy the cookie for every request.

use axum_extra::extract::cookie::Key;
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// How many characters of a signed value are its signature.
const SIGNATURE: usize = 44;
const MIN_KEY_BYTES: usize = 64;

/// One signing key or several: the first signs, all verify, so that keys can be replaced without
/// logging anybody out (OWASP ASVS 13.3.4). There is no `Debug`, so that no key gets into a log.
pub struct SessionKeys(Vec<Hmac<Sha256>>);

impl SessionKeys {
    /// Takes the decoded keys, newest first. `None` without any.
    pub fn new(keys: impl IntoIterator<Item = Key>) -> Option<Self> {
        let ready = |key: Key| Hmac::new_from_slice(key.signing()).ok();
        let keys: Option<Vec<_>> = keys.into_iter().map(ready).collect();
        keys.filter(|keys| !keys.is_empty()).map(Self)
    }

    pub(super) fn sign(&self, value: &str) -> String {
        let mac = self.0[0].clone().chain_update(value);
        BASE64_STANDARD.encode(mac.finalize().into_bytes()) + value
    }

    /// The value inside `signed`, and which key signed it: 0 is the newest.
    pub(super) fn verify<'a>(&self, signed: &'a str) -> Option<(&'a str, usize)> {
        let (signature, value) = signed.split_at_checked(SIGNATURE)?;
        let mut bytes = [0; 32];
        let length = BASE64_STANDARD.decode_slice(signature, &mut bytes).ok()?;
        let key = self.0.iter().position(|key| {
            let mac = key.clone().chain_update(value);
            mac.verify_slice(&bytes[..length]).is_ok()
        });
        Some((value, key?))
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
