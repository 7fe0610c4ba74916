//! The way to root, against a stand-in for `sudo` that behaves as the real one does without a terminal.

use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::AtomicUsize;

use secrecy::SecretString;

use super::*;

const SUDO: &str = r#"#!/bin/sh
echo "We trust you have received the usual lecture." >&2
mode=$1; shift
case $mode in
  -n) echo "sudo: a password is required" >&2; exit 1 ;;
  -S) [ "$1" = -p ] && prompt=$2; shift 2 ;;
esac
[ "$1" = -- ] && shift
for try in 1 2 3; do
  printf %s "$prompt" >&2
  IFS= read -r word || break
  echo x >>"$(dirname "$0")/sent"
  [ "$word" = "open sesame" ] && exec "$@"
  echo "Sorry, try again." >&2
done
echo "sudo: 1 incorrect password attempt" >&2
exit 1
"#;

/// One word for every secret, how often it was asked for, and how often it was to be forgotten.
struct Word(&'static str, AtomicUsize, AtomicUsize);

impl Secrets for Word {
    fn resolve(&self, _: &SecretRef, purpose: &str) -> Result<SecretString, String> {
        assert!(purpose.starts_with("sudo password of "));
        self.1.fetch_add(1, Ordering::SeqCst);
        if self.0.is_empty() {
            return Err(format!("The {purpose} is needed, and nobody may be asked."));
        }
        Ok(SecretString::from(self.0))
    }
    fn forget(&self, _: &SecretRef, _: &str) {
        self.2.fetch_add(1, Ordering::SeqCst);
    }
}

/// This machine with a `sudo` that asks, as a login that is not root sees it.
fn asking(word: &'static str, folder: &std::path::Path) -> (Local, Arc<Word>) {
    let file = folder.join("sudo");
    std::fs::write(&file, SUDO).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("PATH={}:/usr/bin:/bin", folder.display());
    let secrets = Arc::new(Word(word, AtomicUsize::new(0), AtomicUsize::new(0)));
    let spec = LocalSpec {
        name: "n".into(),
        become_password: Some(SecretRef::Prompt(true)),
        prefix: vec!["/usr/bin/env".into(), path.into()],
        ..LocalSpec::default()
    };
    let dyn_secrets: Arc<dyn Secrets> = Arc::<Word>::clone(&secrets);
    let endpoint = Endpoint { name: "n".into(), user: "ops".into(), ..Endpoint::default() };
    let mut local = Local { spec, secrets: dyn_secrets, endpoint, root: RootPath::default(), over: Arc::default() };
    local.root = RootPath::find(false, Become::Sudo, true, |probe, way| {
        Box::new(local.run_script(probe, Some(way), &Cancel::new())?).finish()
    })
    .unwrap();
    (local, secrets)
}

#[test]
fn the_password_is_sent_when_asked_and_never_reaches_the_script() {
    let folder = tempfile::tempdir().unwrap();
    let (local, secrets) = asking("open sesame", folder.path());
    assert_eq!(local.root.told, "sudo with password");
    assert_eq!(secrets.1.load(Ordering::SeqCst), 0);
    for _ in 0..2 {
        let script =
            Script::new("cat; tr '\\0' ' ' </proc/$PPID/cmdline; cat /proc/$PPID/environ").as_root().with_input();
        let out = local.run(&script, b"data\n", 100_000, &Cancel::new()).unwrap();
        assert!(out.success() && out.stdout.starts_with(b"data\n"), "{out:?}");
        let all = [out.stdout, out.stderr.as_str().into()].concat();
        assert!(!String::from_utf8_lossy(&all).contains("sesame"));
    }
    let plain = local.run(&Script::new("echo x").as_root(), b"", 100, &Cancel::new()).unwrap();
    assert_eq!((plain.text().as_str(), plain.stderr.as_str()), ("x", ""));
    assert_eq!(secrets.1.load(Ordering::SeqCst), 1, "asked once per session");
}

#[test]
fn a_wrong_password_is_a_sentence_and_is_not_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let (local, secrets) = asking("wrong", folder.path());
    let second = local.again(&Cancel::new()).unwrap();
    let refusal = |node: &dyn Transport| {
        node.run(&Script::new("echo no").as_root(), b"", 100, &Cancel::new()).unwrap_err().to_string()
    };
    assert_eq!(refusal(&local), "Root could not be reached on n: the password was not accepted.");
    for node in [&local as &dyn Transport, &*second] {
        let again =
            "Root could not be reached on n: the password was not accepted, and over this login it is not tried again.";
        assert_eq!(refusal(node), again);
    }
    assert_eq!(secrets.1.load(Ordering::SeqCst), 1);
    assert_eq!(sent(folder.path()), 1, "repeated refusals lock accounts");
    assert_eq!(secrets.2.load(Ordering::SeqCst), 1, "the next login asks anew");
}

/// How many passwords the stand-in for `sudo` was given.
fn sent(folder: &std::path::Path) -> usize {
    std::fs::read_to_string(folder.join("sent")).map_or(0, |text| text.lines().count())
}

#[test]
fn nobody_there_to_ask_is_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let (local, _) = asking("", folder.path());
    let error = local.run(&Script::new("echo no").as_root(), b"", 100, &Cancel::new()).unwrap_err().to_string();
    assert_eq!(error, "Root could not be reached on n: the sudo password of ops is needed, and nobody may be asked.");
}

#[test]
fn a_variable_that_holds_a_secret_reaches_no_script() {
    let name = "CARGO_MANIFEST_DIR".to_owned();
    assert!(std::env::var_os(&name).is_some(), "cargo sets it for every test");
    let says = |hidden: Vec<String>| {
        let spec = LocalSpec { name: "n".into(), hidden, ..LocalSpec::default() };
        let node = connect(&spec, &(Arc::new(Word("", AtomicUsize::new(0), AtomicUsize::new(0))) as Arc<dyn Secrets>));
        let script = Script::new("env | grep -c \"^$1=\"").arg(&name);
        node.unwrap().run(&script, b"", 100, &Cancel::new()).unwrap().text().as_str().to_owned()
    };
    assert_eq!((says(Vec::new()), says(vec![name.clone()])), ("1".to_owned(), "0".to_owned()), "{name}");
}

#[test]
fn a_missing_sudo_is_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let (local, _) = asking("x", folder.path());
    let way = RootWay::Doas;
    let script = Script::new("id").as_root();
    let Err(error) = local.run_script(&script, Some(&way), &Cancel::new()) else { panic!("there is no doas") };
    assert!(error.to_string().contains("not installed"), "{error}");
}
