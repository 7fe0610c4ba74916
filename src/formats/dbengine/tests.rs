use super::*;
use proptest::prelude::*;
use std::convert::Infallible;

/// A descriptor of a page of packed numbers.
pub(crate) fn descriptor(metric: u8, length: u32, start_s: u64, end_s: u64) -> Vec<u8> {
    let mut bytes = vec![0];
    bytes.extend([metric; 16]);
    bytes.extend(length.to_le_bytes());
    bytes.extend((start_s * 1_000_000).to_le_bytes());
    bytes.extend((end_s * 1_000_000).to_le_bytes());
    bytes
}

/// An extent of these descriptors, its payload compressed as asked, filled up to a block.
pub(crate) fn extent(descriptors: &[Vec<u8>], compression: u8) -> Vec<u8> {
    let plain: Vec<u8> = descriptors
        .iter()
        .flat_map(|one| vec![one[1]; u32::from_le_bytes(one[17..21].try_into().unwrap()) as usize])
        .collect();
    let payload = match compression {
        1 => lz4_flex::block::compress(&plain),
        2 => zstd::bulk::compress(&plain, 3).unwrap(),
        _ => plain,
    };
    let mut bytes = u32::try_from(payload.len()).unwrap().to_le_bytes().to_vec();
    bytes.extend([compression, u8::try_from(descriptors.len()).unwrap()]);
    bytes.extend(descriptors.concat());
    bytes.extend(payload);
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    bytes
}

fn block(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    bytes
}

fn super_block(magic: &str, tier: u8) -> Vec<u8> {
    let mut bytes = vec![0; BLOCK];
    bytes[..magic.len()].copy_from_slice(magic.as_bytes());
    bytes[32..35].copy_from_slice(b"1.0");
    bytes[48] = tier;
    bytes
}

/// A data file and its journal; each inner list is one extent.
pub(crate) fn pair(extents: &[(Vec<Vec<u8>>, u8)]) -> (Vec<u8>, Vec<u8>) {
    let (mut data, mut journal) = (super_block("netdata-data-file", 1), super_block("netdata-journal-file", 0));
    for (number, (descriptors, compression)) in extents.iter().enumerate() {
        let one = extent(descriptors, *compression);
        let mut record = vec![1, 0, 0, 0, 0];
        record.extend((number as u64).to_le_bytes());
        record.extend(u16::try_from(13 + descriptors.len() * 37).unwrap().to_le_bytes());
        record.extend((data.len() as u64).to_le_bytes());
        record.extend(u32::try_from(one.len()).unwrap().to_le_bytes());
        record.push(u8::try_from(descriptors.len()).unwrap());
        record.extend(descriptors.concat());
        record.extend(crc32fast::hash(&record).to_le_bytes());
        journal.extend(block(record));
        data.extend(block(one));
    }
    (data, journal)
}

/// The index an agent would make of one page for each metric, extents in order.
pub(crate) fn index(journal_bytes: usize, extents: &[Extent], metrics: &[u8]) -> Vec<u8> {
    let le = |number: usize| u32::try_from(number).unwrap().to_le_bytes();
    let (extent_end, count) = (BLOCK + 16 * extents.len(), metrics.len());
    let (metric_at, metric_end) = (extent_end + 4, extent_end + 4 + 36 * count);
    let page_at = metric_end + 4;
    let size = page_at + 52 * count + 4;
    let mut bytes = 0x0123_0317_u32.to_le_bytes().to_vec();
    bytes.extend([0; 4]);
    bytes.extend(1_000_000_u64.to_le_bytes());
    bytes.extend(2_000_000_u64.to_le_bytes());
    for field in [extents.len(), BLOCK, count, metric_at, count, page_at, extent_end, metric_end, journal_bytes, size] {
        bytes.extend(le(field));
    }
    bytes.extend([0xa5; 8]);
    let header_sum = crc32fast::hash(&bytes);
    bytes.resize(BLOCK, 0);
    for one in extents {
        bytes.extend(one.offset.to_le_bytes());
        bytes.extend(one.size.to_le_bytes());
        bytes.extend([0, 0, one.pages, 0]);
    }
    bytes.extend(crc32fast::hash(&bytes[BLOCK..]).to_le_bytes());
    for (number, metric) in metrics.iter().enumerate() {
        bytes.extend([*metric; 16]);
        bytes.extend(le(1));
        bytes.extend(le(page_at + number * 52));
        bytes.extend([0; 12]);
    }
    bytes.extend(crc32fast::hash(&bytes[metric_at..]).to_le_bytes());
    for (number, metric) in metrics.iter().enumerate() {
        let mut header = 0x0123_0317_u32.to_le_bytes().to_vec();
        header.extend(le(metric_at + number * 36));
        header.extend(le(1));
        header.extend([*metric; 16]);
        let sum = crc32fast::hash(&header);
        header[..4].copy_from_slice(&sum.to_le_bytes());
        bytes.extend(header);
        let page = [0_u8; 20];
        bytes.extend(page);
        bytes.extend(crc32fast::hash(&page).to_le_bytes());
    }
    bytes.extend(header_sum.to_le_bytes());
    assert_eq!(bytes.len(), size);
    bytes
}

pub(crate) fn data(mut bytes: &[u8]) -> Result<(DataFile, Vec<Page>, Vec<Extent>), DbengineError> {
    let (mut pages, mut extents) = (Vec::new(), Vec::new());
    let found = read_data_file(&mut bytes, &mut |page| pages.push(*page), &mut |one| {
        extents.push(*one);
        Ok(())
    })?;
    Ok((found, pages, extents))
}

fn journal(mut bytes: &[u8]) -> Result<(JournalFile, Vec<Extent>), DbengineError> {
    let mut extents = Vec::new();
    let found = read_journal_file(&mut bytes, &mut |_| {}, &mut |one| {
        extents.push(*one);
        Ok(())
    })?;
    Ok((found, extents))
}

fn read_index(bytes: &[u8]) -> Result<(IndexFile, Vec<Extent>), DbengineError> {
    let mut extents = Vec::new();
    let found = read_index_file(&mut &bytes[..], bytes.len() as u64, &mut |_| {}, &mut |one| {
        extents.push(*one);
        Ok(())
    })?;
    Ok((found, extents))
}

fn compare(data: &[Extent], named: Vec<Extent>) -> Compared {
    compare_extents(data.iter().map(|one| Ok::<_, Infallible>(*one)), named, true).unwrap()
}

/// Two extents, one of them over more than one block, in every compression.
fn sample() -> (Vec<u8>, Vec<u8>) {
    pair(&[
        (vec![descriptor(1, 400, 1000, 1099), descriptor(2, 4096, 500, 1523)], 0),
        (vec![descriptor(1, 4000, 1100, 2099)], 1),
        (vec![descriptor(3, 64, 1100, 1115)], 2),
    ])
}

#[test]
fn a_pair_in_every_compression_reads_whole_and_agrees() {
    let (bytes, log) = sample();
    let (found, pages, extents) = data(&bytes).unwrap();
    assert_eq!((found.extents, found.pages, found.page_bytes, found.torn), (3, 4, 400 + 4096 + 4000 + 64, None));
    assert_eq!(found.bytes, bytes.len() as u64);
    assert_eq!((pages[1].points, pages[1].start_us, pages[1].end_us), (1024, 500_000_000, 1_523_000_000));
    let (records, named) = journal(&log).unwrap();
    assert_eq!((records.records, records.pages), (3, 4));
    assert_eq!(compare(&extents, named.clone()), Compared::default());
    // Order does not matter, and what the journal does not name is counted.
    assert_eq!(compare(&extents, vec![named[2], named[0]]), Compared { missing: None, unnamed: 1 });
    assert_eq!(compare(&extents[..2], named.clone()).missing, Some(named[2].offset));
    assert_eq!(compare(&extents[1..], named.clone()).missing, Some(named[0].offset));
    let mut other = named.clone();
    other[1].descriptors ^= 1;
    assert_eq!(compare(&extents, other).missing, Some(named[1].offset));
}

#[test]
fn a_payload_that_does_not_expand_is_found_unless_its_checksum_is_trusted() {
    for compression in [1, 2] {
        let (whole, _) = pair(&[(vec![descriptor(1, 4000, 1000, 1999)], compression)]);
        let size = 6 + 37 + number_32(&whole, BLOCK) as usize;
        let mut bad = whole.clone();
        bad[BLOCK + 6 + 37..BLOCK + size].fill(0xff);
        let sum = crc32fast::hash(&bad[BLOCK..BLOCK + size]);
        bad[BLOCK + size..BLOCK + size + 4].copy_from_slice(&sum.to_le_bytes());
        let by_sums = |mut bytes: &[u8]| read_data_file_by_sums(&mut bytes, &mut |_| {}, &mut |_| Ok(()));
        assert!(data(&bad).unwrap_err().to_string().contains("extent at byte 4096"), "{compression}");
        assert_eq!(by_sums(&bad).unwrap().extents, 1);
        assert_eq!(by_sums(&whole).unwrap(), data(&whole).unwrap().0);
        bad[BLOCK + size - 1] ^= 1;
        assert!(by_sums(&bad).is_err(), "a checksum that does not match is none to trust");
    }
}

/// Bytes that come in pieces of any length.
struct Pieces<'a>(&'a [u8], usize);

impl Read for Pieces<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        self.1 = self.1 * 31 % 8191 + 1;
        let count = into.len().min(self.0.len()).min(self.1);
        into[..count].copy_from_slice(&self.0[..count]);
        self.0 = &self.0[count..];
        Ok(count)
    }
}

#[test]
fn extents_lie_across_the_window_however_the_bytes_come() {
    let extents: Vec<_> =
        (0..90_u8).map(|n| (vec![descriptor(n, 4096, 10, 1033); 1 + usize::from(n) % 9], 0)).collect();
    let (bytes, _) = pair(&extents);
    assert!(bytes.len() > 3 * 512 * 1024, "several windows");
    let (whole, pages, named) = data(&bytes).unwrap();
    assert_eq!((whole.extents, whole.bytes), (90, bytes.len() as u64));
    let (mut again, mut there) = (Vec::new(), Vec::new());
    let found = read_data_file(&mut Pieces(&bytes, 77), &mut |page| again.push(*page), &mut |one| {
        there.push(*one);
        Ok(())
    });
    assert_eq!((found.unwrap(), again, there), (whole, pages, named));
}

#[test]
fn pages_of_every_type_count_their_points() {
    let mut tier = descriptor(1, 160, 1000, 2000);
    tier[0] = 1;
    let mut gorilla = descriptor(2, 512, 1000, 0);
    gorilla[0] = 2;
    gorilla[29..33].copy_from_slice(&77_u32.to_le_bytes());
    gorilla[33..37].copy_from_slice(&76_u32.to_le_bytes());
    let (_, pages, _) = data(&pair(&[(vec![tier, gorilla], 0)]).0).unwrap();
    assert_eq!((pages[0].kind, pages[0].points), (PageKind::Tier, 10));
    assert_eq!((pages[1].kind, pages[1].points, pages[1].end_us), (PageKind::Gorilla, 77, 1_076_000_000));
    assert!(pages.iter().all(Page::is_usable));
    let backwards = data(&pair(&[(vec![descriptor(1, 4, 20, 10)], 0)]).0).unwrap().1;
    assert!(!backwards[0].is_usable());
}

#[test]
fn what_no_known_version_writes_is_named() {
    let (bytes, log) = sample();
    let fault = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bad = bytes.clone();
        change(&mut bad);
        data(&bad).unwrap_err().to_string()
    };
    assert!(fault(&|b| b[32..35].copy_from_slice(b"2.0")).contains("unknown version \"2.0\""));
    assert!(fault(&|b| b[0] = b'N').contains("does not begin with \"netdata-data-file\""));
    assert!(fault(&|b| b[48] = 2).contains("super block is damaged"));
    assert!(fault(&|b| b.truncate(100)).contains("cut short at byte 100"));
    let mut kind = descriptor(1, 4, 10, 10);
    kind[0] = 9;
    assert!(data(&pair(&[(vec![kind], 0)]).0).unwrap_err().to_string().contains("page type 9 is unknown"));
    let compression = data(&pair(&[(vec![descriptor(1, 4, 10, 10)], 7)]).0).unwrap_err();
    assert!(compression.to_string().contains("compression 7 is unknown"), "{compression}");
    let mut newer = log;
    newer[4096] = 2;
    assert!(journal(&newer).unwrap_err().to_string().contains("record type 2 is unknown"));
    let mut odd = index(0, &[], &[1]);
    odd[3] = 9;
    assert!(read_index(&odd).unwrap_err().to_string().contains("index version 0x09230317 is not known"));
    for mark in [0, 2] {
        odd[3] = mark;
        for size in [odd.len(), BLOCK, 72] {
            let found = read_index(&odd[..size]).unwrap().0;
            assert_eq!((found.state, found.bytes), (IndexState::Marked, size as u64));
        }
        assert!(read_index(&odd[..71]).unwrap_err().to_string().contains("cut short at byte 71"));
    }
}

#[test]
fn what_fills_a_block_up_is_shown_where_it_would_be_a_record() {
    let (_, log) = sample();
    let record = |number: usize, pages: usize| log[number * BLOCK..number * BLOCK + 32 + pages * 37].to_vec();
    let mut two = log[..BLOCK].to_vec();
    two.extend(block([record(1, 2), record(2, 1)].concat()));
    let (found, named) = journal(&two).unwrap();
    assert_eq!(found.records, 2);
    two[BLOCK + record(1, 2).len()] = 0;
    let mut shown = Vec::new();
    let found = read_journal_file_and_filling(&mut two.as_slice(), &mut |_| {}, &mut |one, by| {
        shown.push((*one, by));
        Ok(())
    });
    assert_eq!(found.unwrap().records, 1);
    assert_eq!(shown, [(named[0], NamedBy::Record), (named[1], NamedBy::Filling)]);
    assert_eq!(journal(&two).unwrap().1, named[..1], "and is no record");
}

#[test]
fn a_file_that_ends_within_its_last_extent_is_torn_and_blocks_of_zeros_are_counted() {
    let (mut bytes, _) = sample();
    let (_, _, extents) = data(&bytes).unwrap();
    let large = (0..4_u8).map(|n| descriptor(n, 4096, 10, 1033)).collect::<Vec<_>>();
    let whole = pair(&[(large, 0)]).0;
    assert_eq!(data(&whole[..whole.len() - BLOCK]).unwrap().0.torn, Some(BLOCK as u64));
    bytes.extend([0; 2 * BLOCK]);
    let (found, _, same) = data(&bytes).unwrap();
    assert_eq!((found.empty_blocks, same), (2, extents));
}

#[test]
fn an_index_reads_whole_and_every_byte_it_vouches_for_counts() {
    let (bytes, log) = sample();
    let (_, _, extents) = data(&bytes).unwrap();
    let whole = index(log.len(), &extents, &[1, 2, 3]);
    let (found, named) = read_index(&whole).unwrap();
    assert_eq!((found.extents, found.metrics, found.pages), (3, 3, 3));
    assert_eq!((found.journal_bytes, found.range_us), (log.len() as u64, (1_000_000, 2_000_000)));
    assert_eq!(
        compare_extents(extents.iter().map(|one| Ok::<_, Infallible>(*one)), named, false).unwrap(),
        Compared::default()
    );
    for at in (0..72).chain(BLOCK..whole.len()) {
        let mut bad = whole.clone();
        bad[at] ^= 0x20;
        assert!(read_index(&bad).is_err(), "byte {at}");
    }
    for cut in 0..whole.len() {
        assert!(read_index(&whole[..cut]).is_err(), "cut at {cut}");
    }
}

#[test]
fn every_changed_byte_and_every_cut_of_a_pair_is_found() {
    let (bytes, log) = sample();
    let (whole, _, extents) = data(&bytes).unwrap();
    for at in 0..bytes.len() {
        let mut bad = bytes.clone();
        bad[at] ^= 0x04;
        // What a changed length makes of the last extent is one that the file ends in; its journal still names it.
        let judged = data(&bad);
        let found = judged.is_err() || judged.is_ok_and(|(_, _, found)| found != extents);
        let last = extents.iter().rfind(|one| one.offset <= at as u64);
        let filling = last.is_some_and(|one| at as u64 >= one.offset + u64::from(one.size));
        assert!(found || filling, "byte {at} of the data file");
    }
    for cut in 0..bytes.len() {
        let judged = data(&bytes[..cut]);
        assert!(judged.is_err() || judged.is_ok_and(|(found, ..)| found.extents < whole.extents), "cut at {cut}");
    }
    let (_, named) = journal(&log).unwrap();
    let ends = [106, 69, 69];
    for at in 0..log.len() {
        let mut bad = log.clone();
        bad[at] ^= 0x04;
        let judged = journal(&bad);
        let found = judged.is_err() || judged.is_ok_and(|(_, found)| found != named);
        // Behind a block's last record lies whatever the agent's memory held: only its first byte means something.
        let filling = at >= BLOCK && at % BLOCK > ends[at / BLOCK - 1];
        assert!(found || filling, "byte {at} of the journal");
    }
    for cut in (0..log.len()).filter(|cut| cut % BLOCK != 0) {
        assert!(journal(&log[..cut]).is_err(), "cut at {cut}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_behind_a_sound_super_block_are_read_without_harm(
        tail in prop::collection::vec(any::<u8>(), 0..9000), kind in 0_u8..3
    ) {
        let mut bytes = super_block(if kind == 0 { "netdata-data-file" } else { "netdata-journal-file" }, u8::from(kind == 0));
        bytes.extend(&tail);
        match kind {
            0 => { let _ = data(&bytes); }
            1 => { let _ = journal(&bytes); }
            _ => { let _ = read_index(&tail); }
        }
    }

    #[test]
    fn any_sound_pair_agrees(sizes in prop::collection::vec((1_u32..600, 1_usize..20, 0_u8..3), 0..8)) {
        let extents: Vec<_> = sizes
            .iter()
            .map(|(points, pages, how)| {
                let pages = (0..*pages).map(|n| descriptor(u8::try_from(n).unwrap(), points * 4, 1, u64::from(*points)));
                (pages.collect(), *how)
            })
            .collect();
        let (bytes, log) = pair(&extents);
        let (found, _, there) = data(&bytes).unwrap();
        let (_, named) = journal(&log).unwrap();
        prop_assert_eq!(found.extents, extents.len() as u64);
        prop_assert_eq!(compare(&there, named), Compared::default());
    }
}
