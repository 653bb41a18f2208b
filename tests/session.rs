//! The session: what its cookie says, whom it opens for, and when it is over.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use app::session::{Session, SessionData};
use axum::{Json, Router, routing::get};
use common::*;

/// An idle timeout that is shorter than every lifetime, in seconds.
const IDLE: i64 = LIFETIME / 4;
/// The first second in which a tenth of it has passed.
const RENEWAL: i64 = (IDLE + 9) / 10;

fn app_with_idle_timeout() -> TestApp {
    let mut config = config(DEBUG, &[]);
    config.session.idle_timeout = Some(SESSION_MAX_AGE / 4);
    TestApp::configured(config)
}

/// The attributes of a cookie that is renewed so many seconds after login.
fn attributes_after(seconds: i64) -> Vec<String> {
    attributes(Duration::from_secs((LIFETIME - seconds) as u64))
}

/// The claims of a session of `alice`, with one member changed.
fn with(member: &str, value: impl Into<Value>) -> Value {
    let mut claims = claims("alice");
    claims[member] = value.into();
    claims
}

#[tokio::test]
async fn the_server_ends_a_session_when_its_time_is_over_and_a_clock_a_minute_behind_ends_none() {
    for (app, end) in [(TestApp::new(), LIFETIME), (app_with_idle_timeout(), IDLE)] {
        let cookie = app.login_as("alice").await;
        let live = [-60, end - 1].map(|seconds| (seconds, true));
        let over = [-61, end].map(|seconds| (seconds, false));
        for (seconds, opens) in live.into_iter().chain(over) {
            app.at(seconds);
            assert_eq!(app.who(&cookie).await.is_some(), opens, "{seconds}");
        }
    }
}

#[tokio::test]
async fn the_cookie_says_who_is_logged_in_since_and_until_when_as_axum_extra_signs_it() {
    let app = TestApp::new();
    let cookie = app.login_as("alice").await;
    assert_eq!(signed(&key(b'a'), &value(&cookie)[SIGNATURE..]), cookie);
    let said = opened(&cookie);
    let id = said["jti"].as_str().unwrap();
    assert_eq!(BASE64_URL_SAFE_NO_PAD.decode(id).unwrap().len(), 16);
    let mut expected = with("jti", id);
    expected["data"] = serde_json::to_value(SessionData::default()).unwrap();
    assert_eq!(said, expected);
}

#[tokio::test]
async fn only_what_was_signed_for_this_purpose_and_this_time_opens() {
    let app = TestApp::new();
    let almost_over = with("iat", START - LIFETIME + 1);
    app.opens(&forged(&almost_over), "alice").await;

    let required = ["v", "aud", "jti", "sub", "iat", "exp", "act"];
    let missing = required.map(|member| with(member, Value::Null));
    let changed = [
        with("v", 1),
        with("v", 3),
        with("aud", ""),
        with("aud", format!("{COOKIE_NAME}x")),
        with("iat", START - LIFETIME),
        // The first second that `time` knows, and one beyond its last.
        with("iat", -377_705_116_800_i64),
        with("exp", START),
        with("exp", i64::MAX),
    ];
    for claims in missing.iter().chain(&changed) {
        app.refuses(&forged(claims)).await;
    }

    let claims = claims("alice");
    let text = encoded(&claims);
    for other in ["alice", &claims.to_string(), &format!("{text}=")] {
        app.refuses(&signed(&key(b'a'), other)).await;
    }
    app.refuses(&signed(&key(b'b'), &text)).await;
    app.refuses(&format!("{COOKIE_NAME}={text}")).await;
}

#[tokio::test]
async fn a_cookie_from_before_or_after_an_added_value_counts_with_the_default() {
    let data = async |session: Session| Json(session.data().clone());
    let app = TestApp::around(Router::new().route("/@data", get(data)));
    let default = serde_json::to_string(&SessionData::default()).unwrap();
    let mut without_data = claims("alice");
    without_data.as_object_mut().unwrap().remove("data");
    // No field of a struct has a name with an `@`.
    for claims in [
        without_data,
        with("@added", "later"),
        with("data", json!({"@added": ["later"]})),
    ] {
        let answer = app.get("/@data", &forged(&claims)).await;
        answer.is(StatusCode::OK, "");
        assert_eq!(answer.body, default, "{claims}");
    }
}

#[tokio::test]
async fn logout_everywhere_ends_what_was_issued_before_whatever_the_clocks_say() {
    let app = TestApp::new();
    // From after a logout everywhere that the store has lost.
    let mut cookie = forged(&with("gen", START + 100));
    app.at(60);
    let ahead = app.login_as("alice").await;
    // Twice in the same second, and then on a clock that is behind.
    for seconds in [0, 0, -60] {
        app.at(seconds);
        app.logout_everywhere(&cookie).await;
        let next = app.login_as("alice").await;
        app.refuses(&cookie).await;
        app.opens(&next, "alice").await;
        cookie = next;

        app.at(60);
        app.refuses(&ahead).await;
    }
}

#[tokio::test]
async fn a_login_starts_a_new_session_and_ends_the_one_that_came_with_it() {
    let app = app_with_idle_timeout();
    let (first, other) = (app.login_as("alice").await, app.login_as("alice").await);
    app.at(RENEWAL);
    let fields = [("user_id", "alice")];
    let second = app.post_form("/login", &first, &fields).await.cookie();
    assert_ne!(opened(&first)["jti"], opened(&second)["jti"]);
    app.refuses(&first).await;
    app.opens(&second, "alice").await;
    app.opens(&other, "alice").await;
}

#[tokio::test]
async fn a_cookie_that_was_logged_out_stays_refused_and_so_do_its_renewals() {
    let app = app_with_idle_timeout();
    let cookie = app.login_as("alice").await;
    app.at(RENEWAL);
    let renewed = app.get("/me", &cookie).await.cookie();
    assert_ne!(cookie, renewed);
    let removal = app.logout(&cookie).await.cookie();
    assert_eq!(removal, format!("{COOKIE_NAME}="));
    for seconds in [RENEWAL, IDLE - 1] {
        app.at(seconds);
        let bob = app.login_as("bob").await;
        app.logout(&bob).await;
        app.refuses(&cookie).await;
        app.refuses(&renewed).await;
    }
}

/// Checks that `other` is no session, and changes nothing beside one.
async fn is_ignored(app: &TestApp, other: impl AsRef<[u8]>) {
    let (other, live) = (other.as_ref(), forged(&claims("alice")));
    assert_eq!(app.who_sends(&[other]).await, None);
    for cookies in [[other, live.as_bytes()], [live.as_bytes(), other]] {
        for headers in [&[&*cookies.join(&b"; "[..])][..], &cookies] {
            assert_eq!(app.who_sends(headers).await.as_deref(), Some("alice"));
        }
    }
}

#[tokio::test]
async fn cookies_that_do_not_verify_change_nothing_and_a_strange_byte_hides_nothing() {
    let app = TestApp::new();
    let ended = app.login_as("bob").await;
    app.logout(&ended).await;
    for other in [
        ended,
        forged(&with("exp", START)),
        signed(&key(b'b'), &encoded(&claims("dave"))),
        format!("{COOKIE_NAME}="),
        COOKIE_NAME.to_owned(),
    ] {
        is_ignored(&app, other).await;
    }
    let strange: [&[u8]; 8] = [
        b"_a=\xFF", b"\xC3=1", b"_a=\"b", b"=", b"", b"_a=%", b"_a\tb", b"%61=b;",
    ];
    for other in strange {
        is_ignored(&app, other).await;
    }
    is_ignored(&app, [COOKIE_NAME.as_bytes(), b"=\xFF"].concat()).await;
}

#[tokio::test]
async fn the_name_is_compared_as_it_was_sent() {
    let app = TestApp::new();
    let bob = app.login_as("bob").await;
    let (first, rest) = COOKIE_NAME.split_at(1);
    let flipped = COOKIE_NAME.chars().map(|char| match char {
        'a'..='z' => char.to_ascii_uppercase(),
        _ => char.to_ascii_lowercase(),
    });
    for name in [
        format!("%{:02X}{rest}", first.as_bytes()[0]),
        flipped.collect(),
        format!("{COOKIE_NAME}2"),
        format!("x{COOKIE_NAME}"),
        format!("\"{COOKIE_NAME}\""),
        format!("{COOKIE_NAME} "),
    ] {
        is_ignored(&app, format!("{name}={}", value(&bob))).await;
    }
}

#[tokio::test]
async fn a_value_quoted_or_percent_encoded_is_the_same_session_and_two_different_ones_are_none() {
    let app = TestApp::new();
    let cookie = app.login_as("alice").await;
    for other in [app.login_as("bob").await, app.login_as("alice").await] {
        app.refuses(&format!("{cookie}; {other}")).await;
    }
    let value = value(&cookie);
    let encoded = value.replace('+', "%2B").replace('/', "%2f");
    let encoded = encoded.replace('=', "%3D");
    let (quoted, both) = (format!("\"{value}\""), format!("\"{encoded}\""));
    for same in [value, &quoted, &encoded, &both] {
        let same = format!("{COOKIE_NAME}={same}");
        app.opens(&same, "alice").await;
        app.opens(&format!("{cookie}; {same}"), "alice").await;
    }
    for other in [
        format!("\"{value}"),
        format!("\"\"{value}\"\""),
        encoded.replace('%', "%25"),
    ] {
        is_ignored(&app, format!("{COOKIE_NAME}={other}")).await;
    }
}

#[tokio::test]
async fn every_page_renews_after_a_tenth_of_the_idle_timeout_and_silence_ends_a_session() {
    let app = app_with_idle_timeout();
    let cookie = app.login_as("alice").await;
    app.at(RENEWAL - 1);
    app.get("/me", &cookie).await.is(StatusCode::OK, "alice");

    app.at(RENEWAL);
    let mut expected = opened(&cookie);
    expected["act"] = json!(START + RENEWAL);
    for path in ["/", "/me", LOGIN_REDIRECT] {
        let answer = app.get(path, &cookie).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.attributes(), attributes_after(RENEWAL));
        assert_eq!(opened(&answer.cookie()), expected);
    }

    let renewed = app.get("/me", &cookie).await.cookie();
    app.at(IDLE - 1);
    app.opens(&cookie, "alice").await;
    app.opens(&format!("{cookie}; {renewed}"), "alice").await;
    app.at(IDLE);
    app.refuses(&cookie).await;
    app.opens(&renewed, "alice").await;
}

#[tokio::test]
async fn no_renewal_goes_past_the_absolute_end() {
    let app = app_with_idle_timeout();
    let mut cookie = app.login_as("alice").await;
    for seconds in [1, 2, 3, 4].map(|fifths| LIFETIME / 5 * fifths) {
        app.at(seconds);
        let answer = app.get("/me", &cookie).await;
        assert_eq!(answer.attributes(), attributes_after(seconds));
        cookie = answer.cookie();
    }
    app.at(LIFETIME);
    app.refuses(&cookie).await;
}

#[tokio::test]
async fn replacing_keys_logs_nobody_out_and_dropping_one_only_its_own() {
    let app = |letters: &[u8]| {
        let keys: Vec<_> = letters.iter().map(|letter| key(*letter)).collect();
        TestApp::with(RELEASE, &[("SESSION_KEYS", &keys.join(","))])
    };
    let (old, both, new) = (app(b"a"), app(b"ba"), app(b"b"));
    let (alice, bob) = (old.login_as("alice").await, both.login_as("bob").await);

    let answer = both.get("/me", &alice).await;
    assert_eq!(answer.attributes(), attributes(SESSION_MAX_AGE));
    let resigned = answer.cookie();
    assert_eq!(opened(&resigned), opened(&alice));
    both.get("/me", &resigned).await.is(StatusCode::OK, "alice");

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
}
