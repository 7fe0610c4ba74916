//! The same text as `consul snapshot inspect` prints, so that an operator can lay one beside the other.

use super::{SnapSummary, Tally};
use crate::formats::text::{EntryName, printable};
use serde_json::{Value, json};
use std::collections::BTreeMap;

struct Line {
    name: String,
    tally: Tally,
}

/// Largest first, then by name, as the tool sorts.
fn sorted(mut lines: Vec<Line>) -> Vec<Line> {
    lines.sort_by(|a, b| b.tally.size.cmp(&a.tally.size).then_with(|| a.name.cmp(&b.name)));
    lines
}

fn types(summary: &SnapSummary) -> Vec<Line> {
    sorted(summary.by_type.iter().map(|(kind, tally)| Line { name: kind.to_string(), tally: *tally }).collect())
}

fn groups(groups: &BTreeMap<EntryName, Tally>, show: impl Fn(&[u8]) -> String) -> Vec<Line> {
    sorted(groups.iter().map(|(name, tally)| Line { name: show(name.as_bytes()), tally: *tally }).collect())
}

fn total(lines: &[Line]) -> u64 {
    lines.iter().map(|line| line.tally.size).sum()
}

/// The text of `consul snapshot inspect`, with the key table of `-kvdetails` when the keys were grouped.
///
/// Only control characters in keys differ: the tool writes them to the terminal, this escapes them.
pub fn render_inspect(summary: &SnapSummary) -> String {
    let meta = &summary.meta;
    let mut out = String::new();
    let head = [
        ("ID", printable(meta.id.as_bytes())),
        ("Size", meta.size.to_string()),
        ("Index", meta.index.to_string()),
        ("Term", meta.term.to_string()),
        ("Version", meta.version.to_string()),
    ];
    let head: Vec<Vec<String>> = head.into_iter().map(|(name, value)| vec![format!(" {name}"), value]).collect();
    columns(&mut out, &head);
    table(&mut out, "Type", &types(summary));
    if let Some(found) = &summary.kv_groups
        && !found.is_empty()
    {
        table(&mut out, "Key Name", &groups(found, printable));
    }
    out
}

fn table(out: &mut String, title: &str, lines: &[Line]) {
    let row = |name: &str, count: &str, size: &str| vec![format!(" {name}"), count.to_owned(), size.to_owned()];
    let rule = || row("----", "----", "----");
    let mut rows = vec![row(title, "Count", "Size"), rule()];
    rows.extend(lines.iter().map(|line| row(&line.name, &line.tally.count.to_string(), &bytes(line.tally.size))));
    rows.extend([rule(), row("Total", "", &bytes(total(lines)))]);
    out.push('\n');
    columns(out, &rows);
}

/// Aligns columns as Go's `tabwriter` does with a least width of 8 and a padding of 6; the last is left ragged.
fn columns(out: &mut String, rows: &[Vec<String>]) {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..count)
        .map(|at| {
            let longest = rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max();
            (longest.unwrap_or(0) + 6).max(8)
        })
        .collect();
    for row in rows {
        for (at, (cell, width)) in row.iter().zip(&widths).enumerate() {
            out.push_str(cell);
            if at + 1 < row.len() {
                out.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.chars().count())));
            }
        }
        out.push('\n');
    }
}

/// A size with one decimal and 1024 to the unit.
fn bytes(count: u64) -> String {
    if count == 0 {
        return "0".to_owned();
    }
    let mut unit = "B";
    let mut scale = 1_u64;
    for next in ["KB", "MB", "GB", "TB"] {
        if count / scale < 1024 {
            break;
        }
        scale *= 1024;
        unit = next;
    }
    #[allow(clippy::cast_precision_loss, reason = "a size shown with one decimal")]
    let value = format!("{:.1}", count as f64 / scale as f64);
    format!("{}{unit}", value.strip_suffix(".0").unwrap_or(&value))
}

/// The document of `consul snapshot inspect -format=json`.
pub fn render_inspect_json(summary: &SnapSummary) -> String {
    let meta = &summary.meta;
    let rows = |lines: &[Line]| -> Value {
        if lines.is_empty() {
            return Value::Null;
        }
        let row = |line: &Line| json!({"Name": line.name, "Sum": line.tally.size, "Count": line.tally.count});
        lines.iter().map(row).collect()
    };
    let types = types(summary);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let keys = summary.kv_groups.as_ref().map(|found| groups(found, text)).unwrap_or_default();
    let document = json!({
        "Meta": {
            "ID": meta.id, "Size": meta.size, "Index": meta.index, "Term": meta.term, "Version": meta.version,
        },
        "Stats": rows(&types),
        "StatsKV": rows(&keys),
        "TotalSize": total(&types),
        "TotalSizeKV": total(&keys),
    });
    let mut out = Vec::new();
    let form = serde_json::ser::PrettyFormatter::with_indent(b"   ");
    let mut writer = serde_json::Serializer::with_formatter(&mut out, form);
    // Writing into memory does not fail.
    let _ = serde::Serialize::serialize(&document, &mut writer);
    let mut text = String::from_utf8_lossy(&out).into_owned();
    // Go escapes what HTML would read; outside strings these do not occur.
    for (plain, escaped) in [('<', "\\u003c"), ('>', "\\u003e"), ('&', "\\u0026")] {
        text = text.replace(plain, escaped);
    }
    text.push('\n');
    text
}
