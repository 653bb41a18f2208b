//! The app under test, with a clock that moves on demand, and the words to speak HTTP with it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(dead_code, missing_docs)]

pub mod process;

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use app::{
    AppState,
    config::{Build, Config},
    defaults::{COOKIE_NAME, LOGIN_REDIRECT, SAME_SITE, SESSION_MAX_AGE},
    session::{
        clock::{Clock, Timestamp},
        keys::parse_key,
        payload::{Payload, SessionId},
        revocation::StoreConfig,
    },
};
use argon2::{Argon2, Params, PasswordHasher, password_hash::SaltString};
use axum::{
    Router,
    body::Body,
    extract::ConnectInfo,
    http::{HeaderMap, Method, Request, StatusCode, header, request},
    response::IntoResponse,
};
use axum_extra::extract::{SignedCookieJar, cookie::Cookie};
use base64::{Engine, prelude::BASE64_STANDARD};
use http_body_util::BodyExt;
use tower::ServiceExt;

/// When every test begins: 2026-11-24T00:00:00Z.
pub const START: Timestamp = Timestamp(1_795_478_400_000);

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
pub fn read(build: Build, settings: &[(&str, &str)]) -> Result<Config, String> {
    Config::read(build, |name| {
        let setting = settings.iter().find(|(known, _)| *known == name);
        setting.map(|(_, value)| (*value).to_owned())
    })
    .map_err(|problems| problems.to_string())
}

/// These settings, and what every build needs to start unless they say otherwise.
pub fn config(build: Build, settings: &[(&str, &str)]) -> Config {
    let key = key(b'a');
    let needed = [("SESSION_KEYS", key.as_str()), ("ALLOW_OPEN_LOGIN", "true")];
    let mut config = read(build, &[settings, &needed].concat()).unwrap();
    // Tests run at once, and a file has one owner.
    let store = ["REVOCATION_FILE", "REDIS_URL"];
    if !settings.iter().any(|(name, _)| store.contains(name)) {
        config.session.store = StoreConfig::Memory;
    }
    config
}

/// `value` signed with `key`, as the `Cookie` header has it.
pub fn signed(key: &str, value: impl ToString) -> String {
    let key = parse_key(key, true).unwrap();
    let cookie = Cookie::new(COOKIE_NAME, value.to_string());
    let answer = SignedCookieJar::new(key).add(cookie).into_response();
    let encoded = answer.headers()[header::SET_COOKIE].to_str().unwrap();
    let cookie = Cookie::parse_encoded(encoded).unwrap();
    format!("{COOKIE_NAME}={}", cookie.value())
}

/// A session that began at [`START`].
pub fn payload(user_id: &str) -> Payload {
    Payload {
        id: SessionId([7; 16]),
        issued: START,
        ends: START + SESSION_MAX_AGE,
        active: START,
        user_id: user_id.to_owned(),
    }
}

/// The value of a cookie that is written `name=value`.
pub fn value(cookie: &str) -> &str {
    let value = cookie.strip_prefix(COOKIE_NAME).unwrap();
    value.strip_prefix('=').unwrap()
}

/// What a session cookie says.
pub fn opened(cookie: &str) -> Payload {
    Payload::parse(&value(cookie)[SIGNATURE..]).unwrap()
}

/// The attributes that a session cookie must have, sorted.
pub fn attributes(max_age: Duration) -> Vec<String> {
    vec![
        "HttpOnly".to_owned(),
        format!("Max-Age={}", max_age.as_secs()),
        "Path=/".to_owned(),
        format!("SameSite={SAME_SITE}"),
        "Secure".to_owned(),
    ]
}

pub fn request(method: Method, path: &str, cookie: &str) -> request::Builder {
    let request = Request::builder().method(method).uri(path);
    match cookie {
        NO_COOKIE => request,
        cookie => request.header(header::COOKIE, cookie),
    }
}

pub fn form(fields: &[(&str, &str)]) -> String {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(fields).finish()
}

/// A users file of this test: `alice` and `bob`, with the passwords of [`password_of`].
pub fn users_file() -> PathBuf {
    let path = process::working_folder().join("users");
    write_users(&path, &["alice", "bob"]);
    path
}

pub fn write_users(path: &Path, names: &[&str]) {
    let lines = names
        .iter()
        .map(|name| user_line(name, &password_of(name), 8));
    fs::write(path, lines.collect::<String>()).unwrap();
}

pub fn password_of(name: &str) -> String {
    format!("{name} & s=cr;t%")
}

/// A line of the users file, hashed at the price of so many KiB.
pub fn user_line(name: &str, password: &str, kib: u32) -> String {
    let argon2 = Argon2::from(Params::new(kib, 1, 1, None).unwrap());
    let salt = SaltString::encode_b64(b"pepper and salt!").unwrap();
    let hash = argon2.hash_password(password.as_bytes(), &salt).unwrap();
    format!("{name}:{hash}\n")
}

pub struct TestApp {
    router: Router,
    now: Arc<AtomicU64>,
}

impl TestApp {
    pub fn new() -> Self {
        Self::with(Build::Debug, &[])
    }

    pub fn with(build: Build, settings: &[(&str, &str)]) -> Self {
        Self::configured(config(build, settings))
    }

    /// Only the users of this file have sessions.
    pub fn with_users(path: &Path) -> Self {
        Self::with(Build::Release, &[("USERS_FILE", path.to_str().unwrap())])
    }

    /// Ended sessions are kept in this file.
    pub fn with_store(path: &Path) -> Self {
        Self::with(Build::Debug, &[("REVOCATION_FILE", path.to_str().unwrap())])
    }

    /// The clock goes on by a millisecond whenever it is read.
    pub fn ticking() -> Self {
        Self::made(config(Build::Debug, &[]), 1, app::app)
    }

    /// Sessions end after this long without a request.
    pub fn idle(timeout: Duration) -> Self {
        let mut config = config(Build::Debug, &[]);
        config.session.idle_timeout = Some(timeout);
        Self::configured(config)
    }

    /// These routes in place of the app's own.
    pub fn around(routes: Router<AppState>) -> Self {
        let config = config(Build::Debug, &[]);
        Self::made(config, 0, |state| app::layered(routes, state))
    }

    fn configured(config: Config) -> Self {
        Self::made(config, 0, app::app)
    }

    /// With a clock that goes on by `step` milliseconds whenever it is read.
    fn made(config: Config, step: u64, router: impl FnOnce(AppState) -> Router) -> Self {
        let now = Arc::new(AtomicU64::new(START.0));
        let hand = Arc::clone(&now);
        let clock = Clock::new(move || Timestamp(hand.fetch_add(step, Ordering::SeqCst)));
        let router = router(AppState::open(config, clock).unwrap());
        Self { router, now }
    }

    /// Moves the clock to this long after [`START`].
    pub fn at(&self, since_start: Duration) {
        let now = START + since_start;
        self.now.store(now.0, Ordering::SeqCst);
    }

    /// Sends a request, and checks what holds for every answer's session cookie.
    pub async fn send(&self, request: request::Builder, body: impl Into<Body>) -> Answer {
        let request = request.body(body.into()).unwrap();
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let answer = Answer {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        };
        if let Some(cookie) = answer.session_cookie() {
            let (pair, _) = cookie.split_once(';').unwrap();
            assert!(pair.len() <= 4096, "{} bytes", pair.len());
            assert!(pair.starts_with(&format!("{COOKIE_NAME}=")), "{pair}");
        }
        answer
    }

    pub async fn get(&self, path: &str, cookie: &str) -> Answer {
        self.send(request(Method::GET, path, cookie), "").await
    }

    pub async fn post_form(&self, path: &str, cookie: &str, fields: &[(&str, &str)]) -> Answer {
        let request = request(Method::POST, path, cookie).header(header::CONTENT_TYPE, FORM);
        self.send(request, form(fields)).await
    }

    /// Logs in without a cookie; gives the new one, as the `Cookie` header has it.
    pub async fn login(&self, user_id: &str) -> String {
        let answer = self
            .post_form("/login", NO_COOKIE, &[("user_id", user_id)])
            .await;
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
        let request = request(Method::POST, "/login", NO_COOKIE)
            .header(header::CONTENT_TYPE, FORM)
            .extension(ConnectInfo(peer));
        let fields = [("user_id", user_id), ("password", password)];
        self.send(request, form(&fields)).await
    }

    pub async fn logout_everywhere(&self, cookie: &str) -> Answer {
        let request = request(Method::POST, "/logout/everywhere", cookie);
        self.send(request, "").await
    }

    pub async fn logout(&self, cookie: &str) -> Answer {
        self.send(request(Method::POST, "/logout", cookie), "")
            .await
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
        let request = cookies.iter().fold(Request::get("/me"), |request, cookie| {
            request.header(header::COOKIE, *cookie)
        });
        let answer = self.send(request, "").await;
        if answer.status == StatusCode::OK {
            let user_id = answer.body.strip_prefix("Logged in as ").unwrap();
            return Some(user_id.to_owned());
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

    /// What the answer sets the session cookie to: one value at most.
    pub fn session_cookie(&self) -> Option<&str> {
        let name = format!("{COOKIE_NAME}=");
        let set = self.headers.get_all("set-cookie").iter();
        let set: Vec<_> = set.map(|cookie| cookie.to_str().unwrap()).collect();
        let (ours, others): (Vec<&str>, Vec<&str>) =
            set.iter().partition(|cookie| cookie.starts_with(&name));
        assert!(ours.len() <= 1, "{ours:?}");
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
        let words = format!("{} {}", self.status, self.body);
        assert_eq!(self.header(header), Some(value), "{header} of {words}");
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
        self.is(StatusCode::UNAUTHORIZED, "");
        assert_eq!(self.body, "You are not logged in.");
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
