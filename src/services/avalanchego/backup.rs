//! Copying items off a node.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::facts::{IDENTITY, Own, base_name, parent};
use super::items::{DB, NODE_CONFIG, PLUGINS, STAKING, UNIT, tree_key};
use super::{KIND, service_down};
use crate::model::exit::{Exit, Failure, Result};
use crate::model::text::CleanText;
use crate::services::common::{Downtime, ScriptReader, args_of, as_failure, capture_step, own_facts, read_node};
use crate::services::{Ask, Cx, Draft, Source, SourceFile};
use crate::transport::Script;

/// What is read off the node: the `source` of a capture step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "read", rename_all = "snake_case")]
pub enum SourceArgs {
    /// Single files, each under a name of its own.
    Files {
        /// Name and path, in the verifier's order.
        files: Vec<(String, String)>,
    },
    /// One archive of these paths under a directory.
    Tree {
        /// The directory.
        dir: String,
        /// Paths in it.
        paths: Vec<String>,
        /// Whether SHA-256 sums of the files are noted in the manifest.
        #[serde(default)]
        sums: bool,
    },
}

/// Plans the copy of an item.
pub fn plan(ask: &Ask) -> Result<Draft> {
    let own: Own = own_facts(ask.facts)?;
    let id = ask.place.item.as_str();
    let source = source_args(&own, id)?;
    let source = serde_json::to_value(source).map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
    let mut draft = Draft { basis: basis(ask, &own), ..Draft::default() };
    // The database is whole only while the node is down; everything else is read only at its start.
    let down = if id == DB && own.running { service_down(ask.host, &own.unit)? } else { Downtime::none(ask.host) };
    draft.steps = down.around([capture_step(down.held(), KIND, ask.item, source)?]);
    draft.guards.extend(down.guard());
    Ok(draft)
}

/// The facts a backup rests on: what is copied and whose it is, not how big it is or when it was seen.
fn basis(ask: &Ask, own: &Own) -> BTreeMap<String, Value> {
    let mut basis = BTreeMap::new();
    basis.insert("unit".to_owned(), json!(own.unit));
    basis.insert("variant".to_owned(), json!(ask.facts.variant));
    match ask.place.item.as_str() {
        STAKING => {
            basis.insert("node_id".to_owned(), json!(own.node_id()));
            for (name, key) in IDENTITY {
                basis.insert(format!("path {name}"), json!(own.seen(key).map(|_| own.path(key))));
            }
        }
        UNIT => {
            basis.insert("files".to_owned(), json!([vec![own.fragment.clone()], own.drop_ins.clone()].concat()));
        }
        NODE_CONFIG => {
            basis.insert("path".to_owned(), json!(own.path("config_file")));
        }
        id => {
            basis.insert("path".to_owned(), json!(tree_key(id).map(|key| own.path(key))));
            if id == DB {
                basis.insert("running".to_owned(), json!(own.running));
            }
        }
    }
    basis
}

fn source_args(own: &Own, id: &str) -> Result<SourceArgs> {
    let under_root = |path: &String| path.trim_start_matches('/').to_owned();
    Ok(match id {
        STAKING => SourceArgs::Files {
            files: IDENTITY
                .iter()
                .filter(|(_, key)| own.seen(key).is_some())
                .map(|(name, key)| ((*name).to_owned(), own.path(key).to_owned()))
                .collect(),
        },
        NODE_CONFIG => {
            let path = own.path("config_file");
            SourceArgs::Tree { dir: parent(path).to_owned(), paths: vec![base_name(path).to_owned()], sums: false }
        }
        UNIT => SourceArgs::Tree {
            dir: "/".to_owned(),
            paths: std::iter::once(&own.fragment).chain(&own.drop_ins).map(under_root).collect(),
            sums: false,
        },
        id => {
            let Some(key) = tree_key(id) else {
                return Err(Failure::new(Exit::Nothing, format!("AvalancheGo has no item '{id}'.")));
            };
            SourceArgs::Tree { dir: own.path(key).to_owned(), paths: vec![".".to_owned()], sums: id == PLUGINS }
        }
    })
}

const STAT: &str = r#"for p in "$@"; do stat -L -c '%a|%U|%G|%s' -- "$p" || exit 1; done
"#;
const CAT: &str = "exec cat -- \"$1\"\n";
/// A directory with its links as they are; those that lead out of it are told, see [`LINKS`].
const TAR: &str = r#"cd -- "$1" || exit 2
shift
exec tar --format=pax --numeric-owner -cf - -- "$@"
"#;
/// Links under `$1` that lead out of it, at most twenty: what they lead to is not in the archive.
const LINKS: &str = r#"cd -- "$1" || exit 2
r=$(pwd -P)
find . -type l | while IFS= read -r l; do
  t=$(readlink -m -- "$l")
  case $t in "$r" | "$r"/*) ;; *) printf '%s leads to %s\n' "${l#./}" "$t" ;; esac
done | head -n 20
"#;
/// Single files: one that is itself a link comes as its content.
const TAR_CONTENT: &str = r#"cd -- "$1" || exit 2
shift
exec tar --format=pax --numeric-owner -h -cf - -- "$@"
"#;
const SUMS: &str = r#"cd -- "$1" && find -L . -type f -exec sha256sum -- {} +
"#;

struct Stat {
    mode: u32,
    owner: CleanText,
    group: CleanText,
    size: u64,
}

struct Live<'a> {
    cx: &'a Cx<'a>,
    args: SourceArgs,
    stats: Vec<Stat>,
    next: usize,
    /// What must be seen of the copy: why the files' sums are not in the manifest, and links that lead out of it.
    marks: std::cell::RefCell<Vec<CleanText>>,
}

/// Opens what a capture step reads.
pub fn source<'a>(cx: &'a Cx<'a>, args: &Value) -> Result<Box<dyn Source + 'a>> {
    let args: SourceArgs = args_of(args)?;
    let mut stats = Vec::new();
    if let SourceArgs::Files { files } = &args {
        let mut script = Script::new(STAT);
        for (_, path) in files {
            script = script.arg(path);
        }
        let output = read_node(cx, script, "Looking at the identity's files")?;
        for line in output.text().as_str().lines() {
            let mut parts = line.split('|');
            let mut part = || parts.next().unwrap_or_default();
            stats.push(Stat {
                mode: u32::from_str_radix(part(), 8).unwrap_or(0o400),
                owner: part().into(),
                group: part().into(),
                size: part().parse().unwrap_or(0),
            });
        }
    }
    Ok(Box::new(Live { cx, args, stats, next: 0, marks: std::cell::RefCell::default() }))
}

impl Live<'_> {
    fn read(&self, script: Script, what: &str) -> Result<ScriptReader> {
        let running = self.cx.node.start(&script.as_root(), self.cx.cancel).map_err(|error| as_failure(&error))?;
        Ok(ScriptReader::new(running, format!("{what} on {}", self.cx.host)))
    }

    /// A mark for each link that leads out of a directory that is copied: on another host it would lead nowhere.
    fn links(&self, dir: &str) -> Vec<CleanText> {
        let script = Script::new(LINKS).arg(dir).within(Duration::from_mins(10), Duration::from_mins(10));
        match read_node(self.cx, script, "Looking for links") {
            Ok(output) => {
                let text = CleanText::from_bytes(&output.stdout);
                text.as_str()
                    .lines()
                    .map(|line| format!("{line}, and only the link is copied").as_str().into())
                    .collect()
            }
            Err(failure) => {
                vec![format!("its links were not looked at: {}", failure.message.trim_end_matches('.')).as_str().into()]
            }
        }
    }
}

impl Source for Live<'_> {
    fn next(&mut self) -> Result<Option<SourceFile<'_>>> {
        let at = self.next;
        self.next += 1;
        match &self.args {
            SourceArgs::Files { files } => {
                let Some((name, path)) = files.get(at) else { return Ok(None) };
                let stat = self.stats.get(at);
                Ok(Some(SourceFile {
                    name: name.clone(),
                    origin: path.as_str().into(),
                    mode: stat.map(|s| s.mode),
                    owner: stat.map(|s| s.owner.clone()),
                    group: stat.map(|s| s.group.clone()),
                    expected: stat.map(|s| s.size),
                    body: Box::new(self.read(Script::new(CAT).arg(path), &format!("Reading {path}"))?),
                }))
            }
            SourceArgs::Tree { dir, paths, .. } => {
                if at > 0 {
                    return Ok(None);
                }
                let whole = paths.iter().any(|path| path == ".");
                let mut script = Script::new(if whole { TAR } else { TAR_CONTENT }).arg(dir);
                for path in paths {
                    script = script.arg(path);
                }
                let day = Duration::from_hours(24);
                Ok(Some(SourceFile {
                    name: "tree.tar".to_owned(),
                    origin: dir.as_str().into(),
                    mode: None,
                    owner: None,
                    group: None,
                    expected: None,
                    body: Box::new(self.read(script.within(day, Duration::from_mins(5)), &format!("Archiving {dir}"))?),
                }))
            }
        }
    }

    fn learned(&self) -> BTreeMap<String, Value> {
        let mut learned = BTreeMap::new();
        if let SourceArgs::Tree { dir, sums: true, .. } = &self.args {
            let script = Script::new(SUMS).arg(dir).within(Duration::from_mins(10), Duration::from_mins(5));
            // The archive itself is what was copied; without its sums the snapshot is marked, not refused.
            match read_node(self.cx, script, "Summing the plugins") {
                Ok(output) => {
                    let text = CleanText::from_bytes(&output.stdout);
                    let sums = text.as_str().lines().filter_map(|line| line.split_once("  "));
                    let sums: serde_json::Map<_, _> =
                        sums.map(|(sum, name)| (name.trim_start_matches("./").to_owned(), json!(sum))).collect();
                    learned.insert("sha256".to_owned(), Value::Object(sums));
                }
                Err(failure) => {
                    let why = format!("the plugins' own sums are not noted: {}", failure.message);
                    self.marks.borrow_mut().push(why.trim_end_matches('.').into());
                }
            }
        }
        if let SourceArgs::Tree { dir, paths, .. } = &self.args
            && paths.iter().any(|path| path == ".")
        {
            self.marks.borrow_mut().extend(self.links(dir));
        }
        learned
    }

    fn marks(&self) -> Vec<CleanText> {
        self.marks.borrow().clone()
    }
}
