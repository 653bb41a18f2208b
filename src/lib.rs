//! An Axum app with login, identity and logout on signed session cookies.
//!
//! Read in this order: [`app`] below names every route and layer; [`login`], [`identity`] and
//! [`logout`] are the three handlers; [`session`] is what they stand on; [`defaults`] holds the
//! five choices, [`config`] the settings of the environment.

pub mod client_address;
pub mod config;
pub mod credentials;
// One constant a line, however long its value.
#[rustfmt::skip]
pub mod defaults;
pub mod error;
mod headers;
pub mod identity;
pub mod logging;
pub mod login;
pub mod logout;
#[cfg(feature = "metrics")]
pub mod metrics;
pub mod next;
pub mod pages;
pub mod password;
mod rules;
pub mod session;
pub mod throttle;

use std::{future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{DefaultBodyLimit, FromRef, State},
    http::{
        StatusCode,
        header::{
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
            X_CONTENT_TYPE_OPTIONS,
        },
    },
    response::{IntoResponse, Response},
    routing::{get, post},
};
use tokio::net::TcpListener;
use tower::ServiceBuilder;
use tower_http::{
    catch_panic::CatchPanicLayer, csrf::CsrfLayer, propagate_header::PropagateHeaderLayer,
    set_header::SetRequestHeaderLayer, timeout::TimeoutLayer,
};

use crate::{
    client_address::TrustedProxies,
    config::Config,
    defaults::{LOGIN_REDIRECT, LOGOUT_REDIRECT},
    error::Error,
    headers::REQUEST_ID,
    password::Passwords,
    session::{Sessions, clock::Clock},
};

/// The largest request body, in bytes. A login form with every field at its limit fits.
const MAX_BODY_BYTES: usize = 16 * 1024;

/// How long a request may take, from its headers to its answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// Readiness, as far as it differs from liveness (`/healthz`). No redirect can be chosen to collide
/// with it: their rule has no `@`.
const READY_PATH: &str = "/@readyz";

/// What the handlers share.
#[derive(Clone)]
pub struct AppState {
    /// The sessions and the keys they are signed with.
    sessions: Sessions,
    /// Checks passwords; `None` where login is open.
    passwords: Option<Passwords>,
    /// What to believe about a client's address.
    trusted_proxies: TrustedProxies,
    /// Refuses requests that change something and come from another origin.
    cross_origin: CsrfLayer,
    /// Whether browsers are told to use HTTPS from now on.
    hsts: bool,
}

impl AppState {
    /// What `config` asks for, on the time of `clock`. Fails, in words for whoever starts the app,
    /// where the store of ended sessions cannot be opened. With Redis it needs a Tokio runtime.
    pub fn open(config: Config, clock: Clock) -> Result<Self, String> {
        let credentials = config.credentials.map(Arc::new);
        let passwords = credentials
            .clone()
            .map(|credentials| Passwords::new(credentials, &clock));
        Ok(Self {
            sessions: Sessions::open(config.session, credentials, clock)?,
            passwords,
            trusted_proxies: config.trusted_proxies,
            cross_origin: config.cross_origin,
            hsts: config.hsts,
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

/// The whole app: routes, then layers.
pub fn app(state: AppState) -> Router {
    let mut routes = Router::new()
        .route("/", get(pages::start_page))
        .route("/login", post(login::create_session))
        .route("/me", get(identity::current_user))
        .route("/logout", post(logout::logout))
        .route("/logout/everywhere", post(logout::logout_everywhere))
        .route("/healthz", get(healthz))
        .route(READY_PATH, get(ready))
        .route(pages::STYLE_PATH, get(pages::style))
        .route(pages::ICON_PATH, get(pages::icon));
    // The two chosen paths may be the same, or one of the above.
    if !matches!(LOGIN_REDIRECT, "/" | "/me") {
        routes = routes.route(LOGIN_REDIRECT, get(pages::dashboard));
    }
    if !matches!(LOGOUT_REDIRECT, "/" | "/me") && LOGOUT_REDIRECT != LOGIN_REDIRECT {
        routes = routes.route(LOGOUT_REDIRECT, get(pages::start_page));
    }

    // The first layer sees a request first and its answer last.
    let layers = ServiceBuilder::new()
        .layer(SetRequestHeaderLayer::overriding(
            REQUEST_ID,
            headers::next_request_id,
        ))
        .layer(PropagateHeaderLayer::new(REQUEST_ID))
        .layer(headers::set(
            CONTENT_SECURITY_POLICY,
            headers::CONTENT_SECURITY,
        ))
        .layer(headers::set(X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(headers::set(REFERRER_POLICY, headers::REFERRER))
        .option_layer(
            state
                .hsts
                .then(|| headers::set(STRICT_TRANSPORT_SECURITY, headers::HSTS)),
        )
        // Most answers depend on the session; the few that do not say so themselves.
        .layer(headers::set(CACHE_CONTROL, "no-store"))
        .layer(logging::trace_requests())
        .layer(CatchPanicLayer::custom(Error::panicked))
        .map_response(explain_timeout)
        .layer(TimeoutLayer::with_status_code(
            StatusCode::REQUEST_TIMEOUT,
            REQUEST_TIMEOUT,
        ))
        .layer(
            state
                .cross_origin
                .clone()
                .with_rejection_response(Error::cross_origin),
        )
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES));

    let routes = routes
        .fallback(async || Error::NotFound)
        .method_not_allowed_fallback(async || Error::MethodNotAllowed)
        .layer(layers);
    #[cfg(feature = "metrics")]
    let routes = routes.layer(axum::middleware::from_fn(metrics::count_request));
    routes.with_state(state)
}

/// Serves `app` on `listener` until `shutdown` is ready, then finishes what is under way.
pub async fn serve(
    listener: TcpListener,
    app: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, app)
        .with_graceful_shutdown(shutdown)
        .await
}

/// Whether the process lives: asks nothing of anybody.
async fn healthz() -> &'static str {
    "ok"
}

/// Whether requests should come here: 503 while sessions cannot be checked.
async fn ready(State(sessions): State<Sessions>) -> Result<&'static str, Error> {
    sessions.revocations().check().await?;
    Ok("ready")
}

/// Gives the empty answer of the timeout layer its words.
fn explain_timeout(answer: Response) -> Response {
    match answer.status() {
        StatusCode::REQUEST_TIMEOUT => Error::Timeout.into_response(),
        _ => answer,
    }
}
