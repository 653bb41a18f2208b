//! What the stores of ended sessions cost: time, memory, and room on the disk.
//!
//! `store check COUNT` asks the embedded store so often, for `instructions` to count.
//! `store compare REDIS_URL` asks both stores, taking turns.
//! `store grow FOLDER` ends a million sessions in ten rounds, each after those of the last have ended by
//! themselves, in a file in that folder, and prints its size; and the memory of a million that have not ended.

use std::{
    env, fs,
    hint::black_box,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use app::{
    defaults::SESSION_MAX_AGE,
    session::{
        clock::{Clock, Timestamp},
        payload::{Payload, SessionId},
        revocation::{Revocations, StoreConfig},
    },
};
use measure::Result;

const USAGE: &str = "usage: store check COUNT | compare REDIS_URL | grow FOLDER";
const START: Timestamp = Timestamp(1_795_478_400_000);
const ROUNDS: u64 = 10;
const PER_ROUND: u64 = 100_000;

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match arguments[..] {
            ["check", count] => check(count.parse()?).await,
            ["compare", url] => compare(url).await,
            ["grow", folder] => grow(Path::new(folder)).await,
            _ => Err(USAGE.into()),
        }
    })
}

/// A session of its own for each number.
fn session(number: u64, issued: Timestamp) -> Payload {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes());
    id[8..].copy_from_slice(&number.to_le_bytes());
    Payload {
        id: SessionId(id),
        issued,
        ends: issued + SESSION_MAX_AGE,
        active: issued,
        user_id: format!("user {number}"),
    }
}

fn open(store: StoreConfig) -> Result<Revocations> {
    Ok(Revocations::open(store, Clock::new(|| START))?)
}

async fn check(count: u64) -> Result<()> {
    let store = open(StoreConfig::Memory)?;
    for number in 0..1_000 {
        store.end(&session(number, START)).await.map_err(said)?;
    }
    let live = session(u64::MAX, START);
    for _ in 0..count {
        let ended = black_box(&store).is_ended(black_box(&live)).await;
        assert!(!ended.map_err(said)?);
    }
    Ok(())
}

async fn compare(url: &str) -> Result<()> {
    let embedded = open(StoreConfig::Memory)?;
    let redis = open(StoreConfig::Redis(redis::Client::open(url)?))?;
    for number in 0..1_000 {
        for store in [&embedded, &redis] {
            store.end(&session(number, START)).await.map_err(said)?;
        }
    }
    println!("round  embedded ns  redis ns");
    for round in 1..=7 {
        let mut nanos = Vec::new();
        for (store, count) in [(&embedded, 100_000), (&redis, 2_000)] {
            let since = Instant::now();
            for number in 0..count {
                let asked = session(number, START);
                black_box(store.is_ended(&asked).await.map_err(said)?);
            }
            nanos.push(since.elapsed().as_nanos() / u128::from(count));
        }
        println!("{round:<6} {:<12} {}", nanos[0], nanos[1]);
    }
    Ok(())
}

async fn grow(folder: &Path) -> Result<()> {
    let file = folder.join("grow.redb");
    let now = Arc::new(AtomicU64::new(START.0));
    let hand = Arc::clone(&now);
    let clock = Clock::new(move || Timestamp(hand.load(Ordering::Relaxed)));
    let open = || Revocations::open(StoreConfig::File(file.clone()), clock.clone());
    let store = open()?;
    println!("ended      MiB of file");
    let since = Instant::now();
    for round in 0..ROUNDS {
        let begun = START + SESSION_MAX_AGE * u32::try_from(round)?;
        now.store(begun.0, Ordering::Relaxed);
        for number in round * PER_ROUND..(round + 1) * PER_ROUND {
            store.end(&session(number, begun)).await.map_err(said)?;
        }
        println!(
            "{:<10} {:.1}",
            (round + 1) * PER_ROUND,
            mib(fs::metadata(&file)?.len())
        );
    }
    let each = since.elapsed() / u32::try_from(ROUNDS * PER_ROUND)?;
    println!("a write where flushing costs nothing: {each:?}");
    drop(store);
    let last = START + SESSION_MAX_AGE * u32::try_from(ROUNDS)?;
    now.store(last.0, Ordering::Relaxed);
    drop(open()?);
    println!(
        "all ended, opened again: {:.1} MiB",
        mib(fs::metadata(&file)?.len())
    );

    let before = resident_kib()?;
    let store = open()?;
    for number in 0..ROUNDS * PER_ROUND {
        store.end(&session(number, last)).await.map_err(said)?;
    }
    drop(store);
    println!(
        "a million that have not: {:.1} MiB of file",
        mib(fs::metadata(&file)?.len())
    );
    let loading = Instant::now();
    let store = open()?;
    println!("read again in {:?}", loading.elapsed());
    let grown = resident_kib()?.saturating_sub(before);
    println!(
        "and {grown} KiB of memory: {} bytes each",
        grown * 1024 / (ROUNDS * PER_ROUND)
    );
    let asked = Instant::now();
    for number in 0..PER_ROUND {
        assert!(
            store
                .is_ended(&session(number * 7, last))
                .await
                .map_err(said)?
        );
    }
    println!(
        "asked among a million: {:?}",
        asked.elapsed() / u32::try_from(PER_ROUND)?
    );
    fs::remove_file(&file)?;
    Ok(())
}

fn mib(bytes: u64) -> f64 {
    Duration::from_micros(bytes).as_secs_f64() / 1.048_576
}

fn resident_kib() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    Ok(line
        .ok_or("no VmRSS")?
        .trim()
        .trim_end_matches(" kB")
        .parse()?)
}

fn said(error: app::error::Error) -> String {
    error.words().into_owned()
}
