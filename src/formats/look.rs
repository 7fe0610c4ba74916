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
use std::collections::VecDeque;
use std::io::Read;
use std::ops::ControlFlow;

/// A page of rows. Every cell is escaped: nothing in it can act on a terminal.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rows {
    /// The columns' names.
    pub columns: &'static [&'static str],
    /// The page's rows, one cell for each column.
    pub rows: Vec<Vec<String>>,
    /// The number of the first of them, among those that are wanted.
    pub from: u64,
    /// How many are wanted in all; only where the artefact was read to its end for it.
    pub total: Option<u64>,
    /// Whether more rows follow. When they do, the rest of the artefact was not read: a page proves nothing.
    pub more: bool,
}

/// Which page is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// From a row on.
    From(u64),
    /// The last rows. The artefact is read to its end.
    End,
}

/// Which rows are wanted among all, by their cells.
pub type Only<'w> = &'w dyn Fn(&[String]) -> bool;

/// Which rows are wanted.
pub struct Wanted<'w> {
    /// Which page of them.
    pub part: Part,
    /// At most so many.
    pub rows: usize,
    /// Of which rows: what it lets pass is numbered from 0. The artefact is read to its end, so that they are counted.
    pub only: Option<Only<'w>>,
}

/// As [`look_for`], of all rows and from a row on.
///
/// # Errors
/// As [`look_for`].
pub fn look(format: &str, path: &str, input: &mut dyn Read, from_row: u64, rows: usize) -> Result<Rows, FormatError> {
    look_for(format, path, input, &Wanted { part: Part::From(from_row), rows, only: None })
}

/// Shows a page of one file of an artefact: archive entries, keys with their sizes, metrics by name, or the facts of an
/// identity.
///
/// Never shows a secret: of keys and values only names and sizes.
///
/// # Errors
/// [`FormatError::Unknown`] for a format without a view, and what the reader finds before the page is full.
pub fn look_for(format: &str, path: &str, input: &mut dyn Read, wanted: &Wanted) -> Result<Rows, FormatError> {
    let mut page = Page { wanted, seen: 0, rows: VecDeque::new(), more: false };
    let columns: &'static [&'static str] = match format {
        "tar/1" => {
            tar(path, input, &mut page)?;
            &["name", "kind", "size", "mode", "owner", "modified", "link"]
        }
        "consul-snap/1" => {
            match read_consul_snap(input, &SnapOptions::default(), &mut page) {
                Ok(_) => {}
                Err(SnapError::Stopped { .. }) if page.is_full() => {}
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
    Ok(page.into_rows(columns))
}

/// The page being filled. It never holds more rows than are wanted.
pub(super) struct Page<'w> {
    wanted: &'w Wanted<'w>,
    /// Rows so far; of those that are wanted only, where these are told from others.
    seen: u64,
    rows: VecDeque<Vec<String>>,
    more: bool,
}

impl Page<'_> {
    /// Whether the artefact is read to its end whatever the page holds.
    fn reads_all(&self) -> bool {
        self.wanted.only.is_some() || self.wanted.part == Part::End
    }

    fn from(&self) -> u64 {
        match self.wanted.part {
            Part::From(from) => from,
            Part::End => self.seen.saturating_sub(u64::try_from(self.rows.len()).unwrap_or(u64::MAX)),
        }
    }

    fn into_rows(self, columns: &'static [&'static str]) -> Rows {
        let (from, total) = (self.from(), self.reads_all().then_some(self.seen));
        Rows { columns, rows: self.rows.into(), from, total, more: self.more }
    }

    /// How many rows to ask a database for, one more than the page holds, and how many to pass over.
    pub(super) fn window(&self) -> (i64, i64) {
        if self.reads_all() {
            return (i64::MAX, 0);
        }
        let rows = i64::try_from(self.wanted.rows).unwrap_or(i64::MAX).saturating_add(1);
        (rows, i64::try_from(self.from()).unwrap_or(i64::MAX))
    }

    /// Takes a row that was asked for by [`Self::window`].
    pub(super) fn add_at(&mut self, row: Vec<String>) -> ControlFlow<()> {
        if !self.reads_all() {
            self.seen = self.seen.max(self.from());
        }
        self.add(|| row)
    }

    /// Whether there was more than the page holds, and nothing more was to be read.
    pub(super) fn is_full(&self) -> bool {
        self.more && !self.reads_all()
    }

    /// Takes a row if it is on the page; `Break` once nothing more needs to be read.
    pub(super) fn add(&mut self, row: impl FnOnce() -> Vec<String>) -> ControlFlow<()> {
        if self.reads_all() {
            self.count(row());
            return ControlFlow::Continue(());
        }
        self.seen += 1;
        if self.seen <= self.from() {
            return ControlFlow::Continue(());
        }
        if self.rows.len() >= self.wanted.rows {
            self.more = true;
            return ControlFlow::Break(());
        }
        self.rows.push_back(row());
        ControlFlow::Continue(())
    }

    /// Counts a row that is wanted, and keeps it if it is on the page.
    fn count(&mut self, row: Vec<String>) {
        if self.wanted.only.is_some_and(|only| !only(&row)) {
            return;
        }
        self.seen += 1;
        let is_full = self.rows.len() >= self.wanted.rows;
        match self.wanted.part {
            Part::From(from) if self.seen <= from => {}
            Part::From(_) if is_full => self.more = true,
            Part::From(_) => self.rows.push_back(row),
            Part::End => {
                if is_full {
                    self.rows.pop_front();
                }
                self.rows.push_back(row);
            }
        }
    }
}

impl SnapVisitor for Page<'_> {
    fn kv(&mut self, record: &KvRecord<'_>) -> ControlFlow<()> {
        let numbers = [record.value.len() as u64, record.flags, record.modify_index];
        self.add(|| std::iter::once(escaped(record.key)).chain(numbers.iter().map(ToString::to_string)).collect())
    }
}

fn tar(path: &str, input: &mut dyn Read, page: &mut Page<'_>) -> Result<(), FormatError> {
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
    match walk(plain, &TarLimits::of_a_node(), visit, None) {
        Ok(_) | Err(Walk::Visit { .. }) => Ok(()),
        Err(Walk::Tar(error)) => Err(error.into()),
    }
}

fn staking(path: &str, input: &mut dyn Read, page: &mut Page<'_>) -> Result<(), FormatError> {
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
