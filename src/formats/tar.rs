//! A streaming walk over a tar archive from a node nobody vouches for.
//!
//! "It untarred" proves nothing: common readers accept an empty file, an archive cut between entries, one without its
//! end, and skip unsafe entries without a word. This one reads the header itself (POSIX ustar and pax, and GNU's own
//! form with long names and sparse files, as GNU tar, bsdtar, busybox and Go write them) and rejects what it does not
//! understand, so that no two readers see different files.
//!
//! Rules: names are relative, clean and unique; nothing lies beneath a non-directory; a hard link names an earlier entry;
//! header checksums match; padding is zero; both end blocks stand, and only zeros follow to the end of the stream.

mod entry;
mod error;
mod header;
mod names;
mod pax;
mod stream;

pub use entry::{EntryKind, TarEntry, TarSummary};
pub use error::TarError;

use entry::Listing;
use header::{BLOCK, Header, Kind};
use names::Names;
use pax::{Extensions, PaxError};
use sha2::{Digest, Sha256};
use std::error::Error;
use std::io::Read;
use stream::{Content, Input, Segments};

/// What an archive may cost. The defaults suit a service's data directory.
#[derive(Debug, Clone, Copy)]
pub struct TarLimits {
    /// The most entries, implied parent directories included. Each costs about 32 bytes of memory.
    pub max_entries: u64,
    /// The longest name or link target, in bytes. Linux opens no path of 4096.
    pub max_name: usize,
    /// The most parts a name may have.
    pub max_depth: usize,
    /// The largest pax header or GNU long-name entry, in bytes.
    pub max_extension: u64,
    /// The most data segments of one sparse file.
    pub max_segments: usize,
    /// The most bytes of content over all files, holes included.
    pub max_content: u64,
    /// The most bytes of holes over all files: they cost the sender nothing and the reader a zero each.
    pub max_holes: u64,
    /// The most zero bytes after the end blocks.
    pub max_padding: u64,
    /// Whether devices and fifos may stand in the archive. They are refused unless asked for.
    pub allow_special: bool,
    /// Which files, by name, need no SHA-256 in the listing: those whose reader checks every byte that means something.
    /// A CRC-32 stands for them there; what proves a copy is the manifest's hash over the whole archive.
    pub checked_by_reader: fn(&[u8]) -> bool,
}

impl TarLimits {
    /// What a copy of a node's own tree may hold: fifos and devices may be stored; whether they are brought back is the restore's to say.
    pub fn of_a_node() -> Self {
        Self { allow_special: true, ..Self::default() }
    }
}

impl Default for TarLimits {
    fn default() -> Self {
        Self {
            max_entries: 4_000_000,
            max_name: 4095,
            max_depth: 256,
            max_extension: 1 << 20,
            max_segments: 1 << 16,
            max_content: 1 << 44,
            max_holes: 1 << 38,
            max_padding: 1 << 24,
            allow_special: false,
            checked_by_reader: |_| false,
        }
    }
}

/// Why a walk ended: the archive is bad, or the visitor would not go on.
#[derive(Debug)]
pub(crate) enum Walk<E> {
    /// The archive is bad.
    Tar(TarError),
    /// The visitor's own reason.
    Visit {
        /// The entry's number, from 0.
        index: u64,
        /// Its reason.
        reason: E,
    },
}

impl<E> From<TarError> for Walk<E> {
    fn from(error: TarError) -> Self {
        Self::Tar(error)
    }
}

/// Walks a plain tar stream to its end, showing each entry and its content to `visit`.
///
/// The content of a sparse file is shown whole, holes as zeros, so that it hashes as the file on the node does. What
/// the visitor leaves unread is read for it. The stream is drained: a trailer above it has been checked too.
///
/// # Errors
/// The first [`TarError`], with the entry's number and the byte it was found at.
pub fn walk_tar<E>(
    input: impl Read,
    limits: &TarLimits,
    visit: impl FnMut(&TarEntry, &mut dyn Read) -> Result<(), E>,
) -> Result<TarSummary, TarError>
where
    E: Into<Box<dyn Error + Send + Sync>>,
{
    walk(input, limits, visit, |_, _| {}).map_err(|error| match error {
        Walk::Tar(error) => error,
        Walk::Visit { index, reason } => TarError::Visitor { index, reason: reason.into() },
    })
}

/// As [`walk_tar`], and hands out each regular file's SHA-256 once it has passed.
pub fn walk_tar_hashed<E>(
    input: impl Read,
    limits: &TarLimits,
    visit: impl FnMut(&TarEntry, &mut dyn Read) -> Result<(), E>,
    hashed: impl FnMut(&TarEntry, &[u8; 32]),
) -> Result<TarSummary, TarError>
where
    E: Into<Box<dyn Error + Send + Sync>>,
{
    walk(input, limits, visit, hashed).map_err(|error| match error {
        Walk::Tar(error) => error,
        Walk::Visit { index, reason } => TarError::Visitor { index, reason: reason.into() },
    })
}

/// The walk itself, keeping the visitor's error type.
pub(crate) fn walk<E>(
    input: impl Read,
    limits: &TarLimits,
    mut visit: impl FnMut(&TarEntry, &mut dyn Read) -> Result<(), E>,
    mut hashed: impl FnMut(&TarEntry, &[u8; 32]),
) -> Result<TarSummary, Walk<E>> {
    let mut walker = Walker {
        input: Input::new(input),
        limits,
        names: Names::new(limits),
        listing: Listing::default(),
        content: 0,
        holes: 0,
        index: 0,
    };
    while let Some((entry, segments, stored)) = walker.next()? {
        let light = (limits.checked_by_reader)(entry.name.as_bytes());
        let mut content = Content::new(&mut walker.input, segments, light);
        let judged = visit(&entry, &mut content);
        // What the archive did wrong comes first: the visitor may only have passed it on.
        if let Some(fault) = content.fault() {
            return Err(Walk::Tar(TarError::Read { index: walker.index, offset: walker.input.offset, source: fault }));
        }
        judged.map_err(|reason| Walk::Visit { index: walker.index, reason })?;
        content.drain();
        let (digest, fault) = content.finish();
        if let Some(source) = fault {
            return Err(Walk::Tar(TarError::Read { index: walker.index, offset: walker.input.offset, source }));
        }
        walker.padding(stored)?;
        if entry.kind == EntryKind::File {
            hashed(&entry, &digest);
        }
        walker.listing.add(&entry, &digest);
        walker.index += 1;
    }
    let archive_bytes = walker.finish()?;
    Ok(walker.listing.summary(archive_bytes))
}

struct Walker<'a, R> {
    input: Input<R>,
    limits: &'a TarLimits,
    names: Names,
    listing: Listing,
    content: u64,
    holes: u64,
    index: u64,
}

impl<R: Read> Walker<'_, R> {
    /// Reads headers up to the next real entry. `None` once the first end block has been read.
    fn next(&mut self) -> Result<Option<(TarEntry, Segments, u64)>, TarError> {
        let mut extensions = Extensions::default();
        loop {
            let at = self.input.offset;
            let Some(header) = self.header(at)? else {
                if extensions.is_empty() {
                    return Ok(None);
                }
                return Err(self.invalid(at, "an extension header is followed by the end, not by its entry"));
            };
            match header.kind {
                Kind::PaxLocal | Kind::PaxGlobal | Kind::GnuLongName | Kind::GnuLongLink => {
                    let body = self.extension(&header, at)?;
                    let global = header.kind == Kind::PaxGlobal;
                    let taken = match header.kind {
                        Kind::GnuLongName => extensions.long_name(body),
                        Kind::GnuLongLink => extensions.long_link(body),
                        _ => extensions.pax(&body, global),
                    };
                    taken.map_err(|error| self.extension_error(at, error))?;
                }
                Kind::Entry(kind) => return self.entry(kind, header, extensions, at).map(Some),
            }
        }
    }

    fn header(&mut self, at: u64) -> Result<Option<Header>, TarError> {
        let mut block = [0; BLOCK];
        let read = self.input.fill(&mut block).map_err(|error| self.read_error(error))?;
        if read == 0 {
            return Err(TarError::NoEnd { index: self.index, offset: at });
        }
        if read < BLOCK {
            return Err(TarError::Cut { index: self.index, offset: self.input.offset });
        }
        Header::parse(&block).map_err(|error| TarError::Header { index: self.index, offset: at, reason: error })
    }

    /// Reads the body of an extension entry, growing with what arrives.
    fn extension(&mut self, header: &Header, at: u64) -> Result<Vec<u8>, TarError> {
        if header.size > self.limits.max_extension {
            let limit = self.limits.max_extension;
            return Err(TarError::Extension { index: self.index, offset: at, size: header.size, limit });
        }
        let mut body = Vec::new();
        let read = (&mut self.input).take(header.size).read_to_end(&mut body).map_err(|e| self.read_error(e))?;
        if read as u64 != header.size {
            return Err(TarError::Cut { index: self.index, offset: self.input.offset });
        }
        self.padding(header.size)?;
        Ok(body)
    }

    fn entry(
        &mut self,
        kind: EntryKind,
        header: Header,
        mut extensions: Extensions,
        at: u64,
    ) -> Result<(TarEntry, Segments, u64), TarError> {
        let index = self.index;
        let mut stored = extensions.size.unwrap_or(header.size);
        let sparse = extensions.sparse().map_err(|error| self.extension_error(at, error))?;
        let mut entry = header.into_entry(kind, &mut extensions, index, at);
        let mut segments = Segments::whole(stored);
        if let Some(old) = entry.gnu_sparse.take() {
            if sparse.is_some() {
                return Err(self.invalid(at, "it is sparse in two ways at once"));
            }
            let map = self.gnu_map(old, at)?;
            segments = self.segments(map, entry.size, stored, at)?;
            entry.sparse = true;
        } else if let Some((name, real)) = sparse {
            if kind != EntryKind::File {
                return Err(self.invalid(at, "it is sparse but no regular file"));
            }
            (entry.name, entry.size, entry.sparse) = (name, real, true);
            let (map, used) = self.pax_map(stored, at)?;
            stored -= used;
            segments = self.segments(map, real, stored, at)?;
        } else {
            entry.size = stored;
        }
        self.judge(&mut entry, stored, at)?;
        self.content = self.content.saturating_add(entry.size);
        self.holes = self.holes.saturating_add(entry.size.saturating_sub(stored));
        if self.content > self.limits.max_content || self.holes > self.limits.max_holes {
            return Err(TarError::TooMuch { index, offset: at, content: self.content, holes: self.holes });
        }
        Ok((entry, segments, stored))
    }

    /// The rules that need only the entry itself, then those that need all before it.
    fn judge(&mut self, entry: &mut TarEntry, stored: u64, at: u64) -> Result<(), TarError> {
        if entry.kind != EntryKind::File && stored != 0 {
            return Err(self.invalid(at, "it carries content but is no regular file"));
        }
        if entry.kind.is_special() && !self.limits.allow_special {
            let name = entry.name.clone();
            return Err(TarError::Special { index: self.index, offset: at, kind: entry.kind, name });
        }
        self.names.add(entry).map_err(|reason| TarError::Name {
            index: self.index,
            offset: at,
            name: entry.name.clone(),
            reason,
        })
    }

    fn segments(&self, map: Vec<(u64, u64)>, real: u64, stored: u64, at: u64) -> Result<Segments, TarError> {
        Segments::sparse(map, real, stored).ok_or_else(|| self.invalid(at, "its map of sparse data contradicts itself"))
    }

    /// Reads GNU's own sparse map: the first pieces stand in the header, the rest in blocks that follow it.
    fn gnu_map(&mut self, mut map: header::GnuSparse, at: u64) -> Result<Vec<(u64, u64)>, TarError> {
        while map.extended {
            let mut block = [0; BLOCK];
            if self.input.fill(&mut block).map_err(|error| self.read_error(error))? < BLOCK {
                return Err(TarError::Cut { index: self.index, offset: self.input.offset });
            }
            map.extend(&block).map_err(|reason| TarError::Header { index: self.index, offset: at, reason })?;
            if map.segments.len() > self.limits.max_segments {
                return Err(self.invalid(at, "its map of sparse data has too many pieces"));
            }
        }
        Ok(map.segments)
    }

    /// Reads the sparse map of pax version 1.0: decimal lines at the start of the content, padded to a block.
    fn pax_map(&mut self, stored: u64, at: u64) -> Result<(Vec<(u64, u64)>, u64), TarError> {
        let mut reader = pax::MapReader::new(self.limits.max_segments);
        let mut used = 0;
        while !reader.done() {
            let mut block = [0; BLOCK];
            used += BLOCK as u64;
            if used > stored {
                return Err(self.invalid(at, "its map of sparse data is longer than its content"));
            }
            if self.input.fill(&mut block).map_err(|error| self.read_error(error))? < BLOCK {
                return Err(TarError::Cut { index: self.index, offset: self.input.offset });
            }
            reader.take(&block).map_err(|error| self.extension_error(at, error))?;
        }
        Ok((reader.map, used))
    }

    /// Reads the zeros that fill the last block of a content.
    fn padding(&mut self, stored: u64) -> Result<(), TarError> {
        let used = usize::try_from(stored % BLOCK as u64).unwrap_or(0);
        if used == 0 {
            return Ok(());
        }
        let mut block = [0; BLOCK];
        let room = block.get_mut(used..).unwrap_or_default();
        let at = self.input.offset;
        let wanted = room.len();
        if self.input.fill(room).map_err(|error| self.read_error(error))? < wanted {
            return Err(TarError::Cut { index: self.index, offset: self.input.offset });
        }
        if block.iter().any(|byte| *byte != 0) {
            return Err(self.invalid(at, "the padding after its content is not zero"));
        }
        Ok(())
    }

    /// The second end block, then zeros to the end of the stream.
    fn finish(&mut self) -> Result<u64, TarError> {
        let index = self.index;
        let mut block = [0; BLOCK];
        let start = self.input.offset;
        loop {
            let at = self.input.offset;
            let read = self.input.fill(&mut block).map_err(|error| self.read_error(error))?;
            if block.get(..read).unwrap_or(&block).iter().any(|byte| *byte != 0) {
                return Err(TarError::AfterEnd { index, offset: at });
            }
            match read {
                0 if at == start => return Err(TarError::NoEnd { index, offset: at }),
                0 => return Ok(at),
                BLOCK if at - start > self.limits.max_padding => {
                    return Err(TarError::Padding { offset: at, limit: self.limits.max_padding });
                }
                BLOCK => {}
                _ => return Err(TarError::Cut { index, offset: self.input.offset }),
            }
        }
    }

    fn invalid(&self, offset: u64, reason: &'static str) -> TarError {
        TarError::Invalid { index: self.index, offset, reason }
    }

    fn extension_error(&self, offset: u64, reason: PaxError) -> TarError {
        TarError::Pax { index: self.index, offset, reason }
    }

    fn read_error(&self, source: std::io::Error) -> TarError {
        TarError::Read { index: self.index, offset: self.input.offset, source }
    }
}

/// One hash for each of many things, in one place so that all listings agree.
fn field(hash: &mut Sha256, bytes: &[u8]) {
    hash.update((bytes.len() as u64).to_be_bytes());
    hash.update(bytes);
}

#[cfg(test)]
pub(crate) mod tests;
