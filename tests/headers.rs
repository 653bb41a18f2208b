//! The headers that every answer carries, whatever its status, and the two forms of a refusal.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::HashSet;

use common::*;

/// Answers of every status, to requests with this `Accept` that claim an id of their own.
async fn answers(app: &TestApp, accept: &str) -> Vec<(String, Answer)> {
    let cookie = app.login_as("alice").await;
    let (live, plain) = (("cookie", cookie.as_str()), ("user-agent", "test"));
    let (form, evil) = (("content-type", FORM), ("sec-fetch-site", "cross-site"));
    let large = "x".repeat(20_000);
    let cases = [
        ("GET", "/", plain, "", 200),
        ("HEAD", "/me", live, "", 200),
        ("GET", LOGIN_REDIRECT, live, "", 200),
        ("GET", "/healthz", plain, "", 200),
        ("GET", "/@style.css", plain, "", 200),
        ("POST", "/login", form, "user_id=bob", 303),
        ("POST", "/logout", plain, "", 303),
        ("GET", "/", ("host", "second.example"), "", 400),
        ("GET", "/me", plain, "", 401),
        ("POST", "/login", evil, "user_id=bob", 403),
        ("GET", "/@nothing", plain, "", 404),
        ("GET", "/logout", live, "", 405),
        ("POST", "/login", form, &large, 413),
        ("POST", "/login", plain, "user_id=bob", 415),
        ("POST", "/login", form, "user_id=&user_id=", 422),
        ("POST", "/login", form, "user_id=", 422),
    ];
    let mut answers = Vec::new();
    for (method, path, (name, value), body, status) in cases {
        let request = request(method.parse().unwrap(), path, NO_COOKIE)
            .header(name, value)
            .header("accept", accept)
            .header("x-request-id", "mine");
        let answer = app.send(request, body.to_owned()).await;
        assert_eq!(answer.status, status, "{method} {path}");
        answers.push((format!("{method} {path} {status}"), answer));
    }
    answers
}

#[tokio::test]
async fn every_answer_carries_the_security_headers_its_own_id_and_is_not_stored() {
    let mut ids = HashSet::from(["mine".to_owned(), String::new()]);
    for (release, hsts) in [(DEBUG, None), (RELEASE, Some("max-age=31536000"))] {
        for (what, answer) in answers(&TestApp::with(release, &[]), "text/html").await {
            let policy = answer.header("content-security-policy").unwrap();
            let directives: HashSet<_> = policy.split("; ").collect();
            for name in ["default-src", "frame-ancestors", "base-uri"] {
                assert!(directives.contains(&*format!("{name} 'none'")), "{policy}");
            }
            assert!(directives.contains("form-action 'self'"), "{policy}");
            for loose in ["unsafe", "*", "http", "data:"] {
                assert!(!policy.contains(loose), "{what}: {policy}");
            }
            answer.has("x-content-type-options", "nosniff");
            answer.has("referrer-policy", "same-origin");
            assert_eq!(answer.header("strict-transport-security"), hsts, "{what}");
            let id = answer.header("x-request-id").unwrap();
            assert!(ids.insert(id.to_owned()), "{what}: {id} again");
            let is_stored = what.contains("/@style.css");
            let cached = ["no-store", "public, max-age=300"][usize::from(is_stored)];
            answer.has("cache-control", cached);
        }
    }
}

#[tokio::test]
async fn a_refusal_is_a_page_for_a_browser_and_a_sentence_for_others_with_the_same_headers() {
    let app = TestApp::new();
    let pages = answers(&app, "text/html,*/*;q=0.8").await;
    let sentences = answers(&app, "*/*").await;
    for ((what, mut page), (_, mut sentence)) in pages.into_iter().zip(sentences) {
        if page.status.as_u16() < 400 {
            continue;
        }
        page.has("content-type", "text/html; charset=utf-8");
        sentence.has("content-type", "text/plain; charset=utf-8");
        assert!(page.body.contains(&sentence.body), "{}", page.body);
        for name in ["content-type", "content-length", "x-request-id"] {
            page.headers.remove(name);
            sentence.headers.remove(name);
        }
        assert_eq!(page.headers, sentence.headers, "{what}");
    }
}
