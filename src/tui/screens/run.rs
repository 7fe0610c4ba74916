//! One run: what it was, its receipt, and its journal as a timeline.

use std::collections::BTreeMap;

use super::runs::{is_under_way, run_look, run_title};
use crate::engine::phrases::{choice_phrase, event_phrase, exit_phrase, step_phrase};
use crate::engine::runs::{Brief, Confirmed, Copied, Resume, Told};
use crate::model::event::EventKind;
use crate::model::exit::{Exit, Failure};
use crate::model::ids::{HostId, RunId, StepId};
use crate::model::units::Seconds;
use crate::tui::action::{Action, Offer};
use crate::tui::message::{Effect, Notice, Order};
use crate::tui::model::Model;
use crate::tui::screen::{Canvas, Screen};
use crate::tui::screens::inside::render_failure;
use crate::tui::screens::node::NodePage;
use crate::tui::theme::Role;
use crate::tui::widgets::panel::render_panel;
use crate::tui::widgets::scroll::Scroll;
use crate::tui::widgets::sheet::{Row, Sign, render_sheet};
use crate::tui::wizard;
use crate::tui::wizard::live::word_look;
use crate::tui::wizard::proof::verdict;
use jiff::Timestamp;

/// The page of a run of the vault, or of one that lies on a node.
pub struct RunPage {
    run: RunId,
    /// The node it lies on, unless it is one of the vault.
    on: Option<HostId>,
    told: Option<Box<Result<Told, Failure>>>,
    scroll: Scroll,
}

impl RunPage {
    /// Opens a run of the vault, and has it read.
    pub fn open_of_vault(run: RunId) -> Vec<Effect> {
        let page = Self { run, on: None, told: None, scroll: Scroll::default() };
        let read = page.read();
        vec![Effect::Open(Box::new(page)), read]
    }

    /// A run as a node told it.
    pub fn of_node(host: HostId, told: Told) -> Self {
        Self { run: told.run.clone(), on: Some(host), told: Some(Box::new(Ok(told))), scroll: Scroll::default() }
    }

    fn told(&self) -> Option<&Told> {
        self.told.as_ref()?.as_ref().as_ref().ok()
    }

    fn read(&self) -> Effect {
        Effect::Order(Order::ReadRun(self.run.clone()))
    }

    /// Whether it is another console's; a console that does not know itself yet has none.
    fn is_foreign(told: &Told, model: &Model) -> bool {
        model.console.as_ref().is_none_or(|this| !told.is_of(this))
    }

    fn take_up_offers(told: &Told, model: &Model) -> Vec<Offer> {
        let is_open = matches!(told.ended, None | Some((Exit::Changed, _)));
        let is_foreign = Self::is_foreign(told, model);
        let running = is_under_way(&told.run, model);
        let over = match (running, is_open) {
            (true, _) => Some("it runs as a job here"),
            (_, false) => Some("it has ended"),
            _ => None,
        };
        let undo = match (running, is_open) {
            (true, _) => Some("it runs as a job here: cancel that"),
            (false, false) if !matches!(told.ended, Some((Exit::Done, _))) => Some("it changed nothing that is left"),
            (false, false) if told.was_left() => Some("it was left as it was"),
            (false, false) if told.taken_up_to() == Some(Resume::RollBack) => Some("it was undone"),
            (false, false) if !told.plan.can_be_rolled_back() => Some("it kept nothing aside that could be put back"),
            (false, _) => None,
        };
        let resume = over.or(is_foreign.then_some("it is another console's: adopt it"));
        let adopt = over.or((!is_foreign).then_some("it is this console's own: resume it"));
        // To undo or leave another console's run is to adopt it, and the page says so.
        vec![
            Offer::unless(Action::Resume, resume),
            Offer::unless(Action::RollBack, undo),
            Offer::unless(Action::Leave, over),
            Offer::unless(Action::Adopt, adopt),
        ]
    }
}

impl Screen for RunPage {
    fn crumbs(&self, _model: &Model) -> Vec<String> {
        let on = self.on.as_ref().map(ToString::to_string);
        ["runs".to_owned()].into_iter().chain(on).chain([self.run.to_string()]).collect()
    }

    fn offers(&self, model: &Model) -> Vec<Offer> {
        let mut offers = self.told().map(|told| Self::take_up_offers(told, model)).unwrap_or_default();
        offers.push(Offer::on(Action::Kept));
        let moves = [Action::Up, Action::Down, Action::PageUp, Action::PageDown, Action::First, Action::Last];
        offers.extend([Action::Copy].into_iter().chain(moves).map(Offer::on));
        offers
    }

    fn act(&mut self, action: Action, model: &Model) -> Vec<Effect> {
        if self.scroll.move_by(action) {
            return Vec::new();
        }
        let Some(told) = self.told().cloned() else { return Vec::new() };
        let host = self.on.clone();
        let is_foreign = Self::is_foreign(&told, model);
        let page = match action {
            Action::Resume | Action::Adopt => wizard::resume(told, Resume::GoOn, host, is_foreign),
            Action::Leave => wizard::resume(told, Resume::Leave, host, is_foreign),
            Action::RollBack if matches!(told.ended, Some((Exit::Done, _))) => wizard::roll_back(told),
            Action::RollBack => wizard::resume(told, Resume::RollBack, host, is_foreign),
            Action::Kept => {
                let changed = told.plan.steps.iter().find(|step| step.effect != crate::model::plan::Effect::Read);
                let host = changed.or(told.plan.steps.first()).map(|step| step.host.clone());
                return host.map(|host| Effect::Open(Box::new(NodePage::of(host)))).into_iter().collect();
            }
            Action::Copy => return vec![Effect::Copy(self.run.to_string())],
            _ => return Vec::new(),
        };
        vec![Effect::Open(page)]
    }

    fn noticed(&mut self, notice: &Notice, _model: &Model) -> Vec<Effect> {
        match notice {
            Notice::Run(run, told) if *run == self.run && self.on.is_none() => self.told = Some(told.clone()),
            // It may have ended, or have been taken up.
            Notice::Runs(Ok(_)) if self.on.is_none() => return vec![self.read()],
            _ => {}
        }
        Vec::new()
    }

    /// ```text
    /// ┌ Restore val-1/avalanchego/staking-identity@… to spare-1 ───────────────────┐
    /// │ ✓ run        20261120T024100Z-7f3a9c                                       │
    /// │   by         console-1, epoch 1                                            │
    /// │ ● receipt    12, signature and hashes hold                                 │
    /// │                                                                            │
    /// │ 02:41:07Z  began  1/8 spare-1: Check that the node can take it             │
    /// └────────────────────────────────────────────────────────────────────────────┘
    /// ```
    fn view(&self, model: &Model, canvas: &mut Canvas) {
        let told = match self.told.as_deref() {
            Some(Ok(told)) => told,
            Some(Err(failure)) => {
                return render_failure(failure, model, &mut render_panel("Run", true, canvas.area, canvas));
            }
            None => {
                let mut inner = render_panel("Run", true, canvas.area, canvas);
                inner.text(1, 0, "This run is being read.", Role::Muted);
                return;
            }
        };
        let hidden = {
            let brief = told.brief();
            let mut inner = render_panel(&run_title(&brief), true, canvas.area, canvas);
            let mut rows = head(told, &brief, model, self.on.as_ref());
            rows.push(Row::gap());
            rows.push(Row::heading("What happened"));
            rows.extend(timeline(told));
            render_sheet(&rows, &self.scroll, &mut inner)
        };
        hidden.render(canvas);
    }
}

fn labelled(sign: Sign, label: &str, text: impl Into<String>) -> Row {
    Row::signed(sign, text).cell(label, 9, Role::Muted)
}

fn plain(label: &str, text: impl Into<String>) -> Row {
    Row::say(Role::Text, text).set_in(2).cell(label, 9, Role::Muted)
}

fn head(told: &Told, brief: &Brief, model: &Model, on: Option<&HostId>) -> Vec<Row> {
    let (sign, ended) = run_look(brief, model);
    let mut rows = vec![labelled(sign, "run", format!("{}: {ended}", told.run))];
    rows.extend(on.map(|host| plain("lies on", format!("{host}; this vault may not know it"))));
    if let Some((owner, epoch)) = told.owner() {
        let whose = if model.console.as_ref() == Some(&owner) { ", this console" } else { "" };
        rows.push(plain("by", format!("{owner}{whose}, epoch {epoch}")));
    }
    if let Some((from, to)) = told.events.first().zip(told.events.last()) {
        let seconds = to.at.duration_since(from.at).as_secs();
        let took = Seconds(u64::try_from(seconds).unwrap_or(0));
        rows.push(plain("when", format!("{}, for {took}", from.at.strftime("%Y-%m-%d %H:%M:%SZ"))));
    }
    let hash = told.events.iter().find_map(|event| match &event.kind {
        EventKind::RunStarted { plan_hash, .. } => Some(plan_hash.clone()),
        _ => None,
    });
    rows.extend(hash.map(|hash| plain("plan", hash).as_role(Role::Muted)));
    rows.push(receipt(told, model));
    rows.extend(copies(told, model));
    rows.extend(account(told));
    if let Some((_, Some(failure))) = &told.ended {
        rows.push(labelled(Sign::Bad, "failed", failure.message.clone()));
        rows.extend(failure.state.iter().map(|state| plain("left", state.clone())));
        rows.extend(failure.hints.iter().map(|hint| plain("next", hint.clone())));
    }
    rows
}

/// The copy the run made or brought back, and what speaks against it now: a receipt of a copy that turned out suspect
/// must not look like one of a good copy.
///
/// ```text
/// ✗ copy      20261120T005000Z-7f3a, suspect: shrank from 9 KiB to 1 KiB
///   mark      taken while it was written to
/// ```
fn copies(told: &Told, model: &Model) -> Vec<Row> {
    let mut rows = Vec::new();
    for Copied { place, id, made, marks } in told.copies() {
        match verdict(model, &place, &id) {
            Some((sign, why)) => {
                let role = if sign == Sign::Bad { Role::StatusBad } else { Role::StatusWarn };
                rows.push(labelled(sign, "copy", format!("{id}, {why}")).as_role(role));
            }
            None if made => rows.push(plain("copy", id.to_string())),
            // The page's title names it already.
            None => {}
        }
        rows.extend(marks.iter().map(|mark| plain("mark", mark.to_string()).as_role(Role::StatusWarn)));
    }
    rows
}

/// What was stated and chosen for the run, and what it left aside.
///
/// ```text
///   stated    val-1  at console-00aa: val-1 could not be reached …
///   choice    the guard waits 60 s for the console (guard=60, by default)
/// ▲ aside     on spare-1: /home/…/.staking.lifeboat-RUN.kept
/// ```
fn account(told: &Told) -> Vec<Row> {
    let account = told.account();
    let mut rows = Vec::new();
    for Confirmed { console, gate, word, question, .. } in &account.confirmed {
        let question = question.as_ref().map_or(String::new(), |question| format!(": {question}"));
        rows.push(plain("stated", format!("'{word}' for {gate}, at {console}{question}")));
    }
    rows.extend(account.choices.iter().map(|chosen| plain("choice", choice_phrase(chosen)).as_role(Role::Muted)));
    let kept = account.kept.iter().flat_map(|(host, paths)| paths.iter().map(move |path| (host, path)));
    rows.extend(kept.map(|(host, path)| {
        let text = format!("on {host}: {path}");
        if told.was_left() { labelled(Sign::Warn, "aside", text) } else { plain("aside", text) }
    }));
    if !account.kept.is_empty() {
        rows.push(plain("", "What still lies there the nodes tell: lifeboat kept").as_role(Role::Muted));
    }
    rows
}

/// The receipt and whether the chain of receipts holds where it stands.
fn receipt(told: &Told, model: &Model) -> Row {
    let Some(number) = told.receipt else {
        return labelled(Sign::Unknown, "receipt", "none: the run did not end here");
    };
    match &model.receipts {
        None => labelled(Sign::Now, "receipt", format!("{number}, being checked")),
        Some(Err(failure)) => labelled(Sign::Warn, "receipt", format!("{number}, not checked: {}", failure.message)),
        Some(Ok(chain)) => {
            let finding = chain.findings.iter().find(|finding| finding.to_string().contains(told.run.as_str()));
            let holds = chain.receipts.iter().any(|receipt| receipt.run == told.run);
            match (finding, holds) {
                (Some(finding), _) => labelled(Sign::Bad, "receipt", format!("{number}, broken: {finding}")),
                (None, true) => labelled(Sign::Ok, "receipt", format!("{number}, signature, hashes and chain hold")),
                // It ended after what was checked last.
                (None, false) if model.are_receipts_older => {
                    labelled(Sign::Now, "receipt", format!("{number}, being checked"))
                }
                (None, false) => labelled(Sign::Bad, "receipt", format!("{number}, not in the chain of receipts")),
            }
        }
    }
}

/// Every event with its time; a finished step says how long it took.
fn timeline(told: &Told) -> Vec<Row> {
    let mut began: BTreeMap<&StepId, Timestamp> = BTreeMap::new();
    let mut rows = Vec::new();
    for event in &told.events {
        let (word, text) = match &event.kind {
            EventKind::StepStarted { step, .. } => {
                began.insert(step, event.at);
                ("began", step_phrase(Some(&told.plan), step))
            }
            EventKind::StepFinished { step, .. } => {
                let seconds = began.get(step).map_or(0, |at| event.at.duration_since(*at).as_secs());
                let took = Seconds(u64::try_from(seconds).unwrap_or(0));
                ("done", format!("{} ({took})", step_phrase(Some(&told.plan), step)))
            }
            EventKind::GuardDisarmed { guard } => ("disarmed", format!("guard {guard}")),
            EventKind::RunFinished { exit, .. } => ("ended", exit_phrase(*exit).to_owned()),
            _ => match event_phrase(event, Some(&told.plan)) {
                Some(said) => said,
                None => continue,
            },
        };
        let (word, role) = word_look(word);
        let at = event.at.strftime("%H:%M:%SZ").to_string();
        rows.push(Row::say(Role::Text, text).cell(at, 9, Role::Muted).cell(word, 10, role));
    }
    rows
}
