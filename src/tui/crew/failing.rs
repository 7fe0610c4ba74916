//! What the console is told when a worker fails inside, so that no page waits for an answer that never comes.

use jiff::Timestamp;

use crate::model::exit::{Exit, Failure};
use crate::tui::message::{Compared, Notice, Order, Tone};

/// Said of a worker that panicked.
pub const FAILED_INSIDE: &str = "A worker failed inside; this is a mistake in Lifeboat.";

fn failure() -> Failure {
    Failure::new(Exit::Failed, FAILED_INSIDE).hint("The log has the rest.")
}

/// The answers of an order that failed inside.
pub fn notices_of_failure(order: &Order) -> Vec<Notice> {
    let one = match order {
        Order::ReadVault => Notice::Vault(Err(failure())),
        Order::Look(owners) => {
            return owners.iter().map(|owner| Notice::Looked(owner.clone(), Timestamp::now())).collect();
        }
        Order::ReadRuns => Notice::Runs(Err(failure())),
        Order::ReadRun(run) => Notice::Run(run.clone(), Box::new(Err(failure()))),
        Order::ReadRunsOn(host) => Notice::RunsOn(host.clone(), Err(failure())),
        Order::ReadKept(host) => Notice::Kept(host.clone(), Err(failure())),
        Order::Plan(job, _) => Notice::Planned(*job, Box::new(Err(failure()))),
        Order::LookAhead(job, ..) => Notice::Ahead(*job, Box::new(Err(failure()))),
        Order::Discover(host) => Notice::Discovered(host.clone(), Err(failure())),
        Order::ReadSnapshot(item, id) => Notice::Snapshot(item.clone(), id.clone(), Err(failure())),
        Order::LookInside(peek) => Notice::Inside(peek.clone(), Err(failure())),
        Order::Diff(old, new) => {
            Notice::Compared(Box::new(Compared { old: old.clone(), new: new.clone(), found: Err(failure()) }))
        }
        Order::Practise(..) => Notice::Practised(Tone::Bad, FAILED_INSIDE.to_owned()),
        Order::Reload => Notice::Reloaded(Err(failure())),
        Order::Shell(host) => Notice::Shell(host.clone(), Box::new(Err(failure()))),
        // Nobody waits for these; a job tells its own end.
        Order::Remember(_) | Order::ReadPractice | Order::Run(..) | Order::Do(..) | Order::Cancel(_) => {
            return Vec::new();
        }
    };
    vec![one]
}
