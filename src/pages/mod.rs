//! The HTML. maud escapes every value that is put into it.
//!
//! Pages work without JavaScript and load nothing from elsewhere; `style.css` beside this file is
//! compiled in. Start here to change how the app looks.

use axum::{
    extract::{Query, State, rejection::QueryRejection},
    http::{
        StatusCode, Uri,
        header::{CACHE_CONTROL, CONTENT_TYPE},
        uri::PathAndQuery,
    },
    response::{IntoResponse, Redirect, Response},
};
use maud::{DOCTYPE, Markup, html};
use serde::Deserialize;
use url::form_urlencoded::Serializer;

use crate::{
    defaults::LOGIN_REDIRECT, login::MAX_TEXT_BYTES, password::Passwords, session::Session,
};

/// Shown in titles and headings.
const APP_NAME: &str = env!("CARGO_PKG_NAME");

/// Paths no redirect can be chosen to collide with: their rule has no `@`.
pub(crate) const STYLE_PATH: &str = "/@style.css";
/// See [`STYLE_PATH`].
pub(crate) const ICON_PATH: &str = "/@icon.svg";

/// What the start page may be asked for.
#[derive(Deserialize)]
pub(crate) struct StartQuery {
    next: Option<String>,
}

/// The start page: a login form, or who is logged in and a logout button.
pub(crate) async fn start_page(
    session: Option<Session>,
    State(passwords): State<Option<Passwords>>,
    query: Result<Query<StartQuery>, QueryRejection>,
) -> Response {
    let Some(session) = session else {
        let next = query.ok().and_then(|Query(query)| query.next);
        return login(
            &LoginForm {
                user_id: String::new(),
                next,
                takes_password: passwords.is_some(),
            },
            None,
        )
        .into_response();
    };
    let page = page(
        "Home",
        html! {
            h1 { "Welcome back" }
            p { "Logged in as " strong { (session.user_id()) } }
            @if LOGIN_REDIRECT != "/" {
                p { a href=(LOGIN_REDIRECT) { "Go to your dashboard" } }
            }
            (logout_buttons())
        },
    );
    (session, page).into_response()
}

/// The page that login leads to. Sends whoever is not logged in to the start page, which brings
/// them back after login.
pub(crate) async fn dashboard(session: Option<Session>, uri: Uri) -> Response {
    let Some(session) = session else {
        let wanted = uri
            .path_and_query()
            .map_or(LOGIN_REDIRECT, PathAndQuery::as_str);
        let query = Serializer::new(String::new())
            .append_pair("next", wanted)
            .finish();
        return Redirect::to(&format!("/?{query}")).into_response();
    };
    let page = page(
        "Dashboard",
        html! {
            h1 { "Dashboard" }
            p { "Logged in as " strong { (session.user_id()) } }
            @if let Some(end) = session.expires_at().to_rfc3339() {
                p .note { "This session ends on " time datetime=(end) { (readable(&end)) } "." }
            }
            (logout_buttons())
        },
    );
    (session, page).into_response()
}

/// What a login form holds when it is shown.
#[derive(Clone, Debug)]
pub struct LoginForm {
    /// The user id typed so far.
    pub user_id: String,
    /// Where the visitor wanted to go; kept in a hidden field.
    pub next: Option<String>,
    /// Whether it asks for a password.
    pub takes_password: bool,
}

/// The login form, and what was wrong with it.
pub(crate) fn login(form: &LoginForm, problem: Option<&str>) -> Markup {
    page(
        "Log in",
        html! {
            h1 { "Log in" }
            @if let Some(problem) = problem {
                p .problem #problem role="alert" { (problem) }
            }
            form method="post" action="/login" {
                @if let Some(next) = &form.next {
                    input type="hidden" name="next" value=(next);
                }
                label for="user_id" { "User ID" }
                input #user_id type="text" name="user_id" value=(form.user_id) required
                    maxlength=(MAX_TEXT_BYTES) autocomplete="username" autocapitalize="none"
                    spellcheck="false" autofocus
                    aria-invalid=[problem.map(|_| "true")]
                    aria-describedby=[problem.map(|_| "problem")];
                @if form.takes_password {
                    label for="password" { "Password" }
                    input #password type="password" name="password" required
                        maxlength=(MAX_TEXT_BYTES) autocomplete="current-password"
                        aria-invalid=[problem.map(|_| "true")]
                        aria-describedby=[problem.map(|_| "problem")];
                }
                button type="submit" { "Log in" }
            }
            @if !form.takes_password {
                p .note {
                    "Login is open: any user ID gets in, without a password. For development only."
                }
            }
        },
    )
}

/// What is shown instead of a page that could not be.
pub(crate) fn error(status: StatusCode, words: &str) -> Markup {
    let title = status.canonical_reason().unwrap_or("Error");
    page(
        title,
        html! {
            p .status { (status.as_str()) }
            h1 { (title) }
            p { (words) }
            p { a href="/" { "Back to the start page" } }
        },
    )
}

/// The style sheet.
pub(crate) async fn style() -> impl IntoResponse {
    asset("text/css; charset=utf-8", include_str!("style.css"))
}

/// The icon in the browser's tab.
pub(crate) async fn icon() -> impl IntoResponse {
    asset("image/svg+xml", include_str!("icon.svg"))
}

fn asset(content_type: &'static str, body: &'static str) -> impl IntoResponse {
    (
        [
            (CONTENT_TYPE, content_type),
            (CACHE_CONTROL, "public, max-age=300"),
        ],
        body,
    )
}

fn logout_buttons() -> Markup {
    html! {
        form method="post" action="/logout" {
            button type="submit" { "Log out" }
            button .quiet type="submit" formaction="/logout/everywhere" { "Log out everywhere" }
        }
    }
}

/// `2026-12-01T09:30:00Z` as `2026-12-01 09:30 UTC`.
fn readable(rfc3339: &str) -> String {
    let minutes = rfc3339.get(..16).unwrap_or(rfc3339);
    format!("{} UTC", minutes.replace('T', " "))
}

fn page(title: &str, content: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · " (APP_NAME) }
                link rel="icon" href=(ICON_PATH) type="image/svg+xml";
                link rel="stylesheet" href=(STYLE_PATH);
            }
            body {
                header { a href="/" { (APP_NAME) } }
                main { (content) }
            }
        }
    }
}
