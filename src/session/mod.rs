//! Sessions on a signed cookie: what the cookie says, who signed it, and whether it still counts.
//!
//! The cookie carries the whole session ([`payload`]), signed with the app's keys ([`keys`]). A
//! request's cookies are read by [`cookie`], judged by [`Sessions`], and reach a handler as one of
//! two extractors (`extract.rs`): [`Session`], where somebody must be logged in, and
//! [`SessionJar`], to log in and out. Logged-out sessions are remembered by `revocation.rs`.
//!
//! Nothing outside this module names the cookie, sees a key, or touches an attribute.

pub mod clock;
pub mod cookie;
mod extract;
pub mod keys;
pub mod payload;
mod revocation;

use std::{sync::Arc, time::Duration};

use axum::http::HeaderMap;

use self::{
    clock::Clock,
    cookie::SessionCookie,
    keys::SessionKeys,
    payload::{Payload, SessionId},
    revocation::Revocations,
};
use crate::{defaults::SESSION_MAX_AGE, error::Error};

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

/// A verified, live session, and whether its cookie should be written anew.
#[derive(Clone, Debug)]
struct Live {
    payload: Payload,
    renewal_due: bool,
}

impl Sessions {
    /// Sets up the sessions of this process.
    pub fn new(config: SessionConfig, clock: Clock) -> Self {
        Self(Arc::new(Inner {
            keys: config.keys,
            idle_timeout: config.idle_timeout,
            secure: config.secure,
            clock,
            revocations: Revocations::default(),
        }))
    }

    /// Every live session among the request's cookies, each once: nearly always none or one.
    /// Cookies that are no session are logged and change nothing else.
    fn presented(&self, headers: &HeaderMap) -> Vec<Live> {
        let mut presented: Vec<Live> = Vec::new();
        // Each kind is logged once: a request may carry thousands of made-up cookies.
        let mut logged: Vec<Refusal> = Vec::new();
        for value in cookie::session_values(headers) {
            match self.verify(value) {
                Ok(live)
                    if presented
                        .iter()
                        .any(|other| other.payload.id == live.payload.id) => {}
                Ok(live) => presented.push(live),
                Err(event) if logged.contains(&event) => {}
                Err(event) => {
                    logged.push(event);
                    if event == EXPIRED {
                        tracing::info!(event)
                    } else {
                        tracing::warn!(event)
                    }
                }
            }
        }
        if presented.len() > 1 {
            tracing::warn!(event = "session_ambiguous");
        }
        presented
    }

    fn verify(&self, value: &str) -> Result<Live, Refusal> {
        let opened = self.0.keys.verify(value).ok_or(FORGED)?;
        let payload = Payload::parse(&opened.value).ok_or(FOREIGN_PURPOSE)?;

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
        if self.0.revocations.contains(payload.id) {
            return Err(REPLAYED);
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

    /// A new session for `user_id`, from now until the chosen lifetime has passed.
    fn issue(&self, user_id: String) -> Result<Payload, Error> {
        let now = self.0.clock.now();
        let ends = now + SESSION_MAX_AGE;
        Ok(Payload {
            id: SessionId::random()?,
            issued: now,
            ends,
            active: now,
            user_id,
        })
    }

    /// The cookie that carries `payload`, marked active now.
    fn seal(&self, payload: Payload) -> Result<SessionCookie, Error> {
        let now = self.0.clock.now();
        let max_age = payload.ends.since(now);
        let value = self.0.keys.sign(
            Payload {
                active: now,
                ..payload
            }
            .to_string(),
        )?;
        SessionCookie::set(value, max_age, self.0.secure)
    }

    /// The cookie that removes the session's.
    fn removal(&self) -> Result<SessionCookie, Error> {
        SessionCookie::removal(self.0.secure)
    }

    /// Ends a session on the server: its cookie opens nothing from now on.
    fn end(&self, payload: &Payload) {
        self.0
            .revocations
            .insert(payload.id, payload.ends, self.0.clock.now());
    }
}
