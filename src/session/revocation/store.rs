//! What sessions ask of the store, whichever it is.

use std::{path::PathBuf, sync::Arc};

use super::file::{Entry, FileStore};
#[cfg(feature = "redis")]
use super::redis::RedisStore;
use crate::{defaults::SESSION_MAX_AGE, error::Result, session::claims::Claims};

/// Entries are kept for longer than the sessions that they end: a clock may jump ahead, and back again.
const LIFETIME: i64 = SESSION_MAX_AGE.as_secs() as i64;

/// Where ended sessions are kept.
#[derive(Debug)]
pub enum StoreConfig {
    /// As long as this process lives; enough where its key lives no longer.
    Memory,
    /// In a file that no other process has open.
    File(PathBuf),
    /// In a Redis or Valkey.
    #[cfg(feature = "redis")]
    Redis(::redis::Client),
}

pub(in crate::session) enum Revocations {
    File(Arc<FileStore>),
    #[cfg(feature = "redis")]
    Redis(RedisStore),
}

impl Revocations {
    /// Opens the store. Fails, in words for whoever starts the app, where that cannot be done.
    pub fn open(config: &StoreConfig, now: i64) -> Result<Self, String> {
        Ok(match config {
            StoreConfig::Memory => Self::File(Arc::default()),
            StoreConfig::File(path) => {
                let problem = |error| format!("REVOCATION_FILE = {}: {error}", path.display());
                Self::File(FileStore::open(path, now).map_err(problem)?.into())
            }
            #[cfg(feature = "redis")]
            StoreConfig::Redis(client) => Self::Redis(RedisStore::open(client.clone())?),
        })
    }

    /// Whether the session was ended, alone or with all others of its user.
    pub async fn is_ended(&self, claims: &Claims) -> Result<bool> {
        let (id, user_id) = (&claims.jti, &claims.sub);
        let names = [format!("session:{id}"), format!("user:{user_id}")];
        let [session, user] = self.get(names).await?;
        Ok(session.is_some() || claims.generation < user)
    }

    /// The number under which a new session of this user is issued.
    pub async fn generation(&self, user_id: &str) -> Result<Option<i64>> {
        let [number] = self.get([format!("user:{user_id}")]).await?;
        Ok(number)
    }

    /// Ends one session (OWASP ASVS 7.4.1).
    pub async fn end(&self, claims: &Claims, now: i64) -> Result<()> {
        let name = format!("session:{}", claims.jti);
        let last_end = claims.exp.unix_timestamp();
        self.raise(name, 1, last_end + LIFETIME, now).await
    }

    /// Ends all sessions of a user until now (OWASP ASVS 7.4.3), under a number that is larger than `last`.
    pub async fn end_all(&self, user_id: &str, last: Option<i64>, now: i64) -> Result<()> {
        let number = now.max(last.unwrap_or(0).saturating_add(1));
        let name = format!("user:{user_id}");
        self.raise(name, number, now + 2 * LIFETIME, now).await
    }

    /// Whether the store can be asked, and take an end, just now.
    pub async fn check(&self, now: i64) -> Result<()> {
        match self {
            Self::File(store) if store.wrote_just_now().await => Ok(()),
            _ => self.raise("readiness".to_owned(), 1, now + 60, now).await,
        }
    }

    async fn raise(&self, name: String, number: i64, kept: i64, now: i64) -> Result<()> {
        let entry = Entry { name, number, kept };
        match self {
            Self::File(store) => store.store(entry, now).await,
            #[cfg(feature = "redis")]
            Self::Redis(store) => store.raise(&entry.name, number, kept - now).await,
        }
    }

    async fn get<const N: usize>(&self, names: [String; N]) -> Result<[Option<i64>; N]> {
        match self {
            Self::File(store) => Ok(store.get(&names)),
            #[cfg(feature = "redis")]
            Self::Redis(store) => store.get(&names).await,
        }
    }
}
