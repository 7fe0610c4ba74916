//! The agent's configuration: what its file says, and the rest as 1.37.1 has it.

use std::collections::BTreeMap;

/// The settings that stand in what an agent prints, with their defaults. `{home}` is where it is installed.
const SETTINGS: [(&str, &[(&str, &str)]); 5] = [
    ("global", &[("run as user", "netdata"), ("hostname", "{host}")]),
    (
        "db",
        &[
            ("mode", "dbengine"),
            ("update every", "1"),
            ("storage tiers", "3"),
            ("dbengine multihost disk space MB", "256"),
            ("dbengine tier 1 multihost disk space MB", "128"),
            ("dbengine tier 1 update every iterations", "60"),
            ("dbengine tier 2 multihost disk space MB", "64"),
            ("dbengine tier 2 update every iterations", "60"),
        ],
    ),
    (
        "directories",
        &[
            ("config", "{home}/etc/netdata"),
            ("stock config", "{home}/usr/lib/netdata/conf.d"),
            ("log", "{home}/var/log/netdata"),
            ("web", "{home}/usr/share/netdata/web"),
            ("cache", "{home}/var/cache/netdata"),
            ("lib", "{home}/var/lib/netdata"),
        ],
    ),
    ("registry", &[("netdata unique id file", "{home}/var/lib/netdata/registry/netdata.public.unique.id")]),
    ("web", &[("mode", "static-threaded"), ("default port", "19999"), ("bind to", "*")]),
];

/// A configuration as it was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conf {
    said: BTreeMap<String, BTreeMap<String, String>>,
    host: String,
    home: String,
}

impl Conf {
    /// Reads `netdata.conf` of an agent that is installed in `home` on `host`.
    pub fn read(text: &str, host: &str, home: &str) -> Self {
        let mut said: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        let mut section = String::new();
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                name.clone_into(&mut section);
            } else if let Some((key, value)) = line.split_once('=') {
                said.entry(section.clone()).or_default().insert(key.trim().to_owned(), value.trim().to_owned());
            }
        }
        Self { said, host: host.to_owned(), home: home.to_owned() }
    }

    /// A setting's value; one that is not known here and was not said is empty.
    pub fn get(&self, section: &str, key: &str) -> String {
        let said = self.said.get(section).and_then(|keys| keys.get(key)).filter(|value| !value.is_empty());
        said.cloned().unwrap_or_else(|| {
            let keys = SETTINGS.iter().find(|(name, _)| *name == section).map_or(&[][..], |(_, keys)| keys);
            let default = keys.iter().find(|(name, _)| *name == key).map_or("", |(_, value)| value);
            default.replace("{host}", &self.host).replace("{home}", &self.home)
        })
    }

    /// Seconds between the points of each tier.
    pub fn every(&self) -> Vec<u64> {
        let number = |key: &str, default: u64| self.get("db", key).parse().ok().filter(|n| *n > 0).unwrap_or(default);
        let mut every = number("update every", 1);
        let mut tiers = vec![every];
        for tier in 1..number("storage tiers", 3).min(5) {
            every *= number(&format!("dbengine tier {tier} update every iterations"), 60).clamp(2, 255);
            tiers.push(every);
        }
        tiers
    }

    /// As a running agent prints it: what was not said is a comment.
    pub fn print(&self) -> String {
        let mut text = "# netdata configuration\n".to_owned();
        for (section, keys) in SETTINGS {
            text += &format!("\n[{section}]\n");
            let said = self.said.get(section);
            for (key, _) in keys {
                let mark = if said.is_some_and(|said| said.contains_key(*key)) { "" } else { "# " };
                text += &format!("\t{mark}{key} = {}\n", self.get(section, key));
            }
            for (key, value) in said.into_iter().flatten().filter(|(key, _)| !keys.iter().any(|(name, _)| name == key))
            {
                text += &format!("\t{key} = {value}\n");
            }
        }
        for (section, said) in self.said.iter().filter(|(name, _)| !SETTINGS.iter().any(|(known, _)| known == name)) {
            text += &format!("\n[{section}]\n");
            for (key, value) in said {
                text += &format!("\t{key} = {value}\n");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_printed_as_a_comment() {
        let conf = Conf::read(
            "[global]\n hostname = mon\n[db]\nupdate every = 10\n# storage tiers = 1\ndbengine tier 1 update every iterations = 6\n[x]\ny = z\n",
            "h",
            "/o",
        );
        assert_eq!(conf.every(), [10, 60, 3600]);
        assert_eq!(Conf::default().every(), [1, 60, 3600]);
        let text = conf.print();
        for line in [
            "\thostname = mon",
            "\tupdate every = 10",
            "\t# storage tiers = 3",
            "\t# cache = /o/var/cache/netdata",
            "[x]\n\ty = z",
        ] {
            assert!(text.contains(&format!("{line}\n")), "{line}\n{text}");
        }
    }
}
