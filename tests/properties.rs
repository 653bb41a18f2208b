//! What holds for every user id and for every cookie that was tampered with.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use app::users::text;
use axum::http::HeaderValue;
use common::*;
use proptest::{prelude::*, sample::Index};
use tokio::runtime::{Builder, Runtime};

/// An app and the thread to ask it on.
fn app() -> (TestApp, Runtime) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let _entered = runtime.enter();
    (TestApp::new(), runtime)
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Every user id of up to 64 characters that login takes, as it counts.
fn user_id() -> impl Strategy<Value = String> {
    let may_be_typed = |char: &char| text::user_id(&format!("x{char}")).is_ok();
    let char = any::<char>().prop_filter("no character of a user id", may_be_typed);
    let typed = prop::collection::vec(char, 1..=64).prop_map(String::from_iter);
    typed.prop_filter_map("no user id", |typed: String| text::user_id(&typed).ok())
}

fn may_be_sent(byte: u8) -> bool {
    HeaderValue::from_bytes(&[byte]).is_ok()
}

/// Up to 300 bytes that a header's value may hold.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let byte = any::<u8>().prop_filter("no byte of a header", |byte| may_be_sent(*byte));
    prop::collection::vec(byte, 0..300)
}

/// Whether a value of the session's cookie opens; anything but 200 or 401 panics.
fn opens((app, runtime): &(TestApp, Runtime), value: &[u8]) -> bool {
    let cookie = [COOKIE_NAME.as_bytes(), b"=", value].concat();
    runtime.block_on(app.who_sends(&[&cookie])).is_some()
}

#[test]
fn whoever_logs_in_is_logged_in_with_every_user_id() {
    let (app, runtime) = app();
    let check = |user_id: &str| {
        let cookie = runtime.block_on(app.login_as(user_id));
        let is_plain = |byte| matches!(byte, 0x21..=0x7E) && byte != b';';
        assert!(cookie.bytes().all(is_plain), "{cookie}");
        assert_eq!(opened(&cookie)["sub"], user_id);
        runtime.block_on(app.opens(&cookie, user_id));
    };
    // No user id makes a longer cookie: the harness checks that it stays within 4096 bytes.
    check(&"\"".repeat(text::MAX_BYTES));
    proptest!(cases(256), |(user_id in user_id())| check(&user_id));
}

#[test]
fn no_changed_inserted_or_removed_byte_and_no_part_of_a_cookie_opens() {
    let app = app();
    let cookie = app.1.block_on(app.0.login_as("alice"));
    let value = value(&cookie).as_bytes();
    assert!(opens(&app, value));
    for at in 0..value.len() {
        let (before, after) = (&value[..at], &value[at + 1..]);
        assert!(!opens(&app, before), "the first {at} bytes");
        assert!(!opens(&app, after), "what follows byte {at}");
        assert!(!opens(&app, &[before, after].concat()), "without byte {at}");
        // The next character differs from this one in bits that a signature may not need.
        let near = [0x01, 0x02, 0x04, 0x20, 0x80].map(|bit| value[at] ^ bit);
        let other = [&near[..], &[value[at] + 1], b"A-_%\" ="].concat();
        for byte in other.into_iter().filter(|byte| may_be_sent(*byte)) {
            let changed = [before, &[byte], after].concat();
            let is_same = changed == value;
            assert_eq!(opens(&app, &changed), is_same, "{byte} for byte {at}");
            let inserted = [before, &[byte], &value[at..]].concat();
            assert!(!opens(&app, &inserted), "{byte} before byte {at}");
        }
    }
}

#[test]
fn no_splice_of_two_cookies_opens() {
    let app = app();
    proptest!(cases(256), |(one in user_id(), other in user_id(), at in any::<Index>())| {
        let [one, other] = [one, other].map(|user_id| app.1.block_on(app.0.login_as(&user_id)));
        let (one, other) = (value(&one).as_bytes(), value(&other).as_bytes());
        prop_assert!(!opens(&app, &[one, other].concat()));
        for at in [at.index(one.len().min(other.len())), SIGNATURE] {
            let spliced = [&one[..at], &other[at..]].concat();
            let is_whole = spliced == one || spliced == other;
            prop_assert_eq!(opens(&app, &spliced), is_whole);
        }
    });
}

#[test]
fn noise_opens_nothing_and_breaks_nothing() {
    let app = app();
    let live = app.1.block_on(app.0.login_as("alice"));
    proptest!(cases(256), |(noise in noise(), text in "[!-:<-~]{0,120}")| {
        prop_assert!(!opens(&app, &noise));
        prop_assert!(!opens(&app, value(&signed(&key(b'a'), &text)).as_bytes()));
        let logout = request(Method::POST, "/logout", NO_COOKIE);
        let logout = logout.header(header::COOKIE, noise.as_slice());
        prop_assert_eq!(app.1.block_on(app.0.send(logout, "")).status, 303);
        let beside = [&noise, &b"; "[..], live.as_bytes()].concat();
        let who = app.1.block_on(app.0.who_sends(&[&beside]));
        prop_assert_eq!(who.as_deref(), Some("alice"));
    });
}
