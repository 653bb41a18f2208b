//! An Axum app with login, identity and logout on signed session cookies.
//!
//! Read in this order: [`app`] below names every route and layer; [`login`], [`identity`] and
//! [`logout`] are the three handlers; [`session`] is what they stand on; [`defaults`] holds the
//! five choices, [`config`] the settings of the environment.

pub mod config;
// One constant a line, however long its value.
#[rustfmt::skip]
pub mod defaults;
pub mod error;
mod headers;
pub mod identity;
pub mod logging;
pub mod login;
pub mod logout;
pub mod next;
pub mod pages;
mod rules;
pub mod session;

use std::{future::Future, io, time::Duration};

use axum::{
    Router,
    extract::{DefaultBodyLimit, FromRef},
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
    config::Config,
    defaults::{LOGIN_REDIRECT, LOGOUT_REDIRECT},
    error::Error,
    headers::REQUEST_ID,
    session::{Sessions, clock::Clock},
};

/// The largest request body, in bytes. A login form with every field at its limit fits.
const MAX_BODY_BYTES: usize = 16 * 1024;

/// How long a request may take, from its headers to its answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// What the handlers share.
#[derive(Clone)]
pub struct AppState {
    /// The sessions and the keys they are signed with.
    sessions: Sessions,
    /// Refuses requests that change something and come from another origin.
    cross_origin: CsrfLayer,
    /// Whether browsers are told to use HTTPS from now on.
    hsts: bool,
}

impl AppState {
    /// What `config` asks for, on the time of `clock`.
    pub fn new(config: Config, clock: Clock) -> Self {
        Self {
            sessions: Sessions::new(config.session, clock),
            cross_origin: config.cross_origin,
            hsts: config.hsts,
        }
    }
}

impl FromRef<AppState> for Sessions {
    fn from_ref(state: &AppState) -> Self {
        state.sessions.clone()
    }
}

/// The whole app: routes, then layers.
pub fn app(state: AppState) -> Router {
    let mut routes = Router::new()
        .route("/", get(pages::start_page))
        .route("/login", post(login::create_session))
        .route("/me", get(identity::current_user))
        .route("/logout", post(logout::logout))
        .route("/healthz", get(healthz))
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

    routes
        .fallback(async || Error::NotFound)
        .method_not_allowed_fallback(async || Error::MethodNotAllowed)
        .layer(layers)
        .with_state(state)
}

/// Serves `app` on `listener` until `shutdown` is ready, then finishes what is under way.
pub async fn serve(
    listener: TcpListener,
    app: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    axum::serve(listener, app)
        .with_graceful_shutdown(shutdown)
        .await
}

async fn healthz() -> &'static str {
    "ok"
}

/// Gives the empty answer of the timeout layer its words.
fn explain_timeout(answer: Response) -> Response {
    match answer.status() {
        StatusCode::REQUEST_TIMEOUT => Error::Timeout.into_response(),
        _ => answer,
    }
}
