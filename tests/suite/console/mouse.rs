//! Clicks: what is drawn under the mouse is selected, and nothing is done by it.

use std::collections::BTreeMap;

use lifeboat::tui::message::{Effect, Msg, Notice, Order, Wish};
use lifeboat::tui::model::{Job, JobId, Stage as JobStage};
use lifeboat::tui::screens::first::FirstPage;
use lifeboat::tui::wizard;
use ratatui::layout::{Position, Rect};

use super::cast::{self, place, seen};
use super::stage::{SIZES, Stage};
use super::wizard_cast::{self, IDENTITY, answer, backup, orders, wait};
use super::wizard_pages::previewing;
use crate::support::console::Console;
use crate::support::pty::Start;
use crate::vault::item;

/// Clicks on the first place where a text stands.
#[track_caller]
fn click(stage: &mut Stage, size: (u16, u16), text: &str) {
    let grid = stage.grid(size);
    let found = (0..).zip(grid.lines()).find_map(|(y, line)| Some((line.find(text)?, y, line)));
    let (byte, y, line) = found.unwrap_or_else(|| panic!("'{text}' is not on\n{grid}"));
    let x = u16::try_from(line[..byte].chars().count()).unwrap();
    let click = Msg::Click(Position::new(x, y), Rect::new(0, 0, size.0, size.1));
    stage.asked.extend(stage.app.update(click));
}

/// The rows that are selected in the pane that has the focus.
fn selected(stage: &mut Stage, size: (u16, u16)) -> Vec<String> {
    let letter = {
        let roles = lifeboat::tui::theme::Role::ALL;
        let at = roles.iter().position(|role| role.name() == "selection").unwrap();
        char::from(b'@' + u8::try_from(at).unwrap())
    };
    let (grid, roles) = (stage.grid(size), stage.roles(size));
    let rows = grid.lines().zip(roles.lines()).filter(|(_, roles)| roles.contains(letter));
    rows.map(|(text, _)| text.to_owned()).collect()
}

#[track_caller]
fn assert_selected(stage: &mut Stage, size: (u16, u16), text: &str) {
    let rows = selected(stage, size);
    assert!(matches!(rows.as_slice(), [row] if row.contains(text)), "{rows:#?}\n{}", stage.grid(size));
}

#[test]
fn a_click_selects_a_host_an_item_or_a_pane() {
    for size in SIZES {
        let mut stage = seen();
        click(&mut stage, size, "consul-1 ");
        assert_selected(&mut stage, size, "consul-1");
        click(&mut stage, size, "val-1 ");
        assert_selected(&mut stage, size, "val-1");
        click(&mut stage, size, "node config");
        assert_selected(&mut stage, size, "node config");
        click(&mut stage, size, "▾ prod");
        assert_selected(&mut stage, size, "▾ prod");
        assert!(stage.grid(size).contains("val-1 "), "a click folds nothing");
        click(&mut stage, size, "prod, 4 hosts");
        stage.keys("tab");
        let zoomed = stage.keys("w").grid(size);
        assert!(!zoomed.contains("Fleet"), "tab went on from the pane that was clicked:\n{zoomed}");
        assert!(stage.asked.iter().all(|effect| !matches!(effect, Effect::Open(_))));
    }
}

#[test]
fn what_is_scrolled_or_zoomed_is_hit_where_it_is_seen() {
    let mut hosts = String::from("version = 1\n[vault]\npath = \"/vault\"\n");
    for number in 0..200 {
        hosts.push_str(&format!("[hosts.host-{number:03}]\n"));
    }
    let mut stage = Stage::of_inventory(&hosts);
    stage.keys("G");
    let size = (80, 24);
    click(&mut stage, size, "host-195");
    assert_selected(&mut stage, size, "host-195");
    stage.keys("w");
    click(&mut stage, size, "host-190");
    assert_selected(&mut stage, size, "host-190");
    // A footer, a header and what lies outside select nothing.
    let before = stage.grid(size);
    for (x, y) in [(3, 0), (3, 23), (79, 23), (500, 500)] {
        stage.app.update(Msg::Click(Position::new(x, y), Rect::new(0, 0, 80, 24)));
        assert_eq!(stage.grid(size), before);
    }
    stage.app.update(Msg::Click(Position::new(0, 0), Rect::new(0, 0, 10, 3)));
    stage.app.update(Msg::Click(Position::new(0, 0), Rect::new(0, 0, 0, 0)));
    assert_eq!(stage.grid(size), before);
}

#[test]
fn lists_of_every_page_are_clicked() {
    let size = (120, 40);
    let mut stage = seen();
    stage.keys("V");
    click(&mut stage, size, "nats-1/files/tree");
    assert_selected(&mut stage, size, "nats-1/files/tree");
    stage.keys("enter");
    let copies = stage.app.model.fleet.item(&place("nats-1/files/tree")).unwrap().copies().to_vec();
    stage.asked.clear();
    click(&mut stage, size, &copies[2].created.strftime("%Y-%m-%d %H:%MZ").to_string());
    let read = stage
        .asked
        .iter()
        .any(|effect| matches!(effect, Effect::Order(Order::ReadSnapshot(_, id)) if *id == copies[2].id));
    assert!(read, "the copy that was clicked is read");
    stage.keys("O");
    for number in 0..5 {
        stage.notice(Notice::Noted(lifeboat::tui::message::Tone::Plain, format!("Noted {number}.")));
    }
    click(&mut stage, size, "Noted 2.");
    assert_selected(&mut stage, size, "Noted 2.");
    let mut stage = Stage::of_inventory("version = 1\n");
    let model = std::mem::replace(&mut stage.app, Stage::of_inventory("version = 1\n").app).model;
    stage.app = lifeboat::tui::app::App::new(model, Box::new(FirstPage::new(true, true)));
    click(&mut stage, size, "Read the guide");
    assert!(stage.grid(size).contains("▸ Read the guide"), "{}", stage.grid(size));
    stage.keys("enter");
    assert!(stage.grid(size).contains("┌ Guide"));
}

/// What is laid over a page is clicked, and nothing below it.
#[test]
fn a_click_goes_to_what_lies_on_top() {
    let size = (80, 24);
    let mut stage = seen();
    click(&mut stage, size, "val-1 ");
    stage.keys("T");
    click(&mut stage, size, "high-contrast");
    assert_eq!(stage.app.theme.name, "high-contrast");
    stage.app.update(Msg::Click(Position::new(3, 3), Rect::new(0, 0, 80, 24)));
    stage.keys("esc");
    assert_eq!(stage.app.theme.name, "default");
    assert_selected(&mut stage, size, "val-1");
    stage.keys(":").text("re");
    click(&mut stage, size, "reload ");
    stage.keys("enter");
    assert!(matches!(stage.asked.last(), Some(Effect::Order(Order::Reload))));
}

#[test]
fn a_click_begins_nothing_and_answers_nothing() {
    let size = (80, 24);
    let mut stage = previewing(true);
    stage.keys("enter");
    wait(&mut stage, 1);
    let question = stage.grid(size);
    for y in 0..24 {
        for x in (0..80).step_by(3) {
            stage.asked.extend(stage.app.update(Msg::Click(Position::new(x, y), Rect::new(0, 0, 80, 24))));
        }
    }
    assert_eq!(stage.grid(size), question);
    assert!(!orders(&stage).iter().any(|order| matches!(order, Order::Run(..) | Order::Do(..))));
}

#[test]
fn fields_lists_and_jobs_of_a_wizard_are_clicked() {
    let size = (80, 24);
    let mut stage = wizard_cast::stage(wizard::restore(Some(item(IDENTITY)), None));
    answer(&mut stage, |_| Ok(wizard_cast::restore("none", false)));
    click(&mut stage, size, "onto ");
    assert_selected(&mut stage, size, "onto");
    stage.keys("enter");
    click(&mut stage, size, "val-2 ");
    stage.keys("enter");
    assert!(stage.grid(size).contains("to val-2"), "{}", stage.grid(size));
    click(&mut stage, size, "Go on");
    assert_selected(&mut stage, size, "Go on");

    let mut stage = wizard_cast::stage(wizard::back_up(vec![item(IDENTITY), item(wizard_cast::CHAINS)]));
    answer(&mut stage, |wish| match wish {
        Wish::BackUp { item: place, .. } => Ok(backup(&place.to_string())),
        _ => Err(wizard_cast::alive()),
    });
    stage.keys("enter enter");
    wait(&mut stage, 1);
    stage.keys("enter");
    let jobs: Vec<JobId> = wizard_cast::runs(&stage).iter().map(|(job, ..)| *job).collect();
    click(&mut stage, size, "chain-configs");
    stage.keys("x");
    assert!(orders(&stage).iter().any(|order| matches!(order, Order::Cancel(job) if *job == jobs[1])));
}

#[test]
fn the_strip_of_jobs_is_clicked() {
    let mut stage = seen();
    for (number, text) in [(1, "nats-1/files/tree"), (2, "val-1/avalanchego/node-config")] {
        let wish = Wish::BackUp { item: cast::place(text), reason: None, set: BTreeMap::new() };
        let mut job = Job::new(JobId(number), wish);
        job.stage = JobStage::Waiting;
        stage.app.model.jobs.push(job);
    }
    for size in SIZES {
        click(&mut stage, size, "Back up val-1/avalanchego/node");
        assert_selected(&mut stage, size, "Back up val-1/avalanchego/node");
        click(&mut stage, size, "Back up nats-1/files/tree");
        assert_selected(&mut stage, size, "Back up nats-1/files/tree");
    }
}

/// The terminal reports clicks only once somebody asked for them, and is told so.
#[test]
fn clicks_of_a_terminal_arrive_once_the_mouse_is_on() {
    let console = Console::new();
    console.write_inventory(
        "version = 1\n[vault]\npath = \"/nonexistent/vault\"\n[hosts.val-1]\naddress = \"127.0.0.1\"\nport = 1\n\
         [hosts.val-2]\naddress = \"127.0.0.1\"\nport = 1\n",
    );
    let mut pty = Start::lifeboat(&console, &[]).go();
    pty.wait("both hosts", |screen| screen.contains("val-2") && screen.matches("down").count() >= 2);
    assert_eq!(pty.count("\x1b[?1000h"), 0);
    pty.send("M");
    pty.wait_for("The mouse is on");
    for name in ["val-2", "val-1", "val-2"] {
        let in_tree = |line: &str| line.split('│').nth(1).is_some_and(|cell| cell.contains(name));
        let row = pty.screen().lines().position(in_tree).unwrap() + 1;
        pty.send(&format!("\x1b[<0;5;{row}M\x1b[<0;5;{row}m"));
        pty.wait_for(&format!("┌ {name} "));
    }
    pty.send("M");
    pty.wait_for("The mouse is off");
    pty.send("q");
    assert_eq!(pty.wait_exit(), 0);
    assert_eq!((pty.count("\x1b[?1000h"), pty.count("\x1b[?1000l")), (1, 1));
}
