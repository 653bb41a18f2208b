//! Connections: what clients get that dawdle, flood or send nonsense, and how the process stops.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::io::{Read, Write};
use std::net::{self, SocketAddr};
use std::{sync::Arc, thread};

use app::{form::BoundedForm, server, server::HEAD_TIMEOUT};
use axum::extract::{Path, Request};
use axum::{Router, response::IntoResponse, routing};
use common::{process::*, *};
use hyper_util::rt::TokioIo;
use time::OffsetDateTime;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, yield_now};
use tokio::time::{Duration, Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

const SECOND: Duration = Duration::from_secs(1);

/// The head of a request, without the empty line at its end.
fn head(asked: &str) -> String {
    format!("{asked} HTTP/1.1\r\nHost: localhost\r\n")
}

/// A request that takes so many seconds to answer.
fn ask(seconds: u32) -> String {
    head(&format!("GET /after/{seconds}")) + "\r\n"
}

/// Routes in place of the app's own.
fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let panics = async || -> &'static str { panic!("on purpose") };
    let long = async || (StatusCode::IM_A_TEAPOT, "a".repeat(5000));
    Router::new()
        .route("/long", routing::get(long))
        .route("/after/{seconds}", routing::get(after))
        .route("/echo/{seconds}", routing::get(echo))
        .route("/panics", routing::get(panics))
        .route("/form", routing::post(async |_: BoundedForm<()>| ()))
}

async fn after(Path(seconds): Path<u32>) -> &'static str {
    sleep(seconds * SECOND).await;
    "done"
}

/// Becomes a connection of another protocol after so many seconds, and sends back what it is sent.
async fn echo(seconds: Path<u32>, mut request: Request) -> impl IntoResponse {
    after(seconds).await;
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let parts = upgraded.await.unwrap().downcast::<TokioIo<TcpStream>>();
        let client = Client(parts.unwrap().io.into_inner());
        loop {
            client.send(&client.next().await).await;
        }
    });
    let headers = [("connection", "upgrade"), ("upgrade", "echo")];
    (StatusCode::SWITCHING_PROTOCOLS, headers)
}

/// Serves on so many connections at once: where, what stops it, and its end.
async fn serve(router: Router, at_once: usize) -> (SocketAddr, CancellationToken, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let served = server::serve(listener, router, at_once, stop.clone());
    (address, stop, tokio::spawn(served))
}

/// One end of a connection.
struct Client(TcpStream);

fn connect<const N: usize>(address: SocketAddr) -> [Client; N] {
    [(); N].map(|()| {
        let stream = net::TcpStream::connect(address).unwrap();
        stream.set_nonblocking(true).unwrap();
        Client(TcpStream::from_std(stream).unwrap())
    })
}

impl Client {
    async fn send(&self, text: &str) {
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            self.0.writable().await.unwrap();
            rest = &rest[self.0.try_write(rest).unwrap_or(0)..];
        }
    }

    /// What arrives next; nothing where the other end has closed.
    async fn next(&self) -> String {
        let mut bytes = [0; 4096];
        loop {
            self.0.readable().await.unwrap();
            if let Ok(length) = self.0.try_read(&mut bytes) {
                return String::from_utf8(bytes[..length].into()).unwrap();
            }
        }
    }

    /// All that arrives until the other end closes.
    async fn rest(&self) -> String {
        let next = self.next().await;
        if next.is_empty() {
            return next;
        }
        next + &Box::pin(self.rest()).await
    }

    async fn is_served(&self) {
        self.send(&ask(0)).await;
        assert!(self.next().await.ends_with("done"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_silent_or_sends_a_head_slowly_is_closed_in_time_and_not_before() {
    let (address, _stop, _) = serve(routes(), 10).await;
    for head in ["", "GET", "GET /healthz"] {
        // One asks nothing, one sends a byte now and then, and one has asked before.
        for (asks, byte) in [(false, ""), (false, "a"), (true, "")] {
            let [client] = connect(address);
            if asks {
                sleep(HEAD_TIMEOUT - SECOND).await;
                client.is_served().await;
            }
            let since = Instant::now();
            client.send(head).await;
            let end = loop {
                match timeout(10 * SECOND, client.rest()).await {
                    Ok(end) => break end,
                    Err(_) => client.send(byte).await,
                }
            };
            assert_eq!(end, "");
            assert_eq!(since.elapsed().as_secs(), HEAD_TIMEOUT.as_secs());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_beyond_the_set_number_waits_until_another_one_ends() {
    let (address, _stop, _) = serve(routes(), 2).await;
    let [first, second, third, fourth] = connect(address);
    first.is_served().await;
    second.is_served().await;
    third.send(&ask(0)).await;
    fourth.send(&ask(0)).await;
    assert!(timeout(SECOND, third.next()).await.is_err());
    drop(first);
    assert!(third.next().await.ends_with("done"));
    assert!(timeout(SECOND, fourth.next()).await.is_err());
    drop(second);
    assert!(fourth.next().await.ends_with("done"));
    third.is_served().await;
}

#[tokio::test(start_paused = true)]
async fn nonsense_a_panic_and_what_takes_too_long_are_answered_and_the_connection_goes_on() {
    let state = app::AppState::open(config(DEBUG, &[]), Arc::new(OffsetDateTime::now_utc)).unwrap();
    let (address, _stop, _) = serve(app::layered(routes(), state), 10).await;
    let (now, slow, panics) = (ask(0), ask(70), head("GET /panics") + "\r\n");
    let with_host = |bytes| now.replace("localhost", &"a".repeat(bytes));
    let form = head("POST /form") + "Content-Length: 9\r\n\r\na";
    for (sent, expected) in [
        (with_host(server::MAX_HEAD_BYTES - 100), "200"),
        (with_host(server::MAX_HEAD_BYTES), "431"),
        (format!("{now}{now}\x16\x03\x01\x02\r\n\r\n"), "200 200 400"),
        (format!("{now}\0\0\0\0"), "200 400"),
        (format!("{panics}{now}"), "500 200"),
        (format!("{slow}{now}"), "503 200"),
        (form, "503"),
        (head("GET /long") + "Accept: text/html\r\n\r\n", "418"),
    ] {
        let [client] = connect(address);
        client.send(&sent).await;
        let answers = client.rest().await;
        if expected.contains("503") {
            let says = |part| answers.contains(part);
            assert!(says("The answer took too long.") && says("cache-control: no-store"));
        }
        let answers = answers.split("HTTP/1.1 ").skip(1);
        let statuses: Vec<&str> = answers.map(|answer| &answer[..3]).collect();
        assert_eq!(statuses.join(" "), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_finishes_what_is_under_way_also_a_change_of_protocol_and_waits_for_nobody_else() {
    let (address, stop, served) = serve(routes(), 10).await;
    let [silent, endless, changed, changing] = connect(address);
    endless.send(&ask(100)).await;
    for (client, asked) in [(&changed, "GET /echo/0"), (&changing, "GET /echo/10")] {
        let change = "Connection: upgrade\r\nUpgrade: echo\r\n\r\n";
        client.send(&(head(asked) + change)).await;
    }
    sleep(SECOND).await;
    let [idle, new, new_and_silent] = connect(address);
    idle.is_served().await;
    sleep(SECOND / 2).await;
    stop.cancel();
    let since = Instant::now();
    assert_eq!([idle.next().await, silent.next().await], ["", ""]);
    assert!(since.elapsed() < SECOND / 10);
    new.is_served().await;
    assert_eq!([new.next().await, new_and_silent.next().await], ["", ""]);
    assert!(since.elapsed() < SECOND);
    assert!(net::TcpStream::connect(address).is_err());
    for client in [&changed, &changing] {
        let answer = client.next().await;
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        for said in ["hello", "\0\r\n\r\n"] {
            client.send(said).await;
            assert_eq!(client.next().await, said);
        }
    }
    served.await.unwrap();
    assert_eq!(since.elapsed().as_secs(), server::GRACE.as_secs());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_form_that_arrives_byte_by_byte_is_held_in_one_piece() {
    let most_kib = || memory_kib(std::process::id(), "VmHWM");
    let (address, _stop, _) = serve(routes(), 10).await;
    let ([client], before) = (connect(address), most_kib());
    let form = head("POST /form") + "Content-Length: 10000\r\n\r\n";
    client.send(&form).await;
    // Each byte has come in a buffer of 8 KiB.
    for _ in 0..10_000 {
        client.send("a").await;
        yield_now().await;
    }
    assert!(client.next().await.starts_with("HTTP/1.1 415 "));
    let grown = most_kib() - before;
    assert!(grown < 20 * 1024, "{grown} KiB");
}

/// Sends the beginning of a login that the app waits for the rest of.
fn begin_login(address: SocketAddr) -> net::TcpStream {
    let mut stream = net::TcpStream::connect(address).unwrap();
    let head = head("POST /login") + "Expect: 100-continue\r\nContent-Length: 13\r\n";
    write!(stream, "{head}Content-Type: {FORM}\r\n\r\n").unwrap();
    let mut answer = [0; 25];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream
}

#[test]
fn a_signal_finishes_what_is_under_way_after_the_delay_and_a_second_one_ends_all() {
    for (signal, delay, second) in [("TERM", "0", ""), ("INT", "1", ""), ("TERM", "0", "INT")] {
        let delayed = [("SHUTDOWN_DELAY", delay)];
        let (process, address) = Process::serving(&working_folder(), &delayed);
        let (mut unfinished, mut idle) = (begin_login(address), begin_login(address));
        idle.write_all(b"user_id=carol").unwrap();
        assert!(idle.read(&mut [0; 4096]).unwrap() > 0);
        assert_eq!(get(address, "/@readyz", "").status, 200);
        let since = Instant::now();
        process.signal(signal);
        if delay == "1" {
            while get(address, "/@readyz", "").status != 503 {}
            assert_eq!(get(address, "/healthz", "").body, "ok");
        }
        until_refused(address);
        assert!(since.elapsed() >= SECOND || delay == "0");
        assert_eq!(idle.read(&mut [0]).unwrap(), 0);
        let last = if second.is_empty() {
            unfinished.write_all(b"user_id=alice").unwrap();
            let mut answer = String::new();
            unfinished.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 303 "), "{answer}");
            assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
            ": stopped\n"
        } else {
            process.signal(second);
            "stopped at once, because it was asked for twice\n"
        };
        let (status, out, err) = process.end();
        assert!(status.success() && out.ends_with(last), "{out}{err}");
        assert!(since.elapsed() < 5 * SECOND);
    }
}

#[test]
fn a_restart_behind_a_socket_that_stays_loses_no_request_and_no_logout() {
    let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (folder, address) = (working_folder(), listener.local_addr().unwrap());
    // As a service manager does that holds the socket.
    let start = || {
        let hand_over = "exec 3<&0 </dev/null; export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$0\"";
        let settings = [OPEN, ("SESSION_KEYS", &*key(b'a'))];
        let mut command = command("sh", &folder, &["-c", hand_over, PROGRAM], &settings);
        let socket = std::os::fd::OwnedFd::from(listener.try_clone().unwrap());
        let process = Process::spawn(command.stdin(socket));
        assert_eq!(process.address(), address);
        process
    };
    let visit = |_| {
        let cookie = login(address, "alice");
        assert_eq!(status(address, &cookie), 200);
        assert_eq!(logout(address, &cookie), 303);
        cookie
    };
    let mut process = start();
    let (_process, ended) = thread::scope(|scope| {
        let visits = || (0..200).map(visit).collect::<Vec<_>>();
        let visitors = [(); 4].map(|()| scope.spawn(visits));
        for _ in 0..3 {
            thread::sleep(SECOND / 10);
            process.signal("TERM");
            assert!(process.end().0.success());
            process = start();
        }
        let ended = visitors.map(|visitor| visitor.join().unwrap());
        (process, ended.concat())
    });
    assert!(ended.iter().all(|cookie| status(address, cookie) == 401));
}

#[test]
fn nobody_waits_for_a_standard_output_that_nobody_reads_and_at_the_end_it_is_written() {
    let (process, address) = Process::serving(&working_folder(), &[("RUST_LOG", "debug")]);
    for _ in 0..3_000 {
        assert_eq!(status(address, NO_COOKIE), 401);
    }
    process.signal("TERM");
    let (status, out, err) = process.end();
    assert!(status.success() && out.ends_with(": stopped\n"), "{err}");
    assert_eq!(out.matches(r#"event="answered""#).count(), 3_000);
}
