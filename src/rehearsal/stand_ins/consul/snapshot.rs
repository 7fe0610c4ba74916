//! Snapshots in Consul's own form: a gzipped tar of `meta.json`, `state.bin` and `SHA256SUMS`.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::ControlFlow;

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::formats::consul_snap::{KvRecord, MessageType, SnapOptions, SnapVisitor, read_consul_snap};
use crate::model::text::hex;

/// A key's value with what Consul keeps beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The value.
    pub value: Vec<u8>,
    /// The number an application may attach.
    pub flags: u64,
    /// When it was made.
    pub create_index: u64,
    /// When it was last changed.
    pub modify_index: u64,
}

/// Writes a snapshot of these keys.
pub fn write_snapshot(index: u64, keys: &BTreeMap<Vec<u8>, Entry>) -> Result<Vec<u8>, String> {
    let mut state = vec![0x81];
    text(&mut state, b"LastIndex");
    unsigned(&mut state, index);
    for (key, entry) in keys {
        record(&mut state, key, entry);
    }
    let meta = json!({
        "Version": 1, "ID": format!("2-{index}-1795237133464"), "Index": index, "Term": 2, "Peers": "",
        "Configuration": {"Servers": []}, "ConfigurationIndex": 1, "Size": state.len(),
    });
    let meta = meta.to_string().into_bytes();
    let hex = |bytes: &[u8]| hex(&Sha256::digest(bytes));
    let sums = format!("{}  state.bin\n{}  meta.json\n", hex(&state), hex(&meta));
    archive(&[("meta.json", &meta), ("state.bin", &state), ("SHA256SUMS", sums.as_bytes())]).map_err(|e| e.to_string())
}

fn archive(members: &[(&str, &[u8])]) -> io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    for (name, content) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        header.set_cksum();
        tar.append_data(&mut header, name, *content)?;
    }
    let mut gzip = tar.into_inner()?;
    gzip.flush()?;
    gzip.finish()
}

fn record(state: &mut Vec<u8>, key: &[u8], entry: &Entry) {
    state.extend([MessageType::KVS.0, 0x87]);
    for (name, number) in [("CreateIndex", entry.create_index), ("Flags", entry.flags)] {
        text(state, name.as_bytes());
        unsigned(state, number);
    }
    text(state, b"Key");
    text(state, key);
    for (name, number) in [("LockIndex", 0), ("ModifyIndex", entry.modify_index)] {
        text(state, name.as_bytes());
        unsigned(state, number);
    }
    text(state, b"Session");
    text(state, b"");
    text(state, b"Value");
    text(state, &entry.value);
}

/// The old form of msgpack, which Consul writes: every string and every byte string is *raw*.
fn text(state: &mut Vec<u8>, bytes: &[u8]) {
    let length = bytes.len();
    if let Ok(short @ 0..32) = u8::try_from(length) {
        state.push(0xa0 | short);
    } else if let Ok(middle) = u16::try_from(length) {
        state.push(0xda);
        state.extend(middle.to_be_bytes());
    } else {
        // A value has at most 64 MiB: what is put in here came as the body of a request.
        state.push(0xdb);
        state.extend(u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    }
    state.extend_from_slice(bytes);
}

fn unsigned(state: &mut Vec<u8>, number: u64) {
    if let Ok(small @ 0..128) = u8::try_from(number) {
        state.push(small);
    } else {
        state.push(0xcf);
        state.extend(number.to_be_bytes());
    }
}

/// Collects the keys, and the first record that this stand-in could not hold.
#[derive(Default)]
struct Keys {
    found: BTreeMap<Vec<u8>, Entry>,
    foreign: Option<MessageType>,
}

impl SnapVisitor for Keys {
    fn kv(&mut self, record: &KvRecord<'_>) -> ControlFlow<()> {
        let entry = Entry {
            value: record.value.to_vec(),
            flags: record.flags,
            create_index: record.create_index,
            modify_index: record.modify_index,
        };
        self.found.insert(record.key.to_vec(), entry);
        ControlFlow::Continue(())
    }

    fn record(&mut self, record: &crate::formats::consul_snap::SnapRecord) -> ControlFlow<()> {
        if record.kind != MessageType::KVS {
            self.foreign.get_or_insert(record.kind);
        }
        ControlFlow::Continue(())
    }
}

/// Reads the keys of a snapshot; one that holds anything else is refused, because it would be lost here.
pub fn read_snapshot(bytes: &[u8]) -> Result<BTreeMap<Vec<u8>, Entry>, String> {
    let mut keys = Keys::default();
    read_consul_snap(bytes, &SnapOptions::default(), &mut keys).map_err(|error| error.to_string())?;
    match keys.foreign {
        Some(kind) => Err(format!("a practice datacenter holds keys only, and this has a record of type {kind}")),
        None => Ok(keys.found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_whole() {
        let entry = |value: &[u8], flags| Entry { value: value.to_vec(), flags, create_index: 3, modify_index: 900 };
        let keys = BTreeMap::from([
            (b"a".to_vec(), entry(b"", 0)),
            (b"b/long".to_vec(), entry(&vec![7; 70_000], 127)),
            (b"c".repeat(40), entry(&[0xff; 300], u64::MAX)),
        ]);
        let bytes = write_snapshot(901, &keys).unwrap();
        assert_eq!(read_snapshot(&bytes).unwrap(), keys);
        assert!(read_snapshot(&bytes[..bytes.len() - 20]).is_err());
    }

    #[test]
    fn a_snapshot_with_more_than_keys_is_refused() {
        let golden = include_bytes!("../../../../tests/fixtures/formats/consul-1.20.1.snap");
        assert!(read_snapshot(golden).unwrap_err().contains("keys only"));
    }
}
