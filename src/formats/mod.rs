//! Pure readers of every artefact.

pub mod bls;
pub mod expand;
pub mod node_id;
pub mod pem;
pub mod staking;
pub mod tar;
mod text;
pub use text::EntryName;
