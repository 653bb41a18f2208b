//! Logout: `POST /logout`.

use axum::response::Redirect;

use crate::{defaults::LOGOUT_REDIRECT, error::Error, session::SessionJar};

/// Ends the session, here and in the browser.
pub async fn logout(jar: SessionJar) -> Result<(SessionJar, Redirect), Error> {
    Ok((jar.end().await?, Redirect::to(LOGOUT_REDIRECT)))
}
