//! Write-ahead logs: which rows a database gains from its log, and whether any would be lost.

use std::io::{self, Read};

use crate::formats::stream::fill;

const HEADER: usize = 32;
const FRAME: usize = 24;
/// The log's only version so far.
const VERSION: u32 = 3_007_000;

/// What a log holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wal {
    /// Pages SQLite takes from it: up to the last that commits.
    pub committed: u64,
    /// Pages after that: a change that was under way.
    pub pending: u64,
    /// Whether a page was only half written when the agent died. SQLite drops it.
    pub torn: bool,
}

/// Why a log cannot be trusted.
#[derive(Debug, thiserror::Error)]
pub enum WalError {
    /// Its header is damaged: SQLite would drop the whole log without a word.
    #[error("its header is damaged, so every row in it would be dropped")]
    Header,
    /// It is of an unknown version.
    #[error("it is of the unknown version {0}")]
    Version(u32),
    /// A page is damaged and good ones follow: SQLite would drop them all without a word.
    #[error("page {page} of it is damaged, so it and all after it would be dropped")]
    Page {
        /// The page's number in the log, from 1.
        page: u64,
    },
    /// The stream failed.
    #[error("reading it failed: {0}")]
    Io(#[from] io::Error),
}

/// Walks a log from its first page to its last. Memory: one page. An empty file is a log with nothing in it.
///
/// A log is used over and over from its start, and what an earlier round left behind the present one carries that
/// round's salts: it is no damage.
///
/// # Errors
/// The first [`WalError`].
pub fn read_wal(input: &mut dyn Read) -> Result<Wal, WalError> {
    let mut header = [0; HEADER];
    match fill(input, &mut header)? {
        0 => return Ok(Wal::default()),
        HEADER => {}
        _ => return Err(WalError::Header),
    }
    let big = match number(&header, 0) {
        0x377f_0682 => false,
        0x377f_0683 => true,
        _ => return Err(WalError::Header),
    };
    let size = number(&header, 8);
    let mut sums = sum((0, 0), header.get(..24).unwrap_or_default(), big);
    if sums != (number(&header, 24), number(&header, 28)) || !size.is_power_of_two() || !(512..=65536).contains(&size) {
        return Err(WalError::Header);
    }
    if number(&header, 4) != VERSION {
        return Err(WalError::Version(number(&header, 4)));
    }
    let salts = header.get(16..24).unwrap_or_default();
    let mut frame = vec![0; FRAME + size as usize];
    let (mut found, mut pages, mut broken) = (Wal::default(), 0_u64, None);
    loop {
        let count = fill(input, &mut frame)?;
        if count == 0 {
            break;
        }
        pages += 1;
        let current = frame.get(8..16).unwrap_or_default() == salts;
        match broken {
            // Behind the break, anything of the present round is a page that would be lost.
            Some(page) if current && count == frame.len() => return Err(WalError::Page { page }),
            Some(_) => {}
            None => {
                let (head, page) = frame.split_at(FRAME);
                let next = sum(sum(sums, head.get(..8).unwrap_or_default(), big), page, big);
                if current && count == frame.len() && next == (number(head, 16), number(head, 20)) {
                    sums = next;
                    found.pending += 1;
                    if number(head, 4) != 0 {
                        (found.committed, found.pending) = (found.committed + found.pending, 0);
                    }
                } else {
                    broken = Some(pages);
                    found.torn = current && count >= FRAME;
                }
            }
        }
    }
    Ok(found)
}

/// SQLite's running checksum over pairs of 32-bit words.
fn sum((mut a, mut b): (u32, u32), bytes: &[u8], big: bool) -> (u32, u32) {
    for pair in bytes.chunks_exact(8) {
        let word = |at: usize| if big { number(pair, at) } else { number(pair, at).swap_bytes() };
        a = a.wrapping_add(word(0)).wrapping_add(b);
        b = b.wrapping_add(word(4)).wrapping_add(a);
    }
    (a, b)
}

fn number(bytes: &[u8], at: usize) -> u32 {
    let mut value = [0; 4];
    for (to, from) in value.iter_mut().zip(bytes.get(at..at + 4).unwrap_or_default()) {
        *to = *from;
    }
    u32::from_be_bytes(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::Connection;

    /// A database with a log of several commits, as its two files.
    fn logged() -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("d");
        let db = Connection::open(&path).unwrap();
        db.execute_batch("PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; CREATE TABLE t(a);").unwrap();
        for n in 0..4 {
            db.execute("INSERT INTO t VALUES(?)", [n]).unwrap();
        }
        std::fs::read(folder.path().join("d-wal")).unwrap()
    }

    fn read(mut bytes: &[u8]) -> Result<Wal, WalError> {
        read_wal(&mut bytes)
    }

    #[test]
    fn a_real_log_reads_whole_and_every_change_to_it_is_found() {
        let log = logged();
        let whole = read(&log).unwrap();
        assert_eq!((whole.pending, whole.torn), (0, false));
        assert_eq!(whole.committed, ((log.len() - HEADER) / (FRAME + 4096)) as u64);
        assert_eq!(read(b"").unwrap(), Wal::default());
        // Every byte of every header, and some of every page: each is a walk over the whole log.
        let header = |at: &usize| *at < HEADER || (at - HEADER) % (FRAME + 4096) < FRAME;
        for at in (0..log.len()).filter(|at| header(at) || at % 61 == 0) {
            let mut bad = log.clone();
            bad[at] ^= 0x10;
            // The page that ends the log may be told as torn instead; either way it is not taken for whole.
            let judged = read(&bad);
            assert!(judged.is_err() || judged.is_ok_and(|found| found.committed < whole.committed), "byte {at}");
        }
    }

    #[test]
    fn a_cut_log_is_told_and_an_earlier_round_behind_it_is_no_damage() {
        let log = logged();
        let whole = read(&log).unwrap();
        let cut = read(&log[..log.len() - 1]).unwrap();
        assert!(cut.torn && cut.committed < whole.committed);
        let mut old = log[HEADER..HEADER + FRAME + 4096].to_vec();
        old[8] ^= 1;
        assert_eq!(read(&[log.as_slice(), &old].concat()).unwrap(), whole);
    }
}
