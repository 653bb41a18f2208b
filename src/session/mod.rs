//! Sessions on a signed cookie: what the cookie says, who signed it, and whether it still counts.
//!
//! The cookie carries the whole session ([`payload`]), signed with the app's keys ([`keys`]). A
//! request's cookies are read by [`cookie`], judged by [`Sessions`], and reach a handler as one of
//! two extractors (`extract.rs`): [`Session`], where somebody must be logged in, and
//! [`SessionJar`], to log in and out. Sessions that were ended are remembered by [`revocation`].
//!
//! Nothing outside this module names the cookie, sees a key, or touches an attribute.

pub mod clock;
pub mod cookie;
mod extract;
pub mod keys;
pub mod payload;
pub mod revocation;

use std::{sync::Arc, time::Duration};

use axum::http::HeaderMap;

use self::{
    clock::Clock,
    cookie::SessionCookie,
    keys::SessionKeys,
    payload::{Payload, SessionId},
    revocation::{Revocations, StoreConfig},
};
use crate::{credentials::Credentials, defaults::SESSION_MAX_AGE, error::Error};

pub use self::extract::{Session, SessionJar};

/// How far the clocks of two instances may differ before a session that one has just issued looks
/// to the other like one from the future.
const CLOCK_SKEW: Duration = Duration::from_secs(1);

/// A renewal is due when this share of the idle timeout has passed since the last one, so that a
/// busy visitor does not get a new cookie with every answer.
const RENEWAL_SHARE: u32 = 10;

/// What sessions are configured with.
#[derive(Debug)]
pub struct SessionConfig {
    /// The keys that sign and verify.
    pub keys: SessionKeys,
    /// Ends a session after this long without a request; `None` leaves it to its natural end.
    pub idle_timeout: Option<Duration>,
    /// Whether the cookie is marked `Secure`.
    pub secure: bool,
    /// Where ended sessions are kept.
    pub store: StoreConfig,
}

/// The app's sessions: one value in the shared state, cheap to clone.
#[derive(Clone)]
pub struct Sessions(Arc<Inner>);

struct Inner {
    keys: SessionKeys,
    idle_timeout: Option<Duration>,
    secure: bool,
    clock: Clock,
    revocations: Revocations,
    credentials: Option<Arc<Credentials>>,
}

/// Why a cookie with the session's name is no session; the name of the event that is logged.
type Refusal = &'static str;

/// No key of ours signed it.
const FORGED: Refusal = "session_forged";
/// We signed it, but for something else, or in a format of another version.
const FOREIGN_PURPOSE: Refusal = "session_foreign_purpose";
/// It claims to be issued later than now.
const FROM_THE_FUTURE: Refusal = "session_from_the_future";
/// Its end has come, or it was silent for longer than the idle timeout.
const EXPIRED: Refusal = "session_expired";
/// It was logged out.
const REPLAYED: Refusal = "session_replayed_after_logout";
/// Its user was removed.
const USER_REMOVED: Refusal = "session_of_removed_user";

/// A verified, live session, and whether its cookie should be written anew.
struct Live {
    payload: Payload,
    renewal_due: bool,
}

impl Sessions {
    /// Sets up the sessions of this process. Where there are `credentials`, only the users whom
    /// they know have sessions. Fails where the store of ended sessions cannot be opened, in words
    /// for whoever starts the app.
    pub fn open(
        config: SessionConfig,
        credentials: Option<Arc<Credentials>>,
        clock: Clock,
    ) -> Result<Self, String> {
        Ok(Self(Arc::new(Inner {
            keys: config.keys,
            idle_timeout: config.idle_timeout,
            secure: config.secure,
            revocations: Revocations::open(config.store, clock.clone())?,
            clock,
            credentials,
        })))
    }

    /// The sessions that were ended before their time.
    pub fn revocations(&self) -> &Revocations {
        &self.0.revocations
    }

    /// Every live session among the request's cookies, each once: nearly always none or one.
    /// Cookies that are no session are logged and change nothing else.
    async fn presented(&self, headers: &HeaderMap) -> Result<Vec<Live>, Error> {
        let mut presented: Vec<Live> = Vec::new();
        // A request may carry hundreds of cookies, copies and made-up ones: the store is asked about
        // each session once, and each kind of refusal is logged once.
        let mut ended: Vec<SessionId> = Vec::new();
        let mut logged: Vec<Refusal> = Vec::new();
        for value in cookie::session_values(headers) {
            let refusal = match self.verify(value) {
                Ok(Live { payload, .. })
                    if ended.contains(&payload.id)
                        || presented.iter().any(|live| live.payload.id == payload.id) =>
                {
                    continue;
                }
                Ok(live) => match self.ended(&live.payload).await? {
                    None => {
                        presented.push(live);
                        continue;
                    }
                    Some(refusal) => {
                        ended.push(live.payload.id);
                        refusal
                    }
                },
                Err(refusal) => refusal,
            };
            if !logged.contains(&refusal) {
                logged.push(refusal);
                if refusal == EXPIRED {
                    tracing::info!(event = refusal)
                } else {
                    tracing::warn!(event = refusal)
                }
            }
        }
        if presented.len() > 1 {
            tracing::warn!(event = "session_ambiguous");
        }
        Ok(presented)
    }

    /// What the cookie alone says.
    fn verify(&self, value: &str) -> Result<Live, Refusal> {
        let opened = self.0.keys.verify(value).ok_or(FORGED)?;
        let payload = Payload::parse(opened.value).ok_or(FOREIGN_PURPOSE)?;

        let now = self.0.clock.now();
        if payload.issued > now + CLOCK_SKEW {
            return Err(FROM_THE_FUTURE);
        }
        // The second bound holds a lifetime that was shortened since the session began.
        let ended = now >= payload.ends || now >= payload.issued + SESSION_MAX_AGE;
        let silent = |timeout| now >= payload.active + timeout;
        if ended || self.0.idle_timeout.is_some_and(silent) {
            return Err(EXPIRED);
        }

        let share_passed = self
            .0
            .idle_timeout
            .is_some_and(|timeout| silent(timeout / RENEWAL_SHARE));
        Ok(Live {
            renewal_due: share_passed || opened.by_older_key,
            payload,
        })
    }

    /// What the cookie cannot say: whether somebody ended the session since.
    async fn ended(&self, payload: &Payload) -> Result<Option<Refusal>, Error> {
        if self.0.revocations.is_ended(payload).await? {
            return Ok(Some(REPLAYED));
        }
        if let Some(credentials) = &self.0.credentials
            && !credentials.knows(&payload.user_id).await?
        {
            return Ok(Some(USER_REMOVED));
        }
        Ok(None)
    }

    /// A new session for `user_id`, from now until the chosen lifetime has passed.
    async fn issue(&self, user_id: String) -> Result<Payload, Error> {
        // In the very millisecond of a logout everywhere, or behind the clock of the instance that
        // did it, a new session would count as ended.
        let ended_until = self.0.revocations.user_ended_until(&user_id).await?;
        let issued = self
            .0
            .clock
            .now()
            .max(ended_until + Duration::from_millis(1));
        Ok(Payload {
            id: SessionId::random()?,
            issued,
            ends: issued + SESSION_MAX_AGE,
            active: issued,
            user_id,
        })
    }

    /// The cookie that carries the session on, marked active now.
    fn renew(&self, payload: Payload) -> Result<SessionCookie, Error> {
        let active = self.0.clock.now();
        self.seal(&Payload { active, ..payload })
    }

    /// The cookie that carries `payload`, until the session ends.
    fn seal(&self, payload: &Payload) -> Result<SessionCookie, Error> {
        let max_age = payload.ends.since(payload.active);
        let value = self.0.keys.sign(&payload.to_string());
        SessionCookie::set(value, max_age, self.0.secure)
    }

    /// The cookie that removes the session's.
    fn removal(&self) -> Result<SessionCookie, Error> {
        SessionCookie::removal(self.0.secure)
    }
}
