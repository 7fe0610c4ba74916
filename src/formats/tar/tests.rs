use super::*;
use crate::formats::text::hex;
use std::io;
use std::process::Command;

type Row = (String, EntryKind, u64, String);

fn list(bytes: &[u8]) -> Result<(Vec<Row>, TarSummary), TarError> {
    let limits = TarLimits { max_padding: 1 << 20, ..TarLimits::default() };
    let mut rows: Vec<Row> = Vec::new();
    let mut hashes = Vec::new();
    let summary = walk_tar_hashed(
        bytes,
        &limits,
        |entry, content| -> io::Result<()> {
            rows.push((entry.name.to_string(), entry.kind, entry.size, String::new()));
            // Half the visitors read nothing, and the walk must not mind.
            if entry.index % 2 == 0 {
                io::copy(content, &mut io::sink())?;
            }
            Ok(())
        },
        |entry, hash| hashes.push((entry.index, hex(hash))),
    )?;
    for (index, hash) in hashes {
        rows[usize::try_from(index).unwrap()].3 = hash;
    }
    Ok((rows, summary))
}

/// One header and content, checksum and all; `edit` changes fields before the checksum is made.
pub(crate) fn member(name: &str, flag: u8, content: &[u8], edit: impl Fn(&mut [u8; 512])) -> Vec<u8> {
    let mut block = [0; 512];
    block[..name.len()].copy_from_slice(name.as_bytes());
    block[100..108].copy_from_slice(b"0000644\0");
    block[108..124].copy_from_slice(b"0001750\x000001750\0");
    block[124..136].copy_from_slice(format!("{:011o}\0", content.len()).as_bytes());
    block[136..148].copy_from_slice(b"14000000000\0");
    block[156] = flag;
    block[257..265].copy_from_slice(b"ustar\x0000");
    edit(&mut block);
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut out = block.to_vec();
    out.extend_from_slice(content);
    out.resize(out.len().next_multiple_of(512), 0);
    out
}

fn plain(name: &str, content: &[u8]) -> Vec<u8> {
    member(name, b'0', content, |_| {})
}

fn link(name: &str, flag: u8, target: &str) -> Vec<u8> {
    member(name, flag, b"", |block| block[157..157 + target.len()].copy_from_slice(target.as_bytes()))
}

pub(crate) fn archive(members: &[Vec<u8>]) -> Vec<u8> {
    let mut out = members.concat();
    out.resize(out.len() + 1024, 0);
    out
}

fn refused(members: &[Vec<u8>]) -> TarError {
    list(&archive(members)).unwrap_err()
}

fn name_error(members: &[Vec<u8>]) -> names::NameError {
    match refused(members) {
        TarError::Name { reason, .. } => reason,
        other => panic!("{other}"),
    }
}

#[test]
fn a_sound_archive_is_listed() {
    let sound = archive(&[
        member("./", b'5', b"", |_| {}),
        plain("./a", b"hello"),
        link("./s", b'2', "../x"),
        link("./h", b'1', "a"),
        plain("d/e/f", &[7; 513]),
    ]);
    let (rows, sum) = list(&sound).unwrap();
    assert_eq!(rows[1].3, "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
    assert_eq!((sum.entries, sum.files, sum.directories, sum.links), (5, 2, 1, 2));
    assert_eq!((sum.bytes, sum.escaping_links, sum.archive_bytes), (518, 1, sound.len() as u64));
}

#[test]
fn the_end_must_stand_whole() {
    let whole = archive(&[plain("a", b"x")]);
    // Everything that is cut, the second end block included.
    for cut in 0..whole.len() {
        assert!(list(&whole[..cut]).is_err(), "cut at {cut}");
    }
    let mut long = whole.clone();
    long.resize(10240, 0);
    assert!(list(&long).is_ok());
    for at in whole.len() - 1024..long.len() {
        let mut bad = long.clone();
        bad[at] = 1;
        assert!(list(&bad).is_err(), "byte {at}");
    }
    assert!(list(&[whole.clone(), vec![0; 511]].concat()).is_err());
    assert!(matches!(list(&[whole.clone(), whole.clone()].concat()), Err(TarError::AfterEnd { index: 1, .. })));
    assert!(matches!(list(&[whole, vec![0; 2 << 20]].concat()), Err(TarError::Padding { .. })));
    assert!(matches!(list(b""), Err(TarError::NoEnd { index: 0, offset: 0 })));
}

#[test]
fn unsafe_names_are_refused_not_skipped() {
    use names::NameError as N;
    let one = |name: &str| name_error(&[plain("first", b""), plain(name, b"")]);
    assert_eq!(one("/etc/passwd"), N::Absolute);
    assert_eq!(one("a/../../b"), N::Upwards);
    assert_eq!(one(".."), N::Upwards);
    assert_eq!(one(""), N::Empty);
    assert_eq!(one("a/"), N::Slash);
    assert_eq!(one("."), N::Root);
    assert_eq!(one("first"), N::Duplicate);
    assert_eq!(one(".//first"), N::Duplicate);
    assert_eq!(one("first/x"), N::Beneath);
    assert_eq!(name_error(&[link("l", b'2', "/etc"), plain("l/passwd", b"")]), N::Beneath);
    assert_eq!(name_error(&[plain("d/x", b""), link("d", b'2', "/etc")]), N::Replaces);
    assert_eq!(name_error(&[link("h", b'1', "later"), plain("later", b"")]), N::HardLink);
    assert_eq!(name_error(&[link("h", b'1', "../x")]), N::Upwards);
    assert_eq!(name_error(&[link("s", b'2', "")]), N::EmptyLink);
    assert_eq!(name_error(&[member("d", b'5', b"", |_| {}), link("h", b'1', "d")]), N::HardLink);
    assert!(list(&archive(&[plain("d/x", b""), member("d/", b'5', b"", |_| {})])).is_ok());
    let deep = "a/".repeat(300) + "x";
    assert_eq!(name_error(&[member("p", b'x', &pax(&[("path", &deep)]), |_| {}), plain("q", b"")]), N::TooDeep(256));
    let long = "a".repeat(4096);
    assert_eq!(name_error(&[member("p", b'x', &pax(&[("path", &long)]), |_| {}), plain("q", b"")]), N::TooLong(4095));
    assert_eq!(name_error(&[member("p", b'x', &pax(&[("path", "a\0b")]), |_| {}), plain("q", b"")]), N::Nul);
}

fn pax(records: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (key, value) in records {
        let body = format!(" {key}={value}\n");
        let length = (1..=6).map(|digits| body.len() + digits).find(|n| n.to_string().len() + body.len() == *n);
        out.extend_from_slice(format!("{}{body}", length.unwrap()).as_bytes());
    }
    out
}

#[test]
fn foreign_kinds_and_content_on_links_are_refused() {
    for flag in *b"346" {
        assert!(matches!(refused(&[member("x", flag, b"", |_| {})]), TarError::Special { .. }));
    }
    for flag in *b"7DMVNXA" {
        assert!(matches!(refused(&[member("x", flag, b"", |_| {})]), TarError::Header { .. }));
    }
    for flag in *b"25" {
        assert!(matches!(refused(&[member("x", flag, b"body", |_| {})]), TarError::Invalid { .. }));
    }
    assert!(matches!(refused(&[member("x", b'0', b"", |block| block[257] = b'U')]), TarError::Header { .. }));
}

#[test]
fn pax_sizes_win_and_bad_extensions_are_refused() {
    let content = [b"12345".as_slice(), &[0; 507]].concat();
    let zero = |block: &mut [u8; 512]| block[124..136].copy_from_slice(b"00000000000\0");
    let mut big = member("a", b'0', b"", zero);
    big.extend_from_slice(&content);
    let (rows, _) = list(&archive(&[member("p", b'x', &pax(&[("size", "5")]), |_| {}), big])).unwrap();
    assert_eq!((rows[0].2, rows.len()), (5, 1));
    let dangling = refused(&[member("p", b'x', &pax(&[("size", "5")]), |_| {})]);
    assert!(matches!(dangling, TarError::Invalid { .. }), "{dangling}");
    let huge = member("p", b'x', b"", |block| block[124..136].copy_from_slice(b"77777777777\0"));
    assert!(matches!(refused(&[huge]), TarError::Extension { .. }));
    let twice = refused(&[
        member("p", b'x', &pax(&[("path", "a")]), |_| {}),
        member("p", b'x', &pax(&[("path", "b")]), |_| {}),
        plain("c", b""),
    ]);
    assert!(matches!(twice, TarError::Pax { .. }));
}

#[test]
fn the_visitor_reason_is_kept_and_limits_hold() {
    let sound = archive(&[plain("a", b"x"), plain("b", b"yy")]);
    let stop = |entry: &TarEntry, _: &mut dyn Read| if entry.index == 1 { Err("enough") } else { Ok(()) };
    let found = walk_tar(sound.as_slice(), &TarLimits::default(), stop).unwrap_err();
    assert_eq!(found.to_string(), "Entry 1 was refused: enough");
    let limits = TarLimits { max_entries: 1, ..TarLimits::default() };
    let go = |_: &TarEntry, _: &mut dyn Read| Ok::<_, io::Error>(());
    assert!(matches!(walk_tar(sound.as_slice(), &limits, go), Err(TarError::Name { .. })));
    let limits = TarLimits { max_content: 2, ..TarLimits::default() };
    assert!(matches!(walk_tar(sound.as_slice(), &limits, go), Err(TarError::TooMuch { .. })));
}

#[test]
fn every_changed_byte_fails_or_changes_the_digest() {
    let sound = archive(&[plain("a", b"hello"), link("s", b'2', "x"), plain("d/b", &[9; 600])]);
    let (_, before) = list(&sound).unwrap();
    for at in 0..sound.len() {
        for bit in [1, 0x80] {
            let mut bad = sound.clone();
            bad[at] ^= bit;
            let found = list(&bad);
            assert!(found.is_err() || found.unwrap().1.sha256 != before.sha256, "byte {at} bit {bit}");
        }
    }
}

/// What GNU tar writes, with long names, links, sparse files and large owners, in both of its forms.
#[test]
fn gnu_tar_is_read_whole() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("tree");
    let long = "n".repeat(120);
    let deep = root.join("d".repeat(90)).join("e".repeat(90));
    std::fs::create_dir_all(&deep).unwrap();
    std::fs::write(root.join("plain"), b"plain content").unwrap();
    std::fs::write(deep.join(&long), b"deep").unwrap();
    std::fs::hard_link(root.join("plain"), root.join("zz-hard")).unwrap();
    std::os::unix::fs::symlink("t".repeat(150), root.join("sym")).unwrap();
    std::fs::write(root.join("empty"), b"").unwrap();
    // Enough pieces that GNU's map needs blocks after the header, with data and with a hole at the end.
    for (name, tail) in [("sparse-data", 0_u64), ("sparse-hole", 1_000_000)] {
        let file = std::fs::File::create(root.join(name)).unwrap();
        for piece in 0..40_u64 {
            std::os::unix::fs::FileExt::write_all_at(&file, &[b'd'; 5000], piece * 65_536).unwrap();
        }
        file.set_len(39 * 65_536 + 5000 + tail).unwrap();
    }
    std::fs::File::create(root.join("sparse-all")).unwrap().set_len(3_000_000).unwrap();
    let mut digests = Vec::new();
    for format in ["gnu", "pax"] {
        let out = Command::new("tar")
            .args(["--sparse", "--sort=name", &format!("--format={format}"), "--owner=big:4000000", "-cf", "-", "-C"])
            .arg(&root)
            .arg(".")
            .output()
            .unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let (rows, sum) = list(&out.stdout).unwrap();
        assert_eq!((sum.files, sum.links, sum.directories), (6, 2, 3), "{format}");
        for (name, kind, size, hash) in &rows {
            if *kind == EntryKind::File {
                let truth = std::fs::read(root.join(full_name(name, &long))).unwrap();
                assert_eq!((*size, hash), (truth.len() as u64, &hex(&Sha256::digest(&truth))), "{format} {name}");
            }
        }
        digests.push(rows.into_iter().map(|row| (row.2, row.3)).collect::<Vec<_>>());
    }
    assert_eq!(digests[0], digests[1]);
}

/// Rows show long names cut; the one long name is known.
fn full_name(name: &str, long: &str) -> String {
    if name.ends_with('…') { format!("{}/{}/{long}", "d".repeat(90), "e".repeat(90)) } else { name.into() }
}

proptest::proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..2048)) {
        let _ = list(&bytes);
    }

    #[test]
    fn mutated_archives_never_panic(at in 0_usize..4096, bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 1..40)) {
        let mut sound = archive(&[
            member("p", b'x', &pax(&[("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"),
                ("GNU.sparse.name", "s"), ("GNU.sparse.realsize", "9000")]), |_| {}),
            plain("GNUSparseFile.1/s", &[b"1\n4096\n4\n".as_slice(), &[0; 503], b"data"].concat()),
            plain("a", b"hello"),
        ]);
        for (offset, byte) in bytes.iter().enumerate() {
            if let Some(found) = sound.get_mut(at + offset) {
                *found = *byte;
            }
        }
        let _ = list(&sound);
    }
}
