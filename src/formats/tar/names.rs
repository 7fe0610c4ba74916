//! Names: safe, unique, and each in its place.

use super::TarLimits;
use super::entry::{EntryKind, TarEntry};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;

/// Why a name or link is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// No bytes.
    #[error("its name is empty")]
    Empty,
    /// It begins with a slash.
    #[error("its name is absolute")]
    Absolute,
    /// A part is `..`.
    #[error("its name leads upwards with \"..\"")]
    Upwards,
    /// It holds a NUL byte.
    #[error("its name holds a NUL byte")]
    Nul,
    /// It is longer than the limit.
    #[error("its name is longer than {0} bytes")]
    TooLong(usize),
    /// It has more parts than the limit.
    #[error("its name has more than {0} parts")]
    TooDeep(usize),
    /// It ends as a directory's name, and is none.
    #[error("its name ends as a directory's, and it is none")]
    Slash,
    /// It names the archive's root, and is no directory.
    #[error("it would replace the archive's root")]
    Root,
    /// The name stands in the archive already.
    #[error("its name stands in the archive twice")]
    Duplicate,
    /// A part before its last names something that is no directory: the way to write through a planted link.
    #[error("it lies beneath an earlier entry that is no directory")]
    Beneath,
    /// Entries lie beneath it already, and it is no directory.
    #[error("earlier entries lie beneath it, and it is no directory")]
    Replaces,
    /// There are more entries than the limit.
    #[error("there are more than {0} entries")]
    TooMany(u64),
    /// A link without a target.
    #[error("it is a link to nothing")]
    EmptyLink,
    /// A hard link to something that is no earlier file of this archive.
    #[error("it is a hard link to something that is no earlier file of this archive")]
    HardLink,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// A directory only known because something lies in it.
    Implied,
    Directory,
    Leaf,
}

/// A name's hash; half a SHA-256 is enough, since a clash can only refuse an archive.
type Key = [u8; 16];

/// Every name seen, as hashes, so that memory does not grow with the length of names.
pub(super) struct Names {
    seen: HashMap<Key, State>,
    parent: Vec<u8>,
    limits: TarLimits,
}

impl Names {
    pub(super) fn new(limits: &TarLimits) -> Self {
        Self { seen: HashMap::new(), parent: Vec::new(), limits: *limits }
    }

    /// Judges an entry's name and link against the rules and all earlier entries, and remembers it.
    pub(super) fn add(&mut self, entry: &mut TarEntry) -> Result<(), NameError> {
        let name = entry.name.clone();
        let parts = self.parts(name.as_bytes())?;
        let directory = entry.kind == EntryKind::Directory;
        if !directory && name.as_bytes().ends_with(b"/") {
            return Err(NameError::Slash);
        }
        let Some((_, parents)) = parts.split_last() else {
            return if directory { self.remember(&[], State::Directory) } else { Err(NameError::Root) };
        };
        self.parents(parents)?;
        if let Some(link) = &entry.link {
            let target = link.as_bytes();
            if target.is_empty() {
                return Err(NameError::EmptyLink);
            }
            if entry.kind == EntryKind::HardLink {
                let target = self.parts(target)?;
                if self.seen.get(&key(&target.join(b"/".as_slice()))) != Some(&State::Leaf) {
                    return Err(NameError::HardLink);
                }
            } else {
                if target.len() > self.limits.max_name {
                    return Err(NameError::TooLong(self.limits.max_name));
                }
                if target.contains(&0) {
                    return Err(NameError::Nul);
                }
                entry.link_escapes = escapes(target, parents.len());
            }
        }
        let state = if directory { State::Directory } else { State::Leaf };
        self.remember(&parts.join(b"/".as_slice()), state)
    }

    /// Splits a name into its real parts, refusing what no name may be.
    fn parts<'n>(&self, name: &'n [u8]) -> Result<Vec<&'n [u8]>, NameError> {
        if name.is_empty() {
            return Err(NameError::Empty);
        }
        if name.len() > self.limits.max_name {
            return Err(NameError::TooLong(self.limits.max_name));
        }
        if name.starts_with(b"/") {
            return Err(NameError::Absolute);
        }
        if name.contains(&0) {
            return Err(NameError::Nul);
        }
        let parts: Vec<&[u8]> = name.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b".")).collect();
        if parts.contains(&b"..".as_slice()) {
            return Err(NameError::Upwards);
        }
        if parts.len() > self.limits.max_depth {
            return Err(NameError::TooDeep(self.limits.max_depth));
        }
        Ok(parts)
    }

    fn parents(&mut self, parents: &[&[u8]]) -> Result<(), NameError> {
        let joined = parents.join(b"/".as_slice());
        // Entries come directory by directory, so the last one's parent is nearly always this one's.
        if joined == self.parent {
            return Ok(());
        }
        let mut path = Vec::with_capacity(joined.len());
        for part in parents {
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(part);
            match self.seen.get(&key(&path)) {
                Some(State::Leaf) => return Err(NameError::Beneath),
                Some(_) => {}
                None => self.insert(&path, State::Implied)?,
            }
        }
        self.parent = joined;
        Ok(())
    }

    fn remember(&mut self, path: &[u8], state: State) -> Result<(), NameError> {
        match self.seen.entry(key(path)) {
            Slot::Occupied(mut slot) => match (*slot.get(), state) {
                (State::Implied, State::Directory) => {
                    slot.insert(state);
                    Ok(())
                }
                (State::Implied, _) => Err(NameError::Replaces),
                _ => Err(NameError::Duplicate),
            },
            Slot::Vacant(_) => self.insert(path, state),
        }
    }

    fn insert(&mut self, path: &[u8], state: State) -> Result<(), NameError> {
        if self.seen.len() as u64 >= self.limits.max_entries {
            return Err(NameError::TooMany(self.limits.max_entries));
        }
        self.seen.insert(key(path), state);
        Ok(())
    }
}

fn key(path: &[u8]) -> Key {
    let digest: [u8; 32] = Sha256::digest(path).into();
    let mut key = Key::default();
    for (to, from) in key.iter_mut().zip(digest) {
        *to = from;
    }
    key
}

/// Whether a symbolic link this deep may lead out of the tree.
///
/// `..` after a name counts as leading out: what the name is may itself be a link, so where `..` goes is not known.
fn escapes(target: &[u8], mut depth: usize) -> bool {
    if target.starts_with(b"/") {
        return true;
    }
    let mut named = false;
    for part in target.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if named || depth == 0 => return true,
            b".." => depth -= 1,
            _ => named = true,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::escapes;

    #[test]
    fn links_are_judged_where_they_stand() {
        for (target, depth, out) in [
            ("a", 0, false),
            ("../a", 1, false),
            ("../a", 0, true),
            ("../../a", 1, true),
            ("/etc/passwd", 5, true),
            ("a/../b", 3, true),
            ("./.././b", 1, false),
        ] {
            assert_eq!(escapes(target.as_bytes(), depth), out, "{target} at {depth}");
        }
    }
}
