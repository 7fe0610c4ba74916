//! Copying items off a node.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::accept::Asked;
use super::facts::{Api, Own};
use super::figures::{self, Figures, Taken};
use super::items::{METRICS, dir_of};
use super::{COPY_CHOICE, DAMAGED_CHOICE, KIND};
use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::UnitName;
use crate::model::plan::Step;
use crate::model::text::CleanText;
use crate::services::common::{
    Downtime, ScriptReader, StepMaker, Still, StillArgs, args_of, as_failure, capture_step, keeping_damaged, own_facts,
    read_node, stage_path, stopping_capture_step,
};
use crate::services::{Ask, Cx, Draft, GUARD_CHOICE, Source, SourceFile};
use crate::transport::{End, Script};

/// What is read off the node: the `source` of a capture step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceArgs {
    /// The archive's name.
    pub archive: String,
    /// The directory.
    pub dir: String,
    /// How it is copied while the agent is stopped for a moment; without it it is read as it lies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub still: Option<StillArgs>,
    /// The unit that is down already, and must be from the first byte to the last: nothing else makes the files hold still.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub down: Option<UnitName>,
    /// Where figures are taken beforehand, and of how many tiers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub figures: Option<(Api, usize)>,
    /// Where the agent's log is, for whoever must find out why it does not come back.
    #[serde(default)]
    pub log: String,
    /// What is copied, as it is named on the command line.
    #[serde(default)]
    pub place: String,
    /// For how many milliseconds the preview told that the agent would be down. It stands in no plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foretold: Option<u64>,
}

/// What an agent writes once and then only reads or deletes, all but the newest of a tier.
const SETTLED: [&str; 3] = ["datafile-*.ndf", "journalfile-*.njf", "journalfile-*.njfv2"];
/// What makes an agent throw a database away at its next start, and what says that it crashed.
pub const LEFT_OUT: [&str; 4] =
    [".netdata-meta.db.recover", ".netdata-meta.db.delete", ".ml.db.delete", ".agent_crash"];

/// What the agent's own stop takes at the least: it waits for its threads.
const STOP_ESTIMATE: Duration = Duration::from_millis(2500);
/// Bytes a second that a node copies beside, and that it sends, when nothing better is known.
const COPY_RATE: u64 = 200 << 20;
const SEND_RATE: u64 = 60 << 20;
/// Bytes a second that are copied by reference: of them nothing is read.
const REFLINK_RATE: u64 = 20 << 30;

/// How long the agent will be down, before anybody tried.
fn estimate(bytes: u64, rate: u64) -> Duration {
    STOP_ESTIMATE + Duration::from_millis(bytes.saturating_mul(1000) / rate)
}

/// Plans the copy of an item.
pub fn plan(ask: &Ask) -> Result<Draft> {
    let own: Own = own_facts(ask.facts)?;
    let id = ask.place.item.as_str();
    let Some(name) = dir_of(id) else {
        return Err(Failure::new(Exit::Nothing, format!("Netdata has no item '{id}'.")));
    };
    let dir = own.dir(name).to_owned();
    let mut draft = Draft { basis: basis(ask, &own, &dir), ..Draft::default() };
    let live = StepMaker::on(ask.host);
    let mut args = SourceArgs {
        archive: format!("{id}.tar"),
        dir: dir.clone(),
        still: None,
        down: None,
        figures: None,
        log: own.dir("log").to_owned(),
        place: ask.place.to_string(),
        foretold: None,
    };
    if id != METRICS {
        draft.steps.push(capture_step(&live, KIND, ask.item, json!(args))?);
        return Ok(draft);
    }
    let keeps = ask.choice(DAMAGED_CHOICE) == "keep";
    let kept = |step: Step| if keeps { keeping_damaged(step) } else { step };
    let Some(unit) = own.unit.clone().filter(|_| own.running) else {
        args.down.clone_from(&own.unit);
        draft.steps.push(kept(capture_step(&live, KIND, ask.item, json!(args))?));
        return Ok(draft);
    };
    let answers = own.api.silent.is_empty();
    args.figures =
        answers.then(|| (Api { silent: String::new(), version: None, ..own.api.clone() }, own.db.limits.len()));
    let down = Downtime::of(ask.host, "service", &unit)?;
    draft.guards.extend(down.guard());
    let size = own.seen(name).map_or(0, |seen| seen.size);
    let plain = ask.choice(COPY_CHOICE) == "plain";
    let still = StillArgs {
        unit,
        stop_within: own.stop_within,
        stage: stage_path(&dir),
        root: dir,
        settled: SETTLED.map(str::to_owned).to_vec(),
        drops_oldest: true,
        leave_out: LEFT_OUT.map(str::to_owned).to_vec(),
        plain,
    };
    let undo = still.undo();
    args.still = Some(still);
    draft.steps.push(kept(stopping_capture_step(down.held(), KIND, ask.item, json!(args), &undo)?));
    let (expected, how) = if plain {
        (estimate(size, SEND_RATE), "all of it is sent while it is stopped")
    } else if own.reflinks {
        (estimate(size, REFLINK_RATE), "all of it is copied by reference, in no time")
    } else {
        (estimate(own.stopped_bytes, COPY_RATE), "what does not change is copied before the stop")
    };
    let text = format!("Netdata will be down for about {:.1} s: {how}.", expected.as_secs_f64());
    draft.expects.push(text.as_str().into());
    draft.foretold = json!(u64::try_from(expected.as_millis()).unwrap_or(u64::MAX));
    draft.expects.extend(hung_stop(ask, own.stop_within));
    if own.children > 0 {
        let text = format!("{} children stream to it and will see it gone for that long.", own.children);
        draft.expects.push(text.as_str().into());
    }
    Ok(draft)
}

/// What is told where a stop may take longer than the guard waits: only force brings an agent back whose stop hangs, and
/// force costs the samples it holds in memory, so a stop has its time whoever waits for it.
fn hung_stop(ask: &Ask, stop_within: u64) -> Option<CleanText> {
    let lapse: u64 = ask.choice(GUARD_CHOICE).parse().ok()?;
    (stop_within > lapse).then(|| {
        let text = format!(
            "Should its stop hang, it is ended by force {stop_within} s after it began and started again, also when the console is gone: the guard does not cut a stop short."
        );
        text.as_str().into()
    })
}

/// The facts a backup rests on.
fn basis(ask: &Ask, own: &Own, dir: &str) -> BTreeMap<String, Value> {
    let mut basis = BTreeMap::new();
    basis.insert("path".to_owned(), json!(dir));
    basis.insert("guid".to_owned(), json!(own.known_guid()));
    basis.insert("variant".to_owned(), json!(ask.facts.variant));
    if ask.place.item.as_str() == METRICS {
        basis.insert("unit".to_owned(), json!(own.unit));
        basis.insert("running".to_owned(), json!(own.running));
    }
    basis
}

/// Names relative to the root, so that a person can unpack it with `-C /`. `$1` the directory, then patterns left out.
const TAR: &str = r#"LC_ALL=C; export LC_ALL
p=${1#/}
shift
for x in "$@"; do set -- "$@" "--exclude=$x"; shift; done
cd /
exec tar --create --file=- --format=pax --pax-option=delete=atime,delete=ctime --sort=name --one-file-system "$@" -- "$p"
"#;
/// Whose the files of `$1` are, a pair a line, no more than are noted and one; a mark first when all were looked at.
const OWNERS: &str = r#"LC_ALL=C; export LC_ALL
cd / && { if timeout 120 find "$1" -xdev -printf '%u\t%g\n'; then printf '\001whole\n'; fi; } | sort -u | head -n "$2"
"#;
/// How many pairs of owner and group are noted.
const MOST_OWNERS: usize = 2000;

/// Accounts and groups that a restore needs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Owners {
    users: BTreeSet<String>,
    groups: BTreeSet<String>,
    /// Numbers that no account or group has the name of: they come back as numbers.
    nameless: BTreeSet<String>,
    /// Whether there are more than these.
    cut: bool,
}

/// Reads what [`OWNERS`] printed.
fn owners_of(printed: &str) -> Owners {
    let mut owners = Owners { cut: true, ..Owners::default() };
    let pairs = printed.lines().filter_map(|line| line.split_once('\t'));
    for (user, group) in pairs.clone().take(MOST_OWNERS) {
        for (name, named) in [(user, &mut owners.users), (group, &mut owners.groups)] {
            let is_number = name.bytes().all(|byte| byte.is_ascii_digit());
            let into = if is_number { &mut owners.nameless } else { named };
            into.insert(name.to_owned());
        }
    }
    owners.cut =
        !printed.lines().any(|line| line.ends_with("whole") && !line.contains('\t')) || pairs.count() > MOST_OWNERS;
    owners
}

/// What tells that a tree held still and its unit was down: state, how it ended, and a digest of what stands there.
const HOLDS_STILL: &str = r#"LC_ALL=C; export LC_ALL
systemctl show --property=ActiveState,Result -- "$1"
cd / && find "$2" -xdev -printf '%y %i %s %T@ %C@ %P\0' | sort -z | sha256sum | sed 's/^/tree=/'
"#;
const CHANGED: &[i32] = &[1];

struct Files<'a> {
    cx: &'a Cx<'a>,
    args: SourceArgs,
    state: State<'a>,
    figures: Option<Figures>,
    marks: Vec<CleanText>,
    remarks: Vec<CleanText>,
    /// What speaks against the copy.
    doubt: Option<CleanText>,
    learned: BTreeMap<String, Value>,
}

enum State<'a> {
    Before,
    /// The archive, and what stood there before its first byte.
    Plain(ScriptReader, Option<Stands>),
    Still(Box<Still<'a>>),
    Over,
}

/// How a unit that is down and its tree stand.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stands {
    active: String,
    result: String,
    tree: String,
}

impl Stands {
    fn look(cx: &Cx, unit: &UnitName, dir: &str) -> Result<Self> {
        let limit = Duration::from_mins(3);
        let script = Script::new(HOLDS_STILL).arg(unit.as_str()).arg(dir).within(limit, limit);
        let printed = read_node(cx, script, "Looking whether the agent is down")?.text();
        let told = |name: &str| {
            let found = printed.as_str().lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            found.unwrap_or_default().to_owned()
        };
        Ok(Self { active: told("ActiveState"), result: told("Result"), tree: told("tree") })
    }

    fn is_down(&self) -> bool {
        matches!(self.active.as_str(), "inactive" | "failed")
    }
}

/// Opens what a capture step reads.
pub fn source<'a>(cx: &'a Cx<'a>, args: &Value) -> Result<Box<dyn Source + 'a>> {
    let args: SourceArgs = args_of(args)?;
    let mut files = Files {
        cx,
        args,
        state: State::Before,
        figures: None,
        marks: Vec::new(),
        remarks: Vec::new(),
        doubt: None,
        learned: BTreeMap::new(),
    };
    files.take_figures();
    Ok(Box::new(files))
}

impl Files<'_> {
    /// Figures are taken of the running agent. Without them the copy is as good, but a restore proves less.
    fn take_figures(&mut self) {
        let Some((api, tiers)) = &self.args.figures else { return };
        let taken = figures::take(self.cx, api, *tiers);
        match taken {
            Ok(Taken { figures, silent, unlisted }) => {
                if let Some(why) = unlisted {
                    let text = format!("no charts were noted by name: a restore compares none ({why})");
                    self.marks.push(text.as_str().into());
                }
                for tier in silent {
                    self.marks
                        .push(format!("no samples of tier {tier} were noted: a restore cannot prove that tier").into());
                }
                self.learned.insert("figures".to_owned(), json!(figures));
                self.figures = Some(figures);
            }
            Err(failure) => {
                let why = failure.message.trim_end_matches('.').to_owned();
                self.marks.push(format!("no figures were taken of the running agent: {why}").into());
            }
        }
    }

    fn close(&mut self) -> Result<()> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Before | State::Over => return Ok(()),
            State::Plain(reader, stood) => {
                let Some(finished) = reader.finished() else {
                    return Err(Failure::new(Exit::Failed, "The archive was not read to its end."));
                };
                if let (Some(stood), Some(unit)) = (stood, &self.args.down) {
                    self.held_still(&stood, unit)?;
                }
                if finished.end != End::Exited(0) {
                    let said = finished.stderr.last_line().trim_end_matches('.').to_owned();
                    self.marks.push(format!("{} changed while it was copied: {said}", self.args.dir).into());
                }
            }
            State::Still(mut still) => {
                let told = still.finish()?;
                self.answers_again(&told)?;
            }
        }
        self.note_owners()
    }

    /// A restore asks for every account before it begins, so it must know of all of them.
    fn note_owners(&mut self) -> Result<()> {
        let most = (MOST_OWNERS + 2).to_string();
        let script = Script::new(OWNERS).arg(&self.args.dir).arg(most);
        let script = script.as_root().within(Duration::from_mins(3), Duration::from_mins(3));
        let printed = read_node(self.cx, script, "Looking whose the files are")?.stdout;
        let Owners { users, groups, nameless, cut } = owners_of(&String::from_utf8_lossy(&printed));
        let clean = |names: BTreeSet<String>| -> Vec<String> {
            names.iter().map(|name| CleanText::new(name).one_line().to_string()).collect()
        };
        let nameless = clean(nameless);
        if !nameless.is_empty() {
            let some = nameless.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
            let text = format!(
                "files belong to numbers without a name on the node ({some}); they come back with the same numbers"
            );
            self.marks.push(text.as_str().into());
        }
        if cut {
            self.marks
                .push("not every owner of its files was noted: a restore cannot ask for all their accounts".into());
            self.learned.insert("owners_cut".to_owned(), true.into());
        }
        self.learned.insert("owners".to_owned(), json!(clean(users)));
        self.learned.insert("owner_groups".to_owned(), json!(clean(groups)));
        Ok(())
    }

    /// How the agent is down before its files are read.
    fn stands(&mut self) -> Result<Option<Stands>> {
        let Some(unit) = &self.args.down else { return Ok(None) };
        let stood = Stands::look(self.cx, unit, &self.args.dir)?;
        if !stood.is_down() {
            let message = format!("{unit} on {} is {}, so its samples do not hold still.", self.cx.host, stood.active);
            return Err(Failure::new(Exit::Failed, message).hint("Try again: the agent is then stopped for the copy."));
        }
        if !matches!(stood.result.as_str(), "success" | "") {
            let how =
                format!("{unit} did not end by itself ({}), so what it held in memory was not written", stood.result);
            self.marks.push(how.as_str().into());
        }
        Ok(Some(stood))
    }

    /// Nobody may have started the agent, or written to its files, while they were read.
    fn held_still(&self, stood: &Stands, unit: &UnitName) -> Result<()> {
        let stands = Stands::look(self.cx, unit, &self.args.dir)?;
        if stands == *stood {
            return Ok(());
        }
        let dir = &self.args.dir;
        let why = if stands.is_down() {
            format!("something wrote to {dir} while it was copied")
        } else {
            format!("{unit} was started while {dir} was copied")
        };
        Err(Failure::new(Exit::Failed, format!("The samples of {} are not saved: {why}.", self.cx.host))
            .hint("Try again."))
    }

    /// Takes in how the stop went, beside what the preview told of it.
    fn note_stop(&mut self, unit: &UnitName, told: &Value) {
        for (key, value) in told.as_object().into_iter().flatten() {
            self.learned.insert(key.clone(), value.clone());
        }
        let seconds = |millis: u64| Duration::from_millis(millis).as_secs_f64();
        let mut estimated = String::new();
        if let (Some(foretold), Some(downtime)) = (self.args.foretold, self.learned.get_mut("downtime")) {
            downtime["estimated_ms"] = foretold.into();
            estimated = format!(" (estimated {:.2} s)", seconds(foretold));
        }
        let down = seconds(told["downtime"]["measured_ms"].as_u64().unwrap_or(0));
        self.remarks.push(format!("{unit} was down for {down:.2} s{estimated}.").into());
        if let Some(dropped) = told["copied"]["dropped_files"].as_u64() {
            let text = format!(
                "the agent dropped {dropped} files of its oldest samples once they had been copied: the copy holds them"
            );
            self.marks.push(text.as_str().into());
        }
    }

    /// The agent was started again: it must answer as who it was, with the samples it had, or the copy does not count.
    fn answers_again(&mut self, told: &Value) -> Result<()> {
        let Some(still) = self.args.still.clone() else { return Ok(()) };
        self.note_stop(&still.unit, told);
        let Some((api, _)) = &self.args.figures else {
            self.marks.push("the agent's API did not answer before the stop, so it was not asked after it".into());
            return Ok(());
        };
        let asked = Asked { api, unit: &still.unit, log: &self.args.log };
        let info = asked.until_it_answers(self.cx, Duration::from_secs(WAKES_WITHIN))?;
        if api.guid.as_ref().is_some_and(|guid| *guid != info.guid) {
            let message = format!(
                "Netdata on {} runs as {} after its start, and was {}.",
                self.cx.host,
                info.guid,
                api.guid.as_deref().unwrap_or("another")
            );
            return Err(Failure::new(Exit::Failed, message));
        }
        let Some(figures) = &self.figures else { return Ok(()) };
        // It lists its charts only once it has looked through all of its history; a restore waits for that.
        let samples = Figures { names: Vec::new(), ..figures.clone() };
        let compared = asked.until_it_answers_as_before(self.cx, &samples)?;
        if let Some(what) = compared.differs {
            self.doubt = Some(format!("after its start the agent did not answer as before: {what}").into());
        }
        Ok(())
    }
}

/// How many seconds an agent may take to answer after its start.
const WAKES_WITHIN: u64 = 180;

impl Source for Files<'_> {
    fn next(&mut self) -> Result<Option<SourceFile<'_>>> {
        if !matches!(self.state, State::Before) {
            self.close()?;
            return Ok(None);
        }
        let stood = self.stands()?;
        if let Some(still) = self.args.still.clone() {
            let again = format!("lifeboat backup {}", self.args.place);
            self.state = State::Still(Box::new(Still::begin(self.cx, still, &again)?));
        } else {
            let mut script = Script::new(TAR).arg(&self.args.dir);
            for name in LEFT_OUT {
                script = script.arg(name);
            }
            let script = script.as_root().within(Duration::from_hours(24), Duration::from_mins(30));
            let running = self.cx.node.start(&script, self.cx.cancel).map_err(|error| as_failure(&error))?;
            let what = format!("tar of {} on {}", self.args.dir, self.cx.host);
            self.state = State::Plain(ScriptReader::new(running, what).tolerating(CHANGED), stood);
        }
        Ok(match &mut self.state {
            State::Still(still) => Some(still.file(&self.args.archive)),
            State::Plain(reader, _) => Some(SourceFile {
                name: self.args.archive.clone(),
                origin: self.args.dir.as_str().into(),
                mode: None,
                owner: None,
                group: None,
                expected: None,
                body: Box::new(reader),
            }),
            State::Before | State::Over => None,
        })
    }
    fn marks(&self) -> Vec<CleanText> {
        self.marks.clone()
    }
    fn remarks(&self) -> Vec<CleanText> {
        self.remarks.clone()
    }
    fn doubt(&self) -> Option<CleanText> {
        self.doubt.clone()
    }
    fn learned(&self) -> BTreeMap<String, Value> {
        self.learned.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(pairs: usize, whole: &str) -> String {
        let lines: Vec<_> = (0..pairs).map(|number| format!("user{number:05}\tgroup\n")).collect();
        format!("{whole}{}", lines.concat())
    }

    #[test]
    fn owners_beyond_those_noted_are_never_passed_over_in_silence() {
        let few = owners_of("\u{1}whole\ndomain users\tdomain group\n1234\tadm\nnetdata\t77\n");
        let names = |all: &BTreeSet<String>| all.iter().cloned().collect::<Vec<_>>().join(",");
        assert_eq!(
            (names(&few.users), names(&few.groups)),
            ("domain users,netdata".to_owned(), "adm,domain group".to_owned())
        );
        assert_eq!((names(&few.nameless).as_str(), few.cut), ("1234,77", false));
        let all = owners_of(&listed(MOST_OWNERS, "\u{1}whole\n"));
        assert_eq!((all.users.len(), all.cut), (MOST_OWNERS, false));
        assert!(owners_of(&listed(MOST_OWNERS + 1, "\u{1}whole\n")).cut, "one more");
        assert!(owners_of(&listed(5, "")).cut, "a look that ended early");
    }

    #[test]
    fn the_node_tells_every_owner_or_that_it_could_not() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("a"), "").unwrap();
        let look = |dir: &std::path::Path| {
            let output =
                std::process::Command::new("sh").args(["-c", OWNERS, "sh"]).arg(dir).arg("9").output().unwrap();
            owners_of(&String::from_utf8(output.stdout).unwrap())
        };
        let found = look(home.path());
        assert_eq!((found.users.len() + found.nameless.len() > 0, found.cut), (true, false));
        assert!(look(&home.path().join("gone")).cut);
    }
}
