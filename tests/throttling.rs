//! How often, from where, and how many at once may try to log in.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::{fs, sync::Arc, time::Instant};

use app::users::{ACCOUNT_BURST, ADDRESS_BURST, ClientAddress, HASHES_AT_ONCE, TrustedProxies};
use axum::extract::FromRequestParts;
use common::*;
use tokio::task::JoinSet;

/// Attempts are refused that began at `since`, until one of every `seconds` is due.
#[track_caller]
fn is_throttled(answer: &Answer, since: Instant, seconds: u64) {
    let wait = answer.header("retry-after").unwrap_or(&answer.body);
    let words = format!("Too many attempts. Try again in {wait} seconds.");
    answer.is(StatusCode::TOO_MANY_REQUESTS, &words);
    let earliest = seconds.saturating_sub(since.elapsed().as_secs() + 1);
    let wait = wait.parse::<u64>().unwrap();
    assert!((earliest..=seconds).contains(&wait) && wait > 0, "{wait}");
}

#[tokio::test]
async fn guessing_on_an_account_is_answered_429_with_retry_after_whoever_guesses() {
    let app = TestApp::with_users(&users_file());
    for user_id in ["alice", "nobody"] {
        let (since, typed) = (Instant::now(), format!(" {user_id}"));
        for attempt in 0..ACCOUNT_BURST {
            let address = format!("192.0.2.{attempt}");
            // Blanks do not make another account of it.
            let answer = app.try_from(&address, &typed, "guess").await;
            answer.is(StatusCode::UNAUTHORIZED, "wrong");
        }
        for password in ["guess", &password_of(user_id)] {
            let answer = app.try_from("198.51.100.1", user_id, password).await;
            is_throttled(&answer, since, 60);
        }
    }
    app.login_as("bob").await;
}

#[tokio::test]
async fn guessing_from_an_address_is_answered_429_with_retry_after_where_login_is_not_open() {
    let app = TestApp::with_users(&users_file());
    // One client has a whole network of IPv6; and IPv4 stays what it is in the clothes of IPv6.
    for (near, same, far) in [
        ("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"),
        ("2001:db8::1", "2001:db8::ffff:1:2:3", "2001:db8:0:1::1"),
    ] {
        let since = Instant::now();
        for attempt in 0..ADDRESS_BURST {
            let user_id = format!("user {attempt}");
            let answer = app.try_from(near, &user_id, "guess").await;
            answer.is(StatusCode::UNAUTHORIZED, "wrong");
        }
        for address in [near, same] {
            let answer = app.try_from(address, "bob", &password_of("bob")).await;
            is_throttled(&answer, since, 6);
        }
        let answer = app.try_from(far, "bob", &password_of("bob")).await;
        answer.redirects_to(LOGIN_REDIRECT);
    }
    let open_login = TestApp::new();
    for _ in 0..2 * ADDRESS_BURST {
        open_login.login_as("alice").await;
    }
}

#[tokio::test]
async fn so_many_proxies_are_believed_about_the_clients_address_as_the_setting_says() {
    let peer = "0.0.0.0";
    for (proxies, lines, expected) in [
        (0, &["192.0.2.1"][..], peer),
        // The last entry is what the one proxy saw; what is left of it, the client wrote.
        (1, &["192.0.2.9", "?,192.0.2.1"], "192.0.2.1"),
        // Two proxies: the last but one, over all lines.
        (2, &["192.0.2.9, 192.0.2.1", "10.0.0.1"], "192.0.2.1"),
        // The port is not the client; blanks and empty entries are nobody.
        (1, &["192.0.2.1:8443"], "192.0.2.1"),
        (1, &["2001:db8::1"], "2001:db8::1"),
        (1, &["[2001:db8::1]"], "2001:db8::1"),
        (1, &["[2001:db8::1]:8443"], "2001:db8::1"),
        (2, &["192.0.2.1 \t,, ,10.0.0.1 , ,,", "", ", "], "192.0.2.1"),
        // Whoever comes with less, or with something else, counts as the proxy.
        (2, &["192.0.2.1"], peer),
        (1, &[], peer),
        (1, &["192.0.2.1, unknown"], peer),
        (1, &["192.0.2.1, \u{e9}"], peer),
        (1, &["192.0.2.1:port"], peer),
    ] {
        let request = request(Default::default(), "/login", NO_COOKIE);
        let request = lines.iter().fold(request, |request, line| {
            request.header("x-forwarded-for", *line)
        });
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let proxies = TrustedProxies(proxies);
        let Ok(found) = ClientAddress::from_request_parts(&mut parts, &proxies).await;
        assert_eq!(found.0.to_string(), expected, "{lines:?}");
    }
}

#[tokio::test]
async fn beyond_the_set_number_of_hashes_at_once_a_login_is_answered_503_with_retry_after() {
    let path = users_file();
    // Dear enough that none is done before the last has been asked for.
    fs::write(&path, user_line("alice", &password_of("alice"), 64 * 1024)).unwrap();
    let app = Arc::new(TestApp::with_users(&path));
    let mut logins = JoinSet::new();
    for at in 0..2 * HASHES_AT_ONCE {
        let app = Arc::clone(&app);
        logins.spawn(async move { app.try_password(&format!("user {at}"), "guess").await });
    }
    // On this one thread every login has got as far as it can; the hashes run on others.
    tokio::task::yield_now().await;
    let healthz = app.get("/healthz", NO_COOKIE).await;
    healthz.is(StatusCode::OK, "ok");
    let mut answers = logins.join_all().await;
    answers.retain(|answer| answer.status != StatusCode::UNAUTHORIZED);
    assert_eq!(answers.len(), HASHES_AT_ONCE);
    for answer in answers {
        answer.is(StatusCode::SERVICE_UNAVAILABLE, "Too many people");
        answer.has("retry-after", "1");
    }
    app.login_as("alice").await;
}
