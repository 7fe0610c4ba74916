//! Names on disk: percent-encoded, bounded, and safe on filesystems that do not tell `A` from `a`.

use std::path::{Path, PathBuf};

use crate::model::ids::{ItemRef, RunId};

use super::disk;
use super::error::VaultError;

/// The directory of runs.
pub(super) const RUNS: &str = "runs";
/// The directory of companions: inventory, host keys, runbooks.
pub(super) const ABOUT: &str = "about";
/// Unfinished work.
pub(super) const STAGING: &str = ".staging";
/// Leases.
pub(super) const LEASES: &str = ".leases";
/// What makes a directory a vault.
pub(super) const VAULT: &str = "vault.json";
/// What makes a directory a snapshot.
pub(super) const MANIFEST: &str = "manifest.json";
/// The break-glass card.
pub(super) const CARD: &str = "RESTORE.md";
/// The list of hashes.
pub(super) const SUMS: &str = "SHA256SUMS";
/// The sealed hashes of secret files.
pub(super) const HASHES: &str = "hashes.json.age";
/// The directory of proofs.
pub(super) const PROOFS: &str = "proofs";

const LONGEST: usize = 160;
const KEPT: usize = 120;

fn stands_for_itself(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-')
}

/// Names that Windows and its network shares keep for devices.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name);
    let numbered =
        |kind: &str| stem.strip_prefix(kind).is_some_and(|n| n.len() == 1 && n.bytes().all(|b| b.is_ascii_digit()));
    matches!(stem, "con" | "prn" | "aux" | "nul") || numbered("com") || numbered("lpt")
}

fn encode(name: &str, reserved: &[&str]) -> String {
    let first = name.starts_with('.') || is_device(name) || reserved.contains(&name);
    let last = name.len().saturating_sub(1);
    let mut parts = Vec::with_capacity(name.len());
    for (at, byte) in name.bytes().enumerate() {
        let escape = !stands_for_itself(byte) || (at == 0 && first) || (at == last && byte == b'.');
        parts.push(if escape { format!("%{byte:02x}") } else { char::from(byte).to_string() });
    }
    let whole = parts.concat();
    if whole.len() <= LONGEST {
        return whole;
    }
    let mut cut = String::with_capacity(LONGEST);
    for part in parts {
        if cut.len() + part.len() > KEPT {
            break;
        }
        cut.push_str(&part);
    }
    cut + "%_" + &disk::sha256(name.as_bytes())[..32]
}

/// An owner, service, item or run as one directory name.
pub fn directory_name(name: &str) -> String {
    encode(name, &[RUNS, ABOUT, VAULT])
}

/// Whether a name on disk may be one of [`directory_name`] or a stamp.
pub(super) fn is_stored(name: &str) -> bool {
    is_stamp(name) || (name.len() <= LONGEST && name.bytes().all(|byte| stands_for_itself(byte) || byte == b'%'))
}

/// A payload file's name on disk, without `.age`.
pub fn file_name(name: &str) -> Result<String, VaultError> {
    let refuse = |why| Err(VaultError::Name { name: name.escape_debug().take(80).collect(), why });
    if name.is_empty() || name.len() > 1024 {
        return refuse("it must have 1 to 1024 bytes");
    }
    if name.chars().any(char::is_control) {
        return refuse("it has a control character");
    }
    if name.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return refuse("it must be a relative path without '.' and '..'");
    }
    let reserved = [
        MANIFEST,
        "manifest.json.age",
        "restore.md",
        "restore.md.age",
        "sha256sums",
        "sha256sums.age",
        "hashes.json",
        HASHES,
        PROOFS,
        "proofs.age",
    ];
    Ok(encode(name, &reserved))
}

/// Whether this has the form of a snapshot's or run's id: `20261120T184500Z-7f3a9c`.
pub fn is_stamp(id: &str) -> bool {
    let bytes = id.as_bytes();
    let digits = |range: std::ops::Range<usize>| bytes[range].iter().all(u8::is_ascii_digit);
    (21..=49).contains(&bytes.len())
        && digits(0..8)
        && bytes[8] == b'T'
        && digits(9..15)
        && bytes[15] == b'Z'
        && bytes[16] == b'-'
        && bytes[17..].iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// A run's directory name: its id as it is when it has the usual form.
pub(super) fn run_name(run: &RunId) -> String {
    if is_stamp(run.as_str()) { run.as_str().to_owned() } else { directory_name(run.as_str()) }
}

/// Where an item's snapshots lie.
pub(super) fn item_dir(root: &Path, item: &ItemRef) -> PathBuf {
    [item.owner.as_str(), item.service.as_str(), item.item.as_str()]
        .iter()
        .fold(root.to_owned(), |path, name| path.join(directory_name(name)))
}

/// The item whose snapshots lie at or above a path of the vault at `root`; `None` when the path names no item.
pub fn item_of_path(root: &Path, path: &Path) -> Option<ItemRef> {
    let mut parts = path.strip_prefix(root).ok()?.components();
    let mut name = || decode(parts.next()?.as_os_str().to_str()?);
    let (owner, service, item) = (name()?, name()?, name()?);
    Some(ItemRef { owner: owner.try_into().ok()?, service: service.try_into().ok()?, item: item.try_into().ok()? })
}

/// The name a directory stands for; `None` for one that was cut.
fn decode(stored: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(stored.len());
    let mut rest = stored.as_bytes();
    while let Some((&first, more)) = rest.split_first() {
        if first != b'%' {
            bytes.push(first);
            rest = more;
            continue;
        }
        let (digits, more) = more.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = more;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn usual_names_stay_as_they_are_and_the_rest_is_escaped() {
        for (name, stored) in [
            ("val-1", "val-1"),
            ("stream.ORDERS", "stream.%4f%52%44%45%52%53"),
            ("runs", "%72uns"),
            ("about", "%61bout"),
            ("con.txt", "%63on.txt"),
            ("com1", "%63om1"),
            ("comet", "comet"),
            ("a.", "a%2e"),
        ] {
            assert_eq!(directory_name(name), stored);
        }
        assert_eq!(file_name("C/config.json").unwrap(), "%43%2fconfig.json");
        assert_eq!(file_name("manifest.json").unwrap(), "%6danifest.json");
        assert_eq!(file_name(".env").unwrap(), "%2eenv");
        for bad in ["", "a/../b", "/etc", "a//b", "a\nb", "..", &"x".repeat(1025)] {
            assert!(file_name(bad).is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn a_path_tells_its_item() {
        let item = ItemRef {
            owner: "val-1".parse().unwrap(),
            service: "runs".parse().unwrap(),
            item: "stream.ORDERS".parse().unwrap(),
        };
        let root = Path::new("/vault");
        let of = |path: &Path| item_of_path(root, path);
        assert_eq!(of(&item_dir(root, &item).join("20261120T184500Z-7f3a/manifest.json")), Some(item.clone()));
        assert_eq!(of(&item_dir(root, &item)), Some(item));
        for path in ["/vault/val-1/app", "/elsewhere/a/b/c", "/vault/a/b/c%_00", "/vault/a/b/%4"] {
            assert_eq!(of(Path::new(path)), None, "{path}");
        }
    }

    #[test]
    fn ids_have_one_form() {
        assert!(is_stamp("20261120T184500Z-7f3a"));
        for bad in ["20261120T184500Z-7F3A", "20261120T184500Z-", "x", "20261120t184500z-7f3a", "20261120T184500Z-7f3"]
        {
            assert!(!is_stamp(bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn two_names_never_meet_whatever_the_case(a in "[A-Za-z0-9._-]{1,200}", b in "[A-Za-z0-9._-]{1,200}") {
            let (x, y) = (directory_name(&a), directory_name(&b));
            prop_assert!(x.len() <= 160 && !x.starts_with('.') && x == x.to_lowercase());
            prop_assert_eq!(a == b, x == y);
        }

        #[test]
        fn any_text_is_bounded_and_needs_no_quoting(name in "\\PC{1,200}") {
            if let Ok(stored) = file_name(&name) {
                prop_assert!(stored.len() <= 160);
                prop_assert!(stored.bytes().all(|b| stands_for_itself(b) || b == b'%'));
            }
        }
    }
}
