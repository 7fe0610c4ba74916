//! The two scripts that look at a node, and how their answers are read.
//!
//! An inline key (`…-content`) is masked on the node, before anything leaves it. A private key file is only ever
//! stat-ed here, never read.

use super::facts::Seen;
use crate::model::exit::Result;
use crate::services::Cx;
use crate::services::common::{Answers, PUT, SHOW_FENCE, read_node};
use crate::transport::Script;

/// `mask` hides inline keys and passwords.
const TOOLS: &str = r#"mask() { sed "s/\(content[\"']*[[:space:]]*[=:[:space:]][[:space:]]*[\"']*\)[A-Za-z0-9+/=_-]\{1,\}/\1MASKED/gI;s/\(password[\"']*[[:space:]]*[=:[:space:]][[:space:]]*[\"']*\)[^\"' ]\{1,\}/\1MASKED/gI"; }
"#;

/// What runs, how it was started, and its configuration file. `$1` unit, `$2` a configuration file to prefer or empty.
///
/// While the unit has no process a node that runs outside any unit is taken for its own. One that is the process of
/// another unit, or its child, is another node: it is named, and tells nothing of this one.
const FIRST: &str = r#"u=$1
show=$({ systemctl show --property=LoadState,ActiveState,UnitFileState,InvocationID,MainPID,FragmentPath,DropInPaths,User,Group,ExecStart,EnvironmentFiles,WorkingDirectory -- "$u" 2>/dev/null; show_fence "$u"; } | mask)
printf '%s\n' "$show" | put show
pid=$(printf '%s\n' "$show" | sed -n 's/^MainPID=//p')
other=
if [ "${pid:-0}" = 0 ]; then
  for c in /proc/[0-9]*/comm; do
    n=
    read -r n 2>/dev/null <"$c" || :
    if [ "$n" = avalanchego ]; then
      pid=${c#/proc/}; pid=${pid%/comm}
      g=$(sed -n 's/.*:.*\/\([^/]*\)$/\1/p' "/proc/$pid/cgroup" 2>/dev/null | head -n 1)
      case $g in
        "$u") ;;
        *.service)
          m=$(systemctl show --property=MainPID --value -- "$g" 2>/dev/null)
          if [ "$m" = "$pid" ] || [ "$m" = "$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$pid/status" 2>/dev/null)" ]; then
            [ -n "$other" ] || other=$g
            pid=0
            continue
          fi ;;
      esac
      echo "$pid" | put stray
      [ "$(readlink "/proc/$pid/ns/mnt")" = "$(readlink /proc/self/ns/mnt)" ] || echo 1 | put foreign
      break
    fi
  done
fi
[ -z "$other" ] || printf '%s\n' "$other" | put other
pid=${pid:-0}
if [ "$pid" != 0 ] && [ -r "/proc/$pid/cmdline" ]; then
  args=$(tr '\n\000' '\001\n' <"/proc/$pid/cmdline" | sed '/content$/I{n;s/.*/MASKED/;}' | mask)
  env=$(tr '\n\000' '\001\n' <"/proc/$pid/environ" | grep -E '^(AVAGO_[A-Z0-9_]*|HOME)=' | mask)
  user=$(stat -c %U "/proc/$pid")
  readlink "/proc/$pid/cwd" | put cwd
  echo "$pid" | put pid
else
  args=$(printf '%s\n' "$show" | sed -n 's/^ExecStart={ path=.* ; argv\[\]=\(.*\) ; ignore_errors=.*/\1/p' | head -n 1 | tr ' ' '\n')
  env=$({
    systemctl show --property=Environment --value -- "$u" 2>/dev/null | tr ' ' '\n'
    printf '%s\n' "$show" | sed -n 's/^EnvironmentFiles=\(.*\) (ignore_errors=.*/\1/p' | while IFS= read -r f; do
      [ -f "$f" ] && cat -- "$f"
    done
  } | sed -n "s/^[\"']*\(AVAGO_[A-Z0-9_]*\|HOME\)=[\"']*\([^\"']*\)[\"']*$/\1=\2/p" | mask)
  user=$(printf '%s\n' "$show" | sed -n 's/^User=//p')
fi
printf '%s\n' "$args" | put args
printf '%s\n' "$env" | put env
printf '%s\n' "${user:-root}" | put user
getent passwd "${user:-root}" | put passwd
id -gn -- "${user:-root}" 2>/dev/null | put group
cfg=$2
[ -n "$cfg" ] || cfg=$(printf '%s\n' "$args" | sed -n '/^--*config-file$/{n;p;};s/^--*config-file=//p' | tail -n 1)
[ -n "$cfg" ] || cfg=$(printf '%s\n' "$env" | sed -n 's/^AVAGO_CONFIG_FILE=//p' | tail -n 1)
printf '%s' "$cfg" | put config-path
if [ -n "$cfg" ] && [ -f "$cfg" ]; then head -c 262144 -- "$cfg" | tr '\n' ' ' | mask | put config; fi
command -v avalanchego | put binary
"#;

/// A configuration file whose path only the resolver could tell. `$1` its path.
const CONFIG: &str = r#"if [ -f "$1" ]; then head -c 262144 -- "$1" | tr '\n' ' ' | mask | put config; fi
"#;

/// Files by path. `$1` the certificate, `$2` the data directory, `$3` the plugin directory, `$4` process.json; then every
/// path to stat.
const SECOND: &str = r#"if [ -f "$1" ]; then head -c 65536 -- "$1" | put cert; fi
if [ -d "$(dirname -- "$1")" ]; then ls -A -- "$(dirname -- "$1")" | head -n 200 | put beside; fi
room() {
  d=$2
  while [ ! -d "$d" ] && [ "$d" != / ] && [ "$d" != . ]; do d=$(dirname -- "$d"); done
  df -Pk -- "$d" | awk 'NR == 2 { print $4 }' | put "$1"
}
room room-staking "$(dirname -- "$1")"
room room-data "$2"
if [ -d "$3" ]; then
  for p in "$3"/*; do [ -f "$p" ] && stat -L -c '%s %n' -- "$p"; done | head -n 200 | put plugins
fi
if [ -f "$4" ]; then head -c 4096 -- "$4" | put process; fi
shift 4
for p in "$@"; do
  l=plain
  if [ -L "$p" ]; then l=link; fi
  if [ -e "$p" ]; then stat -L -c "%s|%a|%U|%G|%m|$l|%F" -- "$p"; else echo "-|$l"; fi
done | put stats
"#;

/// Asks what runs and how it was started.
pub fn first(cx: &Cx, unit: &str, config_file: Option<&str>) -> Result<Answers> {
    let script = Script::new(format!("{PUT}{TOOLS}{SHOW_FENCE}{FIRST}")).arg(unit).arg(config_file.unwrap_or(""));
    Ok(Answers::read(&read_node(cx, script, "Looking at AvalancheGo")?.stdout))
}

/// Reads a configuration file the first script did not find.
pub fn config(cx: &Cx, path: &str) -> Result<Answers> {
    let script = Script::new(format!("{PUT}{TOOLS}{CONFIG}")).arg(path);
    Ok(Answers::read(&read_node(cx, script, "Reading AvalancheGo's configuration")?.stdout))
}

/// Where the second script looks.
#[derive(Debug)]
pub struct Where<'a> {
    /// The certificate.
    pub cert: &'a str,
    /// The data directory.
    pub data_dir: &'a str,
    /// The plugins' directory.
    pub plugin_dir: &'a str,
    /// The process context file.
    pub process: &'a str,
    /// Everything to stat, in order.
    pub stats: &'a [&'a str],
}

/// Looks at the files.
pub fn second(cx: &Cx, at: &Where) -> Result<Answers> {
    let mut script = Script::new(format!("{PUT}{TOOLS}{SECOND}"));
    for arg in [at.cert, at.data_dir, at.plugin_dir, at.process].iter().chain(at.stats) {
        script = script.arg(arg);
    }
    Ok(Answers::read(&read_node(cx, script, "Looking at AvalancheGo's files")?.stdout))
}

/// Reads the `stats` answer, in the order the paths were given.
pub fn stats(answers: &Answers) -> Vec<Option<Seen>> {
    answers.text("stats").lines().map(one).collect()
}

fn one(line: &str) -> Option<Seen> {
    let mut parts = line.splitn(7, '|');
    let size = parts.next()?.parse().ok()?;
    let mode = u32::from_str_radix(parts.next()?, 8).ok()?;
    let mut text = || parts.next().map(str::to_owned);
    let (owner, group, mount) = (text()?, text()?, text()?);
    Some(Seen { size, mode, owner, group, mount, link: text()? == "link", dir: text()? == "directory" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_lines_of_hexadecimal() {
        let answers = Answers::read(b"show 4c6f\nargs 0a\nempty \nbad zz\n");
        assert_eq!(answers.text("show"), "Lo");
        assert_eq!(answers.text("args"), "");
        assert_eq!(answers.bytes("empty"), Some(&b""[..]));
        assert_eq!(answers.bytes("bad"), None);
    }

    #[test]
    fn an_inline_key_is_masked_before_it_leaves() {
        let text = "--staking-tls-key-file-content=QUJD+/==\nAVAGO_STAKING_SIGNER_KEY_FILE_CONTENT=QUJD\n\
                    { \"staking-tls-key-file-content\" : \"QUJD\", \"config-file-content-type\": \"json\" }\n";
        let script = format!("{TOOLS}printf '%s' \"$1\" | mask");
        let output = std::process::Command::new("sh").args(["-c", &script, "sh", text]).output().unwrap();
        let masked = String::from_utf8(output.stdout).unwrap();
        assert!(!masked.contains("QUJD"), "{masked}");
        assert!(masked.contains("\"config-file-content-type\": \"json\""), "{masked}");
    }

    #[test]
    fn a_stat_line_is_read_whole_or_not_at_all() {
        let answers = Answers::fixed(&[("stats", "241|400|avax|avax|/|plain|regular file\n-|link\n")]);
        let stats = stats(&answers);
        assert_eq!(stats[0].as_ref().map(|s| (s.size, s.mode, s.dir)), Some((241, 0o400, false)));
        assert_eq!(stats[1], None);
    }
}
