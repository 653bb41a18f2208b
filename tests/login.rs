//! `POST /login`: who gets in, and what the answer carries.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::io;

use app::defaults::{LOGIN_REDIRECT, SESSION_MAX_AGE};
use axum::{
    body::{Body, Bytes},
    http::{Method, StatusCode, header},
};
use common::{FORM, NO_COOKIE, TestApp, attributes, form, opened, request};
use futures_util::stream;

#[tokio::test]
async fn login_answers_303_to_the_login_redirect_with_one_set_cookie() {
    let app = TestApp::new();
    let answer = app
        .post_form("/login", NO_COOKIE, &[("user_id", "alice")])
        .await;
    answer.redirects_to(LOGIN_REDIRECT);
    assert_eq!(answer.attributes(), attributes(SESSION_MAX_AGE));
    app.opens(&answer.cookie(), "alice").await;
}

#[tokio::test]
async fn the_cookie_has_the_whole_max_age_however_long_login_takes() {
    let app = TestApp::ticking();
    let fields = [("user_id", "alice")];
    let answer = app.post_form("/login", NO_COOKIE, &fields).await;
    assert_eq!(answer.attributes(), attributes(SESSION_MAX_AGE));
}

#[tokio::test]
async fn a_user_id_outside_the_rules_is_answered_422_in_words_without_a_cookie() {
    let app = TestApp::new();
    let live = app.login("alice").await;
    let blank = "The user ID must not be blank.";
    let long = "The user ID must not be longer than 256 bytes.";
    let control = "The user ID must not hold control characters.";
    for (user_id, words) in [
        ("", blank),
        (" ", blank),
        ("\u{3000}\u{a0}", blank),
        (&*"a".repeat(257), long),
        (&*format!("{}a", "é".repeat(128)), long),
        ("a\nb", control),
        ("a\0", control),
        ("\u{7f}a", control),
        ("a\u{85}b", control),
    ] {
        let answer = app
            .post_form("/login", &live, &[("user_id", user_id), ("next", "/kept")])
            .await;
        answer.is(StatusCode::UNPROCESSABLE_ENTITY, words);
        assert!(answer.body.contains(r#"action="/login""#), "{user_id:?}");
        assert!(answer.body.contains(r#"name="next" value="/kept""#));
        assert!(answer.body.contains(&format!(r#"value="{user_id}""#)));
        app.opens(&live, "alice").await;
    }
}

#[tokio::test]
async fn a_user_id_within_the_rules_is_kept_as_typed() {
    let app = TestApp::new();
    for user_id in [
        "a",
        " Ann  Lee ",
        "a;b=c, d",
        "a:b:c",
        "100% \"sure\" \\ +1",
        "<script>",
        "žluťoučký 🐎",
        &"é".repeat(128),
        &"a".repeat(256),
    ] {
        let cookie = app.login(user_id).await;
        app.opens(&cookie, user_id).await;
        assert_eq!(opened(&cookie).user_id, user_id);
    }
}

#[tokio::test]
async fn an_incomplete_form_is_answered_422_without_a_cookie() {
    let app = TestApp::new();
    let words =
        "The form is not complete: it takes one user_id, and password and next at most once.";
    for fields in [
        &[][..],
        &[("user", "alice")],
        &[("USER_ID", "alice")],
        &[("user_id", "alice"), ("user_id", "bob")],
        &[("user_id", "alice"), ("next", "/a"), ("next", "/b")],
    ] {
        let answer = app.post_form("/login", NO_COOKIE, fields).await;
        answer.is(StatusCode::UNPROCESSABLE_ENTITY, words);
    }
    let answer = app
        .post_form("/login?user_id=alice", NO_COOKIE, &[("next", "/")])
        .await;
    answer.is(StatusCode::UNPROCESSABLE_ENTITY, words);
}

#[tokio::test]
async fn a_wrong_content_type_is_answered_415_without_a_cookie() {
    let app = TestApp::new();
    let words = "This address takes a form: Content-Type application/x-www-form-urlencoded.";
    for content_type in [
        None,
        Some("text/plain"),
        Some("application/json"),
        Some("multipart/form-data; boundary=x"),
    ] {
        let mut request = request(Method::POST, "/login", NO_COOKIE);
        if let Some(content_type) = content_type {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        let answer = app.send(request, "user_id=alice").await;
        answer.is(StatusCode::UNSUPPORTED_MEDIA_TYPE, words);
    }
    let request = request(Method::POST, "/login", NO_COOKIE)
        .header(header::CONTENT_TYPE, format!("{FORM}; charset=utf-8"));
    let answer = app.send(request, "user_id=alice").await;
    answer.redirects_to(LOGIN_REDIRECT);
}

#[tokio::test]
async fn a_body_over_16_kib_is_answered_413_without_a_cookie() {
    let app = TestApp::new();
    let post = || request(Method::POST, "/login", NO_COOKIE).header(header::CONTENT_TYPE, FORM);
    let longest = format!("{:x<16384}", form(&[("user_id", "alice"), ("next", "/")]));

    let answer = app.send(post(), longest.clone()).await;
    answer.redirects_to(LOGIN_REDIRECT);
    let answer = app.send(post(), longest + "x").await;
    answer.is(StatusCode::PAYLOAD_TOO_LARGE, "The form is too large.");
}

#[tokio::test]
async fn a_link_cannot_log_in() {
    let app = TestApp::new();
    for method in [Method::GET, Method::HEAD, Method::PUT, Method::DELETE] {
        let request = request(method, "/login?user_id=alice", NO_COOKIE);
        let answer = app.send(request, "").await;
        answer.is(StatusCode::METHOD_NOT_ALLOWED, "");
        answer.has("allow", "POST");
    }
}

#[tokio::test(start_paused = true)]
async fn a_form_that_does_not_arrive_in_time_is_answered_408_without_a_cookie() {
    let app = TestApp::new();
    let request = request(Method::POST, "/login", NO_COOKIE).header(header::CONTENT_TYPE, FORM);
    let never = Body::from_stream(stream::pending::<io::Result<Bytes>>());
    let answer = app.send(request, never).await;
    let words = "The form took too long to arrive.";
    answer.is(StatusCode::REQUEST_TIMEOUT, words);
}
