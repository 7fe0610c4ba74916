//! Netdata's configuration text: sections of `key = value`, where a commented line is a default in force.

use std::collections::BTreeMap;

/// A configuration as the running agent prints it, or as its file says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Conf {
    values: BTreeMap<(String, String), String>,
}

/// How many settings are kept of one text.
const MOST: usize = 20_000;

/// The settings that say where the API listens, the first that is there counts; then those that say on which port.
pub const BIND_KEYS: [(&str, &str); 3] = [("web", "bind to"), ("global", "bind socket to IP"), ("global", "bind to")];
/// See [`BIND_KEYS`].
pub const PORT_KEYS: [(&str, &str); 2] = [("web", "default port"), ("global", "default port")];

impl Conf {
    /// Reads a text. `defaults`: whether commented settings count, as they do in what an agent prints of itself.
    pub fn read(text: &str, defaults: bool) -> Self {
        let mut conf = Self::default();
        let mut section = String::new();
        for line in text.lines() {
            let line = line.trim();
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                name.trim().clone_into(&mut section);
                continue;
            }
            let (line, is_default) = line.strip_prefix('#').map_or((line, false), |rest| (rest.trim(), true));
            let Some((key, value)) = line.split_once('=') else { continue };
            if section.is_empty() || (is_default && !defaults) || conf.values.len() >= MOST {
                continue;
            }
            conf.values.insert((section.clone(), key.trim().to_owned()), value.trim().to_owned());
        }
        conf
    }

    /// A setting's value; an empty one is none.
    pub fn get(&self, section: &str, key: &str) -> Option<&str> {
        let value = self.values.get(&(section.to_owned(), key.to_owned()))?;
        (!value.is_empty()).then_some(value.as_str())
    }

    /// Whether anything was read.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// A directory: the name it has now, or had before 1.33.
    pub fn directory(&self, name: &str) -> Option<&str> {
        self.get("directories", name).or_else(|| self.get("global", &format!("{name} directory")))
    }

    /// The database's mode.
    pub fn db_mode(&self) -> Option<&str> {
        self.get("db", "mode").or_else(|| self.get("global", "memory mode"))
    }

    /// How many tiers are stored.
    pub fn tiers(&self) -> Option<usize> {
        self.get("db", "storage tiers")?.parse().ok().filter(|tiers| (1..=5).contains(tiers))
    }

    /// How many bytes a tier may have before its oldest samples are deleted; 0 is no limit.
    ///
    /// 1.x counts in MiB under names of its own; from 2.0 on the value carries its unit.
    pub fn tier_limit(&self, tier: usize) -> Option<u64> {
        let mib = |text: &str| text.parse::<u64>().ok()?.checked_mul(1 << 20);
        if let Some(size) = self.get("db", &format!("dbengine tier {tier} retention size")) {
            return size_of(size);
        }
        if tier == 0 {
            let keys = ["dbengine tier 0 disk space MB", "dbengine multihost disk space MB"];
            return keys.into_iter().find_map(|key| self.get("db", key)).and_then(mib);
        }
        self.get("db", &format!("dbengine tier {tier} multihost disk space MB")).and_then(mib)
    }

    /// Where the API listens: address and port, or a socket; by [`BIND_KEYS`] and [`PORT_KEYS`].
    pub fn bind(&self) -> Bind {
        let first = |keys: &[(&str, &str)]| keys.iter().find_map(|(section, key)| self.get(section, key));
        let port = first(&PORT_KEYS).and_then(|port| port.parse().ok()).unwrap_or(DEFAULT_PORT);
        let bound = first(&BIND_KEYS).unwrap_or("*");
        let mut socket = None;
        for word in bound.split_whitespace() {
            let word = word.split(['=', '^']).next().unwrap_or(word);
            let word = word.strip_prefix("tcp:").unwrap_or(word);
            if let Some(path) = word.strip_prefix("unix:") {
                socket.get_or_insert_with(|| path.to_owned());
                continue;
            }
            if word.starts_with("udp:") {
                continue;
            }
            let (host, own_port) = split_port(word);
            let host = match host {
                "" | "*" | "any" | "all" | "0.0.0.0" | "::" | "localhost" | "::1" => "127.0.0.1",
                host => host,
            };
            return Bind { host: host.to_owned(), port: own_port.unwrap_or(port), socket: None };
        }
        Bind { host: "127.0.0.1".to_owned(), port, socket }
    }
}

/// The port of every Netdata that was told nothing.
pub const DEFAULT_PORT: u16 = 19_999;

/// Where an API listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// An address as the node reaches it.
    pub host: String,
    /// The port.
    pub port: u16,
    /// A socket, when it listens on nothing else.
    pub socket: Option<String>,
}

fn split_port(word: &str) -> (&str, Option<u16>) {
    if let Some(rest) = word.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').unwrap_or((rest, ""));
        return (host, rest.strip_prefix(':').and_then(|port| port.parse().ok()));
    }
    match word.split_once(':') {
        Some((host, port)) if !port.contains(':') => (host, port.parse().ok()),
        _ => (word, None),
    }
}

/// "1GiB", "512 MiB", "0", "off".
fn size_of(text: &str) -> Option<u64> {
    let text = text.trim();
    if matches!(text, "off" | "never" | "none") {
        return Some(0);
    }
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == ' ');
    let unit = text.get(digits.len()..).unwrap_or("").trim();
    let factor: u64 = match unit {
        "" | "B" => 1,
        "KiB" | "K" => 1 << 10,
        "MiB" | "M" => 1 << 20,
        "GiB" | "G" => 1 << 30,
        "TiB" | "T" => 1 << 40,
        "KB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        _ => return None,
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let whole = whole.parse::<u64>().ok()?.checked_mul(factor)?;
    // A tenth or two is enough here: 1.5GiB.
    let part = match part.get(..1).unwrap_or("") {
        "" => 0,
        tenth => tenth.parse::<u64>().ok()?.checked_mul(factor)? / 10,
    };
    whole.checked_add(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = "[global]\n\trun as user = netdata\n[db]\n\tstorage tiers = 2\n\t# mode = dbengine\n\
        \t# dbengine multihost disk space MB = 256\n\t# dbengine tier 1 multihost disk space MB = 128\n\
        [directories]\n\t# cache = /var/cache/netdata\n\tlib = /srv/lib\n[web]\n\tbind to = 127.0.0.1:19777\n";

    #[test]
    fn a_commented_setting_is_a_default_only_in_what_the_agent_prints() {
        let (running, file) = (Conf::read(PRINTED, true), Conf::read(PRINTED, false));
        assert_eq!((running.directory("cache"), file.directory("cache")), (Some("/var/cache/netdata"), None));
        assert_eq!((running.directory("lib"), running.db_mode()), (Some("/srv/lib"), Some("dbengine")));
        assert_eq!(
            (running.tiers(), running.tier_limit(0), running.tier_limit(1)),
            (Some(2), Some(256 << 20), Some(128 << 20))
        );
    }

    #[test]
    fn limits_of_both_generations_are_read() {
        let conf =
            Conf::read("[db]\ndbengine tier 0 retention size = 1.5GiB\ndbengine tier 1 retention size = off\n", false);
        assert_eq!((conf.tier_limit(0), conf.tier_limit(1), conf.tier_limit(2)), (Some(3 << 29), Some(0), None));
        assert_eq!(
            Conf::read("[global]\nmemory mode = ram\ncache directory = /c\n", false).directory("cache"),
            Some("/c")
        );
    }

    #[test]
    fn where_it_listens_is_taken_from_the_first_tcp_address() {
        let bind = |text: &str| {
            let bind = Conf::read(&format!("[web]\nbind to = {text}\n"), false).bind();
            (bind.host, bind.port, bind.socket)
        };
        assert_eq!(bind("*"), ("127.0.0.1".to_owned(), 19_999, None));
        assert_eq!(bind("10.0.0.5:8080=dashboard^SSL=optional *"), ("10.0.0.5".to_owned(), 8080, None));
        assert_eq!(bind("[fd00::1]:20000"), ("fd00::1".to_owned(), 20_000, None));
        assert_eq!(bind("unix:/run/nd.sock").2, Some("/run/nd.sock".to_owned()));
    }
}
