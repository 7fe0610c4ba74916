//! Rows of what is inside an artefact, a page at a time, for browsing.

use super::bls::parse_signer_key;
use super::consul_snap::{KvRecord, SnapError, SnapOptions, SnapVisitor, read_consul_snap};
use super::error::FormatError;
use super::expand::{ExpandLimits, expand};
use super::netdata::{FILE_COLUMNS, METRIC_COLUMNS, look_files, look_metrics};
use super::node_id::NodeId;
use super::pem::{PemLimits, first_certificate, parse_pem};
use super::staking::{StakingError, parse_certificate};
use super::tar::{TarEntry, TarLimits, Walk, walk};
use super::text::{escaped, hex};
use super::verify::wiped;
use std::io::Read;
use std::ops::ControlFlow;

/// A page of rows. Every cell is escaped: nothing in it can act on a terminal.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rows {
    /// The columns' names.
    pub columns: &'static [&'static str],
    /// The page's rows, one cell for each column.
    pub rows: Vec<Vec<String>>,
    /// Whether more rows follow. When they do, the rest of the artefact was not read: a page proves nothing.
    pub more: bool,
}

/// Shows a page of one file of an artefact: archive entries, keys with their sizes, metrics by name, or the facts of an
/// identity.
///
/// Never shows a secret: of keys and values only names and sizes.
///
/// # Errors
/// [`FormatError::Unknown`] for a format without a view, and what the reader finds before the page is full.
pub fn look(format: &str, path: &str, input: &mut dyn Read, from_row: u64, rows: usize) -> Result<Rows, FormatError> {
    let mut page = Page { from: from_row, seen: 0, limit: rows, rows: Vec::new(), more: false };
    let columns: &'static [&'static str] = match format {
        "tar/1" => {
            tar(path, input, &mut page)?;
            &["name", "kind", "size", "mode", "owner", "modified", "link"]
        }
        "consul-snap/1" => {
            match read_consul_snap(input, &SnapOptions::default(), &mut page) {
                Ok(_) => {}
                Err(SnapError::Stopped { .. }) if page.more => {}
                Err(error) => return Err(error.into()),
            }
            &["key", "bytes", "flags", "modified at"]
        }
        "staking/1" => {
            staking(path, input, &mut page)?;
            &["fact", "value"]
        }
        "netdata-metrics/1" => {
            look_metrics(path, input, &mut page)?;
            METRIC_COLUMNS
        }
        "netdata-config/1" | "netdata-identity/1" => {
            look_files(path, input, &mut page)?;
            FILE_COLUMNS
        }
        _ => return Err(FormatError::Unknown { name: format.as_bytes().into() }),
    };
    Ok(Rows { columns, rows: page.rows, more: page.more })
}

/// The page being filled.
pub(super) struct Page {
    from: u64,
    seen: u64,
    limit: usize,
    rows: Vec<Vec<String>>,
    more: bool,
}

impl Page {
    /// How many rows to ask a database for, one more than the page holds, and how many to pass over.
    pub(super) fn window(&self) -> (i64, i64) {
        let rows = i64::try_from(self.limit).unwrap_or(i64::MAX).saturating_add(1);
        (rows, i64::try_from(self.from).unwrap_or(i64::MAX))
    }

    /// Takes a row that was asked for by [`Self::window`].
    pub(super) fn add_at(&mut self, row: Vec<String>) -> ControlFlow<()> {
        self.seen = self.seen.max(self.from);
        self.add(|| row)
    }

    /// Whether there was more than the page holds.
    pub(super) const fn is_full(&self) -> bool {
        self.more
    }

    /// Takes a row if it is on the page; `Break` once the page is full and another row has shown there is more.
    pub(super) fn add(&mut self, row: impl FnOnce() -> Vec<String>) -> ControlFlow<()> {
        self.seen += 1;
        if self.seen <= self.from {
            return ControlFlow::Continue(());
        }
        if self.rows.len() >= self.limit {
            self.more = true;
            return ControlFlow::Break(());
        }
        self.rows.push(row());
        ControlFlow::Continue(())
    }
}

impl SnapVisitor for Page {
    fn kv(&mut self, record: &KvRecord<'_>) -> ControlFlow<()> {
        let numbers = [record.value.len() as u64, record.flags, record.modify_index];
        self.add(|| std::iter::once(escaped(record.key)).chain(numbers.iter().map(ToString::to_string)).collect())
    }
}

fn tar(path: &str, input: &mut dyn Read, page: &mut Page) -> Result<(), FormatError> {
    let plain = expand(input, &ExpandLimits::default()).map_err(|error| FormatError::io(path, error))?;
    let visit = |entry: &TarEntry, _: &mut dyn Read| {
        let row = || {
            let owner = |name: &[u8], number: u64| match name {
                b"" => number.to_string(),
                name => escaped(name),
            };
            let modified = jiff::Timestamp::new(entry.mtime, 0).map_or_else(|_| "?".to_owned(), |at| at.to_string());
            vec![
                entry.name.escaped(),
                entry.kind.to_string(),
                entry.size.to_string(),
                format!("{:04o}", entry.mode),
                format!("{}:{}", owner(entry.uname.as_bytes(), entry.uid), owner(entry.gname.as_bytes(), entry.gid)),
                modified,
                entry.link.as_ref().map(super::EntryName::escaped).unwrap_or_default(),
            ]
        };
        match page.add(row) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(()),
        }
    };
    match walk(plain, &TarLimits::of_a_node(), visit, |_, _| {}) {
        Ok(_) | Err(Walk::Visit { .. }) => Ok(()),
        Err(Walk::Tar(error)) => Err(error.into()),
    }
}

fn staking(path: &str, input: &mut dyn Read, page: &mut Page) -> Result<(), FormatError> {
    let bytes = wiped(path, input)?;
    let limits = PemLimits::default();
    let facts: Vec<(&str, String)> = match path {
        "staker.crt" => {
            let (block, more) = first_certificate(&bytes, &limits).map_err(StakingError::CertificatePem)?;
            let found = parse_certificate(&block.der).map_err(StakingError::Certificate)?;
            vec![
                ("node id", NodeId::from_certificate_sha256(&found.sha256).to_string()),
                ("key", found.key_algorithm.to_string()),
                ("sha256", hex(&found.sha256)),
                ("not before", found.not_before.to_string()),
                ("not after", found.not_after.to_string()),
                ("more certificates", more.to_string()),
            ]
        }
        "staker.key" => parse_pem(&bytes, &limits)
            .map_err(StakingError::KeyPem)?
            .into_iter()
            .map(|block| ("block", format!("{}, {} bytes", block.label, block.der.len())))
            .collect(),
        "signer.key" => {
            let found = parse_signer_key(&bytes).map_err(StakingError::Signer)?;
            vec![("bls public key", found.public_key), ("proof of possession", found.proof_of_possession)]
        }
        _ => return Err(FormatError::unexpected(path)),
    };
    for (name, value) in facts {
        if page.add(|| vec![name.to_owned(), value]).is_break() {
            break;
        }
    }
    Ok(())
}
