//! Settings from the inventory and from a real `ssh -G`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lifeboat::model::ids::HostId;
use lifeboat::model::inventory::{Access, Host, Inventory, Policy, VaultSettings};
use lifeboat::model::secret::SecretRef;
use lifeboat::transport::TransportError;
use lifeboat::transport::ssh_config::Resolver;

use super::sshd::user;

fn host(name: &str, access: Access) -> Host {
    Host {
        id: HostId::new(name).unwrap(),
        access,
        groups: Vec::new(),
        formerly: Vec::new(),
        services: BTreeMap::new(),
        policy: Policy::default(),
    }
}

fn inventory(hosts: Vec<Host>) -> Inventory {
    Inventory {
        path: PathBuf::new(),
        vault: VaultSettings::default(),
        policy: Policy::default(),
        hosts: hosts.into_iter().map(|host| (host.id.clone(), host)).collect(),
        clusters: BTreeMap::new(),
        ..Inventory::default()
    }
}

fn resolver(folder: &Path, config: &str) -> Resolver {
    let file = folder.join("config");
    std::fs::write(&file, config).unwrap();
    Resolver {
        home: "/home/op".into(),
        user: user(),
        ssh: "ssh".into(),
        config: Some(file),
        known_hosts: "/own/known_hosts".into(),
        agent: Some("/agent".into()),
    }
}

#[test]
fn the_ssh_configuration_is_honoured_and_the_inventory_wins() {
    let folder = tempfile::tempdir().unwrap();
    let config = "Host val-1\n HostName 10.9.8.7\n Port 2200\n User ops\n IdentityFile ~/.ssh/%r_key\n IdentitiesOnly yes\n\
                  ProxyJump bob@gate:23\n HostKeyAlias val\n UserKnownHostsFile /k/1 /k/2\n IdentityAgent /a/%r.sock\n\
                  Host plain\n ProxyCommand nc %h %p\n StrictHostKeyChecking no\nHost gate\n HostName 10.0.0.1\n ProxyJump outer\n";
    let resolver = resolver(folder.path(), config);
    let all = inventory(vec![]);
    let spec = resolver.resolve(&host("val-1", Access::default()), &all).unwrap();
    assert_eq!((spec.address.value.as_str(), spec.address.source), ("10.9.8.7", "ssh -G"));
    assert_eq!((spec.port.value, spec.user.value.as_str(), spec.user.source), (2200, "ops", "ssh -G"));
    assert_eq!(spec.identity_files.value, [Path::new("/home/op/.ssh/ops_key")]);
    assert!(spec.identities_only);
    assert_eq!(spec.agent.value.as_deref(), Some(Path::new("/a/ops.sock")));
    assert_eq!(spec.key_name(), ("val", 22));
    let files = ["/own/known_hosts", "/k/1", "/k/2", "/etc/ssh/ssh_known_hosts"];
    assert!(files.iter().zip(&spec.known_hosts).all(|(a, b)| Path::new(a) == b), "{:?}", spec.known_hosts);
    let hops: Vec<_> =
        spec.jump.iter().map(|h| (h.user.value.as_str(), h.address.value.as_str(), h.port.value)).collect();
    assert_eq!(hops, [(user().as_str(), "outer", 22), ("bob", "10.0.0.1", 23)]);
    assert_eq!(spec.proxy_command, None);
    // The inventory wins.
    let access = Access {
        port: Some(7),
        user: Some("root".into()),
        identity_files: vec!["~/mine".into()],
        jump: Some("box,x@y:9".into()),
        ..Access::default()
    };
    let all = inventory(vec![host("box", Access { address: Some("192.0.2.1".into()), ..Access::default() })]);
    let spec = resolver.resolve(&host("val-1", access), &all).unwrap();
    assert_eq!((spec.port.value, spec.port.source, spec.user.value.as_str()), (7, "inventory", "root"));
    assert_eq!(spec.identity_files.value, [Path::new("/home/op/mine")]);
    assert_eq!(spec.jump.iter().map(|h| h.address.value.as_str()).collect::<Vec<_>>(), ["192.0.2.1", "y"]);
    let spec = resolver.resolve(&host("plain", Access::default()), &all).unwrap();
    assert_eq!(spec.proxy_command.as_deref(), Some("nc plain 22"));
    assert_eq!((spec.port.source, spec.notes.len()), ("default", 1));
}

#[test]
fn without_an_ssh_program_the_inventory_and_defaults_stand() {
    let folder = tempfile::tempdir().unwrap();
    let mut resolver = resolver(folder.path(), "");
    resolver.ssh = "/nonexistent/ssh".into();
    let all = inventory(vec![]);
    let spec = resolver.resolve(&host("h", Access::default()), &all).unwrap();
    assert_eq!((spec.address.value.as_str(), spec.user.value.as_str(), spec.port.value), ("h", user().as_str(), 22));
    assert!(spec.notes[0].contains("no ssh program"), "{:?}", spec.notes);
    assert_eq!(spec.identity_files.value.len(), 3);
}

#[test]
fn none_as_a_jump_means_directly_whatever_ssh_says() {
    let folder = tempfile::tempdir().unwrap();
    let resolver = resolver(folder.path(), "Host 192.0.2.9\n ProxyJump bob@bastion\n");
    let all = inventory(vec![]);
    let hops = |jump: Option<&str>| {
        let access = Access { address: Some("192.0.2.9".into()), jump: jump.map(str::to_owned), ..Access::default() };
        resolver.resolve(&host("h", access), &all).map(|spec| (spec.jump.len(), spec.proxy_command))
    };
    assert_eq!(hops(Some("none")).unwrap(), (0, None));
    assert_eq!(hops(None).unwrap().0, 1, "there is something to be overruled");
}

#[test]
fn what_could_be_an_option_or_a_circle_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let resolver = resolver(folder.path(), "");
    let jump = |name: &str| Access { jump: Some(name.into()), ..Access::default() };
    let all = inventory(vec![host("a", jump("b")), host("b", jump("a"))]);
    let refused = |access: Access| {
        let error = resolver.resolve(&host("h", access), &all).unwrap_err();
        assert!(matches!(error, TransportError::Setting { .. }), "{error}");
        error.to_string()
    };
    refused(Access { address: Some("-oProxyCommand=id".into()), ..Access::default() });
    refused(Access { address: Some("a b".into()), ..Access::default() });
    refused(Access { address: Some("x;id".into()), ..Access::default() });
    refused(Access { user: Some("-l".into()), ..Access::default() });
    refused(jump("-x"));
    assert!(refused(jump("a")).contains("circle"));
}

#[test]
fn a_mistake_in_the_ssh_configuration_is_a_note_with_its_words() {
    let folder = tempfile::tempdir().unwrap();
    let resolver = resolver(folder.path(), "Host val-1\n ProxyJunp gate\n");
    let spec = resolver.resolve(&host("val-1", Access::default()), &inventory(vec![])).unwrap();
    assert!(spec.jump.is_empty());
    let note = &spec.notes[0];
    assert!(note.starts_with("ssh -G failed (") && note.contains("line 2") && note.contains("jump hosts"), "{note}");
    assert!(note.to_lowercase().contains("proxyjunp") && !note.ends_with('.'), "{note}");
}

#[test]
fn revoked_keys_are_taken_from_the_ssh_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let all = inventory(vec![]);
    let of = |config: &str| {
        resolver(folder.path(), config).resolve(&host("h", Access::default()), &all).unwrap().revoked_keys
    };
    assert_eq!(of("Host *\n RevokedHostKeys ~/.ssh/revoked\n"), [Path::new("/home/op/.ssh/revoked")]);
    assert!(of("Host *\n RevokedHostKeys none\n").is_empty() && of("").is_empty());
}

#[test]
fn variables_that_hold_secrets_reach_no_command_of_the_ssh_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let variable = "CARGO_MANIFEST_DIR";
    assert!(std::env::var_os(variable).is_some(), "cargo sets it for every test");
    let resolver = resolver(folder.path(), &format!("Match exec \"printenv {variable}\"\n User seen\n"));
    let asked = |all: &Inventory| {
        let spec = resolver.resolve(&host("h", Access::default()), all).unwrap();
        (spec.user.value, spec.hidden, spec.notes)
    };
    assert_eq!(asked(&inventory(vec![])), ("seen".to_owned(), Vec::new(), Vec::new()));
    let access = Access { become_password: Some(SecretRef::Env(variable.into())), ..Access::default() };
    let told = asked(&inventory(vec![host("other", access)]));
    assert_eq!(told, (user(), vec![variable.to_owned()], Vec::new()));
}
