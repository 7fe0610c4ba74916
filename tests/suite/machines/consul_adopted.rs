//! A datacenter whose machine is gone, restored with its ACLs into one that was just installed, by consoles that are
//! killed. Its tokens change in the middle: until the request those of the new datacenter are valid, and from then on
//! those of the snapshot.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::consul::{
    self, DATA, consul_all, consul_backup_token, consul_cli, consul_fill, consul_get, consul_put, install_consul,
};
use super::consul_faults::copies;
use super::consul_files::left_by_lifeboat;
use super::faults::{enroll, kill_after_step};
use super::fleet::Fleet;
use super::host::wait_for;
use super::machine::Machine;
use super::story::{head, host_table, write_secret};
use super::taken_over::ops_of;
use crate::support::console::{Console, Ended, ahead_of_others};

const SNAPSHOT: &str = "val-1/consul/snapshot";

/// A datacenter that is gone: what is left of it is one snapshot, its tokens, and two consoles that share a vault.
struct Lost {
    first: Console,
    second: Console,
    secrets: tempfile::TempDir,
    inventory: String,
    saved: String,
    keys: BTreeMap<String, Vec<u8>>,
    /// The management token, and one that may do what a comparison needs.
    tokens: [String; 2],
}

impl Lost {
    fn new() -> Self {
        let fleet = Fleet::shared();
        let old = Machine::boot(fleet, "val-1");
        let (first, second) = (Console::new(), Console::new());
        let secrets = tempfile::tempdir().unwrap();
        let token_file = secrets.path().join("token");
        let management = install_consul(&old, &consul::Options::default()).expect("ACLs are on");
        consul_put(&old, Some(&management), "app/config", "blue");
        consul_fill(&old, Some(&management), "bulk", 200);
        let backup = consul_backup_token(&old, &management);
        write_secret(&token_file, &backup);
        let recipient = first.keygen();
        let service = format!("[hosts.val-1.services.consul]\ntoken = {{ file = \"{}\" }}\n", token_file.display());
        let inventory = head(&first, &recipient) + &host_table(fleet, &old, "ops", &service);
        first.write_inventory(&inventory);
        first.run(&["init"]).expect(0);
        enroll(&first, &old);
        first.run(&["backup", SNAPSHOT]).expect(0);
        let [saved] = copies(&first, SNAPSHOT).try_into().unwrap();
        let keys = consul_all(&old, Some(&management));
        old.destroy();
        Self { first, second, secrets, inventory, saved, keys, tokens: [management, backup] }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.secrets.path().join(name)
    }

    /// A blank machine on which Consul was just installed, with ACLs and tokens of its own; the inventory names the file
    /// of its token and what else is given.
    fn fresh(&self, more: &str) -> Fresh {
        let machine = Machine::boot(Fleet::shared(), "spare-1");
        let token = install_consul(&machine, &consul::Options::default()).expect("ACLs are on");
        consul_put(&machine, Some(&token), "fresh/only", "here");
        write_secret(&self.file("fresh"), &token);
        let named = format!("token = {{ file = \"{}\" }}\n{more}", self.file("fresh").display());
        let service = format!("[hosts.spare-1.services.consul]\n{named}");
        let inventory = self.inventory.clone() + &host_table(Fleet::shared(), &machine, "ops", &service);
        for console in [&self.first, &self.second] {
            console.write_inventory(&inventory);
            enroll(console, &machine);
        }
        Fresh { machine, token }
    }

    fn restore(&self) -> [&str; 6] {
        ["restore", &self.saved, "--to", "spare-1", "--confirm", "overwrite=dc1"]
    }

    /// The whole snapshot, under the tokens of the snapshot and no other.
    fn is_restored(&self, fresh: &Fresh, told: &str) {
        let [management, backup] = &self.tokens;
        assert_eq!(consul_all(&fresh.machine, Some(management)), self.keys, "{told}");
        assert!(consul_cli(&fresh.machine, backup, "acl token list").success(), "{told}: the other token");
        assert!(
            !consul_cli(&fresh.machine, &fresh.token, "kv export").success(),
            "{told}: the new token is valid still"
        );
        assert_eq!(left_by_lifeboat(&fresh.machine), "", "{told}");
    }
}

struct Fresh {
    machine: Machine,
    token: String,
}

impl Fresh {
    /// What it held before, under its own token.
    fn is_as_it_was(&self, lost: &Lost) -> bool {
        consul_get(&self.machine, Some(&self.token), "fresh/only").as_deref() == Some("here")
            && !consul_cli(&self.machine, &lost.tokens[0], "kv export").success()
    }
}

fn after(path: &Path) -> String {
    format!("token_after = {{ file = \"{}\" }}\n", path.display())
}

/// No secret stands in what a command says.
fn keeps_secrets(ended: &Ended, secrets: &[&str]) {
    let said = format!("{}{}", ended.out, ended.err);
    assert!(secrets.iter().all(|secret| !said.contains(secret)), "a token is told: {said}");
}

/// When a console is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Killed {
    /// Right after it said that so many steps are done.
    After(usize),
    /// Once the request is noted, and before it is sent.
    Noted,
    /// Once the server has all of the request, and before its answer is noted.
    Sent,
}

/// Starts the restore and kills its console; gives the run's id.
fn kill(lost: &Lost, fresh: &Fresh, killed: Killed) -> String {
    let (console, args) = (&lost.first, lost.restore());
    if let Killed::After(step) = killed {
        return kill_after_step(console, &args, step);
    }
    let snapshots = fresh.machine.path(&format!("{DATA}/raft/snapshots"));
    let names = || -> BTreeSet<OsString> {
        std::fs::read_dir(&snapshots).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    };
    ahead_of_others(|| {
        let mut child = console.start(&args);
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let run = lines.find_map(|line| line.strip_prefix("run ").map(str::to_owned)).expect("a run begins");
        assert!(lines.any(|line| line.starts_with("  done    2/4")), "what is there now was never copied");
        let (journal, before) = (console.path(&format!("vault/runs/{run}/journal.jsonl")), names());
        let is_time = || match killed {
            Killed::Sent => !names().is_subset(&before),
            _ => is_noted(&journal, "step_started"),
        };
        let start = Instant::now();
        while !is_time() {
            assert!(start.elapsed() < Duration::from_mins(1), "{killed:?} never came");
            std::thread::sleep(Duration::from_micros(200));
        }
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().code(), None, "it ended by itself before it was killed");
        assert!(is_noted(&journal, "step_started") && !is_noted(&journal, "step_finished"), "{killed:?}: too late");
        run
    })
}

/// Whether a journal has this of the request that replaces everything.
fn is_noted(journal: &Path, kind: &str) -> bool {
    let text = std::fs::read_to_string(journal).unwrap();
    let events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    events.into_iter().any(|event| event["entry"]["kind"] == kind && event["entry"]["step"] == "deliver")
}

#[test]
fn a_lost_datacenter_with_acls_restored_by_killed_consoles_is_adopted_across_the_change_of_tokens() {
    let lost = Lost::new();
    let after_file = lost.file("after");
    write_secret(&after_file, &lost.tokens[1]);
    // From the request on there is no way back but the copy that was made first.
    for (killed, go_on) in [
        (Killed::After(0), true),
        (Killed::After(1), false),
        (Killed::After(1), true),
        (Killed::After(2), true),
        (Killed::Noted, true),
        (Killed::Sent, true),
        (Killed::After(3), true),
        (Killed::After(4), true),
    ] {
        let told = format!("killed {killed:?}, then {}", if go_on { "on" } else { "back" });
        println!("{told}");
        let fresh = lost.fresh(&after(&after_file));
        assert_eq!(ops_of(&lost.first, &lost.restore()).len(), 4, "the rounds above name every step of the plan");
        let run = kill(&lost, &fresh, killed);
        // The request arrived whole or not at all: one of both datacenters is there, and only its tokens are valid.
        let settled = || {
            let restored = consul_cli(&fresh.machine, &lost.tokens[0], "kv export").success();
            (restored != fresh.is_as_it_was(&lost)).then_some(restored)
        };
        let is_restored = wait_for(Duration::from_secs(20), settled).expect("one of both");
        assert_eq!(is_restored, matches!(killed, Killed::Sent | Killed::After(3 | 4)), "{told}");

        let resume = ["resume", &run, "--adopt", "--roll-back"];
        let ended = lost.second.run(&resume[..if go_on { 3 } else { 4 }]);
        keeps_secrets(&ended, &[&lost.tokens[0], &lost.tokens[1], &fresh.token]);
        if !go_on {
            ended.expect(0);
            assert!(fresh.is_as_it_was(&lost), "{told}");
            assert_eq!(left_by_lifeboat(&fresh.machine), "", "{told}");
            continue;
        }
        let (is_noted, code) = (ended.err.contains("had begun and is not done twice"), ended.code);
        if is_noted && !is_restored {
            // What was noted and never sent is not sent by another: nothing is told as done that was not.
            assert!(fresh.is_as_it_was(&lost), "{told}");
            let ended = ended.expect(6).says("KVS: 1 instead of 201");
            let ended = ended.says("was not done twice, so whether it took place is not known.");
            assert!(!ended.err.contains("was restored"), "{told}: {}", ended.err);
            lost.second.run(&["resume", &run, "--adopt", "--leave"]).expect(0);
            lost.first.run(&lost.restore()).expect(0).says("restored and proven");
        } else {
            ended.expect(0).says("from then on the tokens of the snapshot are the valid ones");
        }
        let (must, may) = (matches!(killed, Killed::Noted | Killed::Sent), killed == Killed::After(2));
        assert!(is_noted == must || may, "{told}: {is_noted}, {code:?}");
        lost.is_restored(&fresh, &told);
        lost.first.run(&["show", &lost.saved]).expect(0).says("proven");
    }
    lost.second.run(&["verify"]).expect(0);
}

#[test]
fn a_restore_left_without_a_valid_token_says_which_to_give_and_where_and_goes_on_with_it() {
    let lost = Lost::new();
    let [_, backup] = &lost.tokens;
    let place = lost.file("fresh").display().to_string();

    // Only the token of the new datacenter is named, and it ends with what the request replaces.
    for is_killed in [false, true] {
        println!("killed: {is_killed}");
        let fresh = lost.fresh("");
        let args = lost.restore();
        lost.first.run(&[&args[..], &["--plan"]].concat()).expect(0).says("no token_after is named");
        let (run, ended) = if is_killed {
            let run = kill_after_step(&lost.first, &args, 3);
            let ended = lost.second.run(&["resume", &run, "--adopt"]);
            (run, ended)
        } else {
            let ended = lost.first.run(&args);
            let run = ended.err.lines().find_map(|line| line.strip_prefix("run ")).unwrap().to_owned();
            (run, ended)
        };
        let ended =
            ended.expect(6).says("does not know the token").says("It was not compared, for want of a valid token");
        let ended = ended.says(&format!("in the file {place} of the console")).says(&format!("lifeboat resume {run}"));
        keeps_secrets(&ended, &[&lost.tokens[0], backup, &fresh.token]);
        // What was said is done.
        write_secret(&lost.file("fresh"), backup);
        lost.second.run(&["resume", &run, "--adopt"]).expect(0);
        lost.is_restored(&fresh, "with the token that was asked for");
    }

    // Whoever takes it up has neither file where the run looks for them.
    let after_file = lost.file("after");
    write_secret(&after_file, backup);
    let fresh = lost.fresh(&after(&after_file));
    let run = kill_after_step(&lost.first, &lost.restore(), 3);
    for file in ["fresh", "after"] {
        std::fs::remove_file(lost.file(file)).unwrap();
    }
    let ended = lost.second.run(&["resume", &run, "--adopt"]);
    let ended = ended.expect(6).says("It was not compared, for want of a valid token");
    ended.says(&format!("in the file {} of the console", after_file.display())).says(&format!("lifeboat resume {run}"));
    write_secret(&after_file, backup);
    lost.second.run(&["resume", &run, "--adopt"]).expect(0);
    lost.is_restored(&fresh, "by a console that had no token");

    // Where the token for afterwards cannot be had, nothing is replaced.
    let fresh = lost.fresh(&after(&after_file));
    std::fs::remove_file(&after_file).unwrap();
    let ended = lost.first.run(&lost.restore());
    ended.expect(11).says(&after_file.display().to_string()).says("Everything is as it was.");
    assert!(fresh.is_as_it_was(&lost));
    assert_eq!(left_by_lifeboat(&fresh.machine), "");
}
