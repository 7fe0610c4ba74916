//! Reading an archive on its way onto a node: every name is checked, and what the tree must look like is written down.

use std::io::{self, Read};

use sha2::{Digest, Sha256};
use tar::EntryType;

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

const LONGEST_NAME: usize = 4096;
/// The most stretches a file with holes may have: their map is held whole, and takes 16 bytes for each.
const LONGEST_MAP: u64 = 1 << 21;

/// Reads an archive whose one root is `root` to its very end.
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
    let mut archive = tar::Archive::new(input);
    let mut tally = Tally::default();
    for entry in archive.entries().map_err(|e| broken(&e))? {
        let mut entry = entry.map_err(|e| broken(&e))?;
        let pax = Pax::of(&mut entry)?;
        let name = inside(pax.name.as_deref().unwrap_or(&entry.path_bytes()), root)?;
        let (mode, who) = owner_of(&entry, &pax, numeric)?;
        tally.entries += 1;
        let start = |kind: char| format!("{kind} {mode:o} {who} ").into_bytes();
        match entry.header().entry_type() {
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                let (size, sum) = match pax.real_size {
                    Some(real) if pax.sparse => sparse_sum(&mut entry, real, cancel)?,
                    None if pax.sparse => return Err(damaged(&name, "it has holes and no size")),
                    _ => plain_sum(&mut entry)?,
                };
                if pax.real_size.is_some_and(|real| real != size) {
                    return Err(damaged(&name, "its holes do not add up to its size"));
                }
                tally.bytes += size;
                tell(Record::Meta(joined(&[&start('f'), format!("{size} ").as_bytes(), &name])))?;
                tell(Record::Sum(joined(&[sum.as_bytes(), b"  ", &name])))?;
            }
            EntryType::Directory => tell(Record::Meta(joined(&[&start('d'), &name])))?,
            EntryType::Fifo => tell(Record::Meta(joined(&[&start('p'), &name])))?,
            EntryType::Symlink => {
                let target = entry.link_name_bytes().unwrap_or_default();
                let head = format!("l {who} {} ", target.len());
                tell(Record::Meta(joined(&[head.as_bytes(), &name, b" -> ", &target])))?;
            }
            EntryType::Link => {
                let target = inside(&entry.link_name_bytes().unwrap_or_default(), root)?;
                tell(Record::Link(name, target))?;
            }
            _ => return Err(damaged(&name, "it is a device or of a kind that is not restored")),
        }
    }
    if tally.entries == 0 {
        return Err(damaged(b".", "the archive is empty"));
    }
    drain(archive.into_inner())?;
    Ok(tally)
}

/// What GNU tar says of an entry beside its header.
#[derive(Debug, Default)]
struct Pax {
    name: Option<Vec<u8>>,
    user: Option<Vec<u8>>,
    group: Option<Vec<u8>>,
    real_size: Option<u64>,
    sparse: bool,
}

impl Pax {
    fn of<R: Read>(entry: &mut tar::Entry<R>) -> Result<Self> {
        let mut pax = Self::default();
        let Some(all) = entry.pax_extensions().map_err(|e| broken(&e))? else { return Ok(pax) };
        for one in all {
            let one = one.map_err(|e| broken(&e))?;
            let value = one.value_bytes();
            match one.key_bytes() {
                b"uname" => pax.user = Some(value.to_vec()),
                b"gname" => pax.group = Some(value.to_vec()),
                b"GNU.sparse.name" => pax.name = Some(value.to_vec()),
                b"GNU.sparse.realsize" => pax.real_size = number(value),
                b"GNU.sparse.major" if value == b"1" => pax.sparse = true,
                b"GNU.sparse.major" | b"GNU.sparse.map" | b"GNU.sparse.numblocks" => {
                    return Err(damaged(b".", "it keeps holes in a form Lifeboat does not write"));
                }
                _ => {}
            }
        }
        Ok(pax)
    }
}

fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn owner_of<R: Read>(entry: &tar::Entry<R>, pax: &Pax, numeric: bool) -> Result<(u32, String)> {
    let header = entry.header();
    let part = |pax: Option<&Vec<u8>>, name: Option<&[u8]>, id: io::Result<u64>| -> Result<String> {
        let name = pax.map(Vec::as_slice).or(name).unwrap_or_default();
        if numeric || name.is_empty() {
            return Ok(id.map_err(|e| broken(&e))?.to_string());
        }
        Ok(String::from_utf8_lossy(name).into_owned())
    };
    let user = part(pax.user.as_ref(), header.username_bytes(), header.uid())?;
    let group = part(pax.group.as_ref(), header.groupname_bytes(), header.gid())?;
    Ok((header.mode().map_err(|e| broken(&e))? & 0o7777, format!("{user} {group}")))
}

/// The name as `find` will print it from inside the root.
fn inside(name: &[u8], root: &str) -> Result<Vec<u8>> {
    let trimmed = name.strip_suffix(b"/").unwrap_or(name);
    let unsafe_name = |why| Err(damaged(name, why));
    if trimmed.is_empty() || trimmed.len() > LONGEST_NAME || trimmed.contains(&0) {
        return unsafe_name("the name is empty, too long or holds a NUL");
    }
    let mut parts = trimmed.split(|&byte| byte == b'/');
    if parts.next() != Some(root.as_bytes()) {
        return unsafe_name("it does not lie in the tree that was saved");
    }
    let mut inside = b".".to_vec();
    for part in parts {
        if matches!(part, b"" | b"." | b"..") {
            return unsafe_name("the name has an empty, '.' or '..' part");
        }
        inside.push(b'/');
        inside.extend_from_slice(part);
    }
    Ok(inside)
}

fn plain_sum(body: &mut impl Read) -> Result<(u64, String)> {
    let mut hash = Sha256::new();
    let size = copy_into(body, &mut hash, u64::MAX)?;
    Ok((size, hex(&hash.finalize())))
}

/// Takes at most `limit` bytes.
fn copy_into(body: &mut impl Read, hash: &mut Sha256, limit: u64) -> Result<u64> {
    let mut chunk = vec![0; 64 * 1024];
    let (mut body, mut size) = (body.take(limit), 0);
    loop {
        match body.read(&mut chunk) {
            Ok(0) => return Ok(size),
            Ok(count) => {
                hash.update(&chunk[..count]);
                size += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(broken(&error)),
        }
    }
}

/// A file of `real` bytes with holes (GNU tar's sparse format 1.0): a map of decimal lines padded to 512 bytes, then the
/// stretches. What the map says beyond the file's size is refused before a byte of it is made up.
fn sparse_sum(body: &mut impl Read, real: u64, cancel: &Cancel) -> Result<(u64, String)> {
    let bad = || damaged(b".", "the map of a file's holes cannot be read");
    let mut numbers: Vec<u64> = Vec::new();
    let mut digits = Vec::new();
    loop {
        let mut block = [0; 512];
        body.read_exact(&mut block).map_err(|e| broken(&e))?;
        for &byte in &block {
            if done(&numbers)? {
                break;
            }
            if byte == b'\n' {
                numbers.push(number(&digits).ok_or_else(bad)?);
                digits.clear();
            } else if digits.len() < 20 {
                digits.push(byte);
            } else {
                return Err(bad());
            }
        }
        if done(&numbers)? {
            break;
        }
    }
    let (mut hash, mut at) = (Sha256::new(), 0_u64);
    for stretch in numbers[1..].as_chunks::<2>().0 {
        let [offset, size] = *stretch;
        if offset.checked_add(size).is_none_or(|end| end > real) {
            return Err(bad());
        }
        zeros(&mut hash, offset.checked_sub(at).ok_or_else(bad)?, cancel)?;
        if copy_into(body, &mut hash, size)? != size {
            return Err(bad());
        }
        at = offset.checked_add(size).ok_or_else(bad)?;
    }
    Ok((at, hex(&hash.finalize())))
}

fn done(numbers: &[u64]) -> Result<bool> {
    let Some(&count) = numbers.first() else { return Ok(false) };
    if count > LONGEST_MAP {
        return Err(damaged(b".", "a file has more holes than can be"));
    }
    Ok(numbers.len() as u64 == 1 + 2 * count)
}

fn zeros(hash: &mut Sha256, mut count: u64, cancel: &Cancel) -> Result<()> {
    let block = vec![0; 64 * 1024];
    while count > 0 {
        cancel.check().map_err(|error| as_failure(&error))?;
        let now = count.min(block.len() as u64);
        hash.update(&block[..usize::try_from(now).unwrap_or(block.len())]);
        count -= now;
    }
    Ok(())
}

/// An archive ends with two blocks of zeros and nothing but zeros after them; else it was cut or continued.
fn drain(mut rest: impl Read) -> Result<()> {
    let (mut chunk, mut count) = (vec![0; 64 * 1024], 0);
    loop {
        match rest.read(&mut chunk) {
            Ok(0) if count >= 512 => return Ok(()),
            Ok(0) => return Err(damaged(b".", "the archive is cut short: its end marks are missing")),
            Ok(read) if chunk[..read].iter().all(|&byte| byte == 0) => count += read,
            Ok(_) => return Err(damaged(b".", "something follows the archive's end")),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(broken(&error)),
        }
    }
}

fn joined(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

fn damaged(name: &[u8], why: &str) -> Failure {
    let name = CleanText::from_bytes(name).one_line();
    Failure::new(Exit::Integrity, format!("The archive cannot be restored: {why} ({name})."))
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
        let said = [("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", real)];
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

    #[test]
    fn a_map_of_holes_that_nobody_can_mean_is_refused_at_once() {
        assert!(records(&sparse("1048576", "1\n1048576\n0\n")).is_ok());
        let most = u64::MAX.to_string();
        let more = LONGEST_MAP + 1;
        for (real, map) in [
            ("1048576", format!("1\n{most}\n0\n")),
            ("1048576", "1\n1048577\n0\n".to_owned()),
            (&most, format!("1\n{most}\n1\n")),
            ("1048576", format!("{more}\n")),
        ] {
            assert_eq!(records(&sparse(real, &map)).unwrap_err().exit, Exit::Integrity, "{real}: {map}");
        }
        // A size that is as large as it can be costs time, and ends when the operator wishes it.
        let (bytes, cancel) = (sparse(&most, &format!("1\n{most}\n0\n")), Cancel::new());
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
