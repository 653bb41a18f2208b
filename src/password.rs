//! Passwords: checked at login, and hashed for the users file.
//!
//! Hashing is Argon2id (RFC 9106), by the argon2 crate, with the parameters that OWASP recommends:
//! 19 MiB and two passes. It takes a hundredth of a second or more of a core, so that guessing is
//! slow, and therefore has threads of its own, beside those that answer requests.

use std::{fmt, net::IpAddr, sync::Arc, time::Duration};

use argon2::{
    ARGON2ID_IDENT, Argon2, Params, PasswordHash, PasswordHasher, PasswordVerifier,
    password_hash::SaltString,
};
use tokio::{sync::Semaphore, task::spawn_blocking};

use crate::{
    credentials::Credentials,
    error::Error,
    login::check_text,
    session::clock::Clock,
    throttle::{Throttle, network},
};

/// How many passwords are hashed at once, at 19 MiB each. One more is answered with 503.
pub const HASHES_AT_ONCE: usize = 8;

/// The fewest characters of a new password (OWASP ASVS 6.2.1).
const MIN_CHARACTERS: usize = 8;

/// What a login is checked against.
pub struct Account {
    /// An Argon2id hash in PHC format.
    pub password_hash: String,
    /// Whether it is this user's. Where there is no such user, it is another hash, and checked all
    /// the same: the time of the answer must not tell who exists (OWASP ASVS 6.3.8).
    pub exists: bool,
}

/// Why nobody is logged in.
#[derive(Debug)]
pub enum Refusal {
    /// A field breaks its rule, which is said in a sentence.
    Invalid(String),
    /// There is no such user, or it is not their password.
    Wrong,
    /// Too many attempts on this account or from this address; the next one counts after this long.
    Throttled(Duration),
    /// [`HASHES_AT_ONCE`] are running.
    Busy,
}

impl Refusal {
    /// When to try again, in whole seconds, where waiting helps.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Invalid(_) | Self::Wrong => None,
            Self::Throttled(wait) => Some(whole_seconds(*wait)),
            Self::Busy => Some(1),
        }
    }
}

/// What the visitor is told.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(words) => f.write_str(words),
            Self::Wrong => f.write_str("The user ID or the password is wrong."),
            Self::Throttled(wait) => {
                let seconds = whole_seconds(*wait);
                write!(f, "Too many attempts. Try again in {seconds} seconds.")
            }
            Self::Busy => f.write_str("Too many people are logging in. Try again in a moment."),
        }
    }
}

fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

/// Checks passwords, not too often and not too many at once.
#[derive(Clone)]
pub struct Passwords(Arc<Inner>);

struct Inner {
    credentials: Arc<Credentials>,
    accounts: Throttle,
    addresses: Throttle,
    places: Arc<Semaphore>,
}

impl Passwords {
    /// Checks them against `credentials`.
    pub fn new(credentials: Arc<Credentials>, clock: &Clock) -> Self {
        Self(Arc::new(Inner {
            credentials,
            accounts: Throttle::on_accounts(clock.clone()),
            addresses: Throttle::from_addresses(clock.clone()),
            places: Arc::new(Semaphore::new(HASHES_AT_ONCE)),
        }))
    }

    /// How many passwords are being hashed now.
    #[cfg(feature = "metrics")]
    pub fn running(&self) -> usize {
        HASHES_AT_ONCE - self.0.places.available_permits()
    }

    /// Why the password is not taken; `None` where it is the user's. Every attempt counts, right or
    /// wrong, so that the count tells nothing.
    pub async fn check(
        &self,
        user_id: &str,
        password: String,
        address: IpAddr,
    ) -> Result<Option<Refusal>, Error> {
        if let Err(wait) = self.0.addresses.attempt(network(address)) {
            return Ok(Some(Refusal::Throttled(wait)));
        }
        // Before the account's count: who gets no place has not guessed.
        let Ok(place) = Arc::clone(&self.0.places).try_acquire_owned() else {
            return Ok(Some(Refusal::Busy));
        };
        if let Err(wait) = self.0.accounts.attempt(user_id) {
            return Ok(Some(Refusal::Throttled(wait)));
        }
        let Account {
            password_hash,
            exists,
        } = self.0.credentials.account(user_id).await?;
        let matches = spawn_blocking(move || {
            // Held until the work is done, also when nobody waits for it any more.
            let _place = place;
            verify(&password_hash, &password)
        });
        let matches = matches.await.map_err(Error::internal)?;
        let matches = matches.map_err(Error::internal)?;
        Ok((!(matches && exists)).then_some(Refusal::Wrong))
    }
}

fn verify(password_hash: &str, password: &str) -> argon2::password_hash::Result<bool> {
    let hash = PasswordHash::new(password_hash)?;
    match Argon2::default().verify_password(password.as_bytes(), &hash) {
        Ok(()) => Ok(true),
        Err(argon2::password_hash::Error::Password) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether the text is a whole Argon2id hash in PHC format.
pub fn is_hash(text: &str) -> bool {
    PasswordHash::new(text).is_ok_and(|hash| {
        hash.algorithm == ARGON2ID_IDENT
            && hash.salt.is_some()
            && hash.hash.is_some()
            && Params::try_from(&hash).is_ok()
    })
}

/// The line of the users file for a user with a new password. Fails, in words for who chose them,
/// where the name or the password breaks its rule.
pub fn users_line(name: &str, password: &str) -> Result<String, String> {
    check_text("name", name)?;
    check_text("password", password)?;
    if name.starts_with('#') {
        return Err("A name that starts with # would be a comment.".to_owned());
    }
    if password.chars().count() < MIN_CHARACTERS {
        return Err(format!(
            "The password must have at least {MIN_CHARACTERS} characters."
        ));
    }
    let mut salt = [0; 16];
    getrandom::getrandom(&mut salt).map_err(|error| error.to_string())?;
    let salt = SaltString::encode_b64(&salt).map_err(|error| error.to_string())?;
    let hash = Argon2::default().hash_password(password.as_bytes(), &salt);
    Ok(format!(
        "{name}:{}",
        hash.map_err(|error| error.to_string())?
    ))
}
