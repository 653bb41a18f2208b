//! `GET /me`: who is asking.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use app::{defaults::SESSION_MAX_AGE, session::clock::Timestamp};
use axum::http::{Method, StatusCode, header};
use common::{NO_COOKIE, START, TestApp, request};

#[tokio::test]
async fn me_answers_a_live_session_in_plain_text() {
    let app = TestApp::new();
    let cookie = app.login("alice").await;
    let answer = app.get("/me", &cookie).await;
    answer.is(StatusCode::OK, "");
    assert_eq!(answer.body, "Logged in as alice");
    answer.has("content-type", "text/plain; charset=utf-8");
}

#[tokio::test]
async fn me_answers_in_json_where_that_is_asked_for() {
    let app = TestApp::new();
    let ends = (START + SESSION_MAX_AGE).to_rfc3339().unwrap();
    for (user_id, in_json) in [("alice", "alice"), ("\"\\</é", r#"\"\\</é"#)] {
        let cookie = app.login(user_id).await;
        let request =
            request(Method::GET, "/me", &cookie).header(header::ACCEPT, "application/json");
        let answer = app.send(request, "").await;
        answer.is(StatusCode::OK, "");
        assert_eq!(
            answer.body,
            [
                "{",
                &format!(r#""user_id":"{in_json}","expires_at":"{ends}""#),
                "}"
            ]
            .concat()
        );
        answer.has("content-type", "application/json");
    }
}

#[tokio::test]
async fn only_a_wish_for_json_gets_json() {
    let app = TestApp::new();
    let cookie = app.login("alice").await;
    for (accept, json) in [
        ("application/json", true),
        ("text/html, application/json;q=0.9", true),
        ("text/plain;q=0.5, application/json;q=0.9", true),
        ("application/json, text/plain, */*", true),
        ("*/*", false),
        ("application/*", false),
        ("text/html,application/xhtml+xml,*/*;q=0.8", false),
        ("text/plain, application/json;q=0.9", false),
        ("application/json;q=0", false),
    ] {
        let request = request(Method::GET, "/me", &cookie).header(header::ACCEPT, accept);
        let answer = app.send(request, "").await;
        answer.is(StatusCode::OK, "alice");
        assert_eq!(answer.body.starts_with('{'), json, "{accept}");
    }
}

#[tokio::test]
async fn me_without_a_session_answers_401_and_never_a_redirect() {
    let app = TestApp::new();
    for accept in ["*/*", "text/html", "application/json"] {
        for cookie in [NO_COOKIE, "theme=dark"] {
            let request = request(Method::GET, "/me", cookie).header(header::ACCEPT, accept);
            app.send(request, "").await.is_unauthorized();
        }
    }
}

#[tokio::test]
async fn me_can_only_be_read() {
    let app = TestApp::new();
    let cookie = app.login("alice").await;
    let answer = app.send(request(Method::HEAD, "/me", &cookie), "").await;
    answer.is(StatusCode::OK, "");
    assert_eq!(answer.body, "");
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        let answer = app.send(request(method, "/me", &cookie), "").await;
        answer.is(
            StatusCode::METHOD_NOT_ALLOWED,
            "This address does not answer this method.",
        );
        answer.has("allow", "GET,HEAD");
    }
}

#[test]
fn times_are_written_in_rfc_3339() {
    let written = |time: Timestamp| time.to_rfc3339();
    assert_eq!(written(START).as_deref(), Some("2026-11-24T00:00:00Z"));
    assert_eq!(
        written(Timestamp(253_402_300_799_999)).as_deref(),
        Some("9999-12-31T23:59:59Z")
    );
    assert_eq!(written(Timestamp(253_402_300_800_000)), None);
    assert_eq!(written(Timestamp(u64::MAX)), None);
}
