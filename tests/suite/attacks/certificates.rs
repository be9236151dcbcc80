//! Approvals under certificates that do not count. Bo has no key in the
//! policy, but an authority that vouches for bo's address.

use super::scene::{Forged, Hub, RULES, files_of};
use crate::fixture::TestRepo;
use crate::shop::make_key;

const RANGE: &str = "origin/main..HEAD";
const APPROVALS: &str = "countersign-approval-v1";

/// The hub, and the folder of the authority.
struct Certified {
    hub: Hub,
    authority: TestRepo,
}

impl Certified {
    fn open() -> Option<Certified> {
        let authority = TestRepo::new();
        let public = make_key(&authority, "authority")?;
        let certified = |people: String| {
            let (before, rest) = people.split_once("[people.bo]").unwrap();
            let (_, after) = rest.split_once("[people.chi]").unwrap();
            format!(
                "{before}[people.bo]\nkind = \"human\"\nemails = [\"bo@example.com\"]\nkeys = [{{ key = \"{public}\", cert_authority = true }}]\n[people.chi]{after}"
            )
        };
        let hub = Hub::with(RULES, certified)?;
        hub.work();
        Some(Certified { hub, authority })
    }

    /// Gives bo's key a certificate: with these words to `ssh-keygen -s`, by this authority.
    fn certify(&self, authority: &TestRepo, words: &[&str]) {
        let mut command = self.hub.chi.command("ssh-keygen");
        command.args(["-q", "-s"]).arg(authority.home().join("authority")).args(["-I", "bo"]);
        command.args(words).arg(self.hub.key("bo.pub"));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// A genuine approval under a certificate that is valid.
    fn genuine(&self) -> Forged {
        self.certify(&self.authority, &["-n", "bo@example.com"]);
        self.hub.genuine("bo-cert.pub", RANGE)
    }

    /// The same under the certificate that there is now, dated as `at` says.
    fn signed_again(&self, genuine: &Forged, at: Option<&str>) -> Forged {
        match at {
            None => Forged {
                signature: self.hub.sign(&genuine.bytes, "bo-cert.pub", APPROVALS),
                ..genuine.clone()
            },
            Some(at) => self.hub.resigned(genuine, "bo-cert.pub", |record| {
                record["predicate"]["by"]["at"] = at.into();
            }),
        }
    }
}

/// An approval under a certificate with these words does not count, for this reason.
#[track_caller]
fn check(words: &[&str], at: Option<&str>, reason: &str) {
    let Some(scene) = Certified::open() else { return };
    let genuine = scene.genuine();
    scene.certify(&scene.authority, words);
    scene.hub.plant(&scene.signed_again(&genuine, at)).refuses(reason);
}

/// Nor does the server take it: and where it stands in the ledger all the
/// same, it does not count.
#[track_caller]
fn check_refused(words: &[&str], reason: &str) {
    let Some(scene) = Certified::open() else { return };
    let genuine = scene.genuine();
    scene.certify(&scene.authority, words);
    let record = scene.signed_again(&genuine, None);
    let said = scene.hub.push_record(&record);
    assert!(!said.passes() && said.text.contains(reason), "{}", said.text);
    scene.hub.smuggle(&files_of(&record)).refuses(reason);
}

#[test]
fn a_certificate_that_is_over_or_not_yet_valid() {
    let bo = ["-n", "bo@example.com"];
    let valid = |times| [&bo[..], &["-V", times]].concat();
    check(&valid("20200101:20200201"), None, "its certificate was valid until 2020-02-01");
    // The signer's clock is set back to when it was valid.
    let back = Some("2020-01-15T12:00:00Z");
    check(&valid("20200101:20200201"), back, "its certificate was valid until 2020-02-01");
    check(&valid("20980101:20990101"), None, "its certificate is valid from 2098-01-01");
    check(&valid("20980101:20990101"), Some("2098-06-01T12:00:00Z"), "valid from 2098-01-01");
}

#[test]
fn an_older_commit_of_the_ledger_makes_no_certificate_last_longer() {
    let Some(scene) = Certified::open() else { return };
    let hub = &scene.hub;
    let genuine = scene.genuine();
    // The ledger has a history by the clock of the tests.
    let another = hub.resigned(&genuine, "chi", |record| {
        record["predicate"]["by"].as_object_mut().unwrap().remove("key");
        record["predicate"]["by"]["at"] = "2020-01-01T00:00:00Z".into();
    });
    hub.plant(&another);
    let began = hub.bare.git(&["log", "-1", "--format=%ct", super::scene::LEDGER]);
    let hour = |hours: i64| began.parse::<i64>().unwrap() + 3600 * hours;
    let date = |time: i64| {
        countersign::gate::time::Timestamp(time).to_string().replace(['-', ':', 'T', 'Z'], "")
    };
    let validity = format!("{}Z:{}Z", date(hour(-9)), date(hour(-1)));
    scene.certify(&scene.authority, &["-n", "bo@example.com", "-V", &validity]);
    let at = countersign::gate::time::Timestamp(hour(-2)).to_string();
    let record = scene.signed_again(&genuine, Some(&at));
    // A commit that says that it is older than the one that it stands on.
    let forged = hub.ledger_commit(hub.ledger_tip().as_deref(), &files_of(&record));
    let text = hub.chi.git(&["cat-file", "commit", &forged]);
    let aged = text.replace(&format!("> {began} "), &format!("> {} ", hour(-2)));
    assert_ne!(text, aged);
    let commit = ["hash-object", "-t", "commit", "-w", "--stdin"];
    let aged = hub.chi.git_with_input(&commit, format!("{aged}\n").as_bytes());
    hub.chi.git(&["push", "-q", "origin", &format!("{aged}:{}", super::scene::LEDGER)]);
    hub.refuses("its certificate was valid until");
}

#[test]
fn a_host_certificate_or_one_with_options_to_obey() {
    check_refused(&["-h", "-n", "bo@example.com"], "its certificate is a host's, not a user's");
    check_refused(
        &["-n", "bo@example.com", "-O", "force-command=true"],
        "its certificate has the critical option `force-command`",
    );
}

#[test]
fn a_certificate_for_somebody_else_or_for_everybody() {
    let nobodys = "is nobody's in the trusted policy";
    check(&["-n", "chi@example.com"], None, nobodys);
    check(&["-n", "root,bo"], None, nobodys);
    check(&["-n", "*@example.com"], None, nobodys);
    check_refused(&[], "its certificate names no principal");
}

#[test]
fn a_certificate_by_an_authority_that_nobody_has() {
    let Some(scene) = Certified::open() else { return };
    let genuine = scene.genuine();
    let stranger = TestRepo::new();
    make_key(&stranger, "authority").unwrap();
    scene.certify(&stranger, &["-n", "bo@example.com"]);
    let record = scene.signed_again(&genuine, None);
    scene.hub.plant(&record).refuses("is nobody's in the trusted policy");
}

#[test]
fn the_authority_of_a_person_who_left() {
    let Some(scene) = Certified::open() else { return };
    scene.hub.plant(&scene.genuine());
    let policy = scene.hub.chi.git(&["show", "main:countersign.toml"]);
    let (before, rest) = policy.split_once("[people.bo]").unwrap();
    let (_, after) = rest.split_once("[people.chi]").unwrap();
    let without = format!("{before}[people.chi]{after}").replace(", \"bo\"", "");
    super::people::set_policy(&scene.hub, &without);
    scene.hub.refuses("is nobody's in the trusted policy");
}

#[test]
fn an_authority_that_signs_itself() {
    let Some(scene) = Certified::open() else { return };
    let genuine = scene.genuine();
    let authority = scene.authority.home().join("authority");
    std::fs::copy(authority, scene.hub.key("stolen")).unwrap();
    let record = scene.hub.resigned(&genuine, "stolen", |record| {
        record["predicate"]["by"].as_object_mut().unwrap().remove("key");
    });
    scene.hub.plant(&record).refuses("belongs to nobody in the trusted policy");
}

#[test]
fn a_certificate_in_its_time_counts() {
    let Some(scene) = Certified::open() else { return };
    let record = scene.genuine();
    scene.hub.plant(&record);
    let said = scene.hub.lands();
    assert!(said.passes(), "{}", said.text);
    // Stock ssh-keygen says the same, by what the policy is written out as.
    let chi = &scene.hub.chi;
    let signers = crate::shop::countersign(chi, &["policy", "show", "--allowed-signers"]);
    chi.write("../signers", &signers.text).write("../r.sig", record.signature.unwrap());
    let mut verify = chi.command("ssh-keygen");
    verify.args(["-Y", "verify", "-f", "../signers", "-I", "bo@example.com"]);
    verify.args(["-n", APPROVALS, "-s", "../r.sig"]);
    let output = crate::fixture::feed(verify, &record.bytes);
    assert!(output.status.success(), "{}\n{}", crate::shop::Said::new(&output).text, signers.text);
}

#[test]
fn what_the_ledger_took_in_time_outlives_its_certificate() {
    let Some(scene) = Certified::open() else { return };
    let genuine = scene.genuine();
    // Valid by the clock of the tests, and over by that of the machine.
    let now = scene.hub.chi.git(&["log", "-1", "--format=%ct"]).parse::<i64>().unwrap();
    let date = |time: i64| {
        countersign::gate::time::Timestamp(time).to_string().replace(['-', ':', 'T', 'Z'], "")
    };
    let validity = format!("{}Z:{}Z", date(now - 86_400), date(now + 86_400));
    scene.certify(&scene.authority, &["-n", "bo@example.com", "-V", &validity]);
    let at = countersign::gate::time::Timestamp(now - 60).to_string();
    scene.hub.plant(&scene.signed_again(&genuine, Some(&at)));
    let said = scene.hub.lands();
    assert!(said.passes(), "{}", said.text);
}
