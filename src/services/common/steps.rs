//! How drivers make steps: names, paths and the two steps the engine itself carries out.

use serde_json::{Value, json};

use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::{GuardId, HostId, StepId};
use crate::model::item::Item;
use crate::model::plan::{Effect, OnLapse, Step};
use crate::model::units::Seconds;

/// The name of the capture op, carried out by the engine because it writes the vault.
pub const CAPTURE: &str = "capture/1";
/// The name of the delivery op, carried out by the engine because it reads the vault.
pub const DELIVER: &str = "deliver/1";

/// Makes the steps of one host.
#[derive(Debug, Clone)]
pub struct StepMaker {
    host: HostId,
    guard: Option<GuardId>,
    on_lapse: Option<OnLapse>,
}

impl StepMaker {
    /// Steps on `host`, without a guard.
    pub fn on(host: &HostId) -> Self {
        Self { host: host.clone(), guard: None, on_lapse: None }
    }
    /// The following steps are answered for by `guard`, which does `on_lapse` from the moment each begins.
    #[must_use]
    pub fn guarded(&self, guard: &GuardId, on_lapse: OnLapse) -> Self {
        Self { host: self.host.clone(), guard: Some(guard.clone()), on_lapse: Some(on_lapse) }
    }
    /// A step that may take ten minutes; change `timeout` where that is wrong.
    pub fn step(&self, id: &str, title: &str, op: &str, args: Value, effect: Effect) -> Result<Step> {
        let id = StepId::new(id).map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
        Ok(Step {
            id,
            host: self.host.clone(),
            title: title.into(),
            timeout: Seconds(600),
            op: op.to_owned(),
            args,
            effect,
            guard: self.guard.clone(),
            on_lapse: self.on_lapse,
        })
    }
}

/// A step that copies an item's bytes off the node into the vault. `source` goes to [`super::super::Driver::source`].
pub fn capture_step(maker: &StepMaker, kind: &str, item: &Item, source: Value) -> Result<Step> {
    // The size is told in the preview from the item itself; in the plan it would make every plan another one.
    let item = Item { size: None, ..item.clone() };
    let args = json!({"kind": kind, "item": item, "source": source});
    let mut step = maker.step("capture", &format!("Copy the {} off", item.title), CAPTURE, args, Effect::Read)?;
    step.timeout = Seconds(86_400);
    Ok(step)
}

/// The argument of a capture that keeps what is damaged on the node.
pub const KEEPS_DAMAGED: &str = "keeps_damaged";

/// The capture goes on past parts that are damaged on the node already, where the format can tell them from the rest. The
/// snapshot names them and is not *verified*.
#[must_use]
pub fn keeping_damaged(mut step: Step) -> Step {
    step.args[KEEPS_DAMAGED] = true.into();
    step
}

/// A capture whose source stops the service for a while; `undo` is the node's own text that brings everything back at
/// any moment of it, `{run}` standing for the run.
pub fn stopping_capture_step(maker: &StepMaker, kind: &str, item: &Item, source: Value, undo: &str) -> Result<Step> {
    let mut step = capture_step(maker, kind, item, source)?;
    step.effect = Effect::Quiesce;
    step.args["undo"] = undo.into();
    Ok(step)
}

/// A step that brings a snapshot's bytes onto the node, into a place nothing reads yet. `sink` goes to
/// [`super::super::Driver::sink`]; `undo` is `sh` text that removes what was delivered, `{run}` standing for the run.
pub fn deliver_step(maker: &StepMaker, kind: &str, title: &str, sink: Value, undo: Option<String>) -> Result<Step> {
    let args = json!({"kind": kind, "sink": sink, "undo": undo});
    let mut step = maker.step("deliver", title, DELIVER, args, Effect::Write)?;
    step.timeout = Seconds(86_400);
    Ok(step)
}

/// Where the new `target` is staged: beside it, so that the swap is one rename. `{run}` is filled in when the step runs,
/// so that a plan's hash does not depend on when it runs.
pub fn staged_path(target: &str) -> String {
    beside(target, "new")
}

/// Where the old `target` is kept aside.
pub fn kept_path(target: &str) -> String {
    beside(target, "kept")
}

/// Where what stood in place of `target` by then is kept aside when a run is undone by itself, after it was in use. A
/// rollback, which is a run of its own, needs no other name than [`kept_path`].
pub fn since_path(target: &str) -> String {
    beside(target, "since.kept")
}

pub(super) fn beside(target: &str, what: &str) -> String {
    let target = target.trim_end_matches('/');
    let (parent, name) = target.rsplit_once('/').unwrap_or(("", target));
    format!("{parent}/.{name}.lifeboat-{{run}}.{what}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn staged_and_kept_stand_beside_their_target() {
        assert_eq!(
            staged_path("/home/avax/.avalanchego/staking/"),
            "/home/avax/.avalanchego/.staking.lifeboat-{run}.new"
        );
        assert_eq!(kept_path("/x"), "/.x.lifeboat-{run}.kept");
        assert_eq!(since_path("/x"), "/.x.lifeboat-{run}.since.kept");
    }
}
