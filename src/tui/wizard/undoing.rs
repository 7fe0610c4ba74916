//! What an undoing, a going on and a leaving do, as sheets: the engine's own lines, drawn.

use super::checks::check;
use super::preview::{EFFECT, effect_look};
use super::take_up::TakeUp;
use crate::engine::runs::{Ahead, Line, Place, Resume, Sheet, StepLine, StepStage, written_phrase};
use crate::tui::message::Wish;
use crate::tui::theme::Role;
use crate::tui::widgets::sheet::{Row, Sign};

/// What was written into a place since the run, as a check.
pub fn written(place: &Place) -> Row {
    check(if place.is_written() { Sign::Warn } else { Sign::Ok }, "written", written_phrase(place))
}

/// ```text
///  what        What the run did is undone, newest step first.
///  where       on spare-1
///  stops       avalanchego.service, from step 5 back to step 3; in the run it was down for 9s.
///  comes back  what the run kept aside at 2026-11-19 18:00Z
///  goes aside  what stands there now, beside it; RUN is the id this undo gets
///  written     3 files, 12.0 KiB, written into … since the run, the last at 2026-11-20 02:41Z.
///  undo        none …
///
///   5 spare-1  undo     Stops avalanchego.service again.
/// ```
pub fn rows(run: &TakeUp, ahead: Option<&Ahead>) -> Vec<Row> {
    let sheet = run.sheet(ahead);
    let mut rows: Vec<Row> = sheet.lines.iter().map(pair).collect();
    rows.push(Row::gap());
    if sheet.steps.is_empty() {
        return rows;
    }
    rows.extend(
        sheet.steps.iter().flat_map(|step| if sheet.tells_stages { vec![as_it_is(step)] } else { undone(step) }),
    );
    rows.push(Row::gap());
    rows.extend(sheet.after.iter().map(pair));
    rows
}

impl TakeUp {
    fn sheet(&self, ahead: Option<&Ahead>) -> Sheet {
        match &self.wish {
            Wish::RollBack(_) => Sheet::of_rollback(&self.told, ahead),
            Wish::Resume(_, how, _) => Sheet::of_resume(&self.told, *how, ahead),
            _ => Sheet::of_resume(&self.told, Resume::GoOn, ahead),
        }
    }
}

fn pair(line: &Line) -> Row {
    let row = Row::pair(line.label, line.text.clone());
    if line.is_warning { row.as_role(Role::StatusWarn) } else { row }
}

/// A step on its way back, a row a sentence.
fn undone(step: &StepLine) -> Vec<Row> {
    let row = |(at, text): (usize, &String)| {
        let (place, host, word) = match at {
            0 => (format!("{:>2}", step.number), step.host.to_string(), "undo"),
            _ => (String::new(), String::new(), ""),
        };
        let row = Row::say(Role::Text, text.clone()).cell(place, 2, Role::Muted);
        row.cell(host, 12, Role::Text).cell(word, 8, Role::EffectQuiesce)
    };
    step.told.iter().enumerate().map(row).collect()
}

fn as_it_is(step: &StepLine) -> Row {
    let sign = match step.stage {
        StepStage::Done | StepStage::Already => Sign::Done,
        StepStage::Now => Sign::Now,
        StepStage::Failed | StepStage::NotUndone => Sign::Bad,
        StepStage::Undone => Sign::Warn,
        StepStage::Next => Sign::Next,
    };
    let (word, role) = effect_look(step.effect);
    Row::signed(sign, step.told.join(" "))
        .cell(format!("{:>2}", step.number), 2, Role::Muted)
        .cell(step.host.to_string(), 12, Role::Text)
        .cell(word, EFFECT, role)
}
