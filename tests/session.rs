//! The session: what its cookie says, whom it opens for, and when it is over.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::time::Duration;

use app::{
    config::Build,
    defaults::{COOKIE_NAME, LOGIN_REDIRECT, SESSION_MAX_AGE},
    session::{
        clock::Timestamp,
        cookie::session_values,
        payload::{Payload, SessionId},
    },
};
use axum::http::{HeaderMap, HeaderValue, header::COOKIE};
use common::{
    NO_COOKIE, START, TestApp, attributes, dashboard, key, opened, payload, signed, value,
};

const INSTANT: Duration = Duration::from_millis(1);

fn before_start(duration: Duration) -> Timestamp {
    Timestamp(START.0 - u64::try_from(duration.as_millis()).unwrap())
}

#[test]
fn the_payload_is_written_as_documented() {
    let facts = Payload {
        id: SessionId(std::array::from_fn(|at| at as u8)),
        issued: Timestamp(1_795_478_400_000),
        ends: Timestamp(1_796_083_200_000),
        active: Timestamp(1_795_478_400_000),
        user_id: "alice".to_owned(),
    };
    let text = format!(
        "v1:{COOKIE_NAME}:AAECAwQFBgcICQoLDA0ODw:1795478400000:1796083200000:1795478400000:YWxpY2U"
    );
    assert_eq!(facts.to_string(), text);
    assert_eq!(Payload::parse(&text), Some(facts));
}

#[test]
fn only_the_canonical_spelling_of_a_payload_is_read() {
    let text = payload("alice").to_string();
    let refused = [
        ("v1", "v2"),
        ("v1", "V1"),
        ("v1", " v1"),
        (COOKIE_NAME, "csrf-token"),
        (COOKIE_NAME, ""),
        ("BwcH", "BwcHBwcH"),
        ("BwcH", ""),
        ("Bw:", "Bx:"),
        ("Bw:", "Bw==:"),
        (":179", ":0179"),
        (":179", ":+179"),
        (":179", ":-179"),
        (":179", ": 179"),
        (":179", ":99999999179"),
        ("YWxpY2U", "YWxpY2V"),
        ("YWxpY2U", "YWxpY2U="),
        ("YWxpY2U", "YWxpY2U:"),
        ("YWxpY2U", "YWxpY2U "),
        ("YWxpY2U", "_-8"),
        (":YWxpY2U", ""),
    ];
    for (from, to) in refused {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from}");
        assert_eq!(Payload::parse(&changed), None, "{changed}");
    }
}

#[tokio::test]
async fn a_login_says_who_since_when_and_until_when() {
    let app = TestApp::new();
    app.at(INSTANT);
    let cookie = app.login("alice").await;
    let now = START + INSTANT;
    let expected = Payload {
        id: opened(&cookie).id,
        issued: now,
        ends: now + SESSION_MAX_AGE,
        active: now,
        user_id: "alice".to_owned(),
    };
    assert_eq!(opened(&cookie), expected);
}

#[tokio::test]
async fn only_what_was_signed_for_this_purpose_and_this_time_opens() {
    let app = TestApp::new();
    let (ours, facts) = (key(b'a'), payload("alice"));
    let text = facts.to_string();
    let issued = |issued| Payload {
        issued,
        ..facts.clone()
    };
    let opens = [
        text.clone(),
        issued(before_start(SESSION_MAX_AGE - INSTANT)).to_string(),
    ];
    for text in opens {
        let cookie = signed(&ours, &text);
        app.opens(&cookie, "alice").await;
    }

    let ends = |ends| Payload {
        ends,
        ..facts.clone()
    };
    let refused = [
        "alice".to_owned(),
        text.replacen(COOKIE_NAME, "csrf-token", 1),
        text.replacen("v1", "v2", 1),
        format!("{text}:"),
        issued(START + Duration::from_millis(1001)).to_string(),
        issued(START + SESSION_MAX_AGE).to_string(),
        issued(before_start(SESSION_MAX_AGE)).to_string(),
        ends(START).to_string(),
        ends(before_start(INSTANT)).to_string(),
        ends(Timestamp(0)).to_string(),
    ];
    for text in refused {
        app.refuses(&signed(&ours, &text)).await;
    }

    let foreign = signed(&key(b'b'), &text);
    let unsigned = format!("{COOKIE_NAME}={text}");
    let swapped = format!(
        "{}{text}",
        &signed(&ours, "alice")[..COOKIE_NAME.len() + 45]
    );
    for cookie in [&foreign, &unsigned, &swapped] {
        app.refuses(cookie).await;
    }
}

#[tokio::test]
async fn a_session_ends_on_the_server_when_its_max_age_is_over() {
    let app = TestApp::new();
    let cookie = app.login("alice").await;
    app.at(SESSION_MAX_AGE - INSTANT);
    app.opens(&cookie, "alice").await;
    app.at(SESSION_MAX_AGE);
    app.refuses(&cookie).await;

    let promised_more = Payload {
        ends: Timestamp(u64::MAX),
        ..payload("alice")
    };
    app.refuses(&signed(&key(b'a'), promised_more)).await;
}

#[tokio::test]
async fn a_login_starts_a_new_session_and_ends_the_one_that_came_with_it() {
    let app = TestApp::new();
    let first = app.login("alice").await;
    let other = app.login("alice").await;
    let fields = [("user_id", "alice")];
    let second = app.post_form("/login", &first, &fields).await.cookie();

    assert_ne!(opened(&first).id, opened(&second).id);
    assert_ne!(opened(&first).id, opened(&other).id);
    app.refuses(&first).await;
    app.opens(&second, "alice").await;
    app.opens(&other, "alice").await;

    let both = format!("{second}; {other}");
    let third = app.post_form("/login", &both, &fields).await.cookie();
    app.refuses(&second).await;
    app.refuses(&other).await;
    app.opens(&third, "alice").await;
}

#[tokio::test]
async fn a_cookie_that_was_logged_out_stays_refused() {
    let app = TestApp::new();
    let cookie = app.login("alice").await;
    app.logout(&cookie).await;
    for since_start in [
        Duration::ZERO,
        SESSION_MAX_AGE / 2,
        SESSION_MAX_AGE - INSTANT,
    ] {
        app.at(since_start);
        for _ in 0..3 {
            let others = app.login("bob").await;
            app.logout(&others).await;
        }
        app.refuses(&cookie).await;
    }
}

#[tokio::test]
async fn cookies_that_do_not_verify_change_nothing() {
    let app = TestApp::new();
    let live = app.login("alice").await;
    let ended = app.login("bob").await;
    app.logout(&ended).await;
    let expired = Payload {
        ends: START,
        ..payload("carol")
    };
    for other in [
        ended,
        signed(&key(b'a'), expired),
        signed(&key(b'a'), "dave"),
        signed(&key(b'b'), payload("eve")),
        format!("{COOKIE_NAME}="),
        format!("{COOKIE_NAME}=frank"),
        COOKIE_NAME.to_owned(),
    ] {
        for cookies in [format!("{live}; {other}"), format!("{other}; {live}")] {
            app.opens(&cookies, "alice").await;
        }
    }
}

#[tokio::test]
async fn two_different_live_sessions_are_no_session() {
    let app = TestApp::new();
    let (alice, bob) = (app.login("alice").await, app.login("bob").await);
    let again = app.login("alice").await;
    for other in [&bob, &again] {
        app.refuses(&format!("{alice}; {other}")).await;
        assert_eq!(
            app.who_sends(&[alice.as_bytes(), other.as_bytes()]).await,
            None
        );
    }
    app.opens(&format!("{alice}; {alice}"), "alice").await;
}

#[tokio::test]
async fn the_name_is_compared_as_it_was_sent() {
    let app = TestApp::new();
    let (alice, bob) = (app.login("alice").await, app.login("bob").await);
    let (first, rest) = COOKIE_NAME.split_at(1);
    let flipped: String = COOKIE_NAME
        .chars()
        .map(|char| match char.is_ascii_lowercase() {
            true => char.to_ascii_uppercase(),
            false => char.to_ascii_lowercase(),
        })
        .collect();
    for name in [
        format!("%{:02X}{rest}", first.as_bytes()[0]),
        flipped,
        format!("{COOKIE_NAME}2"),
        format!("x{COOKIE_NAME}"),
        format!("\"{COOKIE_NAME}\""),
        format!("{COOKIE_NAME} "),
    ] {
        let other = format!("{name}={}", value(&bob));
        app.refuses(&other).await;
        for cookies in [format!("{alice}; {other}"), format!("{other}; {alice}")] {
            app.opens(&cookies, "alice").await;
        }
    }
}

#[tokio::test]
async fn a_strange_byte_in_another_cookie_hides_nothing() {
    let app = TestApp::new();
    let cookie = app.login("alice").await;
    let cookie = cookie.as_bytes();
    for other in [
        &b"theme=\xFF"[..],
        b"\xC3\x28=1",
        b"a=\"b",
        b"=",
        b"",
        b"a=%",
        b"a\tb",
        COOKIE_NAME.as_bytes(),
        &[COOKIE_NAME.as_bytes(), b"=\xFF"].concat(),
    ] {
        for cookies in [[other, cookie], [cookie, other]] {
            let joined = cookies.join(&b"; "[..]);
            for headers in [&[joined.as_slice()][..], &cookies] {
                assert_eq!(app.who_sends(headers).await.as_deref(), Some("alice"));
            }
        }
    }
    let no_space = [b"%61=b;", cookie, b";%63=d"].concat();
    assert_eq!(app.who_sends(&[&no_space]).await.as_deref(), Some("alice"));
}

#[test]
fn the_values_are_read_from_every_cookie_header_as_they_were_sent() {
    let mut headers = HeaderMap::new();
    for cookies in [
        format!("x{COOKIE_NAME}=b; {COOKIE_NAME}=%31; {COOKIE_NAME}x=no"),
        format!("{COOKIE_NAME}=2=3;{COOKIE_NAME}= "),
    ] {
        headers.append(COOKIE, HeaderValue::try_from(cookies).unwrap());
    }
    let values: Vec<_> = session_values(&headers).collect();
    assert_eq!(values, ["%31", "2=3", ""]);
}

#[tokio::test]
async fn the_cookie_of_the_longest_user_id_stays_within_4096_bytes() {
    let app = TestApp::new();
    for user_id in ["é".repeat(128), "\u{10FFFF}".repeat(64), "%".repeat(256)] {
        assert_eq!(user_id.len(), 256);
        let cookie = app.login(&user_id).await;
        assert!(cookie.len() <= 4096, "{} bytes", cookie.len());
        assert_eq!(app.who(&cookie).await, Some(user_id));
    }
}

#[tokio::test]
async fn without_an_idle_timeout_and_with_one_key_nothing_is_renewed() {
    let app = TestApp::new();
    let cookie = app.login("alice").await;
    app.at(SESSION_MAX_AGE - INSTANT);
    for path in ["/", "/me", LOGIN_REDIRECT] {
        let answer = app.get(path, &cookie).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("set-cookie"), None);
    }
}

#[tokio::test]
async fn an_idle_timeout_ends_a_session_that_was_silent_that_long() {
    let idle = SESSION_MAX_AGE / 4;
    let app = TestApp::idle(idle);
    let cookie = app.login("alice").await;
    app.at(idle - INSTANT);
    app.opens(&cookie, "alice").await;
    app.at(idle);
    app.refuses(&cookie).await;
}

#[tokio::test]
async fn a_renewal_comes_after_a_tenth_of_the_idle_timeout_with_every_page() {
    let idle = SESSION_MAX_AGE / 4;
    let app = TestApp::idle(idle);
    let cookie = app.login("alice").await;

    app.at(idle / 10 - INSTANT);
    assert_eq!(app.get("/me", &cookie).await.header("set-cookie"), None);

    app.at(idle / 10);
    for path in ["/me", "/", dashboard().unwrap_or("/me")] {
        let answer = app.get(path, &cookie).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.attributes(), attributes(SESSION_MAX_AGE - idle / 10));
        let renewed = Payload {
            active: START + idle / 10,
            ..opened(&cookie)
        };
        assert_eq!(opened(&answer.cookie()), renewed);
    }

    let renewed = app.get("/me", &cookie).await.cookie();
    app.at(idle);
    app.refuses(&cookie).await;
    app.opens(&renewed, "alice").await;
    let both = format!("{cookie}; {renewed}");
    app.opens(&both, "alice").await;
}

#[tokio::test]
async fn no_renewal_goes_past_the_absolute_end() {
    let idle = SESSION_MAX_AGE / 4;
    let app = TestApp::idle(idle);
    let mut cookie = app.login("alice").await;
    for fifth in 1..5 {
        let since_start = SESSION_MAX_AGE / 5 * fifth;
        app.at(since_start);
        let answer = app.get("/me", &cookie).await;
        assert_eq!(
            answer.attributes(),
            attributes(SESSION_MAX_AGE - since_start)
        );
        cookie = answer.cookie();
        assert_eq!(opened(&cookie).ends, START + SESSION_MAX_AGE);
    }
    app.at(SESSION_MAX_AGE);
    app.refuses(&cookie).await;
}

#[tokio::test]
async fn a_renewal_does_not_bring_back_a_session_that_was_logged_out() {
    let idle = SESSION_MAX_AGE / 4;
    let app = TestApp::idle(idle);
    let cookie = app.login("alice").await;
    app.at(idle / 2);
    let renewed = app.get("/me", &cookie).await.cookie();
    assert_ne!(cookie, renewed);

    app.logout(&cookie).await;
    for cookie in [&cookie, &renewed] {
        app.get("/me", cookie).await.is_unauthorized();
    }
}

#[tokio::test]
async fn a_change_of_the_session_outranks_its_renewal() {
    let idle = SESSION_MAX_AGE / 4;
    let app = TestApp::idle(idle);
    let cookie = app.login("alice").await;
    app.at(idle / 2);
    let fields = [("user_id", "bob")];
    let bob = app.post_form("/login", &cookie, &fields).await.cookie();
    assert_eq!(opened(&bob).user_id, "bob");
    assert_eq!(app.logout(&bob).await.cookie(), format!("{COOKIE_NAME}="));
    let answer = app.get("/", NO_COOKIE).await;
    assert_eq!(answer.header("set-cookie"), None);
}

#[tokio::test]
async fn replacing_keys_logs_nobody_out_and_dropping_one_only_its_own() {
    let keys = |keys: &[u8]| {
        keys.iter()
            .map(|letter| key(*letter))
            .collect::<Vec<_>>()
            .join(",")
    };
    let app = |letters| TestApp::with(Build::Release, &[("SESSION_KEYS", &keys(letters))]);
    let (old, both, new) = (app(b"a"), app(b"ba"), app(b"b"));
    let (alice, bob) = (old.login("alice").await, both.login("bob").await);

    let answer = both.get("/me", &alice).await;
    assert_eq!(answer.body, "Logged in as alice");
    assert_eq!(answer.attributes(), attributes(SESSION_MAX_AGE));
    let resigned = answer.cookie();
    assert_eq!(opened(&resigned), opened(&alice));
    assert_ne!(resigned, alice);
    assert_eq!(both.get("/me", &resigned).await.header("set-cookie"), None);

    for (app, cookie, who) in [
        (&old, &alice, Some("alice")),
        (&old, &resigned, None),
        (&old, &bob, None),
        (&new, &alice, None),
        (&new, &resigned, Some("alice")),
        (&new, &bob, Some("bob")),
    ] {
        assert_eq!(app.who(cookie).await.as_deref(), who);
    }

    both.logout(&alice).await;
    both.refuses(&resigned).await;
}
