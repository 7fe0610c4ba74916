//! The fleet page in every state.

use std::sync::Arc;

use lifeboat::engine::holdings::Holdings;
use lifeboat::model::exit::{Exit, Failure};
use lifeboat::model::ids::OwnerId;
use lifeboat::tui::message::{Effect, Notice, Order};

use super::cast::{self, seen};
use super::stage::Stage;
use crate::assert_page;

pub const TWO: &str = r#"
version = 1
[vault]
path = "/vault"
[hosts.val-1]
address = "10.0.0.11"
groups = ["prod"]
[hosts.val-1.services.avalanchego]
[hosts.val-2]
address = "10.0.0.12"
groups = ["prod"]
[hosts.val-2.services.avalanchego]
"#;

#[test]
fn the_fleet_opens_from_the_inventory_alone() {
    let mut stage = Stage::of_inventory(TWO);
    assert_page!("fleet_unread", stage);
}

#[test]
fn an_inventory_without_hosts_says_what_to_do() {
    let mut stage = Stage::of_inventory("version = 1\n[vault]\npath = \"/vault\"\n");
    assert_page!("fleet_empty", stage);
}

#[test]
fn the_fleet_is_shown_with_the_worst_first() {
    let mut stage = seen();
    stage.keys("g g down down down down");
    assert_page!("fleet_seen", stage);
    stage.keys("tab down");
    assert_page!("fleet_item", stage);
    stage.keys("tab");
    assert_page!("fleet_detail", stage);
    stage.keys("2 w");
    assert_page!("fleet_items_zoomed", stage);
}

#[test]
fn a_host_that_is_down_says_so_and_what_is_stored() {
    let mut stage = seen();
    stage.keys("/").text("val-2").keys("enter");
    assert_page!("fleet_down", stage);
}

#[test]
fn a_group_sums_up_what_it_has_and_folds() {
    let mut stage = seen();
    stage.keys("g g left");
    assert_page!("fleet_folded", stage);
    let folded = stage.grid((80, 24));
    assert!(!folded.contains("nats-1  "), "{folded}");
    stage.keys("right");
    assert!(stage.grid((80, 24)).contains("nats-1"));
}

#[test]
fn a_vault_that_cannot_be_read_is_said() {
    let mut stage = Stage::of_inventory(TWO);
    let failure = Failure::new(Exit::Vault, "There is no vault at /vault.").hint("Make one: lifeboat init");
    stage.notice(Notice::Vault(Err(failure)));
    assert_page!("fleet_no_vault", stage);
}

#[test]
fn hosts_that_are_being_looked_at_are_said_and_nothing_jumps_meanwhile() {
    let mut stage = Stage::of_inventory(cast::FLEET);
    stage.notice(Notice::Vault(Ok(Arc::new(Holdings::default()))));
    for owner in ["val-1", "val-2", "val-3"] {
        stage.notice(Notice::Looking(OwnerId::new(owner).unwrap()));
    }
    assert_page!("fleet_looking", stage);
    let order = |stage: &Stage| -> Vec<String> {
        let grid = stage.grid((80, 24));
        let rows = grid.lines().filter_map(|line| line.split('│').nth(1)?.split_whitespace().nth(1).map(str::to_owned));
        rows.filter(|name| name.starts_with("val-") || name.starts_with("consul")).collect()
    };
    let before = order(&stage);
    assert_eq!(before, ["consul-1", "val-1", "val-2", "val-3"]);
    stage.notice(Notice::Health(cast::silent("val-2"), cast::now()));
    assert_eq!(order(&stage), before);
    for owner in ["val-1", "val-2", "val-3"] {
        stage.notice(Notice::Looked(OwnerId::new(owner).unwrap(), cast::now()));
    }
    assert_eq!(order(&stage), ["val-2", "consul-1", "val-1", "val-3"]);
}

#[test]
fn the_selection_stays_on_its_host_when_rows_move() {
    let mut stage = Stage::of_inventory(cast::FLEET);
    stage.notice(Notice::Vault(Ok(Arc::new(Holdings::default()))));
    stage.keys("g g down down down down down");
    assert!(stage.grid((80, 24)).contains("┌ val-1 "), "{}", stage.grid((80, 24)));
    cast::report(&mut stage, "val-3", Some(cast::silent("val-3")), Vec::new());
    assert!(stage.grid((80, 24)).contains("┌ val-1 "));
}

#[test]
fn the_filter_stands_in_the_title_and_finds_states() {
    let mut stage = seen();
    stage.keys("/").text("stale");
    assert_page!("fleet_filtered", stage);
    let grid = stage.grid((80, 24));
    assert!(grid.contains("Fleet /stale"), "{grid}");
    stage.keys("enter /").text("zzz").keys("enter");
    assert_page!("fleet_filtered_empty", stage);
}

#[test]
fn marks_are_carried_and_counted() {
    let mut stage = seen();
    stage.keys("/").text("val-1").keys("enter tab g g space space");
    assert_page!("fleet_marked", stage);
    assert!(stage.grid((80, 24)).contains("2 marked"));
    stage.keys("U");
    assert!(!stage.grid((80, 24)).contains("marked"));
    stage.keys("a");
    assert!(stage.grid((80, 24)).contains("5 marked"));
    stage.keys("1 space");
    assert!(!stage.grid((80, 24)).contains("marked"), "a host that is wholly marked is unmarked whole");
}

#[test]
fn names_of_any_length_and_script_keep_the_columns() {
    let long = "a-validator-with-a-name-that-is-far-too-long-for-any-column-of-any-terminal";
    let text = format!(
        "version = 1\n[vault]\npath = \"/vault\"\n[hosts.{long}]\ngroups = [\"a-group-with-a-name-that-is-too-long-for-a-column\"]\n[hosts.{long}.services.avalanchego]\n"
    );
    let mut stage = Stage::of_inventory(&text);
    let wanted = lifeboat::engine::scan::wanted_of(&cast::inventory(&text)).remove(0);
    let mut found = cast::found("val-1", Vec::new());
    found.owner = wanted.owner.clone();
    found.host = wanted.hosts[0].clone();
    found.facts.version = Some("1.13.5-日本語の長い版-\u{202e}kcatta\u{1b}[2J".into());
    let mut item = cast::item(
        "staking-identity",
        "识别身份 e\u{301}\u{302} \u{202e}evil\u{7}",
        lifeboat::model::item::Standing::Ready,
    );
    item.size = None;
    found.items = vec![item, cast::item("node-config", &"x".repeat(10_000), lifeboat::model::item::Standing::Ready)];
    stage.notice(Notice::Found(Box::new(wanted), Box::new(Ok(found))));
    stage.keys("tab");
    assert_page!("fleet_long_names", stage);
    for size in super::stage::SIZES {
        let grid = stage.grid(size);
        assert!(!grid.chars().any(|c| c == '\u{1b}' || c == '\u{202e}' || c == '\u{7}'));
    }
}

#[test]
fn the_last_look_is_said_until_the_vault_was_read() {
    let mut stage = seen();
    stage.app.model.fleet.remembered = Some(cast::ago(3 * cast::HOUR));
    assert_page!("fleet_remembered", stage);
    stage.notice(Notice::Vault(Ok(Arc::new(cast::holdings()))));
    assert!(!stage.grid((80, 24)).contains("As it was seen"));
}

#[test]
fn what_was_seen_is_remembered_once_nobody_looks_any_more() {
    let mut stage = Stage::of_inventory(TWO);
    let remembered =
        |stage: &Stage| stage.asked.iter().filter(|effect| matches!(effect, Effect::Order(Order::Remember(_)))).count();
    let (one, two) = (OwnerId::new("val-1").unwrap(), OwnerId::new("val-2").unwrap());
    stage.notice(Notice::Looking(one.clone())).notice(Notice::Looking(two.clone()));
    stage.notice(Notice::Vault(Ok(Arc::new(Holdings::default()))));
    stage.notice(Notice::Looked(one, cast::now()));
    assert_eq!(remembered(&stage), 0);
    stage.notice(Notice::Looked(two, cast::now()));
    assert_eq!(remembered(&stage), 1);
}

#[test]
fn jobs_under_way_show_a_bar_a_rate_and_an_honest_state() {
    use lifeboat::model::text::CleanText;
    use lifeboat::tui::message::Wish;
    use lifeboat::tui::model::{Job, JobId, Stage as JobStage};
    let wish =
        |text: &str| Wish::BackUp { item: cast::place(text), reason: None, set: std::collections::BTreeMap::new() };
    let mut stage = seen();
    stage.keys("g g down");
    let mut running = Job::new(JobId(1), wish("nats-1/files/tree"));
    running.stage = JobStage::Running;
    running.board.begin(CleanText::new("Copying"), 100 << 20);
    for second in (0..8).rev() {
        running.board.moved(8 << 20);
        running.pull(cast::ago(second));
    }
    let mut waiting = Job::new(JobId(2), wish("val-1/avalanchego/node-config"));
    waiting.stage = JobStage::Waiting;
    stage.app.model.jobs.extend([running, waiting]);
    assert_page!("fleet_jobs", stage);
    // Everything has arrived and the job is not over: that is not all.
    let job = stage.app.model.jobs.first_mut().unwrap();
    job.board.moved(1 << 30);
    job.pull(cast::now());
    let grid = stage.grid((80, 24));
    assert!(grid.contains("99 %") && !grid.contains("100 %"), "{grid}");
    stage.keys("4");
    assert_page!("fleet_jobs_focused", stage);
    // A silent link is said.
    stage.app.model.now = cast::ago(-40);
    let grid = stage.grid((80, 24));
    assert!(grid.contains("stalled"), "{grid}");
    stage.app.model.jobs.iter_mut().for_each(|job| job.stage = JobStage::Done(None));
    let grid = stage.grid((80, 24));
    assert!(!grid.contains("Jobs"), "{grid}");
}

#[test]
fn terminals_of_every_size_are_drawn() {
    let mut stage = seen();
    for keys in ["1", "w", "w 2 w", "w 3 w", "enter", "esc V", "w"] {
        stage.keys(keys);
        for (width, height) in [(0, 0), (1, 1), (10, 3), (60, 16), (61, 17), (79, 16), (109, 20), (110, 16), (400, 120)]
        {
            stage.grid((width, height));
        }
    }
}
