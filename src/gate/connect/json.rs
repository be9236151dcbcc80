//! Edits a JSON text in place: members and items are put in and taken out, and
//! every other byte stays as it was. Comments and commas at the end, which
//! several agents allow in their settings, are passed over.

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    pub start: usize,
    pub end: usize,
    pub kind: Kind,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    Object(Vec<Member>),
    Array(Vec<Node>),
    Text(String),
    Other,
}

/// A member of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub key: String,
    /// Where its key begins.
    pub start: usize,
    pub value: Node,
}

/// The text is no JSON; the number of the line at which that shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {0} is no JSON")]
pub struct NotJson(pub usize);

/// How deep values may stand in one another.
const DEPTH: usize = 64;

impl Node {
    /// The member of an object.
    pub fn get(&self, key: &str) -> Option<&Node> {
        let Kind::Object(members) = &self.kind else { return None };
        members.iter().find(|it| it.key == key).map(|it| &it.value)
    }

    /// The items of an array; none of another value.
    pub fn items(&self) -> &[Node] {
        if let Kind::Array(items) = &self.kind { items } else { &[] }
    }

    /// The text of a string.
    pub fn text(&self) -> Option<&str> {
        if let Kind::Text(text) = &self.kind { Some(text) } else { None }
    }

    /// Where the children begin and end.
    fn children(&self) -> Vec<(usize, usize)> {
        match &self.kind {
            Kind::Object(members) => members.iter().map(|it| (it.start, it.value.end)).collect(),
            Kind::Array(items) => items.iter().map(|it| (it.start, it.end)).collect(),
            Kind::Text(_) | Kind::Other => Vec::new(),
        }
    }
}

/// Reads a whole text.
pub fn parse(text: &str) -> Result<Node, NotJson> {
    let mut scanner = Scanner { text, at: 0 };
    let node = scanner.value(0);
    scanner.space();
    match node.filter(|_| scanner.at == text.len()) {
        Some(node) => Ok(node),
        None => Err(NotJson(text.get(..scanner.at).unwrap_or_default().matches('\n').count() + 1)),
    }
}

/// Puts a child behind the last one of an object or array. `child` is its text,
/// each line behind the first indented as it shall be below the child's own
/// indentation.
pub fn append(text: &str, container: &Node, child: &str) -> String {
    let (at, before, after) = match container.children().last() {
        Some(&(start, end)) => {
            let line = text.get(..start).unwrap_or_default();
            let space = line.len() - line.trim_end_matches([' ', '\t', '\n', '\r']).len();
            let space = line.get(line.len() - space..).unwrap_or_default();
            // On one line, the next stands beside it.
            let space = if space.contains('\n') { space } else { " " };
            (end, format!(",{space}"), String::new())
        }
        None => {
            let indent = indentation(text, container.start);
            (container.start + 1, format!("\n{indent}  "), format!("\n{indent}"))
        }
    };
    let indent = before.rsplit('\n').next().filter(|_| before.contains('\n')).unwrap_or_default();
    let child = child.replace('\n', &format!("\n{indent}"));
    let (start, mut rest) = text.split_at_checked(at).unwrap_or((text, ""));
    if container.children().is_empty() {
        // What stood between the brackets was blank.
        rest = text.get(container.end - 1..).unwrap_or_default();
    }
    format!("{start}{before}{child}{after}{rest}")
}

/// Takes a child out, with the comma and the blanks that belong to it; of an
/// only child nothing is left between the brackets.
pub fn remove(text: &str, container: &Node, index: usize) -> String {
    let children = container.children();
    let Some(&(start, end)) = children.get(index) else { return text.to_owned() };
    let (from, to) =
        match (index.checked_sub(1).and_then(|it| children.get(it)), children.get(index + 1)) {
            (Some(&(_, before)), _) => (before, end),
            (None, Some(&(next, _))) => (start, next),
            (None, None) => (container.start + 1, container.end - 1),
        };
    let part = |range: std::ops::Range<usize>| text.get(range).unwrap_or_default();
    format!("{}{}", part(0..from), part(to..text.len()))
}

/// The blanks at the beginning of the line on which this stands.
fn indentation(text: &str, at: usize) -> &str {
    let line = text.get(..at).unwrap_or_default().rsplit('\n').next().unwrap_or_default();
    let end = line.len() - line.trim_start_matches([' ', '\t']).len();
    line.get(..end).unwrap_or_default()
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl Scanner<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn take(&mut self, what: &str) -> bool {
        let found = self.rest().starts_with(what);
        self.at += if found { what.len() } else { 0 };
        found
    }

    /// Blanks and comments.
    fn space(&mut self) {
        loop {
            let rest = self.rest();
            let blank =
                rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r', '\u{feff}']).len();
            let comment = rest.get(blank..).unwrap_or_default();
            let length = if comment.starts_with("//") {
                comment.find('\n').unwrap_or(comment.len())
            } else if comment.starts_with("/*") {
                comment.find("*/").map_or(comment.len(), |it| it + 2)
            } else {
                0
            };
            self.at += blank + length;
            if length == 0 {
                return;
            }
        }
    }

    fn value(&mut self, depth: usize) -> Option<Node> {
        self.space();
        let start = self.at;
        let kind = match self.rest().chars().next()? {
            _ if depth > DEPTH => return None,
            '{' => self.object(depth)?,
            '[' => self.array(depth)?,
            '"' => Kind::Text(self.string()?),
            _ => self.other()?,
        };
        Some(Node { start, end: self.at, kind })
    }

    fn object(&mut self, depth: usize) -> Option<Kind> {
        self.at += 1;
        let mut members = Vec::new();
        loop {
            self.space();
            if self.take("}") {
                return Some(Kind::Object(members));
            }
            let start = self.at;
            let key = self.string()?;
            self.space();
            if !self.take(":") {
                return None;
            }
            members.push(Member { key, start, value: self.value(depth + 1)? });
            self.space();
            if !self.take(",") && !self.rest().starts_with('}') {
                return None;
            }
        }
    }

    fn array(&mut self, depth: usize) -> Option<Kind> {
        self.at += 1;
        let mut items = Vec::new();
        loop {
            self.space();
            if self.take("]") {
                return Some(Kind::Array(items));
            }
            items.push(self.value(depth + 1)?);
            self.space();
            if !self.take(",") && !self.rest().starts_with(']') {
                return None;
            }
        }
    }

    fn string(&mut self) -> Option<String> {
        let rest = self.rest();
        let mut escaped = false;
        let end = rest.char_indices().skip(1).find(|(_, character)| {
            let closes = *character == '"' && !escaped;
            escaped = *character == '\\' && !escaped;
            closes
        })?;
        let text = rest.get(..=end.0).filter(|it| it.starts_with('"'))?;
        let value = serde_json::from_str(text).ok()?;
        self.at += text.len();
        Some(value)
    }

    /// A number, `true`, `false` or `null`.
    fn other(&mut self) -> Option<Kind> {
        let rest = self.rest();
        let plain = |it: char| it.is_ascii_alphanumeric() || matches!(it, '+' | '-' | '.');
        let word = rest.get(..rest.find(|it| !plain(it)).unwrap_or(rest.len()))?;
        serde_json::from_str::<serde_json::Value>(word).ok()?;
        self.at += word.len();
        Some(Kind::Other)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, key: &str, child: &str, expected: &str) {
        let node = parse(text).unwrap();
        let container = if key.is_empty() { &node } else { node.get(key).unwrap() };
        let longer = append(text, container, child);
        assert_eq!(longer, expected);
        let node = parse(&longer).unwrap();
        let container = if key.is_empty() { &node } else { node.get(key).unwrap() };
        let last = container.children().len() - 1;
        let back = remove(&longer, container, last);
        if !parse(text).unwrap().children().is_empty() {
            assert_eq!(back, text);
        }
    }

    #[test]
    fn a_child_is_put_in_and_taken_out_again() {
        check("{}", "", "\"a\": 1", "{\n  \"a\": 1\n}");
        check("{\n}\n", "", "\"a\": 1", "{\n  \"a\": 1\n}\n");
        check(
            "{\n    \"b\": 2\n}\n",
            "",
            "\"a\": [\n  1\n]",
            "{\n    \"b\": 2,\n    \"a\": [\n      1\n    ]\n}\n",
        );
        check("{\"b\": 2}", "", "\"a\": 1", "{\"b\": 2, \"a\": 1}");
        check("{\n\t\"a\": [\n\t\t1\n\t]\n}", "a", "2", "{\n\t\"a\": [\n\t\t1,\n\t\t2\n\t]\n}");
        check(
            "{ // why\r\n  \"b\": 2, /* x */\r\n}",
            "",
            "\"a\": 1",
            "{ // why\r\n  \"b\": 2,\r\n  \"a\": 1, /* x */\r\n}",
        );
    }

    #[test]
    fn a_child_in_the_middle_leaves_its_neighbours() {
        let text = "[\n  1,\n  2,\n  3\n]";
        let node = parse(text).unwrap();
        assert_eq!(remove(text, &node, 0), "[\n  2,\n  3\n]");
        assert_eq!(remove(text, &node, 1), "[\n  1,\n  3\n]");
        assert_eq!(remove(text, &node, 2), "[\n  1,\n  2\n]");
        assert_eq!(remove("[ 1 ]", &parse("[ 1 ]").unwrap(), 0), "[]");
    }

    #[test]
    fn what_is_no_json_is_refused_with_its_line() {
        for (text, line) in
            [("", 1), ("{\n\"a\"\n}", 3), ("{} x", 1), ("[1 2]", 1), ("{\"a\":\n\n", 3)]
        {
            assert_eq!(parse(text), Err(NotJson(line)), "{text:?}");
        }
        assert!(parse(&"[".repeat(100_000)).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[]\\[{}\",:a1 \n\\\\/*]{0,40}") {
            parse(&text).ok();
        }
    }
}
