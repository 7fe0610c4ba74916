//! What is known of one copy, and how the node differs from it now.

use std::collections::BTreeMap;

use serde_json::Value;

use super::copies::look_of_copy;
use crate::engine::fleet::{ItemState, ItemView};
use crate::engine::holdings::CopyView;
use crate::model::exit::Failure;
use crate::tui::action::Action;
use crate::tui::frame::look_of;
use crate::tui::model::Model;
use crate::tui::screens::fleet::{identity_line, item_lines, openable_line, size_of};
use crate::tui::screens::host::flatten;
use crate::tui::theme::{Glyphs, Role};
use crate::tui::when::utc_and_ago;
use crate::tui::widgets::lines::Line;
use crate::vault::Snapshot;

/// Every line of the detail.
pub fn lines(
    item: Option<&ItemView>,
    copy: Option<&CopyView>,
    whole: Option<&Result<Box<Snapshot>, Failure>>,
    model: &Model,
    glyphs: &Glyphs,
) -> Vec<Line> {
    let Some(copy) = copy else {
        return item.map(|item| item_lines(item, model, glyphs)).unwrap_or_default();
    };
    let (sign, word, role, why) = look_of_copy(copy, glyphs);
    let is_good = why.is_empty();
    let why = if is_good { "nothing speaks against this copy".to_owned() } else { why.to_owned() };
    // The item may stand worse than the copy: it is old, dated ahead, or runs twice.
    let of_item = item.filter(|item| item.state == ItemState::Twin || (is_good && item.state > ItemState::Uncovered));
    let of_item = of_item.map(|item| {
        let (role, sign) = look_of(item.state, glyphs);
        Line::Status(sign, item.state.word().to_owned(), item.why.clone(), role)
    });
    let mut lines: Vec<Line> = of_item.into_iter().collect();
    lines.extend([
        Line::Status(sign, word.to_owned(), why, role),
        Line::field("copied", utc_and_ago(copy.created, model.now)),
        Line::field("from", copy.source.to_string()),
        Line::field("size", size_of(copy)),
        openable_line(copy, model),
    ]);
    if item.is_none() {
        lines.push(Line::field("inventory", "it is in none: it can be restored, not backed up"));
    }
    lines.extend(copy.marks.iter().map(|mark| Line::Field("mark".to_owned(), mark.to_string(), Role::StatusWarn)));
    match whole {
        None => lines.push(Line::muted("Its manifest is being read.")),
        Some(Err(failure)) => lines.push(Line::Text(failure.message.clone(), Role::StatusBad)),
        Some(Ok(snapshot)) => {
            lines.extend(drift_lines(item, snapshot, model));
            lines.extend(manifest_lines(snapshot));
        }
    }
    lines
}

/// How the node differs from the copy, as far as the facts of both say.
fn drift_lines(item: Option<&ItemView>, snapshot: &Snapshot, model: &Model) -> Vec<Line> {
    let mut lines = vec![Line::Blank, Line::Heading("The node against this copy".to_owned())];
    let Some(found) = item.and_then(|item| item.item.as_ref()) else {
        lines.push(Line::muted("The node was not looked at; nothing can be compared."));
        return lines;
    };
    let Ok(now) = serde_json::from_str::<Value>(&found.facts) else {
        let key = model.key(Action::Refresh);
        lines.push(Line::muted(format!("The node's facts were not kept; {key} asks it again.")));
        return lines;
    };
    let (then, now) = (facts_of(&snapshot.manifest().facts), facts_of(&now));
    let before = lines.len();
    for (name, value) in &now {
        match then.get(name) {
            Some(saved) if saved != value => {
                lines.push(Line::Field(name.clone(), format!("{value}; in the copy {saved}"), Role::StatusWarn));
            }
            None => lines.push(Line::Field(name.clone(), format!("{value}; not in the copy"), Role::StatusWarn)),
            Some(_) => {}
        }
    }
    for (name, saved) in then.iter().filter(|(name, _)| !now.contains_key(*name)) {
        lines.push(Line::Field(name.clone(), format!("not there now; in the copy {saved}"), Role::StatusWarn));
    }
    if lines.len() == before {
        let same = now.len();
        lines.push(Line::text(format!("All {same} facts are the same.")));
    }
    lines
}

fn facts_of(facts: &Value) -> BTreeMap<String, String> {
    let mut found = Vec::new();
    if let Value::Object(map) = facts {
        // What the verifier derived from the bytes has no counterpart on the node.
        let own = map.iter().filter(|(key, _)| *key != "verified");
        own.for_each(|(key, value)| flatten(key, value, &mut found));
    }
    found.into_iter().map(|fact| (fact.name, fact.value)).collect()
}

fn manifest_lines(snapshot: &Snapshot) -> Vec<Line> {
    let manifest = snapshot.manifest();
    let clean = |text: &str| crate::model::text::CleanText::new(text).one_line().to_string();
    let mut lines = vec![Line::Blank, Line::Heading("Its manifest".to_owned())];
    lines.extend(manifest.reason.iter().map(|reason| Line::field("reason", clean(reason))));
    lines.extend(manifest.source.version.iter().map(|version| Line::field("version", version.one_line().to_string())));
    lines.push(Line::field("run", manifest.run.to_string()));
    lines.push(Line::field("made by", format!("{} with Lifeboat {}", manifest.console, clean(&manifest.made_by))));
    lines.extend(manifest.identities.iter().map(|identity| {
        identity_line(&crate::model::facts::Identity { kind: clean(&identity.kind), value: clean(&identity.value) })
    }));
    for file in &manifest.files {
        let size = crate::model::units::ByteSize(file.plain_size);
        lines.push(Line::field("file", format!("{} {size}, was {}", clean(&file.name), file.origin.one_line())));
    }
    // Where it lies below the vault; the inventory says where that is.
    let all: Vec<_> = snapshot.dir().iter().collect();
    let below: std::path::PathBuf = all.iter().skip(all.len().saturating_sub(4)).collect();
    lines.push(Line::field("by hand", format!("{}/RESTORE.md in the vault", clean(&below.display().to_string()))));
    lines
}
