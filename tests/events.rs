//! The log: what it says about a session, and what it never says.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::{
    cell::RefCell,
    io::{self, Write},
    sync::Once,
    time::Duration,
};

use app::{
    defaults::{COOKIE_NAME, SESSION_MAX_AGE},
    logging::{self, LogFormat},
};
use axum::{
    body::{Body, Bytes},
    http::{Method, StatusCode},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use common::{
    Answer, FORM, NO_COOKIE, TestApp, form, key, opened, payload, request, signed, value,
};
use futures_util::stream;
use tokio::time::timeout;
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    util::SubscriberInitExt,
};

thread_local! {
    static LOG: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Writes to the log of the thread that it runs on: every test has one of its own.
struct ThreadLog;

impl Write for ThreadLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.with_borrow_mut(|log| log.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Begins a new log, with every level and every span in it.
fn start_log() {
    static START: Once = Once::new();
    START.call_once(|| {
        let all = Targets::new().with_default(LevelFilter::TRACE);
        logging::subscriber(LogFormat::Text, all, false, || ThreadLog).init();
    });
    take_log();
}

fn take_log() -> String {
    String::from_utf8(LOG.take()).unwrap()
}

/// Asserts that the log since the last look holds the events, in this order, and each under the
/// id of the request that was answered.
#[track_caller]
fn logged(answer: &Answer, events: &[&str]) -> String {
    let log = take_log();
    let id = format!("id=\"{}\"", answer.header("x-request-id").unwrap());
    let lines: Vec<_> = log
        .lines()
        .filter(|line| line.contains(": event="))
        .collect();
    let (answered, others) = lines.split_last().expect("a line about the answer");
    assert_eq!(others.len(), events.len(), "{log}");
    for (line, event) in others.iter().zip(events) {
        let event = format!(": event={event}");
        assert!(
            line.contains(&id) && line.contains(&event),
            "{event} in {line}"
        );
    }
    let status = format!(": event=\"answered\" status={}", answer.status.as_u16());
    assert!(
        answered.contains(&id) && answered.contains(&status),
        "{answered}"
    );
    log
}

#[tokio::test]
async fn logins_logouts_and_refusals_are_logged_under_their_request() {
    start_log();
    let app = TestApp::new();
    let alice = [("user_id", "alice")];

    let login = app.post_form("/login", NO_COOKIE, &alice).await;
    logged(&login, &[r#""login" user_id="alice""#]);
    let again = app.post_form("/login", &login.cookie(), &alice).await;
    logged(
        &again,
        &[
            r#""session_replaced" user_id="alice""#,
            r#""login" user_id="alice""#,
        ],
    );
    let cookie = again.cookie();
    logged(&app.get("/me", &cookie).await, &[]);
    logged(&app.logout(&cookie).await, &[r#""logout" user_id="alice""#]);
    let replay = app.get("/me", &cookie).await;
    logged(&replay, &[r#""session_replayed_after_logout""#]);
    logged(&app.logout(NO_COOKIE).await, &[]);

    let refused = app
        .post_form("/login", NO_COOKIE, &[("user_id", "hunter2\n")])
        .await;
    let log = logged(
        &refused,
        &[r#""login_refused" address=0.0.0.0 reason=The user ID must not hold"#],
    );
    assert!(!log.contains("hunter2"), "{log}");

    let live = [app.login("alice").await, app.login("bob").await];
    take_log();
    let ambiguous = app.get("/me", &live.join("; ")).await;
    logged(&ambiguous, &[r#""session_ambiguous""#]);

    let crowd = [format!("{COOKIE_NAME}=x"), format!("{COOKIE_NAME}=y")].join("; ");
    logged(&app.get("/me", &crowd).await, &[r#""session_forged""#]);

    let ours = key(b'a');
    let mut future = payload("alice");
    future.issued = future.ends;
    for (cookie, event) in [
        (format!("{COOKIE_NAME}=alice"), r#""session_forged""#),
        (signed(&key(b'b'), payload("alice")), r#""session_forged""#),
        (signed(&ours, "alice"), r#""session_foreign_purpose""#),
        (signed(&ours, future), r#""session_from_the_future""#),
    ] {
        logged(&app.get("/me", &cookie).await, &[event]);
    }

    let foreign = request(Method::POST, "/login", NO_COOKIE).header("sec-fetch-site", "cross-site");
    let foreign = app.send(foreign, "user_id=alice").await;
    assert_eq!(foreign.status, StatusCode::FORBIDDEN);
    logged(&foreign, &[r#""cross_origin_refused""#]);

    app.at(SESSION_MAX_AGE);
    logged(&app.get("/me", &live[0]).await, &[r#""session_expired""#]);
}

#[tokio::test]
async fn no_cookie_session_id_key_form_or_address_is_ever_logged() {
    start_log();
    let app = TestApp::new();
    let fields = [
        ("user_id", "alice"),
        ("next", "/hidden?token=hunter2"),
        ("password", "sesame"),
    ];
    let cookie = app.post_form("/login", NO_COOKIE, &fields).await.cookie();
    let forged = format!("{COOKIE_NAME}=forged-value");
    for cookie in [&*cookie, &*forged, "other=stranger"] {
        for path in [
            "/",
            "/me?token=hunter2",
            "/?next=/hidden",
            "/@nothing?token=hunter2",
        ] {
            app.get(path, cookie).await;
        }
    }
    app.post_form("/login", NO_COOKIE, &[("user", "opensesame")])
        .await;
    app.logout(&cookie).await;
    app.get("/me", &cookie).await;
    app.at(SESSION_MAX_AGE);
    app.get("/me", &cookie).await;

    let log = take_log();
    assert!(log.contains(r#"event="login""#) && log.contains(r#"event="session_expired""#));
    let id = opened(&cookie).id.0;
    for secret in [
        value(&cookie),
        &value(&cookie)[..20],
        &BASE64_URL_SAFE_NO_PAD.encode(id),
        format!("{id:?}").trim_matches(['[', ']']),
        &key(b'a'),
        &key(b'a')[..20],
        &form(&fields),
        "user_id=alice&",
        "hidden",
        "hunter2",
        "sesame",
        "forged-value",
        "stranger",
    ] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
}

#[tokio::test]
async fn nobody_can_write_a_log_line_or_a_request_id_of_their_own() {
    start_log();
    let app = TestApp::new();
    let hostile = "alice\u{2028}\"} event=\"logout\" \u{202e}";
    let request = request(Method::POST, "/login", NO_COOKIE)
        .header("content-type", common::FORM)
        .header("x-request-id", "claimed");
    let answer = app.send(request, form(&[("user_id", hostile)])).await;
    let log = logged(
        &answer,
        &[r#""login" user_id="alice\u{2028}\"} event=\"logout\" \u{202e}""#],
    );
    assert!(!log.contains("claimed"), "{log}");
}

#[tokio::test]
async fn a_client_that_does_not_wait_for_its_answer_leaves_a_line() {
    start_log();
    let app = TestApp::new();
    let request = request(Method::POST, "/login", NO_COOKIE).header("content-type", FORM);
    let never = Body::from_stream(stream::pending::<io::Result<Bytes>>());
    let answer = timeout(Duration::from_millis(20), app.send(request, never)).await;
    assert!(answer.is_err());
    let log = take_log();
    let line = log
        .lines()
        .find(|line| line.contains("event=\"abandoned\""));
    assert!(
        line.is_some_and(|line| line.ends_with("method=POST route=\"/login\"")),
        "{log}"
    );
}

#[tokio::test]
async fn healthz_leaves_no_line() {
    start_log();
    let app = TestApp::new();
    app.get("/healthz", NO_COOKIE)
        .await
        .is(StatusCode::OK, "ok");
    app.get("/healthz?a=b", "theme=dark")
        .await
        .is(StatusCode::OK, "ok");
    let log = take_log();
    let lines = log
        .lines()
        .filter(|line| !line.contains(" TRACE tower_http::"));
    assert_eq!(lines.count(), 0, "{log}");
    logged(&app.get("/", NO_COOKIE).await, &[]);
}
