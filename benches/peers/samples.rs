//! Samples as an agent has stored them, more than it could gather while anybody waits: pairs of a data file and its journal.
//!
//! The layout is that of Netdata 1.37: blocks of 4 KiB, an extent of up to 64 pages compressed with LZ4 behind its
//! descriptors, a record for each extent in the journal, CRC-32 over both. The agent reads them in at its start.

use std::fs;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use crate::stage::Numbers;

const BLOCK: usize = 4096;
/// Pages of an extent, points of a page, bytes of a point.
const PAGES: usize = 64;
const POINTS: usize = 1024;
const POINT: usize = 4;
/// Bytes of a data file before the next one is begun.
const DATA_FILE: usize = 48 << 20;
/// Different payloads; what stands in them matters to nobody, only that it does not compress to nothing.
const PAYLOADS: usize = 16;
/// When the first page begins, in seconds since 1970: years before the agent's own samples.
const BEGIN: u64 = 1_600_000_000;

/// Grows the samples of the first tier to about `mebibytes`, in pairs that begin with number `first`. The agent must not run.
pub fn grow_samples(tier: &Path, first: u32, mebibytes: usize) {
    let mut numbers = Numbers::default();
    let payloads: Vec<Vec<u8>> = (0..PAYLOADS).map(|_| payload(&mut numbers)).collect();
    let (mut written, mut number, mut count) = (0, first, 0);
    while written < mebibytes << 20 {
        let size = DATA_FILE.min((mebibytes << 20) - written);
        written += pair(tier, number, size, &payloads, &mut count);
        number += 1;
    }
}

/// Half of the metrics stand still, as most do; the others move a little from point to point.
fn payload(numbers: &mut Numbers) -> Vec<u8> {
    let mut plain = Vec::with_capacity(PAGES * POINTS * POINT);
    for page in 0..PAGES {
        let mut value = 0x4500_0000 | (numbers.next() & 0xff_ffff);
        for _ in 0..POINTS {
            if page % 2 == 0 {
                value = 0x4500_0000 | ((value + numbers.next() % 4096) & 0xff_ffff);
            }
            plain.extend(u32::try_from(value).unwrap().to_le_bytes());
        }
    }
    lz4_flex::block::compress(&plain)
}

/// Writes one pair; gives the bytes of its data file.
fn pair(tier: &Path, number: u32, size: usize, payloads: &[Vec<u8>], count: &mut u64) -> usize {
    let create = |name: String| BufWriter::new(fs::File::create(tier.join(name)).unwrap());
    let mut data = create(format!("datafile-1-{number:010}.ndf"));
    let mut journal = create(format!("journalfile-1-{number:010}.njf"));
    data.write_all(&super_block("netdata-data-file", 1)).unwrap();
    journal.write_all(&super_block("netdata-journal-file", 0)).unwrap();
    let mut at = BLOCK;
    while at < size {
        let payload = &payloads[usize::try_from(*count).unwrap() % payloads.len()];
        let descriptors = descriptors(*count);
        let mut extent = u32::try_from(payload.len()).unwrap().to_le_bytes().to_vec();
        extent.extend([1, u8::try_from(PAGES).unwrap()]);
        extent.extend(&descriptors);
        extent.extend(payload);
        extent.extend(crc32fast::hash(&extent).to_le_bytes());

        let mut record = vec![1, 0, 0, 0, 0];
        record.extend(count.to_le_bytes());
        record.extend(u16::try_from(13 + descriptors.len()).unwrap().to_le_bytes());
        record.extend((at as u64).to_le_bytes());
        record.extend(u32::try_from(extent.len()).unwrap().to_le_bytes());
        record.push(u8::try_from(PAGES).unwrap());
        record.extend(&descriptors);
        record.extend(crc32fast::hash(&record).to_le_bytes());

        at += extent.len().next_multiple_of(BLOCK);
        data.write_all(&filled(extent)).unwrap();
        journal.write_all(&filled(record)).unwrap();
        *count += 1;
    }
    data.flush().unwrap();
    journal.flush().unwrap();
    at
}

fn super_block(magic: &str, tier: u8) -> Vec<u8> {
    let mut bytes = vec![0; BLOCK];
    bytes[..magic.len()].copy_from_slice(magic.as_bytes());
    bytes[32..35].copy_from_slice(b"1.0");
    bytes[48] = tier;
    bytes
}

fn filled(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    bytes
}

/// The pages of an extent: always the same 64 metrics, one point a second, each extent after the one before.
fn descriptors(extent: u64) -> Vec<u8> {
    let begin = BEGIN + extent * POINTS as u64;
    let mut bytes = Vec::new();
    for page in 0..u8::try_from(PAGES).unwrap() {
        bytes.push(0);
        bytes.extend([0xbe ^ page; 16]);
        bytes.extend(u32::try_from(POINTS * POINT).unwrap().to_le_bytes());
        bytes.extend((begin * 1_000_000).to_le_bytes());
        bytes.extend(((begin + POINTS as u64 - 1) * 1_000_000).to_le_bytes());
    }
    bytes
}
