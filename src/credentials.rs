//! Who may log in: a file of users, one line each. Replace this module to ask a table of your own:
//! the rest of the app uses its `pub` items and nothing else of it.

use std::{
    collections::BTreeMap,
    fmt, fs,
    hash::{BuildHasher, RandomState},
    path::{Path, PathBuf},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use crate::{
    error::Error,
    login::check_text,
    password::{self, Account},
};

/// The setting that says where the users are.
pub const SETTING: &str = "USERS_FILE";

/// The clock of a file system is coarse: a file that changed less than this before it was read may
/// have changed once more since, at the same time by that clock.
const COARSE: Duration = Duration::from_secs(2);

/// How long after it was last looked at a file is looked at again, in milliseconds: not for every
/// request.
const AGAIN: u64 = 100;

/// The users.
pub struct Credentials {
    path: PathBuf,
    loaded: RwLock<Loaded>,
    opened: Instant,
    /// When the file was last looked at, in milliseconds since `opened`.
    looked: AtomicU64,
    stand_ins: RandomState,
}

struct Loaded {
    /// Names and hashes, ordered by name; never empty.
    users: Arc<[(String, String)]>,
    /// Of the file that was read last: when it changed, and its length.
    stamp: Option<(SystemTime, u64)>,
    read: SystemTime,
    /// Why the users are older than the file.
    problems: Vec<String>,
}

/// Hashes stay out of logs.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Credentials").field(&self.path).finish()
    }
}

impl Credentials {
    /// Opens what [`SETTING`] says, within the Tokio runtime. Fails with everything that is wrong
    /// with it.
    pub fn open(setting: &str) -> Result<Self, Vec<String>> {
        let path = PathBuf::from(setting);
        let (stamp, read) = (stamp(&path), SystemTime::now());
        Ok(Self {
            loaded: RwLock::new(Loaded {
                users: load(&path)?,
                stamp,
                read,
                problems: Vec::new(),
            }),
            path,
            opened: Instant::now(),
            looked: AtomicU64::new(0),
            stand_ins: RandomState::new(),
        })
    }

    /// What the password of `user_id` is checked against.
    pub async fn account(&self, user_id: &str) -> Result<Account, Error> {
        let users = self.users();
        let found = position(&users, user_id);
        // For a name without a user always the same other one, as if the hash were its own.
        let stand_in = || self.stand_ins.hash_one(user_id) as usize % users.len();
        Ok(Account {
            password_hash: users[found.unwrap_or_else(stand_in)].1.clone(),
            exists: found.is_some(),
        })
    }

    /// Whether there is such a user; asked with every request that carries a session, so that a
    /// removed user's sessions end within a tenth of a second (OWASP ASVS 7.4.2).
    pub async fn knows(&self, user_id: &str) -> Result<bool, Error> {
        Ok(position(&self.users(), user_id).is_some())
    }

    /// The users of the file as it is now or, where that is broken, as it was before.
    fn users(&self) -> Arc<[(String, String)]> {
        if self.is_to_be_looked_at() {
            self.look();
        }
        let loaded = self.loaded.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&loaded.users)
    }

    /// Whether it is time, and nobody else does it.
    fn is_to_be_looked_at(&self) -> bool {
        let now = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        let due = |before| (now.saturating_sub(before) >= AGAIN).then_some(now);
        self.looked
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, due)
            .is_ok()
    }

    fn look(&self) {
        let stamp = stamp(&self.path);
        let mut loaded = self.loaded.write().unwrap_or_else(PoisonError::into_inner);
        if loaded.may_differ(stamp) {
            loaded.stamp = stamp;
            loaded.read = SystemTime::now();
            match load(&self.path) {
                Ok(users) => {
                    if users != loaded.users {
                        tracing::info!(event = "users_reloaded", users = users.len());
                    }
                    loaded.users = users;
                    loaded.problems.clear();
                }
                Err(problems) if problems == loaded.problems => {}
                Err(problems) => {
                    tracing::error!(event = "users_not_reloaded", ?problems);
                    loaded.problems = problems;
                }
            }
        }
    }
}

impl Loaded {
    fn may_differ(&self, stamp: Option<(SystemTime, u64)>) -> bool {
        let just_changed = stamp.is_some_and(|(changed, _)| {
            self.read
                .duration_since(changed)
                .is_ok_and(|age| age < COARSE)
        });
        stamp != self.stamp || just_changed
    }
}

fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let file = fs::metadata(path).ok()?;
    Some((file.modified().ok()?, file.len()))
}

fn position(users: &[(String, String)], user_id: &str) -> Option<usize> {
    let found = users.binary_search_by(|(name, _)| name.as_str().cmp(user_id));
    found.ok()
}

/// Reads the file whole or not at all.
fn load(path: &Path) -> Result<Arc<[(String, String)]>, Vec<String>> {
    let text = fs::read_to_string(path).map_err(|error| vec![error.to_string()])?;
    let mut users = BTreeMap::new();
    let mut problems = Vec::new();
    for (at, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        // The line holds a hash: only its number is shown.
        let mut problem = |what: &str| problems.push(format!("line {}: {what}", at + 1));
        match line.rsplit_once(':') {
            Some((name, hash)) if check_text("name", name).is_ok() && password::is_hash(hash) => {
                if users.insert(name.to_owned(), hash.to_owned()).is_some() {
                    problem("its user stands on another line already");
                }
            }
            _ => problem(
                "is not of the form name:$argon2id$…, as `hash-password` writes it, with a name of \
                 at most 256 bytes",
            ),
        }
    }
    if !text.is_empty() && !text.ends_with('\n') {
        problems.push("the last line has no end: the file may be cut off".to_owned());
    }
    if users.is_empty() && problems.is_empty() {
        problems.push("no user stands in it: make one with `hash-password`".to_owned());
    }
    if problems.is_empty() {
        Ok(users.into_iter().collect())
    } else {
        Err(problems)
    }
}
