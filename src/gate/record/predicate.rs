//! Each type's predicate: what a record says, as JSON and back.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use super::super::change::{Oid, RepoPath};
use super::super::preview::{Action, Counts, Note, Preview, Row, SourceModule, Sources};
use super::super::time::Timestamp;
use super::canonical::{is_lower_hex, is_sha256, object};
use super::statement::{MAX_FILES, RecordError};
use super::{
    AsItStands, Body, Content, FileDelta, Judgement, PreviewRecord, RecordType, Run, Sandbox,
    Shown, Side, Signer, TestCounts, Waiver, Withdrawal,
};
use super::{coverage, proof};
use crate::gate::order;

/// Writes a body's predicate.
pub(super) fn write(body: &Body) -> Result<Cow<'_, Value>, RecordError> {
    Ok(Cow::Owned(match body {
        Body::Approval(it) | Body::Rejection(it) => write_judgement(it)?,
        Body::Withdrawal(it) => write_withdrawal(it),
        Body::Run(it) => write_run(it),
        Body::Waiver(it) => write_waiver(it)?,
        Body::Preview(it) => write_preview(it),
        Body::Attribution(it) => it.value(),
        Body::Verdict(it) => return Ok(Cow::Borrowed(it)),
    }))
}

/// Reads a predicate of a type.
pub(super) fn read(record_type: RecordType, predicate: Value) -> Result<Body, RecordError> {
    let fields = Fields::of(&predicate, "predicate")?;
    Ok(match record_type {
        RecordType::Approval => Body::Approval(read_judgement(&fields)?),
        RecordType::Rejection => Body::Rejection(read_judgement(&fields)?),
        RecordType::Withdrawal => Body::Withdrawal(read_withdrawal(&fields)?),
        RecordType::Run => Body::Run(read_run(&fields)?),
        RecordType::Waiver => Body::Waiver(read_waiver(&fields)?),
        RecordType::Preview => Body::Preview(Box::new(read_preview(&fields)?)),
        // What is kept as it stands only has to say when it was made.
        RecordType::Attribution => {
            fields.time("at")?;
            Body::Attribution(AsItStands::of(&predicate)?)
        }
        RecordType::Verdict => {
            fields.time("at")?;
            Body::Verdict(predicate)
        }
    })
}

fn write_judgement(judgement: &Judgement) -> Result<Value, RecordError> {
    let mut predicate = Map::new();
    predicate.insert("by".into(), write_signer(&judgement.by));
    predicate.insert("content".into(), write_content(&judgement.content)?);
    predicate.insert("rules".into(), json!(judgement.rules));
    predicate.insert("shown".into(), write_shown(&judgement.shown));
    insert_some(&mut predicate, "note", judgement.note.as_deref());
    Ok(predicate.into())
}

fn read_judgement(fields: &Fields) -> Result<Judgement, RecordError> {
    Ok(Judgement {
        content: read_content(&fields.object("content")?)?,
        rules: fields.texts("rules")?,
        shown: read_shown(&fields.object("shown")?)?,
        by: read_signer(&fields.object("by")?)?,
        note: fields.optional_text("note")?,
    })
}

fn write_withdrawal(withdrawal: &Withdrawal) -> Value {
    let mut predicate = Map::new();
    predicate.insert("by".into(), write_signer(&withdrawal.by));
    predicate.insert("record".into(), withdrawal.record.as_str().into());
    predicate.insert("repo".into(), withdrawal.repo.as_str().into());
    insert_some(&mut predicate, "reason", withdrawal.reason.as_deref());
    predicate.into()
}

fn read_withdrawal(fields: &Fields) -> Result<Withdrawal, RecordError> {
    Ok(Withdrawal {
        repo: fields.owned("repo")?,
        record: fields.sha256("record")?,
        reason: fields.optional_text("reason")?,
        by: read_signer(&fields.object("by")?)?,
    })
}

fn write_waiver(waiver: &Waiver) -> Result<Value, RecordError> {
    Ok(object([
        ("by", write_signer(&waiver.by)),
        ("content", write_content(&waiver.content)?),
        ("expires", waiver.expires.to_string().into()),
        ("reason", waiver.reason.as_str().into()),
        ("rule", waiver.rule.as_str().into()),
    ]))
}

fn read_waiver(fields: &Fields) -> Result<Waiver, RecordError> {
    Ok(Waiver {
        content: read_content(&fields.object("content")?)?,
        rule: fields.owned("rule")?,
        reason: fields.owned("reason")?,
        expires: fields.time("expires")?,
        by: read_signer(&fields.object("by")?)?,
    })
}

/// in-toto's test-result v0.1 (`result`, `configuration`, `passedTests`,
/// `failedTests`:
/// <https://github.com/in-toto/attestation/blob/main/spec/predicates/test-result.md>),
/// with all that is ours in one member beside them.
fn write_run(run: &Run) -> Value {
    let mut ours = Map::new();
    ours.insert("argv".into(), json!(run.argv));
    ours.insert("by".into(), write_signer(&run.by));
    ours.insert("client".into(), run.client.as_str().into());
    ours.insert("commit".into(), run.commit.as_str().into());
    ours.insert("duration_ms".into(), run.duration_ms.into());
    ours.insert("environment".into(), json!(run.environment));
    ours.insert("key".into(), run.key.as_str().into());
    ours.insert("platform".into(), run.platform.as_str().into());
    ours.insert("summary".into(), run.summary.as_str().into());
    ours.insert("test".into(), run.test.as_str().into());
    ours.insert("tree".into(), run.tree.as_str().into());
    insert_some(&mut ours, "exit", run.exit);
    insert_some(&mut ours, "merged", run.merged.as_deref().map(Oid::as_str));
    insert_some(&mut ours, "policy", run.policy.as_deref());
    insert_some(&mut ours, "repo", run.repo.as_deref());
    if !run.packages.is_empty() {
        ours.insert("packages".into(), json!(run.packages));
    }
    if !run.retried.is_empty() {
        ours.insert("retried".into(), json!(run.retried));
    }
    if *run.sandbox != Sandbox::default() {
        let sandbox = json!({ "network": run.sandbox.network, "wrap": run.sandbox.wrap });
        ours.insert("sandbox".into(), sandbox);
    }
    insert_some(&mut ours, "coverage", run.coverage.as_ref().map(coverage::write));
    insert_some(&mut ours, "proof", run.proof.as_deref().map(proof::write));
    if let Some(tests) = &run.tests {
        ours.insert(
            "tests".into(),
            json!({ "failed": tests.failed, "passed": tests.passed, "skipped": tests.skipped }),
        );
    }
    let mut configuration = Map::new();
    configuration.insert("name".into(), format!("countersign.toml#test.{}", run.test).into());
    if let Some(policy) = &run.policy {
        configuration.insert("digest".into(), json!({ "sha256": policy }));
    }
    let mut predicate = Map::new();
    predicate.insert("configuration".into(), json!([configuration]));
    predicate.insert("countersign".into(), ours.into());
    predicate.insert("result".into(), if run.passed { "PASSED" } else { "FAILED" }.into());
    if let Some(tests) = &run.tests {
        predicate.insert("failedTests".into(), json!(tests.failures));
    }
    predicate.into()
}

fn read_run(fields: &Fields) -> Result<Run, RecordError> {
    let ours = fields.object("countersign")?;
    let passed = match fields.text("result")? {
        "PASSED" => true,
        "FAILED" => false,
        _ => return Err(fields.wrong("result", "`PASSED` or `FAILED`")),
    };
    let tests = match ours.optional("tests") {
        None => None,
        Some(_) => {
            let counts = ours.object("tests")?;
            Some(TestCounts {
                passed: counts.number("passed")?,
                failed: counts.number("failed")?,
                skipped: counts.number("skipped")?,
                failures: fields.texts("failedTests")?,
            })
        }
    };
    Ok(Run {
        repo: ours.optional_text("repo")?,
        test: ours.owned("test")?,
        key: ours.owned("key")?,
        commit: ours.oid("commit")?,
        tree: ours.oid("tree")?,
        passed,
        exit: ours.optional_exit("exit")?,
        summary: ours.owned("summary")?,
        duration_ms: ours.number("duration_ms")?,
        argv: ours.texts("argv")?,
        environment: ours.pairs("environment")?,
        platform: ours.owned("platform")?,
        client: ours.owned("client")?,
        policy: ours.optional_sha256("policy")?,
        merged: ours.optional("merged").map(|_| ours.oid("merged").map(Box::new)).transpose()?,
        packages: texts_if_any(&ours, "packages")?,
        retried: texts_if_any(&ours, "retried")?,
        sandbox: match ours.optional("sandbox") {
            None => Box::default(),
            Some(_) => {
                let sandbox = ours.object("sandbox")?;
                let (network, wrap) = (sandbox.flag("network")?, sandbox.texts("wrap")?);
                Box::new(Sandbox { network, wrap })
            }
        },
        tests,
        coverage: ours
            .optional("coverage")
            .map(|_| coverage::read(&ours.object("coverage")?))
            .transpose()?,
        proof: ours
            .optional("proof")
            .map(|_| proof::read(&ours.object("proof")?).map(Box::new))
            .transpose()?,
        by: read_signer(&ours.object("by")?)?,
    })
}

fn texts_if_any(fields: &Fields, name: &str) -> Result<Vec<String>, RecordError> {
    fields.optional(name).map_or(Ok(Vec::new()), |_| fields.texts(name))
}

fn write_preview(record: &PreviewRecord) -> Value {
    let preview = &record.preview;
    let counts = &preview.counts.actions;
    let counts = order::object(
        counts.iter().map(|(action, count)| (action.word().to_owned(), (*count).into())),
    );
    let note = |note: &Note| json!({ "address": note.address, "what": note.what });
    let mut predicate = Map::new();
    predicate.insert("by".into(), write_signer(&record.by));
    predicate.insert("client".into(), record.client.as_str().into());
    predicate.insert("commit".into(), record.commit.as_str().into());
    predicate.insert(
        "counts".into(),
        json!({
            "actions": counts,
            "places": preview.counts.places,
            "uncertain": preview.counts.uncertain,
        }),
    );
    predicate.insert("definition".into(), record.definition.as_str().into());
    predicate.insert("engine".into(), record.engine.as_str().into());
    predicate.insert("imported".into(), record.imported.into());
    predicate.insert("json".into(), record.json.as_str().into());
    predicate.insert("name".into(), record.name.as_str().into());
    predicate.insert("notes".into(), preview.notes.iter().map(note).collect());
    predicate.insert("omitted".into(), preview.omitted.into());
    predicate.insert("partial".into(), json!(preview.partial));
    predicate.insert("rows".into(), preview.rows.iter().map(write_row).collect());
    predicate.insert("tree".into(), record.tree.as_str().into());
    insert_some(&mut predicate, "format", preview.format.as_deref());
    insert_some(&mut predicate, "made", preview.made.map(|at| at.to_string()));
    insert_some(&mut predicate, "plan", record.plan.as_deref());
    insert_some(&mut predicate, "policy", record.policy.as_deref());
    insert_some(&mut predicate, "repo", record.repo.as_deref());
    insert_some(&mut predicate, "sources", record.sources.as_ref().map(write_sources));
    insert_some(&mut predicate, "version", preview.version.as_deref());
    predicate.into()
}

fn write_sources(sources: &Sources) -> Value {
    let module = |module: &SourceModule| {
        let mut members = Map::new();
        members.insert("key".into(), module.key.as_str().into());
        members.insert("sha256".into(), module.sha256.as_str().into());
        insert_some(&mut members, "folder", module.folder.as_deref());
        insert_some(&mut members, "source", module.source.as_deref());
        insert_some(&mut members, "version", module.version.as_deref());
        Value::from(members)
    };
    let mut members = Map::new();
    members.insert("modules".into(), sources.modules.iter().map(module).collect());
    insert_some(&mut members, "lock", sources.lock.as_deref());
    if let Some((lineage, serial)) = &sources.state {
        members.insert("state".into(), json!({ "lineage": lineage, "serial": serial }));
    }
    members.into()
}

fn read_sources(fields: &Fields) -> Result<Sources, RecordError> {
    let module = |it: &Fields| {
        Ok(SourceModule {
            key: it.owned("key")?,
            folder: it.optional_text("folder")?,
            source: it.optional_text("source")?,
            version: it.optional_text("version")?,
            sha256: it.sha256("sha256")?,
        })
    };
    let state = match fields.optional("state") {
        None => None,
        Some(_) => {
            let state = fields.object("state")?;
            Some((state.owned("lineage")?, state.number("serial")?))
        }
    };
    Ok(Sources {
        modules: fields
            .objects("modules")?
            .iter()
            .map(module)
            .collect::<Result<_, RecordError>>()?,
        lock: fields.optional_sha256("lock")?,
        state,
    })
}

fn write_row(row: &Row) -> Value {
    let mut members = Map::new();
    members.insert("action".into(), row.action.word().into());
    members.insert("address".into(), row.address.as_str().into());
    members.insert("type".into(), row.kind.as_str().into());
    insert_some(&mut members, "place", row.place.as_deref());
    insert_some(&mut members, "reason", row.reason.as_deref());
    if !row.paths.is_empty() {
        members.insert("paths".into(), json!(row.paths));
    }
    insert_some(&mut members, "uncertain", row.uncertain.then_some(true));
    members.into()
}

fn read_preview(fields: &Fields) -> Result<PreviewRecord, RecordError> {
    let counts = fields.object("counts")?;
    let mut actions = std::collections::BTreeMap::new();
    let by_action = counts.object("actions")?;
    for word in by_action.members.keys() {
        let action = Action::of(word).ok_or_else(|| by_action.wrong(word, "an action"))?;
        actions.insert(action, by_action.number(word)?);
    }
    let rows = fields.objects("rows")?.iter().map(read_row).collect::<Result<_, _>>()?;
    let note = |it: &Fields| Ok(Note { what: it.owned("what")?, address: it.owned("address")? });
    Ok(PreviewRecord {
        repo: fields.optional_text("repo")?,
        name: fields.owned("name")?,
        definition: fields.sha256("definition")?,
        engine: fields.owned("engine")?,
        commit: fields.oid("commit")?,
        tree: fields.oid("tree")?,
        plan: fields.optional_sha256("plan")?,
        json: fields.sha256("json")?,
        imported: fields.flag("imported")?,
        sources: fields
            .optional("sources")
            .map(|_| read_sources(&fields.object("sources")?))
            .transpose()?,
        preview: Preview {
            version: fields.optional_text("version")?,
            format: fields.optional_text("format")?,
            made: fields.optional("made").map(|_| fields.time("made")).transpose()?,
            partial: fields.texts("partial")?,
            rows,
            omitted: fields.number("omitted")?,
            counts: Counts {
                actions,
                uncertain: counts.number("uncertain")?,
                places: counts.number("places")?,
            },
            notes: fields.objects("notes")?.iter().map(note).collect::<Result<_, RecordError>>()?,
        },
        client: fields.owned("client")?,
        policy: fields.optional_sha256("policy")?,
        by: read_signer(&fields.object("by")?)?,
    })
}

fn read_row(fields: &Fields) -> Result<Row, RecordError> {
    let action = Action::of(fields.text("action")?);
    Ok(Row {
        action: action.ok_or_else(|| fields.wrong("action", "an action"))?,
        address: fields.owned("address")?,
        kind: fields.owned("type")?,
        place: fields.optional_text("place")?,
        reason: fields.optional_text("reason")?,
        paths: fields.optional("paths").map_or(Ok(Vec::new()), |_| fields.texts("paths"))?,
        uncertain: fields.optional("uncertain").map_or(Ok(false), |_| fields.flag("uncertain"))?,
    })
}

fn write_content(content: &Content) -> Result<Value, RecordError> {
    if content.files.len() > MAX_FILES {
        return Err(RecordError::TooManyFiles(content.files.len()));
    }
    let files: Vec<Value> = content.files.iter().map(write_file).collect();
    Ok(object([
        ("base", content.base.as_str().into()),
        ("files", files.into()),
        ("head", content.head.as_str().into()),
        ("head_tree", content.head_tree.as_str().into()),
        ("repo", content.repo.as_str().into()),
        ("target", content.target.as_str().into()),
    ]))
}

fn read_content(fields: &Fields) -> Result<Content, RecordError> {
    let listed = fields.array("files")?;
    if listed.len() > MAX_FILES {
        return Err(RecordError::TooManyFiles(listed.len()));
    }
    let mut files: Vec<FileDelta> = Vec::with_capacity(listed.len());
    for value in listed {
        let file = read_file(&Fields::of(value, "content.files[]")?)?;
        if files.last().is_some_and(|last| last.path >= file.path) {
            return Err(fields.wrong("files", "sorted by path, each path once"));
        }
        files.push(file);
    }
    let target = fields.owned("target")?;
    if !target.starts_with("refs/") {
        return Err(fields.wrong("target", "a full ref name"));
    }
    Ok(Content {
        repo: fields.owned("repo")?,
        target,
        base: fields.oid("base")?,
        head: fields.oid("head")?,
        head_tree: fields.oid("head_tree")?,
        files,
    })
}

fn write_file(file: &FileDelta) -> Value {
    let mut members = Map::new();
    insert_some(&mut members, "new", file.new.as_ref().map(write_side));
    insert_some(&mut members, "old", file.old.as_ref().map(write_side));
    members.insert("path".into(), file.path.to_text().into());
    members.into()
}

fn write_side(side: &Side) -> Value {
    let mut members = Map::new();
    members.insert("mode".into(), format!("{:06o}", side.mode).into());
    members.insert("oid".into(), side.oid.as_str().into());
    insert_some(&mut members, "sha256", side.sha256.as_deref());
    members.into()
}

fn read_file(fields: &Fields) -> Result<FileDelta, RecordError> {
    let path = RepoPath::from_text(fields.text("path")?)
        .filter(is_repository_path)
        .ok_or_else(|| fields.wrong("path", "a path below the repository's root"))?;
    let side = |name| fields.optional(name).map(|_| read_side(&fields.object(name)?)).transpose();
    let (old, new) = (side("old")?, side("new")?);
    if old.as_ref().is_some_and(|old| old.sha256.is_some()) {
        return Err(fields.wrong("old", "without a sha256"));
    }
    if old.as_ref().map(entry) == new.as_ref().map(entry) {
        return Err(fields.wrong("new", "different from `old`"));
    }
    Ok(FileDelta { path, old, new })
}

fn entry(side: &Side) -> (u32, &Oid) {
    (side.mode, &side.oid)
}

fn read_side(fields: &Fields) -> Result<Side, RecordError> {
    let mode = match fields.text("mode")? {
        "100644" => 0o100_644,
        "100755" => 0o100_755,
        "120000" => 0o120_000,
        "160000" => 0o160_000,
        _ => return Err(fields.wrong("mode", "a mode of git's")),
    };
    Ok(Side { mode, oid: fields.oid("oid")?, sha256: fields.optional_sha256("sha256")? })
}

/// Whether git could have this path in a tree.
pub(super) fn is_repository_path(path: &RepoPath) -> bool {
    !path.as_bytes().contains(&0)
        && path
            .as_bytes()
            .split(|byte| *byte == b'/')
            .all(|component| !matches!(component, b"" | b"." | b".."))
}

fn write_shown(shown: &Shown) -> Value {
    let mut members = Map::new();
    members.insert("added".into(), shown.added.into());
    members.insert("agents".into(), json!(shown.agents));
    members.insert("assisted".into(), shown.assisted.into());
    members.insert("assisted_added".into(), shown.assisted_added.into());
    insert_some(&mut members, "policy", shown.policy.as_deref());
    members.insert("previews".into(), json!(shown.previews));
    members.insert("runs".into(), json!(shown.runs));
    members.into()
}

fn read_shown(fields: &Fields) -> Result<Shown, RecordError> {
    Ok(Shown {
        assisted: fields.flag("assisted")?,
        added: fields.number("added")?,
        assisted_added: fields.number("assisted_added")?,
        agents: fields.texts("agents")?,
        runs: fields.texts("runs")?,
        previews: fields.texts("previews")?,
        policy: fields.optional_sha256("policy")?,
    })
}

fn write_signer(signer: &Signer) -> Value {
    let mut members = Map::new();
    members.insert("at".into(), signer.at.to_string().into());
    insert_some(&mut members, "key", signer.key.as_deref());
    insert_some(&mut members, "ledger", signer.ledger.as_ref().map(Oid::as_str));
    members.insert("nonce".into(), signer.nonce.as_str().into());
    insert_some(&mut members, "who", signer.who.as_deref());
    members.into()
}

fn read_signer(fields: &Fields) -> Result<Signer, RecordError> {
    let nonce = fields.owned("nonce")?;
    if nonce.len() != 32 || !is_lower_hex(&nonce) {
        return Err(fields.wrong("nonce", "128 bits in lower-case hexadecimal"));
    }
    let key = fields.optional_text("key")?;
    if key.as_ref().is_some_and(|key| !key.starts_with("SHA256:")) {
        return Err(fields.wrong("key", "a fingerprint (`SHA256:…`)"));
    }
    Ok(Signer {
        who: fields.optional_text("who")?,
        key,
        at: fields.time("at")?,
        ledger: fields.optional("ledger").map(|_| fields.oid("ledger")).transpose()?,
        nonce,
    })
}

fn insert_some(members: &mut Map<String, Value>, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        members.insert(name.to_owned(), value.into());
    }
}

/// The members of one JSON object, read strictly.
pub(super) struct Fields<'a> {
    members: &'a Map<String, Value>,
    place: String,
}

impl<'a> Fields<'a> {
    /// The members of `value`, which stands at `place`.
    pub(super) fn of(value: &'a Value, place: &str) -> Result<Fields<'a>, RecordError> {
        let members = value
            .as_object()
            .ok_or_else(|| RecordError::Field { field: place.to_owned(), expected: "an object" })?;
        Ok(Fields { members, place: place.to_owned() })
    }

    /// A member as it stands.
    pub(super) fn value(&self, name: &str) -> Result<&'a Value, RecordError> {
        self.members.get(name).ok_or_else(|| self.wrong(name, "there"))
    }

    /// A member's text.
    pub(super) fn text(&self, name: &str) -> Result<&'a str, RecordError> {
        self.value(name)?.as_str().ok_or_else(|| self.wrong(name, "text"))
    }

    pub(super) fn wrong(&self, name: &str, expected: &'static str) -> RecordError {
        RecordError::Field { field: format!("{}.{name}", self.place), expected }
    }

    fn optional(&self, name: &str) -> Option<&'a Value> {
        self.members.get(name)
    }

    pub(super) fn owned(&self, name: &str) -> Result<String, RecordError> {
        self.text(name).map(str::to_owned)
    }

    pub(super) fn optional_text(&self, name: &str) -> Result<Option<String>, RecordError> {
        self.optional(name).map(|_| self.owned(name)).transpose()
    }

    fn object(&self, name: &str) -> Result<Fields<'a>, RecordError> {
        Fields::of(self.value(name)?, &format!("{}.{name}", self.place))
    }

    pub(super) fn objects(&self, name: &str) -> Result<Vec<Fields<'a>>, RecordError> {
        let place = format!("{}.{name}", self.place);
        self.array(name)?.iter().map(|item| Fields::of(item, &place)).collect()
    }

    fn flag(&self, name: &str) -> Result<bool, RecordError> {
        self.value(name)?.as_bool().ok_or_else(|| self.wrong(name, "true or false"))
    }

    pub(super) fn array(&self, name: &str) -> Result<&'a [Value], RecordError> {
        let array = self.value(name)?.as_array();
        array.map(Vec::as_slice).ok_or_else(|| self.wrong(name, "an array"))
    }

    pub(super) fn texts(&self, name: &str) -> Result<Vec<String>, RecordError> {
        let items = self.array(name)?.iter();
        items
            .map(|item| item.as_str().map(str::to_owned))
            .collect::<Option<_>>()
            .ok_or_else(|| self.wrong(name, "an array of text"))
    }

    fn pairs(&self, name: &str) -> Result<Vec<(String, String)>, RecordError> {
        let items = self.array(name)?.iter();
        items
            .map(|item| match item.as_array()?.as_slice() {
                [left, right] => Some((left.as_str()?.to_owned(), right.as_str()?.to_owned())),
                _ => None,
            })
            .collect::<Option<_>>()
            .ok_or_else(|| self.wrong(name, "an array of pairs of text"))
    }

    pub(super) fn number(&self, name: &str) -> Result<u64, RecordError> {
        self.value(name)?.as_u64().ok_or_else(|| self.wrong(name, "a number"))
    }

    fn optional_exit(&self, name: &str) -> Result<Option<i32>, RecordError> {
        let status = |value: &Value| value.as_i64().and_then(|status| i32::try_from(status).ok());
        self.optional(name)
            .map(|value| status(value).ok_or_else(|| self.wrong(name, "an exit status")))
            .transpose()
    }

    fn time(&self, name: &str) -> Result<Timestamp, RecordError> {
        Timestamp::parse(self.text(name)?).ok_or_else(|| self.wrong(name, "a time"))
    }

    pub(super) fn oid(&self, name: &str) -> Result<Oid, RecordError> {
        Oid::parse(self.text(name)?).ok_or_else(|| self.wrong(name, "a full object id"))
    }

    pub(super) fn sha256(&self, name: &str) -> Result<String, RecordError> {
        let text = self.owned(name)?;
        if is_sha256(&text) { Ok(text) } else { Err(self.wrong(name, "a SHA-256")) }
    }

    fn optional_sha256(&self, name: &str) -> Result<Option<String>, RecordError> {
        self.optional(name).map(|_| self.sha256(name)).transpose()
    }
}
