//! The page of a host or cluster in every state.

use lifeboat::engine::doctor::Aspect;
use lifeboat::model::exit::{Exit, Failure};
use lifeboat::model::ids::HostId;
use lifeboat::tui::message::{Effect, Notice, Order};

use super::cast::{self, seen};
use super::stage::Stage;
use crate::assert_page;

fn open(stage: &mut Stage, name: &str) {
    stage.keys("/").text(name).keys("enter enter");
}

#[test]
fn a_host_that_answers_shows_its_health_services_and_facts() {
    let mut stage = seen();
    open(&mut stage, "val-1");
    assert!(stage.asked.iter().any(|effect| matches!(effect, Effect::Order(Order::Discover(_)))));
    assert_page!("host_looking_further", stage);
    let mut extra =
        cast::found("nats-1", vec![cast::item("config", "configuration", lifeboat::model::item::Standing::Ready)]);
    extra.kind = "consul".into();
    let refused = Failure::new(Exit::Failed, "val-1: the socket of nats cannot be read: permission denied.");
    let found = vec![("consul".to_owned(), Ok(extra)), ("nats".to_owned(), Err(refused))];
    stage.notice(Notice::Discovered(HostId::new("val-1").unwrap(), Ok(found)));
    assert_page!("host_seen", stage);
    stage.keys("2 down");
    assert_page!("host_unnamed", stage);
    stage.keys("up 3 pgdn");
    assert_page!("host_facts", stage);
}

#[test]
fn a_host_that_is_down_says_how_far_the_look_came() {
    let mut stage = seen();
    open(&mut stage, "val-2");
    assert!(!stage.asked.iter().any(|effect| matches!(effect, Effect::Order(Order::Discover(_)))));
    assert_page!("host_down", stage);
    let page = stage.grid((120, 40));
    assert!(page.contains("val-2 does not answer, so it was not looked at."), "{page}");
    assert!(page.contains("looked at") && !page.contains("Nobody has looked at it yet"), "{page}");
}

/// What no entry names is looked for as soon as the host answers, and once.
#[test]
fn a_host_that_answers_again_is_looked_at_further() {
    let mut stage = seen();
    open(&mut stage, "val-2");
    let discovers = |stage: &mut Stage| {
        let asked = std::mem::take(&mut stage.asked);
        asked.iter().filter(|effect| matches!(effect, Effect::Order(Order::Discover(_)))).count()
    };
    assert_eq!(discovers(&mut stage), 0);
    cast::report(&mut stage, "val-1", Some(cast::healthy("val-1")), Vec::new());
    assert_eq!(discovers(&mut stage), 0, "that is another one");
    cast::report(&mut stage, "val-2", Some(cast::healthy("val-2")), Vec::new());
    assert_eq!(discovers(&mut stage), 1);
    let looking = stage.grid((120, 40));
    assert!(looking.contains("Looking for services that the inventory does not"), "{looking}");
    cast::report(&mut stage, "val-2", Some(cast::healthy("val-2")), Vec::new());
    assert_eq!(discovers(&mut stage), 0, "somebody looks already");
    stage.notice(Notice::Discovered(HostId::new("val-2").unwrap(), Ok(Vec::new())));
    cast::report(&mut stage, "val-2", Some(cast::healthy("val-2")), Vec::new());
    assert_eq!(discovers(&mut stage), 0, "it is known");
    stage.keys("f5");
    assert!(matches!(stage.asked.pop(), Some(Effect::Order(Order::Look(_)))));
    cast::report(&mut stage, "val-2", Some(cast::healthy("val-2")), Vec::new());
    assert_eq!(discovers(&mut stage), 1, "it was asked for anew");
}

#[test]
fn a_host_nobody_has_looked_at_says_so() {
    let mut stage = seen();
    open(&mut stage, "val-3");
    assert_page!("host_unseen", stage);
}

#[test]
fn a_service_that_cannot_be_looked_at_says_why() {
    let mut stage = seen();
    open(&mut stage, "consul-1");
    assert_page!("host_service_failed", stage);
}

#[test]
fn a_host_without_services_says_what_can_be_done_with_it() {
    let mut stage = seen();
    open(&mut stage, "spare-1");
    stage.notice(Notice::Discovered(HostId::new("spare-1").unwrap(), Ok(Vec::new())));
    assert_page!("host_without_services", stage);
}

#[test]
fn a_cluster_is_shown_by_its_members() {
    let mut stage = seen();
    open(&mut stage, "dc1");
    assert_page!("host_cluster", stage);
}

#[test]
fn a_host_that_vanishes_from_the_inventory_while_its_page_is_open_is_said() {
    let mut stage = seen();
    open(&mut stage, "val-1");
    let text = "version = 1\n[vault]\npath = \"/vault\"\n";
    stage.app.model.fleet = lifeboat::engine::fleet::Fleet::of_inventory(&cast::inventory(text));
    assert_page!("host_gone", stage);
    stage.keys("down f5 b enter tab w tab w");
}

#[test]
fn long_and_hostile_facts_stay_in_their_pane() {
    let mut stage = seen();
    let mut health = cast::healthy("val-1");
    let long = format!("{} \u{202e}evil\u{1b}[2J 日本語 e\u{301}", "SHA256:".repeat(60));
    health.aspects.push(Aspect::critical("host key", long, "mend it ".repeat(40)));
    stage.notice(Notice::Health(health, cast::now()));
    open(&mut stage, "val-1");
    stage.keys("G");
    assert_page!("host_long", stage);
    for size in super::stage::SIZES {
        assert!(!stage.grid(size).chars().any(|c| c == '\u{1b}' || c == '\u{202e}'));
    }
}
