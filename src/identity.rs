//! Identity: `GET /me`.

use axum::{
    Json,
    extract::Request,
    http::{HeaderMap, header::ACCEPT},
    response::IntoResponse,
};
use serde::Serialize;

use crate::session::Session;

/// What a program that asks for JSON is told.
#[derive(Serialize)]
struct Identity<'a> {
    user_id: &'a str,
    /// When the session ends, in the form of RFC 3339.
    expires_at: Option<String>,
}

/// Says who is logged in. Without a session the extractor answers 401.
pub async fn current_user(session: Session, request: Request) -> (Session, impl IntoResponse) {
    let user_id = session.user_id();
    let answer = if prefers_json(request.headers()) {
        let expires_at = session.expires_at().to_rfc3339();
        Json(Identity {
            user_id,
            expires_at,
        })
        .into_response()
    } else {
        ["Logged in as ", user_id].concat().into_response()
    };
    (session, answer)
}

/// Whether `Accept` names `application/json` and does not prefer plain text to it (RFC 9110,
/// section 12.5.1). A wildcard is no request for JSON.
fn prefers_json(headers: &HeaderMap) -> bool {
    let (mut json, mut text) = (0.0, 0.0);
    let ranges = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|header| header.to_str().ok());
    for range in ranges.flat_map(|header| header.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default();
        let quality: f32 = parts
            .find_map(|parameter| parameter.strip_prefix("q="))
            .map_or(1.0, |quality| quality.parse().unwrap_or(0.0));
        if media_type.eq_ignore_ascii_case("application/json") {
            json = quality;
        } else if media_type.eq_ignore_ascii_case("text/plain") {
            text = quality;
        }
    }
    json > 0.0 && json >= text
}
