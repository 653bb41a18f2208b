//! Logout: `POST /logout` and `POST /logout/everywhere`.

use axum::response::Redirect;

use crate::{defaults::LOGOUT_REDIRECT, error::Error, session::SessionJar};

/// Ends the session, here and in the browser.
pub async fn logout(jar: SessionJar) -> Result<(SessionJar, Redirect), Error> {
    Ok((jar.end().await?, Redirect::to(LOGOUT_REDIRECT)))
}

/// Ends all sessions of whoever is logged in, in every browser.
pub async fn logout_everywhere(jar: SessionJar) -> Result<(SessionJar, Redirect), Error> {
    Ok((jar.end_everywhere().await?, Redirect::to(LOGOUT_REDIRECT)))
}
