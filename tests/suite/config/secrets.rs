//! Secrets: where they come from, and where they must not go.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lifeboat::config::paths::Paths;
use lifeboat::config::prompt::{Prompter, TtyPrompter};
use lifeboat::config::secrets::SecretResolver;
use lifeboat::model::secret::{ExposeSecret, SecretRef, SecretString, Secrets};

use super::everything;

/// Answers with the purpose and a number, so that a second question shows.
struct Counting(Arc<AtomicUsize>);

impl Prompter for Counting {
    fn ask(&self, purpose: &str) -> Result<SecretString, String> {
        let count = self.0.fetch_add(1, Ordering::SeqCst);
        Ok(SecretString::from(format!("{purpose} {count}")))
    }
}

fn paths(home: &Path) -> Paths {
    Paths { home: home.into(), config_dir: home.into(), data_dir: home.into(), state_dir: home.into() }
}

fn resolver(home: &Path, prompter: Option<Box<dyn Prompter>>) -> SecretResolver {
    SecretResolver::new(&paths(home), &everything().inventory, prompter)
}

fn told(resolver: &SecretResolver, wanted: &SecretRef) -> Result<String, String> {
    resolver.resolve(wanted, "sudo password of ops@a").map(|secret| secret.expose_secret().to_owned())
}

#[test]
fn a_file_is_taken_only_when_nobody_else_can_read_it() {
    let dir = tempfile::tempdir().unwrap();
    let secrets = resolver(dir.path(), None);
    let path = dir.path().join("sudo");
    std::fs::write(&path, "hunter2\r\nsecond line\n").unwrap();
    let home = SecretRef::File("~/sudo".into());
    for mode in [0o640, 0o604, 0o620, 0o644] {
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        let refused = told(&secrets, &home).unwrap_err();
        assert!(refused.contains("chmod 600") && !refused.contains("hunter2"), "{refused}");
    }
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    assert_eq!(told(&secrets, &home), Ok("hunter2".into()));
    std::fs::remove_file(&path).unwrap();
    assert_eq!(told(&secrets, &home), Ok("hunter2".into()), "found once per run");
    assert!(told(&secrets, &SecretRef::File(path)).unwrap_err().contains("sudo password of ops@a"));
    assert!(told(&secrets, &SecretRef::File(dir.path().into())).unwrap_err().contains("not a file"));
    for bad in [&b"\nx"[..], b"", b"\xff\xfe", b"a\0b"] {
        let path = dir.path().join(format!("bad{}", bad.len()));
        std::fs::write(&path, bad).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        assert!(told(&secrets, &SecretRef::File(path)).is_err(), "{bad:?} was taken");
    }
    if rustix::process::geteuid().is_root() {
        let path = dir.path().join("theirs");
        std::fs::write(&path, "x").unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        std::os::unix::fs::chown(&path, Some(65534), None).unwrap();
        assert!(told(&secrets, &SecretRef::File(path)).unwrap_err().contains("belongs to another user"));
    }
}

#[test]
fn a_pipe_in_place_of_a_file_does_not_hang() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    assert!(told(&resolver(dir.path(), None), &SecretRef::File(path)).unwrap_err().contains("not a file"));
}

#[test]
fn a_command_gives_its_first_line_or_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    let secrets = resolver(dir.path(), None);
    let run = |command: &str| told(&secrets, &SecretRef::Command(command.into()));
    assert_eq!(run("echo hunter2; echo more; echo noise >&2"), Ok("hunter2".into()));
    let failed = run("echo hunter2; printf 'no \\033[2Jsuch entry\\n' >&2; exit 3").unwrap_err();
    assert_eq!(failed, "The sudo password of ops@a: its command ended with 3: no \\x1b[2Jsuch entry");
    assert!(run("true").unwrap_err().contains("empty first line"));
    assert!(run("kill -9 $$").unwrap_err().contains("signal 9"));
    assert!(run("cat").unwrap_err().contains("empty first line"), "it has no input to wait for");
    assert!(run("echo ok; yes | head -c 3000000").is_ok(), "a long output is read to its end");
    assert!(run("head -c 70000 /dev/zero | tr '\\0' x").unwrap_err().contains("too long"));
}

#[test]
fn a_command_that_hangs_is_ended_with_its_children() {
    let dir = tempfile::tempdir().unwrap();
    let mark = dir.path().join("survived");
    let secrets = resolver(dir.path(), None).with_timeout(Duration::from_millis(200));
    let command = format!("(sleep 2; touch '{}') & sleep 60", mark.display());
    assert!(told(&secrets, &SecretRef::Command(command)).unwrap_err().contains("gave nothing within 0.2 s"));
    std::thread::sleep(Duration::from_millis(2300));
    assert!(!mark.exists(), "a child went on");
}

/// Cargo sets this variable for the test, and a second one it sets stands for all that is not secret.
#[test]
fn a_secret_variable_is_read_by_us_and_passed_on_to_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let text = "version = 1\n[hosts.a]\npassword = { env = \"CARGO_PKG_NAME\" }\n";
    let inventory = super::parse(text).unwrap().inventory;
    let secrets = SecretResolver::new(&paths(dir.path()), &inventory, None);
    assert_eq!(told(&secrets, &SecretRef::Env("CARGO_PKG_NAME".into())), Ok("lifeboat".into()));
    let child = SecretRef::Command("echo \"<$CARGO_PKG_NAME><${CARGO_PKG_LICENSE:+there}>\"".into());
    assert_eq!(told(&secrets, &child), Ok("<><there>".into()));
    let missing = told(&secrets, &SecretRef::Env("LB_NO_SUCH_THING".into())).unwrap_err();
    assert_eq!(missing, "The sudo password of ops@a: the environment variable LB_NO_SUCH_THING is not set.");
    let empty = secrets.with_environment(Box::new(|_| Some("".into())));
    assert!(told(&empty, &SecretRef::Env("X".into())).is_err());
}

#[test]
fn a_question_is_asked_once_per_purpose_and_again_when_forgotten() {
    let count = Arc::new(AtomicUsize::new(0));
    let secrets = resolver(Path::new("/"), Some(Box::new(Counting(Arc::clone(&count)))));
    let ask = |purpose: &str| secrets.resolve(&SecretRef::Prompt(true), purpose).unwrap().expose_secret().to_owned();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_eq!(ask("a"), "a 0"));
        }
    });
    assert_eq!(ask("b"), "b 1", "another host's password is another password");
    secrets.forget(&SecretRef::Prompt(true), "a");
    assert_eq!(ask("a"), "a 2");
    assert!(!format!("{secrets:?}").contains("a 2"));
}

#[test]
fn nobody_to_ask_names_what_was_needed() {
    let refused = told(&resolver(Path::new("/"), None), &SecretRef::Prompt(true)).unwrap_err();
    assert_eq!(refused, "The sudo password of ops@a is needed, and nobody may be asked for it here.");
    let no_terminal = TtyPrompter::at("/nonexistent").ask("x").unwrap_err();
    assert!(no_terminal.contains("no terminal"));
}

#[test]
fn the_terminal_shows_the_question_and_not_the_answer() {
    let pty = portable_pty::native_pty_system().openpty(portable_pty::PtySize::default()).unwrap();
    let device = pty.master.tty_name().unwrap();
    let mut screen = pty.master.try_clone_reader().unwrap();
    let mut keys = pty.master.take_writer().unwrap();
    let before = rustix::termios::tcgetattr(std::fs::File::open(&device).unwrap()).unwrap();
    let asked = {
        let device = device.clone();
        std::thread::spawn(move || TtyPrompter::at(device).ask("sudo password of ops@a\x1b[2J"))
    };
    let mut seen = Vec::new();
    let mut chunk = [0; 256];
    while !seen.ends_with(b": ") {
        let read = screen.read(&mut chunk).unwrap();
        seen.extend_from_slice(&chunk[..read]);
    }
    keys.write_all(b"hunter3\x7f2\r").unwrap();
    keys.flush().unwrap();
    assert_eq!(asked.join().unwrap().unwrap().expose_secret(), "hunter2");
    while !seen.ends_with(b"\n") {
        let read = screen.read(&mut chunk).unwrap();
        seen.extend_from_slice(&chunk[..read]);
    }
    assert_eq!(String::from_utf8_lossy(&seen), "sudo password of ops@a\\x1b[2J: \r\n");
    let after = rustix::termios::tcgetattr(std::fs::File::open(&device).unwrap()).unwrap();
    assert_eq!(after.local_modes, before.local_modes, "the terminal was left silent");
}
