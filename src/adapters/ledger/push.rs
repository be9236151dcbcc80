//! What a push to the ledger may do: add well-formed record files.

use super::{Ledger, LedgerError, MAX_NAMED, pair, place, unsized_files};
use crate::adapters::git::{Detail, GitError};
use crate::adapters::signature;
use crate::gate::change::{FileStatus, Oid, printable};
use crate::gate::record::{MAX_BYTES, Record};

impl Ledger<'_> {
    /// Judges a move of the ledger's ref, and returns what is wrong with it:
    /// nothing, if the new tip descends from the old one and only adds record
    /// files, each under the name that follows from its bytes, each signature in
    /// the shape of one. Whose signature it is does not matter here.
    pub fn check_push(&self, old: Option<&Oid>, new: &Oid) -> Result<Vec<String>, LedgerError> {
        let mut problems = Vec::new();
        if let Some(old) = old
            && !self.descends(old, new)?
        {
            problems.push(format!("`{new}` does not descend from `{old}`"));
        }
        let empty = self.git.empty_tree();
        let files = self.git.differences(old.unwrap_or(&empty), new, Detail::Files)?;
        let mut added = Vec::new();
        for file in files {
            let shown = file.path.to_display();
            match (file.status(), &file.new) {
                (FileStatus::Added, Some(entry)) if place(&file.path).is_some() => {
                    added.push((file.path.clone(), entry.clone()));
                }
                (FileStatus::Added, _) => problems.push(format!("`{shown}` is no record file")),
                (FileStatus::Deleted, _) => problems.push(format!("`{shown}` is removed")),
                (FileStatus::Modified | FileStatus::Typechange, _) => {
                    problems.push(format!("`{shown}` is changed"));
                }
            }
        }
        self.check_files(added, new, &mut problems)?;
        problems.truncate(MAX_NAMED);
        Ok(problems)
    }

    fn descends(&self, old: &Oid, new: &Oid) -> Result<bool, LedgerError> {
        match self.git.is_ancestor(old, new) {
            Ok(descends) => Ok(descends),
            // What cannot be told is not granted.
            Err(GitError::Shallow(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn check_files(
        &self,
        mut added: Vec<(crate::gate::change::RepoPath, crate::gate::change::Entry)>,
        new: &Oid,
        problems: &mut Vec<String>,
    ) -> Result<(), LedgerError> {
        // A signature may follow its record later: the record then stands in the tree.
        let mut missing = Vec::new();
        for (path, _) in &added {
            if let Some(stem) = path.as_bytes().strip_suffix(b".sig") {
                let record = crate::gate::change::RepoPath::new([stem, b".json"].concat());
                if !added.iter().any(|(path, _)| *path == record) {
                    missing.push(record);
                }
            }
        }
        for (path, entry) in self.git.entries(new, &missing)? {
            added.extend(entry.map(|entry| (path, entry)));
        }
        let (pairs, strange) = pair(unsized_files(added));
        problems.extend(strange);
        for pair in pairs {
            let bytes = match self.git.blob(&pair.record, MAX_BYTES as u64) {
                Err(GitError::TooLarge { .. }) => {
                    problems.push(format!("record `{}` is too large", pair.id));
                    continue;
                }
                bytes => bytes?,
            };
            let record = match Record::parse(&bytes) {
                Ok(record) => record,
                Err(error) => {
                    let why = printable(&error.to_string());
                    problems.push(format!("record `{}`: {why}", pair.id));
                    continue;
                }
            };
            if record.id != pair.id || record.ledger_path() != pair.path() {
                problems
                    .push(format!("record `{}`: its name does not follow from its bytes", pair.id));
            }
            if let Some(blob) = &pair.signature {
                let namespace = record.record_type().namespace();
                let signature = match self.git.blob(blob, MAX_BYTES as u64) {
                    Err(GitError::TooLarge { .. }) => Vec::new(),
                    signature => signature?,
                };
                if let Err(why) = signature::well_formed(&signature, &namespace) {
                    problems.push(format!("signature `{}`: {why}", pair.id));
                }
            }
        }
        Ok(())
    }
}
