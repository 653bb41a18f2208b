//! What strangers can make the process hold.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::{fs, net::SocketAddr, thread};

use app::users::hash;
use common::process::*;

/// Tries a name and an address of its own, as the proxy tells it; whether that was answered 401.
fn is_refused(address: SocketAddr, number: u32) -> bool {
    let from = format!("X-Forwarded-For: 2001:db8:{number}::1");
    let form = format!("user_id=user{number}&password=guess");
    let answer = send(address, "POST /login", &from, &form);
    answer.unwrap().status == 401
}

#[test]
fn after_120_refused_logins_six_at_once_the_process_holds_at_most_250_mib() {
    let folder = working_folder();
    // One user is enough: a name without a user costs the same hash.
    let line = hash::users_line("alice", "a long password").unwrap();
    assert!(line.contains("$m=19456,t=2,p=1$"), "{line}");
    fs::write(folder.join("users"), line + "\n").unwrap();
    let settings = [("USERS_FILE", "users"), ("TRUSTED_PROXIES", "1")];
    let (process, address) = Process::serving(&folder, &settings);
    let guess_20 = |first| (first..first + 20).filter(|at| is_refused(address, *at));
    let refused: usize = thread::scope(|scope| {
        let clients = [0, 20, 40, 60, 80, 100];
        let clients = clients.map(|first| scope.spawn(move || guess_20(first).count()));
        clients.map(|client| client.join().unwrap()).iter().sum()
    });
    assert_eq!(refused, 120);
    let held = memory_kib(process.id(), "VmRSS");
    assert!(held <= 250 * 1024, "{held} KiB");
}
