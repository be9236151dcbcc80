//! docs/signals.md is made from the catalogue.

use std::fmt::Write;

use countersign::gate::signal::catalogue::{Agent, Catalogue};

const HEAD: &str = "\
# Signals

What countersign looks for in a commit and around the process that commits. This page is made
from `src/gate/signal/agents.toml`; `SNAPSHOTS=overwrite cargo test` writes it anew.

A mark is *declared* (an identity, a trailer or a footer of the commit) or *ambient* (a variable
or a process around `git commit`, the name of the branch). A declared mark says that a commit is
assisted; an ambient one says so only of the commit being made. That a mark is absent proves
nothing. There is no score, and nothing that lowers what a policy requires.

Where a declared mark may stand:

- **identity**: author or committer, by exact address (the number before a forge's login does not
  count), or by a name that no person has. First names, vendors' domains and `[bot]` are no marks.
- **trailer**: a `Key: value` line at the beginning of a line, in any paragraph after the subject;
  the report says with `in_trailer_block` whether `git interpret-trailers` sees it. Credits
  (`Co-authored-by`, `Signed-off-by`, …) must name an agent by address, or by a name made of nothing
  but words of this trade (\"Claude Opus 4.6\", but not
  the login `claude42`). Disclosures (`Assisted-by`, `Generated-by`,
  `AI-assisted`, …) may also have the kernel's form `AGENT:MODEL`. Anything else in
  `Assisted-by` may be a person and is left undecided.
- **footer**: a whole line such as \"Generated with X\", \"This change was written by X\",
  \"AI disclosure: …\", or a link to an agent's session.

Never a mark: what is quoted, indented, fenced or back-ticked or stands within a sentence; denials
(`AI-assisted: no`); reviews by agents, which are reported as `review` and are never assistance;
automation that is no AI. Whose agent is not named (`Assisted-by: AI`) or not known is `unknown-ai`.
A suggestion that a reviewing agent made and a person applied (its `Co-authored-by`) is declared.
aider's name on the committer alone marks a person's own edit, and is no mark.

A policy adds agents with `[[agent]]` tables of the same shape:

```toml
[[agent]]
id = \"house-bot\"
trailers = [\"<house-bot@example.com>\", \"House-Run: *\"]
environment = [\"HOUSE_BOT=1\"]
```
";

fn row(agent: &Agent, text: &mut String) {
    let name = agent.name.as_deref().unwrap_or(&agent.id);
    writeln!(text, "\n## {name}: `{}`\n", agent.id).unwrap();
    let lists = [
        ("identities", &agent.identities),
        ("authors only", &agent.authors),
        ("trailers", &agent.trailers),
        ("footers", &agent.footers),
        ("reviews", &agent.reviews),
        ("tools", &agent.tools),
        ("names", &agent.names),
        ("models", &agent.models),
        ("branches", &agent.branches),
        ("environment", &agent.environment),
        ("processes", &agent.processes),
    ];
    for (title, patterns) in lists.iter().filter(|(_, patterns)| !patterns.is_empty()) {
        let patterns: Vec<String> = patterns.iter().map(|it| code(it)).collect();
        writeln!(text, "- {title}: {}", patterns.join(", ")).unwrap();
    }
}

/// A Markdown code span, whatever the text holds.
fn code(text: &str) -> String {
    if text.contains('`') { format!("`` {text} ``") } else { format!("`{text}`") }
}

#[test]
fn the_page_shows_the_catalogue() {
    let mut text = HEAD.to_owned();
    for agent in &Catalogue::rows() {
        row(agent, &mut text);
    }
    snapbox::assert_data_eq!(
        text,
        snapbox::Data::read_from(std::path::Path::new("docs/signals.md"), None).raw()
    );
}
