//! How a handler asks for the session.

use std::convert::Infallible;

use axum::{
    extract::{FromRef, FromRequestParts, OptionalFromRequestParts},
    http::request::Parts,
    response::{IntoResponseParts, ResponseParts},
};

use super::{Live, Sessions, clock::Timestamp, cookie::SessionCookie, payload::Payload};
use crate::error::Error;

/// Somebody who is logged in.
///
/// As an extractor it answers any other request with 401; as `Option<Session>` it lets the handler
/// decide. Return it beside the answer, as in `(session, answer)`, so that a renewal of the cookie
/// reaches the browser.
#[derive(Debug)]
pub struct Session {
    payload: Payload,
    renewal: Option<SessionCookie>,
}

impl Session {
    /// Who is logged in.
    pub fn user_id(&self) -> &str {
        &self.payload.user_id
    }

    /// When the session ends, however active it is.
    pub fn expires_at(&self) -> Timestamp {
        self.payload.ends
    }
}

impl<S> OptionalFromRequestParts<S> for Session
where
    Sessions: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, Error> {
        let sessions = Sessions::from_ref(state);
        let presented = sessions.presented(&parts.headers).await?;
        // Of two different sessions nobody can tell which one is meant.
        let Ok([live]) = <[Live; 1]>::try_from(presented) else {
            return Ok(None);
        };
        let renew = || sessions.renew(live.payload.clone());
        Ok(Some(Self {
            renewal: live.renewal_due.then(renew).transpose()?,
            payload: live.payload,
        }))
    }
}

impl<S> FromRequestParts<S> for Session
where
    Sessions: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let session =
            <Self as OptionalFromRequestParts<S>>::from_request_parts(parts, state).await?;
        session.ok_or(Error::NotLoggedIn)
    }
}

impl IntoResponseParts for Session {
    type Error = Infallible;

    fn into_response_parts(self, res: ResponseParts) -> Result<ResponseParts, Infallible> {
        self.renewal.into_response_parts(res)
    }
}

/// The means to log in and out: takes the sessions that came with the request, and gives back the
/// one change of the cookie. Return it beside the answer, as in `(jar, answer)`.
pub struct SessionJar {
    sessions: Sessions,
    presented: Vec<Live>,
    change: Option<SessionCookie>,
}

impl SessionJar {
    /// Starts a new session for `user_id` and ends those that came with the request
    /// (OWASP ASVS 7.2.4).
    pub async fn start(mut self, user_id: &str) -> Result<Self, Error> {
        for live in &self.presented {
            self.sessions.revocations().end(&live.payload).await?;
            tracing::info!(event = "session_replaced", user_id = live.payload.user_id);
        }
        let payload = self.sessions.issue(user_id.to_owned()).await?;
        self.change = Some(self.sessions.seal(&payload)?);
        tracing::info!(event = "login", user_id);
        Ok(self)
    }

    /// Ends the sessions that came with the request, here and in the browser (OWASP ASVS 7.4.1).
    /// The removal is sent also when none did: the browser may hold a cookie that no longer counts.
    /// Where the end cannot be stored, nothing is removed, so that the visitor can try again.
    pub async fn end(mut self) -> Result<Self, Error> {
        for live in &self.presented {
            self.sessions.revocations().end(&live.payload).await?;
            tracing::info!(event = "logout", user_id = live.payload.user_id);
        }
        self.change = Some(self.sessions.removal()?);
        Ok(self)
    }

    /// The same for all sessions of the user, in every browser (OWASP ASVS 7.4.3).
    pub async fn end_everywhere(mut self) -> Result<Self, Error> {
        for live in &self.presented {
            self.sessions.revocations().end_all(&live.payload).await?;
            tracing::info!(event = "logout_everywhere", user_id = live.payload.user_id);
        }
        self.change = Some(self.sessions.removal()?);
        Ok(self)
    }
}

impl<S> FromRequestParts<S> for SessionJar
where
    Sessions: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let sessions = Sessions::from_ref(state);
        let presented = sessions.presented(&parts.headers).await?;
        Ok(Self {
            sessions,
            presented,
            change: None,
        })
    }
}

impl IntoResponseParts for SessionJar {
    type Error = Infallible;

    fn into_response_parts(self, res: ResponseParts) -> Result<ResponseParts, Infallible> {
        self.change.into_response_parts(res)
    }
}
