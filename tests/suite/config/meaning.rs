//! What an inventory means once it is read.

use std::path::PathBuf;

use lifeboat::config::{ConfigError, effective_policy};
use lifeboat::model::ids::{HostId, OwnerId, ServiceName};
use lifeboat::model::inventory::{Become, Host, Policy, ServiceEntry, TransportKind};
use lifeboat::model::secret::SecretRef;
use lifeboat::model::units::Seconds;

use super::{everything, parse};

fn host(name: &str) -> Host {
    everything().inventory.hosts[&HostId::new(name).unwrap()].clone()
}

#[test]
fn a_host_overrides_the_defaults_key_by_key() {
    let consul = host("consul-1").access;
    assert_eq!(consul.user.as_deref(), Some("ops"));
    assert_eq!(consul.privilege, Become::Doas);
    assert_eq!(consul.identity_files, [PathBuf::from("/home/ops/.ssh/id")]);
    assert_eq!(consul.become_password, Some(SecretRef::Prompt(true)));
    assert_eq!(host("val-1").access.become_password, Some(SecretRef::Env("LB_SUDO".into())));
    assert_eq!(host("val-1").access.passphrase, Some(SecretRef::File("/etc/lifeboat/secret".into())));
    assert_eq!(host("val-1").access.jump.as_deref(), Some("bastion"));
    assert_eq!(host("bastion").access.jump, None, "the bastion would go through itself");
    assert_eq!(host("bastion").groups, Vec::<String>::new(), "an empty list overrides too");
    assert_eq!(host("consul-1").groups, ["prod"]);
    assert_eq!(host("here").access.transport, TransportKind::Local);
}

#[test]
fn paths_of_the_vault_do_not_depend_on_where_we_stand() {
    let vault = everything().inventory.vault;
    assert_eq!(vault.path, PathBuf::from("/etc/lifeboat/store"));
    assert_eq!(vault.replicas, ["/home/ops/copy", "s3://bucket/a"]);
    assert_eq!(vault.recipients.len(), 2);
}

#[test]
fn the_nearest_policy_wins_key_by_key() {
    let inventory = everything().inventory;
    let of = |groups: &[String], own: &Policy, entry: Option<&ServiceEntry>| {
        let nearer: Vec<&Policy> = std::iter::once(own).chain(entry.map(|entry| &entry.policy)).collect();
        effective_policy(&inventory, groups, &nearer)
    };
    let of_host = |name: &str, service: Option<&str>| {
        let host = &inventory.hosts[&HostId::new(name).unwrap()];
        of(&host.groups, &host.policy, service.map(|name| &host.services[&ServiceName::new(name).unwrap()]))
    };
    let cluster = &inventory.clusters[&OwnerId::new("dc1").unwrap()];
    let service = of_host("val-1", Some("avalanchego"));
    assert_eq!(service.max_age, Some(Seconds(5400)), "its own");
    assert_eq!(service.verify_every, Some(Seconds(3 * 86_400)), "the host's");
    assert_eq!(service.min_copies, Some(1), "the second group's");
    assert_eq!(service.keep.unwrap().daily, 7);
    assert_eq!(of_host("val-1", None).max_age, Some(Seconds(12 * 3600)), "the group listed first");
    assert_eq!(
        of(&cluster.groups, &cluster.policy, cluster.services.values().next()).max_age,
        Some(Seconds(12 * 3600)),
        "a cluster's group"
    );
    assert_eq!(of_host("bastion", None), inventory.policy);
}

#[test]
fn a_driver_gets_its_settings_and_their_lines() {
    let services = host("val-1").services;
    let entry = &services[&ServiceName::new("avalanchego").unwrap()];
    assert_eq!(entry.kind, "avalanchego");
    assert_eq!(entry.settings.keys().map(String::as_str).collect::<Vec<_>>(), ["data_dir", "ports", "token"]);
    let text = include_str!("../../fixtures/inventories/valid/everything.toml");
    let line = |start: &str| 1 + text.lines().position(|line| line.starts_with(start)).unwrap();
    assert_eq!(entry.lines[""], line("[hosts.val-1.services.avalanchego]"));
    assert_eq!(entry.lines["ports"], line("ports"));
    assert_eq!(entry.lines["token.env"], line("token"));
    let error = ConfigError::of_setting("i.toml".as_ref(), entry, "ports", "Too many.");
    assert_eq!(error.to_string(), format!("i.toml:{}: Too many.", line("ports")));
    assert_eq!(services[&ServiceName::new("second").unwrap()].kind, "avalanchego");
}

#[test]
fn every_variable_that_holds_a_secret_is_known() {
    assert_eq!(everything().inventory.secret_variables(), ["LB_SUDO", "LB_TOKEN"]);
}

#[test]
fn doubts_are_warnings_with_their_lines() {
    let text = "version = 1\n[vault]\npath = \"/v\"\n[groups.prdo.policy]\n[hosts.a]\naddress = \"10.0.0.1\"\ngroups = [\"prod\"]\n\
                [hosts.b]\naddress = \"10.0.0.1\"\nport = 22\n[hosts.c]\ntransport = \"local\"\naddress = \"10.0.0.1\"\n";
    let warnings = parse(text).unwrap().warnings;
    let told: Vec<(usize, &str)> = warnings.iter().map(|warning| (warning.line, warning.message.as_str())).collect();
    assert_eq!(
        told,
        [
            (4, "Nothing is in group 'prdo'."),
            (9, "'b' and 'a' have the same address, 10.0.0.1:22."),
            (13, "'address' has no meaning for transport \"local\"."),
        ]
    );
    let empty = parse("version = 1\n").unwrap().warnings;
    assert_eq!(empty.len(), 2, "{empty:?}");
}

#[test]
fn the_same_private_address_behind_another_jump_host_is_another_machine() {
    let text = "version = 1\n[vault]\npath = \"/v\"\n[hosts.a]\naddress = \"10.0.0.1\"\njump = \"ops@x\"\n\
                [hosts.b]\naddress = \"10.0.0.1\"\njump = \"ops@y\"\n";
    assert_eq!(parse(text).unwrap().warnings, []);
}
