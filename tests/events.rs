//! The log: what it says about a session, and what it never says.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{process::*, *};

/// Asserts that the new lines with an event are these, each a level and the event with its fields,
/// under the id of the request that was answered, and then the line of the answer.
#[track_caller]
fn has(log: &Log, answer: &Answer, events: &[&str]) {
    let log = log.take();
    let lines = log.lines().filter(|line| line.contains(": event="));
    let answered = format!("DEBUG answered status={}", answer.status.as_u16());
    let expected = [events, &[&answered]].concat();
    assert_eq!(lines.clone().count(), expected.len(), "{log}");
    let id = format!("id=\"{}\"", answer.header("x-request-id").unwrap());
    for (line, expected) in lines.zip(expected) {
        let (level, event) = expected.split_once(' ').unwrap();
        let (event, fields) = event.split_once(' ').unwrap_or((event, ""));
        let begin = [" ", level, " request{", &id, " "].concat();
        let end = format!(": event=\"{event}\" {fields}");
        let is_it = line.contains(&begin) && line.contains(end.trim_end());
        assert!(is_it, "{expected} in {line}");
    }
}

#[tokio::test]
async fn logins_logouts_and_refusals_are_logged_under_their_request() {
    let log = Log::start("trace");
    let app = TestApp::new();
    let alice = [("user_id", "alice")];
    let login = app.post_form("/login", NO_COOKIE, &alice).await;
    let logged_in = r#"INFO login user_id="alice" address=0.0.0.0"#;
    has(&log, &login, &[logged_in]);
    let again = app.post_form("/login", &login.cookie(), &alice).await;
    let replaced = r#"INFO session_replaced user_id="alice""#;
    has(&log, &again, &[replaced, logged_in]);
    let ended = again.cookie();
    has(&log, &app.get("/me", &ended).await, &[]);
    let logout = app.logout(&ended).await;
    has(&log, &logout, &[r#"INFO logout user_id="alice""#]);
    has(&log, &app.logout(NO_COOKIE).await, &[]);

    let live = [app.login_as("alice").await, app.login_as("bob").await].join("; ");
    let everywhere = app.login_as("carol").await;
    log.take();
    let answer = app.logout_everywhere(&everywhere).await;
    has(
        &log,
        &answer,
        &[r#"INFO logout_everywhere user_id="carol""#],
    );
    let mut future = claims("alice");
    future["iat"] = (START + 61).into();
    let two_forged = format!("{COOKIE_NAME}=x; {COOKIE_NAME}=y");
    let replayed = |name| format!("WARN session_replayed_after_logout user_id=\"{name}\"");
    for (cookie, event) in [
        (&ended, &*replayed("alice")),
        (&everywhere, &replayed("carol")),
        (&live, "WARN session_ambiguous"),
        (&two_forged, "WARN session_forged"),
        (&signed(&key(b'b'), "alice"), "WARN session_forged"),
        (&signed(&key(b'a'), "alice"), "WARN session_foreign_purpose"),
        (
            &forged(&future),
            r#"WARN session_from_the_future user_id="alice""#,
        ),
    ] {
        has(&log, &app.get("/me", cookie).await, &[event]);
    }
    let foreign = request(Method::POST, "/login", NO_COOKIE).header("sec-fetch-site", "cross-site");
    let foreign = app.send(foreign, "user_id=alice").await;
    has(&log, &foreign, &["WARN cross_origin_refused"]);
    app.at(LIFETIME);
    has(
        &log,
        &app.get("/me", &live).await,
        &["INFO session_expired"],
    );
}

#[tokio::test]
async fn refused_logins_are_logged_with_the_address_and_only_a_real_user_by_name() {
    let log = Log::start("trace");
    let app = TestApp::with_users(&users_file());
    for (name, logged) in [("alice", " user_id=\"alice\""), ("hunter2", "")] {
        let refused = app.try_from("192.0.2.7", name, "sesame").await;
        let fields = format!("address=192.0.2.7{logged} reason=The user ID or the password");
        has(&log, &refused, &[&format!("WARN login_refused {fields}")]);
    }
    let without_stamp = app.get("/me", &forged(&claims("alice"))).await;
    let changed = r#"WARN session_of_changed_user user_id="alice""#;
    has(&log, &without_stamp, &[changed]);

    let app = TestApp::with(DEBUG, &[("TRUSTED_PROXIES", "1")]);
    let answer = app.try_from("192.0.2.7", "alice", "").await;
    let unreadable = "WARN forwarded_for_unreadable peer=192.0.2.7";
    let logged_in = r#"INFO login user_id="alice" address=192.0.2.7"#;
    has(&log, &answer, &[unreadable, logged_in]);
}

#[test]
fn a_change_of_the_users_file_is_logged() {
    let folder = working_folder();
    let [users, new] = ["users", "new"].map(|name| folder.join(name));
    write_users(&users, ["alice"]);
    let (process, _) = Process::serving(&folder, &[("USERS_FILE", "users")]);
    write_users(&new, ["alice", "bob"]);
    std::fs::rename(new, users).unwrap();
    let line = process.line();
    assert!(line.contains("event=\"users_reloaded\" users=2"), "{line}");
}

#[tokio::test]
async fn no_cookie_session_id_key_form_or_query_is_ever_logged() {
    let log = Log::start("trace");
    let app = TestApp::new();
    let next = ("next", "/hidden?x=hunter2");
    let form = [("user_id", "alice"), next, ("password", "sesame")];
    let cookie = app.post_form("/login", NO_COOKIE, &form).await.cookie();
    let forged = format!("{COOKIE_NAME}=forged-value");
    for cookie in [&*cookie, &*forged, "other=stranger"] {
        for path in ["/", "/me?x=hunter2", "/?next=/hidden", "/@no?x=sesame"] {
            app.get(path, cookie).await;
        }
    }
    app.logout(&cookie).await;
    app.get("/me", &cookie).await;

    let log = log.take();
    assert!(log.contains("session_forged") && log.contains("session_replayed_after_logout"));
    // A part of a value stands for all of it.
    let (claims, key, value) = (opened(&cookie), &key(b'a')[..20], &value(&cookie)[..20]);
    let of_the_session = [claims["jti"].as_str().unwrap(), value, key];
    let of_the_requests = "hidden hunter2 sesame forged-value stranger user_id=alice&".split(' ');
    for secret in of_the_session.into_iter().chain(of_the_requests) {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
}

#[tokio::test]
async fn lines_of_requests_are_debug_none_is_about_machines_and_nobody_writes_one_of_their_own() {
    let hostile = "alice\"} event=\"logout\" x=\"";
    for (filter, spans) in [("info", 0), ("info,app=debug", 2)] {
        let log = Log::start(filter);
        let app = TestApp::new();
        for path in ["/healthz", "/healthz?a=b", "/@readyz"] {
            app.get(path, NO_COOKIE).await.is(StatusCode::OK, "");
        }
        assert_eq!(log.take(), "");
        let login = posted("/login", NO_COOKIE).header("x-request-id", "claimed");
        let answer = app.send(login, form(&[("user_id", hostile)])).await;
        let log = log.take();
        assert_eq!(log.lines().count(), spans.max(1), "{log}");
        let event = format!(" app::login: event=\"login\" user_id={hostile:?} address=0.0.0.0\n");
        assert!(log.contains(&event) && !log.contains("claimed"), "{log}");
        let id = answer.header("x-request-id").unwrap();
        let span = [
            r#"request{id=""#,
            id,
            r#"" method=POST route="/login"}: app::"#,
        ]
        .concat();
        assert_eq!(log.matches(&span).count(), spans, "{log}");
    }
}
