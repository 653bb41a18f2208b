//! How long a login takes to be refused: for a wrong password and for an unknown user, taking turns.
//!
//! `logins COUNT` prints the quantiles of both, in microseconds. Users' hashes are of two prices, as when
//! the parameters were raised at some time.

use std::{
    env, fs,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use app::{
    AppState,
    config::{Build, Config},
    session::{
        clock::{Clock, Timestamp},
        revocation::StoreConfig,
    },
};
use argon2::{Argon2, Params, PasswordHasher, password_hash::SaltString};
use axum::{Router, body::Body, http::Request};
use measure::{KEY, Result};
use tower::ServiceExt;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let count: usize = env::args().nth(1).ok_or("usage: logins COUNT")?.parse()?;
    let users = env::temp_dir().join(format!("users-{}", std::process::id()));
    let mut lines = String::new();
    for number in 0..20 {
        let (kib, passes) = if number % 4 == 0 {
            (12_288, 3)
        } else {
            (19_456, 2)
        };
        let params = Params::new(kib, passes, 1, None).map_err(said)?;
        let salt =
            SaltString::encode_b64(format!("the salt of {number:02}").as_bytes()).map_err(said)?;
        let hash = Argon2::from(params)
            .hash_password(b"correct horse", &salt)
            .map_err(said)?
            .to_string();
        lines += &format!("user{number}:{hash}\n");
    }
    fs::write(&users, lines)?;

    // An hour passes between two attempts, so that no throttle answers.
    let now = Arc::new(AtomicU64::new(1_795_478_400_000));
    let clock = Clock::new(move || Timestamp(now.fetch_add(3_600_000, Ordering::Relaxed)));
    let mut config = Config::read(Build::Release, |name| match name {
        "SESSION_KEYS" => Some(KEY.to_owned()),
        "USERS_FILE" => users.to_str().map(str::to_owned),
        _ => None,
    })?;
    config.session.store = StoreConfig::Memory;
    let app = app::app(AppState::open(config, clock)?);

    let (mut wrong, mut unknown) = (Vec::new(), Vec::new());
    for number in 0..count {
        wrong.push(refused_after(&app, &format!("user{}", number % 20)).await?);
        unknown.push(refused_after(&app, &format!("nobody{}", number % 1_000)).await?);
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
    fs::remove_file(users)?;
    Ok(())
}

async fn refused_after(app: &Router, user_id: &str) -> Result<u128> {
    let request = Request::post("/login")
        .header("host", "localhost")
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

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}
