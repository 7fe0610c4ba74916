//! One entry, and the sum of all.

use super::field;
use super::header::GnuSparse;
use crate::formats::text::EntryName;
use sha2::{Digest, Sha256};
use std::fmt;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// Another name of an earlier entry.
    HardLink,
    /// A named pipe.
    Fifo,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
}

impl EntryKind {
    /// Whether it is neither file, directory nor link.
    pub const fn is_special(self) -> bool {
        matches!(self, Self::Fifo | Self::CharDevice | Self::BlockDevice)
    }

    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Directory => "directory",
            Self::Symlink => "symlink",
            Self::HardLink => "hard link",
            Self::Fifo => "fifo",
            Self::CharDevice => "character device",
            Self::BlockDevice => "block device",
        }
    }
}

impl fmt::Display for EntryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One entry, as the archive tells it; nothing in it has been used for anything yet.
#[derive(Debug, Clone)]
pub struct TarEntry {
    /// Its number, from 0.
    pub index: u64,
    /// The byte of the plain stream its header begins at.
    pub offset: u64,
    /// Its name as stored: relative, clean, perhaps with `./` before or `/` after.
    pub name: EntryName,
    /// What it is.
    pub kind: EntryKind,
    /// The size of its content, holes included. Zero for all but files.
    pub size: u64,
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u32,
    /// Owner's number.
    pub uid: u64,
    /// Group's number.
    pub gid: u64,
    /// Owner's name, or empty.
    pub uname: EntryName,
    /// Group's name, or empty.
    pub gname: EntryName,
    /// Modification time, whole seconds of the Unix clock.
    pub mtime: i64,
    /// The nanoseconds beyond it.
    pub mtime_nanos: u32,
    /// What a link points at.
    pub link: Option<EntryName>,
    /// Whether a symbolic link may lead out of the tree. It is legal to store; extracting it is another question.
    pub link_escapes: bool,
    /// Whether the file was stored with its holes left out.
    pub sparse: bool,
    /// Names of extended attributes (access lists, capabilities, security labels) it carries.
    pub attributes: Vec<EntryName>,
    pub(super) gnu_sparse: Option<GnuSparse>,
}

/// What a whole archive held.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TarSummary {
    /// All entries.
    pub entries: u64,
    /// Regular files.
    pub files: u64,
    /// Directories.
    pub directories: u64,
    /// Symbolic and hard links.
    pub links: u64,
    /// Symbolic links that may lead out of the tree.
    pub escaping_links: u64,
    /// Fifos and devices, where they are allowed.
    pub specials: u64,
    /// Files with the setuid or setgid bit.
    pub setuid: u64,
    /// Bytes of content, holes included.
    pub bytes: u64,
    /// Bytes of the plain archive, padding included.
    pub archive_bytes: u64,
    /// SHA-256 over every entry in order: kind, name, metadata, link and the CRC-32 of its content, texts with their
    /// length before them. It tells listings apart; that bytes are unchanged is shown by the stored files' own hashes.
    pub sha256: [u8; 32],
}

/// Adds entries up.
#[derive(Default)]
pub(super) struct Listing {
    hash: Sha256,
    sum: TarSummary,
}

impl Listing {
    pub(super) fn add(&mut self, entry: &TarEntry, content: u32) {
        self.sum.entries += 1;
        match entry.kind {
            EntryKind::File => self.sum.files += 1,
            EntryKind::Directory => self.sum.directories += 1,
            EntryKind::Symlink | EntryKind::HardLink => self.sum.links += 1,
            _ => self.sum.specials += 1,
        }
        self.sum.escaping_links += u64::from(entry.link_escapes);
        self.sum.setuid += u64::from(entry.kind == EntryKind::File && entry.mode & 0o6000 != 0);
        self.sum.bytes = self.sum.bytes.saturating_add(entry.size);
        let hash = &mut self.hash;
        field(hash, entry.kind.name().as_bytes());
        field(hash, entry.name.as_bytes());
        for number in [entry.size, u64::from(entry.mode), entry.uid, entry.gid, u64::from(entry.mtime_nanos)] {
            hash.update(number.to_be_bytes());
        }
        hash.update(entry.mtime.to_be_bytes());
        field(hash, entry.uname.as_bytes());
        field(hash, entry.gname.as_bytes());
        field(hash, entry.link.as_ref().map_or(b"".as_slice(), EntryName::as_bytes));
        hash.update((entry.attributes.len() as u64).to_be_bytes());
        for name in &entry.attributes {
            field(hash, name.as_bytes());
        }
        if entry.kind == EntryKind::File {
            hash.update(content.to_be_bytes());
        }
    }

    pub(super) fn summary(self, archive_bytes: u64) -> TarSummary {
        TarSummary { archive_bytes, sha256: self.hash.finalize().into(), ..self.sum }
    }
}
