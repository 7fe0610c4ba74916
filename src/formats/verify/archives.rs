//! Tar archives as every format that consists of them reads and counts them.

use super::{Counted, Verdict};
use crate::formats::error::FormatError;
use crate::formats::expand::{Compression, ExpandLimits, expand};
use crate::formats::tar::{EntryKind, TarEntry, TarLimits, TarSummary, Walk, walk};
use crate::formats::text::{EntryName, hex};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Any number of tar archives, each plain, gzip or zstd by its first bytes, and the sums over all.
#[derive(Default)]
pub(in crate::formats) struct Archives {
    names: BTreeSet<String>,
    sum: TarSummary,
    hash: Sha256,
    compressions: BTreeSet<Compression>,
    plain_bytes: u64,
    /// The deepest directory that every name so far lies at or below.
    within: Option<PathBuf>,
}

impl Archives {
    /// Reads one archive to its end, showing each entry and its content to `visit`.
    pub(in crate::formats) fn read(
        &mut self,
        path: &str,
        input: &mut dyn Read,
        mut visit: impl FnMut(&TarEntry, &mut dyn Read) -> Result<(), FormatError>,
    ) -> Result<(), FormatError> {
        if !self.names.insert(path.to_owned()) {
            return Err(FormatError::unexpected(path));
        }
        let mut input = Counted { inner: input, count: 0 };
        let mut plain = expand(&mut input, &ExpandLimits::default()).map_err(|error| FormatError::io(path, error))?;
        let within = &mut self.within;
        let visit = |entry: &TarEntry, content: &mut dyn Read| {
            narrow(within, entry);
            visit(entry, content)
        };
        let found = walk(&mut plain, &TarLimits::of_a_node(), visit, None).map_err(|error| match error {
            Walk::Tar(error) => error.into(),
            Walk::Visit { reason, .. } => reason,
        })?;
        // Every copy has its own root in it at least.
        if found.entries == 0 {
            return Err(FormatError::Empty { path: EntryName::from(path.as_bytes()) });
        }
        self.compressions.insert(plain.compression());
        self.hash.update(found.sha256);
        let sum = &mut self.sum;
        for (total, more) in [
            (&mut sum.entries, found.entries),
            (&mut sum.files, found.files),
            (&mut sum.directories, found.directories),
            (&mut sum.links, found.links),
            (&mut sum.escaping_links, found.escaping_links),
            (&mut sum.setuid, found.setuid),
            (&mut sum.bytes, found.bytes),
        ] {
            *total = total.saturating_add(more);
        }
        // The listing of one archive keeps its own hash, so that it compares with what a reader elsewhere found.
        sum.sha256 = found.sha256;
        self.plain_bytes += input.count;
        Ok(())
    }

    /// The same of archives of one directory; the fact `within` is its name.
    pub(in crate::formats) fn verdict_of_directory(self) -> Result<Verdict, FormatError> {
        let within = self.within.clone().unwrap_or_default();
        let within = EntryName::from(within.as_os_str().as_bytes()).to_string();
        let mut verdict = self.verdict()?;
        verdict.fact("within", within);
        Ok(verdict)
    }

    /// The facts every archive has; none at all is an error.
    pub(in crate::formats) fn verdict(self) -> Result<Verdict, FormatError> {
        let sum = &self.sum;
        let listing = match self.names.len() {
            0 => return Err(FormatError::Missing { path: "any archive" }),
            1 => sum.sha256,
            _ => self.hash.finalize().into(),
        };
        let mut verdict = Verdict { entries: sum.entries, plain_bytes: self.plain_bytes, ..Verdict::default() };
        verdict.fact("archives", self.names.len());
        verdict.fact("entries", sum.entries);
        verdict.fact("files", sum.files);
        verdict.fact("directories", sum.directories);
        verdict.fact("links", sum.links);
        verdict.fact("escaping_links", sum.escaping_links);
        verdict.fact("setuid", sum.setuid);
        verdict.fact("bytes", sum.bytes);
        verdict.fact("listing_sha256", hex(&listing));
        let names: Vec<&str> = self.compressions.iter().map(|form| form.name()).collect();
        verdict.fact("compression", names.join(" "));
        if sum.escaping_links > 0 {
            let count = sum.escaping_links;
            verdict.warnings.push(format!("Symbolic links that may lead out of the tree: {count}."));
        }
        Ok(verdict)
    }
}

/// Takes from a directory what a further entry does not lie below.
fn narrow(within: &mut Option<PathBuf>, entry: &TarEntry) {
    let name = Path::new(OsStr::from_bytes(entry.name.as_bytes()));
    let Some(known) = within else {
        let is_directory = entry.kind == EntryKind::Directory;
        let first = if is_directory { name } else { name.parent().unwrap_or(name) };
        *within = Some(first.components().collect());
        return;
    };
    while !name.starts_with(&known) {
        known.pop();
    }
}
