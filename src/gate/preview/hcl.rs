//! As much of HCL's native syntax as tells which modules a configuration calls
//! and which providers a lock file holds
//! (<https://github.com/hashicorp/hcl/blob/main/hclsyntax/spec.md>): blocks,
//! their labels, and attributes that are plain text. Everything else is passed
//! over; what is not balanced is an error.

use std::collections::BTreeMap;

/// How deep brackets, or templates within texts, may stand in one another.
const MAX_DEPTH: usize = 200;

/// A top block of a file: `module "edge" { source = "../edge" }`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) kind: String,
    pub(super) labels: Vec<String>,
    pub(super) attributes: BTreeMap<String, Expression>,
}

/// The right side of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expression {
    /// One plain text, or a list of plain texts.
    Texts(Vec<String>),
    /// Known only to the engine.
    Other,
}

/// Why a text is no HCL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is no HCL: {what}")]
pub(super) struct HclError {
    /// From 1.
    pub(super) line: usize,
    pub(super) what: &'static str,
}

/// Returns the top blocks of a file.
pub(super) fn blocks(text: &str) -> Result<Vec<Block>, HclError> {
    let mut parser = Parser { scanner: Scanner::new(text), ahead: None };
    let mut blocks = Vec::new();
    loop {
        match parser.next()? {
            Token::End => return Ok(blocks),
            Token::Newline => {}
            Token::Word(kind) => {
                if let Some(block) = parser.statement(kind, 0)?.into_block() {
                    blocks.push(block);
                }
            }
            Token::Text(_)
            | Token::Template
            | Token::Open(_)
            | Token::Close(_)
            | Token::Mark(_) => {
                return Err(parser.scanner.error("a block or an attribute was expected"));
            }
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    /// A quoted text without templates.
    Text(String),
    /// A text whose value is not written out.
    Template,
    Open(char),
    Close(char),
    /// Any other character: operators and marks.
    Mark(char),
    Newline,
    End,
}

enum Statement {
    Block(Block),
    Attribute(String, Expression),
}

impl Statement {
    fn into_block(self) -> Option<Block> {
        match self {
            Statement::Block(block) => Some(block),
            Statement::Attribute(..) => None,
        }
    }
}

struct Parser<'a> {
    scanner: Scanner<'a>,
    ahead: Option<Token>,
}

impl Parser<'_> {
    fn next(&mut self) -> Result<Token, HclError> {
        match self.ahead.take() {
            Some(token) => Ok(token),
            None => self.scanner.token(),
        }
    }

    /// A block or an attribute whose first word was read.
    fn statement(&mut self, first: String, depth: usize) -> Result<Statement, HclError> {
        let mut labels = Vec::new();
        loop {
            match self.next()? {
                Token::Mark('=') if labels.is_empty() => {
                    return Ok(Statement::Attribute(first, self.expression(depth)?));
                }
                Token::Word(label) | Token::Text(label) => labels.push(label),
                Token::Open('{') => {
                    return self.body(first, labels, depth + 1).map(Statement::Block);
                }
                Token::Template
                | Token::Open(_)
                | Token::Close(_)
                | Token::Mark(_)
                | Token::Newline
                | Token::End => return Err(self.scanner.error("`{` or `=` was expected")),
            }
        }
    }

    fn body(&mut self, kind: String, labels: Vec<String>, depth: usize) -> Result<Block, HclError> {
        if depth > MAX_DEPTH {
            return Err(self.scanner.error("it is too deep"));
        }
        let mut block = Block { kind, labels, attributes: BTreeMap::new() };
        loop {
            match self.next()? {
                Token::Newline => {}
                Token::Close('}') => return Ok(block),
                Token::Word(word) => {
                    if let Statement::Attribute(name, value) = self.statement(word, depth)? {
                        block.attributes.insert(name, value);
                    }
                }
                Token::Text(_)
                | Token::Template
                | Token::Open(_)
                | Token::Close(_)
                | Token::Mark(_)
                | Token::End => return Err(self.scanner.error("`}` was expected")),
            }
        }
    }

    /// What follows `=`, up to the end of its line or of the block around it.
    fn expression(&mut self, depth: usize) -> Result<Expression, HclError> {
        let mut open = Vec::new();
        let mut tokens = Vec::new();
        loop {
            let token = self.next()?;
            match &token {
                Token::Open(bracket) => {
                    open.push(closing(*bracket));
                    if open.len() + depth > MAX_DEPTH {
                        return Err(self.scanner.error("it is too deep"));
                    }
                }
                Token::Close(bracket) => match open.pop() {
                    Some(wanted) if wanted == *bracket => {}
                    None if *bracket == '}' => {
                        self.ahead = Some(token);
                        break;
                    }
                    Some(_) | None => return Err(self.scanner.error("brackets do not match")),
                },
                Token::Newline if open.is_empty() => break,
                Token::End if open.is_empty() => {
                    self.ahead = Some(token);
                    break;
                }
                Token::End => return Err(self.scanner.error("a bracket is not closed")),
                Token::Newline => continue,
                Token::Word(_) | Token::Text(_) | Token::Template | Token::Mark(_) => {}
            }
            // Longer ones are never plain texts of interest, and need not be kept.
            if tokens.len() < 10_000 {
                tokens.push(token);
            }
        }
        Ok(plain(&tokens).map_or(Expression::Other, Expression::Texts))
    }
}

fn closing(bracket: char) -> char {
    match bracket {
        '{' => '}',
        '[' => ']',
        _ => ')',
    }
}

/// One text, or a list of texts and nothing else.
fn plain(tokens: &[Token]) -> Option<Vec<String>> {
    match tokens {
        [Token::Text(text)] => Some(vec![text.clone()]),
        [Token::Open('['), inner @ .., Token::Close(']')] => {
            let mut texts = Vec::new();
            for (number, token) in inner.iter().enumerate() {
                match token {
                    Token::Text(text) if number % 2 == 0 => texts.push(text.clone()),
                    Token::Mark(',') if number % 2 == 1 => {}
                    Token::Word(_)
                    | Token::Text(_)
                    | Token::Template
                    | Token::Open(_)
                    | Token::Close(_)
                    | Token::Mark(_)
                    | Token::Newline
                    | Token::End => return None,
                }
            }
            Some(texts)
        }
        _ => None,
    }
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    line: usize,
}

impl<'a> Scanner<'a> {
    fn new(text: &'a str) -> Scanner<'a> {
        Scanner { text: text.strip_prefix('\u{feff}').unwrap_or(text), at: 0, line: 1 }
    }

    fn error(&self, what: &'static str) -> HclError {
        HclError { line: self.line, what }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let character = self.peek()?;
        self.at += character.len_utf8();
        self.line += usize::from(character == '\n');
        Some(character)
    }

    fn skip(&mut self, bytes: usize) {
        let end = self.at + bytes;
        self.line += self.text[self.at..end].matches('\n').count();
        self.at = end;
    }

    fn token(&mut self) -> Result<Token, HclError> {
        self.blanks()?;
        let rest = self.rest();
        if rest.starts_with("<<")
            && let Some(token) = self.heredoc()?
        {
            return Ok(token);
        }
        let Some(character) = self.bump() else { return Ok(Token::End) };
        Ok(match character {
            '\n' => Token::Newline,
            '"' => self.quoted(0)?,
            '{' | '[' | '(' => Token::Open(character),
            '}' | ']' | ')' => Token::Close(character),
            _ if is_word(character) => {
                let length = rest.find(|it| !is_word(it)).unwrap_or(rest.len());
                self.skip(length - character.len_utf8());
                Token::Word(rest[..length].to_owned())
            }
            _ => Token::Mark(character),
        })
    }

    /// Blanks and comments, but for the newline that ends one.
    fn blanks(&mut self) -> Result<(), HclError> {
        loop {
            let rest = self.rest();
            if rest.starts_with('#') || rest.starts_with("//") {
                self.skip(rest.find('\n').unwrap_or(rest.len()));
            } else if rest.starts_with("/*") {
                let end = rest.find("*/").ok_or_else(|| self.error("a comment has no end"))?;
                self.skip(end + 2);
            } else if rest.starts_with([' ', '\t', '\r']) {
                self.skip(1);
            } else {
                return Ok(());
            }
        }
    }

    /// A quoted text, whose opening quote was read.
    fn quoted(&mut self, depth: usize) -> Result<Token, HclError> {
        let mut text = String::new();
        let mut is_template = false;
        loop {
            let rest = self.rest();
            if rest.starts_with("$${") || rest.starts_with("%%{") {
                text.push_str(&rest[1..3]);
                self.skip(3);
                continue;
            }
            if rest.starts_with("${") || rest.starts_with("%{") {
                self.skip(2);
                self.template(depth + 1)?;
                is_template = true;
                continue;
            }
            match self.bump() {
                Some('"') if is_template => return Ok(Token::Template),
                Some('"') => return Ok(Token::Text(text)),
                Some('\\') => match self.bump() {
                    Some('n') => text.push('\n'),
                    Some('r') => text.push('\r'),
                    Some('t') => text.push('\t'),
                    Some(it @ ('"' | '\\')) => text.push(it),
                    // `\uNNNN`: a text with it is not compared with anything.
                    Some(_) => is_template = true,
                    None => return Err(self.error("a text has no end")),
                },
                Some('\n') | None => return Err(self.error("a text has no end")),
                Some(character) => text.push(character),
            }
        }
    }

    /// The inside of `${…}`, whose beginning was read.
    fn template(&mut self, depth: usize) -> Result<(), HclError> {
        if depth > MAX_DEPTH {
            return Err(self.error("it is too deep"));
        }
        let mut open = 1;
        while open > 0 {
            match self.bump() {
                Some('{') => open += 1,
                Some('}') => open -= 1,
                Some('"') => {
                    self.quoted(depth)?;
                }
                Some(_) => {}
                None => return Err(self.error("a template has no end")),
            }
        }
        Ok(())
    }

    /// `<<EOT` up to its last line; `None`: this is none.
    fn heredoc(&mut self) -> Result<Option<Token>, HclError> {
        let rest = &self.rest()[2..];
        let rest = rest.strip_prefix('-').unwrap_or(rest);
        let length = rest.find(|it| !is_word(it)).unwrap_or(rest.len());
        let marker = &rest[..length];
        let after = rest[length..].trim_start_matches('\r');
        if marker.is_empty() || !after.starts_with('\n') {
            return Ok(None);
        }
        let start = self.text.len() - after.len() + 1;
        let mut end = start;
        for line in self.text[start..].split_inclusive('\n') {
            if line.trim() == marker {
                // The newline after the marker ends the attribute.
                self.skip(end + line.trim_end().len() - self.at);
                return Ok(Some(Token::Template));
            }
            end += line.len();
        }
        Err(self.error("a heredoc has no end"))
    }
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let found = match blocks(text) {
            Ok(blocks) => blocks.iter().map(line).collect::<Vec<_>>().join("; "),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected);
    }

    fn line(block: &Block) -> String {
        let words = [vec![block.kind.clone()], block.labels.clone()].concat().join(" ");
        let value = |value: &Expression| match value {
            Expression::Texts(texts) => texts.join(","),
            Expression::Other => "?".to_owned(),
        };
        let attributes = block.attributes.iter().map(|(name, it)| format!(" {name}={}", value(it)));
        format!("{words}{}", attributes.collect::<String>())
    }

    #[test]
    fn blocks_and_plain_attributes_are_read() {
        check("", "");
        check("module \"a\" {\n  source = \"../b\"\n}\n", "module a source=../b");
        check("module a { source = \"./b\" }", "module a source=./b");
        check("# x {\n// {\n/* { */ a {}\n", "a");
        check("x = 1\na {\n  l = [\"1\", \"2\",]\n  m = [\n  \"1\"\n]\n}", "a l=1,2 m=1");
        check(
            "a {\n  inner \"x\" {\n    source = \"no\"\n  }\n  b = f(\"x\", { c = \"d\" })\n}",
            "a b=?",
        );
        check("a {\r\n  b = \"c\"\r\n}\r\n", "a b=c");
        check("a {\n  b = cond ? \"x\" : \"y\"\n}", "a b=?");
    }

    #[test]
    fn texts_hide_what_looks_like_blocks() {
        check("a {\n  b = \"} ${x[\"}\"]} {\"\n  c = \"d\"\n}", "a b=? c=d");
        check("a {\n  b = \"$${x}\"\n}", "a b=${x}");
        check("a {\n  b = <<EOT\n}\nmodule \"x\" {\n EOT\n  c = \"d\"\n}", "a b=? c=d");
        check("a {\n  b = <<-EOT\n  }\n  EOT\n}", "a b=?");
        check("a {\n  b = \"\\\"}\"\n}", "a b=\"}");
        check("a {\n  b = 1 << 2\n}", "a b=?");
    }

    #[test]
    fn what_is_not_balanced_is_an_error() {
        check("a {", "line 1 is no HCL: `}` was expected");
        check("a {\n  b = [1)\n}", "line 2 is no HCL: brackets do not match");
        check("a {\n  b = \"\n}", "line 3 is no HCL: a text has no end");
        check("a {\n b = <<X\n", "line 2 is no HCL: a heredoc has no end");
        check("/* a", "line 1 is no HCL: a comment has no end");
        check("}", "line 1 is no HCL: a block or an attribute was expected");
        let deep = "a = ".to_owned() + &"[".repeat(1000);
        check(&deep, "line 1 is no HCL: it is too deep");
        let deep = "a {\n".repeat(1000);
        check(&deep, "line 201 is no HCL: it is too deep");
    }
}
