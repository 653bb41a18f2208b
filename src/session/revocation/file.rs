//! The store of a single instance: one redb file for restarts, and all of it in memory for requests.

use std::collections::HashMap;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use tokio::{sync::Mutex, task::spawn_blocking};

use crate::error::{Error, Result};

/// Maps an entry's expiry, in Unix seconds, and its name to its number. The expiry is first in the key, so
/// that expired entries come first.
const ENDED: TableDefinition<(i64, &str), i64> = TableDefinition::new("ended_sessions");

/// How many expired entries a write removes at most. It adds only one, so they cannot pile up.
const SWEEP: usize = 100;
/// redb's own cache, in bytes: every entry is in our memory anyway.
const CACHE: usize = 4 * 1024 * 1024;
const EMPTY: &str = "the file is empty, as after a crash of the machine, and sessions that were logged out \
                     would be valid again: remove it and replace SESSION_KEYS";
const DAMAGED: &str = "the file is damaged: restore it, or remove it and replace SESSION_KEYS";
const OPEN: &str = "another process has it open: instances that run at once share REDIS_URL";

/// The default has no file and keeps everything in memory.
#[derive(Default)]
pub(in crate::session) struct FileStore {
    ended: RwLock<HashMap<String, i64>>,
    file: Option<Mutex<File>>,
}

struct File {
    path: PathBuf,
    /// `None` after a failed write: redb takes no other until the file is opened again.
    database: Option<Database>,
    written: Instant,
}

pub(in crate::session) struct Entry {
    pub name: String,
    pub number: i64,
    /// Until when, in Unix seconds.
    pub kept: i64,
}

impl FileStore {
    /// Reads what still counts at `now`, drops the rest and compacts the file.
    pub fn open(path: &Path, now: i64) -> Result<Self, String> {
        if std::fs::metadata(path).is_ok_and(|file| file.len() == 0) {
            return Err(EMPTY.to_owned());
        }
        // redb panics where the pages of a damaged file contradict each other.
        let loaded = catch_unwind(|| Self::load(path, now)).map_err(|_| DAMAGED.to_owned())?;
        loaded.map_err(|error| match error {
            redb::Error::DatabaseAlreadyOpen => OPEN.to_owned(),
            error => error.to_string(),
        })
    }

    fn load(path: &Path, now: i64) -> Result<Self, redb::Error> {
        let mut database = Database::builder().set_cache_size(CACHE).create(path)?;
        write(&database, None, now, usize::MAX)?;
        database.compact()?;
        let mut ended = HashMap::new();
        for row in database.begin_read()?.open_table(ENDED)?.iter()? {
            let (key, number) = row?;
            let known = ended.entry(key.value().1.to_owned()).or_default();
            *known = number.value().max(*known);
        }
        let file = File {
            path: path.to_owned(),
            database: Some(database),
            written: Instant::now(),
        };
        let (ended, file) = (RwLock::new(ended), Some(Mutex::new(file)));
        Ok(Self { ended, file })
    }

    pub fn get<const N: usize>(&self, names: &[String; N]) -> [Option<i64>; N] {
        let ended = self.ended.read().unwrap_or_else(PoisonError::into_inner);
        names.each_ref().map(|name| ended.get(name).copied())
    }

    /// Whether the disk took a write in the last ten seconds. Where one hangs, so does this.
    pub async fn wrote_just_now(&self) -> bool {
        let Some(file) = &self.file else { return true };
        let file = file.lock().await;
        file.database.is_some() && file.written.elapsed().as_secs() < 10
    }

    /// Raises the entry's number. When this returns, the disk has it.
    pub async fn store(self: &Arc<Self>, entry: Entry, now: i64) -> Result<()> {
        let store = Arc::clone(self);
        let written = spawn_blocking(move || store.write(entry, now)).await;
        written.map_err(Error::internal)?.map_err(Error::store_away)
    }

    fn write(&self, mut entry: Entry, now: i64) -> Result<(), redb::Error> {
        let mut file = self.file.as_ref().map(Mutex::blocking_lock);
        if let [Some(known)] = self.get(std::array::from_ref(&entry.name)) {
            entry.number = known.saturating_add(1).max(entry.number);
        }
        let mut swept = Vec::new();
        if let Some(file) = &mut file {
            let database = match file.database.take() {
                Some(database) => database,
                // Not created: without the entries in memory, the next start would know none of them.
                None => Database::builder().set_cache_size(CACHE).open(&file.path)?,
            };
            swept = write(&database, Some(&entry), now, SWEEP)?;
            file.database = Some(database);
            file.written = Instant::now();
        }
        let mut ended = self.ended.write().unwrap_or_else(PoisonError::into_inner);
        for (name, number) in swept {
            // A later entry of the same name still counts.
            if ended.get(&name) == Some(&number) {
                ended.remove(&name);
            }
        }
        ended.insert(entry.name, entry.number);
        Ok(())
    }
}

type Swept = Result<Vec<(String, i64)>, redb::Error>;

/// Writes an entry; removes and returns those that no longer count, at most so many.
fn write(database: &Database, entry: Option<&Entry>, now: i64, at_most: usize) -> Swept {
    let transaction = database.begin_write()?;
    let mut table = transaction.open_table(ENDED)?;
    if let Some(Entry { name, number, kept }) = entry {
        table.insert((*kept, name.as_str()), number)?;
    }
    let mut swept = Vec::new();
    let past = ..(now + 1, "");
    for row in table.extract_from_if(past, |_, _| true)?.take(at_most) {
        let (key, number) = row?;
        swept.push((key.value().1.to_owned(), number.value()));
    }
    drop(table);
    transaction.commit()?;
    Ok(swept)
}
