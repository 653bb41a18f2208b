//! The time, from a source that a test can move.

use std::{
    ops::Add,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// A moment, in milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// How long after `earlier` this is; zero where it is before.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// The moment in the form of RFC 3339, in whole seconds of UTC. `None` past the year 9999,
    /// which that form cannot write.
    pub fn to_rfc3339(self) -> Option<String> {
        let seconds = i64::try_from(self.0 / 1000).ok()?;
        OffsetDateTime::from_unix_timestamp(seconds)
            .ok()?
            .format(&Rfc3339)
            .ok()
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(millis))
    }
}

/// Where the app reads the time.
#[derive(Clone)]
pub struct Clock {
    now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// When the system's was first read; a test's goes as the test says.
    begun: Option<Instant>,
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        let now = || {
            let since_epoch = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default();
            Timestamp(0) + since_epoch
        };
        Self {
            now: Arc::new(now),
            begun: Some(Instant::now()),
        }
    }

    /// A clock that asks `now` every time.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self {
            now: Arc::new(now),
            begun: None,
        }
    }

    /// The current moment.
    pub fn now(&self) -> Timestamp {
        (self.now)()
    }

    /// How much time has passed since some moment: goes on evenly where the system's clock is set.
    pub fn steady(&self) -> Duration {
        match self.begun {
            Some(begun) => begun.elapsed(),
            None => self.now().since(Timestamp(0)),
        }
    }
}
