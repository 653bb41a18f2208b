//! What is logged, and how.

use std::io::{self, IsTerminal};
use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::{middleware::Next, response::Response};
use tower_http::request_id::RequestId;
use tracing::{Instrument, Level, Subscriber};
use tracing_appender::non_blocking::{NonBlocking, WorkerGuard};
use tracing_subscriber::{EnvFilter, Layer, fmt::MakeWriter, prelude::*};

/// Starts logging to standard output, as text or as one JSON object a line. Dropping the guard writes
/// what still waits. Where nobody reads the output, lines are dropped and nobody waits.
pub fn init(json: bool, filter: EnvFilter) -> WorkerGuard {
    let (writer, guard) = NonBlocking::new(io::stdout());
    subscriber(json, filter, io::stdout().is_terminal(), writer).init();
    guard
}

/// What [`init`] starts, with lines that go to `writer`; in text, levels may have `colours`.
pub fn subscriber(
    json: bool,
    filter: EnvFilter,
    colours: bool,
    writer: impl for<'w> MakeWriter<'w> + Send + Sync + 'static,
) -> impl Subscriber + Send + Sync {
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    let lines = if json {
        lines.json().flatten_event(true).boxed()
    } else {
        lines.with_ansi(colours).boxed()
    };
    tracing_subscriber::registry().with(filter).with(lines)
}

/// Logs the request, and puts its id into every line about it, at level `debug`: by its route, because
/// a query does not belong in a log. Machines ask `/healthz` and the routes with an `@` all the time.
pub async fn trace(request: Request, next: Next) -> Response {
    // Asked first, because a span that nobody wants costs as much as checking a session.
    if !tracing::enabled!(Level::DEBUG) {
        return next.run(request).await;
    }
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("-", MatchedPath::as_str).to_owned();
    let id = request.extensions().get::<RequestId>();
    let id = id.and_then(|id| id.header_value().to_str().ok());
    let span = tracing::debug_span!("request", id, method = %request.method(), route);
    let begun = Instant::now();
    let answered = async {
        let answer = next.run(request).await;
        if route != "/healthz" && !route.contains('@') {
            let (status, latency) = (answer.status().as_u16(), begun.elapsed());
            tracing::debug!(event = "answered", status, ?latency);
        }
        answer
    };
    answered.instrument(span).await
}
