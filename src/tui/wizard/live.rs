//! A job under way: its steps, its pace, its last lines. Wizards and the jobs page draw the same.

use std::collections::BTreeMap;

use jiff::Timestamp;
use ratatui::layout::Rect;

use crate::engine::phrases::event_phrase;
use crate::engine::progress::{Motion, Pace};
use crate::engine::verify::Checked;
use crate::model::event::{Event, EventKind};
use crate::model::ids::StepId;
use crate::model::plan::Plan;
use crate::model::units::Seconds;
use crate::tui::model::{Job, Model, Stage};
use crate::tui::screen::Canvas;
use crate::tui::theme::Role;
use crate::tui::widgets::sheet::Sign;

/// What has become of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StepStage {
    /// It was not begun.
    #[default]
    Next,
    /// It is being done.
    Now,
    /// It was done.
    Done,
    /// It had nothing to do.
    Already,
    /// It failed.
    Failed,
    /// It was undone.
    Undone,
    /// It could not be undone.
    NotUndone,
}

/// A step's stage with its moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StepLook {
    /// What has become of it.
    pub stage: StepStage,
    /// When it began.
    pub began: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
}

impl StepStage {
    fn sign(self) -> Sign {
        match self {
            Self::Next => Sign::Next,
            Self::Now => Sign::Now,
            Self::Done | Self::Already => Sign::Done,
            Self::Failed | Self::NotUndone => Sign::Bad,
            Self::Undone => Sign::Warn,
        }
    }

    /// A word; nothing where the sign says it all.
    pub fn word(self) -> &'static str {
        match self {
            Self::Next => "",
            Self::Now => "now",
            Self::Done => "done",
            Self::Already => "already",
            Self::Failed => "failed",
            Self::Undone => "undone",
            Self::NotUndone => "not undone",
        }
    }
}

/// What has become of each step, by the events.
pub fn steps_of(events: &[Event]) -> BTreeMap<StepId, StepLook> {
    let mut steps: BTreeMap<StepId, StepLook> = BTreeMap::new();
    for event in events {
        let (step, stage) = match &event.kind {
            EventKind::StepStarted { step, .. } => (step, StepStage::Now),
            EventKind::StepFinished { step, .. } => (step, StepStage::Done),
            EventKind::StepSkipped { step, .. } => (step, StepStage::Already),
            EventKind::StepFailed { step, .. } => (step, StepStage::Failed),
            EventKind::StepReverted { step } => (step, StepStage::Undone),
            EventKind::RevertFailed { step, .. } => (step, StepStage::NotUndone),
            _ => continue,
        };
        let look = steps.entry(step.clone()).or_default();
        if stage == StepStage::Now {
            look.began = Some(event.at);
        } else {
            look.ended = Some(event.at);
        }
        look.stage = stage;
    }
    steps
}

/// A job's stage as sign and word.
pub fn stage_look(job: &Job) -> (Sign, &'static str) {
    match &job.stage {
        Stage::Planning => (Sign::Now, "planning"),
        Stage::Ready => (Sign::Next, "planned"),
        Stage::Waiting => (Sign::Next, "waiting"),
        Stage::Running => (Sign::Now, "running"),
        Stage::Stopping => (Sign::Warn, "stopping"),
        Stage::Done(_) => (Sign::Done, "done"),
        Stage::Failed(failure) => match failure.exit {
            crate::model::exit::Exit::Cancelled => (Sign::Warn, "cancelled"),
            _ => (Sign::Bad, "failed"),
        },
    }
}

/// How long a job has run.
pub fn elapsed(job: &Job, now: Timestamp) -> Option<Seconds> {
    let end = job.ended.unwrap_or(now);
    let seconds = end.duration_since(job.started?).as_secs();
    Some(Seconds(u64::try_from(seconds).unwrap_or(0)))
}

/// How far a job is, in thousandths: by its steps, and within a step by its bytes. Never all before it has ended well.
pub fn permille(job: &Job) -> u64 {
    if matches!(job.stage, Stage::Done(_)) {
        return 1000;
    }
    if let crate::tui::message::Wish::Verify(copies) = &job.wish {
        return (job.checked.len() as u64 * 1000).checked_div(copies.len() as u64).unwrap_or(0).min(999);
    }
    let Some(planned) = &job.planned else { return 0 };
    let all = planned.plan.steps.len() as u64;
    let steps = steps_of(&job.events);
    let done = steps.values().filter(|look| matches!(look.stage, StepStage::Done | StepStage::Already));
    let within = match (job.progress.expected, job.progress.bytes) {
        (0, _) => 0,
        (expected, bytes) => (bytes.saturating_mul(1000) / expected).min(999),
    };
    (done.count() as u64 * 1000 + within).checked_div(all).unwrap_or(0).min(999)
}

/// ```text
///  running for 12s, step 3 of 8
///
///  ✓ 1 spare-1      Check that the node can take it              1s
///  ◐ 2 spare-1      Bring the staking identity onto the node     4s
///  ○ 3 spare-1      Stop avalanchego.service
///
///  ━━━━━━━━━━━━━━━━━━━━━────────────────────────────────────────  34 %
///  12.0 MiB of about 35 MiB   2 files   4.10 MiB/s   4s to 6s left
///  moving   limit: node or link
///
///  02:50:11Z  done     1/8 spare-1: Check that the node can take it
/// ```
pub fn render_job(model: &Model, job: &Job, canvas: &mut Canvas) {
    canvas.text(1, 0, &headline(job, model.now), Role::Text);
    let area = canvas.area;
    let low = area.height < 16;
    let (pace_height, tail_height) = (3, if low { 2 } else { 5 });
    let list_height = area.height.saturating_sub(2 + pace_height + tail_height + 1);
    let list = Rect { y: area.y + 2, height: list_height, ..area };
    match (&job.planned, &job.wish) {
        (_, crate::tui::message::Wish::Verify(copies)) => render_copies(job, copies, &mut canvas.within(list)),
        (Some(planned), _) => render_steps(job, &planned.plan, model.now, &mut canvas.within(list)),
        (None, _) => {}
    }
    let used = list_height.min(rows_of(job)) + 1;
    let pace = Rect { y: list.y + used, height: pace_height, ..area };
    render_pace(job, model.now, &mut canvas.within(pace));
    let from = pace.y + pace_height;
    let tail = Rect { y: from, height: area.bottom().saturating_sub(from), ..area };
    render_tail(job, &mut canvas.within(tail));
}

fn rows_of(job: &Job) -> u16 {
    let rows = match (&job.planned, &job.wish) {
        (_, crate::tui::message::Wish::Verify(copies)) => copies.len(),
        (Some(planned), _) => planned.plan.steps.len(),
        (None, _) => 0,
    };
    u16::try_from(rows).unwrap_or(u16::MAX)
}

fn headline(job: &Job, now: Timestamp) -> String {
    let time = elapsed(job, now).map_or(String::new(), |seconds| format!(" for {seconds}"));
    match &job.stage {
        Stage::Waiting => "Waiting for a free hand.".to_owned(),
        Stage::Running => match &job.planned {
            Some(planned) => {
                let steps = steps_of(&job.events);
                let done =
                    steps.values().filter(|look| !matches!(look.stage, StepStage::Next | StepStage::Now)).count();
                format!("Running{time}, step {} of {}.", done + 1, planned.plan.steps.len())
            }
            None => format!("Running{time}."),
        },
        Stage::Stopping => "Stopping: what was done is being undone, newest first.".to_owned(),
        Stage::Done(_) => format!("Done{}.", time.replace(" for ", " after ")),
        Stage::Failed(failure) => failure.message.lines().next().unwrap_or_default().to_owned(),
        Stage::Planning => "The plan is being made.".to_owned(),
        Stage::Ready => "Planned, not begun.".to_owned(),
    }
}

/// The steps, the one under way in sight.
fn render_steps(job: &Job, plan: &Plan, now: Timestamp, canvas: &mut Canvas) {
    let looks = steps_of(&job.events);
    let height = usize::from(canvas.area.height);
    let stage = |id: &StepId| looks.get(id).copied().unwrap_or_default();
    let current = plan.steps.iter().position(|step| matches!(stage(&step.id).stage, StepStage::Now | StepStage::Next));
    let current = current.unwrap_or(plan.steps.len());
    let top = current.saturating_sub(height / 2).min(plan.steps.len().saturating_sub(height));
    let hosts = plan.steps.iter().map(|step| step.host.as_str().len()).max().unwrap_or(0);
    let title = 7 + u16::try_from(hosts).unwrap_or(u16::MAX).min(14);
    for (y, (number, step)) in (0..canvas.area.height).zip(plan.steps.iter().enumerate().skip(top)) {
        let look = stage(&step.id);
        let (role, glyph) = look.stage.sign().look(&canvas.theme.glyphs);
        canvas.text(1, y, glyph, role);
        canvas.right(3, y, 2, &(number + 1).to_string(), Role::Muted);
        canvas.text_within(6, y, title - 7, step.host.as_str(), Role::Muted);
        let room = canvas.area.width.saturating_sub(title + 20);
        let is_now = look.stage == StepStage::Now;
        let text = if look.stage == StepStage::Next { Role::Muted } else { Role::Text };
        canvas.text_within(title, y, room, step.title.as_str(), if is_now { Role::Title } else { text });
        canvas.right(title + room + 1, y, 10, look.stage.word(), role);
        canvas.right(title + room + 12, y, 7, &took(look, now), Role::Muted);
    }
}

fn took(look: StepLook, now: Timestamp) -> String {
    let Some(began) = look.began else { return String::new() };
    let seconds = look.ended.unwrap_or(now).duration_since(began).as_secs();
    Seconds(u64::try_from(seconds).unwrap_or(0)).to_string()
}

type Copies = [(crate::model::ids::ItemRef, crate::model::ids::SnapshotId)];

/// What a verification has found so far.
fn render_copies(job: &Job, copies: &Copies, canvas: &mut Canvas) {
    let height = usize::from(canvas.area.height);
    let top = job.checked.len().saturating_sub(height / 2).min(copies.len().saturating_sub(height));
    for (y, (at, (item, id))) in (0..canvas.area.height).zip(copies.iter().enumerate().skip(top)) {
        let found = job.checked.iter().find(|(known, snapshot, _)| known == item && snapshot == id);
        let (sign, text) = match found {
            Some((_, _, result)) => checked_look(result),
            None if at == job.checked.len() && job.is_live() => (Sign::Now, "being read".to_owned()),
            None => (Sign::Next, String::new()),
        };
        let (role, glyph) = sign.look(&canvas.theme.glyphs);
        canvas.text(1, y, glyph, role);
        let width = canvas.area.width.saturating_sub(30);
        canvas.text_within(3, y, width, &format!("{item}@{id}"), Role::Text);
        canvas.text(4 + width, y, &text, role);
    }
}

/// How a checked copy stands, in a few words.
pub fn checked_look(result: &Result<Checked, crate::model::exit::Failure>) -> (Sign, String) {
    match result {
        Ok(Checked::Verified { bytes, warnings }) if warnings.is_empty() => {
            (Sign::Done, format!("verified, {}", crate::model::units::ByteSize(*bytes)))
        }
        Ok(Checked::Verified { warnings, .. }) => (Sign::Warn, format!("verified, {} notes", warnings.len())),
        Ok(Checked::IntactSealed) => (Sign::Warn, "intact, sealed".to_owned()),
        Ok(Checked::Broken { .. }) => (Sign::Bad, "broken".to_owned()),
        Err(_) => (Sign::Bad, "not checked".to_owned()),
    }
}

/// The bar, then amount, files, rate, what is left; then whether it moves and what limits it.
pub fn render_pace(job: &Job, now: Timestamp, canvas: &mut Canvas) {
    let width = canvas.area.width.saturating_sub(9);
    let permille = permille(job);
    let filled = u16::try_from(u64::from(width) * permille / 1000).unwrap_or(0);
    let glyphs = canvas.theme.glyphs;
    let end = canvas.text(1, 0, &glyphs.bar.repeat(usize::from(filled)), Role::ProgressBar);
    canvas.text(end, 0, &glyphs.track.repeat(usize::from(width - filled)), Role::ProgressTrack);
    canvas.right(width + 2, 0, 5, &format!("{} %", permille / 10), Role::Text);
    if !job.is_live() {
        return;
    }
    let Some(pace) = job.meter.pace(now).filter(|_| job.progress.bytes > 0) else {
        canvas.text(1, 1, job.progress.doing.one_line().as_str(), Role::Muted);
        return;
    };
    let mut parts = vec![pace.amount()];
    parts.extend((pace.files > 0).then(|| format!("{} files", pace.files)));
    parts.push(format!("{}/s", crate::model::units::ByteSize(pace.rate)));
    parts.extend(pace.left_text());
    canvas.text(1, 1, &parts.join("   "), Role::Text);
    let end = canvas.text(1, 2, &pace.motion_text(), motion_role(&pace));
    if let Some(limit) = pace.limit {
        canvas.text(end + 3, 2, &format!("limit: {}", limit.word()), Role::Muted);
    }
}

/// The role of a pace's motion.
pub fn motion_role(pace: &Pace) -> Role {
    match pace.motion {
        Motion::Moving => Role::StatusRunning,
        Motion::Slow(_) => Role::StatusWarn,
        Motion::Stalled(_) => Role::StatusBad,
    }
}

/// The last lines, newest last.
pub fn render_tail(job: &Job, canvas: &mut Canvas) {
    let lines = log_lines(job);
    let skip = lines.len().saturating_sub(usize::from(canvas.area.height.saturating_sub(1)));
    for (y, (at, word, text)) in (1..canvas.area.height).zip(lines.iter().skip(skip)) {
        let role = if word.chars().all(|c| c.is_ascii_uppercase() || c == ' ') && !word.is_empty() {
            Role::StatusBad
        } else {
            Role::Muted
        };
        let end = canvas.text(1, y, &at.strftime("%H:%M:%SZ").to_string(), Role::Muted);
        canvas.text(end + 2, y, word, role);
        canvas.text(end + 2 + 11, y, text, Role::Text);
    }
}

/// What a job noted: when, a word, what.
pub fn log_lines(job: &Job) -> Vec<(Timestamp, &'static str, String)> {
    let plan = job.planned.as_ref().map(|planned| &planned.plan);
    job.events.iter().filter_map(|event| event_phrase(event, plan).map(|(word, text)| (event.at, word, text))).collect()
}

/// A line for each of several jobs.
///
/// ```text
///  ◐ Back up val-1/avalanchego/unit            running   12 %   4.10 MiB/s
/// ```
pub fn render_jobs(model: &Model, jobs: &[&Job], selected: usize, canvas: &mut Canvas) {
    let height = usize::from(canvas.area.height);
    let top = selected.saturating_sub(height / 2).min(jobs.len().saturating_sub(height));
    for (y, (number, job)) in (0..canvas.area.height).zip(jobs.iter().enumerate().skip(top)) {
        render_job_line(model, job, y, canvas);
        if number == selected {
            canvas.paint_row(y, Role::Selection);
        }
    }
}

/// A job in one line.
pub fn render_job_line(model: &Model, job: &Job, y: u16, canvas: &mut Canvas) {
    let (sign, word) = stage_look(job);
    let (role, glyph) = sign.look(&canvas.theme.glyphs);
    let pace = job.meter.pace(model.now).filter(|_| job.is_live() && job.progress.bytes > 0);
    let right = 34;
    let width = canvas.area.width.saturating_sub(right + 4);
    canvas.text(1, y, glyph, role);
    canvas.text_within(3, y, width, &job.wish.title(), Role::Text);
    let x = canvas.area.width.saturating_sub(right);
    canvas.text_within(x, y, 10, word, role);
    if matches!(job.stage, Stage::Running | Stage::Stopping) {
        canvas.right(x + 10, y, 5, &format!("{} %", permille(job) / 10), Role::Text);
    }
    let end = match &pace {
        Some(pace) => format!("{}/s", crate::model::units::ByteSize(pace.rate)),
        None => elapsed(job, model.now).map_or(String::new(), |seconds| seconds.to_string()),
    };
    canvas.right(x + 16, y, right - 17, &end, Role::Muted);
}
