//! A vault, a state directory and a key that may not be read or written. Whoever runs the tests is root, whom no mode keeps
//! from anything: the program runs as root without the capabilities that make it so.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::faults::{kill_after_step, left_by_lifeboat, nothing_staged};
use super::taken_over::one;
use crate::support::console::{Console, Ended, files_below};

/// The program, for which modes count.
fn run_bound(console: &Console, args: &[&str]) -> Ended {
    let program = console.command(args);
    let mut bound = Command::new("setpriv");
    bound.args(["--bounding-set=-all", "--inh-caps=-all", "--"]).arg(program.get_program()).args(program.get_args());
    bound.env_clear().envs(program.get_envs().filter_map(|(name, value)| Some((name, value?)))).stdin(Stdio::null());
    let output = bound.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let ended = Ended { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) };
    println!("{args:?}: {:?}\n{}{}", ended.code, ended.out, ended.err);
    ended
}

/// A path that has another mode as long as this stands.
struct Shut(PathBuf, u32);

impl Shut {
    fn of(path: &Path, mode: u32) -> Self {
        let was = path.metadata().unwrap().permissions().mode() & 0o7777;
        set_permissions(path, Permissions::from_mode(mode)).unwrap();
        Self(path.to_owned(), was)
    }
}

impl Drop for Shut {
    fn drop(&mut self) {
        set_permissions(&self.0, Permissions::from_mode(self.1)).unwrap();
    }
}

/// Every file of the vault with its bytes, but for what each run that ends replaces.
fn stored(console: &Console) -> Vec<(PathBuf, Vec<u8>)> {
    let is_lasting = |path: &PathBuf| {
        let mut parts = path.components().map(|part| part.as_os_str().to_string_lossy());
        !parts.any(|part| part == ".leases" || part.starts_with(".next-"))
    };
    let files = files_below(&console.path("vault")).into_iter().filter(is_lasting);
    files.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

#[test]
fn what_may_not_be_read_or_written_is_named_and_nothing_is_half_done() {
    let (console, machine) = one(&|_| "[hosts.val-1.services.files]\npaths = [\"/srv/app\"]\n".to_owned());
    machine.exec("mkdir /srv/app && echo saved >/srv/app/file").ok();
    let backup = ["backup", "val-1/files/tree"];
    let restore = ["restore", "val-1/files/tree", "--to", "val-1", "--confirm", "overwrite=val-1"];
    run_bound(&console, &backup).expect(0);
    machine.exec("echo other >/srv/app/file").ok();
    // Killed when the files lay beside their place.
    let broken_off = kill_after_step(&console, &restore, 2);
    let resume = ["resume", broken_off.as_str(), "--roll-back"];
    let node = || {
        machine
            .exec(
                "find /srv /var/lib/lifeboat ! -name lock ! -name holder -printf '%p %s\\n' | sort; cat /srv/app/file",
            )
            .ok()
    };
    let before = (node(), stored(&console));
    let (vault, data) = (console.path("vault"), console.path("data"));
    let run = vault.join("runs").join(&broken_off);

    // Of each: what is shut, with which mode, what is tried then, the end, and what is named.
    let cases: [(&Path, u32, &[&[&str]], i32); 7] = [
        (&vault, 0o000, &[&backup, &restore, &resume, &["list"], &["verify"]], 13),
        (&vault.join("vault.json"), 0o000, &[&backup, &restore, &resume, &["list"]], 13),
        (&vault.join("runs"), 0o500, &[&backup, &restore], 13),
        (&run, 0o500, &[&resume], 13),
        (&vault.join(".staging"), 0o500, &[&backup], 13),
        (&data.join("console.key"), 0o000, &[&backup, &restore, &resume], 13),
        (&console.path("key.txt"), 0o000, &[&backup, &restore, &resume], 13),
    ];
    for (path, mode, tried, code) in cases {
        let shut = Shut::of(path, mode);
        for args in tried {
            println!("{} {mode:o}", path.display());
            let ended = run_bound(&console, args).expect(code);
            let named = path.file_name().unwrap().to_str().unwrap();
            assert!(ended.err.contains("Permission denied") && ended.err.contains(named), "{}", ended.err);
            assert_eq!(node(), before.0, "{} {mode:o}, {args:?}: the node", path.display());
        }
        drop(shut);
        nothing_staged(&vault);
    }

    // A key of the login, and what nothing is stored in: the way to the node is not there, and it says so.
    let shut = Shut::of(&data.join("known_hosts"), 0o000);
    let ended = run_bound(&console, &backup).expect(10);
    assert!(ended.err.contains("known_hosts"), "{}", ended.err);
    drop(shut);

    // A disk that is mounted to be read only.
    let bind = |args: &[&str]| assert!(Command::new("mount").args(args).status().unwrap().success(), "{args:?}");
    let at = vault.to_str().unwrap();
    bind(&["--bind", at, at]);
    bind(&["-o", "remount,bind,ro", at]);
    for args in [&backup[..], &restore, &resume] {
        let ended = run_bound(&console, args).expect(13);
        assert!(ended.err.contains("Read-only file system") && ended.err.contains("vault"), "{}", ended.err);
    }
    run_bound(&console, &["list"]).expect(0);
    assert!(Command::new("umount").arg(&vault).status().unwrap().success());
    assert_eq!(node(), before.0);

    // Whatever was tried, what was stored is as it was, and what was begun can be ended.
    let now = stored(&console);
    for (path, bytes) in &before.1 {
        assert!(now.iter().any(|(same, now)| same == path && now == bytes), "{} is not as it was", path.display());
    }
    console.run(&["verify"]).expect(0);
    run_bound(&console, &resume).expect(0);
    assert_eq!(machine.exec("cat /srv/app/file").ok(), "other\n");
    assert_eq!(left_by_lifeboat(&machine), "");
    run_bound(&console, &restore).expect(0);
    assert_eq!(machine.exec("cat /srv/app/file").ok(), "saved\n");
}
