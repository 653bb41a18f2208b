//! Standard output, to which lines about answers go in blocks.
//!
//! One system call a line would cost more than to answer most requests. Every other line goes out at
//! once, behind those that came before it: what happened to a session is not lost with the process.

use std::{
    io::{self, Write},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use tracing::Metadata;
use tracing_subscriber::fmt::MakeWriter;

/// How long a line waits at most.
const DELAY: Duration = Duration::from_millis(50);

/// How much waits at most, in bytes.
const BLOCK: usize = 32 * 1024;

static WAITING: Mutex<Vec<u8>> = Mutex::new(Vec::new());
static BEGUN: Condvar = Condvar::new();

/// Where lines go; needed once.
pub(super) fn start() -> Output {
    let waits = thread::Builder::new()
        .name("log".to_owned())
        .spawn(|| {
            loop {
                let waiting = BEGUN.wait_while(waiting(), |waiting| waiting.is_empty());
                drop(waiting);
                thread::sleep(DELAY);
                flush();
            }
        })
        .is_ok();
    Output { waits }
}

/// Writes what waits. What standard output does not take is lost: there is nowhere to say so.
pub fn flush() {
    write_out(&mut waiting());
}

fn waiting() -> MutexGuard<'static, Vec<u8>> {
    WAITING.lock().unwrap_or_else(PoisonError::into_inner)
}

fn write_out(waiting: &mut Vec<u8>) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(waiting).and_then(|()| out.flush());
    waiting.clear();
}

/// Standard output.
pub(super) struct Output {
    /// Whether somebody writes out what waits.
    waits: bool,
}

impl<'w> MakeWriter<'w> for Output {
    type Writer = Line;

    fn make_writer(&'w self) -> Line {
        Line { waits: false }
    }

    fn make_writer_for(&'w self, metadata: &Metadata<'_>) -> Line {
        let waits = self.waits && metadata.target() == super::ANSWERED;
        Line { waits }
    }
}

/// Takes one line.
pub(super) struct Line {
    waits: bool,
}

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut waiting = waiting();
        if waiting.is_empty() && self.waits {
            BEGUN.notify_one();
        }
        waiting.extend_from_slice(line);
        if !self.waits || waiting.len() >= BLOCK {
            write_out(&mut waiting);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
