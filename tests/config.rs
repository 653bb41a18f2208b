//! The settings: their defaults, their rules, and that every problem is said at once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::time::Duration;

use app::{
    config::{Build, Config},
    defaults::{COOKIE_NAME, SAME_SITE},
    logging::LogFormat,
    session::revocation::StoreConfig,
};
use axum_extra::extract::cookie::SameSite;
use common::{NO_COOKIE, TestApp, config, key, read};
use tracing_subscriber::filter::LevelFilter;

/// The problems of one variable, of all that are reported.
fn problems_of(name: &str, build: Build, settings: &[(&str, &str)]) -> Vec<String> {
    let Err(problems) = read(build, settings) else {
        return Vec::new();
    };
    let start = format!("  {name}");
    let lines = problems.lines().filter(|line| {
        let rest = line.strip_prefix(&start);
        rest.is_some_and(|rest| rest.starts_with(" = ") || rest.starts_with(": "))
    });
    lines.map(str::to_owned).collect()
}

#[test]
fn a_debug_build_starts_on_loopback_with_nothing_configured() {
    for settings in [
        &[][..],
        &[("BIND_ADDR", ""), ("COOKIE_SECURE", ""), ("RUST_LOG", "")],
    ] {
        let config = read(Build::Debug, settings).unwrap();
        assert_eq!(config.bind_addr.to_string(), "127.0.0.1:3000");
        assert!(config.ephemeral_key);
        assert!(config.session.secure);
        assert!(!config.hsts);
        assert_eq!(config.session.idle_timeout, None);
        assert_eq!(config.log_format, LogFormat::Text);
        assert_eq!(config.log_filter.default_level(), Some(LevelFilter::INFO));
    }
}

#[test]
fn a_release_build_refuses_to_start_without_a_key_or_with_open_login_unless_told_so() {
    let names = |settings: &[_]| match read(Build::Release, settings) {
        Ok(_) => Vec::new(),
        Err(problems) => {
            let lines = problems.lines().skip(1);
            let names = lines.map(|line| line.trim().split([' ', ':']).next().unwrap().to_owned());
            names.collect::<Vec<_>>()
        }
    };
    let key = key(b'a');
    let (with_key, open) = (("SESSION_KEYS", &*key), ("ALLOW_OPEN_LOGIN", "true"));
    assert_eq!(names(&[]), ["SESSION_KEYS", "ALLOW_OPEN_LOGIN"]);
    assert_eq!(names(&[with_key]), ["ALLOW_OPEN_LOGIN"]);
    assert_eq!(names(&[open]), ["SESSION_KEYS"]);
    assert_eq!(names(&[with_key, open]), [""; 0]);
    // With users, login is not open, whatever is allowed.
    let users = common::users_file();
    let users = ("USERS_FILE", users.to_str().unwrap());
    assert_eq!(names(&[with_key, users]), [""; 0]);
    let closed = ("ALLOW_OPEN_LOGIN", "false");
    assert_eq!(names(&[with_key, users, closed]), [""; 0]);
    let nobody = ("USERS_FILE", "no such file");
    assert_eq!(names(&[with_key, nobody, open]), ["USERS_FILE"]);

    let config = config(Build::Release, &[]);
    assert!(config.hsts && config.session.secure && !config.ephemeral_key);
}

#[test]
fn open_login_can_be_switched_off_in_every_build() {
    for build in [Build::Debug, Build::Release] {
        let problems = problems_of("ALLOW_OPEN_LOGIN", build, &[("ALLOW_OPEN_LOGIN", "false")]);
        assert_eq!(problems.len(), 1, "{problems:?}");
        let start = r#"  ALLOW_OPEN_LOGIN = "false": login takes any user ID without a password"#;
        assert!(problems[0].starts_with(start), "{problems:?}");
    }
}

#[test]
fn each_setting_takes_what_its_rule_allows() {
    let bind = |text| {
        config(Build::Debug, &[("BIND_ADDR", text)])
            .bind_addr
            .to_string()
    };
    assert_eq!(bind("0.0.0.0:80"), "0.0.0.0:80");
    assert_eq!(bind("[::1]:0"), "[::1]:0");

    let idle = |text| {
        let config = config(Build::Debug, &[("SESSION_IDLE_TIMEOUT", text)]);
        config.session.idle_timeout.map(|idle| idle.as_secs())
    };
    assert_eq!(idle("1m"), Some(60));
    assert_eq!(idle("12h"), Some(12 * 3600));
    assert_eq!(idle("400d"), Some(400 * 86_400));

    let delay = |text| config(Build::Debug, &[("SHUTDOWN_DELAY", text)]).shutdown_delay;
    assert_eq!(delay("0"), Duration::ZERO);
    assert_eq!(delay("300"), Duration::from_secs(300));

    let format = |text| config(Build::Debug, &[("LOG_FORMAT", text)]).log_format;
    assert_eq!(format("text"), LogFormat::Text);
    assert_eq!(format("json"), LogFormat::Json);

    let level = |text| {
        let config = config(Build::Debug, &[("RUST_LOG", text)]);
        config.log_filter.default_level()
    };
    assert_eq!(level("warn"), Some(LevelFilter::WARN));
    assert_eq!(level("error,app=debug"), Some(LevelFilter::ERROR));
}

#[test]
fn each_setting_is_refused_outside_its_rule_with_its_value_and_the_rule() {
    let table = [
        (
            "BIND_ADDR",
            "nowhere|127.0.0.1|localhost:3000|:80|127.0.0.1:65536| ",
            "an IP address",
        ),
        (
            "SESSION_IDLE_TIMEOUT",
            "30|m|0m|1s|-1m|+5m|1.5h|401d|7 d|7D|12h |7é|99999999999999999999d",
            "at least 1 minute, at most 400 days",
        ),
        (
            "SHUTDOWN_DELAY",
            "301|-1|1.5|5s|soon| 5",
            "a whole number of seconds",
        ),
        (
            "COOKIE_SECURE",
            "maybe|TRUE|1|no| true",
            "`true` or `false`",
        ),
        (
            "TRUSTED_ORIGINS",
            "app.example|https://app.example/|https://APP.example|https://app.example:443|null|*\
             |ftp://app.example|https://é.example",
            "as browsers send",
        ),
        ("ALLOW_OPEN_LOGIN", "maybe|True|0", "`true` or `false`"),
        ("LOG_FORMAT", "xml|JSON|text ", "`text` or `json`"),
        (
            "RUST_LOG",
            "app=loud|a=b=c|inof|warn,verbose|,",
            "`info` or `warn,app=debug`",
        ),
    ];
    for build in [Build::Debug, Build::Release] {
        for (name, values, rule) in table {
            for value in values.split('|') {
                let problems = problems_of(name, build, &[(name, value)]);
                assert_eq!(problems.len(), 1, "{build:?}: {problems:?}");
                let start = format!("  {name} = {value:?}: ");
                assert!(problems[0].starts_with(&start), "{problems:?}");
                assert!(problems[0].contains(rule), "{problems:?}");
            }
        }
    }
}

#[test]
fn every_problem_is_reported_in_one_go_and_no_secret_is_shown() {
    let settings = [
        ("BIND_ADDR", "nowhere"),
        ("SESSION_KEYS", "se!cret"),
        ("SESSION_IDLE_TIMEOUT", "soon"),
        ("COOKIE_SECURE", "maybe"),
        ("TRUSTED_ORIGINS", "https://good.example,bad.example"),
        ("ALLOW_OPEN_LOGIN", "perhaps"),
        ("LOG_FORMAT", "xml"),
        ("RUST_LOG", "app=loud"),
    ];
    for build in [Build::Debug, Build::Release] {
        let problems = read(build, &settings).unwrap_err();
        let mut lines = problems.lines();
        assert_eq!(
            lines.next(),
            Some("the app cannot start with these settings:")
        );
        assert_eq!(lines.count(), settings.len(), "{problems}");
        for (name, value) in settings {
            let shown = match name {
                "SESSION_KEYS" => "SESSION_KEYS: key 1 is not base64".to_owned(),
                "TRUSTED_ORIGINS" => r#"TRUSTED_ORIGINS = "bad.example": "#.to_owned(),
                _ => format!("{name} = {value:?}: "),
            };
            assert!(problems.contains(&shown), "{shown} in {problems}");
        }
        assert!(!problems.contains("se!cret") && !problems.contains("good.example"));
        let error = Config::read(build, |name| {
            (name == "SESSION_KEYS").then(|| "se!cret".into())
        });
        assert!(!format!("{:?}", error.unwrap_err()).contains("se!cret"));
    }
}

#[tokio::test]
async fn cookie_secure_is_switched_off_only_where_browsers_and_the_build_allow_it() {
    let prefix = COOKIE_NAME.starts_with("__");
    let cross_site = SAME_SITE == SameSite::None;
    for (build, bind_addr, public) in [
        (Build::Debug, "127.0.0.1:3000", false),
        (Build::Debug, "0.0.0.0:3000", false),
        (Build::Release, "127.0.0.1:3000", false),
        (Build::Release, "[::1]:3000", false),
        (Build::Release, "0.0.0.0:3000", true),
        (Build::Release, "192.0.2.1:3000", true),
    ] {
        let key = key(b'a');
        let settings = [
            ("COOKIE_SECURE", "false"),
            ("BIND_ADDR", bind_addr),
            ("ALLOW_OPEN_LOGIN", "true"),
            ("SESSION_KEYS", &key),
        ];
        let problems = problems_of("COOKIE_SECURE", build, &settings);
        let reasons = [
            (prefix, "name"),
            (cross_site, "SameSite=None"),
            (public, "loopback"),
        ];
        let reasons: Vec<_> = reasons.iter().filter(|(refused, _)| *refused).collect();
        assert_eq!(problems.len(), reasons.len(), "{problems:?}");
        for (problem, (_, reason)) in problems.iter().zip(&reasons) {
            assert!(
                problem.starts_with(r#"  COOKIE_SECURE = "false": "#),
                "{problem}"
            );
            assert!(problem.contains(reason), "{problem}");
        }
        if !reasons.is_empty() {
            continue;
        }
        let app = TestApp::with(build, &settings);
        let answer = app
            .post_form("/login", NO_COOKIE, &[("user_id", "alice")])
            .await;
        let removal = app.logout(&answer.cookie()).await;
        for answer in [answer, removal] {
            assert!(!answer.attributes().contains(&"Secure".to_owned()));
            assert_eq!(answer.header("strict-transport-security"), None);
        }
    }
}

#[tokio::test]
async fn the_idle_timeout_that_was_set_is_kept() {
    let app = TestApp::with(Build::Debug, &[("SESSION_IDLE_TIMEOUT", "1m")]);
    let cookie = app.login("alice").await;
    app.at(Duration::from_secs(60) - Duration::from_millis(1));
    app.opens(&cookie, "alice").await;
    app.at(Duration::from_secs(60));
    app.refuses(&cookie).await;
}

#[test]
fn trusted_proxies_are_counted() {
    for (build, text) in [(Build::Debug, "0"), (Build::Release, "3")] {
        let config = config(build, &[("TRUSTED_PROXIES", text)]);
        assert_eq!(config.trusted_proxies.0.to_string(), text);
    }
    assert_eq!(read(Build::Debug, &[]).unwrap().trusted_proxies.0, 0);
    for text in ["-1", "one", "1.5", "192.0.2.1", " 1"] {
        let problems = problems_of(
            "TRUSTED_PROXIES",
            Build::Debug,
            &[("TRUSTED_PROXIES", text)],
        );
        let rule = "a whole number: how many proxies stand between this app and its clients";
        assert_eq!(problems, [format!("  TRUSTED_PROXIES = {text:?}: {rule}")]);
    }
}

#[test]
fn ended_sessions_are_kept_in_a_file_as_soon_as_a_key_outlives_the_process() {
    let key = key(b'a');
    let key = ("SESSION_KEYS", &*key);
    let file = |path: &str| StoreConfig::File(path.into());
    for (settings, expected) in [
        (&[][..], StoreConfig::Memory),
        (&[("REVOCATION_FILE", "ended")], file("ended")),
        (&[key], file("revocations.redb")),
        (&[key, ("REVOCATION_FILE", "ended")], file("ended")),
    ] {
        let config = read(Build::Debug, settings).unwrap();
        assert_eq!(
            format!("{:?}", config.session.store),
            format!("{expected:?}")
        );
    }
}

#[cfg(not(feature = "redis"))]
#[test]
fn redis_url_is_refused_by_a_build_that_left_redis_out() {
    let settings = [("REDIS_URL", "redis://:hunter2@127.0.0.1:6379")];
    let problems = read(Build::Debug, &settings).unwrap_err();
    let expected = "\n  REDIS_URL: this build left Redis out: build with `--features redis`";
    assert!(problems.ends_with(expected), "{problems}");
}

#[cfg(not(feature = "metrics"))]
#[test]
fn metrics_addr_is_refused_by_a_build_that_left_metrics_out() {
    let problems = read(Build::Debug, &[("METRICS_ADDR", "127.0.0.1:9000")]).unwrap_err();
    let expected = "\n  METRICS_ADDR = \"127.0.0.1:9000\": this build left metrics out: build with \
                    `--features metrics`";
    assert!(problems.ends_with(expected), "{problems}");
}
