//! How often somebody may try to log in (OWASP ASVS 6.3.1).

use std::{
    hash::{BuildHasher, Hash, RandomState},
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{InMemoryState, NotKeyed, StateStore},
};

use crate::session::clock::Clock;

/// On an account: this many attempts at once, and then one a minute.
pub const ACCOUNT_BURST: u32 = 10;
const ACCOUNT_AN_HOUR: u32 = 60;

/// From an address: this many attempts at once, and then one every six seconds. More than on an
/// account, because an office may share one.
pub const ADDRESS_BURST: u32 = 50;
const ADDRESS_AN_HOUR: u32 = 600;

/// How many counts a throttle keeps, at 8 bytes each. Keys share them by a hash that nobody outside
/// can compute: a million made-up names need no more memory than one, and slow somebody else down
/// only by chance.
const COUNTS: usize = 1 << 16;

/// Counts attempts by some key.
pub struct Throttle {
    limiter: RateLimiter<usize, Counts, Clock, NoOpMiddleware<Nanos>>,
    clock: Clock,
    hasher: RandomState,
}

impl Throttle {
    /// For attempts on accounts.
    pub fn on_accounts(clock: Clock) -> Self {
        Self::new(ACCOUNT_AN_HOUR, ACCOUNT_BURST, clock)
    }

    /// For attempts from addresses.
    pub fn from_addresses(clock: Clock) -> Self {
        Self::new(ADDRESS_AN_HOUR, ADDRESS_BURST, clock)
    }

    fn new(an_hour: u32, burst: u32, clock: Clock) -> Self {
        let number = |number: u32| NonZeroU32::MIN.saturating_add(number - 1);
        let quota = Quota::per_hour(number(an_hour)).allow_burst(number(burst));
        let counts = (0..COUNTS).map(|_| InMemoryState::default()).collect();
        Self {
            limiter: RateLimiter::new(quota, Counts(counts), clock.clone()),
            clock,
            hasher: RandomState::new(),
        }
    }

    /// Counts an attempt, or says how long to wait for the next that would count.
    pub fn attempt(&self, key: impl Hash) -> Result<(), Duration> {
        let at = self.hasher.hash_one(key) as usize % COUNTS;
        let now = governor::clock::Clock::now(&self.clock);
        let counted = self.limiter.check_key(&at);
        counted.map_err(|not_until| not_until.wait_time_from(now))
    }
}

/// What one client has of the network: an address of IPv4, but 2^64 of them in IPv6.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address => address,
    }
}

struct Counts(Box<[InMemoryState]>);

impl StateStore for Counts {
    type Key = usize;

    fn measure_and_replace<T, F, E>(&self, at: &usize, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        self.0[*at].measure_and_replace(&NotKeyed::NonKey, decide)
    }
}

impl governor::clock::Clock for Clock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.steady().into()
    }
}
