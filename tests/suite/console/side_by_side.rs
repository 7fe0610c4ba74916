//! Several jobs side by side in the real program: one fails and is tried again while another one works on, and the
//! bell is rung at the end of the long one.

use std::path::Path;
use std::time::Duration;

use super::life::assert_given_back;
use crate::rehearsal::demo::Demo;
use crate::support::console::Console;
use crate::support::operator::{go_to_host, go_to_item};
use crate::support::pty::{Pty, Start};

const SLOW: &str = "web-1/files/tree";
const BROKEN: &str = "web-2/files/tree";
const QUICK: &str = "val-1/avalanchego/staking-identity";
const BELL: &str = "\x07";
const DOWN: &str = "\x1b[B";

/// On a node whose archives are not begun until somebody says so.
const SLOW_TAR: &str = r#"#!/bin/sh
case "$*" in *--create*) if mkdir /stub/held 2>/dev/null; then while [ ! -e /stub/go ]; do sleep 0.05; done; fi ;; esac
exec /usr/bin/tar "$@"
"#;

/// On a node whose disk cannot be read.
const BROKEN_TAR: &str = r#"#!/bin/sh
case "$*" in *--create*) echo "tar: /srv/site: Cannot read: Input/output error" >&2; exit 2 ;; esac
exec /usr/bin/tar "$@"
"#;

fn write_program(stub: &Path, name: &str, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    let path = stub.join("bin").join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// Goes to a job of the list: the pane below is named after it.
#[track_caller]
fn go_to_job(pty: &mut Pty, place: &str) {
    pty.send("J").send("\x1b[H");
    let pane = format!("┌ Back up {place}");
    pty.press_until(&[DOWN], place, |screen| screen.contains(&pane));
}

#[test]
fn jobs_go_side_by_side_one_that_fails_is_tried_again_and_a_long_one_rings_the_bell() {
    let demo = Demo::start();
    let nodes = demo.path("vault").parent().unwrap().join("nodes");
    let (stub, broken) = (nodes.join("web-1/stub"), nodes.join("web-2/stub"));
    write_program(&stub, "tar", SLOW_TAR);
    write_program(&broken, "tar", BROKEN_TAR);
    let home = Console::new();
    let dir = |key: &str| demo.path(key).to_str().unwrap().to_owned();
    let start = Start::lifeboat(&home, &[])
        .env("LIFEBOAT_CONFIG_DIR", &dir("config_dir"))
        .env("LIFEBOAT_DATA_DIR", &dir("data_dir"));
    let mut pty = start.size(120, 40).patience(Duration::from_mins(2)).go();
    pty.read("1 ok");
    for place in [SLOW, BROKEN, QUICK] {
        go_to_host(&mut pty, place.split('/').next().unwrap());
        go_to_item(&mut pty, place);
        pty.send(" ");
    }
    pty.send("b");
    pty.read("Back up 3 items");
    pty.send("\r");
    pty.wait("three checks", |screen| screen.matches("  ready, about").count() == 3);
    pty.send("\r");
    pty.read("3 plans, each a job of its own");
    pty.send("\r");
    pty.wait("the slow one", |_| stub.join("held").exists());

    // The others end while it works.
    pty.send("J");
    let ended = |screen: &str, place: &str, how: &str| {
        screen.lines().any(|line| line.contains(&format!("Back up {place} ")) && line.contains(how))
    };
    let page = pty.wait("two ends", |screen| ended(screen, QUICK, "done") && ended(screen, BROKEN, "failed"));
    assert!(ended(&page, SLOW, "running"), "{page}");
    go_to_job(&mut pty, BROKEN);
    let page = pty.read("t retry");
    assert!(page.contains("Everything is as it was."), "{page}");

    std::fs::remove_file(broken.join("bin/tar")).unwrap();
    pty.send("t");
    pty.read("Go on");
    pty.send("\r");
    pty.read("can be copied");
    pty.send("\r");
    pty.read("overwrites");
    pty.send("\r");
    pty.read("Verified: the copy was read in full and is sound.");
    assert!(!stub.join("go").exists() && pty.count(BELL) == 0, "nothing that was short has rung");

    // Long is what took longer than half a minute.
    go_to_job(&mut pty, SLOW);
    let is_long = |screen: &str| (31..60).any(|second| screen.contains(&format!("Running for {second}s")));
    pty.wait("half a minute", |screen| is_long(screen) || screen.contains("Running for 1m"));
    pty.send("F");
    pty.read("┌ Fleet");
    std::fs::write(stub.join("go"), "").unwrap();
    pty.wait_for(&format!("Back up {SLOW}: done."));
    pty.wait("the bell", |_| pty.count(BELL) == 1);
    pty.send("q");
    assert_eq!(pty.wait_exit(), 0);
    assert_eq!(pty.count(BELL), 1, "once");
    assert_given_back(&pty);
    for place in [SLOW, BROKEN, QUICK] {
        demo.call(&["verify", place]).expect(0).says("verified");
    }
}
