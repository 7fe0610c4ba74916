//! Plain files: any paths, as the operator declares them.
//!
//! Every path is one tar archive, whose names begin with the path's last part, so that it can be unpacked beside its
//! target on the same filesystem and put in place by one rename. GNU tar on the node is what makes and opens them; what
//! it says of files that changed under it is marked on the snapshot.

mod compare;
mod listing;
mod plan;
mod probe;
mod ready;
mod recipe;
mod settings;
mod sink;
mod source;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::model::exit::Result;
use crate::model::facts::{Facts, UnitFacts};
use crate::model::ids::{ItemId, UnitName};
use crate::model::item::{Copying, Item, Sensitivity, Standing};
use crate::model::manifest::Manifest;
use crate::model::plan::{Choice, Command};
use crate::model::text::CleanText;
use crate::services::common::{args_of, strange_roots};
use crate::services::{Ask, Conclusion, Cx, Draft, Driver, Op, Recipe, SettingError, Sink, Source};
use probe::Own;
use source::Entry;

/// The driver's name.
const KIND: &str = "files";
/// The choice of a backup.
const COMPRESS_CHOICE: &str = "compress";
/// The choice of a restore.
const OWNERS_CHOICE: &str = "owners";

/// Where its facts come from.
const ORIGINS: &[(&str, &str)] = &[
    ("variant", "the node's programs"),
    ("paths", "the file system"),
    ("tools", "the node's programs"),
    ("secret", "the inventory"),
    ("held_still", "the inventory"),
    ("exclude", "the inventory"),
];

/// Saves any files and directories.
#[derive(Debug, Clone, Copy)]
pub struct Files;

impl Driver for Files {
    fn kind(&self) -> &'static str {
        KIND
    }
    fn about(&self) -> &'static str {
        "Any files and directories, held still and accepted by your own commands."
    }
    fn origins(&self) -> &'static [(&'static str, &'static str)] {
        ORIGINS
    }
    fn settings(&self, table: &toml::Table) -> Result<Value, Vec<SettingError>> {
        settings::check(table)
    }
    fn probe(&self, cx: &Cx, settings: &Value) -> Result<Facts> {
        probe::probe(cx, settings)
    }
    fn items(&self, facts: &Facts) -> Vec<Item> {
        items(facts)
    }
    fn choices(&self, ask: &Ask) -> Vec<Choice> {
        match ask.command {
            Command::Backup { .. } => {
                let default = settings::read(ask.settings).map_or("auto", |settings| settings.compress.word());
                vec![compress_choice(default)]
            }
            Command::Restore { .. } => vec![owners_choice()],
        }
    }
    fn plan(&self, ask: &Ask) -> Result<Draft> {
        match ask.command {
            Command::Backup { .. } => plan::backup(ask),
            Command::Restore { .. } => plan::restore(ask),
        }
    }
    fn source<'a>(&self, cx: &'a Cx<'a>, args: &Value) -> Result<Box<dyn Source + 'a>> {
        Ok(Box::new(source::Tars::new(cx, args_of(args)?)))
    }
    fn sink<'a>(&self, cx: &'a Cx<'a>, args: &Value) -> Result<Box<dyn Sink + 'a>> {
        Ok(Box::new(sink::Unpack::new(cx, args_of(args)?)))
    }
    fn conclude(&self, item: &Item, verified: &BTreeMap<String, Value>) -> Conclusion {
        let entries: Vec<Entry> = args_of(&item.facts["entries"]).unwrap_or_default();
        let strange = |entry: &Entry| {
            strange_roots(verified, &format!("{}.tar", entry.archive), &[settings::split(&entry.path).1])
        };
        Conclusion { refused: entries.iter().find_map(strange), ..Conclusion::default() }
    }
    fn recipe(&self, manifest: &Manifest) -> Recipe {
        recipe::recipe(manifest)
    }
    fn ops(&self) -> &'static [&'static dyn Op] {
        &[&ready::Ready, &compare::Compare, &compare::Resume]
    }
}

fn compress_choice(default: &str) -> Choice {
    let values = [
        ("auto", "zstd where the node has it, else none"),
        ("none", "as it is"),
        ("zstd", "on the node, on all cores, at its fastest"),
        ("gzip", "on the node, on one core; slower than a fast link"),
    ];
    Choice {
        key: COMPRESS_CHOICE.to_owned(),
        question: "How are the archives compressed?".to_owned(),
        values: values.map(|(value, means)| (value.to_owned(), means.to_owned())).into(),
        default: default.to_owned(),
    }
}

fn owners_choice() -> Choice {
    Choice {
        key: OWNERS_CHOICE.to_owned(),
        question: "Whose are the restored files?".to_owned(),
        values: vec![
            ("names".to_owned(), "the accounts of the same names".to_owned()),
            ("numbers".to_owned(), "the same numbers, whoever they are there".to_owned()),
        ],
        default: "names".to_owned(),
    }
}

/// The one item of the paths that were found.
fn items(facts: &Facts) -> Vec<Item> {
    let own = probe::own_of(facts);
    let Ok(id) = ItemId::new("tree") else { return Vec::new() };
    vec![Item {
        id,
        title: "file tree".to_owned(),
        size: probe::size_of(&own),
        sensitivity: if own.secret { Sensitivity::Secret } else { Sensitivity::Plain },
        copying: if own.held_still { Copying::Stopped } else { Copying::Live },
        standing: standing(&own, facts),
        format: "tar/1".to_owned(),
        facts: item_facts(&own, facts),
    }]
}

fn item_facts(own: &Own, facts: &Facts) -> Value {
    let mut told = json!({"entries": entries(own), "exclude": own.exclude});
    let is_down = |unit: &UnitName| facts.units.iter().any(|seen| seen.unit == *unit && seen.is_down());
    let how = match &own.stops {
        Some(unit) if is_down(unit) => format!("without a stop, because {unit} did not run"),
        Some(unit) => format!("by stopping {unit}"),
        None if own.held_still => "by declared commands".to_owned(),
        None => return told,
    };
    told["held_still"] = json!(how);
    told
}

/// One archive for every path that is there; numbered in the order of the paths, so that they stay the same.
fn entries(own: &Own) -> Vec<Entry> {
    let there = own.paths.iter().filter(|(_, seen)| seen.exists());
    there
        .enumerate()
        .map(|(index, (path, seen))| Entry {
            archive: format!("tree-{index}"),
            path: path.clone(),
            kind: seen.kind.clone(),
            mode: seen.mode,
            owner: seen.owner.clone(),
            group: seen.group.clone(),
        })
        .collect()
}

fn standing(own: &Own, facts: &Facts) -> Standing {
    let listed = |kind: &str| -> Vec<&str> {
        own.paths.iter().filter(|(_, seen)| seen.kind == kind).map(|(path, _)| path.as_str()).collect()
    };
    if own.paths.values().all(|seen| !seen.exists()) {
        return Standing::Absent(CleanText::new("none of the declared paths is there"));
    }
    if !own.tools.gnu_tar() {
        return Standing::Impossible(CleanText::new("the node's tar is not GNU tar, which alone keeps everything"));
    }
    let links = listed("link");
    if !links.is_empty() {
        let why = format!("{} is a symbolic link: name what it points to", links.join(", "));
        return Standing::Impossible(why.into());
    }
    let odd = listed("other");
    if !odd.is_empty() {
        return Standing::Impossible(format!("{} is neither file nor directory", odd.join(", ")).into());
    }
    can_be_stopped(own, facts)
}

/// Whether the unit that has to be down while the files are copied is one that systemd knows: of a name it does not know
/// it says, too, that it is down, and the files would be copied while something uses them.
fn can_be_stopped(own: &Own, facts: &Facts) -> Standing {
    let Some(unit) = &own.stops else { return Standing::Ready };
    let seen = facts.units.iter().find(|seen| seen.unit == *unit);
    let is_down = seen.is_some_and(UnitFacts::is_down);
    let why = match seen.map_or("", |seen| seen.load.as_str()) {
        "loaded" => return Standing::Ready,
        "masked" if is_down => return Standing::Ready,
        "masked" => format!("{unit} is masked: once stopped for the copy, it could not be started again"),
        load => format!(
            "{unit} is {} there, so it cannot be stopped for the copy: correct 'unit' in the inventory, or \
             leave 'quiesce' out to copy the files in use",
            if load.is_empty() { "unknown" } else { load }
        ),
    };
    Standing::Impossible(why.into())
}

#[cfg(test)]
mod tests;
