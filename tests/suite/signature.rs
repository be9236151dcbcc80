//! Signatures, with ssh-keygen as the oracle.

use std::path::Path;
use std::process::{Command, Stdio};

use countersign::adapters::signature::{
    KeySource, fingerprint_of, public_line, sign, verify, verify_commit,
};
use countersign::gate::record::SignatureState;
use sha2::{Digest, Sha256};
use ssh_key::private::{Ed25519Keypair, KeypairData};
use ssh_key::public::{Ed25519PublicKey, KeyData, SkEd25519};
use ssh_key::{Algorithm, HashAlg, LineEnding, PrivateKey, PublicKey, Signature, SshSig};

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
    let kinds: [(&str, &[&str]); 5] = [
        ("ed25519", &["-t", "ed25519"]),
        ("p256", &["-t", "ecdsa", "-b", "256"]),
        ("p384", &["-t", "ecdsa", "-b", "384"]),
        ("p521", &["-t", "ecdsa", "-b", "521"]),
        ("rsa", &["-t", "rsa", "-b", "2048"]),
    ];
    for (name, arguments) in kinds {
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

/// The key's own signature, without the envelope.
fn raw_signature<K: ssh_key::SigningKey>(key: &K, message: &[u8]) -> Signature {
    key.try_sign(message).unwrap()
}

/// Signs as a security key would, in software, with any flags: OpenSSH's
/// PROTOCOL.u2f says what is signed.
fn security_key_signature(flags: u8) -> (String, String) {
    let pair = Ed25519Keypair::from_seed(&[7; 32]);
    let application = "ssh:";
    let public = KeyData::SkEd25519(SkEd25519::new(Ed25519PublicKey(pair.public.0), application));
    let trailer = [flags, 0, 0, 0, 42];
    let mut signed = Sha256::digest(application).to_vec();
    signed.extend(trailer);
    signed
        .extend(Sha256::digest(SshSig::signed_data(NAMESPACE, HashAlg::Sha512, MESSAGE).unwrap()));
    let plain = PrivateKey::new(KeypairData::Ed25519(pair), "").unwrap();
    let signature: Signature = raw_signature(&plain, &signed);
    let mut bytes = signature.as_bytes().to_vec();
    bytes.extend(trailer);
    let signature = Signature::new(Algorithm::SkEd25519, bytes).unwrap();
    let armoured = SshSig::new(public.clone(), NAMESPACE, HashAlg::Sha512, signature).unwrap();
    (PublicKey::from(public).to_openssh().unwrap(), armoured.to_pem(LineEnding::LF).unwrap())
}

#[test]
fn a_security_keys_flags_are_read_and_cannot_be_changed() {
    let here = ssh_keygen_is_here();
    let folder = tempfile::tempdir().unwrap();
    for flags in [0x00, 0x01, 0x05] {
        let (public, signature) = security_key_signature(flags);
        // ssh-keygen says "Good" even to flags 0: the reason why we read them.
        if here {
            assert_eq!(
                both(folder.path(), &public, &signature, NAMESPACE, MESSAGE),
                Some(Some(flags))
            );
        }
        let SignatureState::Good(good) = verify(MESSAGE, signature.as_bytes(), NAMESPACE) else {
            panic!("the signature holds");
        };
        assert_eq!(good.flags, Some(flags));
    }
    let forged = flip_the_flags(&security_key_signature(0x00).1);
    assert!(matches!(verify(MESSAGE, forged.as_bytes(), NAMESPACE), SignatureState::Bad(_)));
}

fn flip_the_flags(armoured: &str) -> String {
    let parsed = SshSig::from_pem(armoured).unwrap();
    let mut bytes = parsed.signature_bytes().to_vec();
    let at = bytes.len() - 5;
    bytes[at] = 0x01;
    let signature = Signature::new(Algorithm::SkEd25519, bytes).unwrap();
    SshSig::new(parsed.public_key().clone(), NAMESPACE, HashAlg::Sha512, signature)
        .unwrap()
        .to_pem(LineEnding::LF)
        .unwrap()
}
