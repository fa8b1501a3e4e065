//! SQLite without any engine: the rows that a run left behind are written again, in the same order, into a file of the same
//! schema, page size and settings, with as many transitions in a commit. Nothing is read, decided or made of other things.
//!
//! What an update replaced is not in a file any more, so each update writes the row as it is in the end; an execution is
//! written twice where the run committed more than once a step. No foreign key is looked up.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use serde::{Deserialize, Serialize};

use crate::child::Job;
use crate::process;
use crate::quantiles::Quantiles;
use crate::setup::Guests;

/// How many pages the log grows by from one checkpoint to the next, which a thread of its own makes; as the store does.
const CHECKPOINT_PAGES: i32 = 2_000;

/// What an update of an instance changes, of what the schema has.
const CHANGING: [&str; 8] = ["seq", "status", "current_step", "completed_at", "wake_at", "control", "error", "result"];

/// What to measure.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Bare {
    /// A database that a run has left behind.
    pub(crate) source: PathBuf,
    /// How many transitions share a commit.
    pub(crate) transitions_per_commit: u64,
    /// How long, at most: there are only so many rows.
    pub(crate) length: Duration,
}

/// What was seen.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Written {
    /// Those whose last transition was written.
    pub(crate) instances: u64,
    pub(crate) transitions: u64,
    pub(crate) rows: u64,
    pub(crate) commits: u64,
    pub(crate) seconds: f64,
    pub(crate) cpu_ms_each: f64,
    /// How long a commit took with all that is in it.
    pub(crate) commit: Quantiles,
}

/// A table with rows of instances.
struct Table {
    name: String,
    columns: Vec<String>,
    /// The rows of each instance.
    rows: HashMap<i64, Vec<Vec<Value>>>,
}

/// What a run left behind.
struct Source {
    schema: Vec<String>,
    page_size: i64,
    instances: Table,
    executions: Table,
    /// Everything else that has rows of instances, other than history.
    others: Vec<Table>,
    /// The history in its order, with the instance of each row.
    history: Vec<(i64, Vec<Value>)>,
    history_columns: usize,
}

impl Job for Bare {
    const NAME: &'static str = "bare";
    type Outcome = Written;

    fn measure(self, _: &Guests) -> anyhow::Result<Written> {
        let source = Source::read(&self.source)?;
        let target = self.source.with_extension("bare.db");
        let written = write(&source, &target, &self);
        for suffix in ["", "-wal", "-shm"] {
            let mut file = target.as_os_str().to_owned();
            file.push(suffix);
            // One that is not there needs no removing.
            let _ = std::fs::remove_file(file);
        }
        written
    }
}

impl Source {
    fn read(database: &Path) -> anyhow::Result<Self> {
        let db = Connection::open(database)?;
        let schema = texts(
            &db,
            "SELECT sql FROM sqlite_schema WHERE sql NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY type DESC",
        )?;
        let names = texts(&db, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")?;
        let mut others = Vec::new();
        for name in &names {
            if !["instances", "executions", "history"].contains(&name.as_str()) {
                others.push(Table::read(&db, name, "instance", "")?);
            }
        }
        others.retain(|table| !table.rows.is_empty());
        let history_columns = columns(&db, "history")?;
        let of_instance = history_columns.iter().position(|column| column == "instance");
        let of_instance = of_instance.context("history has no `instance`")?;
        let history = rows(&db, "history", history_columns.len(), "ORDER BY position")?;
        Ok(Self {
            schema,
            page_size: db.pragma_query_value(None, "page_size", |row| row.get(0))?,
            instances: Table::read(&db, "instances", "key", "")?,
            executions: Table::read(&db, "executions", "instance", "ORDER BY number")?,
            others,
            history: history.into_iter().map(|row| (integer(&row[of_instance]), row)).collect(),
            history_columns: history_columns.len(),
        })
    }
}

impl Table {
    /// Reads a table; it has no rows where it has no column that names an instance.
    fn read(db: &Connection, name: &str, instance: &str, order: &str) -> anyhow::Result<Self> {
        let columns = columns(db, name)?;
        let mut by_instance: HashMap<i64, Vec<Vec<Value>>> = HashMap::new();
        if let Some(key) = columns.iter().position(|column| column == instance) {
            for row in rows(db, name, columns.len(), order)? {
                by_instance.entry(integer(&row[key])).or_default().push(row);
            }
        }
        Ok(Self { name: name.to_owned(), columns, rows: by_instance })
    }

    fn insert(&self) -> String {
        insert(&self.name, self.columns.len())
    }

    fn of(&self, instance: i64) -> &[Vec<Value>] {
        self.rows.get(&instance).map_or(&[], Vec::as_slice)
    }
}

fn texts(db: &Connection, query: &str) -> anyhow::Result<Vec<String>> {
    let mut statement = db.prepare(query)?;
    Ok(statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
}

fn columns(db: &Connection, table: &str) -> anyhow::Result<Vec<String>> {
    texts(db, &format!("SELECT name FROM pragma_table_info('{table}')"))
}

fn rows(db: &Connection, table: &str, columns: usize, order: &str) -> anyhow::Result<Vec<Vec<Value>>> {
    let mut statement = db.prepare(&format!("SELECT * FROM {table} {order}"))?;
    let rows = statement.query_map([], |row| (0..columns).map(|column| row.get(column)).collect())?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn integer(value: &Value) -> i64 {
    if let Value::Integer(number) = value { *number } else { -1 }
}

fn insert(table: &str, columns: usize) -> String {
    format!("INSERT OR REPLACE INTO {table} VALUES ({})", vec!["?"; columns].join(", "))
}

fn write(source: &Source, target: &Path, bare: &Bare) -> anyhow::Result<Written> {
    let mut db = Connection::open(target)?;
    db.set_prepared_statement_cache_capacity(64);
    db.pragma_update(None, "page_size", source.page_size)?;
    db.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "foreign_keys", false)?;
    db.pragma_update(None, "temp_store", "MEMORY")?;
    db.pragma_update(None, "wal_autocheckpoint", 0)?;
    for statement in &source.schema {
        db.execute_batch(statement)?;
    }
    let (signals, checkpoints) = checkpoints(target)?;
    let mut pages_at_last = 0;
    db.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages: i32| {
        pages_at_last = pages_at_last.min(pages);
        if pages - pages_at_last >= CHECKPOINT_PAGES {
            pages_at_last = pages;
            // A full channel means that one is on its way.
            let _ = signals.try_send(());
        }
        Ok(())
    }))?;
    let written = Writer::new(source).write_all(&db, bare)?;
    drop(db);
    checkpoints.join().map_err(|_| anyhow::anyhow!("the thread of the checkpoints panicked"))?;
    Ok(written)
}

fn checkpoints(target: &Path) -> anyhow::Result<(SyncSender<()>, JoinHandle<()>)> {
    let db = Connection::open(target)?;
    let (signals, told) = sync_channel(1);
    let thread = std::thread::spawn(move || {
        while told.recv().is_ok() {
            // The next one moves what this one could not.
            let _ = db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        }
    });
    Ok((signals, thread))
}

/// Writes transitions.
struct Writer<'a> {
    source: &'a Source,
    update: String,
    /// Where what an update changes stands in a row, and the key.
    changing: Vec<usize>,
    /// How many transitions each instance has.
    of_instance: HashMap<i64, usize>,
    rows: u64,
}

impl<'a> Writer<'a> {
    fn new(source: &'a Source) -> Self {
        let columns = &source.instances.columns;
        let at = |name: &str| columns.iter().position(|column| column == name);
        let names: Vec<_> = CHANGING.into_iter().filter(|name| at(name).is_some()).collect();
        let set: Vec<_> = names.iter().map(|name| format!("{name} = ?")).collect();
        let mut of_instance = HashMap::new();
        for (instance, _) in &source.history {
            *of_instance.entry(*instance).or_default() += 1;
        }
        Self {
            source,
            update: format!("UPDATE instances SET {} WHERE key = ?", set.join(", ")),
            changing: names.into_iter().chain(["key"]).filter_map(at).collect(),
            of_instance,
            rows: 0,
        }
    }

    fn write_all(mut self, db: &Connection, bare: &Bare) -> anyhow::Result<Written> {
        let (began, cpu) = (Instant::now(), process::cpu());
        let mut done: HashMap<i64, usize> = HashMap::new();
        let (mut instances, mut transitions, mut commits) = (0, 0, Vec::new());
        for batch in self.source.history.chunks(bare.transitions_per_commit.max(1) as usize) {
            let since = Instant::now();
            let transaction = db.unchecked_transaction()?;
            for (instance, row) in batch {
                let number = done.entry(*instance).or_default();
                instances += u64::from(self.transition(db, *instance, *number, row)?);
                *number += 1;
            }
            transaction.commit()?;
            transitions += batch.len() as u64;
            commits.push(since.elapsed());
            if began.elapsed() >= bare.length {
                break;
            }
        }
        Ok(Written {
            instances,
            transitions,
            rows: self.rows,
            commits: commits.len() as u64,
            seconds: began.elapsed().as_secs_f64(),
            cpu_ms_each: (process::cpu() - cpu).as_secs_f64() * 1e3 / instances as f64,
            commit: Quantiles::of(commits),
        })
    }

    /// Writes a transition; returns whether it is the instance's last.
    fn transition(&mut self, db: &Connection, instance: i64, number: usize, row: &[Value]) -> anyhow::Result<bool> {
        let source = self.source;
        let all = self.of_instance.get(&instance).copied().unwrap_or(1);
        let is_last = number + 1 == all;
        for known in source.instances.of(instance) {
            if number == 0 {
                self.put(db, &source.instances.insert(), known)?;
            } else {
                let values = self.changing.iter().map(|at| &known[*at]);
                db.prepare_cached(&self.update)?.execute(params_from_iter(values))?;
                self.rows += 1;
            }
        }
        if number == 0 {
            for table in &source.others {
                for row in table.of(instance) {
                    self.put(db, &table.insert(), row)?;
                }
            }
        }
        let executions = source.executions.of(instance);
        let insert = source.executions.insert();
        for (at, execution) in executions.iter().enumerate() {
            let first = (at * all).div_ceil(executions.len().max(1)).min(all - 1);
            let is_twice = all > executions.len() + 1;
            if number == first || (is_twice && number == first + 1) {
                self.put(db, &insert, execution)?;
            }
        }
        self.put(db, &insert_history(source), row)?;
        Ok(is_last)
    }

    fn put(&mut self, db: &Connection, statement: &str, row: &[Value]) -> anyhow::Result<()> {
        db.prepare_cached(statement)?.execute(params_from_iter(row))?;
        self.rows += 1;
        Ok(())
    }
}

fn insert_history(source: &Source) -> String {
    insert("history", source.history_columns)
}
