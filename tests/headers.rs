//! The headers that every answer carries, whatever its status.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::{collections::HashSet, future};

use app::{config::Build, defaults::LOGIN_REDIRECT};
use axum::{
    Router,
    http::{Method, StatusCode},
    routing::get,
};
use common::{Answer, FORM, NO_COOKIE, TestApp, request};

/// Answers of every status, to requests that claim an id of their own.
async fn answers(app: &TestApp) -> Vec<(String, Answer)> {
    let cookie = app.login("alice").await;
    let live = ("cookie", cookie.as_str());
    let plain = ("accept", "*/*");
    let form = ("content-type", FORM);
    let evil = ("sec-fetch-site", "cross-site");
    let large = "x".repeat(20_000);
    let cases = [
        ("GET", "/", plain, "", 200),
        ("GET", "/", live, "", 200),
        ("GET", "/me", live, "", 200),
        ("HEAD", "/me", live, "", 200),
        ("GET", LOGIN_REDIRECT, live, "", 200),
        ("GET", "/healthz", plain, "", 200),
        ("POST", "/login", form, "user_id=bob", 303),
        ("POST", "/logout", plain, "", 303),
        ("GET", "/me", plain, "", 401),
        ("POST", "/login", evil, "user_id=bob", 403),
        ("GET", "/@nothing", plain, "", 404),
        ("GET", "/login", plain, "", 405),
        ("GET", "/logout", live, "", 405),
        ("POST", "/healthz", plain, "", 405),
        ("POST", "/login", form, &large, 413),
        ("POST", "/login", plain, "user_id=bob", 415),
        ("POST", "/login", form, "", 422),
        ("POST", "/login", form, "user_id=", 422),
    ];
    let mut answers = Vec::new();
    for (method, path, (name, value), body, status) in cases {
        let request = request(method.parse().unwrap(), path, NO_COOKIE)
            .header(name, value)
            .header("x-request-id", "mine");
        let answer = app.send(request, body.to_owned()).await;
        assert_eq!(answer.status, status, "{method} {path}");
        answers.push((format!("{method} {path} {status}"), answer));
    }
    answers
}

#[tokio::test]
async fn every_answer_carries_the_security_headers_and_is_not_stored() {
    for build in [Build::Debug, Build::Release] {
        for (what, answer) in answers(&TestApp::with(build, &[])).await {
            let policy = answer.header("content-security-policy").unwrap();
            let directives: Vec<_> = policy.split("; ").collect();
            for directive in [
                "default-src 'none'",
                "form-action 'self'",
                "frame-ancestors 'none'",
                "base-uri 'none'",
            ] {
                assert!(directives.contains(&directive), "{what}: {policy}");
            }
            for loose in ["unsafe", "*", "http", "data:"] {
                assert!(!policy.contains(loose), "{what}: {policy}");
            }
            answer.has("x-content-type-options", "nosniff");
            answer.has("referrer-policy", "same-origin");
            answer.has("cache-control", "no-store");
        }
    }
}

#[tokio::test]
async fn only_production_over_https_asks_browsers_to_stay_on_https() {
    let expected = [
        (Build::Debug, None),
        (Build::Release, Some("max-age=31536000")),
    ];
    for (build, hsts) in expected {
        for (what, answer) in answers(&TestApp::with(build, &[])).await {
            assert_eq!(answer.header("strict-transport-security"), hsts, "{what}");
        }
    }
}

#[tokio::test]
async fn every_answer_names_its_request_with_an_id_of_its_own() {
    let app = TestApp::new();
    let mut seen = HashSet::new();
    for (what, answer) in answers(&app).await {
        let id = answer.header("x-request-id").unwrap();
        assert!(!id.is_empty() && id != "mine", "{what}: {id}");
        assert!(seen.insert(id.to_owned()), "{what}: {id} again");
    }
    for name in ["", "x".repeat(8000).as_str()] {
        let request = request(Method::GET, "/", NO_COOKIE).header("x-request-id", name);
        let answer = app.send(request, "").await;
        assert!(seen.insert(answer.header("x-request-id").unwrap().to_owned()));
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_takes_too_long_is_503_with_the_same_headers() {
    let routes = Router::new().route("/slow", get(future::pending::<()>));
    let answer = TestApp::around(routes).get("/slow", NO_COOKIE).await;
    answer.is(StatusCode::SERVICE_UNAVAILABLE, "The answer took too long.");
    answer.has("cache-control", "no-store");
    assert!(answer.header("content-security-policy").is_some());
    assert!(answer.header("x-request-id").is_some());
}

#[tokio::test]
async fn the_style_sheet_and_the_icon_may_be_stored_and_carry_the_same_headers() {
    let app = TestApp::new();
    for path in ["/@style.css", "/@icon.svg"] {
        let answer = app.get(path, NO_COOKIE).await;
        answer.is(StatusCode::OK, "");
        answer.has("cache-control", "public, max-age=300");
        answer.has("x-content-type-options", "nosniff");
        assert!(answer.header("content-security-policy").is_some());
    }
}
