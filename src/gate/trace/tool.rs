//! Calls of agents' tools: what one that edits puts where. The tools of most
//! agents differ in names only.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::{EDITS, NAME, Texts, apply_patch, part, script};

/// The tools that edit files, in small letters and without `_` and `-`.
const TOOLS: &[&str] = &[
    "applydiff",
    "applypatch",
    "create",
    "createfile",
    "createnewfile",
    "edit",
    "editexistingfile",
    "editfile",
    "editor",
    "fswrite",
    "inserteditintofile",
    "multiedit",
    "multireplacestringinfile",
    "patch",
    "replace",
    "replaceinfile",
    "replacestringinfile",
    "searchreplace",
    "singlefindandreplace",
    "strreplace",
    "strreplaceeditor",
    "write",
    "writefile",
    "writetofile",
];

/// The tools that run a shell's command.
const SHELLS: &[&str] = &[
    "bash",
    "execute",
    "executebash",
    "executecommand",
    "exec",
    "runcommand",
    "runinterminal",
    "runshellcommand",
    "runterminalcmd",
    "runterminalcommand",
    "shell",
    "terminal",
];
const COMMAND: &[&str] = &["command", "cmd", "CommandLine"];

const PATH: &[&str] =
    &["file_path", "filePath", "path", "filepath", "target_file", "TargetFile", "absolute_path"];
const OLD: &[&str] =
    &["old_string", "oldString", "old_str", "oldStr", "oldText", "old_text", "TargetContent"];
const NEW: &[&str] =
    &["new_string", "newString", "new_str", "newStr", "newText", "new_text", "ReplacementContent"];
const CONTENT: &[&str] =
    &["content", "contents", "file_text", "fileText", "code", "changes", "CodeContent"];
const PARTS: &[&str] = &["edits", "changes", "replacements", "ReplacementChunks"];
const PATCH: &[&str] = &["patch", "patchText", "patch_text", "input", "command"];

/// What a call of a tool puts where; empty if the tool edits no file.
pub fn edits(tool: &str, arguments: &RawValue) -> Vec<Texts> {
    let plain: String = tool.chars().filter(|it| !matches!(it, '_' | '-')).collect();
    if !TOOLS.contains(&plain.to_lowercase().as_str()) {
        return Vec::new();
    }
    // Some agents write the arguments as text: JSON, or the patch itself.
    let text: Option<String> = part(Some(arguments));
    let mut edits = match &text {
        Some(text) => match serde_json::from_str::<Fields<'_>>(text) {
            Ok(fields) => of_fields(&fields, None),
            Err(_) => apply_patch::body(text).map(apply_patch::edits).unwrap_or_default(),
        },
        None => {
            part::<Fields<'_>>(Some(arguments)).map(|it| of_fields(&it, None)).unwrap_or_default()
        }
    };
    edits.truncate(EDITS);
    edits
}

/// The same, and what a shell's command writes by its own words.
pub fn edits_and_commands(tool: &str, arguments: &RawValue) -> Vec<Texts> {
    let plain: String = tool.chars().filter(|it| !matches!(it, '_' | '-')).collect();
    match SHELLS.contains(&plain.to_lowercase().as_str()) {
        true => in_command(arguments),
        false => edits(tool, arguments),
    }
}

fn in_command(arguments: &RawValue) -> Vec<Texts> {
    let text: Option<String> = part(Some(arguments));
    let fields: Option<Fields<'_>> = match &text {
        Some(text) => serde_json::from_str(text).ok(),
        None => part(Some(arguments)),
    };
    let command = fields.as_ref().and_then(|fields| field(fields, COMMAND));
    command.as_deref().map(script::written).unwrap_or_default()
}

type Fields<'a> = BTreeMap<String, &'a RawValue>;

fn field(fields: &Fields<'_>, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| part::<String>(fields.get(*name).copied()))
}

/// Whether the text is replaced wherever it stands.
fn is_everywhere(fields: &Fields<'_>) -> bool {
    ["replace_all", "replaceAll", "allow_multiple"]
        .iter()
        .any(|name| part::<bool>(fields.get(*name).copied()) == Some(true))
}

/// `outer`: the path of the call that these fields are a part of.
fn of_fields(fields: &Fields<'_>, outer: Option<&str>) -> Vec<Texts> {
    if let Some(body) = field(fields, PATCH).as_deref().and_then(apply_patch::body) {
        return apply_patch::edits(body);
    }
    let own = field(fields, PATH);
    let path = own.as_deref().or(outer).filter(|it| it.len() <= NAME);
    if outer.is_none() {
        let parts = PARTS.iter().find_map(|name| {
            let parts: Option<Vec<Fields<'_>>> = part(fields.get(*name).copied());
            parts.filter(|it| !it.is_empty())
        });
        if let Some(parts) = parts {
            // An empty path is nobody's: only parts with their own are read then.
            let path = path.unwrap_or_default();
            let parts = parts.iter().take(EDITS);
            return parts.flat_map(|it| of_fields(it, Some(path))).collect();
        }
    }
    let Some(path) = path.filter(|it| !it.is_empty()).map(str::to_owned) else { return Vec::new() };
    if let Some(diff) = field(fields, &["diff"]) {
        let blocks = search_replace(&path, &diff);
        return if blocks.is_empty() { apply_patch::hunks(&path, &diff) } else { blocks };
    }
    match (field(fields, NEW), field(fields, CONTENT)) {
        (Some(new), _) => {
            vec![Texts {
                path,
                old: field(fields, OLD),
                new,
                everywhere: is_everywhere(fields),
                from: None,
            }]
        }
        (None, Some(new)) => vec![Texts { path, old: None, new, everywhere: false, from: None }],
        (None, None) => Vec::new(),
    }
}

/// The calls that stand in a text as XML, as Cline and its kin write them:
/// `<write_to_file><path>…</path><content>…</content></write_to_file>`.
pub fn in_text(text: &str) -> Vec<Texts> {
    let mut edits = Vec::new();
    for tool in ["write_to_file", "replace_in_file", "apply_diff"] {
        let mut rest = text;
        while let Some((call, behind)) = element(rest, tool) {
            rest = behind;
            let inner = |name: &str| {
                // What a call writes may hold the tags themselves: its last one closes.
                let open = format!("<{name}>");
                let (_, body) = call.split_once(open.as_str())?;
                let end = body.rfind(&format!("</{name}>"))?;
                Some(body.get(..end)?.trim_start_matches('\n'))
            };
            let path = element(call, "path").map(|(path, _)| path.trim().to_owned());
            let Some(path) = path.filter(|it| (1..=NAME).contains(&it.len())) else { continue };
            match (inner("content"), inner("diff")) {
                (Some(new), _) => edits.push(Texts {
                    path,
                    old: None,
                    new: new.to_owned(),
                    everywhere: false,
                    from: None,
                }),
                (None, Some(diff)) => edits.extend(search_replace(&path, diff)),
                (None, None) => {}
            }
            if edits.len() >= EDITS {
                break;
            }
        }
    }
    edits.truncate(EDITS);
    edits
}

/// What stands in the first element of this name, and behind it.
fn element<'a>(text: &'a str, name: &str) -> Option<(&'a str, &'a str)> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>"))
}

/// Blocks of `SEARCH`, a line of `=` and `REPLACE`, as Cline and its kin write
/// them, with lines about the place at their beginning.
fn search_replace(path: &str, diff: &str) -> Vec<Texts> {
    let mut edits = Vec::new();
    let (mut old, mut new) = (String::new(), String::new());
    let mut side: Option<bool> = None;
    for line in diff.lines() {
        let marker = line.trim();
        let plain = marker.trim_matches(['-', '<', '>', '+', ' ']);
        match side {
            _ if marker.len() > 6 && plain == "SEARCH" => {
                (old, new, side) = (String::new(), String::new(), Some(false));
            }
            Some(_) if marker.len() > 7 && plain == "REPLACE" => {
                let (old, new) = (std::mem::take(&mut old), std::mem::take(&mut new));
                edits.push(Texts {
                    path: path.to_owned(),
                    old: Some(old),
                    new,
                    everywhere: false,
                    from: None,
                });
                side = None;
                if edits.len() >= EDITS {
                    break;
                }
            }
            Some(false) if marker.len() >= 7 && marker.bytes().all(|it| it == b'=') => {
                side = Some(true);
            }
            Some(false) if old.is_empty() && marker.starts_with(":start_line:") => {}
            Some(false) if old.is_empty() && marker == "-------" => {}
            Some(behind) => {
                let text = if behind { &mut new } else { &mut old };
                text.push_str(line);
                text.push('\n');
            }
            None => {}
        }
    }
    edits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(tool: &str, arguments: &str, expected: &[(&str, Option<&str>, &str)]) {
        let raw: &RawValue = serde_json::from_str(arguments).expect("JSON");
        let found = edits_and_commands(tool, raw);
        let found: Vec<_> =
            found.iter().map(|it| (it.path.as_str(), it.old.as_deref(), it.new.as_str())).collect();
        assert_eq!(found, expected, "{tool} {arguments}");
    }

    #[test]
    fn every_spelling_of_an_edit_is_read() {
        let edit = [("a", Some("x"), "y")];
        check("edit", r#"{"path":"a","old_str":"x","new_str":"y"}"#, &edit);
        check(
            "replace_string_in_file",
            r#"{"filePath":"a","oldString":"x","newString":"y"}"#,
            &edit,
        );
        check("StrReplace", r#"{"path":"a","old_string":"x","new_string":"y"}"#, &edit);
        check("edit", r#""{\"path\":\"a\",\"oldText\":\"x\",\"newText\":\"y\"}""#, &edit);
        check("Edit", r#"{"file_path":"a","changes":[{"old_str":"x","new_str":"y"}]}"#, &edit);
        check("edit", r#"{"path":"a","edits":[{"oldText":"x","newText":"y"}]}"#, &edit);
        check(
            "multi_replace_string_in_file",
            r#"{"replacements":[{"filePath":"a","oldString":"x","newString":"y"},{"newString":"z"}]}"#,
            &edit,
        );
        let whole = [("a", None, "x")];
        check("create", r#"{"path":"a","file_text":"x"}"#, &whole);
        check("Write", r#"{"path":"a","contents":"x"}"#, &whole);
        check("write_file", r#"{"file_path":"a","content":"x"}"#, &whole);
        let patch = "*** Begin Patch\\n*** Add File: a\\n+x\\n*** End Patch";
        check("apply_patch", &format!(r#"{{"input":"{patch}"}}"#), &[("a", None, "x\n")]);
        check("apply_patch", &format!(r#""{patch}""#), &[("a", None, "x\n")]);
        let shell = r#"{"command":"cat > a <<'EOF'\nx\nEOF"}"#;
        check("run_shell_command", shell, &[("a", None, "x\n")]);
        for (tool, arguments) in [
            ("bash", r#"{"command":"ls > a"}"#),
            ("bash", "7"),
            ("read_file", r#"{"path":"a","content":"x"}"#),
            ("edit", r#"{"path":"a"}"#),
            ("edit", r#"{"new_str":"y"}"#),
            ("edit", "7"),
            ("edit", r#"{"path":7,"new_str":"y"}"#),
        ] {
            check(tool, arguments, &[]);
        }
    }

    #[test]
    fn what_is_replaced_everywhere_is_known() {
        let everywhere = |arguments: &str| {
            let raw: &RawValue = serde_json::from_str(arguments).expect("JSON");
            edits("edit", raw)[0].everywhere
        };
        assert!(everywhere(r#"{"path":"a","oldString":"x","newString":"y","replaceAll":true}"#));
        assert!(!everywhere(r#"{"path":"a","oldString":"x","newString":"y","replaceAll":false}"#));
        assert!(!everywhere(r#"{"path":"a","oldString":"x","newString":"y"}"#));
    }

    #[test]
    fn calls_in_a_text_are_read() {
        let found = in_text(
            "I write it.\n<write_to_file>\n<path>a.rs</path>\n<content>\nfn a() {}\n// <content>\n</content>\n</write_to_file>\n\
             <replace_in_file><path>b</path><diff>\n------- SEARCH\nx\n=======\ny\n+++++++ REPLACE\n</diff></replace_in_file>\n\
             <write_to_file><path></path><content>x</content></write_to_file><write_to_file>",
        );
        let found: Vec<_> =
            found.iter().map(|it| (it.path.as_str(), it.old.as_deref(), it.new.as_str())).collect();
        let expected = [("a.rs", None, "fn a() {}\n// <content>\n"), ("b", Some("x\n"), "y\n")];
        assert_eq!(found, expected);
    }

    #[test]
    fn search_and_replace_blocks_are_read() {
        let block = |open: &str, close: &str| {
            let text = format!("{open}\nx\n=======\ny\nz\n{close}\n");
            serde_json::json!({"path": "a", "diff": text}).to_string()
        };
        let expected = [("a", Some("x\n"), "y\nz\n")];
        check("replace_in_file", &block("------- SEARCH", "+++++++ REPLACE"), &expected);
        let roo = "<<<<<<< SEARCH\n:start_line:4\n-------";
        check("apply_diff", &block(roo, ">>>>>>> REPLACE"), &expected);
        let two = serde_json::json!({"path": "a", "diff": "-------- SEARCH\n=======\nb\n+++++++ REPLACE\n------- SEARCH\nopen"});
        check("replace_in_file", &two.to_string(), &[("a", Some(""), "b\n")]);
        let unified = serde_json::json!({"path": "a", "diff": "@@ -1 +1 @@\n-x\n+y\n"});
        check("edit", &unified.to_string(), &[("a", Some("x\n"), "y\n")]);
    }
}
