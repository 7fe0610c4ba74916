#![no_main]
//! PEM files, as they are and as the body of a block.

use libfuzzer_sys::fuzz_target;
use lifeboat::formats::pem::{PemLimits, parse_pem};

fuzz_target!(|bytes: &[u8]| {
    let limits = PemLimits::default();
    let _ = parse_pem(bytes, &limits);
    let block = [b"-----BEGIN A-----\n".as_slice(), bytes, b"\n-----END A-----\n"].concat();
    if let Ok(found) = parse_pem(&block, &limits) {
        // Three bytes of every four characters: a body never grows.
        assert!(found.iter().map(|block| block.der.len()).sum::<usize>() <= bytes.len());
    }
});
