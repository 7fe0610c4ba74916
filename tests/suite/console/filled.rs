//! As [`super::properties`], from pages that are full and with a crew that has an answer to everything: copies, plans,
//! runs that go on and end well, rows of archives, what lies on nodes. Every word of it may be a hostile node's.

use std::sync::{Arc, LazyLock};

use lifeboat::engine::compare::{Change, Comparison, Difference};
use lifeboat::engine::doctor::Aspect;
use lifeboat::engine::inside::Page;
use lifeboat::engine::node_run::Kept;
use lifeboat::engine::planner::Planned;
use lifeboat::engine::verify::Checked;
use lifeboat::formats::Part;
use lifeboat::model::event::EventKind;
use lifeboat::model::exit::Failure;
use lifeboat::model::ids::{HostId, OwnerId, RunId};
use lifeboat::model::item::Standing;
use lifeboat::model::units::ByteSize;
use lifeboat::tui::message::{Compared, Effect, Msg, Notice, Order, Tone, Wish};
use lifeboat::tui::model::JobId;
use lifeboat::tui::{screens, wizard};
use lifeboat::vault::Snapshot;
use proptest::prelude::*;
use serde_json::json;

use super::properties::{Happening, assert_tame, cases, failure, happening, hostile, msg_of};
use super::stage::Stage;
use super::wizard_cast::{self, RUN, began, done, happen, report};
use super::{cast, jobs_runs, practice, stored};
use crate::vault::item;

/// A snapshot that was read whole once.
static SNAPSHOT: LazyLock<Snapshot> = LazyLock::new(|| stored::seen().1);

/// Where somebody may be when it begins.
fn beginning(at: usize) -> Stage {
    let cut = |mut stage: Stage, keys: &str| {
        stage.keys(keys);
        stage
    };
    match at {
        0 => cast::seen(),
        1 => cut(cast::seen(), "enter"),
        2 => cut(cast::seen(), "tab g g enter"),
        3 => cut(cast::seen(), "V"),
        4 => jobs_runs::with_jobs(),
        5 => cut(jobs_runs::with_jobs(), "B J"),
        6 => jobs_runs::with_runs(screens::runs()),
        7 => cut(jobs_runs::with_runs(screens::runs()), "enter"),
        8 => cut(jobs_runs::with_runs(screens::runs()), "K enter"),
        9 => practice::practising([true, false, false]),
        10 => wizard_cast::stage(wizard::restore(Some(item(wizard_cast::IDENTITY)), None)),
        _ => wizard_cast::stage(wizard::back_up(vec![item(wizard_cast::IDENTITY), item(wizard_cast::CHAINS)])),
    }
}

const BEGINNINGS: usize = 12;

/// How the crew answers: with a text of somebody else's, and well or not.
#[derive(Debug, Clone)]
struct Answers {
    text: String,
    works: bool,
    number: u64,
}

fn answers() -> impl Strategy<Value = Answers> {
    let number = prop_oneof![0..40u64, Just(0), Just(u64::MAX), Just(1 << 40)];
    (hostile(), prop::bool::weighted(0.8), number).prop_map(|(text, works, number)| Answers { text, works, number })
}

impl Answers {
    fn outcome<T>(&self, good: impl FnOnce() -> T) -> Result<T, Failure> {
        if self.works { Ok(good()) } else { Err(failure(&self.text).state(self.text.clone())) }
    }

    fn planned(&self, wish: &Wish) -> Planned {
        let mut planned = match wish {
            Wish::BackUp { item, .. } if self.number.is_multiple_of(2) => {
                wizard_cast::stopping_backup(&item.to_string())
            }
            Wish::BackUp { item, .. } => wizard_cast::backup(&item.to_string()),
            _ => wizard_cast::restore(&self.text, self.number.is_multiple_of(2)),
        };
        let said = self.text.as_str();
        planned.plan.steps.iter_mut().for_each(|step| step.title = said.into());
        planned.plan.leaves.push(said.into());
        planned.expects.push(said.into());
        planned
    }

    /// Runs a job some way, or to its end.
    fn run(&self, stage: &mut Stage, job: JobId) -> Vec<Notice> {
        stage.notice(Notice::Started(job));
        let text = self.text.as_str();
        let events = [
            wizard_cast::run_started(),
            began("stop"),
            done("stop"),
            began("capture"),
            EventKind::Note { text: text.into() },
            wizard_cast::failed("capture", text),
            wizard_cast::undone("stop"),
        ];
        let some = usize::try_from(self.number % 8).unwrap();
        for (second, kind) in (0..).zip(events.into_iter().take(some)) {
            happen(stage, job.0, second, kind);
        }
        let board = stage.app.model.job(job).unwrap().board.clone();
        board.begin(text.into(), self.number);
        board.moved(self.number / 2);
        let outs = json!({"capture": {"snapshot": wizard_cast::GOOD, "bytes": self.number, "marks": [text], "remarks": [text]}});
        match self.number % 3 {
            0 => Vec::new(),
            _ => vec![Notice::Ended(job, self.outcome(|| Some(report(outs))))],
        }
    }

    fn look(&self, owner: OwnerId) -> Vec<Notice> {
        let mut notices = vec![Notice::Looking(owner.clone())];
        if let Ok(host) = HostId::new(owner.as_str()) {
            let mut health = cast::healthy(host.as_str());
            health.aspects.push(Aspect::warning(&self.text, &self.text, &self.text));
            notices.push(Notice::Health(health, cast::now()));
        }
        let is_known =
            lifeboat::engine::scan::wanted_of(&cast::inventory(cast::FLEET)).iter().any(|w| w.owner == owner);
        if is_known {
            let mut thing = cast::item("tree", &self.text, Standing::Absent(self.text.as_str().into()));
            thing.size = Some(ByteSize(self.number));
            thing.facts = json!({"path": self.text, "of": [self.text, self.number]});
            let found = self.outcome(|| {
                let mut found = cast::found(owner.as_str(), vec![thing, cast::item("db", "database", Standing::Ready)]);
                found.facts.version = Some(self.text.as_str().into());
                found.facts.own =
                    json!({"network": self.text, "from": {"network": self.text}, "deep": {"er": [self.text]}});
                found
            });
            notices.push(Notice::Found(Box::new(cast::wanted(owner.as_str())), Box::new(found)));
        }
        notices.push(Notice::Looked(owner, cast::now()));
        notices
    }

    fn page(&self, from: u64) -> Page {
        let rows = (0..self.number % 40).map(|_| vec![self.text.clone(); 3]).collect();
        let next = self.number.is_multiple_of(2).then(|| from.saturating_add(self.number % 40));
        Page { columns: vec!["name".into(), self.text.clone()], rows, from, next, total: next.map(|_| self.number) }
    }

    fn comparison(&self) -> Comparison {
        let text = || self.text.clone();
        let changes = [Change::Added, Change::Removed, Change::Changed { from: text(), to: text() }];
        let differences =
            changes.into_iter().map(|change| Difference { file: text(), entry: text(), change }).collect();
        Comparison { differences, counts: [1, 1, 1], alike: 7, notes: vec![text()] }
    }

    /// What comes back of an order.
    fn answer(&self, stage: &mut Stage, order: Order) -> Vec<Notice> {
        let one = match order {
            Order::Plan(job, wish) => Notice::Planned(job, Box::new(self.outcome(|| self.planned(&wish)))),
            Order::LookAhead(job, ..) => {
                let ahead = || {
                    let mut ahead =
                        if self.number.is_multiple_of(2) { jobs_runs::beside() } else { jobs_runs::ahead(true) };
                    ahead.beside.insert(HostId::new("spare-1").unwrap(), vec![self.text.clone()]);
                    ahead
                };
                Notice::Ahead(job, Box::new(self.outcome(ahead)))
            }
            Order::Do(job, Wish::Verify(copies), _) => {
                stage.notice(Notice::Started(job));
                for (place, id) in copies {
                    let checked = match self.number % 3 {
                        0 => Checked::IntactSealed,
                        1 => Checked::Broken { why: vec![self.text.clone()] },
                        _ => Checked::Verified { bytes: self.number, warnings: vec![self.text.clone(); 2] },
                    };
                    stage.notice(Notice::Checked(job, place, id, self.outcome(|| checked)));
                }
                Notice::Ended(job, self.outcome(|| None))
            }
            Order::Run(job, ..) | Order::Do(job, ..) => return self.run(stage, job),
            Order::Cancel(job) => Notice::Ended(job, Err(failure(&self.text))),
            Order::ReadVault => Notice::Vault(self.outcome(|| Arc::new(self.holdings()))),
            Order::Look(owners) => return owners.into_iter().flat_map(|owner| self.look(owner)).collect(),
            Order::ReadRuns => Notice::Runs(self.outcome(|| {
                let broken = Err(failure(&self.text));
                Arc::new(vec![(self.text.clone(), broken), (RUN.to_owned(), Ok(jobs_runs::interrupted().brief()))])
            })),
            Order::ReadRun(run) => Notice::Run(run, Box::new(self.outcome(jobs_runs::interrupted))),
            Order::ReadRunsOn(host) => Notice::RunsOn(host, self.outcome(|| vec![jobs_runs::interrupted()])),
            Order::ReadKept(host) => {
                let kept = Kept { run: RunId::new(RUN).unwrap(), paths: vec![self.text.clone(); 3] };
                Notice::Kept(host, self.outcome(|| vec![kept]))
            }
            Order::Discover(host) => {
                let found = cast::found("val-1", vec![cast::item("tree", &self.text, Standing::Ready)]);
                let found = vec![(self.text.clone(), Ok(found)), ("files".to_owned(), Err(failure(&self.text)))];
                Notice::Discovered(host, self.outcome(|| found))
            }
            Order::ReadSnapshot(item, id) => Notice::Snapshot(item, id, self.outcome(|| Box::new(SNAPSHOT.clone()))),
            Order::Shell(host) => Notice::Shell(host, Box::new(Err(failure(&self.text)))),
            Order::LookInside(peek) => {
                let from = if let Part::From(from) = peek.part { from } else { self.number };
                Notice::Inside(peek, self.outcome(|| self.page(from)))
            }
            Order::Diff(old, new) => {
                Notice::Compared(Box::new(Compared { old, new, found: self.outcome(|| self.comparison()) }))
            }
            Order::Reload => super::reload::reread(cast::FLEET, "/other"),
            Order::Practise(..) => Notice::Practised(Tone::Warn, self.text.clone()),
            Order::ReadPractice => Notice::Practice(Box::new(practice::view([true; 3]))),
            Order::Remember(_) => return Vec::new(),
        };
        vec![one]
    }

    fn holdings(&self) -> lifeboat::engine::holdings::Holdings {
        let mut holdings = if self.number.is_multiple_of(2) { cast::holdings() } else { wizard_cast::holdings() };
        for shelf in holdings.items.values_mut() {
            let mut copies = shelf.copies.to_vec();
            if let Some(first) = copies.first_mut() {
                first.size = ByteSize(self.number);
                first.against = vec![self.text.clone()];
                first.marks = vec![self.text.as_str().into()];
            }
            shelf.copies = copies.into();
        }
        holdings
    }
}

/// Does it and has the crew answer, some rounds far: an answer may make the console ask for more.
fn live(stage: &mut Stage, what: Happening, answers: &Answers, size: &mut (u16, u16)) {
    let Some(msg) = msg_of(stage, what, size) else { return };
    stage.asked.clear();
    let asked = stage.app.update(msg);
    stage.asked.extend(asked);
    for _ in 0..4 {
        for effect in std::mem::take(&mut stage.asked) {
            if let Effect::Order(order) = effect {
                for notice in answers.answer(stage, order) {
                    stage.notice(notice);
                }
            }
        }
    }
    let later = stage.app.model.now.saturating_add(jiff::SignedDuration::from_secs(1)).unwrap_or(cast::now());
    let asked = stage.app.update(Msg::Tick(later));
    stage.asked.extend(asked);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(64), max_shrink_iters: 1_000, ..ProptestConfig::default() })]
    #[test]
    fn full_pages_stand_whatever_happens_and_whoever_answers(
        from in 0..BEGINNINGS,
        happenings in prop::collection::vec((happening(), answers()), 1..50),
    ) {
        let mut stage = beginning(from);
        let mut size = (80, 24);
        assert_tame(&stage.draw(size))?;
        for (what, answers) in happenings {
            live(&mut stage, what, &answers, &mut size);
            assert_tame(&stage.draw(size))?;
        }
    }
}

#[test]
fn sizes_that_no_number_holds_together_are_shown_as_the_largest() {
    let answers = Answers { text: "as told".to_owned(), works: true, number: u64::MAX };
    let holdings = answers.holdings();
    let newest = |place: &str| (item(place), holdings.copies(&item(place))[0].id.clone());
    let copies = [wizard_cast::IDENTITY, wizard_cast::CHAINS].map(newest);
    let mut stage = wizard_cast::stage(wizard::verify(copies.to_vec()));
    stage.notice(Notice::Vault(Ok(Arc::new(holdings)))).keys("enter");
    let shown = stage.grid((80, 24));
    assert!(shown.contains(&format!("2 copies, {} in clear", ByteSize(u64::MAX))), "{shown}");
}

/// Whoever begins a wizard goes through all of it: pages that random keys seldom reach.
fn through() -> impl Strategy<Value = Vec<KeyPress>> {
    prop::collection::vec(
        prop_oneof![6 => Just(KeyPress::Enter), 1 => Just(KeyPress::Down), 1 => Just(KeyPress::Word), 1 => Just(KeyPress::Tab)],
        4..24,
    )
}

#[derive(Debug, Clone, Copy)]
enum KeyPress {
    Enter,
    Down,
    Tab,
    Word,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(32), max_shrink_iters: 1_000, ..ProptestConfig::default() })]
    #[test]
    fn wizards_stand_on_every_page_whatever_is_answered(
        which in 0..5usize,
        answers in answers(),
        keys in through(),
        size in (0u16..=200, 0u16..=60),
    ) {
        let mut stage = match which {
            0 => beginning(10),
            1 => beginning(11),
            2 => { let mut stage = cast::seen(); stage.keys("v"); stage }
            3 => { let mut stage = beginning(7); stage.keys("u"); stage }
            _ => { let mut stage = beginning(7); stage.keys("down enter"); stage }
        };
        for key in keys {
            // A page that has just come takes no keys for a moment.
            wizard_cast::wait(&mut stage, 1);
            match key {
                KeyPress::Enter => { stage.keys("enter"); }
                KeyPress::Down => { stage.keys("down"); }
                KeyPress::Tab => { stage.keys("tab"); }
                KeyPress::Word => {
                    let page = stage.grid((120, 40));
                    let word = page.split_once("Type ").and_then(|(_, rest)| Some(rest.split_once(" to go on:")?.0.to_owned()));
                    stage.text(&word.unwrap_or_default());
                }
            }
            for effect in std::mem::take(&mut stage.asked) {
                if let Effect::Order(order) = effect {
                    for notice in answers.answer(&mut stage, order) {
                        stage.notice(notice);
                    }
                }
            }
            assert_tame(&stage.draw(size))?;
            assert_tame(&stage.draw((80, 24)))?;
        }
    }
}

#[test]
fn every_beginning_is_another_page() {
    let pages: std::collections::BTreeSet<String> = (0..BEGINNINGS).map(|at| beginning(at).grid((120, 40))).collect();
    assert_eq!(pages.len(), BEGINNINGS);
}
