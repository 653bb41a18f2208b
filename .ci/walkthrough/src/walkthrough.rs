//! The published walkthrough's own code, *Signed cookie sessions in Axum*.

use axum::{
    Form, Router,
    extract::FromRef,
    http::StatusCode,
    response::Redirect,
    routing::{get, post},
};
use axum_extra::extract::{
    SignedCookieJar,
    cookie::{Cookie, Key, SameSite},
};
use serde::Deserialize;

#[derive(Clone)]
struct AppState {
    key: Key,
}

impl FromRef<AppState> for Key {
    fn from_ref(state: &AppState) -> Self {
        state.key.clone()
    }
}

#[derive(Deserialize)]
struct Login {
    user_id: String,
}

pub fn router(key: Key) -> Router {
    Router::new()
        .route("/login", post(create_session))
        .route("/me", get(current_user))
        .route("/logout", post(logout))
        .with_state(AppState { key })
}

async fn create_session(
    jar: SignedCookieJar,
    Form(login): Form<Login>,
) -> (SignedCookieJar, Redirect) {
    let cookie = Cookie::build(("session_user", login.user_id))
        .path("/")
        .http_only(true)
        .secure(true)
        .same_site(SameSite::Lax)
        .max_age(time::Duration::days(7))
        .build();
    (jar.add(cookie), Redirect::to("/dashboard"))
}

async fn current_user(jar: SignedCookieJar) -> Result<String, StatusCode> {
    let cookie = jar.get("session_user").ok_or(StatusCode::UNAUTHORIZED)?;
    Ok(format!("Logged in as {}", cookie.value()))
}

async fn logout(jar: SignedCookieJar) -> (SignedCookieJar, Redirect) {
    (jar.remove(Cookie::from("session_user")), Redirect::to("/"))
}
