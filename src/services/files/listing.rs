//! Reading an archive on its way onto a node: every name is checked, and what the tree must look like is written down.

use std::io::{self, Read};

use sha2::{Digest, Sha256};

use crate::formats::EntryName;
use crate::formats::tar::{EntryKind, TarEntry, TarError, TarLimits, Walk, walk};
use crate::model::exit::{Exit, Failure, Result};
use crate::model::text::{CleanText, hex};
use crate::services::common::as_failure;
use crate::transport::{Cancel, TransportError};

/// One line of what a tree must look like, as the node's own `find` and `sha256sum` will print it. Names are relative:
/// `.` is the root, `./a/b` lies inside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// `f MODE OWNER GROUP SIZE NAME`, `d MODE OWNER GROUP NAME`, `l OWNER GROUP LENGTH NAME -> TARGET`.
    Meta(Vec<u8>),
    /// `SHA256  NAME` of a regular file.
    Sum(Vec<u8>),
    /// A further name of a file, and the name it came under first.
    Link(Vec<u8>, Vec<u8>),
}

/// What an archive held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Entries of every kind.
    pub entries: u64,
    /// Bytes of regular files, holes included.
    pub bytes: u64,
}

/// Reads an archive whose one root is `root` to its very end, by the same rules as it was verified by.
///
/// # Errors
/// [`Exit::Integrity`] when it is no whole tar, when a name could leave the root, or when it holds a device;
/// [`Exit::Cancelled`] when `cancel` says so.
pub fn read(
    input: impl Read,
    root: &str,
    numeric: bool,
    cancel: &Cancel,
    tell: &mut dyn FnMut(Record) -> Result<()>,
) -> Result<Tally> {
    let mut tally = Tally::default();
    let walked = walk(
        input,
        &TarLimits::of_a_node(),
        |entry, content| {
            tally.entries += 1;
            tally.bytes = tally.bytes.saturating_add(entry.size);
            record(entry, content, (root, numeric), cancel, tell)
        },
        None,
    );
    match walked {
        Err(Walk::Visit { reason, .. }) => Err(reason),
        Err(Walk::Tar(TarError::Read { source, .. })) => Err(broken(&source)),
        Err(Walk::Tar(fault)) => Err(damaged(&fault.to_string())),
        Ok(_) if tally.entries == 0 => Err(damaged("It is empty.")),
        Ok(_) => Ok(tally),
    }
}

/// Tells what the tree must show of one entry.
fn record(
    entry: &TarEntry,
    content: &mut dyn Read,
    (root, numeric): (&str, bool),
    cancel: &Cancel,
    tell: &mut dyn FnMut(Record) -> Result<()>,
) -> Result<()> {
    let name = inside(entry.name.as_bytes(), root)?;
    let target = entry.link.as_ref().map_or(&[][..], EntryName::as_bytes);
    let (user, group) = (who(&entry.uname, entry.uid, numeric), who(&entry.gname, entry.gid, numeric));
    let start = |kind: char| format!("{kind} {:o} {user} {group} ", entry.mode).into_bytes();
    match entry.kind {
        EntryKind::File => {
            let sum = sum_of(content, cancel)?;
            tell(Record::Meta([&start('f')[..], format!("{} ", entry.size).as_bytes(), &name].concat()))?;
            tell(Record::Sum([sum.as_bytes(), b"  ", &name].concat()))
        }
        EntryKind::Directory => tell(Record::Meta([&start('d')[..], &name].concat())),
        EntryKind::Fifo => tell(Record::Meta([&start('p')[..], &name].concat())),
        EntryKind::Symlink => {
            let head = format!("l {user} {group} {} ", target.len());
            tell(Record::Meta([head.as_bytes(), &name, b" -> ", target].concat()))
        }
        EntryKind::HardLink => tell(Record::Link(name, inside(target, root)?)),
        EntryKind::CharDevice | EntryKind::BlockDevice => {
            Err(unsafe_name(&name, "it is a device or of a kind that is not restored"))
        }
    }
}

/// An owner as the node will print him.
fn who(name: &EntryName, id: u64, numeric: bool) -> String {
    let name = name.as_bytes();
    if numeric || name.is_empty() { id.to_string() } else { String::from_utf8_lossy(name).into_owned() }
}

/// The name as `find` will print it from inside the root.
fn inside(name: &[u8], root: &str) -> Result<Vec<u8>> {
    let trimmed = name.strip_suffix(b"/").unwrap_or(name);
    let mut parts = trimmed.split(|&byte| byte == b'/');
    if parts.next() != Some(root.as_bytes()) {
        return Err(unsafe_name(name, "it does not lie in the tree that was saved"));
    }
    let mut inside = b".".to_vec();
    for part in parts {
        if matches!(part, b"" | b"." | b"..") {
            return Err(unsafe_name(name, "the name has an empty, '.' or '..' part"));
        }
        inside.push(b'/');
        inside.extend_from_slice(part);
    }
    Ok(inside)
}

/// The SHA-256 of a file's content, holes included. A size that somebody made up costs time, and ends when the operator
/// wishes it.
fn sum_of(content: &mut dyn Read, cancel: &Cancel) -> Result<String> {
    let (mut hash, mut chunk) = (Sha256::new(), vec![0; 64 * 1024]);
    loop {
        cancel.check().map_err(|error| as_failure(&error))?;
        match content.read(&mut chunk) {
            Ok(0) => return Ok(hex(&hash.finalize())),
            Ok(count) => hash.update(chunk.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(broken(&error)),
        }
    }
}

fn unsafe_name(name: &[u8], why: &str) -> Failure {
    damaged(&format!("{why} ({}).", CleanText::from_bytes(name).one_line()))
}

fn damaged(why: &str) -> Failure {
    let why = CleanText::new(why);
    Failure::new(Exit::Integrity, format!("The archive cannot be restored: {}", why.one_line()))
        .hint("Nothing of it is in use. Verify the snapshot: lifeboat verify SNAPSHOT.")
}

/// What went wrong below keeps its own words; anything else is the archive's fault.
fn broken(error: &io::Error) -> Failure {
    let inner = error.get_ref();
    if let Some(transport) = inner.and_then(|e| e.downcast_ref::<TransportError>()) {
        return as_failure(transport);
    }
    if let Some(failure) = inner.and_then(|e| e.downcast_ref::<Failure>()) {
        return failure.clone();
    }
    let why = CleanText::new(&error.to_string());
    Failure::new(Exit::Integrity, format!("The archive could not be read: {}.", why.as_str().trim_end_matches('.')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(names: &[&str]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for name in names {
            let mut header = tar::Header::new_ustar();
            // The builder refuses what a hostile node would write, so the name goes in by hand.
            header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
            header.set_size(2);
            header.set_mode(0o100_640);
            header.set_uid(1);
            header.set_gid(2);
            header.set_cksum();
            builder.append(&header, &b"hi"[..]).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn records(bytes: &[u8]) -> Result<Vec<Record>> {
        let mut all = Vec::new();
        read(bytes, "app", false, &Cancel::new(), &mut |record| {
            all.push(record);
            Ok(())
        })?;
        Ok(all)
    }

    #[test]
    fn names_that_leave_the_tree_are_refused() {
        for bad in ["/etc/passwd", "../x", "app/../../x", "other/x", "app//x", "app/./x"] {
            assert_eq!(records(&archive(&[bad])).unwrap_err().exit, Exit::Integrity, "{bad}");
        }
        assert_eq!(records(&archive(&["app/x y"])).unwrap()[0], Record::Meta(b"f 640 1 2 2 ./x y".to_vec()));
    }

    #[test]
    fn a_cut_or_continued_archive_is_refused() {
        let whole = archive(&["app/x"]);
        assert!(records(&whole).is_ok());
        for cut in [0, 512, 1024, 1536] {
            assert!(records(&whole[..cut]).is_err(), "cut at {cut}");
        }
        assert!(records(&[&whole[..], b"more"].concat()).is_err());
    }

    /// An archive of one file with holes, of a map and a size that somebody made up.
    fn sparse(real: &str, map: &str) -> Vec<u8> {
        let mut body = map.as_bytes().to_vec();
        body.resize(map.len().next_multiple_of(512), 0);
        let mut builder = tar::Builder::new(Vec::new());
        let said = [
            ("GNU.sparse.major", "1"),
            ("GNU.sparse.minor", "0"),
            ("GNU.sparse.name", "app/x"),
            ("GNU.sparse.realsize", real),
        ];
        builder.append_pax_extensions(said.map(|(key, value)| (key, value.as_bytes()))).unwrap();
        let mut header = tar::Header::new_ustar();
        header.set_path("app/x").unwrap();
        header.set_size(body.len() as u64);
        header.set_mode(0o640);
        header.set_uid(1);
        header.set_gid(2);
        header.set_cksum();
        builder.append(&header, &body[..]).unwrap();
        builder.into_inner().unwrap()
    }

    /// Values of pax records have a length of their own: access lists have lines, and names may.
    #[test]
    fn a_line_feed_in_a_long_name_or_an_access_list_is_a_byte_like_any_other() {
        let name = format!("app/{}\nb", "a".repeat(150));
        let mut builder = tar::Builder::new(Vec::new());
        let acl = "user::rw-\nuser:12345:r--\ngroup::r--\nmask::r--\nother::---\n";
        let said = [("path", name.as_str()), ("SCHILY.acl.access", acl)];
        builder.append_pax_extensions(said.map(|(key, value)| (key, value.as_bytes()))).unwrap();
        let mut header = tar::Header::new_ustar();
        header.set_path("app/short").unwrap();
        header.set_mode(0o640);
        header.set_uid(1);
        header.set_gid(2);
        header.set_cksum();
        builder.append(&header, &b""[..]).unwrap();
        let records = records(&builder.into_inner().unwrap()).unwrap();
        assert_eq!(records[0], Record::Meta([b"f 640 1 2 0 .", &name.as_bytes()[3..]].concat()));
    }

    #[test]
    fn a_map_of_holes_that_nobody_can_mean_is_refused_at_once() {
        assert!(records(&sparse("1048576", "1\n1048576\n0\n")).is_ok());
        let most = u64::MAX.to_string();
        for (real, map) in [
            ("1048576", format!("1\n{most}\n0\n")),
            ("1048576", "1\n1048577\n0\n".to_owned()),
            (&most, format!("1\n{most}\n0\n")),
            ("1048576", "2097153\n".to_owned()),
        ] {
            assert_eq!(records(&sparse(real, &map)).unwrap_err().exit, Exit::Integrity, "{real}: {map}");
        }
        // A size that is as large as may be costs time, and ends when the operator wishes it.
        let large = (1_u64 << 37).to_string();
        let (bytes, cancel) = (sparse(&large, &format!("1\n{large}\n0\n")), Cancel::new());
        let wish = cancel.clone();
        std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(200));
            wish.cancel();
        });
        let ended = read(&bytes[..], "app", false, &cancel, &mut |_| Ok(()));
        assert_eq!(ended.unwrap_err().exit, Exit::Cancelled);
    }

    #[test]
    fn holes_links_and_odd_names_read_as_gnu_tar_wrote_them() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("app");
        std::fs::create_dir(&root).unwrap();
        let sparse = std::fs::File::create(root.join("holes")).unwrap();
        std::os::unix::fs::FileExt::write_at(&sparse, b"end", (8 << 20) - 3).unwrap();
        std::fs::write(root.join("a\nb"), "x").unwrap();
        std::fs::hard_link(root.join("a\nb"), root.join("z")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", root.join("l")).unwrap();
        let output = std::process::Command::new("sh")
            .args(["-c", super::super::source::COPY, "sh", "none"])
            .arg(home.path())
            .arg("app")
            .output()
            .unwrap();
        assert!(output.stdout.len() < 1 << 20, "holes were copied");
        let records = records(&output.stdout).unwrap();
        let mut whole = vec![0; 8 << 20];
        whole[(8 << 20) - 3..].copy_from_slice(b"end");
        let mut hash = Sha256::new();
        hash.update(&whole);
        assert!(records.contains(&Record::Sum(format!("{}  ./holes", hex(&hash.finalize())).into_bytes())));
        assert!(records.contains(&Record::Link(b"./z".to_vec(), b"./a\nb".to_vec())));
        let link = records.iter().any(|r| matches!(r, Record::Meta(m) if m.ends_with(b" 11 ./l -> /etc/passwd")));
        assert!(link, "{records:?}");
    }
}
