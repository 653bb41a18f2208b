//! The pages: who sees what, where a login leads, and that nothing typed becomes HTML.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use app::next::safe_next;
use axum::http::{Request, Version};
use common::*;

const LOGIN_FORM: &str = r#"<form method="post" action="/login">"#;
const LOGOUT_FORM: &str = r#"<form method="post" action="/logout">"#;
const HIDDEN: &str = r#"name="next" value=""#;

#[track_caller]
fn is_login_page(answer: &Answer) {
    answer.is_page();
    answer.is(StatusCode::OK, LOGIN_FORM);
    assert!(answer.body.contains(r#"name="user_id""#));
    assert!(!answer.body.contains(LOGOUT_FORM));
}

/// The page at this path says so, whichever of the app's pages it is.
async fn shows_who_is_logged_in(app: &TestApp, path: &str, cookie: &str, user_id: &str) {
    let answer = app.get(path, cookie).await;
    if path == "/login" {
        return answer.redirects_to(LOGIN_REDIRECT);
    }
    if path.split('?').next() == Some("/me") {
        return answer.has("content-type", "text/plain; charset=utf-8");
    }
    answer.is_page();
    answer.is(StatusCode::OK, LOGOUT_FORM);
    answer.is(StatusCode::OK, r#"formaction="/logout/everywhere""#);
    answer.is(StatusCode::OK, &format!("Logged in as <strong>{user_id}<"));
    assert!(!answer.body.contains(LOGIN_FORM));
    assert!(!answer.body.contains("<script"));
}

/// The values of an attribute in a page, as it has them.
fn values<'a>(page: &'a str, attribute: &str) -> Vec<&'a str> {
    let after = page.split(attribute).skip(1);
    after.map(|text| text.split('"').next().unwrap()).collect()
}

#[tokio::test]
async fn the_pages_at_the_start_and_at_both_redirects_are_there_with_and_without_a_session() {
    let app = TestApp::new();
    let hostile = r#"<script>alert("&")</script>"#;
    let escaped = "&lt;script&gt;alert(&quot;&amp;&quot;)&lt;/script&gt;";
    for path in ["/", LOGIN_REDIRECT, LOGOUT_REDIRECT] {
        for (user_id, shown) in [("alice", "alice"), (hostile, escaped)] {
            let cookie = app.login_as(user_id).await;
            shows_who_is_logged_in(&app, path, &cookie, shown).await;
            app.opens(&cookie, user_id).await;
        }
        let answer = app.get(path, NO_COOKIE).await;
        match path {
            "/me" => answer.is_unauthorized(),
            path if dashboard() == Some(path) => assert_eq!(answer.status, StatusCode::SEE_OTHER),
            _ => is_login_page(&answer),
        }
    }
}

#[tokio::test]
async fn the_dashboard_without_a_session_leads_to_the_login_page_and_back() {
    let app = TestApp::new();
    let wanted = format!("{LOGIN_REDIRECT}?tab=1&q=%22%3E%3Cscript%3E+a%2526;b=%c3%a9");
    let mut login = format!("/login?{}", form(&[("next", &wanted)]));
    if dashboard().is_some() {
        let answer = app.get(&wanted, NO_COOKIE).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER);
        login = answer.header("location").unwrap().to_owned();
        assert!(login.starts_with("/login?next="), "{login}");
    }
    let page = app.get(&login, NO_COOKIE).await;
    is_login_page(&page);
    let kept = values(&page.body, HIDDEN)[0].replace("&amp;", "&");
    assert_eq!(kept, wanted);
    let fields = [("user_id", "alice"), ("next", &kept)];
    let answer = app.post_form("/login", NO_COOKIE, &fields).await;
    answer.redirects_to(&wanted);
    shows_who_is_logged_in(&app, &wanted, &answer.cookie(), "alice").await;
}

#[tokio::test]
async fn next_is_honoured_only_as_a_path_on_this_site_that_logs_neither_in_nor_out_and_is_no_html()
{
    let app = TestApp::new();
    let longest = format!("/{}", "a".repeat(2047));
    let honoured = "/ /me /a/b?c=d&e=%2F%2Fevil.example#f /a//b /%5Cevil.example /@evil.example \
                    /?next=//evil.example /:80 /Login /loginn /a/login /a?b=../login /... /.a/..b \
                    /\"><script>alert(1)</script>";
    let ignored = "me|?a|//evil.example|//origin.invalid/|///evil.example|/\\evil.example|\\/evil\
                   |/a\\b|/\t/evil.example|/\n/evil.example|/\r\nSet-Cookie: a=b|/ a| /a|/\0|/\u{7f}\
                   |/é|/\u{2215}evil.example|https://evil.example/|https:evil.example|%2Fme\
                   |javascript:alert(1)|/login|/logout|/logout/everywhere|/login?next=/me|/logout#a\
                   |/.|/..|/a/../login|/a/..|/./logout|/%2e/login|/a/%2E%2e/login|/a/.%2E/logout|";
    let too_long = format!("{longest}a");
    let honoured = honoured.split(' ').chain([&*longest]);
    let ignored = ignored.split('|').chain([&*too_long]);
    let all = honoured.map(|next| (next, true));
    for (next, is_honoured) in all.chain(ignored.map(|next| (next, false))) {
        assert_eq!(safe_next(next), is_honoured.then_some(next), "{next:?}");
        let fields = [("user_id", "alice"), ("next", next)];
        let answer = app.post_form("/login", NO_COOKIE, &fields).await;
        answer.redirects_to(if is_honoured { next } else { LOGIN_REDIRECT });
        let path = format!("/login?{}", form(&fields[1..]));
        let page = app.get(&path, NO_COOKIE).await;
        assert_eq!(page.body.contains(HIDDEN), is_honoured, "{next:?}");
        assert!(!page.body.contains("<script"), "{next:?}");
        if next.contains('"') {
            let escaped = "/&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;";
            assert_eq!(values(&page.body, HIDDEN), [escaped]);
        }
    }
    for query in ["next=/a&next=/b", "nxt=/a", "", "%", "next=%ff", "next"] {
        let page = app.get(&format!("/login?{query}"), NO_COOKIE).await;
        is_login_page(&page);
        assert!(!page.body.contains(HIDDEN), "{query}");
    }
}

#[tokio::test]
async fn an_unknown_address_is_answered_404_with_a_page_where_accept_names_text_html() {
    let app = TestApp::new();
    for (path, accept, page) in [
        ("/@nothing", "TEXT/HTML;level=1", true),
        ("/me/", "text/plain, text/html; q=0.1", true),
        ("//", "text/*", false),
        ("/login/%2e%2e/me", "*/*", false),
        ("/@nothing", "application/xhtml+xml", false),
    ] {
        let answer = app.get_as(accept, path, NO_COOKIE).await;
        answer.is(StatusCode::NOT_FOUND, "There is no such page.");
        assert_eq!(answer.body.starts_with("<!DOCTYPE html>"), page);
    }
}

#[tokio::test]
async fn every_link_of_every_page_leads_somewhere_and_nothing_is_inline() {
    let app = TestApp::new();
    let cookie = app.login_as("alice").await;
    let pages = [
        app.get("/login", NO_COOKIE).await,
        app.get("/", &cookie).await,
        app.get(dashboard().unwrap_or("/"), &cookie).await,
        app.get_as("text/html", "/@nothing", NO_COOKIE).await,
    ];
    for Answer { body, .. } in pages {
        for href in values(&body, r#"href=""#) {
            let answer = app.get(href, &cookie).await;
            answer.is(StatusCode::OK, "");
            match href {
                "/@style.css" => answer.has("content-type", "text/css; charset=utf-8"),
                "/@icon.svg" => answer.has("content-type", "image/svg+xml"),
                _ => shows_who_is_logged_in(&app, href, &cookie, "alice").await,
            }
        }
        assert!(body.starts_with("<!DOCTYPE html>"));
        for inline in "<script|<style|style=\"| onclick| onload|javascript:".split('|') {
            assert!(!body.contains(inline), "{inline} in {body}");
        }
    }
}

#[tokio::test]
async fn a_request_of_http_1_1_with_no_host_or_with_several_is_answered_400() {
    let app = TestApp::new();
    let healthz = |version| Request::builder().uri("/healthz").version(version);
    let twice = |version| healthz(version).header("host", "a").header("host", "a");
    let (newer, older) = (Version::HTTP_11, Version::HTTP_10);
    for refused in [healthz(newer), twice(newer), twice(older)] {
        let answer = app.send(refused, "").await;
        answer.is(StatusCode::BAD_REQUEST, "The request must name one host.");
    }
    let answered = app.send(healthz(older), "").await;
    answered.is(StatusCode::OK, "ok");
}
