//! The sessions that were ended before their time.
//!
//! A store holds entries: of some subject, which is one session or one user, all sessions that were
//! issued until a moment are ended. An entry is kept until the last of them would have ended by
//! itself. There are two stores: a file of this process, and a Redis that several instances share.
//! With either an end is stored before it is answered, and a session that cannot be checked is
//! refused with 503: it is not believed.

mod embedded;
#[cfg(feature = "redis")]
mod redis;

use std::{borrow::Cow, fmt, path::PathBuf, sync::Arc};

use self::embedded::Embedded;
use super::{
    clock::{Clock, Timestamp},
    payload::{Payload, SessionId},
};
use crate::{defaults::SESSION_MAX_AGE, error::Error};

/// Where ended sessions are kept.
#[derive(Clone, Debug)]
pub enum StoreConfig {
    /// As long as this process lives; enough where its key lives no longer.
    Memory,
    /// In a file that no other process has open.
    File(PathBuf),
    /// In a Redis or Valkey.
    #[cfg(feature = "redis")]
    Redis(::redis::Client),
}

/// The ended sessions.
pub struct Revocations {
    store: Store,
    clock: Clock,
}

enum Store {
    Embedded(Arc<Embedded>),
    #[cfg(feature = "redis")]
    Redis(redis::Redis),
}

impl Revocations {
    /// Opens the store. Fails, in words for whoever starts the app, where that cannot be done.
    pub fn open(config: StoreConfig, clock: Clock) -> Result<Self, String> {
        let embedded = |path| Embedded::open(path, clock.now()).map(Arc::new);
        let store = match config {
            StoreConfig::Memory => Store::Embedded(embedded(None)?),
            StoreConfig::File(path) => {
                let problem = |error| format!("REVOCATION_FILE = {}: {error}", path.display());
                Store::Embedded(embedded(Some(path.clone())).map_err(problem)?)
            }
            #[cfg(feature = "redis")]
            StoreConfig::Redis(client) => Store::Redis(redis::Redis::open(client)?),
        };
        Ok(Self { store, clock })
    }

    /// Whether the session was ended, alone or with all others of its user.
    pub async fn is_ended(&self, session: &Payload) -> Result<bool, Error> {
        let subjects = [
            Subject::Session(session.id),
            Subject::User(session.user_id.as_str().into()),
        ];
        Ok(session.issued <= self.ended_until(&subjects).await?)
    }

    /// Ends one session (OWASP ASVS 7.4.1).
    pub async fn end(&self, session: &Payload) -> Result<(), Error> {
        let subject = Subject::Session(session.id);
        self.put(subject, session.issued, session.ends).await
    }

    /// Ends all sessions of the user that were issued until now (OWASP ASVS 7.4.3), this one
    /// among them.
    pub(super) async fn end_all(&self, session: &Payload) -> Result<(), Error> {
        // Another instance may have ended them by a clock that is ahead of ours.
        let before = self.user_ended_until(&session.user_id).await?;
        let until = self.clock.now().max(session.issued).max(before);
        let subject = Subject::User(session.user_id.clone().into());
        self.put(subject, until, until + SESSION_MAX_AGE).await
    }

    /// Until when the sessions of this user are ended; the epoch where none are.
    pub(super) async fn user_ended_until(&self, user_id: &str) -> Result<Timestamp, Error> {
        self.ended_until(&[Subject::User(user_id.into())]).await
    }

    /// Whether the store can be asked, and take an end, just now.
    pub async fn check(&self) -> Result<(), Error> {
        match &self.store {
            Store::Embedded(store) => store.check(self.clock.now()).await,
            #[cfg(feature = "redis")]
            Store::Redis(store) => store.check().await,
        }
    }

    /// The latest moment that an entry of one of these subjects says.
    async fn ended_until(&self, subjects: &[Subject<'_>]) -> Result<Timestamp, Error> {
        match &self.store {
            Store::Embedded(store) => Ok(store.ended_until(subjects)),
            #[cfg(feature = "redis")]
            Store::Redis(store) => store.ended_until(subjects).await,
        }
    }

    async fn put(
        &self,
        subject: Subject<'static>,
        until: Timestamp,
        kept: Timestamp,
    ) -> Result<(), Error> {
        let now = self.clock.now();
        match &self.store {
            Store::Embedded(store) => store.put(subject, until, kept, now).await,
            #[cfg(feature = "redis")]
            Store::Redis(store) => store.put(&subject, until, kept.since(now)).await,
        }
    }
}

/// Whose sessions an entry ends.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Subject<'a> {
    Session(SessionId),
    User(Cow<'a, str>),
}

impl Subject<'static> {
    /// Reads what [`Display`](fmt::Display) wrote.
    fn parse(text: &str) -> Option<Self> {
        match text.split_once(':')? {
            ("session", id) => SessionId::parse(id).map(Self::Session),
            ("user", name) => Some(Self::User(name.to_owned().into())),
            _ => None,
        }
    }
}

/// As the stores write it.
impl fmt::Display for Subject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session(id) => write!(f, "session:{}", id.to_base64()),
            Self::User(name) => write!(f, "user:{name}"),
        }
    }
}
