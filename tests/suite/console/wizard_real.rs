//! The wizards over the real crew and the practice fleet: a lost validator comes back by keys alone, and the equal
//! command line makes the same plan.

use std::process::Command;
use std::time::{Duration, Instant};

use lifeboat::config::paths::Paths;
use lifeboat::engine::desk::{Desk, Opening};
use lifeboat::engine::fleet::Fleet;
use lifeboat::engine::practice::{Fault, Rehearsal, Running};
use lifeboat::model::ids::HostId;
use lifeboat::rehearsal::PracticeFleet;
use lifeboat::transport::Cancel;
use lifeboat::tui::app::App;
use lifeboat::tui::crew::Crew;
use lifeboat::tui::message::{Edition, Effect, Msg, Notice, Order};
use lifeboat::tui::model::{Model, Place};
use lifeboat::tui::screen::Screen;
use lifeboat::tui::wizard;
use tokio::sync::mpsc::{Receiver, channel};

use super::stage::Stage;
use crate::vault::item;

const IDENTITY: &str = "val-1/avalanchego/staking-identity";

/// Longer than a guard's lapse, on a machine that has much else to do.
const LIMIT: Duration = Duration::from_mins(4);

/// A console with its real crew and no terminal.
struct Sitting {
    stage: Stage,
    crew: Crew,
    notices: Receiver<Notice>,
    copied: Vec<String>,
}

impl Sitting {
    fn open(running: &Running, page: Box<dyn Screen>) -> Self {
        let paths = Paths {
            home: running.config_dir.clone(),
            config_dir: running.config_dir.clone(),
            data_dir: running.data_dir.clone(),
            state_dir: running.data_dir.join("state"),
        };
        let opening = Opening {
            paths,
            inventory: None,
            vault: None,
            read_only: false,
            cancel: Cancel::new(),
            practice: Some(running.practice.clone()),
            plain: false,
            ascii: false,
        };
        let desk = Desk::open(&opening, None).unwrap();
        let dir = |path: &std::path::Path| path.to_str().unwrap().to_owned();
        let environment =
            vec![("LIFEBOAT_CONFIG_DIR", dir(&running.config_dir)), ("LIFEBOAT_DATA_DIR", dir(&running.data_dir))];
        let (inventory, vault) = (desk.named.path.clone(), desk.inventory.vault.path.clone());
        let place = Place { inventory, vault, environment, ..Place::default() };
        let model = Model::new(place, Fleet::of_inventory(&desk.inventory), jiff::Timestamp::now());
        let (send, notices) = channel(1024);
        let crew = Crew::new(desk, send, Box::new(move || Desk::open(&opening, None))).unwrap();
        crew.take(Order::ReadVault, None, Edition::default());
        let stage = Stage::of(App::new(model, page));
        let mut sitting = Self { stage, crew, notices, copied: Vec::new() };
        sitting.until_true("the vault was read", |stage| stage.app.model.holdings.is_some());
        sitting
    }

    /// Takes in what was reported, lets the time be told, and does what was asked.
    fn turn(&mut self) {
        while let Ok(notice) = self.notices.try_recv() {
            self.stage.app.model.now = jiff::Timestamp::now();
            self.stage.notice(notice);
        }
        if self.stage.app.model.holdings.is_some() {
            let asked = self.stage.app.update(Msg::Tick(jiff::Timestamp::now()));
            self.stage.asked.extend(asked);
        }
        for effect in std::mem::take(&mut self.stage.asked) {
            match effect {
                Effect::Order(order) => {
                    let job = match &order {
                        Order::Run(job, ..) | Order::Do(job, ..) => Some(*job),
                        _ => None,
                    };
                    let board = job.and_then(|job| self.stage.app.model.job(job)).map(|job| job.board.clone());
                    self.crew.take(order, board, self.stage.app.model.edition);
                }
                Effect::Copy(text) => self.copied.push(text),
                _ => {}
            }
        }
    }

    #[track_caller]
    fn until_true(&mut self, what: &str, is: impl Fn(&Stage) -> bool) {
        let begun = Instant::now();
        while !is(&self.stage) {
            assert!(begun.elapsed() < LIMIT, "{what} never came:\n{}", self.stage.grid((120, 40)));
            std::thread::sleep(Duration::from_millis(20));
            self.turn();
        }
    }

    /// Waits for text on the screen, then until keys count again.
    #[track_caller]
    fn until(&mut self, text: &str) {
        self.until_true(text, |stage| stage.grid((120, 40)).contains(text));
        std::thread::sleep(Duration::from_millis(400));
        self.turn();
    }

    fn keys(&mut self, names: &str) {
        self.stage.app.model.now = jiff::Timestamp::now();
        self.stage.keys(names);
        self.turn();
    }

    fn text(&mut self, text: &str) {
        self.stage.app.model.now = jiff::Timestamp::now();
        self.stage.text(text);
        self.turn();
    }
}

/// The hash of the plan a command line makes, pasted into a real shell that knows nothing of the practice fleet.
fn hash_of(line: &str, running: &Running) -> String {
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_lifeboat"));
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", program.parent().unwrap().display());
    let output = Command::new("sh")
        .args(["-c", &format!("{line} --plan --json")])
        .env_clear()
        .env("PATH", path)
        .env("HOME", &running.config_dir)
        .output()
        .unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    let documents = out.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let plan = documents
        .filter(|document| document["kind"] == "plan")
        .find_map(|plan| plan["hash"].as_str().map(str::to_owned));
    plan.unwrap_or_else(|| panic!("{line}\n{out}\n{}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn a_lost_validator_comes_back_by_keys_alone() {
    let running = PracticeFleet.start(&Cancel::new(), &|_| {}).unwrap();
    running.practice.break_it(&HostId::new("val-1").unwrap(), Fault::LoseNode).unwrap();
    let mut sitting = Sitting::open(&running, wizard::restore(Some(item(IDENTITY)), None));
    sitting.until("Go on");
    sitting.keys("up enter");
    sitting.text("spare-1");
    sitting.keys("enter end");
    sitting.until_true("a plan", |stage| stage.grid((120, 40)).contains("guard"));
    sitting.keys("end enter");
    sitting.until("A key that opens the copy was tried");
    sitting.keys("enter");
    sitting.until("overwrites");
    sitting.keys("y");
    let job = sitting.stage.app.model.jobs.last().unwrap();
    let shown = job.planned.clone().unwrap().hash.clone();
    let line = sitting.copied.last().unwrap().clone();
    assert!(line.contains(&format!("--plan-hash {shown}")), "{line}");
    assert_eq!(hash_of(&line, &running), shown, "{line}");
    sitting.keys("enter");
    sitting.until("Question 1 of 1");
    sitting.text("val-1");
    sitting.keys("enter");
    sitting.until("Proven: what runs now is what was saved.");
    let page = sitting.stage.grid((120, 40));
    assert!(page.contains("receipt") && page.contains("signed by this console"), "{page}");
    sitting.crew.dismiss();
}

/// A chosen value and a reason that a shell would take apart make the same plan by command line.
#[test]
fn the_equal_command_line_of_a_backup_makes_the_same_plan() {
    let running = PracticeFleet.start(&Cancel::new(), &|_| {}).unwrap();
    let mut sitting = Sitting::open(&running, wizard::back_up(vec![item("val-2/avalanchego/staking-identity")]));
    sitting.until("Go on");
    // What a rebuild needs beside the copies is kept by whatever face makes one.
    let beside = sitting.stage.app.model.place.vault.join("about/inventory.toml");
    let _ = std::fs::remove_file(&beside);
    sitting.keys("home down down enter");
    sitting.text("it's $HOME; rm -rf \"x\" | -y");
    sitting.keys("enter end enter");
    sitting.until("can be copied");
    sitting.keys("enter");
    sitting.until("overwrites");
    sitting.keys("y");
    let shown = sitting.stage.app.model.jobs.last().unwrap().planned.clone().unwrap().hash.clone();
    let line = sitting.copied.last().unwrap().clone();
    assert_eq!(hash_of(&line, &running), shown, "{line}");
    sitting.keys("enter");
    sitting.until("Verified: the copy was read in full and is sound.");
    sitting.crew.dismiss();
    assert!(std::fs::read_to_string(beside).unwrap().contains("[hosts.val-2]"));
}
