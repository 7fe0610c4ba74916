//! What can be said of a node before anything is asked of it: one line an aspect, each with a hint.

use serde::{Deserialize, Serialize};

use super::scan::Prober;
use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::HostId;
use crate::model::text::CleanText;
use crate::model::units::ByteSize;
use crate::services::common::read_node;
use crate::transport::Script;

/// One aspect of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aspect {
    /// What was looked at: "host key".
    pub name: String,
    /// How it stands.
    #[serde(flatten)]
    pub stands: Stands,
    /// What was found.
    pub found: CleanText,
}

/// How an aspect stands; one that is not as it should be says what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "level", rename_all = "snake_case")]
pub enum Stands {
    /// As it should be.
    Ok,
    /// Worth a look.
    Warning {
        /// What to do.
        hint: String,
    },
    /// In the way.
    Critical {
        /// What to do.
        hint: String,
    },
}

impl Aspect {
    /// One that is as it should be.
    pub fn ok(name: &str, found: impl Into<String>) -> Self {
        Self::of(name, found, Stands::Ok)
    }
    /// One that is worth a look.
    pub fn warning(name: &str, found: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::of(name, found, Stands::Warning { hint: hint.into() })
    }
    /// One that is in the way.
    pub fn critical(name: &str, found: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::of(name, found, Stands::Critical { hint: hint.into() })
    }
    fn of(name: &str, found: impl Into<String>, stands: Stands) -> Self {
        Self { name: name.to_owned(), stands, found: CleanText::new(&found.into()) }
    }
    /// How grave it is.
    pub const fn level(&self) -> Level {
        match self.stands {
            Stands::Ok => Level::Ok,
            Stands::Warning { .. } => Level::Warning,
            Stands::Critical { .. } => Level::Critical,
        }
    }
    /// What to do, when there is something to do.
    pub fn hint(&self) -> Option<&str> {
        match &self.stands {
            Stands::Ok => None,
            Stands::Warning { hint } | Stands::Critical { hint } => Some(hint),
        }
    }
}

/// How grave something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// As it should be.
    Ok,
    /// Worth a look.
    Warning,
    /// In the way.
    Critical,
}

/// A node's aspects; those after one in the way are left out, because they would be meaningless.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// The node.
    pub host: HostId,
    /// Its aspects in order.
    pub aspects: Vec<Aspect>,
    /// How an attempt to reach it ended.
    pub exit: Exit,
}

const LOOK: &str = r#"date -u +%s.%N
for t in tar flock sha256sum systemctl mv sync; do command -v "$t" >/dev/null 2>&1 && printf '%s ' "$t"; done; echo
for t in zstd gzip; do command -v "$t" >/dev/null 2>&1 && printf '%s ' "$t"; done; echo
d=/var/lib; [ -d /var/lib/lifeboat ] && d=/var/lib/lifeboat
df -PB1 "$d" | awk 'NR==2 {print $4}'
id -u
"#;

/// Tools without which nothing works, and those that make it faster.
const NEEDED: [&str; 6] = ["tar", "flock", "sha256sum", "systemctl", "mv", "sync"];

/// Less free space than this in `/var/lib` is worth a look.
const ROOM: u64 = 64 << 20;

/// Seconds of clock difference that are worth a look.
const SKEW: f64 = 5.0;

/// What to do about a node that cannot be looked at. Whoever reads it asked `doctor` already.
fn advice(host: &HostId, exit: Exit) -> (&'static str, String) {
    match exit {
        Exit::HostKey => {
            ("host key", format!("Compare it with what the node's own console shows; then: lifeboat enroll {host}"))
        }
        Exit::Authentication => {
            ("login", "Look at 'user' and 'identity_file' of the inventory and at the agent: ssh-add -l".to_owned())
        }
        Exit::Usage => ("reachable", "Correct it in the inventory or in the ssh configuration.".to_owned()),
        Exit::Cancelled => ("reachable", format!("Look again: lifeboat doctor {host}")),
        _ => ("reachable", "Look whether it is up, at its address and port, and at what lies between.".to_owned()),
    }
}

impl Prober<'_> {
    /// Looks at a node.
    pub fn check_health(&self, host: &HostId) -> Health {
        let mut aspects = Vec::new();
        let exit = match self.look(host, &mut aspects) {
            Ok(()) => Exit::Done,
            Err(failure) => {
                let (name, hint) = advice(host, failure.exit);
                aspects.push(Aspect::critical(name, &failure.message, hint));
                failure.exit
            }
        };
        Health { host: host.clone(), aspects, exit }
    }

    fn look(&self, host: &HostId, aspects: &mut Vec<Aspect>) -> Result<()> {
        let node = self.links.get(host, &self.cancel)?;
        let way = node.endpoint().clone();
        let via = if way.via.is_empty() { String::new() } else { format!(" through {}", way.via.join(", ")) };
        aspects.push(Aspect::ok(
            "reachable",
            format!("{}:{}{via}, round trip {} ms", way.address, way.port, way.round_trip.as_millis()),
        ));
        if let Some(key) = &way.host_key {
            let known = way.host_key_source.as_deref().unwrap_or("unknown source");
            aspects.push(Aspect::ok("host key", format!("{key}, {known}")));
        }
        aspects.push(Aspect::ok("login", format!("{} by {}", way.user, way.login)));
        for note in &way.notes {
            let hint = "Mend that file or setting; as long as it stays so, it counts for nothing here.";
            aspects.push(Aspect::warning("settings", note, hint));
        }
        let asked = self.clock.now();
        let answer = self.on(host, |cx| read_node(cx, Script::new(LOOK), "Looking at the node"));
        let answered = self.clock.now();
        match answer {
            Ok(output) => {
                aspects.push(Aspect::ok("root", &way.root));
                let middle = f64::midpoint(seconds(asked), seconds(answered));
                self::read_answers(output.text().as_str(), middle, aspects);
                Ok(())
            }
            Err(failure) if failure.exit == Exit::Authentication => {
                let hint = "Give 'become' and 'become_password' for this host in the inventory, or log in as root.";
                aspects.push(Aspect::critical("root", &failure.message, hint));
                Ok(())
            }
            Err(failure) => Err(failure),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds are enough")]
fn seconds(at: jiff::Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1000.0
}

/// The script's five lines: clock, needed tools, helpful tools, free bytes, uid.
fn read_answers(text: &str, now: f64, aspects: &mut Vec<Aspect>) {
    let lines: Vec<&str> = text.lines().collect();
    let line = |index: usize| lines.get(index).copied().unwrap_or("");
    let has: Vec<&str> = line(1).split_whitespace().collect();
    let missing: Vec<&str> = NEEDED.into_iter().filter(|tool| !has.contains(tool)).collect();
    aspects.push(if missing.is_empty() {
        Aspect::ok("tools", format!("all needed; helpful: {}", line(2).trim()))
    } else {
        let missing = missing.join(", ");
        Aspect::critical("tools", format!("missing: {missing}"), format!("Install what provides {missing} there."))
    });
    aspects.push(match line(0).parse::<f64>() {
        Ok(theirs) => {
            let found = format!("{:+.1} s from here", theirs - now);
            if (theirs - now).abs() < SKEW {
                Aspect::ok("clock", found)
            } else {
                Aspect::warning("clock", found, "Set the clock there, or here.")
            }
        }
        Err(_) => Aspect::warning(
            "clock",
            "it did not tell the time",
            "Try it there: date -u +%s.%N must print seconds with a fraction.",
        ),
    });
    let room = "A restore needs room there for its journal and what is kept aside.";
    aspects.push(match line(3).trim().parse::<u64>() {
        Ok(free) if free >= ROOM => Aspect::ok("free space", format!("{} in /var/lib", ByteSize(free))),
        Ok(free) => Aspect::warning("free space", format!("only {} in /var/lib", ByteSize(free)), room),
        Err(_) => Aspect::warning("free space", "it could not be told", "Try it there: df -PB1 /var/lib"),
    });
}

/// The end of a whole check: findings, or how reaching failed.
pub fn exit_of(health: &[Health]) -> Exit {
    let worst = health.iter().flat_map(|h| &h.aspects).map(Aspect::level).max();
    let failed: Vec<Exit> = health.iter().map(|h| h.exit).filter(|exit| *exit != Exit::Done).collect();
    match (failed.is_empty(), worst) {
        (false, _) if failed.len() == health.len() => Exit::of_all(failed),
        (false, _) => Exit::Partly,
        (true, Some(Level::Critical)) => Exit::Critical,
        (true, Some(Level::Warning)) => Exit::Warning,
        (true, _) => Exit::Done,
    }
}

/// A failure for a host that is not in the inventory; kept here so that both faces say it alike.
pub fn unknown_host(name: &str) -> Failure {
    Failure::new(Exit::Nothing, format!("There is no host '{name}' in the inventory."))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: f64 = 1_800_000_000.0;
    const TOOLS: &str = "tar flock sha256sum systemctl mv sync";

    /// The aspects of a node that answers with these five lines.
    fn read(answers: &str) -> Vec<Aspect> {
        let mut aspects = Vec::new();
        read_answers(answers, NOW, &mut aspects);
        assert_eq!(aspects.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["tools", "clock", "free space"]);
        aspects
    }

    fn answers(clock: &str, tools: &str, free: &str) -> String {
        format!("{clock}\n{tools}\nzstd gzip\n{free}\n0\n")
    }

    #[test]
    fn a_sound_node_is_ok_in_every_aspect() {
        let aspects = read(&answers("1800000000.200000000", TOOLS, "99999999999"));
        assert!(aspects.iter().all(|one| one.stands == Stands::Ok), "{aspects:?}");
        assert_eq!(aspects[0].found.as_str(), "all needed; helpful: zstd gzip");
        assert_eq!(aspects[1].found.as_str(), "+0.2 s from here");
    }

    #[test]
    fn an_aspect_that_is_not_ok_says_what_to_do_to_programs_too() {
        let told = |aspect: Aspect| serde_json::to_value(aspect).unwrap();
        let ok = serde_json::json!({"name": "clock", "level": "ok", "found": "+0.2 s from here"});
        assert_eq!(told(Aspect::ok("clock", "+0.2 s from here")), ok);
        let slow = serde_json::json!({"name": "clock", "level": "warning", "hint": "Set it.", "found": "-9.0 s"});
        assert_eq!(told(Aspect::warning("clock", "-9.0 s", "Set it.")), slow);
        let without = serde_json::json!({"name": "clock", "level": "warning", "found": "-9.0 s"});
        assert!(serde_json::from_value::<Aspect>(without).is_err(), "a warning without a hint is none");
        let host = HostId::new("val-1").unwrap();
        for (exit, name) in [
            (Exit::HostKey, "host key"),
            (Exit::Authentication, "login"),
            (Exit::Unreachable, "reachable"),
            (Exit::Usage, "reachable"),
            (Exit::Cancelled, "reachable"),
        ] {
            let (aspect, hint) = advice(&host, exit);
            assert!(aspect == name && hint.len() > 20, "{exit:?}: {hint}");
        }
        assert!(!advice(&host, Exit::Unreachable).1.contains("doctor"), "whoever reads it asked that already");
    }

    #[test]
    fn every_tool_that_is_missing_is_named_and_in_the_way() {
        let found = |tools: &str| read(&answers("1800000000.0", tools, "99999999999")).remove(0);
        for missing in NEEDED {
            let rest = TOOLS.split(' ').filter(|tool| *tool != missing).collect::<Vec<_>>().join(" ");
            let tools = found(&rest);
            assert_eq!((tools.level(), tools.found.to_string()), (Level::Critical, format!("missing: {missing}")));
            assert_eq!(tools.hint(), Some(format!("Install what provides {missing} there.").as_str()));
        }
        let none = found("");
        assert_eq!(none.found.as_str(), "missing: tar, flock, sha256sum, systemctl, mv, sync");
    }

    #[test]
    fn a_clock_is_looked_at_from_five_seconds_on_either_way() {
        let clock = |told: &str| read(&answers(told, TOOLS, "99999999999")).remove(1);
        for (told, level, found) in [
            ("1800000004.9", Level::Ok, "+4.9 s from here"),
            ("1799999995.1", Level::Ok, "-4.9 s from here"),
            ("1800000006.0", Level::Warning, "+6.0 s from here"),
            ("1799999994.0", Level::Warning, "-6.0 s from here"),
        ] {
            let clock = clock(told);
            assert_eq!((clock.level(), clock.found.as_str()), (level, found), "{told}");
            assert_eq!(clock.hint().is_some(), level == Level::Warning, "{told}");
        }
        // A `date` without nanoseconds prints the letter, a broken one nothing.
        for told in ["", "1800000000.%N", "date: invalid", "NaN"] {
            assert_eq!(clock(told).level(), Level::Warning, "{told}");
        }
    }

    #[test]
    fn little_room_is_looked_at_and_no_answer_is_not_taken_for_much() {
        let room = |free: &str| read(&answers("1800000000.0", TOOLS, free)).remove(2);
        assert_eq!(room(&ROOM.to_string()).level(), Level::Ok);
        let little = room(&(ROOM - 1).to_string());
        assert!(
            little.level() == Level::Warning && little.hint().is_some() && little.found.as_str().starts_with("only")
        );
        for free in ["", "-1", "df: no"] {
            assert_eq!((room(free).level(), room(free).found.as_str()), (Level::Warning, "it could not be told"));
        }
        // A node that stops in the middle of its answer.
        assert!(read("").iter().all(|one| one.level() != Level::Ok));
    }
}
