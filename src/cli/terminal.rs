//! The whole screen of a terminal: keys in, rows out. Plain ANSI, as every
//! terminal that ssh reaches knows it.

use std::io::Write;

use dialoguer::console::{self, Term};

use super::review::Key;
use super::review::page::{Row, Tone};
use crate::jobs::{Error, ErrorKind};

/// How often the size of the screen is looked at while no key comes, in milliseconds.
#[cfg(unix)]
const LOOK: i64 = 250;

/// The screen, taken over until this value is dropped.
pub struct Screen {
    term: Term,
    colour: bool,
    #[cfg(unix)]
    cooked: Option<rustix::termios::Termios>,
}

/// What came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    Key(Key),
    /// The screen may have another size.
    Resized,
}

impl Screen {
    /// Takes over the screen on standard error: what stood there comes back in
    /// the end.
    pub fn take(colour: bool) -> Result<Screen, Error> {
        let screen = Screen {
            term: Term::stderr(),
            colour,
            #[cfg(unix)]
            cooked: quiet_input(),
        };
        // The alternate screen, and no cursor.
        screen.write("\x1b[?1049h\x1b[?25l")?;
        Ok(screen)
    }

    /// Its size in columns and rows.
    pub fn size(&self) -> (usize, usize) {
        let (rows, columns) = self.term.size();
        (columns.into(), rows.into())
    }

    /// Draws all rows.
    pub fn draw(&self, rows: &[Row]) -> Result<(), Error> {
        let mut text = String::from("\x1b[H");
        for (index, row) in rows.iter().enumerate() {
            if index > 0 {
                text.push_str("\r\n");
            }
            for (tone, part) in &row.spans {
                text.push_str(&dressed(*tone, part, self.colour));
            }
            text.push_str("\x1b[K");
        }
        self.write(&(text + "\x1b[J"))
    }

    /// Waits for a key, or until the screen's size is another than the one that
    /// was `drawn` for, in columns and rows.
    pub fn wait(&self, drawn: (usize, usize)) -> Result<Event, Error> {
        #[cfg(unix)]
        while !input_is_there()? {
            if self.size() != drawn {
                return Ok(Event::Resized);
            }
        }
        #[cfg(not(unix))]
        let _ = drawn;
        let key = self.term.read_key_raw().map_err(failed)?;
        Ok(Event::Key(translated(key)))
    }

    fn write(&self, text: &str) -> Result<(), Error> {
        let mut out = std::io::stderr().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(failed)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.write("\x1b[0m\x1b[?25h\x1b[?1049l").ok();
        #[cfg(unix)]
        if let Some(cooked) = &self.cooked {
            let when = rustix::termios::OptionalActions::Drain;
            rustix::termios::tcsetattr(std::io::stdin(), when, cooked).ok();
        }
    }
}

/// Keys that are pressed while we draw are neither echoed nor held back.
#[cfg(unix)]
fn quiet_input() -> Option<rustix::termios::Termios> {
    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
    let cooked = tcgetattr(std::io::stdin()).ok()?;
    let mut quiet = cooked.clone();
    quiet.local_modes -= LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
    tcsetattr(std::io::stdin(), OptionalActions::Drain, &quiet).ok()?;
    Some(cooked)
}

/// Waits a moment; whether there is something to read, or an end that reading will find.
#[cfg(unix)]
fn input_is_there() -> Result<bool, Error> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let stdin = std::io::stdin();
    let moment = Timespec { tv_sec: 0, tv_nsec: LOOK * 1_000_000 };
    match poll(&mut [PollFd::new(&stdin, PollFlags::IN)], Some(&moment)) {
        Ok(count) => Ok(count > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(failed(error.into())),
    }
}

/// How many columns a character takes.
pub fn columns_of(character: char) -> usize {
    if character.is_ascii() {
        return 1;
    }
    console::measure_text_width(character.encode_utf8(&mut [0; 4]))
}

fn failed(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Usage, error).hint("`countersign review --format markdown` prints it")
}

fn translated(key: console::Key) -> Key {
    match key {
        console::Key::Char(it) => Key::Char(it),
        console::Key::Enter => Key::Enter,
        console::Key::Escape => Key::Escape,
        console::Key::Backspace => Key::Backspace,
        console::Key::ArrowUp => Key::Up,
        console::Key::ArrowDown => Key::Down,
        console::Key::ArrowLeft => Key::Left,
        console::Key::ArrowRight => Key::Right,
        console::Key::PageUp => Key::PageUp,
        console::Key::PageDown => Key::PageDown,
        console::Key::Home => Key::Home,
        console::Key::End => Key::End,
        console::Key::Tab => Key::Tab,
        console::Key::BackTab => Key::BackTab,
        console::Key::CtrlC => Key::Interrupt,
        _ => Key::Other,
    }
}

/// Without colour the words that differ are underlined, and the bars reversed:
/// neither is a colour.
fn dressed(tone: Tone, text: &str, colour: bool) -> String {
    let code = match (tone, colour) {
        (Tone::Plain, _) => return text.to_owned(),
        (Tone::Strong, _) => "1",
        (Tone::Bar, _) => "7",
        (Tone::GoodWord | Tone::BadWord, false) => "4",
        (Tone::Faint | Tone::Good | Tone::Bad | Tone::Warning, false) => return text.to_owned(),
        (Tone::Faint, true) => "2",
        (Tone::Good, true) => "32",
        (Tone::Bad, true) => "31",
        (Tone::Warning, true) => "33",
        (Tone::GoodWord, true) => "1;4;32",
        (Tone::BadWord, true) => "1;4;31",
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}
