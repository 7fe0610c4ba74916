//! How an agent is set up: what a restore must know before the first start.

use super::identity::small;
use super::names::{Member, member};
use crate::formats::error::FormatError;
use crate::formats::tar::{EntryKind, TarEntry};
use crate::formats::text::shown;
use crate::formats::verify::{Archives, Verdict, Verifier};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Read;

/// The most settings of `[db]` that are told.
const MAX_SETTINGS: usize = 64;

/// Checks `netdata-config/1`: the configuration directory, with `netdata.conf` in it.
///
/// Of `netdata.conf` the section `[db]` is told, since a smaller limit deletes what was just restored. Of `stream.conf`
/// and `claim.conf`, which hold keys and tokens, only that they are there and whether streaming is on.
#[derive(Default)]
pub struct NetdataConfig {
    archives: Archives,
    found: Found,
}

#[derive(Default)]
struct Found {
    conf: bool,
    settings: BTreeMap<String, String>,
    streams: Option<bool>,
    claim: bool,
    install: u64,
    databases: u64,
}

impl Verifier for NetdataConfig {
    fn file(&mut self, path: &str, input: &mut dyn Read) -> Result<(), FormatError> {
        let found = &mut self.found;
        self.archives.read(path, input, |entry, content| found.see(path, entry, content))
    }

    fn finish(self: Box<Self>) -> Result<Verdict, FormatError> {
        let mut verdict = self.archives.verdict_of_directory()?;
        let found = self.found;
        if !found.conf {
            return Err(FormatError::Missing { path: "netdata.conf" });
        }
        let settings = found.settings.into_iter().map(|(key, value)| (key, Value::from(value)));
        verdict.fact("db", Value::Object(settings.collect()));
        verdict.fact("stream_conf", json!(found.streams.is_some()));
        verdict.fact("streams_to_parent", json!(found.streams.unwrap_or(false)));
        verdict.fact("claim_conf", found.claim);
        verdict.fact("install_files", found.install);
        if found.install > 0 {
            let text = "\".environment\" or \".install-type\" is in the set: they break the updates of an agent that was installed in another way.";
            verdict.warnings.push(text.to_owned());
        }
        if found.databases > 0 {
            let count = found.databases;
            let text = "nothing of this set is written to disk in clear to check it, so they were only hashed";
            verdict.warnings.push(format!("Databases where no known agent keeps one: {count}; {text}."));
        }
        Ok(verdict)
    }
}

impl Found {
    fn see(&mut self, path: &str, entry: &TarEntry, content: &mut dyn Read) -> Result<(), FormatError> {
        let is = member(entry.name.as_bytes()).1;
        // A link may stand for a file; what it leads to is not in the set, and does not count as having it.
        if entry.kind != EntryKind::File {
            return Ok(());
        }
        match is {
            Member::NetdataConf => {
                self.conf = true;
                let text = small(path, content)?;
                for line in lines(&text).filter(|line| line.section == b"db").take(MAX_SETTINGS) {
                    self.settings.insert(shown(line.key), shown(line.value));
                }
            }
            Member::StreamConf => {
                let text = small(path, content)?;
                let on = lines(&text).any(|line| {
                    line.section == b"stream"
                        && line.key == b"enabled"
                        && matches!(line.value, b"yes" | b"true" | b"on" | b"1")
                });
                self.streams = Some(on);
            }
            Member::ClaimConf => self.claim = true,
            Member::InstallFile => self.install += 1,
            Member::Database(_) | Member::Log(_) | Member::OtherDatabase => self.databases += 1,
            _ => {}
        }
        Ok(())
    }
}

/// One setting with the section it stands in.
pub(super) struct Line<'a> {
    pub(super) section: &'a [u8],
    pub(super) key: &'a [u8],
    pub(super) value: &'a [u8],
}

/// The settings of a file in Netdata's form: `[section]`, `key = value`, `#` before what is not set.
pub(super) fn lines(text: &[u8]) -> impl Iterator<Item = Line<'_>> {
    let mut section = b"".as_slice();
    text.split(|byte| *byte == b'\n').filter_map(move |line| {
        let line = line.trim_ascii();
        if let Some(name) = line.strip_prefix(b"[") {
            section = name.strip_suffix(b"]").unwrap_or(name);
            return None;
        }
        if line.starts_with(b"#") {
            return None;
        }
        let at = line.iter().position(|byte| *byte == b'=')?;
        let (key, value) = (line.get(..at)?.trim_ascii(), line.get(at + 1..)?.trim_ascii());
        Some(Line { section, key, value })
    })
}
