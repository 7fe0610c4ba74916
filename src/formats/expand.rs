//! Decompression of streams nobody vouches for: gzip and zstd, told apart by their first bytes.
//!
//! Three lies are caught here that a plain decoder lets pass: a stream cut before its trailer, bytes after its end, and
//! a few kilobytes that expand into terabytes.

use super::text::shown;
use flate2::bufread::MultiGzDecoder;
use std::io::{self, BufReader, Read};

/// What a compressed stream may cost.
#[derive(Debug, Clone, Copy)]
pub struct ExpandLimits {
    /// How many plain bytes one compressed byte may become. Deflate itself cannot pass 1032; zstd can.
    pub max_ratio: u64,
    /// Plain bytes that are always allowed, so that a small file of zeros is no bomb.
    pub free_bytes: u64,
    /// The largest zstd window, as a power of two: the memory one stream may ask for. The stream says how much it wants, so
    /// the default is 8 MiB, which RFC 8878 asks every decoder to bear and `zstd` needs up to its level 19; what Lifeboat
    /// has compressed on a node needs 512 KiB. The tool itself allows 27: with eight streams at once a GiB.
    pub max_window_log: u32,
}

impl Default for ExpandLimits {
    fn default() -> Self {
        Self { max_ratio: 2_000, free_bytes: 64 << 20, max_window_log: 23 }
    }
}

/// How a stream is compressed, by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Compression {
    /// Not at all, or in a way not known here.
    Plain,
    /// gzip (RFC 1952): `1f 8b`.
    Gzip,
    /// zstd (RFC 8878): `28 b5 2f fd`.
    Zstd,
}

impl Compression {
    /// The form a stream that begins so has.
    pub fn detect(magic: &[u8]) -> Self {
        match magic {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            _ => Self::Plain,
        }
    }

    /// The word for it in facts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "none",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

/// Why a stream could not be decompressed; travels inside an [`io::Error`].
#[derive(Debug, thiserror::Error)]
pub enum ExpandError {
    /// The stream ends inside a member or frame, or before its trailer.
    #[error("The {form} stream is cut short after {compressed} bytes.")]
    Cut {
        /// gzip or zstd.
        form: &'static str,
        /// Where, in compressed bytes.
        compressed: u64,
    },
    /// The stream is damaged, or something else follows it.
    #[error("The {form} stream is damaged, or followed by foreign bytes, before byte {compressed}: {reason}.")]
    Damaged {
        /// gzip or zstd.
        form: &'static str,
        /// How many compressed bytes had been taken.
        compressed: u64,
        /// The decoder's words, escaped and cut.
        reason: String,
    },
    /// The stream expands beyond the limit.
    #[error(
        "The {form} stream expands {compressed} bytes into more than {plain}: more than the limit of {limit} to 1."
    )]
    Ratio {
        /// gzip or zstd.
        form: &'static str,
        /// Compressed bytes so far.
        compressed: u64,
        /// Plain bytes so far.
        plain: u64,
        /// The limit.
        limit: u64,
    },
}

/// Counts what passes and remembers a failure of the reader below, which is not the stream's fault.
struct Counted<R> {
    inner: R,
    count: u64,
    failed: Option<io::ErrorKind>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(into);
        match &read {
            Ok(count) => self.count += *count as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => self.failed = Some(error.kind()),
        }
        read
    }
}

type Source<R> = BufReader<Counted<io::Chain<io::Cursor<Vec<u8>>, R>>>;

enum Decoder<R: Read> {
    Plain(Source<R>),
    Gzip(Box<MultiGzDecoder<Source<R>>>),
    Zstd(Box<zstd::stream::read::Decoder<'static, Source<R>>>),
}

/// A stream of plain bytes out of a compressed one.
///
/// Only a clean end reads as the end. The first error is final: reading on repeats it, so that no caller mistakes what
/// follows for more data.
pub struct Expanded<R: Read> {
    decoder: Decoder<R>,
    limits: ExpandLimits,
    plain: u64,
    broken: bool,
}

impl<R: Read> std::fmt::Debug for Expanded<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Expanded({}, {} of {} bytes)", self.compression().name(), self.plain, self.compressed_bytes())
    }
}

/// Expands a stream of whichever form its first bytes tell.
///
/// # Errors
/// What reading the first bytes, or setting up the decoder, fails with.
pub fn expand<R: Read>(mut input: R, limits: &ExpandLimits) -> io::Result<Expanded<R>> {
    let mut magic = Vec::with_capacity(4);
    input.by_ref().take(4).read_to_end(&mut magic)?;
    let form = Compression::detect(&magic);
    start(input, magic, form, limits)
}

/// Expands a stream that must be gzip, all its members to the clean end.
pub fn gunzip<R: Read>(input: R, limits: &ExpandLimits) -> Expanded<R> {
    let decoder = Decoder::Gzip(Box::new(MultiGzDecoder::new(source(input, Vec::new()))));
    Expanded { decoder, limits: *limits, plain: 0, broken: false }
}

fn source<R: Read>(input: R, magic: Vec<u8>) -> Source<R> {
    let inner = io::Cursor::new(magic).chain(input);
    BufReader::with_capacity(64 * 1024, Counted { inner, count: 0, failed: None })
}

fn start<R: Read>(input: R, magic: Vec<u8>, form: Compression, limits: &ExpandLimits) -> io::Result<Expanded<R>> {
    let source = source(input, magic);
    let decoder = match form {
        Compression::Plain => Decoder::Plain(source),
        Compression::Gzip => Decoder::Gzip(Box::new(MultiGzDecoder::new(source))),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(source)?;
            decoder.window_log_max(limits.max_window_log)?;
            Decoder::Zstd(Box::new(decoder))
        }
    };
    Ok(Expanded { decoder, limits: *limits, plain: 0, broken: false })
}

impl<R: Read> Expanded<R> {
    /// The form found.
    pub const fn compression(&self) -> Compression {
        match self.decoder {
            Decoder::Plain(_) => Compression::Plain,
            Decoder::Gzip(_) => Compression::Gzip,
            Decoder::Zstd(_) => Compression::Zstd,
        }
    }

    /// How many compressed bytes the decoder has used so far; at the end, all of them.
    pub fn compressed_bytes(&self) -> u64 {
        let source = self.source();
        source.get_ref().count - source.buffer().len() as u64
    }

    /// How many plain bytes came out so far.
    pub const fn plain_bytes(&self) -> u64 {
        self.plain
    }

    fn source(&self) -> &Source<R> {
        match &self.decoder {
            Decoder::Plain(source) => source,
            Decoder::Gzip(decoder) => decoder.get_ref(),
            Decoder::Zstd(decoder) => decoder.get_ref(),
        }
    }

    fn judge(&self, error: io::Error) -> io::Error {
        // A failing disk or link is told as itself, not as a damaged archive.
        if self.source().get_ref().failed.is_some() || self.compression() == Compression::Plain {
            return error;
        }
        let (form, compressed) = (self.compression().name(), self.compressed_bytes());
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return io::Error::new(io::ErrorKind::UnexpectedEof, ExpandError::Cut { form, compressed });
        }
        let reason = shown(error.to_string().as_bytes());
        io::Error::new(io::ErrorKind::InvalidData, ExpandError::Damaged { form, compressed, reason })
    }
}

impl<R: Read> Read for Expanded<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.broken {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the stream had failed before"));
        }
        let read = match &mut self.decoder {
            Decoder::Plain(source) => source.read(into),
            Decoder::Gzip(decoder) => decoder.read(into),
            Decoder::Zstd(decoder) => decoder.read(into),
        };
        let count = match read {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) => {
                self.broken = true;
                return Err(self.judge(error));
            }
        };
        self.plain = self.plain.saturating_add(count as u64);
        let compressed = self.compressed_bytes();
        let allowed = self.limits.free_bytes.max(compressed.saturating_mul(self.limits.max_ratio));
        if self.plain > allowed && self.compression() != Compression::Plain {
            self.broken = true;
            let (form, plain, limit) = (self.compression().name(), self.plain, self.limits.max_ratio);
            let error = ExpandError::Ratio { form, compressed, plain, limit };
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn read(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        expand(bytes, &ExpandLimits::default())?.read_to_end(&mut plain).map(|_| plain)
    }

    fn sample() -> Vec<u8> {
        (0..4000_u32).flat_map(|n| (n * n).to_le_bytes()).collect()
    }

    #[test]
    fn every_form_expands_and_members_follow_each_other() {
        let plain = sample();
        let (one, two) = plain.split_at(500);
        assert_eq!(read(&plain).unwrap(), plain);
        assert_eq!(read(&[gzip(one), gzip(two)].concat()).unwrap(), plain);
        let frame = |part: &[u8]| zstd::encode_all(part, 3).unwrap();
        assert_eq!(read(&[frame(one), frame(two)].concat()).unwrap(), plain);
        assert_eq!(read(b"").unwrap(), b"");
        assert_eq!(read(b"abc").unwrap(), b"abc");
    }

    #[test]
    fn every_cut_is_found() {
        for whole in [gzip(&sample()), zstd::encode_all(sample().as_slice(), 3).unwrap()] {
            // Below the magic it is a plain file, which the reader above judges.
            for cut in 4..whole.len() {
                let error = read(&whole[..cut]).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{cut} of {}: {error}", whole.len());
            }
        }
        for cut in 0..10 {
            assert!(gunzip(&gzip(b"x")[..cut], &ExpandLimits::default()).read_to_end(&mut Vec::new()).is_err());
        }
    }

    #[test]
    fn trailing_bytes_are_found_and_errors_repeat() {
        for whole in [gzip(&sample()), zstd::encode_all(sample().as_slice(), 3).unwrap()] {
            for tail in [&[0][..], b"x", &[0; 1024], b"\x1f\x8b", b"garbage at the end"] {
                let long = [whole.as_slice(), tail].concat();
                let mut stream = expand(long.as_slice(), &ExpandLimits::default()).unwrap();
                assert!(stream.read_to_end(&mut Vec::new()).is_err());
                assert!(stream.read(&mut [0; 8]).is_err());
            }
        }
    }

    #[test]
    fn bombs_are_found() {
        let limits = ExpandLimits { max_ratio: 100, free_bytes: 10_000, ..ExpandLimits::default() };
        for bomb in [gzip(&vec![0; 1 << 20]), zstd::encode_all(vec![0; 1 << 20].as_slice(), 3).unwrap()] {
            let error = expand(bomb.as_slice(), &limits).unwrap().read_to_end(&mut Vec::new()).unwrap_err();
            let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<ExpandError>());
            assert!(matches!(inner, Some(ExpandError::Ratio { .. })), "{error}");
        }
    }

    #[test]
    fn a_stream_does_not_choose_how_much_memory_it_takes() {
        let framed = |window_log: u32| {
            let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
            encoder.window_log(window_log).unwrap();
            encoder.write_all(&sample()).unwrap();
            encoder.finish().unwrap()
        };
        let most = ExpandLimits::default().max_window_log;
        assert_eq!(1_u64 << most, 8 << 20);
        assert_eq!(read(&framed(most)).unwrap(), sample());
        let error = read(&framed(most + 1)).unwrap_err();
        assert!(error.to_string().contains("too much memory"), "{error}");
        // The levels a person would choose fit.
        assert_eq!(read(&zstd::encode_all(sample().as_slice(), 19).unwrap()).unwrap(), sample());
    }

    #[test]
    fn a_failing_source_is_told_as_itself() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::ConnectionReset.into())
            }
        }
        let whole = gzip(&sample());
        let error = gunzip(whole[..40].chain(Broken), &ExpandLimits::default()).read_to_end(&mut Vec::new());
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    }
}
