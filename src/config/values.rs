//! Single values: each check says what is wrong and what would be right.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use super::error::nearest;
use crate::model::ids::HostId;
use crate::model::units::Seconds;

/// What is wrong with a value, before it is known where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// One sentence.
    pub message: String,
    /// What to do; may be empty.
    pub hint: String,
}

impl Problem {
    /// A sentence and what to do about it.
    pub fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into() }
    }
    /// A sentence that says it all.
    pub fn bare(message: impl Into<String>) -> Self {
        Self::new(message, "")
    }
}

type Checked<T> = Result<T, Problem>;

/// A span such as `24h`, `7d` or `1h30m`, of one second to a hundred years.
pub(crate) fn duration(text: &str) -> Checked<Seconds> {
    let bad = |why: &str| {
        Problem::new(
            format!("'{text}' is not a span of time: {why}."),
            "Write numbers with units, such as \"24h\", \"7d\" or \"1h30m\" (s, m, h, d, w).",
        )
    };
    if text.is_empty() {
        return Err(bad("it is empty"));
    }
    let (mut total, mut rest, mut last_unit) = (0_u64, text, u64::MAX);
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at(digits);
        if number.is_empty() {
            return Err(bad("a number is missing"));
        }
        let mut letters = after.chars();
        let unit = match letters.next() {
            Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3600,
            Some('d') => 86_400,
            Some('w') => 604_800,
            Some(_) => return Err(bad("a unit is not one of s, m, h, d, w")),
            None => return Err(bad("a unit is missing")),
        };
        if unit >= last_unit {
            return Err(bad("the larger unit comes first, and each once"));
        }
        last_unit = unit;
        let number: u64 = number.parse().map_err(|_| bad("it is too long"))?;
        total = number.checked_mul(unit).and_then(|n| total.checked_add(n)).ok_or_else(|| bad("it is too long"))?;
        rest = letters.as_str();
    }
    match total {
        0 => Err(bad("it is zero")),
        1..=3_155_760_000 => Ok(Seconds(total)),
        _ => Err(bad("it is too long")),
    }
}

/// A host name or IP address without port and user; brackets around IPv6 are taken off.
pub(crate) fn address(text: &str) -> Checked<String> {
    let bad = |why: &str, hint: &str| Problem::new(format!("'{text}' is not an address: {why}."), hint);
    let inner = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    if inner.is_empty() {
        return Err(bad("it is empty", "Write a host name or an IP address."));
    }
    if inner.contains('@') {
        return Err(bad("it holds a user", "Write the user under 'user'."));
    }
    if inner.contains("://") || inner.contains('/') {
        return Err(bad("it looks like a URL", "Write the host name or IP address alone."));
    }
    if inner.matches(':').count() == 1 || text.contains("]:") {
        return Err(bad("it holds a port", "Write the port under 'port'."));
    }
    if inner.contains(':') {
        let (ip, zone) = inner.split_once('%').unwrap_or((inner, "0"));
        let zone_ok =
            !zone.is_empty() && zone.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
        return match ip.parse::<Ipv6Addr>() {
            Ok(_) if zone_ok => Ok(inner.to_owned()),
            _ => Err(bad("this IPv6 address cannot be read", "Write it as in \"2001:db8::7\".")),
        };
    }
    if inner.chars().all(|c| c.is_ascii_digit() || c == '.') {
        return match inner.parse::<Ipv4Addr>() {
            Ok(_) => Ok(inner.to_owned()),
            Err(_) => Err(bad("this IPv4 address cannot be read", "Write four numbers from 0 to 255.")),
        };
    }
    let label_ok = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && label.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
    };
    if inner.len() > 253 || !inner.strip_suffix('.').unwrap_or(inner).split('.').all(label_ok) {
        let hint = "Letters, digits, '-' and '_' between dots; write other scripts in their xn-- form.";
        return Err(bad("no host is named like that", hint));
    }
    Ok(inner.to_owned())
}

/// A port number.
pub(crate) fn port(text: &str) -> Checked<u16> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    let port = text.parse::<u16>().ok().filter(|&port| port != 0 && digits);
    port.ok_or_else(|| Problem::new(format!("'{text}' is not a possible port."), "Write 1 to 65535."))
}

/// A login name, safe as an argument.
pub(crate) fn user(text: &str) -> Checked<String> {
    let ok = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '$' | '\\' | '+');
    if text.is_empty() || text.len() > 64 || text.starts_with('-') || !text.chars().all(ok) {
        let hint = "Letters, digits, '.', '_', '-', '+', '$' and '\\', not starting with '-'.";
        return Err(Problem::new(format!("'{text}' is not a usable login name."), hint));
    }
    Ok(text.to_owned())
}

/// `user@address[:port]`, an IPv6 address in brackets when a port follows.
pub(crate) fn endpoint(text: &str) -> Checked<(String, String, Option<u16>)> {
    let Some((name, place)) = text.rsplit_once('@') else {
        return Err(Problem::new(format!("'{text}' is not user@address."), "Write user@address or user@address:port."));
    };
    let (host, port_text) = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, after)) => (host, Some(after.strip_prefix(':').unwrap_or(after))),
        None if place.matches(':').count() == 1 => match place.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        },
        None => (place, None),
    };
    Ok((user(name)?, address(host)?, port_text.map(port).transpose()?))
}

/// A pinned host key: `SHA256:` and 43 base64 characters, as `ssh-keygen -lf` prints it.
pub(crate) fn fingerprint(text: &str) -> Checked<String> {
    const HINT: &str = "Write it as `ssh-keygen -lf FILE` prints it: \"SHA256:\" and 43 characters.";
    if text.starts_with("MD5:") || (text.len() == 47 && text.matches(':').count() == 15) {
        return Err(Problem::new("An MD5 fingerprint proves too little.", HINT));
    }
    if text.starts_with("ssh-") || text.starts_with("ecdsa-") {
        return Err(Problem::new("This is a public key, not a fingerprint.", HINT));
    }
    let hash = text.strip_prefix("SHA256:").unwrap_or("");
    // 43 characters carry 258 bits, so the last one may only be one whose lowest two bits are zero.
    let last_ok = hash.chars().last().is_some_and(|c| "AEIMQUYcgkosw048".contains(c));
    if hash.len() != 43 || !last_ok || !hash.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/')) {
        return Err(Problem::new(format!("'{text}' is not a host key fingerprint."), HINT));
    }
    Ok(text.to_owned())
}

/// A public key that can open sealed data: `age1…`, `ssh-ed25519 …` or `ssh-rsa …`.
pub(crate) fn recipient(text: &str) -> Checked<String> {
    const HINT: &str = "Write an age public key (age1…) or an SSH public key (ssh-ed25519 … or ssh-rsa …).";
    let text = text.trim();
    if text.to_ascii_uppercase().contains("SECRET-KEY-") || text.contains("PRIVATE KEY") {
        let hint = "Take it out of this file, consider it known to others, and write its public key.";
        return Err(Problem::new("A private key stands among the recipients.", hint));
    }
    if text.starts_with("ssh-ed25519 ") || text.starts_with("ssh-rsa ") {
        return match ssh_key::PublicKey::from_openssh(text) {
            Ok(_) => Ok(text.to_owned()),
            Err(_) => Err(Problem::new("This SSH public key cannot be read.", HINT)),
        };
    }
    let shown: String = text.chars().take(12).collect();
    if text.starts_with("age1") {
        if is_age_recipient(text) {
            return Ok(text.to_owned());
        }
        return Err(Problem::new(format!("'{shown}…' is not a whole age public key: its checksum is wrong."), HINT));
    }
    Err(Problem::new(format!("'{shown}…' is not a recipient."), HINT))
}

/// Bech32 of 32 bytes under the prefix `age`, checksum included.
fn is_age_recipient(text: &str) -> bool {
    const ALPHABET: &[u8] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    const GENERATOR: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
    let Some(data) = text.strip_prefix("age1").filter(|data| data.len() == 58) else { return false };
    let prefix = b"age".map(u32::from);
    let expanded = prefix.iter().map(|c| c >> 5).chain([0]).chain(prefix.iter().map(|c| c & 31));
    let values =
        data.bytes().map(|byte| ALPHABET.iter().position(|&a| a == byte).and_then(|at| u32::try_from(at).ok()));
    let Some(values) = values.collect::<Option<Vec<u32>>>() else { return false };
    let checksum = expanded.chain(values).fold(1_u32, |sum, value| {
        let top = sum >> 25;
        let next = ((sum & 0x01ff_ffff) << 5) ^ value;
        GENERATOR.iter().enumerate().filter(|(bit, _)| top >> bit & 1 == 1).fold(next, |sum, (_, g)| sum ^ g)
    });
    checksum == 1
}

/// A group's name: the alphabet of a host's.
pub(crate) fn group(text: &str) -> Checked<String> {
    match HostId::new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(bad) => Err(Problem::bare(bad.to_string().replace("host name", "group name"))),
    }
}

/// A path with `~` expanded, and a relative one taken from `base`.
pub(crate) fn path(text: &str, home: &Path, base: &Path) -> Checked<PathBuf> {
    if text.is_empty() {
        return Err(Problem::bare("A path is empty."));
    }
    if text.contains('\0') {
        return Err(Problem::bare("A path holds a zero byte."));
    }
    if text == "~" {
        return Ok(home.to_owned());
    }
    match text.strip_prefix('~').map(|rest| rest.strip_prefix('/')) {
        Some(Some(rest)) => Ok(home.join(rest)),
        Some(None) => Err(Problem::new(
            format!("'{text}': another user's '~' is not expanded."),
            "Write the whole path, or \"./~name\" for a name that starts like that.",
        )),
        None => Ok(base.join(text)),
    }
}

/// A place for copies: a directory or `s3://bucket/prefix`.
pub(crate) fn replica(text: &str, home: &Path, base: &Path) -> Checked<String> {
    if let Some(bucket) = text.strip_prefix("s3://") {
        let name = bucket.split('/').next().unwrap_or("");
        let ok = (3..=63).contains(&name.len())
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-'));
        let problem = || Problem::new(format!("'{text}' names no bucket."), "Write \"s3://bucket/prefix\".");
        return ok.then(|| text.to_owned()).ok_or_else(problem);
    }
    if text.contains("://") {
        let hint = "A replica is a directory or \"s3://bucket/prefix\".";
        return Err(Problem::new(format!("'{text}' is not a place for copies."), hint));
    }
    path(text, home, base).map(|path| path.to_string_lossy().into_owned())
}

/// One of `words`.
pub(crate) fn word<T: Copy>(key: &str, text: &str, words: &[(&str, T)]) -> Checked<T> {
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
        return Ok(*value);
    }
    let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let meant = nearest(text, names.iter().copied()).map(|word| format!(" Did you mean '{word}'?"));
    let hint = format!("Write one of: {}.{}", names.join(", "), meant.unwrap_or_default());
    Err(Problem::new(format!("'{text}' is not a possible {key}."), hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_time_are_read_and_odd_ones_refused() {
        for (text, seconds) in [("24h", 86_400), ("7d", 604_800), ("1h30m", 5400), ("1w2d", 777_600), ("90s", 90)] {
            assert_eq!(duration(text), Ok(Seconds(seconds)));
        }
        for bad in
            ["", "24", "h", "24 h", "0s", "1m1h", "1h1h", "99999999999999999999s", "9999w9999999d", "1.5h", "-1h"]
        {
            assert!(duration(bad).is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn addresses_are_names_or_numbers_and_nothing_else() {
        for good in ["10.0.0.11", "val-1", "a.example.com.", "2001:db8::7", "fe80::1%eth0", "::1", "node_1"] {
            assert_eq!(address(good), Ok(good.to_owned()));
        }
        assert_eq!(address("[::1]"), Ok("::1".to_owned()));
        for bad in [
            "",
            "a b",
            "ops@a",
            "ssh://a",
            "a:22",
            "[::1]:22",
            "10.0.0.256",
            "1.2.3",
            "-oProxyCommand=x",
            "a..b",
            "bücher",
            "::g",
        ] {
            assert!(address(bad).is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn endpoints_take_a_port_and_brackets() {
        assert_eq!(endpoint("ops@a:2222"), Ok(("ops".into(), "a".into(), Some(2222))));
        assert_eq!(endpoint("ops@[::1]:2222"), Ok(("ops".into(), "::1".into(), Some(2222))));
        assert_eq!(endpoint("ops@2001:db8::7"), Ok(("ops".into(), "2001:db8::7".into(), None)));
        for bad in ["a", "@a", "ops@", "ops@a:0", "ops@a:x", "ops@a:+22", "-x@a", "ops@a:70000"] {
            assert!(endpoint(bad).is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn a_mistyped_age_key_is_caught_by_its_checksum() {
        let good = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
        assert!(recipient(good).is_ok());
        assert!(recipient(&good.replace("hjy", "hyj")).is_err());
        assert!(recipient("age1ql3z7").is_err());
        let private = recipient("AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZ").unwrap_err();
        assert!(!format!("{private:?}").contains("GFPYY"), "a private key was repeated");
    }

    #[test]
    fn paths_start_from_home_or_from_the_inventory() {
        let (home, base) = (Path::new("/home/ops"), Path::new("/etc/lifeboat"));
        assert_eq!(path("~/x", home, base), Ok("/home/ops/x".into()));
        assert_eq!(path("x", home, base), Ok("/etc/lifeboat/x".into()));
        assert_eq!(path("/x", home, base), Ok("/x".into()));
        assert!(path("~root/x", home, base).is_err());
        assert!(replica("ftp://x", home, base).is_err());
        assert_eq!(replica("s3://bucket/a", home, base), Ok("s3://bucket/a".into()));
    }
}
