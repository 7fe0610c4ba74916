//! The crew at a desk of its own: what it answers when a worker fails, and how often it answers.

use std::time::Duration;

use lifeboat::config::paths::Paths;
use lifeboat::engine::desk::{Desk, Opening};
use lifeboat::model::exit::{Exit, Failure};
use lifeboat::model::ids::HostId;
use lifeboat::model::ids::OwnerId;
use lifeboat::transport::Cancel;
use lifeboat::tui::crew::Crew;
use lifeboat::tui::message::{Edition, Named, Notice, Order, Tone, Wish};
use lifeboat::tui::model::JobId;
use lifeboat::tui::wizard::Purging;
use tokio::sync::mpsc::{Receiver, channel};

use crate::support::console::Console;
use crate::vault::{Bench, Copy};

/// The inventory a sitting begins with.
const FIRST: Edition = Edition(0);

const NOTHING: &str = "version = 1\n[vault]\npath = \"/nonexistent/vault\"\n[hosts.val-1]\naddress = \"127.0.0.1\"\n";

pub fn crew(console: &Console, queue: usize) -> (Crew, Receiver<Notice>) {
    console.write_inventory(NOTHING);
    crew_at(console, queue)
}

/// As [`crew`], over the inventory that is there.
fn crew_at(console: &Console, queue: usize) -> (Crew, Receiver<Notice>) {
    let paths = Paths {
        home: console.path("home"),
        config_dir: console.path("config"),
        data_dir: console.path("data"),
        state_dir: console.path("data/state"),
    };
    let opening = Opening {
        paths,
        inventory: None,
        vault: None,
        read_only: false,
        plain: false,
        ascii: false,
        cancel: Cancel::new(),
        practice: None,
    };
    let (send, notices) = channel(queue);
    let desk = Desk::open(&opening, None).unwrap();
    let crew = Crew::new(desk, send, Box::new(move || Desk::open(&opening, None))).unwrap();
    (crew, notices)
}

#[test]
fn nobody_waits_for_a_worker_that_failed_inside() {
    let console = Console::new();
    let (crew, mut notices) = crew(&console, 16);
    let item = crate::vault::item("val-1/files/tree");
    let wish = Wish::BackUp { item, reason: None, set: std::collections::BTreeMap::new() };
    crew.fail_inside(&Order::Plan(JobId(7), wish));
    crew.fail_inside(&Order::Look(vec![OwnerId::new("val-1").unwrap()]));
    let (mut planned, mut looked) = (false, false);
    for _ in 0..4 {
        match notices.blocking_recv().unwrap() {
            Notice::Planned(JobId(7), result) => planned = result.is_err(),
            Notice::Looked(owner, _) => looked = owner.as_str() == "val-1",
            Notice::Noted(_, text) => assert!(text.contains("A worker failed inside")),
            _ => panic!("something else was told"),
        }
    }
    assert!(planned && looked);
    drop(notices);
    crew.dismiss();
}

/// A hundred jobs that end together each ask for the vault to be read; it is read as often as it has to be.
#[test]
fn the_same_is_not_read_again_and_again_while_nobody_has_begun_to() {
    let console = Console::new();
    let (crew, mut notices) = crew(&console, 1);
    for _ in 0..200 {
        crew.take(Order::ReadVault, None, FIRST);
    }
    let mut count = 0;
    loop {
        match notices.try_recv() {
            Ok(Notice::Vault(_)) => count += 1,
            Ok(_) => {}
            Err(_) => {
                std::thread::sleep(Duration::from_millis(500));
                match notices.try_recv() {
                    Ok(_) => count += 1,
                    Err(_) => break,
                }
            }
        }
    }
    // One in the queue, one in each hand, one that waits, and what a hand had time to begin in between.
    assert!((1..=12).contains(&count), "{count}");
    drop(notices);
    crew.dismiss();
}

/// The hands of the crew.
fn hands() -> u32 {
    u32::try_from(lifeboat::tui::crew::JOB_HANDS).unwrap()
}

/// An inventory of a node that takes connections and never says a word. It ends with the listener.
fn silent_node(console: &Console) -> std::net::TcpListener {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let vault = console.path("vault");
    console.write_inventory(&format!(
        "version = 1\n[vault]\npath = \"{}\"\n[hosts.val-1]\naddress = \"127.0.0.1\"\nport = {port}\n",
        vault.display()
    ));
    console.run(&["init"]).expect(0);
    listener
}

/// A crew whose every hand is held up by a silent node, and two jobs that wait.
fn held_up(console: &Console) -> (Crew, Receiver<Notice>, std::net::TcpListener) {
    let listener = silent_node(console);
    let (crew, mut notices) = crew_at(console, 64);
    let purge = || Purging::wish(HostId::new("val-1").unwrap(), Vec::new());
    for number in 1..=hands() + 2 {
        crew.take(Order::Do(JobId(number), purge(), std::collections::BTreeMap::new()), None, FIRST);
    }
    for _ in 0..hands() {
        assert!(matches!(notices.blocking_recv().unwrap(), Notice::Started(_)));
    }
    (crew, notices, listener)
}

/// What the checking of the whole vault found: each copy, what was noted as bad, and how it ended.
fn check_all(
    crew: &Crew,
    notices: &mut Receiver<Notice>,
    known: Vec<Named>,
) -> (Vec<Named>, Vec<String>, Option<Failure>) {
    crew.take(Order::Do(JobId(1), Wish::VerifyVault(known), std::collections::BTreeMap::new()), None, FIRST);
    let (mut checked, mut bad) = (Vec::new(), Vec::new());
    loop {
        match notices.blocking_recv().unwrap() {
            Notice::Checked(_, item, id, Ok(_)) => checked.push((item, id)),
            Notice::Noted(Tone::Bad, text) => bad.push(text),
            Notice::Ended(_, result) => return (checked, bad, result.err()),
            _ => {}
        }
    }
}

#[test]
fn the_whole_vault_is_what_it_holds_by_then_and_what_is_damaged_beyond_being_a_copy() {
    let (console, bench) = (Console::new(), Bench::new());
    let copy = Copy::secret(&bench);
    let ids = [(); 3].map(|()| (copy.item.clone(), bench.put(&copy).unwrap().id));
    // Its host is in no inventory.
    let root = bench.vault.root().display();
    console.write_inventory(&NOTHING.replace("/nonexistent/vault", &root.to_string()).replace("val-1", "val-2"));
    let (crew, mut notices) = crew_at(&console, 64);
    let known = vec![ids[2].clone(), ids[0].clone()];
    let (checked, bad, ended) = check_all(&crew, &mut notices, known.clone());
    assert!(ended.is_none() && bad.is_empty(), "{ended:?} {bad:?}");
    assert_eq!(checked, [ids[2].clone(), ids[0].clone(), ids[1].clone()], "what came since is checked after the rest");
    let (item, id) = &ids[1];
    let dir = bench.vault.root().join(item.to_string()).join(id.as_str());
    std::fs::write(dir.join("manifest.json"), "{").unwrap();
    let (checked, bad, ended) = check_all(&crew, &mut notices, known);
    assert_eq!((checked.len(), bad.len()), (2, 1), "{bad:?}");
    assert!(bad[0].contains(id.as_str()), "{bad:?}");
    assert_eq!(ended.unwrap().exit, Exit::Integrity);
    drop(notices);
    crew.dismiss();
}

/// Jobs that run, and jobs that wait for a hand, are those that were ordered: what is edited meanwhile is for later ones.
#[test]
fn jobs_keep_the_inventory_they_were_ordered_with() {
    let console = Console::new();
    let (crew, mut notices, _listener) = held_up(&console);
    console.write_inventory(&NOTHING.replace("val-1", "val-2"));
    crew.take(Order::Reload, None, FIRST);
    match notices.blocking_recv().unwrap() {
        Notice::Reloaded(Ok(reread)) => assert_eq!(reread.fleet.owners[0].id.as_str(), "val-2"),
        _ => panic!("it was not read again"),
    }
    crew.take(Order::Cancel(JobId(1)), None, FIRST);
    assert!(matches!(notices.blocking_recv().unwrap(), Notice::Ended(JobId(1), Err(_))));
    let next = hands() + 1;
    assert!(matches!(notices.blocking_recv().unwrap(), Notice::Started(JobId(number)) if number == next));
    // It is at the node it was ordered for, which still says nothing; the new inventory does not even name it.
    std::thread::sleep(Duration::from_secs(1));
    assert!(notices.try_recv().is_err(), "nobody else has ended");
    drop(notices);
    crew.dismiss();
}

/// A node that is slow to answer must not tell of the old inventory once the new one is shown: not with what it was asked
/// before, and not with what was asked a moment too late.
#[test]
fn what_is_asked_over_the_old_inventory_is_told_no_more_once_a_new_one_is_read() {
    let console = Console::new();
    let listener = silent_node(&console);
    let (crew, mut notices) = crew_at(&console, 64);
    let host = || HostId::new("val-1").unwrap();
    let look = || Order::Look(vec![OwnerId::new("val-1").unwrap()]);
    crew.take(look(), None, FIRST);
    assert!(matches!(notices.blocking_recv().unwrap(), Notice::Looking(_)));
    // Every hand for such work is at that node now, and one more asks in vain; the inventory is read all the same.
    for order in [Order::ReadKept(host()), Order::ReadRunsOn(host()), Order::Discover(host())] {
        crew.take(order, None, FIRST);
    }
    std::thread::sleep(Duration::from_millis(300));
    console.write_inventory(&NOTHING.replace("val-1", "val-2"));
    let begun = std::time::Instant::now();
    crew.take(Order::Reload, None, FIRST);
    match notices.blocking_recv().unwrap() {
        Notice::Reloaded(Ok(reread)) => assert_eq!(reread.edition, Edition(1)),
        _ => panic!("it was not read again"),
    }
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    // What has been asked is given up at once, and not when the node lets go; nobody hears of its end.
    crew.take(look(), None, FIRST);
    crew.take(Order::Discover(host()), None, FIRST);
    crew.take(Order::Do(JobId(9), Purging::wish(host(), Vec::new()), std::collections::BTreeMap::new()), None, FIRST);
    match notices.blocking_recv().unwrap() {
        Notice::Ended(JobId(9), Err(failure)) => {
            assert_eq!((failure.exit, failure.state.as_deref()), (Exit::Stale, Some("Nothing was changed.")));
        }
        _ => panic!("something else was told"),
    }
    // Three hands do such work: were they still held up, none of these could begin.
    let begun = std::time::Instant::now();
    for _ in 0..3 {
        crew.take(Order::ReadKept(HostId::new("nowhere").unwrap()), None, Edition(1));
    }
    for _ in 0..3 {
        assert!(matches!(notices.blocking_recv().unwrap(), Notice::Kept(host, Err(_)) if host.as_str() == "nowhere"));
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    drop(listener);
    std::thread::sleep(Duration::from_secs(1));
    assert!(notices.try_recv().is_err(), "nothing of val-1 is told");
    drop(notices);
    crew.dismiss();
}

/// A job that waits for a hand is over as soon as it is cancelled, however long the others take.
#[test]
fn a_cancelled_job_that_no_hand_has_begun_has_ended() {
    let console = Console::new();
    let (crew, mut notices, _listener) = held_up(&console);
    let hands = hands();
    crew.take(Order::Cancel(JobId(hands + 2)), None, FIRST);
    match notices.blocking_recv().unwrap() {
        Notice::Ended(job, Err(failure)) => {
            assert_eq!((job, failure.exit), (JobId(hands + 2), Exit::Cancelled));
            assert_eq!(failure.state.as_deref(), Some("Nothing was changed."));
        }
        _ => panic!("something else was told"),
    }
    // One that works is stopped by its own means.
    crew.take(Order::Cancel(JobId(1)), None, FIRST);
    let ended = loop {
        if let Notice::Ended(job, _) = notices.blocking_recv().unwrap() {
            break job;
        }
    };
    assert_eq!(ended, JobId(1));
    drop(notices);
    crew.dismiss();
}

/// Whoever waits to report into a full queue that nobody reads any more ends, and so does the next one.
#[test]
fn a_console_that_is_gone_keeps_no_worker() {
    let console = Console::new();
    let (crew, notices) = crew(&console, 1);
    for _ in 0..20 {
        crew.take(Order::Look(vec![OwnerId::new("val-1").unwrap()]), None, FIRST);
    }
    // Long enough for the queue to be full.
    std::thread::sleep(Duration::from_millis(300));
    drop(notices);
    let begun = std::time::Instant::now();
    crew.dismiss();
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}
