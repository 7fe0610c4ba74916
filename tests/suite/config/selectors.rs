//! What selectors find.

use lifeboat::config::selector::Selector;
use lifeboat::config::target::{Items, Subject, Target, resolve};
use lifeboat::model::exit::{Exit, Failure};
use lifeboat::model::ids::{ItemId, ItemRef, OwnerId, ServiceName};
use lifeboat::model::inventory::Become;

use super::everything;

fn select(texts: &[&str]) -> Result<Vec<Target>, Failure> {
    let selectors: Vec<Selector> = texts.iter().map(|text| text.parse().unwrap()).collect();
    resolve(&selectors, &everything().inventory)
}

fn names(texts: &[&str]) -> Vec<String> {
    select(texts).unwrap().iter().map(|target| target.owner.to_string()).collect()
}

#[test]
fn targets_come_once_and_in_one_order_however_they_are_named() {
    assert_eq!(names(&["all"]), ["bastion", "consul-1", "here", "val-1", "dc1"]);
    assert_eq!(names(&["dc1", "x@y", "val-1", "val-*"]), ["val-1", "dc1", "y"]);
    assert_eq!(names(&["group:prod"]), ["consul-1", "here", "val-1", "dc1"]);
    assert_eq!(names(&["group:slow"]), ["val-1"]);
    assert_eq!(names(&["*/consul"]), ["dc1"]);
}

#[test]
fn services_and_items_narrow_a_target_and_several_selectors_add_up() {
    let targets = select(&["val-1/avalanchego/staking-*", "val-1/avalanchego/chain", "val-1/second"]).unwrap();
    let services = &targets[0].services;
    let items = &services[&ServiceName::new("avalanchego").unwrap()];
    let has = |name: &str| items.contains(&ItemId::new(name).unwrap());
    assert!(has("staking-identity") && has("chain") && !has("config"));
    assert_eq!(services[&ServiceName::new("second").unwrap()], Items::All);
    assert!(!targets[0].whole);
    assert!(select(&["val-1"]).unwrap()[0].whole);
    let wider = select(&["val-1/avalanchego/chain", "val-1"]).unwrap();
    assert_eq!(wider[0].services[&ServiceName::new("avalanchego").unwrap()], Items::All);
}

#[test]
fn nothing_matched_says_what_was_probably_meant() {
    for (text, hint) in [
        ("val-2", "Did you mean 'val-1'?"),
        ("group:prdo", "Did you mean 'group:prod'?"),
        ("val-1/secnd", "Did you mean 'second'?"),
        ("old-val", "That machine is called 'val-1' now."),
        ("quite-other", "Known: bastion, consul-1, here, val-1, dc1."),
        ("bastion/x", "Nothing selected there has a service entry."),
    ] {
        let failure = select(&["val-1", text]).unwrap_err();
        assert_eq!(failure.exit, Exit::Nothing);
        assert!(failure.message.contains(text), "{failure:?}");
        assert_eq!(failure.hints, [hint]);
    }
    assert_eq!(select(&[]).unwrap_err().exit, Exit::Nothing);
}

#[test]
fn an_ad_hoc_host_starts_from_the_defaults() {
    let targets = select(&["root@192.0.2.7:2222/netdata", "root@192.0.2.7:2222/nats"]).unwrap();
    let [target] = &targets[..] else { panic!("{targets:?}") };
    let Subject::Host(host) = &target.subject else { panic!("{target:?}") };
    assert!(!target.listed && !target.whole);
    assert_eq!(host.id.as_str(), "192.0.2.7-2222");
    assert_eq!((host.access.user.as_deref(), host.access.port), (Some("root"), Some(2222)));
    assert_eq!(host.access.privilege, Become::Doas);
    assert_eq!(host.access.jump.as_deref(), Some("bastion"));
    assert_eq!(host.services.len(), 2);
    assert_eq!(target.services.len(), 2);
    assert_eq!(select(&["root@192.0.2.7/net*"]).unwrap_err().exit, Exit::Usage);
    assert_eq!(select(&["root@val-1"]).unwrap_err().exit, Exit::Usage, "it would pass for val-1");
    assert_eq!(names(&["root@::1"]), ["ip--1"]);
}

#[test]
fn an_ad_hoc_address_the_inventory_knows_keeps_its_pinned_keys() {
    let targets = select(&["root@10.0.0.11:2222"]).unwrap();
    let Subject::Host(host) = &targets[0].subject else { panic!("{targets:?}") };
    assert!(targets[0].listed);
    assert_eq!((host.id.as_str(), host.access.user.as_deref()), ("val-1", Some("root")));
    assert_eq!(host.access.host_keys.len(), 1);
}

#[test]
fn stored_items_are_found_under_former_names_too() {
    let inventory = everything().inventory;
    let item = |owner: &str| ItemRef {
        owner: OwnerId::new(owner).unwrap(),
        service: ServiceName::new("avalanchego").unwrap(),
        item: ItemId::new("staking").unwrap(),
    };
    let matches = |text: &str, owner: &str| text.parse::<Selector>().unwrap().matches(&item(owner), &inventory);
    for (text, owner) in [
        ("val-1", "old-val"),
        ("old-val", "old-val"),
        ("group:slow/ava*", "old-val"),
        ("all", "long-gone"),
        ("long-*/*/staking", "long-gone"),
        ("ops@10.0.0.11:2222", "val-1"),
        ("group:prod", "dc1"),
    ] {
        assert!(matches(text, owner), "{text} {owner}");
    }
    for (text, owner) in
        [("val-1", "long-gone"), ("group:prod", "long-gone"), ("val-1/x", "val-1"), ("val-1/*/x", "val-1")]
    {
        assert!(!matches(text, owner), "{text} {owner}");
    }
}
