#![no_main]
//! Data files as they are, and with the checksum of every extent put right so that the rules behind it are reached.

use libfuzzer_sys::fuzz_target;
use lifeboat::formats::dbengine::{BLOCK, read_data_file};

fn read(mut bytes: &[u8]) {
    let (mut pages, mut extents, mut end) = (0, 0, BLOCK as u64);
    let found = read_data_file(&mut bytes, &mut |_| pages += 1, &mut |extent| {
        assert!(extent.offset >= end && extent.offset % BLOCK as u64 == 0 && extent.pages > 0);
        end = extent.offset + u64::from(extent.size);
        extents += 1;
        Ok(())
    });
    if let Ok(found) = found {
        assert_eq!((found.pages, found.extents), (pages, extents));
    }
}

fuzz_target!(|bytes: &[u8]| {
    read(bytes);
    let mut whole = vec![0; BLOCK];
    whole[..17].copy_from_slice(b"netdata-data-file");
    whole[32..35].copy_from_slice(b"1.0");
    whole[48] = 1;
    whole.extend_from_slice(bytes);
    whole.resize(whole.len().next_multiple_of(BLOCK), 0);
    let mut at = BLOCK;
    while let Some(head) = whole.get(at..at + 6) {
        let payload = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let body = 6 + usize::from(head[5]) * 37 + payload;
        let Some(sum) = whole.get(at..at + body).map(crc32fast::hash) else { break };
        let Some(place) = whole.get_mut(at + body..at + body + 4) else { break };
        place.copy_from_slice(&sum.to_le_bytes());
        let end = at + (body + 4).next_multiple_of(BLOCK);
        whole[at + body + 4..end].fill(0);
        at = end;
    }
    read(&whole);
});
