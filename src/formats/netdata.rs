//! What a Netdata agent keeps: three artefacts, each any number of tar archives whose members are relative to the root,
//! such as `var/lib/netdata/registry/netdata.public.unique.id`.
//!
//! | format | holds | must hold | secrets |
//! |---|---|---|---|
//! | `netdata-config/1` | the configuration directory | `netdata.conf` | stream keys, claim token: never read out |
//! | `netdata-identity/1` | the library directory | the machine GUID | claim key, API key: never read out |
//! | `netdata-metrics/1` | the cache directory | `netdata-meta.db`, `dbengine` | none |
//!
//! Members are known by their last parts, so that a static install below `/opt/netdata` reads the same. They may come
//! in any order: what one file of a pair names is kept in a list of 18 bytes an extent, which lies in an unlinked file
//! once it is large. Memory stays below 40 MiB whatever the size: mostly the ids of up to 900,000 metrics.
//!
//! Only the databases of `netdata-metrics/1` are spilled and opened, and of those the cache directory's own: that is where
//! the directories of samples nearest the archive's root are. A database inside the other two, which no agent up
//! to 2.11 has there, is hashed with the rest and said not to have been opened.

mod config;
mod error;
mod identity;
mod meta;
mod metrics;
mod names;
mod pairs;
mod relabel;
mod rows;
mod tally;

pub use config::NetdataConfig;
pub use error::NetdataError;
pub use identity::{NetdataIdentity, parse_guid};
pub use metrics::NetdataMetrics;
pub use relabel::Relabel;

pub(super) use rows::{FILE_COLUMNS, METRIC_COLUMNS, look_files, look_metrics};

#[cfg(test)]
mod tests;
