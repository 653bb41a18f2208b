//! The published walkthrough alone, to be measured beside the app.

use std::io;

use axum_extra::extract::cookie::Key;
use tokio::net::TcpListener;

mod walkthrough;

#[tokio::main]
async fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:3001").await?;
    axum::serve(listener, walkthrough::router(Key::generate())).await
}
