//! The five choices of this app.
//!
//! Change a value here and build again: a value outside its rule does not compile, and the error
//! says the rule. What may differ from one machine to the next is in [`crate::config`] instead.

use std::time::Duration;

use axum_extra::extract::cookie::SameSite;

use crate::rules;

/// The name of the session cookie. A `__Host-` or `__Secure-` prefix makes browsers enforce what
/// the prefix promises (RFC 6265bis, section 4.1.3).
pub const COOKIE_NAME: &str = rules::cookie_name("session_user");

/// How long a session lasts, counted from login. The server enforces it; the browser is told by
/// `Max-Age`.
pub const SESSION_MAX_AGE: Duration = rules::max_age("7d");

/// On which cross-site requests browsers send the cookie (RFC 6265bis, section 5.6.7).
pub const SAME_SITE: SameSite = rules::same_site("Lax");

/// Where a successful login leads, and the path of the dashboard.
pub const LOGIN_REDIRECT: &str = rules::login_redirect("/dashboard");

/// Where logout leads: the start page, unless the path has a page of its own.
pub const LOGOUT_REDIRECT: &str = rules::logout_redirect("/");
