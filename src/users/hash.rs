//! Hashes of passwords: Argon2id (RFC 9106) with the parameters that OWASP recommends, 19 MiB and two
//! passes. One takes a hundredth of a second or more of a core, so that guessing is slow.

use argon2::password_hash::phc::{Output, PasswordHash, Salt};
use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, Block, Params, PasswordHasher, Version};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

use super::text;

/// The most that a hash may ask for: memory in KiB, passes over it, and lanes in it.
const MAX_MEMORY_KIB: u32 = 256 * 1024;
const MAX_PASSES: u32 = 16;
const MAX_LANES: u32 = 4;
/// The fewest characters of a new password (OWASP ASVS 6.2.1).
const MIN_CHARACTERS: usize = 8;

/// What a login is checked against.
#[derive(Clone)]
pub struct Account {
    /// In PHC format.
    pub password_hash: String,
    /// The [`stamp`] of that hash.
    pub stamp: String,
    /// Whether it is this user's. Without such a user it is another hash, and checked all the same: the
    /// time of the answer must not tell who exists (OWASP ASVS 6.3.8).
    pub exists: bool,
}

/// Whether it is the password of this hash. The memory grows as the hash asks.
pub(super) fn verify(hash: &str, password: &str, memory: &mut Vec<Block>) -> argon2::Result<bool> {
    let (argon2, salt, expected) = parse(hash).ok_or(argon2::Error::AlgorithmInvalid)?;
    let count = argon2.params().block_count();
    memory.resize(count.max(memory.len()), Block::default());
    let mut computed = vec![0; expected.len()];
    let memory = &mut memory[..count];
    argon2.hash_password_into_with_memory(password.as_bytes(), &salt, &mut computed, memory)?;
    // `Output` compares in constant time.
    Ok(Output::new(&computed).is_ok_and(|computed| computed == expected))
}

/// The parts of an Argon2id hash in PHC format: how it was made, its salt and its outcome.
fn parse(text: &str) -> Option<(Argon2<'static>, Salt, Output)> {
    let hash = PasswordHash::new(text).ok()?;
    if hash.algorithm != ARGON2ID_IDENT || hash.version != Some(Version::V0x13.into()) {
        return None;
    }
    let params = Params::try_from(&hash).ok()?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    Some((argon2, hash.salt?, hash.hash?))
}

/// The text, if it is a whole Argon2id hash within these bounds. Fails in words for who wrote the file.
pub fn checked(text: &str) -> Result<&str, String> {
    let form = "is not of the form name:$argon2id$…, as `hash-password` writes it";
    let (argon2, ..) = parse(text).ok_or(form)?;
    let params = argon2.params();
    let (m, t, p) = (params.m_cost(), params.t_cost(), params.p_cost());
    if m > MAX_MEMORY_KIB || t > MAX_PASSES || p > MAX_LANES {
        let most = format!("m={MAX_MEMORY_KIB} (KiB), t={MAX_PASSES}, p={MAX_LANES}");
        return Err(format!(
            "its hash asks for m={m}, t={t}, p={p}, at most {most} are taken"
        ));
    }
    Ok(text)
}

/// What a session remembers of its user's password: a digest, which the hash's random salt keeps from
/// telling anything. It changes with every new hash, also one of the same password.
pub fn stamp(password_hash: &str) -> String {
    let digest = Sha256::digest(["the stamp of a session", password_hash].join("\0"));
    BASE64_URL_SAFE_NO_PAD.encode(&digest[..16])
}

/// The line of the users file for a user with a new password. Fails in words for who chose them.
pub fn users_line(name: &str, password: &str) -> Result<String, String> {
    let user_id = text::user_id(name)?;
    let password = text::checked("password", password)?;
    if user_id.starts_with('#') {
        return Err("A name that starts with # would be a comment.".to_owned());
    }
    if password.chars().count() < MIN_CHARACTERS {
        return Err(format!(
            "A password needs {MIN_CHARACTERS} characters or more."
        ));
    }
    let hash = Argon2::default().hash_password(password.as_bytes());
    let hash: PasswordHash = hash.map_err(|error| error.to_string())?;
    Ok(format!("{user_id}:{hash}"))
}
