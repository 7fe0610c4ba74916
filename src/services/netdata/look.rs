//! The two scripts that look at a node. No key is read: of `stream.conf` only whether and where it streams.

use crate::model::exit::Result;
use crate::model::units::ByteSize;
use crate::services::Cx;
use crate::services::common::{Answers, PUT, SHOW_FENCE, UNIT_PROPERTIES, read_node};
use crate::transport::Script;

/// What runs and how it was started. `$1` unit, `$2` its configuration file or empty.
///
/// A second process called `netdata` whose parent is called so too is the agent's own helper. Anybody on the node may
/// call a process so. So nothing is run that only a process names: the version is asked of the program that the unit
/// starts, which only root can choose.
///
/// A process whose root is another one than this login's is in a container, also when the unit runs what started it.
const FIRST: &str = r#"u=$1
show=$(systemctl show --property=$p,FragmentPath,User,ExecStart,TimeoutStopUSec -- "$u" 2>/dev/null; show_fence "$u")
printf '%s\n' "$show" | put show
pid=$(printf '%s\n' "$show" | sed -n 's/^MainPID=//p')
name_of() { n=; read -r n 2>/dev/null <"/proc/$1/comm" || :; printf '%s' "$n"; }
boxed() {
  r=$(stat -L -c %d:%i "/proc/$1/root/" 2>/dev/null) || return 1
  [ "$r" != "$(stat -L -c %d:%i /)" ]
}
strays=$(for c in /proc/[0-9]*/comm; do
  n=
  read -r n 2>/dev/null <"$c" || :
  [ "$n" = netdata ] || continue
  q=${c#/proc/}; q=${q%/comm}
  [ "$q" != "${pid:-0}" ] || continue
  up=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$q/status" 2>/dev/null)
  [ "$(name_of "${up:-0}")" = netdata ] || echo "$q"
done)
printf '%s\n' "$strays" | put strays
started=$(printf '%s\n' "$show" | sed -n 's/^ExecStart={ path=\(.*\) ; argv\[\]=.*/\1/p' | head -n 1)
box=
if [ "${pid:-0}" != 0 ]; then
  if boxed "$pid"; then box=$pid
  elif [ "$(name_of "$pid")" != netdata ]; then for q in $strays; do if boxed "$q"; then box=$q; break; fi; done; fi
else
  pid=$(printf '%s\n' "$strays" | head -n 1)
  if [ -n "$pid" ] && boxed "$pid"; then box=$pid; fi
fi
if [ -n "$box" ]; then
  echo 1 | put container
  sed -n 's/.*:.*\/\([^/]*\)$/\1/p' "/proc/$box/cgroup" 2>/dev/null | head -n 1 | put cgroup
fi
if [ -n "$pid" ] && [ -r "/proc/$pid/cmdline" ]; then
  args=$(tr '\n\000' '\001\n' <"/proc/$pid/cmdline")
  program=$(readlink "/proc/$pid/exe")
  user=$(stat -c %U "/proc/$pid")
  [ "$user" != UNKNOWN ] || user=$(stat -c %u "/proc/$pid")
else
  args=$(printf '%s\n' "$show" | sed -n 's/^ExecStart={ path=.* ; argv\[\]=\(.*\) ; ignore_errors=.*/\1/p' | head -n 1 | tr ' ' '\n')
  program=$(printf '%s\n' "$args" | head -n 1)
  user=
fi
printf '%s' "$program" | put program
cfg=$2
[ -n "$cfg" ] || cfg=$(printf '%s\n' "$args" | sed -n '/^-c$/{n;p;}' | tail -n 1)
if [ -z "$cfg" ]; then
  case $program in /opt/netdata/*) cfg=/opt/netdata/etc/netdata/netdata.conf ;; *) cfg=/etc/netdata/netdata.conf ;; esac
fi
printf '%s' "$cfg" | put conf-path
if [ -f "$cfg" ]; then head -c 262144 -- "$cfg" | put conf; fi
printf '%s\n' "$args" | sed -n '/^-p$/{n;p;}' | tail -n 1 | put port
by='its process'
[ -n "$user" ] || { user=$(printf '%s\n' "$show" | sed -n 's/^User=//p'); by=systemd; }
[ -n "$user" ] && [ "$user" != root ] || { user=$(sed -n 's/^[[:space:]]*run as user[[:space:]]*=[[:space:]]*//p' "$cfg" 2>/dev/null | tail -n 1); by=netdata.conf; }
[ -n "$user" ] || { user=netdata; by=default; }
printf '%s' "$user" | put user
printf '%s' "$by" | put user-by
case $started in */netdata) if [ -x "$started" ]; then timeout 5 "$started" -V 2>/dev/null | head -n 1 | put version; fi ;; esac
if command -v dpkg-query >/dev/null; then dpkg-query -S "$program" 2>/dev/null | head -n 1 | put package; fi
"#;

/// What stands in the directories. `$1` configuration, `$2` library, `$3` cache, `$4` the GUID's file, each absolute.
const SECOND: &str = r#"for k in config lib cache; do
  case $k in config) p=$1 ;; lib) p=$2 ;; cache) p=$3 ;; esac
  r=$(readlink -f -- "$p") || r=$p
  printf '%s' "$r" | put "$k"
  [ -d "$r" ] || continue
  m=no; [ "$(stat -c %m -- "$r")" != "$r" ] || m=yes
  s=$(timeout 120 find "$r" -xdev -type f -printf '%s\n' 2>/dev/null | awk '{ s += $1 } END { printf "%.0f", s }')
  f=$(df -Pk -- "$r" | awk 'NR == 2 { printf "%.0f", $4 * 1024 }')
  printf '%s|%s|%s|%s' "$m" "$(stat -c %U -- "$r")" "${s:-0}" "${f:-0}" | put "$k-seen"
done
[ ! -f "$1/netdata.conf" ] || echo 1 | put has-conf
g=$4; [ -n "$g" ] || g=$2/registry/netdata.public.unique.id
if [ -f "$g" ]; then head -c 64 -- "$g" | put guid; fi
if [ -f "$2/cloud.d/claimed_id" ]; then head -c 64 -- "$2/cloud.d/claimed_id" | put claimed; fi
if [ -f "$2/cloud.d/cloud.conf" ]; then sed -n 's/^[[:space:]]*claimed_id[[:space:]]*=[[:space:]]*//p' "$2/cloud.d/cloud.conf" | head -c 64 | put claimed-conf; fi
if [ -f "$1/stream.conf" ]; then
  awk '/^[[:space:]]*\[/ { on = ($0 ~ /\[stream\]/) } on && /^[[:space:]]*(enabled|destination)[[:space:]]*=/' "$1/stream.conf" | head -c 4096 | put stream
fi
[ ! -f "$3/netdata-meta.db" ] || echo 1 | put has-meta
[ ! -d "$3/dbengine" ] || echo 1 | put has-engine
if [ -d "$3" ]; then
  case $(stat -f -c %T -- "$3") in
    btrfs|bcachefs) echo 1 | put reflinks ;;
    xfs) if xfs_info "$(stat -c %m -- "$3")" 2>/dev/null | grep -q 'reflink=1'; then echo 1 | put reflinks; fi ;;
  esac
  find "$3/" -mindepth 2 -maxdepth 2 -type f \( -name '*.ndf' -o -name '*.njf' -o -name '*.njfv2' \) -printf '%s %P\n' | head -n 20000 | put samples
fi
"#;

/// Asks what runs and how it was started.
pub fn first(cx: &Cx, unit: &str, conf: &str) -> Result<Answers> {
    let script = Script::new(format!("{PUT}{SHOW_FENCE}p={UNIT_PROPERTIES}\n{FIRST}")).arg(unit).arg(conf);
    Ok(Answers::read(&read_node(cx, script, "Looking at Netdata")?.stdout))
}

/// Looks at the directories; a large cache takes its time.
pub fn second(cx: &Cx, config: &str, lib: &str, cache: &str, guid_file: &str) -> Result<Answers> {
    let limit = std::time::Duration::from_mins(7);
    let script = Script::new(format!("{PUT}{SECOND}")).arg(config).arg(lib).arg(cache).arg(guid_file);
    Ok(Answers::read(&read_node(cx, script.within(limit, limit), "Looking at Netdata's files")?.stdout))
}

/// What a listing of samples says: bytes on disk of each tier, and how many of them are written once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stored {
    /// Bytes of each tier that has a directory.
    pub tiers: Vec<u64>,
    /// Bytes of files that are not the newest of their directory.
    pub settled: u64,
}

/// Reads the `samples` answer.
pub fn stored(listing: &str) -> Stored {
    let mut stored = Stored::default();
    let mut newest: std::collections::BTreeMap<(&str, &str), (&str, u64)> = std::collections::BTreeMap::new();
    for line in listing.lines() {
        let Some((size, name)) = line.split_once(' ') else { continue };
        let (Ok(size), Some((dir, file))) = (size.parse::<u64>(), name.split_once('/')) else { continue };
        let tier = match dir.strip_prefix("dbengine") {
            Some("") => 0,
            Some(rest) => match rest.strip_prefix("-tier").and_then(|tier| tier.parse::<usize>().ok()) {
                Some(tier @ 1..=4) => tier,
                _ => continue,
            },
            None => continue,
        };
        if stored.tiers.len() <= tier {
            stored.tiers.resize(tier + 1, 0);
        }
        if let Some(sum) = stored.tiers.get_mut(tier) {
            *sum = sum.saturating_add(size);
        }
        stored.settled = stored.settled.saturating_add(size);
        let ending = file.rsplit('.').next().unwrap_or_default();
        let last = newest.entry((dir, ending)).or_insert((file, size));
        if *last.0 < *file {
            *last = (file, size);
        }
    }
    let moving: ByteSize = newest.values().map(|(_, size)| *size).sum();
    stored.settled = stored.settled.saturating_sub(moving.0);
    stored
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_but_the_newest_of_a_directory_is_settled() {
        let listing = "100 dbengine/datafile-1-0000000001.ndf\n7 dbengine/datafile-1-0000000002.ndf\n\
            10 dbengine/journalfile-1-0000000001.njf\n1 dbengine/journalfile-1-0000000002.njf\n\
            5 dbengine-tier2/datafile-1-0000000001.ndf\n9 other/x.ndf\nbad\n";
        assert_eq!(stored(listing), Stored { tiers: vec![118, 0, 5], settled: 110 });
    }
}
