//! `USERS_FILE`: who may log in, and with which password.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
    time::Duration,
};

use app::{
    config::Build,
    defaults::{LOGIN_REDIRECT, SESSION_MAX_AGE},
};
use axum::http::StatusCode;
use common::{
    Answer, NO_COOKIE, TestApp, attributes, key, password_of, process::working_folder, read,
    user_line, users_file, write_users,
};

const WRONG: &str = "The user ID or the password is wrong.";

#[tokio::test]
async fn login_with_the_password_of_the_user_answers_303_with_one_set_cookie() {
    let app = TestApp::with_users(&users_file());
    let answer = app.try_password("alice", &password_of("alice")).await;
    answer.redirects_to(LOGIN_REDIRECT);
    assert_eq!(answer.attributes(), attributes(SESSION_MAX_AGE));
    app.opens(&answer.cookie(), "alice").await;
}

#[tokio::test]
async fn an_unknown_user_is_answered_401_in_the_same_words_as_a_wrong_password() {
    let app = TestApp::with_users(&users_file());
    let answers = [
        (
            "alice",
            app.try_password("alice", &password_of("bob")).await,
        ),
        (
            "Alice",
            app.try_password("Alice", &password_of("alice")).await,
        ),
        (
            "mallory",
            app.try_password("mallory", &password_of("alice")).await,
        ),
        (
            "mallory",
            app.try_password("mallory", &password_of("bob")).await,
        ),
        (
            "alice:",
            app.try_password("alice:", &password_of("alice")).await,
        ),
    ];
    let comparable = |(user_id, answer): &(&str, Answer)| {
        let mut headers = answer.headers.clone();
        headers.remove("x-request-id");
        let body = answer.body.replace(&format!(r#"value="{user_id}""#), "");
        (answer.status, headers, body)
    };
    for each in &answers {
        each.1.is(StatusCode::UNAUTHORIZED, WRONG);
        assert!(each.1.body.contains(&format!(r#"value="{}""#, each.0)));
        // The name makes a difference of its own to the length.
        let (mut this, mut first) = (comparable(each), comparable(&answers[0]));
        this.1.remove("content-length");
        first.1.remove("content-length");
        assert_eq!(this, first);
    }
}

#[tokio::test]
async fn a_password_missing_blank_too_long_or_with_control_characters_is_answered_422() {
    let app = TestApp::with_users(&users_file());
    let without = app
        .post_form("/login", NO_COOKIE, &[("user_id", "alice")])
        .await;
    without.is(
        StatusCode::UNPROCESSABLE_ENTITY,
        "The password must not be blank.",
    );
    let long = "p".repeat(257);
    for (password, words) in [
        ("", "The password must not be blank."),
        (" ", "The password must not be blank."),
        (&*long, "The password must not be longer than 256 bytes."),
        (
            "hunter2\n",
            "The password must not hold control characters.",
        ),
    ] {
        let answer = app.try_password("alice", password).await;
        answer.is(StatusCode::UNPROCESSABLE_ENTITY, words);
        assert!(answer.body.contains(r#"value="alice""#), "{}", answer.body);
        assert!(!answer.body.contains("hunter2") && !answer.body.contains(&long));
    }
}

#[tokio::test]
async fn the_login_page_asks_for_a_password_only_where_users_are_configured() {
    let closed = TestApp::with_users(&users_file()).get("/", NO_COOKIE).await;
    let open = TestApp::new().get("/", NO_COOKIE).await;
    for (page, takes_password) in [(closed, true), (open, false)] {
        page.is_page();
        let field = r#"type="password" name="password""#;
        assert_eq!(page.body.contains(field), takes_password, "{}", page.body);
        assert_eq!(page.body.contains("Login is open"), !takes_password);
    }
}

/// Waits until the app looks at its file again.
async fn looks_again() {
    tokio::time::sleep(Duration::from_millis(110)).await;
}

#[tokio::test]
async fn a_removed_users_sessions_end_within_a_tenth_of_a_second() {
    let path = users_file();
    let app = TestApp::with_users(&path);
    let alice = app
        .try_password("alice", &password_of("alice"))
        .await
        .cookie();
    let bob = app.try_password("bob", &password_of("bob")).await.cookie();
    write_users(&path, &["bob"]);
    looks_again().await;
    app.refuses(&alice).await;
    app.opens(&bob, "bob").await;
    app.try_password("alice", &password_of("alice"))
        .await
        .is(StatusCode::UNAUTHORIZED, WRONG);
}

#[tokio::test]
async fn the_file_is_read_again_when_it_changes() {
    let path = users_file();
    let app = TestApp::with_users(&path);
    write_users(&path, &["bob", "carol"]);
    looks_again().await;
    app.try_password("carol", &password_of("carol"))
        .await
        .redirects_to(LOGIN_REDIRECT);
    fs::write(&path, user_line("carol", "something else", 8)).unwrap();
    looks_again().await;
    app.try_password("carol", &password_of("carol"))
        .await
        .is(StatusCode::UNAUTHORIZED, WRONG);
    app.try_password("carol", "something else")
        .await
        .redirects_to(LOGIN_REDIRECT);

    // As an editor does it, and a careful script.
    let new = path.with_extension("new");
    write_users(&new, &["dave"]);
    fs::rename(&new, &path).unwrap();
    looks_again().await;
    app.try_password("dave", &password_of("dave"))
        .await
        .redirects_to(LOGIN_REDIRECT);
}

#[tokio::test]
async fn a_file_that_became_broken_changes_nothing_until_it_is_right_again() {
    let path = users_file();
    let app = TestApp::with_users(&path);
    let alice = app
        .try_password("alice", &password_of("alice"))
        .await
        .cookie();
    let whole = fs::read_to_string(&path).unwrap();
    let carol = user_line("carol", &password_of("carol"), 8);
    for broken in [
        String::new(),
        format!("{carol}alice"),
        format!("{carol}{}", whole.trim_end()),
        whole[..whole.len() - 20].to_owned(),
        format!("{carol}{carol}"),
    ] {
        fs::write(&path, &broken).unwrap();
        looks_again().await;
        app.opens(&alice, "alice").await;
        let answer = app.try_password("carol", &password_of("carol")).await;
        answer.is(StatusCode::UNAUTHORIZED, WRONG);
    }
    fs::remove_file(&path).unwrap();
    looks_again().await;
    app.opens(&alice, "alice").await;
    fs::write(&path, &carol).unwrap();
    looks_again().await;
    app.refuses(&alice).await;
    app.try_password("carol", &password_of("carol"))
        .await
        .redirects_to(LOGIN_REDIRECT);
}

fn problems(path: &Path) -> String {
    let path = path.to_str().unwrap();
    let settings = [("SESSION_KEYS", &*key(b'a')), ("USERS_FILE", path)];
    match read(Build::Release, &settings) {
        Ok(_) => String::new(),
        Err(problems) => problems.replace(path, "FILE"),
    }
}

#[test]
fn a_broken_line_stops_the_start_with_its_number() {
    let path = working_folder().join("users");
    let good = user_line("alice", "hunter2 hunter2", 8);
    let hash = good.trim_end().strip_prefix("alice:").unwrap();
    let rule = "is not of the form name:$argon2id$…, as `hash-password` writes it, with a name of at most 256 bytes";
    let broken = [
        "bob".to_owned(),
        "bob:".to_owned(),
        "bob:hunter2".to_owned(),
        format!(":{hash}"),
        format!(" :{hash}"),
        format!("{}:{hash}", "b".repeat(257)),
        format!("b\tob:{hash}"),
        format!("bob {hash}"),
        format!("bob:{hash}:"),
        format!("bob:{}", hash.replace("argon2id", "argon2i")),
        format!("bob:{}", hash.replace("m=8", "m=1")),
        format!("bob:{}", &hash[..hash.rfind('$').unwrap()]),
    ];
    for line in &broken {
        fs::write(&path, format!("# users\n\n{line}\n{good}")).unwrap();
        let found = problems(&path);
        assert!(
            found.ends_with(&format!("\n  USERS_FILE = \"FILE\": line 3: {rule}")),
            "{line}: {found}"
        );
        assert!(
            !found.contains("hunter2") && !found.contains(hash),
            "{found}"
        );
    }
    fs::write(&path, format!("{}\n{good}{good}carol", broken.join("\n"))).unwrap();
    let found = problems(&path);
    assert_eq!(found.lines().count(), 1 + broken.len() + 3, "{found}");
    assert!(
        found.contains("line 14: its user stands on another line already"),
        "{found}"
    );
    assert!(found.contains("line 15: "), "{found}");
    assert!(
        found.ends_with("the last line has no end: the file may be cut off"),
        "{found}"
    );

    fs::write(&path, "# nobody\n").unwrap();
    assert!(problems(&path).contains("no user stands in it"));
    fs::write(&path, [0xFF, b'\n']).unwrap();
    assert!(problems(&path).contains("USERS_FILE = \"FILE\": "));
    fs::remove_file(&path).unwrap();
    assert!(problems(&path).contains("USERS_FILE = \"FILE\": "));
    fs::write(&path, good.replace('\n', "\r\n")).unwrap();
    assert_eq!(problems(&path), "");
}

fn hash_password(name: &str, typed: &str) -> Output {
    let mut child = Command::new(common::process::PROGRAM)
        .args(["hash-password", name])
        .current_dir(std::env::temp_dir())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(typed.as_bytes())
        .unwrap();
    child.wait_with_output().unwrap()
}

#[tokio::test]
async fn the_app_makes_a_users_line_and_takes_no_password_from_its_arguments() {
    let path = users_file();
    let app = TestApp::with_users(&path);
    let output = hash_password("Ann: Lee", "correct horse\n");
    assert!(output.status.success(), "{output:?}");
    let line = String::from_utf8(output.stdout).unwrap();
    assert!(
        line.starts_with("Ann: Lee:$argon2id$v=19$m=19456,t=2,p=1$"),
        "{line}"
    );
    assert_eq!(line.lines().count(), 1);
    let mut users = OpenOptions::new().append(true).open(&path).unwrap();
    users.write_all(line.as_bytes()).unwrap();
    looks_again().await;
    app.try_password("Ann: Lee", "correct horse")
        .await
        .redirects_to(LOGIN_REDIRECT);

    for (name, typed, words) in [
        (
            "ann",
            "short\n",
            "The password must have at least 8 characters.",
        ),
        ("ann", "\n", "The password must not be blank."),
        (
            "#ann",
            "correct horse\n",
            "A name that starts with # would be a comment.",
        ),
        ("", "correct horse\n", "The name must not be blank."),
    ] {
        let output = hash_password(name, typed);
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(
            String::from_utf8(output.stderr).unwrap(),
            format!("error: {words}\n")
        );
        assert!(output.stdout.is_empty());
    }
    let arguments = ["hash-password", "ann", "correct horse"];
    let said = common::process::Process::start(&arguments, &[]).refusal();
    assert!(said.contains("usage: "), "{said}");
}
