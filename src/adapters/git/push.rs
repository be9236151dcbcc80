//! What git tells the hooks of a push on their standard input.

use super::GitError;
use crate::gate::change::Oid;

/// One line of pre-push: `<local ref> SP <local oid> SP <remote ref> SP <remote oid> LF`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushLine {
    /// As the person wrote it: a ref, `HEAD~1`, an id, or `(delete)`.
    pub local_ref: String,
    /// What is to stand there, not peeled; `None` for a deletion.
    pub local: Option<Oid>,
    /// The full name on the remote's side.
    pub remote_ref: String,
    /// What stands there now; `None` for a new ref.
    pub remote: Option<Oid>,
}

/// One line of pre-receive or post-receive: `<old oid> SP <new oid> SP <ref> LF`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiveLine {
    /// What stood there; `None` for a new ref.
    pub old: Option<Oid>,
    /// What is to stand there; `None` for a deletion.
    pub new: Option<Oid>,
    pub reference: String,
}

/// Parses what pre-push reads. Empty input is a push of nothing; anything
/// malformed is an error that names the line, since a skipped line would be an
/// unjudged ref.
pub fn parse_pre_push(input: &[u8]) -> Result<Vec<PushLine>, GitError> {
    parse(input, |line| {
        // A revision as written may hold spaces (`HEAD@{1 day ago}`), nothing else can.
        let mut words = line.rsplitn(4, ' ');
        let (remote, remote_ref) = (words.next()?, words.next()?);
        let (local, local_ref) = (words.next()?, words.next()?);
        Some(PushLine {
            local_ref: local_ref.to_owned(),
            local: object(local)?,
            remote_ref: full_name(remote_ref)?,
            remote: object(remote)?,
        })
    })
}

/// Parses what pre-receive and post-receive read.
pub fn parse_receive(input: &[u8]) -> Result<Vec<ReceiveLine>, GitError> {
    parse(input, |line| {
        let mut words = line.splitn(3, ' ');
        let (old, new, name) = (words.next()?, words.next()?, words.next()?);
        Some(ReceiveLine { old: object(old)?, new: object(new)?, reference: full_name(name)? })
    })
}

fn parse<T>(input: &[u8], parse: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, GitError> {
    let mut lines: Vec<&[u8]> = input.split(|&byte| byte == b'\n').collect();
    // Every line ends in a line break; what stands behind the last one was cut off.
    let cut = lines.pop().filter(|rest| !rest.is_empty()).map(|_| lines.len() + 1);
    let mut parsed = Vec::with_capacity(lines.len());
    for (index, line) in lines.iter().enumerate() {
        // Names of refs are bytes; those that are not UTF-8 are never protected
        // and have no place in a policy, so the loss is harmless.
        let text = String::from_utf8_lossy(line);
        parsed.push(parse(&text).ok_or(GitError::PushLine { line: index + 1 })?);
    }
    match cut {
        Some(line) => Err(GitError::PushLine { line }),
        None => Ok(parsed),
    }
}

/// `Some(None)` for git's "no object".
fn object(text: &str) -> Option<Option<Oid>> {
    Oid::parse(text).map(|oid| (!oid.is_zero()).then_some(oid))
}

fn full_name(text: &str) -> Option<String> {
    (text.starts_with("refs/") && !text.contains([' ', '\0'])).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZERO: &str = "0000000000000000000000000000000000000000";
    const ONE: &str = "1111111111111111111111111111111111111111";

    #[track_caller]
    fn check(input: &str, expected: Option<&str>) {
        let text = parse_pre_push(input.as_bytes()).ok().map(|lines| {
            let short =
                |oid: &Option<Oid>| oid.as_ref().map_or("-", |oid| &oid.as_str()[..1]).to_owned();
            let line = |it: &PushLine| {
                format!(
                    "{}={} {}={}",
                    it.local_ref,
                    short(&it.local),
                    it.remote_ref,
                    short(&it.remote)
                )
            };
            lines.iter().map(line).collect::<Vec<_>>().join("; ")
        });
        assert_eq!(text.as_deref(), expected, "{input:?}");
    }

    #[test]
    fn every_kind_of_push() {
        check("", Some(""));
        check(&format!("HEAD {ONE} refs/heads/a {ZERO}\n"), Some("HEAD=1 refs/heads/a=-"));
        check(&format!("(delete) {ZERO} refs/heads/a {ONE}\n"), Some("(delete)=- refs/heads/a=1"));
        check(
            &format!("HEAD@{{1 day ago}} {ONE} refs/tags/v1 {ONE}\nmain {ONE} refs/x {ZERO}\n"),
            Some("HEAD@{1 day ago}=1 refs/tags/v1=1; main=1 refs/x=-"),
        );
    }

    #[test]
    fn no_line_is_skipped() {
        for input in [
            "\n".to_owned(),
            format!("main {ONE} refs/heads/a {ZERO}"),
            format!("main {ONE} refs/heads/a\n"),
            format!("main {} refs/heads/a {ZERO}\n", &ONE[1..]),
            format!("main {ONE} --all {ZERO}\n"),
            format!("main {ONE} refs/heads/a {ZERO}\n\n"),
        ] {
            check(&input, None);
        }
    }

    #[test]
    fn receive_lines() {
        let lines = parse_receive(format!("{ZERO} {ONE} refs/heads/a\n").as_bytes());
        let expected =
            ReceiveLine { old: None, new: Oid::parse(ONE), reference: "refs/heads/a".to_owned() };
        assert_eq!(lines.ok(), Some(vec![expected]));
        assert!(parse_receive(format!("{ZERO} {ONE} a b\n").as_bytes()).is_err());
    }
}
