//! Connections: accepts them, bounds what each may hold and for how long, and ends them in order.
//!
//! In place of `axum::serve`, which leaves a client all the time and a listener all the connections
//! it wants.

use std::{
    cell::RefCell,
    collections::HashMap,
    convert::Infallible,
    future::Future,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Body,
    extract::ConnectInfo,
    http::{self, HeaderValue, header::CONNECTION},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    task::{AbortHandle, Id, JoinSet},
    time::{interval, sleep, sleep_until, timeout},
};
use tower::Service;

/// The longest request head, in bytes; a longer one is answered with 431 (RFC 6585, section 5).
pub const MAX_HEAD_BYTES: usize = 32 * 1024;

/// How much is read of what a client still sends after its last answer.
const MAX_UNWANTED_BYTES: usize = 4 * 1024 * 1024;

/// How long to wait with the next connection where there is no room for it, such as a file handle.
const PAUSE: Duration = Duration::from_millis(100);

/// How much patience there is with clients.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many connections are open at once; more wait in the listener's queue. Each takes about
    /// 16 KiB of memory while it is idle, and 80 KiB when a client does its worst.
    pub connections: usize,
    /// How long a request's head may take to arrive, from its first byte; and how long a new connection
    /// may send nothing.
    pub head: Duration,
    /// How long a connection may be silent: between two requests, or while the client takes nothing of
    /// an answer or the app adds nothing to it. Longer than the 60 seconds of most proxies, so that the
    /// proxy closes first: a request that meets our close is lost.
    pub idle: Duration,
    /// How long a connection is kept after its last answer, for what is still on its way from the
    /// client; and a silent one at the end of the process.
    pub linger: Duration,
    /// How long the requests that are under way at the end may take.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 16_384,
            head: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            linger: Duration::from_millis(500),
            grace: Duration::from_secs(20),
        }
    }
}

/// Whether the process is about to stop: it is not ready for more (see `/@readyz`), and asks clients
/// to open no further request on the same connection.
#[derive(Clone, Default)]
pub struct Draining(Arc<AtomicBool>);

impl Draining {
    /// From now on it is.
    fn begin(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it is.
    pub fn has_begun(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Where connections arrive.
pub struct Listener {
    /// The socket.
    pub socket: TcpListener,
    /// Whether somebody else has it too, so that what waits in its queue is there after us.
    pub shared: bool,
}

impl From<TcpListener> for Listener {
    fn from(socket: TcpListener) -> Self {
        let shared = false;
        Self { socket, shared }
    }
}

/// Serves `app` on `listener` until `shutdown` is ready. Then drains: for `delay` new connections are
/// still taken, so that whoever asks for readiness has time to notice; after that, what is under way
/// is finished, within `limits.grace`.
pub async fn serve(
    listener: impl Into<Listener>,
    app: Router,
    limits: Limits,
    draining: Draining,
    delay: Duration,
    shutdown: impl Future<Output = ()>,
) {
    let Listener { socket, shared } = listener.into();
    let mut connections = Connections::default();
    let mut look = interval((limits.head.min(limits.idle) / 2).min(limits.linger));
    let mut resume = Instant::now();
    let stop = async {
        shutdown.await;
        draining.begin();
        sleep(delay).await;
    };
    let mut stop = pin!(stop);
    loop {
        let room = connections.tasks.len() < limits.connections;
        let next = async {
            sleep_until(resume.into()).await;
            socket.accept().await
        };
        tokio::select! {
            () = &mut stop => break,
            _ = look.tick() => connections.close_slow(&limits, limits.idle),
            Some(ended) = connections.tasks.join_next_with_id() => connections.forget(ended),
            accepted = next, if room => match accepted {
                Ok((stream, peer)) => connections.open(stream, peer, &app, &draining),
                Err(error) if has_gone(&error) => {}
                Err(error) => {
                    tracing::error!(event = "not_accepted", %error);
                    resume = Instant::now() + PAUSE;
                }
            }
        }
    }
    // The system would reset what is in a queue of ours alone. It is asked without the runtime, which
    // hears of a connection later than the client does.
    if let Ok(socket) = socket.into_std()
        && !shared
    {
        for _ in 0..limits.connections {
            match socket.accept() {
                Ok((stream, peer)) => {
                    let unblocked = stream.set_nonblocking(true);
                    if let Ok(stream) = unblocked.and_then(|()| TcpStream::from_std(stream)) {
                        connections.open(stream, peer, &app, &draining);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => {}
            }
        }
    }
    if timeout(limits.grace, connections.finish(limits))
        .await
        .is_err()
    {
        tracing::warn!(
            event = "stopped_before_the_end",
            connections = connections.tasks.len()
        );
    }
}

/// Whether a client that waited in the queue has left it.
fn has_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}

/// The open connections, each a task.
#[derive(Default)]
struct Connections {
    tasks: JoinSet<()>,
    watched: HashMap<Id, Watched>,
}

struct Watched {
    task: AbortHandle,
    progress: Arc<Progress>,
    /// What `progress` was when it was last looked at, and since when it has been that.
    seen: (u64, Instant),
}

impl Connections {
    fn open(&mut self, stream: TcpStream, peer: SocketAddr, app: &Router, draining: &Draining) {
        let progress = Arc::new(Progress::default());
        let task = self.tasks.spawn(connection(
            stream,
            peer,
            app.clone(),
            Arc::clone(&progress),
            draining.clone(),
        ));
        let watched = Watched {
            seen: (progress.now(), Instant::now()),
            progress,
            task: task.clone(),
        };
        self.watched.insert(task.id(), watched);
    }

    /// Closes the connections that wait for the rest of a request, or for a next one, for too long.
    fn close_slow(&mut self, limits: &Limits, idle: Duration) {
        let now = Instant::now();
        for Watched {
            task,
            progress,
            seen,
        } in self.watched.values_mut()
        {
            let progress = progress.now();
            if progress != seen.0 {
                *seen = (progress, now);
            }
            let patience = match Phase::of(progress) {
                Phase::Fresh => limits.head.min(idle),
                Phase::Idle => idle,
                Phase::Head => limits.head,
                Phase::Closing => limits.linger,
                // It has a time-out of its own.
                Phase::Answering => continue,
            };
            if now.duration_since(seen.1) >= patience {
                task.abort();
            }
        }
    }

    fn forget(&mut self, ended: Result<(Id, ()), tokio::task::JoinError>) {
        let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
        self.watched.remove(&id);
    }

    /// Waits for all to end. Every answer says now that it is the last one.
    async fn finish(&mut self, limits: Limits) {
        let mut look = interval(limits.linger / 5);
        while !self.tasks.is_empty() {
            tokio::select! {
                Some(ended) = self.tasks.join_next_with_id() => self.forget(ended),
                _ = look.tick() => self.close_slow(&limits, limits.linger),
            }
        }
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    app: Router,
    progress: Arc<Progress>,
    draining: Draining,
) {
    // Answers are written whole: there is nothing to wait for.
    let _ = stream.set_nodelay(true);
    let io = TokioIo::new(Watch {
        stream,
        progress: Arc::clone(&progress),
        unwanted: 0,
    });
    let (progress, draining) = (&progress, &draining);
    // hyper calls one request after the other, but by a shared reference.
    let app = RefCell::new(app);
    let service = service_fn(move |mut request: http::Request<Incoming>| {
        progress.enter(Phase::Answering);
        request.extensions_mut().insert(ConnectInfo(peer));
        let answer = app.borrow_mut().call(request.map(Body::new));
        async move {
            let mut answer = answer.await?;
            if draining.has_begun() {
                let close = HeaderValue::from_static("close");
                answer.headers_mut().insert(CONNECTION, close);
            }
            progress.enter(Phase::Idle);
            Ok::<_, Infallible>(answer)
        }
    });
    let ended = http1::Builder::new()
        .max_header_size(MAX_HEAD_BYTES)
        .max_buf_size(MAX_HEAD_BYTES)
        .writev(false)
        // Whoever has sent the request may close that side. It also saves looking out for that while
        // the app answers, for which hyper takes a new buffer of 8 KiB every time; so a handler goes on
        // when its client is gone.
        .half_close(true)
        .serve_connection(io, service)
        // For a WebSocket of yours: from the upgrade on its handler has it, and no limit here holds it.
        .with_upgrades()
        .await;
    if let Err(error) = ended {
        tracing::debug!(event = "connection_failed", %error);
    }
}

/// What a connection is doing.
#[derive(Clone, Copy)]
enum Phase {
    /// Nothing has arrived yet.
    Fresh,
    /// Nothing, or the client takes the answer.
    Idle,
    /// A request has begun to arrive.
    Head,
    /// The app has it.
    Answering,
    /// There was the last answer.
    Closing,
}

impl Phase {
    fn of(progress: u64) -> Self {
        match progress % PHASES {
            0 => Self::Fresh,
            1 => Self::Idle,
            2 => Self::Head,
            3 => Self::Answering,
            _ => Self::Closing,
        }
    }
}

/// How many phases there are.
const PHASES: u64 = 5;

/// How often a connection has entered a phase, and which is the last. Only the connection writes it, so
/// a plain load and store will do; hyper's own timer would set an alarm for every request.
#[derive(Default)]
struct Progress(AtomicU64);

impl Progress {
    fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn enter(&self, phase: Phase) {
        let rounds = self.now() / PHASES + 1;
        self.0
            .store(rounds * PHASES + phase as u64, Ordering::Relaxed);
    }

    fn read(&self) {
        if let Phase::Fresh | Phase::Idle = Phase::of(self.now()) {
            self.enter(Phase::Head);
        }
    }

    /// An answer that goes out in parts is no silence.
    fn wrote(&self) {
        if let Phase::Idle | Phase::Head = Phase::of(self.now()) {
            self.enter(Phase::Idle);
        }
    }
}

/// A stream that tells when something arrives.
struct Watch {
    stream: TcpStream,
    progress: Arc<Progress>,
    /// How much has arrived after the last answer.
    unwanted: usize,
}

impl AsyncRead for Watch {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.progress.read();
        }
        polled
    }
}

impl AsyncWrite for Watch {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if polled.is_ready() {
            self.progress.wrote();
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Waits until the client has ended too. To close on what it still sends, such as a form that is
    /// too large, would reset the connection, and it might lose the answer (RFC 9112, section 9.6).
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !matches!(Phase::of(self.progress.now()), Phase::Closing) {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            self.progress.enter(Phase::Closing);
        }
        let mut unwanted = [0; 8 * 1024];
        while self.unwanted < MAX_UNWANTED_BYTES {
            let mut buffer = ReadBuf::new(&mut unwanted);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
            if buffer.filled().is_empty() {
                break;
            }
            self.unwanted += buffer.filled().len();
        }
        Poll::Ready(Ok(()))
    }
}
