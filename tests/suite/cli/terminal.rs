//! The program at a terminal, on a sandboxed node that it may change: questions, the status line, passwords.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};

use portable_pty::CommandBuilder;

use crate::sandbox::{Node, PATH};
use crate::support::terminal::Terminal;

const PROGRAM: &str = "stub/lifeboat";
const NAMES: [&str; 2] =
    ["a-host-with-a-name-that-is-so-long-that-two-of-it", "another-host-with-a-name-as-long-as-that-one"];

/// A node with the program, and an inventory of two hosts that are both this node. What holds their files still takes
/// a moment, so that there is a status to show.
fn node() -> Node {
    let node = Node::blank();
    node.bind_program(Path::new(env!("CARGO_BIN_EXE_lifeboat")), PROGRAM);
    let mut inventory = "version = 1\n[vault]\npath = \"/srv/vault\"\nallow_plaintext = true\n".to_owned();
    for (number, name) in NAMES.iter().enumerate() {
        std::fs::create_dir_all(node.path(&format!("srv/app-{number}"))).unwrap();
        std::fs::write(node.path(&format!("srv/app-{number}/file")), "saved").unwrap();
        inventory += &format!(
            "[hosts.{name}]\ntransport = \"local\"\nbecome = \"none\"\n[hosts.{name}.services.app-{number}]\n\
             kind = \"files\"\npaths = [\"/srv/app-{number}\"]\nsecret = false\n\
             quiesce = \"sleep 1.5\"\nresume = \":\"\n"
        );
    }
    std::fs::create_dir_all(node.path("srv/config")).unwrap();
    std::fs::write(node.path("srv/config/inventory.toml"), inventory).unwrap();
    node.run(&words(&["init"]));
    node
}

const SETTINGS: [(&str, &str); 4] =
    [("HOME", "/srv"), ("LIFEBOAT_CONFIG_DIR", "/srv/config"), ("LIFEBOAT_DATA_DIR", "/srv/data"), ("PATH", PATH)];

/// The call as a shell would write it.
fn words(args: &[&str]) -> String {
    let settings: Vec<_> = SETTINGS.iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!("{} /{PROGRAM} {}", settings.join(" "), args.join(" "))
}

fn at_a_terminal(node: &Node, args: &[&str]) -> Terminal {
    let prefix = node.prefix();
    // What brings the program inside waits for it; an interrupt is the program's alone, which listens for it.
    let mut command = CommandBuilder::new("/bin/sh");
    command.args(["-c", "trap '' INT; exec \"$@\"", "sh"]);
    command.args(&prefix);
    command.arg(format!("/{PROGRAM}"));
    command.args(args);
    command.env_clear();
    for (name, value) in SETTINGS {
        command.env(name, value);
    }
    Terminal::start(command, 24, 80)
}

fn content(node: &Node) -> String {
    std::fs::read_to_string(node.path("srv/app-0/file")).unwrap()
}

#[test]
fn only_the_right_word_answers_a_gate() {
    let node = node();
    let item = format!("{}/app-0/tree", NAMES[0]);
    node.run(&words(&["backup", &item]));
    std::fs::write(node.path("srv/app-0/file"), "changed since").unwrap();
    for (typed, code) in [("no\n", 15), ("\n", 15), ("\x04", 15), ("\x03", 130)] {
        let mut terminal = at_a_terminal(&node, &["restore", &item, "--to", NAMES[0]]);
        terminal.wait_for(&format!("Type '{}' to go on:", NAMES[0]));
        terminal.type_in(typed);
        assert_eq!(terminal.end(), code, "{typed:?}: {}", terminal.shown());
        assert!(terminal.shown().to_lowercase().contains("nothing was changed"), "{typed:?}: {}", terminal.shown());
        assert_eq!((content(&node).as_str(), node.leftovers().as_str()), ("changed since", ""), "{typed:?}");
    }
    let mut terminal = at_a_terminal(&node, &["restore", &item, "--to", NAMES[0]]);
    terminal.wait_for("to go on:");
    terminal.type_in(&format!("{}\n", NAMES[0]));
    assert_eq!(terminal.end(), 0, "{}", terminal.shown());
    assert_eq!(content(&node), "saved");
}

/// What the receipt of a run says was confirmed.
fn confirmed(node: &Node, run: &str) -> serde_json::Value {
    let receipt = std::fs::read(node.path(&format!("srv/vault/runs/{run}/receipt.json"))).unwrap();
    serde_json::from_slice::<serde_json::Value>(&receipt).unwrap()["body"]["said"]["confirmed"].clone()
}

/// The runs of the vault, the oldest first.
fn runs(node: &Node) -> Vec<String> {
    node.run("ls /srv/vault/runs").lines().map(str::to_owned).collect()
}

#[test]
fn words_that_are_typed_reach_the_receipt_as_those_of_flags_do() {
    let node = node();
    let item = format!("{}/app-0/tree", NAMES[0]);
    node.run(&words(&["backup", &item]));
    let mut terminal = at_a_terminal(&node, &["restore", &item, "--to", NAMES[0]]);
    terminal.wait_for("to go on:");
    terminal.type_in(&format!("{}\n", NAMES[0]));
    assert_eq!(terminal.end(), 0, "{}", terminal.shown());
    let run = runs(&node).pop().unwrap();
    assert_eq!(confirmed(&node, &run), serde_json::json!({"overwrite": NAMES[0]}));
    let shown = node.run(&words(&["runs", &run]));
    for line in [format!("confirmed overwrite={}", NAMES[0]), "choice guard=60 (default)".into(), "kept on".into()] {
        assert!(shown.contains(&line), "{line}: {shown}");
    }

    let mut terminal = at_a_terminal(&node, &["rollback", &run]);
    terminal.wait_for(&format!("Type '{run}' to go on:"));
    terminal.type_in(&format!("{run}\n"));
    assert_eq!(terminal.end(), 0, "{}", terminal.shown());
    let undone = runs(&node).pop().unwrap();
    assert_eq!(confirmed(&node, &undone), serde_json::json!({"rollback": run}));

    let flag = format!("overwrite={}", NAMES[0]);
    let more = ["--confirm", &flag, "--confirm", "nobody=asked", "--set", "guard=7"];
    node.run(&words(&[&["restore", &item, "--to", NAMES[0]][..], &more].concat()));
    let run = runs(&node).pop().unwrap();
    assert_eq!(confirmed(&node, &run), serde_json::json!({"overwrite": NAMES[0]}), "what was not asked is not kept");
    let shown = node.run(&words(&["runs", &run]));
    assert!(shown.contains(&format!("confirmed {flag}")) && shown.contains("choice guard=7\n"), "{shown}");
}

#[test]
fn leaving_a_run_says_what_stays_before_and_after_and_kept_lists_it() {
    let node = node();
    let (item, inventory) = (format!("{}/app-0/tree", NAMES[0]), node.path("srv/config/inventory.toml"));
    node.run(&words(&["backup", &item]));
    let slow = std::fs::read_to_string(&inventory).unwrap().replace("resume = \":\"", "resume = \"sleep 8\"");
    std::fs::write(&inventory, slow).unwrap();
    let flag = format!("overwrite={}", NAMES[0]);
    let terminal = at_a_terminal(&node, &["restore", &item, "--to", NAMES[0], "--confirm", &flag]);
    let kept = (0..600).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        node.run("ls -d /srv/.app-0.lifeboat-*.kept 2>/dev/null || :").lines().next().map(str::to_owned)
    });
    let kept = kept.expect("it never swapped");
    let comms = "for c in /proc/[0-9]*/comm; do read -r n <\"$c\"; [ \"$n\" != lifeboat ] || { c=${c%/comm}; kill -9 \"${c#/proc/}\"; }; done";
    node.run(comms);
    drop(terminal);
    let run = runs(&node).pop().unwrap();
    let left = node.run(&words(&["resume", &run, "--leave"]));
    let (before, after) = left.split_once("left as it is").unwrap();
    assert!(before.contains(&format!("stays       on {}: {kept}", NAMES[0])), "{left}");
    assert!(after.contains(&format!("kept on {}: {kept}", NAMES[0])), "{left}");
    assert!(node.run(&words(&["runs", &run])).contains(&format!("kept on {}: {kept}", NAMES[0])));
    assert!(node.run(&words(&["runs"])).contains("left as it was"));
    assert!(node.run(&words(&["kept", NAMES[0]])).contains(&kept));
    node.run(&words(&["kept", NAMES[0], "--purge", "--confirm", &format!("purge-{0}={0}", NAMES[0])]));
    assert_eq!(node.leftovers(), "");
}

#[test]
fn the_status_line_sums_up_never_wraps_and_goes_away() {
    let node = node();
    let mut terminal = at_a_terminal(&node, &["backup", "all"]);
    terminal.wait_for("0 of 2 done, 2 at work");
    assert_eq!(terminal.end(), 0, "{}", terminal.shown());
    let shown = terminal.shown();
    assert!(!shown.contains("at work") && shown.contains("2 of 2 backed up"), "{shown}");
    // Each line of the runs says whose it is.
    for (number, name) in NAMES.iter().enumerate() {
        assert!(terminal.written().contains(&format!("{name}/app-{number}/tree: done")), "{}", terminal.written());
    }
    // Lines that scroll away may be longer than the terminal; the one that is rewritten may not.
    for status in terminal.written().split('\r').filter(|text| text.contains("at work")) {
        let line = status.trim_end();
        assert!(line.chars().count() < 80, "{} columns: {line}", line.chars().count());
    }
}

#[test]
fn an_interrupt_stops_every_run_in_order_and_leaves_nothing() {
    let node = node();
    let mut terminal = at_a_terminal(&node, &["backup", "all", "--jobs", "2"]);
    // Both hold their files still by then: each has something to undo.
    for (number, name) in NAMES.iter().enumerate() {
        terminal.wait_until_written(&format!("{name}/app-{number}/tree: armed"));
    }
    terminal.type_in("\x03");
    assert_eq!(terminal.end(), 130, "{}", terminal.shown());
    for (number, name) in NAMES.iter().enumerate() {
        assert!(terminal.written().contains(&format!("{name}/app-{number}/tree: undone")), "{}", terminal.written());
    }
    assert_eq!(node.leftovers(), "");
    let snapshots = node.run("find /srv/vault -name manifest.json");
    assert_eq!(snapshots, "", "nothing half was kept");
}

#[test]
fn programs_read_which_run_each_event_is_of() {
    let node = node();
    let said = node.run(&words(&["--json", "backup", "all"]));
    let documents: Vec<serde_json::Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |kind: &str| documents.iter().filter(|document| document["kind"] == kind).collect::<Vec<_>>();
    let told: BTreeMap<&str, &str> = of("backed-up")
        .iter()
        .map(|done| (done["report"]["run"].as_str().unwrap(), done["item"]["owner"].as_str().unwrap()))
        .collect();
    assert_eq!(told.values().copied().collect::<Vec<_>>().len(), 2, "{said}");
    let is_event = |document: &&serde_json::Value| document.get("seq").is_some();
    let runs: BTreeSet<&str> = documents.iter().filter(is_event).map(|event| event["run"].as_str().unwrap()).collect();
    assert_eq!(runs, told.keys().copied().collect());
    // Planned before anything ran.
    let last_plan = documents.iter().rposition(|document| document["kind"] == "plan").unwrap();
    assert!(last_plan < documents.iter().position(|document| is_event(&document)).unwrap());
}

#[test]
fn the_status_line_of_one_run_goes_away_with_it() {
    let node = node();
    let mut terminal = at_a_terminal(&node, &["backup", &format!("{}/app-0/tree", NAMES[0]), "--set", "guard=5"]);
    terminal.wait_for("Make the files hold still");
    assert_eq!(terminal.end(), 0);
    let ended = terminal.shown();
    assert!(!ended.lines().any(|line| line.starts_with("Make the files hold still")), "{ended}");
}

#[test]
fn without_a_terminal_there_is_no_status_line() {
    let node = node();
    let prefix = node.prefix();
    let mut command = Command::new(&prefix[0]);
    command.args(&prefix[1..]).arg(format!("/{PROGRAM}")).args(["backup", "all"]);
    let output = command.env_clear().envs(SETTINGS).stdin(Stdio::null()).output().unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{out}{err}");
    assert!(!out.contains('\r') && !err.contains('\r') && !err.contains("at work"), "{err}");
    assert_eq!(out.lines().filter(|line| line.ends_with("verified")).count(), 2, "{out}");
}

#[test]
fn a_passphrase_is_asked_for_once_and_never_shown() {
    let node = node();
    let words_of_it = "correct horse";
    node.run(&format!("ssh-keygen -q -t ed25519 -a 1 -N '{words_of_it}' -f /srv/key"));
    let public = std::fs::read_to_string(node.path("srv/key.pub")).unwrap();
    let path = node.path("srv/config/inventory.toml");
    let inventory = std::fs::read_to_string(&path).unwrap().replace(
        "allow_plaintext = true",
        &format!("recipients = [\"{}\"]\nidentities = [\"/srv/key\"]", public.trim()),
    );
    std::fs::write(&path, inventory).unwrap();
    // Right, there is nothing in the vault yet; wrong, nothing is read at all.
    for (typed, code) in [(words_of_it, 7), ("wrong", 13)] {
        let mut terminal = at_a_terminal(&node, &["list", "all"]);
        terminal.wait_for("/srv/key");
        terminal.type_in(&format!("{typed}\r"));
        let ended = terminal.end();
        assert!(!terminal.written().contains(typed), "{}", terminal.written());
        assert_eq!(ended, code, "{}", terminal.shown());
        assert_eq!(terminal.written().matches("passphrase of").count(), 1, "{}", terminal.written());
    }
}
