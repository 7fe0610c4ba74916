#![no_main]
//! Journals and indexes as they are, and journals with the checksum of each block's first record put right.

use libfuzzer_sys::fuzz_target;
use lifeboat::formats::dbengine::{BLOCK, read_index_file, read_journal_file};

fn read(mut bytes: &[u8]) {
    let (mut pages, mut records) = (0, 0);
    let found = read_journal_file(&mut bytes, &mut |_| pages += 1, &mut |extent| {
        assert!(extent.offset > 0 && extent.offset % BLOCK as u64 == 0 && extent.pages > 0);
        records += 1;
        Ok(())
    });
    if let Ok(found) = found {
        assert_eq!((found.pages, found.records), (pages, records));
    }
}

fuzz_target!(|bytes: &[u8]| {
    read(bytes);
    let size = bytes.len() as u64;
    let _ = read_index_file(&mut &bytes[..], size, &mut |_| {}, &mut |_| Ok(()));
    let mut whole = vec![0; BLOCK];
    whole[..20].copy_from_slice(b"netdata-journal-file");
    whole[32..35].copy_from_slice(b"1.0");
    whole.extend_from_slice(bytes);
    whole.resize(whole.len().next_multiple_of(BLOCK), 0);
    for block in whole.chunks_exact_mut(BLOCK).skip(1) {
        let body = 15 + usize::from(u16::from_le_bytes([block[13], block[14]]));
        let Some(sum) = block.get(..body).map(crc32fast::hash) else { continue };
        if let Some(place) = block.get_mut(body..body + 4) {
            place.copy_from_slice(&sum.to_le_bytes());
        }
    }
    read(&whole);
});
