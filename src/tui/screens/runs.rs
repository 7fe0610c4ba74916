//! The runs of the vault, newest first.

use unicode_width::UnicodeWidthStr;

use crate::engine::phrases::{exit_phrase, title, utc};
use crate::engine::runs::Brief;
use crate::model::exit::{Exit, Failure};
use crate::model::ids::RunId;
use crate::model::plan::Command;
use crate::tui::action::{Action, Offer};
use crate::tui::filter::Filter;
use crate::tui::hit::Click;
use crate::tui::message::{Effect, Order};
use crate::tui::model::Model;
use crate::tui::palette;
use crate::tui::screen::{Canvas, Screen, cut_middle};
use crate::tui::screens::inside::render_failure;
use crate::tui::screens::node::NodesPage;
use crate::tui::screens::run::RunPage;
use crate::tui::theme::Role;
use crate::tui::widgets::lines::render_sentences;
use crate::tui::widgets::list::Cursor;
use crate::tui::widgets::panel::render_panel;
use crate::tui::widgets::sheet::{Row, Sign};

const PAGE: usize = 10;

/// Where the column of what was done begins, after sign and time.
const WHAT: u16 = 22;

/// The widest the column of endings grows; what was done needs the room more.
const WIDEST_END: u16 = 22;

/// How a run stands: a sign and a few words.
pub fn run_look(told: &Brief, model: &Model) -> (Sign, String) {
    if is_under_way(&told.run, model) {
        return (Sign::Now, "runs now".to_owned());
    }
    match told.ended {
        None => (Sign::Warn, "interrupted".to_owned()),
        Some(Exit::Done) if told.was_left => (Sign::Warn, "left as it was".to_owned()),
        Some(Exit::Done) => (Sign::Done, "done".to_owned()),
        Some(Exit::Cancelled) => (Sign::Warn, "cancelled".to_owned()),
        Some(Exit::Changed) => (Sign::Bad, "not as it was".to_owned()),
        Some(exit) => (Sign::Bad, format!("failed: {}", exit_phrase(exit))),
    }
}

/// Whether a job of this sitting is this run.
pub fn is_under_way(run: &RunId, model: &Model) -> bool {
    model.live_jobs().any(|job| job.events.first().is_some_and(|event| event.run == *run))
}

/// What a run did, as a title; a run that undoes another says so.
pub fn run_title(told: &Brief) -> String {
    told.undoes.as_ref().map_or_else(|| title(&told.command), |undone| format!("Undo run {undone}"))
}

/// The same where room is scarce: which copy was brought back is told on the run's own page.
fn short_title(told: &Brief) -> String {
    match (&told.command, &told.undoes) {
        (Command::Restore { item, to, .. }, None) => format!("Restore {item} to {to}"),
        _ => run_title(told),
    }
}

/// The page.
#[derive(Default)]
pub struct RunsPage {
    at: Cursor<String>,
    filter: Option<Filter>,
}

type Entry = (String, Result<Brief, Failure>);

fn name_of<'e>((name, _): &'e &Entry) -> &'e String {
    name
}

impl RunsPage {
    fn shown<'m>(&self, model: &'m Model) -> Vec<&'m Entry> {
        let Some(Ok(runs)) = &model.runs else { return Vec::new() };
        let text = |(name, told): &Entry| match told {
            Ok(told) => format!("{name} {} {}", run_title(told), run_look(told, model).1),
            Err(failure) => format!("{name} {}", failure.message),
        };
        let is_shown = |entry: &&Entry| self.filter.as_ref().is_none_or(|filter| filter.shows(&text(entry)));
        runs.iter().rev().filter(is_shown).collect()
    }
}

impl Screen for RunsPage {
    fn opened_by(&self) -> Option<Action> {
        Some(Action::Runs)
    }

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
        if self.at.move_by(action, &shown, PAGE, name_of) {
            return Vec::new();
        }
        let selected = self.at.row(&shown, name_of).and_then(|row| shown.get(row));
        match (action, selected) {
            (Action::Filter, _) => {
                vec![Effect::Ask(palette::filter(self.filter.as_ref().map_or("", Filter::text)))]
            }
            (Action::Refresh, _) => vec![Effect::Order(Order::ReadRuns)],
            (Action::Kept, _) => vec![Effect::Open(Box::new(NodesPage::default()))],
            (Action::Open, Some((_, Ok(told)))) => RunPage::open_of_vault(told.run.clone()),
            (Action::Open, Some((name, Err(failure)))) => {
                vec![Effect::Say(crate::tui::message::Tone::Bad, format!("{name}: {}", failure.message))]
            }
            _ => Vec::new(),
        }
    }

    fn clicked(&mut self, click: Click, model: &Model) -> Vec<Effect> {
        let shown = self.shown(model);
        click.row.into_iter().for_each(|row| self.at.select(row, &shown, name_of));
        Vec::new()
    }

    fn filter(&self) -> Option<&Filter> {
        self.filter.as_ref()
    }

    fn narrow(&mut self, filter: Filter) {
        self.filter = (!filter.is_empty()).then_some(filter);
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
        let key = model.key(Action::Kept);
        let none = format!("Every backup, restore and undo leaves one. {key} asks a node for runs that lie on it.");
        let again = model.shows_all_again();
        let empty = match &model.runs {
            None => Some(["The vault's runs are being read.", ""]),
            Some(Err(failure)) => return render_failure(failure, model, &mut inner),
            Some(Ok(runs)) if runs.is_empty() => Some(["No run is in this vault yet.", none.as_str()]),
            Some(Ok(_)) if shown.is_empty() => Some(["No run is called that.", again.as_str()]),
            Some(Ok(_)) => None,
        };
        if let Some([first, then]) = empty {
            render_sentences(&[(first, Role::Text), (then, Role::Muted)], &mut inner);
            return;
        }
        let width = inner.area.width;
        let ended = shown.iter().filter_map(|(_, told)| Some(run_look(told.as_ref().ok()?, model).1.width())).max();
        let ended = u16::try_from(ended.unwrap_or(0)).unwrap_or(u16::MAX).clamp(5, WIDEST_END);
        let what = width.saturating_sub(WHAT + ended + 4 + 8);
        inner.text(3, 0, "WHEN", Role::Heading);
        inner.text(WHAT, 0, "WHAT", Role::Heading);
        inner.text(WHAT + 2 + what, 0, "ENDED", Role::Heading);
        inner.right(width.saturating_sub(8), 0, 7, "RECEIPT", Role::Heading);
        let height = usize::from(inner.area.height.saturating_sub(1));
        let at = self.at.row(&shown, name_of);
        let top = self.at.top(&shown, height, name_of);
        for (y, (number, (name, told))) in (1..inner.area.height).zip(shown.iter().enumerate().skip(top)) {
            inner.mark_row(y, number);
            render_run(name, told, model, y, what, &mut inner);
            inner.mark_matches(y, self.filter.as_ref());
            if at == Some(number) {
                inner.paint_row(y, Role::Selection);
            }
        }
    }
}

fn render_run(name: &str, told: &Result<Brief, Failure>, model: &Model, y: u16, what: u16, canvas: &mut Canvas) {
    let (sign, ended, title, receipt) = match told {
        Ok(told) => {
            let (sign, ended) = run_look(told, model);
            (sign, ended, run_title(told), told.receipt)
        }
        Err(failure) => (Sign::Bad, "unreadable".to_owned(), format!("{name}: {}", failure.message), None),
    };
    let (role, glyph) = sign.look(&canvas.theme.glyphs);
    canvas.text(1, y, glyph, role);
    let at = told.as_ref().ok().and_then(|told| told.began);
    let when = at.map_or_else(|| "-".to_owned(), utc);
    canvas.text_within(3, y, 17, &when, Role::Muted);
    // What is done, and where to, stand at the two ends of a title; a failure's sentence begins with what matters.
    let room = usize::from(what);
    let title = match told {
        Ok(told) if title.width() > room => cut_middle(&short_title(told), room, canvas.theme.glyphs.cut),
        _ => title,
    };
    canvas.text_within(WHAT, y, what, &title, Role::Text);
    canvas.text_within(WHAT + 2 + what, y, canvas.area.width.saturating_sub(WHAT + what + 11), &ended, role);
    let receipt = receipt.map_or("none".to_owned(), |number| number.to_string());
    canvas.right(canvas.area.width.saturating_sub(8), y, 7, &receipt, Role::Muted);
}

/// A failure as a sheet: what failed, what to do next.
pub fn failure_rows(failure: &Failure) -> Vec<Row> {
    let mut rows = vec![Row::signed(Sign::Bad, failure.message.clone()).as_role(Role::StatusBad)];
    rows.extend(failure.state.iter().map(|state| Row::pair("now", state.clone())));
    rows.extend(failure.hints.iter().map(|hint| Row::pair("next", hint.clone())));
    rows
}
