//! A fleet leaves no process, no mount and no directory, however it ends.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::demo::{Demo, lifeboat};

/// Processes and mounts of the machine that have to do with a place.
fn traces(place: &Path) -> Vec<String> {
    let place = place.to_str().unwrap();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().filter_map(Result::ok) {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains(place) {
            found.push(line);
        }
    }
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    found.extend(mounts.lines().filter(|line| line.contains(place)).map(str::to_owned));
    found
}

fn settled(place: &Path) {
    let began = Instant::now();
    while !traces(place).is_empty() {
        assert!(began.elapsed() < Duration::from_secs(10), "{:#?}", traces(place));
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn an_ordered_end_leaves_nothing() {
    let demo = Demo::start();
    assert!(traces(demo.place.path()).len() >= 12, "the nodes are seen while they live");
    let place = demo.quit();
    // At once: what still ran while the directory was removed could write into it.
    assert_eq!(traces(place.path()), [""; 0]);
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
}

#[test]
fn a_killed_program_takes_its_nodes_along_and_the_next_one_sweeps() {
    let mut demo = Demo::start();
    demo.child.kill().unwrap();
    demo.child.wait().unwrap();
    settled(demo.place.path());
    let left = demo.path("vault").parent().unwrap().to_owned();
    assert!(left.is_dir());
    let place = demo.place.path().to_owned();
    let mut next = lifeboat(&place);
    let output = next.args(["demo", "--exercise"]).output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{err}");
    assert!(err.contains(&format!("Removed {}", left.display())), "{err}");
    assert!(!left.exists());
    settled(&place);
}

#[test]
fn an_interrupt_ends_it_in_order() {
    let mut demo = Demo::start();
    let pid = rustix::process::Pid::from_child(&demo.child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(demo.child.wait().unwrap().code(), Some(0));
    settled(demo.place.path());
    assert_eq!(std::fs::read_dir(demo.place.path()).unwrap().count(), 0);
}

/// Whether an ordinary user may make namespaces here.
fn users_may(user: &[&str]) -> bool {
    let mut command = Command::new(user[0]);
    command.args(&user[1..]).args([
        "unshare",
        "--user",
        "--map-root-user",
        "--mount",
        "--pid",
        "--fork",
        "mount",
        "-t",
        "tmpfs",
        "x",
        "/mnt",
    ]);
    command.output().unwrap().status.success()
}

#[test]
fn an_ordinary_user_can_practise_too() {
    if !rustix::process::geteuid().is_root() {
        // Then every other test here is this one.
        return;
    }
    let place = tempfile::tempdir().unwrap();
    std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let program = place.path().join("lifeboat");
    std::fs::copy(env!("CARGO_BIN_EXE_lifeboat"), &program).unwrap();
    let own = place.path().join("tmp");
    std::fs::create_dir(&own).unwrap();
    std::fs::set_permissions(&own, std::fs::Permissions::from_mode(0o777)).unwrap();
    let user = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
    let output = Command::new(user[0])
        .args(&user[1..])
        .arg(&program)
        .args(["demo", "--exercise"])
        .env_clear()
        .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
        .env("HOME", &own)
        .env("TMPDIR", &own)
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if users_may(&user) {
        assert_eq!(output.status.code(), Some(0), "{out}\n{err}");
    } else {
        assert_eq!(output.status.code(), Some(1), "{out}\n{err}");
        assert!(err.contains("sudo lifeboat demo"), "{err}");
    }
    assert_eq!(std::fs::read_dir(&own).unwrap().count(), 0, "{err}");
}

#[test]
fn a_machine_that_refuses_namespaces_is_told_in_a_sentence() {
    let place = tempfile::tempdir().unwrap();
    let script = "echo 0 >/proc/sys/user/max_mnt_namespaces && exec \"$@\"";
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "sh", "-c", script, "sh", env!("CARGO_BIN_EXE_lifeboat"), "demo"])
        .env("TMPDIR", place.path())
        .output()
        .unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(err.contains("this machine refuses them") && err.contains("next: "), "{err}");
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
}
