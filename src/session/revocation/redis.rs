//! The store of several instances: a Redis or Valkey that they share. Entries expire there by
//! themselves.
//!
//! Redis must not evict them (`maxmemory-policy noeviction`), and has to keep them across its own
//! restart (`appendonly yes`, `appendfsync always`): a session whose end it forgets lives again.

use std::time::Duration;

use redis::{
    AsyncCommands, Client, RedisResult,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use tokio::time::timeout;

use super::Subject;
use crate::{defaults::COOKIE_NAME, error::Error, session::clock::Timestamp};

/// How long a request waits for Redis, also while the connection is made anew.
const PATIENCE: Duration = Duration::from_secs(1);
/// The longest pause between two attempts to connect; they never end.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

pub(super) struct Redis(ConnectionManager);

impl Redis {
    /// Connects when first asked: an instance may start before its Redis. Needs a Tokio runtime.
    pub fn open(client: Client) -> Result<Self, String> {
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE))
            .set_max_delay(LONGEST_PAUSE)
            .set_number_of_retries(usize::MAX);
        let connection = ConnectionManager::new_lazy_with_config(client, config);
        connection.map(Self).map_err(|error| error.to_string())
    }

    pub async fn ended_until(&self, subjects: &[Subject<'_>]) -> Result<Timestamp, Error> {
        let keys: Vec<String> = subjects.iter().map(key).collect();
        let found: Vec<Option<u64>> = answer(self.connection().mget(&keys)).await?;
        Ok(Timestamp(found.into_iter().flatten().max().unwrap_or(0)))
    }

    pub async fn put(
        &self,
        subject: &Subject<'_>,
        until: Timestamp,
        kept: Duration,
    ) -> Result<(), Error> {
        // An expiry of zero is an error to Redis.
        let millis = u64::try_from(kept.as_millis()).unwrap_or(u64::MAX).max(1);
        answer(self.connection().pset_ex(key(subject), until.0, millis)).await
    }

    pub async fn check(&self) -> Result<(), Error> {
        answer(self.connection().ping()).await
    }

    /// The one connection, which all requests share without waiting for each other's answers.
    fn connection(&self) -> ConnectionManager {
        self.0.clone()
    }
}

/// Two apps can share a Redis as long as their cookies have different names.
fn key(subject: &Subject<'_>) -> String {
    format!("{COOKIE_NAME}:ended:{subject}")
}

async fn answer<T>(asked: impl Future<Output = RedisResult<T>>) -> Result<T, Error> {
    let answer = timeout(PATIENCE, asked).await.map_err(Error::store_away)?;
    answer.map_err(Error::store_away)
}
