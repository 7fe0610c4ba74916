//! Files and paths into the model.
//!
//! The inventory is read once and whole: either every name is unique, every reference resolves and every value is
//! possible, or the operator gets all mistakes at once, each with its line and what to do about it.

mod checks;
mod error;
mod halves;
mod hosts;
mod keys;
mod load;
pub mod paths;
mod policy;
pub mod prompt;
mod reader;
pub mod secrets;
pub mod selector;
mod shell;
pub(crate) mod small;
mod ssh_config;
pub mod target;
pub mod terminal;
mod values;
mod write;

pub use error::{ConfigError, failure};
pub use keys::known_keys;
pub use load::{CheckService, LONGEST, Loaded, WrongSetting, digest_of, load_checked, load_inventory, parse_inventory};
pub use policy::effective_policy;
pub use ssh_config::inventory_from_ssh_config;
pub use write::set_vault_id;
