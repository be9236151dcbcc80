//! A review in the terminal: what the keys do and what the screen shows, as
//! values. Reading keys and drawing is `cli/terminal`'s.

use crate::gate::review::{Review, ReviewedFile};
use page::{Row, Tone};

pub mod markdown;
pub mod page;
#[cfg(test)]
mod tests;

/// The longest comment, in characters.
const MOST_CHARACTERS: usize = 2000;

/// A key, as far as it means something here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    Char(char),
    Enter,
    Escape,
    Backspace,
    Up,
    Down,
    Left,
    Right,
    PageUp,
    PageDown,
    Home,
    End,
    Tab,
    BackTab,
    Interrupt,
    Other,
}

/// What was decided about a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    Approved,
    Skipped,
}

/// What there is to say about a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileMark {
    pub decision: Option<Decision>,
    /// The decision is an earlier approval's, not this sitting's.
    pub before: bool,
    pub comment: Option<String>,
    /// The last row that was on the screen, and whether all were.
    seen: usize,
}

/// What the outside has to do after a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    None,
    /// Keep what was decided.
    Keep,
    /// Open the file of this index in the editor.
    Edit(usize),
    /// Work out what would be signed, and call [`Sitting::settle`].
    Settle,
    Sign,
    Quit,
    Interrupt,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Page {
    Overview,
    File(usize),
    Help,
    End,
}

/// What is being typed.
#[derive(Clone, Debug)]
struct Typing {
    /// The file that is commented; `None`: the note.
    file: Option<usize>,
    text: String,
}

/// A reviewer at work.
#[derive(Clone, Debug)]
pub struct Sitting {
    pub review: Review,
    pub marks: Vec<FileMark>,
    pub note: Option<String>,
    /// Only what changed since an earlier approval is shown, where there is one.
    pub since: bool,
    page: Page,
    /// Where help was asked for.
    back: Page,
    top: usize,
    message: Option<String>,
    typing: Option<Typing>,
    /// What would be signed; empty: nothing.
    ending: Vec<Row>,
    signable: bool,
    ending_seen: bool,
    /// The size of the screen, in columns and rows.
    size: (usize, usize),
    measure: fn(char) -> usize,
}

/// The least size that is drawn for; a smaller screen shows a part.
const LEAST: (usize, usize) = (20, 5);

impl Sitting {
    /// Begins a review; `measure` tells how many columns a character takes.
    pub fn new(review: Review, note: Option<String>, measure: fn(char) -> usize) -> Sitting {
        let mark = |file: &ReviewedFile| FileMark {
            decision: file.own.then_some(Decision::Approved),
            before: file.own,
            ..FileMark::default()
        };
        Sitting {
            marks: review.files.iter().map(mark).collect(),
            since: review.files.iter().any(|file| file.since.is_some()),
            review,
            note,
            page: Page::Overview,
            back: Page::Overview,
            top: 0,
            message: None,
            typing: None,
            ending: Vec::new(),
            signable: false,
            ending_seen: false,
            size: (80, 24),
            measure,
        }
    }

    /// Says something in the line above the keys, until the next key.
    pub fn tell(&mut self, message: impl Into<String>) {
        self.message = Some(message.into());
    }

    /// The screen has this size, in columns and rows.
    pub fn resize(&mut self, columns: usize, rows: usize) {
        self.size = (columns.max(LEAST.0), rows.max(LEAST.1));
        self.scroll_to(self.top);
    }

    /// Shows what will be signed and asks; `signable`: there is anything.
    pub fn settle(&mut self, rows: Vec<Row>, signable: bool) {
        self.ending = rows;
        self.signable = signable;
        self.ending_seen = false;
        self.go(Page::End);
    }

    /// The files that were approved, by position.
    pub fn approved(&self) -> impl Iterator<Item = usize> + '_ {
        let marks = self.marks.iter().enumerate();
        marks.filter(|(_, it)| it.decision == Some(Decision::Approved)).map(|(index, _)| index)
    }

    /// A key was pressed.
    pub fn press(&mut self, key: Key) -> Effect {
        self.message = None;
        if key == Key::Interrupt {
            return Effect::Interrupt;
        }
        if self.typing.is_some() {
            return self.typed(key);
        }
        match (self.page, key) {
            (Page::Help, _) => {
                self.go(self.back);
                Effect::None
            }
            (_, Key::Char('?')) => {
                self.back = self.page;
                self.go(Page::Help);
                Effect::None
            }
            (_, Key::Char('q')) => Effect::Quit,
            (Page::End, Key::Char('y')) => self.say_yes(),
            (Page::End, Key::Char('n')) => self.turn_to_open(0),
            (_, Key::Char('o')) => self.turn(Page::Overview),
            (_, Key::Char('d')) => Effect::Settle,
            (_, Key::Char('m')) => self.begin_typing(None),
            (Page::Overview, Key::Char('c')) => self.begin_typing(None),
            (Page::Overview, Key::Enter) => self.turn_to_open(0),
            (Page::File(index), key) => self.press_on_file(index, key),
            (_, Key::Tab | Key::Right | Key::Char(']')) => self.next_file(),
            (_, Key::BackTab | Key::Left | Key::Char('[')) => self.previous_file(),
            (_, key) => self.move_by(key),
        }
    }

    fn press_on_file(&mut self, index: usize, key: Key) -> Effect {
        match key {
            Key::Char('a') => self.approve(index),
            Key::Char('s') => self.decide(index, Decision::Skipped),
            Key::Char('u') => {
                self.marks[index].decision = None;
                self.marks[index].before = false;
                Effect::Keep
            }
            Key::Char('c') => self.begin_typing(Some(index)),
            Key::Char('e') => Effect::Edit(index),
            Key::Char('v') => {
                if self.review.files[index].since.is_none() {
                    self.tell("there is no earlier approval that this file went on from");
                }
                self.since = !self.since;
                self.top = 0;
                Effect::None
            }
            Key::Char('n') => self.next_hunk(),
            Key::Char('p') => self.previous_hunk(),
            Key::Tab | Key::Right | Key::Char(']') | Key::Enter => self.next_file(),
            Key::BackTab | Key::Left | Key::Char('[') => self.previous_file(),
            key => self.move_by(key),
        }
    }

    /// Approving what was never on the screen takes a second word.
    fn approve(&mut self, index: usize) -> Effect {
        let left = self.rows().len().saturating_sub(self.marks[index].seen);
        if left > 0 {
            self.marks[index].seen = usize::MAX;
            let lines = page::counted(left, "line");
            self.tell(format!("{lines} below were not on the screen; `a` again approves them too"));
            return Effect::None;
        }
        self.decide(index, Decision::Approved)
    }

    fn decide(&mut self, index: usize, decision: Decision) -> Effect {
        self.marks[index].decision = Some(decision);
        self.marks[index].before = false;
        match self.next_open(index + 1) {
            Some(next) => {
                self.go(Page::File(next));
                Effect::Keep
            }
            None => Effect::Settle,
        }
    }

    fn say_yes(&mut self) -> Effect {
        if !self.signable {
            return Effect::None;
        }
        if !self.ending_seen {
            self.ending_seen = true;
            self.tell("there is more below; `y` again signs all of it");
            return Effect::None;
        }
        Effect::Sign
    }

    /// The first file from `from` on, and then from the start, that is undecided.
    fn next_open(&self, from: usize) -> Option<usize> {
        let count = self.marks.len();
        (0..count)
            .map(|step| (from + step) % count)
            .find(|index| self.marks[*index].decision.is_none())
    }

    fn turn_to_open(&mut self, from: usize) -> Effect {
        match self.next_open(from) {
            Some(index) => self.turn(Page::File(index)),
            None if self.page == Page::End => self.turn(Page::Overview),
            None => Effect::Settle,
        }
    }

    fn next_file(&mut self) -> Effect {
        let next = match self.page {
            Page::File(index) => index + 1,
            Page::Overview | Page::Help | Page::End => 0,
        };
        if next < self.marks.len() { self.turn(Page::File(next)) } else { Effect::Settle }
    }

    fn previous_file(&mut self) -> Effect {
        match self.page {
            Page::File(0) | Page::Overview | Page::Help => self.turn(Page::Overview),
            Page::File(index) => self.turn(Page::File(index - 1)),
            Page::End => self.turn(Page::File(self.marks.len().saturating_sub(1))),
        }
    }

    fn turn(&mut self, page: Page) -> Effect {
        self.go(if self.marks.is_empty() && page != Page::End { Page::Overview } else { page });
        Effect::None
    }

    fn go(&mut self, page: Page) {
        self.page = page;
        self.top = 0;
    }

    fn next_hunk(&mut self) -> Effect {
        let below = self.rows().iter().skip(self.top + 1).position(|row| row.hunk);
        let Some(next) = below.map(|place| place + self.top + 1) else { return self.next_file() };
        // The last hunks fit on the screen at once: there is nowhere to go but on.
        if next > self.lowest_top() && self.top >= self.lowest_top() {
            return self.next_file();
        }
        self.scroll_to(next);
        Effect::None
    }

    fn previous_hunk(&mut self) -> Effect {
        let rows = self.rows();
        match rows.iter().take(self.top).rposition(|row| row.hunk) {
            Some(place) => self.scroll_to(place),
            None if self.top > 0 => self.scroll_to(0),
            None => return self.previous_file(),
        }
        Effect::None
    }

    fn move_by(&mut self, key: Key) -> Effect {
        let page = self.body_height().saturating_sub(1).max(1);
        let to = match key {
            Key::Down | Key::Char('j') | Key::Enter => self.top.saturating_add(1),
            Key::Up | Key::Char('k') => self.top.saturating_sub(1),
            Key::PageDown | Key::Char(' ' | 'f') => self.top.saturating_add(page),
            Key::PageUp | Key::Char('b') => self.top.saturating_sub(page),
            Key::Home | Key::Char('g') => 0,
            Key::End | Key::Char('G') => usize::MAX,
            _ => {
                self.tell("that key does nothing here; `?` shows those that do");
                return Effect::None;
            }
        };
        self.scroll_to(to);
        Effect::None
    }

    fn begin_typing(&mut self, file: Option<usize>) -> Effect {
        let text = match file {
            Some(index) => self.marks[index].comment.clone(),
            None => self.note.clone(),
        };
        self.typing = Some(Typing { file, text: text.unwrap_or_default() });
        Effect::None
    }

    fn typed(&mut self, key: Key) -> Effect {
        let Some(typing) = &mut self.typing else { return Effect::None };
        match key {
            Key::Char(character) if !character.is_control() => {
                if typing.text.chars().count() < MOST_CHARACTERS {
                    typing.text.push(character);
                }
                Effect::None
            }
            Key::Backspace => {
                typing.text.pop();
                Effect::None
            }
            Key::Enter => {
                let text = typing.text.trim().to_owned();
                let text = (!text.is_empty()).then_some(text);
                match typing.file {
                    Some(index) => self.marks[index].comment = text,
                    None => self.note = text,
                }
                self.typing = None;
                if self.page == Page::End { Effect::Settle } else { Effect::Keep }
            }
            Key::Escape => {
                self.typing = None;
                Effect::None
            }
            _ => Effect::None,
        }
    }

    /// How many rows are between the two bars.
    fn body_height(&self) -> usize {
        self.size.1.saturating_sub(3).max(1)
    }

    fn lowest_top(&self) -> usize {
        self.rows().len().saturating_sub(self.body_height())
    }

    fn scroll_to(&mut self, top: usize) {
        self.top = top.min(self.lowest_top());
    }

    /// The page's rows at the width of the screen.
    fn rows(&self) -> Vec<Row> {
        let rows = match self.page {
            Page::Overview => page::overview(self),
            Page::File(index) => page::file(self, index),
            Page::Help => page::help(),
            Page::End => self.ending.clone(),
        };
        rows.iter().flat_map(|row| row.wrapped(self.size.0, self.measure)).collect()
    }

    /// The screen: as many rows as it has.
    pub fn screen(&mut self) -> Vec<Row> {
        let rows = self.rows();
        self.top = self.top.min(rows.len().saturating_sub(self.body_height()));
        let bottom = (self.top + self.body_height()).min(rows.len());
        match self.page {
            Page::File(index) => {
                self.marks[index].seen = self.marks[index].seen.max(bottom);
            }
            Page::End => self.ending_seen |= bottom == rows.len(),
            Page::Overview | Page::Help => {}
        }
        let more = rows.len() - bottom;
        let mut screen = vec![self.title()];
        screen.extend(rows[self.top..bottom].iter().cloned());
        screen.resize(1 + self.body_height(), Row::default());
        screen.push(self.middle(more));
        screen.push(self.fitted(Tone::Bar, &self.keys()));
        screen
    }

    fn title(&self) -> Row {
        let target = self.review.target.strip_prefix("refs/heads/").unwrap_or(&self.review.target);
        let left = format!("review {} for {target}", self.review.range);
        let right = match self.page {
            Page::Overview => page::counted(self.marks.len(), "file"),
            Page::File(index) => format!("file {} of {}", index + 1, self.marks.len()),
            Page::Help => "help".to_owned(),
            Page::End => "what will be signed".to_owned(),
        };
        let left = crate::gate::change::printable(&left);
        let room = self.size.0.saturating_sub(right.chars().count() + 1);
        let left: String = left.chars().take(room.saturating_sub(1)).collect();
        self.fitted(Tone::Bar, &format!("{left:<room$}{right} "))
    }

    /// What is typed, or told, or how much is below.
    fn middle(&self, more: usize) -> Row {
        if let Some(typing) = &self.typing {
            let what = if typing.file.is_some() { "comment" } else { "note" };
            let room = self.size.0.saturating_sub(what.len() + 4);
            let typed: Vec<char> = typing.text.chars().collect();
            let end: String = typed[typed.len().saturating_sub(room)..].iter().collect();
            return self.fitted(Tone::Strong, &format!("{what}: {end}_"));
        }
        match &self.message {
            Some(message) => self.fitted(Tone::Warning, message),
            None if more > 0 => {
                self.fitted(Tone::Faint, &format!("{} more below", page::counted(more, "line")))
            }
            None => Row::default(),
        }
    }

    fn keys(&self) -> String {
        if self.typing.is_some() {
            return "enter keeps it · escape drops it".to_owned();
        }
        match self.page {
            Page::Overview => {
                "enter begins · ] file · m note · d done · ? help · q quit".to_owned()
            }
            Page::Help => "any key goes back".to_owned(),
            Page::End if self.signable => {
                "sign this? y yes · n no, go back · m note · q quit".to_owned()
            }
            Page::End => "n go back · q quit".to_owned(),
            Page::File(index) => {
                let state = match self.marks[index].decision {
                    Some(Decision::Approved) => "APPROVED",
                    Some(Decision::Skipped) => "SKIPPED",
                    None => "open",
                };
                let keys = "a approve · s skip · n hunk · ] file · c comment · d done · ? help";
                format!("{state}: {keys}")
            }
        }
    }

    fn fitted(&self, tone: Tone, text: &str) -> Row {
        let mut fitted = String::new();
        let mut column = 0;
        for character in text.chars() {
            column += (self.measure)(character);
            if column > self.size.0 {
                break;
            }
            fitted.push(character);
        }
        Row::new(tone, fitted)
    }
}
