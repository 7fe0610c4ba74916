//! Looking at a node: two short scripts, and what the running agent says of itself.

use super::conf::{BIND_KEYS, Bind, Conf, PORT_KEYS};
use super::facts::{Api, Db, Own, Place, Seen, is_guid};
use super::items;
use super::settings::{Settings, is_absolute};
use super::{api, look};
use crate::model::exit::Result;
use crate::model::facts::{Facts, Identity};
use crate::model::text::CleanText;
use crate::services::Cx;
use crate::services::common::{Answers, own_value, unit_facts};

/// How long a stop may take where neither the unit nor the inventory says: what the official unit gives it.
const STOP_WITHIN: u64 = 150;
/// How many tiers an agent stores that says nothing.
const TIERS: usize = 3;
/// The limits of an agent that says nothing, before 2.0.
const OLD_LIMITS: [u64; 5] = [256 << 20, 128 << 20, 64 << 20, 32 << 20, 16 << 20];
/// And from 2.0 on, of each tier ("Disk requirements and retention" of its documentation).
const LIMIT: u64 = 1 << 30;

/// Looks at the node. Keys are never read.
pub fn probe(cx: &Cx, settings: &super::Value) -> Result<Facts> {
    let settings = Settings::of(settings)?;
    let conf_file = settings.config_dir.as_ref().map(|dir| format!("{dir}/netdata.conf")).unwrap_or_default();
    let answers = look::first(cx, settings.unit.as_str(), &conf_file)?;
    let file = Conf::read(&answers.text("conf"), false);
    let (mut own, mut notes) = start(&answers, &settings, &file);
    let mut heard = Vec::new();
    let mut running_conf = None;
    if (own.running || !own.strays.is_empty()) && !own.container {
        match api::info(cx, &own.api) {
            Ok(info) => {
                (own.api.guid, own.api.version) = (Some(info.guid), info.version);
                own.children = info.heard.len();
                heard = info.heard;
                running_conf = api::conf(cx, &own.api).ok();
            }
            Err(failure) => own.api.silent = format!("not answering: {}", failure.message),
        }
        if own.api.guid.is_some() && running_conf.is_none() {
            let text =
                "The running agent does not print its configuration, so its file and the defaults are taken for it.";
            notes.push(text.to_owned());
        }
    } else {
        "not running".clone_into(&mut own.api.silent);
    }
    own.version = own.api.version.clone().or_else(|| program_version(&answers.text("version")));
    own.note("version", if own.api.version.is_some() { "its API" } else { "its program" });
    directories(&mut own, &settings, running_conf.as_ref(), &file, &answers);
    let either = |key: &str| {
        running_conf.as_ref().and_then(|conf| conf.get("registry", key)).or_else(|| file.get("registry", key))
    };
    let guid_file = either("netdata unique id file").filter(|path| is_absolute(path)).unwrap_or_default().to_owned();
    if !own.container {
        let there = look::second(cx, own.dir("config"), own.dir("lib"), own.dir("cache"), &guid_file)?;
        add_files(&mut own, &there);
    }
    database(&mut own, running_conf.as_ref(), &file);
    wrongs(&mut own);
    notes.extend(remarks(&own));
    Ok(envelope(&answers, own, &heard, &notes))
}

/// Everything the first script decides.
pub(super) fn start(answers: &Answers, settings: &Settings, file: &Conf) -> (Own, Vec<String>) {
    let load = answers.shown("LoadState");
    let pid = answers.shown("MainPID");
    let numbers = |text: &str| text.lines().filter_map(|line| line.parse().ok()).collect::<Vec<u32>>();
    let strays = numbers(&answers.text("strays"));
    let Bind { host, port, socket } = file.bind();
    let told: Option<u16> = answers.text("port").parse().ok();
    let unit_stop_within = seconds_of(&answers.shown("TimeoutStopUSec"));
    // A little more than the unit's own limit: then it is systemd that ends it, and says so.
    let stop_within = settings
        .stop_within
        .unwrap_or_else(|| unit_stop_within.map_or(STOP_WITHIN, |own| own.saturating_add(10).min(3600)));
    let own = Own {
        unit: Some(settings.unit.clone()),
        installed: !matches!(load.as_str(), "" | "not-found"),
        masked: load == "masked",
        unit_stop_within,
        stop_within,
        user: answers.text("user"),
        running: !matches!(pid.as_str(), "" | "0"),
        strays,
        container: answers.bytes("container").is_some(),
        api: Api { host, port: settings.port.or(told).unwrap_or(port), socket, ..Api::default() },
        ..Own::default()
    };
    let mut own = own;
    let in_file = |keys: &[(&str, &str)]| keys.iter().any(|(section, key)| file.get(section, key).is_some());
    let by_file = |keys: &[(&str, &str)]| if in_file(keys) { "netdata.conf" } else { "default" };
    own.note("user", &answers.text("user-by"));
    own.note(
        "stop_within",
        match (settings.stop_within, unit_stop_within) {
            (Some(_), _) => "inventory",
            (None, Some(_)) => "systemd",
            (None, None) => "default",
        },
    );
    own.note("api.host", by_file(&BIND_KEYS));
    own.note("api.socket", "netdata.conf");
    own.note(
        "api.port",
        match (settings.port, told) {
            (Some(_), _) => "inventory",
            (None, Some(_)) => "its process",
            (None, None) => by_file(&[&BIND_KEYS[..], &PORT_KEYS].concat()),
        },
    );
    let mut notes = Vec::new();
    for pid in &own.strays {
        notes.push(if own.running {
            format!("A second Netdata runs as pid {pid} beside {}.", settings.unit)
        } else {
            format!(
                "Netdata runs as pid {pid} outside {}, so it cannot be stopped and started by Lifeboat.",
                settings.unit
            )
        });
    }
    if own.container {
        let cgroup: String = CleanText::new(&answers.text("cgroup")).one_line().as_str().chars().take(100).collect();
        let which = if cgroup.is_empty() { cgroup } else { format!(" ({cgroup})") };
        notes.push(format!("Netdata runs in a container{which}, whose files are not at the paths it was given."));
    }
    (own, notes)
}

/// systemd's spans: "1min 30s", "10s", "500ms", "infinity".
fn seconds_of(text: &str) -> Option<u64> {
    let mut total = 0_u64;
    for word in text.split_whitespace() {
        let digits = word.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let number: u64 = digits.parse().ok()?;
        let seconds = match word.get(digits.len()..)? {
            "h" => number.saturating_mul(3600),
            "min" => number.saturating_mul(60),
            "s" => number,
            "ms" | "us" => 1,
            _ => return None,
        };
        total = total.saturating_add(seconds);
    }
    (total > 0).then_some(total)
}

fn directories(own: &mut Own, settings: &Settings, running: Option<&Conf>, file: &Conf, answers: &Answers) {
    let conf_dir = answers.text("conf-path");
    let conf_dir = conf_dir.strip_suffix("/netdata.conf").filter(|dir| is_absolute(dir)).map(str::to_owned);
    let prefix = if answers.text("program").starts_with("/opt/netdata/") { "/opt/netdata" } else { "" };
    let wanted = [
        ("config", &settings.config_dir, "/etc/netdata"),
        ("lib", &settings.lib_dir, "/var/lib/netdata"),
        ("cache", &settings.cache_dir, "/var/cache/netdata"),
        // Nothing of it is saved: it says where to read when the agent does not come up.
        ("log", &None, "/var/log/netdata"),
    ];
    for (name, set, default) in wanted {
        let told = |conf: &Conf| conf.directory(name).filter(|path| is_absolute(path)).map(str::to_owned);
        let (path, from) = if let Some(path) = set {
            (path.clone(), "inventory")
        } else if let Some(path) = running.and_then(told) {
            (path, "running agent")
        } else if let Some(path) = told(file) {
            (path, "netdata.conf")
        } else if let Some(path) = conf_dir.clone().filter(|_| name == "config") {
            (path, "command line")
        } else {
            (format!("{prefix}{default}"), "default")
        };
        own.dirs.insert(name.to_owned(), Place { path, from: from.to_owned() });
    }
}

/// Everything the second script adds.
pub(super) fn add_files(own: &mut Own, there: &Answers) {
    for name in ["config", "lib", "cache"] {
        let resolved = there.text(name);
        if let Some(place) = own.dirs.get_mut(name).filter(|_| is_absolute(&resolved)) {
            place.path = resolved;
        }
        let seen = there.text(&format!("{name}-seen"));
        let mut parts = seen.split('|');
        let (Some(mounted), Some(owner), Some(size), Some(free)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let seen = Seen {
            mounted: mounted == "yes",
            owner: CleanText::new(owner).one_line().to_string(),
            size: size.parse().unwrap_or(0),
            free: free.parse().unwrap_or(0),
        };
        own.seen.insert(name.to_owned(), seen);
    }
    let guid = there.text("guid");
    own.guid = Some(guid.trim().to_ascii_lowercase()).filter(|guid| is_guid(guid));
    let claimed = [there.text("claimed-conf"), there.text("claimed")];
    own.claimed_id = claimed.iter().map(|id| id.trim().to_ascii_lowercase()).find(|id| is_guid(id));
    let stream = Conf::read(&format!("[stream]\n{}", there.text("stream")), false);
    if stream.get("stream", "enabled").is_some_and(|on| matches!(on, "yes" | "true" | "on" | "1")) {
        own.streams_to = stream.get("stream", "destination").map(|to| CleanText::new(to).one_line().to_string());
    }
    let stored = look::stored(&there.text("samples"));
    let cache = own.seen("cache").map_or(0, |seen| seen.size);
    own.stopped_bytes = cache.saturating_sub(stored.settled);
    own.reflinks = there.bytes("reflinks").is_some();
    own.db.stored = stored.tiers;
    let mut wrong = |name: &str, why: &str, is_wrong: bool| {
        if is_wrong {
            own.wrong.insert(name.to_owned(), why.to_owned());
        }
    };
    wrong("config", "it holds no netdata.conf", there.bytes("has-conf").is_none());
    wrong("lib", "it holds no machine GUID that can be read", own.guid.is_none());
    let engine = there.bytes("has-engine").is_some();
    wrong("cache", "it holds no dbengine directory", !engine);
    wrong(
        "cache",
        "it holds no netdata-meta.db, without which no sample can be told from another",
        engine && there.bytes("has-meta").is_none(),
    );
}

fn database(own: &mut Own, running: Option<&Conf>, file: &Conf) {
    let conf = running.unwrap_or(file);
    let says = |is_told: bool| match (running, is_told) {
        (Some(_), true) => "its running configuration",
        (None, true) => "netdata.conf",
        (_, false) => "default",
    };
    let is_limited = conf.tiers().is_some() || (0..TIERS).any(|tier| conf.tier_limit(tier).is_some());
    own.note("db.mode", says(conf.db_mode().is_some()));
    own.note("db.limits", says(is_limited));
    // A file that says nothing means dbengine; so it is since 1.23.
    let mode = conf.db_mode().unwrap_or("dbengine").to_owned();
    let tiers = conf.tiers().unwrap_or(TIERS);
    let old = own.version.as_deref().and_then(super::facts::version_of).is_none_or(|version| version < (2, 0, 0));
    let limit = |tier: usize| {
        let default = if old { OLD_LIMITS.get(tier).copied() } else { Some(LIMIT) };
        // An agent that prints its configuration prints its defaults, too: what it does not say is not known.
        conf.tier_limit(tier).or(default.filter(|_| running.is_none()))
    };
    own.db = Db { mode, limits: (0..tiers).map(limit).collect(), stored: std::mem::take(&mut own.db.stored) };
}

/// An empty or wrong directory is a finding, and never a good backup.
fn wrongs(own: &mut Own) {
    for name in ["config", "lib", "cache"] {
        if !own.container && own.seen(name).is_none() {
            let path = own.dir(name).to_owned();
            own.wrong.insert(name.to_owned(), format!("there is no directory at {path}"));
        }
    }
}

/// Sentences an operator should read.
fn remarks(own: &Own) -> Vec<String> {
    let mut notes = Vec::new();
    if let (Some(api), Some(disk)) = (&own.api.guid, &own.guid)
        && api != disk
    {
        notes.push(format!(
            "The agent runs as {api}, but {disk} lies on its disk: the files were changed after its start."
        ));
    }
    if own.installed && !own.container {
        for (name, why) in &own.wrong {
            let expected = name != "cache" || own.db.mode == "dbengine";
            if expected && (own.running || own.seen(name).is_some_and(|seen| seen.size > 0)) {
                notes.push(format!("{} cannot be saved as it should be: {why}.", own.dir(name)));
            }
        }
    }
    if let Some(to) = &own.streams_to {
        notes.push(format!("It streams to {to}."));
    }
    if own.children > 0 {
        notes.push(format!(
            "{} children stream to it; they lose samples while it is stopped, unless they keep some.",
            own.children
        ));
    }
    if let Some(limit) = own.unit_stop_within.filter(|limit| own.running && *limit < 30) {
        notes.push(format!(
            "Its unit is killed {limit} s after a stop began (TimeoutStopSec); a large agent may need longer to write its samples."
        ));
    }
    notes
}

/// The version in what the program says of itself, such as "netdata v1.37.1".
fn program_version(line: &str) -> Option<String> {
    let word = line.split_whitespace().find(|word| super::facts::version_of(word).is_some())?;
    Some(CleanText::new(word).one_line().as_str().chars().take(60).collect())
}

fn variant(answers: &Answers, own: &Own) -> &'static str {
    let program = answers.text("program");
    if own.container {
        "container"
    } else if program.starts_with("/opt/netdata/") {
        "static install"
    } else if !answers.text("package").is_empty() {
        "Debian package"
    } else if !own.running && !own.strays.is_empty() {
        "plain process"
    } else {
        "unknown"
    }
}

fn envelope(answers: &Answers, mut own: Own, heard: &[String], notes: &[String]) -> Facts {
    let told = if own.api.guid.is_some() { "its API" } else { "its files" };
    own.note(&format!("identities.{}", items::GUID), told);
    let identity = |kind: &str, value: &str| Identity { kind: kind.to_owned(), value: value.to_owned() };
    let mut identities: Vec<_> = own.known_guid().map(|guid| identity(items::GUID, guid)).into_iter().collect();
    identities.extend(own.claimed_id.as_deref().map(|id| identity(items::CLAIM, id)));
    Facts {
        present: own.installed || own.running || !own.strays.is_empty() || own.guid.is_some(),
        version: own.version.as_deref().map(CleanText::from),
        variant: Some(variant(answers, &own).into()),
        identities,
        heard: heard.iter().map(|guid| identity(items::GUID, guid)).collect(),
        units: own.unit.iter().map(|unit| unit_facts(unit, |name| answers.shown(name))).collect(),
        outside: !own.running && !own.strays.is_empty(),
        notes: notes.iter().map(|note| CleanText::new(note)).collect(),
        own: own_value(&own),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systemd_s_spans_are_read() {
        assert_eq!(seconds_of("1min 30s"), Some(90));
        for text in ["18446744073709551615h", "18446744073709551615s 18446744073709551615min"] {
            assert_eq!(seconds_of(text), Some(u64::MAX));
        }
        assert_eq!((seconds_of("10s"), seconds_of("infinity"), seconds_of("")), (Some(10), None, None));
    }

    #[test]
    fn a_stopped_agent_that_says_nothing_has_the_limits_of_its_version() {
        let limits = |said: &str, running: Option<&Conf>| {
            let mut own = Own { version: program_version(said), ..Own::default() };
            database(&mut own, running, &Conf::default());
            own.db.limits
        };
        assert_eq!(limits("netdata v1.37.1", None), [Some(256 << 20), Some(128 << 20), Some(64 << 20)]);
        assert_eq!(limits("netdata v2.5.0-11-nightly", None), [Some(1 << 30); 3]);
        let silent = Conf::read("[db]\nmode = dbengine\n", true);
        assert_eq!(
            limits("netdata v2.5.0", Some(&silent)),
            [None; 3],
            "a running one that does not tell is asked nothing"
        );
    }

    #[test]
    fn the_running_agent_says_where_its_four_directories_are() {
        let settings = Settings::of(&super::super::settings::check(&toml::Table::new()).unwrap()).unwrap();
        let first = Answers::fixed(&[("conf-path", "/srv/etc/netdata.conf")]);
        let running = Conf::read(
            "[directories]\n# config = /r/etc\n\tlib = /r/lib\n\t# cache = /r/cache\n\t# log = /r/log\n",
            true,
        );
        let file = Conf::read("[directories]\nlib = /f/lib\ncache = /f/cache\nlog = /f/log\n", false);
        let places = |running: Option<&Conf>, file: &Conf| {
            let (mut own, _) = start(&first, &settings, file);
            directories(&mut own, &settings, running, file, &first);
            ["config", "lib", "cache", "log"].map(|name| own.dir(name).to_owned())
        };
        assert_eq!(places(Some(&running), &file), ["/r/etc", "/r/lib", "/r/cache", "/r/log"]);
        assert_eq!(places(None, &file), ["/srv/etc", "/f/lib", "/f/cache", "/f/log"], "a stopped agent's file");
        let silent = places(None, &Conf::default());
        assert_eq!(silent, ["/srv/etc", "/var/lib/netdata", "/var/cache/netdata", "/var/log/netdata"]);
    }

    #[test]
    fn a_wrong_or_missing_directory_is_found() {
        let settings = Settings::of(&super::super::settings::check(&toml::Table::new()).unwrap()).unwrap();
        let first = Answers::fixed(&[("program", "/opt/netdata/bin/netdata"), ("strays", "77\n"), ("user", "netdata")]);
        let (mut own, notes) = start(&first, &settings, &Conf::default());
        assert!(!own.running && notes[0].contains("77"), "{notes:?}");
        directories(&mut own, &settings, None, &Conf::default(), &first);
        assert_eq!(own.dir("cache"), "/opt/netdata/var/cache/netdata");
        let there = Answers::fixed(&[
            ("lib", "/srv/lib"),
            ("lib-seen", "no|netdata|10|20"),
            ("cache-seen", "no|netdata|100|2000"),
            ("has-engine", "1"),
            ("guid", "not a guid"),
            ("samples", "60 dbengine/datafile-1-0000000001.ndf\n5 dbengine/datafile-1-0000000002.ndf\n"),
        ]);
        add_files(&mut own, &there);
        wrongs(&mut own);
        assert_eq!(own.dir("lib"), "/srv/lib", "a link is resolved");
        assert_eq!(own.stopped_bytes, 40);
        let about = |name: &str| own.wrong[name].clone();
        assert!(about("config").contains("no directory") && about("lib").contains("GUID"), "{:?}", own.wrong);
        assert!(about("cache").contains("netdata-meta.db"), "{:?}", own.wrong);
    }
}
