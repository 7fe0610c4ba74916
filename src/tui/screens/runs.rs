//! The runs of the vault, newest first.

use crate::engine::phrases::{exit_phrase, title};
use crate::engine::runs::Told;
use crate::model::event::EventKind;
use crate::model::exit::{Exit, Failure};
use crate::model::ids::ConsoleId;
use crate::tui::action::{Action, Offer};
use crate::tui::filter::Filter;
use crate::tui::message::{Effect, Order};
use crate::tui::model::Model;
use crate::tui::palette;
use crate::tui::screen::{Canvas, Screen};
use crate::tui::screens::node::NodesPage;
use crate::tui::screens::run::RunPage;
use crate::tui::theme::Role;
use crate::tui::widgets::list::Selection;
use crate::tui::widgets::panel::render_panel;
use crate::tui::widgets::sheet::{Row, Sign, render_sheet};

const PAGE: usize = 10;

/// How a run stands: a sign and a few words.
pub fn run_look(told: &Told, model: &Model) -> (Sign, String) {
    if is_under_way(told, model) {
        return (Sign::Now, "runs now".to_owned());
    }
    match &told.ended {
        None => (Sign::Warn, "interrupted".to_owned()),
        Some((Exit::Done, _)) => (Sign::Done, "done".to_owned()),
        Some((Exit::Cancelled, _)) => (Sign::Warn, "cancelled".to_owned()),
        Some((Exit::Changed, _)) => (Sign::Bad, "not as it was".to_owned()),
        Some((exit, _)) => (Sign::Bad, format!("failed: {}", exit_phrase(*exit))),
    }
}

/// Whether a job of this sitting is this run.
pub fn is_under_way(told: &Told, model: &Model) -> bool {
    model.live_jobs().any(|job| job.events.first().is_some_and(|event| event.run == told.run))
}

/// The console that began the run or took it up last.
pub fn owner_of(told: &Told) -> Option<&ConsoleId> {
    told.events.iter().rev().find_map(|event| match &event.kind {
        EventKind::RunStarted { console, .. } | EventKind::RunAdopted { console, .. } => Some(console),
        _ => None,
    })
}

/// What a run did, as a title; a run that undoes another says so.
pub fn run_title(told: &Told) -> String {
    let undone = told.events.iter().find_map(|event| match &event.kind {
        EventKind::Undoes { undone, .. } => Some(undone),
        _ => None,
    });
    undone.map_or_else(|| title(&told.plan.command), |undone| format!("Undo run {undone}"))
}

/// The page.
#[derive(Default)]
pub struct RunsPage {
    at: Selection,
    filter: Option<Filter>,
}

type Entry<'m> = (&'m str, &'m Result<Told, Failure>);

impl RunsPage {
    fn shown<'m>(&self, model: &'m Model) -> Vec<Entry<'m>> {
        let Some(Ok(runs)) = &model.runs else { return Vec::new() };
        let text = |(name, told): &(String, Result<Told, Failure>)| match told {
            Ok(told) => format!("{name} {} {}", run_title(told), run_look(told, model).1),
            Err(failure) => format!("{name} {}", failure.message),
        };
        let is_shown = |entry: &&(String, Result<Told, Failure>)| {
            self.filter.as_ref().is_none_or(|filter| filter.shows(&text(entry)))
        };
        runs.iter().rev().filter(is_shown).map(|(name, told)| (name.as_str(), told)).collect()
    }
}

impl Screen for RunsPage {
    fn crumbs(&self, _model: &Model) -> Vec<String> {
        vec!["runs".to_owned()]
    }

    fn offers(&self, model: &Model) -> Vec<Offer> {
        let moves = [Action::Up, Action::Down, Action::PageUp, Action::PageDown, Action::First, Action::Last];
        let open = Offer::unless(Action::Open, self.shown(model).is_empty().then_some("there is no run"));
        let mut offers = vec![open, Offer::on(Action::Kept), Offer::on(Action::Refresh), Offer::on(Action::Filter)];
        offers.extend(moves.map(Offer::on));
        offers
    }

    fn act(&mut self, action: Action, model: &Model) -> Vec<Effect> {
        let shown = self.shown(model);
        if self.at.move_by(action, shown.len(), PAGE) {
            return Vec::new();
        }
        let selected = self.at.row(shown.len()).and_then(|row| shown.get(row));
        match (action, selected) {
            (Action::Filter, _) => {
                vec![Effect::Ask(palette::filter(self.filter.as_ref().map_or("", Filter::text)))]
            }
            (Action::Refresh, _) => vec![Effect::Order(Order::ReadRuns)],
            (Action::Kept, _) => vec![Effect::Open(Box::new(NodesPage::default()))],
            (Action::Open, Some((_, Ok(told)))) => {
                vec![Effect::Open(Box::new(RunPage::of_vault(told.run.clone())))]
            }
            (Action::Open, Some((name, Err(failure)))) => {
                vec![Effect::Say(crate::tui::message::Tone::Bad, format!("{name}: {}", failure.message))]
            }
            _ => Vec::new(),
        }
    }

    fn narrow(&mut self, filter: Filter) {
        self.filter = (!filter.is_empty()).then_some(filter);
    }

    fn filter(&self) -> Option<&Filter> {
        self.filter.as_ref()
    }

    /// ```text
    /// ┌ Runs ────────────────────────────────────────────────────────────────────────┐
    /// │   WHEN              WHAT                                    ENDED    RECEIPT │
    /// │ ✓ 2026-11-20 02:41Z Restore val-1/avalanchego/… to spare-1  done          12 │
    /// └──────────────────────────────────────────────────────────────────────────────┘
    /// ```
    fn view(&self, model: &Model, canvas: &mut Canvas) {
        let title = match &self.filter {
            Some(filter) => format!("Runs /{}", filter.text()),
            None => "Runs".to_owned(),
        };
        let shown = self.shown(model);
        let mut inner = render_panel(&title, true, canvas.area, canvas);
        let empty = match &model.runs {
            None => Some(vec![Row::signed(Sign::Now, "The vault's runs are being read.")]),
            Some(Err(failure)) => Some(failure_rows(failure)),
            Some(Ok(runs)) if runs.is_empty() => Some(vec![
                Row::say(Role::Text, "No run is in this vault yet."),
                Row::gap(),
                Row::say(
                    Role::Muted,
                    "Every back up, restore and undo leaves one. K asks a node for runs that lie on it.",
                ),
            ]),
            Some(Ok(_)) if shown.is_empty() => Some(vec![Row::say(Role::Text, "No run is called that.")]),
            Some(Ok(_)) => None,
        };
        if let Some(rows) = empty {
            render_sheet(&rows, 0, &mut inner);
            return;
        }
        let width = inner.area.width;
        let what = width.saturating_sub(21 + 24 + 9);
        inner.text(3, 0, "WHEN", Role::Heading);
        inner.text(21, 0, "WHAT", Role::Heading);
        inner.text(22 + what, 0, "ENDED", Role::Heading);
        inner.right(width.saturating_sub(9), 0, 8, "RECEIPT", Role::Heading);
        let height = usize::from(inner.area.height.saturating_sub(1));
        let top = self.at.top(shown.len(), height);
        for (y, (number, (name, told))) in (1..inner.area.height).zip(shown.iter().enumerate().skip(top)) {
            render_run(name, told, model, y, what, &mut inner);
            if self.at.row(shown.len()) == Some(number) {
                inner.paint_row(y, Role::Selection);
            }
        }
    }
}

fn render_run(name: &str, told: &Result<Told, Failure>, model: &Model, y: u16, what: u16, canvas: &mut Canvas) {
    let (sign, ended, title, receipt) = match told {
        Ok(told) => {
            let (sign, ended) = run_look(told, model);
            (sign, ended, run_title(told), told.receipt)
        }
        Err(failure) => (Sign::Bad, "unreadable".to_owned(), failure.message.clone(), None),
    };
    let (role, glyph) = sign.look(&canvas.theme.glyphs);
    canvas.text(1, y, glyph, role);
    let at = told.as_ref().ok().and_then(|told| told.events.first()).map(|event| event.at);
    let when = at.map_or_else(|| name.to_owned(), |at| at.strftime("%Y-%m-%d %H:%MZ").to_string());
    canvas.text_within(3, y, 17, &when, Role::Muted);
    canvas.text_within(21, y, what, &title, Role::Text);
    canvas.text_within(22 + what, y, 22, &ended, role);
    let receipt = receipt.map_or("none".to_owned(), |number| number.to_string());
    canvas.right(canvas.area.width.saturating_sub(9), y, 8, &receipt, Role::Muted);
}

/// A failure as a sheet: what failed, what to do next.
pub fn failure_rows(failure: &Failure) -> Vec<Row> {
    let mut rows = vec![Row::signed(Sign::Bad, failure.message.clone()).as_role(Role::StatusBad)];
    rows.extend(failure.state.iter().map(|state| Row::pair("now", state.clone())));
    rows.extend(failure.hints.iter().map(|hint| Row::pair("next", hint.clone())));
    rows
}
