//! What holds for every answer: its headers, and a page for a browser in place of an error's sentence.

use axum::body::{HttpBody, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::{error::Error, html, telemetry};

/// Everything from this site, nothing inline, framed by nobody (OWASP ASVS 3.4.3, 3.4.6).
const CONTENT_SECURITY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; \
                                form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
static HEADERS: [(HeaderName, HeaderValue); 4] = [
    (header::CONTENT_SECURITY_POLICY, fixed(CONTENT_SECURITY)),
    (header::X_CONTENT_TYPE_OPTIONS, fixed("nosniff")),
    // `no-referrer` would be stricter, but makes browsers send `Origin: null` with our own forms.
    (header::REFERRER_POLICY, fixed("same-origin")),
    // Most answers depend on the session; the few that do not say so themselves (OWASP ASVS 14.3.2).
    (header::CACHE_CONTROL, fixed("no-store")),
];
/// One year, the least that OWASP ASVS 3.4.1 asks for.
static HSTS: HeaderValue = fixed("max-age=31536000");

const fn fixed(value: &'static str) -> HeaderValue {
    HeaderValue::from_static(value)
}

/// Completes every answer. With `hsts`, browsers are told to use HTTPS from now on.
pub async fn complete(State(hsts): State<bool>, request: Request, next: Next) -> Response {
    let wants_page = accepts(request.headers(), "text/html");
    // HTTP/1.1 requires exactly one `Host` (RFC 9112, section 3.2).
    let hosts = request.headers().get_all(header::HOST).iter().count();
    let mut answer = if hosts == 1 || (hosts == 0 && request.version() < Version::HTTP_11) {
        telemetry::trace(request, next).await
    } else {
        Error::BAD_HOST.into_response()
    };
    // The layer that limits the time answers with a status alone.
    if answer.status() == StatusCode::SERVICE_UNAVAILABLE && answer.body().is_end_stream() {
        answer = Error::TOO_SLOW.into_response();
    }
    if wants_page && answer.status() >= StatusCode::BAD_REQUEST {
        answer = as_page(answer).await;
    }
    let headers = answer.headers_mut();
    for (name, value) in &HEADERS {
        headers.entry(name).or_insert_with(|| value.clone());
    }
    if hsts {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HSTS.clone());
    }
    answer
}

/// A page in place of a sentence; what is no sentence, or longer than one, stays as it is.
async fn as_page(answer: Response) -> Response {
    let kind = answer.headers().get(header::CONTENT_TYPE);
    let is_text = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/plain"));
    let length = answer.body().size_hint().upper();
    if !is_text || length.is_none_or(|bytes| bytes > 4096) {
        return answer;
    }
    let (mut head, body) = answer.into_parts();
    let sentence = match to_bytes(body, 4096).await {
        Ok(sentence) => sentence,
        Err(error) => return Error::internal(error).into_response(),
    };
    // The page brings its own.
    head.headers.remove(header::CONTENT_TYPE);
    head.headers.remove(header::CONTENT_LENGTH);
    let page = html::error(head.status, &String::from_utf8_lossy(&sentence));
    (head, page).into_response()
}

/// Whether `Accept` names this media type (RFC 9110, section 12.5.1). A wildcard names nothing.
pub fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    let lines = headers.get_all(header::ACCEPT).iter();
    let mut ranges = lines.flat_map(|line| line.to_str().unwrap_or_default().split(','));
    ranges.any(|range| {
        let name = range.split(';').next().unwrap_or_default();
        name.trim().eq_ignore_ascii_case(media_type)
    })
}
