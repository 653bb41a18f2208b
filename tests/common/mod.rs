//! The app under test, with a clock that moves on demand, and the words to speak HTTP with it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(dead_code, missing_docs)]

pub mod process;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
pub use std::time::Duration;
use std::{fs, mem, net::SocketAddr};

pub use app::defaults::*;
use app::session::{Clock, keys::parse_key, revocation::StoreConfig};
use app::{AppState, config::Config, telemetry::subscriber};
use argon2::{Argon2, Params, PasswordHasher, password_hash::phc::PasswordHash};
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, request};
pub use axum::http::{Method, StatusCode, header};
use axum::{Router, extract::ConnectInfo, response::IntoResponse};
use axum_extra::extract::{SignedCookieJar, cookie::Cookie};
pub use base64::{Engine, prelude::*};
pub use serde_json::{Value, json};
use time::OffsetDateTime;
use tower::ServiceExt;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::{EnvFilter, fmt::MakeWriter, util::SubscriberInitExt};

/// When every test begins, in Unix seconds: 2026-11-24T00:00:00Z.
pub const START: i64 = 1_795_478_400;
/// The lifetime of a session in seconds.
pub const LIFETIME: i64 = SESSION_MAX_AGE.as_secs() as i64;

pub const DEBUG: bool = false;
pub const RELEASE: bool = true;

pub const NO_COOKIE: &str = "";
/// The other cookie of a logout's answer.
pub const LOGGED_OUT: &str = "_logged_out=1; HttpOnly; SameSite=Strict; Secure; Path=/; Max-Age=1";
pub const FORM: &str = "application/x-www-form-urlencoded";
/// How many characters of a cookie's value are its signature.
pub const SIGNATURE: usize = 44;

/// The path of the dashboard; none where login leads to a page that is there anyway.
pub fn dashboard() -> Option<&'static str> {
    (!matches!(LOGIN_REDIRECT, "/" | "/me")).then_some(LOGIN_REDIRECT)
}

/// A key of 64 different bytes, another one for each letter.
pub fn key(letter: u8) -> String {
    BASE64_STANDARD.encode((letter..letter + 64).collect::<Vec<u8>>())
}

/// Reads exactly these settings.
pub fn read(release: bool, settings: &[(&str, &str)]) -> Result<Config, String> {
    let setting = |name| settings.iter().find(|(known, _)| *known == name);
    Config::read(release, |name| Some(setting(name)?.1.to_owned()))
}

/// These settings, and what every build needs to start unless they say otherwise.
pub fn config(release: bool, settings: &[(&str, &str)]) -> Config {
    let key = key(b'a');
    let needed = [("SESSION_KEYS", key.as_str()), ("ALLOW_OPEN_LOGIN", "true")];
    let mut config = read(release, &[settings, &needed].concat()).unwrap();
    // Tests run at once, and a file has one owner.
    let store = ["REVOCATION_FILE", "REDIS_URL"];
    if !settings.iter().any(|(name, _)| store.contains(name)) {
        config.session.store = StoreConfig::Memory;
    }
    config
}

/// `text` signed with `key` by axum-extra's own jar, as the `Cookie` header has it.
pub fn signed(key: &str, text: &str) -> String {
    let key = parse_key(key).unwrap();
    let cookie = Cookie::new(COOKIE_NAME, text.to_owned());
    let answer = SignedCookieJar::new(key).add(cookie).into_response();
    let encoded = answer.headers()[header::SET_COOKIE].to_str().unwrap();
    let cookie = Cookie::parse_encoded(encoded).unwrap();
    format!("{COOKIE_NAME}={}", cookie.value())
}

/// What the cookie of a session that began at [`START`] says, as JSON.
pub fn claims(user_id: &str) -> Value {
    json!({
        "v": 2, "aud": COOKIE_NAME, "jti": "BwcHBwcHBwcHBwcHBwcHBw", "sub": user_id,
        "iat": START, "exp": START + LIFETIME, "act": START, "data": {},
    })
}

/// The claims as a cookie carries them, before they are signed.
pub fn encoded(claims: &Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(claims.to_string())
}

/// A cookie with these claims, signed with the key that the app has.
pub fn forged(claims: &Value) -> String {
    signed(&key(b'a'), &encoded(claims))
}

/// What a session cookie says.
pub fn opened(cookie: &str) -> Value {
    let json = BASE64_URL_SAFE_NO_PAD.decode(&value(cookie)[SIGNATURE..]);
    serde_json::from_slice(&json.unwrap()).unwrap()
}

/// The value of a cookie that is written `name=value`.
pub fn value(cookie: &str) -> &str {
    cookie.split_once('=').unwrap().1
}

/// The attributes that a session cookie must have, sorted.
pub fn attributes(max_age: Duration) -> Vec<String> {
    let max_age = max_age.as_secs();
    let all = format!("HttpOnly; Max-Age={max_age}; Path=/; SameSite={SAME_SITE}; Secure");
    all.split("; ").map(str::to_owned).collect()
}

pub fn request(method: Method, path: &str, cookie: &str) -> request::Builder {
    let request = Request::builder().method(method).uri(path);
    let request = request.header(header::HOST, "localhost");
    match cookie {
        NO_COOKIE => request,
        cookie => request.header(header::COOKIE, cookie),
    }
}

/// A request that brings a form.
pub fn posted(path: &str, cookie: &str) -> request::Builder {
    request(Method::POST, path, cookie).header(header::CONTENT_TYPE, FORM)
}

pub fn form(fields: &[(&str, &str)]) -> String {
    serde_urlencoded::to_string(fields).unwrap()
}

/// The log of the running test, as long as it is there.
pub struct Log {
    text: &'static Mutex<Vec<u8>>,
    _guard: DefaultGuard,
}

impl Log {
    pub fn start(filter: &str) -> Self {
        let text: &Mutex<Vec<u8>> = Box::leak(Box::default());
        let log = subscriber(false, EnvFilter::new(filter), false, || text.make_writer());
        let _guard = log.set_default();
        Self { text, _guard }
    }

    /// What was logged since the last time.
    pub fn take(&self) -> String {
        String::from_utf8(mem::take(&mut *self.text.lock().unwrap())).unwrap()
    }
}

/// A users file of this test: `alice` and `bob`, with the passwords of [`password_of`].
pub fn users_file() -> PathBuf {
    let path = process::working_folder().join("users");
    write_users(&path, ["alice", "bob"]);
    path
}

pub fn write_users<const N: usize>(path: &Path, names: [&str; N]) {
    fs::write(path, names.map(user).concat()).unwrap();
}

/// The line of a user with the password of [`password_of`].
pub fn user(name: &str) -> String {
    user_line(name, &password_of(name), 8)
}

pub fn password_of(name: &str) -> String {
    format!("{name} & s=cr;t%")
}

/// A line of the users file, hashed at the price of so many KiB.
pub fn user_line(name: &str, password: &str, kib: u32) -> String {
    let argon2 = Argon2::from(Params::new(kib, 1, 1, None).unwrap());
    let hash: PasswordHash = argon2.hash_password(password.as_bytes()).unwrap();
    format!("{name}:{hash}\n")
}

pub struct TestApp {
    router: Router,
    unix_time: Arc<Mutex<time::Duration>>,
}

impl TestApp {
    pub fn new() -> Self {
        Self::with(DEBUG, &[])
    }

    pub fn with(release: bool, settings: &[(&str, &str)]) -> Self {
        Self::configured(config(release, settings))
    }

    /// Only the users of this file have sessions.
    pub fn with_users(path: &Path) -> Self {
        Self::with(RELEASE, &[("USERS_FILE", path.to_str().unwrap())])
    }

    /// Ended sessions are kept in this file, opened so many seconds after [`START`].
    pub fn with_store(path: &Path, seconds: i64) -> Self {
        let config = config(DEBUG, &[("REVOCATION_FILE", path.to_str().unwrap())]);
        Self::made(config, seconds, app::app)
    }

    /// These routes in place of the app's own.
    pub fn around(routes: Router<AppState>) -> Self {
        Self::made(config(DEBUG, &[]), 0, |state| app::layered(routes, state))
    }

    pub fn configured(config: Config) -> Self {
        Self::made(config, 0, app::app)
    }

    fn made(config: Config, seconds: i64, router: impl FnOnce(AppState) -> Router) -> Self {
        let unix_time = Arc::new(Mutex::new(time::Duration::seconds(START + seconds)));
        let hand = Arc::clone(&unix_time);
        let clock: Clock = Arc::new(move || OffsetDateTime::UNIX_EPOCH + *hand.lock().unwrap());
        let router = router(AppState::open(config, clock).unwrap());
        Self { router, unix_time }
    }

    /// Moves the clock to so many seconds after [`START`].
    pub fn at(&self, seconds: i64) {
        *self.unix_time.lock().unwrap() = time::Duration::seconds(START + seconds);
    }

    /// Sends a request, and checks what holds for every answer's session cookie.
    pub async fn send(&self, request: request::Builder, body: impl Into<Body>) -> Answer {
        let request = request.body(body.into()).unwrap();
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = answer.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        let answer = Answer {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8(body.into()).unwrap(),
        };
        answer.session_cookie();
        answer
    }

    pub async fn get(&self, path: &str, cookie: &str) -> Answer {
        self.send(request(Method::GET, path, cookie), "").await
    }

    pub async fn post_form(&self, path: &str, cookie: &str, fields: &[(&str, &str)]) -> Answer {
        self.send(posted(path, cookie), form(fields)).await
    }

    /// Asks for this media type.
    pub async fn get_as(&self, accept: &str, path: &str, cookie: &str) -> Answer {
        let request = request(Method::GET, path, cookie).header(header::ACCEPT, accept);
        self.send(request, "").await
    }

    /// Logs in with what such a client takes.
    pub async fn login_with(&self, accept: &str, fields: &[(&str, &str)]) -> Answer {
        let request = posted("/login", NO_COOKIE).header(header::ACCEPT, accept);
        self.send(request, form(fields)).await
    }

    /// Logs in without a cookie, with the password of [`password_of`], which an open login does not
    /// read; the new cookie, as the `Cookie` header has it.
    pub async fn login_as(&self, user_id: &str) -> String {
        let answer = self.try_password(user_id, &password_of(user_id)).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
        answer.cookie()
    }

    /// Tries a password; the answer, whatever it is.
    pub async fn try_password(&self, user_id: &str, password: &str) -> Answer {
        let fields = [("user_id", user_id), ("password", password)];
        self.post_form("/login", NO_COOKIE, &fields).await
    }

    /// The same from an address.
    pub async fn try_from(&self, address: &str, user_id: &str, password: &str) -> Answer {
        let peer = SocketAddr::new(address.parse().unwrap(), 4711);
        let request = posted("/login", NO_COOKIE).extension(ConnectInfo(peer));
        let fields = [("user_id", user_id), ("password", password)];
        self.send(request, form(&fields)).await
    }

    pub async fn logout_everywhere(&self, cookie: &str) -> Answer {
        self.post_form("/logout/everywhere", cookie, &[]).await
    }

    pub async fn logout(&self, cookie: &str) -> Answer {
        self.post_form("/logout", cookie, &[]).await
    }

    /// Who is logged in, if anybody.
    pub async fn who(&self, cookie: &str) -> Option<String> {
        self.who_sends(&[cookie.as_bytes()]).await
    }

    pub async fn opens(&self, cookie: &str, user_id: &str) {
        assert_eq!(self.who(cookie).await.as_deref(), Some(user_id), "{cookie}");
    }

    pub async fn refuses(&self, cookie: &str) {
        assert_eq!(self.who(cookie).await, None, "{cookie}");
    }

    /// Who is logged in, by `Cookie` headers of any bytes.
    pub async fn who_sends(&self, cookies: &[&[u8]]) -> Option<String> {
        let request = request(Method::GET, "/me", NO_COOKIE);
        let request = cookies.iter().fold(request, |request, cookie| {
            request.header(header::COOKIE, *cookie)
        });
        let answer = self.send(request, "").await;
        if answer.status == StatusCode::OK {
            let user_id = answer.body.strip_prefix("Logged in as ");
            return Some(user_id.unwrap().to_owned());
        }
        answer.is_unauthorized();
        None
    }
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    /// A header that stands there once at most.
    pub fn header(&self, name: &str) -> Option<&str> {
        let values: Vec<_> = self.headers.get_all(name).iter().collect();
        assert!(values.len() <= 1, "{name}: {values:?}");
        values.first().map(|value| value.to_str().unwrap())
    }

    /// What the answer sets the session cookie to: one value at most, of a length that browsers take.
    pub fn session_cookie(&self) -> Option<&str> {
        let name = format!("{COOKIE_NAME}=");
        let set = self.headers.get_all("set-cookie").iter();
        let set = set.map(|cookie| cookie.to_str().unwrap());
        let (ours, others): (Vec<_>, Vec<_>) = set.partition(|cookie| cookie.starts_with(&name));
        assert!(ours.len() <= 1, "{ours:?}");
        assert!(ours.iter().all(|cookie| cookie.len() <= 4096), "{ours:?}");
        assert!(others.is_empty() || others == [LOGGED_OUT], "{others:?}");
        ours.first().copied()
    }

    /// The session cookie that the answer sets, as the `Cookie` header has it.
    pub fn cookie(&self) -> String {
        let cookie = self.session_cookie().expect("a cookie");
        cookie.split_once(';').unwrap().0.to_owned()
    }

    /// The attributes of the session cookie, sorted.
    pub fn attributes(&self) -> Vec<String> {
        let cookie = self.session_cookie().expect("a cookie");
        let mut attributes: Vec<_> = cookie.split("; ").skip(1).map(str::to_owned).collect();
        attributes.sort();
        attributes
    }

    #[track_caller]
    pub fn has(&self, header: &str, value: &str) {
        assert_eq!(self.header(header), Some(value), "{header} {}", self.body);
    }

    #[track_caller]
    pub fn is(&self, status: StatusCode, words: &str) {
        assert_eq!(self.status, status, "{}", self.body);
        assert!(self.body.contains(words), "{words:?} in {}", self.body);
        assert_eq!(self.header("set-cookie"), None);
    }

    #[track_caller]
    pub fn is_page(&self) {
        assert_eq!(self.status, StatusCode::OK, "{}", self.body);
        self.has("content-type", "text/html; charset=utf-8");
    }

    #[track_caller]
    pub fn is_unauthorized(&self) {
        self.is(StatusCode::UNAUTHORIZED, "You are not logged in.");
        self.has("content-type", "text/plain; charset=utf-8");
        assert_eq!(self.header("location"), None);
    }

    #[track_caller]
    pub fn redirects_to(&self, path: &str) {
        assert_eq!(self.status, StatusCode::SEE_OTHER, "{}", self.body);
        self.has("location", path);
        assert_eq!(self.body, "");
    }
}
