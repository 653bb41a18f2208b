//! `GET /me` in process: from a bare handler that answers a constant to the whole app.
//!
//! The app's log is written too, between the lines of the table:
//! `cargo bench --manifest-path .ci/benches/measure/Cargo.toml | grep --invert-match answered` leaves it out.

use axum::Router;
use divan::{Bencher, black_box};
use measure::{Measure, Result, crowd_around, get_me, with};
use tokio::runtime::Runtime;

const HANDLERS: [&str; 6] = [
    "constant",
    "one-hmac",
    "walkthrough",
    "session",
    "identity",
    "app",
];

struct Iterate<'a, 'b> {
    bencher: Bencher<'a, 'b>,
    crowd: bool,
}

impl Measure for Iterate<'_, '_> {
    fn measure(self, app: Router, session: String) -> Result<()> {
        let cookies = if self.crowd {
            crowd_around(&session)
        } else {
            session
        };
        let runtime = tokio::runtime::Handle::current();
        tokio::task::block_in_place(|| {
            self.bencher.bench_local(|| {
                let answer = runtime.block_on(get_me(&app, black_box(&cookies)));
                answer.expect("an answer")
            });
        });
        Ok(())
    }
}

fn run(bencher: Bencher, handler: &str, crowd: bool) {
    let runtime = Runtime::new().expect("a runtime");
    runtime
        .block_on(with(handler, Iterate { bencher, crowd }))
        .expect("a handler that answers");
}

/// With the session's cookie alone.
#[divan::bench(args = HANDLERS)]
fn alone(bencher: Bencher, handler: &str) {
    run(bencher, handler, false);
}

/// With eight cookies of others beside it.
#[divan::bench(args = HANDLERS)]
fn crowd(bencher: Bencher, handler: &str) {
    run(bencher, handler, true);
}

fn main() {
    divan::main();
}
