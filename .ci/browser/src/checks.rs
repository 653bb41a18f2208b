//! What has to hold in a browser.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use thirtyfour::Key;

use crate::{
    Outcome, Report,
    processes::PASSWORD,
    visitor::{Visitor, ensure},
};

/// A user id that would do harm on a page that does not escape it.
const MARKUP: &str = r#"<img src=x onerror=alert(1)>&"'"#;

/// Fits the field, whose limit counts characters, and not the rule, which counts bytes.
fn too_long_user_id() -> String {
    "€".repeat(100)
}

/// The longest user id there may be, without a place to break it.
fn long_user_id() -> String {
    "m".repeat(256)
}

pub async fn all(report: &mut Report, visitor: &Visitor) {
    macro_rules! check {
        ($claim:expr, $check:expr) => {
            report.check($claim, visitor, $check).await
        };
    }
    check!(
        "the login form is labelled, and leads to the login redirect",
        login
    );
    check!("the session cookie has every attribute", cookie);
    check!("logout ends the session", logout);
    check!(
        "after logout nothing behind the back button answers",
        back_button
    );
    let brings_back = match visitor.choices.login_redirect.as_str() {
        "/" => "a visitor of `/?tab=2` logs in there",
        "/me" => "`/me` answers 401 where it was asked, and login leads to it",
        _ => "the dashboard asks to log in, and login leads back to its exact address",
    };
    check!(brings_back, return_to);
    check!(
        "no other site can log a visitor in or out",
        cross_site_forms
    );
    check!("no link can log a visitor in or out", links);
    check!(
        "the cookie comes along from another site as SameSite says",
        same_site
    );
    check!(
        "the console stays empty, and the styles apply",
        console_and_styles
    );
    check!("markup in a user id is shown as text", markup);
    check!("a refused user id is said beside what was typed", problem);
    check!(
        "after a mistyped password the page can be loaded again, and the right one leads on",
        mistyped_password
    );
    check!("a keyboard is enough", keyboard);
    check!("no page needs JavaScript", without_scripts);
    check!("no page is wider than a phone", phone);
}

async fn login(visitor: &Visitor) -> Outcome {
    visitor.open("/").await?;
    visitor.expect_login_form().await?;
    visitor.open("/login").await?;
    visitor.expect_login_form().await?;
    let tree = visitor
        .devtools("Accessibility.getFullAXTree", json!({}))
        .await?;
    for (role, name) in [
        ("textbox", "User ID"),
        ("button", "Log in"),
        ("heading", "Log in"),
    ] {
        let is_there = tree["nodes"].as_array().is_some_and(|nodes| {
            nodes
                .iter()
                .any(|node| node["role"]["value"] == role && node["name"]["value"] == name)
        });
        ensure(is_there, || {
            format!("no {role} has the accessible name {name:?}")
        })?;
    }
    visitor.log_in("alice").await
}

async fn cookie(visitor: &Visitor) -> Outcome {
    let choices = &visitor.choices;
    visitor.open("/").await?;
    visitor.expect_no_cookie().await?;
    visitor.log_in("alice").await?;
    let end = SystemTime::now().duration_since(UNIX_EPOCH)? + choices.max_age;

    let cookie = visitor.cookie().await?.ok_or("there is no cookie")?;
    let expected = [
        ("name", json!(choices.cookie_name)),
        // A cookie for other hosts as well would say `.localhost`.
        ("domain", json!("localhost")),
        ("path", json!("/")),
        ("httpOnly", json!(true)),
        ("secure", json!(true)),
        ("sameSite", json!(choices.same_site)),
        ("session", json!(false)),
    ];
    for (attribute, expected) in expected {
        let seen = &cookie[attribute];
        ensure(*seen == expected, || {
            format!("{attribute} is {seen}, not {expected}")
        })?;
    }
    let expires = cookie["expires"].as_f64().ok_or("it has no end")?;
    ensure((expires - end.as_secs_f64()).abs() < 60.0, || {
        format!(
            "it ends at {expires}, not within a minute of {}",
            end.as_secs()
        )
    })?;
    let visible = visitor.evaluate("document.cookie").await?;
    ensure(visible == "", || format!("scripts see {visible}"))
}

async fn logout(visitor: &Visitor) -> Outcome {
    let choices = &visitor.choices;
    visitor.log_in("alice").await?;
    visitor.log_out().await?;
    if choices.has_dashboard() && choices.logout_redirect == choices.login_redirect {
        visitor
            .expect_login_page_for(&choices.login_redirect)
            .await?;
    } else {
        visitor.expect_address(&choices.logout_redirect).await?;
    }
    visitor.settle().await;
    visitor.expect_no_cookie().await?;
    visitor.expect_nobody().await?;

    visitor.open(&choices.login_redirect).await?;
    visitor.expect_nobody().await
}

/// `Cache-Control: no-store` is not enough: browsers keep whole pages for the back button.
async fn back_button(visitor: &Visitor) -> Outcome {
    visitor.log_in("alice").await?;
    visitor.log_out().await?;
    visitor.settle().await;
    expect_nobody_back(visitor, 1).await?;

    visitor.forget_everything().await?;
    visitor.log_in("alice").await?;
    visitor.open("/").await?;
    visitor.press("Log out").await?;
    visitor.settle().await;
    expect_nobody_back(visitor, 2).await
}

async fn expect_nobody_back(visitor: &Visitor, pages: u32) -> Outcome {
    visitor.expect_nobody().await?;
    for page in 1..=pages {
        visitor.driver.back().await?;
        visitor.settle().await;
        visitor
            .expect_nobody()
            .await
            .map_err(|error| format!("{page} back: {error}"))?;
    }
    Ok(())
}

async fn return_to(visitor: &Visitor) -> Outcome {
    let redirect = &visitor.choices.login_redirect;
    let wanted = format!("{redirect}?tab=2");
    visitor.open(&wanted).await?;
    match redirect.as_str() {
        "/" => visitor.expect_login_form().await?,
        "/me" => {
            visitor.expect_address(&wanted).await?;
            visitor.expect_status(401).await?;
            return visitor.log_in("alice").await;
        }
        _ => visitor.expect_login_page_for(&wanted).await?,
    }
    visitor.submit("alice").await?;
    visitor.expect_logged_in_as("alice").await?;
    let destination = if visitor.choices.has_dashboard() {
        &wanted
    } else {
        redirect
    };
    visitor.expect_address(destination).await
}

async fn cross_site_forms(visitor: &Visitor) -> Outcome {
    visitor.open_foreign_site().await?;
    visitor.click("#post-login").await?;
    visitor.expect_address("/login").await?;
    visitor.expect_status(403).await?;
    visitor.expect_no_cookie().await?;

    visitor.log_in("alice").await?;
    let before = visitor.cookie().await?;
    for path in ["/login", "/logout"] {
        visitor.open_foreign_site().await?;
        visitor.click(&format!("#post-{}", &path[1..])).await?;
        visitor.expect_address(path).await?;
        visitor.expect_status(403).await?;
        expect_still_alice(visitor, &before).await?;
    }
    Ok(())
}

async fn links(visitor: &Visitor) -> Outcome {
    visitor.open("/login?user_id=mallory").await?;
    visitor.expect_login_form().await?;
    visitor.expect_no_cookie().await?;

    visitor.log_in("alice").await?;
    let before = visitor.cookie().await?;
    visitor.open_foreign_site().await?;
    visitor.click("#login").await?;
    // Another site's link shows a `Strict` cookie's visitor the form.
    if visitor.choices.same_site == "Strict" {
        visitor.expect_login_form().await?;
    } else {
        let redirect = &visitor.choices.login_redirect;
        visitor.expect_address(redirect).await?;
    }
    expect_still_alice(visitor, &before).await?;

    visitor.open_foreign_site().await?;
    visitor.click("#logout").await?;
    visitor.expect_address("/logout").await?;
    visitor.expect_status(405).await?;
    expect_still_alice(visitor, &before).await
}

async fn expect_still_alice(visitor: &Visitor, cookie: &Option<Value>) -> Outcome {
    ensure(visitor.cookie().await? == *cookie, || {
        "the cookie changed".to_owned()
    })?;
    visitor.open(&visitor.choices.login_redirect).await?;
    visitor.expect_logged_in_as("alice").await
}

async fn same_site(visitor: &Visitor) -> Outcome {
    let redirect = &visitor.choices.login_redirect;
    visitor.log_in("alice").await?;
    visitor.open_foreign_site().await?;
    visitor.click("#visit").await?;
    if visitor.choices.same_site != "Strict" {
        visitor.expect_address(redirect).await?;
        return visitor.expect_logged_in_as("alice").await;
    }
    match redirect.as_str() {
        "/" => visitor.expect_login_form().await,
        "/me" => visitor.expect_status(401).await,
        _ => visitor.expect_login_page_for(redirect).await,
    }
}

async fn console_and_styles(visitor: &Visitor) -> Outcome {
    visitor.open("/").await?;
    expect_console(visitor, "the login page", None).await?;
    let max_width = visitor.find("main").await?.css_value("max-width").await?;
    ensure(max_width != "none", || "main has no style".to_owned())?;

    visitor.submit(" ").await?;
    visitor.expect_status(422).await?;
    expect_console(visitor, "the login page with a problem", Some(422)).await?;
    visitor.open("/no-such-page").await?;
    expect_console(visitor, "the error page", Some(404)).await?;
    visitor.log_in("alice").await?;
    expect_console(visitor, "where login leads", None).await?;
    visitor.open("/").await?;
    visitor.expect_logged_in_as("alice").await?;
    expect_console(visitor, "the start page of somebody", None).await
}

/// Chromium itself reports a page that was answered with an error: that one message may be there.
async fn expect_console(visitor: &Visitor, page: &str, status: Option<u16>) -> Outcome {
    visitor.settle().await;
    let address = visitor.address().await?;
    let messages = visitor.console().await?;
    let expected = status.is_some_and(|status| {
        let report = format!(
            "{address} - Failed to load resource: the server responded with a status of {status} "
        );
        matches!(messages.as_slice(), [message] if message.starts_with(&report))
    });
    ensure(messages.is_empty() || expected, || {
        format!("the console of {page} says {messages:?}")
    })
}

async fn markup(visitor: &Visitor) -> Outcome {
    visitor.log_in(MARKUP).await?;
    expect_no_element_from_markup(visitor).await?;
    visitor.open("/").await?;
    visitor.expect_logged_in_as(MARKUP).await?;
    expect_no_element_from_markup(visitor).await?;

    visitor.log_out().await?;
    visitor.settle().await;
    visitor.open("/").await?;
    visitor
        .submit(&format!("{MARKUP}{}", too_long_user_id()))
        .await?;
    visitor.expect_status(422).await?;
    expect_no_element_from_markup(visitor).await
}

async fn expect_no_element_from_markup(visitor: &Visitor) -> Outcome {
    ensure(visitor.driver.get_alert_text().await.is_err(), || {
        "a script ran".to_owned()
    })?;
    let images = visitor.count("img, [onerror]").await?;
    ensure(images == 0, || "the user id became an element".to_owned())
}

async fn problem(visitor: &Visitor) -> Outcome {
    let wanted = format!("{}?tab=2", visitor.choices.login_redirect);
    visitor
        .open(if visitor.choices.has_dashboard() {
            &wanted
        } else {
            "/"
        })
        .await?;
    for user_id in [" ".to_owned(), too_long_user_id()] {
        visitor.submit(&user_id).await?;
        visitor.expect_status(422).await?;
        visitor.expect_text("The user ID must not be").await?;
        visitor.expect_no_cookie().await?;
        let field = visitor.find("#user_id").await?;
        let typed = field.value().await?;
        ensure(typed.as_ref() == Some(&user_id), || {
            format!("of {user_id:?} the field kept {typed:?}")
        })?;
        let description = visitor
            .evaluate(
                "document.getElementById(document.getElementById('user_id')\
                 .getAttribute('aria-describedby'))?.innerText",
            )
            .await?;
        let described = description
            .as_str()
            .is_some_and(|words| words.contains("The user ID must not be"));
        ensure(described, || {
            format!("the field is described by {description}")
        })?;
    }
    visitor.submit("alice").await?;
    visitor.expect_logged_in_as("alice").await?;
    if visitor.choices.has_dashboard() {
        visitor.expect_address(&wanted).await?;
    }
    Ok(())
}

async fn mistyped_password(visitor: &Visitor) -> Outcome {
    let wanted = if visitor.choices.has_dashboard() {
        format!("{}?tab=2", visitor.choices.login_redirect)
    } else {
        "/login".to_owned()
    };
    visitor.open_with_users(&wanted).await?;
    visitor.expect_login_form().await?;
    visitor
        .submit_with_password("alice", "correct mule")
        .await?;
    // The second time it is loaded again, which sends the form once more.
    for time in 1..=2 {
        visitor.expect_status(401).await?;
        visitor
            .expect_text("The user ID or the password is wrong.")
            .await?;
        let typed = visitor
            .evaluate("[document.getElementById('user_id').value, document.getElementById('password').value]")
            .await?;
        ensure(typed == json!(["alice", ""]), || {
            format!("time {time}: the fields hold {typed}")
        })?;
        if time == 1 {
            visitor.driver.refresh().await?;
            visitor.settle().await;
        }
    }
    visitor.submit_with_password("alice", PASSWORD).await?;
    visitor.expect_logged_in_as("alice").await?;
    if visitor.choices.has_dashboard() {
        let address = visitor.address().await?;
        ensure(address.ends_with(&wanted), || {
            format!("login led to {address}")
        })?;
    }

    // Its address alone shows the form.
    visitor.forget_everything().await?;
    visitor.open_with_users("/login").await?;
    visitor.expect_status(200).await?;
    visitor.expect_login_form().await
}

async fn keyboard(visitor: &Visitor) -> Outcome {
    visitor.open("/").await?;
    tab_to(visitor, "user_id").await?;
    press_keys(visitor, "alice").await?;
    press_keys(visitor, Key::Enter).await?;
    visitor
        .expect_address(&visitor.choices.login_redirect)
        .await?;
    visitor.expect_logged_in_as("alice").await?;

    visitor.open("/").await?;
    visitor.expect_logged_in_as("alice").await?;
    tab_to(visitor, "Log out").await?;
    press_keys(visitor, Key::Enter).await?;
    visitor.settle().await;
    visitor.expect_no_cookie().await
}

/// Presses Tab, once at least, until something with this id or these words has the focus, visibly.
async fn tab_to(visitor: &Visitor, id_or_words: &str) -> Outcome {
    for _ in 0..8 {
        press_keys(visitor, Key::Tab).await?;
        let focus = visitor
            .evaluate(
                "[document.activeElement.id || document.activeElement.innerText, \
                 getComputedStyle(document.activeElement).outlineStyle]",
            )
            .await?;
        if focus[0] == id_or_words {
            return ensure(focus[1] != "none", || {
                format!("the focus on {id_or_words} cannot be seen")
            });
        }
    }
    Err(format!("Tab does not lead to {id_or_words}").into())
}

async fn press_keys(visitor: &Visitor, keys: impl Into<thirtyfour::TypingData>) -> Outcome {
    Ok(visitor
        .driver
        .action_chain()
        .send_keys(keys)
        .perform()
        .await?)
}

async fn without_scripts(visitor: &Visitor) -> Outcome {
    visitor.open_foreign_site().await?;
    let title = visitor.driver.title().await?;
    ensure(title == "scripts on", || format!("with scripts: {title}"))?;
    visitor.allow_scripts(false).await?;
    visitor.open_foreign_site().await?;
    let title = visitor.driver.title().await?;
    ensure(title == "scripts off", || {
        format!("without scripts: {title}")
    })?;

    visitor.log_in("alice").await?;
    visitor.log_out().await?;
    visitor.settle().await;
    visitor.expect_no_cookie().await?;
    visitor.open("/").await?;
    visitor.expect_login_form().await
}

async fn phone(visitor: &Visitor) -> Outcome {
    visitor.set_screen(320, 640, 1, true).await?;
    visitor.open("/").await?;
    expect_no_overflow(visitor, "the login page").await?;
    visitor.submit(&too_long_user_id()).await?;
    visitor.expect_status(422).await?;
    expect_no_overflow(visitor, "the login page with a problem").await?;
    visitor.open("/no-such-page").await?;
    expect_no_overflow(visitor, "the error page").await?;
    visitor.log_in(&long_user_id()).await?;
    if visitor.choices.login_redirect != "/me" {
        expect_no_overflow(visitor, "where login leads").await?;
    }
    visitor.open("/").await?;
    visitor.expect_logged_in_as(&long_user_id()).await?;
    expect_no_overflow(visitor, "the start page of somebody").await
}

async fn expect_no_overflow(visitor: &Visitor, page: &str) -> Outcome {
    let widths = visitor
        .evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        .await?;
    ensure(widths == json!([320, 320]), || {
        format!("{page} is as wide as {widths} on a screen of 320")
    })
}
