//! Indexes beside journals and without them, and records that a journal passes over.

use super::*;
use crate::formats::dbengine::tests as made;

const DATA: &str = "dbengine/datafile-1-0000000001.ndf";
const JOURNAL: &str = "dbengine/journalfile-1-0000000001.njf";
const INDEX: &str = "var/cache/netdata/dbengine/journalfile-1-0000000001.njfv2";
/// Where the second record of the journal begins: one block for the super block, 64 pages in the first record.
const SECOND: usize = 4096 + 19 + 2381;

/// What is done to an index.
type Change<'c> = &'c dyn Fn(&mut Vec<u8>);

/// Adds the index that an agent would make of the first pair.
pub(super) fn add(files: &mut Files) {
    let (_, _, extents) = made::data(file(files, DATA)).unwrap();
    let journal = file(files, JOURNAL).len();
    files.push((INDEX.to_owned(), made::index(journal, &extents, &(0..85).collect::<Vec<u8>>())));
}

fn index(files: &mut Files) -> &mut Vec<u8> {
    file(files, "0000000001.njfv2")
}

/// The fixture with an index that was changed.
fn with(change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    changed(|files| {
        add(files);
        change(index(files));
    })
}

/// As an agent leaves a file it could not make: the header alone, marked.
fn mark(bytes: &mut Vec<u8>) {
    bytes.truncate(72);
    bytes[..4].copy_from_slice(&0x0223_0317_u32.to_le_bytes());
}

#[test]
fn an_index_that_cannot_be_used_is_told_and_no_harm_beside_a_sound_journal() {
    let sound = metrics(&with(|_| {})).unwrap();
    assert_eq!((sound.warnings.len(), &sound.facts["unused_indexes"]), (0, &json!(0)));
    let newer = 0x0123_1317_u32.to_le_bytes();
    let changes: [(&str, Change); 8] = [
        ("no longer fit their journals", &mark),
        ("no longer fit their journals", &|bytes| bytes[3] = 0),
        ("a version that is not known", &|bytes| bytes[..4].copy_from_slice(&newer)),
        ("a version that is not known", &|bytes| {
            bytes.truncate(5000);
            bytes[..4].copy_from_slice(&newer);
        }),
        ("at byte 0: its header's checksum", &|bytes| bytes[9] ^= 1),
        ("at byte 4096: a list's checksum", &|bytes| bytes[4100] ^= 1),
        ("at byte 60: it is not as long", &|bytes| bytes.truncate(9000)),
        ("is cut short at byte 71", &|bytes| bytes.truncate(71)),
    ];
    for (why, change) in changes {
        let archive = with(change);
        let found = metrics(&archive).unwrap();
        assert!(found.warnings.len() == 1 && found.warnings[0].contains(why), "{why}: {:?}", found.warnings);
        assert_eq!(found.facts["unused_indexes"], json!(1), "{why}");
        assert_ne!(found.facts["listing_sha256"], sound.facts["listing_sha256"]);
        assert_eq!(noted(&archive).unwrap().warnings, found.warnings, "no damage that has to be kept");
        let is_damage = why.contains("byte");
        assert_eq!(found.warnings[0].contains("journalfile-1-0000000001.njfv2\" is not sound"), is_damage, "{why}");
    }
}

#[test]
fn every_byte_an_index_vouches_for_is_told_when_it_changed() {
    let mut files = stopped();
    add(&mut files);
    let size = index(&mut files).len();
    for at in (0..72).chain((4096..size).step_by(89)) {
        let found = metrics(&changed(|files| {
            shrink(files);
            add(files);
            index(files)[at] ^= 0x20;
        }));
        let found = found.unwrap();
        assert!(found.warnings.iter().any(|text| text.starts_with("Indexes ")), "byte {at}: {:?}", found.warnings);
        assert_eq!(found.facts["unused_indexes"], json!(1), "byte {at}");
    }
}

/// Two pairs, of which the first has an index in place of its journal.
fn without_its_journal(change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    changed(|files| {
        add(files);
        change(index(files));
        for end in [DATA, JOURNAL] {
            let copy = file(files, end).clone();
            files.push((format!("var/cache/netdata/{}", end.replace("1.n", "2.n")), copy));
        }
        files.retain(|(name, _)| !name.ends_with(JOURNAL));
    })
}

#[test]
fn an_index_that_is_the_sole_journal_must_be_sound() {
    assert_eq!(metrics(&without_its_journal(|_| {})).unwrap().warnings, Vec::<String>::new());
    let changes: [(&str, Change); 3] = [
        ("njfv2\" is not sound: its index version 0x01231317", &|bytes| bytes[1] ^= 0x10),
        ("njfv2\" is not sound: the index is damaged at byte 4096", &|bytes| bytes[4100] ^= 1),
        ("The journal of the data file 1 of", &mark),
    ];
    for (why, change) in changes {
        let archive = without_its_journal(change);
        let error = metrics(&archive).unwrap_err().to_string();
        assert!(error.contains(why), "{why}: {error}");
        assert_eq!(damage_of(&archive).found, [error]);
    }
    // The newest pair's index is used by no agent.
    let newest = changed(|files| {
        add(files);
        files.retain(|(name, _)| !name.ends_with(JOURNAL));
    });
    assert!(metrics(&newest).unwrap_err().to_string().contains("The journal of the data file 1 of"));
}

#[test]
fn beside_a_damaged_journal_a_damaged_index_is_named_too() {
    let told = damage_of(&changed(|files| {
        add(files);
        index(files)[4100] ^= 1;
        file(files, JOURNAL)[5000] ^= 1;
    }));
    assert_eq!(told.found.len(), 2, "{:?}", told.found);
    assert!(told.found[0].contains(".njf\" is not") && told.found[1].contains(".njfv2\" is not"), "{:?}", told.found);
}

#[test]
fn a_record_that_is_passed_over_is_found() {
    let archive = changed(|files| {
        let bytes = file(files, JOURNAL);
        assert_eq!(bytes[SECOND], 1, "a second record of the same block");
        bytes[SECOND] = 0;
    });
    let error = metrics(&archive).unwrap_err().to_string();
    assert!(error.contains("journal 1 of \"var/cache/netdata/dbengine\" passes over its record"), "{error}");
    assert_eq!(damage_of(&archive).found, [error]);
}

#[test]
fn what_an_agents_memory_held_is_no_record_that_is_passed_over() {
    // An agent writes its next block from the same memory: behind the record there is what was left of a longer row of
    // records, and only its first byte is new.
    let whole = metrics(STOPPED).unwrap();
    let other = file(&mut stopped(), "dbengine-tier1/journalfile-1-0000000001.njf")[SECOND..8192].to_vec();
    for left in [None, Some(other)] {
        let found = metrics(&changed(|files| {
            let bytes = file(files, JOURNAL);
            let mut again = bytes[4096..].to_vec();
            // The second record alone, and behind it what is left.
            let second = again[SECOND - 4096..SECOND - 4096 + 19 + 790].to_vec();
            let mut left = left.unwrap_or_else(|| second.clone());
            left[0] = 0;
            again.truncate(SECOND - 4096);
            again.push(0);
            again.resize(4096, 0);
            let next = [second, left].concat();
            bytes.splice(4096.., [again, next].concat());
            bytes.resize(3 * 4096, 0);
        }));
        let found = found.unwrap();
        assert_eq!(found.warnings, Vec::<String>::new());
        assert_eq!(found.facts["extents"], whole.facts["extents"]);
    }
}
