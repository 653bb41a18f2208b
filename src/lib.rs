//! An Axum app with login, identity and logout on signed session cookies.
//!
//! [`app`] below names every route and layer; `login`, `identity` and `logout` are the three
//! handlers; [`session`] is what they stand on; [`defaults`] holds the five choices, [`config`] the
//! settings of the environment. A module uses only its own group and later ones: `config`, `settings`;
//! `login`, `identity`, `logout`, `pages`; `users`, `session`; `answer`, `form`; `error`; the others.

mod answer;
pub mod config;
// One constant a line, however long its value.
#[rustfmt::skip]
pub mod defaults;
mod error;
pub mod form;
mod html;
pub mod identity;
mod login;
mod logout;
pub mod next;
mod pages;
mod rules;
pub mod server;
pub mod session;
mod settings;
pub mod telemetry;
pub mod text_file;
pub mod users;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{FromRef, Request, State};
use axum::http::{HeaderName, StatusCode};
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use tokio::{task::spawn_blocking, time::sleep};
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::csrf::CsrfLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::timeout::TimeoutLayer;

use crate::config::Config;
use crate::defaults::{LOGIN_REDIRECT, LOGOUT_REDIRECT};
use crate::error::{Error, Result};
use crate::session::{Clock, Sessions, StampOf};
use crate::users::{Passwords, TrustedProxies, Users};

/// How long a request may take, from its headers to its answer. A form has to arrive within it.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// The largest body of a request, in bytes, also where a route of yours reads it piece by piece.
const MAX_BODY_BYTES: usize = 2 * 1024 * 1024;
/// Not 408: browsers repeat a request that is answered with 408 (RFC 9110, section 15.5.9).
const TOO_SLOW: StatusCode = StatusCode::SERVICE_UNAVAILABLE;
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What the handlers share; cheap to clone, as happens for every request.
#[derive(Clone)]
pub struct AppState {
    sessions: Sessions,
    /// Checks passwords; `None` where login is open.
    passwords: Option<Passwords>,
    trusted_proxies: TrustedProxies,
    cross_origin: CsrfLayer,
    hsts: bool,
    /// Whether the process is about to stop, and not ready for more.
    pub stopping: Arc<AtomicBool>,
}

impl AppState {
    /// What `config` asks for. Needs a Tokio runtime. Fails where the store of ended sessions cannot be
    /// opened, in words for whoever starts the app.
    pub fn open(config: Config, clock: Clock) -> Result<Self, String> {
        let users = config.users.map(Arc::new);
        let stamp_of = users.clone().map(|users| -> StampOf {
            Box::new(move |user_id| Box::pin(Arc::clone(&users).stamp(user_id)))
        });
        let sessions = Sessions::open(config.session, stamp_of, clock)?;
        let passwords = users.map(|users| {
            tokio::spawn(watch(Arc::clone(&users), sessions.clone()));
            Passwords::new(users)
        });
        Ok(Self {
            sessions,
            passwords,
            trusted_proxies: config.trusted_proxies,
            cross_origin: config.cross_origin,
            hsts: config.hsts,
            stopping: Arc::default(),
        })
    }
}

impl FromRef<AppState> for Sessions {
    fn from_ref(state: &AppState) -> Self {
        state.sessions.clone()
    }
}

impl FromRef<AppState> for Option<Passwords> {
    fn from_ref(state: &AppState) -> Self {
        state.passwords.clone()
    }
}

impl FromRef<AppState> for TrustedProxies {
    fn from_ref(state: &AppState) -> Self {
        state.trusted_proxies
    }
}

/// Follows the changes of the users, and ends the sessions of each whose line is removed or changed, so
/// that they stay ended where the line is put back. What changes while the app is down is not noticed.
async fn watch(users: Arc<Users>, sessions: Sessions) {
    let (mut known_problems, mut changed) = (Vec::new(), Vec::new());
    loop {
        sleep(Duration::from_secs(1)).await;
        let users = Arc::clone(&users);
        let read = spawn_blocking(move || users.read_again()).await;
        let read = read.unwrap_or_else(|error| Err(vec![error.to_string()]));
        let problems = read.as_ref().err().cloned().unwrap_or_default();
        if !problems.is_empty() && problems != known_problems {
            tracing::error!(event = "users_not_reloaded", ?problems);
        }
        known_problems = problems;
        changed.extend(read.unwrap_or_default());
        // Each waits for the disk, and the file has to be read again soon.
        let left = changed.len().saturating_sub(100);
        while let Some(id) = changed[left..].last()
            && sessions.end_all(id, None, "user_changed").await.is_ok()
        {
            changed.pop();
        }
    }
}

/// The whole app.
pub fn app(state: AppState) -> Router {
    layered(routes(), state)
}

fn routes() -> Router<AppState> {
    let mut routes = Router::new()
        .route("/", get(pages::start_page))
        .route("/login", get(login::login_page).post(login::create_session))
        .route("/me", get(identity::current_user))
        .route("/logout", post(logout::logout))
        .route("/logout/everywhere", post(logout::logout_everywhere))
        .route("/healthz", get(async || "ok"))
        .route("/@readyz", get(ready))
        .merge(html::assets());
    // The two chosen paths may be the same, or one of the above.
    if !matches!(LOGIN_REDIRECT, "/" | "/me") {
        routes = routes.route(LOGIN_REDIRECT, get(pages::dashboard));
    }
    if !matches!(LOGOUT_REDIRECT, "/" | "/login") && LOGOUT_REDIRECT != LOGIN_REDIRECT {
        routes = routes.route(LOGOUT_REDIRECT, get(pages::start_page));
    }
    routes
}

/// Wraps `routes` in the layers that every request passes, and adds the answers 404 and 405.
pub fn layered(routes: Router<AppState>, state: AppState) -> Router {
    let cross_origin = state
        .cross_origin
        .clone()
        .with_rejection_response(|reason| {
            tracing::warn!(event = "cross_origin_refused", ?reason);
            Error::CROSS_ORIGIN.into_response()
        });
    let panic = |_| Error::internal("a handler panicked").into_response();
    // The first layer sees a request first and its answer last. One stack makes axum box each route once.
    let layers = ServiceBuilder::new()
        // An id of the client's would end up in our log.
        .map_request(|mut request: Request| {
            request.headers_mut().remove(REQUEST_ID);
            request
        })
        .layer(SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid))
        .layer(PropagateRequestIdLayer::new(REQUEST_ID))
        .layer(from_fn_with_state(state.hsts, answer::complete))
        .layer(CatchPanicLayer::custom(panic))
        .layer(TimeoutLayer::with_status_code(TOO_SLOW, REQUEST_TIMEOUT))
        .layer(RequestBodyLimitLayer::new(MAX_BODY_BYTES))
        .layer(cross_origin);
    routes
        .fallback(async || Error::NOT_FOUND)
        .method_not_allowed_fallback(async || Error::BAD_METHOD)
        .layer(layers)
        .with_state(state)
}

/// Whether requests should come here: not while sessions cannot be checked or ended, nor before the
/// end. No redirect can have such a path: their rule allows no `@`.
async fn ready(State(state): State<AppState>) -> Result<&'static str> {
    if state.stopping.load(Ordering::Relaxed) {
        return Err(Error::STOPPING);
    }
    state.sessions.check().await?;
    Ok("ready")
}
