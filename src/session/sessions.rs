//! Which sessions count, and how one is issued.

use std::{pin::Pin, sync::Arc, time::Duration};

use axum::http::{HeaderMap, HeaderValue};
use time::OffsetDateTime;

use super::claims::{Claims, SessionData, VERSION};
use super::cookie;
use super::keys::{self, SessionKeys};
use super::revocation::{Revocations, StoreConfig};
use crate::defaults::{COOKIE_NAME, SESSION_MAX_AGE};
use crate::error::{Error, Result};

/// How far the clocks of two instances may differ: a session from later than that is refused.
const CLOCK_SKEW: time::Duration = time::Duration::MINUTE;
/// A cookie is renewed after a tenth of the idle timeout, so silence ends a session after 90 to 100 % of it.
const RENEWALS: u32 = 10;

/// What sessions are configured with.
pub struct SessionConfig {
    pub(crate) keys: SessionKeys,
    /// Ends a session after this long without a request; `None` leaves it to its natural end.
    pub idle_timeout: Option<Duration>,
    /// Whether the cookie is marked `Secure`.
    pub secure: bool,
    /// Where ended sessions are kept.
    pub store: StoreConfig,
}

/// Tells the time of day; a test can move it.
pub type Clock = Arc<dyn Fn() -> OffsetDateTime + Send + Sync>;

/// Asks for the stamp that a user's sessions must carry now; `None` for who may not log in.
pub type StampOf = Box<dyn Fn(String) -> StampFuture + Send + Sync>;
type StampFuture = Pin<Box<dyn Future<Output = Result<Option<String>>> + Send>>;

/// Why a cookie is no session: the event to log, and whose session it was.
type Refused = (&'static str, Option<String>);

/// The app's sessions: one value in the shared state, cheap to clone.
#[derive(Clone)]
pub struct Sessions(Arc<Inner>);

struct Inner {
    config: SessionConfig,
    clock: Clock,
    revocations: Revocations,
    stamp_of: Option<StampOf>,
}

/// Somebody who is logged in. As an extractor it answers any other request with 401; as
/// `Option<Session>` it lets the handler decide. Return it beside the answer, `(session, answer)`, so that
/// a renewed cookie reaches the browser.
pub struct Session {
    pub(super) claims: Claims,
    pub(super) renewal: Option<HeaderValue>,
}

impl Session {
    /// Who is logged in.
    pub fn user_id(&self) -> &str {
        &self.claims.sub
    }

    /// When the session ends, however active it is.
    pub fn expires_at(&self) -> OffsetDateTime {
        self.claims.exp
    }

    /// What your app added at login.
    pub fn data(&self) -> &SessionData {
        &self.claims.data
    }
}

impl Sessions {
    /// With `stamp_of`, only users whom it knows have sessions. Fails where the store of ended sessions
    /// cannot be opened, in words for whoever starts the app.
    pub fn open(
        config: SessionConfig,
        stamp_of: Option<StampOf>,
        clock: Clock,
    ) -> Result<Self, String> {
        let revocations = Revocations::open(&config.store, clock().unix_timestamp())?;
        Ok(Self(Arc::new(Inner {
            config,
            clock,
            revocations,
            stamp_of,
        })))
    }

    /// Whether sessions can be checked and ended just now.
    pub async fn check(&self) -> Result<()> {
        let now = (self.0.clock)().unix_timestamp();
        self.0.revocations.check(now).await
    }

    /// Every live session among the request's cookies, each once: nearly always none or one. At most one
    /// refusal is logged, and a cookie that is no session changes nothing else.
    pub(super) async fn presented(&self, headers: &HeaderMap) -> Result<Vec<Session>> {
        let (mut presented, mut refusal) = (Vec::<Session>::new(), None);
        // A request may carry a hundred copies of one cookie, and the store is asked about each value.
        let mut values: Vec<_> = cookie::session_values(headers).collect();
        values.sort_unstable();
        values.dedup();
        for value in values {
            match self.judge(&value).await? {
                Ok(session) => presented.push(session),
                Err(refused) => refusal = refusal.or(Some(refused)),
            }
        }
        presented.sort_by(|a, b| a.claims.jti.cmp(&b.claims.jti));
        presented.dedup_by(|a, b| a.claims.jti == b.claims.jti);
        if presented.len() > 1 {
            refusal = Some(("session_ambiguous", None));
        }
        match refusal {
            Some((event @ "session_expired", user_id)) => tracing::info!(event, user_id),
            Some((event, user_id)) => tracing::warn!(event, user_id),
            None => {}
        }
        Ok(presented)
    }

    /// The session, or the event to log and its user. Fails where a store does not answer.
    async fn judge(&self, value: &str) -> Result<Result<Session, Refused>> {
        let Some((cookie, key_index)) = self.0.config.keys.verify(value) else {
            return Ok(Err(("session_forged", None)));
        };
        let Some(mut claims) = Claims::decode(cookie.value()) else {
            return Ok(Err(("session_foreign_purpose", None)));
        };
        let refused = |event| Ok(Err((event, Some(claims.sub.clone()))));
        let now = (self.0.clock)();
        let (age, silence) = (now - claims.iat, now - claims.act);
        if age < -CLOCK_SKEW {
            return refused("session_from_the_future");
        }
        let idle_timeout = self.0.config.idle_timeout;
        let is_silent = |divisor| idle_timeout.is_some_and(|limit| silence >= limit / divisor);
        // The second bound holds a lifetime that was shortened since the session began.
        if now >= claims.exp || age >= SESSION_MAX_AGE || is_silent(1) {
            return refused("session_expired");
        }
        if self.0.revocations.is_ended(&claims).await? {
            return refused("session_replayed_after_logout");
        }
        if let Some(stamp_of) = &self.0.stamp_of {
            let stamp = stamp_of(claims.sub.clone()).await?;
            if stamp.is_none() || stamp != claims.stamp {
                return refused("session_of_changed_user");
            }
        }
        let renewal_is_due = key_index > 0 || is_silent(RENEWALS);
        claims.act = now.max(claims.act);
        let renewal = renewal_is_due.then(|| self.seal(&claims)).transpose()?;
        Ok(Ok(Session { claims, renewal }))
    }

    /// The cookie of a new session for `user_id`, from now until the chosen lifetime has passed.
    pub(super) async fn issue(
        &self,
        user_id: &str,
        stamp: Option<String>,
        data: SessionData,
    ) -> Result<HeaderValue> {
        let now = (self.0.clock)();
        self.seal(&Claims {
            v: VERSION,
            aud: COOKIE_NAME.to_owned(),
            jti: keys::random_id().ok_or_else(|| Error::internal("no random bytes"))?,
            sub: user_id.to_owned(),
            iat: now,
            exp: now + SESSION_MAX_AGE,
            act: now,
            generation: self.0.revocations.generation(user_id).await?,
            stamp,
            data,
        })
    }

    fn seal(&self, claims: &Claims) -> Result<HeaderValue> {
        let value = self.0.config.keys.sign(&claims.encode()?);
        let value = value.ok_or_else(|| Error::internal("the session is no cookie"))?;
        cookie::set(&value, claims.exp - claims.act, self.0.config.secure)
    }

    /// Ends these sessions (OWASP ASVS 7.4.1).
    pub(super) async fn end(&self, sessions: &[Session], event: &'static str) -> Result<()> {
        for Session { claims, .. } in sessions {
            let now = (self.0.clock)().unix_timestamp();
            self.0.revocations.end(claims, now).await?;
            tracing::info!(event, user_id = claims.sub);
        }
        Ok(())
    }

    /// Ends all sessions of a user until now (OWASP ASVS 7.4.3), under a number that is larger than `last`.
    pub async fn end_all(
        &self,
        user_id: &str,
        last: Option<i64>,
        event: &'static str,
    ) -> Result<()> {
        let now = (self.0.clock)().unix_timestamp();
        self.0.revocations.end_all(user_id, last, now).await?;
        tracing::info!(event, user_id);
        Ok(())
    }

    /// The cookie that removes the session's.
    pub(super) fn removal(&self) -> Result<HeaderValue> {
        cookie::set("", time::Duration::ZERO, self.0.config.secure)
    }
}
