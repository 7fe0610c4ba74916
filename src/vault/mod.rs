//! The vault: where snapshots lie, how they get there whole, and how they are read, checked and proven.
//!
//! `docs/vault-format.md` is the specification. Nothing here knows a service: payloads are named streams of bytes,
//! and what they mean is checked by the caller on the plain stream.

mod about;
mod card;
mod catalogue;
mod check;
mod console;
mod disk;
mod error;
mod finding;
mod home;
mod journal;
mod keygen;
mod keys;
mod last;
mod lease;
mod leftover;
mod name;
mod reader;
mod receipt;
mod run;
mod seal;
mod select;
mod snapshot;
mod staging;
mod sums;
mod writer;

pub use card::{CardRecipe, CardStep, Place, quoted, render_card};
pub use catalogue::Catalogue;
pub use console::ConsoleKey;
pub use disk::Tick;
pub use error::VaultError;
pub use finding::{Finding, Trouble};
pub use home::{VAULT_FORMAT, Vault};
pub use journal::{Journal, JournalEntry, Replay};
pub use keygen::make_key;
pub use keys::{AskPassphrase, Keys};
pub use lease::{Holder, LEASE_LIFE, Lease};
pub use leftover::{Leftover, Owner};
pub use name::{directory_name, file_name, is_stamp, item_of_path};
pub use reader::ClearReader;
pub use receipt::{Chain, Receipt, ReceiptBefore};
pub use run::{Reserve, RunDir};
pub use seal::Sealing;
pub use select::{Candidate, DOUBT, Policy, Selected, SnapshotRef, Which, choose_best};
pub use snapshot::{PROOF_VERSION, Snapshot};
pub use staging::{PublishStep, Published, StageRequest, Staging, Watch};
pub use writer::{FileMeta, FileWriter};
