//! The walkthrough's own code, *Signed cookie sessions in Axum*, as far as `GET /me` needs it.

use axum::{
    Router,
    extract::{Form, FromRef},
    http::StatusCode,
    response::{IntoResponse, Redirect},
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

pub fn router(key: &[u8]) -> Router {
    Router::new()
        .route("/login", post(create_session))
        .route("/me", get(current_user))
        .with_state(AppState {
            key: Key::from(key),
        })
}

async fn create_session(jar: SignedCookieJar, Form(login): Form<Login>) -> impl IntoResponse {
    let cookie = Cookie::build(("session_user", login.user_id))
        .path("/")
        .http_only(true)
        .secure(true)
        .same_site(SameSite::Lax);
    (jar.add(cookie), Redirect::to("/dashboard"))
}

async fn current_user(jar: SignedCookieJar) -> impl IntoResponse {
    match jar.get("session_user") {
        Some(cookie) => Ok(format!("Logged in as {}", cookie.value())),
        None => Err(StatusCode::UNAUTHORIZED),
    }
}
