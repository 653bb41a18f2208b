//! The rules of `SESSION_KEYS`, and what is said where one is broken.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use app::session::keys::{generate_key, parse_key};
use common::*;

fn key_of(count: u8) -> String {
    BASE64_STANDARD.encode((0..count).collect::<Vec<u8>>())
}

#[test]
fn a_key_is_at_least_64_bytes_in_base64() {
    for (text, is_good) in [
        (key_of(63), false),
        (key_of(64), true),
        (key_of(255), true),
        (BASE64_URL_SAFE.encode([0xFF; 64]), false),
    ] {
        assert_eq!(parse_key(&text).is_ok(), is_good, "{text}");
        let unpadded = text.trim_end_matches('=');
        assert_eq!(parse_key(unpadded).is_ok(), is_good, "{text}");
    }
}

#[tokio::test]
async fn the_whole_of_a_key_counts() {
    let with = |key: &[u8]| {
        let text = BASE64_STANDARD.encode(key);
        TestApp::with(RELEASE, &[("SESSION_KEYS", &text)])
    };
    let original = [*b"0123456789abcdefghijklmnopqrstuv"; 3].concat();
    let cookie = with(&original).login_as("alice").await;
    with(&original).opens(&cookie, "alice").await;
    for at in [0, 31, 32, 63, 64, 95] {
        let mut changed = original.clone();
        changed[at] ^= 1;
        with(&changed).refuses(&cookie).await;
    }
}

#[tokio::test]
async fn without_a_key_each_start_of_a_debug_build_makes_up_its_own() {
    let start = || TestApp::configured(read(DEBUG, &[]).unwrap());
    let (one, other) = (start(), start());
    let cookie = one.login_as("alice").await;
    one.opens(&cookie, "alice").await;
    other.refuses(&cookie).await;
}

#[test]
fn a_generated_key_is_fresh() {
    let text = generate_key().unwrap();
    assert_ne!(text, generate_key().unwrap());
}

#[test]
fn every_broken_key_is_named_with_its_fault_and_never_shown() {
    let open = ("ALLOW_OPEN_LOGIN", "true");
    let (good, short) = (key(b'a'), key_of(63));
    let keys = format!("{good}, {short} ,se!cret,");
    let broken = [("SESSION_KEYS", &*keys), open];
    let how = "base64 of at least 64 random bytes, or several separated by commas, newest first; \
               make one with `cargo run -q -- generate-key`";
    let faults = "key 2 has 63 bytes|key 3 is not base64|key 4 has 0 bytes";
    let faults: Vec<_> = faults.split('|').collect();
    for (release, settings, faults) in [
        (RELEASE, &broken[..], &faults[..]),
        (DEBUG, &broken, &faults[..]),
        (RELEASE, &[open], &["is not set"]),
    ] {
        let problems = read(release, settings).err().unwrap();
        let lines: Vec<_> = problems.lines().skip(1).collect();
        assert_eq!(lines.len(), faults.len(), "{problems}");
        for (line, fault) in lines.iter().zip(faults) {
            let start = format!("  SESSION_KEYS: {fault}");
            assert!(line.starts_with(&start) && line.ends_with(how), "{line}");
        }
        for secret in [&*good, &short, "se!cret"] {
            assert!(!problems.contains(secret), "{problems}");
        }
    }
}
