//! Security keys made of software: they sign with whatever flags and counter
//! they are told to, as OpenSSH's PROTOCOL.u2f says it is signed. No real one
//! signs without a touch; whoever steals the seed of such a key here does.

use base64ct::{Base64, Encoding};
use sha2::{Digest, Sha256};
use ssh_key::private::{Ed25519Keypair, KeypairData};
use ssh_key::public::{Ed25519PublicKey, KeyData, SkEcdsaSha2NistP256, SkEd25519};
use ssh_key::{Algorithm, HashAlg, PrivateKey, PublicKey, Signature, SshSig};

use crate::attacks::scene::{Forged, Hub, RULES};
use crate::fixture::TestRepo;
use crate::shop::{countersign, key_of, make_key_of};

const APPLICATION: &str = "ssh:";
const APPROVALS: &str = "countersign-approval-v1";

/// A key that says of itself what it likes.
pub(crate) struct SecurityKey {
    plain: PrivateKey,
    public: KeyData,
    kind: Algorithm,
}

impl SecurityKey {
    /// `sk-ssh-ed25519@openssh.com`
    pub(crate) fn ed25519() -> SecurityKey {
        let pair = Ed25519Keypair::from_seed(&[7; 32]);
        let public = SkEd25519::new(Ed25519PublicKey(pair.public.0), APPLICATION);
        let plain = PrivateKey::new(KeypairData::Ed25519(pair), "").unwrap();
        SecurityKey { plain, public: public.into(), kind: Algorithm::SkEd25519 }
    }

    /// `sk-ecdsa-sha2-nistp256@openssh.com`, of a key that ssh-keygen makes;
    /// `None` where it is absent.
    pub(crate) fn ecdsa() -> Option<SecurityKey> {
        let home = TestRepo::new();
        make_key_of(&home, "p256", &["-t", "ecdsa", "-b", "256"])?;
        let text = std::fs::read(key_of(&home, "p256")).unwrap();
        let plain = PrivateKey::from_openssh(text).unwrap();
        let point = *plain.public_key().key_data().ecdsa().unwrap();
        let ssh_key::public::EcdsaPublicKey::NistP256(point) = point else { panic!() };
        let public = SkEcdsaSha2NistP256::from(point);
        Some(SecurityKey { plain, public: public.into(), kind: Algorithm::SkEcdsaSha2NistP256 })
    }

    /// The line of a `.pub` file.
    pub(crate) fn public_line(&self) -> String {
        PublicKey::from(self.public.clone()).to_openssh().unwrap()
    }

    pub(crate) fn fingerprint(&self) -> String {
        self.public.fingerprint(HashAlg::Sha256).to_string()
    }

    /// An armoured SSHSIG with these flags and this counter.
    pub(crate) fn sign(&self, flags: u8, counter: u32, namespace: &str, message: &[u8]) -> String {
        let mut trailer = vec![flags];
        trailer.extend(counter.to_be_bytes());
        let mut signed = Sha256::digest(APPLICATION).to_vec();
        signed.extend(&trailer);
        let data = SshSig::signed_data(namespace, HashAlg::Sha512, message).unwrap();
        signed.extend(Sha256::digest(data));
        let signature: Signature = raw_signature(&self.plain, &signed);
        self.armoured(namespace, signature.as_bytes(), &trailer)
    }

    /// The envelope, written here since ssh-key writes only one of the two kinds right.
    fn armoured(&self, namespace: &str, signature: &[u8], trailer: &[u8]) -> String {
        let string =
            |bytes: &[u8]| [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat();
        let kind = string(self.kind.as_str().as_bytes());
        let signature = [&kind, &string(signature), trailer].concat();
        let public = PublicKey::from(self.public.clone()).to_bytes().unwrap();
        let blob = [
            b"SSHSIG".to_vec(),
            1u32.to_be_bytes().to_vec(),
            string(&public),
            string(namespace.as_bytes()),
            string(b""),
            string(b"sha512"),
            string(&signature),
        ];
        armour(&blob.concat())
    }
}

fn armour(blob: &[u8]) -> String {
    let base64 = Base64::encode_string(blob);
    let lines: Vec<&str> =
        base64.as_bytes().chunks(70).map(|it| std::str::from_utf8(it).unwrap()).collect();
    let body = lines.join("\n");
    format!("-----BEGIN SSH SIGNATURE-----\n{body}\n-----END SSH SIGNATURE-----\n")
}

/// The key's own signature, without the envelope.
fn raw_signature<K: ssh_key::SigningKey>(key: &K, message: &[u8]) -> Signature {
    key.try_sign(message).unwrap()
}

/// A signature with other flags, which the key did not sign: they stand five
/// bytes before the end, the counter behind them.
pub(crate) fn with_flags(armoured: &str, flags: u8) -> String {
    let body: String = armoured.lines().filter(|line| !line.starts_with('-')).collect();
    let mut blob = Base64::decode_vec(&body).unwrap();
    let at = blob.len() - 5;
    blob[at] = flags;
    armour(&blob)
}

/// What the stand-in hands to the test below.
const SIGNS: &str = "SUITE_SIGNS";
const NAMESPACE: &str = "SUITE_NAMESPACE";
const FLAGS: &str = "SUITE_FLAGS";

/// A program called `ssh-keygen` that signs with [`SecurityKey::ed25519`] and
/// keeps what it was called with.
#[cfg(unix)]
pub(crate) struct StandIn {
    folder: tempfile::TempDir,
}

#[cfg(unix)]
impl StandIn {
    /// `flags`: what the key sees when it signs.
    pub(crate) fn new(flags: u8) -> StandIn {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let suite = std::env::current_exe().unwrap();
        let script = format!(
            "#!/bin/sh\nprintf '<%s>' \"$@\" >> '{here}/calls'\nprevious=\nfor word; do\n  \
             if [ \"$previous\" = -n ]; then namespace=$word; fi\n  previous=$word\ndone\n\
             {SIGNS}=$word {NAMESPACE}=$namespace {FLAGS}={flags} exec '{suite}' \
             --exact security_key::the_stand_in_signs >/dev/null\n",
            here = folder.path().display(),
            suite = suite.display(),
        );
        let program = folder.path().join("ssh-keygen");
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::write(folder.path().join("key.pub"), SecurityKey::ed25519().public_line())
            .unwrap();
        StandIn { folder }
    }

    /// The file of the key's public half.
    pub(crate) fn key(&self) -> String {
        self.folder.path().join("key.pub").to_str().unwrap().to_owned()
    }

    /// A `PATH` on which it comes first.
    pub(crate) fn path(&self) -> std::ffi::OsString {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = [self.folder.path().to_owned()].into_iter();
        std::env::join_paths(folders.chain(std::env::split_paths(&path))).unwrap()
    }

    /// The words of all its calls, each word in brackets.
    pub(crate) fn calls(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("calls")).unwrap_or_default()
    }
}

/// Signs in the stand-in's place, where it says so; of itself it tests nothing.
#[test]
fn the_stand_in_signs() {
    let Ok(file) = std::env::var(SIGNS) else { return };
    let word = |name| std::env::var(name).unwrap();
    let message = std::fs::read(&file).unwrap();
    let flags = word(FLAGS).parse().unwrap();
    let signature = SecurityKey::ed25519().sign(flags, 1, &word(NAMESPACE), &message);
    std::fs::write(format!("{file}.sig"), signature).unwrap();
}

/// The hub where bo's one key is this one, and a rule asks for this presence.
fn hub(key: &SecurityKey, presence: &str) -> Option<Hub> {
    let line = key.public_line();
    let rules = RULES
        .replace("from = [\"senior\"]", &format!("from = [\"senior\"], presence = \"{presence}\""));
    let hub = Hub::with(&rules, |people| {
        let bo = people.find("[people.bo]").unwrap();
        let start = bo + people[bo..].find("ssh-ed25519 ").unwrap();
        let end = start + people[start..].find('"').unwrap();
        format!("{}{}{}", &people[..start], line.trim(), &people[end..])
    })?;
    hub.work();
    Some(hub)
}

/// Ana's approval made bo's, signed by bo's security key with these flags.
fn approval(hub: &Hub, key: &SecurityKey, flags: u8) -> Forged {
    let genuine = hub.genuine("ana", "origin/main..HEAD");
    let bytes = crate::attacks::scene::edited(&genuine.bytes, |record| {
        record["predicate"]["by"]["key"] = key.fingerprint().into();
        record["predicate"]["by"]["who"] = "bo".into();
    });
    let signature = key.sign(flags, 7, APPROVALS, &bytes);
    Forged { bytes, signature: Some(signature.into_bytes()) }
}

/// What a rule asks of presence, against what the keys of both kinds signed.
#[test]
fn a_rule_asks_for_what_the_security_key_saw() {
    let Some(ecdsa) = SecurityKey::ecdsa() else { return };
    let touch = "it is signed without a touch of a security key";
    let pin = "it is signed without a security key's PIN or fingerprint";
    for key in [SecurityKey::ed25519(), ecdsa] {
        let hub_for = |presence: &str| hub(&key, presence).unwrap();
        let asks_for_touch = hub_for("touch");
        asks_for_touch.plant(&approval(&asks_for_touch, &key, 0x00)).refuses(touch);
        // The key did not sign these flags.
        let mut forged = approval(&asks_for_touch, &key, 0x00);
        let changed = with_flags(std::str::from_utf8(&forged.signature.unwrap()).unwrap(), 0x01);
        forged.signature = Some(changed.into_bytes());
        asks_for_touch.plant(&forged).refuses("does not count");
        asks_for_touch.plant(&approval(&asks_for_touch, &key, 0x01));
        let said = asks_for_touch.lands();
        assert!(said.passes(), "{}", said.text);

        let asks_for_pin = hub_for("pin");
        asks_for_pin.plant(&approval(&asks_for_pin, &key, 0x01)).refuses(pin);
        asks_for_pin.plant(&approval(&asks_for_pin, &key, 0x05));
        let said = asks_for_pin.lands();
        assert!(said.passes(), "{}", said.text);
    }
    // A plain key shows no presence, whoever holds it.
    let hub = hub(&SecurityKey::ed25519(), "touch").unwrap();
    let record = hub.genuine("ana", "origin/main..HEAD");
    hub.plant(&record).refuses(touch);
    let said = countersign(&hub.chi, &["explain", "origin/main..HEAD"]);
    assert!(said.text.contains(touch), "{}", said.text);
}
