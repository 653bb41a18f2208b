//! The page around a page, its style and its icon: start here to change how the app looks. Every
//! value that is put into a page is escaped. Pages work without JavaScript and load nothing from elsewhere.

use axum::http::{StatusCode, header};
use axum::response::Html;
use axum::{Router, routing::get};
use horrorshow::{helper::doctype, html, prelude::*};

const APP_NAME: &str = env!("CARGO_PKG_NAME");

/// No redirect can have such a path: their rule allows no `@`.
const STYLE_PATH: &str = "/@style.css";
const ICON_PATH: &str = "/@icon.svg";

pub fn page(title: &str, content: impl RenderOnce) -> Html<String> {
    let page = html! {
        : doctype::HTML;
        html(lang = "en") {
            head {
                meta(charset = "utf-8");
                meta(name = "viewport", content = "width=device-width, initial-scale=1");
                meta(name = "color-scheme", content = "light dark");
                title { : title; : " · "; : APP_NAME }
                link(rel = "icon", href = ICON_PATH, type = "image/svg+xml");
                link(rel = "stylesheet", href = STYLE_PATH);
            }
            body {
                header { a(href = "/") : APP_NAME }
                main { : content }
            }
        }
    };
    Html(page.into_string().unwrap_or_default())
}

pub fn error(status: StatusCode, words: &str) -> Html<String> {
    let title = status.canonical_reason().unwrap_or("Error");
    let content = html! {
        p(class = "status") : status.as_str();
        h1 : title;
        p : words;
        p { a(href = "/") : "Back to the start page" }
    };
    page(title, content)
}

/// The style sheet, and the icon in the browser's tab.
pub fn assets<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let caching = (header::CACHE_CONTROL, "public, max-age=300");
    let style = [
        (header::CONTENT_TYPE, "text/css; charset=utf-8"),
        caching.clone(),
    ];
    let icon = [(header::CONTENT_TYPE, "image/svg+xml"), caching];
    Router::new()
        .route(STYLE_PATH, get((style, include_str!("style.css"))))
        .route(ICON_PATH, get((icon, include_str!("icon.svg"))))
}
