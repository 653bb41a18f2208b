//! Logout: `POST /logout` and `POST /logout/everywhere`.

use axum::http::{HeaderName, header::SET_COOKIE};
use axum::response::{AppendHeaders, IntoResponse, Redirect};

use crate::{defaults::LOGOUT_REDIRECT, error::Result, session::SessionJar};

/// A cookie that says nothing, for a second. Without it Chromium shows a `no-store` page once more behind
/// the back button: it does not count the first change of a cookie after login, which is the removal
/// (OWASP ASVS 14.3.1). It goes first: curl 7.88 stores no removal that stands before another cookie.
const BACK_BUTTON_COOKIE: AppendHeaders<[(HeaderName, &str); 1]> = AppendHeaders([(
    SET_COOKIE,
    "_logged_out=1; HttpOnly; SameSite=Strict; Secure; Path=/; Max-Age=1",
)]);

/// Ends the session, here and in the browser.
pub async fn logout(jar: SessionJar) -> Result<impl IntoResponse> {
    Ok((
        BACK_BUTTON_COOKIE,
        jar.end().await?,
        Redirect::to(LOGOUT_REDIRECT),
    ))
}

/// Ends all sessions of whoever is logged in, in every browser.
pub async fn logout_everywhere(jar: SessionJar) -> Result<impl IntoResponse> {
    let jar = jar.end_everywhere().await?;
    Ok((BACK_BUTTON_COOKIE, jar, Redirect::to(LOGOUT_REDIRECT)))
}
