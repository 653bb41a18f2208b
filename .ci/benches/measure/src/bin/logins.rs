//! How long a login takes to be refused: for a wrong password and for an unknown user, taking turns.
//!
//! `logins COUNT` prints the quantiles of both, in microseconds. Users' hashes are of two prices, as when
//! the parameters were raised at some time.

use std::{env, fmt::Display, fs, sync::Arc, time::Instant};

use app::{AppState, config::Config, session::revocation::StoreConfig};
use argon2::{
    Algorithm, Argon2, Params, PasswordHasher, Version, password_hash::phc::PasswordHash,
};
use axum::{Router, body::Body, http::Request};
use measure::{KEY, Result};
use time::OffsetDateTime;
use tower::ServiceExt;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let count: u32 = env::args().nth(1).ok_or("usage: logins COUNT")?.parse()?;
    let mut hashes = Vec::new();
    for number in 0..20 {
        let (kib, passes) = if number % 4 == 0 {
            (12_288, 3)
        } else {
            (19_456, 2)
        };
        let params = Params::new(kib, passes, 1, None).map_err(said)?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let hash: PasswordHash = argon2.hash_password(b"correct horse").map_err(said)?;
        hashes.push(hash.to_string());
    }
    // A user for each attempt, and an address, so that no throttle answers.
    let users = (0..count).zip(hashes.iter().cycle());
    let users: String = users
        .map(|(number, hash)| format!("user{number}:{hash}\n"))
        .collect();
    let file = env::temp_dir().join(format!("users-{}", std::process::id()));
    fs::write(&file, users)?;

    let mut config = Config::read(true, |name| match name {
        "SESSION_KEYS" => Some(KEY.to_owned()),
        "TRUSTED_PROXIES" => Some("1".to_owned()),
        "USERS_FILE" => file.to_str().map(str::to_owned),
        _ => None,
    })?;
    config.session.store = StoreConfig::Memory;
    let app = app::app(AppState::open(config, Arc::new(OffsetDateTime::now_utc))?);

    let (mut wrong, mut unknown) = (Vec::new(), Vec::new());
    for number in 0..count {
        wrong.push(refused_after(&app, &format!("user{number}"), 2 * number).await?);
        unknown.push(refused_after(&app, &format!("nobody{number}"), 2 * number + 1).await?);
    }
    println!("microseconds    10 %    25 %  median    75 %    90 %    99 %");
    for (name, mut times) in [("wrong password", wrong), ("unknown user", unknown)] {
        times.sort_unstable();
        let at = |percent: usize| times[(times.len() - 1) * percent / 100];
        println!(
            "{name:<15}{:>5}{:>8}{:>8}{:>8}{:>8}{:>8}",
            at(10),
            at(25),
            at(50),
            at(75),
            at(90),
            at(99)
        );
    }
    fs::remove_file(file)?;
    Ok(())
}

async fn refused_after(app: &Router, user_id: &str, client: u32) -> Result<u128> {
    let address = std::net::Ipv4Addr::from(0x0A00_0000 + client);
    let request = Request::post("/login")
        .header("host", "localhost")
        .header("x-forwarded-for", address.to_string())
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from(format!(
            "user_id={user_id}&password=correct+mule"
        )))?;
    let since = Instant::now();
    let answer = app.clone().oneshot(request).await?;
    let micros = since.elapsed().as_micros();
    assert_eq!(answer.status(), 401);
    Ok(micros)
}

fn said(error: impl Display) -> String {
    error.to_string()
}
