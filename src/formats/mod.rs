//! Pure readers of every artefact.

pub mod bls;
pub mod consul_snap;
pub mod expand;
pub mod msgpack_skip;
pub mod node_id;
pub mod pem;
pub mod staking;
pub mod tar;
mod text;
pub use text::EntryName;
