//! Pure readers of every artefact.

pub mod bls;
pub mod node_id;
pub mod pem;
pub mod staking;
mod text;
pub use text::EntryName;
