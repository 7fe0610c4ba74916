//! The page of an item in every state, what is inside a copy, and two copies compared.

use std::sync::Arc;

use lifeboat::engine::compare::{Change, Comparison, Difference};
use lifeboat::engine::holdings::{CopyView, Holdings, ProofView};
use lifeboat::engine::inside::Page;
use lifeboat::formats::Part;
use lifeboat::model::exit::{Exit, Failure};
use lifeboat::model::manifest::Rung;
use lifeboat::tui::message::{Compared, Effect, Notice, Order, Peek, Wish};

use super::cast::{self, DAY, HOUR, copy, place, seen, shelf};
use super::stage::Stage;
use super::stored;
use super::wizard_cast::wait;
use crate::assert_page;

fn open(stage: &mut Stage, host: &str, down: usize) {
    stage.keys("/").text(host).keys("enter tab g g");
    for _ in 0..down {
        stage.keys("down");
    }
    stage.keys("enter");
}

#[test]
fn an_item_shows_its_copies_ladder_and_trend() {
    let (mut stage, snapshot, _dir) = stored::seen();
    open(&mut stage, "val-1", 2);
    assert!(
        stage.asked.iter().any(
            |e| matches!(e, Effect::Order(Order::ReadSnapshot(item, _)) if item.item.as_str() == "staking-identity")
        )
    );
    assert_page!("item_reading", stage);
    let id = snapshot.id().clone();
    stage.notice(Notice::Snapshot(place(stored::ITEM), id, Ok(Box::new(snapshot))));
    assert_page!("item_ok", stage);
    stage.keys("3 pgdn");
    assert_page!("item_manifest", stage);
    stage.keys("2 w");
    assert_page!("item_ladder_zoomed", stage);
}

#[test]
fn an_item_never_saved_says_how_to_begin() {
    let mut stage = seen();
    open(&mut stage, "val-1", 4);
    assert_page!("item_never", stage);
}

#[test]
fn a_suspect_copy_and_a_failed_check_stand_out() {
    let mut stage = seen();
    open(&mut stage, "nats-1", 0);
    let failed = Failure::new(Exit::Vault, "'/vault/nats-1' cannot be read: permission denied.");
    let id = stage.app.model.fleet.item(&place("nats-1/files/tree")).unwrap().copies()[0].id.clone();
    stage.notice(Notice::Snapshot(place("nats-1/files/tree"), id, Err(failed)));
    assert_page!("item_suspect", stage);
}

#[test]
fn a_copy_from_the_future_is_said() {
    let mut stage = seen();
    let mut holdings = cast::holdings();
    holdings.items.insert(place("nats-1/files/tree"), shelf(vec![copy(-3 * HOUR, 900, Some(-3 * HOUR))]));
    stage.notice(Notice::Vault(Ok(Arc::new(holdings))));
    stage.keys("/").text("nats-1").keys("enter tab");
    assert_page!("fleet_future", stage);
    stage.keys("enter");
    assert_page!("item_future", stage);
}

#[test]
fn a_single_proof_and_strange_times_draw_a_ladder_still() {
    let mut stage = seen();
    let mut odd = copy(0, 0, None);
    odd.created = "9999-12-30T22:00:00Z".parse().unwrap();
    odd.proofs = Box::new([
        ProofView { rung: Rung::Copied, at: "-009999-01-02T01:59:59Z".parse().unwrap(), passed: true },
        ProofView { rung: Rung::Proven, at: "9999-12-30T22:00:00Z".parse().unwrap(), passed: false },
    ]);
    let mut holdings = cast::holdings();
    holdings.items.insert(place("nats-1/files/tree"), shelf(vec![odd, CopyView { ..copy(DAY, u64::MAX / 2, None) }]));
    stage.notice(Notice::Vault(Ok(Arc::new(holdings))));
    open(&mut stage, "nats-1", 0);
    assert_page!("item_strange_times", stage);
}

/// What is restored must be the copy that was looked at, also when another one was made meanwhile.
#[test]
fn the_selection_stays_on_its_copy_when_another_one_is_made() {
    let mut stage = seen();
    open(&mut stage, "nats-1", 0);
    stage.keys("down");
    let held = cast::holdings().items[&place("nats-1/files/tree")].copies.to_vec();
    let restored = |stage: &mut Stage| {
        stage.keys("r");
        let page = stage.grid((120, 40));
        stage.keys("esc");
        page
    };
    assert!(restored(&mut stage).contains(held[1].id.as_str()));
    let mut holdings = cast::holdings();
    let newer = [copy(HOUR / 2, 9_216, Some(HOUR / 2))].into_iter().chain(held.clone()).collect();
    holdings.items.insert(place("nats-1/files/tree"), shelf(newer));
    stage.asked.clear();
    stage.notice(Notice::Vault(Ok(Arc::new(holdings))));
    let page = restored(&mut stage);
    assert!(page.contains(held[1].id.as_str()), "{page}");
    let read = |effect: &Effect| matches!(effect, Effect::Order(Order::ReadSnapshot(_, id)) if *id == held[1].id);
    assert!(stage.asked.iter().any(read));
    // So it is for the first one, which nobody chose by hand but everybody sees selected.
    let mut stage = seen();
    open(&mut stage, "nats-1", 0);
    let mut holdings = cast::holdings();
    let newer = [copy(HOUR / 2, 9_216, Some(HOUR / 2))].into_iter().chain(held.clone()).collect();
    holdings.items.insert(place("nats-1/files/tree"), shelf(newer));
    stage.notice(Notice::Vault(Ok(Arc::new(holdings))));
    assert!(restored(&mut stage).contains(held[0].id.as_str()));
}

/// Of a history of forty copies the ones of a word, a day or a state are found; marks, and what one is compared with,
/// are those of the whole history.
#[test]
fn copies_are_found_by_what_is_told_of_them() {
    let mut stage = seen();
    open(&mut stage, "val-1", 2);
    let held = cast::holdings().items[&place(stored::ITEM)].copies.to_vec();
    stage.keys("/").text("suspect").keys("enter");
    assert_page!("item_filtered", stage);
    let read = |effect: &Effect| matches!(effect, Effect::Order(Order::ReadSnapshot(_, id)) if *id == held[20].id);
    assert!(stage.asked.iter().any(read), "what is selected is read whole");
    stage.keys("space esc").keys("/").text("!good !suspect").keys("enter");
    let none = stage.grid((80, 24));
    assert!(none.contains("0 of 40") && none.contains("No copy is like that."), "{none}");
    stage.keys("r");
    assert!(stage.grid((80, 24)).contains("not now, the filter shows no copy"), "{}", stage.grid((80, 24)));
    stage.keys("esc");
    let all = stage.grid((80, 24));
    assert!(all.contains("Copies, 40, 1 marked"), "{all}");
    // The one before it, not the one that stands below it.
    stage.keys("U /").text("drilled").keys("enter");
    stage.asked.clear();
    stage.keys("d");
    let pair = stage.asked.iter().find_map(|effect| match effect {
        Effect::Order(Order::Diff(old, new)) => Some((old.1.clone(), new.1.clone())),
        _ => None,
    });
    assert_eq!(pair, Some((held[5].id.clone(), held[4].id.clone())));
}

/// What was asked of the inside of copies.
fn peeks(stage: &Stage) -> Vec<Peek> {
    let asked = stage.asked.iter().filter_map(|effect| match effect {
        Effect::Order(Order::LookInside(peek)) => Some((**peek).clone()),
        _ => None,
    });
    asked.collect()
}

/// Rows of a page of a file.
fn rows(from: u64, count: u64, next: Option<u64>, total: Option<u64>) -> Page {
    let rows = (from..from + count).map(|number| vec![format!("row-{number}")]).collect();
    Page { columns: vec!["name".into()], rows, from, next, total }
}

/// Two hundred thousand keys are no four hundred pages to leaf through.
#[test]
fn the_inside_of_a_copy_is_searched_whole_and_its_ends_are_the_file_s() {
    let (mut stage, snapshot, _dir) = stored::seen();
    open(&mut stage, "val-1", 2);
    let (item, id) = (place(stored::ITEM), snapshot.id().clone());
    stage.keys("enter").notice(Notice::Snapshot(item, id, Ok(Box::new(snapshot))));
    stage.keys("enter");
    let tell = |stage: &mut Stage, page: Page| {
        let asked = peeks(stage).pop().unwrap();
        stage.notice(Notice::Inside(Box::new(asked), Ok(page)));
    };
    tell(&mut stage, rows(0, 500, Some(500), None));
    stage.keys("G");
    assert_eq!(peeks(&stage).pop().unwrap().part, Part::End);
    tell(&mut stage, rows(199_700, 500, None, Some(200_200)));
    let page = stage.grid((80, 24));
    assert!(page.contains("rows 199701 to 200200 of 200200") && page.contains("row-200199"), "{page}");
    stage.keys("y");
    assert!(matches!(stage.asked.last(), Some(Effect::Copy(row)) if row == "row-200199"));
    // Up from the first row of a page to the row before it.
    stage.keys("pgup").keys(&"pgup ".repeat(34));
    assert_eq!(peeks(&stage).pop().unwrap().part, Part::From(199_200));
    tell(&mut stage, rows(199_200, 500, Some(199_700), None));
    stage.keys("y");
    assert!(matches!(stage.asked.last(), Some(Effect::Copy(row)) if row == "row-199699"));
    stage.keys("g g");
    assert_eq!(peeks(&stage).pop().unwrap().part, Part::From(0));
    tell(&mut stage, rows(0, 500, Some(500), None));
    let unfiltered = peeks(&stage).pop().unwrap();
    let before = peeks(&stage).len();
    stage.keys("/").text("row-17");
    assert_eq!(peeks(&stage).len(), before, "nothing is searched while it is typed");
    stage.keys("enter");
    let asked = peeks(&stage).pop().unwrap();
    assert_eq!((asked.pattern.as_str(), asked.part), ("row-17", Part::From(0)));
    assert!(unfiltered.cancel.is_cancelled());
    assert!(stage.grid((80, 24)).contains("It is searched to its end."), "{}", stage.grid((80, 24)));
    stage.notice(Notice::Inside(Box::new(unfiltered), Ok(rows(0, 500, Some(500), None))));
    assert!(stage.grid((80, 24)).contains("It is searched"), "what comes late is not what was asked for last");
    tell(&mut stage, rows(0, 500, Some(500), Some(1_234)));
    assert_page!("inside_filtered", stage);
    stage.keys("G");
    let asked = peeks(&stage).pop().unwrap();
    assert_eq!((asked.pattern.as_str(), asked.part), ("row-17", Part::End));
    tell(&mut stage, Page { rows: Vec::new(), ..rows(0, 0, None, Some(0)) });
    assert!(stage.grid((80, 24)).contains("Nothing in it matches."), "{}", stage.grid((80, 24)));
    stage.keys("esc");
    assert_eq!(peeks(&stage).pop().unwrap().pattern, "");
    tell(&mut stage, rows(0, 500, Some(500), None));
    assert!(stage.grid((80, 24)).contains("staker.crt, rows 1 to 500, more follow"));
    stage.keys("esc");
    assert!(stage.grid((80, 24)).contains("staker.key"), "esc goes back to the files next");
}

#[test]
fn rows_that_come_too_late_are_not_taken_for_those_asked_last() {
    let (mut stage, snapshot, _dir) = stored::seen();
    open(&mut stage, "val-1", 2);
    let (item, id) = (place(stored::ITEM), snapshot.id().clone());
    stage.keys("enter").notice(Notice::Snapshot(item.clone(), id.clone(), Ok(Box::new(snapshot))));
    let page = |from: u64, next: Option<u64>| rows(from, 10, next, None);
    stage.keys("enter");
    let first = peeks(&stage).pop().unwrap();
    stage.notice(Notice::Inside(Box::new(first.clone()), Ok(page(0, Some(10)))));
    // The next rows are asked for; before they come somebody leaves the file and opens it anew.
    stage.keys("pgdn down");
    let next = peeks(&stage).pop().unwrap();
    assert!(first.cancel.is_cancelled() && !next.cancel.is_cancelled());
    stage.keys("esc enter");
    assert!(next.cancel.is_cancelled(), "nobody waits for them");
    let anew = peeks(&stage).pop().unwrap();
    stage.notice(Notice::Inside(Box::new(anew), Ok(page(0, Some(10)))));
    stage.notice(Notice::Inside(Box::new(next), Ok(page(10, None))));
    let shown = stage.grid((80, 24));
    assert!(shown.contains("rows 1 to 10") && shown.contains("row-0"), "{shown}");
}

#[test]
fn the_inside_of_a_copy_is_paged() {
    let (mut stage, snapshot, _dir) = stored::seen();
    open(&mut stage, "val-1", 2);
    let item = place(stored::ITEM);
    stage.keys("enter");
    assert_page!("inside_reading", stage);
    let id = snapshot.id().clone();
    stage.notice(Notice::Snapshot(item, id, Ok(Box::new(snapshot))));
    assert_page!("inside_files", stage);
    stage.keys("enter");
    assert_page!("inside_opening", stage);
    let row = |n: u64| {
        vec![format!("srv/data/file-{n:04}.json"), "file".into(), n.to_string(), "0640".into(), "ops:ops".into()]
    };
    let columns: Vec<String> = ["name", "kind", "size", "mode", "owner"].map(str::to_owned).into();
    let tell = |stage: &mut Stage, page: Result<Page, Failure>| {
        let asked = peeks(stage).pop().unwrap();
        stage.notice(Notice::Inside(Box::new(asked), page));
    };
    let rows = (0..500).map(row).collect();
    tell(&mut stage, Ok(Page { columns: columns.clone(), rows, from: 0, next: Some(500), total: None }));
    assert_page!("inside_rows", stage);
    stage.keys(&"pgdn ".repeat(35));
    let asked = |from: u64, stage: &Stage| peeks(stage).iter().any(|peek| peek.part == Part::From(from));
    assert!(asked(500, &stage), "the row after the last asks for the next page");
    let rows = (500..600).map(row).collect();
    tell(&mut stage, Ok(Page { columns, rows, from: 500, next: None, total: None }));
    assert!(stage.grid((80, 24)).contains("rows 501 to 600"));
    stage.asked.clear();
    stage.keys("up");
    assert!(asked(0, &stage), "the row before the first asks for the page before");
    let nothing = Page { columns: vec!["name".into()], rows: Vec::new(), from: 0, next: None, total: None };
    tell(&mut stage, Ok(nothing));
    assert_page!("inside_empty", stage);
    let locked = Failure::new(Exit::Vault, "No key at hand opens 'staker.crt.age'.")
        .hint("Name one: [vault] identities = [\"…\"]");
    tell(&mut stage, Err(locked));
    assert_page!("inside_locked", stage);
    stage.keys("esc");
    assert!(stage.grid((80, 24)).contains("staker.key"), "esc goes back to the files first");
}

#[test]
fn two_copies_are_compared() {
    let mut stage = seen();
    open(&mut stage, "val-1", 2);
    stage.keys("d");
    assert_page!("compare_reading", stage);
    let Some(Effect::Order(Order::Diff(old, new))) = stage.asked.pop() else { panic!("no comparison was ordered") };
    assert!(old.1.as_str() < new.1.as_str(), "the older one comes first");
    let difference = |entry: &str, change| Difference { file: "config.tar".into(), entry: entry.into(), change };
    let changed = |from: &str, to: &str| Change::Changed { from: from.into(), to: to.into() };
    let found = Comparison {
        differences: vec![
            difference("etc/node.json", changed("kind file, size 412, mode 0640", "kind file, size 420, mode 0640")),
            difference("etc/upgrade.json", Change::Added),
            difference("etc/old \\u{202e}name.json", Change::Removed),
            difference("", changed("1200 bytes", "1300 bytes")),
        ],
        counts: [1, 1, 2],
        alike: 40,
        notes: vec!["'config.tar' was compared as a whole.".into()],
    };
    stage.notice(Notice::Compared(Box::new(Compared { old: old.clone(), new: new.clone(), found: Ok(found) })));
    assert_page!("compare_differs", stage);
    stage.keys("/").text("added").keys("enter");
    assert!(!stage.grid((80, 24)).contains("etc/node.json"));
    let alike = Comparison { alike: 7, ..Comparison::default() };
    stage.notice(Notice::Compared(Box::new(Compared { old: old.clone(), new: new.clone(), found: Ok(alike) })));
    assert_page!("compare_alike", stage);
    let failed = Failure::new(Exit::Integrity, "staker.crt: its stored bytes do not hash as written.");
    stage.notice(Notice::Compared(Box::new(Compared { old, new, found: Err(failed) })));
    assert_page!("compare_failed", stage);
}

#[test]
fn marked_copies_are_the_ones_compared_and_verified() {
    let mut stage = seen();
    open(&mut stage, "val-1", 2);
    stage.keys("space down space d");
    let Some(Effect::Order(Order::Diff(old, new))) = stage.asked.last() else { panic!("no comparison was ordered") };
    let copies = cast::history();
    assert_eq!((&old.1, &new.1), (&copies[2].id, &copies[0].id));
    stage.keys("esc g g down space d");
    assert!(stage.grid((80, 24)).contains("more are marked"), "{}", stage.grid((80, 24)));
}

#[test]
fn the_vault_shows_what_it_holds_of_everybody() {
    let mut stage = Stage::of_inventory(cast::FLEET);
    stage.keys("V");
    assert_page!("vault_reading", stage);
    stage.notice(Notice::Vault(Ok(Arc::new(Holdings::default()))));
    assert_page!("vault_empty", stage);
    let mut stage = seen();
    stage.keys("V");
    assert_page!("vault_ok", stage);
    stage.keys("/").text("unlisted").keys("enter");
    assert!(stage.grid((80, 24)).contains("old-7/avalanchego"), "{}", stage.grid((80, 24)));
    stage.keys("enter");
    assert_page!("item_in_no_inventory", stage);
    let mut stage = seen();
    let mut holdings = cast::holdings();
    holdings.findings = stored::findings();
    assert!(!holdings.findings.is_empty());
    stage.notice(Notice::Vault(Ok(Arc::new(holdings))));
    stage.keys("V");
    assert_page!("vault_findings", stage);
    let failure = Failure::new(Exit::Vault, "There is no vault at /vault.").hint("Make one: lifeboat init");
    let mut stage = Stage::of_inventory(cast::FLEET);
    stage.notice(Notice::Vault(Err(failure)));
    stage.keys("V");
    assert_page!("vault_failed", stage);
}

#[test]
fn long_names_stay_inside_in_the_vault_and_on_an_item() {
    let mut stage = seen();
    let mut holdings = cast::holdings();
    let why = "shrank from 9.00 KiB to 1.10 KiB since the copy before, which nobody has explained yet".to_owned();
    let odd = CopyView { against: vec![why], ..copy(HOUR, 1_126, Some(HOUR)) };
    let copies = shelf(vec![odd, copy(25 * HOUR, u64::MAX / 4, Some(25 * HOUR))]);
    holdings.items.insert(place(&super::wizard_cast::long_item()), copies);
    stage.notice(Notice::Vault(Ok(Arc::new(holdings))));
    stage.keys("V end");
    assert_page!("vault_long_names", stage);
    assert!(stage.grid((80, 24)).contains("-of-everything "), "both ends of a name tell:\n{}", stage.grid((80, 24)));
    stage.keys("enter");
    assert_page!("item_long_names", stage);
}

/// A day is remembered for the most that was shown on it, by the ladder's own words.
#[test]
fn a_day_of_the_calendar_says_no_more_than_was_shown() {
    let mut stage = seen();
    let mut holdings = Holdings::default();
    let only = |rung| {
        let proof = ProofView { rung, at: cast::ago(DAY), passed: true };
        shelf(vec![CopyView { proofs: Box::new([proof]), ..copy(DAY, 9, None) }])
    };
    for (rung, word) in [(Rung::Intact, "intact"), (Rung::Openable, "openable"), (Rung::Proven, "proven")] {
        holdings.items.insert(place("val-1/avalanchego/node-config"), only(rung));
        stage.notice(Notice::Vault(Ok(Arc::new(holdings.clone()))));
        stage.keys("F V");
        let page = stage.grid((120, 40));
        let legend = page.lines().rev().nth(2).unwrap_or_default();
        assert!(legend.contains(word) && !legend.contains("copied") && !legend.contains("restored"), "{page}");
    }
}

#[test]
fn what_is_marked_in_the_vault_is_verified_together_and_so_is_all_of_it() {
    let mut stage = seen();
    let all = cast::holdings().ids();
    let wished = |stage: &Stage| {
        let wish = stage.asked.iter().rev().find_map(|effect| match effect {
            Effect::Order(Order::Do(_, wish, _)) => Some(wish.clone()),
            _ => None,
        });
        wish.unwrap()
    };
    let go = |stage: &mut Stage| {
        for _ in 0..2 {
            wait(stage, 1);
            stage.keys("enter");
        }
    };
    stage.keys("V space space");
    assert_page!("vault_marked", stage);
    stage.keys("v");
    go(&mut stage);
    let Wish::Verify(copies) = wished(&stage) else { panic!("{:?}", wished(&stage)) };
    let items: Vec<_> = copies.iter().map(|(item, _)| item.clone()).collect();
    let known: Vec<_> = cast::holdings().items.into_keys().take(2).collect();
    assert_eq!(items, known);
    // What was marked is at work.
    let job = stage.app.model.jobs.last().unwrap().id;
    stage.notice(Notice::Started(job));
    stage.keys("F V a U");
    assert!(stage.grid((80, 24)).contains("unlisted"), "a copy whose host is in no inventory");
    stage.keys("/").text("staking").keys("enter C");
    assert_page!("wizard_verify_vault", stage);
    go(&mut stage);
    assert_eq!(wished(&stage), Wish::VerifyVault(all), "a filter narrows the list and not the vault");
}

#[test]
fn the_log_follows_its_end_and_is_filtered() {
    use lifeboat::tui::message::Tone;
    let mut stage = Stage::of_inventory(cast::FLEET);
    stage.keys("O");
    assert_page!("log_empty", stage);
    for n in 0..60 {
        stage.notice(Notice::Noted(Tone::Plain, format!("Looked at val-{n}.")));
    }
    let long =
        "val-9: the agent answers 403 on /v1/snapshot; give a token with management rights, by command or file. "
            .repeat(3);
    stage.notice(Notice::Noted(Tone::Warn, "The last look is left aside: it has version 2.".into()));
    stage.notice(Notice::Noted(Tone::Bad, long));
    assert_page!("log_end", stage);
    stage.keys("g g");
    assert!(stage.grid((80, 24)).contains("Looked at val-0."));
    stage.notice(Notice::Noted(Tone::Plain, "One more.".into()));
    assert!(stage.grid((80, 24)).contains("Looked at val-0."), "it stays where somebody reads");
    stage.keys("/").text("warning").keys("enter");
    assert_page!("log_filtered", stage);
}

#[test]
fn a_line_of_the_log_stays_selected_while_the_oldest_ones_go() {
    use lifeboat::tui::message::Tone;
    let mut stage = Stage::of_inventory(cast::FLEET);
    let note = |stage: &mut Stage, number: u32| {
        stage.notice(Notice::Noted(Tone::Plain, format!("Noted {number}.")));
    };
    (0..10_000).for_each(|number| note(&mut stage, number));
    stage.keys("O g g pgdn pgdn y");
    let copied = |stage: &mut Stage| match stage.asked.pop() {
        Some(Effect::Copy(text)) => text,
        _ => panic!("nothing was copied"),
    };
    assert!(copied(&mut stage).ends_with("Noted 20."));
    (10_000..10_015).for_each(|number| note(&mut stage, number));
    stage.keys("y");
    assert!(copied(&mut stage).ends_with("Noted 20."), "fifteen lines before it have gone");
    (10_015..10_100).for_each(|number| note(&mut stage, number));
    stage.keys("y");
    assert!(copied(&mut stage).ends_with("Noted 100."), "it has gone itself: the oldest one there is");
}

#[test]
fn keys_on_pages_of_nothing_do_nothing() {
    let mut stage = Stage::of_inventory("version = 1\n[vault]\npath = \"/vault\"\n");
    let keys = "down up G g g pgdn pgup left right enter space a U b v r f5 d y s z z tab 1 2 3 4 w w h l t x";
    stage.keys(keys);
    stage.keys("V").keys(keys).keys("esc O").keys(keys);
}

/// A terminal counts to 65,535; a vault does not.
#[test]
fn more_rows_than_a_terminal_can_count_are_drawn_to_the_last() {
    let mut stage = seen();
    let one = shelf(vec![copy(DAY, 9_000, None)]);
    let items = (0..70_000).map(|n| (place(&format!("host-{n:05}/files/tree")), one.clone())).collect();
    let holdings = lifeboat::engine::holdings::Holdings { items, ..Default::default() };
    stage.notice(Notice::Vault(Ok(Arc::new(holdings))));
    stage.keys("V end");
    for size in super::stage::SIZES {
        assert!(stage.grid(size).contains("host-69999"), "{}", stage.grid(size));
    }
    stage.keys("up up pgup");
    assert!(stage.grid((80, 24)).contains("host-69989"), "{}", stage.grid((80, 24)));
}
