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
    pub level: Level,
    /// What was found.
    pub found: CleanText,
    /// What to do, when there is something to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// How an aspect stands.
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

fn aspect(name: &str, level: Level, found: impl Into<String>, hint: Option<String>) -> Aspect {
    Aspect { name: name.to_owned(), level, found: CleanText::new(&found.into()), hint }
}

impl Prober<'_> {
    /// Looks at a node.
    pub fn check_health(&self, host: &HostId) -> Health {
        let mut aspects = Vec::new();
        let exit = match self.look(host, &mut aspects) {
            Ok(()) => Exit::Done,
            Err(failure) => {
                let name = match failure.exit {
                    Exit::HostKey => "host key",
                    Exit::Authentication => "login",
                    _ => "reachable",
                };
                aspects.push(aspect(name, Level::Critical, &failure.message, failure.hints.first().cloned()));
                failure.exit
            }
        };
        Health { host: host.clone(), aspects, exit }
    }

    fn look(&self, host: &HostId, aspects: &mut Vec<Aspect>) -> Result<()> {
        let node = self.links.get(host, &self.cancel)?;
        let way = node.endpoint().clone();
        let via = if way.via.is_empty() { String::new() } else { format!(" through {}", way.via.join(", ")) };
        aspects.push(aspect(
            "reachable",
            Level::Ok,
            format!("{}:{}{via}, round trip {} ms", way.address, way.port, way.round_trip.as_millis()),
            None,
        ));
        if let Some(key) = &way.host_key {
            let known = way.host_key_source.as_deref().unwrap_or("unknown source");
            aspects.push(aspect("host key", Level::Ok, format!("{key}, {known}"), None));
        }
        aspects.push(aspect("login", Level::Ok, format!("{} by {}", way.user, way.login), None));
        for note in &way.notes {
            aspects.push(aspect("settings", Level::Warning, note, None));
        }
        let asked = self.clock.now();
        let answer = self.on(host, |cx| read_node(cx, Script::new(LOOK), "Looking at the node"));
        let answered = self.clock.now();
        match answer {
            Ok(output) => {
                aspects.push(aspect("root", Level::Ok, &way.root, None));
                let middle = f64::midpoint(seconds(asked), seconds(answered));
                self::read_answers(output.text().as_str(), middle, aspects);
                Ok(())
            }
            Err(failure) if failure.exit == Exit::Authentication => {
                let hint =
                    "Give 'become' and 'become_password' for this host in the inventory, or log in as root.".to_owned();
                aspects.push(aspect("root", Level::Critical, &failure.message, Some(hint)));
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
        aspect("tools", Level::Ok, format!("all needed; helpful: {}", line(2).trim()), None)
    } else {
        let hint = format!("Install what provides {} there.", missing.join(", "));
        aspect("tools", Level::Critical, format!("missing: {}", missing.join(", ")), Some(hint))
    });
    aspects.push(match line(0).parse::<f64>() {
        Ok(theirs) if (theirs - now).abs() < SKEW => {
            aspect("clock", Level::Ok, format!("{:+.1} s from here", theirs - now), None)
        }
        Ok(theirs) => aspect(
            "clock",
            Level::Warning,
            format!("{:+.1} s from here", theirs - now),
            Some("Set the clock there, or here.".into()),
        ),
        Err(_) => aspect("clock", Level::Warning, "it did not tell the time", None),
    });
    aspects.push(match line(3).trim().parse::<u64>() {
        Ok(free) if free >= ROOM => aspect("free space", Level::Ok, format!("{} in /var/lib", ByteSize(free)), None),
        Ok(free) => aspect(
            "free space",
            Level::Warning,
            format!("only {} in /var/lib", ByteSize(free)),
            Some("A restore needs room there for its journal and what is kept aside.".into()),
        ),
        Err(_) => aspect("free space", Level::Warning, "it could not be told", None),
    });
}

/// The end of a whole check: findings, or how reaching failed.
pub fn exit_of(health: &[Health]) -> Exit {
    let worst = health.iter().flat_map(|h| &h.aspects).map(|aspect| aspect.level).max();
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
        assert!(aspects.iter().all(|one| one.level == Level::Ok && one.hint.is_none()), "{aspects:?}");
        assert_eq!(aspects[0].found.as_str(), "all needed; helpful: zstd gzip");
        assert_eq!(aspects[1].found.as_str(), "+0.2 s from here");
    }

    #[test]
    fn every_tool_that_is_missing_is_named_and_in_the_way() {
        let found = |tools: &str| read(&answers("1800000000.0", tools, "99999999999")).remove(0);
        for missing in NEEDED {
            let rest = TOOLS.split(' ').filter(|tool| *tool != missing).collect::<Vec<_>>().join(" ");
            let tools = found(&rest);
            assert_eq!((tools.level, tools.found.to_string()), (Level::Critical, format!("missing: {missing}")));
            assert_eq!(tools.hint, Some(format!("Install what provides {missing} there.")));
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
            assert_eq!((clock.level, clock.found.as_str()), (level, found), "{told}");
            assert_eq!(clock.hint.is_some(), level == Level::Warning, "{told}");
        }
        // A `date` without nanoseconds prints the letter, a broken one nothing.
        for told in ["", "1800000000.%N", "date: invalid", "NaN"] {
            assert_eq!(clock(told).level, Level::Warning, "{told}");
        }
    }

    #[test]
    fn little_room_is_looked_at_and_no_answer_is_not_taken_for_much() {
        let room = |free: &str| read(&answers("1800000000.0", TOOLS, free)).remove(2);
        assert_eq!(room(&ROOM.to_string()).level, Level::Ok);
        let little = room(&(ROOM - 1).to_string());
        assert!(little.level == Level::Warning && little.hint.is_some() && little.found.as_str().starts_with("only"));
        for free in ["", "-1", "df: no"] {
            assert_eq!((room(free).level, room(free).found.as_str()), (Level::Warning, "it could not be told"));
        }
        // A node that stops in the middle of its answer.
        assert!(read("").iter().all(|one| one.level != Level::Ok));
    }
}
