//! Quantities with their unit, and how people read them.

use std::fmt;
use std::iter::Sum;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A number of bytes, shown in binary units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ByteSize(pub u64);

/// Of numbers that others told, any of which may be false: a sum that no number holds is the largest one, never a small
/// one for which there would seem to be room.
impl Sum<u64> for ByteSize {
    fn sum<I: Iterator<Item = u64>>(sizes: I) -> Self {
        Self(sizes.fold(0, u64::saturating_add))
    }
}

impl Sum for ByteSize {
    fn sum<I: Iterator<Item = Self>>(sizes: I) -> Self {
        sizes.map(|size| size.0).sum()
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
        #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
        let mut value = self.0 as f64;
        let mut unit = 0;
        while value >= 999.5 && unit + 1 < UNITS.len() {
            value /= 1024.0;
            unit += 1;
        }
        let text = if unit == 0 || value >= 99.95 {
            format!("{value:.0} {}", UNITS[unit])
        } else if value >= 9.995 {
            format!("{value:.1} {}", UNITS[unit])
        } else {
            format!("{value:.2} {}", UNITS[unit])
        };
        f.pad(&text)
    }
}

/// A span of whole seconds, the unit of every timeout and lapse in a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seconds(pub u64);

impl From<Seconds> for Duration {
    fn from(seconds: Seconds) -> Self {
        Self::from_secs(seconds.0)
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, hours, minutes, seconds) = (self.0 / 86_400, self.0 / 3600 % 24, self.0 / 60 % 60, self.0 % 60);
        let text = match (days, hours, minutes, seconds) {
            (0, 0, 0, s) => format!("{s}s"),
            (0, 0, m, 0) => format!("{m}m"),
            (0, 0, m, s) => format!("{m}m {s}s"),
            (0, h, 0, _) => format!("{h}h"),
            (0, h, m, _) => format!("{h}h {m}m"),
            (d, 0, ..) => format!("{d}d"),
            (d, h, ..) => format!("{d}d {h}h"),
        };
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_digits() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "0.98 KiB"),
            (1536, "1.50 KiB"),
            (1 << 20, "1.00 MiB"),
            (1 << 40, "1.00 TiB"),
            (123 << 20, "123 MiB"),
        ] {
            assert_eq!(ByteSize(bytes).to_string(), text);
        }
    }

    #[test]
    fn sums_of_sizes_never_come_out_small() {
        assert_eq!([3, 4].into_iter().sum::<ByteSize>(), ByteSize(7));
        assert_eq!([u64::MAX, 1, 5].into_iter().sum::<ByteSize>(), ByteSize(u64::MAX));
        assert_eq!([ByteSize(u64::MAX), ByteSize(5)].into_iter().sum::<ByteSize>(), ByteSize(u64::MAX));
    }

    #[test]
    fn spans_read_as_people_say_them() {
        for (seconds, text) in [(5, "5s"), (60, "1m"), (61, "1m 1s"), (3600, "1h"), (90_000, "1d 1h"), (172_800, "2d")]
        {
            assert_eq!(Seconds(seconds).to_string(), text);
        }
    }
}
