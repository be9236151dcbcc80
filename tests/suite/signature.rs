//! Signatures, with ssh-keygen as the oracle.

use std::path::Path;
use std::process::{Command, Stdio};

use countersign::adapters::signature::{
    KeySource, fingerprint_of, public_line, sign, signature_to_come, verify, verify_commit,
};
use countersign::gate::record::SignatureState;

use crate::security_key::{SecurityKey, with_flags};

const NAMESPACE: &str = "countersign-approval-v1";
const MESSAGE: &[u8] = b"{\"what\":\"is signed\"}\n";

/// Whether ssh-keygen is here; says so where it is not.
fn ssh_keygen_is_here() -> bool {
    let here = Command::new("ssh-keygen").arg("-?").output().is_ok();
    if !here {
        let complaint = b"skipped: ssh-keygen is not here\n";
        std::io::Write::write_all(&mut std::io::stderr(), complaint).unwrap();
    }
    here
}

fn generate(folder: &Path, name: &str, arguments: &[&str]) -> KeySource {
    let path = folder.join(name);
    let status = Command::new("ssh-keygen")
        .args(["-q", "-N", "", "-C", "ana@example.com", "-f"])
        .arg(&path)
        .args(arguments)
        .stdin(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    KeySource::File(path)
}

/// What `ssh-keygen -Y verify` says: whether the signature holds for ana.
fn oracle(folder: &Path, public: &str, signature: &str, namespace: &str, message: &[u8]) -> bool {
    let allowed = folder.join("allowed_signers");
    std::fs::write(&allowed, format!("ana {public}\n")).unwrap();
    let file = folder.join("message.sig");
    std::fs::write(&file, signature).unwrap();
    let mut child = Command::new("ssh-keygen")
        .args(["-Y", "verify", "-I", "ana", "-n", namespace, "-f"])
        .arg(&allowed)
        .arg("-s")
        .arg(&file)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // A signature that it cannot read is refused before the message is read.
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), message).ok();
    child.wait().unwrap().success()
}

/// Every kind of key, with what ssh-keygen makes one by.
const KINDS: [(&str, &[&str]); 5] = [
    ("ed25519", &["-t", "ed25519"]),
    ("p256", &["-t", "ecdsa", "-b", "256"]),
    ("p384", &["-t", "ecdsa", "-b", "384"]),
    ("p521", &["-t", "ecdsa", "-b", "521"]),
    ("rsa", &["-t", "rsa", "-b", "2048"]),
];

/// Both must say the same; returns the flags where both say "good".
#[track_caller]
fn both(
    folder: &Path,
    public: &str,
    signature: &str,
    namespace: &str,
    message: &[u8],
) -> Option<Option<u8>> {
    let ours = match verify(message, signature.as_bytes(), namespace) {
        SignatureState::Good(good) => Some(good.flags),
        SignatureState::Bad(_) | SignatureState::Unsigned => None,
    };
    assert_eq!(ours.is_some(), oracle(folder, public, signature, namespace, message));
    ours
}

#[test]
fn what_ssh_keygen_signs_we_verify_and_nothing_else() {
    if !ssh_keygen_is_here() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (name, arguments) in KINDS {
        let key = generate(folder.path(), name, arguments);
        let signature = sign(MESSAGE, NAMESPACE, &key, false).unwrap();
        let public = public_line(&key).unwrap();
        let check = |signature: &str, namespace: &str, message: &[u8]| {
            both(folder.path(), &public, signature, namespace, message)
        };
        assert_eq!(check(&signature, NAMESPACE, MESSAGE), Some(None), "{name}");
        assert_eq!(check(&signature, "countersign-run-v1", MESSAGE), None, "{name}");
        assert_eq!(check(&signature, NAMESPACE, b"else"), None, "{name}");
        let middle = signature.len() / 2;
        let swapped = if signature.as_bytes()[middle] == b'A' { "B" } else { "A" };
        let mut broken = signature.clone();
        broken.replace_range(middle..=middle, swapped);
        assert_eq!(check(&broken, NAMESPACE, MESSAGE), None, "{name}");
        assert_eq!(check(signature.trim_end(), NAMESPACE, MESSAGE), Some(None), "{name}");
        let printed = Command::new("ssh-keygen")
            .args(["-l", "-f"])
            .arg(folder.path().join(format!("{name}.pub")))
            .output()
            .unwrap();
        let printed = String::from_utf8(printed.stdout).unwrap();
        assert_eq!(printed.split(' ').nth(1), Some(fingerprint_of(&key).unwrap().as_str()));
    }
}

#[test]
fn both_hashes_are_read() {
    if !ssh_keygen_is_here() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let KeySource::File(key) = generate(folder.path(), "key", &["-t", "ed25519"]) else { panic!() };
    let message = folder.path().join("message");
    std::fs::write(&message, MESSAGE).unwrap();
    for hash in ["sha256", "sha512"] {
        let status = Command::new("ssh-keygen")
            .args(["-q", "-Y", "sign", "-n", NAMESPACE, "-O", &format!("hashalg={hash}"), "-f"])
            .arg(&key)
            .arg(&message)
            .status()
            .unwrap();
        assert!(status.success());
        let signature = std::fs::read(folder.path().join("message.sig")).unwrap();
        std::fs::remove_file(folder.path().join("message.sig")).unwrap();
        assert!(
            matches!(verify(MESSAGE, &signature, NAMESPACE), SignatureState::Good(_)),
            "{hash}"
        );
    }
}

#[test]
fn a_commit_is_signed_under_gits_namespace() {
    if !ssh_keygen_is_here() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let key = generate(folder.path(), "key", &["-t", "ed25519"]);
    let commit = b"tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n\nadd a\n";
    let good = |namespace: &str| {
        let signature = sign(commit, namespace, &key, false).unwrap();
        matches!(verify_commit(commit, signature.as_bytes()), SignatureState::Good(_))
    };
    assert!(good("git"));
    assert!(!good(NAMESPACE));
}

#[test]
fn a_locked_key_shows_its_public_half() {
    if !ssh_keygen_is_here() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("locked");
    let status = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "a passphrase", "-f"])
        .arg(&path)
        .status()
        .unwrap();
    assert!(status.success());
    // The public half can be read all the same, with no file beside it.
    std::fs::remove_file(folder.path().join("locked.pub")).unwrap();
    assert!(fingerprint_of(&KeySource::File(path)).unwrap().starts_with("SHA256:"));
}

#[test]
fn a_security_keys_flags_are_read_and_cannot_be_changed() {
    let here = ssh_keygen_is_here();
    let folder = tempfile::tempdir().unwrap();
    let keys: Vec<SecurityKey> =
        std::iter::once(SecurityKey::ed25519()).chain(SecurityKey::ecdsa()).collect();
    for key in &keys {
        let public = key.public_line();
        let plain = KeySource::Agent(public.clone());
        assert_eq!(signature_to_come(&plain).unwrap().flags, Some(0x05));
        for (flags, counter) in [(0x00, 0), (0x01, 42), (0x05, u32::MAX), (0x04, 1)] {
            let signature = key.sign(flags, counter, NAMESPACE, MESSAGE);
            // ssh-keygen says "Good" even to flags 0: the reason why we read them.
            if here {
                let said = both(folder.path(), &public, &signature, NAMESPACE, MESSAGE);
                assert_eq!(said, Some(Some(flags)));
            }
            let good = match verify(MESSAGE, signature.as_bytes(), NAMESPACE) {
                SignatureState::Good(good) => good,
                other => panic!("the signature holds: {other:?}"),
            };
            assert_eq!((good.flags, good.fingerprint), (Some(flags), key.fingerprint()));
            let forged = with_flags(&signature, flags ^ 0x01);
            assert!(matches!(
                verify(MESSAGE, forged.as_bytes(), NAMESPACE),
                SignatureState::Bad(_)
            ));
            if here {
                assert_eq!(both(folder.path(), &public, &forged, NAMESPACE, MESSAGE), None);
            }
        }
    }
}

/// What ssh-keygen says of certificates, for every kind of key and authority.
#[test]
fn certificates_hold_where_ssh_keygen_says_so() {
    if !ssh_keygen_is_here() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (at, (name, arguments)) in KINDS.into_iter().enumerate() {
        let KeySource::File(key) = generate(folder.path(), name, arguments) else { panic!() };
        let (of, options) = KINDS[(at + 1) % KINDS.len()];
        let authority = generate(folder.path(), &format!("{of}-authority"), options);
        let KeySource::File(authority_file) = &authority else { panic!() };
        let certify = |words: &[&str]| {
            let status = Command::new("ssh-keygen")
                .args(["-q", "-I", "ana", "-s"])
                .arg(authority_file)
                .args(words)
                .arg(key.with_extension("pub"))
                .status()
                .unwrap();
            assert!(status.success());
        };
        let certificate = KeySource::File(folder.path().join(format!("{name}-cert.pub")));
        let line = public_line(&authority).unwrap();
        let allowed = format!("cert-authority,namespaces=\"{NAMESPACE}\" {line}");
        // Never over, and over in the year 2038.
        for validity in [&[][..], &["-V", "20200101:20380101"]] {
            certify(&[&["-n", "ana,ana@example.com"], validity].concat());
            let signature = sign(MESSAGE, NAMESPACE, &certificate, false).unwrap();
            let check = |signature: &str, namespace: &str, message: &[u8]| {
                both(folder.path(), &allowed, signature, namespace, message)
            };
            assert_eq!(check(&signature, NAMESPACE, MESSAGE), Some(None), "{name}");
            assert_eq!(check(&signature, NAMESPACE, b"else"), None, "{name}");
            assert_eq!(check(&signature, "countersign-run-v1", MESSAGE), None, "{name}");
            let SignatureState::Good(good) = verify(MESSAGE, signature.as_bytes(), NAMESPACE)
            else {
                panic!()
            };
            assert_eq!(good, signature_to_come(&certificate).unwrap());
            assert_eq!(good.fingerprint, fingerprint_of(&KeySource::File(key.clone())).unwrap());
            let facts = good.certificate.unwrap();
            assert_eq!(facts.authority, fingerprint_of(&authority).unwrap());
            assert_eq!(facts.principals, ["ana", "ana@example.com"]);
            let over = if validity.is_empty() { i64::MAX } else { 2_145_916_800 };
            assert_eq!(facts.valid_before.0, over);
            // Every byte of it is signed by somebody.
            let body: Vec<usize> =
                (0..signature.len()).filter(|at| signature.as_bytes()[*at] == b'Q').collect();
            for at in body.iter().copied().step_by(body.len() / 8 + 1) {
                let mut broken = signature.clone();
                broken.replace_range(at..=at, "q");
                let ours = verify(MESSAGE, broken.as_bytes(), NAMESPACE);
                assert!(matches!(ours, SignatureState::Bad(_)), "{name} {at}: {ours:?}");
            }
        }
        for refused in [&["-h", "-n", "ana"][..], &["-n", "ana", "-O", "force-command=x"], &[]] {
            certify(refused);
            assert!(signature_to_come(&certificate).is_err(), "{name} {refused:?}");
        }
    }
}
