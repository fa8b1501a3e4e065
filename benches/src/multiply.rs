//! Databases with very many instances, made in seconds: the rows of those that an engine has left there are copied under new
//! keys and ids, as often as it takes.

use std::path::Path;

use anyhow::Context as _;
use rusqlite::{Connection, params};

/// A table with rows of instances, and how a copy of a row differs from it.
struct Copied {
    /// Inserts a copy of everything that was there at first, `?1` copies further.
    statement: String,
}

/// Copies every instance until there are so many, and returns how many there are.
///
/// Nobody else may have the database open.
pub(crate) fn multiply(database: &Path, instances: u64) -> anyhow::Result<u64> {
    let instances = i64::try_from(instances)?;
    let db = Connection::open(database)?;
    db.pragma_update(None, "synchronous", "OFF")?;
    db.pragma_update(None, "foreign_keys", false)?;
    db.pragma_update(None, "temp_store", "MEMORY")?;
    db.pragma_update(None, "cache_size", -400_000)?;
    let there: i64 = db.query_row("SELECT count(*) FROM instances", [], |row| row.get(0))?;
    let copies = (instances - 1) / there.max(1);
    let tables = tables(&db)?;
    for copy in 1..=copies {
        let transaction = db.unchecked_transaction()?;
        for table in &tables {
            let copied = transaction.prepare_cached(&table.statement)?.execute(params![copy]);
            copied.with_context(|| format!("copying rows: `{}`", table.statement))?;
        }
        transaction.commit()?;
    }
    db.execute_batch("ANALYZE")?;
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(u64::try_from(there * (copies + 1))?)
}

fn tables(db: &Connection) -> anyhow::Result<Vec<Copied>> {
    let mut names = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")?;
    let names: Vec<String> = names.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let mut tables = Vec::new();
    for name in names {
        tables.extend(table(db, &name)?);
    }
    Ok(tables)
}

/// How the rows of a table are copied; not at all where they are not those of instances.
fn table(db: &Connection, name: &str) -> anyhow::Result<Option<Copied>> {
    let mut info = db.prepare("SELECT name, type, pk FROM pragma_table_info(?1)")?;
    let columns: Vec<(String, String, i64)> =
        info.query_map([name], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect::<rusqlite::Result<_>>()?;
    let keys = columns.iter().filter(|(_, _, key)| *key > 0).count();
    let is_of_instances = columns.iter().any(|(column, _, _)| column == "instance") || name == "instances";
    if !is_of_instances {
        return Ok(None);
    }
    let instances: i64 = db.query_row("SELECT coalesce(max(key), 0) FROM instances", [], |row| row.get(0))?;
    let mut values = Vec::new();
    let mut first = String::new();
    for (column, kind, key) in &columns {
        values.push(match column.as_str() {
            "instance" => format!("instance + ?1 * {instances}"),
            // Later ones sort after earlier ones of the same time, and no two are the same.
            "id" if kind == "BLOB" => "CAST(substr(id, 1, 6) || randomblob(10) AS BLOB)".to_owned(),
            "idempotency_key" => "NULL".to_owned(),
            _ if *key == 1 && keys == 1 && kind == "INTEGER" => {
                let most: i64 =
                    db.query_row(&format!("SELECT coalesce(max({column}), 0) FROM {name}"), [], |row| row.get(0))?;
                first = format!("WHERE {column} <= {most}");
                format!("{column} + ?1 * {most}")
            }
            _ => format!("\"{column}\""),
        });
    }
    if first.is_empty() {
        first = format!("WHERE instance <= {instances}");
    }
    let statement = format!("INSERT INTO {name} SELECT {} FROM {name} {first}", values.join(", "));
    Ok(Some(Copied { statement }))
}
