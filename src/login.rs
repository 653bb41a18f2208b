//! Login: `POST /login`.

use axum::{
    extract::{Form, rejection::FormRejection},
    response::Redirect,
};
use serde::Deserialize;

use crate::{
    defaults::LOGIN_REDIRECT, error::Error, next::safe_next, pages::LoginForm, session::SessionJar,
};

/// The longest user id, in bytes of UTF-8.
pub const MAX_USER_ID_BYTES: usize = 256;

/// The fields of the login form.
#[derive(Deserialize)]
pub struct Login {
    user_id: String,
    next: Option<String>,
}

/// Starts a session for whoever the form names, and leads to where they wanted to go.
pub async fn create_session(
    jar: SessionJar,
    form: Result<Form<Login>, FormRejection>,
) -> Result<(SessionJar, Redirect), Error> {
    let Form(Login { user_id, next }) = form.map_err(Error::Form)?;
    if let Err(reason) = check_user_id(&user_id) {
        return Err(Error::InvalidUserId {
            form: LoginForm { user_id, next },
            reason,
        });
    }
    let jar = jar.start(&user_id).await?;
    let destination = next
        .as_deref()
        .and_then(safe_next)
        .unwrap_or(LOGIN_REDIRECT);
    Ok((jar, Redirect::to(destination)))
}

fn check_user_id(user_id: &str) -> Result<(), &'static str> {
    if user_id.trim().is_empty() {
        return Err("The user ID must not be blank.");
    }
    if user_id.len() > MAX_USER_ID_BYTES {
        return Err("The user ID must not be longer than 256 bytes.");
    }
    if user_id.chars().any(char::is_control) {
        return Err("The user ID must not hold control characters.");
    }
    Ok(())
}
