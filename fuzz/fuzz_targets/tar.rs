#![no_main]
//! Archives as they are, and with every header's checksum put right so that the rules behind it are reached.

use libfuzzer_sys::fuzz_target;
use lifeboat::formats::expand::{ExpandLimits, expand};
use lifeboat::formats::tar::{TarEntry, TarLimits, walk_tar};
use std::io::{self, Read};

fn walk(bytes: &[u8]) {
    let limits = TarLimits { max_content: 1 << 22, max_holes: 1 << 22, ..TarLimits::default() };
    let expand_limits = ExpandLimits { free_bytes: 1 << 20, ..ExpandLimits::default() };
    let Ok(plain) = expand(bytes, &expand_limits) else { return };
    let visit = |entry: &TarEntry, content: &mut dyn Read| -> io::Result<()> {
        if entry.index.is_multiple_of(2) {
            assert_eq!(io::copy(content, &mut io::sink())?, entry.size);
        }
        let name = entry.name.as_bytes();
        assert!(!name.starts_with(b"/") && !name.split(|byte| *byte == b'/').any(|part| part == b".."));
        Ok(())
    };
    let _ = walk_tar(plain, &limits, visit);
}

fuzz_target!(|bytes: &[u8]| {
    walk(bytes);
    let mut whole = bytes.to_vec();
    whole.resize(whole.len().next_multiple_of(512), 0);
    for block in whole.chunks_exact_mut(512) {
        // Blocks that could be headers; changing a content's bytes does no harm.
        if block[257..262] == *b"ustar" {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
    whole.resize(whole.len() + 1024, 0);
    walk(&whole);
});
