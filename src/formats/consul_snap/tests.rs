use super::*;
use crate::formats::tar::tests::{archive, member};
use crate::formats::text::hex;
use sha2::{Digest, Sha256};
use std::io::Write;

const GOLDEN: &[u8] = include_bytes!("../../../tests/fixtures/formats/consul-1.20.1.snap");

fn read(bytes: &[u8]) -> Result<SnapSummary, SnapError> {
    read_consul_snap(bytes, &SnapOptions::default(), &mut ())
}

fn grouped(depth: usize, filter: &str) -> SnapSummary {
    let kv_details = Some(KvDetails { depth, filter: filter.as_bytes().to_vec() });
    read_consul_snap(GOLDEN, &SnapOptions { kv_details, ..SnapOptions::default() }, &mut ()).unwrap()
}

#[test]
fn the_golden_snapshot_reads_as_consul_itself_reads_it() {
    let plain = read(GOLDEN).unwrap();
    assert_eq!(render_inspect(&plain), include_str!("../../../tests/fixtures/formats/consul-1.20.1.inspect.txt"));
    assert_eq!(render_inspect_json(&plain), include_str!("../../../tests/fixtures/formats/consul-1.20.1.inspect.json"));
    let texts = [
        (2, "", include_str!("../../../tests/fixtures/formats/consul-1.20.1.kvdetails.txt")),
        (1, "app", include_str!("../../../tests/fixtures/formats/consul-1.20.1.depth1-app.txt")),
        (2, "none", include_str!("../../../tests/fixtures/formats/consul-1.20.1.none.txt")),
    ];
    for (depth, filter, text) in texts {
        assert_eq!(render_inspect(&grouped(depth, filter)), text, "{depth} {filter}");
    }
    let json = include_str!("../../../tests/fixtures/formats/consul-1.20.1.depth5.json");
    assert_eq!(render_inspect_json(&grouped(5, "")), json);
    assert_eq!((plain.meta.index, plain.last_index, plain.meta.size), (51, 51, 14661));
    assert_eq!((plain.acl_tokens.count, plain.acl_policies.count, plain.acl_roles.count), (4, 3, 1));
    assert_eq!((plain.config_entries.count, plain.legacy_tokens, plain.file_bytes), (2, 0, GOLDEN.len() as u64));
    assert!(plain.kv.ordered && plain.kv.keys == 19 && plain.enterprise_types.is_empty());
    assert!(plain.unknown_types.is_empty() && plain.meta.servers().len() == 1);
}

#[test]
fn the_visitor_sees_keys_and_record_hashes() {
    #[derive(Default)]
    struct Seen(Vec<String>, u64);
    impl SnapVisitor for Seen {
        fn kv(&mut self, record: &KvRecord<'_>) -> ControlFlow<()> {
            self.0.push(format!("{:?} {}", record, record.flags));
            ControlFlow::Continue(())
        }
        fn record(&mut self, record: &SnapRecord) -> ControlFlow<()> {
            assert!(record.sha256.is_some());
            self.1 += record.size;
            if self.0.len() == 19 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
        fn wants_hashes(&self) -> bool {
            true
        }
    }
    let mut seen = Seen::default();
    let stopped = read_consul_snap(GOLDEN, &SnapOptions::default(), &mut seen).unwrap_err();
    assert!(matches!(stopped, SnapError::Stopped { .. }), "{stopped}");
    assert!(seen.0.contains(&"KvRecord(flagged/a, 0 bytes) 42".to_owned()), "{:?}", seen.0);
    assert!(seen.0.contains(&"KvRecord(big/value, 700 bytes) 0".to_owned()) && seen.1 > 2000);
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn sums(meta: &[u8], state: &[u8]) -> String {
    let hash = |bytes| hex(&Sha256::digest(bytes));
    format!("{}  state.bin\n{}  meta.json\n", hash(state), hash(meta))
}

fn meta(size: usize) -> String {
    format!(r#"{{"Version":1,"ID":"x","Index":1,"Term":1,"Configuration":{{}},"CRC":"AA","Size":{size}}}"#)
}

fn file(name: &str, content: &[u8]) -> Vec<u8> {
    member(name, b'0', content, |_| {})
}

/// A whole snapshot around these records.
fn snap(records: &[u8]) -> Vec<u8> {
    let state = [b"\x81\xa9LastIndex\x01".as_slice(), records].concat();
    let meta = meta(state.len());
    let list = sums(meta.as_bytes(), &state);
    gzip(&archive(&[
        file("SHA256SUMS", list.as_bytes()),
        file("state.bin", &state),
        file("meta.json", meta.as_bytes()),
    ]))
}

fn kv(key: &str) -> Vec<u8> {
    [&[2, 0x81, 0xa3][..], b"Key", &[0xa0 | u8::try_from(key.len()).unwrap()], key.as_bytes()].concat()
}

#[test]
fn records_that_lie_are_named_with_number_and_offset() {
    let sound = read(&snap(&[kv("a"), kv("b")].concat())).unwrap();
    assert_eq!((sound.records, sound.kv.keys, sound.kv.ordered), (2, 2, true));
    let cut = read(&snap(&[kv("a"), vec![2, 0x81, 0xa3, b'K']].concat())).unwrap_err();
    assert_eq!(
        cut.to_string(),
        "Record 2 (KVS) at byte 20 of state.bin cannot be read: the value is cut short after 3 bytes."
    );
    assert!(matches!(read(&snap(&[2])), Err(SnapError::Record { number: 1, .. })));
    assert!(matches!(read(&snap(&[2, 0x80])), Err(SnapError::Field { number: 1, field: "Key", .. })));
    assert!(matches!(
        read(&snap(&[2, 0x82, 0xa3, b'K', b'e', b'y', 0xa0, 0xa3, b'K', b'e', b'y', 0xa0])),
        Err(SnapError::Field { .. })
    ));
    let foreign = read(&snap(&[10, 0xc0, 63, 0xc0, 64, 0xc0, 200, 0xc0, 37, 0xc0])).unwrap();
    let numbers = |set: &BTreeSet<MessageType>| set.iter().map(|kind| kind.0).collect::<Vec<_>>();
    assert_eq!((numbers(&foreign.enterprise_types), numbers(&foreign.unknown_types)), (vec![10, 64, 200], vec![63]));
    assert!(render_inspect(&foreign).contains(" Unknown(63)"));
}

#[test]
fn keys_out_of_order_are_said_to_be_and_still_compare() {
    let digest = |keys: &[&str]| read(&snap(&keys.iter().flat_map(|key| kv(key)).collect::<Vec<_>>())).unwrap().kv;
    assert!(digest(&["a", "b", "c"]).ordered && !digest(&["a", "a"]).ordered);
    assert_eq!(digest(&["b", "a", "c"]), digest(&["c", "b", "a"]));
    assert_ne!(digest(&["b", "a", "c"]).sha256, digest(&["b", "a", "d"]).sha256);
    let mut options = SnapOptions::default();
    options.limits.max_held_keys = 2;
    let many = read_consul_snap(snap(&["c", "b", "a"].map(kv).concat()).as_slice(), &options, &mut ()).unwrap();
    assert_eq!(many.kv, KvDigest { keys: 3, ordered: false, sha256: None });
}

#[test]
fn members_must_be_the_three_and_match() {
    let state = b"\x81\xa9LastIndex\x01".as_slice();
    let meta = meta(state.len());
    let list = sums(meta.as_bytes(), state);
    let [m, s, l] = [file("meta.json", meta.as_bytes()), file("state.bin", state), file("SHA256SUMS", list.as_bytes())];
    let pack = |members: &[&Vec<u8>]| {
        let members: Vec<Vec<u8>> = members.iter().map(|member| (*member).clone()).collect();
        read(&gzip(&archive(&members)))
    };
    for order in [[&m, &s, &l], [&l, &s, &m], [&s, &l, &m]] {
        assert!(pack(&order).is_ok());
    }
    assert!(matches!(pack(&[&m, &s]), Err(SnapError::Missing { name: "SHA256SUMS" })));
    assert!(matches!(pack(&[&m, &l]), Err(SnapError::Missing { name: "state.bin" })));
    assert!(matches!(pack(&[&s, &l]), Err(SnapError::Missing { name: "meta.json" })));
    assert!(matches!(pack(&[&m, &s, &l, &m]), Err(SnapError::Tar(_))));
    assert!(matches!(pack(&[&m, &s, &l, &file("x", b"")]), Err(SnapError::Unexpected { .. })));
    assert!(matches!(pack(&[&file("./meta.json", meta.as_bytes()), &s, &l]), Err(SnapError::Unexpected { .. })));
    assert!(matches!(pack(&[&member("state.bin", b'5', b"", |_| {})]), Err(SnapError::Unexpected { .. })));
    let other = super::tests::meta(99);
    let wrong = pack(&[&file("meta.json", other.as_bytes()), &s, &l]);
    assert!(matches!(wrong, Err(SnapError::Hash { name: "meta.json" })));
    let fitting = file("SHA256SUMS", sums(other.as_bytes(), state).as_bytes());
    let wrong = pack(&[&file("meta.json", other.as_bytes()), &s, &fitting]);
    assert!(matches!(wrong, Err(SnapError::Size { said: 99, found: 12 })));
    for bad in ["", "00  meta.json\n", &list.replace("  state", " state"), &list.repeat(2), &list[..75]] {
        assert!(matches!(pack(&[&m, &s, &file("SHA256SUMS", bad.as_bytes())]), Err(SnapError::Sums { .. })), "{bad}");
    }
    let junk = file("meta.json", b"{\"ID\":\"\x1b\"");
    let fitting = file("SHA256SUMS", sums(b"{\"ID\":\"\x1b\"", state).as_bytes());
    let error = pack(&[&junk, &s, &fitting]).unwrap_err();
    assert!(matches!(error, SnapError::Meta { .. }) && !error.to_string().contains('\x1b'), "{error}");
}

#[test]
fn every_cut_and_every_tail_is_found() {
    for cut in (0..GOLDEN.len()).step_by(7).chain(GOLDEN.len() - 30..GOLDEN.len()) {
        assert!(read(&GOLDEN[..cut]).is_err(), "cut at {cut}");
    }
    // Consul itself refuses the padding GNU tar leaves.
    let mut padded = Vec::new();
    gunzip(GOLDEN, &ExpandLimits::default()).read_to_end(&mut padded).unwrap();
    padded.resize(padded.len() + 512, 0);
    assert!(matches!(read(&gzip(&padded)), Err(SnapError::Tar(TarError::Padding { .. }))));
    for tail in [&b"\0"[..], b"x", GOLDEN] {
        assert!(read(&[GOLDEN, tail].concat()).is_err());
    }
}

/// What may pass unseen lies outside everything a server reads: the gzip header's time and flags, bits that align
/// deflate blocks. The content is then the same, and the manifest's own hash of the file tells.
#[test]
fn every_changed_byte_is_found_or_means_nothing() {
    let sound = read(GOLDEN).unwrap();
    let mut bad = GOLDEN.to_vec();
    let mut unseen = Vec::new();
    for at in 0..GOLDEN.len() {
        let bit = 1 << (at % 8);
        bad[at] ^= bit;
        if let Ok(found) = read(&bad) {
            assert_eq!(found, sound, "byte {at}");
            unseen.push(at);
        }
        bad[at] ^= bit;
    }
    assert!(unseen.len() < 16, "{unseen:?}");
}

/// Below the compression nothing protects but the format itself, and there every byte counts.
#[test]
fn every_changed_byte_of_the_tar_is_found() {
    let small = snap(&[kv("a"), kv("b/c"), vec![16, 0x81, 0xa3, b'K', b'e', b'y', 0xa1, b'x']].concat());
    let mut plain = Vec::new();
    gunzip(small.as_slice(), &ExpandLimits::default()).read_to_end(&mut plain).unwrap();
    for at in 0..plain.len() {
        // This bit makes another digit of every digit, so that no byte keeps its meaning.
        plain[at] ^= 8;
        assert!(read(&gzip(&plain)).is_err(), "byte {at}");
        plain[at] ^= 8;
    }
}

proptest::proptest! {
    #[test]
    fn no_records_panic(records in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
        let _ = read(&snap(&records));
    }

    #[test]
    fn no_typed_records_panic(kind in 0_u8..45, tail in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..60)) {
        let _ = read(&snap(&[[kind, 0xda, 0, u8::try_from(tail.len()).unwrap()].as_slice(), &tail].concat()));
        let _ = read(&snap(&[&[kind, 0x81], tail.as_slice()].concat()));
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..500)) {
        let _ = read(&bytes);
        let _ = read(&gzip(&bytes));
    }
}
