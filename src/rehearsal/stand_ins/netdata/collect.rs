//! What a practice machine's agent collects: charts every Linux agent has, with values that look lived in.
//!
//! A value is made of the machine's name, the dimension and the second. So what was collected need not be kept while it
//! is only in memory: from when to when is enough.

use sha2::{Digest, Sha256};

use super::point::Point;

/// A chart, as 1.37.1 describes it.
#[derive(Debug, PartialEq)]
pub struct Chart {
    /// Its id without `system.`, which all of these begin with.
    pub id: &'static str,
    /// The menu it is shown under.
    pub family: &'static str,
    /// What it shows.
    pub title: &'static str,
    /// The unit of its values.
    pub unit: &'static str,
    /// Where its values come from.
    pub module: &'static str,
    /// Its place on the dashboard.
    pub priority: u32,
    /// `line` or `stacked`, as the database numbers them.
    pub kind: u8,
    /// The number its values are divided by when they are collected.
    pub divisor: u32,
    /// Its dimensions: how each comes and goes.
    pub dimensions: &'static [Dimension],
}

/// A dimension: least, swing over a day, and how much it jitters over how many seconds.
#[derive(Debug, PartialEq)]
pub struct Dimension {
    /// Its id and name.
    pub id: &'static str,
    least: f64,
    swing: f64,
    jitter: f64,
    lasts: u64,
}

const fn dimension(id: &'static str, least: f64, swing: f64, jitter: f64, lasts: u64) -> Dimension {
    Dimension { id, least, swing, jitter, lasts }
}

/// What is collected.
pub const CHARTS: [Chart; 4] = [
    Chart {
        id: "cpu",
        family: "cpu",
        title: "Total CPU utilization",
        unit: "percentage",
        module: "/proc/stat",
        priority: 100,
        kind: 2,
        divisor: 1,
        dimensions: &[
            dimension("user", 6.0, 22.0, 9.0, 10),
            dimension("system", 2.0, 5.0, 2.5, 10),
            dimension("iowait", 0.1, 0.4, 1.5, 10),
        ],
    },
    Chart {
        id: "load",
        family: "load",
        title: "System Load Average",
        unit: "load",
        module: "/proc/loadavg",
        priority: 100,
        kind: 0,
        divisor: 1000,
        dimensions: &[
            dimension("load1", 0.2, 1.4, 0.6, 30),
            dimension("load5", 0.25, 1.3, 0.3, 120),
            dimension("load15", 0.3, 1.2, 0.15, 600),
        ],
    },
    Chart {
        id: "ram",
        family: "ram",
        title: "System RAM",
        unit: "MiB",
        module: "/proc/meminfo",
        priority: 200,
        kind: 2,
        divisor: 1024,
        dimensions: &[
            dimension("free", 412.0, 180.0, 20.0, 60),
            dimension("used", 1220.0, 340.0, 30.0, 60),
            dimension("cached", 2050.0, 90.0, 4.0, 300),
            dimension("buffers", 118.0, 6.0, 1.0, 900),
        ],
    },
    Chart {
        id: "uptime",
        family: "uptime",
        title: "System Uptime",
        unit: "seconds",
        module: "/proc/uptime",
        priority: 1000,
        kind: 0,
        divisor: 1000,
        dimensions: &[dimension("uptime", 0.0, 0.0, 0.0, 1)],
    },
];

/// A day, and the longest a practice machine stays up.
const DAY: u64 = 86_400;
const UP: u64 = 100 * DAY;

/// What an agent collects, and how often each tier keeps a point of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Collector {
    seed: u64,
    /// Seconds between the points of each tier.
    pub every: Vec<u64>,
}

impl Collector {
    /// The collector of a machine.
    pub fn of(host: &str, every: Vec<u64>) -> Self {
        let seed = Sha256::digest(host).iter().take(8).fold(0, |seed, byte| seed << 8 | u64::from(*byte));
        Self { seed, every }
    }

    /// The points of a dimension and a tier within (`after`, `until`], when nothing was collected up to `since`.
    pub fn points<'a>(
        &'a self,
        dimension: &'a Dimension,
        tier: usize,
        since: u64,
        (after, until): (u64, u64),
    ) -> impl Iterator<Item = Point> + 'a {
        let base = self.every.first().copied().unwrap_or(1).max(1);
        let every = self.every.get(tier).copied().unwrap_or(base).max(base);
        let first = (after.max(since) / every + 1) * every;
        (first..=until).step_by(usize::try_from(every).unwrap_or(1)).filter_map(move |at| {
            if tier == 0 {
                return Some(self.value(dimension, at));
            }
            let begun = ((at - every).max(since) / base + 1) * base;
            let parts = (begun..=at).step_by(usize::try_from(base).unwrap_or(1));
            Point::over(at, parts.map(|part| self.value(dimension, part)))
        })
    }

    /// The points of every tier of a dimension, collected after `since` and up to `until`.
    pub fn collected(&self, dimension: &Dimension, since: u64, until: u64) -> Vec<Vec<Point>> {
        let first: Vec<Point> = self.points(dimension, 0, since, (since, until)).collect();
        let sums = |every: u64| {
            // What goes on past the end is not a whole point yet.
            let parts = first.chunk_by(|one, next| one.at.div_ceil(every) == next.at.div_ceil(every));
            let point = |part: &[Point]| Point::over(part.first()?.at.next_multiple_of(every), part.iter().copied());
            parts.filter_map(point).filter(|point| point.at <= until).collect()
        };
        let sums: Vec<Vec<Point>> = self.every.iter().skip(1).map(|every| sums(*every)).collect();
        std::iter::once(first.clone()).chain(sums).collect()
    }

    fn value(&self, dimension: &Dimension, at: u64) -> Point {
        if dimension.id == "uptime" {
            return Point::of(at, number(at % UP));
        }
        let turn = number((at + self.seed % 7200) % DAY) / number(DAY) * std::f64::consts::TAU;
        let jitter =
            number(mix(self.seed ^ mix(at / dimension.lasts) ^ mix(dimension.jitter.to_bits())) % 1000) / 1000.0;
        let value = dimension.least + dimension.swing * (1.0 - turn.cos()) / 2.0 + dimension.jitter * jitter;
        // Two digits, as most collectors have.
        Point::of(at, (value * 100.0).round() / 100.0)
    }
}

/// A number below 2^32, exactly.
fn number(whole: u64) -> f64 {
    f64::from(u32::try_from(whole).unwrap_or(u32::MAX))
}

/// Spreads a number's bits over all of them: the finishing steps of the `splitmix64` generator.
const fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tier_sums_up_what_the_first_one_holds_and_nothing_of_before_the_start() {
        let collector = Collector::of("mon-1", vec![10, 60, 3600]);
        let user = &CHARTS[0].dimensions[0];
        let of = |tier, since, window| collector.points(user, tier, since, window).collect::<Vec<_>>();
        let tens = of(0, 1000, (0, 7200));
        assert_eq!((tens[0].at, tens.len()), (1010, 620));
        assert_eq!(of(1, 1000, (0, 7200))[0], Point::over(1020, tens[..2].iter().copied()).unwrap());
        let hours = of(2, 1000, (0, 7205));
        assert_eq!(hours.iter().map(|point| (point.at, point.count)).collect::<Vec<_>>(), [(3600, 260), (7200, 360)]);
        assert_eq!(of(1, 0, (60, 120)).len(), 1);
        assert_eq!(of(0, 900, (0, 850)), []);
        let all = collector.collected(user, 1000, 7205);
        assert_eq!(all, [0, 1, 2].map(|tier| of(tier, 1000, (0, 7205))), "all at once and one by one");
        assert!(tens.iter().any(|point| (point.sum - tens[0].sum).abs() > 1.0));
        assert_ne!(Collector::of("mon-2", vec![10]).points(user, 0, 0, (0, 10)).next(), Some(tens[0]));
    }
}
