//! A job under way: its steps, its pace, its last lines. Wizards and the jobs page draw the same.

use std::collections::BTreeMap;

use jiff::Timestamp;
use ratatui::layout::Rect;
use unicode_width::UnicodeWidthStr;

use crate::engine::phrases::{count, event_phrase, undo_of};
use crate::engine::progress::{Motion, Pace};
use crate::engine::runs::{StepLook, StepStage, steps_of};
use crate::engine::verify::Checked;
use crate::model::ids::StepId;
use crate::model::plan::{Plan, Step};
use crate::model::units::Seconds;
use crate::tui::action::{Action, Offer};
use crate::tui::message::Wish;
use crate::tui::model::{Job, Model, Stage};
use crate::tui::screen::{Canvas, cut_middle};
use crate::tui::theme::Role;
use crate::tui::widgets::bar::render_bar;
use crate::tui::widgets::sheet::Sign;

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

/// What has become of each step of a job, what was so before it took a run up included.
pub fn steps_of_job(job: &Job) -> BTreeMap<StepId, StepLook> {
    let mut looks = BTreeMap::new();
    if let Some(taken_up) = &job.taken_up {
        if matches!(job.wish, Wish::RollBack(_)) {
            // A run is undone once it was done.
            let done = StepLook { stage: StepStage::Done, ..StepLook::default() };
            looks.extend(taken_up.plan.steps.iter().map(|step| (step.id.clone(), done)));
        }
        looks.extend(steps_of(&taken_up.events));
    }
    looks.extend(steps_of(&job.events));
    looks
}

/// How many steps of an undoing are undone, and how many there are to undo.
fn undone_of(job: &Job, plan: &Plan) -> (usize, usize) {
    let looks = steps_of_job(job);
    let stage = |step: &Step| looks.get(&step.id).map_or(StepStage::Next, |look| look.stage);
    let undoable = plan.steps.iter().filter(|step| undo_of(step).is_some() && stage(step) != StepStage::Next);
    let stages: Vec<StepStage> = undoable.map(stage).collect();
    (stages.iter().filter(|stage| **stage == StepStage::Undone).count(), stages.len())
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

/// Whether a job can be stopped.
pub fn cancel_offer(job: Option<&Job>) -> Offer {
    match job {
        Some(job) if matches!(job.stage, Stage::Stopping) => Offer::off(Action::Cancel, "it is stopping already"),
        Some(job) if job.is_live() => Offer::on(Action::Cancel),
        Some(_) => Offer::off(Action::Cancel, "it has ended"),
        None => Offer::off(Action::Cancel, "nothing is selected"),
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
    if let Some(copies) = job.wish.checks() {
        return (job.checked.len() as u64 * 1000).checked_div(copies.len() as u64).unwrap_or(0).min(999);
    }
    let within = match (job.progress.expected, job.progress.bytes) {
        (0, _) => 0,
        (expected, bytes) => (bytes.saturating_mul(1000) / expected).min(999),
    };
    let Some(plan) = job.plan() else { return within };
    if job.undoes() {
        let (undone, all) = undone_of(job, plan);
        return (undone as u64 * 1000).checked_div(all as u64).unwrap_or(0).min(999);
    }
    let all = plan.steps.len() as u64;
    let steps = steps_of_job(job);
    let done = steps.values().filter(|look| matches!(look.stage, StepStage::Done | StepStage::Already));
    (done.count() as u64 * 1000 + within).checked_div(all).unwrap_or(0).min(999)
}

/// ```text
///  running for 12s, step 3 of 8
///
///  ✓  1 spare-1  Check that the node can take it            done       1s
///  ◐  2 spare-1  Bring the staking identity onto the node   now        4s
///  ○  3 spare-1  Stop avalanchego.service
///
///  ━━━━━━━━━━━━━━━━━━━━━────────────────────────────────────────  34 %
///  12.0 MiB of about 35 MiB   2 files   4.10 MiB/s   4s to 6s left
///  moving   limit: node or link
///
///  02:50:11Z done       1/8 spare-1: Check that the node can take it
/// ```
pub fn render_job(model: &Model, job: &Job, canvas: &mut Canvas) {
    canvas.text(1, 0, &headline(job, model.now), Role::Text);
    let area = canvas.area;
    let low = area.height < 16;
    let (pace_height, tail_height) = (3, if low { 2 } else { 5 });
    let list_height = area.height.saturating_sub(2 + pace_height + tail_height + 1);
    let list = Rect { y: area.y + 2, height: list_height, ..area };
    match (job.plan(), job.wish.checks()) {
        (_, Some(copies)) => render_copies(job, copies, &mut canvas.within(list)),
        (Some(plan), _) => render_steps(job, plan, model.now, &mut canvas.within(list)),
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
    let rows = match (job.plan(), job.wish.checks()) {
        (_, Some(copies)) => copies.len(),
        (Some(plan), _) => plan.steps.len(),
        (None, _) => 0,
    };
    u16::try_from(rows).unwrap_or(u16::MAX)
}

fn headline(job: &Job, now: Timestamp) -> String {
    let time = elapsed(job, now).map_or(String::new(), |seconds| format!(" for {seconds}"));
    match &job.stage {
        Stage::Waiting => "Waiting for a free hand.".to_owned(),
        Stage::Running => match job.plan() {
            Some(plan) if job.undoes() => {
                let (undone, all) = undone_of(job, plan);
                format!("Undoing{time}, {undone} of {all} steps undone.")
            }
            Some(plan) => {
                let is_past = |look: &&StepLook| !matches!(look.stage, StepStage::Next | StepStage::Now);
                let all = plan.steps.len();
                let at = (steps_of_job(job).values().filter(is_past).count() + 1).min(all);
                format!("Running{time}, step {at} of {all}.")
            }
            None => format!("Running{time}."),
        },
        Stage::Stopping => match &job.wish {
            Wish::Verify(_) | Wish::VerifyVault(_) => {
                "Stopping: the copy being read is left; what was found of the others stays.".to_owned()
            }
            Wish::Deed(deed) => deed.stopping().to_owned(),
            _ if job.undoes() => "Stopping: what is undone by now stays undone.".to_owned(),
            _ => "Stopping: what was done is being undone, newest first.".to_owned(),
        },
        Stage::Done(_) => format!("Done{}.", time.replace(" for ", " after ")),
        Stage::Failed(failure) => failure.message.lines().next().unwrap_or_default().to_owned(),
        Stage::Planning => "The plan is being made.".to_owned(),
        Stage::Ready => "Planned, not begun.".to_owned(),
    }
}

/// The steps, the one under way in sight.
fn render_steps(job: &Job, plan: &Plan, now: Timestamp, canvas: &mut Canvas) {
    let looks = steps_of_job(job);
    let height = usize::from(canvas.area.height);
    let stage = |id: &StepId| looks.get(id).copied().unwrap_or_default();
    // What is undone is undone from its end.
    let current = if job.undoes() {
        plan.steps.iter().rposition(|step| stage(&step.id).stage != StepStage::Undone).unwrap_or(0)
    } else {
        let is_open = |step: &Step| matches!(stage(&step.id).stage, StepStage::Now | StepStage::Next);
        plan.steps.iter().position(is_open).unwrap_or(plan.steps.len())
    };
    let top = current.saturating_sub(height / 2).min(plan.steps.len().saturating_sub(height));
    let hosts = plan.steps.iter().map(|step| step.host.as_str().len()).max().unwrap_or(0);
    let title = 8 + u16::try_from(hosts).unwrap_or(u16::MAX).min(14);
    // As wide as the words that stand there, so that titles have the rest.
    let words = looks.values().map(|look| look.stage.word().len()).max().unwrap_or(0);
    let words = u16::try_from(words).unwrap_or(u16::MAX).clamp(4, 10);
    // What has become of a step stands near it, however wide the page is.
    let longest = plan.steps.iter().map(|step| step.title.as_str().width()).max().unwrap_or(0);
    let room = canvas.area.width.saturating_sub(title + words + 11);
    let room = room.min(u16::try_from(longest).unwrap_or(u16::MAX).max(30));
    for (y, (number, step)) in (0..canvas.area.height).zip(plan.steps.iter().enumerate().skip(top)) {
        let look = stage(&step.id);
        let (role, glyph) = look.stage.sign().look(&canvas.theme.glyphs);
        canvas.text(1, y, glyph, role);
        canvas.right(3, y, 2, &(number + 1).to_string(), Role::Muted);
        canvas.text_within(6, y, title - 8, step.host.as_str(), Role::Muted);
        let is_now = look.stage == StepStage::Now;
        let text = if look.stage == StepStage::Next { Role::Muted } else { Role::Text };
        canvas.text_within(title, y, room, step.title.as_str(), if is_now { Role::Title } else { text });
        canvas.text_within(title + room + 2, y, words, look.stage.word(), role);
        canvas.right(title + room + words + 3, y, 7, &took(look, now), Role::Muted);
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
            None if job.is_live() => (Sign::Next, "waiting".to_owned()),
            None => (Sign::Next, "not read".to_owned()),
        };
        let (role, glyph) = sign.look(&canvas.theme.glyphs);
        canvas.text(1, y, glyph, role);
        canvas.text_within(3, y, CHECKED, &text, role);
        let room = canvas.area.width.saturating_sub(3 + CHECKED + 2);
        let name = cut_middle(&format!("{item}@{id}"), usize::from(room), canvas.theme.glyphs.cut);
        canvas.text_within(4 + CHECKED, y, room, &name, Role::Text);
    }
}

/// The columns of what was found of a copy.
pub const CHECKED: u16 = 19;

/// How a checked copy stands, in a few words.
pub fn checked_look(result: &Result<Checked, crate::model::exit::Failure>) -> (Sign, String) {
    match result {
        Ok(Checked::Verified { bytes, warnings }) if warnings.is_empty() => {
            (Sign::Done, format!("verified, {}", crate::model::units::ByteSize(*bytes)))
        }
        Ok(Checked::Verified { warnings, .. }) if warnings.len() == 1 => (Sign::Warn, "verified, 1 note".to_owned()),
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
    render_bar(1, 0, width, permille, canvas);
    canvas.right(width + 2, 0, 5, &format!("{} %", permille / 10), Role::Text);
    if !job.is_live() || matches!(job.stage, Stage::Stopping) {
        return;
    }
    let Some(pace) = job.pace(now) else {
        canvas.text(1, 1, job.progress.doing.one_line().as_str(), Role::Muted);
        return;
    };
    let mut parts = vec![pace.amount()];
    parts.extend((pace.files > 0).then(|| count(pace.files, "file")));
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

/// An event's word as a page writes it: what the log says in capitals is told by its role.
pub fn word_look(word: &str) -> (String, Role) {
    let is_loud = word.chars().any(char::is_uppercase) && !word.chars().any(char::is_lowercase);
    (word.to_lowercase(), if is_loud { Role::StatusBad } else { Role::Muted })
}

/// The last lines, newest last.
pub fn render_tail(job: &Job, canvas: &mut Canvas) {
    let lines = log_lines(job);
    let skip = lines.len().saturating_sub(usize::from(canvas.area.height.saturating_sub(1)));
    for (y, (at, word, text)) in (1..canvas.area.height).zip(lines.iter().skip(skip)) {
        let (word, role) = word_look(word);
        let end = canvas.text(1, y, &at.strftime("%H:%M:%SZ").to_string(), Role::Muted);
        canvas.text(end + 1, y, &word, role);
        let x = end + 1 + 11;
        let width = canvas.area.width.saturating_sub(x + 1);
        let text = cut_middle(text, usize::from(width), canvas.theme.glyphs.cut);
        canvas.text_within(x, y, width, &text, Role::Text);
    }
}

/// What a job noted: when, a word, what.
pub fn log_lines(job: &Job) -> Vec<(Timestamp, &'static str, String)> {
    let plan = job.plan();
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
        canvas.mark_row(y, number);
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
    let pace = job.pace(model.now);
    let right = 30;
    let width = canvas.area.width.saturating_sub(right + 4);
    canvas.text(1, y, glyph, role);
    let title = cut_middle(&job.wish.title(), usize::from(width), canvas.theme.glyphs.cut);
    canvas.text_within(3, y, width, &title, Role::Text);
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
