//! What is stored, judged through the program on a sandboxed node: samples, a byte that flipped, a key that is lost.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::sandbox::{Node, PATH};
use crate::support::console::{Ended, files_below};

const PROGRAM: &str = "stub/lifeboat";
const ITEM: &str = "here/app/tree";

/// A node that is its own console: two services, each copied twice into a sealed vault.
fn kept() -> Node {
    let node = Node::blank();
    node.bind_program(Path::new(env!("CARGO_BIN_EXE_lifeboat")), PROGRAM);
    std::fs::create_dir_all(node.path("srv/config")).unwrap();
    let keygen = call(&node, &["keygen", "/srv/key.txt"]).expect(0);
    let recipient = keygen.out.split_whitespace().find(|word| word.starts_with("age1")).unwrap().to_owned();
    let mut inventory = format!(
        "version = 1\n[vault]\npath = \"/srv/vault\"\nrecipients = [\"{recipient}\"]\nidentities = [\"/srv/key.txt\"]\n\
         [hosts.here]\ntransport = \"local\"\nbecome = \"none\"\n"
    );
    for name in ["app", "other"] {
        std::fs::create_dir_all(node.path(&format!("srv/{name}"))).unwrap();
        std::fs::write(node.path(&format!("srv/{name}/file")), format!("{name} saved")).unwrap();
        inventory += &format!("[hosts.here.services.{name}]\nkind = \"files\"\npaths = [\"/srv/{name}\"]\n");
    }
    std::fs::write(node.path("srv/config/inventory.toml"), inventory).unwrap();
    call(&node, &["init"]).expect(0);
    for _ in 0..2 {
        call(&node, &["backup", "all"]).expect(0);
    }
    node
}

fn call(node: &Node, args: &[&str]) -> Ended {
    let prefix = node.prefix();
    let mut command = Command::new(&prefix[0]);
    command.args(&prefix[1..]).arg(format!("/{PROGRAM}")).args(args).env_clear().stdin(Stdio::null());
    command.env("HOME", "/srv").env("LIFEBOAT_CONFIG_DIR", "/srv/config").env("LIFEBOAT_DATA_DIR", "/srv/data");
    let output = command.env("PATH", PATH).output().unwrap();
    Ended {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The directories of an item's snapshots, the oldest first.
fn snapshots(node: &Node) -> Vec<PathBuf> {
    let dir = node.path(&format!("srv/vault/{ITEM}"));
    let mut found: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

fn content(node: &Node) -> String {
    std::fs::read_to_string(node.path("srv/app/file")).unwrap()
}

#[test]
fn a_sample_is_the_share_that_was_asked_for() {
    let node = kept();
    let verified =
        |args: &[&str]| call(&node, args).expect(0).out.lines().filter(|line| line.starts_with("verified")).count();
    assert_eq!(verified(&["verify"]), 4);
    for (percent, count) in [("50", 2), ("51", 3), ("1", 1), ("100", 4)] {
        assert_eq!(verified(&["verify", "--sample", percent]), count, "{percent} of a hundred");
    }
    // Chosen anew each time: of twenty halves some differ.
    let names = || call(&node, &["verify", "--sample", "50"]).expect(0).out;
    let first = names();
    assert!((0..20).any(|_| names() != first), "always the same half: {first}");
    call(&node, &["verify", "--sample", "101"]).expect(2);
}

#[test]
fn snapshots_and_selectors_are_verified_in_any_mixture_and_each_once() {
    let node = kept();
    let ids: Vec<String> =
        snapshots(&node).iter().map(|dir| format!("{ITEM}@{}", dir.file_name().unwrap().to_str().unwrap())).collect();
    let verified = |words: &[&str], code: i32| {
        let ended = call(&node, &[&["verify"], words].concat()).expect(code);
        let lines = ended.out.lines().filter_map(|line| line.strip_prefix("verified"));
        let names: Vec<String> = lines.map(|line| line.split_whitespace().next().unwrap().to_owned()).collect();
        (names, ended)
    };
    let (first, last) = (ids[0].as_str(), ids.last().unwrap().as_str());
    let (all, _) = verified(&[], 0);
    assert_eq!((all.len(), ids.len()), (4, 2));
    assert_eq!(verified(&[first], 0).0, [first]);
    assert_eq!(verified(&[last, first, last], 0).0, ids);
    assert_eq!(verified(&[ITEM, first], 0).0, ids);
    let one_more = verified(&["here/other", first], 0).0;
    assert!(one_more.len() == 3 && one_more[0] == first && all.ends_with(&one_more[1..]), "{one_more:?}");
    for words in [&[first, "here"][..], &["here/*", last], &[ITEM, first, "all"]] {
        assert_eq!(verified(words, 0).0, all, "{words:?}");
    }
    // What means nothing here is never passed over as if it had been checked.
    let (names, ended) = verified(&[first, "hree"], 3);
    assert!(names == [first] && ended.err.contains("The vault has no snapshot of 'hree'."), "{}", ended.err);
    verified(&["hree"], 7);
    verified(&[first, &format!("{ITEM}@20010101")], 7).1.says("20010101");
    // A login's @ makes no snapshot of a selector.
    let (_, ended) = verified(&["ops@10.9.8.7/app/tree"], 7);
    assert!(ended.err.contains("no snapshot of 'ops@10.9.8.7/app/tree'"), "{}", ended.err);
}

#[test]
fn a_flipped_byte_is_found_and_nothing_is_restored_from_it() {
    let node = kept();
    std::fs::write(node.path("srv/app/file"), "changed since").unwrap();
    let newest = snapshots(&node).pop().unwrap();
    let reference = format!("{ITEM}@{}", newest.file_name().unwrap().to_str().unwrap());
    let restore = ["restore", &reference, "--to", "here", "--confirm", "overwrite=here"];
    let mut sealed = files_below(&newest);
    sealed.retain(|file| file.extension().is_some_and(|end| end == "age"));
    assert!(sealed.len() > 1, "{sealed:?}");
    for file in &sealed {
        let name = file.file_name().unwrap().to_str().unwrap();
        let sound = std::fs::read(file).unwrap();
        // In the header, which no key is needed to read; in the middle; in the last block.
        for place in [3, sound.len() / 2, sound.len() - 1] {
            let mut flipped = sound.clone();
            flipped[place] ^= 1;
            std::fs::write(file, &flipped).unwrap();
            call(&node, &["verify", &reference]).expect(14).says("BROKEN").says(name);
            let ended = call(&node, &restore).expect(14);
            assert!(ended.err.contains(name) || ended.err.contains(&reference), "{}", ended.err);
            assert_eq!((content(&node).as_str(), node.leftovers().as_str()), ("changed since", ""));
        }
        std::fs::write(file, &sound).unwrap();
    }

    // Whole again, it serves again.
    call(&node, &["verify", &reference]).expect(0);
    call(&node, &restore).expect(0);
    assert_eq!(content(&node), "app saved");
}

#[test]
fn without_the_key_nothing_is_planned_and_what_is_sealed_is_still_known_for_whole() {
    let node = kept();
    std::fs::write(node.path("srv/app/file"), "changed since").unwrap();
    let (key, aside) = (node.path("srv/key.txt"), node.path("srv/key.aside"));
    std::fs::rename(&key, &aside).unwrap();
    // The inventory names it still: that it is not there is told, and what needs no key is done.
    call(&node, &["verify"]).expect(0).says("warning: the identity /srv/key.txt is not here");
    call(&node, &["restore", ITEM, "--to", "here"]).expect(13);
    let inventory = node.path("srv/config/inventory.toml");
    let text = std::fs::read_to_string(&inventory).unwrap();
    let lost = text.lines().filter(|line| !line.starts_with("identities")).map(|line| format!("{line}\n"));
    std::fs::write(&inventory, lost.collect::<String>()).unwrap();
    for args in [
        &["restore", ITEM, "--to", "here"][..],
        &["--json", "restore", ITEM, "--to", "here", "--confirm", "overwrite=here"],
    ] {
        let ended = call(&node, args).expect(13);
        assert!(
            !ended.out.contains("\"plan\"") && !format!("{}{}", ended.out, ended.err).contains("run 2"),
            "{ended:?}"
        );
    }
    let whole = call(&node, &["verify"]).expect(0);
    let intact = whole.out.lines().filter(|line| line.starts_with("intact") && line.contains("sealed; no key at hand"));
    assert_eq!(intact.count(), 4, "{}", whole.out);
    assert_eq!((content(&node).as_str(), node.leftovers().as_str()), ("changed since", ""));
    call(&node, &["show", ITEM]).expect(0).says("sealed");
    // A console that holds only the public key still proves what it stores.
    call(&node, &["backup", ITEM]).expect(0).says("verified");
}

/// Every so many bytes of a file, and the last, one after the other with one bit flipped; it is whole again afterwards.
fn flipped_everywhere(file: &Path, step: usize, mut look: impl FnMut(usize)) {
    let sound = std::fs::read(file).unwrap();
    let last = sound.len().saturating_sub(1);
    for at in (0..last).step_by(step).chain([last]) {
        let mut flipped = sound.clone();
        flipped[at] ^= 1 << (at % 8);
        std::fs::write(file, &flipped).unwrap();
        look(at);
    }
    std::fs::write(file, &sound).unwrap();
}

#[test]
fn a_flipped_byte_in_any_file_of_a_vault_is_named_by_verify() {
    let node = kept();
    let vault = node.path("srv/vault");
    std::fs::write(node.path("srv/app/file"), "changed since").unwrap();
    call(&node, &["restore", ITEM, "--to", "here", "--confirm", "overwrite=here"]).expect(0);
    call(&node, &["verify"]).expect(0);
    let files = files_below(&vault);
    let names: BTreeSet<&str> = files.iter().map(|file| file.file_name().unwrap().to_str().unwrap()).collect();
    for name in ["vault.json", "inventory.toml", "manifest.json", "RESTORE.md", "SHA256SUMS", "hashes.json.age"] {
        assert!(names.contains(name), "{name} is not among {names:?}");
    }
    for name in ["plan.json", "journal.jsonl", "receipt.json", "receipt.sig", "signer.pem"] {
        assert!(names.contains(name), "{name} is not among {names:?}");
    }
    let mut receipts = 0;
    for file in &files {
        let (shown, length) = (file.strip_prefix(&vault).unwrap(), file.metadata().unwrap().len());
        let place = shown.parent().unwrap().to_str().unwrap().trim_end_matches("/proofs");
        let name = shown.file_name().unwrap().to_str().unwrap();
        println!("{}: {length} bytes", shown.display());
        // Byte by byte is the vault's own tests' to try: here the program is started each time.
        flipped_everywhere(file, usize::try_from(length / 2 + 1).unwrap(), |at| {
            let ended = call(&node, &["--read-only", "verify"]);
            let code = if shown == Path::new("vault.json") { [13, 14] } else { [3, 14] };
            assert!(ended.code.is_some_and(|ended| code.contains(&ended)), "{} byte {at}: {ended:?}", shown.display());
            let said = format!("{}{}", ended.out, ended.err);
            let broken = said.lines().filter(|line| line.starts_with("BROKEN") || line.starts_with("lifeboat: "));
            // A receipt, its signature and its key are one: which of them was changed nobody can tell.
            let telling: Vec<&str> = broken.filter(|line| line.contains(place) && line.contains(name)).collect();
            assert!(!telling.is_empty(), "{} byte {at} is not named: {said}", shown.display());
            receipts += telling.iter().filter(|line| line.starts_with("BROKEN    receipt: ")).count();
        });
    }
    assert!(receipts > 0, "no line tells of a receipt");
    call(&node, &["verify"]).expect(0);
}

/// A run that broke off has no receipt yet. What it would do when it is taken up is what was planned, or nothing.
#[test]
fn a_flipped_byte_of_a_run_that_broke_off_is_named_and_it_is_not_taken_up() {
    let node = kept();
    std::fs::write(node.path("srv/app/file"), "changed since").unwrap();
    call(&node, &["restore", ITEM, "--to", "here", "--confirm", "overwrite=here"]).expect(0);
    let runs = node.path("srv/vault/runs");
    let dirs = std::fs::read_dir(&runs).unwrap().map(|entry| entry.unwrap().path());
    // Two runs of one second are in no order.
    let is_restore = |dir: &PathBuf| {
        std::fs::read_to_string(dir.join("plan.json")).is_ok_and(|plan| plan.contains(r#""do": "restore""#))
    };
    let [dir] = &dirs.filter(is_restore).collect::<Vec<_>>()[..] else { panic!("one restore") };
    let run = dir.file_name().unwrap().to_str().unwrap().to_owned();
    // As a console leaves it that is killed in the middle: neither receipt nor the last of its journal.
    for name in ["receipt.json", "receipt.sig", "signer.pem"] {
        std::fs::remove_file(dir.join(name)).unwrap();
    }
    let (journal, plan) = (dir.join("journal.jsonl"), dir.join("plan.json"));
    let text = std::fs::read_to_string(&journal).unwrap();
    let begun: String = text.split_inclusive('\n').take(3).collect();
    std::fs::write(&journal, &begun).unwrap();
    let whole = call(&node, &["verify"]).expect(0);
    assert!(!whole.out.contains("BROKEN"), "{}", whole.out);
    for file in [&journal, &plan] {
        let name = file.to_str().unwrap().strip_prefix(node.path("").to_str().unwrap()).unwrap().to_owned();
        let step = usize::try_from(file.metadata().unwrap().len() / 24).unwrap();
        flipped_everywhere(file, step, |at| {
            let ended = call(&node, &["--read-only", "verify"]);
            assert!(matches!(ended.code, Some(3 | 14)), "{name} byte {at}: {ended:?}");
            let told = ended.out.lines().any(|line| line.starts_with("BROKEN    receipt: ") && line.contains(&name));
            assert!(told, "{name} byte {at} is not named: {}", ended.out);
            let refused = call(&node, &["resume", &run, "--roll-back"]).expect(14);
            assert!(refused.err.contains(&name), "{name} byte {at}: {}", refused.err);
            assert_eq!(content(&node), "app saved", "{name} byte {at}");
        });
    }
    // A last line that a crash tore off did not happen, which is no damage.
    std::fs::write(&journal, &begun[..begun.len() - 1]).unwrap();
    call(&node, &["verify"]).expect(0);
}
