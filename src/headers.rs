//! The headers that every answer carries.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::{HeaderName, HeaderValue, Request};
use tower_http::set_header::SetResponseHeaderLayer;

/// Names a request in the answer and in every log line about it.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Everything from this site, nothing inline, framed by nobody (OWASP ASVS 3.4.3, 3.4.6).
pub(crate) const CONTENT_SECURITY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; \
     frame-ancestors 'none'";

/// `no-referrer` would be stricter, but makes browsers send `Origin: null` with our own forms.
pub(crate) const REFERRER: &str = "same-origin";

/// One year, the least that OWASP ASVS 3.4.1 asks for.
pub(crate) const HSTS: &str = "max-age=31536000";

/// Sets a header on every answer that does not have it yet.
pub(crate) fn set(name: HeaderName, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
}

/// An id for a request, unique among those of this process. One that the client sent is replaced:
/// it would end up in our log.
pub(crate) fn next_request_id<B>(_: &Request<B>) -> Option<HeaderValue> {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    HeaderValue::try_from(format!("{:x}-{number:x}", std::process::id())).ok()
}
