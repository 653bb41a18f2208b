//! Requests that would change something and come from another origin.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use app::{
    config::Build,
    defaults::{LOGIN_REDIRECT, LOGOUT_REDIRECT},
};
use axum::http::{Method, StatusCode, header};
use common::{Answer, FORM, NO_COOKIE, TestApp, request};

const HOST: (&str, &str) = ("host", "app.example");
const WORDS: &str = "This request came from another site and was refused.";

async fn post(app: &TestApp, path: &str, cookie: &str, headers: &[(&str, &str)]) -> Answer {
    let request = request(Method::POST, path, cookie).header(header::CONTENT_TYPE, FORM);
    let request = headers.iter().fold(request, |request, (name, value)| {
        request.header(*name, *value)
    });
    app.send(request, "user_id=mallory").await
}

#[tokio::test]
async fn a_request_from_another_origin_is_refused_with_403_before_any_handler_runs() {
    let app = TestApp::new();
    let cookie = app.login("alice").await;
    for headers in [
        &[("sec-fetch-site", "cross-site")][..],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "Same-Origin")],
        &[
            ("sec-fetch-site", "cross-site"),
            ("origin", "https://app.example"),
        ],
        &[("origin", "https://evil.example")],
        &[("origin", "https://app.example.evil.example")],
        &[("origin", "https://app.example:8443")],
        &[("origin", "https://evil.example/app.example")],
        &[("origin", "null")],
        &[("origin", "app.example")],
        &[("sec-fetch-site", ""), ("origin", "https://evil.example")],
    ] {
        let headers = [headers, &[HOST]].concat();
        for path in ["/login", "/logout", "/me", "/@nothing"] {
            let answer = post(&app, path, &cookie, &headers).await;
            answer.is(StatusCode::FORBIDDEN, WORDS);
            assert_eq!(answer.header("location"), None);
        }
        app.opens(&cookie, "alice").await;
    }
}

#[tokio::test]
async fn a_request_from_the_same_origin_or_from_no_browser_is_answered() {
    let app = TestApp::new();
    for headers in [
        &[][..],
        &[("sec-fetch-site", "same-origin")],
        &[("sec-fetch-site", "none")],
        &[
            ("sec-fetch-site", "same-origin"),
            ("origin", "https://other.example"),
        ],
        &[("origin", "https://app.example")],
        &[("origin", "http://app.example")],
    ] {
        let headers = [headers, &[HOST]].concat();
        let answer = post(&app, "/login", NO_COOKIE, &headers).await;
        answer.redirects_to(LOGIN_REDIRECT);
        let cookie = answer.cookie();
        let answer = post(&app, "/logout", &cookie, &headers).await;
        answer.redirects_to(LOGOUT_REDIRECT);
        app.refuses(&cookie).await;
    }
}

#[tokio::test]
async fn a_trusted_origin_may_post_here_and_its_neighbours_may_not() {
    let origins = "https://one.example, http://two.example:8080";
    let app = TestApp::with(Build::Debug, &[("TRUSTED_ORIGINS", origins)]);
    for (origin, trusted) in [
        ("https://one.example", true),
        ("http://two.example:8080", true),
        ("http://one.example", false),
        ("http://two.example", false),
        ("https://sub.one.example", false),
        ("https://ONE.example", false),
    ] {
        for site in ["", "cross-site"] {
            let headers = [HOST, ("origin", origin), ("sec-fetch-site", site)];
            let answer = post(&app, "/login", NO_COOKIE, &headers).await;
            if trusted {
                answer.redirects_to(LOGIN_REDIRECT);
            } else {
                answer.is(StatusCode::FORBIDDEN, WORDS);
            }
        }
    }
}

#[tokio::test]
async fn a_link_from_another_site_is_answered() {
    let app = TestApp::new();
    let request = request(Method::GET, "/", NO_COOKIE)
        .header("sec-fetch-site", "cross-site")
        .header("origin", "https://evil.example");
    app.send(request, "").await.is_page();
}
