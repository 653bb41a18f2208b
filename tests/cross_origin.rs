//! Requests that would change something and come from another origin.

mod common;

use common::*;

/// Where a request says that it comes from: `Sec-Fetch-Site` and `Origin`, as far as they are there.
type From = (Option<&'static str>, Option<&'static str>);

async fn send(app: &TestApp, method: Method, path: &str, cookie: &str, from: From) -> Answer {
    let mut request = request(method, path, cookie).header(header::CONTENT_TYPE, FORM);
    for (name, value) in [("sec-fetch-site", from.0), ("origin", from.1)] {
        if let Some(value) = value {
            request = request.header(name, value);
        }
    }
    app.send(request, "user_id=mallory").await
}

#[tokio::test]
async fn a_request_from_another_origin_is_refused_with_403_before_any_handler_runs() {
    let app = TestApp::new();
    let cookie = app.login_as("alice").await;
    let sites = ["cross-site", "same-site", "Same-Origin"].map(|site| (Some(site), None));
    let origins = "https://evil.example https://localhost.evil.example https://localhost:8443 \
                   https://evil.example/localhost null localhost";
    let origins = origins.split(' ').map(|origin| (None, Some(origin)));
    let both = [
        ("cross-site", "https://localhost"),
        ("", "https://evil.example"),
    ];
    let both = both.map(|(site, origin)| (Some(site), Some(origin)));
    for from in sites.into_iter().chain(origins).chain(both) {
        for path in ["/login", "/logout", "/logout/everywhere", "/me", "/@none"] {
            let answer = send(&app, Method::POST, path, &cookie, from).await;
            let words = "This request came from another site and was refused.";
            answer.is(StatusCode::FORBIDDEN, words);
        }
        app.opens(&cookie, "alice").await;
        // A link from another site is no change.
        let link = send(&app, Method::GET, "/", NO_COOKIE, from).await;
        link.is_page();
    }
}

#[tokio::test]
async fn a_request_from_the_same_origin_a_trusted_one_or_no_browser_is_answered() {
    let origins = "https://one.example, http://two.example:8080";
    let app = TestApp::with(DEBUG, &[("TRUSTED_ORIGINS", origins)]);
    for from in [
        (None, None),
        (Some("same-origin"), None),
        (Some("none"), None),
        (Some("same-origin"), Some("https://other.example")),
        (None, Some("https://localhost")),
        (None, Some("http://localhost")),
        (None, Some("https://one.example")),
        (Some("cross-site"), Some("https://one.example")),
        (Some("cross-site"), Some("http://two.example:8080")),
    ] {
        let answer = send(&app, Method::POST, "/login", NO_COOKIE, from).await;
        answer.redirects_to(LOGIN_REDIRECT);
        let cookie = answer.cookie();
        let answer = send(&app, Method::POST, "/logout", &cookie, from).await;
        answer.redirects_to(LOGOUT_REDIRECT);
        app.refuses(&cookie).await;
    }
    let neighbours = "http://one.example http://two.example https://sub.one.example \
                      https://ONE.example https://one.example:8443";
    for neighbour in neighbours.split(' ') {
        for site in [None, Some("cross-site")] {
            let from = (site, Some(neighbour));
            let answer = send(&app, Method::POST, "/login", NO_COOKIE, from).await;
            answer.is(StatusCode::FORBIDDEN, "");
        }
    }
}
