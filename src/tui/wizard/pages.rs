//! How a wizard's pages are drawn.

use ratatui::layout::Rect;

use super::errand::Needs;
use super::{Stop, Wizard, live, preview, proof};
use crate::model::exit::Failure;
use crate::tui::action::Action;
use crate::tui::model::{Job, Model};
use crate::tui::screen::Canvas;
use crate::tui::theme::Role;
use crate::tui::widgets::panel::Hidden;
use crate::tui::widgets::sheet::{Row, Sign, render_sheet};

impl Wizard {
    pub(super) fn render_stops(&self, model: &Model, canvas: &mut Canvas) {
        let shown = self.shown(model);
        let mut x = 1;
        for stop in self.path(model) {
            let (sign, role) = match stop.cmp(&shown) {
                std::cmp::Ordering::Less => (Sign::Done, Role::Muted),
                std::cmp::Ordering::Equal => (Sign::Now, Role::Title),
                std::cmp::Ordering::Greater => (Sign::Next, Role::Muted),
            };
            let (sign_role, glyph) = sign.look(&canvas.theme.glyphs);
            x = canvas.text(x, 0, glyph, sign_role) + 1;
            x = canvas.text(x, 0, stop.word(), role) + 3;
        }
    }

    /// Draws the page; says how many lines are out of sight.
    pub(super) fn render_page(&self, model: &Model, canvas: &mut Canvas) -> Hidden {
        let jobs = self.my_jobs(model);
        match self.shown(model) {
            Stop::Choose => {
                let missing = self.errand.wishes(model).err();
                let next = match self.errand.needs() {
                    Needs::Nothing => "Next comes the preview; no node is asked.",
                    Needs::Plan | Needs::Look => {
                        "Next the nodes are looked at; nothing changes before you saw a preview."
                    }
                };
                self.choose.view(&self.fields(model), missing.as_deref(), next, canvas);
                Hidden::default()
            }
            Stop::Checks => match self.alive_elsewhere(model) {
                Some(failure) => {
                    let can_fence = self.fields(model).iter().any(|field| field.key == "set:fence");
                    render_sheet(&full_stop(failure, can_fence, model), &self.scroll, canvas)
                }
                None => render_sheet(&self.errand.checks(model, &jobs), &self.scroll, canvas),
            },
            Stop::Preview => {
                let mut rows = self.changes(model);
                if self.is_ready(model) {
                    rows.extend(self.errand.preview(model, &jobs));
                } else {
                    rows.extend(self.errand.checks(model, &jobs));
                }
                render_sheet(&rows, &self.scroll, canvas)
            }
            Stop::Confirm => {
                if let Some(confirm) = &self.confirm {
                    confirm.view(&preview::plans_told(&jobs), canvas);
                }
                Hidden::default()
            }
            Stop::Live => {
                self.render_live(model, &jobs, canvas);
                Hidden::default()
            }
            Stop::Receipt => render_sheet(&proof::rows(model, &jobs), &self.scroll, canvas),
        }
    }

    fn render_live(&self, model: &Model, jobs: &[&Job], canvas: &mut Canvas) {
        if let [job] = jobs {
            live::render_job(model, job, canvas);
            return;
        }
        let height = u16::try_from(jobs.len()).unwrap_or(u16::MAX).min(canvas.area.height / 3).max(1);
        let list = Rect { height, ..canvas.area };
        live::render_jobs(model, jobs, self.job, &mut canvas.within(list));
        let area = canvas.area;
        let rest = Rect { y: area.y + height + 1, height: area.height.saturating_sub(height + 1), ..area };
        if let Some(job) = jobs.get(self.job) {
            live::render_job(model, job, &mut canvas.within(rest));
        }
    }
}

/// Nothing goes past this: the identity runs elsewhere. `can_fence` says that the first page has a choice about it.
fn full_stop(failure: &Failure, can_fence: bool, model: &Model) -> Vec<Row> {
    let mut rows = vec![
        Row::signed(Sign::Bad, "This identity runs elsewhere. Nothing goes past this page.").as_role(Role::StatusBad),
        Row::gap(),
        Row::say(Role::Text, failure.message.clone()).set_in(2),
        Row::gap(),
        Row::say(
            Role::Text,
            "Two nodes with one identity harm each other. No word typed here overrides it, and nothing was changed.",
        )
        .set_in(2),
        Row::gap(),
    ];
    let flag = "--set fence=stop";
    let back = model.key(Action::Back);
    let here = format!("choose 'stop' for 'fence' on the first page, {back} goes back to it (from a shell: {flag})");
    for (number, hint) in failure.hints.iter().enumerate() {
        let hint = if can_fence { hint.replace(flag, &here) } else { hint.clone() };
        rows.push(Row::pair(if number == 0 { "next" } else { "" }, hint).set_in(2));
    }
    rows.push(Row::pair("", "When it is down there, look again.").set_in(2));
    rows
}
