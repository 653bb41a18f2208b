//! Everything that can go wrong while answering a request.

use std::{borrow::Cow, fmt::Display};

use axum::{
    extract::rejection::FormRejection,
    http::{StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use tower_http::csrf::ProtectionError;

use crate::{
    pages::{self, LoginForm},
    password::Refusal,
};

/// When to ask again while the store of ended sessions is away, in seconds.
const STORE_RETRY_AFTER: u64 = 5;

/// Why a request is not answered as asked: it knows its status, its words for the client, and what
/// is logged. Words for the client never carry an internal detail.
#[derive(Debug)]
pub enum Error {
    /// 401: the route needs a session and the request has none.
    NotLoggedIn,
    /// 422, 401, 429 or 503: nobody was logged in. Shown with the form, so that nothing typed is
    /// lost, except the password.
    LoginRefused {
        /// The form as it was sent.
        form: LoginForm,
        /// Why.
        refusal: Refusal,
    },
    /// 503: sessions can neither be checked nor ended, and one that cannot be checked is not
    /// believed; the cause is logged where it is noticed.
    StoreAway,
    /// 503: the process is about to stop; answered to whoever asks for readiness.
    Stopping,
    /// 400, 413, 415 or 422: the body is not the form that the route takes.
    Form(FormRejection),
    /// 403: the request would change something and comes from another origin.
    CrossOrigin,
    /// 404: there is no such page.
    NotFound,
    /// 405: the page exists, but not for this method.
    MethodNotAllowed,
    /// 408: the form took too long to arrive. Not for what is slow here: browsers send a request again
    /// that is answered so, also one that changes something (RFC 9110, section 15.5.9).
    FormTimeout,
    /// 503: the answer took too long.
    TooSlow,
    /// 500: our own fault; the cause is logged where it is noticed.
    Internal,
}

impl Error {
    /// Logs the cause of a failure that the client can do nothing about.
    pub fn internal(cause: impl Display) -> Self {
        tracing::error!(event = "internal_error", %cause);
        Self::Internal
    }

    /// Logs why the store of ended sessions, or that of the users, did not answer.
    pub fn store_away(cause: impl Display) -> Self {
        tracing::error!(event = "store_away", %cause);
        Self::StoreAway
    }

    /// Logs why the cross-origin check refused a request.
    pub fn log_cross_origin(reason: &ProtectionError) {
        tracing::warn!(event = "cross_origin_refused", %reason);
    }

    /// The status of the answer.
    fn status(&self) -> StatusCode {
        match self {
            Self::NotLoggedIn => StatusCode::UNAUTHORIZED,
            Self::LoginRefused { refusal, .. } => match refusal {
                Refusal::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
                Refusal::Wrong => StatusCode::UNAUTHORIZED,
                Refusal::Throttled(_) => StatusCode::TOO_MANY_REQUESTS,
                Refusal::Busy => StatusCode::SERVICE_UNAVAILABLE,
            },
            Self::StoreAway | Self::Stopping | Self::TooSlow => StatusCode::SERVICE_UNAVAILABLE,
            Self::Form(rejection) => rejection.status(),
            Self::CrossOrigin => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::FormTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// What the client is told, as a sentence.
    pub fn words(&self) -> Cow<'static, str> {
        let words = match self {
            Self::LoginRefused { refusal, .. } => return refusal.to_string().into(),
            Self::StoreAway => "Sessions cannot be checked just now. Please try again in a moment.",
            Self::Stopping => "This instance is about to stop.",
            Self::NotLoggedIn => "You are not logged in.",
            Self::Form(rejection) => match rejection.status() {
                StatusCode::PAYLOAD_TOO_LARGE => "The form is too large.",
                StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                    "This address takes a form: Content-Type application/x-www-form-urlencoded."
                }
                StatusCode::UNPROCESSABLE_ENTITY => {
                    "The form is not complete: it takes one user_id, and password and next at most once."
                }
                _ => "The form could not be read.",
            },
            Self::CrossOrigin => "This request came from another site and was refused.",
            Self::NotFound => "There is no such page.",
            Self::MethodNotAllowed => "This address does not answer this method.",
            Self::FormTimeout => "The form took too long to arrive.",
            Self::TooSlow => "The answer took too long. Please try again in a moment.",
            Self::Internal => "Something went wrong on our side.",
        };
        words.into()
    }

    /// When to ask again, in seconds (RFC 9110, section 10.2.3).
    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::LoginRefused { refusal, .. } => refusal.retry_after(),
            Self::StoreAway => Some(STORE_RETRY_AFTER),
            _ => None,
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let (status, words) = (self.status(), self.words());
        let retry_after = self.retry_after().map(|seconds| [(RETRY_AFTER, seconds)]);
        let body = match self {
            // `/me` is for programs, and a program wants no page.
            Self::NotLoggedIn => words.into_response(),
            Self::LoginRefused { form, .. } => pages::login(&form, Some(&words)).into_response(),
            _ => pages::error(status, &words).into_response(),
        };
        (status, retry_after, body).into_response()
    }
}
