//! A new version without a lost request: how the process stops, and what its clients notice.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::OwnedFd,
    path::Path,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use common::process::{
    ANY_PORT, Connection, OPEN, PATIENCE, PROGRAM, Process, Reply, generated_key, get, login, send,
    until_refused, working_folder,
};

fn start(delay: &str) -> (Process, SocketAddr) {
    let key = generated_key();
    let settings = [
        ANY_PORT,
        OPEN,
        ("SESSION_KEYS", &*key),
        ("SHUTDOWN_DELAY", delay),
    ];
    let process = Process::start(&[], &settings);
    let address = process.address();
    (process, address)
}

/// A login that the app waits for the rest of.
struct Unfinished(BufReader<TcpStream>);

impl Unfinished {
    fn begin(address: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(
            stream,
            "POST /login HTTP/1.1\r\nHost: {address}\r\nExpect: 100-continue\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 13\r\n\r\n"
        )
        .unwrap();
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        assert_eq!(line, "HTTP/1.1 100 Continue\r\n");
        stream.read_line(&mut line).unwrap();
        stream.get_mut().write_all(b"user_id").unwrap();
        Self(stream)
    }

    /// Sends the rest; all that comes until the app closes the connection.
    fn finish(mut self) -> String {
        self.0.get_mut().write_all(b"=alice").unwrap();
        let mut answer = String::new();
        self.0.read_to_string(&mut answer).unwrap();
        answer
    }
}

#[test]
fn sigterm_and_ctrl_c_stop_accepting_finish_what_runs_and_exit_0() {
    for signal in ["TERM", "INT"] {
        let (process, address) = start("0");
        let unfinished = Unfinished::begin(address);
        process.signal(signal);
        until_refused(address);
        let answer = unfinished.finish();
        assert!(answer.starts_with("HTTP/1.1 303 "), "{answer}");
        assert!(answer.contains("\r\nset-cookie: "), "{answer}");
        assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\n"), "{answer}");
        let (status, out, err) = process.end();
        assert_eq!(status.code(), Some(0), "{err}");
        assert!(out.ends_with(": stopped\n"), "{out}");
    }
}

#[test]
fn hardly_anybody_who_connects_while_it_stops_is_left_unanswered() {
    const STOPS: usize = 10;
    const CLIENTS: usize = 8;
    let mut unanswered = 0;
    for _ in 0..STOPS {
        let (process, address) = start("0");
        unanswered += thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS)
                .map(|_| {
                    scope.spawn(|| {
                        loop {
                            match get(address, "/healthz", "") {
                                Ok(answer) => assert_eq!(answer.status, 200),
                                Err(error) => return error.kind() != ErrorKind::ConnectionRefused,
                            }
                        }
                    })
                })
                .collect();
            thread::sleep(Duration::from_millis(20));
            process.signal("TERM");
            let clients = clients.into_iter().map(|client| client.join().unwrap());
            clients.filter(|unanswered| *unanswered).count()
        });
        assert!(process.end().0.success());
    }
    // No system closes its queue and tells who is in it in one step.
    assert!(unanswered <= STOPS * CLIENTS / 10, "{unanswered}");
}

#[test]
fn readiness_goes_red_while_requests_are_still_taken() {
    let (process, address) = start("1");
    let alice = login(address, "alice");
    assert_eq!(get(address, "/@readyz", "").unwrap().status, 200);
    let asked = Instant::now();
    process.signal("TERM");
    while get(address, "/@readyz", "").unwrap().status != 503 {}
    assert_eq!(get(address, "/healthz", "").unwrap().body, "ok");
    let me = get(address, "/me", &alice).unwrap();
    assert_eq!(me.body, "Logged in as alice");
    assert_eq!(me.header("connection"), Some("close"));
    until_refused(address);
    assert!(asked.elapsed() >= Duration::from_secs(1));
    assert!(process.end().0.success());
}

#[test]
fn asked_twice_it_stops_at_once() {
    let (process, address) = start("0");
    let _unfinished = Unfinished::begin(address);
    process.signal("TERM");
    until_refused(address);
    let asked = Instant::now();
    process.signal("TERM");
    let (status, out, err) = process.end();
    assert!(asked.elapsed() < Duration::from_secs(5));
    assert!(status.success(), "{err}");
    assert!(
        out.contains("stopped at once, because it was asked for twice\n"),
        "{out}"
    );
}

/// Starts the app as a service manager does that holds its socket.
fn start_behind(listener: &TcpListener, folder: &Path, key: &str) -> Process {
    let hand_over = "exec 3<&0 </dev/null; export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$0\"";
    let socket = OwnedFd::from(listener.try_clone().unwrap());
    let process = Process::start_with_input(
        socket.into(),
        "sh",
        folder,
        &["-c", hand_over, PROGRAM],
        &[OPEN, ("SESSION_KEYS", key)],
    );
    assert_eq!(process.address(), listener.local_addr().unwrap());
    process
}

#[test]
fn a_restart_behind_a_socket_that_stays_loses_no_request_and_no_logout() {
    let (folder, key) = (working_folder(), generated_key());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut process = start_behind(&listener, &folder, &key);
    let (asked, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let for_a_while = || {
        let (since, until) = (Instant::now(), asked.load(Ordering::Relaxed) + 300);
        while asked.load(Ordering::Relaxed) < until {
            assert!(since.elapsed() < PATIENCE, "nobody is answered");
            thread::sleep(Duration::from_millis(5));
        }
    };
    let (_process, sessions) = thread::scope(|scope| {
        let visitors: Vec<_> = (0..8)
            .map(|number| {
                let visitor = Visitor {
                    user_id: format!("visitor-{number}"),
                    address,
                    keeps: number % 2 == 0,
                    kept: None,
                    asked: &asked,
                };
                let stop = &stop;
                scope.spawn(move || visitor.visit(stop))
            })
            .collect();
        for _ in 0..3 {
            for_a_while();
            process.signal("TERM");
            let (status, out, err) = process.end();
            assert!(status.success() && out.ends_with(": stopped\n"), "{err}");
            process = start_behind(&listener, &folder, &key);
        }
        for_a_while();
        stop.store(true, Ordering::Relaxed);
        let visitors = visitors.into_iter();
        let sessions = visitors.flat_map(|visitor| visitor.join().unwrap());
        (process, sessions.collect::<Vec<_>>())
    });
    for (cookie, expected) in sessions {
        assert_eq!(get(address, "/me", &cookie).unwrap().status, expected);
    }
}

/// Logs in and out without a pause, and expects every answer to be as if nothing was going on.
struct Visitor<'a> {
    user_id: String,
    address: SocketAddr,
    /// Whether a connection is kept for the next request, unless the app says that it closes it.
    keeps: bool,
    kept: Option<Connection>,
    asked: &'a AtomicUsize,
}

impl Visitor<'_> {
    fn ask(&mut self, method: &str, path: &str, cookie: &str, form: &str) -> Reply {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if !self.keeps {
            return send(self.address, method, path, cookie, form).unwrap();
        }
        let kept = self.kept.take();
        let mut connection = kept.unwrap_or_else(|| Connection::open(self.address).unwrap());
        let reply = connection
            .send("keep-alive", method, path, cookie, form)
            .unwrap();
        if reply.header("connection") != Some("close") {
            self.kept = Some(connection);
        }
        reply
    }

    /// The sessions, each with what `/me` has to answer from now on.
    fn visit(mut self, stop: &AtomicBool) -> Vec<(String, u16)> {
        let mut sessions = Vec::new();
        let form = format!("user_id={}", self.user_id);
        let expected = format!("Logged in as {}", self.user_id);
        while !stop.load(Ordering::Relaxed) {
            let answer = self.ask("POST", "/login", "", &form);
            assert_eq!(answer.status, 303, "{}", answer.body);
            let cookie = answer.cookie();
            assert_eq!(self.ask("GET", "/me", &cookie, "").body, expected);
            // Every other one stays.
            let stays = sessions.len() % 2 == 0;
            if !stays {
                assert_eq!(self.ask("POST", "/logout", &cookie, "").status, 303);
                assert_eq!(self.ask("GET", "/me", &cookie, "").status, 401);
            }
            sessions.push((cookie, if stays { 200 } else { 401 }));
        }
        sessions
    }
}
