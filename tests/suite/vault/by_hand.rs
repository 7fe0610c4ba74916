//! Reading a snapshot with nothing but the card's own commands.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::*;

/// The blocks of a card that are typed where the vault is.
fn blocks(card: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = card.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("```") {
            let body: Vec<_> = lines.by_ref().take_while(|l| *l != "```").collect();
            if line == "```sh" {
                found.push(body.join("\n"));
            }
        }
    }
    found
}

fn follow(card: &Path, key: &Path, out: &Path) -> std::process::Output {
    let script: Vec<_> = blocks(&fs::read_to_string(card).unwrap())
        .into_iter()
        .filter(|b| !b.contains("ssh \"$NODE\"") && !b.starts_with("rm "))
        .collect();
    Command::new("sh")
        .args(["-eu", "-c", &script.join("\n")])
        .current_dir(card.parent().unwrap())
        .env("KEY", key)
        .env("OUT", out)
        .output()
        .unwrap()
}

#[test]
fn the_card_s_own_commands_check_open_and_compare_every_file() {
    let bench = Bench::new();
    let plain_sealed = Copy { sealing: bench.sealing(), ..Copy::clear() };
    for (n, copy) in [Copy::secret(&bench), Copy::clear(), plain_sealed].iter().enumerate() {
        let published = bench.put(copy).unwrap();
        let out = bench.dir.path().join(format!("out {n}"));
        let done = follow(&published.path.join("RESTORE.md"), &bench.key_file, &out);
        assert!(done.status.success(), "{done:?}");
        for (name, bytes) in &copy.files {
            let clear = out.join(lifeboat::vault::file_name(name).unwrap());
            assert_eq!(fs::read(clear).unwrap(), *bytes);
        }
        let at = published.path.join(&bench.find(&published).manifest().files[0].stored_name);
        fs::write(at, "damaged").unwrap();
        let refused = follow(&published.path.join("RESTORE.md"), &bench.key_file, &bench.dir.path().join("refused"));
        assert!(!refused.status.success());
    }
}

#[test]
fn what_a_node_says_cannot_leave_its_place_in_the_card() {
    let bench = Bench::new();
    let copy = Copy { files: vec![("a", vec![1])], ..Copy::clear() };
    let (_staging, mut manifest, ..) = staged(&bench.vault, &copy, &bench.clock, &bench.entropy).unwrap();
    let sly = "x`\n```sh\nrm -rf /\n```\n\"; reboot; $(reboot) `";
    manifest.reason = Some(sly.into());
    manifest.source.address = sly.into();
    manifest.source.version = Some(sly.into());
    manifest.files[0].origin = sly.into();
    manifest.marks = vec![sly.into()];
    let card = render_card(&manifest, &recipe());
    let script = blocks(&card).join("\n");
    assert!(!script.contains("reboot;") && !script.contains("$(reboot") && !script.contains("rm -rf"), "{script}");
    assert!(card.lines().all(|line| !line.starts_with("rm -rf")), "{card}");
}

#[test]
fn the_specification_s_own_one_liners_hold() {
    let bench = Bench::new();
    let published = bench.put(&Copy::secret(&bench)).unwrap();
    let shell = |command: &str, dir: &Path| {
        let done = Command::new("sh").args(["-eu", "-c", command]).current_dir(dir).output().unwrap();
        assert!(done.status.success(), "{command}: {done:?}");
        String::from_utf8(done.stdout).unwrap()
    };
    let check = shell("jq -r '.id, .recipients[]' vault.json | sha256sum", bench.vault.root());
    assert_eq!(shell("jq -r .check vault.json", bench.vault.root()).trim(), &check[..64]);
    let list = shell("tail -n +2 SHA256SUMS | sha256sum", &published.path);
    assert!(shell("head -n 1 SHA256SUMS", &published.path).contains(&list[..64]));
    shell("sha256sum -c --strict --quiet SHA256SUMS", &published.path);
    shell(
        r#"for f in proofs/*.json; do s=$(sha256sum <"$f"); case "$f" in *-"${s%% *}".json) ;; *) exit 1 ;; esac; done"#,
        &published.path,
    );
}

#[test]
fn the_card_says_how_the_node_was_reached() {
    let bench = Bench::new();
    let card = |address: &str, port: Option<u16>, via: &[&str]| {
        let mut manifest = manifest(&Copy::clear(), &bench.clock);
        manifest.source.address = address.into();
        manifest.source.port = port;
        manifest.source.via = via.iter().map(|hop| (*hop).to_owned()).collect();
        render_card(&manifest, &recipe())
    };
    for (address, port, login) in [
        ("10.0.0.11", None, "root@10.0.0.11"),
        ("fe80::1", None, "root@fe80::1"),
        ("10.0.0.11", Some(2222), "ssh://root@10.0.0.11:2222"),
        ("fe80::1", Some(2222), "ssh://root@[fe80::1]:2222"),
        ("this machine", None, "root@localhost"),
    ] {
        let text = card(address, port, &[]);
        assert!(text.contains(&format!(": \"${{NODE:={login}}}\"\n")), "{login} is not in\n{text}");
        assert!(!text.contains("-J ADDRESS"));
    }
    let text = card("10.0.0.11", None, &["gate", "inner`x"]);
    assert!(text.contains("reached through `gate`, then `inner'x`."), "{text}");
}
