//! Page descriptors: which metric, from when to when, how many points.

use super::{number, number_32};

/// The bytes of a descriptor.
pub(super) const DESCRIPTOR: usize = 37;

/// How a page holds its points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageKind {
    /// Packed 32-bit numbers, one a point.
    Plain,
    /// Sums of many points: 16 bytes each (sum, minimum, maximum, counts).
    Tier,
    /// Gorilla-compressed 32-bit numbers, from Netdata 1.44 on.
    Gorilla,
}

/// What a descriptor says of its page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// How it holds its points.
    pub kind: PageKind,
    /// The metric's UUID.
    pub metric: [u8; 16],
    /// Bytes before compression.
    pub length: u32,
    /// The first point's time, in microseconds since 1970.
    pub start_us: u64,
    /// The last point's time, in microseconds since 1970.
    pub end_us: u64,
    /// How many points it holds.
    pub points: u64,
}

impl Page {
    /// Reads a descriptor of 37 bytes; the error is the unknown type's number.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, u8> {
        let mut metric = [0; 16];
        for (to, from) in metric.iter_mut().zip(bytes.get(1..17).unwrap_or_default()) {
            *to = *from;
        }
        let length = number_32(bytes, 17);
        let start_us = number::<8>(bytes, 21);
        let (kind, end_us, points) = match bytes.first().copied().unwrap_or(u8::MAX) {
            0 => (PageKind::Plain, number::<8>(bytes, 29), u64::from(length / 4)),
            1 => (PageKind::Tier, number::<8>(bytes, 29), u64::from(length / 16)),
            2 => {
                let seconds = number::<4>(bytes, 33);
                let end = start_us.saturating_add(seconds.saturating_mul(1_000_000));
                (PageKind::Gorilla, end, number::<4>(bytes, 29))
            }
            unknown => return Err(unknown),
        };
        Ok(Self { kind, metric, length, start_us, end_us, points })
    }

    /// Whether an agent takes the page in. It passes over pages whose times run backwards or that hold no points.
    pub fn is_usable(&self) -> bool {
        self.start_us > 0 && self.start_us <= self.end_us && self.points > 0
    }
}

/// The descriptors of a buffer that holds nothing else.
pub(super) fn pages(bytes: &[u8]) -> impl Iterator<Item = Result<Page, u8>> {
    bytes.chunks_exact(DESCRIPTOR).map(Page::parse)
}
