//! Everything that can go wrong while a request is answered.

use std::fmt::Display;

use axum::http::{StatusCode, header::RETRY_AFTER};
use axum::response::{IntoResponse, Response};

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a request is not answered as asked: its status, and its words for the client, which never carry
/// an internal detail. Why a login is refused is [`Refusal`](crate::users::Refusal).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error(u16, &'static str);

impl Error {
    pub const BAD_HOST: Self = Self(400, "The request must name one host.");
    pub const BAD_FORM: Self = Self(400, "The form could not be read.");
    pub const NOT_LOGGED_IN: Self = Self(401, "You are not logged in.");
    pub const CROSS_ORIGIN: Self =
        Self(403, "This request came from another site and was refused.");
    pub const NOT_FOUND: Self = Self(404, "There is no such page.");
    pub const BAD_METHOD: Self = Self(405, "This address does not answer this method.");
    pub const LARGE_FORM: Self = Self(413, "The form is too large.");
    pub const NO_FORM: Self = Self(415, "This address takes application/x-www-form-urlencoded.");
    pub const ODD_FORM: Self = Self(
        422,
        "The form has a field twice, or one that cannot be read.",
    );
    pub const STOPPING: Self = Self(503, "This instance is about to stop.");
    pub const TOO_SLOW: Self = Self(
        503,
        "The answer took too long. Please try again in a moment.",
    );
    const INTERNAL: Self = Self(500, "Something went wrong on our side.");
    const STORE_AWAY: Self = Self(
        503,
        "Sessions cannot be checked just now. Please try again.",
    );

    /// Our own fault, about which the client can do nothing. Logs the cause.
    pub fn internal(cause: impl Display) -> Self {
        tracing::error!(event = "internal_error", %cause);
        Self::INTERNAL
    }

    /// A store does not answer: a session that cannot be checked is not believed. Logs the cause.
    pub fn store_away(cause: impl Display) -> Self {
        tracing::error!(event = "store_away", %cause);
        Self::STORE_AWAY
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let Self(status, words) = self;
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after = (self == Self::STORE_AWAY).then_some([(RETRY_AFTER, "5")]);
        (status, retry_after, words).into_response()
    }
}
