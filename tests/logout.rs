//! `POST /logout`: the end of a session, here and in the browser.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use app::defaults::{COOKIE_NAME, LOGOUT_REDIRECT, SESSION_MAX_AGE};
use axum::http::{Method, StatusCode, header};
use axum_extra::extract::cookie::Cookie;
use common::{Answer, LOGGED_OUT, NO_COOKIE, TestApp, attributes, key, payload, request, signed};
use time::OffsetDateTime;

#[track_caller]
fn removes_the_cookie(answer: &Answer) {
    answer.redirects_to(LOGOUT_REDIRECT);
    // Before the removal comes what keeps the back button from showing a page.
    let set: Vec<_> = answer.headers.get_all("set-cookie").iter().collect();
    assert_eq!(set.len(), 2, "{set:?}");
    assert_eq!(set[0], LOGGED_OUT);
    assert_eq!(answer.cookie(), format!("{COOKIE_NAME}="));
    let (expires, others): (Vec<_>, Vec<_>) = answer
        .attributes()
        .into_iter()
        .partition(|attribute| attribute.starts_with("Expires="));
    assert_eq!(others, attributes(std::time::Duration::ZERO));
    assert_eq!(expires.len(), 1);
    let cookie = Cookie::parse(answer.session_cookie().unwrap()).unwrap();
    assert!(cookie.expires_datetime().unwrap() < OffsetDateTime::now_utc());
}

#[tokio::test]
async fn logout_answers_303_to_the_logout_redirect_and_ends_the_session_on_the_server() {
    let app = TestApp::new();
    let cookie = app.login("alice").await;
    let other = app.login("alice").await;
    removes_the_cookie(&app.logout(&cookie).await);
    app.refuses(&cookie).await;
    app.opens(&other, "alice").await;
}

#[tokio::test]
async fn logout_sends_the_removal_also_when_the_cookie_is_stale_forged_or_absent() {
    let app = TestApp::new();
    let ended = app.login("alice").await;
    app.logout(&ended).await;
    for cookie in [
        NO_COOKIE,
        "theme=dark",
        &ended,
        &format!("{COOKIE_NAME}=alice"),
        &format!("{COOKIE_NAME}="),
        &signed(&key(b'b'), payload("alice")),
        &signed(&key(b'a'), "alice"),
    ] {
        removes_the_cookie(&app.logout(cookie).await);
    }
    let expired = app.login("alice").await;
    app.at(SESSION_MAX_AGE);
    removes_the_cookie(&app.logout(&expired).await);
}

#[tokio::test]
async fn logout_ends_every_session_that_comes_with_the_request() {
    let app = TestApp::new();
    let cookies = [app.login("alice").await, app.login("bob").await];
    removes_the_cookie(&app.logout(&cookies.join("; ")).await);
    for cookie in cookies {
        app.refuses(&cookie).await;
    }
}

#[tokio::test]
async fn logout_asks_nothing_of_the_body() {
    let app = TestApp::new();
    let cookie = app.login("alice").await;
    let request =
        request(Method::POST, "/logout", &cookie).header(header::CONTENT_TYPE, "application/json");
    removes_the_cookie(&app.send(request, "{").await);
    app.refuses(&cookie).await;
}

#[tokio::test]
async fn a_link_cannot_log_out() {
    let app = TestApp::new();
    let cookie = app.login("alice").await;
    for method in [Method::GET, Method::HEAD, Method::PUT, Method::DELETE] {
        let answer = app.send(request(method, "/logout", &cookie), "").await;
        answer.is(StatusCode::METHOD_NOT_ALLOWED, "");
        answer.has("allow", "POST");
    }
    app.opens(&cookie, "alice").await;
}
