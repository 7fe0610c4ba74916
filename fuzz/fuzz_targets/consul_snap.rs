#![no_main]
//! Whole snapshots as they are, and records inside a snapshot that is sound around them.

use libfuzzer_sys::fuzz_target;
use lifeboat::formats::consul_snap::{KvDetails, SnapOptions, read_consul_snap, render_inspect, render_inspect_json};
use sha2::{Digest, Sha256};
use std::io::Write;

fn read(bytes: &[u8]) {
    let options = SnapOptions { kv_details: Some(KvDetails::default()), ..SnapOptions::default() };
    if let Ok(found) = read_consul_snap(bytes, &options, &mut ()) {
        assert_eq!(found.by_type.values().map(|tally| tally.count).sum::<u64>(), found.records);
        let text = render_inspect(&found);
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'));
        let _ = render_inspect_json(&found);
    }
}

fn around(records: &[u8]) -> std::io::Result<Vec<u8>> {
    let state = [b"\x81\xa9LastIndex\x01".as_slice(), records].concat();
    let meta = format!(r#"{{"Version":1,"ID":"x","Index":1,"Term":1,"Size":{}}}"#, state.len());
    let hex = |bytes: &[u8]| Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let sums = format!("{}  meta.json\n{}  state.bin\n", hex(meta.as_bytes()), hex(&state));
    let mut archive = tar::Builder::new(Vec::new());
    for (name, bytes) in [("meta.json", meta.as_bytes()), ("state.bin", &state), ("SHA256SUMS", sums.as_bytes())] {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o600);
        archive.append_data(&mut header, name, bytes)?;
    }
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    gzip.write_all(&archive.into_inner()?)?;
    gzip.finish()
}

fuzz_target!(|bytes: &[u8]| {
    read(bytes);
    if let Ok(whole) = around(bytes) {
        read(&whole);
    }
});
