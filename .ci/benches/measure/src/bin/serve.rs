//! Serves one of the handlers as the walkthrough does: by `axum::serve`, with nothing around it.
//! Prints its address, and a session cookie that it takes.

use std::env;

use measure::Result;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<()> {
    let usage = "usage: serve constant|one-hmac|walkthrough|session|identity|app";
    let variant = env::args().nth(1).ok_or(usage)?;
    let (router, session) = measure::router(&variant).await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{} {session}", listener.local_addr()?);
    axum::serve(listener, router).await?;
    Ok(())
}
