//! `POST /logout`: the end of a session, here and in the browser.

mod common;

use common::*;

#[track_caller]
fn removes_the_cookie(answer: &Answer) {
    answer.redirects_to(LOGOUT_REDIRECT);
    // Before the removal comes what keeps the back button from showing a page.
    let set: Vec<_> = answer.headers.get_all("set-cookie").iter().collect();
    assert_eq!(set.len(), 2, "{set:?}");
    assert_eq!(set[0], LOGGED_OUT);
    assert_eq!(answer.cookie(), format!("{COOKIE_NAME}="));
    assert_eq!(answer.attributes(), attributes(Duration::ZERO));
}

#[tokio::test]
async fn logout_answers_303_to_the_logout_redirect_and_ends_the_session_on_the_server() {
    let app = TestApp::new();
    let (first, second) = (app.login_as("alice").await, app.login_as("bob").await);
    let other = app.login_as("alice").await;
    // It asks nothing of the body, and ends every session that comes with the request.
    let both = format!("{first}; {second}");
    let request = request(Method::POST, "/logout", &both);
    let request = request.header(header::CONTENT_TYPE, "application/json");
    removes_the_cookie(&app.send(request, "{").await);
    app.refuses(&first).await;
    app.refuses(&second).await;
    app.opens(&other, "alice").await;
}

#[tokio::test]
async fn logout_sends_the_removal_also_when_the_cookie_is_stale_forged_or_absent() {
    let app = TestApp::new();
    let cookie = app.login_as("alice").await;
    for cookie in [
        NO_COOKIE,
        "@theme=dark",
        &cookie,
        &cookie,
        &format!("{COOKIE_NAME}=alice"),
        &format!("{COOKIE_NAME}="),
        &signed(&key(b'b'), &encoded(&claims("alice"))),
        &signed(&key(b'a'), "alice"),
    ] {
        removes_the_cookie(&app.logout(cookie).await);
    }
    let expired = app.login_as("alice").await;
    app.at(LIFETIME);
    removes_the_cookie(&app.logout(&expired).await);
}

#[tokio::test]
async fn a_link_cannot_log_out() {
    let app = TestApp::new();
    let cookie = app.login_as("alice").await;
    for path in ["/logout", "/logout/everywhere"] {
        // A chosen path is a page as well, which ends nothing.
        if [LOGIN_REDIRECT, LOGOUT_REDIRECT].contains(&path) {
            app.get(path, &cookie).await.is_page();
            continue;
        }
        for method in [Method::GET, Method::HEAD, Method::PUT, Method::DELETE] {
            let answer = app.send(request(method, path, &cookie), "").await;
            answer.is(StatusCode::METHOD_NOT_ALLOWED, "");
            answer.has("allow", "POST");
        }
    }
    app.opens(&cookie, "alice").await;
}
