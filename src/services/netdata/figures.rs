//! Figures: samples an agent answers with at several times of every tier, taken at backup and asked for again after a
//! restore.
//!
//! An agent's own word on how far back it goes is not enough: with a tier's files gone, its first entry still stood
//! there. So samples are compared, value by value. A tier is asked for by name, because an agent otherwise answers from
//! whichever it likes. Beside them: which charts it collected, by name, and from when to when some of them reach.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::api;
use super::facts::Api;
use crate::model::exit::{Exit, Result};
use crate::services::Cx;

/// What an agent answered at backup.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Figures {
    /// How many charts it had.
    pub charts: usize,
    /// Names of charts with history that were collected then: all of them, or as many as are noted, evenly spread.
    /// Empty for an agent that does not list what it has history of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// The first and last second it told of, by chart.
    pub spans: BTreeMap<String, (u64, u64)>,
    /// Samples.
    pub samples: Vec<Sample>,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// The chart.
    pub chart: String,
    /// The tier that was asked.
    pub tier: usize,
    /// From this second on, exclusive.
    pub after: u64,
    /// Up to this second.
    pub before: u64,
    /// Values by dimension, as the agent prints them.
    pub values: BTreeMap<String, Value>,
}

/// Charts every Linux agent has, in order of preference.
const CHARTS: [&str; 5] = ["system.cpu", "system.load", "system.ram", "system.processes", "system.uptime"];
/// Charts asked for.
const MOST_CHARTS: usize = 3;
/// Charts noted by name.
const MOST_NAMES: usize = 400;
/// Seconds of history from which on a chart is noted by name, and how far it reaches: less may be in memory only.
const SHORTEST: u64 = 10;
/// The last second that is believed, thousands of years from now: sums of such seconds fit a number.
const LATEST: u64 = 100_000_000_000;
/// Where in a tier's span samples are taken, in hundredths.
///
/// None in the first twentieth: an agent whose room is used up drops its oldest file whenever it begins a new one.
const PLACES: [u64; 4] = [10, 35, 65, 95];
/// The part of a span that may be gone for that reason.
const MAY_AGE: u64 = 10;
/// Seconds between points of a tier that does not say.
const GRANULARITY: [u64; 5] = [1, 60, 3600, 86_400, 86_400];
/// How many times the way back from the end is made four times as long.
const STEPS_BACK: u32 = 10;

/// What was noted of an agent, and what could not be.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Taken {
    /// The figures.
    pub figures: Figures,
    /// Tiers that have history enough, and of which the agent told no sample.
    pub silent: Vec<usize>,
    /// Why no chart was noted by name, where the agent did not list those it has history of.
    pub unlisted: Option<String>,
}

/// Puts a question to an agent, by its target.
type Asking<'a> = &'a dyn Fn(&str) -> Result<Value>;

/// Takes figures of a running agent with `tiers` tiers.
pub fn take(cx: &Cx, api: &Api, tiers: usize) -> Result<Taken> {
    take_by(&|target| api::json(cx, api, target), tiers)
}

fn take_by(asking: Asking, tiers: usize) -> Result<Taken> {
    let all = asking("/api/v1/charts")?;
    let charts = all.get("charts").and_then(Value::as_object).map_or(0, serde_json::Map::len);
    let there = |chart: &&str| all.pointer(&format!("/charts/{chart}")).is_some();
    // Not every version lists what it has history of, and a list may be longer than is read.
    let (names, unlisted) = match with_history(asking) {
        Ok(all) => (spread(all.collected), None),
        Err(failure) if failure.exit == Exit::Cancelled => return Err(failure),
        Err(failure) => (Vec::new(), Some(failure.message.trim_end_matches('.').to_owned())),
    };
    let mut taken = Taken { figures: Figures { charts, names, ..Figures::default() }, silent: Vec::new(), unlisted };
    let (tiers, mut asked) = (tiers_of(asking, tiers), BTreeMap::new());
    for chart in CHARTS.iter().filter(|chart| there(chart)).take(MOST_CHARTS) {
        let (first, last) = span_of(asking, chart)?;
        // Just after its start an agent has charts and hardly a history of them: that is nothing to compare with.
        if first > 0 && last >= first + SHORTEST {
            taken.figures.spans.insert((*chart).to_owned(), (first, last));
        }
        for (number, tier) in tiers.iter().enumerate() {
            let found = tier.samples(asking, (chart, number), (first, last))?;
            let all = asked.entry(number).or_insert(0_usize);
            *all += found.len();
            if *all == 0 && !tier.times(first, last).is_empty() && !taken.silent.contains(&number) {
                taken.silent.push(number);
            }
            taken.figures.samples.extend(found);
        }
    }
    taken.silent.retain(|tier| asked.get(tier) == Some(&0));
    Ok(taken)
}

/// The first and the last second an agent has of a chart; zeros when it has none.
fn span_of(asking: Asking, chart: &str) -> Result<(u64, u64)> {
    let about = asking(&format!("/api/v1/chart?chart={chart}"))?;
    Ok((second_of(&about, "first_entry"), second_of(&about, "last_entry")))
}

/// A second an agent tells of; 0 when it tells of none, or of one that cannot be.
fn second_of(about: &Value, key: &str) -> u64 {
    about.get(key).and_then(Value::as_u64).filter(|second| *second <= LATEST).unwrap_or(0)
}

/// The charts an agent has history of, whether it collects them now or not.
#[derive(Debug, Default)]
struct History {
    known: BTreeSet<String>,
    /// Those it collects, and has for a while.
    collected: BTreeSet<String>,
}

fn with_history(asking: Asking) -> Result<History> {
    let told = asking("/api/v1/contexts?options=charts")?;
    let contexts = told.get("contexts").and_then(Value::as_object).into_iter().flatten();
    let charts = contexts.filter_map(|(_, context)| context.get("charts")?.as_object()).flatten();
    let mut history = History::default();
    for (name, chart) in charts.filter(|(name, _)| name.len() <= 200 && !name.chars().any(char::is_control)) {
        let (first, last) = (second_of(chart, "first_time_t"), second_of(chart, "last_time_t"));
        if first == 0 {
            continue;
        }
        history.known.insert(name.clone());
        if chart.get("collected") == Some(&Value::Bool(true)) && last >= first + SHORTEST {
            history.collected.insert(name.clone());
        }
    }
    Ok(history)
}

/// As many of them as are noted.
fn spread(all: BTreeSet<String>) -> Vec<String> {
    let every = all.len().div_ceil(MOST_NAMES).max(1);
    all.into_iter().step_by(every).collect()
}

/// How a tier's points lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tier {
    /// Seconds between its points.
    every: u64,
    /// Its first second, as far as the agent tells. A chart goes back as far as the longest of its tiers, which may be a
    /// hundred times as far as the one with the finest points.
    first: u64,
}

/// Every tier, as 1.37 and later tell of them.
fn tiers_of(asking: Asking, tiers: usize) -> Vec<Tier> {
    // Not every build has this question: then the times closest to the end are asked for.
    let told = asking("/api/v1/dbengine_stats").unwrap_or_default();
    let of = |tier: usize| {
        let number = |name: &str| told.pointer(&format!("/tier{tier}/{name}")).and_then(Value::as_u64);
        let default = GRANULARITY.get(tier).copied().unwrap_or(86_400);
        Tier {
            every: number("default_granularity_secs").filter(|every| (1..=LATEST).contains(every)).unwrap_or(default),
            first: number("first_t").map(seconds_of).filter(|first| *first <= LATEST).unwrap_or(0),
        }
    };
    (0..tiers.min(5)).map(of).collect()
}

/// A time in seconds; some versions tell microseconds.
const fn seconds_of(time: u64) -> u64 {
    if time > LATEST { time / 1_000_000 } else { time }
}

impl Tier {
    /// Spans of one point each, whole within what the tier can hold: the last points may not be whole yet.
    fn times(self, first: u64, last: u64) -> Vec<(u64, u64)> {
        let Some((start, end)) = self.within(first, last) else { return Vec::new() };
        let mut times: Vec<_> = PLACES.iter().map(|place| self.point(start + (end - start) * place / 100)).collect();
        times.dedup();
        times
    }

    /// Spans ever farther from the end: some of them lie in a tier of which nobody tells how far back it goes.
    fn times_from_the_end(self, first: u64, last: u64) -> Vec<(u64, u64)> {
        let Some((start, end)) = self.within(first, last) else { return Vec::new() };
        let back = (0..STEPS_BACK).map_while(|step| end.checked_sub(self.every << (2 * step)));
        back.take_while(|at| *at > start).map(|at| self.point(at)).collect()
    }

    /// From where to where whole points lie.
    fn within(self, first: u64, last: u64) -> Option<(u64, u64)> {
        let end = last.checked_sub(3 * self.every + 5)?;
        // What it says of a tier must fit what it says of the chart.
        let first = if self.first < end { first.max(self.first) } else { first };
        let start = first + 2 * self.every;
        (first > 0 && start < end).then_some((start, end))
    }

    /// The point that a second belongs to.
    const fn point(self, second: u64) -> (u64, u64) {
        let before = second.div_ceil(self.every) * self.every;
        (before - self.every, before)
    }

    fn samples(self, asking: Asking, of: (&str, usize), (first, last): (u64, u64)) -> Result<Vec<Sample>> {
        let mut samples = Vec::new();
        for from_the_end in [false, true] {
            let times = if from_the_end { self.times_from_the_end(first, last) } else { self.times(first, last) };
            for (after, before) in times {
                if samples.len() >= PLACES.len() {
                    break;
                }
                let Told { values, .. } = ask(asking, of, after, before)?;
                let is_known = samples.iter().any(|sample: &Sample| sample.before == before);
                if !is_known && values.values().any(|value| value.as_f64().is_some_and(|value| value != 0.0)) {
                    samples.push(Sample { chart: of.0.to_owned(), tier: of.1, after, before, values });
                }
            }
            if samples.len() > 1 {
                break;
            }
        }
        Ok(samples)
    }
}

/// What an agent tells of one point of a tier.
#[derive(Debug, Default)]
struct Told {
    /// Its values; none when the agent has none there.
    values: BTreeMap<String, Value>,
    /// Whether it told another point instead. So does one whose clock has gone back: to it what was asked for is still to come.
    elsewhere: bool,
}

fn ask(asking: Asking, (chart, tier): (&str, usize), after: u64, before: u64) -> Result<Told> {
    let target = format!(
        "/api/v1/data?chart={chart}&after={after}&before={before}&points=1&group=average&tier={tier}\
         &format=json&options=jsonwrap%2Cselected-tier"
    );
    let answer = match asking(&target) {
        Ok(answer) => answer,
        // With nothing to tell an agent of 1.37 answers 404.
        Err(failure) if failure.message.contains("status 404") => return Ok(Told::default()),
        Err(failure) => return Err(failure),
    };
    let values = values_of(&answer);
    let time = answer.pointer("/result/data/0/0").and_then(Value::as_u64).map_or(0, seconds_of);
    // Points lie where the tier has them, up to one of them later.
    let is_it = time >= after && time <= before.saturating_add(before.saturating_sub(after));
    let elsewhere = !values.is_empty() && !is_it;
    Ok(Told { values: if elsewhere { BTreeMap::new() } else { values }, elsewhere })
}

fn values_of(answer: &Value) -> BTreeMap<String, Value> {
    let labels = answer.pointer("/result/labels").and_then(Value::as_array);
    let row = answer.pointer("/result/data/0").and_then(Value::as_array);
    let pairs = labels.into_iter().flatten().zip(row.into_iter().flatten()).skip(1);
    let known = pairs.filter(|(_, value)| !value.is_null()).take(200);
    known.filter_map(|(label, value)| Some((label.as_str()?.to_owned(), value.clone()))).collect()
}

/// How a comparison came out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Compared {
    /// How many charts were looked for by name, and are there unless something differs.
    pub charts: usize,
    /// Samples that are the same, by tier.
    pub same: BTreeMap<usize, usize>,
    /// The first one that is not, as a sentence.
    pub differs: Option<String>,
}

/// Asks for everything again.
pub fn compare(cx: &Cx, api: &Api, figures: &Figures) -> Result<Compared> {
    compare_by(&|target| api::json(cx, api, target), figures)
}

fn compare_by(asking: Asking, figures: &Figures) -> Result<Compared> {
    let mut compared = Compared { differs: gone(asking, &figures.names)?, ..Compared::default() };
    compared.charts = figures.names.len();
    // Earlier versions noted charts without history, too.
    for (chart, then) in figures.spans.iter().filter(|(_, (first, _))| *first > 0) {
        if let Some(what) = shorter(asking, chart, *then)? {
            compared.differs.get_or_insert(what);
        }
    }
    for sample in &figures.samples {
        let Sample { chart, tier, after, before, values } = sample;
        let now = ask(asking, (chart, *tier), *after, *before)?;
        match difference(values, &now.values) {
            None => *compared.same.entry(*tier).or_default() += 1,
            Some(what) => {
                let another = "is answered with a sample of another time: the agent's clock may be wrong".to_owned();
                let what = if now.elsewhere { another } else { what };
                let what = format!("{chart} of tier {tier} at {before} {what}");
                compared.differs.get_or_insert(what);
            }
        }
    }
    Ok(compared)
}

/// Charts of before of which nothing is known now.
fn gone(asking: Asking, names: &[String]) -> Result<Option<String>> {
    if names.is_empty() {
        return Ok(None);
    }
    let history = with_history(asking)?;
    let mut gone = names.iter().filter(|name| !history.known.contains(*name));
    let Some(first) = gone.next() else { return Ok(None) };
    let more = gone.count();
    let more = if more > 0 { format!(" (and {more} more)") } else { String::new() };
    Ok(Some(format!("the chart {}{more} is not there", crate::model::text::CleanText::new(first).one_line())))
}

/// What is missing of a chart's history, at either end.
fn shorter(asking: Asking, chart: &str, (first, last): (u64, u64)) -> Result<Option<String>> {
    let (begins, ends) = match span_of(asking, chart) {
        Ok(span) => span,
        Err(failure) if failure.message.contains("status 404") => (0, 0),
        Err(failure) => return Err(failure),
    };
    let may_begin = first.saturating_add(last.saturating_sub(first) / MAY_AGE).saturating_add(1);
    Ok(if begins == 0 {
        Some(format!("the chart {chart} is not there"))
    } else if begins > may_begin {
        Some(format!("{chart} goes back to {begins}, and went back to {first}"))
    } else if ends < last {
        Some(format!("{chart} ends at {ends}, and reached {last}"))
    } else {
        None
    })
}

/// What is not as it was; dimensions that were added since say nothing.
fn difference(then: &BTreeMap<String, Value>, now: &BTreeMap<String, Value>) -> Option<String> {
    if now.is_empty() {
        return Some("has no sample".to_owned());
    }
    let (name, was) = then.iter().find(|(name, was)| now.get(*name) != Some(*was))?;
    let is = now.get(name).map_or("nothing".to_owned(), Value::to_string);
    Some(format!("is {is} for '{}', not {was}", crate::model::text::CleanText::new(name).one_line()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::exit::Failure;
    use serde_json::json;

    #[test]
    fn times_lie_on_whole_points_inside_the_span() {
        let of = |every: u64| Tier { every, first: 0 };
        assert!(of(1).times(0, 1000).is_empty() && of(60).times(900, 1000).is_empty());
        let minutes = of(60).times(6000, 60_000);
        assert_eq!(minutes.len(), 4);
        assert!(minutes.iter().all(|(after, before)| before % 60 == 0
            && before - after == 60
            && *after >= 6000
            && *before <= 60_000 - 120));
    }

    /// An agent after two years: seconds of the last two days, minutes of the last two months, hours of all of it.
    fn long_lived(target: &str, tells_spans: bool) -> Result<Value> {
        const NOW: u64 = 1_800_000_000;
        let firsts = [NOW - 2 * 86_400, NOW - 60 * 86_400, NOW - 730 * 86_400];
        let number = |key: &str| -> u64 {
            let word = target.split(['?', '&']).find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
            word.unwrap().parse().unwrap()
        };
        Ok(match target.split('?').next().unwrap() {
            "/api/v1/charts" => json!({"charts": {"system.cpu": {}}}),
            "/api/v1/chart" => json!({"first_entry": firsts[2], "last_entry": NOW}),
            "/api/v1/dbengine_stats" if tells_spans => json!({
                "tier0": {"default_granularity_secs": 1, "first_t": firsts[0] * 1_000_000},
                "tier1": {"default_granularity_secs": 60, "first_t": firsts[1]},
                "tier2": {"default_granularity_secs": 3600, "first_t": firsts[2]},
            }),
            "/api/v1/data" => {
                let (tier, after) = (usize::try_from(number("tier")).unwrap(), number("after"));
                if tier > 2 || after < firsts[tier] {
                    return Err(Failure::new(Exit::Failed, "Asking failed: status 404 (nothing)."));
                }
                json!({"result": {"labels": ["time", "user"], "data": [[after, 1.5]]}})
            }
            _ => return Err(Failure::new(Exit::Failed, "Asking failed: status 400 (unsupported).")),
        })
    }

    /// An agent with two charts; `without` one of them, and beginning at `first`.
    fn answers(target: &str, without: &str, first: u64) -> Result<Value> {
        let ids = ["system.cpu", "disk.sda", "disk.new", "disk.old"];
        let charts: serde_json::Map<_, _> = ids
            .iter()
            .filter(|id| **id != without)
            .map(|id| {
                let (begins, is_collected) = (if *id == "disk.new" { 1995 } else { first }, *id != "disk.old");
                ((*id).to_owned(), json!({"first_time_t": begins, "last_time_t": 2000, "collected": is_collected}))
            })
            .collect();
        Ok(match target.split('?').next().unwrap() {
            "/api/v1/contexts" => json!({"contexts": {"a": {"first_time_t": 1}, "b": {"charts": charts}}}),
            "/api/v1/charts" => json!({"charts": charts}),
            "/api/v1/chart" if without != "system.cpu" => json!({"first_entry": first, "last_entry": 2000}),
            _ => return Err(Failure::new(Exit::Failed, "Asking failed: status 404 (nothing).")),
        })
    }

    #[test]
    fn a_chart_of_before_that_is_gone_or_shorter_is_a_difference() {
        let then = take_by(&|target| answers(target, "", 1000), 1).unwrap().figures;
        assert_eq!(then.names, ["disk.sda", "system.cpu"], "what is new or no longer collected may go");
        assert_eq!(then.spans["system.cpu"], (1000, 2000));
        let differs = |without: &'static str, first: u64| {
            compare_by(&|target| answers(target, without, first), &then).unwrap().differs.unwrap_or_default()
        };
        assert_eq!(
            (differs("", 1000), differs("", 900), differs("disk.old", 1000)),
            <(String, String, String)>::default()
        );
        assert_eq!(differs("", 1090), "", "an agent that is full drops its oldest file");
        assert_eq!(differs("", 1500), "system.cpu goes back to 1500, and went back to 1000");
        assert_eq!(differs("disk.sda", 1000), "the chart disk.sda is not there");
        assert_eq!(differs("system.cpu", 1000), "the chart system.cpu is not there");
        let mut many = then.clone();
        many.names.extend(["x.1".to_owned(), "x.2".to_owned()]);
        let told = compare_by(&|target| answers(target, "", 1000), &many).unwrap();
        assert_eq!((told.charts, told.differs.unwrap().as_str()), (4, "the chart x.1 (and 1 more) is not there"));
    }

    #[test]
    fn a_list_of_charts_that_does_not_come_is_told() {
        let taken = |fails: bool| {
            let asking = |target: &str| {
                if target.starts_with("/api/v1/contexts") && fails {
                    Err(Failure::new(Exit::Failed, "Asking Netdata on n1 failed: it did not answer in time."))
                } else {
                    answers(target, "", 1000)
                }
            };
            take_by(&asking, 1).unwrap()
        };
        assert_eq!((taken(false).figures.names.len(), taken(false).unlisted), (2, None));
        let silent = taken(true);
        assert!(silent.figures.names.is_empty() && silent.unlisted.unwrap().ends_with("in time"), "it is told");
    }

    #[test]
    fn a_chart_without_history_yet_is_nothing_to_compare_with() {
        let mut then = take_by(&|target| answers(target, "", 0), 1).unwrap().figures;
        assert_eq!((then.charts, then.spans.len(), then.names.len()), (4, 0, 0));
        let compared = |figures: &Figures, first| compare_by(&|target| answers(target, "", first), figures).unwrap();
        assert_eq!(compared(&then, 1000).differs, None);
        // As it was noted before.
        then.spans.insert("system.cpu".to_owned(), (0, 2000));
        assert_eq!((compared(&then, 1000).differs, compared(&then, 0).differs), (None, None));
    }

    /// Whoever answers in the agent's place may tell any number there is.
    #[test]
    fn times_that_cannot_be_are_as_good_as_none() {
        const NUMBERS: [u64; 6] = [0, 1, LATEST, LATEST + 1, u64::MAX - 4, u64::MAX];
        let any = |at: usize| NUMBERS[at % NUMBERS.len()];
        for (first, last, every) in (0..216).map(|at| (any(at), any(at / 6), any(at / 36))) {
            let asking = |target: &str| {
                Ok(match target.split('?').next().unwrap() {
                    "/api/v1/contexts" => json!({"contexts": {"c": {"charts": {"system.cpu":
                        {"first_time_t": first, "last_time_t": last, "collected": true}}}}}),
                    "/api/v1/charts" => json!({"charts": {"system.cpu": {}}}),
                    "/api/v1/chart" => json!({"first_entry": first, "last_entry": last}),
                    "/api/v1/dbengine_stats" => json!({"tier0": {"default_granularity_secs": every, "first_t": first}}),
                    _ => json!({"result": {"labels": ["time", "user"], "data": [[last, 1.5]]}}),
                })
            };
            let taken = take_by(&asking, 1).unwrap().figures;
            let is_told = (1..=LATEST).contains(&first) && last <= LATEST && last >= first + SHORTEST;
            assert_eq!(taken.spans.len(), usize::from(is_told), "{first} {last} {every}");
            let sample = Sample {
                chart: "system.cpu".to_owned(),
                tier: 0,
                after: first,
                before: last,
                values: BTreeMap::from([("user".to_owned(), json!(1.5))]),
            };
            let spans = BTreeMap::from([("system.cpu".to_owned(), (first, last))]);
            let noted = Figures { spans, samples: vec![sample], ..taken };
            compare_by(&asking, &noted).unwrap();
        }
    }

    #[test]
    fn of_many_charts_some_are_noted_from_first_to_last() {
        let all: BTreeSet<String> = (0..1900).map(|number| format!("chart.{number:04}")).collect();
        let noted = spread(all.clone());
        assert!(noted.len() <= MOST_NAMES && noted.len() > MOST_NAMES / 2, "{}", noted.len());
        assert_eq!((noted[0].as_str(), noted.last().unwrap().as_str()), ("chart.0000", "chart.1895"));
        assert_eq!(spread(all.into_iter().take(9).collect()).len(), 9);
    }

    #[test]
    fn every_tier_is_sampled_however_much_farther_back_another_goes() {
        for tells_spans in [true, false] {
            let taken = take_by(&|target| long_lived(target, tells_spans), 3).unwrap();
            for tier in 0..3 {
                let of_tier: Vec<_> = taken.figures.samples.iter().filter(|sample| sample.tier == tier).collect();
                assert!((2..=4).contains(&of_tier.len()), "{tells_spans}, tier {tier}: {of_tier:?}");
                let mut times: Vec<u64> = of_tier.iter().map(|sample| sample.before).collect();
                times.sort_unstable();
                times.dedup();
                assert_eq!(times.len(), of_tier.len(), "a time counts once");
            }
            assert_eq!(taken.silent, Vec::<usize>::new());
        }
        // A tier that has history enough and tells nothing is no tier that was noted.
        assert_eq!(take_by(&|target| long_lived(target, false), 4).unwrap().silent, [3]);
    }

    #[test]
    fn a_sample_of_another_time_is_never_taken_for_the_one_asked_for() {
        // An agent whose clock went back an hour tells what it has now.
        let back = |target: &str| {
            let mut told = long_lived(target, true)?;
            if let Some(time) = told.pointer_mut("/result/data/0/0") {
                *time = (time.as_u64().unwrap() - 3600).into();
            }
            Ok(told)
        };
        let then = take_by(&|target| long_lived(target, true), 1).unwrap().figures;
        assert!(
            !then.samples.is_empty()
                && compare_by(&|target| long_lived(target, true), &then).unwrap().differs.is_none()
        );
        let differs = compare_by(&back, &Figures { spans: BTreeMap::new(), ..then }).unwrap().differs.unwrap();
        assert!(differs.contains("sample of another time"), "{differs}");
        assert!(take_by(&back, 1).unwrap().figures.samples.is_empty(), "nor is it noted");
    }

    #[test]
    fn one_other_value_is_a_difference_and_a_new_dimension_is_none() {
        let of = |value: Value| values_of(&value);
        let then = of(json!({"result": {"labels": ["time", "user", "nice"], "data": [[5, 1.25, 0]]}}));
        assert_eq!(then.len(), 2);
        let now = of(json!({"result": {"labels": ["time", "new", "nice", "user"], "data": [[5, 3, 0, 1.25]]}}));
        assert_eq!(difference(&then, &now), None);
        let other = of(json!({"result": {"labels": ["time", "user", "nice"], "data": [[5, 1.26, 0]]}}));
        assert_eq!(difference(&then, &other).unwrap(), "is 1.26 for 'user', not 1.25");
        assert_eq!(difference(&then, &of(json!({}))).unwrap(), "has no sample");
    }
}
