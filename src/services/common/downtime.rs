//! The stretch of a plan in which a service is down: stop, what needs it, start, all answered for by one guard.
//!
//! Every driver that stops something makes its steps here, so that each plan says the same of who brings the service
//! back: until the start begins the node itself would undo, from then on it would go forward.

use serde_json::{Value, json};

use super::command::DeclaredArgs;
use super::steps::StepMaker;
use super::swap::{SWAP, SwapArgs};
use super::unit::{START_UNIT, STOP_UNIT};
use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::{GuardId, HostId, UnitName};
use crate::model::plan::{Effect, Guard, OnLapse, Step};
use crate::model::units::Seconds;

/// A stop, a start, and what is done by whom between them.
#[derive(Debug, Clone)]
pub struct Downtime {
    guard: Option<Guard>,
    held: StepMaker,
    forward: StepMaker,
    stop: Option<Step>,
    start: Option<Step>,
}

impl Downtime {
    /// Nothing is stopped: the steps between stand alone, and no node does anything by itself.
    pub fn none(host: &HostId) -> Self {
        let plain = StepMaker::on(host);
        Self { guard: None, held: plain.clone(), forward: plain, stop: None, start: None }
    }

    /// `unit` is stopped and held, and started again; `guard` is the guard's name in the plan.
    pub fn of(host: &HostId, guard: &str, unit: &UnitName) -> Result<Self> {
        let args = json!({"unit": unit});
        let mut down = Self::guarded(host, guard, vec![unit.clone()])?;
        let title = format!("Stop {unit}");
        down.stop = Some(down.held.step("stop", &title, STOP_UNIT, args.clone(), Effect::Quiesce)?);
        let title = format!("Start {unit}");
        down.start = Some(down.forward.step("start", &title, START_UNIT, args, Effect::Write)?);
        Ok(down)
    }

    /// Declared commands make things hold still and let them go again. `resume` is the op and arguments of letting go,
    /// because what undoes it differs: see the driver that declares it.
    pub fn declared(host: &HostId, guard: &str, quiesce: DeclaredArgs, resume: (&str, Value)) -> Result<Self> {
        let mut down = Self::guarded(host, guard, Vec::new())?;
        let args = serde_json::to_value(quiesce).map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
        let title = "Make the files hold still";
        down.stop = Some(down.held.step("quiesce", title, "command.run/1", args, Effect::Quiesce)?);
        let (op, args) = resume;
        down.start = Some(down.forward.step("resume", "Let the files go again", op, args, Effect::Write)?);
        Ok(down)
    }

    fn guarded(host: &HostId, guard: &str, units: Vec<UnitName>) -> Result<Self> {
        let id = GuardId::new(guard).map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
        let plain = StepMaker::on(host);
        Ok(Self {
            held: plain.guarded(&id, OnLapse::Revert),
            forward: plain.guarded(&id, OnLapse::Start),
            // The choice `guard` says how long; see the planner.
            guard: Some(Guard { id, host: host.clone(), units, lapse: Seconds(120) }),
            stop: None,
            start: None,
        })
    }

    /// Makes steps while the service is down: the node undoes them if nothing is heard.
    pub fn held(&self) -> &StepMaker {
        &self.held
    }

    /// Makes steps once it was started: the node goes forward if nothing is heard.
    pub fn forward(&self) -> &StepMaker {
        &self.forward
    }

    /// The swap, while the service is down.
    pub fn swap(&self, title: &str, swap: &SwapArgs) -> Result<Step> {
        self.held.step("swap", title, SWAP, json!(swap), Effect::Destroy)
    }

    /// The whole stretch: stop, `between`, start.
    pub fn around(&self, between: impl IntoIterator<Item = Step>) -> Vec<Step> {
        self.stop.iter().cloned().chain(between).chain(self.start.clone()).collect()
    }

    /// The guard, for the plan; none when nothing is stopped.
    pub fn guard(&self) -> Option<Guard> {
        self.guard.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_node_goes_back_until_the_start_and_forward_from_there() {
        let host = HostId::new("n1").unwrap();
        let down = Downtime::of(&host, "service", &UnitName::new("app.service").unwrap()).unwrap();
        let swap = down.swap("Swap", &SwapArgs { entries: Vec::new() }).unwrap();
        let accept = down.forward().step("accept", "Ask", "command.run/1", Value::Null, Effect::Read).unwrap();
        let steps: Vec<_> = down.around([swap]).into_iter().chain([accept]).collect();
        let lapses: Vec<_> = steps.iter().map(|step| (step.id.as_str(), step.on_lapse)).collect();
        let (back, on) = (Some(OnLapse::Revert), Some(OnLapse::Start));
        assert_eq!(lapses, [("stop", back), ("swap", back), ("start", on), ("accept", on)]);
        assert!(steps.iter().all(|step| step.guard == down.guard().map(|guard| guard.id)));
    }

    #[test]
    fn without_a_stop_nothing_is_guarded() {
        let down = Downtime::none(&HostId::new("n1").unwrap());
        let swap = down.swap("Swap", &SwapArgs { entries: Vec::new() }).unwrap();
        assert_eq!(down.around([swap.clone()]), std::slice::from_ref(&swap));
        assert_eq!((swap.guard, swap.on_lapse, down.guard()), (None, None, None));
    }
}
