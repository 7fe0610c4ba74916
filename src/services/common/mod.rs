//! What every service needs: scripts under a run's mark, units, swaps, fences, and how steps are made.

mod answers;
mod command;
mod discard;
mod downtime;
mod fence;
pub mod http;
mod node;
mod own;
mod pour;
mod reader;
mod readiness;
mod roots;
mod steps;
mod still;
mod swap;
mod tar_members;
mod tls;
mod unit;

pub use answers::{Answers, PUT};
pub use command::{DeclaredArgs, in_shell};
pub use discard::DiscardArgs;
pub use downtime::Downtime;
pub use fence::{FENCE_CHOICE, FENCE_UNIT, Fencing, declaration, fence_choice, plan_fencing};
pub use node::{
    NODE_DIR, SHOW_FENCE, UNIT_PROPERTIES, args_of, as_failure, exit_of, finish_change, judge_change, probe_unit,
    read_node, run_change, run_change_with, start_change, telling_line, text_of, unit_facts, with_room_made,
};
pub use own::{own_facts, own_value};
pub use pour::{feed, pour};
pub use reader::ScriptReader;
pub use readiness::Readiness;
pub use roots::strange_roots;
pub use steps::{
    CAPTURE, DELIVER, KEEPS_DAMAGED, StepMaker, capture_step, deliver_step, keeping_damaged, kept_path, since_path,
    staged_path, stopping_capture_step,
};
pub use still::{Still, StillArgs, stage_path};
pub use swap::{SWAP, SwapArgs, SwapEntry, has_room_beside};
pub use tls::{Expects, Pair, Trust};
pub use unit::{START_UNIT, STOP_UNIT};

use super::Op;

/// The ops any driver's plan may use.
pub static OPS: &[&dyn Op] =
    &[&unit::Stop, &unit::Start, &fence::Fence, &fence::Absent, &swap::Swap, &command::Declared, &discard::Discard];
