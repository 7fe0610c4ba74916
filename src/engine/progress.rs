//! Truthful progress: bytes over time, the rate, an honest range for what is left, and where the time goes.
//!
//! Both faces feed a [`Meter`] with samples of a [`super::board::Board`] and read a [`Pace`] from it. Time comes in
//! with each sample, so a test can hold it; a clock that jumps back starts the measurement anew instead of lying, and of
//! one that jumps ahead, as after a sleep of this machine, the jump is left out.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;

use super::board::{Progress, Waits};
use crate::model::units::{ByteSize, Seconds};

/// Samples that are kept: at four a second, two and a half minutes.
const SAMPLES: usize = 600;

/// The rate *now* is that of this span.
const RECENT: Duration = Duration::from_secs(5);

/// Before this span of movement nothing is said about what is left.
const LEARNING: Duration = Duration::from_secs(2);

/// From this silence on a transfer is slow.
const SLOW: Duration = Duration::from_secs(3);

/// From this silence on it is stalled.
const STALLED: Duration = Duration::from_secs(30);

/// Samples come several times a second. More than this between two of them is time in which nobody looked: the clock was
/// set, or the machine or this console stood still. It counts neither as work nor as silence.
const UNSEEN: Duration = Duration::from_secs(10);

/// A part of a pipeline must take this share of the time, in percent, to be called what limits it.
const LIMITING_PERCENT: u64 = 50;

/// Bytes over time of one stretch of work.
#[derive(Debug, Clone, Default)]
pub struct Meter {
    samples: VecDeque<Sample>,
    began: Option<Sample>,
    moved: Option<Timestamp>,
    last: Progress,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Timestamp,
    bytes: u64,
    waits: Waits,
}

/// How fast something moves, and what is left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pace {
    /// Bytes moved so far.
    pub bytes: u64,
    /// Bytes expected; 0 when unknown.
    pub expected: u64,
    /// Files finished.
    pub files: u64,
    /// Bytes a second since the first byte.
    pub mean: u64,
    /// Bytes a second of late.
    pub rate: u64,
    /// The least and the most that is left, when that can be said honestly.
    pub left: Option<(Duration, Duration)>,
    /// Whether it moves.
    pub motion: Motion,
    /// What most of the time is spent waiting for.
    pub limit: Option<Limit>,
}

/// Whether a transfer moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Motion {
    /// Bytes arrive.
    Moving,
    /// The last byte came this long ago.
    Slow(Duration),
    /// So long ago that something is wrong.
    Stalled(Duration),
}

impl Motion {
    /// One word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Moving => "moving",
            Self::Slow(_) => "slow",
            Self::Stalled(_) => "stalled",
        }
    }
}

/// What a transfer waits for most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// The node, or the link to it.
    Link,
    /// Sealing and the vault's disk.
    Vault,
    /// The check of the format beside the copy.
    Check,
}

impl Limit {
    /// One word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Link => "node or link",
            Self::Vault => "vault disk",
            Self::Check => "verifier",
        }
    }
}

impl Meter {
    /// Takes in how far things are at a moment. A new stretch of work, or a clock that went back, starts anew.
    pub fn take(&mut self, now: Timestamp, progress: &Progress) {
        let sample = Sample { at: now, bytes: progress.bytes, waits: progress.waits };
        let is_new = progress.bytes < self.last.bytes || progress.doing != self.last.doing;
        if is_new || self.samples.back().is_some_and(|last| last.at > now) {
            self.samples.clear();
            self.began = None;
            self.moved = None;
        }
        if let Some(gap) = self.samples.back().map(|last| span(last.at, now)).filter(|gap| *gap > UNSEEN) {
            self.leave_out(gap);
        }
        if progress.bytes > 0 && (self.began.is_none() || progress.bytes > self.last.bytes) {
            self.moved = Some(now);
        }
        if progress.bytes > 0 && self.began.is_none() {
            self.began = Some(sample);
        }
        self.last.clone_from(progress);
        self.samples.push_back(sample);
        while self.samples.len() > SAMPLES {
            self.samples.pop_front();
        }
    }

    /// Takes what was seen so far as seen so much later: up to now.
    fn leave_out(&mut self, gap: Duration) {
        let later = |at: Timestamp| at.checked_add(gap).unwrap_or(at);
        let seen = self.samples.iter_mut().chain(&mut self.began);
        seen.for_each(|sample| sample.at = later(sample.at));
        self.moved = self.moved.map(later);
    }

    /// The pace at a moment; `None` before the first byte.
    pub fn pace(&self, now: Timestamp) -> Option<Pace> {
        let (began, last) = (self.began?, *self.samples.back()?);
        let now = if span(last.at, now) > UNSEEN { last.at } else { now };
        let recent = self.samples.iter().find(|sample| span(sample.at, now) <= RECENT).copied().unwrap_or(last);
        let recent = if recent.at < began.at { began } else { recent };
        let mean = rate(began, last);
        let now_rate = if recent.at == last.at { mean } else { rate(recent, last) };
        let silence = self.moved.map_or(Duration::ZERO, |at| span(at, now));
        let motion = match silence {
            short if short < SLOW => Motion::Moving,
            longer if longer < STALLED => Motion::Slow(longer),
            long => Motion::Stalled(long),
        };
        let rest = self.last.expected.saturating_sub(last.bytes);
        let has_learned = span(began.at, last.at) >= LEARNING && motion == Motion::Moving;
        let left = (rest > 0 && has_learned).then(|| estimate(rest, mean, now_rate)).flatten();
        Some(Pace {
            bytes: last.bytes,
            expected: self.last.expected,
            files: self.last.files,
            mean,
            rate: now_rate,
            left,
            motion,
            limit: limit(recent.waits, last.waits),
        })
    }

    /// Bytes a second between each two samples, oldest first, with the moment each ends at: what a chart draws.
    pub fn rates(&self) -> Vec<(Timestamp, u64)> {
        let pairs = self.samples.iter().zip(self.samples.iter().skip(1));
        pairs.map(|(from, to)| (to.at, rate(*from, *to))).collect()
    }

    /// Everything in one line.
    pub fn line(&self, now: Timestamp) -> String {
        let doing = self.last.doing.one_line();
        let Some(pace) = self.pace(now) else { return format!("{doing} …") };
        format!("{doing}: {}", pace.line())
    }
}

impl Pace {
    /// Amount, rate, what is left, whether it moves and what limits it, as far as each is known.
    pub fn line(&self) -> String {
        let mut parts = vec![self.amount(), format!("{}/s", ByteSize(self.rate))];
        parts.extend(self.left_text());
        parts.push(self.motion_text());
        parts.extend(self.limit.map(|limit| format!("limit: {}", limit.word())));
        parts.join(", ")
    }

    /// "12.0 MiB of about 1.00 GiB".
    pub fn amount(&self) -> String {
        if self.expected > self.bytes {
            format!("{} of about {}", ByteSize(self.bytes), ByteSize(self.expected))
        } else {
            ByteSize(self.bytes).to_string()
        }
    }

    /// "14 to 20s left".
    pub fn left_text(&self) -> Option<String> {
        let (least, most) = self.left?;
        let (least, most) = (Seconds(least.as_secs()), Seconds(most.as_secs().max(least.as_secs() + 1)));
        Some(if least.0 == 0 { format!("less than {most} left") } else { format!("{least} to {most} left") })
    }

    /// "moving", "slow, last byte 5s ago", "stalled for 1m".
    pub fn motion_text(&self) -> String {
        match self.motion {
            Motion::Moving => "moving".to_owned(),
            Motion::Slow(silence) => format!("slow, last byte {} ago", Seconds(silence.as_secs())),
            Motion::Stalled(silence) => format!("stalled for {}", Seconds(silence.as_secs())),
        }
    }

    /// How much is done, in thousandths, never all: the last one is for what comes after the bytes.
    pub fn permille(&self) -> Option<u64> {
        (self.expected > 0).then(|| (self.bytes.saturating_mul(1000) / self.expected).min(999))
    }
}

fn span(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

fn rate(from: Sample, to: Sample) -> u64 {
    let millis = u64::try_from(span(from.at, to.at).as_millis()).unwrap_or(u64::MAX);
    to.bytes.saturating_sub(from.bytes).saturating_mul(1000).checked_div(millis).unwrap_or(0)
}

/// From the faster of the two rates to the slower one, with a tenth more on each side: rates are never steady.
fn estimate(rest: u64, mean: u64, recent: u64) -> Option<(Duration, Duration)> {
    let (slow, fast) = (mean.min(recent), mean.max(recent));
    if slow == 0 {
        return None;
    }
    let least = rest.checked_div(fast)?.saturating_mul(9) / 10;
    let most = rest.checked_div(slow)?.saturating_mul(11) / 10;
    Some((Duration::from_secs(least), Duration::from_secs(most)))
}

fn limit(from: Waits, to: Waits) -> Option<Limit> {
    let parts = [
        (Limit::Link, to.link.saturating_sub(from.link)),
        (Limit::Vault, to.vault.saturating_sub(from.vault)),
        (Limit::Check, to.check.saturating_sub(from.check)),
    ];
    let all: u64 = parts.iter().map(|(_, millis)| millis).sum();
    let (limit, most) = parts.into_iter().max_by_key(|(_, millis)| *millis)?;
    (all > 0 && most.saturating_mul(100) / all >= LIMITING_PERCENT).then_some(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + seconds).unwrap()
    }

    fn progress(bytes: u64, expected: u64) -> Progress {
        Progress { bytes, expected, doing: "Copy the tree".into(), ..Progress::default() }
    }

    fn fed(samples: &[(i64, u64)], expected: u64) -> Meter {
        let mut meter = Meter::default();
        for (second, bytes) in samples {
            meter.take(at(*second), &progress(*bytes, expected));
        }
        meter
    }

    #[test]
    fn nothing_is_said_before_the_first_byte_and_no_end_before_something_was_learned() {
        let meter = fed(&[(0, 0)], 1000);
        assert_eq!(meter.pace(at(1)), None);
        assert_eq!(meter.line(at(1)), "Copy the tree …");
        assert_eq!(fed(&[(0, 0), (1, 100)], 1000).pace(at(1)).unwrap().left, None);
    }

    #[test]
    fn what_is_left_is_a_range_between_the_two_rates() {
        // 100 B/s for 20 s, then 50 B/s for 5 s: 2250 B in 25 s.
        let mut samples: Vec<(i64, u64)> = (0_i64..=20).map(|s| (s, 1 + 100 * u64::try_from(s).unwrap())).collect();
        samples.extend((21..=25).map(|s| (s, 2001 + 50 * u64::try_from(s - 20).unwrap())));
        let pace = fed(&samples, 9001 + 250).pace(at(25)).unwrap();
        assert_eq!((pace.mean, pace.rate), (90, 50));
        let (least, most) = pace.left.unwrap();
        assert_eq!((least.as_secs(), most.as_secs()), (69, 154));
        assert_eq!(pace.left_text().unwrap(), "1m 9s to 2m 34s left");
    }

    #[test]
    fn silence_is_slow_and_then_stalled_and_then_there_is_no_end_in_sight() {
        let mut meter = fed(&[(0, 1), (5, 500)], 10_000);
        meter.take(at(9), &progress(500, 10_000));
        let slow = meter.pace(at(9)).unwrap();
        assert_eq!((slow.motion_text().as_str(), slow.left), ("slow, last byte 4s ago", None));
        (10..=70).for_each(|second| meter.take(at(second), &progress(500, 10_000)));
        assert_eq!(meter.pace(at(70)).unwrap().motion_text(), "stalled for 1m 5s");
    }

    /// An hour that nobody saw: the clock was set, or the machine slept.
    #[test]
    fn a_clock_that_jumps_ahead_changes_neither_the_pace_nor_what_is_left() {
        const HOUR: i64 = 3600;
        let steady: Vec<(i64, u64)> = (0_i64..=20).map(|s| (s, 1 + 100 * u64::try_from(s).unwrap())).collect();
        let mut meter = fed(&steady, 10_001);
        let before = meter.pace(at(20)).unwrap();
        assert_eq!(before.left_text().unwrap(), "1m 12s to 1m 28s left");
        // A key draws the page before the next sample is taken.
        assert_eq!(meter.pace(at(20 + HOUR)).unwrap(), before);
        for second in 21_i64..=25 {
            let bytes = 1 + 100 * u64::try_from(second).unwrap();
            meter.take(at(second + HOUR), &progress(bytes, 10_001));
            let pace = meter.pace(at(second + HOUR)).unwrap();
            assert!((100..=105).contains(&pace.mean) && (100..=125).contains(&pace.rate), "{second}: {pace:?}");
            let (least, most) = pace.left.unwrap();
            assert!(least.as_secs() > 50 && most.as_secs() < 90, "{second}: {pace:?}");
        }
        let rates: Vec<u64> = meter.rates().into_iter().map(|(_, rate)| rate).collect();
        assert_eq!(rates, [[100; 20].as_slice(), &[0; 1], &[100; 4]].concat(), "the chart");
    }

    #[test]
    fn silence_is_counted_as_far_as_somebody_looked() {
        let mut meter = fed(&[(0, 1), (5, 500), (9, 500)], 10_000);
        meter.take(at(9 + 3600), &progress(500, 10_000));
        assert_eq!(meter.pace(at(9 + 3600)).unwrap().motion_text(), "slow, last byte 4s ago");
        meter.take(at(11 + 3600), &progress(500, 10_000));
        assert_eq!(meter.pace(at(11 + 3600)).unwrap().motion_text(), "slow, last byte 6s ago");
    }

    #[test]
    fn a_clock_that_goes_back_and_a_new_stretch_of_work_start_anew() {
        let mut meter = fed(&[(0, 1), (5, 500)], 0);
        meter.take(at(-100), &progress(600, 0));
        assert_eq!(meter.pace(at(-100)).unwrap().mean, 0);
        meter.take(at(-99), &Progress { doing: "Start it".into(), ..Progress::default() });
        assert_eq!(meter.pace(at(-99)), None);
    }

    #[test]
    fn the_limit_is_what_took_most_of_the_time() {
        let mut meter = Meter::default();
        let waits = |link, vault| Waits { link, vault, check: 0 };
        meter.take(at(0), &Progress { waits: waits(0, 0), ..progress(1, 0) });
        meter.take(at(1), &Progress { waits: waits(900, 100), ..progress(100, 0) });
        assert_eq!(meter.pace(at(1)).unwrap().limit, Some(Limit::Link));
        meter.take(at(7), &Progress { waits: waits(950, 6000), ..progress(200, 0) });
        meter.take(at(9), &Progress { waits: waits(950, 8000), ..progress(300, 0) });
        assert_eq!(meter.pace(at(9)).unwrap().limit, Some(Limit::Vault));
    }

    #[test]
    fn a_hundred_percent_is_never_reached_by_bytes_alone() {
        assert_eq!(fed(&[(0, 1), (1, 1000)], 1000).pace(at(1)).unwrap().permille(), Some(999));
    }
}
