//! Identity: `GET /me`.

use axum::{Json, extract::Request, response::IntoResponse};
use serde_json::json;
use time::format_description::well_known::Rfc3339;

use crate::{answer::accepts, session::Session};

/// Says who is logged in. Without a session the extractor answers 401.
pub async fn current_user(session: Session, request: Request) -> (Session, impl IntoResponse) {
    let user_id = session.user_id();
    let answer = if accepts(request.headers(), "application/json") {
        let expires_at = session.expires_at().format(&Rfc3339).unwrap_or_default();
        Json(json!({ "user_id": user_id, "expires_at": expires_at })).into_response()
    } else {
        ["Logged in as ", user_id].concat().into_response()
    };
    (session, answer)
}
