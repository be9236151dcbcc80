//! The zip that Terraform and OpenTofu keep a plan in, taken apart within limits.

use std::collections::BTreeMap;
use std::io::Read;

use flate2::read::DeflateDecoder;
use rawzip::{CompressionMethod, ZipArchive};

use crate::gate::change::printable;
use crate::gate::preview::{LOCK_FILE, PlanFile, PlanFileError, SOURCES, StateIdentity};

/// The most parts of a plan file.
const MAX_ENTRIES: usize = 100_000;
/// The most bytes of the sources, in all.
const MAX_SOURCES: u64 = 64 << 20;
/// The most bytes of a state that are passed over to find its identity.
const MAX_STATE: u64 = 1 << 30;

/// Why a file is no plan of an engine.
#[derive(Debug, thiserror::Error)]
pub enum PlanZipError {
    #[error("the plan file is no readable zip")]
    NoZip(#[source] rawzip::Error),
    #[error("the plan file's parts cannot be read")]
    Zip(#[source] rawzip::Error),
    #[error("the plan file's `{0}` cannot be inflated")]
    Broken(String, #[source] std::io::Error),
    #[error("the plan file's `{0}` stands in it twice")]
    Twice(String),
    #[error("the plan file's `{0}` is packed in a way that no engine uses")]
    Packed(String),
    #[error("the plan file's sources are larger than {} MiB", MAX_SOURCES >> 20)]
    TooLarge,
    #[error("the plan file has more than {MAX_ENTRIES} parts")]
    TooMany,
    #[error("the plan file has no `tfplan`")]
    NoPlan,
    #[error(transparent)]
    Content(#[from] PlanFileError),
}

/// Reads a plan file; the plan itself and the state's values are not looked into.
pub fn read(bytes: &[u8]) -> Result<PlanFile, PlanZipError> {
    let archive = ZipArchive::from_slice(bytes).map_err(PlanZipError::NoZip)?;
    let mut parts: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let (mut left, mut count, mut planned, mut state) = (MAX_SOURCES, 0, false, None);
    let mut entries = archive.entries();
    while let Some(entry) = entries.next_entry().map_err(PlanZipError::Zip)? {
        count += 1;
        if count > MAX_ENTRIES {
            return Err(PlanZipError::TooMany);
        }
        let name = String::from_utf8_lossy(entry.file_path().as_bytes()).into_owned();
        planned |= name == "tfplan";
        let is_source = name.starts_with(SOURCES) && !name.ends_with('/');
        if !is_source && name != "tfstate" && name != LOCK_FILE {
            continue;
        }
        let part = archive.get_entry(entry.wayfinder()).map_err(PlanZipError::Zip)?;
        let mut inflate = inflated(entry.compression_method(), part.data())
            .ok_or_else(|| PlanZipError::Packed(printable(&name)))?;
        if name == "tfstate" {
            state = identity(inflate);
            continue;
        }
        let mut content = Vec::new();
        let mut reader = part.verifying_reader(&mut inflate).take(left + 1);
        let broken = |error| PlanZipError::Broken(printable(&name), error);
        reader.read_to_end(&mut content).map_err(broken)?;
        left = left.checked_sub(content.len() as u64).ok_or(PlanZipError::TooLarge)?;
        if parts.insert(name.clone(), content).is_some() {
            return Err(PlanZipError::Twice(printable(&name)));
        }
    }
    if !planned {
        return Err(PlanZipError::NoPlan);
    }
    Ok(PlanFile::of_parts(parts, state)?)
}

fn inflated<'a>(method: CompressionMethod, data: &'a [u8]) -> Option<Box<dyn Read + 'a>> {
    if method == CompressionMethod::Store {
        Some(Box::new(data))
    } else if method == CompressionMethod::Deflate {
        Some(Box::new(DeflateDecoder::new(data)))
    } else {
        None
    }
}

/// Which state this is; `None`: it does not say, as an empty one.
fn identity(state: Box<dyn Read + '_>) -> Option<StateIdentity> {
    let state = std::io::BufReader::new(state.take(MAX_STATE));
    let identity: StateIdentity = serde_json::from_reader(state).ok()?;
    (!identity.lineage.is_empty()).then_some(identity)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use rawzip::ZipArchiveWriter;

    use super::*;

    /// A zip of these parts, as Go's writer makes it: deflated, sizes behind the data.
    fn zip(parts: &[(&str, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut archive = ZipArchiveWriter::new(&mut bytes);
        for (name, content) in parts {
            let (mut entry, config) = archive
                .new_file(name)
                .compression_method(CompressionMethod::Deflate)
                .start()
                .unwrap();
            let deflate = flate2::write::DeflateEncoder::new(&mut entry, Default::default());
            let mut writer = config.wrap(deflate);
            writer.write_all(content).unwrap();
            let (deflate, descriptor) = writer.finish().unwrap();
            deflate.finish().unwrap();
            entry.finish(descriptor).unwrap();
        }
        archive.finish().unwrap();
        bytes
    }

    const LIST: &[u8] =
        br#"[{"Key":"","Dir":"."},{"Key":"edge","Source":"../edge","Dir":"../edge"}]"#;

    #[track_caller]
    fn check(parts: &[(&str, &[u8])], expected: &str) {
        let found = match read(&zip(parts)) {
            Err(error) => error.to_string(),
            Ok(file) => {
                let files = file.modules.iter().flat_map(|module| {
                    module
                        .files
                        .keys()
                        .map(move |it| format!("{}:{}/{it}", module.key, module.folder))
                });
                let state =
                    file.state.as_ref().map(|it| format!(" state {} {}", it.lineage, it.serial));
                let lock = file.lock.as_ref().map(|it| format!(" lock of {}", it.len()));
                let files = files.collect::<Vec<_>>().join(" ");
                format!("{files}{}{}", state.unwrap_or_default(), lock.unwrap_or_default())
            }
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn the_parts_of_a_plan_file_are_found() {
        check(
            &[
                ("tfplan", b"\x01"),
                (
                    "tfstate",
                    br#"{"version":4,"serial":7,"lineage":"ab","resources":[{"secret":1}]}"#,
                ),
                ("tfstate-prev", b"x"),
                ("tfconfig/modules.json", LIST),
                ("tfconfig/m-/main.tf", b"a"),
                ("tfconfig/m-edge/main.tf", b"b"),
                (".terraform.lock.hcl", b"c"),
            ],
            ":./main.tf edge:../edge/main.tf state ab 7 lock of 1",
        );
    }

    #[test]
    fn what_is_no_plan_file_is_refused() {
        let list = ("tfconfig/modules.json", LIST);
        check(&[list], "the plan file has no `tfplan`");
        check(&[("tfplan", b"")], "the plan file has no `tfconfig/modules.json`");
        let unlisted = |what: &str| format!("the plan file's list of modules lacks `{what}`");
        check(&[("tfplan", b""), list, ("tfconfig/m-x/a.tf", b"")], &unlisted("tfconfig/m-x/a.tf"));
        check(&[("tfplan", b""), ("tfconfig/modules.json", b"[]")], &unlisted("the root module"));
        check(
            &[("tfplan", b""), list, ("tfconfig/m-/a.tf", b"1"), ("tfconfig/m-/a.tf", b"2")],
            "the plan file's `tfconfig/m-/a.tf` stands in it twice",
        );
        assert!(matches!(read(b"PK"), Err(PlanZipError::NoZip(_))));
    }

    #[test]
    fn a_bomb_ends_at_the_limit() {
        let large = vec![0; MAX_SOURCES as usize + 1];
        check(
            &[("tfplan", b""), ("tfconfig/modules.json", LIST), ("tfconfig/m-/a.tf", &large)],
            "the plan file's sources are larger than 64 MiB",
        );
    }

    #[test]
    fn damaged_plan_files_are_errors_and_never_panics() {
        let whole = zip(&[
            ("tfplan", b"\x01"),
            ("tfconfig/modules.json", LIST),
            ("tfconfig/m-/a.tf", b"abc"),
        ]);
        for length in 0..whole.len() {
            assert!(read(&whole[..length]).is_err(), "{length}");
        }
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0xff;
            // A damaged time stamp or a name that is not read does no harm.
            read(&damaged).ok();
        }
    }
}
