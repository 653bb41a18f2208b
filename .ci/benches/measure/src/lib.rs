//! What answers `GET /me` here, from a bare handler to the whole app, and how it is asked.

use std::{
    error::Error,
    sync::{Arc, Once},
};

use app::{
    AppState,
    config::Config,
    identity,
    session::{Session, Sessions, revocation::StoreConfig},
    telemetry,
};
use axum::{
    Router,
    body::{Body, Bytes},
    extract::{FromRef, Request},
    http::header::{ACCEPT, CONTENT_TYPE, COOKIE, HOST, SET_COOKIE},
    routing::get,
};
use axum_extra::extract::{SignedCookieJar, cookie::Key};
use http_body_util::BodyExt;
use time::OffsetDateTime;
use tower::{Service, ServiceExt};

pub mod http;
#[path = "../../../walkthrough/src/walkthrough.rs"]
pub mod walkthrough;

/// 64 different bytes in base64.
pub const KEY: &str =
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==";

pub const ANSWER: &str = "Logged in as alice";

pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What is done with one of the handlers.
pub trait Measure {
    fn measure(self, app: Router, session: String) -> Result<()>;
}

/// Prepares a handler and has it measured.
pub async fn with(variant: &str, measure: impl Measure) -> Result<()> {
    let (router, session) = router(variant).await?;
    measure.measure(router, session)
}

/// One of the handlers, and a session cookie for it.
///
/// `constant` answers a constant, `one-hmac` verifies one cookie and no more, `walkthrough` is the
/// walkthrough's own code, `session` does the same on this app's extractor, `identity` is this app's
/// handler without layers, `app` is this app with all its layers and its log, as a release build runs it.
pub async fn router(variant: &str) -> Result<(Router, String)> {
    let walkthrough = walkthrough::router(key());
    let router = match variant {
        "constant" => Router::new().route("/me", get(async || ANSWER)),
        "one-hmac" => one_hmac(),
        "walkthrough" => walkthrough.clone(),
        _ => return of_this_app(variant).await,
    };
    Ok((router, log_in(&walkthrough).await?))
}

async fn of_this_app(variant: &str) -> Result<(Router, String)> {
    let (state, whole) = whole(variant == "app")?;
    let session = log_in(&whole).await?;
    let router = match variant {
        "session" => Router::new().route("/me", get(current_user)),
        "identity" => Router::new().route("/me", get(identity::current_user)),
        "app" => return Ok((whole, session)),
        _ => return Err(format!("{variant:?} is none of the handlers").into()),
    };
    Ok((router.with_state(Sessions::from_ref(&state)), session))
}

fn key() -> Key {
    Key::from(KEY.as_bytes())
}

/// The least that a signed cookie costs: found by its name, verified once.
fn one_hmac() -> Router {
    let key = key();
    let handler = async move |request: Request| {
        let cookies = request.headers().get(COOKIE)?.to_str().ok()?;
        let value = cookies
            .split("; ")
            .find_map(|pair| pair.strip_prefix("session_user="))?;
        let cookie =
            axum_extra::extract::cookie::Cookie::parse_encoded(format!("session_user={value}"))
                .ok()?;
        let verified = SignedCookieJar::new(key.clone()).verify(cookie)?;
        Some(format!("Logged in as {}", verified.value()))
    };
    Router::new().route(
        "/me",
        get(async move |request: Request| handler(request).await.unwrap_or_default()),
    )
}

/// What the walkthrough's handler does, on this app's extractor.
async fn current_user(session: Session) -> (Session, String) {
    let answer = format!("Logged in as {}", session.user_id());
    (session, answer)
}

/// The whole app as a release build runs it when nothing is set but what has to be.
fn whole(with_log: bool) -> Result<(AppState, Router)> {
    let mut config = Config::read(true, |name| match name {
        "SESSION_KEYS" => Some(KEY.to_owned()),
        "ALLOW_OPEN_LOGIN" => Some("true".to_owned()),
        _ => None,
    })?;
    // Asked like the file: the requests ask the memory of either.
    config.session.store = StoreConfig::Memory;
    static LOG: Once = Once::new();
    if with_log {
        // The guard writes what waits when it is dropped, which is never.
        LOG.call_once(|| {
            std::mem::forget(telemetry::init(config.log_json, config.log_filter.clone()));
        });
    }
    let state = AppState::open(config, Arc::new(OffsetDateTime::now_utc))?;
    Ok((state.clone(), app::app(state)))
}

/// Logs `alice` in, and gives the cookie.
pub async fn log_in(app: &Router) -> Result<String> {
    let request = Request::post("/login")
        .header(HOST, "localhost")
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from("user_id=alice"))?;
    let response = app.clone().oneshot(request).await?;
    let cookie = response.headers().get(SET_COOKIE).ok_or("no cookie")?;
    let cookie = cookie.to_str()?.split(';').next().unwrap_or_default();
    Ok(cookie.to_owned())
}

/// Ends a session.
pub async fn log_out(app: &Router, cookie: &str) -> Result<()> {
    let request = Request::post("/logout")
        .header(HOST, "localhost")
        .header(COOKIE, cookie)
        .body(Body::empty())?;
    let answer = app.clone().oneshot(request).await?;
    assert_eq!(answer.status(), 303);
    Ok(())
}

/// Four other cookies before the session and four after it, each with a value of 60 characters
/// that might begin with a signature.
pub fn crowd_around(session: &str) -> String {
    let stranger = |n: u32| format!("stranger{n}={}", n.to_string().repeat(60));
    let mut cookies: Vec<String> = (0..8).map(stranger).collect();
    cookies.insert(4, session.to_owned());
    cookies.join("; ")
}

/// Asks once, and reads the answer to its end.
pub async fn get_me(app: &Router, cookies: &str) -> Result<Bytes> {
    let request = Request::get("/me")
        .header(HOST, "localhost")
        .header(ACCEPT, "*/*")
        .header(COOKIE, cookies)
        .body(Body::empty())?;
    let answer = app.clone().call(request);
    let answer = answer.await?;
    Ok(answer.into_body().collect().await?.to_bytes())
}
