//! The fleet page in every state.

use std::sync::Arc;

use jiff::SignedDuration;
use lifeboat::engine::fleet::{Fleet, ItemState, OwnerView};
use lifeboat::engine::holdings::Holdings;
use lifeboat::model::exit::{Exit, Failure};
use lifeboat::model::ids::OwnerId;
use lifeboat::tui::message::{Effect, Notice, Order};
use lifeboat::tui::model::{Job, JobId, Stage as JobStage};
use lifeboat::tui::wizard::Purging;

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
fn a_host_that_is_down_stands_above_one_whose_copies_are_only_unverified() {
    let mut stage = Stage::of_inventory(TWO);
    let items = [
        (cast::place("val-1/avalanchego/node-config"), cast::shelf(vec![cast::copy(cast::HOUR, 410, None)])),
        (
            cast::place("val-2/avalanchego/node-config"),
            cast::shelf(vec![cast::copy(cast::HOUR, 410, Some(cast::HOUR))]),
        ),
    ];
    stage.notice(Notice::Vault(Ok(Arc::new(Holdings { items: items.into(), ..Holdings::default() }))));
    assert_eq!(tree(&stage), ["val-1", "val-2"]);
    cast::report(&mut stage, "val-2", Some(cast::silent("val-2")), Vec::new());
    assert_eq!(tree(&stage), ["val-2", "val-1"]);
    let grid = stage.grid((80, 24));
    assert!(grid.contains("✗ 1 unreachable  ▲ 1 unverified"), "{grid}");
}

/// Names of hosts as they stand in the tree.
fn tree(stage: &Stage) -> Vec<String> {
    let grid = stage.grid((80, 40));
    let rows = grid.lines().filter_map(|line| line.split('│').nth(1)?.split_whitespace().nth(1).map(str::to_owned));
    rows.filter(|name| ["val-", "consul-", "nats-", "spare-"].iter().any(|kind| name.starts_with(kind))).collect()
}

/// Whoever opens the console sees the worst; whoever goes through the list is not moved about.
#[test]
fn the_order_is_made_anew_only_while_nobody_goes_through_it_or_by_a_key() {
    let mut stage = Stage::of_inventory(cast::FLEET);
    stage.notice(Notice::Vault(Ok(Arc::new(Holdings::default()))));
    cast::report(&mut stage, "val-3", Some(cast::silent("val-3")), Vec::new());
    assert_eq!(tree(&stage)[0], "val-3");
    assert!(stage.grid((80, 24)).contains("┌ val-3 "), "the worst is selected until somebody chooses");
    stage.keys("down");
    let before = tree(&stage);
    assert!(!stage.grid((80, 24)).contains("Fleet, not sorted"));
    // Live answers come in: a host below gets worse, another one better.
    cast::report(&mut stage, "val-2", Some(cast::silent("val-2")), Vec::new());
    cast::report(&mut stage, "val-3", Some(cast::healthy("val-3")), Vec::new());
    assert_eq!(tree(&stage), before, "nothing moves under whoever goes through it");
    let page = stage.grid((120, 40));
    assert!(page.contains("Fleet, not sorted") && page.contains("S sort"), "{page}");
    stage.keys("S");
    assert_eq!(tree(&stage)[0], "val-2");
    assert!(!stage.grid((80, 24)).contains("not sorted"));
    // Left alone, the list sorts itself with the next answer.
    stage.keys("down");
    cast::report(&mut stage, "val-3", Some(cast::silent("val-3")), Vec::new());
    assert!(stage.grid((80, 24)).contains("not sorted"));
    stage.app.model.now += jiff::SignedDuration::from_secs(21);
    cast::report(&mut stage, "val-1", Some(cast::healthy("val-1")), Vec::new());
    assert!(!stage.grid((80, 24)).contains("not sorted"), "{}", stage.grid((80, 24)));
}

/// What narrows a list is the first thing esc takes away, on the first page too; and who narrows the hosts goes through
/// them next, wherever he was.
#[test]
fn esc_shows_all_again_before_it_goes_back() {
    let mut stage = seen();
    let shows = |stage: &Stage, text: &str| stage.grid((80, 24)).contains(text);
    stage.keys("tab /").text("val-2").keys("enter");
    assert!(shows(&stage, "Fleet /val-2") && !shows(&stage, "nats-1"));
    stage.keys("enter");
    assert!(shows(&stage, "val-2, health"), "{}", stage.grid((80, 24)));
    stage.keys("esc esc");
    assert!(!shows(&stage, "/val-2") && shows(&stage, "nats-1"), "{}", stage.grid((80, 24)));
    stage.keys("esc");
    assert!(shows(&stage, "back: not now, this is the first page."));
    for page in ["O", "V", "R", "J"] {
        stage.runs(Vec::new());
        stage.keys(page).keys("/").text("zzzz").keys("enter");
        assert!(shows(&stage, "/zzzz"), "{}", stage.grid((80, 24)));
        stage.keys("esc");
        assert!(!shows(&stage, "/zzzz") && !shows(&stage, "nats-1  1 suspect"), "{}", stage.grid((80, 24)));
        stage.keys("esc");
        assert!(shows(&stage, "Fleet ─"), "{}", stage.grid((80, 24)));
    }
}

/// Marks that outlived their work would turn the next key, meant for what is selected, on something else.
#[test]
fn marks_go_when_what_was_marked_is_at_work() {
    let mut stage = seen();
    stage.keys("/").text("val-1").keys("enter tab home space space");
    assert!(stage.grid((80, 24)).contains("val-1, 2 marked"), "{}", stage.grid((80, 24)));
    let [first, second] = ["chain-configs", "node-config"].map(|id| cast::place(&format!("val-1/avalanchego/{id}")));
    for (number, wish) in [
        (1, lifeboat::tui::message::Wish::BackUp { item: first, reason: None, set: std::collections::BTreeMap::new() }),
        (2, lifeboat::tui::message::Wish::Verify(vec![(second, cast::copy(cast::HOUR, 1, None).id)])),
    ] {
        stage.app.model.jobs.push(Job::new(JobId(number), wish));
        stage.notice(Notice::Started(JobId(number)));
        let left = format!("{} marked", 2 - number);
        assert_eq!(stage.grid((80, 24)).contains(&left), number == 1, "{}", stage.grid((80, 24)));
        assert!(!stage.grid((80, 24)).contains("2 marked"));
    }
}

#[test]
fn what_a_filter_matched_is_marked() {
    let mut stage = seen();
    stage.keys("/").text("val").keys("enter");
    let letter = {
        let at = lifeboat::tui::theme::Role::ALL.iter().position(|role| role.name() == "match").unwrap();
        char::from(b'@' + u8::try_from(at).unwrap()).to_string().repeat(3)
    };
    let marked = stage.roles((80, 24)).lines().filter(|line| line.contains(&letter)).count();
    // Of three hosts one is selected: its row is one calm bar.
    assert_eq!(marked, 2, "{}", stage.roles((80, 24)));
    // Of the suggestions the first is selected; the others say why they are there.
    stage.keys(":").text("re");
    assert!(stage.roles((80, 24)).contains(&letter[..2]), "{}", stage.roles((80, 24)));
}

#[test]
fn the_filter_finds_a_host_by_the_name_of_its_item() {
    let mut stage = seen();
    stage.keys("/").text("staking").keys("enter");
    let page = stage.grid((80, 24));
    assert!(page.contains("Fleet /staking") && page.contains("val-1"), "{page}");
    assert!(!page.contains("No host matches") && !page.contains("consul-1") && !page.contains("nats-1"), "{page}");
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

/// What was marked and is not in the batch is said, not left out in silence.
#[test]
fn what_of_a_batch_cannot_be_done_is_told() {
    for (key, told) in [("b", "1 of 5 items left out: cannot be saved."), ("v", "2 of 5 items left out: never copied.")]
    {
        let mut stage = seen();
        stage.keys("/").text("val-1").keys("enter tab a").keys(key);
        let page = stage.grid((80, 24));
        assert!(page.contains(told), "{page}");
        stage.keys("down");
        assert!(!stage.grid((80, 24)).contains(told));
    }
    // From the host's page too, and there it must not keep the others from being saved.
    let mut stage = seen();
    stage.keys("/").text("val-1").keys("enter enter b");
    let page = stage.grid((120, 40));
    assert!(page.contains("Back up 4 items") && page.contains("1 of 5 items left out"), "{page}");
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
    let job = stage.app.model.jobs.first_mut().unwrap();
    (1..=40).for_each(|second| job.pull(cast::ago(-second)));
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

#[test]
fn a_night_later_the_first_key_shows_what_became_stale() {
    let mut stage = seen();
    let ok = |stage: &Stage| stage.app.model.fleet.counts().get(&ItemState::Ok).copied().unwrap_or(0);
    assert!(ok(&stage) > 0);
    stage.app.model.now += SignedDuration::from_hours(26);
    stage.keys("tab");
    assert_eq!(ok(&stage), 0, "{}", stage.grid((120, 40)));
}

#[test]
fn the_clock_is_looked_at_when_it_changes_something_and_not_before() {
    let stage = seen();
    let model = &stage.app.model;
    let left = model.turns.unwrap().duration_since(model.now).as_secs();
    assert!((10..=60).contains(&left), "{left}");
    // The very second something becomes due or stale by itself is known beforehand.
    let mut fleet = model.fleet.clone();
    let mut now = model.now;
    for _ in 0..5 {
        let Some(turn) = fleet.next_turn(now) else { break };
        assert!(turn > now);
        let states = |fleet: &mut Fleet, at| {
            fleet.judge(at);
            fleet.owners.iter().flat_map(OwnerView::items).map(|item| item.state).collect::<Vec<_>>()
        };
        let (before, after) = (states(&mut fleet, now), states(&mut fleet, turn - SignedDuration::from_secs(1)));
        assert_eq!(before, after, "{now} to {turn}");
        now = turn;
    }
    assert!(now > model.now);
    let none = Stage::of_inventory(TWO);
    assert_eq!(none.app.model.turns, None, "nothing shown gets older");
}

#[test]
fn groups_stand_the_worst_first() {
    let mut stage = Stage::of_inventory(cast::FLEET);
    stage.notice(Notice::Vault(Ok(Arc::new(cast::holdings()))));
    let groups = |stage: &Stage| -> Vec<String> {
        let grid = stage.grid((120, 40));
        let names =
            grid.lines().filter_map(|line| line.split('▾').nth(1)?.split_whitespace().next().map(str::to_owned));
        names.collect()
    };
    // A suspect copy in edge, then a stale one in prod; what nobody knows anything bad of stands last.
    assert_eq!(groups(&stage), ["edge", "prod", "clusters", "other"]);
    stage.notice(Notice::Looking(OwnerId::new("val-1").unwrap()));
    cast::report(&mut stage, "nats-1", None, Vec::new());
    assert_eq!(groups(&stage)[0], "edge", "nothing jumps while nodes are looked at");
}

#[test]
fn enter_in_the_strip_of_jobs_opens_the_selected_one() {
    let mut stage = seen();
    for number in [1, 2] {
        let host = lifeboat::model::ids::HostId::new(format!("val-{number}")).unwrap();
        let mut job = Job::new(JobId(number), Purging::wish(host, Vec::new()));
        job.stage = JobStage::Running;
        stage.app.model.jobs.push(job);
    }
    stage.keys("4 down enter");
    assert!(stage.grid((120, 40)).contains("┌ Remove what is kept on val-2 "), "{}", stage.grid((120, 40)));
}

#[test]
fn every_line_of_the_detail_can_be_reached() {
    for size in super::stage::SIZES {
        let mut stage = seen();
        stage.keys("g g down down down down tab tab");
        stage.grid(size);
        stage.keys("end");
        let detail = stage.grid(size);
        assert!(!detail.lines().any(|line| line.contains("▾ ") && line.contains(" more")), "{detail}");
    }
}

#[test]
fn what_must_be_known_stays_in_the_header_however_narrow_it_is() {
    let mut stage = seen();
    stage.app.model.place.read_only = true;
    stage.app.model.place.is_practice = true;
    stage.notice(Notice::InventoryChanged);
    stage.keys("/").text("val-1").keys("enter tab enter");
    for width in [60, 70, 80, 120] {
        let header = stage.grid((width, 24)).lines().next().unwrap().to_owned();
        for badge in ["practice", "inventory edited", "read-only"] {
            assert!(header.contains(badge), "{header}");
        }
    }
    let header = stage.grid((80, 24)).lines().next().unwrap().to_owned();
    assert!(header.starts_with(" lifeboat › …"), "{header}");
}

/// A host nobody reached is no item, and is counted all the same: what was never copied off it counts nowhere else.
#[test]
fn hosts_that_are_down_failed_or_not_seen_are_counted() {
    let mut stage = seen();
    let header = |stage: &Stage, width| stage.grid((width, 24)).lines().next().unwrap().to_owned();
    let wide = header(&stage, 140);
    for told in ["✗ 1 down  ✗ 1 failed  ✗ 1 suspect", "▲ 1 due  ○ 1 not seen  ● 3 ok  /vault"] {
        assert!(wide.contains(told), "{wide}");
    }
    // What has no room is left out from its calm end, and that something is missing is said.
    let narrow = header(&stage, 80);
    assert!(narrow.contains("✗ 1 down  ✗ 1 failed") && narrow.trim_end().ends_with('…'), "{narrow}");
    let mut stage_of_two = Stage::of_inventory(TWO);
    stage_of_two.notice(Notice::Vault(Ok(Arc::new(Holdings::default()))));
    assert!(header(&stage_of_two, 80).contains("○ 2 not seen"), "{}", header(&stage_of_two, 80));
    cast::report(&mut stage_of_two, "val-2", Some(cast::silent("val-2")), Vec::new());
    assert!(header(&stage_of_two, 80).contains("✗ 1 down  ○ 1 not seen"), "{}", header(&stage_of_two, 80));
    cast::report(&mut stage, "val-2", Some(cast::healthy("val-2")), Vec::new());
    assert!(!header(&stage, 140).contains("down"), "{}", header(&stage, 140));
}

/// The vault and the inventory in use are told: in the header where there is room, and by help.
#[test]
fn the_vault_and_the_inventory_in_use_are_told() {
    let mut stage = Stage::of_inventory(TWO);
    stage.app.model.place.home = "/home/ops".into();
    stage.app.model.place.vault = "/home/ops/lifeboat".into();
    let header = stage.grid((80, 24)).lines().next().unwrap().to_owned();
    assert!(header.trim_end().ends_with("~/lifeboat"), "{header}");
    stage.keys("?");
    let help = stage.grid((80, 24));
    assert!(help.contains("/inventory.toml") && help.contains("~/lifeboat"), "{help}");
}

/// No row reads as a sentence that is not true: what is missing is a dash, and the columns are called the same
/// everywhere.
#[test]
fn a_copy_that_was_only_copied_is_no_good_one_and_no_proof() {
    let mut stage = seen();
    stage.keys("/").text("val-2").keys("enter");
    for size in super::stage::SIZES {
        let page = stage.grid(size);
        let row = page.lines().find(|line| line.contains("unverified") && line.contains("node-config")).unwrap();
        assert!(!row.contains("never") && row.contains(" -  ") && row.contains("copied 3h"), "{page}");
        assert!(page.contains("SHOWN") && !page.contains("PROVEN"), "{page}");
    }
}

#[test]
fn a_footer_shows_what_works_here_before_what_does_not_and_always_the_way_back() {
    let mut stage = seen();
    stage.keys("/").text("val-1").keys("enter tab enter");
    let footer = |stage: &Stage, width| stage.grid((width, 24)).lines().last().unwrap().to_owned();
    for width in [60, 80, 120] {
        assert!(footer(&stage, width).contains("esc back"), "{}", footer(&stage, width));
    }
    let mut stage = Stage::of_inventory(TWO);
    assert!(footer(&stage, 80).contains("f5 look again") && !footer(&stage, 60).contains("r restore"));
    stage.keys("?");
    assert!(stage.grid((80, 40)).contains("not now: no item is known here yet"));
}
