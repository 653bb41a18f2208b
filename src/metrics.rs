//! Metrics for Prometheus, in the OpenMetrics text format, on an address of their own:
//! `METRICS_ADDR`. They count from the start of the process.
//!
//! | name | what |
//! | --- | --- |
//! | `http_requests_total{method,route,status}` | answered requests |
//! | `http_request_duration_seconds{route}` | how long until the answer began |
//! | `session_events_total{event}` | `login`, `logout`, `session_forged` and what else is logged |
//! | `password_hashes_running` | now, of [`HASHES_AT_ONCE`](crate::password::HASHES_AT_ONCE) |
//!
//! Why logins are refused is told by the status of `POST /login`: 401 for a wrong password, 422 for a
//! field against its rule, 429 for too many attempts, 503 for too many at once, or for a store that is
//! away, which is an event too.
//!
//! A request that leaves no log line is not counted either. Nothing that a client makes up becomes a
//! label: a route is as [`app`](crate::app) has it, `-` where there is none; a method that HTTP does
//! not define is `other`.

use std::{fmt, net::SocketAddr, sync::LazyLock, time::Duration};

use axum::{
    Router,
    extract::State,
    http::{HeaderName, Method, StatusCode, header::CONTENT_TYPE},
    routing::get,
};
use prometheus_client::{
    encoding::text,
    metrics::{counter::Counter, family::Family, gauge::ConstGauge, histogram::Histogram},
    registry::{Registry, Unit},
};
use tokio::net::TcpListener;
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, filter::Targets, layer::Context, registry::LookupSpan};

use crate::{
    AppState,
    error::Error,
    password::Passwords,
    server::{self, Draining, Limits},
};

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The latencies that are told apart, each as the upper bound of a bucket.
const SECONDS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// The methods of RFC 9110 and RFC 5789.
const METHODS: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
];

type Labels<const N: usize> = [(&'static str, String); N];

// One of each for the process, as there is one log.
static REQUESTS: LazyLock<Family<Labels<3>, Counter>> = LazyLock::new(Family::default);
static LATENCIES: LazyLock<Family<Labels<1>, Histogram>> =
    LazyLock::new(|| Family::new_with_constructor(|| Histogram::new(SECONDS)));
static EVENTS: LazyLock<Family<Labels<1>, Counter>> = LazyLock::new(Family::default);

/// Serves `GET /metrics` on `address`, and nothing else, until the process ends. Fails, in words
/// for whoever starts the app, where the address cannot be had.
pub async fn serve(address: SocketAddr, state: &AppState) -> Result<(), String> {
    let fault = |error| format!("METRICS_ADDR = {address}: {error}");
    let listener = TcpListener::bind(address).await.map_err(fault)?;
    let bound = listener.local_addr().map_err(fault)?;
    tracing::info!("metrics on http://{bound}/metrics");
    let routes = Router::new()
        .route("/metrics", get(scrape))
        .with_state(state.0.passwords.clone());
    // For those who scrape, who are few.
    let limits = Limits {
        connections: 16,
        ..Limits::default()
    };
    let draining = Draining::default();
    let (delay, never) = (Duration::ZERO, std::future::pending());
    tokio::spawn(server::serve(
        listener, routes, limits, draining, delay, never,
    ));
    Ok(())
}

async fn scrape(
    State(passwords): State<Option<Passwords>>,
) -> Result<([(HeaderName, &'static str); 1], String), Error> {
    let running = passwords.map_or(0, |passwords| passwords.running());
    let running = ConstGauge::new(running);
    // The library adds units, `_total` and full stops.
    let mut registry = Registry::default();
    let (name, help) = ("http_requests", "Answered requests");
    registry.register(name, help, REQUESTS.clone());
    let (name, help) = ("http_request_duration", "How long until the answer began");
    registry.register_with_unit(name, help, Unit::Seconds, LATENCIES.clone());
    let (name, help) = ("session_events", "What was logged under a name");
    registry.register(name, help, EVENTS.clone());
    let (name, help) = ("password_hashes_running", "Passwords being hashed now");
    registry.register(name, help, running);
    let mut text = String::new();
    text::encode(&mut text, &registry).map_err(Error::internal)?;
    Ok(([(CONTENT_TYPE, OPENMETRICS)], text))
}

/// Counts a request when its answer begins.
pub(crate) fn answered(method: &Method, route: &str, status: StatusCode, latency: Duration) {
    let route = [("route", route.to_owned())];
    let seconds = latency.as_secs_f64();
    LATENCIES.get_or_create(&route).observe(seconds);
    let [route] = route;
    let known = METHODS.into_iter().find(|known| method == known);
    let method = ("method", known.unwrap_or("other").to_owned());
    let status = ("status", status.as_str().to_owned());
    REQUESTS.get_or_create(&[method, route, status]).inc();
}

/// Counts what this app logs under a name, whatever the log's own filter says.
pub(crate) fn count_events<S>() -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    CountEvents.with_filter(Targets::new().with_target("app::", Level::INFO))
}

struct CountEvents;

impl<S: Subscriber> Layer<S> for CountEvents {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        event.record(&mut CountEvents);
    }
}

impl Visit for CountEvents {
    fn record_str(&mut self, field: &Field, name: &str) {
        // An answer is counted by its route and status instead.
        if field.name() == "event" && name != "answered" {
            let name = ("event", name.to_owned());
            EVENTS.get_or_create(&[name]).inc();
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}
