//! Bytes that were changed before all hashes were made: the service's own format is what is left to find them.
//!
//! As somebody makes them who can write to the vault, or a producer whose memory is bad. What the format does not vouch
//! for is still held against what was recorded of the contents; see "Verified" in `docs/services/netdata.md`.

use std::collections::{BTreeMap, BTreeSet};

use lifeboat::engine::verify::{Check, Checked};
use lifeboat::formats::dbengine::{BLOCK, Extent, read_journal_file};
use lifeboat::formats::verifier;
use lifeboat::transport::Cancel;
use lifeboat::vault::Sealing;
use serde_json::json;

use super::{Bench, Copy, console, item, staged};

const ARTEFACTS: [(&str, &str, &[u8]); 3] = [
    ("config", "netdata-config/1", include_bytes!("../../fixtures/netdata/config.tar.zst")),
    ("identity", "netdata-identity/1", include_bytes!("../../fixtures/netdata/identity.tar.zst")),
    ("metrics", "netdata-metrics/1", include_bytes!("../../fixtures/netdata/metrics-stopped.tar.zst")),
];

/// The archive with the index that a newer agent would make of its first pair.
fn with_an_index(archive: &[u8]) -> Vec<u8> {
    let (mut end, mut journal) = (0, Vec::new());
    for entry in tar::Archive::new(archive).entries().unwrap() {
        let mut entry = entry.unwrap();
        end = entry.raw_file_position() + entry.size().next_multiple_of(512);
        if entry.path().unwrap().ends_with("dbengine/journalfile-1-0000000001.njf") {
            std::io::Read::read_to_end(&mut entry, &mut journal).unwrap();
        }
    }
    let mut extents = Vec::new();
    let mut name = |named: &Extent| {
        extents.push(*named);
        Ok(())
    };
    read_journal_file(&mut journal.as_slice(), &mut |_| {}, &mut name).unwrap();
    let index = index(journal.len(), &extents, 85);
    let mut header = tar::Header::new_gnu();
    header.set_path("var/cache/netdata/dbengine/journalfile-1-0000000001.njfv2").unwrap();
    header.set_size(index.len() as u64);
    header.set_mode(0o600);
    header.set_mtime(1);
    header.set_uid(201);
    header.set_gid(201);
    header.set_username("netdata").unwrap();
    header.set_groupname("netdata").unwrap();
    header.set_cksum();
    let (before, after) = archive.split_at(usize::try_from(end).unwrap());
    let padding = vec![0; index.len().next_multiple_of(512) - index.len()];
    [before, header.as_bytes().as_slice(), &index, &padding, after].concat()
}

/// An index of these extents and of so many metrics, each with one page.
fn index(journal: usize, extents: &[Extent], metrics: u8) -> Vec<u8> {
    let le = |number: usize| u32::try_from(number).unwrap().to_le_bytes();
    let with_sum = |bytes: Vec<u8>| [bytes.as_slice(), &crc32fast::hash(&bytes).to_le_bytes()].concat();
    let count = usize::from(metrics);
    let metric_at = BLOCK + 16 * extents.len() + 4;
    let page_at = metric_at + 36 * count + 4;
    let size = page_at + 52 * count + 4;
    let fields =
        [extents.len(), BLOCK, count, metric_at, count, page_at, metric_at - 4, page_at - 4, journal, size, 0, 0];
    let magic = 0x0123_0317_u32.to_le_bytes();
    let header = [magic.as_slice(), &[0; 20], &fields.map(le).concat()].concat();
    let named = extents
        .iter()
        .flat_map(|one| [one.offset.to_le_bytes().as_slice(), &one.size.to_le_bytes(), &[0, 0, one.pages, 0]].concat());
    let listed = (0..metrics).flat_map(|metric| {
        [[metric; 16].as_slice(), &le(1), &le(page_at + 52 * usize::from(metric)), &[0; 12]].concat()
    });
    let pages = (0..metrics).flat_map(|metric| {
        let rest = [le(metric_at + 36 * usize::from(metric)).as_slice(), &le(1), &[metric; 16]].concat();
        let sum = crc32fast::hash(&[magic.as_slice(), &rest].concat());
        [sum.to_le_bytes().as_slice(), &rest, &with_sum(vec![0; 20])].concat()
    });
    let mut bytes = header.clone();
    bytes.resize(BLOCK, 0);
    for part in [with_sum(named.collect()), with_sum(listed.collect()), pages.collect()] {
        bytes.extend(part);
    }
    bytes.extend(crc32fast::hash(&header).to_le_bytes());
    assert_eq!(bytes.len(), size);
    bytes
}

/// What finds a changed byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum By {
    /// The format itself, which says where.
    Format,
    /// What was recorded of the contents, and nothing else.
    Record,
}

/// Regions of an archive by name, with the byte that is flipped in each.
fn regions(archive: &[u8]) -> Vec<(String, usize)> {
    let number = |at: u64| usize::try_from(at).unwrap();
    let mut found = Vec::new();
    let mut reader = tar::Archive::new(archive);
    let mut before = 0;
    for entry in reader.entries().unwrap() {
        let entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let (header, body, size) =
            (number(entry.raw_header_position()), number(entry.raw_file_position()), number(entry.size()));
        let mut add = |what: &str, at: usize| found.push((format!("{name}: {what}"), at));
        if header > before {
            add("extended header", before + 3);
            add("extended records", before + 512 + 5);
        }
        for (what, at) in [
            ("name", 2),
            ("mode", 104),
            ("owner", 110),
            ("time", 140),
            ("checksum", 150),
            ("kind", 156),
            ("account", 266),
        ] {
            add(what, header + at);
        }
        let is_file = entry.header().entry_type().is_file();
        if is_file && size > 0 {
            add("first byte", body);
            add("middle", body + size / 2);
            add("last byte", body + size - 1);
        }
        let whole = size.next_multiple_of(512);
        if whole > size {
            add("padding", body + size);
            add("end of the padding", body + whole - 1);
        }
        before = body + whole;
    }
    found.push(("the archive: first end block".to_owned(), before + 9));
    found.push(("the archive: second end block".to_owned(), before + 512 + 9));
    found.push(("the archive: last byte".to_owned(), archive.len() - 1));
    found
}

fn facts_of(format: &str, name: &str, bytes: &[u8]) -> serde_json::Value {
    let mut sound = verifier(format).unwrap();
    sound.file(name, &mut &bytes[..]).unwrap();
    json!(sound.finish().unwrap().facts)
}

/// Stores `bytes` with every hash as it must be and with what was recorded of the sound ones, and checks that.
fn judged(bench: &Bench, artefact: (&str, &str), bytes: Vec<u8>, recorded: &serde_json::Value) -> Checked {
    let (id, format) = artefact;
    let copy = Copy {
        item: item(&format!("mon-1/netdata/{id}")),
        sealing: Sealing::plaintext_allowed(),
        files: vec![("a.tar", bytes)],
        ..Copy::clear()
    };
    let (staging, mut manifest, proofs, card) = staged(&bench.vault, &copy, &bench.clock, &bench.entropy).unwrap();
    format.clone_into(&mut manifest.format);
    manifest.facts = json!({"verified": recorded});
    let published = staging.publish(&manifest, &proofs, &card, &bench.clock, &bench.entropy).unwrap();
    let mut snapshot = bench.vault.snapshot(&copy.item, &published.id, &mut Vec::new()).unwrap();
    assert!(super::intact(&bench.vault, &snapshot).is_empty(), "every hash is as it must be");
    let (keys, cancel) = (bench.keys(), Cancel::new());
    let check = Check {
        vault: &bench.vault,
        keys: &keys,
        console: &console(),
        clock: &bench.clock,
        cancel: &cancel,
        record: false,
    };
    let checked = check.run(&mut snapshot).unwrap();
    std::fs::remove_dir_all(snapshot.dir()).unwrap();
    checked
}

#[test]
fn every_region_of_every_artefact_of_an_agent_is_found_when_it_changed() {
    for (id, format, packed) in ARTEFACTS {
        let bench = Bench::new();
        let sound = zstd::decode_all(packed).unwrap();
        let sound = if id == "metrics" { with_an_index(&sound) } else { sound };
        let recorded = facts_of(format, "a.tar", &sound);
        assert!(matches!(judged(&bench, (id, format), sound.clone(), &recorded), Checked::Verified { .. }), "{id}");
        let all = regions(&sound);
        let mut by: BTreeMap<By, BTreeSet<String>> = BTreeMap::new();
        for (what, at) in &all {
            let mut bad = sound.clone();
            bad[*at] ^= 0x01;
            let Checked::Broken { why } = judged(&bench, (id, format), bad, &recorded) else {
                panic!("{id}: the changed byte {at} passed: {what}");
            };
            let why = why.join(" ");
            let is_recorded = why.contains("not what the manifest recorded");
            // An index is no harm beside its journal: the format tells one more that no agent uses.
            let is_told = why.contains("unused_indexes");
            assert!(!is_told || what.contains(".njfv2: "), "{id}: {what}: {why}");
            by.entry(if is_recorded && !is_told { By::Record } else { By::Format }).or_default().insert(what.clone());
            let file = what.split(": ").next().unwrap();
            let names = why.contains("The machine GUID")
                || why.contains(file.rsplit('/').next().unwrap().trim_end_matches("-wal"))
                || why.contains("byte ");
            assert!(is_recorded || names, "{id}: {what} is not named: {why}");
        }
        println!("{id}: {} regions; only the record finds {:#?}", all.len(), by.get(&By::Record));
        // Headers, padding and ends are the format's own. What is in a file the format does not read is not.
        let recorded = by.remove(&By::Record).unwrap_or_default();
        let in_a_file = |what: &str| ["first byte", "middle", "last byte"].iter().any(|part| what.ends_with(part));
        assert!(recorded.iter().all(|what| in_a_file(what)), "{recorded:#?}");
        let samples = |what: &&String| what.contains("/datafile-") || what.contains("/journalfile-");
        let fills = |what: &&String| what.ends_with("last byte") && !what.contains(".njfv2: ");
        let unseen: Vec<_> = recorded.iter().filter(samples).filter(|what| !fills(what)).collect();
        assert_eq!(unseen, Vec::<&String>::new(), "the samples' own checksums find all but what fills up a block");
    }
}
