//! Connections: what clients get that dawdle, flood or send nonsense, and what others get meanwhile.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::{
    future::pending,
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use app::{
    AppState,
    config::Build,
    server::{self, Draining, Limits, MAX_HEAD_BYTES},
    session::clock::Clock,
};
use axum::{
    Router,
    body::{Body, Bytes},
    http::{Method, StatusCode, header},
    routing::get,
};
use common::{FORM, NO_COOKIE, START, TestApp, config, key, payload, request, signed};
use futures_util::{StreamExt, stream};
use tokio::{
    net::{TcpListener, TcpSocket},
    runtime::Runtime,
};

const PATIENT: Limits = Limits {
    connections: 100,
    head: Duration::from_secs(60),
    idle: Duration::from_secs(60),
    linger: Duration::from_secs(60),
    grace: Duration::from_secs(60),
};

/// How much later than set something may be, on a busy machine.
const SLACK: Duration = Duration::from_secs(5);

const ASK: &str = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// The app on a port of its own, until the test is done with it.
struct Server {
    address: SocketAddr,
    _runtime: Runtime,
}

impl Server {
    fn start(limits: Limits) -> Self {
        Self::start_at(limits, Clock::new(|| START))
    }

    fn start_at(limits: Limits, clock: Clock) -> Self {
        let runtime = Runtime::new().unwrap();
        let state = AppState::open(config(Build::Debug, &[]), clock).unwrap();
        let (app, draining) = (app::app(state), Draining::default());
        Self::serve(app, limits, draining, runtime)
    }

    fn serve(app: Router, limits: Limits, draining: Draining, runtime: Runtime) -> Self {
        let listener = runtime.block_on(async {
            let socket = TcpSocket::new_v4().unwrap();
            // With little room in the system's buffers, what a client does not take is soon ours.
            socket.set_send_buffer_size(16 * 1024).unwrap();
            socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
            socket.listen(100).unwrap()
        });
        let address = listener.local_addr().unwrap();
        let served = server::serve(listener, app, limits, draining, Duration::ZERO, pending());
        runtime.spawn(served);
        Self {
            address,
            _runtime: runtime,
        }
    }

    fn connect(&self) -> Client {
        let last = Instant::now();
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(SLACK)).unwrap();
        stream.set_write_timeout(Some(SLACK)).unwrap();
        Client { stream, last }
    }
}

struct Client {
    stream: TcpStream,
    /// When it began to connect or to send.
    last: Instant,
}

impl Client {
    fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.last = Instant::now();
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    fn waits_at_most(&self, patience: Duration) {
        self.stream.set_read_timeout(Some(patience)).unwrap();
    }

    /// What arrives next, in time; nothing where the server closes.
    fn next(&mut self) -> io::Result<String> {
        let mut bytes = [0; 4096];
        let length = self.stream.read(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes[..length]).into_owned())
    }

    /// All that arrives until the server closes.
    fn rest(&mut self) -> String {
        let mut rest = String::new();
        self.stream.read_to_string(&mut rest).unwrap();
        rest
    }

    #[track_caller]
    fn is_answered(&mut self) {
        let answer = self.next().unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\nok"), "{answer}");
    }

    #[track_caller]
    fn is_served(&mut self) {
        self.send(ASK);
        self.is_answered();
    }

    /// Sends this over and over until the server closes; how much it was. Not more than 64 MiB.
    fn flood(&mut self, with: &[u8]) -> usize {
        let mut sent = 0;
        while sent < 64 * 1024 * 1024 {
            match self.stream.write(with) {
                Ok(length) => sent += length,
                Err(error) => {
                    assert!(!is_timeout(&error), "open after {sent} bytes");
                    break;
                }
            }
        }
        sent
    }

    /// Waits until the server closes, this long after what was last sent but for a `byte` at times.
    #[track_caller]
    fn ends_after(mut self, set: Duration, byte: Option<u8>) {
        self.waits_at_most(Duration::from_millis(20));
        while self.last.elapsed() < set + SLACK {
            let sent = byte.map_or(Ok(()), |byte| self.stream.write_all(&[byte]));
            match sent.and_then(|()| self.next()) {
                Err(error) if is_timeout(&error) => {}
                Ok(answer) if !answer.is_empty() => panic!("{answer}"),
                closed => {
                    let after = self.last.elapsed();
                    assert!(after >= set, "{closed:?} after {after:?}");
                    return;
                }
            }
        }
        panic!("still open");
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

#[test]
fn a_head_that_arrives_slowly_is_closed_in_the_set_time_and_not_before() {
    let head = Duration::from_millis(400);
    let server = Server::start(Limits { head, ..PATIENT });
    thread::scope(|scope| {
        for byte in [None, Some(b'a')] {
            let mut client = server.connect();
            client.send("GET /healthz HTTP/1.1\r\nX-Slow: ");
            scope.spawn(move || client.ends_after(head, byte));
        }
        let mut client = server.connect();
        client.send("GET /healthz HTTP/1.1\r\nX-Slow: ");
        thread::sleep(head / 4);
        client.send("a\r\n\r\n");
        client.is_answered();
        // The time begins anew with each request.
        for _ in 0..5 {
            thread::sleep(head / 4);
            client.is_served();
        }
    });
}

#[test]
fn a_new_connection_that_sends_nothing_has_the_time_of_a_head() {
    let head = Duration::from_millis(200);
    let server = Server::start(Limits { head, ..PATIENT });
    server.connect().ends_after(head, None);
}

#[test]
fn what_runs_at_the_end_has_the_set_time() {
    let (grace, runtime) = (Duration::from_millis(300), Runtime::new().unwrap());
    let slow = || async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        "done"
    };
    let app = Router::new()
        .route("/slow", get(slow))
        .route("/never", get(std::future::pending::<()>));
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let mut clients = ["/slow", "/never"].map(|path| {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        stream
    });
    let limits = Limits { grace, ..PATIENT };
    let stop = async { tokio::time::sleep(Duration::from_millis(50)).await };
    let begun = Instant::now();
    runtime.block_on(server::serve(
        listener,
        app,
        limits,
        Draining::default(),
        Duration::ZERO,
        stop,
    ));
    let took = begun.elapsed();
    drop(runtime);
    assert!(took >= grace && took < grace + SLACK, "{took:?}");
    let answers = clients.each_mut().map(|client| {
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        answer
    });
    assert!(answers[0].ends_with("done"), "{answers:?}");
    assert_eq!(answers[1], "");
}

#[test]
fn a_silent_connection_is_closed_in_the_set_time_and_one_that_keeps_asking_is_not() {
    let (head, idle) = (Duration::from_millis(200), Duration::from_millis(800));
    let server = Server::start(Limits {
        head,
        idle,
        ..PATIENT
    });
    thread::scope(|scope| {
        let mut client = server.connect();
        client.is_served();
        scope.spawn(move || client.ends_after(idle, None));
        let mut client = server.connect();
        for _ in 0..15 {
            client.is_served();
            thread::sleep(idle / 8);
        }
    });
}

#[test]
fn a_connection_beyond_the_set_number_waits_and_is_served_as_soon_as_another_one_ends() {
    let server = Server::start(Limits {
        connections: 2,
        ..PATIENT
    });
    let (mut first, mut second, mut third) = (server.connect(), server.connect(), server.connect());
    first.is_served();
    second.is_served();
    third.send(ASK);
    third.waits_at_most(Duration::from_millis(200));
    let waits = third.next().expect_err("no answer yet");
    assert!(is_timeout(&waits), "{waits}");
    drop(first);
    third.waits_at_most(SLACK);
    third.is_answered();
    second.is_served();
}

#[test]
fn a_client_that_closes_its_side_after_the_request_is_answered() {
    let slowly = get(async || {
        tokio::time::sleep(Duration::from_millis(100)).await;
        "done"
    });
    let routes = Router::new().route("/", slowly);
    let (draining, runtime) = (Draining::default(), Runtime::new().unwrap());
    let server = Server::serve(routes, PATIENT, draining, runtime);
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    client.stream.shutdown(Shutdown::Write).unwrap();
    let answer = client.rest();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\ndone"), "{answer}");
}

#[test]
fn a_head_that_is_too_long_is_answered_431() {
    let server = Server::start(PATIENT);
    let with_cookies = |bytes| format!("GET /me HTTP/1.1\r\nCookie: {}\r\n\r\n", "a".repeat(bytes));
    let mut client = server.connect();
    client.send(with_cookies(MAX_HEAD_BYTES - 100));
    assert!(client.next().unwrap().starts_with("HTTP/1.1 401 "));
    for bytes in [MAX_HEAD_BYTES, 100 * 1024] {
        let mut client = server.connect();
        client.send(with_cookies(bytes));
        let answer = client.rest();
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }
}

#[test]
fn a_body_that_is_too_large_is_answered_413_and_not_read_to_its_end() {
    let server = Server::start(PATIENT);
    let mut client = server.connect();
    client.send(format!(
        "POST /login HTTP/1.1\r\nContent-Type: {FORM}\r\nContent-Length: 1000000000\r\n\r\n"
    ));
    // Whoever reads only after having sent, as most clients do, must not lose the answer.
    let part = [b'a'; 64 * 1024];
    for _ in 0..16 {
        client.send(part);
        thread::sleep(Duration::from_millis(5));
    }
    let answer = client.next().unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("The form is too large."), "{answer}");
    let sent = client.flood(&part);
    assert!(sent < 32 * 1024 * 1024, "{sent} bytes");
}

/// A byte of a body, as large in memory as what it came with.
struct Part(u8, Arc<AtomicUsize>);

impl AsRef<[u8]> for Part {
    fn as_ref(&self) -> &[u8] {
        std::slice::from_ref(&self.0)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.1.fetch_sub(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn a_form_that_arrives_byte_by_byte_is_held_in_one_piece() {
    let held = Arc::new(AtomicUsize::new(0));
    let parts = "user_id=alice".bytes().map(move |byte| {
        let before = held.fetch_add(1, Ordering::Relaxed);
        assert!(before <= 1, "{before} parts are held");
        Ok(Bytes::from_owner(Part(byte, Arc::clone(&held))))
    });
    let app = TestApp::new();
    let login = || request(Method::POST, "/login", NO_COOKIE).header(header::CONTENT_TYPE, FORM);
    let body = Body::from_stream(stream::iter(parts.clone()));
    let answer = app.send(login(), body).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);

    let broken = parts.chain([Err(io::Error::other("gone"))]);
    let answer = app
        .send(login(), Body::from_stream(stream::iter(broken)))
        .await;
    answer.is(StatusCode::BAD_REQUEST, "The form could not be read.");
}

#[test]
fn a_client_that_stays_after_its_last_answer_loses_its_place_in_the_set_time() {
    let (head, linger) = (Duration::from_millis(200), Duration::from_millis(400));
    let server = Server::start(Limits {
        connections: 1,
        head,
        linger,
        ..PATIENT
    });
    let mut client = server.connect();
    client.send("GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n");
    let begun = Instant::now();
    assert!(client.rest().ends_with("ok"));
    let mut next = server.connect();
    next.send(ASK);
    next.waits_at_most(Duration::from_millis(20));
    let answer = loop {
        // It goes on sending, and nobody listens.
        let _ = client.stream.write(b"a");
        match next.next() {
            Err(error) if is_timeout(&error) && begun.elapsed() < SLACK => {}
            answer => break answer.unwrap(),
        }
    };
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(begun.elapsed() >= linger, "{:?}", begun.elapsed());
}

#[test]
fn garbage_behind_a_request_is_answered_400_after_the_requests_own_answer() {
    let server = Server::start(PATIENT);
    for garbage in ["\x16\x03\x01\x02\r\n\r\n", "GET\r\n\r\n", "\0\0\0\0"] {
        let mut client = server.connect();
        client.send(format!("{ASK}{ASK}{garbage}"));
        let answers = client.rest();
        let answers: Vec<&str> = answers.split("HTTP/1.1 ").skip(1).collect();
        let statuses: Vec<&str> = answers.iter().map(|answer| &answer[..3]).collect();
        assert_eq!(statuses, ["200", "200", "400"], "{answers:?}");
    }
}

#[test]
fn a_client_that_takes_no_answers_is_not_read_from_and_closed_in_the_set_time() {
    let (head, idle) = (Duration::from_millis(200), Duration::from_millis(400));
    let server = Server::start(Limits {
        head,
        idle,
        ..PATIENT
    });
    let mut client = server.connect();
    let sent = client.flood(ASK.repeat(1000).as_bytes());
    assert!(sent < 32 * 1024 * 1024, "{sent} bytes");
    server.connect().is_served();
}

#[test]
fn an_answer_that_goes_out_in_parts_is_no_silence() {
    let part = || async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        Ok::<_, io::Error>("part")
    };
    let parts = move || async move {
        Body::from_stream(stream::repeat(()).take(12).then(move |()| part()))
    };
    let app = Router::new().route("/parts", get(parts));
    let limits = Limits {
        head: Duration::from_millis(200),
        idle: Duration::from_millis(300),
        ..PATIENT
    };
    let server = Server::serve(app, limits, Draining::default(), Runtime::new().unwrap());
    // One is silent meanwhile, the other has begun its next request.
    let clients = ["", "GET /parts HTTP/1.1\r\n"].map(|behind| {
        let mut client = server.connect();
        client.send(format!(
            "GET /parts HTTP/1.1\r\nHost: localhost\r\n\r\n{behind}"
        ));
        client
    });
    for mut client in clients {
        let answer = client.rest();
        assert_eq!(answer.matches("part").count(), 12, "{answer}");
    }
}

#[test]
fn a_handler_that_panics_answers_500_and_the_connection_goes_on() {
    let stands_still = Arc::new(AtomicBool::new(false));
    let clock = Arc::clone(&stands_still);
    let clock = Clock::new(move || {
        assert!(!clock.load(Ordering::Relaxed), "the clock stands still");
        START
    });
    let server = Server::start_at(PATIENT, clock);
    let mut client = server.connect();
    let mut ask = || {
        let cookie = signed(&key(b'a'), payload("alice"));
        client.send(format!("GET /me HTTP/1.1\r\nCookie: {cookie}\r\n\r\n"));
        client.next().unwrap()
    };
    stands_still.store(true, Ordering::Relaxed);
    let answer = ask();
    assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
    assert!(answer.contains("Something went wrong"), "{answer}");
    stands_still.store(false, Ordering::Relaxed);
    let answer = ask();
    assert!(answer.ends_with("Logged in as alice"), "{answer}");
}
