//! Everything that can go wrong while answering a request.

use std::fmt::Display;

use axum::{
    extract::rejection::FormRejection,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use tower_http::csrf::ProtectionError;

use crate::pages::{self, LoginForm};

/// Why a request is not answered as asked: it knows its status, its words for the client, and what
/// is logged. Words for the client never carry an internal detail.
#[derive(Debug)]
pub enum Error {
    /// 401: the route needs a session and the request has none.
    NotLoggedIn,
    /// 422: the login form names nobody. Shown with the form, so that nothing typed is lost.
    InvalidUserId {
        /// The form as it was sent.
        form: LoginForm,
        /// The rule that was broken, as a sentence.
        reason: &'static str,
    },
    /// 400, 413, 415 or 422: the body is not the form that the route takes.
    Form(FormRejection),
    /// 403: the request would change something and comes from another origin.
    CrossOrigin,
    /// 404: there is no such page.
    NotFound,
    /// 405: the page exists, but not for this method.
    MethodNotAllowed,
    /// 408: the request took too long to arrive or to answer.
    Timeout,
    /// 500: our own fault; the cause is logged where it is noticed.
    Internal,
}

impl Error {
    /// Logs the cause of a failure that the client can do nothing about.
    pub fn internal(cause: impl Display) -> Self {
        tracing::error!(event = "internal_error", %cause);
        Self::Internal
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NotLoggedIn => StatusCode::UNAUTHORIZED,
            Self::InvalidUserId { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Form(rejection) => rejection.status(),
            Self::CrossOrigin => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Timeout => StatusCode::REQUEST_TIMEOUT,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// What the client is told, as a sentence.
    pub fn words(&self) -> &'static str {
        match self {
            Self::NotLoggedIn => "You are not logged in.",
            Self::InvalidUserId { reason, .. } => reason,
            Self::Form(rejection) => match rejection.status() {
                StatusCode::PAYLOAD_TOO_LARGE => "The form is too large.",
                StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                    "This address takes a form: Content-Type application/x-www-form-urlencoded."
                }
                StatusCode::UNPROCESSABLE_ENTITY => {
                    "The form is not complete: it takes one user_id and at most one next."
                }
                _ => "The form could not be read.",
            },
            Self::CrossOrigin => "This request came from another site and was refused.",
            Self::NotFound => "There is no such page.",
            Self::MethodNotAllowed => "This address does not answer this method.",
            Self::Timeout => "The request took too long.",
            Self::Internal => "Something went wrong on our side.",
        }
    }

    /// The answer to a request that the cross-origin check refused.
    pub fn cross_origin(_: ProtectionError) -> Response {
        tracing::warn!(event = "cross_origin_refused");
        Self::CrossOrigin.into_response()
    }

    /// The answer to a request whose handler panicked. The panic itself went to standard error.
    pub fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
        Self::internal("a handler panicked").into_response()
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status = self.status();
        match self {
            // `/me` is for programs, and a program wants no page.
            Self::NotLoggedIn => (status, self.words()).into_response(),
            Self::InvalidUserId { form, reason } => {
                tracing::info!(event = "login_refused", reason);
                (status, pages::login(&form, Some(reason))).into_response()
            }
            _ => (status, pages::error(status, self.words())).into_response(),
        }
    }
}
