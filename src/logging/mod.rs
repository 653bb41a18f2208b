//! What is logged, and how.
//!
//! Every line about a request ends with what identifies it, so that handlers log with `tracing`'s
//! macros and name nothing of it. A span would do the same for as much as checking a session costs;
//! spans of your own are not written.

mod format;
mod output;

use std::{
    convert::Infallible,
    hash::{BuildHasher, RandomState},
    io::{self, IsTerminal},
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{
    extract::{MatchedPath, Request},
    http::{HeaderName, HeaderValue, Method},
    response::Response,
};
use tokio::{task_local, time::Instant};
use tracing::Subscriber;
use tracing_subscriber::{
    Layer, filter::Targets, fmt::MakeWriter, layer::SubscriberExt, util::SubscriberInitExt,
};

pub use self::output::flush;
use crate::READY_PATH;

/// Names a request in the answer and in every log line about it.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What the lines about answers say where in the code they are from.
const ANSWERED: &str = "app::answered";

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// Starts logging to standard output. Call once, at the start of the process, and [`flush`] at its
/// end.
pub fn init(format: LogFormat, filter: Targets) {
    let colours = io::stdout().is_terminal();
    subscriber(format, filter, colours, output::start()).init();
}

/// What [`init`] starts, with lines that go to `writer`; in text, levels may have `colours`.
pub fn subscriber<W>(
    format: LogFormat,
    filter: Targets,
    colours: bool,
    writer: W,
) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(writer);
    let layer = match format {
        LogFormat::Text => layer.event_format(format::Text { colours }).boxed(),
        LogFormat::Json => layer
            .json()
            .flatten_event(true)
            .map_event_format(format::Json)
            .boxed(),
    };
    // A filter of the whole is cheaper than one of a layer, but would blind the other layer.
    #[cfg(feature = "metrics")]
    let (filter, layer) = (crate::metrics::count_events(), layer.with_filter(filter));
    tracing_subscriber::registry().with(filter).with(layer)
}

task_local! {
    /// The request that is being answered.
    static CURRENT: Current;
}

/// What every line about a request says of it. The route, never the address: a query or a cookie
/// does not belong in a log.
pub(crate) struct Current {
    /// Counts the requests of this process.
    number: u64,
    method: Method,
    route: Option<MatchedPath>,
    begun: Instant,
}

impl Current {
    /// Begins to answer the request, under an id that replaces any that the client sent: that one would
    /// end up in our log.
    pub(crate) fn of(request: &Request) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self {
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            method: request.method().clone(),
            route: request.extensions().get().cloned(),
            begun: Instant::now(),
        }
    }

    /// When the request was there.
    pub(crate) fn begun(&self) -> Instant {
        self.begun
    }

    /// The route; `-` for none.
    fn route(&self) -> &str {
        self.route.as_ref().map_or("-", MatchedPath::as_str)
    }

    /// The request's name: unique among those of this process, and hardly ever used by another one.
    fn id<'a>(&self, number: &'a mut itoa::Buffer) -> [&'a str; 2] {
        static PROCESS: LazyLock<String> = LazyLock::new(|| {
            let random = RandomState::new().hash_one(std::process::id());
            format!("{:08x}-", random as u32)
        });
        [&PROCESS, number.format(self.number)]
    }
}

/// Names the request in the answer, and logs a line about it, unless somebody only asked whether we
/// are well.
pub(crate) fn log_request(
    current: Current,
    answer: impl Future<Output = Response>,
) -> impl Future<Output = Result<Response, Infallible>> {
    CURRENT.scope(current, async move {
        let mut unanswered = Unanswered(true);
        let mut answer = answer.await;
        unanswered.0 = false;
        CURRENT.with(|current| {
            let id = current.id(&mut itoa::Buffer::new()).concat();
            if let Ok(id) = HeaderValue::try_from(id) {
                answer.headers_mut().insert(REQUEST_ID, id);
            }
            if !matches!(current.route(), "/healthz" | READY_PATH) {
                let (status, latency) = (answer.status(), current.begun.elapsed());
                #[cfg(feature = "metrics")]
                crate::metrics::answered(&current.method, current.route(), status, latency);
                let latency_us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
                let status = status.as_u16();
                tracing::info!(target: ANSWERED, event = "answered", status, latency_us);
            }
        });
        Ok(answer)
    })
}

/// Says that nobody is answered any more: the process ends, or the connection broke.
struct Unanswered(bool);

impl Drop for Unanswered {
    fn drop(&mut self) {
        if self.0 {
            tracing::info!(event = "abandoned");
        }
    }
}
