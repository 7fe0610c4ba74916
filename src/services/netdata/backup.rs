//! Copying items off a node.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::facts::{Api, Own};
use super::figures::{self, Figures};
use super::items::{METRICS, dir_of};
use super::{COPY_CHOICE, KIND, own_facts};
use crate::model::exit::{Exit, Failure, Result};
use crate::model::item::Standing;
use crate::model::text::CleanText;
use crate::services::common::{
    Downtime, ScriptReader, StepMaker, Still, StillArgs, args_of, as_failure, capture_step, read_node, stage_path,
    stopping_capture_step,
};
use crate::services::{Ask, Cx, Draft, Source, SourceFile};
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
    /// Where figures are taken beforehand, and of how many tiers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub figures: Option<(Api, usize)>,
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

/// How long the agent will be down, before anybody tried.
fn estimate(bytes: u64, rate: u64) -> Duration {
    STOP_ESTIMATE + Duration::from_millis(bytes.saturating_mul(1000) / rate)
}

/// Plans the copy of an item.
pub fn plan(ask: &Ask) -> Result<Draft> {
    let own = own_facts(ask.facts)?;
    let id = ask.place.item.as_str();
    if let Standing::Impossible(why) | Standing::Absent(why) = &ask.item.standing {
        let message = format!("The {} of {} cannot be copied: {why}", ask.item.title, ask.host);
        return Err(Failure::new(Exit::Failed, message));
    }
    let Some(name) = dir_of(id) else {
        return Err(Failure::new(Exit::Nothing, format!("Netdata has no item '{id}'.")));
    };
    let dir = own.dir(name).to_owned();
    let mut draft = Draft { basis: basis(ask, &own, &dir), ..Draft::default() };
    let plain = StepMaker::on(ask.host);
    let mut args = SourceArgs { archive: format!("{id}.tar"), dir: dir.clone(), still: None, figures: None };
    let Some(unit) = own.unit.clone().filter(|_| id == METRICS && own.running) else {
        draft.steps.push(capture_step(&plain, KIND, ask.item, json!(args))?);
        return Ok(draft);
    };
    let answers = own.api.silent.is_empty();
    args.figures =
        answers.then(|| (Api { silent: String::new(), version: None, ..own.api.clone() }, own.db.limits.len()));
    let down = Downtime::of(ask.host, "service", &unit)?;
    draft.guards.extend(down.guard());
    let size = own.seen(name).map_or(0, |seen| seen.size);
    let (expected, how) = if ask.choice(COPY_CHOICE) == "plain" {
        draft.steps = down.around([capture_step(down.held(), KIND, ask.item, json!(args))?]);
        (estimate(size, SEND_RATE), "all of it is sent while it is stopped")
    } else {
        let leave_out = LEFT_OUT.map(str::to_owned).to_vec();
        let still = StillArgs {
            unit,
            stop_within: own.stop_within,
            stage: stage_path(&dir),
            root: dir,
            settled: SETTLED.map(str::to_owned).to_vec(),
            leave_out,
        };
        let undo = still.undo();
        args.still = Some(still);
        draft.steps.push(stopping_capture_step(down.held(), KIND, ask.item, json!(args), &undo)?);
        (estimate(own.stopped_bytes, COPY_RATE), "what does not change is copied before the stop")
    };
    let text = format!("Netdata will be down for about {:.1} s: {how}.", expected.as_secs_f64());
    draft.expects.push(text.as_str().into());
    if own.children > 0 {
        let text = format!("{} children stream to it and will see it gone for that long.", own.children);
        draft.expects.push(text.as_str().into());
    }
    Ok(draft)
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
const OWNERS: &str = r#"cd / && timeout 120 find "$1" -xdev -printf '%u %g\n' | sort -u | head -n 100
"#;
const CHANGED: &[i32] = &[1];

struct Files<'a> {
    cx: &'a Cx<'a>,
    args: SourceArgs,
    state: State<'a>,
    figures: Option<Figures>,
    marks: Vec<CleanText>,
    remarks: Vec<CleanText>,
    learned: BTreeMap<String, Value>,
}

enum State<'a> {
    Before,
    Plain(ScriptReader),
    Still(Box<Still<'a>>),
    Over,
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
        learned: BTreeMap::new(),
    };
    files.take_figures();
    Ok(Box::new(files))
}

impl Files<'_> {
    /// Figures are taken of the running agent. Without them the copy is as good, but a restore proves less.
    fn take_figures(&mut self) {
        let taken = match (&self.args.figures, self.args.still.is_some()) {
            (Some((api, tiers)), true) => figures::take(self.cx, api, *tiers),
            (Some(_), false) => {
                self.marks.push("no figures were taken: the agent is stopped while all of it is copied".into());
                return;
            }
            (None, _) => return,
        };
        match taken {
            Ok(figures) => {
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
            State::Plain(reader) => {
                let Some(finished) = reader.finished() else {
                    return Err(Failure::new(Exit::Failed, "The archive was not read to its end."));
                };
                if finished.end != End::Exited(0) {
                    let said = finished.stderr.last_line().trim_end_matches('.').to_owned();
                    self.marks.push(format!("{} changed while it was copied: {said}", self.args.dir).into());
                }
            }
            State::Still(mut still) => {
                let told = still.finish()?;
                self.answers_again(told)?;
            }
        }
        let script = Script::new(OWNERS).arg(&self.args.dir).within(Duration::from_mins(3), Duration::from_mins(3));
        let printed = read_node(self.cx, script, "Looking whose the files are")?.text();
        let pairs = printed.as_str().lines().filter_map(|line| line.split_once(' '));
        let (users, groups): (Vec<_>, Vec<_>) = pairs.unzip();
        let unique = |mut names: Vec<&str>| {
            names.sort_unstable();
            names.dedup();
            json!(names)
        };
        self.learned.insert("owners".to_owned(), unique(users));
        self.learned.insert("owner_groups".to_owned(), unique(groups));
        Ok(())
    }

    /// The agent was started again: it must answer as who it was, with the samples it had, or the copy does not count.
    fn answers_again(&mut self, told: Value) -> Result<()> {
        let Some(still) = &self.args.still else { return Ok(()) };
        let down = told["downtime"]["measured_ms"].as_u64().unwrap_or(0);
        let again = told["copied"]["stopped_bytes"].as_u64().unwrap_or(0);
        let expected = estimate(again, COPY_RATE);
        for (key, value) in told.as_object().into_iter().flatten() {
            self.learned.insert(key.clone(), value.clone());
        }
        let estimated = u64::try_from(expected.as_millis()).unwrap_or(u64::MAX);
        if let Some(downtime) = self.learned.get_mut("downtime") {
            downtime["estimated_ms"] = estimated.into();
        }
        let seconds = Duration::from_millis(down).as_secs_f64();
        let text = format!("{} was down for {seconds:.2} s (estimated {:.2} s).", still.unit, expected.as_secs_f64());
        self.remarks.push(text.as_str().into());
        let Some((api, _)) = &self.args.figures else {
            self.marks.push("the agent's API did not answer before the stop, so it was not asked after it".into());
            return Ok(());
        };
        let info = super::accept::wait_for(self.cx, api, &still.unit, Duration::from_secs(WAKES_WITHIN))?;
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
        let compared = figures::compare(self.cx, api, figures)?;
        if let Some(what) = compared.differs {
            self.marks.push(format!("after its start the agent does not answer as before: {what}").into());
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
        if let Some(still) = self.args.still.clone() {
            self.state = State::Still(Box::new(Still::begin(self.cx, still)?));
        } else {
            let mut script = Script::new(TAR).arg(&self.args.dir);
            for name in LEFT_OUT {
                script = script.arg(name);
            }
            let script = script.as_root().within(Duration::from_hours(24), Duration::from_mins(30));
            let running = self.cx.node.start(&script, self.cx.cancel).map_err(|error| as_failure(&error))?;
            let what = format!("tar of {} on {}", self.args.dir, self.cx.host);
            self.state = State::Plain(ScriptReader::new(running, what).tolerating(CHANGED));
        }
        Ok(match &mut self.state {
            State::Still(still) => Some(still.file(&self.args.archive)),
            State::Plain(reader) => Some(SourceFile {
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
    fn learned(&self) -> BTreeMap<String, Value> {
        self.learned.clone()
    }
}
