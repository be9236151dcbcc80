//! Sessions in a database: the newest rows first, as lines for a reader.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::Path;

use serde_json::{Map, Value as Json};

use crate::adapters::fs::FsError;
use crate::adapters::sqlite;
use crate::gate::order;
use crate::gate::sqlite::schema::Table;
use crate::gate::sqlite::{Database, Value};
use crate::gate::time::Timestamp;
use crate::gate::trace::stored::{CURSOR_MODELS, Join, Query};
use crate::gate::zstd;

/// After as many rows in a row that are too old, no newer one is expected: rows
/// are numbered as they come, and changed later at most.
const OLD: usize = 1000;

/// As many rows are looked at.
const ROWS: usize = 200_000;

/// As many rows are held at once, and as many bytes of them.
const AT_ONCE: usize = 512;
const BYTES: usize = 16 << 20;

/// The rows that are newer than `since`, by their numbers.
pub(super) fn newest(
    path: &Path,
    query: &Query,
    since: Timestamp,
    limit: u64,
) -> Result<(Rows, u64), FsError> {
    sqlite::read(path, limit, |database| {
        let mut rows = Rows::default();
        if let Some(read) = Asked::of(database, query) {
            read.each(database, since, &mut |id, _| rows.ids.push(id));
        }
        rows.skipped = database.skipped;
        rows
    })
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) ids: Vec<u64>,
    /// Rows that could not be read.
    pub(super) skipped: u64,
}

/// A table and its columns, as they stand in this database.
struct Asked<'q> {
    query: &'q Query,
    table: Table,
    columns: Vec<usize>,
    time: usize,
    tells: usize,
}

impl<'q> Asked<'q> {
    /// `None`: the table is not there, or does not tell what is new in it.
    fn of(database: &mut Database<'_>, query: &'q Query) -> Option<Asked<'q>> {
        let table = database.table(query.table)?;
        // A column that is not there holds nothing.
        let column = |name: &&str| table.column(name).unwrap_or(usize::MAX);
        let columns = query.columns.iter().map(column).collect();
        let (time, tells) = (table.column(query.time)?, table.column(query.tells.0)?);
        Some(Asked { query, table, columns, time, tells })
    }

    /// Calls with each row that is new and tells of something, newest first.
    fn each(
        &self,
        database: &mut Database<'_>,
        since: Timestamp,
        each: &mut dyn FnMut(u64, &[Value]),
    ) {
        let (mut old, mut all) = (0, 0);
        let columns = [&self.columns[..], &[self.time, self.tells]].concat();
        // What could be read before a page that is missing counts.
        let read = database.newest_first(&self.table, &columns, &mut |id, row| {
            all += 1;
            let (asked, of_row) = row.split_at(self.columns.len());
            let time = of_row.first().and_then(time).unwrap_or(Timestamp(0));
            old = if time < since { old + 1 } else { 0 };
            let tells = of_row.get(1).and_then(Value::text);
            if old == 0
                && let (Ok(id), Some(text)) = (u64::try_from(id), tells)
                && text.contains(self.query.tells.1)
            {
                each(id, asked);
            }
            match old > OLD || all > ROWS {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        if read.is_err() {
            database.skipped += 1;
        }
    }
}

/// The first of these rows as lines: JSON, with what belongs to each. Returns
/// as well how many rows that was, at least one.
pub(super) fn lines(
    path: &Path,
    query: &Query,
    ids: &[u64],
    limit: u64,
) -> Result<(Lines, u64), FsError> {
    sqlite::read(path, limit, |database| {
        let Some(asked) = Asked::of(database, query) else {
            return Lines { lines: Vec::new(), done: ids.len() };
        };
        let (mut rows, mut bytes, mut done) = (Vec::new(), 0, 0);
        for id in ids.iter().take(AT_ONCE) {
            done += 1;
            let Ok(number) = i64::try_from(*id) else { continue };
            match database.row(&asked.table, number, &asked.columns) {
                Ok(Some(row)) => {
                    bytes += row.iter().map(size).sum::<usize>();
                    rows.push((*id, row));
                }
                Ok(None) => {}
                Err(_) => database.skipped += 1,
            }
            if bytes > BYTES {
                break;
            }
        }
        let joined: Vec<BTreeMap<String, Value>> =
            query.joins.iter().map(|join| joined(database, query, join, &rows)).collect();
        let line = |(id, row): (u64, Vec<Value>)| {
            let mut line = Map::new();
            let own = query.columns.iter().zip(&row);
            let own = own.map(|(name, value)| ((*name).to_owned(), json(value)));
            line.insert(query.table.to_owned(), Json::Object(order::object(own)));
            for (join, found) in query.joins.iter().zip(&joined) {
                if let Some(value) = named(query, join, &row).and_then(|key| found.get(key)) {
                    let members = [(join.column.to_owned(), json(value))];
                    line.insert(join.table.to_owned(), Json::Object(order::object(members)));
                }
            }
            (id, Json::Object(line).to_string().into_bytes())
        };
        Lines { lines: rows.into_iter().map(line).collect(), done }
    })
}

/// Rows as lines, by their numbers.
#[derive(Debug)]
pub(super) struct Lines {
    pub(super) lines: Vec<(u64, Vec<u8>)>,
    /// How many of the asked rows these are.
    pub(super) done: usize,
}

/// The name by which a row names another one.
fn named<'r>(query: &Query, join: &Join, row: &'r [Value]) -> Option<&'r str> {
    let at = query.columns.iter().position(|it| *it == join.by)?;
    row.get(at)?.text()
}

/// The column of every row of another table that one of these rows names.
fn joined(
    database: &mut Database<'_>,
    query: &Query,
    join: &Join,
    rows: &[(u64, Vec<Value>)],
) -> BTreeMap<String, Value> {
    let names = rows.iter().filter_map(|(_, row)| named(query, join, row));
    let mut wanted: BTreeSet<String> = order::set(names.map(str::to_owned));
    let mut found = BTreeMap::new();
    let table = database.table(join.table);
    let columns =
        table.as_ref().and_then(|it| Some([it.column(join.key)?, it.column(join.column)?]));
    let (Some(table), Some(columns)) = (table, columns) else { return found };
    let mut all = 0;
    database
        .newest_first(&table, &columns, &mut |_, row| {
            all += 1;
            if let [key, value] = &row[..]
                && let Some(key) = key.text().filter(|it| wanted.remove(*it))
            {
                found.insert(key.to_owned(), value.clone());
            }
            match wanted.is_empty() || all > ROWS {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        })
        .ok();
    found
}

/// How much of memory a value takes, as far as it may be much.
fn size(value: &Value) -> usize {
    match value {
        Value::Text(text) => text.len(),
        // Compressed, it becomes more.
        Value::Blob(bytes) => bytes.len().saturating_mul(8),
        Value::Null | Value::Integer(_) | Value::Real(_) => 0,
    }
}

/// Milliseconds since the epoch, or RFC 3339.
fn time(value: &Value) -> Option<Timestamp> {
    value.integer().map(|it| Timestamp(it / 1000)).or_else(|| Timestamp::parse(value.text()?))
}

/// What begins every compressed text.
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

fn json(value: &Value) -> Json {
    match value {
        Value::Text(text) => Json::from(text.as_str()),
        Value::Integer(number) => Json::from(*number),
        Value::Blob(bytes) => {
            let text = match bytes.starts_with(&ZSTD) {
                true => zstd::decode(bytes, BYTES),
                false => Some(bytes.clone()),
            };
            text.and_then(|it| String::from_utf8(it).ok()).map_or(Json::Null, Json::from)
        }
        Value::Null | Value::Real(_) => Json::Null,
    }
}

/// The model of each conversation, by Cursor's own count.
pub(super) fn models(path: &Path, since: Timestamp, limit: u64) -> BTreeMap<String, String> {
    let read = sqlite::read(path, limit, |database| {
        let mut models = BTreeMap::new();
        if let Some(asked) = Asked::of(database, &CURSOR_MODELS) {
            asked.each(database, since, &mut |_, row| {
                if let [conversation, model] = row
                    && let (Some(conversation), Some(model)) = (conversation.text(), model.text())
                {
                    // The newest comes first.
                    models.entry(conversation.to_owned()).or_insert(model.to_owned());
                }
            });
        }
        models
    });
    read.map(|it| it.0).unwrap_or_default()
}
