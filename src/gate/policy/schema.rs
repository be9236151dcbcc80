//! The shape of `countersign.toml` as a JSON Schema (draft 2020-12), for
//! editors. The parser decides; tests keep the two the same.

use serde_json::{Value, json};

use crate::gate::order;

/// Returns the schema of the root policy.
pub fn schema() -> Value {
    let mut schema = table(&[], policy());
    for (key, value) in [
        ("$schema", "https://json-schema.org/draft/2020-12/schema"),
        ("$id", "https://countersign.invalid/countersign.schema.json"),
        ("title", "countersign.toml"),
        (
            "description",
            "What an AI-assisted change must show before it may land. All matching rules apply; order never matters; adding a rule can never loosen.",
        ),
    ] {
        schema[key] = json!(value);
    }
    schema
}

type Properties = Vec<(&'static str, Value)>;

fn policy() -> Properties {
    vec![
        ("schema", json!({ "const": 1, "description": "The version of this format." })),
        ("min_version", text("An older countersign refuses this policy rather than guess.")),
        (
            "mode",
            words(&["enforce", "observe"], "`observe` reports everything and blocks nothing."),
        ),
        ("trust", table(&[], trust())),
        ("people", named(table(&["kind"], person()), "Who is who, by name.")),
        ("groups", named(names("People, or groups."), "Groups of people, by name.")),
        ("revoked", rows(table(&["key"], revoked()))),
        ("disclosure", table(&[], disclosure())),
        ("rule", rows(table(&["id"], rule()))),
        ("test", named(table(&["run"], test()), "Commands that rules require.")),
        ("preview", named(table(&["engine"], preview()), "Dry runs that rules require.")),
        ("waiver", table(&["from", "max"], waiver())),
        (
            "nested",
            table(
                &["files"],
                vec![(
                    "files",
                    names(
                        "Where nested policies may lie: patterns that end in `/countersign.toml`.",
                    ),
                )],
            ),
        ),
        ("agent", rows(table(&["id"], agent()))),
        ("example", rows(table(&["name", "change", "expect"], example()))),
    ]
}

fn trust() -> Properties {
    vec![
        ("target", reference("Policy, people and groups are read from the tip of this branch.")),
        ("protect", names("Patterns of full ref names; `*` within a component, `**` across.")),
        ("ledger", reference("The branch on which records live.")),
        ("repo_id", text("Stands in every record; needed once a rule asks for approvals.")),
        ("gate", names("Paths whose change is a policy change.")),
        ("solo", flag("The only human may approve their own change.")),
        (
            "narrow",
            words(
                &["never", "signed"],
                "Whether a signed attribution record may narrow a declared mark to lines.",
            ),
        ),
        (
            "reformatted",
            flag("Lines that a formatter changed since an agent recorded them are still its."),
        ),
        (
            "unverified_authors",
            words(
                &["one", "two"],
                "How many distinct people must approve at least where a commit's author is not proven by a signature.",
            ),
        ),
        ("pusher_env", text("On a server, the variable that names the pusher.")),
    ]
}

fn person() -> Properties {
    let key = table(
        &["key"],
        vec![
            ("key", text("A public key in OpenSSH's one-line form.")),
            ("presence", presence()),
            ("cert_authority", flag("It signs OpenSSH certificates for the person's addresses.")),
        ],
    );
    vec![
        ("kind", words(&["human", "agent", "service"], "Only humans can satisfy an approval.")),
        ("emails", names("Addresses in commits; compared without regard to case.")),
        ("keys", rows(key)),
    ]
}

fn revoked() -> Properties {
    vec![
        ("key", json!({ "type": "string", "pattern": "^SHA256:[A-Za-z0-9+/]{43}$" })),
        (
            "after",
            json!({ "type": "string", "pattern": "^ledger:([0-9a-f]{40}|[0-9a-f]{64})$", "description": "Records in the ledger at this commit stay valid." }),
        ),
        ("why", text("Why, for people.")),
    ]
}

fn disclosure() -> Properties {
    vec![
        ("trailer", words(&["require", "allow", "forbid"], "What is asked of assisted commits.")),
        ("key", text("The trailer's key; `Assisted-by` unless it is given.")),
        ("strict", flag("Only `key` itself satisfies `require`.")),
        ("write", flag("commit-msg adds the trailer when it knows better than the message.")),
    ]
}

fn rule() -> Properties {
    let when = vec![
        ("assisted", json!({ "const": true })),
        ("unattributed", json!({ "const": true })),
        ("agents", names("Any of these agents.")),
        ("share", bound("The assisted part of the added lines: `>0.5`.")),
        ("lines", bound("Added lines in the rule's files: `>400`.")),
        ("files", bound("The rule's files in the change: `>30`.")),
    ];
    vec![
        ("id", text("The rule's name in reports, approvals and waivers.")),
        ("why", text("The reason, shown to whoever is blocked.")),
        ("paths", names("Patterns; all paths unless given.")),
        ("except", names("Patterns of paths that the rule is not about.")),
        ("when", table(&[], when)),
        (
            "unless",
            table(
                &["author"],
                vec![("author", names("Groups or people whose keys signed every commit."))],
            ),
        ),
        ("require", table(&[], require())),
        ("deny", switch("No approval can satisfy it.")),
    ]
}

fn require() -> Properties {
    let approval = vec![
        ("count", json!({ "type": "integer", "minimum": 1, "maximum": 1000 })),
        ("from", names("Groups or people, united; any human unless given.")),
        ("presence", presence()),
        (
            "carry",
            words(
                &["exact", "clean-merge", "never"],
                "Whether it survives a rewrite of the change.",
            ),
        ),
        ("max_age", length()),
        ("stage", late_stage()),
    ];
    let coverage = vec![
        ("min", json!({ "type": "number", "exclusiveMinimum": 0, "maximum": 1 })),
        ("stage", late_stage()),
    ];
    let list = |what: &str| {
        let table = table(&["names"], vec![("names", names(what)), ("stage", late_stage())]);
        json!({ "oneOf": [names(what), table] })
    };
    vec![
        ("approvals", rows(table(&[], approval))),
        ("tests", list("Names of `[test.…]` tables.")),
        ("coverage", table(&["min"], coverage)),
        ("preview", list("Names of `[preview.…]` tables.")),
        ("disclosure", switch("Assisted commits say so.")),
    ]
}

fn test() -> Properties {
    let reports = vec![("junit", paths()), ("coverage", paths())];
    let mutate = vec![
        ("run", command()),
        ("report", text("Where the tool leaves its report.")),
        ("timeout", length()),
    ];
    vec![
        ("run", command()),
        ("setup", command()),
        ("setup_inputs", names("`setup` runs again when one of these changes.")),
        ("inputs", names("What the result depends on; the whole tree unless given.")),
        ("timeout", length()),
        ("reports", table(&[], reports)),
        ("tests", names("Which paths are tests; the usual ones unless given.")),
        (
            "on",
            words(
                &["head", "merge"],
                "The tree it runs on: the head's, or what a merge into the target gives.",
            ),
        ),
        (
            "tier",
            words(
                &["fast", "normal", "slow"],
                "Without time for all, a push runs the fast ones first and leaves the slow ones to the server.",
            ),
        ),
        (
            "retries",
            json!({
                "type": "integer", "minimum": 0, "maximum": 5,
                "description": "How often it may try again after it failed; every failure is recorded.",
            }),
        ),
        ("wrap", command()),
        ("network", flag("`false`: it runs without a network, or not at all (Linux).")),
        (
            "packages",
            words(
                &["cargo", "node", "go", "python"],
                "Whose packages `{packages}` names; by the program of `run` unless given.",
            ),
        ),
        ("workspace", text("The folder of the packages' workspace; the root unless given.")),
        ("prove", words(&["revert", "mutate"], "How it shows that it notices the assisted lines.")),
        ("mutate", table(&["run", "report"], mutate)),
        ("accept", accept()),
        ("env", names("Further variables that the command may see.")),
    ]
}

fn preview() -> Properties {
    let limit = || json!({ "type": "integer", "minimum": 0 });
    let limits = ["deletes", "replaces", "removals", "forgets", "places"];
    let protect = vec![
        ("types", names("Types of resource; `*` stands for any text.")),
        (
            "actions",
            json!({ "type": "array", "items": words(&["create", "update", "delete", "replace", "removal", "forget"], "What the preview would do.") }),
        ),
        ("from", names("Groups or people who may approve it.")),
        ("count", json!({ "type": "integer", "minimum": 1, "maximum": 1000 })),
    ];
    vec![
        (
            "engine",
            words(
                &["terraform", "opentofu", "cloudformation", "pulumi", "kubernetes", "json"],
                "Who makes the plan.",
            ),
        ),
        ("root", text("The folder of the configuration, in which the command runs.")),
        (
            "generated",
            names("Files that are written before the plan is made, and are in no commit."),
        ),
        ("env", names("Further variables that the command may see.")),
        ("timeout", length()),
        ("run", command()),
        ("max_age", length()),
        ("accept", accept()),
        ("limits", table(&[], limits.into_iter().map(|name| (name, limit())).collect())),
        ("protect", rows(table(&["types", "actions"], protect))),
    ]
}

fn waiver() -> Properties {
    vec![
        ("from", names("Groups or people who may waive.")),
        ("max", length()),
        ("review_within", length()),
        ("never", names("Ids of rules that nobody can waive.")),
    ]
}

fn agent() -> Properties {
    let examples = vec![
        ("matching", names("What the row must match.")),
        ("other", names("What it must not match.")),
    ];
    vec![
        ("id", text("Lower-case words joined by `-`.")),
        ("name", text("The product's name, for people.")),
        (
            "identities",
            names(
                "`NAME <ADDRESS>`, `<ADDRESS>` or `NAME`: who commits, or is credited in a trailer.",
            ),
        ),
        ("authors", names("As `identities`, but never for a committer.")),
        ("trailers", names("`Key: VALUE` patterns, or `<ADDRESS>`.")),
        ("footers", names("Patterns of whole lines.")),
        ("reviews", names("Lines by which an agent says that it reviewed: never assistance.")),
        ("names", names("As `tools`, for words that people use too.")),
        ("tools", names("Words by which a disclosure names the tool.")),
        ("models", names("Words by which a disclosure names a model.")),
        ("branches", names("Prefixes of branch names.")),
        ("environment", names("`NAME=VALUE` patterns.")),
        ("processes", names("Exact names of executables.")),
        ("examples", table(&[], examples)),
    ]
}

fn example() -> Properties {
    let change = vec![
        ("files", names("Paths that the change adds.")),
        ("assisted", flag("Whether the change is assisted.")),
        ("agents", names("By whom.")),
        ("author", text("A person's name, or anybody's.")),
        ("target", text("Where it lands; the policy's target unless given.")),
        ("lines", json!({ "type": "integer", "minimum": 0, "description": "Added lines in all." })),
    ];
    let expect = vec![
        ("rules", names("Exactly these rules apply.")),
        ("verdict", words(&["pass", "block"], "With no evidence at hand.")),
    ];
    vec![
        ("name", text("What it shows.")),
        ("change", table(&["files"], change)),
        ("expect", table(&[], expect)),
    ]
}

fn table(required: &[&str], properties: Properties) -> Value {
    let properties =
        order::object(properties.into_iter().map(|(key, value)| (key.to_owned(), value)));
    let mut table =
        json!({ "type": "object", "additionalProperties": false, "properties": properties });
    if !required.is_empty() {
        table["required"] = json!(required);
    }
    table
}

fn named(value: Value, description: &str) -> Value {
    json!({ "type": "object", "additionalProperties": value, "description": description })
}

fn rows(row: Value) -> Value {
    json!({ "type": "array", "items": row })
}

fn names(description: &str) -> Value {
    json!({ "type": "array", "items": { "type": "string" }, "description": description })
}

fn text(description: &str) -> Value {
    json!({ "type": "string", "description": description })
}

fn reference(description: &str) -> Value {
    json!({ "type": "string", "pattern": "^refs/heads/", "description": description })
}

fn flag(description: &str) -> Value {
    json!({ "type": "boolean", "description": description })
}

fn words(words: &[&str], description: &str) -> Value {
    json!({ "enum": words, "description": description })
}

fn bound(description: &str) -> Value {
    json!({ "type": "string", "pattern": "^>=? *[0-9]+(\\.[0-9]{1,3})?$", "description": description })
}

fn length() -> Value {
    json!({ "type": "string", "description": "A length of time: `90s`, `10m`, `24h`, `30d`, `2w`." })
}

fn presence() -> Value {
    words(&["none", "touch", "pin"], "What a security key saw when it signed.")
}

fn late_stage() -> Value {
    words(&["push", "merge"], "From which stage on it is enforced.")
}

fn switch(description: &str) -> Value {
    let stage = words(&["commit", "push", "merge"], "From which stage on it is enforced.");
    let table = table(&["stage"], vec![("stage", stage)]);
    json!({ "oneOf": [{ "type": "boolean" }, table], "description": description })
}

fn command() -> Value {
    json!({
        "oneOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" }, "minItems": 1 }],
        "description": "A command, split into words as a POSIX shell would, without a shell; or its words.",
    })
}

fn paths() -> Value {
    json!({ "oneOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] })
}

fn accept() -> Value {
    json!({ "type": "array", "minItems": 1, "items": words(&["local", "ci"], "Whose results count.") })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Parses `text`, whose one wrong key is `zzz`, and compares the keys that
    /// the parser then expects with those of the schema at `pointer`.
    #[track_caller]
    fn check(text: &str, pointer: &str) {
        let error = toml::from_str::<super::super::file::PolicyFile>(text).unwrap_err();
        let words = error.message().split('`').skip(1).step_by(2).collect::<Vec<_>>();
        assert_eq!(words.first(), Some(&"zzz"), "{}", error.message());
        let schema = schema();
        let table = schema.pointer(pointer).expect("the schema has this table");
        let known = table["properties"].as_object().unwrap().keys().map(String::as_str);
        assert_eq!(known.collect::<BTreeSet<_>>(), words[1..].iter().copied().collect());
        assert_eq!(table["additionalProperties"], false);
    }

    #[test]
    fn the_schema_knows_the_keys_that_the_parser_knows() {
        check("zzz = 1", "");
        check("trust.zzz = 1", "/properties/trust");
        check("people.ana.zzz = 1", "/properties/people/additionalProperties");
        check(
            "people.ana.keys = [{ zzz = 1 }]",
            "/properties/people/additionalProperties/properties/keys/items",
        );
        check("[[revoked]]\nzzz = 1", "/properties/revoked/items");
        check("disclosure.zzz = 1", "/properties/disclosure");
        check("[[rule]]\nzzz = 1", "/properties/rule/items");
        let rule = "/properties/rule/items/properties";
        check("[[rule]]\nwhen.zzz = 1", &format!("{rule}/when"));
        check("[[rule]]\nunless.zzz = 1", &format!("{rule}/unless"));
        check("[[rule]]\ndeny.zzz = 1", &format!("{rule}/deny/oneOf/1"));
        check("[[rule]]\nrequire.zzz = 1", &format!("{rule}/require"));
        let require = format!("{rule}/require/properties");
        check("[[rule]]\nrequire.approvals = [{ zzz = 1 }]", &format!("{require}/approvals/items"));
        check("[[rule]]\nrequire.tests.zzz = 1", &format!("{require}/tests/oneOf/1"));
        check("[[rule]]\nrequire.coverage.zzz = 1", &format!("{require}/coverage"));
        check("[[rule]]\nrequire.preview.zzz = 1", &format!("{require}/preview/oneOf/1"));
        check("[[rule]]\nrequire.disclosure.zzz = 1", &format!("{require}/disclosure/oneOf/1"));
        let test = "/properties/test/additionalProperties";
        check("test.unit.zzz = 1", test);
        check("test.unit.reports.zzz = 1", &format!("{test}/properties/reports"));
        let preview = "/properties/preview/additionalProperties";
        check("preview.plan.zzz = 1", preview);
        check("preview.plan.limits.zzz = 1", &format!("{preview}/properties/limits"));
        check(
            "preview.plan.protect = [{ zzz = 1 }]",
            &format!("{preview}/properties/protect/items"),
        );
        check("waiver.zzz = 1", "/properties/waiver");
        check("nested.zzz = 1", "/properties/nested");
        check("[[agent]]\nzzz = 1", "/properties/agent/items");
        check("[[agent]]\nexamples.zzz = 1", "/properties/agent/items/properties/examples");
        check("[[example]]\nzzz = 1", "/properties/example/items");
        check("[[example]]\nchange.zzz = 1", "/properties/example/items/properties/change");
        check("[[example]]\nexpect.zzz = 1", "/properties/example/items/properties/expect");
    }

    /// The part of JSON Schema that [`schema`] uses, patterns excepted.
    fn conforms(value: &Value, schema: &Value, at: &str) -> Result<(), String> {
        let wrong = |what: &str| Err(format!("{at}: {what}"));
        if let Some(choices) = schema["oneOf"].as_array() {
            let fitting = choices.iter().filter(|it| conforms(value, it, at).is_ok()).count();
            return if fitting == 1 { Ok(()) } else { wrong("fits not exactly one form") };
        }
        if schema.get("const").is_some_and(|it| it != value) {
            return wrong("is another constant");
        }
        if schema["enum"].as_array().is_some_and(|it| !it.contains(value)) {
            return wrong("is an unknown word");
        }
        let kind = match schema["type"].as_str() {
            Some("object") => value.is_object(),
            Some("array") => value.is_array(),
            Some("string") => value.is_string(),
            Some("boolean") => value.is_boolean(),
            Some("integer") => value.is_u64(),
            Some("number") => value.is_number(),
            Some(other) => return wrong(&format!("has the unknown type {other}")),
            None => true,
        };
        if !kind {
            return wrong("is of another type");
        }
        for (index, item) in value.as_array().into_iter().flatten().enumerate() {
            conforms(item, &schema["items"], &format!("{at}[{index}]"))?;
        }
        for (key, item) in value.as_object().into_iter().flatten() {
            let inner = schema["properties"].get(key).unwrap_or(&schema["additionalProperties"]);
            if *inner == Value::Bool(false) {
                return wrong(&format!("has the unknown key {key}"));
            }
            conforms(item, inner, &format!("{at}.{key}"))?;
        }
        let missing = |it: &&Value| value.get(it.as_str().unwrap_or_default()).is_none();
        match schema["required"].as_array().into_iter().flatten().find(missing) {
            Some(key) => wrong(&format!("lacks {key}")),
            None => Ok(()),
        }
    }

    #[track_caller]
    fn check_file(text: &str, expected: Result<(), &str>) {
        let table = toml::from_str::<toml::Table>(text).unwrap();
        let value = serde_json::to_value(table).unwrap();
        assert_eq!(conforms(&value, &schema(), "policy"), expected.map_err(str::to_owned));
    }

    #[test]
    fn complete_policies_conform() {
        check_file(include_str!("../../../policy.example.toml"), Ok(()));
        check_file(include_str!("../../../tests/fixtures/policy/full.toml"), Ok(()));
        check_file("people.ana.emails = []", Err("policy.people.ana: lacks \"kind\""));
        check_file(
            "[[rule]]\nid = 'a'\ndeny = 'yes'",
            Err("policy.rule[0].deny: fits not exactly one form"),
        );
    }
}
