//! How a handler asks for the session.

use std::convert::Infallible;

use axum::extract::{FromRef, FromRequestParts, OptionalFromRequestParts};
use axum::http::{HeaderValue, request::Parts};
use axum::response::{IntoResponseParts, ResponseParts};

use super::sessions::{Session, Sessions};
use super::{claims::SessionData, cookie};
use crate::error::{Error, Result};

impl<S: Send + Sync> OptionalFromRequestParts<S> for Session
where
    Sessions: FromRef<S>,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>> {
        let sessions = Sessions::from_ref(state);
        let mut presented = sessions.presented(&parts.headers).await?;
        // Of two different sessions nobody can tell which one is meant.
        Ok((presented.len() == 1).then(|| presented.remove(0)))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Session
where
    Sessions: FromRef<S>,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let session = <Option<Self> as FromRequestParts<S>>::from_request_parts(parts, state);
        session.await?.ok_or(Error::NOT_LOGGED_IN)
    }
}

impl IntoResponseParts for Session {
    type Error = Infallible;

    fn into_response_parts(self, answer: ResponseParts) -> Result<ResponseParts, Infallible> {
        Ok(cookie::put(self.renewal, answer))
    }
}

/// The means to log in and out: takes the sessions that came with the request, and gives back the
/// one change of the cookie. Return it beside the answer, as in `(jar, answer)`.
pub struct SessionJar {
    sessions: Sessions,
    presented: Vec<Session>,
    change: Option<HeaderValue>,
}

impl SessionJar {
    /// Starts a new session for `user_id`, who has this `stamp` now, and ends those that came with the
    /// request (OWASP ASVS 7.2.4).
    pub async fn start(
        mut self,
        user_id: &str,
        stamp: Option<String>,
        data: SessionData,
    ) -> Result<Self> {
        let replaced = self.sessions.end(&self.presented, "session_replaced");
        replaced.await?;
        self.change = Some(self.sessions.issue(user_id, stamp, data).await?);
        Ok(self)
    }

    /// Ends the sessions that came with the request, here and in the browser, which may also hold a cookie
    /// that no longer counts. What cannot be stored is not removed, so that the visitor can try again.
    pub async fn end(mut self) -> Result<Self> {
        self.sessions.end(&self.presented, "logout").await?;
        self.change = Some(self.sessions.removal()?);
        Ok(self)
    }

    /// The same for all sessions of the user, in every browser (OWASP ASVS 7.4.3).
    pub async fn end_everywhere(mut self) -> Result<Self> {
        for Session { claims, .. } in &self.presented {
            let event = "logout_everywhere";
            self.sessions
                .end_all(&claims.sub, claims.generation, event)
                .await?;
        }
        self.change = Some(self.sessions.removal()?);
        Ok(self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for SessionJar
where
    Sessions: FromRef<S>,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let sessions = Sessions::from_ref(state);
        let presented = sessions.presented(&parts.headers).await?;
        let change = None;
        Ok(Self {
            sessions,
            presented,
            change,
        })
    }
}

impl IntoResponseParts for SessionJar {
    type Error = Infallible;

    fn into_response_parts(self, answer: ResponseParts) -> Result<ResponseParts, Infallible> {
        Ok(cookie::put(self.change, answer))
    }
}
