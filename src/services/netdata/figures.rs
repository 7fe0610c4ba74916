//! Figures: samples an agent answers with at several times of every tier, taken at backup and asked for again after a
//! restore.
//!
//! An agent's own word on how far back it goes is not enough: with a tier's files gone, its first entry still stood
//! there. So samples are compared, value by value. A tier is asked for by name, because an agent otherwise answers from
//! whichever it likes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::api;
use super::facts::Api;
use crate::model::exit::Result;
use crate::services::Cx;

/// What an agent answered at backup.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Figures {
    /// How many charts it had.
    pub charts: usize,
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
/// Where in a tier's span samples are taken, in hundredths.
const PLACES: [u64; 4] = [5, 35, 65, 95];
/// Seconds between points of a tier that does not say.
const GRANULARITY: [u64; 5] = [1, 60, 3600, 86_400, 86_400];

/// Takes figures of a running agent with `tiers` tiers.
pub fn take(cx: &Cx, api: &Api, tiers: usize) -> Result<Figures> {
    let all = api::json(cx, api, "/api/v1/charts")?;
    let charts = all.get("charts").and_then(Value::as_object).map_or(0, serde_json::Map::len);
    let there = |chart: &&str| all.pointer(&format!("/charts/{chart}")).is_some();
    let every = granularity(cx, api, tiers);
    let mut figures = Figures { charts, ..Figures::default() };
    for chart in CHARTS.iter().filter(|chart| there(chart)).take(MOST_CHARTS) {
        let about = api::json(cx, api, &format!("/api/v1/chart?chart={chart}"))?;
        let second = |key: &str| about.get(key).and_then(Value::as_u64).unwrap_or(0);
        let (first, last) = (second("first_entry"), second("last_entry"));
        figures.spans.insert((*chart).to_owned(), (first, last));
        for (tier, &every) in every.iter().enumerate() {
            for (after, before) in times(first, last, every) {
                let values = ask(cx, api, chart, tier, after, before)?;
                if values.values().any(|value| value.as_f64().is_some_and(|value| value != 0.0)) {
                    figures.samples.push(Sample { chart: (*chart).to_owned(), tier, after, before, values });
                }
            }
        }
    }
    Ok(figures)
}

/// Seconds between the points of each tier, as 1.37 tells them.
fn granularity(cx: &Cx, api: &Api, tiers: usize) -> Vec<u64> {
    let told = api::json(cx, api, "/api/v1/dbengine_stats").unwrap_or_default();
    let of = |tier: usize| {
        let told = told.pointer(&format!("/tier{tier}/default_granularity_secs")).and_then(Value::as_u64);
        told.filter(|seconds| *seconds > 0).unwrap_or_else(|| GRANULARITY.get(tier).copied().unwrap_or(86_400))
    };
    (0..tiers.min(5)).map(of).collect()
}

/// Spans of one point each, whole within what the tier can hold: the last points may not be whole yet.
fn times(first: u64, last: u64, every: u64) -> Vec<(u64, u64)> {
    let Some(end) = last.checked_sub(3 * every + 5) else { return Vec::new() };
    let start = first + 2 * every;
    if first == 0 || end <= start {
        return Vec::new();
    }
    let mut times: Vec<_> = PLACES
        .iter()
        .map(|place| {
            let before = (start + (end - start) * place / 100).div_ceil(every) * every;
            (before - every, before)
        })
        .collect();
    times.dedup();
    times
}

/// One point of a tier; empty when the agent has none there.
fn ask(cx: &Cx, api: &Api, chart: &str, tier: usize, after: u64, before: u64) -> Result<BTreeMap<String, Value>> {
    let target = format!(
        "/api/v1/data?chart={chart}&after={after}&before={before}&points=1&group=average&tier={tier}\
         &format=json&options=jsonwrap%2Cselected-tier"
    );
    match api::json(cx, api, &target) {
        Ok(answer) => Ok(values_of(&answer)),
        // With nothing to tell an agent of 1.37 answers 404.
        Err(failure) if failure.message.contains("status 404") => Ok(BTreeMap::new()),
        Err(failure) => Err(failure),
    }
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
    /// Samples that are the same, by tier.
    pub same: BTreeMap<usize, usize>,
    /// The first one that is not, as a sentence.
    pub differs: Option<String>,
}

/// Asks for every sample again.
pub fn compare(cx: &Cx, api: &Api, figures: &Figures) -> Result<Compared> {
    let mut compared = Compared::default();
    for sample in &figures.samples {
        let Sample { chart, tier, after, before, values } = sample;
        let now = ask(cx, api, chart, *tier, *after, *before)?;
        match difference(values, &now) {
            None => *compared.same.entry(*tier).or_default() += 1,
            Some(what) => {
                let what = format!("{chart} of tier {tier} at {before} {what}");
                compared.differs.get_or_insert(what);
            }
        }
    }
    Ok(compared)
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
    use serde_json::json;

    #[test]
    fn times_lie_on_whole_points_inside_the_span() {
        assert!(times(0, 1000, 1).is_empty() && times(900, 1000, 60).is_empty());
        let minutes = times(6000, 60_000, 60);
        assert_eq!(minutes.len(), 4);
        assert!(minutes.iter().all(|(after, before)| before % 60 == 0
            && before - after == 60
            && *after >= 6000
            && *before <= 60_000 - 120));
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
