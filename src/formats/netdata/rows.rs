//! Rows of what is inside: dimensions by name with their times, and files with what they are.

use super::error::NetdataError;
use super::identity::{parse_guid, small};
use super::meta::{Databases, has_tables, uuid};
use super::names::{Known, Member, member, tier};
use crate::formats::dbengine::{Page, read_data_file_by_sums};
use crate::formats::error::FormatError;
use crate::formats::look::Page as View;
use crate::formats::sqlite::{SqliteError, cell};
use crate::formats::tar::{EntryKind, TarEntry};
use crate::formats::verify::Archives;
use std::collections::HashMap;
use std::io::{self, Read};

/// The columns of [`look_metrics`].
pub(in crate::formats) const METRIC_COLUMNS: &[&str] = &["host", "chart", "dimension", "name", "tiers", "from", "to"];

/// The columns of [`look_files`].
pub(in crate::formats) const FILE_COLUMNS: &[&str] = &["name", "kind", "size", "mode", "what it is"];

/// The most metrics whose times are told: 33 bytes each.
const MAX_METRICS: usize = 450_000;

/// When a metric has samples, in seconds since 1970, and in which tiers.
struct Seen {
    from: u32,
    to: u32,
    tiers: u8,
}

/// Every dimension with its host and chart, in their order, and when it has samples.
///
/// The whole archive is read, since names and samples lie in different files of it. A dimension without samples has no
/// times; the times are those of the data files of this one archive, as far as each can be read: a page proves nothing.
pub(in crate::formats) fn look_metrics(
    path: &str,
    input: &mut dyn Read,
    view: &mut View<'_>,
) -> Result<(), FormatError> {
    let mut databases = Databases::default();
    let mut seen: HashMap<[u8; 16], Seen> = HashMap::new();
    Archives::default().read(path, input, |entry, content| {
        if entry.kind != EntryKind::File {
            return Ok(());
        }
        let (directory, is) = member(entry.name.as_bytes());
        let level = tier(directory).unwrap_or(0);
        match is {
            Member::Data { .. } => {
                let mut page = |page: &Page| see(&mut seen, page, level);
                let read = read_data_file_by_sums(content, &mut page, &mut |_| Ok(()));
                match read.map_err(|fault| NetdataError::Dbengine { path: entry.name.clone(), fault }) {
                    // What follows the damage is not read; the other files are looked at all the same.
                    Err(error) if error.leaves_the_rest_readable() => {
                        io::copy(content, &mut io::sink()).map_err(|error| FormatError::io(path, error))?;
                    }
                    Err(error) => return Err(error.into()),
                    Ok(_) => {}
                }
            }
            Member::Database(Known::Meta) => databases.store(directory, Known::Meta.name(), path, content)?,
            Member::Log(Known::Meta) => databases.store(directory, Known::Meta.log(), path, content)?,
            _ => {}
        }
        Ok(())
    })?;
    if !databases.has(Known::Meta) {
        return Err(FormatError::Missing { path: Known::Meta.name() });
    }
    let fault = |fault| NetdataError::Sqlite { path: Known::Meta.name(), fault };
    let database = databases.open(Known::Meta)?;
    if has_tables(&database).map_err(fault)? {
        list(&database.connection, &seen, view).map_err(fault)?;
    }
    Ok(())
}

fn see(seen: &mut HashMap<[u8; 16], Seen>, page: &Page, level: u8) {
    if !page.is_usable() || (seen.len() >= MAX_METRICS && !seen.contains_key(&page.metric)) {
        return;
    }
    let second = |microseconds: u64| u32::try_from(microseconds / 1_000_000).unwrap_or(u32::MAX);
    let (from, to) = (second(page.start_us), second(page.end_us));
    let metric = seen.entry(page.metric).or_insert(Seen { from, to, tiers: 0 });
    *metric = Seen { from: metric.from.min(from), to: metric.to.max(to), tiers: metric.tiers | 1 << level };
}

fn list(
    connection: &rusqlite::Connection,
    seen: &HashMap<[u8; 16], Seen>,
    view: &mut View<'_>,
) -> Result<(), SqliteError> {
    let mut query = connection.prepare(
        "SELECT h.hostname, c.type, c.id, d.id, d.name, d.dim_id FROM dimension d
         LEFT JOIN chart c ON c.chart_id = d.chart_id LEFT JOIN host h ON h.host_id = c.host_id
         ORDER BY h.hostname, c.type, c.id, d.id, d.dim_id LIMIT ?1 OFFSET ?2",
    )?;
    let (limit, from) = view.window();
    let mut rows = query.query([limit, from])?;
    while let Some(row) = rows.next()? {
        let mut cells = Vec::with_capacity(METRIC_COLUMNS.len());
        cells.push(cell(row.get_ref(0)?));
        cells.push(format!("{}.{}", cell(row.get_ref(1)?), cell(row.get_ref(2)?)));
        cells.push(cell(row.get_ref(3)?));
        cells.push(cell(row.get_ref(4)?));
        let times = uuid(row.get_ref(5)?).and_then(|id| seen.get(&id));
        let tiers = times.map_or(0, |times| times.tiers);
        let tiers: Vec<String> = (0..8).filter(|tier| tiers & 1 << tier != 0).map(|tier| tier.to_string()).collect();
        cells.push(tiers.join(" "));
        let at = |second: u32| {
            jiff::Timestamp::new(i64::from(second), 0).map_or_else(|_| "?".to_owned(), |at| at.to_string())
        };
        cells.push(times.map_or_else(String::new, |times| at(times.from)));
        cells.push(times.map_or_else(String::new, |times| at(times.to)));
        if view.add_at(cells).is_break() {
            break;
        }
    }
    Ok(())
}

/// The files of a configuration or an identity, and what each is to an agent. Of secrets only that they are there.
pub(in crate::formats) fn look_files(path: &str, input: &mut dyn Read, view: &mut View<'_>) -> Result<(), FormatError> {
    let read = Archives::default().read(path, input, |entry, content| {
        let row = [
            entry.name.escaped(),
            entry.kind.to_string(),
            entry.size.to_string(),
            format!("{:04o}", entry.mode),
            meaning(path, entry, content)?,
        ];
        match view.add(|| row.to_vec()) {
            std::ops::ControlFlow::Continue(()) => Ok(()),
            // The page is full; what follows need not be read.
            std::ops::ControlFlow::Break(()) => Err(FormatError::io(path, io::ErrorKind::QuotaExceeded.into())),
        }
    });
    match read {
        Err(_) if view.is_full() => Ok(()),
        read => read,
    }
}

fn meaning(path: &str, entry: &TarEntry, content: &mut dyn Read) -> Result<String, FormatError> {
    if entry.kind != EntryKind::File {
        return Ok(String::new());
    }
    let said = match member(entry.name.as_bytes()).1 {
        Member::Guid | Member::ClaimedId => return Ok(id(&small(path, content)?)),
        Member::CloudConf => "claim to the cloud",
        Member::ClaimKey => "private key of the claim (secret)",
        Member::ClaimToken => "claim token (secret)",
        Member::ApiKey => "management API key (secret)",
        Member::NetdataConf => "main configuration",
        Member::StreamConf => "streaming, with its keys (secret)",
        Member::ClaimConf => "claim to the cloud, with its token (secret)",
        Member::InstallFile => "how this agent was installed; not for another install",
        Member::Sentinel => "makes the agent repair a database; not to be restored",
        Member::Database(_) | Member::Log(_) | Member::OtherDatabase => "database, not opened",
        Member::Data { .. } | Member::Journal { .. } | Member::Index { .. } | Member::Stray | Member::Other => "",
    };
    Ok(said.to_owned())
}

/// A GUID is shown only when it is one: a file of that name may hold anything.
fn id(bytes: &[u8]) -> String {
    parse_guid(bytes).unwrap_or_else(|| format!("no UUID ({} bytes)", bytes.len()))
}
