//! The rules of `SESSION_KEYS`, and what is said where one is broken.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use app::{
    config::Build,
    session::keys::{KeyError, SessionKeys, generate_key, parse_key},
};
use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE},
};
use common::{TestApp, key, read};

fn bytes(count: u8) -> Vec<u8> {
    (0..count).collect()
}

#[test]
fn a_key_is_at_least_64_bytes_in_base64() {
    for count in [64, 65, 66, 255] {
        for text in [
            BASE64_STANDARD.encode(bytes(count)),
            BASE64_STANDARD_NO_PAD.encode(bytes(count)),
        ] {
            assert!(parse_key(&text, true).is_ok(), "{text}");
        }
    }
    for count in [0, 1, 32, 63] {
        let parsed = parse_key(&BASE64_STANDARD.encode(bytes(count)), false);
        assert_eq!(parsed.unwrap_err(), KeyError::TooShort(count.into()));
    }
    for text in [
        &*BASE64_URL_SAFE.encode([0xFF; 64]),
        &*format!("{} ", key(b'a')),
        &*format!("{}=", key(b'a')),
        "correct horse battery staple",
        "\"quoted\"",
        "é",
    ] {
        assert_eq!(
            parse_key(text, false).unwrap_err(),
            KeyError::NotBase64,
            "{text}"
        );
    }
}

#[test]
fn a_release_build_refuses_a_key_that_repeats_itself() {
    for (different, weak) in [(1, true), (15, true), (16, false), (64, false)] {
        let repeating: Vec<u8> = (0..64).map(|at| at % different).collect();
        let text = BASE64_STANDARD.encode(repeating);
        assert_eq!(parse_key(&text, true).err(), weak.then_some(KeyError::Weak));
        assert_eq!(parse_key(&text, false).err(), None);
    }
}

#[tokio::test]
async fn the_whole_of_a_key_counts() {
    let original = bytes(100);
    let with = |key: &[u8]| {
        let text = BASE64_STANDARD.encode(key);
        TestApp::with(Build::Release, &[("SESSION_KEYS", &text)])
    };
    let cookie = with(&original).login("alice").await;
    assert_eq!(with(&original).who(&cookie).await.as_deref(), Some("alice"));
    for at in [0, 31, 32, 63, 64, 99] {
        let mut changed = original.clone();
        changed[at] ^= 1;
        assert_eq!(with(&changed).who(&cookie).await, None, "byte {at}");
    }
}

#[tokio::test]
async fn a_generated_key_is_fresh_and_fit_for_production() {
    let text = generate_key().unwrap();
    assert_ne!(text, generate_key().unwrap());
    assert_eq!(BASE64_STANDARD.decode(&text).unwrap().len(), 64);
    let app = TestApp::with(Build::Release, &[("SESSION_KEYS", &text)]);
    let cookie = app.login("alice").await;
    app.opens(&cookie, "alice").await;
}

#[tokio::test]
async fn without_a_key_each_start_makes_up_its_own() {
    let start = || TestApp::with(Build::Debug, &[("SESSION_KEYS", "")]);
    let (one, other) = (start(), start());
    let cookie = one.login("alice").await;
    one.opens(&cookie, "alice").await;
    other.refuses(&cookie).await;
}

#[test]
fn every_broken_key_is_named_with_its_fault_and_how_to_make_one_and_never_shown() {
    let good = key(b'a');
    let short = BASE64_STANDARD.encode(bytes(63));
    let weak = BASE64_STANDARD.encode([b'x'; 64]);
    let text = format!("{good}, {short} ,se!cret,,{weak}");
    let faults = [
        "2 has 63 bytes",
        "3 is not base64",
        "4 has 0 bytes",
        "5 repeats",
    ];
    for (build, faults) in [(Build::Release, &faults[..]), (Build::Debug, &faults[..3])] {
        let settings = [("SESSION_KEYS", &*text), ("ALLOW_OPEN_LOGIN", "true")];
        let problems = read(build, &settings).unwrap_err();
        let lines: Vec<_> = problems.lines().skip(1).collect();
        assert_eq!(lines.len(), faults.len(), "{problems}");
        for (line, fault) in lines.iter().zip(faults) {
            assert!(
                line.starts_with(&format!("  SESSION_KEYS: key {fault}")),
                "{line}"
            );
            assert!(line.contains("at least 64 random bytes"), "{line}");
            assert!(line.contains("`cargo run -q -- generate-key`"), "{line}");
        }
        for secret in [&*good, &*short, "se!cret", &*weak] {
            assert!(!problems.contains(secret), "{problems}");
        }
    }
}

#[test]
fn a_release_build_does_not_start_without_a_key() {
    for settings in [&[][..], &[("SESSION_KEYS", "")]] {
        let settings = [settings, &[("ALLOW_OPEN_LOGIN", "true")]].concat();
        let problems = read(Build::Release, &settings).unwrap_err();
        assert_eq!(problems.lines().count(), 2);
        assert!(problems.contains("\n  SESSION_KEYS: "), "{problems}");
        assert!(problems.contains("not set") && problems.contains("generate-key"));
        assert!(read(Build::Debug, &settings).unwrap().ephemeral_key);
    }
}

#[test]
fn debug_shows_no_key() {
    let keys = [key(b'a'), key(b'b')];
    let parsed = keys.iter().map(|text| parse_key(text, true).unwrap());
    let raw: Vec<_> = parsed
        .clone()
        .map(|key| format!("{:?}", &key.master()[..4]))
        .collect();
    let config = read(Build::Debug, &[("SESSION_KEYS", &keys.join(","))]).unwrap();
    let shown = [
        format!("{:?}", SessionKeys::new(parsed)),
        format!("{config:?} {config:#?}"),
    ];
    for shown in shown {
        for secret in keys.iter().chain(&raw) {
            assert!(!shown.contains(secret.trim_matches(['[', ']'])), "{shown}");
        }
    }
    assert!(SessionKeys::new([]).is_none());
}
