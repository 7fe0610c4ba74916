//! The guided exercise of the practice fleet: what to do, why, which key does it, and what is done already, measured.

use crate::engine::practice::{Check, Deed, ExerciseStep};
use crate::tui::action::{Action, Offer};
use crate::tui::message::{Effect, Notice, Order};
use crate::tui::model::Model;
use crate::tui::screen::{Canvas, Screen};
use crate::tui::theme::Role;
use crate::tui::widgets::panel::render_panel;
use crate::tui::widgets::scroll::Scroll;
use crate::tui::widgets::sheet::{LABEL, Row, Sign, render_sheet};
use crate::tui::wizard::command::command_of;

/// The page.
#[derive(Default)]
pub struct ExercisePage {
    scroll: Scroll,
}

const MOVES: [Action; 6] = [Action::Up, Action::Down, Action::PageUp, Action::PageDown, Action::First, Action::Last];

/// Which steps are done. One that nothing but its own ending shows counts as done once a later one is.
pub fn done_steps(steps: &[ExerciseStep], measured: &[bool]) -> Vec<bool> {
    let last = (0..steps.len()).rev().find(|&at| measured.get(at) == Some(&true) && steps[at].check != Check::Ended);
    (0..steps.len()).map(|at| last.is_some_and(|last| at <= last)).collect()
}

/// How a step is done: by keys here, and the one that is next, where it is a command, from a shell too. That line carries
/// the practice fleet with it: copied into another terminal it must never mean the operator's own hosts.
fn ways(step: &ExerciseStep, is_next: bool, model: &Model) -> Vec<Row> {
    let here = keys_of(&step.key, model);
    match &step.deed {
        Deed::Break(_, fault) => vec![Row::pair("here", format!("{here}, then {fault}")).set_in(4)],
        Deed::Command(_) if !is_next => vec![Row::pair("here", here).set_in(4)],
        Deed::Command(words) => {
            let newest = model.runs.as_ref().and_then(|runs| runs.as_ref().ok()?.last().map(|(name, _)| name.clone()));
            // Without a run of this sitting the list of all runs names it.
            let word = |word: &String| if word == "{run}" { newest.clone() } else { Some(word.clone()) };
            let words: Vec<String> = words.iter().filter_map(word).collect();
            let line = Row::command(command_of(&model.place, &words)).set_in(2);
            vec![Row::pair("here", here).set_in(4), line.cell("in a shell", LABEL, Role::Muted)]
        }
    }
}

/// What is pressed, with the keys in force: an action stands in it by its name, in braces.
fn keys_of(told: &str, model: &Model) -> String {
    let mut parts = told.split('{');
    let begin = parts.next().unwrap_or_default().to_owned();
    parts.fold(begin, |line, part| match part.split_once('}').map(|(name, rest)| (Action::named(name), rest)) {
        Some((Some(action), rest)) => line + &model.key(action) + rest,
        _ => line + part,
    })
}

impl ExercisePage {
    fn rows(model: &Model) -> Vec<Row> {
        let Some(practice) = &model.practice else {
            return vec![Row::say(Role::Muted, "The exercise is read …")];
        };
        let exercise = &practice.exercise;
        let done = done_steps(&exercise.steps, &practice.done);
        let now = done.iter().position(|done| !done);
        let mut rows = vec![Row::heading(&exercise.title), Row::gap()];
        // Once it has begun, the room is for what is next.
        if now == Some(0) {
            rows.extend([Row::say(Role::Text, &exercise.scene), Row::gap()]);
        }
        // Steps that nothing but their ending shows are told together with the next one that can be measured.
        let is_seen = |step: &ExerciseStep| step.check != Check::Ended;
        let until = now.map(|now| now + exercise.steps.iter().skip(now).position(is_seen).unwrap_or(0));
        for (at, step) in exercise.steps.iter().enumerate() {
            let sign = match now {
                Some(now) if at == now => Sign::Now,
                Some(now) if at > now => Sign::Next,
                _ => Sign::Done,
            };
            rows.push(Row::signed(sign, format!("{} {}", at + 1, step.title)));
            if now.is_some_and(|now| at >= now) && until.is_some_and(|until| at <= until) {
                rows.push(Row::say(Role::Muted, &step.why).set_in(4));
                rows.extend(ways(step, now == Some(at), model));
                rows.push(Row::gap());
            }
        }
        if now.is_none() {
            rows.extend([Row::gap(), Row::say(Role::StatusOk, &exercise.moral)]);
        }
        rows
    }
}

impl Screen for ExercisePage {
    fn opened_by(&self) -> Option<Action> {
        Some(Action::Exercise)
    }

    fn crumbs(&self, _model: &Model) -> Vec<String> {
        vec!["exercise".to_owned()]
    }

    fn offers(&self, _model: &Model) -> Vec<Offer> {
        [Action::Refresh].into_iter().chain(MOVES).map(Offer::on).collect()
    }

    fn act(&mut self, action: Action, _model: &Model) -> Vec<Effect> {
        if action == Action::Refresh {
            return vec![Effect::Order(Order::ReadPractice)];
        }
        self.scroll.move_by(action);
        Vec::new()
    }

    fn noticed(&mut self, notice: &Notice, _model: &Model) -> Vec<Effect> {
        // What a job or a fault changed may have done a step.
        match notice {
            Notice::Ended(..) => vec![Effect::Order(Order::ReadPractice)],
            _ => Vec::new(),
        }
    }

    /// ```text
    /// ┌ Exercise ────────────────────────────────────────────────────┐
    /// │ val-1 is gone: bring it back on spare-1                      │
    /// │                                                              │
    /// │ ✓ 1 See what could be brought back                           │
    /// │ ◐ 2 Lose val-1                                               │
    /// │     The machine is gone with everything on it.               │
    /// │     here           P on val-1, then lose-node                │
    /// │ ○ 3 Look at it                                               │
    /// └──────────────────────────────────────────────────────────────┘
    /// ```
    fn view(&self, model: &Model, canvas: &mut Canvas) {
        let mut inner = render_panel("Exercise", true, canvas.area, canvas);
        let rows = Self::rows(model);
        let hidden = render_sheet(&rows, &self.scroll, &mut inner);
        hidden.render(canvas);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::practice::{Fault, Shows};
    use crate::model::exit::Exit;
    use crate::model::ids::HostId;

    #[test]
    fn a_step_nothing_else_shows_is_done_once_a_later_one_is() {
        let step = |check| ExerciseStep {
            title: String::new(),
            why: String::new(),
            key: String::new(),
            deed: Deed::Command(Vec::new()),
            shows: Shows::All,
            check,
            ends: (Exit::Done, String::new()),
        };
        let in_force = || Check::InForce(HostId::new("val-1").unwrap(), Fault::LoseNode);
        let steps = [step(in_force()), step(Check::Ended), step(in_force()), step(Check::Ended)];
        assert_eq!(done_steps(&steps, &[false, true, false, true]), [false; 4]);
        assert_eq!(done_steps(&steps, &[true, true, false, true]), [true, false, false, false]);
        assert_eq!(done_steps(&steps, &[true, true, true, true]), [true, true, true, false]);
    }
}
