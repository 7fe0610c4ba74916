//! Pure data: the words of Lifeboat, without input or output.
//!
//! Every layer above speaks in these types. They are plain values that serialise to JSON, so the same
//! value is shown in a preview, journalled, printed by `--json` and read back after a crash.

pub mod clock;
pub mod event;
pub mod exit;
pub mod facts;
pub mod ids;
pub mod inventory;
pub mod item;
pub mod manifest;
pub mod plan;
pub mod secret;
pub mod text;
pub mod units;
