//! Names of commits: revisions, refs, HEAD, and who descends from whom.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;

use super::ref_files::{End, RefFiles};
use super::{Git, GitError, unexpected};
use crate::adapters::fs;
use crate::gate::change::Oid;
use crate::gate::order;

/// The most that a list of shallow boundaries may hold.
const SHALLOW_LIMIT: u64 = 64 << 20;

/// Refs by full name; `None` for one that is not there.
pub(super) type Known = BTreeMap<String, Option<KnownRef>>;

/// What a ref says.
#[derive(Clone, Debug)]
pub(super) struct KnownRef {
    names: Oid,
    /// Where it points, if it is symbolic.
    symbolic: Option<String>,
}

impl Git {
    /// Returns the commit that a revision names, tags peeled; `None` if it names none.
    pub fn resolve_commit(&self, revision: &str) -> Result<Option<Oid>, GitError> {
        if revision == "HEAD"
            && let Some(head) = &self.layout().head
        {
            return Ok(Some(head.clone()));
        }
        let id = Oid::parse(revision).or_else(|| self.short_name(revision));
        if let Some(id) = id.filter(|id| self.is_commit(id)) {
            return Ok(Some(id));
        }
        self.resolve(&format!("{revision}^{{commit}}"))
    }

    /// What a ref's short name stands for, where it is told from files: where one
    /// ref alone can be meant (gitrevisions, *<refname>*), and nothing but a ref.
    fn short_name(&self, name: &str) -> Option<Oid> {
        let plain = |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'_' | b'-' | b'/' | b'.');
        if name.starts_with('-') || name.contains("..") || !name.bytes().all(plain) {
            return None;
        }
        let layout = self.layout();
        // Refs of other kinds stand in the git directory itself: `ORIG_HEAD`.
        if [&layout.git_dir, &layout.common_dir].iter().any(|it| fs::stands(&it.join(name))) {
            return None;
        }
        let places = ["refs/", "refs/tags/", "refs/heads/", "refs/remotes/"];
        let mut names = places.map(|place| format!("{place}{name}")).to_vec();
        names.push(format!("refs/remotes/{name}/HEAD"));
        let mut known = self.refs_in_files(&names)?;
        let mut found = names.iter().filter_map(|name| known.remove(name).flatten());
        let only = found.next()?;
        found.next().is_none().then_some(only.names)
    }

    /// Returns the tree that a revision names or that its commit has; `None` if it names none.
    pub fn resolve_tree(&self, revision: &str) -> Result<Option<Oid>, GitError> {
        self.resolve(&format!("{revision}^{{tree}}"))
    }

    /// Returns the one object that a revision names, not peeled; `None` if it names none.
    pub fn resolve(&self, revision: &str) -> Result<Option<Oid>, GitError> {
        if revision.starts_with('-') || revision.contains('\0') {
            return Err(GitError::NotARevision(crate::gate::change::printable(revision)));
        }
        let call = self.call().args(["rev-parse", "--verify", "-q", "--end-of-options", revision]);
        let output = call.run()?;
        match output.code {
            Some(0) => {
                // `^A` names everything but A: a line that is no id.
                let text = String::from_utf8_lossy(&output.stdout);
                Ok(Oid::parse(text.trim_end()))
            }
            // git answers 128 for what is no revision at all (`a..b^{commit}`).
            Some(1) => Ok(None),
            _ if output.complaint().contains("Needed a single revision") => Ok(None),
            _ => Err(super::failed(&call, &output.complaint())),
        }
    }

    /// Returns all refs below the prefixes (`refs/heads/`, or one whole name),
    /// sorted by name, with the objects that they name, not peeled.
    pub fn refs(&self, prefixes: &[&str]) -> Result<Vec<(String, Oid)>, GitError> {
        let call = self
            .call()
            .args(["for-each-ref", "--format=%(objectname) %(refname)", "--"])
            .args(prefixes);
        let output = call.run()?;
        let complaint = output.complaint();
        // git only warns of a ref that it cannot read, and goes on without it.
        if !output.success() || complaint.contains("ignoring") {
            return Err(super::failed(&call, &complaint));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let parse = |line: &str| {
            let (id, name) = line.split_once(' ')?;
            Some((name.to_owned(), Oid::parse(id)?))
        };
        text.lines().map(|line| parse(line).ok_or_else(|| unexpected(&call, line))).collect()
    }

    /// Asks for several refs (by their full names) at once, so that
    /// [`Git::reference`] and [`Git::symbolic`] need not ask for each.
    pub fn look_up(&self, names: &[String]) -> Result<(), GitError> {
        self.known().retain(|name, _| !names.contains(name));
        if let Some(known) = self.refs_in_files(names) {
            self.known().extend(known);
            return Ok(());
        }
        let format = "--format=%(objectname) %(refname) %(symref)";
        let call = self.call().args(["for-each-ref", format, "--"]).args(names);
        let output = call.run()?;
        // A ref that leads nowhere spoils only this shortcut: each is asked for by itself.
        if !output.success() || !output.stderr.is_empty() {
            return Ok(());
        }
        let mut known: Known = order::map(names.iter().map(|name| (name.clone(), None)));
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let mut words = line.splitn(3, ' ');
            let (id, name, target) = (words.next(), words.next(), words.next());
            let (Some(names), Some(name)) = (id.and_then(Oid::parse), name) else {
                return Err(unexpected(&call, line));
            };
            let symbolic = target.filter(|target| !target.is_empty()).map(str::to_owned);
            if let Some(target) = &symbolic {
                let end = KnownRef { names: names.clone(), symbolic: None };
                known.insert(target.clone(), Some(end));
            }
            if let Some(place) = known.get_mut(name) {
                *place = Some(KnownRef { names, symbolic });
            }
        }
        self.known().extend(known);
        Ok(())
    }

    /// The same in process, where refs are files and each of these is whole or
    /// not there; `None`: git has to say.
    fn refs_in_files(&self, names: &[String]) -> Option<Known> {
        if self.layout().reftable {
            return None;
        }
        let mut files = RefFiles::below(&self.layout().common_dir);
        let mut known = Known::new();
        for name in names {
            let Some(End { name: last, names }) = files.follow(name)? else {
                known.entry(name.clone()).or_insert(None);
                continue;
            };
            let symbolic = (last != *name).then(|| last.clone());
            known.insert(last, Some(KnownRef { names: names.clone(), symbolic: None }));
            known.insert(name.clone(), Some(KnownRef { names, symbolic }));
        }
        Some(known)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets what refs say: one was moved, or may have been.
    pub(super) fn forget_refs(&self) {
        self.known().clear();
    }

    /// Returns what one ref (by its full name) names, not peeled; `None` if it is
    /// not there.
    pub fn reference(&self, name: &str) -> Result<Option<Oid>, GitError> {
        if let Some(known) = self.known().get(name) {
            return Ok(known.as_ref().map(|it| it.names.clone()));
        }
        let found = self.refs(&[name])?.into_iter().find(|(it, _)| it == name).map(|(_, id)| id);
        Ok(found)
    }

    /// Returns the ref to which a symbolic ref points; `None` if it is none or is not there.
    pub fn symbolic(&self, name: &str) -> Result<Option<String>, GitError> {
        if let Some(known) = self.known().get(name) {
            return Ok(known.as_ref().and_then(|it| it.symbolic.clone()));
        }
        let answer = self.answer(self.call().args(["symbolic-ref", "-q", "--", name]))?;
        Ok(answer.map(|bytes| String::from_utf8_lossy(&bytes).trim_end().to_owned()))
    }

    /// Returns the full name of the branch on which HEAD stands; `None` if it is detached.
    pub fn head_branch(&self) -> Result<Option<String>, GitError> {
        self.symbolic("HEAD")
    }

    /// Whether `descendant` is `ancestor` or has it in its history. In a shallow
    /// clone "no" is an answer only if the history of `descendant` is whole.
    pub fn is_ancestor(&self, ancestor: &Oid, descendant: &Oid) -> Result<bool, GitError> {
        let call = self.call().args([
            "merge-base",
            "--is-ancestor",
            ancestor.as_str(),
            descendant.as_str(),
        ]);
        match self.answer(call)? {
            Some(_) => Ok(true),
            None => {
                self.history_is_whole(descendant, "whether one commit descends from another")?;
                Ok(false)
            }
        }
    }

    /// The commits that a merge in progress merges into HEAD; none outside of one.
    pub fn merge_heads(&self) -> Result<Vec<Oid>, GitError> {
        let path = self.layout().git_dir.join("MERGE_HEAD");
        let bytes = crate::adapters::fs::read(&path, 1 << 20)?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&bytes).lines().filter_map(Oid::parse).collect())
    }

    /// Returns the best common ancestors, as git orders them: none for histories
    /// that have none, several where branches were merged into each other. A
    /// shallow clone whose boundary may hide one is an error.
    pub fn merge_bases(&self, one: &Oid, other: &Oid) -> Result<Vec<Oid>, GitError> {
        let call = self.call().args(["merge-base", "--all", one.as_str(), other.as_str()]);
        match self.answer(call.clone())? {
            Some(bytes) => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                let bases: Option<Vec<Oid>> = text.lines().map(Oid::parse).collect();
                bases.filter(|bases| !bases.is_empty()).ok_or_else(|| unexpected(&call, text))
            }
            None => {
                self.history_is_whole(one, "the merge base")?;
                self.history_is_whole(other, "the merge base")?;
                Ok(Vec::new())
            }
        }
    }

    /// The commits at which a shallow clone's history ends; empty in a whole one.
    pub(super) fn shallow_boundary(&self) -> Result<BTreeSet<Oid>, GitError> {
        if !self.layout().shallow {
            return Ok(BTreeSet::new());
        }
        let path = self.layout().common_dir.join("shallow");
        let bytes = crate::adapters::fs::read(&path, SHALLOW_LIMIT)?.unwrap_or_default();
        Ok(order::set(String::from_utf8_lossy(&bytes).lines().filter_map(Oid::parse)))
    }

    fn history_is_whole(&self, tip: &Oid, question: &str) -> Result<(), GitError> {
        let boundary = self.shallow_boundary()?;
        if boundary.is_empty() {
            return Ok(());
        }
        let call = self.call().args(["rev-list", tip.as_str()]);
        self.stream(call, |reader| {
            for line in std::io::BufRead::lines(reader) {
                let cut = line.ok().and_then(|line| Oid::parse(&line));
                if cut.is_some_and(|id| boundary.contains(&id)) {
                    return Err(GitError::Shallow(question.to_owned()));
                }
            }
            Ok(())
        })
    }
}
