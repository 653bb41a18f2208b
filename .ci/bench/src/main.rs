//! Answers `GET /me` in process, a given number of times, for `instructions` to count.
//!
//! Standard output belongs to the app's log, which is set up as the app itself does.

use std::{env, error::Error, hint::black_box};

use app::{
    AppState,
    config::{Build, Config},
    identity, logging,
    session::{Session, Sessions, clock::Clock, revocation::StoreConfig},
};
use axum::{
    Router,
    body::{Body, Bytes},
    extract::FromRef,
    http::{
        Request,
        header::{ACCEPT, CONTENT_TYPE, COOKIE, HOST, SET_COOKIE},
    },
    routing::get,
};
use axum_extra::extract::cookie::Key;
use http_body_util::BodyExt;
use tower::ServiceExt;

#[path = "../../walkthrough/src/walkthrough.rs"]
mod walkthrough;

const USAGE: &str = "usage: bench constant|walkthrough|session|identity|app alone|crowd COUNT";

/// 64 different bytes in base64.
const KEY: &str =
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==";

const ANSWER: &str = "Logged in as alice";

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let [variant, cookies, count] = arguments[..] else {
        return Err(USAGE.into());
    };
    let count: u32 = count.parse()?;

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    runtime.block_on(async {
        let (router, session) = prepare(variant).await?;
        let cookies = match cookies {
            "alone" => session,
            "crowd" => crowd_around(&session),
            _ => return Err(USAGE.into()),
        };
        assert_eq!(get_me(&router, &cookies).await?, ANSWER);
        for _ in 0..count {
            black_box(get_me(&router, black_box(&cookies)).await?);
        }
        Ok(())
    })
}

/// The router to measure, and a session cookie that it takes.
async fn prepare(variant: &str) -> Result<(Router, String)> {
    if variant == "constant" {
        let router = Router::new().route("/me", get(async || ANSWER));
        return Ok((router.with_state(()), log_in(&app_router()?.1).await?));
    }
    if variant == "walkthrough" {
        let router = walkthrough::router(Key::from(KEY.as_bytes()));
        let session = log_in(&router).await?;
        return Ok((router, session));
    }

    let (state, whole) = app_router()?;
    let session = log_in(&whole).await?;
    let sessions = Sessions::from_ref(&state);
    let router = match variant {
        "session" => Router::new()
            .route("/me", get(current_user))
            .with_state(sessions),
        "identity" => Router::new()
            .route("/me", get(identity::current_user))
            .with_state(sessions),
        "app" => whole,
        _ => return Err(USAGE.into()),
    };
    Ok((router, session))
}

/// What the walkthrough's handler does, on this app's extractor.
async fn current_user(session: Session) -> (Session, String) {
    let answer = format!("Logged in as {}", session.user_id());
    (session, answer)
}

/// The whole app as a release build runs it when nothing is set but what has to be.
fn app_router() -> Result<(AppState, Router)> {
    let mut config = Config::read(Build::Release, |name| match name {
        "SESSION_KEYS" => Some(KEY.to_owned()),
        "ALLOW_OPEN_LOGIN" => Some("true".to_owned()),
        _ => None,
    })?;
    // Asked like the file: the requests ask the memory of either.
    config.session.store = StoreConfig::Memory;
    logging::init(config.log_format, config.log_filter.clone());
    let state = AppState::open(config, Clock::system())?;
    Ok((state.clone(), app::app(state)))
}

async fn log_in(router: &Router) -> Result<String> {
    let request = Request::post("/login")
        .header(HOST, "localhost")
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from("user_id=alice"))?;
    let response = router.clone().oneshot(request).await?;
    let cookie = response.headers().get(SET_COOKIE).ok_or("no cookie")?;
    let cookie = cookie.to_str()?.split(';').next().unwrap_or_default();
    Ok(cookie.to_owned())
}

/// Four other cookies before the session and four after it, each with a value of 60 characters
/// that might begin with a signature.
fn crowd_around(session: &str) -> String {
    let stranger = |n: u32| format!("stranger{n}={}", n.to_string().repeat(60));
    let mut cookies: Vec<String> = (0..8).map(stranger).collect();
    cookies.insert(4, session.to_owned());
    cookies.join("; ")
}

async fn get_me(router: &Router, cookies: &str) -> Result<Bytes> {
    let request = Request::get("/me")
        .header(HOST, "localhost")
        .header(ACCEPT, "*/*")
        .header(COOKIE, cookies)
        .body(Body::empty())?;
    let response = router.clone().oneshot(request).await?;
    Ok(response.into_body().collect().await?.to_bytes())
}
