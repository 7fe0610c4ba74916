//! Runs as they go: one line an event, and one status line that sums them up.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;

use super::app::App;
use crate::engine::board::{Board, Progress};
use crate::engine::jobs::{Job, Phase};
use crate::engine::phrases::event_phrase;
use crate::engine::progress::Meter;
use crate::model::event::Event;
use crate::model::plan::Plan;
use crate::model::units::ByteSize;

/// A run that is watched.
pub struct Watched<'a> {
    /// What it tells.
    pub board: &'a Board,
    /// Its plan.
    pub plan: &'a Plan,
    /// The job it is, among others: then each of its lines says its item.
    pub job: Option<&'a Job>,
}

/// Follows runs while `work` goes on.
pub fn follow_all<T>(app: &App, all: &[Watched], work: impl FnOnce() -> T) -> T {
    app.begin();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| watch(app, all, &over));
        let result = work();
        over.store(true, Ordering::SeqCst);
        for one in all {
            one.board.wake();
        }
        result
    })
}

/// How long a watcher sleeps between looks.
const TURN: Duration = Duration::from_millis(200);

fn watch(app: &App, all: &[Watched], over: &AtomicBool) {
    let mut next = vec![0; all.len()];
    let (mut meter, mut sum) = (Meter::default(), Sum::default());
    loop {
        let last_turn = over.load(Ordering::SeqCst);
        if !last_turn {
            match (all, next.as_slice()) {
                ([one], [from]) => drop(one.board.wait_for(*from, TURN)),
                _ => std::thread::sleep(TURN / 2),
            }
        }
        for (one, from) in all.iter().zip(&mut next) {
            for event in one.board.since(*from) {
                *from = event.seq + 1;
                tell(app, &event, one);
            }
        }
        if last_turn {
            break;
        }
        if app.out.shows_progress() {
            let now = app.desk.clock.now();
            if let [one] = all {
                meter.take(now, &one.board.progress());
                app.out.status(&meter.line(now));
            } else {
                app.out.status(&sum.line(all, now));
            }
        }
    }
    app.out.clear_status();
}

fn tell(app: &App, event: &Event, run: &Watched) {
    app.out.document("event", event);
    let Some((word, text)) = event_phrase(event, Some(run.plan)) else { return };
    match run.job {
        Some(job) => app.out.aside(format!("{}: {word} {text}", job.place)),
        None if word == "run" => app.out.aside(format!("run {text}")),
        None => app.out.aside(format!("  {word:<7} {text}")),
    }
}

/// Bytes of several runs together.
#[derive(Default)]
struct Sum {
    meter: Meter,
    /// Of each run: the bytes of its stretch when it was looked at last.
    seen: Vec<u64>,
    total: u64,
}

impl Sum {
    /// One line: how far they are together, then who is at work.
    fn line(&mut self, all: &[Watched], now: Timestamp) -> String {
        self.seen.resize(all.len(), 0);
        let (mut over, mut at_work) = (0, Vec::new());
        for (one, seen) in all.iter().zip(&mut self.seen) {
            let bytes = one.board.progress().bytes;
            // A new stretch counts from nothing again.
            self.total += if bytes < *seen { bytes } else { bytes - *seen };
            *seen = bytes;
            match one.job.map(|job| (job, job.phase())) {
                Some((_, Phase::Over)) => over += 1,
                Some((job, Phase::Running)) => at_work.push(job.place.to_string()),
                _ => {}
            }
        }
        self.meter.take(now, &Progress { bytes: self.total, ..Progress::default() });
        let pace = self
            .meter
            .pace(now)
            .map(|pace| format!(" {}, {}/s, {}:", pace.amount(), ByteSize(pace.rate), pace.motion_text()));
        let pace = pace.unwrap_or_default();
        format!("{over} of {} done, {} at work;{pace} {}", all.len(), at_work.len(), at_work.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_several_runs_add_up_over_their_stretches() {
        let (one, two) = (Board::default(), Board::default());
        let plan: Plan = serde_json::from_value(serde_json::json!({
            "command": {"do": "backup", "item": {"owner": "a", "service": "b", "item": "c"}},
            "basis": {}, "choices": [], "gates": [], "guards": [], "steps": [], "leaves": [],
        }))
        .unwrap();
        let watched = [&one, &two].map(|board| Watched { board, plan: &plan, job: None });
        let mut sum = Sum::default();
        let at = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(sum.line(&watched, at(0)), "0 of 2 done, 0 at work; ");
        one.begin("first".into(), 0);
        one.moved(1000);
        two.moved(24);
        assert!(sum.line(&watched, at(1)).starts_with("0 of 2 done, 0 at work; 1.00 KiB, "));
        one.begin("second".into(), 0);
        one.moved(10);
        sum.line(&watched, at(2));
        assert_eq!(sum.total, 1034);
    }
}
