//! How often, from where, and how many at once may try to log in.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::{fs, time::Duration};

use app::{
    config::Build,
    defaults::LOGIN_REDIRECT,
    password::HASHES_AT_ONCE,
    throttle::{ACCOUNT_BURST, ADDRESS_BURST},
};
use axum::http::{Method, StatusCode, header};
use common::{
    Answer, FORM, NO_COOKIE, TestApp, form, password_of, process::working_folder, request,
    user_line, users_file,
};
use tokio::task::JoinSet;

const MINUTE: Duration = Duration::from_secs(60);

#[track_caller]
fn is_throttled(answer: &Answer, seconds: &str) {
    let words = format!("Too many attempts. Try again in {seconds} seconds.");
    answer.is(StatusCode::TOO_MANY_REQUESTS, &words);
    answer.has("retry-after", seconds);
    assert!(
        answer.body.contains(r#"action="/login""#),
        "{}",
        answer.body
    );
}

#[tokio::test]
async fn guessing_on_an_account_is_answered_429_with_retry_after_whoever_guesses() {
    let app = TestApp::with_users(&users_file());
    for user_id in ["alice", "nobody"] {
        for attempt in 0..ACCOUNT_BURST {
            let answer = app
                .try_from(&format!("192.0.2.{attempt}"), user_id, "guess")
                .await;
            answer.is(StatusCode::UNAUTHORIZED, "wrong");
        }
        for password in ["guess", &password_of(user_id)] {
            is_throttled(&app.try_from("198.51.100.1", user_id, password).await, "60");
        }
    }
    app.try_password("bob", &password_of("bob"))
        .await
        .redirects_to(LOGIN_REDIRECT);

    app.at(MINUTE);
    app.try_password("alice", &password_of("alice"))
        .await
        .redirects_to(LOGIN_REDIRECT);
    is_throttled(
        &app.try_password("alice", &password_of("alice")).await,
        "60",
    );
}

#[tokio::test]
async fn guessing_from_an_address_is_answered_429_with_retry_after_on_any_account() {
    let app = TestApp::with_users(&users_file());
    for (near, far) in [
        ("192.0.2.1", "192.0.2.2"),
        ("2001:db8::1", "2001:db8:0:1::1"),
    ] {
        for attempt in 0..ADDRESS_BURST {
            let answer = app
                .try_from(near, &format!("user {attempt}"), "guess")
                .await;
            answer.is(StatusCode::UNAUTHORIZED, "wrong");
        }
        is_throttled(&app.try_from(near, "bob", &password_of("bob")).await, "6");
        app.try_from(far, "bob", &password_of("bob"))
            .await
            .redirects_to(LOGIN_REDIRECT);
    }
    // One client has a whole network of IPv6; and IPv4 stays what it is in the clothes of IPv6.
    for same in ["2001:db8::ffff:1:2:3", "::ffff:192.0.2.1"] {
        is_throttled(&app.try_from(same, "bob", &password_of("bob")).await, "6");
    }
}

#[tokio::test]
async fn open_login_has_nothing_to_guess_and_is_not_throttled() {
    let app = TestApp::new();
    for _ in 0..2 * ADDRESS_BURST {
        app.login("alice").await;
    }
}

/// Whether the entries of `X-Forwarded-For` make two clients of one peer, behind so many proxies.
async fn tells_apart(proxies: &str, first: &[&str], second: &[&str]) -> bool {
    let users = users_file();
    let settings = [
        ("USERS_FILE", users.to_str().unwrap()),
        ("TRUSTED_PROXIES", proxies),
    ];
    let app = TestApp::with(Build::Debug, &settings);
    let attempt = async |user_id: &str, lines: &[&str]| {
        let post = request(Method::POST, "/login", NO_COOKIE).header(header::CONTENT_TYPE, FORM);
        let post = lines
            .iter()
            .fold(post, |post, line| post.header("x-forwarded-for", *line));
        app.send(post, form(&[("user_id", user_id), ("password", "guess")]))
            .await
            .status
    };
    for at in 0..ADDRESS_BURST {
        let status = attempt(&format!("user {at}"), first).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(
        attempt("one more", first).await,
        StatusCode::TOO_MANY_REQUESTS
    );
    attempt("another", second).await == StatusCode::UNAUTHORIZED
}

#[tokio::test]
async fn so_many_proxies_are_believed_about_the_clients_address_as_the_setting_says() {
    // Nobody is believed by default.
    assert!(!tells_apart("0", &["192.0.2.1"], &["192.0.2.2"]).await);
    // The last entry is what the one proxy saw; what is left of it, the client wrote.
    assert!(tells_apart("1", &["192.0.2.1"], &["192.0.2.2"]).await);
    assert!(!tells_apart("1", &["192.0.2.1, 192.0.2.9"], &["192.0.2.2, 192.0.2.9"]).await);
    assert!(
        !tells_apart(
            "1",
            &["192.0.2.1", "192.0.2.9"],
            &["192.0.2.2", "192.0.2.9"]
        )
        .await
    );
    assert!(tells_apart("1", &["192.0.2.9, 192.0.2.1"], &["192.0.2.9,192.0.2.2"]).await);
    // The port is not the client.
    assert!(!tells_apart("1", &["192.0.2.1:1"], &["192.0.2.1:2"]).await);
    assert!(!tells_apart("1", &["[2001:db8::1]:1"], &["2001:db8::1"]).await);
    // Two proxies: the last but one, over all lines.
    assert!(tells_apart("2", &["192.0.2.1, 10.0.0.1"], &["192.0.2.2, 10.0.0.1"]).await);
    assert!(tells_apart("2", &["192.0.2.1", "10.0.0.1"], &["192.0.2.2", "10.0.0.1"]).await);
    assert!(!tells_apart("2", &["192.0.2.1, 10.0.0.1"], &["192.0.2.1, 10.0.0.2"]).await);
    // Whoever comes with less, or with something else, counts as the proxy.
    assert!(!tells_apart("2", &["192.0.2.1"], &["192.0.2.2"]).await);
    assert!(!tells_apart("1", &["somebody"], &["nobody"]).await);
    assert!(!tells_apart("1", &["", "unknown"], &[]).await);
}

#[tokio::test]
async fn beyond_the_set_number_of_hashes_at_once_a_login_is_answered_503_with_retry_after() {
    let path = working_folder().join("users");
    // Dear enough that none is done before the last has been asked for.
    fs::write(&path, user_line("alice", &password_of("alice"), 128 * 1024)).unwrap();
    let app = std::sync::Arc::new(TestApp::with_users(&path));
    let mut logins = JoinSet::new();
    for at in 0..2 * HASHES_AT_ONCE {
        let app = std::sync::Arc::clone(&app);
        logins.spawn(async move { app.try_password(&format!("user {at}"), "guess").await });
    }
    // On this one thread every login has got as far as it can; the hashes run on others.
    tokio::task::yield_now().await;
    app.get("/healthz", NO_COOKIE)
        .await
        .is(StatusCode::OK, "ok");
    let mut busy = 0;
    for answer in logins.join_all().await {
        if answer.status == StatusCode::SERVICE_UNAVAILABLE {
            answer.is(
                StatusCode::SERVICE_UNAVAILABLE,
                "Too many people are logging in.",
            );
            answer.has("retry-after", "1");
            busy += 1;
        } else {
            answer.is(StatusCode::UNAUTHORIZED, "wrong");
        }
    }
    assert_eq!(busy, HASHES_AT_ONCE);
    app.try_password("alice", &password_of("alice"))
        .await
        .redirects_to(LOGIN_REDIRECT);
}
