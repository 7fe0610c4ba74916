//! `restore` and `rollback`.

use serde_json::json;

use super::app::App;
use super::args::{Planning, Restore, pairs};
use super::plans::{Answers, answer_all, answer_gates, check_hash, follow, render_gates, render_plan, render_sheet};
use super::stored::snapshot_named;
use crate::engine::canonical::plan_hash;
use crate::engine::capture::vault_failure;
use crate::engine::desk::Store;
use crate::engine::links::Links;
use crate::engine::phrases::undo_of;
use crate::engine::planner::Planned;
use crate::engine::rollback;
use crate::engine::runs::Sheet;
use crate::model::exit::{Exit, Failure, NOTHING_CHANGED, Result};
use crate::model::ids::HostId;
use crate::model::plan::Effect;
use crate::vault::Snapshot;

/// One restore of a call.
struct Wish<'a> {
    /// The snapshot as it was named.
    named: &'a str,
    /// The snapshot.
    snapshot: Snapshot,
    /// Its plan as it was shown; none when it can only be made once what comes before it is there.
    planned: Option<Planned>,
    /// What was stated for it before the first change.
    stated: Answers,
}

/// What a call works with.
struct Call<'a> {
    app: &'a App,
    store: &'a Store,
    links: &'a Links<'a>,
    to: HostId,
    planning: &'a Planning,
}

/// Restores snapshots in the order given: everything is planned and every gate answered before the first change, and the
/// first that fails ends the command.
pub fn run_restore(app: &mut App, restore: &Restore) -> Result<Exit> {
    if !restore.planning.plan {
        app.may_change()?;
    }
    if restore.planning.plan_hash.is_some() && restore.snapshots.len() > 1 {
        let message = format!("--plan-hash names one plan, and {} snapshots are named.", restore.snapshots.len());
        return Err(Failure::new(Exit::Usage, message).hint("Restore them one by one."));
    }
    let store = app.store()?;
    let to = HostId::new(restore.to.clone()).map_err(|e| Failure::new(Exit::Usage, e.to_string()))?;
    let links = app.desk.links();
    let call = Call { app, store: &store, links: &links, to, planning: &restore.planning };
    let mut wishes = restore.snapshots.iter().map(|named| call.choose(named)).collect::<Result<Vec<_>>>()?;
    call.plan_all(&mut wishes)?;
    if restore.planning.plan {
        return Ok(Exit::Done);
    }
    call.ask_all(&mut wishes)?;
    for (at, wish) in wishes.iter().enumerate() {
        call.carry_out(wish, at > 0).map_err(|failure| among(&wishes, at, failure))?;
    }
    Ok(Exit::Done)
}

impl Call<'_> {
    /// The snapshot a word means.
    fn choose<'w>(&self, named: &'w str) -> Result<Wish<'w>> {
        let selected = snapshot_named(self.app, &self.store.vault, named)?;
        for passed in &selected.passed_over {
            self.app.out.aside(format!("passed over: {passed}"));
        }
        let snapshot = selected.snapshot;
        if !self.planning.plan {
            // A key that does not open it must be known before anything is stopped.
            self.store.vault.openable(&snapshot, &self.store.keys).map_err(|e| vault_failure(&e))?;
        }
        Ok(Wish { named, snapshot, planned: None, stated: Answers::new() })
    }

    fn plan(&self, snapshot: &Snapshot) -> Result<Planned> {
        let (prober, set) = (self.app.desk.prober(self.links), pairs(&self.planning.set));
        prober.plan_restore(&self.store.vault, snapshot.manifest(), &self.to, &set)
    }

    /// Plans and shows all. What a later one lacks may be what an earlier one brings; that one is planned in its turn.
    fn plan_all(&self, wishes: &mut [Wish]) -> Result<()> {
        for (at, wish) in wishes.iter_mut().enumerate() {
            match self.plan(&wish.snapshot) {
                Ok(planned) => {
                    render_plan(self.app, &planned);
                    wish.planned = Some(planned);
                }
                Err(failure) if at > 0 && failure.exit == Exit::Failed => {
                    let told = json!({"snapshot": wish.named, "why": failure});
                    self.app.out.document("planned-later", &told);
                    self.app.out.line(format!("{} is planned when it is its turn: {}", wish.named, failure.message));
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }

    fn ask_all(&self, wishes: &mut [Wish]) -> Result<()> {
        let planned: Vec<&Planned> = wishes.iter().filter_map(|wish| wish.planned.as_ref()).collect();
        let mut answers = answer_gates(self.app, &planned, self.planning)?.into_iter();
        for wish in wishes.iter_mut().filter(|wish| wish.planned.is_some()) {
            wish.stated = answers.next().unwrap_or_default();
        }
        Ok(())
    }

    /// Runs one. What was restored before it may have changed what its plan rests on, so that one is made again, and
    /// shown where it is another.
    fn carry_out(&self, wish: &Wish, is_later: bool) -> Result<()> {
        let mut stated = wish.stated.clone();
        let again = if is_later { Some(self.plan(&wish.snapshot)?) } else { None };
        let planned = match (again, &wish.planned) {
            (Some(again), Some(shown)) if again.hash == shown.hash => again,
            (Some(again), _) => {
                render_plan(self.app, &again);
                let given: Answers = pairs(&self.planning.confirm).into_iter().chain(stated).collect();
                let answered = answer_all(self.app, &[(String::new(), &again.plan.gates)], &given);
                stated = answered.map_err(asked_late)?.pop().unwrap_or_default();
                again
            }
            (None, Some(shown)) => shown.clone(),
            (None, None) => self.plan(&wish.snapshot)?,
        };
        let runs = self.app.runs(self.store, self.links);
        let work = || runs.run(&planned, Some(wish.snapshot.clone()), &stated);
        let report = follow(self.app, &runs.board, &planned.plan, work)?;
        let out = &self.app.out;
        out.document("restored", &json!({"to": self.to, "report": report}));
        let worth = match report.why_unproved() {
            _ if report.is_proven(&planned.plan) => "restored and proven".to_owned(),
            Some(why) => format!("restored; nothing proved it, for {why}"),
            None => "restored; nothing proved it".to_owned(),
        };
        out.line(format!("{worth}: {} on {}, run {}, receipt {}", wish.named, self.to, report.run, report.receipt));
        for left in &planned.plan.leaves {
            out.line(format!("  {}", left.as_str().replace("{run}", report.run.as_str())));
        }
        if planned.plan.can_be_rolled_back() {
            out.line(format!("  undo it: lifeboat rollback {}", report.run));
        }
        Ok(())
    }
}

/// The failure at a question that could only be asked once something had been restored: "nothing was changed" is not so.
fn asked_late(failure: Failure) -> Failure {
    let message = match failure.exit {
        Exit::Cancelled => "cancelled at a question; it was not begun.",
        _ => "it was not begun, for a question must be answered first.",
    };
    Failure { message: message.to_owned(), state: None, ..failure }
}

/// The failure of the restore at `at` among several: those before it stay restored, and those after it were not begun.
fn among(wishes: &[Wish], at: usize, failure: Failure) -> Failure {
    let names = |wishes: &[Wish]| wishes.iter().map(|wish| wish.named).collect::<Vec<_>>().join(", ");
    let (done, rest) = (wishes.get(..at).unwrap_or_default(), wishes.get(at + 1..).unwrap_or_default());
    if done.is_empty() && rest.is_empty() {
        return failure;
    }
    let exit = Exit::of_all(done.iter().map(|_| Exit::Done).chain([failure.exit]));
    let failed = wishes.get(at).map_or("", |wish| wish.named);
    let message = format!("{failed}: {}", failure.message);
    // Of this one nothing was changed; of those before it that is not so.
    let is_so = |state: &&String| done.is_empty() || *state != NOTHING_CHANGED;
    let mut state: Vec<String> = failure.state.iter().filter(is_so).cloned().collect();
    if !done.is_empty() {
        state.push(format!("Restored before it, and left so: {}.", names(done)));
    }
    if !rest.is_empty() {
        state.push(format!("Not begun: {}.", names(rest)));
    }
    Failure { exit, message, ..failure }.state(state.join(" "))
}

/// Undoes a finished run from what it kept aside.
pub fn run_rollback(app: &mut App, run: &str, planning: &Planning) -> Result<Exit> {
    if !planning.plan {
        app.may_change()?;
    }
    if let Some((key, _)) = planning.set.first() {
        return Err(Failure::new(Exit::Usage, format!("A rollback has no choice '{key}'."))
            .hint("It undoes what the run did, with the choices the run was made with: lifeboat runs RUN."));
    }
    let store = app.store()?;
    let links = app.desk.links();
    let runs = app.runs(&store, &links);
    let told = runs.find(run)?;
    // Whether it can be undone, and whether what was there before runs elsewhere by now, is known before anybody is asked.
    let ahead = runs.look_before_rollback(&told)?;
    let (plan, sheet) = (rollback::plan_of(&told)?, Sheet::of_rollback(&told, Some(&ahead)));
    let hash = plan_hash(&plan)?;
    let document = json!({"undoes": told.run, "plan": plan, "hash": hash, "gates": ahead.gates, "told": sheet});
    app.out.document("plan", &document);
    render_sheet(app, &format!("Undo run {}", told.run), &sheet);
    render_gates(app, &ahead.gates);
    app.out.line(format!("  plan {hash}"));
    if planning.plan {
        return Ok(Exit::Done);
    }
    check_hash(&hash, planning.plan_hash.as_deref())?;
    let given = pairs(&planning.confirm);
    let confirmed = answer_all(app, &[(String::new(), &ahead.gates)], &given)?.pop().unwrap_or_default();
    let report = follow(app, &runs.board, &told.plan, || runs.rollback(&told, &confirmed))?;
    app.out.document("rolled-back", &json!({"undone": told.run, "report": report}));
    app.out.line(format!("rolled back: run {}, receipt {}", told.run, report.receipt));
    for fence in told.plan.steps.iter().filter(|step| step.effect == Effect::Fence) {
        let undo = undo_of(fence).unwrap_or_default();
        app.out.line(format!("  '{}' stays, so that one identity runs once. {undo}", fence.title));
    }
    Ok(Exit::Done)
}
