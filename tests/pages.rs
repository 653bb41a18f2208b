//! The pages: who sees what, where a login leads, and that nothing typed becomes HTML.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use app::{
    defaults::{LOGIN_REDIRECT, LOGOUT_REDIRECT},
    next::safe_next,
};
use axum::http::StatusCode;
use common::{Answer, NO_COOKIE, TestApp, dashboard, form};

const LOGIN_FORM: &str = r#"<form method="post" action="/login">"#;
const LOGOUT_FORM: &str = r#"<form method="post" action="/logout">"#;

#[track_caller]
fn is_login_page(answer: &Answer) {
    answer.is_page();
    answer.is(StatusCode::OK, LOGIN_FORM);
    assert!(answer.body.contains(r#"name="user_id""#));
    assert!(!answer.body.contains(LOGOUT_FORM));
}

#[track_caller]
fn shows_who_is_logged_in(answer: &Answer, user_id: &str) {
    answer.is_page();
    answer.is(StatusCode::OK, LOGOUT_FORM);
    answer.is(StatusCode::OK, r#"formaction="/logout/everywhere""#);
    let who = format!("Logged in as <strong>{user_id}</strong>");
    assert!(answer.body.contains(&who), "{}", answer.body);
    assert!(!answer.body.contains(LOGIN_FORM));
}

/// The values of an attribute in a page, unescaped as far as the app escapes them.
fn values<'a>(page: &'a str, attribute: &str) -> Vec<&'a str> {
    let parts = page.split(attribute).skip(1);
    parts.map(|part| part.split('"').next().unwrap()).collect()
}

#[tokio::test]
async fn the_start_page_is_a_login_form_or_says_who_is_logged_in() {
    let app = TestApp::new();
    is_login_page(&app.get("/", NO_COOKIE).await);

    let cookie = app.login("alice").await;
    let home = app.get("/", &cookie).await;
    shows_who_is_logged_in(&home, "alice");
    let link = format!(r#"<a href="{LOGIN_REDIRECT}">Go to your dashboard</a>"#);
    assert_eq!(home.body.contains(&link), LOGIN_REDIRECT != "/");
}

#[tokio::test]
async fn the_page_at_the_login_redirect_shows_who_is_logged_in() {
    let app = TestApp::new();
    let cookie = app.login("alice").await;
    let answer = app.get(LOGIN_REDIRECT, &cookie).await;
    if LOGIN_REDIRECT == "/me" {
        answer.is(StatusCode::OK, "Logged in as alice");
    } else {
        shows_who_is_logged_in(&answer, "alice");
    }
}

#[tokio::test]
async fn the_page_at_the_logout_redirect_is_there_with_and_without_a_session() {
    let app = TestApp::new();
    let answer = app.get(LOGOUT_REDIRECT, NO_COOKIE).await;
    if LOGOUT_REDIRECT == "/me" {
        answer.is_unauthorized();
    } else if dashboard() == Some(LOGOUT_REDIRECT) {
        answer.redirects_to(&format!("/?{}", form(&[("next", LOGOUT_REDIRECT)])));
    } else {
        is_login_page(&answer);
    }

    let cookie = app.login("alice").await;
    let answer = app.get(LOGOUT_REDIRECT, &cookie).await;
    if LOGOUT_REDIRECT == "/me" {
        answer.is(StatusCode::OK, "Logged in as alice");
    } else {
        shows_who_is_logged_in(&answer, "alice");
    }
}

#[tokio::test]
async fn without_a_session_the_login_redirect_leads_to_the_login_page_and_back() {
    let app = TestApp::new();
    let wanted = format!("{LOGIN_REDIRECT}?tab=1&q=%22%3E%3Cscript%3E+a");
    let answer = app.get(&wanted, NO_COOKIE).await;
    let Some(_) = dashboard() else {
        return match LOGIN_REDIRECT {
            "/me" => answer.is_unauthorized(),
            _ => is_login_page(&answer),
        };
    };
    answer.redirects_to(&format!("/?{}", form(&[("next", &wanted)])));

    let login = app.get(answer.header("location").unwrap(), NO_COOKIE).await;
    is_login_page(&login);
    let kept = values(&login.body, r#"name="next" value=""#)[0].replace("&amp;", "&");
    assert_eq!(kept, wanted);
    let answer = app
        .post_form(
            "/login",
            NO_COOKIE,
            &[("user_id", "alice"), ("next", &kept)],
        )
        .await;
    answer.redirects_to(&wanted);
    shows_who_is_logged_in(&app.get(&wanted, &answer.cookie()).await, "alice");
}

#[tokio::test]
async fn next_is_honoured_only_as_a_path_on_this_site() {
    let app = TestApp::new();
    let longest = format!("/{}", "a".repeat(2047));
    let honoured = [
        "/",
        "/me",
        "/a/b?c=d&e=%2F%2Fevil.example#f",
        "/a//b",
        "/%5Cevil.example",
        "/?next=//evil.example",
        "/@evil.example",
        "/:80",
        &longest,
    ];
    let too_long = format!("{longest}a");
    let ignored = [
        "",
        "me",
        "?a",
        "//evil.example",
        "//origin.invalid/",
        "///evil.example",
        "/\\evil.example",
        "\\/evil.example",
        "/a\\b",
        "/\t/evil.example",
        "/\n/evil.example",
        "/\r\nSet-Cookie: a=b",
        "/ a",
        " /a",
        "/\0",
        "/\u{7f}",
        "/é",
        "/\u{2215}evil.example",
        "https://evil.example/",
        "https:evil.example",
        "javascript:alert(1)",
        "%2Fme",
        &too_long,
    ];
    let all = honoured.map(|next| (next, next)).into_iter();
    let all = all.chain(ignored.map(|next| (next, LOGIN_REDIRECT)));
    for (next, location) in all {
        let fields = [("user_id", "alice"), ("next", next)];
        let answer = app.post_form("/login", NO_COOKIE, &fields).await;
        answer.redirects_to(location);
        let safe = honoured.contains(&next).then_some(next);
        assert_eq!(safe_next(next), safe, "{next:?}");
    }
}

#[tokio::test]
async fn a_hostile_user_id_does_not_become_html() {
    let app = TestApp::new();
    let hostile = r#"<script>alert("&")</script>"#;
    let escaped = "&lt;script&gt;alert(&quot;&amp;&quot;)&lt;/script&gt;";
    let cookie = app.login(hostile).await;
    for path in ["/", LOGIN_REDIRECT, LOGOUT_REDIRECT] {
        let answer = app.get(path, &cookie).await;
        if path == "/me" {
            assert_eq!(answer.body, format!("Logged in as {hostile}"));
            answer.has("x-content-type-options", "nosniff");
        } else {
            shows_who_is_logged_in(&answer, escaped);
            assert!(!answer.body.contains("<script"));
        }
    }

    let refused = format!("\"><script>{}", "a".repeat(256));
    let answer = app
        .post_form(
            "/login",
            NO_COOKIE,
            &[("user_id", &refused), ("next", hostile)],
        )
        .await;
    answer.is(
        StatusCode::UNPROCESSABLE_ENTITY,
        "&quot;&gt;&lt;script&gt;aaa",
    );
    assert_eq!(values(&answer.body, r#"name="next" value=""#), [escaped]);
    assert!(!answer.body.contains("<script"));
}

#[tokio::test]
async fn a_hostile_next_does_not_become_html() {
    let app = TestApp::new();
    let query = form(&[("next", r#"/"><script>alert(1)</script>"#)]);
    let answer = app.get(&format!("/?{query}"), NO_COOKIE).await;
    is_login_page(&answer);
    assert_eq!(
        values(&answer.body, r#"name="next" value=""#),
        ["/&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;"]
    );
    assert!(!answer.body.contains("<script"));

    for query in ["next=/a&next=/b", "nxt=/a", ""] {
        let answer = app.get(&format!("/?{query}"), NO_COOKIE).await;
        is_login_page(&answer);
        assert!(!answer.body.contains(r#"name="next""#), "{query}");
    }
}

#[tokio::test]
async fn an_unknown_address_is_answered_404_with_a_page() {
    let app = TestApp::new();
    for path in ["/@nothing", "/me/", "//", "/login/%2e%2e/me"] {
        let answer = app.get(path, NO_COOKIE).await;
        answer.is(StatusCode::NOT_FOUND, "There is no such page.");
        answer.has("content-type", "text/html; charset=utf-8");
    }
}

#[tokio::test]
async fn every_link_of_every_page_leads_somewhere_and_nothing_is_inline() {
    let app = TestApp::new();
    let cookie = app.login("alice").await;
    let pages = [
        app.get("/", NO_COOKIE).await,
        app.get("/", &cookie).await,
        app.get(dashboard().unwrap_or("/"), &cookie).await,
        app.get("/@nothing", NO_COOKIE).await,
    ];
    for Answer { body, .. } in pages {
        for href in values(&body, r#"href=""#) {
            let answer = app.get(href, &cookie).await;
            answer.is(StatusCode::OK, "");
            let content_type = answer.header("content-type").unwrap();
            assert_eq!(
                href.ends_with(".css"),
                content_type == "text/css; charset=utf-8"
            );
            assert_eq!(href.ends_with(".svg"), content_type == "image/svg+xml");
        }
        assert!(body.starts_with("<!DOCTYPE html>"));
        for inline in [
            "<script",
            "<style",
            "style=\"",
            " onclick",
            " onload",
            "javascript:",
        ] {
            assert!(!body.contains(inline), "{inline} in {body}");
        }
    }
}

#[tokio::test]
async fn healthz_answers_200_without_a_session() {
    let app = TestApp::new();
    let answer = app.get("/healthz", NO_COOKIE).await;
    answer.is(StatusCode::OK, "");
    assert_eq!(answer.body, "ok");
}
