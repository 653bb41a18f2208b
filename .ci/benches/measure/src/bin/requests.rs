//! Answers `GET /me` in process, a given number of times, for `instructions` to count.
//!
//! Standard output belongs to the app's log, which is set up as the app itself does.

use std::{env, hint::black_box};

use axum::Router;
use measure::{ANSWER, Measure, Result, crowd_around, get_me, with};
use tokio::runtime::{Builder, Handle};

const USAGE: &str =
    "usage: requests constant|one-hmac|walkthrough|session|identity|app alone|crowd COUNT";

struct Answer {
    crowd: bool,
    count: u32,
}

impl Measure for Answer {
    fn measure(self, app: Router, session: String) -> Result<()> {
        let cookies = if self.crowd {
            crowd_around(&session)
        } else {
            session
        };
        let answer = async {
            assert_eq!(get_me(&app, &cookies).await?, ANSWER);
            for _ in 0..self.count {
                black_box(get_me(&app, black_box(&cookies)).await?);
            }
            Ok(())
        };
        tokio::task::block_in_place(|| Handle::current().block_on(answer))
    }
}

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let [variant, cookies, count] = arguments[..] else {
        return Err(USAGE.into());
    };
    let crowd = match cookies {
        "alone" => false,
        "crowd" => true,
        _ => return Err(USAGE.into()),
    };
    let count = count.parse()?;
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .build()?;
    runtime.block_on(with(variant, Answer { crowd, count }))
}
