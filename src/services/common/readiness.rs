//! What a look before a restore found in the way, said at once.
//!
//! The look itself is a driver's: its script prints a line a finding, a word and what it is about. What the words of
//! every such script mean stands here; a driver adds its own.

use super::node::read_node;
use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::UnitName;
use crate::model::units::ByteSize;
use crate::services::Cx;
use crate::transport::Script;

/// What the shared words are told with.
pub struct Readiness<'a> {
    /// The node.
    pub host: &'a str,
    /// The unit that must be loaded; none when it is the unit itself that is restored.
    pub unit: Option<&'a UnitName>,
    /// The service by its own name: "Netdata".
    pub service: &'a str,
    /// How an account of it is made, without the name.
    pub make_user: &'a str,
    /// The settings that name its real places.
    pub places: &'a str,
    /// What may be done about a mount point, as the end of a sentence.
    pub past_mount: &'a str,
    /// Bytes that must be free.
    pub needs: u64,
}

/// Every finding is a line: a word and what it is about. `$1` the unit or empty, `$2` the account or empty, `$3` KiB that
/// must be free beside each target, then the targets.
const LOOK: &str = r#"u=$1; user=$2; need=$3; shift 3
if [ -n "$u" ]; then
  l=$(systemctl show --property=LoadState --value -- "$u")
  [ "$l" = loaded ] || echo "unit $l"
fi
[ -z "$user" ] || id -u -- "$user" >/dev/null 2>&1 || echo "user $user"
for c in flock tar sha256sum; do command -v "$c" >/dev/null || echo "tool $c"; done
for p in "$@"; do
  if [ -L "$p" ]; then echo "link $p"; fi
  if [ -d "$p" ] && [ ! -L "$p" ] && [ "$(stat -c %m -- "$p")" = "$p" ]; then echo "mount $p"; fi
  d=$(dirname -- "$p")
  while [ ! -d "$d" ]; do d=$(dirname -- "$d"); done
  free=$(df -Pk -- "$d" | awk 'NR == 2 { print $4 }')
  [ "$free" -ge "$need" ] || echo "room $free $d"
done
"#;

impl Readiness<'_> {
    /// Looks at the node where `targets` are to be replaced, for an account that must exist (empty: none).
    ///
    /// # Errors
    /// One failure with everything that is in the way.
    pub fn look(&self, cx: &Cx, user: &str, targets: &[String]) -> Result<()> {
        let need = self.needs.div_ceil(1024).saturating_add(1024);
        let mut script = Script::new(LOOK).arg(self.unit.map_or("", UnitName::as_str)).arg(user).arg(need.to_string());
        for target in targets {
            script = script.arg(target);
        }
        let output = read_node(cx, script, "Checking that the node is ready")?;
        self.judge(output.text().as_str(), |_, _| None).map_or(Ok(()), Err)
    }

    /// One failure with a hint for each finding; none when nothing is in the way. `own` reads a driver's own words.
    pub fn judge(&self, findings: &str, own: impl Fn(&str, &str) -> Option<String>) -> Option<Failure> {
        let mut failure: Option<Failure> = None;
        for line in findings.lines() {
            let (word, about) = line.split_once(' ').unwrap_or((line, ""));
            let own = || own(word, about).map(|hint| (Exit::Failed, hint));
            let Some((exit, hint)) = self.shared(word, about).or_else(own) else { continue };
            let so_far = failure.unwrap_or_else(|| {
                Failure::new(exit, format!("{} is not ready to take the restore; nothing was changed.", self.host))
            });
            failure = Some(if so_far.hints.contains(&hint) { so_far } else { so_far.hint(hint) });
        }
        failure
    }

    fn shared(&self, word: &str, about: &str) -> Option<(Exit, String)> {
        let unit = self.unit.map_or("", UnitName::as_str);
        let hint = match word {
            "unit" if about == "masked" => format!("{unit} is masked: systemctl unmask {unit}."),
            "unit" => format!("{unit} is {about}: install {} first, without starting it.", self.service),
            "user" => format!("The account {about} does not exist: {} {about}.", self.make_user),
            "tool" => format!("The program {about} is missing."),
            "link" => {
                format!("{about} is a symbolic link; name the real place in the inventory ({}).", self.places)
            }
            "mount" => format!("{about} is a mount point and cannot be renamed; {}.", self.past_mount),
            "room" => {
                let (free, place) = about.split_once(' ').unwrap_or(("0", about));
                let free = ByteSize(free.parse::<u64>().unwrap_or(0).saturating_mul(1024));
                let hint = format!("{place} has {free} free; {} and a margin are needed.", ByteSize(self.needs));
                return Some((Exit::NoSpace, hint));
            }
            _ => return None,
        };
        Some((Exit::Failed, hint))
    }
}
