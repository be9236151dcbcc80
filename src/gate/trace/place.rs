//! Which file of the repository a path in a record means.
//!
//! Records spell paths as their agent's system does: `/home/ana/shop`,
//! `C:\shop`, `/mnt/c/shop` (WSL), `/c/shop` (Git for Windows' shell, and read
//! so where the repository lies on a drive), `\\wsl$\Debian\home\ana\shop`,
//! `file:///home/ana/shop`. All are compared part by part.

use crate::gate::change::RepoPath;
use crate::gate::order;

/// The work trees of one repository.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// Longest first: a work tree may lie in another.
    roots: Vec<Spelled>,
    /// What stands for what: a folder reached through a link, and itself.
    aliases: Vec<(Spelled, Spelled)>,
    ignore_case: bool,
    /// The repository lies on a drive.
    windows: bool,
}

/// An absolute path, whatever its spelling.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Spelled {
    /// The drive's letter or the server's name; empty for Unix's root.
    anchor: String,
    parts: Vec<String>,
    /// Spelled with a drive's letter and a colon, or a server's name.
    windows: bool,
}

impl Places {
    /// The work trees at these absolute paths. `ignore_case`: git's
    /// `core.ignoreCase`.
    pub fn new<'a>(roots: impl IntoIterator<Item = &'a str>, ignore_case: bool) -> Places {
        let roots: Vec<&str> = roots.into_iter().collect();
        let windows = roots.iter().any(|root| Spelled::absolute(root).is_some_and(|it| it.windows));
        let mut places = Places { roots: Vec::new(), aliases: Vec::new(), ignore_case, windows };
        places.roots = roots.into_iter().filter_map(|root| places.spelled(root)).collect();
        order::sort_by_key(&mut places.roots, |it| std::cmp::Reverse(it.parts.len()));
        places
    }

    /// Whether a session that began in this folder may have edited the
    /// repository: the folder lies in a work tree, or above one.
    pub fn concerns(&self, folder: &str) -> bool {
        let Some(folder) = self.located(folder) else { return false };
        self.roots
            .iter()
            .any(|root| self.below(root, &folder).is_some() || self.below(&folder, root).is_some())
    }

    /// Lets paths through a link count: `folder` leads to `target`.
    pub fn alias(&mut self, folder: &str, target: &str) {
        let (Some(mut folder), Some(mut target)) = (self.spelled(folder), self.spelled(target))
        else {
            return;
        };
        // What both end in lies behind the link.
        while folder.parts.len() > 1
            && target.parts.len() > 1
            && folder.parts.last() == target.parts.last()
        {
            folder.parts.pop();
            target.parts.pop();
        }
        if (&folder.anchor, &folder.parts) != (&target.anchor, &target.parts)
            && self.aliases.len() < 256
        {
            self.aliases.push((folder, target));
        }
    }

    /// The file below a work tree's top; `None` if it lies elsewhere. `cwd` is
    /// what a relative path is relative to.
    pub fn repo_path(&self, cwd: Option<&str>, path: &str) -> Option<RepoPath> {
        let file = match self.located(path) {
            Some(file) => file,
            None => self.located(cwd?)?.joined(path)?,
        };
        let inside = self.roots.iter().find_map(|root| self.below(root, &file))?;
        let inner = inside.first().is_some_and(|it| !it.eq_ignore_ascii_case(".git"));
        inner.then(|| RepoPath::new(inside.join("/")))
    }

    /// What two paths share that git holds for the same file.
    pub fn key(&self, path: &RepoPath) -> Vec<u8> {
        match std::str::from_utf8(path.as_bytes()) {
            Ok(text) if self.ignore_case => text.to_lowercase().into_bytes(),
            Ok(_) | Err(_) => path.as_bytes().to_vec(),
        }
    }

    fn spelled(&self, path: &str) -> Option<Spelled> {
        let mut path = Spelled::absolute(path)?;
        let letter = path.parts.first().filter(|it| self.windows && is_letter(it));
        if let Some(letter) = letter.filter(|_| path.anchor.is_empty()) {
            path.anchor = letter.to_ascii_lowercase();
            path.parts.remove(0);
        }
        Some(path)
    }

    fn located(&self, path: &str) -> Option<Spelled> {
        let path = self.spelled(path)?;
        let through = self.aliases.iter().find_map(|(folder, target)| {
            let rest = self.below(folder, &path)?.to_vec();
            let parts = target.parts.iter().cloned().chain(rest).collect();
            Some(Spelled { parts, ..target.clone() })
        });
        Some(through.unwrap_or(path))
    }

    /// The parts of `path` below `root`; empty if they are the same.
    fn below<'a>(&self, root: &Spelled, path: &'a Spelled) -> Option<&'a [String]> {
        // A drive's file system does not tell cases apart.
        let fold = self.ignore_case || !root.anchor.is_empty();
        let same = |one: &String, other: &String| {
            one == other || (fold && one.to_lowercase() == other.to_lowercase())
        };
        let (start, rest) = path.parts.split_at_checked(root.parts.len())?;
        let inside =
            root.anchor == path.anchor && root.parts.iter().zip(start).all(|(a, b)| same(a, b));
        inside.then_some(rest)
    }
}

/// Whether a path of any system is absolute.
pub fn is_absolute(path: &str) -> bool {
    Spelled::absolute(path).is_some()
}

impl Spelled {
    fn absolute(path: &str) -> Option<Spelled> {
        if let Some(rest) = path.strip_prefix("file://") {
            let rest = unescaped(rest.strip_prefix("localhost").unwrap_or(rest))?;
            // `file:///C:/shop`
            let drive = rest.get(1..).filter(|it| drive(it).is_some());
            return Spelled::absolute(drive.unwrap_or(&rest)).filter(|_| rest.starts_with('/'));
        }
        let plain = path.strip_prefix(r"\\?\").or_else(|| path.strip_prefix("//?/"));
        if let Some(rest) = plain {
            return match rest.strip_prefix(r"UNC\").or_else(|| rest.strip_prefix("UNC/")) {
                Some(share) => Spelled::absolute(&format!(r"\\{share}")),
                None => Spelled::absolute(rest),
            };
        }
        if let Some((letter, rest)) = drive(path) {
            let letter = letter.to_ascii_lowercase().to_string();
            return Spelled { anchor: letter, parts: Vec::new(), windows: true }.walked(rest);
        }
        if let Some(rest) = path.strip_prefix(r"\\").or_else(|| path.strip_prefix("//")) {
            let mut parts = rest.splitn(3, ['/', '\\']);
            let (server, share) = (parts.next()?, parts.next()?);
            let rest = parts.next().unwrap_or_default();
            let anchor = match server.to_ascii_lowercase().as_str() {
                "" => return None,
                // A distribution's own root, seen from Windows.
                "wsl$" | "wsl.localhost" => String::new(),
                name => format!("{name}/{}", share.to_lowercase()),
            };
            let windows = !anchor.is_empty();
            let walked = Spelled { anchor, parts: Vec::new(), windows: true }.walked(rest)?;
            return Some(Spelled { windows, ..walked });
        }
        let rest = path.strip_prefix('/')?;
        let unix = |anchor: String| Spelled { anchor, parts: Vec::new(), windows: false };
        let mounted = rest.strip_prefix("mnt/").or_else(|| rest.strip_prefix("cygdrive/"));
        let mounted = mounted.map(|it| it.split_once('/').unwrap_or((it, "")));
        match mounted.filter(|(first, _)| is_letter(first)) {
            Some((letter, behind)) => unix(letter.to_ascii_lowercase()).walked(behind),
            None => unix(String::new()).walked(rest),
        }
    }

    /// The path of a relative one from here.
    fn joined(self, path: &str) -> Option<Spelled> {
        if path.is_empty() || path.starts_with(['~', '/', '\\']) || path.contains("://") {
            return None;
        }
        self.walked(path)
    }

    /// `None` where the path leads above the root, or names what no file is named.
    fn walked(mut self, path: &str) -> Option<Spelled> {
        let separators: &[char] = if self.windows { &['/', '\\'] } else { &['/'] };
        for part in path.split(separators) {
            match part {
                "" | "." => {}
                ".." => {
                    self.parts.pop()?;
                }
                part if part.contains('\0') => return None,
                part => self.parts.push(part.to_owned()),
            }
        }
        Some(self)
    }
}

fn is_letter(text: &str) -> bool {
    text.len() == 1 && text.chars().all(|it| it.is_ascii_alphabetic())
}

/// `C:` and what follows its separator.
fn drive(path: &str) -> Option<(char, &str)> {
    let letter = path.chars().next().filter(char::is_ascii_alphabetic)?;
    let rest = path.get(1..)?.strip_prefix(':')?;
    (rest.is_empty() || rest.starts_with(['/', '\\'])).then_some((letter, rest))
}

/// A URI's path without its percent signs.
fn unescaped(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'%' {
            let (digits, after) = rest.split_at_checked(2)?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = after;
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(places: &Places, cwd: Option<&str>, path: &str, expected: Option<&str>) {
        let found = places.repo_path(cwd, path);
        assert_eq!(found, expected.map(RepoPath::new), "{path} from {cwd:?}");
    }

    #[test]
    fn a_path_is_found_below_its_work_tree() {
        let places = Places::new(["/r", "/r/trees/b", "/w/b"], false);
        check(&places, None, "/r/a.rs", Some("a.rs"));
        check(&places, None, "file:///r/a%20b.rs", Some("a b.rs"));
        check(&places, Some("/r/src"), "a.rs", Some("src/a.rs"));
        check(&places, Some("/r/src"), "./../a.rs", Some("a.rs"));
        check(&places, Some("/"), "r/a.rs", Some("a.rs"));
        check(&places, None, "/r/trees/b/a.rs", Some("a.rs"));
        check(&places, None, "/r/trees/c/a.rs", Some("trees/c/a.rs"));
        check(&places, Some("/w/b"), "src\\a.rs", Some("src\\a.rs"));
        for path in ["/rr/a", "/w/a", "/r", "/r/../a", "/../r/a", "a", "/R/a", "/r/.git/config"] {
            check(&places, None, path, None);
        }
        for path in ["../../a", "../../../../r/a", "~/a", "", "https://example.com/r/a", "a\0b"] {
            check(&places, Some("/r/src"), path, None);
        }
    }

    #[test]
    fn every_system_spells_the_same_file() {
        for root in ["C:/shop", "/mnt/c/shop", r"\\?\C:\shop", "/cygdrive/c/shop"] {
            let places = Places::new([root], true);
            for path in [
                r"C:\Shop\src\a.rs",
                "c:/shop/src/a.rs",
                "/mnt/c/shop/src/a.rs",
                r"\\?\C:\shop\src\a.rs",
                "file:///c%3A/shop/src/a.rs",
                "file:///C:/shop/src/a.rs",
            ] {
                check(&places, None, path, Some("src/a.rs"));
            }
            check(&places, Some(r"C:\shop"), r"src\a.rs", Some("src/a.rs"));
            check(&places, None, r"D:\shop\src\a.rs", None);
        }
        check(&Places::new(["C:/shop"], true), None, "/c/shop/src/a.rs", Some("src/a.rs"));
        check(&Places::new(["/c/shop"], false), None, r"C:\shop\a.rs", None);
        let places = Places::new(["/home/ana/shop"], false);
        for path in [r"\\wsl$\Debian\home\ana\shop\a", r"\\wsl.localhost\Debian\home\ana\shop\a"] {
            check(&places, None, path, Some("a"));
        }
        check(&places, None, r"\\server\share\home\ana\shop\a", None);
        let places = Places::new([r"\\Server\share\shop"], false);
        check(&places, None, r"\\?\UNC\server\Share\shop\a", Some("a"));
    }

    #[test]
    fn a_link_leads_to_its_target() {
        let mut places = Places::new(["/data/shop"], false);
        check(&places, None, "/home/ana/link/src/a.rs", None);
        places.alias("/home/ana/link/src", "/data/shop/src");
        check(&places, None, "/home/ana/link/b/a.rs", Some("b/a.rs"));
        check(&places, Some("/home/ana/link/src"), "a.rs", Some("src/a.rs"));
        assert!(places.concerns("/home/ana/link"));
    }

    #[test]
    fn a_session_concerns_the_repository_from_within_and_from_above() {
        let places = Places::new(["/w/shop"], false);
        let found = ["/w/shop", "/w/shop/src", "/w", "/", "/w/other", "/w/shopping", "w/shop"]
            .map(|folder| places.concerns(folder));
        assert_eq!(found, [true, true, true, true, false, false, false]);
    }

    #[test]
    fn cases_are_told_apart_where_git_does() {
        check(&Places::new(["/Users/ana/Shop"], true), None, "/users/ana/shop/A.rs", Some("A.rs"));
        check(&Places::new(["/home/ana/Shop"], false), None, "/home/ana/shop/A.rs", None);
        let key = |ignore| Places::new(["/r"], ignore).key(&RepoPath::new("A.rs"));
        assert_eq!((key(true), key(false)), (b"a.rs".to_vec(), b"A.rs".to_vec()));
    }
}
