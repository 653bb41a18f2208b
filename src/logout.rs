//! Logout: `POST /logout` and `POST /logout/everywhere`.

use axum::{
    http::{HeaderName, header::SET_COOKIE},
    response::{AppendHeaders, Redirect},
};

use crate::{defaults::LOGOUT_REDIRECT, error::Error, session::SessionJar};

/// A cookie that says nothing, for a second. Chromium shows a `no-store` page behind the back button
/// once more unless an `HttpOnly` cookie has changed since, and does not count the first change
/// after login, which is the removal (OWASP ASVS 14.3.1). The session's cookie cannot have this name:
/// it begins with a letter or two underscores. It goes first: curl 7.88 does not store a removal that
/// stands before another cookie.
const NOTHING_BEHIND: AppendHeaders<[(HeaderName, &str); 1]> = AppendHeaders([(
    SET_COOKIE,
    "_logged_out=1; HttpOnly; SameSite=Strict; Secure; Path=/; Max-Age=1",
)]);

/// What a logout is answered: the removal, and where to go.
type Goodbye = (
    AppendHeaders<[(HeaderName, &'static str); 1]>,
    SessionJar,
    Redirect,
);

/// Ends the session, here and in the browser.
pub async fn logout(jar: SessionJar) -> Result<Goodbye, Error> {
    let jar = jar.end().await?;
    Ok((NOTHING_BEHIND, jar, Redirect::to(LOGOUT_REDIRECT)))
}

/// Ends all sessions of whoever is logged in, in every browser.
pub async fn logout_everywhere(jar: SessionJar) -> Result<Goodbye, Error> {
    let jar = jar.end_everywhere().await?;
    Ok((NOTHING_BEHIND, jar, Redirect::to(LOGOUT_REDIRECT)))
}
