//! SQLite's database files, read: pages in, rows out (format:
//! <https://www.sqlite.org/fileformat2.html>).
//!
//! As much of the format as tables with row ids need: the header, table
//! b-trees, overflow pages, records, the schema, and the write-ahead log. There
//! are no indexes, no SQL, no locks and no writing. The file may be anybody's:
//! every page is looked at once at most, every size is compared with what is
//! there, and what does not fit costs its row or its table.

pub mod schema;
#[cfg(test)]
mod tests;
pub mod wal;

use std::collections::HashSet;
use std::ops::ControlFlow;

use schema::Table;

/// The first bytes of every database.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// The size of the header, at the beginning of the first page.
pub const HEADER: usize = 100;

/// SQLite's own limit of a tree's depth.
const DEPTH: usize = 20;

/// The most bytes of one row that are read.
const ROW: u64 = 16 << 20;

/// The most columns that a row may have: SQLite's own limit.
const COLUMNS: usize = 32_767;

/// Where pages come from, by their numbers, counted from 1.
pub trait Pages {
    /// The whole page; `None` if it is not there, cannot be read, or is beyond
    /// what may be read.
    fn page(&mut self, number: u32) -> Option<Vec<u8>>;
}

/// What the header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// In bytes: a power of two from 512 to 65536.
    pub page_size: u32,
    /// Bytes at each page's end that are not used.
    reserved: u8,
    /// Counts the changes, where no write-ahead log is kept.
    pub changes: u32,
    encoding: Encoding,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Utf8,
    Utf16Le,
    Utf16Be,
}

/// It is no database, or not one that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no database that can be read")]
pub struct Malformed;

/// What stands in a column.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
    Blob(Vec<u8>),
}

impl Value {
    /// The text; `None` for anything else.
    pub fn text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            Value::Null | Value::Integer(_) | Value::Real(_) | Value::Blob(_) => None,
        }
    }

    /// The number, if it is a whole one; `None` for anything else.
    pub fn integer(&self) -> Option<i64> {
        match self {
            Value::Integer(number) => Some(*number),
            Value::Null | Value::Real(_) | Value::Text(_) | Value::Blob(_) => None,
        }
    }
}

impl Header {
    /// Reads the first [`HEADER`] bytes of a database.
    pub fn parse(bytes: &[u8]) -> Result<Header, Malformed> {
        let usual = bytes.get(..16) == Some(MAGIC) && bytes.len() >= HEADER;
        // Versions beyond 2 are of a format that is not known yet.
        if !usual || bytes[18] > 2 || bytes[19] > 2 {
            return Err(Malformed);
        }
        let page_size = match u32::from(short(bytes, 16).ok_or(Malformed)?) {
            1 => 65_536,
            size => size,
        };
        let encoding = match word(bytes, 56).ok_or(Malformed)? {
            0 | 1 => Encoding::Utf8,
            2 => Encoding::Utf16Le,
            3 => Encoding::Utf16Be,
            _ => return Err(Malformed),
        };
        let reserved = bytes[20];
        let fits = page_size.is_power_of_two() && (512..=65_536).contains(&page_size);
        // SQLite itself wants 480 bytes of each page.
        if !fits || page_size - u32::from(reserved) < 480 {
            return Err(Malformed);
        }
        Ok(Header { page_size, reserved, changes: word(bytes, 24).ok_or(Malformed)?, encoding })
    }

    fn usable(&self) -> usize {
        self.page_size as usize - usize::from(self.reserved)
    }
}

/// A database that is being read.
pub struct Database<'p> {
    header: Header,
    pages: &'p mut dyn Pages,
    /// Rows that could not be read.
    pub skipped: u64,
}

/// A row, as far as it stands on its own page.
struct Cell {
    id: i64,
    /// The whole record's size.
    size: u64,
    local: Vec<u8>,
    /// The first page of the rest; 0: there is none.
    overflow: u32,
}

/// Takes a row's number and the asked columns' values.
pub type EachRow<'a> = dyn FnMut(i64, Vec<Value>) -> ControlFlow<()> + 'a;

impl<'p> Database<'p> {
    /// Begins to read; fails if the first page is none.
    pub fn open(pages: &'p mut dyn Pages) -> Result<Database<'p>, Malformed> {
        let header = Header::parse(&pages.page(1).ok_or(Malformed)?)?;
        Ok(Database { header, pages, skipped: 0 })
    }

    /// Finds a table with row ids by its name.
    pub fn table(&mut self, name: &str) -> Option<Table> {
        let mut found = None;
        // type, name, tbl_name, rootpage, sql
        self.newest_first(&Table::schema(), &[0, 1, 3, 4], &mut |_, row| {
            let [kind, named, root, sql] = &row[..] else { return ControlFlow::Continue(()) };
            let is_it = kind.text() == Some("table")
                && named.text().is_some_and(|it| it.eq_ignore_ascii_case(name));
            if is_it {
                let root = root.integer().and_then(|it| u32::try_from(it).ok());
                found = root.zip(sql.text()).and_then(|(root, sql)| Table::parse(root, sql));
            }
            if is_it { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .ok()?;
        found
    }

    /// Hands over the rows, the highest row id first, until it is told to stop.
    /// `Err`: a page is malformed or missing; what came before it was handed over.
    pub fn newest_first(
        &mut self,
        table: &Table,
        columns: &[usize],
        each: &mut EachRow<'_>,
    ) -> Result<(), Malformed> {
        let mut seen = HashSet::new();
        // Pages, the last one next; a table's rows grow towards its end.
        let mut open = vec![(table.root, 0)];
        while let Some((number, depth)) = open.pop() {
            if depth > DEPTH || !seen.insert(number) {
                return Err(Malformed);
            }
            let page = Page::new(number, self.pages.page(number).ok_or(Malformed)?)?;
            if !page.is_leaf {
                open.extend(page.children()?.into_iter().map(|it| (it, depth + 1)));
                continue;
            }
            for at in (0..page.cells).rev() {
                let row = page.cell(at, self.header.usable());
                let Some((cell, values)) =
                    row.and_then(|it| Some((it.id, self.values(table, &it, columns)?)))
                else {
                    self.skipped += 1;
                    continue;
                };
                if each(cell, values).is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The asked columns of the row with this id; `None` if it is not there.
    pub fn row(
        &mut self,
        table: &Table,
        id: i64,
        columns: &[usize],
    ) -> Result<Option<Vec<Value>>, Malformed> {
        let mut number = table.root;
        for _ in 0..=DEPTH {
            let page = Page::new(number, self.pages.page(number).ok_or(Malformed)?)?;
            if !page.is_leaf {
                number = page.child_of(id)?;
                continue;
            }
            let cells = (0..page.cells).filter_map(|at| page.cell(at, self.header.usable()));
            let Some(cell) = cells.into_iter().find(|it| it.id == id) else { return Ok(None) };
            return self.values(table, &cell, columns).map(Some).ok_or(Malformed);
        }
        Err(Malformed)
    }

    /// The asked columns of a row; what stands elsewhere is read only for them.
    fn values(&mut self, table: &Table, cell: &Cell, columns: &[usize]) -> Option<Vec<Value>> {
        let fields = match fields(&cell.local) {
            Some(fields) => fields,
            None => fields(&self.payload(cell)?)?,
        };
        let end = |it: &usize| fields.get(*it).map_or(0, |field| field.end);
        let needed = columns.iter().map(end).max().unwrap_or(0);
        if needed > cell.size {
            return None;
        }
        let whole;
        let bytes = match needed <= cell.local.len() as u64 {
            true => &cell.local,
            false => {
                whole = self.payload(cell)?;
                &whole
            }
        };
        let value = |column: &usize| match fields.get(*column) {
            // A column that was added later stands in newer rows only.
            None => Some(Value::Null),
            Some(_) if table.row_id == Some(*column) => Some(Value::Integer(cell.id)),
            Some(field) => field.read(bytes, self.header.encoding),
        };
        columns.iter().map(value).collect()
    }

    /// All of a record's bytes.
    fn payload(&mut self, cell: &Cell) -> Option<Vec<u8>> {
        if cell.size > ROW {
            return None;
        }
        let size = usize::try_from(cell.size).ok()?;
        let mut bytes = cell.local.clone();
        let mut next = cell.overflow;
        while bytes.len() < size {
            // Each page brings something, so this comes to an end.
            let page = self.pages.page(next).filter(|_| next != 0)?;
            let rest = page.get(4..self.header.usable())?;
            bytes.extend_from_slice(&rest[..rest.len().min(size - bytes.len())]);
            next = word(&page, 0)?;
        }
        Some(bytes)
    }
}

/// A page of a table's tree.
struct Page {
    bytes: Vec<u8>,
    is_leaf: bool,
    cells: usize,
    /// Where the list of cells begins.
    list: usize,
    /// Where the page's own header begins.
    start: usize,
}

impl Page {
    fn new(number: u32, bytes: Vec<u8>) -> Result<Page, Malformed> {
        let start = if number == 1 { HEADER } else { 0 };
        let is_leaf = match bytes.get(start) {
            Some(0x0d) => true,
            Some(0x05) => false,
            Some(_) | None => return Err(Malformed),
        };
        let cells = usize::from(short(&bytes, start + 3).ok_or(Malformed)?);
        let list = start + if is_leaf { 8 } else { 12 };
        if list + 2 * cells > bytes.len() {
            return Err(Malformed);
        }
        Ok(Page { bytes, is_leaf, cells, list, start })
    }

    fn place(&self, at: usize) -> Option<usize> {
        Some(usize::from(short(&self.bytes, self.list + 2 * at)?))
    }

    /// The pages below, in order.
    fn children(&self) -> Result<Vec<u32>, Malformed> {
        let child = |at| word(&self.bytes, self.place(at)?);
        let last = std::iter::once(word(&self.bytes, self.start + 8));
        let all = (0..self.cells).map(child).chain(last);
        all.collect::<Option<_>>().ok_or(Malformed)
    }

    /// The page below that holds a row.
    fn child_of(&self, id: i64) -> Result<u32, Malformed> {
        for at in 0..self.cells {
            let place = self.place(at).ok_or(Malformed)?;
            let (key, _) = varint(&self.bytes, place + 4).ok_or(Malformed)?;
            if id <= key {
                return word(&self.bytes, place).ok_or(Malformed);
            }
        }
        word(&self.bytes, self.start + 8).ok_or(Malformed)
    }

    /// A leaf's row, as far as it stands here. `usable`: bytes of a page.
    fn cell(&self, at: usize, usable: usize) -> Option<Cell> {
        let place = self.place(at)?;
        let (size, place) = varint(&self.bytes, place)?;
        let (id, place) = varint(&self.bytes, place)?;
        let size = u64::try_from(size).ok()?;
        let most = usable - 35;
        let local = match usize::try_from(size) {
            Ok(size) if size <= most => size,
            Ok(size) => {
                let least = (usable - 12) * 32 / 255 - 23;
                let fitting = least + (size - least) % (usable - 4);
                if fitting <= most { fitting } else { least }
            }
            Err(_) => return None,
        };
        let bytes = self.bytes.get(place..place.checked_add(local)?)?.to_vec();
        let overflow = match (bytes.len() as u64) < size {
            true => word(&self.bytes, place + local)?,
            false => 0,
        };
        Some(Cell { id, size, local: bytes, overflow })
    }
}

/// One column of a record.
#[derive(Clone, Copy)]
struct Field {
    kind: i64,
    start: u64,
    end: u64,
}

/// The columns of a record, of which the beginning is here.
fn fields(bytes: &[u8]) -> Option<Vec<Field>> {
    let (length, mut at) = varint(bytes, 0)?;
    let length = usize::try_from(length).ok().filter(|it| *it <= bytes.len())?;
    let mut fields = Vec::new();
    let mut start = length as u64;
    while at < length {
        let (kind, next) = varint(&bytes[..length], at)?;
        let size = match kind {
            0 | 8 | 9 => 0,
            1..=4 => kind as u64,
            5 => 6,
            6 | 7 => 8,
            12.. => (kind as u64 - 12) / 2,
            _ => return None,
        };
        let end = start.checked_add(size)?;
        fields.push(Field { kind, start, end });
        if fields.len() > COLUMNS {
            return None;
        }
        (start, at) = (end, next);
    }
    Some(fields)
}

impl Field {
    fn read(&self, bytes: &[u8], encoding: Encoding) -> Option<Value> {
        let (start, end) = (usize::try_from(self.start).ok()?, usize::try_from(self.end).ok()?);
        let bytes = bytes.get(start..end)?;
        Some(match self.kind {
            0 => Value::Null,
            8 => Value::Integer(0),
            9 => Value::Integer(1),
            1..=6 => Value::Integer(integer(bytes)),
            7 => Value::Real(f64::from_be_bytes(bytes.try_into().ok()?)),
            kind if kind % 2 == 0 => Value::Blob(bytes.to_vec()),
            _ => Value::Text(text(bytes, encoding)),
        })
    }
}

fn integer(bytes: &[u8]) -> i64 {
    let negative = bytes.first().is_some_and(|it| *it >= 0x80);
    bytes.iter().fold(if negative { -1 } else { 0 }, |number, byte| number << 8 | i64::from(*byte))
}

fn text(bytes: &[u8], encoding: Encoding) -> String {
    let units = |read: fn([u8; 2]) -> u16| {
        let (pairs, _) = bytes.as_chunks::<2>();
        String::from_utf16_lossy(&pairs.iter().map(|it| read(*it)).collect::<Vec<_>>())
    };
    match encoding {
        Encoding::Utf8 => String::from_utf8_lossy(bytes).into_owned(),
        Encoding::Utf16Le => units(u16::from_le_bytes),
        Encoding::Utf16Be => units(u16::from_be_bytes),
    }
}

/// A number of one to nine bytes, and where the next thing begins.
fn varint(bytes: &[u8], at: usize) -> Option<(i64, usize)> {
    let mut number: u64 = 0;
    for length in 0..8 {
        let byte = *bytes.get(at.checked_add(length)?)?;
        number = number << 7 | u64::from(byte & 0x7f);
        if byte < 0x80 {
            return Some((number.cast_signed(), at + length + 1));
        }
    }
    let last = *bytes.get(at.checked_add(8)?)?;
    Some(((number << 8 | u64::from(last)).cast_signed(), at + 9))
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}
