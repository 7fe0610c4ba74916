//! Points of a metric, and the bytes an agent keeps them in.
//!
//! In the first tier a point is one packed number of 32 bits: a sign, whether to multiply or divide, by which power of
//! ten, flags, and 24 bits of value. In the others it is what many points sum up to: sum, least, most, count. Both were
//! read from files of 1.37.1.

/// A value was collected, and was not out of the ordinary.
const COLLECTED: u32 = 1 << 24;
/// The powers are of a hundred.
const HUNDREDS: u32 = 1 << 26;
const POWER: u32 = 27;
const MULTIPLY: u32 = 1 << 30;
const NEGATIVE: u32 = 1 << 31;
const MOST: f64 = 16_777_215.0;

/// What a metric was at a second, or over the seconds up to it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// The second, since 1970.
    pub at: u64,
    /// The sum of what was collected.
    pub sum: f64,
    /// The least of it.
    pub least: f64,
    /// The most of it.
    pub most: f64,
    /// How many values it is the sum of.
    pub count: u16,
}

impl Point {
    /// One value, as exact as the first tier keeps it.
    pub fn of(at: u64, value: f64) -> Self {
        let kept = unpack(pack(value)).unwrap_or_default();
        Self { at, sum: kept, least: kept, most: kept, count: 1 }
    }

    /// What values sum up to, as exact as the other tiers keep it; none of nothing.
    pub fn over(at: u64, points: impl Iterator<Item = Self>) -> Option<Self> {
        let sum = points.reduce(|sum, point| Self {
            at,
            sum: sum.sum + point.sum,
            least: sum.least.min(point.least),
            most: sum.most.max(point.most),
            count: sum.count.saturating_add(point.count),
        })?;
        Some(Self { at, sum: single(sum.sum), least: single(sum.least), most: single(sum.most), ..sum })
    }

    /// Their bytes on disk in a tier.
    pub fn write(&self, tier: usize, into: &mut Vec<u8>) {
        if tier == 0 {
            into.extend(pack(self.sum).to_le_bytes());
            return;
        }
        for number in [self.sum, self.least, self.most] {
            into.extend(narrow(number).to_le_bytes());
        }
        into.extend(self.count.to_le_bytes());
        into.extend([0, 0]);
    }

    /// Reads the bytes of one; none when nothing was collected then.
    pub fn read(tier: usize, at: u64, bytes: &[u8]) -> Option<Self> {
        if tier == 0 {
            let value = unpack(u32::from_le_bytes(bytes.try_into().ok()?))?;
            return Some(Self { at, sum: value, least: value, most: value, count: 1 });
        }
        let number = |from: usize| Some(f64::from(f32::from_le_bytes(bytes.get(from..from + 4)?.try_into().ok()?)));
        let count = u16::from_le_bytes(bytes.get(12..14)?.try_into().ok()?);
        let point = Self { at, sum: number(0)?, least: number(4)?, most: number(8)?, count };
        (count > 0).then_some(point)
    }

    /// The average of what was collected.
    pub fn average(&self) -> f64 {
        self.sum / f64::from(self.count.max(1))
    }
}

/// The bytes of a point in a tier.
pub const fn width(tier: usize) -> usize {
    if tier == 0 { 4 } else { 16 }
}

#[expect(clippy::cast_possible_truncation, reason = "the file keeps it in as many bits")]
const fn narrow(value: f64) -> f32 {
    value as f32
}

fn single(value: f64) -> f64 {
    f64::from(narrow(value))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it was brought between 0 and 24 bits")]
fn pack(value: f64) -> u32 {
    let sign = if value < 0.0 { NEGATIVE } else { 0 };
    let mut rest = value.abs();
    let (mut power, mut way) = (0, 0);
    if rest > MOST {
        way = MULTIPLY;
        while rest > MOST && power < 7 {
            rest /= 10.0;
            power += 1;
        }
    } else if rest > 0.0 {
        // As many digits as there is room for.
        while rest < MOST / 10.0 && power < 7 {
            rest *= 10.0;
            power += 1;
        }
    }
    COLLECTED | sign | way | power << POWER | rest.round().min(MOST) as u32
}

fn unpack(packed: u32) -> Option<f64> {
    if packed == 0 {
        return None;
    }
    let base: f64 = if packed & HUNDREDS == 0 { 10.0 } else { 100.0 };
    let factor = base.powi(i32::try_from(packed >> POWER & 7).unwrap_or_default());
    let rest = f64::from(packed & 0x00ff_ffff);
    let size = if packed & MULTIPLY == 0 { rest / factor } else { rest * factor };
    Some(if packed & NEGATIVE == 0 { size } else { -size })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_packed_as_a_real_agent_packed_them() {
        // From the data files of an agent of 1.37.1.
        for (packed, value) in [
            (0x0100_0000, 0.0),
            (0x3961_ab66, 0.640_087),
            (0x2947_5c09, 46.766_17),
            (0x39b1_0080, 1.16),
            (0x19b8_9202, 12096.002),
            (0x2165_c180, 666.867_2),
        ] {
            let unpacked = unpack(packed).unwrap();
            assert!((unpacked - value).abs() <= value / 1e6, "{packed:x}: {unpacked}");
            assert_eq!(pack(unpacked), packed, "{value}");
        }
        assert_eq!((unpack(0), unpack(pack(-2.5)), unpack(pack(4e9))), (None, Some(-2.5), Some(4e9)));
    }

    #[test]
    fn a_point_is_read_as_it_was_written() {
        let minute =
            Point::over(60, (1..=6_u8).map(|ten| Point::of(u64::from(ten) * 10, f64::from(ten) / 3.0))).unwrap();
        assert_eq!((minute.count, minute.least), (6, single(Point::of(0, 1.0 / 3.0).sum)));
        for (tier, point) in [(0, Point::of(60, 7.25)), (2, minute)] {
            let mut bytes = Vec::new();
            point.write(tier, &mut bytes);
            assert_eq!((bytes.len(), Point::read(tier, 60, &bytes)), (width(tier), Some(point)));
        }
        assert_eq!(Point::over(60, std::iter::empty()), None);
        assert_eq!((Point::read(0, 1, &[0; 4]), Point::read(1, 1, &[0; 16])), (None, None));
    }
}
