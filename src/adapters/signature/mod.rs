//! SSH signatures: made by ssh-keygen, verified in process (`ssh-key` lives here).
//!
//! ssh-keygen signs because it knows agents, security keys and passphrases.
//! It does not verify, because it says "Good" to a security key's signature
//! that was made without a touch; the flags that tell are read here.
//! Format: <https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.sshsig>.

use std::path::{Path, PathBuf};
use std::time::Duration;

use certificate::Certified;
use ssh_key::{Algorithm, HashAlg, PrivateKey, PublicKey, SshSig};

use super::fs::{self, FsError};
use super::process::{Call, Output, ProcessError};
use super::supervise::{self, Ended, Limits};
use crate::gate::policy::{Person, PersonKind, Policy};
use crate::gate::record::{Certificate, RecordType, SignatureState, SshSignature};

mod certificate;

/// The most bytes that a signature or a key file may have.
const MAX_SIGNATURE: usize = 64 << 10;

/// How long a signature may take where nobody is asked: a security key that is
/// not touched, or an agent that waits for somebody's word, holds nothing up.
const PATIENCE: Duration = Duration::from_secs(30);

/// The namespace that git signs commits under.
const GIT_NAMESPACE: &str = "git";

/// What keeps a record from being signed.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    #[error("no signing key is known")]
    NoKey,
    #[error("`user.signingkey` is `{0}`, which is no ssh key")]
    NotSsh(String),
    #[error("the key `{0}` is not there")]
    KeyMissing(PathBuf),
    #[error("`{0}` holds no OpenSSH key that can be read")]
    NotAKey(PathBuf),
    #[error("ssh-keygen did not sign with `{key}`: {complaint}")]
    Refused { key: String, complaint: String },
    #[error("ssh-keygen signed with `{key}`, and the signature does not hold: {why}")]
    DoesNotHold { key: String, why: String },
    #[error(transparent)]
    Fs(#[from] FsError),
    #[error(transparent)]
    Process(#[from] ProcessError),
}

impl SignatureError {
    /// What the person can do.
    pub fn hints(&self) -> Vec<String> {
        match self {
            SignatureError::NoKey => vec![
                "name your key: `git config --global user.signingkey ~/.ssh/id_ed25519.pub`".into(),
                "no key yet: `ssh-keygen -t ed25519`, then add its public half to your `keys` in countersign.toml".into(),
            ],
            SignatureError::NotSsh(_) => vec![
                "name an ssh key: `--key ~/.ssh/id_ed25519`, or `git config user.signingkey ~/.ssh/id_ed25519.pub`".into(),
            ],
            SignatureError::KeyMissing(_) | SignatureError::NotAKey(_) => {
                vec!["make one: `ssh-keygen -t ed25519`".into()]
            }
            SignatureError::Refused { .. }
            | SignatureError::DoesNotHold { .. }
            | SignatureError::Fs(_)
            | SignatureError::Process(_) => Vec::new(),
        }
    }
}

/// Which key signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// A private key's file, or a public one or a certificate whose private
    /// half stands beside it or in the agent.
    File(PathBuf),
    /// A public key in OpenSSH's one-line form; the agent holds the private half.
    Agent(String),
}

impl KeySource {
    /// Chooses the key: `given` (`--key`), else git's `user.signingkey` as git
    /// reads it: a path, or the key itself, with or without `key::`.
    pub fn choose(
        given: Option<&Path>,
        configured: Option<&str>,
        home: Option<&Path>,
        dir: &Path,
    ) -> Result<KeySource, SignatureError> {
        if let Some(path) = given {
            return Ok(KeySource::File(dir.join(path)));
        }
        let configured = configured.ok_or(SignatureError::NoKey)?;
        if let Some(literal) = configured.strip_prefix("key::") {
            return Ok(KeySource::Agent(literal.trim().to_owned()));
        }
        if public_half(configured).is_some() {
            return Ok(KeySource::Agent(configured.to_owned()));
        }
        let path = match (configured.strip_prefix("~/"), home) {
            (Some(rest), Some(home)) => home.join(rest),
            (Some(_), None) | (None, _) => dir.join(configured),
        };
        if fs::read(&path, MAX_SIGNATURE as u64)?.is_none() {
            return Err(SignatureError::NotSsh(configured.to_owned()));
        }
        Ok(KeySource::File(path))
    }

    /// How errors call it.
    fn name(&self) -> String {
        match self {
            KeySource::File(path) => path.display().to_string(),
            KeySource::Agent(_) => "the agent's key".to_owned(),
        }
    }
}

/// Returns the fingerprint (`SHA256:…`) of a key, from its public half:
/// nothing is asked of the person, and nothing is unlocked.
pub fn fingerprint_of(key: &KeySource) -> Result<String, SignatureError> {
    public_key(key).map(|it| it.key.fingerprint(HashAlg::Sha256).to_string())
}

/// Returns what a signature of this key is going to show, if a security key is
/// touched and unlocked as it should be.
pub fn signature_to_come(key: &KeySource) -> Result<SshSignature, SignatureError> {
    let Public { key, certificate } = public_key(key)?;
    Ok(SshSignature {
        fingerprint: key.fingerprint(HashAlg::Sha256).to_string(),
        flags: is_hardware(&key).then_some(0x05),
        certificate,
    })
}

/// Returns the public half in OpenSSH's one-line form, without its comment.
pub fn public_line(key: &KeySource) -> Result<String, SignatureError> {
    let mut public = public_key(key)?.key;
    public.set_comment("");
    let line =
        public.to_openssh().map_err(|_| SignatureError::NotAKey(PathBuf::from(key.name())))?;
    Ok(line.trim().to_owned())
}

/// The public half of a key, and what vouches for it.
struct Public {
    key: PublicKey,
    certificate: Option<Certificate>,
}

/// Reads a public key or a certificate in one line; `None`: it is neither.
fn public_half(line: &str) -> Option<Result<Public, String>> {
    let certified = certificate::read_line(line).map(|certified| {
        let Certified { key, certificate } = certified?;
        Ok(Public { key, certificate: Some(certificate) })
    });
    certified.or_else(|| {
        let key = PublicKey::from_openssh(line.trim()).ok()?;
        Some(Ok(Public { key, certificate: None }))
    })
}

fn public_key(key: &KeySource) -> Result<Public, SignatureError> {
    let refused = |why: String| SignatureError::Refused { key: key.name(), complaint: why };
    let path = match key {
        KeySource::File(path) => path,
        KeySource::Agent(line) => {
            return public_half(line)
                .ok_or_else(|| SignatureError::NotSsh(line.chars().take(80).collect()))?
                .map_err(refused);
        }
    };
    let read = |path: &Path| fs::read(path, MAX_SIGNATURE as u64);
    let bytes = read(path)?.ok_or_else(|| SignatureError::KeyMissing(path.clone()))?;
    let text = String::from_utf8_lossy(&bytes);
    // An encrypted private key carries its public half in the clear.
    if let Some(public) = public_half(&text) {
        return public.map_err(refused);
    }
    if let Ok(private) = PrivateKey::from_openssh(text.as_bytes()) {
        return Ok(Public { key: private.public_key().clone(), certificate: None });
    }
    // Older private formats, which only the file beside them explains.
    let mut beside = path.clone().into_os_string();
    beside.push(".pub");
    let beside = read(Path::new(&beside))?.unwrap_or_default();
    match public_half(&String::from_utf8_lossy(&beside)) {
        Some(public) => public.map_err(refused),
        None => Err(SignatureError::NotAKey(path.clone())),
    }
}

/// Signs bytes under a namespace and returns the armoured SSHSIG, which was
/// verified before it is returned. With a terminal, ssh-keygen may ask there
/// for a passphrase, a PIN or a touch; without one it asks nobody, also not at
/// a terminal that it finds by itself, and waits for half a minute at most.
pub fn sign(
    bytes: &[u8],
    namespace: &str,
    key: &KeySource,
    terminal: bool,
) -> Result<String, SignatureError> {
    let folder = fs::scratch_folder()?;
    let file = folder.path().join("record");
    fs::write_atomically(&file, bytes, 0o600)?;
    let mut call =
        Call::new("ssh-keygen", folder.path()).args(["-q", "-Y", "sign", "-n", namespace]);
    if !terminal {
        // It would open the controlling terminal, whatever its standard input is.
        call = call.args(["-P", ""]).env("SSH_ASKPASS_REQUIRE", "never");
    }
    match key {
        KeySource::File(path) => call = call.arg("-f").arg(path),
        KeySource::Agent(line) => {
            let public = folder.path().join("key.pub");
            fs::write_atomically(&public, format!("{line}\n").as_bytes(), 0o600)?;
            call = call.arg("-U").arg("-f").arg(public);
        }
    }
    let refused = |complaint: String| SignatureError::Refused { key: key.name(), complaint };
    let call = call.arg(&file);
    if terminal {
        if call.run_interactively()? != Some(0) {
            return Err(refused("it said why above".to_owned()));
        }
    } else {
        unattended(&call, PATIENCE)?.map_err(refused)?;
    }
    let signature = fs::read(&folder.path().join("record.sig"), MAX_SIGNATURE as u64)?
        .ok_or_else(|| refused("it wrote no signature".to_owned()))?;
    let does_not_hold = |why: String| SignatureError::DoesNotHold { key: key.name(), why };
    let expected = signature_to_come(key)?;
    match verify(bytes, &signature, namespace) {
        SignatureState::Good(good)
            if good.fingerprint == expected.fingerprint
                && good.certificate == expected.certificate =>
        {
            String::from_utf8(signature).map_err(|_| does_not_hold("it is no text".to_owned()))
        }
        SignatureState::Good(_) => Err(does_not_hold("another key made it".to_owned())),
        SignatureState::Bad(why) => Err(does_not_hold(why)),
        SignatureState::Unsigned => Err(does_not_hold("it is empty".to_owned())),
    }
}

/// Runs a call that nobody watches; `Ok(Err)`: why it did not succeed.
fn unattended(call: &Call, timeout: Duration) -> Result<Result<(), String>, ProcessError> {
    let (send, said) = std::sync::mpsc::channel();
    let interrupted = supervise::interruption();
    let limits = Limits { timeout, interrupted: &interrupted };
    let supervised = supervise::supervise(call, limits, move |bytes| {
        send.send(bytes.to_vec()).ok();
    })?;
    // Whoever survived the command may hold its output open: nobody waits for that.
    let complaint = || {
        Output { code: None, stdout: Vec::new(), stderr: said.try_iter().flatten().collect() }
            .complaint()
    };
    Ok(match supervised.ended {
        Ended::Exited(0) => Ok(()),
        Ended::Exited(_) | Ended::Killed(_) => Err(complaint()),
        Ended::TimedOut => {
            Err(format!("nobody touched or unlocked it within {} seconds", timeout.as_secs()))
        }
        Ended::Interrupted => Err("it was interrupted".to_owned()),
    })
}

/// Verifies an armoured SSHSIG over bytes, under exactly this namespace.
pub fn verify(bytes: &[u8], signature: &[u8], namespace: &str) -> SignatureState {
    match good_signature(bytes, signature, namespace) {
        Ok(good) => SignatureState::Good(good),
        Err(why) => SignatureState::Bad(why),
    }
}

/// Verifies the signature of a commit: `payload` is the commit object without
/// its `gpgsig` header.
pub fn verify_commit(payload: &[u8], signature: &[u8]) -> SignatureState {
    verify(payload, signature, GIT_NAMESPACE)
}

/// Whether bytes have the shape of an armoured SSHSIG under this namespace.
pub fn well_formed(signature: &[u8], namespace: &str) -> Result<(), String> {
    decode(signature, namespace).map(drop)
}

fn decode(signature: &[u8], namespace: &str) -> Result<(SshSig, Option<Certificate>), String> {
    if signature.len() > MAX_SIGNATURE {
        return Err(format!("it has more than {MAX_SIGNATURE} bytes"));
    }
    // Stock tools read it with and without its last newline.
    let mut armoured = signature.trim_ascii().to_vec();
    armoured.push(b'\n');
    let (signature, certificate) = match SshSig::from_pem(&armoured) {
        Ok(signature) => (signature, None),
        Err(error) => {
            let text = std::str::from_utf8(&armoured).ok();
            let (signature, certified) = text
                .and_then(certificate::read_signature)
                .unwrap_or_else(|| Err(format!("it is no SSH signature ({error})")))?;
            (signature, Some(certified.certificate))
        }
    };
    if signature.version() != SshSig::VERSION {
        return Err(format!("its version {} is not known", signature.version()));
    }
    if signature.namespace() != namespace {
        let is = crate::gate::change::printable(signature.namespace());
        return Err(format!("its namespace is `{is}`, not `{namespace}`"));
    }
    Ok((signature, certificate))
}

fn good_signature(bytes: &[u8], signature: &[u8], namespace: &str) -> Result<SshSignature, String> {
    let (signature, certificate) = decode(signature, namespace)?;
    let key = PublicKey::from(signature.public_key().clone());
    key.verify(namespace, bytes, &signature).map_err(|error| match error {
        ssh_key::Error::AlgorithmUnknown | ssh_key::Error::AlgorithmUnsupported { .. } => {
            format!("keys of the type `{}` are not supported", key.algorithm())
        }
        _ => "incorrect signature".to_owned(),
    })?;
    let flags = match is_hardware(&key) {
        true => Some(security_key_flags(&signature)?),
        false => None,
    };
    let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
    Ok(SshSignature { fingerprint, flags, certificate })
}

fn is_hardware(key: &PublicKey) -> bool {
    matches!(key.algorithm(), Algorithm::SkEd25519 | Algorithm::SkEcdsaSha2NistP256)
}

/// A security key appends one byte of flags and a counter of four bytes to
/// what it signs and to its signature.
fn security_key_flags(signature: &SshSig) -> Result<u8, String> {
    let bytes = signature.signature_bytes();
    let at = bytes.len().checked_sub(5).ok_or("it carries no flags")?;
    Ok(bytes[at])
}

/// Writes the policy's people as an `allowed_signers` file, so that anybody
/// can verify records with `ssh-keygen -Y verify`. Keys may sign what their
/// person may say: only humans judge and waive. Keys that are revoked
/// altogether are left out. An authority stands for its person's addresses,
/// which are what certificates name: such a signature is verified with
/// `-I ADDRESS`, and any other with `-I NAME`.
pub fn allowed_signers(policy: &Policy) -> String {
    let revoked = |fingerprint: &str| {
        policy.revoked.iter().any(|it| it.key == fingerprint && it.after.is_none())
    };
    let mut text = String::new();
    for person in policy.people.values().filter(|it| is_principal(&it.name)) {
        let namespaces: Vec<_> = may_sign(person).map(RecordType::namespace).collect();
        for key in person.keys.iter().filter(|key| !revoked(&key.fingerprint)) {
            let namespaces = namespaces.join(",");
            let line = if key.cert_authority {
                let emails = person.emails.iter().filter(|it| is_principal(it));
                let emails: Vec<&str> = emails.map(String::as_str).collect();
                if emails.is_empty() {
                    continue;
                }
                format!("{} cert-authority,namespaces=\"{namespaces}\"", emails.join(","))
            } else {
                format!("{} namespaces=\"{namespaces}\"", person.name)
            };
            text.push_str(&format!("{line} {}\n", key.openssh));
        }
    }
    text
}

fn may_sign(person: &Person) -> impl Iterator<Item = RecordType> {
    let kind = person.kind;
    RecordType::ALL.iter().copied().filter(move |record_type| match record_type {
        RecordType::Approval
        | RecordType::Rejection
        | RecordType::Withdrawal
        | RecordType::Waiver => kind == PersonKind::Human,
        RecordType::Run | RecordType::Preview | RecordType::Verdict => kind != PersonKind::Agent,
        RecordType::Attribution => true,
    })
}

/// Whether a name means itself in an `allowed_signers` file: no pattern, no
/// list, no comment, no space.
fn is_principal(name: &str) -> bool {
    name.chars().all(|it| it.is_alphanumeric() || "._@+-/:".contains(it))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_signatures_are_bad_not_fatal() {
        let armoured = |body: &str| {
            format!("-----BEGIN SSH SIGNATURE-----\n{body}\n-----END SSH SIGNATURE-----\n")
        };
        for text in [
            String::new(),
            "nothing".to_owned(),
            armoured(""),
            armoured("AAAA"),
            armoured("U1NIU0lH"),
            armoured("U1NIU0lHAAAAAQ=="),
            armoured("U1NIU0lHAAAAAf////8="),
            "-".repeat(MAX_SIGNATURE + 1),
        ] {
            assert!(
                matches!(verify(b"", text.as_bytes(), "file"), SignatureState::Bad(_)),
                "{text:.80}"
            );
        }
    }

    #[test]
    #[cfg(unix)]
    fn who_is_not_touched_in_time_signs_nothing() {
        let folder = fs::scratch_folder().expect("a scratch folder");
        let run = |script: &str, limit| {
            unattended(&Call::new("sh", folder.path()).args(["-c", script]), limit).expect("runs")
        };
        let why = run("exec sleep 600", Duration::from_millis(50)).expect_err("no touch");
        assert_eq!(why, "nobody touched or unlocked it within 0 seconds");
        assert_eq!(run("echo no >&2; echo key; exit 3", PATIENCE), Err("no; key".to_owned()));
        assert_eq!(run("true", PATIENCE), Ok(()));
    }

    #[test]
    fn keys_are_chosen_as_git_chooses_them() {
        let folder = fs::scratch_folder().expect("a scratch folder");
        fs::write_atomically(&folder.path().join("id.pub"), b"", 0o600).expect("writes");
        let choose = |configured: Option<&str>| {
            KeySource::choose(None, configured, Some(folder.path()), Path::new("/nowhere")).ok()
        };
        let line =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
        assert_eq!(choose(Some("~/id.pub")), Some(KeySource::File(folder.path().join("id.pub"))));
        assert_eq!(choose(Some(line)), Some(KeySource::Agent(line.into())));
        let literal = format!("key::{line}");
        assert_eq!(choose(Some(&literal)), Some(KeySource::Agent(line.into())));
        assert_eq!(choose(Some("4AEE18F83AFDEB23")), None);
        assert_eq!(choose(None), None);
        let given = KeySource::choose(Some(Path::new("k")), Some(line), None, Path::new("/d"));
        assert_eq!(given.ok(), Some(KeySource::File("/d/k".into())));
    }
}
