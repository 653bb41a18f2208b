//! The keys that sign the session cookie and verify it.
//!
//! A signed value is what axum-extra's `SignedCookieJar` makes of it: 44 characters of base64, the
//! HMAC-SHA256 of the value (RFC 2104), and the value. The jar itself would prepare the key and copy
//! the cookie for every request. The comparison in constant time is the `hmac` crate's.

use std::fmt;

use axum_extra::extract::cookie::Key;
use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
    prelude::BASE64_STANDARD,
};
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::error::Error;

/// How many characters of a signed value are its signature.
const SIGNATURE: usize = 44;

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
/// logging anybody out (OWASP ASVS 13.3.4).
#[derive(Clone)]
pub struct SessionKeys {
    /// Each ready to sign or verify a value, without a step for the key.
    first: Hmac<Sha256>,
    older: Vec<Hmac<Sha256>>,
}

/// Keys stay out of logs.
impl fmt::Debug for SessionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKeys(..)")
    }
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
pub(super) struct Opened<'a> {
    /// The value without its signature.
    pub value: &'a str,
    /// Whether a key other than the first signed it.
    pub by_older_key: bool,
}

impl SessionKeys {
    /// Takes the decoded keys, newest first. `None` without any.
    pub fn new(keys: impl IntoIterator<Item = Key>) -> Option<Self> {
        let mut keys = keys
            .into_iter()
            .map(|key| Hmac::new_from_slice(key.signing()));
        Some(Self {
            first: keys.next()?.ok()?,
            older: keys.collect::<Result<_, _>>().ok()?,
        })
    }

    /// A key that lives as long as this process; `None` where the operating system has no randomness
    /// to give.
    pub fn ephemeral() -> Option<Self> {
        let key = Key::derive_from(&random_key().ok()?);
        Self::new([key])
    }

    /// Signs with the first key.
    pub(super) fn sign(&self, value: &str) -> String {
        let mac = self.first.clone().chain_update(value);
        BASE64_STANDARD.encode(mac.finalize().into_bytes()) + value
    }

    /// The value inside `signed`, if one of the keys signed it.
    pub(super) fn verify<'a>(&self, signed: &'a str) -> Option<Opened<'a>> {
        let (signature, value) = signed.split_at_checked(SIGNATURE)?;
        let mut bytes = [0; 32];
        let length = BASE64_STANDARD.decode_slice(signature, &mut bytes).ok()?;
        let signature = bytes.get(..length)?;
        let signed_by = |key: &Hmac<Sha256>| {
            let mac = key.clone().chain_update(value);
            mac.verify_slice(signature).is_ok()
        };
        let by_older_key = !signed_by(&self.first);
        (!by_older_key || self.older.iter().any(signed_by)).then_some(Opened {
            value,
            by_older_key,
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
