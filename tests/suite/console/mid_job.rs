//! The console leaves, or is made to leave, while a job has a service stopped and a guard armed: the terminal and the
//! node are left in order, and the next job can begin.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::life::assert_given_back;
use crate::rehearsal::demo::Demo;
use crate::support::console::{Console, files_below};
use crate::support::menus::{hears, press, say};
use crate::support::operator::{go_to_host, go_to_item};
use crate::support::pty::{Pty, Start};

const HOST: &str = "web-1";
const ITEM: &str = "web-1/files/tree";
const UNIT: &str = "site.service";
const END: &str = "\x1b[F";
const UP: &str = "\x1b[A";
const DOWN: &str = "\x1b[B";

/// On a node whose second rename of a swap never ends: what was there is aside, and nothing stands in its place. Where
/// `stuck` stands, it cannot be brought back either, and where `slow` stands it takes as long as a guard takes its time.
const SLOW_MV: &str = r#"#!/bin/sh
case "$*" in
  "-T "*.kept" /srv/site") if [ -e /stub/stuck ]; then echo "mv: it is stuck" >&2; exit 1; fi
    if [ -e /stub/slow ]; then sleep 4; fi ;;
  "-T "*" /srv/site") if mkdir /stub/held 2>/dev/null; then while :; do sleep 0.05; done; fi ;;
esac
exec /usr/bin/mv "$@"
"#;

/// A practice fleet of another process, so that it outlives the console that is tried, and a terminal's owner.
pub struct Fleet {
    demo: Demo,
    home: Console,
    pub stub: PathBuf,
    root: PathBuf,
}

impl Fleet {
    pub fn start() -> Self {
        let demo = Demo::start();
        let node = demo.path("vault").parent().unwrap().join("nodes").join(HOST);
        let root = root_of(&node);
        // What is lost when an undoing brings back anything else than what was there.
        let page = root.join("srv/site/pages/01.html");
        let text = std::fs::read_to_string(&page).unwrap();
        std::fs::write(&page, text + "<p>written since the last copy</p>\n").unwrap();
        let fleet = Self { demo, home: Console::new(), stub: node.join("stub"), root };
        fleet.write_program("mv", SLOW_MV);
        fleet
    }

    fn write_program(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.stub.join("bin").join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Where a console that is started by another program notes which process it is.
    fn pid(&self) -> PathBuf {
        self.home.path("pid")
    }

    pub fn is_held(&self) -> bool {
        self.stub.join("held").exists()
    }

    pub fn program(&self, program: &str, args: &[&str]) -> Start {
        let dir = |key: &str| self.demo.path(key).to_str().unwrap().to_owned();
        Start::program(&self.home, program, args)
            .env("LIFEBOAT_CONFIG_DIR", &dir("config_dir"))
            .env("LIFEBOAT_DATA_DIR", &dir("data_dir"))
            .size(120, 40)
            .patience(Duration::from_mins(2))
    }

    fn console(&self) -> Start {
        self.program(env!("CARGO_BIN_EXE_lifeboat"), &[])
    }

    /// Every file of the site, by its path.
    pub fn site(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let files = ["etc/site", "srv/site"].iter().flat_map(|dir| files_below(&self.root.join(dir)));
        files.map(|path| (path.clone(), std::fs::read(&path).unwrap())).collect()
    }

    pub fn serves(&self) -> bool {
        let active = self.stub.join("units").join(UNIT).join("active");
        let serves = self.stub.join("memory").join(UNIT).join("serves");
        std::fs::read_to_string(active).unwrap() == "active\n" && serves.exists()
    }

    fn timers(&self) -> Vec<String> {
        names(&self.stub.join("timers"))
    }

    /// Runs that the node itself has open.
    fn open_runs(&self) -> Vec<String> {
        names(&self.root.join("var/lib/lifeboat/runs"))
    }

    /// Goes through the wizard until the swap hangs: the service is down, its files are half away, a guard is armed.
    fn restore_until_held(&self, pty: &mut Pty, guard: &str) {
        let _ = std::fs::remove_dir(self.stub.join("held"));
        assert!(self.serves());
        pty.read("1 ok");
        go_to_host(pty, HOST);
        go_to_item(pty, ITEM);
        pty.send("r");
        pty.read("guard");
        pty.send(END).send(UP).send("\r").send("\x7f\x7f").send(guard).send("\r");
        pty.read(&format!("guard       {guard} "));
        pty.send(END).send("\r");
        pty.read("A key that opens the copy was tried");
        pty.send("\r");
        pty.read("overwrites");
        pty.send("\r");
        pty.read("Question 1 of 1");
        pty.send(HOST).send("\r");
        pty.wait("the swap", |_| self.is_held());
        assert!(!self.serves(), "the service is down");
        assert!(!self.root.join("srv/site").exists(), "the old files are aside");
        // One that is being renewed is away for a moment.
        pty.wait("the guard", |_| self.timers().len() == 1);
    }

    /// Waits until the node has brought itself back.
    #[track_caller]
    fn wait_for_guard(&self) {
        let began = Instant::now();
        while !self.guard_is_through() || !self.serves() || !self.timers().is_empty() {
            assert!(began.elapsed() < Duration::from_mins(1), "nothing brings the service back");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Whether what the guard noted of what it did has its end.
    fn guard_is_through(&self) -> bool {
        let runs = self.root.join("var/lib/lifeboat/runs");
        let said = |run: &String| std::fs::read_to_string(runs.join(run).join("fired.log")).unwrap_or_default();
        self.open_runs().iter().any(|run| said(run).ends_with("all done\n"))
    }

    /// Everything is as if nobody had ever tried, and the next job begins.
    #[track_caller]
    pub fn assert_in_order(&self, before: &BTreeMap<PathBuf, Vec<u8>>, way: &str) {
        assert!(self.serves(), "{way}: the service does not run");
        assert_eq!(self.timers(), [""; 0], "{way}: a guard is left");
        assert_eq!(self.open_runs(), [""; 0], "{way}: a run is left open on the node");
        assert!(self.site() == *before, "{way}: the files are not those that were there");
        self.demo.call(&["backup", ITEM]).expect(0);
    }

    /// The newest restore, as it is told.
    fn newest_restore(&self) -> (String, String) {
        self.restore_named("")
    }

    /// The newest restore with this in its line, as it is told.
    fn restore_named(&self, name: &str) -> (String, String) {
        let told = self.demo.call(&["runs"]).expect(0).out;
        let line = told
            .lines()
            .rfind(|line| line.contains("restore ") && line.contains(name))
            .unwrap_or_else(|| panic!("{told}"));
        (line.split_whitespace().next().unwrap().to_owned(), line.to_owned())
    }
}

/// Names in a directory; none where there is no such directory.
fn names(path: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(path).into_iter().flatten();
    entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

/// The root of a practice node as the machine sees it.
fn root_of(node: &Path) -> PathBuf {
    let name = node.to_str().unwrap();
    for entry in std::fs::read_dir("/proc").unwrap().filter_map(Result::ok) {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.starts_with("unshare ") && line.contains(&format!("{name} ")) {
            let pid = entry.file_name().to_string_lossy().into_owned();
            let child = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
            return PathBuf::from(format!("/proc/{}/root", child.split_whitespace().next().unwrap()));
        }
    }
    panic!("no process holds {name}")
}

/// A way out of a console that has a job half done: how it is started, and how it is left. Where the terminal is still
/// there, what was written on it since it was given back.
type WayOut = (&'static str, fn(&Fleet) -> Start, fn(&Fleet, &mut Pty) -> Option<String>);

fn plain(fleet: &Fleet) -> Start {
    fleet.console()
}

/// A console that fails inside once the job is half done: its own thread, or another one of it.
fn failing(fleet: &Fleet, who: &str) -> Start {
    let held = fleet.stub.join("held");
    fleet.console().env("LIFEBOAT_FAIL_INSIDE", who).env("LIFEBOAT_FAIL_WHEN", held.to_str().unwrap())
}

/// It ends with this code and gives the terminal back; what it says on it then.
#[track_caller]
fn ends(pty: &mut Pty, code: u32) -> String {
    assert_eq!(pty.wait_exit(), code);
    assert_given_back(pty);
    let raw = String::from_utf8_lossy(&pty.raw()).into_owned();
    raw.rsplit("\x1b[?1049l").next().unwrap().to_owned()
}

fn signalled(pty: &mut Pty, signal: Signal) -> String {
    pty.signal(signal);
    ends(pty, 130)
}

const WAYS_OUT: [WayOut; 8] = [
    ("SIGTERM", plain, |_, pty| Some(signalled(pty, Signal::TERM))),
    ("SIGHUP", plain, |_, pty| Some(signalled(pty, Signal::HUP))),
    ("SIGINT", plain, |_, pty| Some(signalled(pty, Signal::INT))),
    ("SIGQUIT", plain, |_, pty| Some(signalled(pty, Signal::QUIT))),
    ("leaving", plain, |_, pty| {
        // Whoever hesitates stays.
        for stays in ["\r", "\x1b"] {
            pty.send("q");
            pty.read("Still at work");
            pty.send(stays);
            pty.wait("the job", |screen| screen.contains("Running for") && !screen.contains("Still at work"));
        }
        pty.send("q");
        pty.read("what was changed is undone first");
        pty.send("c");
        Some(ends(pty, 0))
    }),
    (
        "a panic of the console",
        |fleet| failing(fleet, "console"),
        |_, pty| {
            let said = ends(pty, 1);
            assert!(
                said.contains("the console was told to fail") && said.contains("The console failed inside"),
                "{said}"
            );
            Some(said)
        },
    ),
    (
        "a panic of what reads the keyboard",
        |fleet| failing(fleet, "keyboard"),
        |_, pty| {
            let said = ends(pty, 1);
            assert!(said.contains("The console failed inside"), "{said}");
            Some(said)
        },
    ),
    (
        "a terminal that is gone",
        |fleet| {
            let line = format!("echo $$ >{}; exec {}", fleet.pid().display(), env!("CARGO_BIN_EXE_lifeboat"));
            // `script` keeps the terminal; when it is ended, the terminal is gone.
            fleet.program("/usr/bin/script", &["-q", "-c", &line, "/dev/null"])
        },
        |fleet, pty| {
            let pid = std::fs::read_to_string(fleet.pid()).unwrap().trim().to_owned();
            pty.hang_up();
            let began = Instant::now();
            while std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z ")) {
                assert!(began.elapsed() < Duration::from_mins(1), "it lives on without a terminal");
                std::thread::sleep(Duration::from_millis(50));
            }
            None
        },
    ),
];

#[test]
fn every_way_out_in_the_middle_of_a_restore_leaves_terminal_and_node_in_order() {
    let fleet = Fleet::start();
    let before = fleet.site();
    for (way, start, leave) in WAYS_OUT {
        let mut pty = start(&fleet).go();
        fleet.restore_until_held(&mut pty, "60");
        let said = leave(&fleet, &mut pty);
        if let Some(said) = said {
            assert!(said.contains("Stopping 1 job; what was changed is undone first."), "{way}: {said}");
            assert!(said.contains(&format!("Restore {ITEM} to {HOST}: ")), "{way}: {said}");
            assert!(said.contains("now:  Everything is as it was."), "{way}: {said}");
        }
        let (_, line) = fleet.newest_restore();
        assert!(line.contains("cancelled, receipt"), "{way}: {line}");
        fleet.assert_in_order(&before, way);
    }
}

#[test]
fn who_leaves_is_told_what_could_not_be_undone_and_the_node_does_it_later() {
    let fleet = Fleet::start();
    let before = fleet.site();
    let stuck = fleet.stub.join("stuck");
    std::fs::write(&stuck, "").unwrap();
    let mut pty = fleet.console().go();
    fleet.restore_until_held(&mut pty, "20");
    pty.send("q");
    pty.read("Still at work");
    pty.send("c");
    let said = ends(&mut pty, 6);
    assert!(said.contains("'Put the restored files in place' was not undone"), "{said}");
    assert!(said.contains("lifeboat runs"), "{said}");
    assert!(!fleet.root.join("srv/site").exists());
    std::fs::remove_file(&stuck).unwrap();
    fleet.wait_for_guard();
    assert!(fleet.site() == before, "the node goes on with it by itself");
    let run = fleet.newest_restore().0;
    let taken_up = fleet.demo.call(&["resume", &run, "--roll-back"]).expect(0);
    assert!(taken_up.err.contains("guard files had acted by itself"), "{taken_up:?}");
    fleet.assert_in_order(&before, "stuck");
}

#[test]
fn cancelled_by_its_key_a_restore_is_undone_and_the_console_stays() {
    let fleet = Fleet::start();
    let before = fleet.site();
    // A worker beside it fails inside meanwhile, and takes nothing with it.
    let mut pty = failing(&fleet, "worker").go();
    fleet.restore_until_held(&mut pty, "60");
    pty.send("O");
    pty.read("A worker failed inside");
    pty.send("\x1b");
    pty.read("Running for");
    assert!(!fleet.serves());
    for round in 0..100u16 {
        pty.resize(1 + round % 130, round % 45);
    }
    pty.resize(120, 40);
    pty.read("Running for");
    assert!(!fleet.serves(), "sizes do nothing to a job");
    pty.send("x");
    pty.read("Everything is as it was.");
    assert!(!pty.is_cooked(), "the console stays");
    fleet.assert_in_order(&before, "cancel");
    pty.send("q");
    let said = ends(&mut pty, 0);
    assert!(!said.contains("lifeboat:"), "what was seen is not told once more: {said}");
}

/// Takes the shown run up to undo it, once its guard has acted.
fn undo_what_the_guard_began(pty: &mut Pty) {
    pty.send("u");
    pty.read("The run can be taken up");
    pty.send("\r");
    pty.read("has acted by itself, and put back what it guards.");
    pty.send("\r");
    pty.read("What the run changed is undone");
    pty.send("\t").send("\r");
    pty.read("◐ receipt");
}

/// Nobody undoes what it did: its node does, and the console stays and can take the run up.
#[test]
fn a_job_that_fails_inside_takes_nothing_down_and_its_node_brings_itself_back() {
    let fleet = Fleet::start();
    let before = fleet.site();
    let mut pty = failing(&fleet, "job").go();
    fleet.restore_until_held(&mut pty, "12");
    // The next thing that happens to the job is that it is to stop.
    pty.send("x");
    pty.read("The job failed inside");
    assert!(!pty.is_cooked(), "the console stays");
    fleet.wait_for_guard();
    assert!(fleet.site() == before, "the node brings back what was there");
    let (run, line) = fleet.newest_restore();
    assert!(line.contains("interrupted"), "{line}");
    pty.send("R");
    pty.read("interrupted");
    pty.send("\r");
    let page = pty.read("What happened");
    assert!(page.contains(&run), "{page}");
    undo_what_the_guard_began(&mut pty);
    pty.send("q");
    ends(&mut pty, 0);
    fleet.assert_in_order(&before, "a panic of the job");
}

/// What tells the node that somebody watches is gone, and the console lives: the node acts as if it were gone, too.
#[test]
fn a_heartbeat_that_fails_inside_takes_nothing_down_and_the_job_ends_as_its_node_decided() {
    let fleet = Fleet::start();
    let before = fleet.site();
    std::fs::write(fleet.stub.join("slow"), "").unwrap();
    let mut pty = failing(&fleet, "heartbeat").go();
    fleet.restore_until_held(&mut pty, "12");
    // The guard ends the step that hangs, so the console begins to bring things back while the guard still does.
    let page = pty.read("◐ receipt");
    assert!(page.contains("Everything is as it was."), "{page}");
    assert!(fleet.site() == before && fleet.serves(), "the node brings back what was there");
    assert!(!pty.is_cooked(), "the console stays");
    let log = std::fs::read_to_string(fleet.demo.path("data_dir").join("state/lifeboat.log")).unwrap();
    assert!(log.contains("a heartbeat was told to fail"), "{log}");
    let told = fleet.demo.call(&["runs", &fleet.newest_restore().0]).expect(0).out;
    assert!(told.contains("ACTED    guard files") && told.contains("ended    failed"), "{told}");
    pty.send("q");
    ends(&mut pty, 0);
    fleet.assert_in_order(&before, "a panic of the heartbeat");
}

#[test]
fn menus_stopped_while_a_guard_is_armed_ask_first_and_come_back_to_what_the_node_did() {
    let fleet = Fleet::start();
    let before = fleet.site();
    let mut pty = fleet.program("/bin/bash", &["--norc", "-i"]).env("PS1", "ready> ").go();
    pty.wait_for("ready>");
    hears(&say(&mut pty, &format!("{} --plain", env!("CARGO_BIN_EXE_lifeboat"))), &["Fleet"]);
    say(&mut pty, "wait");
    hears(&say(&mut pty, &format!("/{HOST}")), &[&format!("selected: ● {HOST}")]);
    say(&mut pty, "pane-2");
    hears(&say(&mut pty, "first"), &["selected: file tree"]);
    say(&mut pty, "restore");
    // What can be chosen is known when the plan is.
    hears(&say(&mut pty, "wait"), &["guard  60"]);
    say(&mut pty, "last");
    hears(&say(&mut pty, "up"), &["selected: guard  60"]);
    for line in ["enter", "backspace", "backspace", "type 12"] {
        say(&mut pty, line);
    }
    hears(&say(&mut pty, "enter"), &["guard  12"]);
    say(&mut pty, "last");
    say(&mut pty, "enter");
    hears(&say(&mut pty, "wait"), &["A key that opens the copy was tried"]);
    hears(&say(&mut pty, "enter"), &["Guard on web-1: if nothing is heard for 12s"]);
    hears(&say(&mut pty, "enter"), &["Question 1 of 1"]);
    say(&mut pty, &format!("type {HOST}"));
    say(&mut pty, "enter");
    pty.wait("the swap", |_| fleet.is_held());
    pty.wait("the guard", |_| fleet.timers().len() == 1);
    let asks = ["A node counts on this console", "esc stay", "key (empty is escape)> "];
    hears(&press(&mut pty, "\x1a"), &asks);
    // Who asks twice is asked once.
    hears(&press(&mut pty, "\x1a"), &asks);
    let stays = say(&mut pty, "");
    assert!(stays.contains("Put the restored files in place") && !stays.contains(asks[0]), "{stays}");
    hears(&press(&mut pty, "\x1a"), &asks);
    assert!(!fleet.serves(), "as long as it is heard the node waits");
    hears(&say(&mut pty, "s"), &["Stopped"]);
    fleet.wait_for_guard();
    say(&mut pty, "fg");
    hears(&say(&mut pty, "wait"), &["◐ receipt", "Everything is as it was."]);
    let told = fleet.demo.call(&["runs", &fleet.newest_restore().0]).expect(0).out;
    assert!(told.contains("ACTED    guard files"), "{told}");
    say(&mut pty, "quit");
    pty.send("exit\r");
    assert_eq!(pty.wait_exit(), 0);
    assert!(pty.is_cooked());
    fleet.assert_in_order(&before, "ctrl-z in menus");
}

#[test]
fn stopped_while_a_guard_is_armed_it_warns_first_and_comes_back_to_what_the_node_did() {
    let fleet = Fleet::start();
    let before = fleet.site();
    let mut pty = fleet.program("/bin/bash", &["--norc", "-i"]).env("PS1", "ready> ").go();
    pty.wait_for("ready>");
    pty.send(&format!("{}\r", env!("CARGO_BIN_EXE_lifeboat")));
    fleet.restore_until_held(&mut pty, "12");
    pty.send("\x1a");
    pty.read("A node counts on this console");
    pty.send("\x1b");
    pty.wait("the job", |screen| screen.contains("Running for") && !screen.contains("counts on this"));
    // Who stops it from outside is asked as well.
    let pid = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", pty.pid())).unwrap();
    let pid = Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
    kill_process(pid, Signal::TSTP).unwrap();
    pty.read("A node counts on this console");
    assert!(!fleet.serves(), "as long as it is heard the node waits");
    pty.send("s");
    pty.wait_for("Stopped");
    pty.send("echo here-$((6*7))\r");
    pty.wait_for("here-42");
    fleet.wait_for_guard();
    assert!(fleet.site() == before, "the node brings back what was there");
    pty.send("clear; fg\r");
    pty.read("◐ receipt");
    assert!(pty.screen().contains("Everything is as it was."), "{}", pty.screen());
    let told = fleet.demo.call(&["runs", &fleet.newest_restore().0]).expect(0).out;
    for said in ["ACTED    guard files", "undone   swap", "undone   stop", "ended    failed"] {
        assert!(told.contains(said), "'{said}' is not in\n{told}");
    }
    pty.send("q");
    pty.wait_for("ready>");
    pty.send("exit\r");
    assert_eq!(pty.wait_exit(), 0);
    assert_given_back(&pty);
    fleet.assert_in_order(&before, "ctrl-z");
}

#[test]
fn killed_in_the_middle_it_leaves_a_node_that_brings_itself_back_and_a_run_that_is_taken_up() {
    let fleet = Fleet::start();
    let before = fleet.site();
    let mut pty = fleet.console().go();
    fleet.restore_until_held(&mut pty, "12");
    pty.signal(Signal::KILL);
    pty.wait_end();
    fleet.wait_for_guard();
    assert!(fleet.site() == before, "the node brings back what was there");
    let (run, line) = fleet.newest_restore();
    assert!(line.contains("interrupted"), "{line}");
    // Nobody knows yet what the run has left, so nothing else is begun there.
    let again = ["restore", ITEM, "--to", HOST, "--confirm", "overwrite=web-1"];
    let refused = fleet.demo.call(&again);
    assert!(refused.code != Some(0) && refused.err.contains(&run), "{refused:?}");
    let mut pty = fleet.console().go();
    pty.read("1 ok");
    pty.send("R");
    pty.read("interrupted");
    // The newest is the one that was refused.
    pty.send(DOWN).send("\r");
    let page = pty.read("What happened");
    assert!(page.contains(&run), "{page}");
    undo_what_the_guard_began(&mut pty);
    let (_, line) = fleet.restore_named(&run);
    assert!(!line.contains("interrupted"), "{line}");
    pty.send("q");
    ends(&mut pty, 0);
    fleet.assert_in_order(&before, "a kill");
    let _ = std::fs::create_dir(fleet.stub.join("held"));
    fleet.demo.call(&again).expect(0).says("restored and proven");
}
