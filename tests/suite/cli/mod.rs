//! The program as it is called: exit codes and what is printed, without any node.

mod docs;
mod enrolling;
mod entries;
mod kept;
mod long;
mod room;
mod several;
mod terminal;
mod undoing;

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use crate::support::console::{Console, Ended, files_below};

/// Every command there is.
pub const COMMANDS: [&str; 16] = [
    "init",
    "demo",
    "keygen",
    "enroll",
    "doctor",
    "scan",
    "backup",
    "list",
    "show",
    "verify",
    "restore",
    "rollback",
    "runs",
    "resume",
    "kept",
    "completions",
];

/// One host that nothing can reach, and a vault that is not made yet.
fn lonely() -> Console {
    let console = Console::new();
    let inventory = format!(
        "version = 1\n[vault]\npath = \"{}\"\nallow_plaintext = true\n[hosts.val-1]\naddress = \"127.0.0.1\"\n\
         port = 1\nuser = \"ops\"\n[hosts.val-1.services.files]\npaths = [\"/etc\"]\n",
        console.path("vault").display()
    );
    console.write_inventory(&inventory);
    console
}

/// Standard error with the console's directory named `DIR`.
fn said(console: &Console, ended: &Ended) -> String {
    ended.err.replace(console.path("").to_str().unwrap().trim_end_matches('/'), "DIR")
}

#[test]
fn without_an_inventory_everything_says_how_to_make_one() {
    let console = Console::new();
    for args in [&["scan"][..], &["list"], &["backup", "all"], &["restore", "a/b/c", "--to", "d"], &["runs"]] {
        let ended = console.run(args).expect(2);
        insta::allow_duplicates! { insta::assert_snapshot!(said(&console, &ended), @r"
        lifeboat: There is no inventory at DIR/config/inventory.toml (named by the configuration directory).
          next: Make one: lifeboat init
        "); }
        assert_eq!(ended.out, "");
    }
}

#[test]
fn a_broken_inventory_tells_every_mistake_at_once_and_runs_nothing() {
    let console = Console::new();
    console.write_inventory(
        "version = 1\n[vault]\npath = \"vault\"\npth = 3\n[hosts.val-1]\nadress = \"127.0.0.1\"\nport = 99999\n\
         [hosts.val-1.services.files]\npaths = \"relative\"\n[hosts.val-1.services.nonsense]\n\
         [groups.x.policy]\nmax_age = \"soon\"\n",
    );
    for args in [&["scan"][..], &["init"], &["backup", "all"]] {
        let ended = console.run(args).expect(2);
        insta::allow_duplicates! { insta::assert_snapshot!(said(&console, &ended), @r#"
        lifeboat: The inventory has 6 mistakes; nothing was run.
          next: DIR/config/inventory.toml:4: There is no key 'pth' in [vault].
            Did you mean 'path'?
          next: DIR/config/inventory.toml:6: There is no key 'adress' in [hosts.val-1].
            Did you mean 'address'?
          next: DIR/config/inventory.toml:7: '99999' is not a possible port.
            Write 1 to 65535.
          next: DIR/config/inventory.toml:9: paths must be a list of strings.
            Write paths = ["…"].
          next: DIR/config/inventory.toml:10: No driver serves services of kind 'nonsense'.
            Known kinds: avalanchego, consul, files, netdata.
          next: DIR/config/inventory.toml:12: 'soon' is not a span of time: a number is missing.
            Write numbers with units, such as "24h", "7d" or "1h30m" (s, m, h, d, w).
        "#); }
    }
    assert_eq!(files_below(&console.path("")), [console.path("config/inventory.toml")], "nothing was made");
}

#[test]
fn what_matches_nothing_offers_what_was_meant() {
    let console = lonely();
    for (selector, hint) in [("val-2", "Did you mean 'val-1'?"), ("val-1/fils", "Did you mean 'files'?")] {
        for command in ["scan", "backup"] {
            console.run(&[command, selector]).expect(7).says(selector).says(hint);
        }
    }
    console.run(&["scan", "group:prod"]).expect(7);
}

#[test]
fn an_unreachable_host_is_said_with_its_address() {
    let console = lonely();
    console.run(&["init"]).expect(0);
    for args in
        [&["scan"][..], &["doctor"], &["enroll", "val-1"], &["backup", "val-1"], &["kept"], &["runs", "--on", "val-1"]]
    {
        console.run(args).expect(12).says("val-1 could not be reached: 127.0.0.1:1: Connection refused");
    }
    assert!(!console.path("data/known_hosts").exists());
}

#[test]
fn what_fails_before_a_run_begins_says_that_nothing_was_changed() {
    const SAID: &str = "  now:  Nothing was changed.";
    let console = lonely();
    let copy = "val-1/files/tree";
    let changing = [
        (&["backup", "val-1"][..], 12),
        (&["backup", "val-2"], 7),
        (&["restore", copy, "--to", "val-1"], 7),
        (&["rollback", "20261120T184500Z-7f3a9c"], 7),
        (&["resume", "20261120T184500Z-7f3a9c"], 7),
        (&["resume", "20261120T184500Z-7f3a9c", "--on", "val-1"], 12),
        (&["kept", "val-1", "--purge"], 12),
    ];
    // Without a vault none of them gets that far, but what asks the nodes alone.
    for (args, _) in &changing[..6] {
        console.run(args).says(SAID);
    }
    console.run(&["init"]).expect(0);
    for (args, code) in changing {
        console.run(args).expect(code).says(SAID);
        let told = console.run(&[&["--json"], args].concat()).expect(code).documents();
        let failure = told.iter().find(|document| document["kind"] == "failure").unwrap();
        assert_eq!(failure["state"], "Nothing was changed.", "{failure}");
        if code == 12 {
            assert_eq!(failure["hints"][0], "See what stands in the way: lifeboat doctor val-1", "{failure}");
        }
    }
    // Who only looks or plans need not be told.
    for args in
        [&["scan"][..], &["doctor"], &["list", "val-2"], &["backup", "val-1", "--plan"], &["kept"], &["show", copy]]
    {
        let ended = console.run(args);

        assert!(!ended.err.contains(SAID), "{args:?}: {}", ended.err);
    }
}

#[test]
fn a_host_that_fails_is_named_once_to_programs_too() {
    let console = lonely();
    console.run(&["init"]).expect(0);
    let ended = console.run(&["--json", "scan"]).expect(12);
    let failures: Vec<_> = ended.documents().into_iter().filter(|document| document["kind"] == "failure").collect();
    // What else runs there could not be looked for either, and that is no second failure.
    let [failure] = failures.as_slice() else { panic!("{failures:?}") };
    assert_eq!(failure["service"], "val-1/files");
    assert!(failure["message"].as_str().unwrap().starts_with("val-1 could not be reached"), "{failure}");
    // Where no service was asked for, the host itself is what failed.
    let inventory = std::fs::read_to_string(console.path("config/inventory.toml")).unwrap();
    console.write_inventory(inventory.split("[hosts.val-1.services").next().unwrap());
    let ended = console.run(&["--json", "scan"]).expect(12);
    let failures: Vec<_> = ended.documents().into_iter().filter(|document| document["kind"] == "failure").collect();
    assert_eq!(failures.len(), 1, "{}", ended.out);
    assert!(failures[0]["message"].as_str().unwrap().contains("val-1"), "{failures:?}");
}

#[test]
fn a_vault_that_is_missing_or_another_one_is_refused() {
    let console = lonely();
    let commands = [&["list"][..], &["verify"], &["runs"], &["backup", "val-1"], &["show", "val-1/files/tree"]];
    for args in commands {
        let ended = console.run(args).expect(13);
        // Who was to change something is told besides that nothing was.
        let told = said(&console, &ended).replace("  now:  Nothing was changed.\n", "");
        insta::allow_duplicates! { insta::assert_snapshot!(told, @r"
        lifeboat: There is no vault at 'DIR/vault': it has no vault.json. An unmounted disk is not an empty vault.
          next: Mount the disk, or make a vault there with: lifeboat --vault DIR/vault init
        "); }
    }
    // Made, then "unmounted": an empty directory in its place is neither used nor made a vault again.
    console.run(&["init"]).expect(0);
    std::fs::rename(console.path("vault"), console.path("disk")).unwrap();
    std::fs::create_dir(console.path("vault")).unwrap();
    for args in commands.into_iter().chain([&["init"][..]]) {
        console.run(args).expect(13).says("has no vault.json");
    }
    assert_eq!(files_below(&console.path("vault")).len(), 0);
    // Another vault in its place.
    let other = lonely();
    other.run(&["init"]).expect(0);
    std::fs::remove_dir(console.path("vault")).unwrap();
    std::fs::rename(other.path("vault"), console.path("vault")).unwrap();
    for args in commands {
        console.run(args).expect(13).says("not the expected 'vault-");
    }
    std::fs::remove_dir_all(console.path("vault")).unwrap();
    std::fs::rename(console.path("disk"), console.path("vault")).unwrap();
    console.run(&["runs"]).expect(0);
    console.run(&["list"]).expect(7).says("has no such snapshot");
}

#[test]
fn what_a_dead_backup_left_is_told_wherever_the_vault_is_looked_at() {
    let console = lonely();
    console.run(&["init"]).expect(0);
    crate::vault::leave_dead_staging(&console.path("vault"));
    for (command, code) in [("list", 7), ("verify", 7), ("doctor", 12)] {
        console.run(&[command]).expect(code).says("a copy of 'val-1/files/tree' that was never finished");
    }
    let ended = console.run(&["--json", "list"]).expect(7);
    let finding = ended.documents().into_iter().find(|document| document["kind"] == "finding").unwrap();
    assert!(finding["message"].as_str().unwrap().contains("its process is gone"), "{finding}");
}

#[test]
fn read_only_refuses_what_changes_and_allows_plans() {
    let console = lonely();
    let refused = "This changes something, and --read-only was given.";
    console.run(&["--read-only", "init"]).expect(2).says(refused);
    assert!(!console.path("vault").exists());
    console.run(&["init"]).expect(0);
    for args in [
        &["backup", "val-1"][..],
        &["restore", "val-1/files/tree", "--to", "val-1"],
        &["rollback", "x"],
        &["resume", "x"],
        &["kept", "--purge"],
    ] {
        console.run(&[&["--read-only"], args].concat()).expect(2).says(refused);
    }
    // A plan changes nothing, so it is made as far as the host lets it.
    console.run(&["--read-only", "backup", "val-1", "--plan"]).expect(12).says("could not be reached");
    console.run(&["--read-only", "restore", "val-1/files/tree", "--to", "val-1", "--plan"]).expect(7);
    console.run(&["--read-only", "rollback", "x", "--plan"]).expect(7);
}

#[test]
fn a_malformed_answer_is_refused_before_anything_is_asked() {
    let console = lonely();
    console.run(&["init"]).expect(0);
    for flag in ["--set", "--confirm"] {
        for word in ["word", "=word", ""] {
            for args in [&["backup", "val-1"][..], &["restore", "val-1/files/tree", "--to", "val-1"]] {
                console.run(&[args, &[flag, word]].concat()).expect(2).says("it is not of the form NAME=VALUE");
            }
        }
    }
    console.run(&["bogus"]).expect(2).says("unrecognized subcommand 'bogus'");
    console.run(&["restore", "val-1/files/tree"]).expect(2).says("--to");
    console.run(&["verify", "--sample", "0"]).expect(2);
    console.run(&["resume", "x", "--roll-back", "--leave"]).expect(2);
    console.run(&["list", "a b"]).expect(2);
}

#[test]
fn json_is_one_document_a_line_and_ends_with_the_exit_code() {
    let console = lonely();
    let calls: [(&[&str], u8, &[&str]); 8] = [
        (&["list"], 13, &["failure", "end"]),
        (&["init"], 0, &["vault", "end"]),
        (&["list"], 7, &["failure", "end"]),
        (&["scan"], 12, &["failure", "end"]),
        (&["doctor"], 12, &["console", "health", "end"]),
        (&["backup", "val-1", "--plan"], 12, &["failure", "end"]),
        (&["backup", "val-1", "--set", "x"], 2, &["failure", "end"]),
        (&["scan", "val-9"], 7, &["failure", "end"]),
    ];
    for (args, code, kinds) in calls {
        let ended = console.run(&[&["--json"], args].concat()).expect(i32::from(code));
        assert_eq!(ended.err, "", "{args:?}");
        let documents = ended.documents();
        let found: Vec<&str> = documents.iter().map(|document| document["kind"].as_str().unwrap()).collect();
        assert_eq!(found, kinds, "{args:?}");
        for document in &documents {
            let keys: Vec<&String> = document.as_object().unwrap().keys().take(2).collect();
            assert_eq!(keys, ["schema", "kind"], "{args:?}");
            assert_eq!(document["schema"], 1);
        }
        assert_eq!(documents.last().unwrap()["code"], code);
        for failure in documents.iter().filter(|document| document["kind"] == "failure") {
            assert!(!failure["message"].as_str().unwrap().is_empty() && failure["exit"].is_string(), "{failure}");
        }
    }
}

/// The shell itself reads its script: bash, which every machine of the tests has, and the others where they are.
fn parses(shell: &str, console: &Console, script: &str) {
    let file = console.path(&format!("completions.{shell}"));
    std::fs::write(&file, script).unwrap();
    match Command::new(shell).arg("-n").arg(&file).output() {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && said.is_empty(), "{shell} does not read its script: {said}");
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && shell != "bash" => {
            println!("there is no {shell} here to read its script");
        }
        Err(error) => panic!("{shell}: {error}"),
    }
}

#[test]
fn completions_and_the_manual_name_every_command() {
    let console = Console::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = console.run(&["completions", shell]).expect(0).out;
        for command in COMMANDS.into_iter().chain(["man"]) {
            assert!(script.contains(command), "{shell} does not complete {command}");
        }
        parses(shell, &console, &script);
    }
    let page = console.run(&["man"]).expect(0).out;
    for command in COMMANDS.into_iter().chain(["man"]) {
        assert!(page.contains(&format!("lifeboat\\-{command}")), "the manual page does not name {command}");
    }
    console.run(&["completions", "tcsh"]).expect(2);
}

#[test]
fn a_new_key_is_private_and_never_overwrites() {
    let console = Console::new();
    let public = console.keygen();
    let file = console.path("key.txt");
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);
    assert!(text.contains("AGE-SECRET-KEY-1") && text.contains(&public));
    console.run(&["keygen", file.to_str().unwrap()]).expect(2).says("is there already and is never overwritten");
    let link = console.path("link");
    std::os::unix::fs::symlink("nowhere", &link).unwrap();
    console.run(&["keygen", link.to_str().unwrap()]).expect(2);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    let told = console.run(&["--json", "keygen", console.path("other").to_str().unwrap()]).expect(0).documents();
    assert!(told[0]["recipient"].as_str().unwrap().starts_with("age1"));
    assert!(!told[0].to_string().contains("SECRET"));
}

#[test]
fn help_fits_a_hundred_columns_and_says_what_each_command_does() {
    let console = Console::new();
    let whole = console.run(&["--help"]).expect(0).out;
    for command in COMMANDS.into_iter().chain(["man"]) {
        assert!(whole.lines().any(|line| line.trim_start().starts_with(&format!("{command} "))), "{command}");
        for flag in ["-h", "--help"] {
            let help = console.run(&[command, flag]).expect(0).out;
            assert!(help.starts_with(|c: char| c.is_uppercase()), "{command} says what it does:\n{help}");
            let long = help.lines().find(|line| line.chars().count() > 100);
            assert_eq!(long, None, "{command} {flag}");
        }
    }
    assert!(whole.lines().all(|line| line.chars().count() <= 100), "{whole}");
    let bare = console.run(&[]).expect(2);
    assert!(bare.err.contains("The console needs a terminal"), "{}", bare.err);
    console.run(&["--version"]).expect(0).says(concat!("lifeboat ", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_reader_that_goes_away_ends_the_output_quietly() {
    let console = lonely();
    console.run(&["init"]).expect(0);
    for args in [&["man"][..], &["completions", "zsh"], &["--help"], &["--json", "doctor"]] {
        let mut child = console.start(args);
        let mut line = String::new();
        BufReader::with_capacity(1, child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(!line.is_empty());
        let ended = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&ended.stderr), "", "{args:?}");
        assert_eq!(ended.status.code(), Some(if args.contains(&"doctor") { 12 } else { 0 }), "{args:?}");
    }
}

#[test]
fn a_destroyed_manifest_is_not_verified_away() {
    let console = Console::new();
    let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/vault/v1/vault");
    crate::vault::image(&golden, &console.path("vault"));
    for entry in walkdir::WalkDir::new(console.path("vault")) {
        let entry = entry.unwrap();
        let mode = if entry.file_type().is_dir() { 0o700 } else { 0o600 };
        std::fs::set_permissions(entry.path(), std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let inventory = format!("version = 1\n[vault]\npath = \"{}\"\n", console.path("vault").display());
    console.write_inventory(&inventory);
    let snapshot = "vault/val-1/files/tree/20261120T184700Z-696c74/manifest.json";
    std::fs::write(console.path(snapshot), "{}").unwrap();
    console.run(&["--read-only", "verify", "val-1/files"]).expect(14).says("BROKEN").says("manifest.json");
    console.run(&["--read-only", "verify", "val-1/avalanchego"]).expect(0);
    console.run(&["--read-only", "verify"]).expect(3).says("BROKEN");
    console.run(&["list", "val-1/files"]).expect(14).says("no such snapshot that can be read");
    console.run(&["list", "another-host"]).expect(7).says("no such snapshot.");
}
