//! The strip of jobs under way, a line each.

use crate::tui::model::{Job, Model, Stage};
use crate::tui::screen::{Canvas, cut_middle};
use crate::tui::theme::Role;
use crate::tui::widgets::bar::render_bar;
use crate::tui::widgets::list::Selection;
use crate::tui::widgets::panel::render_panel;
use crate::tui::wizard::live::permille;

/// ```text
/// ┌ Jobs ──────────────────────────────────────────────────────────────────┐
/// │ Back up nats-1/nats/ORDERS   ━━━━━━────  62 %   48.0 MiB/s   moving    │
/// └────────────────────────────────────────────────────────────────────────┘
/// ```
pub fn render_jobs(model: &Model, has_focus: bool, selected: Option<usize>, canvas: &mut Canvas) {
    let jobs: Vec<&Job> = model.live_jobs().collect();
    if jobs.is_empty() || canvas.area.height == 0 {
        return;
    }
    let title = if jobs.len() == 1 { "Jobs".to_owned() } else { format!("Jobs, {}", jobs.len()) };
    let mut inner = render_panel(&title, has_focus, canvas.area, canvas);
    let mut selection = Selection::default();
    selection.select(selected.unwrap_or(0));
    let top = selection.top(jobs.len(), usize::from(inner.area.height));
    for (y, (number, job)) in (0..inner.area.height).zip(jobs.iter().enumerate().skip(top)) {
        inner.mark_row(y, number);
        render_job(job, model, y, &mut inner);
        if Some(number) == selected {
            inner.paint_row(y, Role::Selection);
        }
    }
}

fn render_job(job: &Job, model: &Model, y: u16, canvas: &mut Canvas) {
    let width = canvas.area.width;
    let state_width = if width >= 100 { 34 } else { 22 };
    let bar_width = if width >= 100 { 20 } else { 8 };
    let state = width.saturating_sub(state_width + 1);
    let percent = state.saturating_sub(6);
    let bar = percent.saturating_sub(bar_width + 1);
    let room = bar.saturating_sub(2);
    let title = cut_middle(&job.wish.title(), usize::from(room), canvas.theme.glyphs.cut);
    canvas.text_within(1, y, room, &title, Role::Text);
    let pace = job.pace(model.now);
    if matches!(job.stage, Stage::Running) {
        // The same figure as on the job's own page: of the whole job, not of the step it is at.
        let permille = permille(job);
        render_bar(bar, y, bar_width, permille, canvas);
        canvas.right(percent, y, 4, &format!("{} %", permille / 10), Role::Text);
    }
    let (told, role) = match (&job.stage, pace) {
        (Stage::Waiting, _) => ("waits for a free hand".to_owned(), Role::StatusUnknown),
        (Stage::Stopping, _) => ("stopping, undoing".to_owned(), Role::StatusWarn),
        (_, Some(pace)) => {
            let rate = format!("{}/s", crate::model::units::ByteSize(pace.rate));
            let told = if width >= 100 {
                let left = pace.left_text().map(|left| format!("  {left}")).unwrap_or_default();
                format!("{rate:<11}  {}{left}", pace.motion.word())
            } else {
                format!("{rate:<11}  {}", pace.motion.word())
            };
            let is_moving = matches!(pace.motion, crate::engine::progress::Motion::Moving);
            (told, if is_moving { Role::StatusRunning } else { Role::StatusWarn })
        }
        (_, None) => {
            let doing = job.progress.doing.one_line().to_string();
            (if doing.is_empty() { "running".to_owned() } else { doing }, Role::StatusRunning)
        }
    };
    canvas.text(state, y, &told, role);
}
