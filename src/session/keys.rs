//! The keys that sign the session cookie and verify it.
//!
//! Signing, verification in constant time and key derivation are the `cookie` crate's, reached
//! through axum-extra: HMAC-SHA256 over the payload, 44 characters of base64 in front of it.

use std::fmt;

use axum::{http::header::SET_COOKIE, response::IntoResponse};
use axum_extra::extract::{
    SignedCookieJar,
    cookie::{Cookie, Key},
};
use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
    prelude::BASE64_STANDARD,
};

use crate::{defaults::COOKIE_NAME, error::Error};

/// The least number of random bytes in a key.
pub const MIN_KEY_BYTES: usize = 64;

/// Below this many different byte values, 64 bytes are no random ones: chance leaves about 57.
const MIN_DIFFERENT_BYTES: usize = 16;

/// Standard base64, with or without its padding.
const KEY_ENCODING: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// One signing key or several: the first signs, all verify, so that keys can be replaced without
/// logging anybody out (OWASP ASVS 13.3.4). `Debug` shows none of them.
#[derive(Clone, Debug)]
pub struct SessionKeys {
    first: Key,
    older: Vec<Key>,
}

/// Why a text is not a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// It is not base64.
    NotBase64,
    /// It decodes to this many bytes, fewer than [`MIN_KEY_BYTES`].
    TooShort(usize),
    /// Its bytes repeat too much to be random.
    Weak,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotBase64 => f.write_str("is not base64"),
            Self::TooShort(bytes) => write!(f, "has {bytes} bytes, fewer than {MIN_KEY_BYTES}"),
            Self::Weak => f.write_str("repeats the same few bytes and is not random"),
        }
    }
}

/// A value that a key of ours has signed.
pub(super) struct Opened {
    /// The value without its signature.
    pub value: String,
    /// Whether a key other than the first signed it.
    pub by_older_key: bool,
}

impl SessionKeys {
    /// Takes the decoded keys, newest first. `None` without any.
    pub fn new(keys: impl IntoIterator<Item = Key>) -> Option<Self> {
        let mut keys = keys.into_iter();
        Some(Self {
            first: keys.next()?,
            older: keys.collect(),
        })
    }

    /// A key that lives as long as this process.
    pub fn ephemeral() -> Result<Self, Error> {
        let key = Key::derive_from(&random_key()?);
        Ok(Self {
            first: key,
            older: Vec::new(),
        })
    }

    /// Signs with the first key.
    pub(super) fn sign(&self, value: String) -> Result<String, Error> {
        // axum-extra's jar hands its signed cookie out in a response only, percent-encoded.
        let jar = SignedCookieJar::new(self.first.clone()).add(Cookie::new(COOKIE_NAME, value));
        let response = jar.into_response();
        let header = response
            .headers()
            .get(SET_COOKIE)
            .ok_or_else(|| Error::internal("no cookie"))?;
        let header = header.to_str().map_err(Error::internal)?;
        let cookie = Cookie::parse_encoded(header).map_err(Error::internal)?;
        Ok(cookie.value().to_owned())
    }

    /// The value inside `signed`, if one of the keys signed it.
    pub(super) fn verify(&self, signed: &str) -> Option<Opened> {
        let verify = |key: &Key| {
            let cookie = Cookie::new(COOKIE_NAME, signed.to_owned());
            let verified = SignedCookieJar::new(key.clone()).verify(cookie)?;
            Some(verified.value().to_owned())
        };
        if let Some(value) = verify(&self.first) {
            return Some(Opened {
                value,
                by_older_key: false,
            });
        }
        let value = self.older.iter().find_map(verify)?;
        Some(Opened {
            value,
            by_older_key: true,
        })
    }
}

/// Reads a key: at least 64 random bytes in base64, all of which count.
///
/// `refuse_weak` also refuses bytes that repeat too much to have been random.
pub fn parse_key(text: &str, refuse_weak: bool) -> Result<Key, KeyError> {
    let bytes = KEY_ENCODING.decode(text).map_err(|_| KeyError::NotBase64)?;
    if bytes.len() < MIN_KEY_BYTES {
        return Err(KeyError::TooShort(bytes.len()));
    }
    let mut seen = [false; 256];
    for byte in &bytes {
        seen[usize::from(*byte)] = true;
    }
    if refuse_weak && seen.iter().filter(|seen| **seen).count() < MIN_DIFFERENT_BYTES {
        return Err(KeyError::Weak);
    }
    // A `Key` signs with its first 32 bytes alone: derived, it depends on every byte given.
    Ok(Key::derive_from(&bytes))
}

/// A fresh key, as `SESSION_KEYS` takes it.
pub fn generate_key() -> Result<String, Error> {
    Ok(BASE64_STANDARD.encode(random_key()?))
}

fn random_key() -> Result<[u8; MIN_KEY_BYTES], Error> {
    let mut bytes = [0; MIN_KEY_BYTES];
    getrandom::getrandom(&mut bytes).map_err(Error::internal)?;
    Ok(bytes)
}
