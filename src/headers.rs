//! The headers that every answer carries.

use axum::{
    http::{
        HeaderMap, HeaderValue,
        header::{
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
            X_CONTENT_TYPE_OPTIONS,
        },
    },
    response::Response,
};

/// Everything from this site, nothing inline, framed by nobody (OWASP ASVS 3.4.3, 3.4.6).
const CONTENT_SECURITY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; \
     frame-ancestors 'none'";

/// `no-referrer` would be stricter, but makes browsers send `Origin: null` with our own forms.
const REFERRER: &str = "same-origin";

/// One year, the least that OWASP ASVS 3.4.1 asks for.
const HSTS: &str = "max-age=31536000";

/// How many headers an answer has, with its own and the request's id; for more its map grows.
const EXPECTED: usize = 12;

/// What every answer carries; with `hsts`, also that browsers should keep to HTTPS.
pub(crate) fn of_every_answer(hsts: bool) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(EXPECTED);
    let mut set = |name, value| headers.insert(name, HeaderValue::from_static(value));
    set(CONTENT_SECURITY_POLICY, CONTENT_SECURITY);
    set(X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(REFERRER_POLICY, REFERRER);
    if hsts {
        set(STRICT_TRANSPORT_SECURITY, HSTS);
    }
    headers
}

/// Adds to the answer what it does not have yet of `headers`. Most answers depend on the session and
/// are not to be stored; the few that do not say so themselves.
pub(crate) fn complete(mut answer: Response, headers: &HeaderMap) -> Response {
    // A copy of a map is cheaper than to insert each of its headers.
    let own = std::mem::replace(answer.headers_mut(), headers.clone());
    let all = answer.headers_mut();
    all.extend(own);
    all.entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    answer
}
