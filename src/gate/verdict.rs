//! The answer, and why.

use serde::Serialize;

use super::change::{LineRange, RepoPath};
use super::policy::{Mode, Stage};

/// What was decided.
#[derive(Clone, Debug)]
pub struct Verdict {
    pub mode: Mode,
    pub stage: Stage,
    pub obligations: Vec<Judged>,
    pub findings: Vec<Finding>,
}

impl Verdict {
    /// Whether nothing blocks. In observe mode the verdict is the same; only
    /// the exit status differs.
    pub fn passes(&self) -> bool {
        !self.findings.iter().any(|finding| finding.level == Level::Block)
    }
}

/// One requirement of one rule, judged.
#[derive(Clone, Debug)]
pub struct Judged {
    pub rule: String,
    /// `approvals`, `tests`, `coverage`, `preview`, `disclosure` or `deny`.
    pub requirement: &'static str,
    pub state: State,
    /// The stage from which on it blocks.
    pub stage: Stage,
    pub files: Vec<RepoPath>,
    /// What is there and what is not, in one line.
    pub detail: String,
    /// The command that helps, if one does.
    pub next: Option<String>,
    /// The rule's own reason.
    pub why: Option<String>,
    /// People who could still satisfy it, where approvals are missing.
    pub people: Vec<String>,
    /// What it is about beside files: resources of infrastructure, a line each, safe to print.
    pub resources: Vec<String>,
}

/// Where a requirement stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    Satisfied,
    Waived,
    /// A push had no time for it: the server asks.
    Deferred,
    Missing,
    Failed,
    /// Nobody could satisfy it.
    Unsatisfiable,
    /// It could not be decided.
    Error,
}

/// One thing that a person should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub code: Code,
    pub level: Level,
    pub rule: Option<String>,
    pub message: String,
    pub path: Option<RepoPath>,
    pub line: Option<u64>,
    /// The last line, where it is about several.
    pub end_line: Option<u64>,
    /// The text of the lines, not safe to print; only the first of them if they are many.
    pub excerpt: Vec<String>,
    pub next: Option<String>,
}

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Note,
    Warn,
    Block,
}

impl Finding {
    /// A finding that blocks, about no rule, place or command yet.
    pub fn block(code: Code, message: impl Into<String>) -> Finding {
        Finding {
            code,
            level: Level::Block,
            rule: None,
            message: message.into(),
            path: None,
            line: None,
            end_line: None,
            excerpt: Vec::new(),
            next: None,
        }
    }

    /// The same at another level.
    pub fn at(mut self, level: Level) -> Finding {
        self.level = level;
        self
    }

    /// The same, about a rule.
    pub fn rule(mut self, rule: impl Into<String>) -> Finding {
        self.rule = Some(rule.into());
        self
    }

    /// The same, about a file.
    pub fn path(mut self, path: RepoPath) -> Finding {
        self.path = Some(path);
        self
    }

    /// The same, about these lines of its file, whose text is given as far as it is known.
    pub fn lines(mut self, lines: LineRange, excerpt: Vec<String>) -> Finding {
        self.line = Some(lines.start);
        self.end_line = Some(lines.end);
        self.excerpt = excerpt;
        self
    }

    /// The same, with the command that helps.
    pub fn next(mut self, next: impl Into<String>) -> Finding {
        self.next = Some(next.into());
        self
    }
}

/// Declares [`Code`] with one description each, so that docs, SARIF rules and
/// the enum are one list.
macro_rules! codes {
    ($($variant:ident = $code:literal: $description:literal,)*) => {
        /// What kind of thing is wrong. The text is stable.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
        pub enum Code { $(#[doc = $description] #[serde(rename = $code)] $variant,)* }

        impl Code {
            /// Every code.
            pub const ALL: &[Code] = &[$(Code::$variant,)*];

            /// The stable kebab-case text.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$variant => $code,)* }
            }

            /// One line that says what the code means.
            pub fn description(self) -> &'static str {
                match self { $(Code::$variant => $description,)* }
            }
        }
    };
}

codes! {
    ApprovalMissing = "approval-missing": "A rule asks for approvals of this exact content that are not there.",
    ApprovalUnsatisfiable = "approval-unsatisfiable": "A rule asks for approvals that nobody could give.",
    Rejected = "rejected": "A person of the policy rejected this exact content.",
    TestsMissing = "tests-missing": "A required test has no recorded result for this tree.",
    TestsFailed = "tests-failed": "A required test failed on this tree.",
    TestsDeferred = "tests-deferred": "A push had no time for a required test, which the server will ask for.",
    TestsFlaky = "tests-flaky": "A required test passed on this tree only after it had failed there.",
    TestsDoNotNotice = "tests-do-not-notice": "A required test passes without the assisted lines, too.",
    TestWeakened = "test-weakened": "An assisted change takes something from the tests, and nobody has approved that.",
    ExpectationsRewritten = "expectations-rewritten": "An assisted change rewrites what tests expect, together with the code.",
    ProofInconclusive = "proof-inconclusive": "Whether a required test notices the assisted lines could not be told.",
    CoverageLow = "coverage-low": "Too few of the assisted added lines are executed by the tests.",
    CoverageUnmeasured = "coverage-unmeasured": "No report measures an assisted file.",
    PreviewMissing = "preview-missing": "A required preview was not made for this tree.",
    PreviewStale = "preview-stale": "A required preview is older than the policy allows.",
    PreviewOverLimit = "preview-over-limit": "A preview exceeds a limit of the policy.",
    PreviewProtected = "preview-protected": "A preview touches a protected type.",
    DisclosureMissing = "disclosure-missing": "An assisted commit does not say so in its message.",
    DisclosureForbidden = "disclosure-forbidden": "A commit carries a disclosure that the policy forbids.",
    DisclosureNarrowed = "disclosure-narrowed": "A person signed which lines of a commit agents wrote, and its disclosure covers those alone.",
    Denied = "denied": "A rule denies this change; no approval can satisfy it.",
    PolicyChange = "policy-change": "The change touches the policy or the gate itself.",
    PolicyAbsent = "policy-absent": "The trusted ref holds no policy; the built-in default observes.",
    PolicyFirst = "policy-first": "The change brings the first policy, which takes effect once it is on the target.",
    RefRewrite = "ref-rewrite": "A protected ref or the ledger would be rewound or deleted.",
    RemoteMoved = "remote-moved": "The remote holds commits that this clone does not have.",
    LedgerMissing = "ledger-missing": "Evidence is wanted and there is no ledger to read it from.",
    LedgerAnchor = "ledger-anchor": "A commit names a state of the ledger that the ledger here does not contain.",
    LedgerMalformed = "ledger-malformed": "A push to the ledger does more than add well-formed records.",
    WaiverInForce = "waiver-in-force": "A requirement is waived by a dated, signed exception.",
    WaiverDebt = "waiver-debt": "A waived change landed, and the review that the waiver put off is still owed.",
    NotEvaluable = "not-evaluable": "A rule asks for what this version cannot evaluate.",
    Unchecked = "unchecked": "A commit was made without the commit hooks.",
    NotChecked = "not-checked": "A part of what was asked was not looked at; the message says why.",
}
