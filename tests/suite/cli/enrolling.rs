//! Host keys looked at by `enroll`, of a real SSH server on the loopback: what is known of the host already counts.

use lifeboat::transport::known_hosts::HostKey;

use crate::support::console::Console;
use crate::transport::sshd::{Sshd, make_key, read_public, user};

/// A console whose one host is the server; `more` are lines of its entry.
fn console(sshd: &Sshd, more: &str) -> Console {
    let console = Console::new();
    let inventory = format!(
        "version = 1\n[vault]\npath = \"{}\"\nallow_plaintext = true\n[hosts.n]\naddress = \"127.0.0.1\"\nport = {}\n\
         user = \"{}\"\nidentity_file = \"{}\"\n{more}",
        console.path("vault").display(),
        sshd.port,
        user(),
        sshd.path("user").display()
    );
    console.write_inventory(&inventory);
    console
}

fn stored(console: &Console) -> String {
    std::fs::read_to_string(console.path("data/known_hosts")).unwrap_or_default()
}

fn other(sshd: &Sshd, kind: &str) -> HostKey {
    let file = sshd.path(kind);
    make_key(&file, kind, "");
    read_public(&file)
}

#[test]
fn what_is_known_of_a_host_is_said_before_its_key_is_stored() {
    let sshd = Sshd::start();
    let print = sshd.host_key().fingerprint();
    let given = ["enroll", "n", "--fingerprint", &print];

    let known = console(&sshd, "");
    std::fs::write(known.path("data/known_hosts"), other(&sshd, "rsa").line("127.0.0.1", sshd.port)).unwrap();
    known.run(&given).expect(0).says("known already by a key of another type: ssh-rsa").says("stored in");
    assert!(stored(&known).contains("ssh-ed25519"));

    let changed = console(&sshd, "");
    let stranger = other(&sshd, "ed25519");
    std::fs::write(changed.path("data/known_hosts"), stranger.line("127.0.0.1", sshd.port)).unwrap();
    changed.run(&given).expect(10).says(&print).says(&stranger.fingerprint()).says("known_hosts:1");

    let pinned = console(&sshd, &format!("host_key = \"{}\"\n", stranger.fingerprint()));
    pinned.run(&given).expect(10).says(&print).says("but the inventory pins").says(&stranger.fingerprint());
    assert_eq!(stored(&pinned), "");
    // A file of keys from elsewhere vouches for its own, and for no other.
    let given = console(&sshd, "");
    let file = given.path("from-the-wiki");
    let by_file = ["enroll", "n", "--known-hosts", file.to_str().unwrap()];
    std::fs::write(&file, stranger.line("127.0.0.1", sshd.port)).unwrap();
    given.run(&by_file).expect(10).says("does not vouch for").says(&print).says("Nothing was stored");
    std::fs::write(&file, "").unwrap();
    given.run(&by_file).expect(10).says("does not vouch for");
    assert_eq!(stored(&given), "");
    std::fs::write(&file, sshd.host_key().line("127.0.0.1", sshd.port)).unwrap();
    given.run(&by_file).expect(0).says("stored in");
    assert_eq!(stored(&given).trim(), sshd.host_key().line("127.0.0.1", sshd.port).trim());

    // The inventory vouches for the key it pins: nobody is asked.
    let pinned = console(&sshd, &format!("host_key = \"{print}\"\n"));
    pinned.run(&["enroll", "n"]).expect(0).says("stored in");
}
