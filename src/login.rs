//! Login: `POST /login`.

use std::net::IpAddr;

use axum::{
    extract::{Form, State, rejection::FormRejection},
    response::Redirect,
};
use serde::Deserialize;

use crate::{
    client_address::ClientAddress,
    defaults::LOGIN_REDIRECT,
    error::Error,
    next::safe_next,
    pages::LoginForm,
    password::{Passwords, Refusal},
    session::SessionJar,
};

/// The longest user id and the longest password, in bytes of UTF-8.
pub(crate) const MAX_TEXT_BYTES: usize = 256;

/// The fields of the login form.
#[derive(Deserialize)]
pub struct Login {
    user_id: String,
    /// Asked for where users are configured.
    #[serde(default)]
    password: String,
    next: Option<String>,
}

/// Starts a session for whoever the form names, and leads to where they wanted to go.
pub async fn create_session(
    jar: SessionJar,
    State(passwords): State<Option<Passwords>>,
    ClientAddress(address): ClientAddress,
    form: Result<Form<Login>, FormRejection>,
) -> Result<(SessionJar, Redirect), Error> {
    let Form(Login {
        user_id,
        password,
        next,
    }) = form.map_err(Error::Form)?;
    if let Some(refusal) = refusal(&user_id, password, address, passwords.as_ref()).await? {
        if matches!(refusal, Refusal::Invalid(_)) {
            tracing::info!(event = "login_refused", %address, reason = %refusal);
        } else {
            tracing::warn!(event = "login_refused", %address, reason = %refusal);
        }
        let form = LoginForm {
            user_id,
            next,
            takes_password: passwords.is_some(),
        };
        return Err(Error::LoginRefused { form, refusal });
    }
    let jar = jar.start(&user_id).await?;
    let destination = next
        .as_deref()
        .and_then(safe_next)
        .unwrap_or(LOGIN_REDIRECT);
    Ok((jar, Redirect::to(destination)))
}

/// Why this login is not to be; `None` where it is.
async fn refusal(
    user_id: &str,
    password: String,
    address: IpAddr,
    passwords: Option<&Passwords>,
) -> Result<Option<Refusal>, Error> {
    if let Err(words) = check_text("user ID", user_id) {
        return Ok(Some(Refusal::Invalid(words)));
    }
    let Some(passwords) = passwords else {
        return Ok(None);
    };
    if let Err(words) = check_text("password", &password) {
        return Ok(Some(Refusal::Invalid(words)));
    }
    passwords.check(user_id, password, address).await
}

/// The rule of a user id and of a password. Fails in words for who typed it.
pub(crate) fn check_text(what: &str, text: &str) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err(format!("The {what} must not be blank."));
    }
    if text.len() > MAX_TEXT_BYTES {
        return Err(format!(
            "The {what} must not be longer than {MAX_TEXT_BYTES} bytes."
        ));
    }
    if text.chars().any(char::is_control) {
        return Err(format!("The {what} must not hold control characters."));
    }
    Ok(())
}
