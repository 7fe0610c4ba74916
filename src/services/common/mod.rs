//! What every service needs: scripts under a run's mark, units, swaps, fences, and how steps are made.

mod answers;
mod command;
mod discard;
mod downtime;
mod fence;
pub mod http;
mod node;
mod reader;
mod steps;
mod still;
mod swap;
mod tar_members;
mod unit;

pub use answers::{Answers, PUT};
pub use command::DeclaredArgs;
pub use discard::DiscardArgs;
pub use downtime::Downtime;
pub use fence::{FENCE_CHOICE, Fencing, fence_choice, plan_fencing};
pub use node::{
    NODE_DIR, SHOW_FENCE, UNIT_PROPERTIES, args_of, as_failure, finish_change, probe_unit, read_node, run_change,
    run_change_with, start_change, text_of, unit_facts,
};
pub use reader::ScriptReader;
pub use steps::{
    CAPTURE, DELIVER, StepMaker, capture_step, deliver_step, kept_path, staged_path, stopping_capture_step,
};
pub use still::{Still, StillArgs, stage_path};
pub use swap::{SwapArgs, SwapEntry};

use super::Op;

/// The ops any driver's plan may use.
pub static OPS: &[&dyn Op] =
    &[&unit::Stop, &unit::Start, &fence::Fence, &fence::Absent, &swap::Swap, &command::Declared, &discard::Discard];
