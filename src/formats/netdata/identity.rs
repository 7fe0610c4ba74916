//! Who an agent is: its GUID, its claim and the keys beside them.

use super::names::{Member, member};
use super::{NetdataError, config};
use crate::formats::error::FormatError;
use crate::formats::tar::{EntryKind, TarEntry};
use crate::formats::text::unhex;
use crate::formats::verify::{Archives, Verdict, Verifier};
use std::io::Read;
use zeroize::Zeroizing;

/// The largest file that is looked into. All of these have a few hundred bytes.
pub(super) const SMALL: u64 = 64 * 1024;

/// Checks `netdata-identity/1`: the library directory, with the GUID in it.
///
/// Keys and tokens are known by being there; their bytes are hashed with the archive and never read out.
#[derive(Default)]
pub struct NetdataIdentity {
    archives: Archives,
    found: Found,
}

#[derive(Default)]
struct Found {
    guid: Option<String>,
    claimed: Option<String>,
    claim_key: bool,
    claim_token: bool,
    api_key: Option<bool>,
    databases: u64,
}

impl Verifier for NetdataIdentity {
    fn file(&mut self, path: &str, input: &mut dyn Read) -> Result<(), FormatError> {
        let found = &mut self.found;
        self.archives.read(path, input, |entry, content| found.see(path, entry, content))
    }

    fn finish(self: Box<Self>) -> Result<Verdict, FormatError> {
        let mut verdict = self.archives.verdict_of_directory()?;
        let found = self.found;
        let Some(guid) = found.guid else {
            return Err(FormatError::Missing { path: "registry/netdata.public.unique.id" });
        };
        verdict.fact("machine_guid", guid);
        verdict.fact("claimed", found.claimed.is_some());
        if found.claimed.is_some() && !found.claim_key {
            let text = "The claim has no private key: the agent cannot link up again without being claimed anew.";
            verdict.warnings.push(text.to_owned());
        }
        verdict.fact("claimed_id", found.claimed);
        verdict.fact("claim_key", found.claim_key);
        verdict.fact("claim_token", found.claim_token);
        verdict.fact("api_key", found.api_key.is_some());
        if found.api_key == Some(false) {
            let text = "The management API's key is not a UUID: the agent will make itself a new one.";
            verdict.warnings.push(text.to_owned());
        }
        if found.databases > 0 {
            let count = found.databases;
            let text = "nothing of an identity is written to disk in clear to check it, so they were only hashed";
            verdict.warnings.push(format!("Databases where no known agent keeps one: {count}; {text}."));
        }
        Ok(verdict)
    }
}

impl Found {
    fn see(&mut self, path: &str, entry: &TarEntry, content: &mut dyn Read) -> Result<(), FormatError> {
        if entry.kind != EntryKind::File {
            return Ok(());
        }
        let mut read = || small(path, content);
        match member(entry.name.as_bytes()).1 {
            Member::Guid => {
                let guid = parse_guid(&read()?).ok_or(NetdataError::Guid)?;
                if self.guid.replace(guid).is_some() {
                    return Err(NetdataError::Twice { name: "the machine GUID" }.into());
                }
            }
            Member::ClaimedId => self.claimed = self.claimed.take().or(parse_guid(&read()?)),
            Member::CloudConf => {
                let text = read()?;
                let id = config::lines(&text).find(|line| line.key == b"claimed_id");
                self.claimed = id.and_then(|line| parse_guid(line.value)).or(self.claimed.take());
            }
            Member::ClaimKey => self.claim_key = true,
            Member::ClaimToken => self.claim_token = true,
            Member::ApiKey => self.api_key = Some(parse_guid(&read()?).is_some()),
            Member::Database(_) | Member::Log(_) | Member::OtherDatabase => self.databases += 1,
            _ => {}
        }
        Ok(())
    }
}

/// The first bytes of a small file, wiped when dropped; the rest is not looked at.
pub(super) fn small(path: &str, content: &mut dyn Read) -> Result<Zeroizing<Vec<u8>>, FormatError> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(SMALL).unwrap_or(0)));
    content.take(SMALL).read_to_end(&mut bytes).map_err(|error| FormatError::io(path, error))?;
    Ok(bytes)
}

/// A UUID as an agent writes its GUID: 36 characters, in lower case here, and not all zeros.
///
/// An agent reads exactly 36 characters; a line end behind them does no harm.
pub fn parse_guid(bytes: &[u8]) -> Option<String> {
    let text = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    let parts: Vec<&[u8]> = text.split(|byte| *byte == b'-').collect();
    if parts.iter().map(|part| part.len()).ne([8, 4, 4, 4, 12]) {
        return None;
    }
    let id: [u8; 16] = unhex(&parts.concat())?;
    (id != [0; 16]).then(|| String::from_utf8_lossy(text).to_ascii_lowercase())
}
