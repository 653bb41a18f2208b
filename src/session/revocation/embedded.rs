//! The store of a single instance: one redb file, and all of it in memory.
//!
//! Requests ask the memory; the file is what a restart reads. The memory follows when the disk has it.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use redb::{
    Builder, Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition,
    backends::InMemoryBackend,
};
use tokio::{sync::Mutex, task::spawn_blocking};

use super::Subject;
use crate::{error::Error, session::clock::Timestamp};

/// Until when an entry is kept, and its subject, to the moment until which sessions are ended. So
/// the entries that no longer count come first.
const ENDED: TableDefinition<(u64, &str), u64> = TableDefinition::new("ended");

/// How many entries that no longer count a write removes: it adds one, so they cannot pile up. The start
/// removes all.
const SWEEP: usize = 100;

/// redb's own cache; the default is a gigabyte, and every entry is in our memory anyway.
const CACHE_BYTES: usize = 4 * 1024 * 1024;

pub(super) struct Embedded {
    /// `None` keeps all in memory.
    path: Option<PathBuf>,
    /// `None` after a failed write: redb takes no other until the file is opened again.
    database: Mutex<Option<Database>>,
    ended: RwLock<HashMap<Subject<'static>, Timestamp>>,
}

struct Entry {
    subject: Subject<'static>,
    until: Timestamp,
    kept: Timestamp,
}

impl Embedded {
    /// Reads what still counts at `now`, and gives the room of the rest back.
    pub fn open(path: Option<PathBuf>, now: Timestamp) -> Result<Self, String> {
        let load = || {
            let mut database = create(path.as_deref())?;
            write(&database, None, now, usize::MAX)?;
            database.compact()?;
            let table = database.begin_read()?.open_table(ENDED)?;
            let mut ended = HashMap::new();
            for row in table.iter()? {
                let (key, until) = row?;
                if let Some(subject) = Subject::parse(key.value().1) {
                    remember(&mut ended, subject, Timestamp(until.value()));
                }
            }
            Ok((database, ended))
        };
        let (database, ended) = load().map_err(|error| match error {
            redb::Error::DatabaseAlreadyOpen => {
                "another process has it open: instances that run at once share REDIS_URL".to_owned()
            }
            error => error.to_string(),
        })?;
        Ok(Self {
            path,
            database: Mutex::new(Some(database)),
            ended: RwLock::new(ended),
        })
    }

    pub fn ended_until(&self, subjects: &[Subject<'_>]) -> Timestamp {
        let ended = self.ended.read().unwrap_or_else(PoisonError::into_inner);
        let until = subjects.iter().filter_map(|subject| ended.get(subject));
        until.copied().max().unwrap_or(Timestamp(0))
    }

    /// When it returns, the disk has it.
    pub async fn put(
        self: &Arc<Self>,
        subject: Subject<'static>,
        until: Timestamp,
        kept: Timestamp,
        now: Timestamp,
    ) -> Result<(), Error> {
        let entry = Entry {
            subject,
            until,
            kept,
        };
        self.store(Some(entry), now).await
    }

    /// Writes only after a write has failed: a probe every second should not.
    pub async fn check(self: &Arc<Self>, now: Timestamp) -> Result<(), Error> {
        // Where it is locked, somebody is writing, and will see how that goes.
        if self
            .database
            .try_lock()
            .is_ok_and(|database| database.is_none())
        {
            self.store(None, now).await?;
        }
        Ok(())
    }

    async fn store(self: &Arc<Self>, entry: Option<Entry>, now: Timestamp) -> Result<(), Error> {
        let store = Arc::clone(self);
        let written = spawn_blocking(move || store.write(entry, now)).await;
        written.map_err(Error::internal)?.map_err(Error::store_away)
    }

    fn write(&self, entry: Option<Entry>, now: Timestamp) -> Result<(), redb::Error> {
        let mut place = self.database.blocking_lock();
        let database = match (place.take(), &self.path) {
            (Some(database), _) => database,
            // Not created: without the entries in memory, the next start would know none of them.
            (None, Some(path)) => builder().open(path)?,
            (None, None) => create(None)?,
        };
        let swept = write(&database, entry.as_ref(), now, SWEEP)?;
        *place = Some(database);

        let mut ended = self.ended.write().unwrap_or_else(PoisonError::into_inner);
        for (subject, until) in swept {
            // A later entry of the same subject still counts.
            if let Some(subject) = subject
                && ended.get(&subject) == Some(&until)
            {
                ended.remove(&subject);
            }
        }
        if let Some(entry) = entry {
            remember(&mut ended, entry.subject, entry.until);
        }
        Ok(())
    }
}

fn remember(
    ended: &mut HashMap<Subject<'static>, Timestamp>,
    subject: Subject<'static>,
    until: Timestamp,
) {
    let known = ended.entry(subject).or_insert(until);
    *known = until.max(*known);
}

/// Writes an entry; removes and returns those that no longer count, at most so many.
fn write(
    database: &Database,
    entry: Option<&Entry>,
    now: Timestamp,
    at_most: usize,
) -> Result<Vec<(Option<Subject<'static>>, Timestamp)>, redb::Error> {
    let transaction = database.begin_write()?;
    let mut table = transaction.open_table(ENDED)?;
    if let Some(entry) = entry {
        let subject = entry.subject.to_string();
        table.insert((entry.kept.0, subject.as_str()), entry.until.0)?;
    }
    let mut swept = Vec::new();
    let past = ..(now.0 + 1, "");
    for row in table.extract_from_if(past, |_, _| true)?.take(at_most) {
        let (key, until) = row?;
        let subject = Subject::parse(key.value().1);
        swept.push((subject, Timestamp(until.value())));
    }
    drop(table);
    transaction.commit()?;
    Ok(swept)
}

fn create(path: Option<&Path>) -> Result<Database, DatabaseError> {
    match path {
        Some(path) => builder().create(path),
        None => builder().create_with_backend(InMemoryBackend::new()),
    }
}

fn builder() -> Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    builder
}
