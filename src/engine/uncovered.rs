//! What runs or lies on a node and stands in no inventory: an item nobody asked for is an item nobody has.
//!
//! Each driver says how its service is recognised; one script a host looks for all of them. What belongs to other
//! members of a cluster is not looked for: only hosts of the inventory are reached.

use std::collections::BTreeMap;

use serde::Serialize;

use super::scan::{Prober, in_parallel, settings_of, wanted_of};
use crate::model::exit::Result;
use crate::model::ids::{HostId, UnitName};
use crate::model::inventory::Inventory;
use crate::model::text::CleanText;
use crate::services::common::read_node;
use crate::services::{Cx, Driver, REGISTRY};
use crate::transport::Script;

/// A service found on a host that no entry of the inventory covers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Uncovered {
    /// The host.
    pub host: HostId,
    /// The driver that would serve it.
    pub kind: String,
    /// What was seen, in a few words.
    pub seen: CleanText,
    /// The lines that would cover it, to be added to the inventory.
    pub lines: Vec<String>,
}

/// One sign as a node showed it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Sign {
    /// A unit systemd knows, with its state.
    Unit(UnitName, String),
    /// A process by its name, and the unit it runs in.
    Process(String, String),
    /// A file or directory.
    Path(String),
}

/// `$1` words of unit patterns, `$2` process names, `$3` path patterns; all of them this program's own. A line a sign.
const LOOK: &str = r#"LC_ALL=C; export LC_ALL
set -f
if [ -n "$1" ] && command -v systemctl >/dev/null; then
  systemctl list-unit-files --no-legend --no-pager --plain --type=service -- $1 2>/dev/null | head -n 100 | while read -r u s rest; do
    case $u in *@.service) continue;; esac
    echo "unit $(systemctl is-active -- "$u" 2>/dev/null) $u"
  done
fi
set +f
for c in /proc/[0-9]*/comm; do
  n=
  read -r n 2>/dev/null <"$c" || continue
  case " $2 " in *" $n "*)
    p=${c%/comm}
    echo "process $n $(sed -n 's/.*\/\([^/]*\)$/\1/p' "$p/cgroup" 2>/dev/null | head -n 1)";;
  esac
done | sort -u | head -n 100
for p in $3; do [ ! -e "$p" ] || echo "path $p"; done | head -n 100
exit 0
"#;

impl Prober<'_> {
    /// Looks on every host for services that nothing in the inventory covers, many hosts at once.
    pub fn uncovered(&self, hosts: &[HostId], jobs: usize) -> Vec<(HostId, Result<Vec<Uncovered>>)> {
        let results = in_parallel(hosts, jobs, |host| self.on(host, |cx| look(cx, self.inventory)));
        hosts.iter().cloned().zip(results).collect()
    }
}

fn look(cx: &Cx, inventory: &Inventory) -> Result<Vec<Uncovered>> {
    let words = |pick: fn(&dyn Driver) -> &'static [&'static str]| {
        REGISTRY.iter().flat_map(|driver| pick(*driver)).copied().collect::<Vec<_>>().join(" ")
    };
    let script = Script::new(LOOK)
        .arg(words(|driver| driver.traces().units))
        .arg(words(|driver| driver.traces().processes))
        .arg(words(|driver| driver.traces().paths));
    let output = read_node(cx, script, "Looking for services")?;
    Ok(judge(cx.host, inventory, &read(CleanText::from_bytes(&output.stdout).as_str())))
}

fn read(printed: &str) -> Vec<Sign> {
    let sign = |line: &str| {
        let (word, rest) = line.split_once(' ')?;
        let (first, last) = rest.split_once(' ').unwrap_or((rest, ""));
        match word {
            "unit" => Some(Sign::Unit(UnitName::new(last).ok()?, first.to_owned())),
            "process" => Some(Sign::Process(first.to_owned(), last.to_owned())),
            "path" => Some(Sign::Path(rest.to_owned())),
            _ => None,
        }
    };
    printed.lines().filter_map(sign).collect()
}

/// Whether a name fits a pattern with `*`, as `systemctl` and the shell read it.
fn fits(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.is_empty()
}

/// What the inventory does not cover of what was seen on `host`. Pure.
fn judge(host: &HostId, inventory: &Inventory, signs: &[Sign]) -> Vec<Uncovered> {
    let mut found = Vec::new();
    for driver in REGISTRY {
        let traces = driver.traces();
        let entries: Vec<_> = wanted_of(inventory)
            .into_iter()
            .filter(|wanted| wanted.entry.kind == driver.kind() && wanted.hosts.contains(host))
            .collect();
        // An entry that cannot be read is told elsewhere; here it covers nothing.
        let covered: Vec<String> = entries
            .iter()
            .filter_map(|wanted| settings_of(inventory, &wanted.owner, &wanted.entry).ok())
            .filter_map(|settings| settings.get("unit")?.as_str().map(str::to_owned))
            .collect();
        let any = |patterns: &[&str], name: &str| patterns.iter().any(|pattern| fits(pattern, name));
        let mut names = Names::of(host, inventory, driver.kind());
        let mut units: BTreeMap<&UnitName, &str> = BTreeMap::new();
        for sign in signs {
            if let Sign::Unit(unit, state) = sign
                && any(traces.units, unit.as_str())
                && !covered.iter().any(|own| own == unit.as_str())
            {
                units.insert(unit, state);
            }
        }
        for (unit, state) in &units {
            found.push(Uncovered {
                host: host.clone(),
                kind: driver.kind().to_owned(),
                seen: format!("{unit} is {}", if state.is_empty() { "known" } else { state }).into(),
                lines: names.lines(traces.units, Some(unit)),
            });
        }
        // Without an entry and without a unit of its own, a process or a directory is what there is to go by.
        if !entries.is_empty() || !units.is_empty() {
            continue;
        }
        let process = signs.iter().find_map(|sign| match sign {
            Sign::Process(name, unit) if traces.processes.contains(&name.as_str()) => Some((name, unit)),
            _ => None,
        });
        let path = signs.iter().find_map(|sign| match sign {
            Sign::Path(path) if any(traces.paths, path) => Some(path),
            _ => None,
        });
        let seen = match (process, path) {
            (Some((name, unit)), _) if unit.is_empty() => format!("a process {name} runs"),
            (Some((name, unit)), _) => format!("a process {name} runs in {unit}"),
            (None, Some(path)) => format!("{path} is there, and nothing runs"),
            (None, None) => continue,
        };
        let unit = process.and_then(|(_, unit)| UnitName::new(unit.as_str()).ok());
        let lines = names.lines(traces.units, unit.as_ref().filter(|unit| unit.as_str().ends_with(".service")));
        found.push(Uncovered { host: host.clone(), kind: driver.kind().to_owned(), seen: seen.into(), lines });
    }
    found
}

/// Free names for new entries of one kind on one host.
struct Names<'i> {
    host: &'i HostId,
    kind: &'i str,
    taken: Vec<String>,
}

impl<'i> Names<'i> {
    fn of(host: &'i HostId, inventory: &'i Inventory, kind: &'i str) -> Self {
        let services = inventory.hosts.get(host).map(|host| host.services.keys().map(ToString::to_string).collect());
        Self { host, kind, taken: services.unwrap_or_default() }
    }

    /// The inventory's lines for another entry; `known` are the driver's unit patterns, the first without a star its default.
    fn lines(&mut self, known: &[&str], unit: Option<&UnitName>) -> Vec<String> {
        let numbered = (2..).map(|number| format!("{}-{number}", self.kind));
        let free = std::iter::once(self.kind.to_owned()).chain(numbered).find(|name| !self.taken.contains(name));
        let name = free.unwrap_or_else(|| self.kind.to_owned());
        let mut lines = vec![format!("[hosts.{}.services.{name}]", toml_key(self.host.as_str()))];
        if name != self.kind {
            lines.push(format!("kind = \"{}\"", self.kind));
        }
        let default = known.iter().find(|pattern| !pattern.contains('*')).copied();
        lines.extend(unit.filter(|unit| Some(unit.as_str()) != default).map(|unit| format!("unit = \"{unit}\"")));
        self.taken.push(name);
        lines
    }
}

/// A host's name as a key of TOML: bare where it may stand so.
fn toml_key(name: &str) -> String {
    let bare = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    if bare { name.to_owned() } else { format!("\"{name}\"") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::inventory::{Access, Host, Policy, ServiceEntry};

    fn inventory(entries: &[(&str, &str, &str)]) -> Inventory {
        let id = HostId::new("val.1").unwrap();
        let services = entries.iter().map(|(name, kind, settings)| {
            let name = crate::model::ids::ServiceName::new(*name).unwrap();
            let entry = ServiceEntry {
                name: name.clone(),
                kind: (*kind).to_owned(),
                settings: settings.parse().unwrap(),
                lines: BTreeMap::new(),
                policy: Policy::default(),
            };
            (name, entry)
        });
        let host = Host {
            id: id.clone(),
            access: Access::default(),
            groups: vec![],
            formerly: vec![],
            services: services.collect(),
            policy: Policy::default(),
        };
        Inventory { hosts: BTreeMap::from([(id, host)]), ..Inventory::default() }
    }

    fn told(inventory: &Inventory, printed: &str) -> Vec<(String, String)> {
        let host = HostId::new("val.1").unwrap();
        let found = judge(&host, inventory, &read(printed));
        found.into_iter().map(|one| (one.seen.to_string(), one.lines.join("\n"))).collect()
    }

    #[test]
    fn a_unit_no_entry_names_is_told_with_the_lines_to_add() {
        let seen =
            "unit active avalanchego.service\nprocess avalanchego avalanchego.service\npath /root/.avalanchego\n";
        let line = "[hosts.\"val.1\".services.avalanchego]".to_owned();
        assert_eq!(told(&inventory(&[]), seen), [("avalanchego.service is active".to_owned(), line)]);
        assert_eq!(told(&inventory(&[("node", "avalanchego", "")]), seen), []);
        let other = "unit inactive avalanchego-fuji.service\nunit active avalanchego.service\n";
        let lines =
            "[hosts.\"val.1\".services.avalanchego-2]\nkind = \"avalanchego\"\nunit = \"avalanchego-fuji.service\"";
        let found = told(&inventory(&[("avalanchego", "avalanchego", "")]), other);
        assert_eq!(found, [("avalanchego-fuji.service is inactive".to_owned(), lines.to_owned())]);
    }

    #[test]
    fn without_a_unit_a_process_counts_and_then_a_directory() {
        let process = told(&inventory(&[]), "process consul docker-1f.scope\npath /etc/consul.d\n");
        assert_eq!(process[0].0, "a process consul runs in docker-1f.scope");
        assert_eq!(process[0].1, "[hosts.\"val.1\".services.consul]");
        let path = told(&inventory(&[]), "path /etc/consul.d\n");
        assert_eq!(path[0].0, "/etc/consul.d is there, and nothing runs");
        assert_eq!(told(&inventory(&[("c", "consul", "")]), "path /etc/consul.d\n"), []);
    }

    #[test]
    fn a_hostile_name_is_no_unit_and_no_line() {
        assert_eq!(
            told(&inventory(&[]), "unit active avalanchego\"]x.service\nunit active /avalanchego.service\n"),
            []
        );
    }

    #[test]
    fn patterns_are_read_as_the_shell_reads_them() {
        assert!(fits("a*.service", "a.service") && fits("/home/*/.x", "/home/u/.x") && fits("a", "a"));
        assert!(!fits("a", "ab") && !fits("a*.service", "b.service") && !fits("a*b", "ac"));
    }

    #[test]
    fn every_default_unit_is_a_trace_of_its_driver() {
        for driver in REGISTRY {
            let settings = driver.settings(&toml::Table::new()).ok();
            let unit = settings.as_ref().and_then(|settings| settings.get("unit")?.as_str());
            if let Some(unit) = unit {
                assert_eq!(driver.traces().units.iter().find(|pattern| !pattern.contains('*')), Some(&unit));
            }
        }
    }

    #[test]
    fn the_script_runs_in_a_plain_sh() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(home.path().join("u/.x")).unwrap();
        let pattern = format!("{}/*/.x", home.path().display());
        let output = std::process::Command::new("sh").args(["-c", LOOK, "sh", "", "sh", &pattern]).output().unwrap();
        let signs = read(&String::from_utf8_lossy(&output.stdout));
        assert!(signs.iter().any(|sign| matches!(sign, Sign::Process(name, _) if name == "sh")), "{signs:?}");
        assert!(signs.contains(&Sign::Path(home.path().join("u/.x").to_str().unwrap().to_owned())), "{signs:?}");
    }
}
