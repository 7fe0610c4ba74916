//! Plans, journals and receipts.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::process::Command;

use super::*;
use lifeboat::model::exit::Exit;
use lifeboat::vault::{ConsoleKey, RunDir};

fn run_number(n: u32) -> RunId {
    RunId::new(format!("20261120T1844{n:02}Z-abcdef")).unwrap()
}

fn finished(bench: &Bench, key: &ConsoleKey, n: u32) -> RunDir {
    let dir = bench.vault.run_dir(&run_number(n)).unwrap();
    dir.write_plan(b"{\"steps\":[]}\n").unwrap();
    let (mut journal, replay) = dir.journal().unwrap();
    assert!(replay.entries.is_empty());
    for step in 0..3 {
        assert_eq!(journal.append(&bench.clock, &json!({ "step": step })).unwrap(), step);
    }
    dir.write_receipt(&json!({ "done": n }), key, &bench.clock, &bench.entropy).unwrap();
    dir
}

#[test]
fn a_plan_is_written_once() {
    let bench = Bench::new();
    let dir = bench.vault.run_dir(&run()).unwrap();
    dir.write_plan(b"first").unwrap();
    assert!(matches!(dir.write_plan(b"second"), Err(VaultError::Exists { .. })));
    assert_eq!(dir.read_plan().unwrap(), b"first");
}

#[test]
fn a_journal_cut_anywhere_gives_back_its_whole_entries_and_goes_on() {
    let bench = Bench::new();
    let dir = bench.vault.run_dir(&run()).unwrap();
    let (mut journal, _) = dir.journal().unwrap();
    assert!(matches!(dir.journal(), Err(VaultError::Held { .. })), "one writer at a time");
    for n in 0..4 {
        journal.append(&bench.clock, &json!({ "n": n, "text": "zwölf" })).unwrap();
    }
    drop(journal);
    let path = dir.path().join("journal.jsonl");
    let whole = fs::read(&path).unwrap();
    for cut in 0..=whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        let lines = whole[..cut].split_inclusive(|b| *b == b'\n').filter(|line| line.ends_with(b"\n")).count();
        let (mut journal, replay) = dir.journal().unwrap();
        assert_eq!(replay.entries.len(), lines);
        assert_eq!(replay.torn > 0, cut > 0 && whole[cut - 1] != b'\n', "cut at {cut}");
        assert_eq!(journal.append(&bench.clock, &json!("next")).unwrap(), lines as u64);
        drop(journal);
        let replay = dir.read_journal().unwrap();
        assert_eq!((replay.entries.len(), replay.torn), (lines + 1, 0));
    }
}

#[test]
fn anything_else_broken_in_a_journal_is_an_error() {
    let bench = Bench::new();
    let dir = bench.vault.run_dir(&run()).unwrap();
    let (mut journal, _) = dir.journal().unwrap();
    for n in 0..3 {
        journal.append(&bench.clock, &json!({ "n": n })).unwrap();
    }
    drop(journal);
    let path = dir.path().join("journal.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let broken = [
        [lines[0], lines[2]].concat(),
        [lines[1], lines[2]].concat(),
        [lines[0], lines[0], lines[2]].concat(),
        text.replacen("\"n\":0", "\"n\":9", 1),
        [lines[0], "\n", lines[1]].concat(),
        [lines[0], "garbage\n"].concat(),
    ];
    for broken in broken {
        fs::write(&path, &broken).unwrap();
        let error = dir.read_journal().unwrap_err();
        assert_eq!(error.exit(), Exit::Integrity, "{broken}");
        assert!(dir.journal().is_err());
    }
}

#[test]
fn receipts_are_signed_chained_and_checkable_with_openssl() {
    let bench = Bench::new();
    let key = ConsoleKey::load_or_create(&bench.dir.path().join("state"), &bench.entropy).unwrap();
    let same = ConsoleKey::load_or_create(&bench.dir.path().join("state"), &bench.entropy).unwrap();
    assert_eq!(key.id(), same.id());
    let other = ConsoleKey::load_or_create(&bench.dir.path().join("other"), &bench.entropy).unwrap();
    let dirs: Vec<_> = (1..=3).map(|n| finished(&bench, &key, n)).collect();
    finished(&bench, &other, 9);
    let chain = bench.vault.verify_receipts().unwrap();
    assert!(chain.findings.is_empty(), "{:?}", chain.findings);
    assert_eq!(chain.receipts.len(), 4);
    assert_eq!(dirs[2].read_receipt().unwrap().unwrap().number, 3);
    assert!(dirs[0].write_receipt(&json!({}), &key, &bench.clock, &bench.entropy).is_err(), "once");
    let by_hand = Command::new("openssl")
        .args(["pkeyutl", "-verify", "-pubin", "-inkey", "signer.pem", "-rawin", "-in", "receipt.json"])
        .args(["-sigfile", "receipt.sig"])
        .current_dir(dirs[0].path())
        .output()
        .unwrap();
    assert!(by_hand.status.success(), "{by_hand:?}");
    let id = Command::new("sh")
        .args(["-c", "openssl pkey -pubin -in signer.pem -outform DER | tail -c 32 | sha256sum"])
        .current_dir(dirs[0].path())
        .output()
        .unwrap();
    assert!(key.id().as_str().ends_with(&String::from_utf8(id.stdout).unwrap()[..16]));
    fs::remove_dir_all(dirs[1].path()).unwrap();
    let chain = bench.vault.verify_receipts().unwrap();
    assert_eq!((chain.receipts.len(), chain.findings.len()), (3, 1));
    assert!(chain.findings[0].message.contains("is missing or was changed"), "{}", chain.findings[0]);
}

fn key_of(bench: &Bench, name: &str) -> ConsoleKey {
    ConsoleKey::load_or_create(&bench.dir.path().join(name), &bench.entropy).unwrap()
}

/// Where a console notes what receipt comes next.
fn noted(bench: &Bench, key: &ConsoleKey) -> std::path::PathBuf {
    bench.vault.root().join("runs").join(format!(".next-{}", key.id()))
}

fn number(run: &RunDir) -> u64 {
    run.read_receipt().unwrap().unwrap().number
}

#[test]
fn a_chain_goes_on_from_what_is_noted_and_every_receipt_is_read_only_without_it() {
    let bench = Bench::new();
    let (key, other) = (key_of(&bench, "one"), key_of(&bench, "two"));
    let first = finished(&bench, &key, 1);
    assert_eq!(number(&finished(&bench, &key, 2)), 2);
    assert_eq!(number(&finished(&bench, &other, 3)), 1, "each console counts its own");
    // A number that is followed only by who reads it.
    let path = first.path().join("receipt.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"number\": 1,", "\"number\": 90,")).unwrap();
    assert_ne!(fs::read_to_string(&path).unwrap(), text);
    assert_eq!(number(&finished(&bench, &key, 4)), 3);
    fs::remove_file(noted(&bench, &key)).unwrap();
    assert_eq!(number(&finished(&bench, &key, 5)), 91);
    assert_eq!(number(&finished(&bench, &key, 6)), 92);
}

#[test]
fn what_is_noted_is_believed_only_as_far_as_the_receipts_bear_it_out() {
    let bench = Bench::new();
    let key = key_of(&bench, "one");
    let path = noted(&bench, &key);
    finished(&bench, &key, 1);
    let of_first = fs::read(&path).unwrap();
    let second = finished(&bench, &key, 2);
    let of_second = fs::read(&path).unwrap();
    // Its console was killed before the receipt was there: then it is the one before.
    let third = finished(&bench, &key, 3);
    fs::remove_file(third.path().join("receipt.json")).unwrap();
    let fourth = finished(&bench, &key, 4);
    let receipt = fourth.read_receipt().unwrap().unwrap();
    assert_eq!((receipt.number, &receipt.previous.unwrap().run), (3, second.run()));
    // One that is older than the receipts, as a vault that is copied bit by bit may have.
    for (n, old) in [(5, &of_second), (6, &of_first)] {
        fs::write(&path, old).unwrap();
        assert_eq!(number(&finished(&bench, &key, n)), u64::from(n) - 1);
    }
    // Damaged in any byte, cut, or of another console.
    let whole = fs::read(&path).unwrap();
    let foreign = {
        let other = key_of(&bench, "two");
        finished(&bench, &other, 7);
        fs::read(noted(&bench, &other)).unwrap()
    };
    let flipped = (0..whole.len()).step_by(9).map(|at| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    });
    let all = flipped.chain([foreign, Vec::new(), whole[..whole.len() - 1].to_vec()]);
    for (n, bytes) in (8..).zip(all) {
        fs::write(&path, bytes).unwrap();
        let [finding] = &bench.vault.verify_receipts().unwrap().findings[..] else { panic!("{n}: one finding") };
        assert!(finding.path == path && finding.is_damage(), "{finding}");
        assert_eq!(number(&finished(&bench, &key, n)), u64::from(n) - 2);
    }
    let chain = bench.vault.verify_receipts().unwrap();
    assert!(chain.findings.is_empty(), "{:?}", chain.findings);
}

#[test]
fn a_run_taken_up_again_goes_on_in_a_new_chapter_and_its_first_receipt_holds() {
    let bench = Bench::new();
    let key = ConsoleKey::load_or_create(&bench.dir.path().join("state"), &bench.entropy).unwrap();
    let other = ConsoleKey::load_or_create(&bench.dir.path().join("other"), &bench.entropy).unwrap();
    let dir = finished(&bench, &key, 1);
    let before = dir.read_journal().unwrap().entries;
    let first = fs::read(dir.path().join("journal.jsonl")).unwrap();
    let (mut journal, replay) = dir.journal().unwrap();
    assert_eq!(replay.entries, before);
    journal.append(&bench.clock, &json!("taken up")).unwrap();
    drop(journal);
    assert_eq!(fs::read(dir.path().join("journal.jsonl")).unwrap(), first, "what a receipt names stays");
    let both = dir.read_journal().unwrap().entries;
    let told: Vec<_> = both.iter().map(|entry| entry.seq).collect();
    assert_eq!(told, (0..=before.len() as u64).collect::<Vec<_>>());
    // Open again, by whoever comes next, without a receipt in between.
    dir.journal().unwrap().0.append(&bench.clock, &json!("and again")).unwrap();
    assert_eq!(dir.read_receipt().unwrap().unwrap().number, 1);
    dir.write_receipt(&json!({}), &other, &bench.clock, &bench.entropy).unwrap();
    assert!(dir.write_receipt(&json!({}), &other, &bench.clock, &bench.entropy).is_err(), "once a chapter");
    assert_eq!(dir.read_receipt().unwrap().unwrap().console, *other.id());
    let chain = bench.vault.verify_receipts().unwrap();
    assert_eq!((chain.receipts.len(), chain.findings.len()), (2, 0), "{:?}", chain.findings);
    for name in ["journal.jsonl", "journal-2.jsonl", "receipt-2.json", "receipt-2.sig", "signer-2.pem"] {
        let path = dir.path().join(name);
        let good = fs::read(&path).unwrap();
        let mut bad = good.clone();
        bad[good.len() / 2] ^= 1;
        fs::write(&path, bad).unwrap();
        assert_eq!(bench.vault.verify_receipts().unwrap().findings.len(), 1, "{name}");
        fs::write(&path, good).unwrap();
    }
}

#[test]
fn a_flip_in_any_byte_of_a_finished_run_is_found_and_the_run_named() {
    let bench = Bench::new();
    let key = ConsoleKey::load_or_create(&bench.dir.path().join("state"), &bench.entropy).unwrap();
    let dir = finished(&bench, &key, 1);
    for name in ["plan.json", "journal.jsonl", "receipt.json", "receipt.sig", "signer.pem"] {
        let path = dir.path().join(name);
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            fs::write(&path, bad).unwrap();
            let findings = bench.vault.verify_receipts().unwrap().findings;
            assert_eq!(findings.len(), 1, "{name} byte {at}");
            assert!(findings[0].path.starts_with(dir.path()));
        }
        fs::write(&path, good).unwrap();
    }
    let path = dir.path().join("journal.jsonl");
    OpenOptions::new().append(true).open(path).unwrap().write_all(b"{}\n").unwrap();
    assert_eq!(bench.vault.verify_receipts().unwrap().findings.len(), 1);
}

#[test]
fn a_console_key_others_can_read_is_refused() {
    let bench = Bench::new();
    let dir = bench.dir.path().join("state");
    ConsoleKey::load_or_create(&dir, &bench.entropy).unwrap();
    fs::set_permissions(dir.join("console.key"), std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
    assert!(matches!(ConsoleKey::load_or_create(&dir, &bench.entropy), Err(VaultError::Key { .. })));
}

/// Puts the lease on a console's receipts into somebody's hands who never gives it back.
fn hold_receipts(bench: &Bench, key: &ConsoleKey) {
    let subject = format!("receipts of {}", key.id());
    let other = Holder { host: "laptop".into(), ..Holder::this(console()) };
    let lease = bench.vault.lease(&item("a/b/c"), &other, &bench.clock, &bench.entropy).unwrap();
    std::mem::forget(lease);
    let leases = bench.vault.root().join(".leases");
    let file = fs::read_dir(&leases).unwrap().next().unwrap().unwrap().path();
    let text = fs::read_to_string(&file).unwrap().replace("a/b/c", &subject);
    let hash = Command::new("sh").args(["-c", "printf %s \"$1\" | sha256sum", "sh", &subject]).output().unwrap();
    let hash = String::from_utf8(hash.stdout).unwrap();
    fs::write(leases.join(format!("{}.json", &hash[..32])), text.replace("\"process\"", "\"other\"")).unwrap();
    fs::remove_file(file).unwrap();
}

#[test]
fn a_run_that_is_done_waits_for_its_receipt_until_a_dead_console_s_lease_has_ended() {
    let bench = Bench::new();
    let key = ConsoleKey::load_or_create(&bench.dir.path().join("state"), &bench.entropy).unwrap();
    hold_receipts(&bench, &key);
    let began = bench.clock.now();
    finished(&bench, &key, 1);
    let waited = bench.clock.now().duration_since(began);
    let life = SignedDuration::try_from(lifeboat::vault::LEASE_LIFE).unwrap();
    assert!(waited >= life && waited < life + SignedDuration::from_secs(5), "{waited:?}");
    assert_eq!(bench.vault.verify_receipts().unwrap().receipts.len(), 1);
}

#[test]
fn what_does_not_belong_to_a_run_is_a_finding() {
    let bench = Bench::new();
    let key = ConsoleKey::load_or_create(&bench.dir.path().join("state"), &bench.entropy).unwrap();
    let dir = finished(&bench, &key, 1);
    let (mut journal, _) = dir.journal().unwrap();
    journal.append(&bench.clock, &json!("again")).unwrap();
    drop(journal);
    dir.write_receipt(&json!({}), &key, &bench.clock, &bench.entropy).unwrap();
    fs::write(dir.path().join(".new-x"), "x").unwrap();
    assert!(bench.vault.verify_receipts().unwrap().findings.is_empty());
    for name in ["notes", "plan-2.json", "journal-1.jsonl", "receipt.jsonl", "signer-x.pem"] {
        fs::write(dir.path().join(name), "x").unwrap();
        let findings = bench.vault.verify_receipts().unwrap().findings;
        assert_eq!(findings.len(), 1, "{name}: {findings:?}");
        assert!(findings[0].path.ends_with(name) && findings[0].trouble == lifeboat::vault::Trouble::Unexpected);
        fs::remove_file(dir.path().join(name)).unwrap();
    }
    std::os::unix::fs::symlink("/etc/passwd", dir.path().join("journal-3.jsonl")).unwrap();
    let findings = bench.vault.verify_receipts().unwrap().findings;
    assert!(findings.iter().any(|f| f.path.ends_with("journal-3.jsonl")), "{findings:?}");
}

#[test]
fn a_receipt_with_the_last_number_there_is_does_not_end_the_program() {
    let bench = Bench::new();
    let key = ConsoleKey::load_or_create(&bench.dir.path().join("state"), &bench.entropy).unwrap();
    let dir = finished(&bench, &key, 1);
    let path = dir.path().join("receipt.json");
    let text = fs::read_to_string(&path).unwrap().replace("\"number\": 1", &format!("\"number\": {}", u64::MAX));
    fs::write(&path, text).unwrap();
    assert_eq!(finished(&bench, &key, 2).read_receipt().unwrap().unwrap().number, u64::MAX);
}
