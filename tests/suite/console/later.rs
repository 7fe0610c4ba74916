//! A command that the engine does not have yet: all of it stands in this file, and the frame, the crew and the list of
//! jobs do the rest.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use lifeboat::engine::planner::Planned;
use lifeboat::engine::runs::Report;
use lifeboat::model::exit::{Exit, Failure, Result};
use lifeboat::model::ids::{HostId, ItemRef};
use lifeboat::tui::deed::{Bench, Deed};
use lifeboat::tui::message::{Edition, Notice, Order, Wish};
use lifeboat::tui::model::{Job, JobId, Model};
use lifeboat::tui::screen::Screen;
use lifeboat::tui::widgets::sheet::{Row, Sign};
use lifeboat::tui::wizard::errand::{Errand, Field, choice_fields};
use lifeboat::tui::wizard::page;
use serde_json::json;

use super::stage::Stage;
use super::wizard_cast::*;
use crate::support::console::Console;
use crate::vault::item;

/// What it was carried out by: the hash of its plan, and the words.
type Done = Arc<Mutex<Vec<(String, BTreeMap<String, String>)>>>;

/// A copy is tried out on a host.
#[derive(Debug, Clone)]
struct Drill {
    item: ItemRef,
    on: HostId,
    set: BTreeMap<String, String>,
    done: Done,
}

impl Deed for Drill {
    fn title(&self) -> String {
        format!("Drill {} on {}", self.item, self.on)
    }

    fn words(&self) -> Vec<String> {
        let set = self.set.iter().flat_map(|(key, value)| ["--set".to_owned(), format!("{key}={value}")]);
        let words = ["drill".to_owned(), self.item.to_string(), "--on".to_owned(), self.on.to_string()];
        words.into_iter().chain(set).collect()
    }

    fn plan(&self, _at: &Bench) -> Result<Planned> {
        Ok(restore("none", true))
    }

    fn carry_out(
        &self,
        at: &Bench,
        planned: Option<&Planned>,
        answered: &BTreeMap<String, String>,
    ) -> Result<Option<Report>> {
        at.cancel.check().map_err(|_| Failure::new(Exit::Cancelled, "Cancelled."))?;
        let plan = planned.ok_or_else(|| Failure::new(Exit::Usage, "Nothing was planned."))?;
        self.done.lock().unwrap().push((plan.hash.clone(), answered.clone()));
        Ok(Some(report(json!({}))))
    }

    fn stopping(&self) -> &'static str {
        "Stopping: the trial is taken away."
    }

    fn proof(&self, report: Option<&Report>) -> Vec<Row> {
        assert!(report.is_some());
        vec![Row::signed(Sign::Done, format!("Drilled: {} took it.", self.on))]
    }

    fn again(&self) -> Option<Box<dyn Screen>> {
        let Self { item, on, set, done } = self.clone();
        Some(page(Trial { item, on: Some(on), set, done }))
    }
}

/// What its pages ask.
#[derive(Clone)]
struct Trial {
    item: ItemRef,
    on: Option<HostId>,
    set: BTreeMap<String, String>,
    done: Done,
}

impl Errand for Trial {
    fn name(&self) -> &'static str {
        "drill"
    }

    fn title(&self, _model: &Model) -> String {
        format!("Drill {}", self.item)
    }

    fn fields(&self, model: &Model, planned: &[&Planned]) -> Vec<Field> {
        let hosts = model.fleet.owners.iter().map(|owner| (owner.id.to_string(), "a host".to_owned())).collect();
        let on = self.on.as_ref().map_or(String::new(), ToString::to_string);
        let own = [Field::fixed("item", self.item.to_string(), ""), Field::one_of("on", "on", on, hosts)];
        own.into_iter().chain(choice_fields(planned, &self.set)).collect()
    }

    fn set(&mut self, key: &str, value: String, _model: &Model) {
        match key.strip_prefix("set:") {
            Some(key) => _ = self.set.insert(key.to_owned(), value),
            None => self.on = HostId::new(value).ok(),
        }
    }

    fn wishes(&self, _model: &Model) -> std::result::Result<Vec<Wish>, String> {
        let on = self.on.clone().ok_or("Choose where it is tried.")?;
        let Self { item, set, done, .. } = self.clone();
        Ok(vec![Wish::Deed(Arc::new(Drill { item, on, set, done }))])
    }

    fn checks(&self, _model: &Model, jobs: &[&Job]) -> Vec<Row> {
        let ready = |job: &&Job| if job.planned.is_some() { "There is room for it." } else { "It is being asked." };
        jobs.iter().map(|job| Row::signed(Sign::Ok, ready(job))).collect()
    }
}

fn trial() -> Trial {
    Trial { item: item(IDENTITY), on: None, set: BTreeMap::new(), done: Done::default() }
}

#[track_caller]
fn assert_shows(stage: &Stage, texts: &[&str]) {
    for size in super::stage::SIZES {
        let grid = stage.grid(size);
        for text in texts {
            assert!(grid.contains(text), "'{text}' is not on\n{grid}");
        }
    }
}

/// On its preview.
fn previewed() -> Stage {
    let mut stage = stage(page(trial()));
    stage.keys("home down enter").text("spare").keys("enter");
    answer(&mut stage, |wish| match wish {
        Wish::Deed(_) => Ok(restore("none", true)),
        _ => Err(alive()),
    });
    stage.keys("end enter");
    wait(&mut stage, 1);
    stage.keys("enter");
    wait(&mut stage, 1);
    stage
}

#[test]
fn a_command_that_comes_later_goes_through_every_page_by_keys() {
    let mut stage = stage(page(trial()));
    let path = "choose   ○ checks   ○ preview   ○ confirm   ○ run   ○ receipt";
    // Choose: what is missing is said, and nothing goes past it.
    assert_shows(&stage, &["drill › choose", "Drill val-1/avalanchego/staking-identity", "not chosen yet"]);
    stage.keys("end");
    assert_shows(&stage, &["Choose where it is tried."]);
    stage.keys("enter");
    assert_shows(&stage, &["next: not now, choose where it is tried."]);
    stage.keys("home down enter").text("spare").keys("enter");
    let planned = |order: &&Order| matches!(order, Order::Plan(_, Wish::Deed(_)));
    assert_eq!(orders(&stage).into_iter().filter(planned).count(), 1);
    // Checks: they wait for the plan; the engine's own choices join the fields.
    stage.keys("end enter");
    assert_shows(&stage, &["◐ checks", "It is being asked."]);
    stage.keys("enter");
    assert_shows(&stage, &["◐ checks", "next: not now, the plan is still being made."]);
    answer(&mut stage, |_| Ok(restore("none", true)));
    assert_shows(&stage, &["There is room for it."]);
    stage.keys("esc");
    assert_shows(&stage, &[path, "fence", "guard"]);
    stage.keys("end enter enter");
    // Preview: what the frame says of every plan, and the equal command line of this command.
    wait(&mut stage, 1);
    let sheet = stage.grid((120, 60));
    for part in ["what ", "where ", "how much ", "stops ", "overwrites ", "undo ", "guard ", "asked ", "plan "] {
        assert!(sheet.contains(&format!("│ {part}")), "{part}\n{sheet}");
    }
    let plan = restore("none", true);
    for part in
        ["drill val-1/avalanchego/staking-identity", "--on spare-1", "--confirm fenced-val-1=val-1", plan.hash.as_str()]
    {
        assert!(sheet.contains(part), "{part}\n{sheet}");
    }
    // Back is possible, also from the question.
    stage.keys("enter");
    wait(&mut stage, 1);
    assert_shows(&stage, &["Question 1 of 2", "◐ confirm"]);
    stage.keys("esc");
    assert_shows(&stage, &["◐ preview"]);
    wait(&mut stage, 1);
    answer_both(&mut stage);
    let job = {
        let ordered = runs(&stage);
        let (job, planned, answered) = &ordered[0];
        assert_eq!((ordered.len(), &planned.hash, answered.len()), (1, &plan.hash, 2));
        *job
    };
    // Live: its steps; stopping says what that means here.
    stage.notice(Notice::Started(job));
    happen(&stage, job.0, 0, run_started());
    happen(&stage, job.0, 1, began("ready"));
    wait(&mut stage, 2);
    assert_shows(&stage, &["◐ run", "step 1 of 6", "Check that the node can take it"]);
    stage.keys("x");
    assert_shows(&stage, &["Stopping: the trial is taken away."]);
    // Receipt, in its own words.
    stage.notice(Notice::Ended(job, Ok(Some(report(json!({}))))));
    assert_shows(&stage, &["◐ receipt", "Drilled: spare-1 took it.", RUN, "12, signed by this console"]);
    stage.keys("J");
    assert_shows(&stage, &["Drill val-1/avalanchego/staking-identity on spare-1"]);
}

#[test]
fn it_is_refused_read_only_and_tried_again_as_it_was_wished_for() {
    let mut stage = previewed();
    stage.app.model.place.read_only = true;
    stage.keys("enter");
    assert_shows(&stage, &["◐ preview", "next: not now, the console is read-only."]);
    stage.app.model.place.read_only = false;
    answer_both(&mut stage);
    let job = runs(&stage)[0].0;
    stage.notice(Notice::Started(job)).notice(Notice::Ended(job, Err(Failure::new(Exit::Failed, "no luck"))));
    stage.asked.clear();
    stage.keys("t");
    let wishes = orders(&stage).into_iter().find_map(|order| match order {
        Order::Plan(_, wish) => Some(wish.clone()),
        _ => None,
    });
    assert!(wishes.is_some_and(|wish| wish == stage.app.model.job(job).unwrap().wish));
}

/// The crew has no word for it either: it is planned and carried out by what it brings.
#[test]
fn the_crew_plans_it_and_carries_it_out() {
    let console = Console::new();
    let (crew, mut notices) = super::crew::crew(&console, 16);
    let done = Done::default();
    let wish = || {
        let (item, on) = (item(IDENTITY), HostId::new("spare-1").unwrap());
        Wish::Deed(Arc::new(Drill { item, on, set: BTreeMap::new(), done: done.clone() }))
    };
    crew.take(Order::Plan(JobId(1), wish()), None, Edition::default());
    let planned = match notices.blocking_recv().unwrap() {
        Notice::Planned(JobId(1), planned) => planned.unwrap(),
        _ => panic!("something else was told"),
    };
    let answered = BTreeMap::from([("public-ip".to_owned(), "203.0.113.7".to_owned())]);
    let run = Order::Run(JobId(1), wish(), Box::new(planned.clone()), answered.clone());
    crew.take(run, None, Edition::default());
    assert!(matches!(notices.blocking_recv().unwrap(), Notice::Started(JobId(1))));
    match notices.blocking_recv().unwrap() {
        Notice::Ended(JobId(1), result) => assert_eq!(result.unwrap().unwrap().receipt, 12),
        _ => panic!("something else was told"),
    }
    assert_eq!(*done.lock().unwrap(), [(planned.hash, answered)]);
    drop(notices);
    crew.dismiss();
}
