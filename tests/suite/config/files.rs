//! Paths, and what Lifeboat writes into an inventory.

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use lifeboat::config::paths::{InventorySource, Paths, create_private_dir};
use lifeboat::config::{digest_of, inventory_from_ssh_config, load_inventory, set_vault_id};
use lifeboat::model::exit::Exit;
use lifeboat::model::ids::HostId;

use super::parse;

fn standard() -> Paths {
    Paths {
        home: "/home/ops".into(),
        config_dir: "/home/ops/.config/lifeboat".into(),
        data_dir: "/home/ops/.local/share/lifeboat".into(),
        state_dir: "/home/ops/.local/state/lifeboat".into(),
    }
}

fn environment<'a>(set: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<OsString> + 'a {
    let set: HashMap<&str, &str> = set.iter().copied().collect();
    move |name| set.get(name).map(OsString::from)
}

#[test]
fn the_inventory_in_use_is_named_by_flag_environment_or_custom() {
    let paths = standard();
    let set = environment(&[("LIFEBOAT_INVENTORY", "/env.toml")]);
    let flag = paths.inventory_from(Some(Path::new("/flag.toml")), &set).unwrap();
    assert_eq!((flag.path, flag.source), ("/flag.toml".into(), InventorySource::Flag));
    let named = paths.inventory_from(None, &set).unwrap();
    assert_eq!((named.path, named.source), ("/env.toml".into(), InventorySource::Environment));
    let custom = paths.inventory_from(None, &environment(&[("LIFEBOAT_INVENTORY", "")])).unwrap();
    assert_eq!(custom.path, PathBuf::from("/home/ops/.config/lifeboat/inventory.toml"));
    assert_eq!(custom.source.to_string(), "the configuration directory");
    let relative = paths.inventory_from(Some(Path::new("x.toml")), &set).unwrap();
    assert!(relative.path.is_absolute());
}

#[test]
fn a_second_console_shares_nothing_with_the_first() {
    let set = environment(&[("LIFEBOAT_CONFIG_DIR", "/two/etc"), ("LIFEBOAT_DATA_DIR", "/two/data")]);
    for paths in [Paths::from_standard(Some(standard()), &set), Paths::from_standard(None, &set)] {
        let paths = paths.unwrap();
        let files = [paths.console_key(), paths.known_hosts(), paths.log_file(), paths.config_dir];
        assert!(files.iter().all(|file| file.starts_with("/two")), "{files:?}");
    }
    assert_eq!(Paths::from_standard(None, &environment(&[])).unwrap_err().exit, Exit::Usage);
    assert_eq!(Paths::from_standard(Some(standard()), &environment(&[])).unwrap(), standard());
}

#[test]
fn our_directories_are_open_to_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let made = dir.path().join("a/b");
    create_private_dir(&made).unwrap();
    create_private_dir(&made).unwrap();
    assert_eq!(made.metadata().unwrap().permissions().mode() & 0o777, 0o700);
}

const COMMENTED: &str = "# head\nversion = 1\n\n[vault] # here\npath = \"/v\" # there\n# tail of vault\n\n[hosts.a]\n";

#[test]
fn the_vault_s_id_is_filled_in_and_every_comment_stays() {
    let dir = tempfile::tempdir().unwrap();
    let (file, link) = (dir.path().join("i.toml"), dir.path().join("link.toml"));
    std::fs::write(&file, COMMENTED).unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    let read = load_inventory(&link, dir.path()).unwrap();
    let digest = set_vault_id(&link, &read.digest, "7f3a").unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(text, COMMENTED.replace("# there\n", "# there\nid = \"7f3a\"\n"));
    assert!(link.is_symlink(), "the link was replaced by a file");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o640);
    let again = load_inventory(&file, dir.path()).unwrap();
    assert_eq!((again.digest, again.inventory.vault.id.as_deref()), (digest, Some("7f3a")));
    assert_eq!(set_vault_id(&file, &digest, "7f3a").unwrap(), digest, "the same id again changes nothing");
    let refused = set_vault_id(&file, &digest, "other").unwrap_err();
    assert!(refused.message.contains("another id"), "{refused:?}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "something was left behind");
}

#[test]
fn a_file_changed_meanwhile_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("i.toml");
    std::fs::write(&file, COMMENTED).unwrap();
    let read = load_inventory(&file, dir.path()).unwrap();
    let edited = format!("{COMMENTED}[hosts.b]\n");
    std::fs::write(&file, &edited).unwrap();
    let refused = set_vault_id(&file, &read.digest, "7f3a").unwrap_err();
    assert!(refused.message.contains("changed since"), "{refused:?}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), edited);
}

#[test]
fn every_way_to_write_the_vault_s_table_takes_the_id() {
    let dir = tempfile::tempdir().unwrap();
    for text in [
        "version = 1\nvault = { path = \"/v\" }\n",
        "version = 1\nvault.path = \"/v\"\n[hosts.a]\n",
        "version = 1\n[hosts.a]\n",
    ] {
        let file = dir.path().join("i.toml");
        std::fs::write(&file, text).unwrap();
        let read = load_inventory(&file, dir.path()).unwrap();
        set_vault_id(&file, &read.digest, "7f3a").unwrap();
        let again = load_inventory(&file, dir.path()).unwrap().inventory;
        assert_eq!(again.vault.id.as_deref(), Some("7f3a"), "{text}");
        assert_eq!((again.vault.path, again.hosts), (read.inventory.vault.path, read.inventory.hosts));
    }
}

const SSH: &str = "User everyone\n# c\nHost val-1 val-2\n  HostName %h.example.com\n\tPort=2222\n  IdentityFile ~/.ssh/a\n  IdentityFile \"~/.ssh/b c\"\n\
    Host bastion *.web !x.web\n  HostName 10.0.0.1\n  User late\nHost inner\n  ProxyJump bastion\nHost odd\n  ProxyJump elsewhere\n\
    Host *\n  Port 22\n  ProxyJump none\nHost a:b\n";

#[test]
fn a_client_configuration_becomes_an_inventory_as_ssh_reads_it() {
    let text = inventory_from_ssh_config(SSH);
    let inventory = parse(&text).unwrap_or_else(|errors| panic!("{errors:?}\n{text}")).inventory;
    let access = |name: &str| inventory.hosts[&HostId::new(name).unwrap()].access.clone();
    assert_eq!(inventory.hosts.len(), 5);
    let val = access("val-2");
    assert_eq!(
        (val.address.as_deref(), val.port, val.user.as_deref()),
        (Some("val-2.example.com"), Some(2222), Some("everyone"))
    );
    assert_eq!(val.identity_files.len(), 2);
    assert_eq!(access("bastion").user.as_deref(), Some("everyone"), "the first value wins");
    assert_eq!(access("inner").jump.as_deref(), Some("bastion"));
    assert_eq!(access("odd").jump, None, "left to ssh");
    assert_eq!(access("bastion").jump.as_deref(), Some("none"));
    assert!(text.contains("# Left out, not a usable name: a:b"), "{text}");
    assert!(text.contains("# ProxyJump elsewhere comes from `ssh -G`."), "{text}");
}

#[test]
fn with_match_or_include_only_names_are_taken() {
    for opaque in ["Match host val-*\n  Port 9999\n", "Include conf.d/*\n"] {
        let text = inventory_from_ssh_config(&format!("{SSH}{opaque}"));
        let inventory = parse(&text).unwrap().inventory;
        assert_eq!(inventory.hosts.len(), 5);
        assert!(inventory.hosts.values().all(|host| host.access.port.is_none() && host.access.address.is_none()));
    }
}

/// A console looks at the text before it reads the inventory: what is no file must not keep it waiting there.
#[test]
fn a_pipe_has_no_digest_and_keeps_nobody_waiting() {
    let dir = tempfile::tempdir().unwrap();
    let (file, pipe) = (dir.path().join("inventory.toml"), dir.path().join("pipe"));
    std::fs::write(&file, "version = 1\n").unwrap();
    assert_eq!(digest_of(&file).unwrap(), load_inventory(&file, dir.path()).unwrap().digest);
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    assert!(digest_of(&pipe).is_err());
    assert!(digest_of(dir.path()).is_err());
}
