//! What strangers can make this process hold. One test alone, so that no other counts in.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::{
    fs,
    net::{IpAddr, Ipv6Addr},
};

use app::{
    session::clock::Clock,
    throttle::{Throttle, network},
};
use common::START;

/// What this process holds in memory, in KiB.
fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn a_million_names_and_addresses_need_no_more_memory_than_a_few() {
    let throttle = Throttle::on_accounts(Clock::new(|| START));
    for at in 0..1_000 {
        let _ = throttle.attempt(format!("user {at}"));
    }
    let before = resident_kib();
    let counted = (0..1_000_000).filter(|at| throttle.attempt(format!("name {at}")).is_ok());
    // Ten for each of the counts that the names share.
    assert!((600_000..660_000).contains(&counted.count()));
    let addresses = Throttle::from_addresses(Clock::new(|| START));
    let counted = (0..1_000_000_u32).filter(|bits| {
        let address = IpAddr::V6(Ipv6Addr::from_bits(u128::from(*bits) << 64));
        addresses.attempt(network(address)).is_ok()
    });
    // Fifty for each are more than there are.
    assert_eq!(counted.count(), 1_000_000);
    let grown = resident_kib().saturating_sub(before);
    assert!(grown < 2 * 1024, "{grown} KiB");
}
