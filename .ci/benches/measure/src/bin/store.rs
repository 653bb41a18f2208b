//! What the stores of ended sessions cost: time, memory, and room on the disk. All is done by requests.
//!
//! `store compare REDIS_URL` asks `GET /me` with either store, taking turns.
//! `store grow FOLDER` logs so many sessions out in ten rounds, each after those of the last no longer count,
//! in a file in that folder, and prints its size; and the memory of as many that still count.

use std::{
    env, fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use app::{AppState, config::Config, defaults::SESSION_MAX_AGE, session::revocation::StoreConfig};
use axum::Router;
use measure::{ANSWER, KEY, Result, get_me, log_in, log_out};
use time::OffsetDateTime;

const USAGE: &str = "usage: store compare REDIS_URL | grow FOLDER";
const START: i64 = 1_795_478_400;
const ROUNDS: u32 = 10;
const PER_ROUND: u32 = 20_000;

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match arguments[..] {
            ["compare", url] => compare(url).await,
            ["grow", folder] => grow(&Path::new(folder).join("grow.redb")).await,
            _ => Err(USAGE.into()),
        }
    })
}

fn open(store: StoreConfig, now: &Arc<AtomicI64>) -> Result<Router> {
    let mut config = Config::read(true, |name| match name {
        "SESSION_KEYS" => Some(KEY.to_owned()),
        "ALLOW_OPEN_LOGIN" => Some("true".to_owned()),
        _ => None,
    })?;
    config.session.store = store;
    let now = Arc::clone(now);
    let epoch = OffsetDateTime::UNIX_EPOCH;
    let clock = move || epoch + Duration::from_secs(now.load(Ordering::Relaxed).unsigned_abs());
    Ok(app::app(AppState::open(config, Arc::new(clock))?))
}

async fn compare(url: &str) -> Result<()> {
    let now = Arc::new(AtomicI64::new(START));
    let embedded = open(StoreConfig::Memory, &now)?;
    let redis = open(StoreConfig::Redis(redis::Client::open(url)?), &now)?;
    let session = log_in(&embedded).await?;
    println!("round  embedded ns  redis ns");
    for round in 1..=7 {
        let mut nanos = Vec::new();
        for (app, count) in [(&embedded, 100_000), (&redis, 2_000)] {
            let since = Instant::now();
            for _ in 0..count {
                assert_eq!(get_me(app, &session).await?, ANSWER);
            }
            nanos.push(since.elapsed().as_nanos() / count);
        }
        println!("{round:<6} {:<12} {}", nanos[0], nanos[1]);
    }
    Ok(())
}

async fn grow(file: &Path) -> Result<()> {
    let now = Arc::new(AtomicI64::new(START));
    let open = || open(StoreConfig::File(file.to_owned()), &now);
    // An entry is kept for a lifetime more than its session has.
    let kept = 2 * i64::try_from(SESSION_MAX_AGE.as_secs())? + 1;
    let app = open()?;
    println!("ended      MiB of file");
    let since = Instant::now();
    for round in 1..=ROUNDS {
        for _ in 0..PER_ROUND {
            log_out(&app, &log_in(&app).await?).await?;
        }
        println!("{:<10} {:.1}", round * PER_ROUND, mib(file)?);
        now.fetch_add(kept, Ordering::Relaxed);
    }
    let all = ROUNDS * PER_ROUND;
    let each = since.elapsed() / all;
    println!("a login and a logout where flushing costs nothing: {each:?}");
    drop(app);
    drop(open()?);
    println!("none counts, opened again: {:.1} MiB", mib(file)?);

    let app = open()?;
    let mut last = String::new();
    for _ in 0..all {
        last = log_in(&app).await?;
        log_out(&app, &last).await?;
    }
    drop(app);
    println!("{all} that count: {:.1} MiB of file", mib(file)?);
    let before = resident_kib()?;
    let loading = Instant::now();
    let app = open()?;
    println!("read again in {:?}", loading.elapsed());
    let grown = resident_kib()?.saturating_sub(before);
    let each = grown * 1024 / u64::from(all);
    println!("and {grown} KiB of memory: {each} bytes each");
    assert_ne!(get_me(&app, &last).await?, ANSWER);
    fs::remove_file(file)?;
    Ok(())
}

fn mib(file: &Path) -> Result<f64> {
    Ok(Duration::from_micros(fs::metadata(file)?.len()).as_secs_f64() / 1.048_576)
}

fn resident_kib() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.ok_or("no VmRSS")?.trim().trim_end_matches(" kB");
    Ok(kib.parse()?)
}
