//! Tables as their `CREATE TABLE` statements tell them.

/// A table with row ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The tree's first page.
    pub(super) root: u32,
    columns: Vec<String>,
    /// The column that the row id stands in for.
    pub(super) row_id: Option<usize>,
}

/// What begins a constraint of a whole table, where else a column's name stands.
const CONSTRAINTS: &[&str] = &["constraint", "primary", "unique", "check", "foreign"];

impl Table {
    /// The table of all tables.
    pub(super) fn schema() -> Table {
        Table { root: 1, columns: Vec::new(), row_id: None }
    }

    /// Reads a statement; `None` for a table without row ids, a virtual one,
    /// and what is not understood.
    pub(super) fn parse(root: u32, sql: &str) -> Option<Table> {
        let words = words(sql);
        let open = words.iter().position(|it| it.is("("))?;
        let begins = |at: usize, word: &str| words.get(at).is_some_and(|it| it.is(word));
        if root == 0 || !begins(0, "create") || !begins(1, "table") {
            return None;
        }
        let mut table = Table { root, columns: Vec::new(), row_id: None };
        let mut depth = 0;
        let mut definition: Vec<&Word> = Vec::new();
        let mut rest = words[open..].iter();
        for word in rest.by_ref() {
            match depth {
                _ if word.is("(") => depth += 1,
                _ if word.is(")") => depth -= 1,
                1 if word.is(",") => {
                    table.add(&definition);
                    definition.clear();
                    continue;
                }
                _ => {}
            }
            if depth == 0 {
                break;
            }
            // The first bracket is the table's own, and what stands deeper is no word of ours.
            if depth == 1 && !word.is("(") && !word.is(")") {
                definition.push(word);
            }
        }
        table.add(&definition);
        (depth == 0 && !rest.any(|it| it.is("without"))).then_some(table)
    }

    /// Adds a column, if it is one and its values are stored.
    fn add(&mut self, definition: &[&Word]) {
        let Some(first) = definition.first() else { return };
        if !first.quoted && CONSTRAINTS.iter().any(|it| first.is(it)) {
            return;
        }
        let has = |word: &str| definition.iter().skip(1).any(|it| it.is(word));
        if has("as") && !has("stored") {
            return;
        }
        let is_integer = definition.get(1).is_some_and(|it| it.is("integer"));
        if is_integer && has("primary") && !has("desc") {
            self.row_id = Some(self.columns.len());
        }
        self.columns.push(first.text.clone());
    }

    /// The number of a column, by its name.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|it| it.eq_ignore_ascii_case(name))
    }
}

/// A word or a sign of a statement.
struct Word {
    text: String,
    quoted: bool,
}

impl Word {
    fn is(&self, word: &str) -> bool {
        !self.quoted && self.text.eq_ignore_ascii_case(word)
    }
}

/// The words of a statement, without blanks and comments.
fn words(sql: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let behind = &rest[first.len_utf8()..];
        let close = match first {
            '"' | '`' | '\'' => Some(first),
            '[' => Some(']'),
            _ => None,
        };
        if let Some(close) = close {
            let (text, behind) = quoted(behind, close);
            words.push(Word { text, quoted: true });
            rest = behind;
        } else if rest.starts_with("--") {
            rest = rest.split_once('\n').map_or("", |it| it.1);
        } else if rest.starts_with("/*") {
            rest = rest.split_once("*/").map_or("", |it| it.1);
        } else if is_part(first) {
            let end = rest.find(|it| !is_part(it)).unwrap_or(rest.len());
            words.push(Word { text: rest[..end].to_owned(), quoted: false });
            rest = &rest[end..];
        } else {
            if !first.is_whitespace() {
                words.push(Word { text: first.to_string(), quoted: false });
            }
            rest = behind;
        }
    }
    words
}

fn is_part(character: char) -> bool {
    character.is_alphanumeric() || character == '_' || character == '$'
}

/// What stands up to the closing quote, which stands for itself where it is
/// doubled, and what follows.
fn quoted(text: &str, close: char) -> (String, &str) {
    let mut found = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once(close) {
        found.push_str(before);
        match behind.strip_prefix(close).filter(|_| close != ']') {
            Some(behind) => {
                found.push(close);
                rest = behind;
            }
            None => return (found, behind),
        }
    }
    (found + rest, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `expected`: the columns, the one that the row id stands in for marked `*`.
    #[track_caller]
    fn check(sql: &str, expected: Option<&str>) {
        let table = Table::parse(2, sql).map(|table| {
            let mark = |(at, name): (usize, &String)| match table.row_id == Some(at) {
                true => format!("{name}*"),
                false => name.clone(),
            };
            table.columns.iter().enumerate().map(mark).collect::<Vec<_>>().join(" ")
        });
        assert_eq!(table.as_deref(), expected, "{sql}");
    }

    #[test]
    fn columns_are_named_as_they_are_stored() {
        check("CREATE TABLE a(b, c)", Some("b c"));
        check("CREATE TABLE \"a (b\" (id INTEGER PRIMARY KEY, b TEXT NOT NULL)", Some("id* b"));
        check("create table a(id integer primary key desc, \"b, c\" text)", Some("id b, c"));
        check("CREATE TABLE a(id INT PRIMARY KEY, [b c] x)", Some("id b c"));
        check(
            "CREATE TABLE a (-- it (is\n b TEXT DEFAULT 'x, )' /* , c */, d DECIMAL(10, 2) CHECK (d > 0), PRIMARY KEY (b, d))",
            Some("b d"),
        );
        check("CREATE TABLE a(b, c AS (b + 1), d AS (b) STORED, \"primary\")", Some("b d primary"));
        check("CREATE TABLE a(b PRIMARY KEY) WITHOUT ROWID", None);
        check("CREATE VIRTUAL TABLE a USING fts5(b)", None);
        check("CREATE TABLE a(b", None);
        check("", None);
    }
}
