//! The settings: their defaults and their rules.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use axum_extra::extract::cookie::SameSite;
use common::*;

/// What is wrong with these settings: the lines about the variables that `name` begins, or about all.
fn problems_of(name: &str, release: bool, settings: &[(&str, &str)]) -> Vec<String> {
    let problems = read(release, settings).err().unwrap_or_default();
    let start = format!("  {name}");
    let lines = problems.lines().skip(1);
    let lines = lines.filter(|line| line.starts_with(&start));
    lines.map(|line| line.trim_start().to_owned()).collect()
}

#[test]
fn a_debug_build_starts_on_loopback_with_nothing_configured() {
    let names = "BIND_ADDR SHUTDOWN_DELAY SESSION_IDLE_TIMEOUT COOKIE_SECURE TRUSTED_ORIGINS \
                 TRUSTED_PROXIES ALLOW_OPEN_LOGIN REVOCATION_FILE LOG_FORMAT RUST_LOG";
    for empty in [None, Some(""), Some(" \t")] {
        let settings = names.split(' ').filter_map(|name| Some((name, empty?)));
        let settings: Vec<_> = settings.collect();
        let config = read(DEBUG, &settings).unwrap();
        assert_eq!(config.bind_addr.to_string(), "127.0.0.1:3000");
        assert_eq!(config.shutdown_delay, Duration::ZERO);
        assert!(config.session.idle_timeout.is_none() && config.trusted_proxies.0 == 0);
        assert!(config.ephemeral_key && config.session.secure && !config.hsts && !config.log_json);
        assert_eq!(config.log_filter.to_string(), "app=debug,info");
    }
}

#[test]
fn a_release_build_refuses_to_start_without_a_key_or_with_open_login_unless_told_so() {
    let names = |settings: &[_]| {
        let problems = problems_of("", RELEASE, settings);
        let name = |line: &str| line.split([' ', ':']).next().unwrap().to_owned();
        problems.iter().map(|line| name(line)).collect::<Vec<_>>()
    };
    let (key, users) = (key(b'a'), users_file());
    let (key, open) = (("SESSION_KEYS", &*key), ("ALLOW_OPEN_LOGIN", "true"));
    assert_eq!(names(&[]), ["SESSION_KEYS", "ALLOW_OPEN_LOGIN"]);
    assert_eq!(names(&[key]), ["ALLOW_OPEN_LOGIN"]);
    assert_eq!(names(&[open]), ["SESSION_KEYS"]);
    assert_eq!(names(&[key, open]), [""; 0]);
    // With users, login is not open, whatever is allowed.
    let users = ("USERS_FILE", users.to_str().unwrap());
    assert_eq!(names(&[key, users]), [""; 0]);
    assert_eq!(names(&[key, users, ("ALLOW_OPEN_LOGIN", "false")]), [""; 0]);
    assert_eq!(names(&[key, users, ("ALLOW_OPEN_LOGIN", "no")]), [open.0]);
    assert_eq!(names(&[key, ("USERS_FILE", "none"), open]), ["USERS_FILE"]);
    let config = config(RELEASE, &[]);
    assert!(config.hsts && config.session.secure && !config.ephemeral_key);
    assert_eq!(config.log_filter.to_string(), "info");
}

#[test]
fn each_setting_takes_what_its_rule_allows() {
    let with = |name, text| config(DEBUG, &[(name, text)]);
    for address in ["0.0.0.0:80", "[::1]:0"] {
        assert_eq!(with("BIND_ADDR", address).bind_addr.to_string(), address);
    }
    for (text, seconds) in [("1m", 60), ("12h", 12 * 3600), ("400d", 400 * 86_400)] {
        let idle = with("SESSION_IDLE_TIMEOUT", text).session.idle_timeout;
        assert_eq!(idle, Some(Duration::from_secs(seconds)));
    }
    assert_eq!(with("SHUTDOWN_DELAY", "300").shutdown_delay.as_secs(), 300);
    assert!(!with("LOG_FORMAT", "text").log_json && with("LOG_FORMAT", "json").log_json);
    for filter in ["warn", "app=debug,error", "off"] {
        assert_eq!(with("RUST_LOG", filter).log_filter.to_string(), filter);
    }
    assert_eq!(with("TRUSTED_PROXIES", "3").trusted_proxies.0, 3);
}

/// A variable, a part of its rule, and what is outside of it.
const REFUSED: &str = "\
BIND_ADDR: an IP address: nowhere|127.0.0.1|localhost:3000|:80|127.0.0.1:65536
SESSION_IDLE_TIMEOUT: at least 1 minute, at most 400 days: 30|m|0m|1s|-1m|+5m|1.5h|401d|7 d|7D|12h |7é
SHUTDOWN_DELAY: a whole number of seconds: 301|-1|1.5|5s|soon| 5|99999999999999999999
TRUSTED_PROXIES: a whole number: -1|one|1.5|192.0.2.1| 1
COOKIE_SECURE: `true` or `false`: maybe|TRUE|1|no| true
TRUSTED_ORIGINS: as browsers send: app.example|https://app.example/|https://APP.example|null|*|ftp://a.b
ALLOW_OPEN_LOGIN: to `true` to let everybody in without a password: maybe|True|0|false
LOG_FORMAT: `text` or `json`: xml|JSON|text\x20
RUST_LOG: `info` or `warn,app=debug`: app=loud|a=b=c|inof|warn,verbose|,";

#[test]
fn each_setting_is_refused_outside_its_rule_with_its_value_and_the_rule() {
    for line in REFUSED.lines() {
        let (name, rest) = line.split_once(": ").unwrap();
        let (rule, values) = rest.split_once(": ").unwrap();
        for value in values.split('|') {
            for release in [DEBUG, RELEASE] {
                let problems = problems_of(name, release, &[(name, value)]);
                assert_eq!(problems.len(), 1, "{problems:?}");
                let start = format!("{name} = {value:?}: ");
                assert!(problems[0].starts_with(&start) && problems[0].contains(rule));
            }
        }
    }
}

#[test]
fn what_matters_most_is_an_error_where_it_is_set_but_empty() {
    for (empty, release) in [("", DEBUG), (" ", DEBUG), ("\t\n", DEBUG), ("", RELEASE)] {
        let settings = ["SESSION_KEYS", "USERS_FILE", "REDIS_URL"].map(|name| (name, empty));
        let problems = problems_of("", release, &settings);
        for (name, _) in settings {
            let said = format!("{name}: is set but empty: give it a value or unset it");
            assert!(problems.contains(&said), "{problems:?}");
        }
    }
}

#[tokio::test]
async fn cookie_secure_is_switched_off_only_where_browsers_and_the_build_allow_it() {
    for (release, bind_addr, is_public) in [
        (DEBUG, "0.0.0.0:3000", false),
        (RELEASE, "127.0.0.1:3000", false),
        (RELEASE, "[::1]:3000", false),
        (RELEASE, "0.0.0.0:3000", true),
    ] {
        let is_needed = COOKIE_NAME.starts_with("__") || SAME_SITE == SameSite::None;
        let is_refused = is_needed || is_public;
        let settings = [("COOKIE_SECURE", "false"), ("BIND_ADDR", bind_addr)];
        let problems = problems_of("COOKIE_SECURE", release, &settings);
        assert_eq!(problems.len(), usize::from(is_refused), "{problems:?}");
        for problem in &problems {
            assert!(problem.starts_with(r#"COOKIE_SECURE = "false": "#));
            let says = ["name", "SameSite=None", "loopback"].map(|reason| problem.contains(reason));
            assert_eq!(says, [true; 3], "{problem}");
        }
        if is_refused {
            continue;
        }
        let app = TestApp::with(release, &settings);
        let login = app.try_password("alice", "").await;
        let removal = app.logout(&login.cookie()).await;
        for answer in [login, removal] {
            assert!(!answer.attributes().contains(&"Secure".to_owned()));
            assert_eq!(answer.header("strict-transport-security"), None);
        }
    }
}

#[test]
fn ended_sessions_are_kept_in_a_file_as_soon_as_a_key_outlives_the_process() {
    let key = key(b'a');
    let (key, file) = (("SESSION_KEYS", &*key), ("REVOCATION_FILE", "ended"));
    for (settings, expected) in [
        (&[][..], "Memory"),
        (&[file], "File(\"ended\")"),
        (&[key], "File(\"revocations.redb\")"),
        (&[key, file], "File(\"ended\")"),
    ] {
        let store = read(DEBUG, settings).unwrap().session.store;
        assert_eq!(format!("{store:?}"), expected);
    }
}
