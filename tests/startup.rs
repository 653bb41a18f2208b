//! The process: what it says when it starts, and why it does not.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;

use common::process::*;
use serde_json::{Value, json};

#[test]
fn a_fresh_checkout_serves_on_loopback_and_a_release_build_says_what_it_needs() {
    let process = Process::start(&working_folder(), &[], &[ANY_PORT]);
    if cfg!(not(debug_assertions)) {
        let err = process.refusal();
        assert!(err.contains("\n  SESSION_KEYS: "), "{err}");
        assert!(err.contains("\n  ALLOW_OPEN_LOGIN: "), "{err}");
        return;
    }
    let address = process.address();
    assert!(address.ip().is_loopback() && address.port() != 0);
    let keep = "echo \"SESSION_KEYS=$(cargo run -q -- generate-key)\" >> .env";
    for words in ["SESSION_KEYS is not set: sessions end", "login is open"] {
        let line = process.line();
        assert!(line.contains("WARN") && line.contains(words), "{line}");
        assert_eq!(line.contains(keep), words.starts_with("SESSION_KEYS"));
    }
    assert_eq!(get(address, "/healthz", "").body, "ok");
    assert_eq!(get(address, "/@readyz", "").body, "ready");
    assert_eq!(status(address, &login(address, "alice")), 200);
}

#[test]
fn a_generated_key_is_taken_as_session_keys_without_a_warning() {
    let (status, out, err) = Process::start(&working_folder(), &["generate-key"], &[]).end();
    assert!(status.success(), "{err}");
    assert_eq!((out.lines().count(), &*err), (1, ""));
    let settings = [("SESSION_KEYS", out.trim_end())];
    let (process, _) = Process::serving(&working_folder(), &settings);
    assert!(process.line().contains("login is open"));
}

#[test]
fn in_json_every_line_is_one_object_and_those_about_a_request_name_it() {
    let settings = [("LOG_FORMAT", "json"), ("RUST_LOG", "info,app=debug")];
    let (process, address) = Process::serving(&working_folder(), &settings);
    assert!(process.line().contains("login is open"));
    let form = "user_id=hunter2%07&password=sesame";
    let answer = post(address, "/login?token=sesame", "", form);
    assert_eq!(answer.status, 422);
    let id = answer.header("x-request-id").expect("an id");
    let span = json!({"name": "request", "id": id, "method": "POST", "route": "/login"});
    for (level, event) in [("WARN", "login_refused"), ("DEBUG", "answered")] {
        let line = process.line();
        assert!(!line.contains("hunter2") && !line.contains("sesame"));
        let line: Value = serde_json::from_str(&line).unwrap();
        assert!(line["level"] == level && line["event"] == event, "{line}");
        assert_eq!((&line["span"], &line["spans"]), (&span, &json!([span])));
    }
}

#[test]
fn every_problem_is_reported_in_one_go_no_secret_is_shown_and_nothing_is_bound() {
    let settings = [
        OPEN,
        ("BIND_ADDR", "nowhere"),
        ("SESSION_KEYS", "se!cret"),
        ("TRUSTED_ORIGINS", "https://good.example,no"),
        ("LOG_FORMAT", "xml"),
        ("REDIS_URL", "http://:se!cret@host"),
    ];
    let redis = match cfg!(feature = "redis") {
        true => "REDIS_URL: a URL such as redis://127.0.0.1:6379",
        false => "REDIS_URL: takes a build with `--features redis`",
    };
    let err = Process::start(&working_folder(), &[], &settings).refusal();
    let start = "error: the app cannot start with these settings:\n  BIND_ADDR = \"nowhere\": ";
    assert!(err.starts_with(start), "{err}");
    for said in [
        "SESSION_KEYS: key 1 is not base64",
        "TRUSTED_ORIGINS = \"no\": ",
        "LOG_FORMAT = \"xml\": ",
        redis,
    ] {
        assert!(err.contains(&format!("\n  {said}")), "{said} in {err}");
    }
    assert_eq!(err.lines().count(), settings.len(), "{err}");
    assert!(!err.contains("se!cret") && !err.contains("good.example"));
}

#[test]
fn the_env_file_may_come_from_any_editor_and_the_environment_wins() {
    let folder = working_folder();
    let lines = "LOG_FORMAT=json\n# a comment\nBIND_ADDR=nowhere\nREVOCATION_FILE='the ended'\n";
    for lines in [lines.to_owned(), lines.replace('\n', "\r\n")] {
        for mark in ["", "\u{feff}"] {
            fs::write(folder.join(".env"), format!("{mark}{lines}")).unwrap();
            let (process, _) = Process::serving(&folder, &[]);
            let line = process.line();
            assert!(line.starts_with('{') && line.contains("login is open"));
            fs::remove_file(folder.join("the ended")).unwrap();
        }
    }
}

#[test]
fn a_broken_env_file_is_one_error_that_names_the_line_and_the_rule_and_no_value() {
    let folder = working_folder();
    let (form, utf8, nul) = ("NAME=value", "UTF-8", "NUL");
    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let cases: [(Vec<u8>, usize, &str); 11] = [
        (b"A=b\nSESSION_KEYS hunter2\n".into(), 2, form),
        (b"A=b\r\n\r\nSESSION_KEYS='hunter2\r\nB=c".into(), 3, form),
        // The same words stand on a good line before.
        (b"# hunter2 was here\nhunter2\n".into(), 2, form),
        (b"# X=hunter2 x\nX=hunter2 x\n".into(), 2, form),
        // A value that spans lines.
        (b"A='b\nc\nd'\nhunter2\n".into(), 4, form),
        (b"A=b\nSESSION_KEYS=hunter2\0\n".into(), 2, nul),
        (b"A=b\nSESSION\0KEYS=hunter2\n".into(), 2, nul),
        (b"A=b\nUSERS_FILE=hunter2\xE9\n".into(), 2, utf8),
        (b"A\xE9=hunter2\n".into(), 1, utf8),
        (utf16("\u{feff}A=hunter2\n"), 1, utf8),
        (utf16("A=hunter2\n"), 1, nul),
    ];
    for (text, line, rule) in cases {
        fs::write(folder.join(".env"), text).unwrap();
        let err = Process::start(&folder, &[], &[ANY_PORT]).refusal();
        let names_line = err.starts_with(&format!("error: .env: line {line}: "));
        assert!(names_line && err.contains(rule), "{line}, {rule}: {err}");
        assert_eq!(err.lines().count(), 1, "{err}");
        assert!(!err.contains("hunter2"));
    }
}

#[test]
fn an_argument_that_nobody_knows_is_answered_with_the_usage() {
    for arguments in [&["serve"][..], &["--help"], &["generate-key", "2"]] {
        let err = Process::start(&working_folder(), arguments, &[]).refusal();
        assert!(err.starts_with("error: usage: "), "{err}");
    }
    #[cfg(unix)]
    {
        // No Unicode.
        let arguments = ["-c", r#"exec "$0" "$(printf '\377')""#, PROGRAM];
        let process = Process::spawn(&mut command("sh", &working_folder(), &arguments, &[]));
        assert!(process.refusal().starts_with("error: usage: "));
    }
}
