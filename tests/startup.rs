//! The process: what it says when it starts, and why it does not.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use app::config::Build;
use common::process::{
    ANY_PORT, OPEN, PROGRAM, Process, generated_key, get, login, post, working_folder,
};

#[test]
fn a_fresh_checkout_serves_on_loopback_and_a_release_build_says_what_it_needs() {
    let process = Process::start(&[], &[ANY_PORT]);
    if Build::CURRENT == Build::Release {
        let err = process.refusal();
        assert!(err.contains("\n  SESSION_KEYS: "), "{err}");
        assert!(err.contains("\n  ALLOW_OPEN_LOGIN: "), "{err}");
        return;
    }
    let address = process.address();
    assert!(address.ip().is_loopback() && address.port() != 0);
    let warning = process.line();
    assert!(warning.contains("WARN"), "{warning}");
    assert!(warning.contains("SESSION_KEYS is not set: sessions end with this process"));
    assert!(
        warning.contains("cargo run -q -- generate-key"),
        "{warning}"
    );
    let warning = process.line();
    assert!(
        warning.contains("WARN") && warning.contains("login is open"),
        "{warning}"
    );

    assert_eq!(get(address, "/healthz", "").unwrap().body, "ok");
    assert_eq!(get(address, "/@readyz", "").unwrap().body, "ready");
    let cookie = login(address, "alice");
    assert_eq!(
        get(address, "/me", &cookie).unwrap().body,
        "Logged in as alice"
    );
}

#[test]
fn a_generated_key_is_taken_as_session_keys_without_a_warning() {
    let key = generated_key();
    let settings = [ANY_PORT, ("SESSION_KEYS", &key), OPEN];
    let process = Process::start(&[], &settings);
    process.address();
    assert!(process.line().contains("login is open"));
}

#[test]
fn the_env_file_of_the_working_folder_is_read_and_the_environment_wins() {
    let dotenv = format!(
        "# a comment\nSESSION_KEYS={}\nALLOW_OPEN_LOGIN=true\nBIND_ADDR=nowhere\nLOG_FORMAT=json\n",
        generated_key()
    );
    let process = Process::start_beside(&dotenv, &[], &[ANY_PORT]);
    let line = process.line();
    assert!(line.starts_with('{') && line.ends_with('}'), "{line}");
    assert!(line.contains("listening on http://127.0.0.1:"), "{line}");
    assert!(process.line().contains("login is open"));
}

#[test]
fn in_json_every_line_about_a_request_is_one_object_that_names_it() {
    let key = generated_key();
    let settings = [
        ANY_PORT,
        ("SESSION_KEYS", &*key),
        OPEN,
        ("LOG_FORMAT", "json"),
    ];
    let process = Process::start(&[], &settings);
    let line = process.line();
    let (_, address) = line.split_once("listening on http://").expect(&line);
    let address = address.split('"').next().unwrap().parse().unwrap();
    assert!(process.line().contains("login is open"));
    let answer = post(address, "/login?token=hunter2", "", "user_id=\"al%0Aice").unwrap();
    assert_eq!(answer.status, 422);
    let id = answer.header("x-request-id").expect("an id");
    let of_request = format!(r#""request_id":"{id}","method":"POST","route":"/login"}}"#);
    for said in [
        r#""level":"INFO","event":"login_refused","address":"127.0.0.1","reason":"The user ID must not hold control characters.""#,
        r#""level":"INFO","event":"answered","status":422,"latency_us":"#,
    ] {
        let line = process.line();
        assert!(line.starts_with("{\"timestamp\":\"2"), "{line}");
        assert!(line.contains(said), "{said} in {line}");
        assert!(line.ends_with(&of_request), "{of_request} in {line}");
        assert!(!line.contains("hunter2"), "{line}");
    }
}

#[test]
fn bad_settings_are_named_all_at_once_and_nothing_is_bound() {
    let settings = [
        ("BIND_ADDR", "nowhere"),
        ("SESSION_KEYS", "c2VjcmV0"),
        ("SESSION_IDLE_TIMEOUT", "soon"),
        ("COOKIE_SECURE", "maybe"),
        ("ALLOW_OPEN_LOGIN", "true"),
        ("LOG_FORMAT", "xml"),
    ];
    let err = Process::start(&[], &settings).refusal();
    assert!(
        err.starts_with("error: the app cannot start with these settings:\n"),
        "{err}"
    );
    for problem in [
        "\n  BIND_ADDR = \"nowhere\": ",
        "\n  SESSION_KEYS: key 1 has 6 bytes",
        "\n  SESSION_IDLE_TIMEOUT = \"soon\": ",
        "\n  COOKIE_SECURE = \"maybe\": ",
        "\n  LOG_FORMAT = \"xml\": ",
    ] {
        assert!(err.contains(problem), "{problem} in {err}");
    }
    assert_eq!(err.lines().count(), 6, "{err}");
    assert!(!err.contains("c2VjcmV0"), "{err}");
}

#[test]
fn a_broken_line_of_the_env_file_is_reported_without_showing_it() {
    for line in ["SESSION_KEYS hunter2", "SESSION_KEYS='hunter2", "hunter2"] {
        let dotenv = format!("LOG_FORMAT=text\n{line}\n");
        let err = Process::start_beside(&dotenv, &[], &[ANY_PORT]).refusal();
        assert!(err.contains(".env") && err.contains("NAME=value"), "{err}");
        assert!(!err.contains("hunter2"), "{err}");
    }
}

#[test]
#[cfg(unix)]
fn an_argument_that_is_not_unicode_is_answered_with_the_usage() {
    let program = r#"exec "$0" "$(printf '\377')""#;
    let arguments = ["-c", program, PROGRAM];
    let err = Process::start_program("sh", &working_folder(), &arguments, &[ANY_PORT]).refusal();
    assert!(err.contains("usage: "), "{err}");
}

#[test]
fn an_unknown_argument_is_answered_with_the_usage() {
    for arguments in [&["serve"][..], &["--help"], &["generate-key", "2"]] {
        let err = Process::start(arguments, &[ANY_PORT]).refusal();
        assert!(
            err.contains("usage: ") && err.contains("generate-key"),
            "{err}"
        );
    }
}
