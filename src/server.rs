//! Connections: how many there are, how long they may be silent, and how they end. `axum::serve` bounds
//! neither in axum 0.8; the next version of axum brings such limits, and this file can go then.

use std::sync::{Arc, atomic::AtomicBool, atomic::Ordering};
use std::{net::SocketAddr, pin::pin, time::Duration};

use axum::{Router, body::Body, extract::ConnectInfo, http::Request, serve::Listener};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::Service;

/// How many connections are open at once; more wait in the listener's queue.
pub const MAX_CONNECTIONS: usize = 16_384;
/// The longest request head, in bytes; hyper answers a longer one with 431 (RFC 6585, section 5).
pub const MAX_HEAD_BYTES: usize = 32 * 1024;
/// How long the head of a request may take to arrive, counted from the end of the answer before it.
/// Most proxies close a silent connection after 60 seconds: a request that meets our close is lost.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(75);
/// At the end, a connection that has sent no request is closed when it is this old: one may be on its way.
const FIRST_REQUEST: Duration = Duration::from_secs(1);
/// How long the requests that are under way at the end may take.
pub const GRACE: Duration = Duration::from_secs(20);

/// Serves `app` on at most so many connections at once until `stop` is cancelled. Then finishes what is
/// under way, within [`GRACE`].
pub async fn serve(
    mut listener: TcpListener,
    app: Router,
    at_once: usize,
    stop: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(at_once));
    let connections = TaskTracker::new();
    let accepted = async {
        while let Ok(place) = Arc::clone(&places).acquire_owned().await {
            // axum logs a failure, such as a lack of file handles, and tries again after a second.
            let (stream, peer) = Listener::accept(&mut listener).await;
            let served = connection(stream, peer, app.clone(), stop.clone());
            connections.spawn(async move {
                served.await;
                drop(place);
            });
        }
    };
    stop.run_until_cancelled(accepted).await;
    drop(listener);
    connections.close();
    if timeout(GRACE, connections.wait()).await.is_err() {
        let connections = connections.len();
        tracing::warn!(event = "stopped_before_the_end", connections);
    }
}

async fn connection(stream: TcpStream, peer: SocketAddr, app: Router, stop: CancellationToken) {
    let _ = stream.set_nodelay(true);
    let new_until = Instant::now() + FIRST_REQUEST;
    let is_silent = AtomicBool::new(true);
    let service = service_fn(|mut request: Request<Incoming>| {
        is_silent.store(false, Ordering::Relaxed);
        request.extensions_mut().insert(ConnectInfo(peer));
        app.clone().call(request.map(Body::new))
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_header_size(MAX_HEAD_BYTES)
            .max_buf_size(MAX_HEAD_BYTES)
            .half_close(true)
            .serve_connection(TokioIo::new(stream), service)
            // For a WebSocket of yours, to which no limit here applies.
            .with_upgrades()
    );
    // Both look at the connection before they look at the time, so that what has arrived is answered.
    let mut served = stop.run_until_cancelled(connection.as_mut()).await;
    if served.is_none() && is_silent.load(Ordering::Relaxed) {
        served = timeout_at(new_until, connection.as_mut()).await.ok();
    }
    if served.is_none() {
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    }
}
