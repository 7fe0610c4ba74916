//! What Lifeboat can save: one file or folder a service, and one line in [`REGISTRY`].
//!
//! A driver *probes* a node (its only input), then everything it decides is pure: items, choices and plans come
//! from facts, so they can be tested from a fixture and previewed without touching anything. What a plan does on a
//! node is spoken in [`Op`]s, looked up by name; those every service needs live in [`common`].

use std::collections::BTreeMap;
use std::io::Read;
use std::time::Duration;

use serde_json::Value;

use crate::model::clock::Clock;
use crate::model::exit::{Exit, Failure, Result};
use crate::model::facts::{Facts, Identity};
use crate::model::ids::{HostId, ItemId, ItemRef, RunId};
use crate::model::item::Item;
use crate::model::manifest::{Manifest, StoredFile};
use crate::model::plan::{Choice, Command, Gate, Guard, Step};
use crate::model::secret::Secrets;
use crate::model::text::CleanText;
use crate::transport::{Cancel, Transport};

pub mod avalanchego;
pub mod common;
pub mod consul;
pub mod files;
pub mod netdata;

/// Every driver. A new service is one line here.
pub static REGISTRY: &[&dyn Driver] = &[&avalanchego::AvalancheGo, &consul::Consul, &files::Files, &netdata::Netdata];

/// The driver of a kind.
pub fn driver(kind: &str) -> Result<&'static dyn Driver> {
    REGISTRY.iter().copied().find(|driver| driver.kind() == kind).ok_or_else(|| {
        let known: Vec<_> = REGISTRY.iter().map(|driver| driver.kind()).collect();
        Failure::new(Exit::Usage, format!("No driver serves services of kind '{kind}'."))
            .hint(format!("Known kinds: {}.", known.join(", ")))
    })
}

/// The op of a name such as "service.stop/1", of the common ones or a driver's own.
pub fn op(name: &str) -> Result<&'static dyn Op> {
    let own = REGISTRY.iter().flat_map(|driver| driver.ops());
    common::OPS.iter().chain(own).copied().find(|op| op.name() == name).ok_or_else(|| {
        Failure::new(Exit::Usage, format!("This version of Lifeboat has no op '{name}'."))
            .hint("The plan was made by another version; make it again.")
    })
}

/// What an op or a probe may use while it works on one node.
pub struct Cx<'a> {
    /// The node's name.
    pub host: &'a HostId,
    /// The login there.
    pub node: &'a dyn Transport,
    /// The operator's wish to stop.
    pub cancel: &'a Cancel,
    /// Time.
    pub clock: &'a dyn Clock,
    /// Tokens and passwords, by reference.
    pub secrets: &'a dyn Secrets,
    /// The run under way; without one nothing on the node may be changed.
    pub run: Option<&'a Mark>,
}

impl Cx<'_> {
    /// Waits by the clock, looking in between whether the operator wishes to stop.
    ///
    /// # Errors
    /// [`Exit::Cancelled`] when the operator does, or the step's own time is over.
    pub fn pause(&self, span: Duration) -> Result<()> {
        pause(self.clock, self.cancel, span)
    }
}

/// Waits by the clock, looking in between whether to stop.
///
/// # Errors
/// [`Exit::Cancelled`] when it is to stop.
pub fn pause(clock: &dyn Clock, cancel: &Cancel, span: Duration) -> Result<()> {
    let mut left = span;
    loop {
        cancel.check().map_err(|error| common::as_failure(&error))?;
        if left.is_zero() {
            return Ok(());
        }
        let turn = left.min(Duration::from_millis(250));
        clock.sleep(turn);
        left -= turn;
    }
}

/// A run's mark on a node: every changing script shows it and is refused when it is no longer the valid one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The run.
    pub run: RunId,
    /// Console and epoch, as the node's `owner` file must have it.
    pub owner: String,
}

/// One service Lifeboat can save.
pub trait Driver: Sync {
    /// Its name in the inventory.
    fn kind(&self) -> &'static str;
    /// One sentence for lists.
    fn about(&self) -> &'static str;
    /// How the service is recognised on a node whose inventory does not name it. Nothing, when nothing is its own.
    fn traces(&self) -> Traces {
        Traces::default()
    }
    /// Checks the settings table and fills defaults in. Every mistake at once.
    fn settings(&self, table: &toml::Table) -> Result<Value, Vec<SettingError>>;
    /// Looks at the node. Reads only.
    fn probe(&self, cx: &Cx, settings: &Value) -> Result<Facts>;
    /// Where its facts come from, as whoever reads them is told: a fact's dotted name, or one it stands below, and the
    /// origin. `version`, `variant` and `identities` are those of [`Facts`]; the other names are its own. A value of its
    /// own that stands beside a `from` needs no row: that is its origin. Of what may come from several places the probe
    /// notes which it was: a table `from` at the top of its own facts, by the same names, counts before this one.
    fn origins(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }
    /// Which of some identities, none of them its own, the service that was just looked at hears now from its peers:
    /// `None` when it cannot tell, because it is silent or has no peers. What a probe lists anyway stands in
    /// [`Facts::heard`] and is not asked again. Reads only.
    fn hears(&self, _cx: &Cx, _facts: &Facts, _sought: &[Identity]) -> Result<Option<Vec<Identity>>> {
        Ok(None)
    }
    /// Whether each member of a cluster has an item of its own; every other one is the cluster's and saved once. Pure.
    fn is_of_one_member(&self, _item: &ItemId) -> bool {
        false
    }
    /// The kinds of identities that an item holds: whoever puts it in place runs as them. Pure.
    fn identities_in(&self, _item: &ItemId) -> &'static [&'static str] {
        &[]
    }
    /// What can be saved, and what cannot and why. Pure.
    fn items(&self, facts: &Facts) -> Vec<Item>;
    /// The questions a plan of this kind has. Pure.
    fn choices(&self, ask: &Ask) -> Vec<Choice>;
    /// The steps that do it. Pure.
    fn plan(&self, ask: &Ask) -> Result<Draft>;
    /// Bytes off a node, for a step made by [`common::capture_step`]; `args` is that step's `source`.
    fn source<'a>(&self, cx: &'a Cx<'a>, args: &Value) -> Result<Box<dyn Source + 'a>>;
    /// Bytes back onto it, for a step made by [`common::deliver_step`]; `args` is that step's `sink`.
    fn sink<'a>(&self, cx: &'a Cx<'a>, args: &Value) -> Result<Box<dyn Sink + 'a>>;
    /// What follows from the verified bytes of an item: its identities, and where they disagree with what the node said. Pure.
    fn conclude(&self, _item: &Item, _verified: &BTreeMap<String, Value>) -> Conclusion {
        Conclusion::default()
    }
    /// How a person restores a snapshot by hand, for its `RESTORE.md`. Pure.
    fn recipe(&self, manifest: &Manifest) -> Recipe;
    /// Its own ops.
    fn ops(&self) -> &'static [&'static dyn Op] {
        &[]
    }
}

/// Signs by which a service is recognised on a node. Each is this program's own text: it goes into a script's words.
#[derive(Debug, Clone, Copy, Default)]
pub struct Traces {
    /// Units, as patterns of `systemctl`; first the one its settings default to.
    pub units: &'static [&'static str],
    /// Names of its processes, as `/proc/PID/comm` has them: at most 15 bytes.
    pub processes: &'static [&'static str],
    /// Files or directories that only an installation makes; `*` stands for anything but a slash.
    pub paths: &'static [&'static str],
}

/// What a driver concludes from an item's verified bytes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Conclusion {
    /// Identities inside that must be unique among running nodes.
    pub identities: Vec<Identity>,
    /// What must be marked on the snapshot.
    pub marks: Vec<CleanText>,
    /// Why the copy must not be kept as good: it is not the identity that runs.
    pub refused: Option<String>,
}

/// A setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingError {
    /// The dotted key in the service's table.
    pub key: String,
    /// A full sentence.
    pub message: String,
    /// What to write instead.
    pub hint: String,
}

/// Everything a pure plan may rest on.
pub struct Ask<'a> {
    /// What the operator wants.
    pub command: &'a Command,
    /// The host the steps act on: where it is read for a backup, where it goes for a restore.
    pub host: &'a HostId,
    /// The service's checked settings there.
    pub settings: &'a Value,
    /// What the probe learned there.
    pub facts: &'a Facts,
    /// The item, as it stands there; for a restore onto a blank service it may be [`crate::model::item::Standing::Absent`].
    pub item: &'a Item,
    /// The item's place in the vault.
    pub place: &'a ItemRef,
    /// For a restore: the snapshot.
    pub manifest: Option<&'a Manifest>,
    /// Where else in the fleet the snapshot's identities were looked for, and what was found.
    pub sightings: &'a [Sighting],
    /// The choices in force.
    pub chosen: &'a BTreeMap<String, String>,
}

impl Ask<'_> {
    /// The value in force of a choice this driver offered.
    pub fn choice(&self, key: &str) -> &str {
        self.chosen.get(key).map_or("", String::as_str)
    }
}

/// The engine's own choice of every plan that stops something: for how many seconds a node waits for the console.
pub const GUARD_CHOICE: &str = "guard";

/// What was found on another host when an identity was looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// The host looked at.
    pub host: HostId,
    /// The unit that would run the identity there.
    pub unit: Option<crate::model::ids::UnitName>,
    /// What was found.
    pub state: Whereabouts,
}

/// What is known of an identity on another host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whereabouts {
    /// It runs there now; the identities that were seen.
    Alive(Vec<Identity>),
    /// It lies there and does not run; `fenced` when nothing can start it.
    Stopped {
        /// Whether starting it is prevented.
        fenced: bool,
    },
    /// It does not lie there, but the service there hears it now from somewhere: a parent hears its children.
    Heard(Vec<Identity>),
    /// It does not lie there, and the service there, which has peers, does not hear it now: evidence, and no proof.
    Unheard,
    /// The host was reached and does not have it.
    Elsewhere,
    /// Nothing is proved: a whole sentence about the host, that it could not be reached, or could not tell who it is.
    Unreachable(CleanText),
}

/// A plan as a driver makes it; the engine adds the command, choices and shared gates.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Draft {
    /// The facts it rests on.
    pub basis: BTreeMap<String, Value>,
    /// What must be stated.
    pub gates: Vec<Gate>,
    /// What the node does if we vanish.
    pub guards: Vec<Guard>,
    /// The steps.
    pub steps: Vec<Step>,
    /// What remains afterwards.
    pub leaves: Vec<CleanText>,
    /// What it is likely to cost, such as the time a service is down: shown, and no part of the plan, for estimates change.
    pub expects: Vec<CleanText>,
    /// Estimates among them that the capture's source tells again beside what it measured: it finds them as `foretold` in
    /// its arguments. No part of the plan either.
    pub foretold: Value,
    /// Whether its last steps show that what was restored is what was saved: then the snapshot is *proven*.
    pub proves: bool,
}

/// Bytes of an item, file by file in the order the verifier reads them.
pub trait Source {
    /// The next file; `None` after the last.
    fn next(&mut self) -> Result<Option<SourceFile<'_>>>;
    /// What must be marked on the snapshot, known after the last file: a stale read, a tree that changed.
    fn marks(&self) -> Vec<CleanText> {
        Vec::new()
    }
    /// What the operator should read once the copy is kept: how long the service was down. Known after the last file.
    fn remarks(&self) -> Vec<CleanText> {
        Vec::new()
    }
    /// What speaks against the copy for good, found while it was made: it is kept, named, and does not count. Known after
    /// the last file.
    fn doubt(&self) -> Option<CleanText> {
        None
    }
    /// Facts learned while copying, merged into the manifest's.
    fn learned(&self) -> BTreeMap<String, Value> {
        BTreeMap::new()
    }
}

/// One file on its way off a node.
pub struct SourceFile<'a> {
    /// Its name in the snapshot.
    pub name: String,
    /// Where it stands on the node.
    pub origin: CleanText,
    /// Its permission bits, owner and group there.
    pub mode: Option<u32>,
    /// The owner's name.
    pub owner: Option<CleanText>,
    /// The group's name.
    pub group: Option<CleanText>,
    /// Its size when known beforehand, for progress only.
    pub expected: Option<u64>,
    /// The bytes. Reading fails at the end unless the node's own trailer and byte count agree with what arrived.
    pub body: Box<dyn Read + Send + 'a>,
}

/// Bytes of a snapshot on their way onto a node, file by file.
pub trait Sink {
    /// Takes one file, whole.
    fn put(&mut self, file: &StoredFile, body: &mut dyn Read) -> Result<()>;
    /// Checks on the node that everything arrived, and says what it learned.
    fn finish(self: Box<Self>) -> Result<Value>;
}

/// How a person restores by hand: prose lines and commands, rendered into `RESTORE.md`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recipe {
    /// Each part in order.
    pub parts: Vec<RecipePart>,
}

/// One part of a recipe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecipePart {
    /// A sentence or two.
    Say(String),
    /// `sh` commands for the node, as root, with the opened files in `./plain/`; they stop at the first that fails.
    Node(String),
    /// `sh` commands for the host the snapshot came from, as root.
    Old(String),
}

/// What a step is, for the preview and for a person who must do or undo it by hand.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Told {
    /// What changes, as a sentence.
    pub what: String,
    /// How it is undone, or why it cannot be.
    pub undo: String,
    /// The commands to type by hand instead.
    pub by_hand: Vec<String>,
}

/// What an op found before acting.
#[derive(Debug, Clone, PartialEq)]
pub enum Now {
    /// It remains to be done; `before` is what the revert will need.
    Todo(Value),
    /// It is done already.
    Done(Value),
    /// The node is in neither state: somebody else was here. Ask.
    Foreign(String),
}

/// A kind of step: how to look, do and undo. Stateless; everything it knows comes from its arguments and the node.
pub trait Op: Sync {
    /// The name in plans, with its version: "service.stop/1".
    fn name(&self) -> &'static str;
    /// Explains it.
    fn tell(&self, args: &Value) -> Result<Told>;
    /// Looks, changing nothing. `before` is what was journalled when an earlier try began.
    fn observe(&self, cx: &Cx, args: &Value, before: Option<&Value>) -> Result<Now>;
    /// Does it. `before` has been made durable first, here and on the node.
    fn run(&self, cx: &Cx, args: &Value, before: &Value) -> Result<Value>;
    /// The node's own script that undoes it: `sh` text, idempotent, self-contained. It is what [`Op::revert`] runs and
    /// what the guard runs when we vanish, so both are the same words.
    fn undo_script(&self, args: &Value, before: &Value) -> Result<Option<String>>;
    /// What the guard runs to go forward instead, from this step on.
    fn forward_script(&self, _args: &Value) -> Result<Option<String>> {
        Ok(None)
    }
    /// Undoes it. Idempotent.
    fn revert(&self, cx: &Cx, args: &Value, before: &Value) -> Result<()> {
        match self.undo_script(args, before)? {
            Some(script) => common::run_change(cx, &script, "Undoing").map(|_| ()),
            None => Ok(()),
        }
    }
}
