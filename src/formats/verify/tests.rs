use super::*;
use crate::formats::staking::tests::{certificate, p256};
use crate::formats::tar::tests::{archive, member};
use crate::formats::{Only, Part, Wanted, look, look_for};

const GOLDEN: &[u8] = include_bytes!("../../../tests/fixtures/formats/consul-1.20.1.snap");

fn check(format: &str, files: &[(&str, &[u8])]) -> Result<Verdict, FormatError> {
    let mut found = verifier(format).unwrap();
    for (path, bytes) in files {
        let mut input = *bytes;
        found.file(path, &mut input)?;
        assert!(input.is_empty(), "{path} was not read to its end");
    }
    found.finish()
}

#[test]
fn every_listed_format_has_a_verifier() {
    assert!(FORMATS.iter().all(|format| verifier(format).is_some()));
    assert!(verifier("tar/2").is_none());
}

#[test]
fn an_identity_is_judged_as_a_set() {
    let key = p256();
    let (cert, pem) = (certificate(&key), key.private_key_to_pem_pkcs8().unwrap());
    let signer = b"AvalancheLocalNetworkValidator01".as_slice();
    let whole = check("staking/1", &[("signer.key", signer), ("staker.crt", &cert), ("staker.key", &pem)]).unwrap();
    assert_eq!((whole.facts["complete"].clone(), whole.entries), (json!(true), 3));
    assert!(whole.facts["bls_public_key"].as_str().unwrap().starts_with("0x900c"));
    let part = check("staking/1", &[("staker.crt", &cert), ("staker.key", &pem)]).unwrap();
    assert_eq!((part.facts["complete"].clone(), part.warnings.len()), (json!(false), 1));
    assert_eq!(part.facts["node_id"], whole.facts["node_id"]);
    let error = |files: &[(&str, &[u8])]| check("staking/1", files).unwrap_err();
    assert!(matches!(error(&[("staker.crt", &cert)]), FormatError::Missing { path: "staker.key" }));
    assert!(matches!(error(&[("other", b"")]), FormatError::Unexpected { .. }));
    assert!(matches!(error(&[("staker.crt", &cert), ("staker.crt", &cert)]), FormatError::Unexpected { .. }));
    assert!(matches!(error(&[("staker.crt", &vec![b'a'; 70_000])]), FormatError::TooLarge { .. }));
    let page = look("staking/1", "staker.crt", &mut cert.as_slice(), 0, 2).unwrap();
    assert_eq!((page.rows[0][1].as_str(), page.more), (whole.facts["node_id"].as_str().unwrap(), true));
    let page = look("staking/1", "staker.key", &mut pem.as_slice(), 0, 9).unwrap();
    assert!(page.rows[0][1].starts_with("PRIVATE KEY, ") && !page.more);
}

#[test]
fn archives_in_every_compression_say_the_same() {
    let plain = archive(&[member("d/a", b'0', b"hello", |_| {}), member("d/b", b'0', b"", |block| block[104] = b'4')]);
    let zstd = zstd::encode_all(plain.as_slice(), 1).unwrap();
    let mut gzip = flate2::read::GzEncoder::new(plain.as_slice(), flate2::Compression::fast());
    let mut packed = Vec::new();
    gzip.read_to_end(&mut packed).unwrap();
    let mut hashes = BTreeSet::new();
    for (bytes, name) in [(&plain, "none"), (&zstd, "zstd"), (&packed, "gzip")] {
        let found = check("tar/1", &[("t", bytes)]).unwrap();
        assert_eq!((found.facts["compression"].clone(), found.entries), (json!(name), 2));
        assert_eq!(found.plain_bytes, bytes.len() as u64);
        hashes.insert(found.facts["listing_sha256"].to_string());
        let page = look("tar/1", "t", &mut bytes.as_slice(), 1, 1).unwrap();
        assert_eq!((page.rows[0][0].as_str(), page.rows.len(), page.more), ("d/b", 1, false));
        assert!(look("tar/1", "t", &mut bytes.as_slice(), 0, 1).unwrap().more);
        assert!(matches!(check("tar/1", &[("t", &bytes[..bytes.len() - 3])]), Err(FormatError::Tar(_))));
    }
    assert_eq!(hashes.len(), 1);
    let two = check("tar/1", &[("t", &plain), ("u", &zstd)]).unwrap();
    assert_eq!((two.entries, two.facts["archives"].clone()), (4, json!(2)));
    assert!(matches!(check("tar/1", &[]), Err(FormatError::Missing { .. })));
    assert!(check("tar/1", &[("t", b"")]).is_err());
    assert_eq!(two.facts["roots"], json!({"t": ["d"], "u": ["d"]}));
    // Both end blocks and nothing before them: sound to any reader, and a copy of nothing.
    let nothing = check("tar/1", &[("t", &plain), ("u", &[0; 1024])]);
    assert!(matches!(nothing, Err(FormatError::Empty { .. })), "{nothing:?}");
}

#[test]
fn a_snapshot_is_one_file() {
    let found = check("consul-snap/1", &[("dc1.snap", GOLDEN)]).unwrap();
    assert_eq!((found.entries, found.facts["kv_keys"].clone()), (75, json!(19)));
    assert_eq!((found.facts["types"]["KVS"]["count"].clone(), found.warnings.len()), (json!(19), 0));
    let secrets = serde_json::to_string(&found.facts).unwrap();
    assert!(!secrets.contains("Secret") && !secrets.contains("throw-away"));
    let twice = check("consul-snap/1", &[("a", GOLDEN), ("b", GOLDEN)]);
    assert!(matches!(twice, Err(FormatError::Unexpected { .. })));
    let page = look("consul-snap/1", "a", &mut &*GOLDEN, 17, 9).unwrap();
    assert_eq!((page.rows.len(), page.more, page.rows[0].len()), (2, false, page.columns.len()));
    assert!(look("consul-snap/1", "a", &mut &*GOLDEN, 0, 3).unwrap().more);
}

#[test]
fn rows_that_are_wanted_are_counted_to_the_end_and_no_more_are_held_than_a_page() {
    let all = look("consul-snap/1", "a", &mut &*GOLDEN, 0, 99).unwrap();
    assert_eq!((all.rows.len(), all.from, all.total, all.more), (19, 0, None, false));
    let ask = |part, rows, only: Option<Only>| {
        look_for("consul-snap/1", "a", &mut &*GOLDEN, &Wanted { part, rows, only }).unwrap()
    };
    let end = ask(Part::End, 5, None);
    assert_eq!((&end.rows[..], end.from, end.total, end.more), (&all.rows[14..], 14, Some(19), false));
    let is_odd = |row: &[String]| all.rows.iter().position(|one| one == row).unwrap() % 2 == 1;
    let some = ask(Part::From(2), 3, Some(&is_odd));
    let picked: Vec<_> = [5, 7, 9].iter().map(|at| all.rows[*at].clone()).collect();
    assert_eq!((some.rows, some.from, some.total, some.more), (picked, 2, Some(9), true));
    let last = ask(Part::End, 2, Some(&is_odd));
    let picked: Vec<_> = [15, 17].iter().map(|at| all.rows[*at].clone()).collect();
    assert_eq!((last.rows, last.from, last.total, last.more), (picked, 7, Some(9), false));
    let none = ask(Part::From(0), 3, Some(&|_| false));
    assert_eq!((none.rows.len(), none.total, none.more), (0, Some(0), false));
    // What is read to its end is read to its damage.
    let cut = &GOLDEN[..GOLDEN.len() - 9];
    assert!(look("consul-snap/1", "a", &mut &*cut, 0, 3).is_ok());
    for only in [None, Some(&is_odd as Only)] {
        assert!(look_for("consul-snap/1", "a", &mut &*cut, &Wanted { part: Part::End, rows: 3, only }).is_err());
    }
    assert!(
        look_for("consul-snap/1", "a", &mut &*cut, &Wanted { part: Part::From(0), rows: 3, only: Some(&is_odd) })
            .is_err()
    );
}

#[test]
fn bytes_are_only_hashed() {
    let one = check("bytes/1", &[("a", b"hello")]).unwrap();
    assert_eq!(one.facts["sha256"], "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
    let two = check("bytes/1", &[("a", b"hello"), ("b", b"")]).unwrap();
    assert_eq!((two.entries, two.plain_bytes, two.facts.get("sha256")), (2, 5, None));
    assert_ne!(one.facts["listing_sha256"], two.facts["listing_sha256"]);
}
