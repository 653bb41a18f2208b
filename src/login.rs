//! Login: `GET /login` and `POST /login`.

use std::net::IpAddr;

use axum::extract::{Query, State, rejection::QueryRejection};
use axum::http::{HeaderMap, StatusCode, header::RETRY_AFTER};
use axum::response::{Html, IntoResponse, Redirect, Response};
use horrorshow::html;
use serde::Deserialize;

use crate::session::{Session, SessionData, SessionJar};
use crate::users::{ClientAddress, Passwords, Refusal, text};
use crate::{answer::accepts, error::Result, form::BoundedForm};
use crate::{defaults::LOGIN_REDIRECT, html::page, next::safe_next};

const WRONG: &str = "The user ID or the password is wrong.";
const BUSY: &str = "Too many people are logging in. Try again in a moment.";

/// The fields of the login form. The login page reads `next` from its query with the same struct.
#[derive(Deserialize)]
pub struct Login {
    #[serde(default)]
    user_id: String,
    #[serde(default)]
    password: String,
    /// Where the visitor wanted to go.
    next: Option<String>,
}

/// The login page. Whoever is logged in already is led on.
pub async fn login_page(
    session: Option<Session>,
    State(passwords): State<Option<Passwords>>,
    query: Result<Query<Login>, QueryRejection>,
) -> Response {
    if let Some(session) = session {
        return (session, Redirect::to(LOGIN_REDIRECT)).into_response();
    }
    let next = query.ok().and_then(|Query(query)| query.next);
    form("", next.as_deref(), passwords.is_some(), None).into_response()
}

/// Starts a session for whoever the form names, and leads to where they wanted to go.
pub async fn create_session(
    jar: SessionJar,
    State(passwords): State<Option<Passwords>>,
    ClientAddress(address): ClientAddress,
    headers: HeaderMap,
    BoundedForm(login): BoundedForm<Login>,
) -> Result<Response> {
    let refusal = match check(&login, passwords.as_ref(), address).await {
        Ok((user_id, stamp)) => {
            let jar = jar.start(&user_id, stamp, SessionData::default()).await?;
            tracing::info!(event = "login", user_id, %address);
            let destination = login.next.as_deref().and_then(safe_next);
            let redirect = Redirect::to(destination.unwrap_or(LOGIN_REDIRECT));
            return Ok((jar, redirect).into_response());
        }
        Err(Refusal::Failed(error)) => return Err(error),
        Err(refusal) => refusal,
    };
    let (status, retry_after, words) = match &refusal {
        Refusal::Invalid(words) => (StatusCode::UNPROCESSABLE_ENTITY, None, words.clone()),
        Refusal::Throttled(wait) => {
            let seconds = wait.as_secs() + 1;
            let words = format!("Too many attempts. Try again in {seconds} seconds.");
            (StatusCode::TOO_MANY_REQUESTS, Some(seconds), words)
        }
        Refusal::Busy => (StatusCode::SERVICE_UNAVAILABLE, Some(1), BUSY.to_owned()),
        // The words must not tell whether there is such a user (OWASP ASVS 6.3.8).
        _ => (StatusCode::UNAUTHORIZED, None, WRONG.to_owned()),
    };
    // A name without a user may be a password that was typed into the wrong field.
    let typed = text::user_id(&login.user_id).unwrap_or_default();
    let user_id = match &passwords {
        Some(passwords) if passwords.know(&typed).await => Some(typed),
        _ => None,
    };
    tracing::warn!(event = "login_refused", %address, user_id, reason = %words);
    let retry_after = retry_after.map(|seconds: u64| [(RETRY_AFTER, seconds)]);
    if !accepts(&headers, "text/html") {
        return Ok((status, retry_after, words).into_response());
    }
    // Nothing that was typed is lost, except the password.
    let (user_id, next) = (&login.user_id, login.next.as_deref());
    let form = form(user_id, next, passwords.is_some(), Some(&words));
    Ok((status, retry_after, form).into_response())
}

/// The user that the form names, with the stamp of their password where they have one.
async fn check(
    login: &Login,
    passwords: Option<&Passwords>,
    address: IpAddr,
) -> Result<(String, Option<String>), Refusal> {
    let user_id = text::user_id(&login.user_id).map_err(Refusal::Invalid)?;
    let Some(passwords) = passwords else {
        return Ok((user_id, None));
    };
    let password = text::checked("password", &login.password).map_err(Refusal::Invalid)?;
    let stamp = passwords.check(&user_id, password, address).await?;
    Ok((user_id, Some(stamp)))
}

/// The page with the login form: what was typed so far, whether it asks for a password, and what was
/// wrong.
pub fn form(
    user_id: &str,
    next: Option<&str>,
    takes_password: bool,
    problem: Option<&str>,
) -> Html<String> {
    let (invalid, described_by) = problem.map(|_| ("true", "problem")).unzip();
    let next = next.and_then(safe_next);
    let max_bytes = text::MAX_BYTES.to_string();
    let form = html! {
        h1 : "Log in";
        @ if let Some(problem) = problem {
            p(class = "problem", id = "problem", role = "alert") : problem;
        }
        form(method = "post", action = "/login") {
            @ if let Some(next) = next {
                input(type = "hidden", name = "next", value = next);
            }
            label(for = "user_id") : "User ID";
            input(id = "user_id", type = "text", name = "user_id", value = user_id, required,
                maxlength = &max_bytes, autocomplete = "username", autocapitalize = "none",
                spellcheck = "false", autofocus, aria-invalid ?= invalid, aria-describedby ?= described_by);
            @ if takes_password {
                label(for = "password") : "Password";
                input(id = "password", type = "password", name = "password", required,
                    maxlength = &max_bytes, autocomplete = "current-password",
                    aria-invalid ?= invalid, aria-describedby ?= described_by);
            }
            button(type = "submit") : "Log in";
        }
        @ if !takes_password {
            p(class = "note") : "Login is open: any user ID gets in, without a password. For development only.";
        }
    };
    page("Log in", form)
}
