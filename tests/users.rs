//! `USERS_FILE`: who may log in, with which password, and until when their sessions go on.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs::{self, File};
use std::path::Path;

use common::{process::*, *};

const WRONG: &str = "The user ID or the password is wrong.";

/// The app notices within two seconds what happened to its file. The tests that wait for it have a
/// paused clock, on which they pass at once.
async fn two_seconds() {
    tokio::time::sleep(Duration::from_secs(2)).await;
}

#[tokio::test]
async fn an_unknown_user_is_answered_401_in_the_same_words_as_a_wrong_password() {
    let app = TestApp::with_users(&users_file());
    let (alice, bob) = (password_of("alice"), password_of("bob"));
    for accept in ["*/*", "text/html"] {
        let mut first = None;
        for (user_id, password) in [
            ("alice", &bob),
            ("Alice", &alice),
            ("mallory", &alice),
            ("alice:", &alice),
            ("alice", &alice.to_uppercase()),
        ] {
            let fields = [("user_id", user_id), ("password", password)];
            let mut answer = app.login_with(accept, &fields).await;
            answer.is(StatusCode::UNAUTHORIZED, WRONG);
            answer.headers.remove("x-request-id");
            // A page has the name that was typed, and its length.
            answer.headers.remove("content-length");
            let typed = format!(r#"value="{user_id}""#);
            let same = (answer.headers, answer.body.replace(&typed, ""));
            assert_eq!(first.get_or_insert(same.clone()), &same);
        }
    }
}

#[tokio::test]
async fn the_login_page_asks_for_a_password_only_where_users_are_configured() {
    let app = TestApp::with_users(&users_file());
    for (app, takes_password) in [(app, true), (TestApp::new(), false)] {
        for path in ["/", "/login"] {
            let page = app.get(path, NO_COOKIE).await;
            page.is_page();
            let field = r#"type="password" name="password""#;
            assert_eq!(page.body.contains(field), takes_password, "{}", page.body);
            assert_eq!(page.body.contains("Login is open"), !takes_password);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_users_sessions_end_within_two_seconds_when_the_hash_is_another_or_gone() {
    let path = users_file();
    let (alice, bob) = (user("alice"), user("bob"));
    let changed = user_line("alice", "another password", 8);
    for (after, old_password) in [(&*changed, 401), (&*user("alice"), 303), ("", 401)] {
        fs::write(&path, format!("{alice}{bob}")).unwrap();
        let app = TestApp::with_users(&path);
        let (ended, other) = (app.login_as("alice").await, app.login_as("bob").await);
        fs::write(&path, format!("{bob}{after}")).unwrap();
        two_seconds().await;
        app.refuses(&ended).await;
        let answer = app.try_password("alice", &password_of("alice")).await;
        assert_eq!(answer.status, old_password);
        // Also when the very same line is put back.
        fs::write(&path, format!("{alice}{bob}")).unwrap();
        two_seconds().await;
        app.refuses(&ended).await;
        app.opens(&other, "bob").await;
        app.opens(&app.login_as("alice").await, "alice").await;
    }
}

#[tokio::test]
async fn a_session_counts_only_with_its_users_stamp_which_new_keys_do_not_touch() {
    let path = users_file();
    let app = TestApp::with_users(&path);
    let stamped = app.login_as("alice").await;
    let stamp = &opened(&stamped)["stamp"];
    assert!(stamp.is_string());
    let open = TestApp::new().login_as("alice").await;
    assert!(opened(&open).get("stamp").is_none());
    let mut claims = claims("bob");
    claims["stamp"] = stamp.clone();
    app.refuses(&open).await;
    app.refuses(&forged(&claims)).await;
    let keys = format!("{},{}", key(b'b'), key(b'a'));
    let file = ("USERS_FILE", path.to_str().unwrap());
    let app = TestApp::with(RELEASE, &[file, ("SESSION_KEYS", &keys)]);
    let renewed = app.get("/me", &stamped).await.cookie();
    app.opens(&renewed, "alice").await;
    assert_eq!(&opened(&renewed)["stamp"], stamp);
}

#[tokio::test(start_paused = true)]
async fn every_replacement_of_the_file_is_noticed_within_two_seconds() {
    let path = users_file();
    let app = TestApp::with_users(&path);
    let before = fs::metadata(&path).unwrap();
    let put_time_back = |path: &Path| {
        let file = File::options().write(true).open(path).unwrap();
        file.set_modified(before.modified().unwrap()).unwrap();
        assert_eq!(file.metadata().unwrap().len(), before.len());
    };
    let lets_in_instead_of = async |name: &str, other: &str| {
        two_seconds().await;
        app.login_as(name).await;
        let answer = app.try_password(other, &password_of(other)).await;
        answer.is(StatusCode::UNAUTHORIZED, WRONG);
    };
    write_users(&path, ["carol", "bob"]);
    put_time_back(&path);
    lets_in_instead_of("carol", "alice").await;

    let new = path.with_extension("new");
    write_users(&new, ["david", "bob"]);
    put_time_back(&new);
    fs::rename(&new, &path).unwrap();
    lets_in_instead_of("david", "carol").await;

    #[cfg(unix)]
    for (name, other) in [("ellen", "david"), ("frank", "ellen")] {
        let target = path.with_extension(name);
        write_users(&target, [name, "bob"]);
        put_time_back(&target);
        std::os::unix::fs::symlink(&target, &new).unwrap();
        fs::rename(&new, &path).unwrap();
        lets_in_instead_of(name, other).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_broken_or_missing_file_keeps_the_users_is_reported_once_and_tried_again() {
    let log = Log::start("info");
    let path = users_file();
    let app = TestApp::with_users(&path);
    let alice = app.login_as("alice").await;
    let carol = user("carol");
    for (broken, problem) in [
        ("", "no user stands in it"),
        (&format!("{carol}alice"), "line 2: "),
        (&format!("{carol}\0\n"), "line 2: there must be no NUL"),
        ("missing", "os error"),
    ] {
        // At once, because half a change is a problem of its own.
        let next = path.with_extension("next");
        fs::write(&next, broken).unwrap();
        if broken == "missing" {
            fs::remove_file(&path).unwrap();
        } else {
            fs::rename(&next, &path).unwrap();
        }
        for _ in 0..3 {
            two_seconds().await;
            app.opens(&alice, "alice").await;
        }
        let answer = app.try_password("carol", &password_of("carol")).await;
        answer.is(StatusCode::UNAUTHORIZED, WRONG);
        let log = log.take();
        assert_eq!(log.matches("users_not_reloaded").count(), 1, "{log}");
        assert!(log.contains(problem) && !log.contains("$v=19$"), "{log}");
    }
    fs::write(&path, &carol).unwrap();
    two_seconds().await;
    app.refuses(&alice).await;
    app.login_as("carol").await;
}

/// What is wrong with a users file that holds this; nothing where the app starts with it.
fn problems(text: impl AsRef<[u8]>) -> String {
    let path = working_folder().join("users");
    fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap();
    let found = read(DEBUG, &[("USERS_FILE", path)]);
    let found = found.err().unwrap_or_default();
    found.replace(&format!("  USERS_FILE = {path:?}: "), "")
}

#[test]
fn every_broken_line_stops_the_start_with_its_number_and_the_rule() {
    let good = user_line("bob", "hunter2 hunter2", 8);
    let hash = good.trim_end().strip_prefix("bob:").unwrap();
    let (before, after) = hash.split_once("m=8,t=1,p=1").unwrap();
    let form = "is not of the form name:$argon2id$…, as `hash-password` writes it";
    let bounds = ", at most m=262144 (KiB), t=16, p=4 are taken";
    let with = |parameters| format!("ann:{before}{parameters}{after}");
    let broken = [
        ("ann", form),
        ("ann:", form),
        ("ann:hunter2", form),
        ("ann HASH", form),
        ("ann:HASH:", form),
        (&*good.trim_end().replace("2id", "2i"), form),
        (&good[..good.rfind('$').unwrap()], form),
        (&with("m=1,t=1,p=1"), form),
        (&with("m=262145,t=1,p=1"), bounds),
        (&with("m=8,t=17,p=1"), bounds),
        (&with("m=40,t=1,p=5"), bounds),
        (" :HASH", "must not be blank."),
        (&"a:HASH".replace('a', &"a".repeat(257)), "than 256 bytes."),
        ("a\tnn:HASH", "control characters."),
        ("a\u{200b}nn:HASH", "or unusual blanks."),
        ("bob:HASH", "its user stands on another line already"),
        ("cut off", form),
    ];
    let lines = broken.map(|(line, _)| line.replace("HASH", hash));
    let found = problems(format!("# users\n{good}{}", lines.join("\n")));
    assert!(!found.contains("hunter2") && !found.contains(hash));
    assert_eq!(found.lines().count(), 1 + broken.len() + 1, "{found}");
    assert!(found.ends_with("\nthe last line has no end: the file may be cut off"));
    let found = found.lines().skip(1);
    for ((at, (_, rule)), problem) in broken.iter().enumerate().zip(found) {
        let start = format!("line {}: ", at + 3);
        let says_so = problem.starts_with(&start) && problem.ends_with(rule);
        assert!(says_so, "{start} {rule} and not {problem}");
    }
    let (nul, no_utf8) = ("there must be no NUL in it", "must be UTF-8 and is not");
    for (bytes, number, rule) in [
        (&b"# ann\n\0\n"[..], 2, nul),
        (b"a\0:\0\n\0", 1, nul),
        (b"\n\nren\xe9\n", 3, no_utf8),
        (b"\xff\xfea\0", 1, no_utf8),
    ] {
        let found = problems(bytes);
        assert!(found.contains(&format!("\nline {number}: ")), "{found}");
        assert!(found.ends_with(rule), "{found}");
    }
    assert_eq!(problems(with("m=262144,t=16,p=4") + "\n"), "");
}

#[tokio::test]
async fn a_users_file_may_come_from_any_editor_and_names_and_passwords_count_in_form_c() {
    let path = users_file();
    let bob = user("bob");
    let line = user_line("\t Rene\u{301}: Lee \t", "pässword", 8).replace(":$", " : \t$");
    for mark in ["", "\u{feff}"] {
        for end in ["\n", "\r\n"] {
            let text = format!("{mark}{bob}\n  # comment\n{line}").replace('\n', end);
            fs::write(&path, text).unwrap();
            let app = TestApp::with_users(&path);
            app.login_as("bob").await;
            let (typed, password) = ("Rene\u{301}: Lee ", "pa\u{308}ssword");
            let answer = app.try_password(typed, password).await;
            app.opens(&answer.cookie(), "René: Lee").await;
        }
    }
}

#[tokio::test]
async fn hash_password_makes_a_users_line_and_takes_no_password_from_its_arguments() {
    let folder = working_folder();
    let (users, input) = (folder.join("users"), folder.join("input"));
    let run = |arguments: &[&str], typed: &str| {
        fs::write(&input, typed).unwrap();
        let typed = File::open(&input).unwrap();
        Process::spawn(command(PROGRAM, &folder, arguments, &[]).stdin(typed))
    };
    let name = " Rene\u{301}: Lee";
    let made = run(&["hash-password", name], "pa\u{308}ssword\r\n");
    let (status, line, _) = made.end();
    let start = "René: Lee:$argon2id$v=19$m=19456,t=2,p=1$";
    assert!(status.success() && line.starts_with(start), "{line}");
    fs::write(&users, line).unwrap();
    let app = TestApp::with_users(&users);
    let answer = app.try_password("René: Lee", "pässword").await;
    app.opens(&answer.cookie(), "René: Lee").await;

    for (arguments, typed, words) in [
        (&["hash-password", "ann"][..], "e\u{301}234567\n", "needs 8"),
        (&["hash-password", "ann"], "\n", "not be blank"),
        (&["hash-password", "#ann"], "correct horse\n", "a comment."),
        (&["hash-password", ""], "correct horse\n", "not be blank"),
        (&["hash-password", "ann", "correct horse"], "", "usage: "),
    ] {
        let said = run(arguments, typed).refusal();
        assert!(said.contains(words), "{said}");
    }
}
