//! A person at a terminal: the program runs in a pseudo-terminal, keys are
//! typed into it, and what it draws is read.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use clap::Parser;
use countersign::adapters::env::Env;
use countersign::cli::args::{Arguments, Command as Subcommand};
use countersign::cli::output::Output;
use countersign::cli::{Context, commands};
use countersign::gate::signal::catalogue::Catalogue;
use countersign::jobs::ambient::Surroundings;
use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::fixture::TestRepo;

/// How long something may take to appear. A machine under load is slow; a test
/// that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where the words of a review are handed to the test below.
const WORDS: &str = "SUITE_REVIEW";

/// A program in a pseudo-terminal.
pub(crate) struct Terminal {
    child: Child,
    keyboard: File,
    output: Receiver<Vec<u8>>,
    drawn: Vec<u8>,
}

impl Terminal {
    /// Starts a command in a terminal of this size.
    pub(crate) fn start(mut command: Command, columns: u16, rows: u16) -> Terminal {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let flags = i32::try_from(OFlags::NOCTTY.bits()).unwrap();
        let slave = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(flags)
            .open(name.to_str().unwrap())
            .unwrap();
        tcsetwinsize(&slave, size).unwrap();
        let end = || Stdio::from(slave.try_clone().unwrap());
        command.stdin(end()).stdout(end()).stderr(end()).env("TERM", "xterm");
        let child = command.spawn().unwrap();
        // What the parent holds of the other side would keep it open for ever.
        drop((slave, command));
        let keyboard = File::from(master);
        let mut screen = keyboard.try_clone().unwrap();
        let (send, output) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = screen.read(&mut buffer) {
                if send.send(buffer[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Terminal { child, keyboard, output, drawn: Vec::new() }
    }

    /// Changes the size of the screen.
    pub(crate) fn resize(&self, columns: u16, rows: u16) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.keyboard, size).unwrap();
    }

    /// Types keys.
    pub(crate) fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until the screen shows a text; returns the screen.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        loop {
            let screen = screen_of(&self.drawn);
            if screen.contains(text) {
                return screen;
            }
            match self.output.recv_timeout(PATIENCE) {
                Ok(bytes) => self.drawn.extend(bytes),
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("it ended before it showed `{text}`:\n{}", printed(&self.drawn))
                }
                Err(RecvTimeoutError::Timeout) => panic!("no `{text}` in time:\n{screen}"),
            }
        }
    }

    /// Presses keys and waits for a text.
    #[track_caller]
    pub(crate) fn press_for(&mut self, keys: &str, text: &str) -> String {
        self.press(keys);
        self.wait_for(text)
    }

    /// Waits for the end; returns the exit status and everything that was
    /// printed outside of the screen.
    #[track_caller]
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        while let Ok(bytes) = self.output.recv_timeout(PATIENCE) {
            self.drawn.extend(bytes);
        }
        let status = self.child.wait().unwrap();
        let text = printed(&self.drawn);
        let told = text.split("ended with ").nth(1).and_then(|it| it.lines().next());
        match told {
            Some(code) => {
                let (said, _) = text.split_once("ended with ").unwrap();
                (code.trim().parse().ok(), said.to_owned())
            }
            None => (status.code(), text),
        }
    }

    /// Every byte that came.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.drawn
    }
}

/// What was drawn last on the whole screen: from the last move to its corner on.
fn screen_of(drawn: &[u8]) -> String {
    let text = String::from_utf8_lossy(drawn);
    let mut frames = text.rsplit("\x1b[H");
    let last = frames.next().unwrap_or_default();
    // A frame that is not whole yet hides nothing of the one before it.
    let whole = if last.contains("\x1b[J") { last } else { frames.next().unwrap_or(last) };
    let frame = whole.split("\x1b[J").next().unwrap_or_default();
    undressed(frame).lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// What was printed beside the screen that comes and goes.
fn printed(drawn: &[u8]) -> String {
    let text = String::from_utf8_lossy(drawn).replace("\r\n", "\n");
    let mut parts = text.split("\x1b[?1049h");
    let mut printed = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        printed.push_str(part.split_once("\x1b[?1049l").map_or("", |(_, after)| after));
    }
    undressed(&printed)
}

/// Text without escape sequences (`ESC [ … letter`).
fn undressed(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|it: char| it.is_ascii_alphabetic()).map_or(part.len(), |it| it + 1);
        plain.push_str(&part[end..]);
    }
    plain
}

/// `countersign review` as a person runs it. Where an agent's process stands
/// above these tests the program would rightly refuse, so there the same
/// command runs in a process of this crate, told that nobody stands above.
pub(crate) fn review(clone: &TestRepo, arguments: &[&str]) -> Command {
    let words = [&["review"], arguments].concat();
    let names = countersign::adapters::ancestors::ancestors().names;
    let above = Surroundings { variables: Vec::new(), ancestors: names };
    if above.marks(Catalogue::built_in()).is_empty() {
        return clone.countersign_command(&words);
    }
    let mut command = clone.command(std::env::current_exe().unwrap());
    command.args(["--exact", "terminal::a_review_within_this_crate", "--nocapture"]);
    command.env(WORDS, words.join("\n"));
    command
}

/// Not a test by itself: what [`review`] starts.
#[test]
fn a_review_within_this_crate() {
    let Ok(words) = std::env::var(WORDS) else { return };
    let arguments = Arguments::parse_from(["countersign"].into_iter().chain(words.split('\n')));
    let env = Env::read().unwrap();
    let output = Output::new(&arguments.global, &env, false);
    let context = Context { env, output };
    let Subcommand::Review(review) = &arguments.command else { panic!("{words}") };
    let ended = commands::review::run_in(&context, review, &Surroundings::default());
    let code = match ended {
        Ok(exit) => i32::from(exit.code()),
        Err(error) => {
            eprintln!("error: {}", error.chain());
            2
        }
    };
    eprintln!("ended with {code}");
}
