//! Netdata: an agent that collects in memory and writes its samples only when it is told to end.
//!
//! The program on the node plays the agent's life and its files; what a shell cannot do is done here when the program
//! calls: samples are read in when it begins, and what was collected since is written in the agent's own format when it
//! ends. One that is killed never calls, so what it had collected is lost.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use super::{Part, StandIn, serves};
use crate::formats::netdata::parse_guid;
use crate::model::exit::{Exit, Failure, Result};
use crate::rehearsal::http::{Asked, Reply};
use crate::rehearsal::node::Image;

mod api;
mod collect;
mod conf;
mod names;
mod point;
mod samples;

use collect::{CHARTS, Collector};
use conf::Conf;
use names::Names;
use samples::{Files, Metric, Pieces, Samples, tier_dir};

const UNIT: &str = "netdata.service";
/// The version it says it is, and keeps its files like.
const VERSION: &str = "v1.37.1";
/// Where the static install is.
const HOME: &str = "/opt/netdata";
const CACHE: &str = "opt/netdata/var/cache/netdata";
const GUID: &str = "/opt/netdata/var/lib/netdata/registry/netdata.public.unique.id";

const UNIT_TEXT: &str = "[Unit]\nDescription=Netdata (a stand-in)\n[Service]\nExecStart=/opt/netdata/bin/netdata -D\n\
    TimeoutStopSec=10\n[Install]\nWantedBy=multi-user.target\n";
/// One sample in ten seconds, so that a day of them is quickly made.
const CONF: &str = "[global]\n\trun as user = root\n\thostname = {host}\n[db]\n\tmode = dbengine\n\tstorage tiers = 3\n\
    \tupdate every = 10\n\tdbengine tier 1 update every iterations = 6\n\tdbengine tier 2 update every iterations = 60\n\
    [web]\n\tbind to = 127.0.0.1\n";
const STREAM_CONF: &str = "[stream]\n\tenabled = no\n\tdestination = parent.example\n\tapi key = {key}\n";
const CLAIM_CONF: &str = "[global]\n\turl = https://cloud.example\n\ttoken = {key}\n";

/// How much of the past a lived-in agent's files tell of.
const LIVED_HOURS: u64 = 24;

/// The stand-in of every agent of one fleet.
#[derive(Debug, Default)]
pub struct Netdata {
    /// What each program that lives has read in, by its memory.
    agents: Mutex<BTreeMap<PathBuf, Arc<Agent>>>,
}

/// An agent as it was when it began.
#[derive(Debug)]
struct Agent {
    guid: String,
    conf: Conf,
    names: Names,
    samples: Samples,
    collector: Collector,
    /// The second from which on it has collected.
    since: u64,
    /// Where its files end.
    files: Files,
}

impl StandIn for Netdata {
    fn kind(&self) -> &'static str {
        "netdata"
    }

    fn unit(&self) -> &'static str {
        UNIT
    }

    fn port(&self) -> Option<u16> {
        Some(19_999)
    }

    fn lay(&self, image: &Image, part: &Part) -> Result<()> {
        let own = |path: &str| format!("{}/{path}", HOME.trim_start_matches('/'));
        // As a static install brings its own shell; so its process is known to be of it.
        let shell = fs::read("/bin/sh").map_err(|error| cannot(&error.to_string()))?;
        image.file(&own("bin/sh"), shell, 0o755)?;
        image.file(&own("bin/netdata"), include_str!("netdata.sh").replace("{version}", VERSION), 0o755)?;
        image.unit(UNIT, UNIT_TEXT, part.runs)?;
        let key = written(names::new_id());
        for (name, text, mode) in
            [("netdata.conf", CONF, 0o644), ("stream.conf", STREAM_CONF, 0o640), ("claim.conf", CLAIM_CONF, 0o640)]
        {
            let text = text.replace("{host}", &part.host).replace("{key}", &key);
            image.file(&own(&format!("etc/netdata/{name}")), text, mode)?;
        }
        image.file(&own("etc/netdata/.install-type"), "INSTALL_TYPE='manual-static'\n", 0o644)?;
        for dir in ["var/lib/netdata", "var/cache/netdata", "var/log/netdata"] {
            image.dir(&own(dir))?;
        }
        match part.past_ended {
            Some(hours) if part.runs => lay_past(image, part, hours),
            _ => Ok(()),
        }
    }

    fn answer(&self, memory: &Path, asked: &Asked) -> Option<Reply> {
        if !serves(memory) {
            return None;
        }
        let agent = self.agent(memory)?;
        Some(api::answer(&agent, node_time(memory), asked))
    }

    fn call(&self, memory: &Path, line: &str) -> std::result::Result<(), String> {
        let (word, now) = line.split_once(' ').unwrap_or((line, ""));
        let now = now.parse().map_err(|_| "the call has no time".to_owned())?;
        match word {
            "begin" => self.begin(memory, now),
            "flush" => self.flush(memory, now),
            other => Err(format!("there is no call '{other}'")),
        }
    }

    fn identity_files(&self) -> &'static [&'static str] {
        &[GUID]
    }
}

impl Netdata {
    fn agent(&self, memory: &Path) -> Option<Arc<Agent>> {
        self.agents.lock().unwrap_or_else(PoisonError::into_inner).get(memory).cloned()
    }

    /// Reads everything in, and says what the program must write or delete before it serves.
    fn begin(&self, memory: &Path, now: u64) -> std::result::Result<(), String> {
        let failed = |error: io::Error| format!("the cache cannot be read: {error}");
        let text = |name: &str| fs::read_to_string(memory.join(name)).map_err(failed);
        let guid = parse_guid(text("guid")?.as_bytes()).ok_or("the machine GUID is none")?;
        let host = text("host")?.trim().to_owned();
        let conf = Conf::read(&text("netdata.conf")?, &host, HOME);
        let every = conf.every();
        let cache = memory.join("cache");
        let (samples, mut files) = Samples::read(&cache).map_err(failed)?;
        let base = every.first().copied().unwrap_or(1);
        let names = names::open(&cache, &id(&guid), &conf.get("global", "hostname"), base)
            .map_err(|error| format!("a database is damaged: {error}"))?;
        let mut gone = std::mem::take(&mut files.gone);
        let empty = Samples::default().pieces(&mut files, every.len());
        let out = Out::make(memory, &empty).map_err(failed)?;
        for name in [names::META, names::CONTEXT] {
            // The logs were taken in when the databases were opened.
            gone.extend(["-wal", "-shm"].map(|end| format!("{name}{end}")));
            fs::copy(cache.join(name), out.write.join(name)).map_err(failed)?;
            set_mode(&out.write.join(name), 0o640).map_err(failed)?;
        }
        out.gone(&gone).map_err(failed)?;
        let collector = Collector::of(&host, every);
        let agent = Arc::new(Agent { guid, conf, names, samples, collector, since: now, files });
        self.agents.lock().unwrap_or_else(PoisonError::into_inner).insert(memory.to_owned(), agent);
        Ok(())
    }

    /// Writes what was collected, to be added to the files.
    fn flush(&self, memory: &Path, now: u64) -> std::result::Result<(), String> {
        let failed = |error: io::Error| format!("the samples cannot be written: {error}");
        let agent = self.agent(memory).ok_or("it has not begun")?;
        let new = collected(&agent.collector, &agent.names, agent.since, now);
        let pieces = new.pieces(&mut agent.files.clone(), agent.collector.every.len());
        Out::make(memory, &pieces).and_then(|out| out.gone(&[])).map_err(failed)
    }
}

/// Everything collected after one second, up to another.
fn collected(collector: &Collector, names: &Names, since: u64, until: u64) -> Samples {
    let mut samples = Samples::default();
    for chart in &CHARTS {
        for dimension in chart.dimensions {
            let Some(metric) = names.get(&(chart.id, dimension.id)) else { continue };
            for (tier, points) in collector.collected(dimension, since, until).into_iter().enumerate() {
                samples.add(tier, *metric, points);
            }
        }
    }
    samples
}

/// What the program brings into its cache.
struct Out {
    write: PathBuf,
    list: PathBuf,
}

impl Out {
    /// Begins anew with what is added to files.
    fn make(memory: &Path, pieces: &Pieces) -> io::Result<Self> {
        let (write, append) = (memory.join("write"), memory.join("append"));
        for dir in [&write, &append] {
            match fs::remove_dir_all(dir) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => fs::create_dir_all(dir)?,
            }
        }
        for tier in 0..5 {
            let dir = tier_dir(tier);
            if pieces.keys().any(|name| name.starts_with(&format!("{dir}/"))) {
                for place in [&write, &append] {
                    fs::create_dir(place.join(&dir))?;
                    set_mode(&place.join(&dir), 0o750)?;
                }
            }
        }
        for (name, bytes) in pieces {
            fs::write(append.join(name), bytes)?;
        }
        Ok(Self { write, list: memory.join("gone") })
    }

    /// The names of files that go.
    fn gone(&self, names: &[String]) -> io::Result<()> {
        fs::write(&self.list, names.iter().fold(String::new(), |list, name| list + name + "\n"))
    }
}

fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode))
}

fn cannot(why: &str) -> Failure {
    Failure::new(Exit::Failed, format!("The files of a practice agent cannot be made: {why}."))
}

/// Lays the files of an agent that has collected for a day, up to so many hours ago.
fn lay_past(image: &Image, part: &Part, hours: u64) -> Result<()> {
    let guid = names::new_id();
    image.file(GUID, written(guid), 0o670)?;
    let dir = tempfile::tempdir().map_err(|error| cannot(&error.to_string()))?;
    let every = Conf::read(CONF, &part.host, HOME).every();
    let base = every.first().copied().unwrap_or(1);
    let names = names::open(dir.path(), &guid, &part.host, base).map_err(|error| cannot(&error.to_string()))?;
    for name in [names::META, names::CONTEXT] {
        let bytes = fs::read(dir.path().join(name)).map_err(|error| cannot(&error.to_string()))?;
        image.file(&format!("{CACHE}/{name}"), bytes, 0o640)?;
    }
    let until = seconds_of(SystemTime::now()).saturating_sub(hours * 3600);
    let tiers = every.len();
    let lived = collected(&Collector::of(&part.host, every), &names, until.saturating_sub(LIVED_HOURS * 3600), until);
    for (name, bytes) in lived.pieces(&mut Files::default(), tiers) {
        image.file(&format!("{CACHE}/{name}"), bytes, 0o600)?;
    }
    Ok(())
}

/// A UUID in the form of a GUID's file.
fn written(id: Metric) -> String {
    let digits = format!("{:032x}", u128::from_be_bytes(id));
    [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| digits.get(part).unwrap_or_default()).join("-")
}

/// The other way; what is no GUID is nobody.
fn id(guid: &str) -> Metric {
    u128::from_str_radix(&guid.replace('-', ""), 16).unwrap_or_default().to_be_bytes()
}

fn seconds_of(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |span| span.as_secs())
}

/// The second it is on the node whose stand-in keeps this memory: see `node/date`.
fn node_time(memory: &Path) -> u64 {
    let clock = memory.ancestors().nth(2).map(|stub| stub.join("clock"));
    let behind =
        clock.and_then(|clock| fs::read_to_string(clock).ok()).and_then(|text| text.trim().parse::<u64>().ok());
    seconds_of(SystemTime::now()).saturating_sub(behind.unwrap_or(0))
}
