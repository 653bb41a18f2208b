//! What holds for every user id and for every cookie that was tampered with.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use app::defaults::COOKIE_NAME;
use axum::http::{Request, header};
use common::{TestApp, key, opened, signed, value};
use proptest::{prelude::*, sample::Index};
use tokio::runtime::{Builder, Runtime};

/// An app and the thread to ask it on.
fn app() -> (TestApp, Runtime) {
    let runtime = Builder::new_current_thread().enable_all().build();
    (TestApp::new(), runtime.unwrap())
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Every user id that login takes: 1 to 256 bytes, not blank, no control characters.
fn user_id() -> impl Strategy<Value = String> {
    let char = any::<char>().prop_filter("control", |char| !char.is_control());
    let text = prop::collection::vec(char, 1..=256).prop_map(|chars| {
        let mut text = String::new();
        for char in chars {
            if text.len() + char.len_utf8() <= 256 {
                text.push(char);
            }
        }
        text
    });
    text.prop_filter("blank", |text| !text.trim().is_empty())
}

/// Every byte that a header's value may hold.
fn header_byte() -> impl Strategy<Value = u8> {
    any::<u8>().prop_filter("not in a header", |byte| {
        *byte == b'\t' || (*byte >= b' ' && *byte != 0x7F)
    })
}

/// Whether a value of the session's cookie opens; anything but 200 or 401 panics.
fn opens(app: &TestApp, runtime: &Runtime, value: &[u8]) -> bool {
    let cookie = [COOKIE_NAME.as_bytes(), b"=", value].concat();
    runtime.block_on(app.who_sends(&[&cookie])).is_some()
}

#[test]
fn sealing_and_opening_agree_for_every_user_id() {
    let (app, runtime) = app();
    proptest!(cases(256), |(user_id in user_id())| {
        let cookie = runtime.block_on(app.login(&user_id));
        prop_assert!(cookie.bytes().all(|byte| matches!(byte, 0x21..=0x7E) && byte != b';'));
        prop_assert_eq!(&opened(&cookie).user_id, &user_id);
        prop_assert_eq!(runtime.block_on(app.who(&cookie)), Some(user_id));
    });
}

#[test]
fn no_flipped_bit_and_no_truncation_of_a_cookie_opens() {
    let (app, runtime) = app();
    let cookie = runtime.block_on(app.login("alice"));
    let value = value(&cookie).as_bytes();
    assert!(opens(&app, &runtime, value));
    for at in 0..value.len() {
        for flip in [0x01, 0x02, 0x04, 0x20, 0x80] {
            let mut changed = value.to_vec();
            changed[at] ^= flip;
            if changed[at] >= b' ' && changed[at] != 0x7F {
                assert!(!opens(&app, &runtime, &changed), "byte {at}, {flip:#x}");
            }
        }
        assert!(!opens(&app, &runtime, &value[..at]), "the first {at} bytes");
        assert!(
            !opens(&app, &runtime, &value[at + 1..]),
            "without {} bytes",
            at + 1
        );
    }
}

#[test]
fn no_changed_inserted_or_removed_byte_opens() {
    let (app, runtime) = app();
    proptest!(cases(512), |(user_id in user_id(), at in any::<Index>(), byte in header_byte())| {
        let cookie = runtime.block_on(app.login(&user_id));
        let value = value(&cookie).as_bytes();
        let at = at.index(value.len());

        let mut changed = value.to_vec();
        changed[at] = byte;
        prop_assert_eq!(opens(&app, &runtime, &changed), changed == value);
        let mut inserted = value.to_vec();
        inserted.insert(at, byte);
        prop_assert!(!opens(&app, &runtime, &inserted));
        let mut removed = value.to_vec();
        removed.remove(at);
        prop_assert!(!opens(&app, &runtime, &removed));
    });
}

#[test]
fn no_splice_of_two_cookies_opens() {
    let (app, runtime) = app();
    proptest!(cases(256), |(one in user_id(), other in user_id(), at in any::<Index>())| {
        let one = runtime.block_on(app.login(&one));
        let other = runtime.block_on(app.login(&other));
        let (one, other) = (value(&one).as_bytes(), value(&other).as_bytes());
        let at = at.index(one.len().min(other.len()));
        let spliced = [&one[..at], &other[at..]].concat();
        let whole = spliced == one || spliced == other;
        prop_assert_eq!(opens(&app, &runtime, &spliced), whole);
        let joined = [one, other].concat();
        prop_assert!(!opens(&app, &runtime, &joined));
    });
}

#[test]
fn nothing_made_up_opens() {
    let (app, runtime) = app();
    proptest!(cases(256), |(value in prop::collection::vec(header_byte(), 0..300))| {
        prop_assert!(!opens(&app, &runtime, &value));
    });
    proptest!(cases(256), |(text in r"(v1:)?[!-:<-~]{0,120}")| {
        let cookie = signed(&key(b'a'), &text);
        prop_assert_eq!(runtime.block_on(app.who(&cookie)), None);
    });
}

#[test]
fn no_other_spelling_of_a_cookie_opens() {
    let (app, runtime) = app();
    // Enough cookies for every character of base64 to stand in some signature.
    for _ in 0..64 {
        let cookie = runtime.block_on(app.login("???>>>"));
        let value = value(&cookie);
        let (signature, text) = value.split_at(common::SIGNATURE);
        let encode = |from: &str, to: &str| value.replace(from, to);
        let last = signature.as_bytes()[42];
        let mut spellings = vec![
            encode("=", ""),
            encode("=", "=="),
            encode("=", "%3D"),
            encode("=", "%3d"),
            encode(":", "%3A"),
            encode("+", "-"),
            encode("+", " "),
            encode("+", "%2B"),
            encode("/", "_"),
            encode("/", "%2F"),
            encode("-", "+"),
            encode("_", "/"),
            format!("\"{value}\""),
            format!("{text}{signature}"),
            format!("{signature}.{text}"),
            format!("{signature}{text}="),
            value.bytes().map(|byte| format!("%{byte:02X}")).collect(),
            url::form_urlencoded::byte_serialize(value.as_bytes()).collect(),
        ];
        // The last character holds bits that the 32 bytes do not need.
        spellings.extend((1..4).map(|bits| {
            let changed = char::from(last + bits);
            format!("{}{changed}={text}", &signature[..42])
        }));
        for spelling in spellings.iter().filter(|spelling| *spelling != value) {
            assert!(!opens(&app, &runtime, spelling.as_bytes()), "{spelling}");
        }
        assert!(opens(&app, &runtime, value.as_bytes()));
    }
}

#[test]
fn noise_in_the_cookie_header_breaks_nothing() {
    let (app, runtime) = app();
    let live = runtime.block_on(app.login("alice"));
    proptest!(cases(256), |(noise in prop::collection::vec(header_byte(), 0..200))| {
        let request = Request::post("/logout").header(header::COOKIE, noise.as_slice());
        prop_assert_eq!(runtime.block_on(app.send(request, "")).status, 303);
        let beside = [noise.as_slice(), b"; ", live.as_bytes()].concat();
        let who = runtime.block_on(app.who_sends(&[&beside]));
        prop_assert_eq!(who.as_deref(), Some("alice"));
    });
}
