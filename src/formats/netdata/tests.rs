use crate::formats::tar::tests::{archive, member};
use crate::formats::tar::{TarLimits, walk_tar};
use crate::formats::{Damaged, FormatError, Part, Verdict, Wanted, look, look_for, verifier};
use proptest::prelude::*;
use rusqlite::Connection;
use serde_json::json;
use std::io;

mod indexes;
mod owners;
mod places;
mod relabelled;

const STOPPED: &[u8] = include_bytes!("../../../tests/fixtures/netdata/metrics-stopped.tar.zst");
const KILLED: &[u8] = include_bytes!("../../../tests/fixtures/netdata/metrics-killed.tar.zst");
const IDENTITY: &[u8] = include_bytes!("../../../tests/fixtures/netdata/identity.tar.zst");
const CONFIG: &[u8] = include_bytes!("../../../tests/fixtures/netdata/config.tar.zst");

const GUID: &str = "96f57146-e579-11f1-b145-8d30ee8e1919";

fn check(format: &str, mut bytes: &[u8]) -> Result<Verdict, FormatError> {
    let mut found = verifier(format).unwrap();
    found.file("a.tar", &mut bytes)?;
    assert!(bytes.is_empty(), "the archive was not read to its end");
    found.finish()
}

fn metrics(bytes: &[u8]) -> Result<Verdict, FormatError> {
    check("netdata-metrics/1", bytes)
}

/// Files by name.
type Files = Vec<(String, Vec<u8>)>;

/// The files of a fixture.
fn files(packed: &[u8]) -> Files {
    let mut found = Vec::new();
    walk_tar(zstd::Decoder::new(packed).unwrap(), &TarLimits::default(), |entry, content| {
        if entry.kind == crate::formats::tar::EntryKind::File {
            let mut bytes = Vec::new();
            content.read_to_end(&mut bytes)?;
            found.push((entry.name.escaped(), bytes));
        }
        Ok::<_, io::Error>(())
    })
    .unwrap();
    found
}

fn packed(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    archive(&files.iter().map(|(name, bytes)| member(name, b'0', bytes, |_| {})).collect::<Vec<_>>())
}

/// The stopped agent's files, unpacked once.
fn stopped() -> Files {
    static FILES: std::sync::OnceLock<Files> = std::sync::OnceLock::new();
    FILES.get_or_init(|| files(STOPPED)).clone()
}

/// The fixture after a change to its files.
fn changed(change: impl FnOnce(&mut Files)) -> Vec<u8> {
    let mut found = stopped();
    change(&mut found);
    packed(&found)
}

fn file<'f>(files: &'f mut [(String, Vec<u8>)], end: &str) -> &'f mut Vec<u8> {
    &mut files.iter_mut().find(|(name, _)| name.ends_with(end)).unwrap().1
}

#[test]
fn a_cleanly_stopped_agent_reads_whole() {
    let found = metrics(STOPPED).unwrap();
    assert_eq!(found.warnings, Vec::<String>::new());
    let fact = |name: &str| found.facts[name].clone();
    assert_eq!((fact("host_guid"), fact("hosts")), (json!(GUID), json!(1)));
    assert_eq!((fact("charts"), fact("dimensions"), fact("nameless_metrics")), (json!(29), json!(85), json!(0)));
    assert_eq!((fact("extents"), fact("points"), fact("metrics")), (json!(4), json!(9178), json!(85)));
    let tiers = fact("tiers");
    let zero = &tiers[0];
    assert_eq!((&zero["directory"], &zero["pairs"]), (&json!("var/cache/netdata/dbengine"), &json!(1)));
    assert_eq!((&zero["from"], &zero["to"]), (&json!("2026-11-21T07:03:03Z"), &json!("2026-11-21T07:05:11Z")));
    assert_eq!((&tiers[1]["points"], &tiers[2]["from"]), (&json!(140), &json!(null)));
    let meta = &fact("databases")["netdata-meta.db"];
    // All rows lie in the log: an agent of this version leaves it there when it ends.
    assert_eq!((&meta["bytes"], &meta["layout"], &meta["log"]["pages"]), (&json!(4096), &json!(7), &json!(489)));
}

#[test]
fn a_killed_agent_reads_with_an_earlier_round_of_its_log_behind_the_last() {
    let found = metrics(KILLED).unwrap();
    assert_eq!(found.warnings, Vec::<String>::new());
    let log = &found.facts["databases"]["netdata-meta.db"]["log"];
    assert_eq!((&log["pages"], &log["pending"], &log["torn"]), (&json!(42), &json!(0), &json!(false)));
    // What it collected after its start was in memory only, and is not there.
    assert_eq!(found.facts["tiers"], metrics(STOPPED).unwrap().facts["tiers"]);
}

#[test]
fn members_may_come_in_any_order() {
    let whole = metrics(STOPPED).unwrap();
    for turn in 0..3 {
        let found = metrics(&changed(|files| match turn {
            0 => files.reverse(),
            1 => files.sort_by_key(|(name, _)| !name.ends_with("njf")),
            _ => files.rotate_left(5),
        }));
        let found = found.unwrap();
        for fact in ["tiers", "metrics", "points", "host_guid", "databases", "dimensions"] {
            assert_eq!(found.facts[fact], whole.facts[fact], "{fact}");
        }
    }
}

#[test]
fn missing_halves_and_databases_are_found() {
    let without =
        |end: &str| metrics(&changed(|files| files.retain(|(name, _)| !name.ends_with(end)))).unwrap_err().to_string();
    let lost = without("dbengine/journalfile-1-0000000001.njf");
    assert_eq!(
        lost,
        "The journal of the data file 1 of \"var/cache/netdata/dbengine\" is missing: an agent would delete the data."
    );
    assert!(without("tier1/datafile-1-0000000001.ndf").contains("its journal alone restores nothing"));
    assert!(without("netdata-meta.db").contains("\"netdata-meta.db\" is missing"));
    let none = metrics(&changed(|files| files.retain(|(name, _)| !name.contains("dbengine")))).unwrap_err();
    assert!(none.to_string().contains("\"dbengine\" is missing"));
    // The log alone holds the tables here: without it every metric is nameless.
    let nameless = metrics(&changed(|files| files.retain(|(name, _)| !name.ends_with("netdata-meta.db-wal")))).unwrap();
    assert!(nameless.warnings.iter().any(|text| text.contains("no name was checked")), "{:?}", nameless.warnings);
}

#[test]
fn damage_is_named_with_its_file_and_place() {
    let with = |end: &str, change: &dyn Fn(&mut Vec<u8>)| {
        metrics(&changed(|files| change(file(files, end)))).map(|found| found.warnings).map_err(|e| e.to_string())
    };
    let data = "dbengine/datafile-1-0000000001.ndf";
    let flipped = with(data, &|bytes| bytes[5000] ^= 1).unwrap_err();
    assert!(
        flipped.contains("dbengine/datafile-1-0000000001.ndf\" is not sound: the extent at byte 4096"),
        "{flipped}"
    );
    assert!(with(data, &|bytes| bytes.truncate(4096)).unwrap_err().contains("names an extent at byte 4096"));
    assert!(with(data, &|bytes| bytes.truncate(4100)).unwrap_err().contains("cut short at byte 4100"));
    let emptied = with("dbengine/journalfile-1-0000000001.njf", &|bytes| bytes.truncate(4096)).unwrap();
    assert!(emptied[0].starts_with("Extents that no journal names"), "{emptied:?}");
    let torn = with("netdata-meta.db-wal", &|bytes| {
        let at = bytes.len() - 100;
        bytes[at] ^= 1;
    });
    assert!(torn.unwrap().iter().any(|text| text.contains("ends in a page that was never finished")));
    assert!(with("netdata-meta.db-wal", &|bytes| bytes[5000] ^= 1).unwrap_err().contains("page 2 of it is damaged"));
    assert!(with("netdata-meta.db", &|bytes| bytes[0] = 0).unwrap_err().contains("no SQLite database"));
    assert!(with("netdata-meta.db", &|bytes| bytes[19] = 3).unwrap_err().contains("SQLite file format 3"));
    assert!(with("context-meta.db-wal", &|bytes| bytes[10] ^= 1).unwrap_err().contains("its header is damaged"));
}

/// The check that goes on past damage.
fn noted(mut bytes: &[u8]) -> Result<Verdict, FormatError> {
    let mut found = verifier("netdata-metrics/1").unwrap();
    found.note_damage();
    found.file("a.tar", &mut bytes)?;
    found.finish()
}

fn damage_of(bytes: &[u8]) -> Damaged {
    match noted(bytes) {
        Err(FormatError::Damaged(damaged)) => *damaged,
        other => panic!("{other:?}"),
    }
}

#[test]
fn all_damage_is_named_and_what_is_sound_is_told_as_ever() {
    let whole = metrics(STOPPED).unwrap();
    let one = damage_of(&changed(|files| file(files, "dbengine/datafile-1-0000000001.ndf")[5000] ^= 1));
    assert_eq!((one.found.len(), one.more), (1, 0));
    assert!(one.found[0].contains("dbengine/datafile-1-0000000001.ndf\" is not sound"), "{:?}", one.found);
    assert_eq!(one.verdict.facts["damaged"], json!(one.found));
    for fact in ["host_guid", "charts", "dimensions", "databases", "files"] {
        assert_eq!(one.verdict.facts[fact], whole.facts[fact], "{fact}");
    }
    assert_eq!(one.verdict.facts["tiers"][1], whole.facts["tiers"][1], "another tier is as it was");
    assert_eq!(one.verdict.facts["tiers"][0]["bytes"], whole.facts["tiers"][0]["bytes"]);

    let many = damage_of(&changed(|files| {
        file(files, "dbengine/journalfile-1-0000000001.njf").truncate(4100);
        file(files, "dbengine-tier1/datafile-1-0000000001.ndf")[0] ^= 1;
        files.retain(|(name, _)| !name.ends_with("tier2/journalfile-1-0000000001.njf"));
        file(files, "netdata-meta.db")[0] = 0;
    }));
    let told = many.sentences().join("\n");
    assert_eq!(many.found.len(), 4, "{told}");
    for named in
        ["dbengine/journalfile-1", "dbengine-tier1/datafile-1", "dbengine-tier2\" is missing", "netdata-meta.db"]
    {
        assert!(told.contains(named), "{named}: {told}");
    }
}

#[test]
fn what_leaves_nothing_to_keep_is_no_noted_damage() {
    for end in ["netdata-meta.db", ".ndf"] {
        let bare =
            changed(|files| files.retain(|(name, _)| !(name.ends_with(end) || end == ".ndf" && name.contains("njf"))));
        assert!(matches!(noted(&bare), Err(FormatError::Missing { .. })), "{end}");
    }
    let many = damage_of(&changed(|files| {
        for number in 2..70 {
            files.push((format!("var/cache/netdata/dbengine/datafile-1-00000000{number:02}.ndf"), b"none".to_vec()));
        }
    }));
    assert_eq!((many.found.len(), many.more), (50, 18));
    assert_eq!(many.sentences().last().unwrap(), "And 18 more are damaged.");
}

#[test]
fn a_database_that_contradicts_itself_is_found_by_sqlites_own_check() {
    // One file, no log, then a page of a table's tree overwritten.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d");
    let db = Connection::open(&path).unwrap();
    db.execute_batch("PRAGMA user_version=99; CREATE TABLE t(a PRIMARY KEY, b);").unwrap();
    for n in 0..500 {
        db.execute("INSERT INTO t VALUES(?, 'some words that fill a page')", [n]).unwrap();
    }
    drop(db);
    let sound = std::fs::read(path).unwrap();
    let with = |bytes: Vec<u8>| {
        metrics(&changed(|files| {
            *file(files, "context-meta.db") = bytes;
            files.retain(|(name, _)| !name.ends_with("context-meta.db-wal"));
        }))
    };
    let newer = with(sound.clone()).unwrap();
    assert!(newer.warnings[0].contains("\"context-meta.db\" is of a newer Netdata than is known here"));
    let mut broken = sound.clone();
    broken[3 * 4096..3 * 4096 + 8].fill(0xff);
    assert!(with(broken).unwrap_err().to_string().contains("\"context-meta.db\" is not sound"));
    assert!(with(sound[..sound.len() - 4096].to_vec()).unwrap_err().to_string().contains("is not sound"));
}

#[test]
fn hostile_tables_are_not_asked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d");
    let db = Connection::open(&path).unwrap();
    db.execute_batch(
        "CREATE TABLE host(host_id, hostname, hops); CREATE TABLE chart(chart_id, host_id, type, id);
         CREATE VIEW dimension AS WITH RECURSIVE n(dim_id) AS (SELECT 1 UNION ALL SELECT 1 FROM n)
           SELECT dim_id, 1 AS chart_id, 1 AS id, 1 AS name FROM n;",
    )
    .unwrap();
    drop(db);
    let bytes = std::fs::read(path).unwrap();
    let archive = changed(|files| {
        *file(files, "netdata-meta.db") = bytes;
        files.retain(|(name, _)| !name.ends_with("netdata-meta.db-wal"));
    });
    assert!(metrics(&archive).unwrap().warnings.iter().any(|text| text.contains("no name was checked")));
    assert!(look("netdata-metrics/1", "a.tar", &mut archive.as_slice(), 0, 5).unwrap().rows.is_empty());
}

#[test]
fn files_that_must_not_be_restored_and_gaps_are_told() {
    let archive = changed(|files| {
        files.push(("var/cache/netdata/.netdata-meta.db.delete".to_owned(), Vec::new()));
        files.push(("var/cache/netdata/dbengine/core".to_owned(), b"x".to_vec()));
        for end in ["datafile-1-0000000001.ndf", "journalfile-1-0000000001.njf"] {
            let copy = file(files, &format!("dbengine/{end}")).clone();
            files.push((format!("var/cache/netdata/dbengine/{}", end.replace("1.n", "4.n")), copy));
        }
    });
    let warnings = metrics(&archive).unwrap().warnings.join("\n");
    assert!(warnings.contains("never to be restored: 1."), "{warnings}");
    assert!(warnings.contains("Files beside the samples that are none; an agent passes over them: 1."), "{warnings}");
    assert!(warnings.contains("missing from the middle of a tier: their history is lost: 2."), "{warnings}");
}

#[test]
fn dimensions_are_listed_by_name_with_their_times() {
    let page = look("netdata-metrics/1", "a.tar", &mut &STOPPED[..], 3, 2).unwrap();
    assert_eq!(page.columns, ["host", "chart", "dimension", "name", "tiers", "from", "to"]);
    let row = ["practice-1", "cpu.cpu0", "iowait", "iowait", "0 1", "2026-11-21T07:03:03Z", "2026-11-21T07:05:10Z"];
    assert_eq!((page.rows[0].as_slice(), page.rows.len(), page.more), (row.map(str::to_owned).as_slice(), 2, true));
    let last = look("netdata-metrics/1", "a.tar", &mut &STOPPED[..], 84, 2).unwrap();
    assert_eq!((last.rows.len(), last.more), (1, false));
    let iowait = |row: &[String]| row[2] == "iowait";
    let wanted = Wanted { part: Part::End, rows: 1, only: Some(&iowait) };
    let found = look_for("netdata-metrics/1", "a.tar", &mut &STOPPED[..], &wanted).unwrap();
    assert_eq!((found.rows[0][2].as_str(), found.total.map(|total| total - 1)), ("iowait", Some(found.from)));
    // One file that is damaged hides no other.
    let hurt = changed(|files| file(files, "dbengine/datafile-1-0000000001.ndf")[5000] ^= 1);
    let page = look("netdata-metrics/1", "a.tar", &mut hurt.as_slice(), 3, 2).unwrap();
    assert_eq!((page.rows[0][2].as_str(), page.rows[0][4].as_str()), ("iowait", "1"), "{:?}", page.rows);
}

#[test]
fn an_identity_is_parsed_and_its_secrets_are_not_told() {
    let found = check("netdata-identity/1", IDENTITY).unwrap();
    assert_eq!((&found.facts["machine_guid"], &found.facts["claimed"]), (&json!(GUID), &json!(false)));
    let with = |change: &dyn Fn(&mut Files)| {
        let mut list = files(IDENTITY);
        change(&mut list);
        (check("netdata-identity/1", &packed(&list)), packed(&list))
    };
    let secret = files(IDENTITY).into_iter().find(|(name, _)| name.ends_with("netdata.api.key")).unwrap().1;
    let secret = String::from_utf8(secret).unwrap();
    let id = "0b1c2d3e-1111-4222-8333-444455556666";
    let (claimed, bytes) = with(&|list| {
        list.push((
            "var/lib/netdata/cloud.d/cloud.conf".to_owned(),
            format!("[global]\n  claimed_id = {id}\n").into_bytes(),
        ));
        list.push(("var/lib/netdata/cloud.d/token".to_owned(), b"a-secret-token".to_vec()));
        list.push(("var/lib/netdata/new.db".to_owned(), b"SQLite format 3\0".to_vec()));
    });
    let claimed = claimed.unwrap();
    assert_eq!((&claimed.facts["claimed_id"], &claimed.facts["claim_token"]), (&json!(id), &json!(true)));
    assert!(claimed.warnings.iter().any(|text| text.contains("has no private key")));
    assert!(claimed.warnings.iter().any(|text| text.contains("only hashed: 1") || text.contains("keeps one: 1")));
    let page = look("netdata-identity/1", "a.tar", &mut bytes.as_slice(), 0, 99).unwrap();
    let told = format!("{:?}{:?}{:?}", claimed.facts, claimed.warnings, page);
    assert!(!told.contains(&secret) && !told.contains("a-secret-token") && told.contains(GUID));
    let guid = "unique.id";
    for (bad, why) in [("", "not 36"), ("96f57146", "not 36"), ("00000000-0000-0000-0000-000000000000", "not 36")] {
        let (judged, _) = with(&|list| *file(list, guid) = bad.as_bytes().to_vec());
        assert!(judged.unwrap_err().to_string().contains(why), "{bad}");
    }
    let (lost, _) = with(&|list| list.retain(|(name, _)| !name.ends_with(guid)));
    assert!(lost.unwrap_err().to_string().contains("unique.id\" is missing"));
}

#[test]
fn a_configuration_tells_its_limits_and_not_its_keys() {
    let found = check("netdata-config/1", CONFIG).unwrap();
    assert_eq!(found.facts["db"], json!({"mode": "dbengine", "storage tiers": "3", "update every": "1"}));
    assert_eq!((&found.facts["stream_conf"], &found.facts["streams_to_parent"]), (&json!(true), &json!(true)));
    assert!(!format!("{found:?}").contains("6f7e9c52"));
    let mut list = files(CONFIG);
    list.push(("etc/netdata/.install-type".to_owned(), b"INSTALL_TYPE='x'".to_vec()));
    assert!(check("netdata-config/1", &packed(&list)).unwrap().warnings[0].contains(".install-type"));
    list.retain(|(name, _)| !name.ends_with("netdata.conf"));
    assert!(check("netdata-config/1", &packed(&list)).unwrap_err().to_string().contains("\"netdata.conf\" is missing"));
    let page = look("netdata-config/1", "a.tar", &mut &CONFIG[..], 1, 1).unwrap();
    assert_eq!((page.rows[0][4].as_str(), page.more), ("main configuration", true));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Every byte counts: it breaks the check, changes what is told, or at the least the hash over all contents. Only what
    /// pads a header's own sum says nothing: a blank, a zero and a NUL there are the same number.
    #[test]
    fn a_changed_byte_anywhere_is_found(at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let (plain, told) = small_set();
        let (at, mut bad) = (at.index(plain.len()), plain.clone());
        bad[at] ^= 1 << bit;
        let header = plain.chunks(512).nth(at / 512).unwrap();
        let is_of_a_sum = &header[257..262] == b"ustar" && (148..156).contains(&(at % 512));
        let is_padding = is_of_a_sum && [plain[at], bad[at]].iter().all(|byte| b" 0\0".contains(byte));
        prop_assert!(is_padding || metrics(&bad).ok().is_none_or(|found| found.facts != told.facts));
    }

    /// Within what a checksum covers it breaks the check itself; beyond, the journal's own count does.
    #[test]
    fn a_changed_byte_of_the_samples_is_found_by_the_files_own_checksums(
        at in any::<prop::sample::Index>(), bit in 0_u8..8, which in 0_usize..4
    ) {
        let end = [
            "dbengine/datafile-1-0000000001.ndf", "dbengine-tier1/datafile-1-0000000001.ndf",
            "dbengine/journalfile-1-0000000001.njf", "dbengine-tier1/journalfile-1-0000000001.njf",
        ][which];
        let place = { let mut whole = stopped(); at.index(file(&mut whole, end).len()) };
        let bad = changed(|files| {
            file(files, end)[place] ^= 1 << bit;
            files.retain(|(name, _)| !name.ends_with("-shm") && !name.contains("context"));
        });
        let judged = metrics(&bad);
        prop_assert_eq!(noted(&bad).is_ok(), judged.is_ok(), "noting damage passes nothing over");
        // A set without this database has one warning, which is not about the byte.
        let judged = judged.map(|found| found.warnings.into_iter().filter(|text| !text.contains("context-meta")).collect::<Vec<_>>());
        let told = judged.is_err() || judged.is_ok_and(|warnings| !warnings.is_empty());
        prop_assert!(told || filling(end, place), "byte {} of {}", place, end);
    }

    #[test]
    fn a_cut_archive_is_found(at in any::<prop::sample::Index>()) {
        let cut = at.index(STOPPED.len());
        prop_assert!(metrics(&STOPPED[..cut]).is_err());
        let kept = noted(&STOPPED[..cut]);
        prop_assert!(kept.is_err() && !kept.is_err_and(|error| error.leaves_the_rest_readable()), "a stump is kept");
    }

    #[test]
    fn a_cut_member_is_found(at in any::<prop::sample::Index>(), which in 0_usize..4) {
        let end = ["datafile-1-0000000001.ndf", "journalfile-1-0000000001.njf", "netdata-meta.db-wal", "netdata-meta.db"][which];
        let bad = changed(|files| { let bytes = file(files, end); let size = at.index(bytes.len()); bytes.truncate(size); });
        let judged = metrics(&bad);
        // A log cut between two commits is a shorter log, which only the archive's own hash and the missing names tell.
        let shorter = end.ends_with("-wal") || end.ends_with("-meta.db");
        prop_assert!(judged.as_ref().is_ok_and(|found| !found.warnings.is_empty() || shorter) || judged.is_err());
    }
}

/// The fixture with an index, and a database of a few pages in place of one in a large log, and what is told of it.
fn small_set() -> &'static (Vec<u8>, Verdict) {
    static SET: std::sync::OnceLock<(Vec<u8>, Verdict)> = std::sync::OnceLock::new();
    SET.get_or_init(|| {
        let plain = changed(|files| {
            shrink(files);
            indexes::add(files);
        });
        let told = metrics(&plain).unwrap();
        (plain, told)
    })
}

/// Puts a database of a few pages in place of one in a large log.
fn shrink(files: &mut Files) {
    static DATABASE: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    let bytes = DATABASE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("d");
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE host(host_id); CREATE TABLE chart(id);").unwrap();
        std::fs::read(path).unwrap()
    });
    files.retain(|(name, _)| !name.ends_with("-wal") && !name.ends_with("-shm"));
    bytes.clone_into(file(files, "netdata-meta.db"));
}

/// Whether a byte of a fixture's file lies behind a record or extent, where the agent's memory was written out with it.
fn filling(end: &str, place: usize) -> bool {
    let mut whole = stopped();
    let bytes = file(&mut whole, end).clone();
    let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    let mut at = 4096;
    while at < bytes.len() {
        let (next, stop) = if end.ends_with("ndf") {
            let stop = at + 10 + usize::from(bytes[at + 5]) * 37 + number(at);
            (stop.next_multiple_of(4096), stop)
        } else {
            let mut stop = at;
            while bytes[stop] == 1 {
                stop += 19 + usize::from(u16::from_le_bytes([bytes[stop + 13], bytes[stop + 14]]));
            }
            // The byte behind the last record says that none follows.
            (at + 4096, stop + 1)
        };
        if (stop..next).contains(&place) {
            return true;
        }
        at = next;
    }
    false
}
