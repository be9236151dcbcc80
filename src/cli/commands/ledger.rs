//! `countersign ledger`.

use serde_json::{Value, json};

use crate::cli::args::{self, Format};
use crate::cli::exit::Exit;
use crate::cli::output::Style;
use crate::cli::report::text::counted;
use crate::cli::{Context, unsupported};
use crate::gate::change::printable;
use crate::gate::record::{SignatureState, SignedRecord};
use crate::jobs::ambient::Surroundings;
use crate::jobs::ledger::{Synced, Verification, anchor, list, show, sync, verify};
use crate::jobs::narrow::{Signed, sign};
use crate::jobs::world::World;
use crate::jobs::{Error, ErrorKind};

/// Runs one of the ledger's commands.
pub fn run(context: &Context, arguments: &args::Ledger) -> Result<Exit, Error> {
    if !matches!(context.output.format, Format::Text | Format::Json) {
        return Err(unsupported(context.output.format, "ledger", "text and json"));
    }
    let world = World::open(&context.env)?;
    match arguments {
        args::Ledger::Sync { remote, sign: wanted, key } => {
            let mut signed = None;
            if *wanted {
                let of_own = sign(&world, key.as_deref(), &Surroundings::read(&context.env))?;
                print_signed(context, &of_own);
                signed = Some(of_own);
            }
            print_synced(context, &sync(&world, remote.as_deref())?, signed.as_ref());
            Ok(Exit::Passed)
        }
        args::Ledger::Anchor => {
            context.output.data(&format!("{}\n", anchor(&world)?));
            Ok(Exit::Passed)
        }
        args::Ledger::Verify => Ok(print_verification(context, &verify(&world)?)),
        args::Ledger::Show { id: Some(id) } => {
            let found = show(&world, id)?;
            print_record(context, &found.bytes, &found.signed)?;
            Ok(Exit::Passed)
        }
        args::Ledger::Show { id: None } => {
            let view = list(&world)?;
            for signed in &view.records {
                print_row(context, signed);
            }
            for unreadable in &view.unreadable {
                context.output.note(&format!("unreadable: {}", printable(unreadable)));
            }
            Ok(Exit::Passed)
        }
    }
}

/// What was signed, and what could not be; as JSON it is a part of what was synchronised.
fn print_signed(context: &Context, signed: &Signed) {
    let output = &context.output;
    if output.format == Format::Json {
        return;
    }
    if let Some(person) = &signed.person {
        let count = counted(signed.commits.len(), "commit");
        output.say(&format!("signed the lines of {count} as {}", printable(person)));
    }
    for (commit, why) in &signed.left {
        output.say(&format!("{}: its disclosure stays as it is: {why}", commit.short()));
    }
}

fn print_synced(context: &Context, synced: &Synced, signed: Option<&Signed>) {
    let output = &context.output;
    let tip = synced.tip.as_ref().map(|tip| tip.as_str());
    if output.format == Format::Json {
        let mut document = json!({
            "schema": "countersign.ledger/1",
            "tip": tip,
            "published": synced.published,
            "fetched": synced.fetched,
        });
        if let Some(Signed { person, commits, left }) = signed {
            let commits: Vec<&str> = commits.iter().map(|it| it.as_str()).collect();
            let left: Vec<Value> =
                left.iter().map(|(it, why)| json!({"commit": it.as_str(), "why": why})).collect();
            document["signed"] = json!({"person": person, "commits": commits, "left": left});
        }
        return output.json(&format!("{document:#}"));
    }
    match &synced.tip {
        None => output.say("there is no ledger yet, and nothing to publish"),
        Some(tip) => {
            let count = synced.published;
            let noun = if count == 1 { "record" } else { "records" };
            output.say(&format!("published {count} {noun}; the ledger stands at {}", tip.short()));
        }
    }
}

fn print_verification(context: &Context, verification: &Verification) -> Exit {
    let output = &context.output;
    let good = verification.problems.is_empty();
    if output.format == Format::Json {
        let document = json!({
            "schema": "countersign.ledger/1",
            "tip": verification.tip.as_ref().map(|tip| tip.as_str()),
            "records": verification.records,
            "signed": verification.signed,
            "unsigned": verification.unsigned,
            "problems": verification.problems,
        });
        output.json(&format!("{document:#}"));
    } else {
        let Verification { records, signed, unsigned, .. } = verification;
        let word = if good {
            output.style(Style::Good, "good")
        } else {
            output.style(Style::Bad, "not good")
        };
        let records = counted(*records, "record");
        output.say(&format!("{word}: {records}, {signed} signed, {unsigned} unsigned"));
        for problem in &verification.problems {
            output.say(&format!("  {}", printable(problem)));
        }
    }
    if good { Exit::Passed } else { Exit::Blocked }
}

fn print_record(context: &Context, bytes: &[u8], signed: &SignedRecord) -> Result<(), Error> {
    let statement: Value =
        serde_json::from_slice(bytes).map_err(|error| Error::new(ErrorKind::Internal, error))?;
    if context.output.format == Format::Json {
        context.output.data(&String::from_utf8_lossy(bytes));
        return Ok(());
    }
    print_row(context, signed);
    let pretty = format!("{statement:#}");
    for line in pretty.lines() {
        context.output.say(&printable(line));
    }
    Ok(())
}

fn print_row(context: &Context, signed: &SignedRecord) {
    let record = &signed.record;
    let signer = record.body.signer().and_then(|it| it.who.as_deref()).unwrap_or("-");
    let signature = match &signed.signature {
        SignatureState::Unsigned => "unsigned".to_owned(),
        SignatureState::Good(good) => good.fingerprint.clone(),
        SignatureState::Bad(why) => format!("bad signature: {why}"),
    };
    let word = record.record_type().word();
    if context.output.format == Format::Json {
        let row = json!({
            "record": record.id, "type": word, "at": record.body.at().to_string(),
            "who": signer, "signature": signature, "own": signed.own,
        });
        return context.output.json(&format!("{row}"));
    }
    let (id, at) = (&record.id[..12], record.body.at());
    context.output.say(&format!(
        "{id}  {at}  {word:<11} {}  {}",
        printable(signer),
        printable(&signature)
    ));
}
