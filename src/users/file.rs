//! The users: a file, one line each. Replace this module to ask a table of your own: the rest of the
//! app uses its `pub` items and nothing else of it.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use sha2::{Digest, Sha256};

use super::hash::{self, Account};
use super::text;
use crate::{error::Result, text_file};

/// The setting that says where the users are.
pub const SETTING: &str = "USERS_FILE";

/// The users of the file as it was when it could last be read.
pub struct Users {
    path: PathBuf,
    current: RwLock<Current>,
    stand_ins: RandomState,
}

/// The accounts, ordered by user id and never empty, and the digest of the file that they stand in.
#[derive(Clone)]
struct Current(Arc<[(String, Account)]>, [u8; 32]);

impl Current {
    fn get(&self, user_id: &str) -> Option<&Account> {
        let at = self.0.binary_search_by(|(id, _)| id.as_str().cmp(user_id));
        Some(&self.0[at.ok()?].1)
    }
}

impl Users {
    /// Opens what [`SETTING`] says. Fails with everything that is wrong with it.
    pub fn open(setting: &str) -> Result<Self, Vec<String>> {
        let path = PathBuf::from(setting);
        let text = text_file::read(&path).map_err(|error| vec![error.to_string()])?;
        let current = Current(parse(&text)?, Sha256::digest(&text).into());
        Ok(Self {
            path,
            current: RwLock::new(current),
            stand_ins: RandomState::new(),
        })
    }

    /// What the password of `user_id` is checked against.
    pub async fn account(&self, user_id: &str) -> Result<Account> {
        let current = self.current();
        let found = current.get(user_id);
        // An unknown name always gets the same other account, so its time is as steady as a real user's.
        let stand_in = || self.stand_ins.hash_one(user_id) as usize % current.0.len();
        let mut account = found.unwrap_or_else(|| &current.0[stand_in()].1).clone();
        account.exists = found.is_some();
        Ok(account)
    }

    /// The user's stamp; `None` where there is no such user. Asked with every request that carries a
    /// session, which so ends with its user or their password (OWASP ASVS 7.4.2, 7.4.3).
    pub async fn stamp(self: Arc<Self>, user_id: String) -> Result<Option<String>> {
        let current = self.current();
        Ok(current.get(&user_id).map(|account| account.stamp.clone()))
    }

    /// Reads the file again, and gives the users whose line is gone or has another hash. A file that
    /// cannot be read leaves the users as they were. Called every second, on a thread that may wait.
    pub fn read_again(&self) -> Result<Vec<String>, Vec<String>> {
        let read = text_file::read(&self.path);
        let text = read.map_err(|error| vec![error.to_string()])?;
        // A file that was put back may have the length and the time of the one before.
        let digest = Sha256::digest(&text).into();
        // Dropped after the lock: taking many users apart takes a while.
        let before = self.current();
        if before.1 == digest {
            return Ok(Vec::new());
        }
        let after = Current(parse(&text)?, digest);
        tracing::info!(event = "users_reloaded", users = after.0.len());
        let changed = before.0.iter().filter(|(user_id, old)| {
            let new = after.get(user_id);
            new.is_none_or(|new| new.stamp != old.stamp)
        });
        let changed = changed.map(|(user_id, _)| user_id.clone()).collect();
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = after;
        Ok(changed)
    }

    fn current(&self) -> Current {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.clone()
    }
}

/// Reads the users whole or not at all.
fn parse(text: &str) -> Result<Arc<[(String, Account)]>, Vec<String>> {
    let mut accounts = BTreeMap::new();
    let mut problems = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let added = parse_line(line).map(|(user_id, account)| accounts.insert(user_id, account));
        let problem = match added {
            Ok(None) => continue,
            Ok(Some(_)) => "its user stands on another line already".to_owned(),
            Err(problem) => problem,
        };
        // The line holds a hash: only its number is shown.
        problems.push(format!("line {}: {problem}", at + 1));
    }
    if !text.is_empty() && !text.ends_with('\n') {
        problems.push("the last line has no end: the file may be cut off".to_owned());
    }
    if accounts.is_empty() && problems.is_empty() {
        problems.push("no user stands in it: make one with `hash-password`".to_owned());
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(accounts.into_iter().collect())
}

fn parse_line(line: &str) -> Result<(String, Account), String> {
    let (user_id, password_hash) = line.rsplit_once(':').unwrap_or((line, ""));
    let account = Account {
        password_hash: hash::checked(password_hash.trim())?.to_owned(),
        stamp: hash::stamp(password_hash.trim()),
        exists: true,
    };
    Ok((text::user_id(user_id)?, account))
}
