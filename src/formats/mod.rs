//! Pure readers of every artefact: nothing here opens a file of the operator's, a socket or a clock.
//!
//! Everything a node hands over is read here first, from a stream given by the caller, by code that believes nothing in
//! it: lengths are limits and never allocations, names are bytes shown only escaped, every count has an end, and every
//! error says what is wrong and where. This is the surface that is fuzzed.
//!
//! What needs random access (a SQLite database) is spilled to a private directory and unlinked: [`sqlite`] says how. No
//! item that holds secrets is.
//!
//! [`verifier`] is how the rest of the program checks an artefact: by the format's name in a manifest, file after file,
//! as the bytes stream past. [`look()`] shows rows of what is inside. The readers themselves:
//!
//! | module | reads |
//! |---|---|
//! | [`pem`] | PEM files |
//! | [`staking`], [`node_id`], [`bls`] | an Avalanche node's identity |
//! | [`expand`] | gzip and zstd streams |
//! | [`mod@tar`] | tar archives |
//! | [`consul_snap`], [`msgpack_skip`] | Consul snapshots |
//! | [`netdata`], [`dbengine`], [`sqlite`] | a Netdata agent's configuration, identity and metrics |

pub mod bls;
pub mod consul_snap;
pub mod dbengine;
mod error;
pub mod expand;
pub mod look;
pub mod msgpack_skip;
pub mod netdata;
pub mod node_id;
pub mod pem;
pub mod sqlite;
pub mod staking;
mod stream;
pub mod tar;
mod text;
mod verify;

pub use error::FormatError;
pub use look::{Only, Part, Rows, Wanted, look, look_for};
pub use text::EntryName;
pub use verify::{Damaged, FORMATS, Verdict, Verifier, verifier};
