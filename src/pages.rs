//! The pages of the app: the start page and the dashboard.

use axum::extract::State;
use axum::http::{Uri, uri::PathAndQuery};
use axum::response::{IntoResponse, Redirect, Response};
use horrorshow::{RenderOnce, html};
use time::format_description::well_known::Rfc3339;

use crate::{defaults::LOGIN_REDIRECT, html::page, login::form};
use crate::{session::Session, users::Passwords};

/// The start page: a login form, or who is logged in and a logout button.
pub async fn start_page(
    session: Option<Session>,
    State(passwords): State<Option<Passwords>>,
) -> Response {
    let Some(session) = session else {
        return form("", None, passwords.is_some(), None).into_response();
    };
    let content = html! {
        h1 : "Welcome back";
        p { : "Logged in as "; strong : session.user_id() }
        @ if LOGIN_REDIRECT != "/" {
            p { a(href = LOGIN_REDIRECT) : "Go to your dashboard" }
        }
        : logout_buttons();
    };
    let page = page("Home", content);
    (session, page).into_response()
}

/// The page that login leads to. Sends whoever is not logged in to the login page, which brings them
/// back after login.
pub async fn dashboard(session: Option<Session>, uri: Uri) -> Response {
    let Some(session) = session else {
        let wanted = uri
            .path_and_query()
            .map_or(LOGIN_REDIRECT, PathAndQuery::as_str);
        // Escapes what would mean something else inside a query value.
        let next = wanted
            .replace('%', "%25")
            .replace('&', "%26")
            .replace('+', "%2B");
        return Redirect::to(&format!("/login?next={next}")).into_response();
    };
    let end = session.expires_at().format(&Rfc3339).unwrap_or_default();
    let words = end.replace('T', " ").replace('Z', " UTC");
    let content = html! {
        h1 : "Dashboard";
        p { : "Logged in as "; strong : session.user_id() }
        p(class = "note") { : "This session ends on "; time(datetime = &end) : words; : "." }
        : logout_buttons();
    };
    let page = page("Dashboard", content);
    (session, page).into_response()
}

fn logout_buttons() -> impl RenderOnce {
    html! {
        form(method = "post", action = "/logout") {
            button(type = "submit") : "Log out";
            button(class = "quiet", type = "submit", formaction = "/logout/everywhere") : "Log out everywhere";
        }
    }
}
