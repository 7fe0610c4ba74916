//! The jobs of this sitting, and one of them alone.

use ratatui::layout::Rect;

use crate::tui::action::{Action, Offer};
use crate::tui::filter::Filter;
use crate::tui::hit::Click;
use crate::tui::message::{Effect, Order};
use crate::tui::model::{Job, JobId, Model, Stage};
use crate::tui::palette;
use crate::tui::screen::{Canvas, Screen};
use crate::tui::theme::Role;
use crate::tui::widgets::lines::render_sentences;
use crate::tui::widgets::list::Cursor;
use crate::tui::widgets::panel::{Hidden, render_panel};
use crate::tui::widgets::scroll::Scroll;
use crate::tui::widgets::sheet::{Row, lines_of, render_sheet};
use crate::tui::widgets::throughput::render_throughput;
use crate::tui::wizard::live::{cancel_offer, log_lines, render_job, render_job_line, word_look};
use crate::tui::wizard::{again, proof};

const PAGE: usize = 10;

/// From this height on a job's page has room for its chart.
const CHART_FROM: u16 = 19;

/// Whether the job was more than a plan.
fn was_begun(job: &Job) -> bool {
    job.is_live() || job.started.is_some() || job.ended.is_some()
}

fn retry_offer(job: Option<&Job>) -> Offer {
    match job {
        Some(job) if !matches!(job.stage, Stage::Failed(_)) => Offer::off(Action::Retry, "it did not end badly"),
        Some(job) if again(&job.wish).is_none() => Offer::off(Action::Retry, "it is taken up from its run"),
        Some(_) => Offer::on(Action::Retry),
        None => Offer::off(Action::Retry, "nothing is selected"),
    }
}

/// What a job is told apart by.
pub(super) fn id_of<'j>(job: &'j &Job) -> &'j JobId {
    &job.id
}

/// Every job, newest first, and the selected one beneath.
#[derive(Default)]
pub struct JobsPage {
    at: Cursor<JobId>,
    filter: Option<Filter>,
}

impl JobsPage {
    fn shown<'m>(&self, model: &'m Model) -> Vec<&'m Job> {
        let is_shown = |job: &&Job| self.filter.as_ref().is_none_or(|filter| filter.shows(&job.wish.title()));
        model.jobs.iter().rev().filter(|job| was_begun(job)).filter(is_shown).collect()
    }

    fn selected<'m>(&self, model: &'m Model) -> Option<&'m Job> {
        let shown = self.shown(model);
        shown.get(self.at.row(&shown, id_of)?).copied()
    }
}

impl Screen for JobsPage {
    fn opened_by(&self) -> Option<Action> {
        Some(Action::Jobs)
    }

    fn crumbs(&self, _model: &Model) -> Vec<String> {
        vec!["jobs".to_owned()]
    }

    fn offers(&self, model: &Model) -> Vec<Offer> {
        let job = self.selected(model);
        let open = Offer::unless(Action::Open, job.is_none().then_some("no job has run yet"));
        let moves = [Action::Up, Action::Down, Action::PageUp, Action::PageDown, Action::First, Action::Last];
        let mut offers = vec![open, cancel_offer(job), retry_offer(job), Offer::on(Action::Filter)];
        offers.extend(moves.map(Offer::on));
        offers
    }

    fn act(&mut self, action: Action, model: &Model) -> Vec<Effect> {
        if self.at.move_by(action, &self.shown(model), PAGE, id_of) {
            return Vec::new();
        }
        match (action, self.selected(model)) {
            (Action::Filter, _) => {
                vec![Effect::Ask(palette::filter(self.filter.as_ref().map_or("", Filter::text)))]
            }
            (Action::Open, Some(job)) => vec![Effect::Open(Box::new(JobPage::of(job.id)))],
            (Action::Cancel, Some(job)) => vec![Effect::Order(Order::Cancel(job.id))],
            (Action::Retry, Some(job)) => again(&job.wish).map(Effect::Open).into_iter().collect(),
            _ => Vec::new(),
        }
    }

    fn clicked(&mut self, click: Click, model: &Model) -> Vec<Effect> {
        let shown = self.shown(model);
        click.row.into_iter().for_each(|row| self.at.select(row, &shown, id_of));
        Vec::new()
    }

    fn filter(&self) -> Option<&Filter> {
        self.filter.as_ref()
    }

    fn narrow(&mut self, filter: Filter) {
        self.filter = (!filter.is_empty()).then_some(filter);
    }

    fn shows_job(&self, _job: JobId) -> bool {
        true
    }

    /// ```text
    /// ┌ Jobs ──────────────────────────────────────────────────────────────────┐
    /// │ ◐ Back up val-1/avalanchego/db            running   34 %   4.10 MiB/s  │
    /// │ ✓ Back up val-1/avalanchego/unit          done                     2s  │
    /// └────────────────────────────────────────────────────────────────────────┘
    /// ┌ Back up val-1/avalanchego/db ──────────────────────────────────────────┐
    /// │ its steps, its pace, its last lines                                    │
    /// └────────────────────────────────────────────────────────────────────────┘
    /// ```
    fn view(&self, model: &Model, canvas: &mut Canvas) {
        let shown = self.shown(model);
        let area = canvas.area;
        let title = match &self.filter {
            Some(filter) => format!("Jobs /{}", filter.text()),
            None => "Jobs".to_owned(),
        };
        let Some(selected) = self.selected(model) else {
            let mut inner = render_panel(&title, true, area, canvas);
            let [save, check, restore] = [Action::BackUp, Action::Verify, Action::Restore].map(|one| model.key(one));
            let (first, then) = if self.filter.is_some() {
                ("No job is called that.", model.shows_all_again())
            } else {
                let then = format!("On the fleet {save} backs up, {check} verifies and {restore} restores.");
                ("No job has run in this sitting.", then)
            };
            render_sentences(&[(first, Role::Text), (&then, Role::Muted)], &mut inner);
            return;
        };
        let rows = u16::try_from(shown.len()).unwrap_or(u16::MAX);
        let height = rows.saturating_add(2).clamp(4, (area.height / 3).max(4));
        let at = self.at.row(&shown, id_of);
        {
            let mut list = render_panel(&title, true, Rect { height, ..area }, canvas);
            let top = self.at.top(&shown, usize::from(list.area.height), id_of);
            for (y, (number, job)) in (0..list.area.height).zip(shown.iter().enumerate().skip(top)) {
                list.mark_row(y, number);
                render_job_line(model, job, y, &mut list);
                list.mark_matches(y, self.filter.as_ref());
                if Some(number) == at {
                    list.paint_row(y, Role::Selection);
                }
            }
        }
        let rest = Rect { y: area.y + height, height: area.height.saturating_sub(height), ..area };
        let hidden = {
            let mut inner = render_panel(&selected.wish.title(), false, rest, canvas);
            if selected.is_live() {
                render_job(model, selected, &mut inner);
                Hidden::default()
            } else {
                render_sheet(&proof::one(model, selected), &Scroll::default(), &mut inner)
            }
        };
        hidden.render(&mut canvas.within(rest));
    }
}

/// One job alone: its steps, its chart and its lines.
pub struct JobPage {
    id: JobId,
    shows_log: bool,
    scroll: Scroll,
}

impl JobPage {
    /// Of a job.
    pub fn of(id: JobId) -> Self {
        Self { id, shows_log: false, scroll: Scroll::default() }
    }

    fn log(job: &Job) -> Vec<Row> {
        let mut rows: Vec<Row> = log_lines(job)
            .into_iter()
            .map(|(at, word, text)| {
                let (word, role) = word_look(word);
                let at = at.strftime("%H:%M:%SZ").to_string();
                Row::say(Role::Text, text).cell(at, 9, Role::Muted).cell(word, 10, role)
            })
            .collect();
        if rows.is_empty() {
            rows.push(Row::say(Role::Muted, "Nothing was noted yet."));
        }
        rows
    }
}

impl Screen for JobPage {
    fn crumbs(&self, _model: &Model) -> Vec<String> {
        vec!["jobs".to_owned(), self.id.0.to_string()]
    }

    fn offers(&self, model: &Model) -> Vec<Offer> {
        let job = model.job(self.id);
        let moves = [Action::Up, Action::Down, Action::PageUp, Action::PageDown, Action::First, Action::Last];
        let mut offers = vec![cancel_offer(job), retry_offer(job), Offer::on(Action::NextPane)];
        offers.extend(moves.map(Offer::on));
        offers
    }

    fn act(&mut self, action: Action, model: &Model) -> Vec<Effect> {
        match action {
            Action::Cancel => return vec![Effect::Order(Order::Cancel(self.id))],
            Action::Retry => {
                return model.job(self.id).and_then(|job| again(&job.wish)).map(Effect::Open).into_iter().collect();
            }
            Action::NextPane => {
                self.shows_log = !self.shows_log;
                self.scroll.reset();
            }
            action => {
                self.scroll.move_by(action);
            }
        }
        Vec::new()
    }

    fn shows_job(&self, job: JobId) -> bool {
        job == self.id
    }

    /// ```text
    /// ┌ Back up val-1/avalanchego/db ──────────────────────────────────────────┐
    /// │ its steps, its pace, its last lines                                    │
    /// │  4.10 MiB/s ▁▃▅▇█▇▆▇█▇▇▆▅▇█                                            │
    /// │           0 2m ago          now                                        │
    /// └────────────────────────────────────────────────────────────────────────┘
    /// ```
    fn view(&self, model: &Model, canvas: &mut Canvas) {
        let Some(job) = model.job(self.id) else {
            let mut inner = render_panel("Job", true, canvas.area, canvas);
            render_sentences(&[("This job is not of this sitting.", Role::Muted)], &mut inner);
            return;
        };
        let title = if self.shows_log { format!("{}: log", job.wish.title()) } else { job.wish.title() };
        let hidden = {
            let mut inner = render_panel(&title, true, canvas.area, canvas);
            if self.shows_log {
                render_sheet(&Self::log(job), &self.scroll, &mut inner)
            } else {
                self.render_state(model, job, &mut inner)
            }
        };
        hidden.render(canvas);
    }
}

impl JobPage {
    fn render_state(&self, model: &Model, job: &Job, canvas: &mut Canvas) -> Hidden {
        let rates = job.meter.rates();
        let area = canvas.area;
        let mut rows = Vec::new();
        if !job.is_live() {
            rows = proof::one(model, job);
            rows.push(Row::gap());
            rows.push(Row::heading("What happened"));
            rows.extend(Self::log(job));
        }
        // A moment is no course; and what happened comes before how fast it went.
        let height = (area.height / 4).clamp(4, 9);
        let has_chart = area.height >= CHART_FROM
            && rates.len() > 2
            && rates.iter().any(|(_, rate)| *rate > 0)
            && lines_of(&rows, area.width) + usize::from(height) < usize::from(area.height);
        let chart = if has_chart { height } else { 0 };
        let rest = Rect { height: area.height - chart, ..area };
        if has_chart {
            let area = Rect { y: area.bottom() - chart, height: chart, ..area };
            render_throughput(&rates, &mut canvas.within(area));
        }
        if job.is_live() {
            render_job(model, job, &mut canvas.within(rest));
            return Hidden::default();
        }
        render_sheet(&rows, &self.scroll, &mut canvas.within(rest))
    }
}
