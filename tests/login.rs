//! `GET /login` and `POST /login`: who gets in, and what the answer carries.

mod common;

use common::*;

const TOO_LONG: &str = "be longer than 256 bytes.";
const INVISIBLE: &str = "hold invisible characters or unusual blanks.";
const INCOMPLETE: &str = "The form has a field twice, or one that cannot be read.";

#[tokio::test]
async fn login_answers_303_to_the_login_redirect_with_one_set_cookie() {
    let app = TestApp::new();
    let answer = app.try_password("alice", "").await;
    answer.redirects_to(LOGIN_REDIRECT);
    assert!(answer.header("set-cookie").is_some());
    assert_eq!(answer.attributes(), attributes(SESSION_MAX_AGE));
    app.opens(&answer.cookie(), "alice").await;
}

#[tokio::test]
async fn what_is_missing_or_outside_the_rules_is_answered_422_in_words_without_a_cookie() {
    let (app, of_users) = (TestApp::new(), TestApp::with_users(&users_file()));
    let live = app.login_as("alice").await;
    let too_long = format!("{}|{}a", "a".repeat(257), "é".repeat(128));
    let invisible = "a\u{a0}b|a\u{2028}b|a\u{ad}b|a\u{61c}b|\u{200b}|a\u{200d}b|a\u{202e}b|\
                     a\u{2066}b|\u{feff}a|a\u{e0041}";
    for (rule, typed) in [
        ("be blank.", "| \t\r\n|\u{3000}\u{a0}"),
        (TOO_LONG, &too_long),
        ("hold control characters.", "a\nb|a\0|\u{7f}a|a\u{85}b"),
        (INVISIBLE, invisible),
    ] {
        for typed in typed.split('|') {
            let fields = [("user_id", typed)];
            let answer = app.post_form("/login", &live, &fields).await;
            answer.is(StatusCode::UNPROCESSABLE_ENTITY, "");
            assert_eq!(answer.body, format!("The user ID must not {rule}"));
            // A password may hold what cannot be seen.
            if rule != INVISIBLE {
                let answer = of_users.try_password("alice", typed).await;
                answer.is(StatusCode::UNPROCESSABLE_ENTITY, "");
                assert_eq!(answer.body, format!("The password must not {rule}"));
            }
        }
    }
    app.opens(&live, "alice").await;

    let blank = "The user ID must not be blank.";
    let two_next = [("user_id", "alice"), ("next", "/a"), ("next", "/b")];
    for (query, fields, words) in [
        ("", &[][..], blank),
        ("", &[("USER_ID", "alice")], blank),
        ("?user_id=alice", &[("next", "/")], blank),
        ("", &[("user_id", "alice"), ("user_id", "bob")], INCOMPLETE),
        ("", &two_next, INCOMPLETE),
    ] {
        let path = format!("/login{query}");
        let answer = app.post_form(&path, NO_COOKIE, fields).await;
        answer.is(StatusCode::UNPROCESSABLE_ENTITY, words);
    }
}

#[tokio::test]
async fn a_user_id_within_the_rules_counts_without_the_blanks_around_it_and_in_form_c() {
    let app = TestApp::new();
    let (longest, shrinks) = ("a".repeat(256), "e\u{301}".repeat(128));
    for (typed, counts) in [
        ("a", "a"),
        (" Ann  Lee\t\r\n", "Ann  Lee"),
        ("\u{3000}Ann\u{a0}", "Ann"),
        ("a;b=c, d", "a;b=c, d"),
        ("a:b:c", "a:b:c"),
        ("100% \"sure\" \\ +1", "100% \"sure\" \\ +1"),
        ("žluťoučký 🐎", "žluťoučký 🐎"),
        ("Rene\u{301}", "René"),
        ("\u{212b}", "Å"),
        // What is compatible and not the same stays different.
        ("\u{fb01}\u{ff21}", "\u{fb01}\u{ff21}"),
        (&shrinks, &"é".repeat(128)),
        (&longest, &longest),
        (&format!(" {longest} "), &longest),
    ] {
        let cookie = app.login_as(typed).await;
        app.opens(&cookie, counts).await;
        assert_eq!(opened(&cookie)["sub"], counts);
    }
}

#[tokio::test]
async fn a_refused_login_shows_a_browser_the_form_with_what_was_typed_except_the_password() {
    let app = TestApp::new();
    let a = "a".repeat(257);
    let (long, shown) = (format!("{a}\"><"), format!("value=\"{a}&quot;&gt;&lt;\""));
    let typed = [("password", "hunter2"), ("next", "/kept?a=b")];
    let fields = [&typed[..], &[("user_id", &long)]].concat();
    for (accept, shows_form) in [("text/html,*/*;q=0.8", true), ("*/*", false)] {
        let answer = app.login_with(accept, &fields).await;
        answer.is(StatusCode::UNPROCESSABLE_ENTITY, TOO_LONG);
        let next = "\"next\" value=\"/kept?a=b\"";
        for part in ["action=\"/login\"", next, &shown] {
            assert_eq!(answer.body.contains(part), shows_form, "{}", answer.body);
        }
        assert!(!answer.body.contains("hunter2"));
    }
}

#[tokio::test]
async fn a_wrong_content_type_is_answered_415_and_a_body_over_16_kib_413() {
    let app = TestApp::new();
    let plain = || request(Method::POST, "/login", NO_COOKIE);
    let post = |content_type: &str| plain().header(header::CONTENT_TYPE, content_type);
    let words = "This address takes application/x-www-form-urlencoded.";
    let refused = [
        "text/plain",
        "application/json",
        "multipart/form-data; boundary=x",
    ]
    .map(post);
    for request in refused.into_iter().chain([plain()]) {
        let answer = app.send(request, "user_id=alice").await;
        answer.is(StatusCode::UNSUPPORTED_MEDIA_TYPE, words);
    }
    let with_charset = format!("{FORM}; charset=utf-8");
    let answer = app.send(post(&with_charset), "user_id=alice").await;
    answer.redirects_to(LOGIN_REDIRECT);

    let longest = format!("{:x<16384}", form(&[("user_id", "alice"), ("next", "/")]));
    let answer = app.send(post(FORM), longest.clone()).await;
    answer.redirects_to(LOGIN_REDIRECT);
    let answer = app.send(post(FORM), longest + "x").await;
    answer.is(StatusCode::PAYLOAD_TOO_LARGE, "The form is too large.");
    let announced = post(FORM).header(header::CONTENT_LENGTH, 2 * 1024 * 1024 + 1);
    let answer = app.send(announced, "").await;
    answer.is(StatusCode::PAYLOAD_TOO_LARGE, "length limit exceeded");
}

#[tokio::test]
async fn a_link_cannot_log_in_and_leads_whoever_is_logged_in_to_the_login_redirect() {
    let app = TestApp::new();
    let cookie = app.login_as("alice").await;
    let path = "/login?user_id=bob&next=/elsewhere";
    for method in [Method::GET, Method::HEAD] {
        let answer = app.send(request(method.clone(), path, NO_COOKIE), "").await;
        answer.is_page();
        answer.is(StatusCode::OK, "");
        let answer = app.send(request(method, path, &cookie), "").await;
        answer.redirects_to(LOGIN_REDIRECT);
        assert_eq!(answer.header("set-cookie"), None);
    }
    for method in [Method::PUT, Method::DELETE, Method::PATCH] {
        let answer = app.send(request(method, path, NO_COOKIE), "").await;
        answer.is(StatusCode::METHOD_NOT_ALLOWED, "");
        answer.has("allow", "GET,HEAD,POST");
    }
}
