//! Recipients and private keys of every kind.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::*;
use lifeboat::model::exit::Exit;
use lifeboat::model::secret::SecretString;

fn ssh_keygen(dir: &Path, name: &str, kind: &[&str], passphrase: &str) -> (PathBuf, String) {
    let path = dir.join(name);
    let mut keygen = Command::new("ssh-keygen");
    keygen.args(["-q", "-N", passphrase, "-C", "test", "-t"]).args(kind).arg("-f").arg(&path);
    assert!(keygen.status().unwrap().success());
    let public = fs::read_to_string(path.with_extension("pub")).unwrap();
    (path, public.trim().to_owned())
}

#[test]
fn every_kind_of_key_opens_what_was_sealed_to_it() {
    let bench = Bench::new();
    let dir = bench.dir.path();
    let (plain, plain_public) = ssh_keygen(dir, "ed", &["ed25519"], "");
    let (locked, locked_public) = ssh_keygen(dir, "locked", &["ed25519"], "open sesame");
    let (rsa, rsa_public) = ssh_keygen(dir, "rsa", &["rsa", "-b", "2048"], "");
    let (wrapped_clear, wrapped_public) = new_key(dir, "inner.txt");
    let wrapped = dir.join("wrapped.age");
    let mut sealed = Vec::new();
    let mut passphrase = age::scrypt::Recipient::new(SecretString::from("open sesame".to_owned()));
    passphrase.set_work_factor(8);
    let encryptor = age::Encryptor::with_recipients(std::iter::once(&passphrase as &dyn age::Recipient)).unwrap();
    let mut writer = encryptor.wrap_output(&mut sealed).unwrap();
    std::io::Write::write_all(&mut writer, &fs::read(wrapped_clear).unwrap()).unwrap();
    writer.finish().unwrap();
    fs::write(&wrapped, sealed).unwrap();
    let recipients = [plain_public, locked_public, rsa_public, wrapped_public, bench.vault.recipients()[0].clone()];
    let copy = Copy { sealing: Sealing::to(&recipients).unwrap(), ..Copy::secret(&bench) };
    let snapshot = bench.find(&bench.put(&copy).unwrap());
    for path in [&plain, &locked, &rsa, &wrapped, &bench.key_file] {
        let mut keys = Keys::none();
        keys.add_file(path, &|why| {
            assert!(why.starts_with("passphrase of '"), "{why}");
            Some(SecretString::from("open sesame".to_owned()))
        })
        .unwrap();
        bench.vault.openable(&snapshot, &keys).unwrap();
        assert_eq!(read_back(&bench.vault, &snapshot, "staker.crt", &keys).unwrap(), b"a certificate");
    }
    for path in [&locked, &wrapped] {
        let wrong = Keys::none().add_file(path, &|_| Some(SecretString::from("wrong".to_owned()))).unwrap_err();
        assert!(wrong.to_string().contains("the passphrase does not open it"), "{wrong}");
        assert!(Keys::none().add_file(path, &|_| None).unwrap_err().to_string().contains("needs a passphrase"));
    }
}

#[test]
fn a_wrong_key_is_told_apart_from_damage() {
    let bench = Bench::new();
    let published = bench.put(&Copy::secret(&bench)).unwrap();
    let snapshot = bench.find(&published);
    let (other, _) = new_key(bench.dir.path(), "other.txt");
    let mut wrong = Keys::none();
    wrong.add_file(&other, &|_| None).unwrap();
    for keys in [&wrong, &Keys::none()] {
        let locked = bench.vault.openable(&snapshot, keys).unwrap_err();
        assert_eq!(locked.exit(), Exit::Vault, "{locked}");
        assert!(matches!(locked, VaultError::Locked { .. }));
    }
    assert!(intact(&bench.vault, &snapshot).is_empty(), "intact needs no key");
    let at = published.path.join("staker.crt.age");
    let mut bytes = fs::read(&at).unwrap();
    bytes[70] ^= 1;
    fs::write(&at, bytes).unwrap();
    assert_eq!(bench.vault.openable(&snapshot, &bench.keys()).unwrap_err().exit(), Exit::Integrity);
}

#[test]
fn keys_and_recipients_that_cannot_work_are_refused_without_repeating_a_secret() {
    let bench = Bench::new();
    let secret = fs::read_to_string(&bench.key_file).unwrap();
    let secret = secret.lines().last().unwrap();
    for bad in ["age1xyz", "ssh-ed25519 AAAA", "hello", "ssh-dss AAAAB3NzaC1kc3MAAACBAP", secret] {
        let refused = Sealing::to(&[bad.to_owned()]).unwrap_err();
        assert_eq!(refused.exit(), Exit::Usage);
        assert!(!refused.to_string().contains(&secret[20..]), "{refused}");
    }
    let path = bench.dir.path().join("bad.txt");
    for bad in [
        "",
        "# only a comment\n",
        &secret[..40],
        "-----BEGIN OPENSSH PRIVATE KEY-----\nxx\n",
        "AGE-PLUGIN-YUBIKEY-1Q\n",
    ] {
        fs::write(&path, bad).unwrap();
        let refused = Keys::none().add_file(&path, &|_| None).unwrap_err();
        assert_eq!(refused.exit(), Exit::Vault);
        assert!(!refused.to_string().contains(&secret[20..40]), "{refused}");
    }
    fs::copy(&bench.key_file, &path).unwrap();
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let mut keys = Keys::none();
    keys.add_file(&path, &|_| None).unwrap();
    assert_eq!(keys.warnings().len(), 1);
}
