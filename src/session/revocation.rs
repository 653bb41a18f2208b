//! The sessions that were ended before their time.

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
};

use super::{clock::Timestamp, payload::SessionId};

/// Ended sessions, each kept until its cookie would have ended by itself.
#[derive(Default)]
pub struct Revocations(RwLock<Entries>);

#[derive(Default)]
struct Entries {
    ends: HashMap<SessionId, Timestamp>,
    /// Sweep when this many are held, so that sweeping costs each entry a constant.
    sweep_at: usize,
}

impl Revocations {
    /// Whether the session was ended.
    pub fn contains(&self, id: SessionId) -> bool {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .ends
            .contains_key(&id)
    }

    /// Remembers until `ends` that the session was ended.
    pub fn insert(&self, id: SessionId, ends: Timestamp, now: Timestamp) {
        let mut entries = self.0.write().unwrap_or_else(PoisonError::into_inner);
        entries.ends.insert(id, ends);
        if entries.ends.len() >= entries.sweep_at {
            entries.ends.retain(|_, ends| *ends > now);
            entries.sweep_at = (entries.ends.len() * 2).max(1024);
        }
    }
}
