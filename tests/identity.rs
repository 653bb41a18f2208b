//! `GET /me`: who is asking.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::*;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

#[tokio::test]
async fn me_answers_in_plain_text_or_in_json_where_accept_names_it() {
    let app = TestApp::new();
    let ends = OffsetDateTime::from_unix_timestamp(START + LIFETIME).unwrap();
    let ends = ends.format(&Rfc3339).unwrap();
    let user_id = "\"\\</é";
    let cookie = app.login_as(user_id).await;
    for (accept, wants_json) in [
        ("application/json", true),
        ("text/html, application/json;q=0.9", true),
        ("text/plain;q=0.5, application/json;q=0.9", true),
        ("application/json, text/plain, */*", true),
        ("*/*", false),
        ("application/*", false),
        ("text/html,application/xhtml+xml,*/*;q=0.8", false),
    ] {
        let answer = app.get_as(accept, "/me", &cookie).await;
        answer.is(StatusCode::OK, "");
        if wants_json {
            answer.has("content-type", "application/json");
            let body: Value = serde_json::from_str(&answer.body).unwrap();
            assert_eq!(body, json!({"user_id": user_id, "expires_at": ends}));
        } else {
            answer.has("content-type", "text/plain; charset=utf-8");
            assert_eq!(answer.body, format!("Logged in as {user_id}"));
        }
    }
}

#[tokio::test]
async fn me_without_a_session_answers_401_and_never_a_redirect() {
    let app = TestApp::new();
    for cookie in [NO_COOKIE, "_theme=dark"] {
        for accept in ["*/*", "application/json"] {
            app.get_as(accept, "/me", cookie).await.is_unauthorized();
        }
        // `is_unauthorized` expects a sentence, and a browser gets it on a page.
        let page = app.get_as("text/html", "/me", cookie).await;
        page.is(StatusCode::UNAUTHORIZED, "<p>You are not logged in.</p>");
        page.has("content-type", "text/html; charset=utf-8");
        assert_eq!(page.header("location"), None);
    }
}
