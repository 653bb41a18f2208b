//! What a session cookie says, signed with the app's key by axum-extra's jar: the app never fails on it, and
//! whom it takes for logged in the payload names, as JSON of the right format, purpose and time.
//!
//! The input is the JSON; one that does not begin with `{` is the payload itself.

#![no_main]

use std::{cell::RefCell, sync::Arc, thread_local};

use app::{AppState, config::Config, defaults::COOKIE_NAME, session::keys};
use axum::{
    Router,
    body::{Body, to_bytes},
    http::{
        Request, StatusCode,
        header::{COOKIE, HOST, SET_COOKIE},
    },
    response::{IntoResponse, Response},
};
use axum_extra::extract::{
    SignedCookieJar,
    cookie::{Cookie, Key},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use libfuzzer_sys::fuzz_target;
use serde::Deserialize;
use time::OffsetDateTime;
use tokio::runtime::{Builder, Runtime};
use tower::Service;

/// 64 different bytes.
const KEY: &str =
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==";

/// When the requests are sent, in Unix seconds.
const NOW: i64 = 1_795_478_400;

thread_local! {
    static SETUP: (Runtime, RefCell<Router>, Key) = set_up();
}

fuzz_target!(|input: &[u8]| {
    let payload = if input.first() == Some(&b'{') {
        BASE64_URL_SAFE_NO_PAD.encode(input).into_bytes()
    } else {
        input.to_vec()
    };
    let Ok(payload) = String::from_utf8(payload) else {
        return;
    };
    SETUP.with(|(runtime, app, key)| {
        runtime.block_on(async {
            let jar = SignedCookieJar::new(key.clone());
            let signed = cookie_of(
                &jar.add(Cookie::new(COOKIE_NAME, payload.clone()))
                    .into_response(),
            );
            let signed = signed.expect("the jar sets a cookie");
            let answer = ask(app, "GET", "/me", &signed).await;
            let renewed = cookie_of(&answer);
            if answer.status() == StatusCode::OK {
                let body = to_bytes(answer.into_body(), usize::MAX)
                    .await
                    .expect("a body");
                let user_id = user_of(&payload).expect("a session for garbage");
                assert_eq!(body, format!("Logged in as {user_id}"));
            } else {
                assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
                assert_eq!(renewed, None);
            }
            if let Some(renewed) = renewed {
                assert_eq!(
                    ask(app, "GET", "/me", &renewed).await.status(),
                    StatusCode::OK
                );
            }
        })
    });
});

fn set_up() -> (Runtime, RefCell<Router>, Key) {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let variable = |name| match name {
        "SESSION_KEYS" => Some(KEY.to_owned()),
        "ALLOW_OPEN_LOGIN" => Some("true".to_owned()),
        "SESSION_IDLE_TIMEOUT" => Some("1h".to_owned()),
        _ => None,
    };
    let mut config = Config::read(true, variable).expect("a sound configuration");
    config.session.store = app::session::revocation::StoreConfig::Memory;
    let now = OffsetDateTime::from_unix_timestamp(NOW).expect("a time");
    let state = runtime.block_on(async { AppState::open(config, Arc::new(move || now)) });
    let app = app::app(state.expect("the app opens"));
    let key = keys::parse_key(KEY).expect("a sound key");
    (runtime, RefCell::new(app), key)
}

async fn ask(app: &RefCell<Router>, method: &str, path: &str, cookie: &str) -> Response {
    let request = Request::builder().method(method).uri(path);
    let request = request.header(HOST, "localhost").header(COOKIE, cookie);
    let request = request.body(Body::empty()).expect("a request");
    let answer = app.borrow_mut().call(request);
    answer.await.expect("an answer")
}

/// `name=value` of the cookie that the answer sets.
fn cookie_of(answer: &Response) -> Option<String> {
    let cookie = answer.headers().get(SET_COOKIE)?.to_str().ok()?;
    cookie.split(';').next().map(str::to_owned)
}

/// What a payload has to say to count, whatever else it says.
#[derive(Deserialize)]
struct Model {
    v: u8,
    aud: String,
    #[serde(rename = "jti")]
    _id: String,
    sub: String,
    iat: i64,
    exp: i64,
    act: i64,
}

fn user_of(payload: &str) -> Option<String> {
    let json = BASE64_URL_SAFE_NO_PAD.decode(payload).ok()?;
    let claims: Model = serde_json::from_slice(&json).ok()?;
    let counts = claims.v == 2
        && claims.aud == COOKIE_NAME
        && claims.iat <= NOW + 60
        && claims.exp > NOW
        && claims.act > NOW - 3600;
    counts.then_some(claims.sub)
}
