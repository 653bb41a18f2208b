//! Passwords, checked at login: not too often (OWASP ASVS 6.3.1), and not too many at once.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::{hash::Hash, num::NonZeroU32, time::Duration};

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter as Limiter, NotUntil, Quota};
use tokio::{sync::Semaphore, task::spawn_blocking};

use super::{file::Users, hash};
use crate::error::Error;

/// How many passwords are hashed at once. Each place keeps its memory, 19 MiB with our hashes.
pub const HASHES_AT_ONCE: usize = 8;
/// Attempts on an account: so many at once, and then so many an hour.
pub const ACCOUNT_BURST: u32 = 10;
const ACCOUNT_AN_HOUR: u32 = 60;
/// Attempts from an address. More than on an account, because an office may share one.
pub const ADDRESS_BURST: u32 = 50;
const ADDRESS_AN_HOUR: u32 = 600;

/// Why nobody is logged in. An invalid field comes with a sentence about its rule, and throttling with
/// how long to wait for the next attempt that counts.
#[derive(Debug)]
pub(crate) enum Refusal {
    Invalid(String),
    Wrong,
    Throttled(Duration),
    Busy,
    Failed(Error),
}

type Checked = Result<String, Refusal>;

/// Checks passwords.
#[derive(Clone)]
pub struct Passwords(Arc<Inner>);

struct Inner {
    users: Arc<Users>,
    accounts: Limiter<String>,
    addresses: Limiter<IpAddr>,
    attempts: AtomicUsize,
    places: Arc<Semaphore>,
    /// The memory of the places that nobody uses just now.
    memory: Mutex<Vec<Vec<argon2::Block>>>,
}

impl Passwords {
    /// Checks them against those of `users`.
    pub fn new(users: Arc<Users>) -> Self {
        Self(Arc::new(Inner {
            users,
            accounts: Limiter::keyed(quota(ACCOUNT_AN_HOUR, ACCOUNT_BURST)),
            addresses: Limiter::keyed(quota(ADDRESS_AN_HOUR, ADDRESS_BURST)),
            attempts: AtomicUsize::default(),
            places: Arc::new(Semaphore::new(HASHES_AT_ONCE)),
            memory: Mutex::default(),
        }))
    }

    /// Whether there is such a user, for the log alone.
    pub(crate) async fn know(&self, user_id: &str) -> bool {
        let account = self.0.users.account(user_id).await;
        account.is_ok_and(|account| account.exists)
    }

    /// The user's stamp, where it is their password; both texts as [`text`](super::text) returns them.
    /// Every attempt counts, right or wrong, so that the count tells nothing.
    pub(crate) async fn check(&self, user_id: &str, password: String, address: IpAddr) -> Checked {
        let inner = Arc::clone(&self.0);
        // Now and then, counts that no longer matter are forgotten: names can be made up.
        let attempts = inner.attempts.fetch_add(1, Ordering::Relaxed);
        if attempts.is_multiple_of(1000) {
            inner.accounts.retain_recent();
            inner.addresses.retain_recent();
        }
        attempt(&inner.addresses, &network(address))?;
        // Before the account's count: who gets no place has not guessed.
        let place = Arc::clone(&inner.places).try_acquire_owned();
        let place = place.map_err(|_| Refusal::Busy)?;
        attempt(&inner.accounts, &user_id.to_owned())?;
        let account = inner.users.account(user_id).await;
        let account = account.map_err(Refusal::Failed)?;
        let checked = spawn_blocking(move || {
            // Held until the work is done, also when nobody waits for it any more.
            let _place = place;
            let matches = inner.verify(&account.password_hash, &password);
            (matches, account)
        });
        match checked.await {
            Ok((Ok(true), account)) if account.exists => Ok(account.stamp),
            Ok((Ok(_), _)) => Err(Refusal::Wrong),
            Ok((Err(error), _)) => Err(Refusal::Failed(Error::internal(error))),
            Err(error) => Err(Refusal::Failed(Error::internal(error))),
        }
    }
}

impl Inner {
    fn verify(&self, password_hash: &str, password: &str) -> argon2::Result<bool> {
        let free = || self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let mut memory = free().pop().unwrap_or_default();
        let matches = hash::verify(password_hash, password, &mut memory);
        free().push(memory);
        matches
    }
}

fn quota(an_hour: u32, burst: u32) -> Quota {
    let number = |number: u32| NonZeroU32::MIN.saturating_add(number - 1);
    Quota::per_hour(number(an_hour)).allow_burst(number(burst))
}

/// Counts an attempt, or says how long to wait for the next that would count.
fn attempt<K: Hash + Eq + Clone>(limiter: &Limiter<K>, key: &K) -> Result<(), Refusal> {
    let counted = limiter.check_key(key);
    let wait = |until: NotUntil<_>| until.wait_time_from(DefaultClock::default().now());
    counted.map_err(|until| Refusal::Throttled(wait(until)))
}

/// What one client has of the network: an address of IPv4, but 2^64 of them in IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address => address,
    }
}
