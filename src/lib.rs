//! An Axum app with login, identity and logout on signed session cookies.
//!
//! Read in this order: [`app`] below names every route and layer; [`login`], [`identity`] and
//! [`logout`] are the three handlers; [`session`] is what they stand on; [`defaults`] holds the
//! five choices, [`config`] the settings of the environment.

mod client_address;
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
pub mod server;
pub mod session;
pub mod throttle;

use std::{convert::Infallible, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, FromRef, Request, State},
    http::HeaderMap,
    middleware::map_request,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures_util::{FutureExt, StreamExt, stream};
use tokio::time::{timeout, timeout_at};
use tower::{Service, ServiceBuilder, service_fn};
use tower_http::csrf::{CsrfLayer, ProtectionError};

use crate::{
    client_address::TrustedProxies,
    config::Config,
    defaults::{LOGIN_REDIRECT, LOGOUT_REDIRECT},
    error::Error,
    logging::Current,
    password::Passwords,
    server::Draining,
    session::{Sessions, clock::Clock},
};

/// The largest form, in bytes. A login with every field at its limit fits. Where a route of yours reads
/// another body, axum limits it to 2 MB unless told otherwise in the same way; see [`in_one_piece`].
const MAX_FORM_BYTES: usize = 16 * 1024;

/// How long a form may take to arrive.
const FORM_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a request may take, from its headers to its answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// Readiness, as far as it differs from liveness (`/healthz`). No redirect can be chosen to collide
/// with it: their rule has no `@`.
const READY_PATH: &str = "/@readyz";

/// What the handlers share; cheap to clone, as happens for every request.
#[derive(Clone)]
pub struct AppState(Arc<Shared>);

struct Shared {
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
    /// Whether the process is about to stop.
    draining: Draining,
}

impl AppState {
    /// What `config` asks for, on the time of `clock`. Fails, in words for whoever starts the app,
    /// where the store of ended sessions cannot be opened. With Redis it needs a Tokio runtime.
    pub fn open(config: Config, clock: Clock) -> Result<Self, String> {
        let credentials = config.credentials.map(Arc::new);
        let passwords = credentials
            .clone()
            .map(|credentials| Passwords::new(credentials, &clock));
        Ok(Self(Arc::new(Shared {
            sessions: Sessions::open(config.session, credentials, clock)?,
            passwords,
            trusted_proxies: config.trusted_proxies,
            cross_origin: config.cross_origin,
            hsts: config.hsts,
            draining: Draining::default(),
        })))
    }

    /// The flag by which [`server::serve`] tells the app that it is about to stop.
    pub fn draining(&self) -> Draining {
        self.0.draining.clone()
    }
}

impl FromRef<AppState> for Sessions {
    fn from_ref(state: &AppState) -> Self {
        state.0.sessions.clone()
    }
}

impl FromRef<AppState> for Option<Passwords> {
    fn from_ref(state: &AppState) -> Self {
        state.0.passwords.clone()
    }
}

impl FromRef<AppState> for Draining {
    fn from_ref(state: &AppState) -> Self {
        state.0.draining.clone()
    }
}

impl FromRef<AppState> for TrustedProxies {
    fn from_ref(state: &AppState) -> Self {
        state.0.trusted_proxies
    }
}

/// The whole app.
pub fn app(state: AppState) -> Router {
    layered(routes(), state)
}

fn routes() -> Router<AppState> {
    let mut routes = Router::new()
        .route("/", get(pages::start_page))
        .route(
            "/login",
            post(login::create_session).layer((
                map_request(in_one_piece),
                DefaultBodyLimit::max(MAX_FORM_BYTES),
            )),
        )
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
    routes
}

/// Puts around `routes` what holds for every request, and answers those that fit none of them.
pub fn layered(routes: Router<AppState>, state: AppState) -> Router {
    let headers = Arc::new(headers::of_every_answer(state.0.hsts));
    let cross_origin = state.0.cross_origin.clone();
    // The first layer sees a request first. All in one, because the router boxes each that it is given,
    // and copies the box for every request.
    let layers = ServiceBuilder::new()
        .layer_fn(move |inner| answer(inner, Arc::clone(&headers)))
        .layer(cross_origin.with_rejection_response(|_| Error::CrossOrigin.into_response()));
    routes
        .fallback(async || Error::NotFound)
        .method_not_allowed_fallback(async || Error::MethodNotAllowed)
        .layer(layers)
        .with_state(state)
}

/// Answers in every case, in time, with all headers and a line in the log.
fn answer<S>(
    mut inner: S,
    headers: Arc<HeaderMap>,
) -> impl Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone
where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone,
{
    service_fn(move |request| {
        let current = Current::of(&request);
        let deadline = current.begun() + REQUEST_TIMEOUT;
        // Boxed, because what follows holds it several times, and it is large.
        let answer = Box::pin(inner.call(request));
        let headers = Arc::clone(&headers);
        logging::log_request(current, async move {
            // tower-http has layers for both, which wrap the body and set an alarm for every request.
            let answer = timeout_at(deadline, AssertUnwindSafe(answer).catch_unwind());
            let answer = match answer.await {
                Ok(Ok(Ok(answer))) => answer,
                // The panic itself went to standard error.
                Ok(Err(_)) => Error::internal("a handler panicked").into_response(),
                Err(_) => Error::TooSlow.into_response(),
            };
            // The layer refuses before the log knows the request, and leaves its reason with the answer.
            if let Some(reason) = answer.extensions().get::<ProtectionError>() {
                Error::log_cross_origin(reason);
            }
            headers::complete(answer, &headers)
        })
    })
}

/// Reads a form into one buffer. The extractor alone would keep each part as it arrives, with the whole
/// 8 KiB that it was read into: whoever sends byte by byte would have us hold 8,000 times as much.
async fn in_one_piece(request: Request) -> Result<Request, Error> {
    let read = timeout(FORM_TIMEOUT, read_form(request)).await;
    read.map_err(|_| Error::FormTimeout)
}

async fn read_form(request: Request) -> Request {
    let (head, body) = request.into_parts();
    let mut parts = body.into_data_stream();
    let mut form = Vec::new();
    // What is too large is cut, and still refused as too large.
    while form.len() <= MAX_FORM_BYTES {
        match parts.next().await {
            Some(Ok(part)) => form.extend_from_slice(&part),
            Some(Err(error)) => {
                let broken = Body::from_stream(stream::iter([Err::<Bytes, _>(error)]));
                return Request::from_parts(head, broken);
            }
            None => break,
        }
    }
    Request::from_parts(head, Body::from(form))
}

/// Whether the process lives: asks nothing of anybody.
async fn healthz() -> &'static str {
    "ok"
}

/// Whether requests should come here: 503 while sessions cannot be checked, and before the end.
async fn ready(
    State(sessions): State<Sessions>,
    State(draining): State<Draining>,
) -> Result<&'static str, Error> {
    if draining.has_begun() {
        return Err(Error::Stopping);
    }
    sessions.revocations().check().await?;
    Ok("ready")
}
