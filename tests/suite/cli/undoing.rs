//! What is told before a run is undone, gone on with or left: the very lines of the console, and what is refused.

use super::room::call;
use super::several::two_trees;
use crate::sandbox::Node;
use crate::support::console::Ended;

const TREE: &str = "here/first/tree";
const RESTORE: [&str; 6] = ["restore", TREE, "--to", "here", "--confirm", "overwrite=here"];

/// The run that was made last: of two in one second the names do not tell.
fn newest(node: &Node) -> String {
    node.run("ls -t /srv/vault/runs/*/plan.json | head -n 1 | cut -d / -f 5").trim().to_owned()
}

#[track_caller]
fn tells(ended: &Ended, lines: &[&str]) {
    for line in lines {
        assert!(ended.out.contains(line), "'{line}' is not in\n{}\n{}", ended.out, ended.err);
    }
}

#[test]
fn a_rollback_tells_what_comes_back_and_runs_only_the_plan_that_was_read() {
    let node = two_trees();
    std::fs::write(node.path("srv/first/file"), "before the restore").unwrap();
    call(&node, &RESTORE).expect(0);
    let run = newest(&node);
    node.run("/usr/bin/sleep 1.1; echo 'a month of work' >/srv/first/since");
    let planned = call(&node, &["rollback", &run, "--plan"]).expect(0);
    tells(
        &planned,
        &[
            &format!("Undo run {run}"),
            "where       on here",
            "comes back  what the run kept aside at ",
            "goes aside  what stands there now, beside its place; RUN is the id that this undo gets",
            "written     1 file, 16 B, written into /srv/first since the run, the last at ",
            "undo        none: an undo is not undone",
            &format!(
                "/srv/first is again what it was before the run: .first.lifeboat-{run}.kept beside it comes back."
            ),
            "What stands there now is kept aside as .first.lifeboat-RUN.kept.",
            &format!("answer with --confirm rollback={run}"),
        ],
    );
    let documents = call(&node, &["--json", "rollback", &run, "--plan"]).expect(0).documents();
    let plan = documents.iter().find(|one| one["kind"] == "plan").unwrap();
    let hash = plan["hash"].as_str().unwrap();
    tells(&planned, &[&format!("  plan {hash}")]);
    assert_eq!(plan["undoes"], run.as_str());
    let told = plan["told"]["lines"].as_array().unwrap();
    assert!(told.iter().any(|line| line["label"] == "goes aside" && line["is_warning"] == false), "{plan}");

    let confirm = format!("rollback={run}");
    let other = "0".repeat(64);
    let unchanged = || assert!(node.path("srv/first/since").exists() && newest(&node) == run);
    call(&node, &["rollback", &run, "--confirm", &confirm, "--plan-hash", &other]).expect(16).says(hash);
    unchanged();
    call(&node, &["rollback", &run, "--confirm", &confirm, "--set", "guard=9"]).expect(2).says("no choice 'guard'");
    unchanged();
    call(&node, &["rollback", &run]).expect(15).says(&confirm);
    unchanged();
    call(&node, &["rollback", &run, "--confirm", &confirm, "--plan-hash", hash]).expect(0);
    assert_eq!(std::fs::read_to_string(node.path("srv/first/file")).unwrap(), "before the restore");
    let undoing = newest(&node);
    call(&node, &["runs"]).expect(0).says(&format!("undo run {run}"));
    call(&node, &["runs", &undoing]).expect(0).says(&format!("{undoing}  undo run {run}"));
    // Refused before anybody is asked or shown anything.
    let again = call(&node, &["rollback", &run, "--plan"]).expect(1).says("has undone it already");
    assert!(!again.out.contains("comes back"), "{}", again.out);
}

/// Kills the program as soon as `sign`, a command of the shell's, succeeds.
fn kill_once(node: &Node, args: &[&str], sign: &str) {
    let (words, prefix) = (args.join(" "), "HOME=/srv LIFEBOAT_CONFIG_DIR=/srv/config LIFEBOAT_DATA_DIR=/srv/data");
    node.run(&format!(
        "{prefix} /stub/lifeboat {words} >/dev/null 2>&1 & p=$!
         n=0; until {sign} >/dev/null 2>&1; do n=$((n+1)); [ $n -lt 2400 ] || exit 1; /usr/bin/sleep 0.05; done
         kill -9 $p; wait $p; :"
    ));
}

/// The hash of an interrupted run's plan, as `resume --plan` tells it; neither that nor another hash changes anything.
fn hash_of_taking_up(node: &Node, run: &str) -> String {
    let listing =
        || node.run("ls -lA --time-style=full-iso /srv /srv/first /srv/vault/runs/* /var/lib/lifeboat/runs/*");
    let before = listing();
    let planned = call(node, &["resume", run, "--plan"]).expect(0);
    let documents = call(node, &["--json", "resume", run, "--plan"]).expect(0).documents();
    let plan = documents.iter().find(|one| one["kind"] == "plan").unwrap();
    let hash = plan["hash"].as_str().unwrap().to_owned();
    tells(&planned, &[&format!("Take up run {run}: restore {TREE}@"), "(done)", "(to do)", &format!("  plan {hash}")]);
    call(node, &["resume", run, "--plan-hash", &"0".repeat(64)]).expect(16).says(&hash);
    assert_eq!(listing(), before);
    hash
}

#[test]
fn an_interrupted_restore_and_its_interrupted_undoing_tell_what_each_step_has_come_to() {
    let node = two_trees();
    let path = node.path("srv/config/inventory.toml");
    let inventory = std::fs::read_to_string(&path).unwrap();
    // Holding still takes a moment, so that there is one to be killed in.
    let held = "paths = [\"/srv/first\"]\nquiesce = \": >/srv/held\"\nresume = \"rm -f /srv/held; /usr/bin/sleep 5\"\n";
    std::fs::write(&path, inventory.replacen("paths = [\"/srv/first\"]\n", held, 1)).unwrap();
    std::fs::write(node.path("srv/first/file"), "before the restore").unwrap();
    kill_once(&node, &RESTORE, "ls -d /srv/.first.lifeboat-*.kept");
    let run = newest(&node);
    let told = call(&node, &["resume", &run, "--roll-back"]).expect(0);
    tells(&told, &[&format!("Undo run {run}: restore {TREE}@"), "what        What the run did so far is undone"]);
    assert_eq!(std::fs::read_to_string(node.path("srv/first/file")).unwrap(), "before the restore");

    kill_once(&node, &RESTORE, "ls -d /srv/.first.lifeboat-*.kept");
    let run = newest(&node);
    let hash = hash_of_taking_up(&node, &run);
    let told = call(&node, &["resume", &run, "--plan-hash", &hash]).expect(0);
    tells(
        &told,
        &[
            &format!("Take up run {run}: restore {TREE}@"),
            "what        Each node is looked at again; what is done stays, what is left is done.",
            "Unpack the archives beside their targets  (done)",
            "undo        cancel undoes every step; afterwards: lifeboat rollback RUN",
        ],
    );
    assert_eq!(std::fs::read_to_string(node.path("srv/first/file")).unwrap(), "saved");

    // The swap is undone and the files are not let go yet.
    let confirm = format!("rollback={run}");
    kill_once(&node, &["rollback", &run, "--confirm", &confirm], &format!("! ls -d /srv/.first.lifeboat-{run}.kept"));
    let undoing = newest(&node);
    call(&node, &["runs"]).expect(0).says(&format!("undo run {run}  ")).says("interrupted: lifeboat resume");
    let told = call(&node, &["resume", &undoing]).expect(0);
    tells(
        &told,
        &[
            &format!("Undo run {undoing}: undo run {run}"),
            &format!("what        The undoing of run {run} goes on: what it has not undone yet is undone"),
            "undo        none: an undo is not undone; the copy can be restored again",
            &format!("rolled back: run {undoing}"),
        ],
    );
    assert!(!told.out.contains("is stopped by step") && !told.out.contains("(to do)"), "{}", told.out);
    assert_eq!(std::fs::read_to_string(node.path("srv/first/file")).unwrap(), "before the restore");
}
