//! What is logged, and how.

use std::{
    io::{self, IsTerminal},
    time::Duration,
};

use axum::{
    extract::MatchedPath,
    http::{Request, Response},
};
use tower_http::{
    classify::{ServerErrorsAsFailures, SharedClassifier},
    trace::{MakeSpan, OnResponse, TraceLayer},
};
use tracing::Span;
use tracing_subscriber::{Layer, filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

use crate::{READY_PATH, headers::REQUEST_ID};

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// Starts logging to standard output. Call once, at the start of the process.
pub fn init(format: LogFormat, filter: Targets) {
    let layer = tracing_subscriber::fmt::layer().with_ansi(io::stdout().is_terminal());
    let layer = match format {
        LogFormat::Text => layer.boxed(),
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
    };
    let subscriber = tracing_subscriber::registry().with(layer.with_filter(filter));
    #[cfg(feature = "metrics")]
    let subscriber = subscriber.with(crate::metrics::count_events());
    subscriber.init();
}

/// One line per request, and the request's id in every line logged while it is answered.
pub(crate) type TraceRequests =
    TraceLayer<SharedClassifier<ServerErrorsAsFailures>, RequestSpan, (), RequestLine, (), (), ()>;

pub(crate) fn trace_requests() -> TraceRequests {
    TraceLayer::new_for_http()
        .make_span_with(RequestSpan)
        .on_request(())
        .on_response(RequestLine)
        .on_body_chunk(())
        .on_eos(())
        .on_failure(())
}

/// Whether a route is asked every few seconds by a machine, whose lines would drown the others.
pub(crate) fn leaves_no_line(route: &str) -> bool {
    matches!(route, "/healthz" | READY_PATH)
}

/// Names the route, never the address: a query or a cookie does not belong in a log.
#[derive(Clone)]
pub(crate) struct RequestSpan;

impl<B> MakeSpan<B> for RequestSpan {
    fn make_span(&mut self, request: &Request<B>) -> Span {
        let route = request
            .extensions()
            .get::<MatchedPath>()
            .map_or("-", MatchedPath::as_str);
        if leaves_no_line(route) {
            return Span::none();
        }
        let id = request
            .headers()
            .get(REQUEST_ID)
            .and_then(|id| id.to_str().ok());
        // The highest level, so that a warning keeps its request id under `RUST_LOG=warn`.
        tracing::error_span!("request", id, method = %request.method(), route)
    }
}

/// The line about an answer.
#[derive(Clone)]
pub(crate) struct RequestLine;

impl<B> OnResponse<B> for RequestLine {
    fn on_response(self, response: &Response<B>, latency: Duration, span: &Span) {
        if !span.is_none() {
            let status = response.status().as_u16();
            let latency_us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
            tracing::info!(event = "answered", status, latency_us);
        }
    }
}
