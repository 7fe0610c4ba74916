#![no_main]
//! The two walkers over msgpack agree on where a value ends.

use libfuzzer_sys::fuzz_target;
use lifeboat::formats::msgpack_skip::{Cursor, MsgpackLimits, copy_value};

fuzz_target!(|bytes: &[u8]| {
    let limits = MsgpackLimits { max_value: 1 << 20, max_depth: usize::MAX };
    let mut out = Vec::new();
    let copied = copy_value(&mut &*bytes, &mut out, &limits).ok();
    assert!(out.len() <= bytes.len());
    let skipped = Cursor::new(bytes).skip().ok().map(|value| value.len() as u64);
    assert_eq!(copied, skipped);
    let mut cursor = Cursor::new(bytes);
    let _ = (cursor.map(), cursor.text(), cursor.unsigned(), cursor.text());
});
