//! What a running agent answers, in the shapes of 1.37.1.

use serde_json::{Map, Value, json};

use super::collect::{CHARTS, Chart, Dimension};
use super::point::Point;
use super::{Agent, VERSION};
use crate::rehearsal::http::{Asked, Reply};

/// Answers as the agent at a second.
pub fn answer(agent: &Agent, now: u64, asked: &Asked) -> Reply {
    let Some(question) = asked.path().strip_prefix("/api/v1/") else {
        return match asked.path() {
            "/netdata.conf" => Reply::new(200, agent.conf.print()).header("Content-Type", "text/plain; charset=utf-8"),
            other => Reply::new(404, format!("File does not exist, or is not accessible: {other}")),
        };
    };
    let view = View { agent, now };
    match question {
        "info" => Reply::json(&view.info()),
        "charts" => Reply::json(&view.charts()),
        "dbengine_stats" => Reply::json(&view.stats()),
        "chart" | "data" => {
            let query = Query::of(asked);
            let Some(chart) = CHARTS.iter().find(|chart| format!("system.{}", chart.id) == query.chart) else {
                return Reply::new(404, format!("Chart is not found: {}", query.chart));
            };
            if question == "chart" {
                return Reply::json(&view.chart(chart));
            }
            match view.data(chart, &query) {
                Some(told) => Reply::json(&told),
                None => Reply::new(404, "No metrics where matched to query."),
            }
        }
        other => Reply::new(404, format!("Unsupported v1 API command: {other}")),
    }
}

/// The words of a question.
#[derive(Debug, Default)]
struct Query {
    chart: String,
    after: i64,
    before: i64,
    points: u64,
    tier: usize,
    has_tier: bool,
    is_wrapped: bool,
}

impl Query {
    fn of(asked: &Asked) -> Self {
        let mut query = Self::default();
        for (key, value) in asked.query().filter_map(|word| word.split_once('=')) {
            let value = decoded(value);
            match key {
                "chart" => query.chart = value,
                "after" => query.after = value.parse().unwrap_or(0),
                "before" => query.before = value.parse().unwrap_or(0),
                "points" => query.points = value.parse().unwrap_or(0),
                "tier" => query.tier = value.parse().unwrap_or(0),
                "options" => {
                    let mut options = value.split([',', '|', ' ']);
                    query.is_wrapped = options.clone().any(|option| option == "jsonwrap");
                    query.has_tier = options.any(|option| option == "selected-tier");
                }
                _ => {}
            }
        }
        query
    }
}

/// Text with its `%2C` undone; what is no such mark stays.
fn decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        if let Some(byte) = part.get(..2).and_then(|two| u8::from_str_radix(two, 16).ok()) {
            bytes.push(byte);
            bytes.extend(part.as_bytes().iter().skip(2));
        } else {
            bytes.push(b'%');
            bytes.extend(part.as_bytes());
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// An agent at a second.
struct View<'a> {
    agent: &'a Agent,
    now: u64,
}

/// A row: its second, and each dimension's value then.
type Row = (u64, Vec<Option<f64>>);

impl View<'_> {
    /// A dimension's points within (`after`, `until`]: those that were read in, then those in memory.
    fn points(&self, chart: &Chart, dimension: &Dimension, tier: usize, (after, until): (u64, u64)) -> Vec<Point> {
        let Some(metric) = self.agent.names.get(&(chart.id, dimension.id)) else { return Vec::new() };
        let until = until.min(self.now);
        let all = self.agent.samples.of(tier, metric);
        let from = all.partition_point(|point| point.at <= after);
        let to = all.partition_point(|point| point.at <= until).max(from);
        let read = all.get(from..to).unwrap_or_default().iter();
        let in_memory = self.agent.collector.points(dimension, tier, self.agent.since, (after, until));
        read.copied().chain(in_memory).collect()
    }

    /// The first and the last second of a tier.
    fn span(&self, tier: usize) -> Option<(u64, u64)> {
        let every = *self.agent.collector.every.get(tier)?;
        let read = self.agent.samples.span(tier);
        let first = (self.agent.since / every + 1) * every;
        let last = self.now / every * every;
        let in_memory = (first <= last).then_some((first, last));
        let (from, to) = match (read, in_memory) {
            (Some(read), Some(new)) => (read.0.min(new.0), read.1.max(new.1)),
            (read, new) => read.or(new)?,
        };
        (from <= self.now).then_some((from, to.min(self.now)))
    }

    /// The first and the last second of all tiers.
    fn whole(&self) -> (u64, u64) {
        let spans = (0..self.agent.collector.every.len()).filter_map(|tier| self.span(tier));
        spans.reduce(|all, one| (all.0.min(one.0), all.1.max(one.1))).unwrap_or((0, 0))
    }

    fn every(&self) -> u64 {
        self.agent.collector.every.first().copied().unwrap_or(1)
    }

    fn info(&self) -> Value {
        let agent = self.agent;
        let host = agent.conf.get("global", "hostname");
        let own = json!({"guid": agent.guid, "hostname": host, "reachable": true, "hops": 0, "claim_id": null, "node_id": null});
        json!({
            "version": VERSION, "uid": agent.guid, "mirrored_hosts": [host], "mirrored_hosts_status": [own],
            "alarms": {"normal": 0, "warning": 0, "critical": 0},
            "os_name": "Debian GNU/Linux", "os_version": "12 (bookworm)", "host_labels": {"_is_parent": "false"},
            "collectors": [{"plugin": "proc.plugin", "module": "/proc/stat"}], "cloud-enabled": false, "cloud-available": false,
            "memory-mode": "dbengine", "is-registry": false,
        })
    }

    fn charts(&self) -> Value {
        let charts: Map<String, Value> =
            CHARTS.iter().map(|chart| (format!("system.{}", chart.id), self.chart(chart))).collect();
        let dimensions: usize = CHARTS.iter().map(|chart| chart.dimensions.len()).sum();
        json!({
            "hostname": self.agent.conf.get("global", "hostname"), "version": VERSION, "os": "linux", "timezone": "Etc/UTC",
            "update_every": self.every(), "memory_mode": "dbengine", "charts_count": charts.len(),
            "dimensions_count": dimensions, "charts": charts,
        })
    }

    fn chart(&self, chart: &Chart) -> Value {
        let (first, last) = self.whole();
        let id = format!("system.{}", chart.id);
        let dimensions: Map<String, Value> =
            chart.dimensions.iter().map(|one| (one.id.to_owned(), json!({"name": one.id}))).collect();
        json!({
            "id": id, "name": id, "type": "system", "family": chart.family, "context": id,
            "title": format!("{} ({id})", chart.title), "priority": chart.priority, "plugin": "proc.plugin",
            "module": chart.module, "enabled": true, "units": chart.unit, "data_url": format!("/api/v1/data?chart={id}"),
            "chart_type": if chart.kind == 2 { "stacked" } else { "line" }, "duration": last.saturating_sub(first) + self.every(),
            "first_entry": first, "last_entry": last, "update_every": self.every(), "dimensions": dimensions,
        })
    }

    fn stats(&self) -> Value {
        let tier = |(tier, every): (usize, &u64)| {
            let points = self.agent.samples.count(tier);
            let (first, last) = self.agent.samples.span(tier).unwrap_or((0, 0));
            let told = json!({
                "default_granularity_secs": every, "points": points, "first_t": first, "last_t": last,
                "metrics": self.agent.names.len(),
            });
            (format!("tier{tier}"), told)
        };
        Value::Object(self.agent.collector.every.iter().enumerate().map(tier).collect())
    }

    /// None when there is not a single point.
    fn data(&self, chart: &Chart, query: &Query) -> Option<Value> {
        let (first, last) = self.whole();
        let absolute = |second: i64, from: u64, none: u64| match second {
            0 => none,
            1.. => second.unsigned_abs(),
            _ => from.saturating_sub(second.unsigned_abs()),
        };
        let before = absolute(query.before, self.now, last);
        // A window of no length is the second it stands at.
        let after = absolute(query.after, before, first.saturating_sub(1)).min(before.saturating_sub(1));
        let tiers = self.agent.collector.every.len();
        let holds = |tier: &usize| self.rows(chart, *tier, (after, before)).next().is_some();
        let tier = if query.has_tier { query.tier.min(tiers - 1) } else { (0..tiers).find(holds)? };
        let all: Vec<Row> = self.rows(chart, tier, (after, before)).collect();
        let rows = grouped(&all, query.points, (after, before))?;
        let ids: Vec<&str> = chart.dimensions.iter().map(|one| one.id).collect();
        let labels: Vec<&str> = std::iter::once("time").chain(ids.iter().copied()).collect();
        // The newest comes first.
        let data: Vec<Vec<Value>> = rows
            .iter()
            .rev()
            .map(|(at, values)| {
                std::iter::once(json!(at)).chain(values.iter().map(|value| json!(value.map(printed)))).collect()
            })
            .collect();
        let result = json!({"labels": labels, "data": data});
        if !query.is_wrapped {
            return Some(result);
        }
        let per_tier: Vec<usize> = (0..tiers).map(|one| if one == tier { all.len() } else { 0 }).collect();
        let id = format!("system.{}", chart.id);
        Some(json!({
            "api": 1, "id": id, "name": id, "view_update_every": (before - after) / rows.len() as u64,
            "update_every": self.every(), "first_entry": first, "last_entry": last, "after": after + 1, "before": before,
            "group": "average", "dimension_names": ids, "dimension_ids": ids, "dimensions": ids.len(), "points": rows.len(),
            "format": "json", "db_points_per_tier": per_tier, "result": result,
        }))
    }

    /// Every second of a tier at which anything is known.
    fn rows(&self, chart: &Chart, tier: usize, window: (u64, u64)) -> impl Iterator<Item = Row> {
        let columns: Vec<Vec<Point>> =
            chart.dimensions.iter().map(|dimension| self.points(chart, dimension, tier, window)).collect();
        let seconds: std::collections::BTreeSet<u64> = columns.iter().flatten().map(|point| point.at).collect();
        seconds.into_iter().map(move |at| {
            let value = |points: &Vec<Point>| {
                let found = points.binary_search_by_key(&at, |point| point.at).ok()?;
                points.get(found).map(Point::average)
            };
            (at, columns.iter().map(value).collect())
        })
    }
}

/// A value as exact as it is printed.
fn printed(value: f64) -> f64 {
    (value * 1e7).round() / 1e7
}

/// As many rows as were asked for, each the average of those that fall into its part of the window.
fn grouped(rows: &[Row], points: u64, (after, before): (u64, u64)) -> Option<Vec<Row>> {
    let columns = rows.first()?.1.len();
    if points == 0 || points >= rows.len() as u64 {
        return Some(rows.to_vec());
    }
    let step = (before - after).div_ceil(points).max(1);
    let groups = (1..=points).map(|number| {
        let until = (after + number * step).min(before);
        let from = after + (number - 1) * step;
        let of = |column: usize| {
            let values = rows.iter().filter(|(at, _)| *at > from && *at <= until);
            let (sum, count) = values
                .filter_map(|(_, values)| *values.get(column)?)
                .fold((0.0, 0_u32), |(sum, count), value| (sum + value, count + 1));
            (count > 0).then(|| sum / f64::from(count))
        };
        (until, (0..columns).map(of).collect())
    });
    Some(groups.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_read_with_its_marks_undone() {
        let asked = Asked {
            target: "/api/v1/data?chart=system.cpu&after=-60&points=1&tier=1&options=jsonwrap%2Cselected-tier%"
                .to_owned(),
            ..Asked::default()
        };
        let query = Query::of(&asked);
        assert_eq!((query.chart.as_str(), query.after, query.points, query.tier), ("system.cpu", -60, 1, 1));
        assert!(query.is_wrapped && !query.has_tier, "what ends in a lone mark is another option: {query:?}");
    }

    #[test]
    fn points_are_averages_of_their_part() {
        let rows: Vec<Row> = (1..=6).map(|at| (at, vec![Some(f64::from(u8::try_from(at).unwrap())), None])).collect();
        let halves = grouped(&rows, 2, (0, 6)).unwrap();
        assert_eq!(halves, [(3, vec![Some(2.0), None]), (6, vec![Some(5.0), None])]);
        assert_eq!(grouped(&rows, 0, (0, 6)).unwrap(), rows);
        assert_eq!(grouped(&[], 1, (0, 6)), None);
    }
}
