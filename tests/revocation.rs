//! Ended sessions stay ended: after a restart, a crash, and while the disk is full.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::{
    collections::HashSet,
    fs,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use app::{
    defaults::{LOGIN_REDIRECT, LOGOUT_REDIRECT, SESSION_MAX_AGE},
    session::{
        clock::Clock,
        payload::{Payload, SessionId},
        revocation::{Revocations, StoreConfig},
    },
};
use axum::http::{Method, StatusCode};
use common::{
    NO_COOKIE, START, TestApp, payload,
    process::{ANY_PORT, OPEN, Process, generated_key, get, login, post, working_folder},
    request,
};

#[tokio::test]
async fn a_logout_outlives_a_restart() {
    let file = working_folder().join("ended.redb");
    let app = TestApp::with_store(&file);
    let (ended, live) = (app.login("alice").await, app.login("alice").await);
    app.logout(&ended).await;
    let everywhere = app.login("bob").await;
    app.logout_everywhere(&everywhere).await;
    drop(app);
    let app = TestApp::with_store(&file);
    app.refuses(&ended).await;
    app.refuses(&everywhere).await;
    app.opens(&live, "alice").await;
}

#[tokio::test]
async fn logout_everywhere_ends_all_sessions_of_the_user_issued_before_now() {
    let app = TestApp::new();
    let first = app.login("alice").await;
    app.at(SESSION_MAX_AGE / 4);
    let (second, bob) = (app.login("alice").await, app.login("bob").await);
    let answer = app.logout_everywhere(&first).await;
    answer.redirects_to(LOGOUT_REDIRECT);
    assert_eq!(answer.cookie(), format!("{}=", app::defaults::COOKIE_NAME));
    app.refuses(&first).await;
    app.refuses(&second).await;
    app.opens(&bob, "bob").await;

    // In the very same millisecond, and without what came before.
    let third = app.login("alice").await;
    app.opens(&third, "alice").await;
    app.logout_everywhere(&first)
        .await
        .redirects_to(LOGOUT_REDIRECT);
    app.opens(&third, "alice").await;
}

#[tokio::test]
async fn logout_everywhere_without_a_live_session_removes_the_cookie_and_ends_nothing() {
    let app = TestApp::new();
    let alice = app.login("alice").await;
    for cookie in [NO_COOKIE, &format!("{alice}x")] {
        let answer = app.logout_everywhere(cookie).await;
        answer.redirects_to(LOGOUT_REDIRECT);
        assert_eq!(answer.cookie(), format!("{}=", app::defaults::COOKIE_NAME));
    }
    app.opens(&alice, "alice").await;
    let link = request(Method::GET, "/logout/everywhere", &alice);
    let link = app.send(link, "").await;
    // A redirect may have been chosen to lead there.
    if ![LOGIN_REDIRECT, LOGOUT_REDIRECT].contains(&"/logout/everywhere") {
        link.is(StatusCode::METHOD_NOT_ALLOWED, "");
        link.has("allow", "POST");
    }
    app.opens(&alice, "alice").await;
}

/// A session of its own for each number.
fn session(number: u64, issued: Duration) -> Payload {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&number.to_le_bytes());
    Payload {
        id: SessionId(id),
        issued: START + issued,
        ends: START + issued + SESSION_MAX_AGE,
        ..payload("alice")
    }
}

#[tokio::test]
async fn what_has_ended_by_itself_is_forgotten_and_the_file_does_not_grow_for_ever() {
    let file = working_folder().join("ended.redb");
    let mut sizes = Vec::new();
    for round in 0..3_u32 {
        // Every round comes when the sessions of the last one have ended by themselves.
        let now = SESSION_MAX_AGE * round;
        let clock = Clock::new(move || START + now);
        let store = Revocations::open(StoreConfig::File(file.clone()), clock).unwrap();
        let sessions: Vec<_> = (0..200)
            .map(|number| session(u64::from(round) << 32 | number, now))
            .collect();
        let mut ends = tokio::task::JoinSet::new();
        let store = std::sync::Arc::new(store);
        for session in sessions.clone() {
            let store = std::sync::Arc::clone(&store);
            ends.spawn(async move { store.end(&session).await.unwrap() });
        }
        ends.join_all().await;
        for session in &sessions {
            assert!(store.is_ended(session).await.unwrap());
        }
        drop(store);
        sizes.push(fs::metadata(&file).unwrap().len());
    }
    // What a round left behind would make the next one's file larger by as much as its own.
    assert!(
        sizes.iter().all(|size| *size < sizes[0] * 3 / 2),
        "{sizes:?}"
    );

    let late = Clock::new(|| START + SESSION_MAX_AGE * 3);
    let store = Revocations::open(StoreConfig::File(file.clone()), late).unwrap();
    let last = session(2 << 32, SESSION_MAX_AGE * 2);
    assert!(!store.is_ended(&last).await.unwrap());
}

#[test]
fn a_file_that_cannot_be_the_store_stops_the_start() {
    let folder = working_folder();
    let key = generated_key();
    let settings = [ANY_PORT, OPEN, ("SESSION_KEYS", &key)];
    let running = Process::start_in(&folder, &[], &settings);
    running.address();
    let second = Process::start_in(&folder, &[], &settings);
    let said = second.failure();
    assert!(
        said.contains("error: REVOCATION_FILE = revocations.redb: another process has it open"),
        "{said}"
    );
    drop(running);

    fs::write(folder.join("other"), "something else").unwrap();
    let other = [&settings[..], &[("REVOCATION_FILE", "other")]].concat();
    let said = Process::start_in(&folder, &[], &other).failure();
    assert!(said.contains("error: REVOCATION_FILE = other: "), "{said}");
    assert_eq!(fs::read(folder.join("other")).unwrap(), b"something else");
}

/// Starts the app on the default file of `folder`.
fn start(folder: &Path, key: &str) -> (Process, std::net::SocketAddr) {
    let settings = [ANY_PORT, OPEN, ("SESSION_KEYS", key), ("RUST_LOG", "info")];
    let process = Process::start_in(folder, &[], &settings);
    let address = process.address();
    (process, address)
}

#[test]
fn no_logout_that_was_answered_is_forgotten_when_the_process_is_killed() {
    const SESSIONS: usize = 1_000;
    let (folder, key) = (working_folder(), generated_key());
    let (mut process, mut address) = start(&folder, &key);
    let cookies: Vec<String> = (0..SESSIONS).map(|_| login(address, "alice")).collect();
    let next = AtomicUsize::new(0);
    let answered = Mutex::new(HashSet::new());
    // Killed once in each quarter of the work, while eight clients log out.
    for quarter in 1..=4 {
        let until = quarter * SESSIONS / 4;
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    while let Some(cookie) = cookies.get(next.fetch_add(1, Ordering::Relaxed)) {
                        match post(address, "/logout", cookie, "") {
                            Ok(answer) if answer.status == 303 => {
                                answered.lock().unwrap().insert(cookie);
                            }
                            Ok(answer) => panic!("{}: {}", answer.status, answer.body),
                            // Killed before it could answer: nobody was promised anything.
                            Err(_) => break,
                        }
                    }
                });
            }
            while next.load(Ordering::Relaxed) < until - SESSIONS / 8 {
                thread::yield_now();
            }
            process.kill();
        });
        (process, address) = start(&folder, &key);
    }
    let answered = answered.into_inner().unwrap();
    assert!(
        answered.len() > SESSIONS / 4,
        "{} of {SESSIONS}",
        answered.len()
    );
    for cookie in &answered {
        assert_eq!(get(address, "/me", cookie).unwrap().status, 401);
    }
    // Who did not ask to log out is still there.
    let live = cookies.iter().skip(next.load(Ordering::Relaxed));
    for cookie in live {
        assert_eq!(get(address, "/me", cookie).unwrap().status, 200);
    }
}

/// Sets how large a file the process may write, as a full disk does.
#[cfg(target_os = "linux")]
fn limit_files(process: &Process, bytes: &str) {
    let limited = std::process::Command::new("prlimit")
        .arg(format!("--pid={}", process.id()))
        .arg(format!("--fsize={bytes}:unlimited"))
        .status();
    assert!(limited.unwrap().success());
}

#[cfg(target_os = "linux")]
#[test]
fn on_a_full_disk_a_logout_is_answered_503_and_the_app_recovers_by_itself() {
    let (folder, key) = (working_folder(), generated_key());
    let settings = [ANY_PORT, OPEN, ("SESSION_KEYS", &*key)];
    // Without this the first write too many would end the process, which a full disk does not.
    let ignore = "trap '' XFSZ; exec \"$0\"";
    let process = Process::start_program(
        "sh",
        &folder,
        &["-c", ignore, common::process::PROGRAM],
        &settings,
    );
    let address = process.address();
    let (before, during, other) = (
        login(address, "alice"),
        login(address, "alice"),
        login(address, "bob"),
    );
    assert_eq!(post(address, "/logout", &before, "").unwrap().status, 303);
    assert_eq!(get(address, "/@readyz", "").unwrap().status, 200);

    limit_files(&process, "0");
    for path in ["/logout", "/logout/everywhere"] {
        let answer = post(address, path, &during, "").unwrap();
        assert_eq!(answer.status, 503, "{}", answer.body);
        assert_eq!(answer.header("retry-after"), Some("5"));
        // The cookie stays, so that the visitor can try again.
        assert_eq!(answer.header("set-cookie"), None);
    }
    let replaced = post(address, "/login", &during, "user_id=alice").unwrap();
    assert_eq!(
        (replaced.status, replaced.header("set-cookie")),
        (503, None)
    );
    assert_eq!(get(address, "/@readyz", "").unwrap().status, 503);
    assert_eq!(get(address, "/healthz", "").unwrap().status, 200);
    assert_eq!(get(address, "/me", &before).unwrap().status, 401);
    assert_eq!(get(address, "/me", &during).unwrap().status, 200);
    assert_eq!(post(address, "/logout", "", "").unwrap().status, 303);

    limit_files(&process, "unlimited");
    assert_eq!(get(address, "/@readyz", "").unwrap().status, 200);
    assert_eq!(post(address, "/logout", &during, "").unwrap().status, 303);
    drop(process);
    let (_process, address) = start(&folder, &key);
    assert_eq!(get(address, "/me", &before).unwrap().status, 401);
    assert_eq!(get(address, "/me", &during).unwrap().status, 401);
    assert_eq!(get(address, "/me", &other).unwrap().status, 200);
}
