//! `METRICS_ADDR`: what it counts, what it never shows, and that it stays apart.

#![cfg(feature = "metrics")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::Path,
    thread,
};

use app::{
    config::Build,
    defaults::{COOKIE_NAME, LOGIN_REDIRECT, LOGOUT_REDIRECT},
    throttle::ACCOUNT_BURST,
};
use common::{
    form, password_of,
    process::{ANY_PORT, OPEN, Process, Reply, generated_key, get, login, post, send},
    read, user_line, users_file, value,
};

const ANY_METRICS_PORT: (&str, &str) = ("METRICS_ADDR", "127.0.0.1:0");

/// The program beside a users file, with next to nothing in its log; where it listens, and where it
/// serves metrics.
fn start(users: &Path) -> (Process, SocketAddr, SocketAddr) {
    let main = env!("CARGO_PKG_NAME").replace('-', "_");
    let filter = format!("error,{main}=info,app::metrics=info");
    let key = generated_key();
    let settings = [
        ANY_PORT,
        ANY_METRICS_PORT,
        ("SESSION_KEYS", &key),
        ("USERS_FILE", users.to_str().unwrap()),
        ("RUST_LOG", &filter),
    ];
    let process = Process::start_in(users.parent().unwrap(), &[], &settings);
    let address = process.address();
    let metrics = metrics_address(&process);
    (process, address, metrics)
}

fn metrics_address(process: &Process) -> SocketAddr {
    let line = process.line();
    let (_, url) = line.split_once("metrics on http://").expect(&line);
    url.strip_suffix("/metrics").expect(url).parse().unwrap()
}

fn try_password(address: SocketAddr, user_id: &str, password: &str) -> Reply {
    let fields = [("user_id", user_id), ("password", password)];
    post(address, "/login", "", &form(&fields)).unwrap()
}

fn scrape(metrics: SocketAddr) -> String {
    let answer = get(metrics, "/metrics", "").unwrap();
    assert_eq!(answer.status, 200);
    let openmetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(answer.header("content-type"), Some(openmetrics));
    assert_eq!(answer.header("set-cookie"), None);
    answer.body
}

/// All lines of a scrape, sorted, but for what differs from one run to the next.
fn counts(scrape: &str) -> Vec<&str> {
    let timed = |line: &&str| !line.contains("_seconds_bucket") && !line.contains("_seconds_sum");
    let mut lines: Vec<_> = scrape.lines().filter(timed).collect();
    lines.sort_unstable();
    lines
}

/// What is measured, without the numbers.
fn series(scrape: &str) -> Vec<&str> {
    let lines = scrape.lines().filter(|line| !line.starts_with('#'));
    let mut series: Vec<_> = lines.map(|line| line.rsplit_once(' ').unwrap().0).collect();
    series.sort_unstable();
    series
}

#[test]
fn requests_logins_and_refusals_are_counted_whatever_the_log_shows() {
    let (_process, address, metrics) = start(&users_file());
    assert_eq!(
        counts(&scrape(metrics)),
        [
            "# EOF",
            "# HELP password_hashes_running Passwords being hashed now.",
            "# TYPE password_hashes_running gauge",
            "password_hashes_running 0",
        ]
    );

    let cookie = try_password(address, "alice", &password_of("alice")).cookie();
    assert_eq!(try_password(address, "bob", "guess").status, 401);
    for _ in 0..ACCOUNT_BURST {
        assert_eq!(try_password(address, "nobody", "guess").status, 401);
    }
    assert_eq!(try_password(address, "nobody", "guess").status, 429);
    assert_eq!(try_password(address, " ", "guess").status, 422);
    // The header that a browser would add.
    let foreign = post(address, "/login", "a=b\r\nSec-Fetch-Site: cross-site", "");
    assert_eq!(foreign.unwrap().status, 403);
    for _ in 0..3 {
        assert_eq!(get(address, "/me", &cookie).unwrap().status, 200);
    }
    let forged = format!("{COOKIE_NAME}=forged");
    assert_eq!(get(address, "/me", &forged).unwrap().status, 401);
    assert_eq!(post(address, "/logout", &cookie, "").unwrap().status, 303);
    assert_eq!(get(address, "/me", &cookie).unwrap().status, 401);
    assert_eq!(get(address, "/logout", "").unwrap().status, 405);
    for path in ["/@one", "/@two"] {
        assert_eq!(get(address, path, "").unwrap().status, 404);
    }
    for path in ["/healthz", "/@readyz"] {
        assert_eq!(get(address, path, "").unwrap().status, 200);
    }

    let text = scrape(metrics);
    assert_eq!(
        counts(&text),
        [
            "# EOF",
            "# HELP http_request_duration_seconds How long until the answer began.",
            "# HELP http_requests Answered requests.",
            "# HELP password_hashes_running Passwords being hashed now.",
            "# HELP session_events What was logged under a name.",
            "# TYPE http_request_duration_seconds histogram",
            "# TYPE http_requests counter",
            "# TYPE password_hashes_running gauge",
            "# TYPE session_events counter",
            "# UNIT http_request_duration_seconds seconds",
            r#"http_request_duration_seconds_count{route="-"} 2"#,
            r#"http_request_duration_seconds_count{route="/login"} 15"#,
            r#"http_request_duration_seconds_count{route="/logout"} 2"#,
            r#"http_request_duration_seconds_count{route="/me"} 5"#,
            r#"http_requests_total{method="GET",route="-",status="404"} 2"#,
            r#"http_requests_total{method="GET",route="/logout",status="405"} 1"#,
            r#"http_requests_total{method="GET",route="/me",status="200"} 3"#,
            r#"http_requests_total{method="GET",route="/me",status="401"} 2"#,
            r#"http_requests_total{method="POST",route="/login",status="303"} 1"#,
            r#"http_requests_total{method="POST",route="/login",status="401"} 11"#,
            r#"http_requests_total{method="POST",route="/login",status="403"} 1"#,
            r#"http_requests_total{method="POST",route="/login",status="422"} 1"#,
            r#"http_requests_total{method="POST",route="/login",status="429"} 1"#,
            r#"http_requests_total{method="POST",route="/logout",status="303"} 1"#,
            "password_hashes_running 0",
            r#"session_events_total{event="cross_origin_refused"} 1"#,
            r#"session_events_total{event="login"} 1"#,
            r#"session_events_total{event="login_refused"} 13"#,
            r#"session_events_total{event="logout"} 1"#,
            r#"session_events_total{event="session_forged"} 1"#,
            r#"session_events_total{event="session_replayed_after_logout"} 1"#,
        ]
    );
    let buckets = text.lines().filter(|line| line.contains("_bucket{le="));
    let of_me = buckets.filter(|line| line.contains(r#"route="/me""#));
    let of_me: Vec<_> = of_me.collect();
    let (first, last) = (of_me.first().unwrap(), of_me.last().unwrap());
    assert_eq!(of_me.len(), 15);
    assert!(first.contains(r#"{le="0.0005",route="/me"} "#), "{first}");
    assert!(last.ends_with(r#"{le="+Inf",route="/me"} 5"#), "{last}");
}

#[test]
fn nothing_that_a_client_makes_up_is_shown_or_adds_a_series() {
    let (_process, address, metrics) = start(&users_file());
    let visit = |at: usize| {
        let name = format!("hunter{at}");
        let cookie = format!("{COOKIE_NAME}={name}; {name}={name}");
        for path in [format!("/@{name}"), format!("/me?{name}={name}")] {
            get(address, &path, &cookie).unwrap();
            send(address, &format!("HUNTER{at}"), &path, &cookie, "").unwrap();
        }
        try_password(address, &name, &name);
    };
    // The address may try 50 times, and the next is answered 429.
    (0..60).for_each(visit);
    let before = scrape(metrics);
    (60..200).for_each(visit);
    let after = scrape(metrics);
    assert_eq!(series(&after), series(&before));
    let other = r#"http_requests_total{method="other",route="-",status="404"} 200"#;
    assert!(after.lines().any(|line| line == other), "{after}");
    let refused = r#"session_events_total{event="login_refused"} 200"#;
    assert!(after.lines().any(|line| line == refused), "{after}");

    for secret in ["hunter", "HUNTER", COOKIE_NAME, "127.0.0.1"] {
        assert!(!after.contains(secret), "{secret} in {after}");
    }
}

#[test]
fn no_user_and_no_session_is_shown() {
    let settings = [ANY_PORT, OPEN, ANY_METRICS_PORT];
    let key = generated_key();
    let process = Process::start(&[], &[&settings[..], &[("SESSION_KEYS", &key)]].concat());
    let address = process.address();
    assert!(process.line().contains("login is open"));
    let metrics = metrics_address(&process);
    let cookie = login(address, "alice");
    get(address, "/me?token=hunter2", &cookie).unwrap();
    let text = scrape(metrics);
    assert!(text.contains(r#"{event="login"} 1"#), "{text}");
    for secret in ["alice", "hunter2", "token", value(&cookie), &key] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

#[test]
fn password_hashes_are_counted_while_they_run() {
    let users = users_file();
    // Dear enough to be seen.
    fs::write(&users, user_line("alice", "guess", 256 * 1024)).unwrap();
    let (_process, address, metrics) = start(&users);
    let running = || {
        let text = scrape(metrics);
        let mut lines = text.lines();
        let number = lines.find_map(|line| line.strip_prefix("password_hashes_running "));
        number.unwrap().parse::<usize>().unwrap()
    };
    let login = thread::spawn(move || try_password(address, "alice", "guess").status);
    let mut seen = 0;
    while !login.is_finished() {
        seen = seen.max(running());
    }
    assert_eq!(login.join().unwrap(), 303);
    assert_eq!((seen, running()), (1, 0));
}

#[test]
fn metrics_are_served_at_their_own_address_alone_and_nothing_else_is() {
    let (_process, address, metrics) = start(&users_file());
    scrape(metrics);
    for path in ["/", "/metrics/", "/me", "/healthz", "/@readyz"] {
        let answer = get(metrics, path, "").unwrap();
        assert_eq!((answer.status, &*answer.body), (404, ""), "{path}");
    }
    for path in ["/metrics", "/login", "/logout"] {
        let status = post(metrics, path, "", "user_id=alice").unwrap().status;
        assert_eq!(status, if path == "/metrics" { 405 } else { 404 });
    }
    // Where a redirect leads to that very path, it is a page.
    if ![LOGIN_REDIRECT, LOGOUT_REDIRECT].contains(&"/metrics") {
        assert_eq!(get(address, "/metrics", "").unwrap().status, 404);
    }
    // What is asked at this address is none of the requests that it counts.
    let text = scrape(metrics);
    let requests = text
        .lines()
        .filter(|line| line.starts_with("http_requests_total"));
    assert!(requests.count() <= 1, "{text}");
}

#[test]
fn an_address_that_is_taken_stops_the_start() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().to_string();
    let key = generated_key();
    let settings = [
        ANY_PORT,
        OPEN,
        ("SESSION_KEYS", &key),
        ("METRICS_ADDR", &taken),
    ];
    let err = Process::start(&[], &settings).failure();
    assert!(
        err.starts_with(&format!("error: METRICS_ADDR = {taken}: ")),
        "{err}"
    );
    assert_eq!(err.lines().count(), 1, "{err}");
}

#[test]
fn metrics_addr_is_none_by_default_and_refused_outside_its_rule() {
    assert_eq!(read(Build::Debug, &[]).unwrap().metrics_addr, None);
    for text in [
        "nowhere",
        "9000",
        ":9000",
        "localhost:9000",
        "127.0.0.1:65536",
    ] {
        let problems = read(Build::Debug, &[("METRICS_ADDR", text)]).unwrap_err();
        let rule = "an IP address and a port, such as 127.0.0.1:3000";
        let expected = format!("\n  METRICS_ADDR = {text:?}: {rule}");
        assert!(problems.ends_with(&expected), "{problems}");
    }
}
