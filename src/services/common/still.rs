//! A tree that is whole only while its service is stopped, copied with the shortest stop.
//!
//! 1. *Live*: files of settled names (written once, all but the newest of a directory) travel while the service runs.
//! 2. *Stop*: one script on the node stops the unit, copies everything else beside, and starts it again. Nothing of it
//!    waits for the link. On filesystems with reflinks the whole tree is copied so, and nothing travels before.
//! 3. *Rest*: that copy travels while the service runs, and is removed.
//!
//! The plain way ([`StillArgs::plain`]) stops the unit, sends everything, and starts it: no room is needed on the node, and
//! the stop is as long as the link is slow.
//!
//! Both parts are one tar archive, every name in it once and relative to the root. It counts only if no settled file
//! changed from the first look until the stop, nobody else had files of the tree open to write to them, and nothing changed
//! or started the unit in between. What the service itself dropped because it was full, after it had travelled whole, is
//! in the archive ([`StillArgs::drops_oldest`]). Hard links are never used: files change in place.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::node::{NODE_DIR, as_failure, run_change_with};
use super::pour::no_room;
use super::reader::ScriptReader;
use super::tar_members::Members;
use super::unit::{HOLD, bring_up, stays_up, unhold};
use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::UnitName;
use crate::model::units::ByteSize;
use crate::services::{Cx, SourceFile};
use crate::transport::quote::quote;
use crate::transport::{End, Output, Script};

/// What is copied, as it stands in a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StillArgs {
    /// The unit that is stopped; it must run.
    pub unit: UnitName,
    /// How many seconds its stop may take, whoever waits for it; then it is killed, started, and nothing is saved.
    pub stop_within: u64,
    /// The tree, absolute and without links in its path.
    pub root: String,
    /// Where the copy stands meanwhile, on the tree's filesystem; see [`stage_path`].
    pub stage: String,
    /// Patterns of names that are written once, as `find -name` takes them.
    pub settled: Vec<String>,
    /// Whether the service drops the oldest of them when it is full: everything in a directory that bears the lowest number.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drops_oldest: bool,
    /// Patterns of names that are never saved.
    pub leave_out: Vec<String>,
    /// Whether everything is sent during the stop, and nothing is copied beside.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub plain: bool,
}

/// What says that this run stopped the unit, and when by the node's uptime, below the run's directory.
const STOPPED: &str = "still/stopped";

/// Where the copy of a tree stands while it travels.
pub fn stage_path(root: &str) -> String {
    super::steps::beside(root, "copy")
}

impl StillArgs {
    /// The node's own text that undoes the copying at any moment: starts what it stopped and removes the copy.
    pub fn undo(&self) -> String {
        format!(
            "bad=\nif [ -e \"$d/still/stopped\" ]; then\n{}{{\n{}\n}} && {{\n{}\n}} && rm -f \"$d/still/stopped\" || bad=1\nfi\n\
             rm -rf -- {}\n[ -z \"$bad\" ]\n",
            unhold(&self.unit),
            bring_up(&self.unit, self.stop_within, STOPPED),
            stays_up(&self.unit, self.stop_within),
            quote(self.stage.as_bytes())
        )
    }
}

/// Everything of the tree but directories, sockets and what is left out; sorted, ended by NUL. It fails when a directory
/// cannot be read: what is in it would be missing from the copy without a word.
const ALL: &str = r#"LC_ALL=C; export LC_ALL
all() {
  set -- "$top" -ignore_readdir_race -xdev ! -type d ! -type s
  while IFS= read -r n; do [ -z "$n" ] || set -- "$@" ! -name "$n"; done <"$w/out"
  find "$@" -print0 >"$w/listed" || return 1
  sort -z "$w/listed"
}
records() { xargs -0 -r stat --printf '%i %s %.9Y %.9Z %n\0' --; }
"#;

/// Looks at the tree and makes the place of the copy. `$1` unit, `$2` root, `$3` stage, `$4` settled names and `$5` names
/// left out, one a line, `$6` whether all of it is sent during the stop.
const BEGIN: &str = r#"u=$1 root=$2 stage=$3 plain=$6
w=$d/still; top=${root#/}
s=$(systemctl show --property=ActiveState --value -- "$u")
[ "$s" = active ] || { echo "$u is $s, so it cannot be stopped for the copy" >&2; exit 1; }
rm -rf -- "$w" "$stage"
mkdir -m 700 -- "$w" "$stage"
printf '%s\n' "$4" >"$w/settled"
printf '%s\n' "$5" >"$w/out"
cd /
way=passes
[ "$plain" = no ] || way=plain
try=
[ "$plain" = yes ] || try=$(find "$top" -xdev -type f -size +0 -size -2048k -print -quit)
if [ -n "$try" ] && cp --reflink=always -- "$try" "$stage/.try" 2>/dev/null; then way=reflink; fi
rm -f -- "$stage/.try"
find "$top" -ignore_readdir_race -xdev -type d -print0 >"$w/listed"
sort -z "$w/listed" >"$w/dirs"
all >"$w/all" || { echo "$root cannot be listed whole" >&2; exit 1; }
: >"$w/found"
if [ "$way" = passes ]; then
  while IFS= read -r n; do
    [ -n "$n" ] || continue
    xargs -0 -r -n 1 sh -c 'find "$2" -maxdepth 1 -type f -name "$1" -print0 | sort -z | head -z -n -1' sh "$n" <"$w/dirs" >>"$w/found"
  done <"$w/settled"
fi
sort -z "$w/found" | comm -z -12 - "$w/all" >"$w/first"
records <"$w/first" >"$w/first.stat"
comm -z -13 "$w/first" "$w/all" >"$w/rest"
cat "$w/dirs" "$w/first" >"$w/live"
sum() { xargs -0 -r stat -c %s -- | awk '{ s += $1 } END { printf "%.0f", s }'; }
need=$(sum <"$w/rest")
have=$(df -Pk -- "$stage" | awk 'NR == 2 { printf "%.0f", $4 * 1024 }')
printf 'way %s\nfirst %s\nrest %s\nroom %s\n' "$way" "$(sum <"$w/first")" "$need" "$have"
"#;

/// Tar of the names in a list. `$1` the directory they are relative to, `$2` the list.
const PACK: &str = r#"LC_ALL=C; export LC_ALL
cd -- "$1"
exec tar --create --file=- --format=pax --pax-option=delete=atime,delete=ctime --no-recursion --null --files-from="$2"
"#;

/// What was copied beside, as a list: directories that are new, then the rest. `$1` the stage, `$2` the run's lists, `$3` root.
const LAST: &str = r#"LC_ALL=C; export LC_ALL
cd -- "$1"
w=$2 top=${3#/}
if [ -d "$top" ]; then find "$top" -type d -print0 | sort -z | comm -z -13 "$w/dirs" - >"$w/last"; else : >"$w/last"; fi
cat "$w/rest" >>"$w/last"
"#;

/// What every script of the stop begins with; `back` is called whatever happens, and starts the unit. Time is counted by
/// the node's uptime, which no change of its clock touches. `$1` unit, `$2` seconds for the stop, `$3` way, `$4` root, `$5`
/// stage, `$6` whether the oldest of what travelled may be gone.
const IN_THE_STOP: &str = r#"limit=$2 way=$3 root=$4 stage=$5 drops=$6
w=$d/still; top=${root#/}; why=
now() { read -r t _ </proc/uptime; printf '%s' "$t"; }
shown() { systemctl show --property="$1" --value -- "$u"; }
fail() { why=$1; exit 1; }
ended() {
  s=$?
  trap - EXIT
  if [ -e "$w/stopped" ]; then
    back >/dev/null 2>&1 || why="${why:+$why; }$u could not be started again"
  fi
  tidy >/dev/null 2>&1 || :
  [ -z "$why" ] || echo "$why" >&2
  exit "$s"
}
trap ended EXIT
trap 'exit 143' TERM HUP INT
# The shell says of a child that was ended, and nobody may be there to read it.
trap '' PIPE
cd /
# Whether all that is gone was the oldest of its directory, with everything that bears its number.
oldest() {
  { tr '\n\000' '\001\n' <"$w/gone" | sed 's/^/g/'; tr '\n\000' '\001\n' <"$w/first" | sed 's/^/f/'; } | awk '
    { file = substr($0, 2); dir = file; sub("/[^/]*$", "", dir); number = -1 }
    match(file, "-[0-9]+[.][^./]*$") { number = substr(file, RSTART + 1) + 0 }
    /^g/ { gone[file]; if (number < 0) bad = 1; if (!(dir in most) || number > most[dir]) most[dir] = number; next }
    !(file in gone) && dir in most && number <= most[dir] { bad = 1 }
    END { exit bad }'
}
same() {
  records <"$w/first" >"$w/first.now" 2>/dev/null || :
  if cmp -s "$w/first.stat" "$w/first.now"; then return 0; fi
  xargs -0 -r sh -c 'for f do [ -e "$f" ] || printf "%s\0" "$f"; done' sh <"$w/first" >"$w/gone"
  comm -z -23 "$w/first" "$w/gone" >"$w/stays"
  records <"$w/stays" >"$w/first.now" 2>/dev/null || :
  sort -z "$w/first.stat" >"$w/first.was"
  sort -z "$w/first.now" | comm -z -13 "$w/first.was" - >"$w/other"
  [ -s "$w/gone" ] && [ ! -s "$w/other" ] || fail "a file that had been copied while the service ran has changed; try again$1"
  [ "$drops" = yes ] && oldest || fail "a file that had been copied while the service ran is gone; try again$1"
}
# Who only reads does no harm, whoever he is.
writers() {
  find /proc/[0-9]*/fd -maxdepth 1 -lname "$root/*" 2>/dev/null | while IFS= read -r f; do
    p=${f#/proc/}; p=${p%%/*}; how=
    while read -r k v; do [ "$k" != flags: ] || how=$v; done 2>/dev/null <"/proc/$p/fdinfo/${f##*/}" || continue
    case $how in *[123]) echo "$p"; break ;; esac
  done
}
held_still() {
  # First who else is at work there: what he wrote would tell no name.
  other=$(writers)
  [ -z "$other" ] || fail "process $other has files of $root open to write to them"
  records <"$w/rest" >"$w/rest.is" 2>/dev/null || :
  all >"$w/all.is" || :
  cmp -s "$w/rest.was" "$w/rest.is" && cmp -s "$w/all" "$w/all.is" || fail "something wrote to $root while $u was stopped"
  [ "$(shown ActiveState)" != active ] || fail "$u was started in between"
  is=$(shown InvocationID)
  [ -z "$is" ] || [ "$is" = "$id" ] || fail "$u was restarted in between"
}
"#;

/// Stops the unit, and lists what is not copied yet.
const STOP: &str = r#"[ "$(shown ActiveState)" = active ] || fail "$u no longer runs"
same " (nothing was stopped)"
id=$(shown InvocationID)
echo "$(now)" >"$w/stopped"
hold "$u"
down=$(now)
timeout --foreground "$limit" systemctl stop -- "$u" || :
end=$(systemctl show --property=ActiveState,Result -- "$u")
case $end in
  *ActiveState=inactive*) ;;
  *ActiveState=failed*) ;;
  *) fail "$u did not stop within $limit seconds" ;;
esac
case $end in
  *Result=success*) ;;
  *) fail "$u did not end by itself ($(shown Result)), so what it held in memory was not written" ;;
esac
stopped=$(now)
same ""
all >"$w/all" || fail "$root cannot be listed whole"
comm -z -13 "$w/first" "$w/all" >"$w/rest"
records <"$w/rest" >"$w/rest.was"
"#;

/// Copies what is not copied yet beside the tree.
const COPY: &str = r#"how=auto; [ "$way" = passes ] || how=always
xargs -0 -r cp -a --parents --reflink="$how" --target-directory="$stage" -- <"$w/rest" 2>"$w/err" ||
  fail "the copy beside failed: $(tail -n 1 "$w/err")"
"#;

/// Starts the unit, once it is sure that nothing moved, and tells how long everything took.
const START: &str = r#"held_still
copied=$(now)
back || fail "$u is $(shown ActiveState) after its start"
started=$(now)
sum() { xargs -0 -r stat -c %s -- | awk '{ s += $1; n++ } END { printf "%.0f %.0f", s, n }'; }
printf 'down %s\nstopped %s\ncopied %s\nstarted %s\n' "$down" "$stopped" "$copied" "$started"
[ ! -s "$w/gone" ] || printf 'dropped %s\n' "$(tr -cd '\000' <"$w/gone" | wc -c)"
printf 'again %s\nat %s\ninvocation %s\n' "$(sum <"$w/rest")" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$id"
"#;

/// Leaves the unit stopped while everything is sent; what the start must know is noted. Directories may be new.
const STAY_DOWN: &str = r#"find "$top" -xdev -type d -print0 >"$w/listed"
sort -z "$w/listed" >"$w/dirs"
cat "$w/dirs" "$w/rest" >"$w/last"
printf '%s\n%s\n%s\n' "$id" "$down" "$stopped" >"$w/noted"
trap - EXIT
"#;

/// Reads what was noted at the stop.
const GO_ON: &str = r#"[ -e "$w/stopped" ] || fail "$u is no longer stopped by this run"
{ read -r id; read -r down; read -r stopped; } <"$w/noted"
"#;

/// What the script says of a stop that did not end well, and of a start that did not.
const FORCED: &str = "did not end by itself";
const STAYS_DOWN: &str = "could not be started again";

/// The names of what was printed as `NAME VALUE` lines.
fn told(output: &str) -> BTreeMap<&str, &str> {
    output.lines().filter_map(|line| line.split_once(' ')).collect()
}

fn number<T: std::str::FromStr + Default>(told: &BTreeMap<&str, &str>, name: &str) -> T {
    told.get(name).and_then(|text| text.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

/// A copy with the shortest stop: one archive, read through [`Still::file`], ended by [`Still::finish`].
pub struct Still<'a> {
    cx: &'a Cx<'a>,
    args: StillArgs,
    way: String,
    first: u64,
    rest: u64,
    /// Whether the oldest of what travelled live may be gone: all of it travelled whole, so nothing is lost.
    may_drop: bool,
    state: State,
    learned: Value,
    /// What is typed to try again.
    again: String,
}

enum State {
    Live(Box<Members<ScriptReader>>),
    Rest(ScriptReader),
    /// The unit is stopped while all of it is sent.
    Down(ScriptReader),
    Over,
    Broken,
}

impl<'a> Still<'a> {
    /// Looks at the tree and begins the first part; `again` is the command that tries once more.
    ///
    /// # Errors
    /// There is no room for the copy beside, the unit does not run, or (the plain way) it did not stop well.
    pub fn begin(cx: &'a Cx<'a>, args: StillArgs, again: &str) -> Result<Self> {
        let (settled, out) = (args.settled.join("\n"), args.leave_out.join("\n"));
        let plain = if args.plain { "yes" } else { "no" };
        let words = [args.unit.as_str(), &args.root, &args.stage, &settled, &out, plain];
        // A console that took the run over may find the unit still stopped by it: it is started, and stopped anew.
        let script = format!("{}{ALL}{BEGIN}", args.undo());
        let output = run_change_with(cx, &script, &words, "Looking at what is copied", Duration::from_mins(10))?;
        let text = output.text();
        let told = told(text.as_str());
        let way = told.get("way").copied().unwrap_or("passes").to_owned();
        let (first, rest, room): (u64, u64, u64) =
            (number(&told, "first"), number(&told, "rest"), number(&told, "room"));
        // What is only in memory is written at the stop and comes on top.
        let needs = rest.saturating_add(rest / 4).saturating_add(128 << 20);
        if way == "passes" && needs > room {
            let message = format!(
                "There is no room on {} for a copy beside {}: {} are free, {} are needed. Nothing was stopped.",
                cx.host,
                args.root,
                ByteSize(room),
                ByteSize(needs)
            );
            return Err(Failure::new(Exit::NoSpace, message)
                .hint("Make room there, or copy all of it while the service is stopped: --set copy=plain."));
        }
        let (state, learned, again) = (State::Broken, Value::Null, again.to_owned());
        let mut still = Self { cx, args, way, first, rest, may_drop: false, state, learned, again };
        still.state = if still.args.plain {
            let unit = &still.args.unit;
            still.in_the_stop(&[STOP, STAY_DOWN], &format!("Stopping {unit}"))?;
            State::Down(pack(cx, "/", &still.list("last"))?)
        } else {
            State::Live(Box::new(Members::new(pack(cx, "/", &still.list("live"))?)))
        };
        Ok(still)
    }

    /// A list of this run on the node.
    fn list(&self, name: &str) -> String {
        let run = self.cx.run.map(|mark| mark.run.to_string()).unwrap_or_default();
        format!("{NODE_DIR}/runs/{run}/still/{name}")
    }

    /// The archive, to be read to its end.
    pub fn file(&mut self, name: &str) -> SourceFile<'_> {
        SourceFile {
            name: name.to_owned(),
            origin: self.args.root.as_str().into(),
            mode: None,
            owner: None,
            group: None,
            expected: Some(self.first.saturating_add(self.rest)),
            body: Box::new(self),
        }
    }

    /// Removes the copy beside, and says what was learned: how long the service was down, and what was copied when.
    ///
    /// # Errors
    /// The archive was not read to its end, or the copy cannot be removed.
    pub fn finish(&mut self) -> Result<Value> {
        if !matches!(self.state, State::Over) {
            return Err(Failure::new(Exit::Failed, "The archive was not read to its end."));
        }
        let script = "rm -rf -- \"$1\" \"$d/still\"\n";
        run_change_with(self.cx, script, &[&self.args.stage], "Removing the copy beside", Duration::from_mins(10))?;
        Ok(self.learned.clone())
    }

    /// Runs parts of the stop on the node, which starts the unit itself if one of them fails.
    fn in_the_stop(&self, parts: &[&str], doing: &str) -> Result<Output> {
        let unit = &self.args.unit;
        let limit = self.args.stop_within.to_string();
        let script = format!(
            "{ALL}u=$1\nhold() {{\n{HOLD}}}\ntidy() {{\n{}}}\nback() {{\nrm -f \"/var/lib/lifeboat/hold/$u\"\n{}\n\
             case $(shown ActiveState) in active|activating) rm -f \"$w/stopped\" ;; *) return 1 ;; esac\n}}\n{IN_THE_STOP}{}",
            unhold(unit),
            bring_up(unit, self.args.stop_within, STOPPED),
            parts.concat(),
        );
        let drops = if self.may_drop { "yes" } else { "no" };
        let words = [unit.as_str(), &limit, &self.way, &self.args.root, &self.args.stage, drops];
        let most = Duration::from_secs(self.args.stop_within).saturating_add(Duration::from_mins(30));
        let done = run_change_with(self.cx, &script, &words, doing, most).map_err(no_room);
        done.map_err(|failure| self.may_be_repeated(failure))
    }

    /// A service that fails in its own shutdown is told from one that is broken: it runs again, and may stop well next time.
    fn may_be_repeated(&self, failure: Failure) -> Failure {
        if !failure.message.contains(FORCED) || failure.message.contains(STAYS_DOWN) {
            return failure;
        }
        let Self { args: StillArgs { unit, .. }, again, .. } = self;
        failure
            .hint(format!("{unit} runs again, and nothing was saved. Services fail in their own shutdown now and then, most on a busy machine; it does no harm to try again: {again}"))
            .hint(format!("If it happens every time, read what it says there: journalctl -u {unit} -n 50"))
    }

    /// Stops, copies, starts; then the rest can be read.
    fn stop_copy_start(&mut self) -> Result<ScriptReader> {
        let doing = format!("Stopping {}, copying and starting it again", self.args.unit);
        let output = self.in_the_stop(&[STOP, COPY, START], &doing)?;
        self.learn(&output);
        let lists = self.list("");
        let words = [self.args.stage.as_str(), &lists, &self.args.root];
        run_change_with(self.cx, LAST, &words, "Listing what was copied beside", Duration::from_mins(10))?;
        pack(self.cx, &self.args.stage, &self.list("last"))
    }

    /// Starts what was stopped while everything was sent.
    fn start_again(&mut self) -> Result<()> {
        let output = self.in_the_stop(&[GO_ON, START], &format!("Starting {} again", self.args.unit))?;
        self.learn(&output);
        Ok(())
    }

    /// Takes in how long everything took, and what was copied when.
    fn learn(&mut self, output: &Output) {
        let text = output.text();
        let told = told(text.as_str());
        let time = |name: &str| number::<f64>(&told, name);
        let span = |from: &str, to: &str| milliseconds(time(to) - time(from));
        let again: Vec<u64> = told
            .get("again")
            .map(|text| text.split_whitespace().filter_map(|word| word.parse().ok()).collect())
            .unwrap_or_default();
        let dropped: u64 = number(&told, "dropped");
        self.learned = json!({
            "downtime": {
                "measured_ms": span("down", "started"), "stop_ms": span("down", "stopped"),
                "copy_ms": span("stopped", "copied"), "start_ms": span("copied", "started"),
            },
            "copied": {
                "way": self.way, "live_bytes": self.first,
                "stopped_bytes": again.first(), "stopped_files": again.get(1),
            },
            "stopped_at": told.get("at"), "invocation": told.get("invocation"),
        });
        if let Some(copied) = self.learned.get_mut("copied").filter(|_| dropped > 0) {
            copied["dropped_files"] = dropped.into();
        }
    }
}

fn milliseconds(seconds: f64) -> u64 {
    Duration::try_from_secs_f64(seconds.max(0.0)).map_or(0, |span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}

/// A directory may change while it is listed; settled files are compared later, and what was copied beside holds still.
const CHANGED: &[i32] = &[1];

fn pack(cx: &Cx, dir: &str, list: &str) -> Result<ScriptReader> {
    let script =
        Script::new(PACK).arg(dir).arg(list).as_root().within(Duration::from_hours(24), Duration::from_mins(30));
    let running = cx.node.start(&script, cx.cancel).map_err(|error| as_failure(&error))?;
    Ok(ScriptReader::new(running, format!("tar on {}", cx.host)).tolerating(CHANGED))
}

impl Read for Still<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let next = match &mut self.state {
                State::Live(members) => match members.read(into)? {
                    0 if !into.is_empty() => {
                        // A file that was cut while it was read is told by tar, and is not whole.
                        let ended = members.inner().finished().map(|finished| &finished.end);
                        self.may_drop = self.args.drops_oldest && ended == Some(&End::Exited(0));
                        // Whatever happens in there is not tried again.
                        self.state = State::Broken;
                        State::Rest(self.stop_copy_start().map_err(io::Error::other)?)
                    }
                    count => return Ok(count),
                },
                State::Rest(reader) => match reader.read(into)? {
                    0 if !into.is_empty() => State::Over,
                    count => return Ok(count),
                },
                State::Down(reader) => match reader.read(into)? {
                    0 if !into.is_empty() => {
                        self.state = State::Broken;
                        self.start_again().map_err(io::Error::other)?;
                        State::Over
                    }
                    count => return Ok(count),
                },
                State::Over => return Ok(0),
                State::Broken => return Err(io::Error::other("The copy has already failed.")),
            };
            self.state = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use std::process::Command;

    /// What a list of names ended by NUL holds, without the directories before the tree.
    fn names(path: &Path, top: &str) -> Vec<String> {
        let bytes = std::fs::read(path).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        text.split('\0').filter_map(|name| name.strip_prefix(top)).map(str::to_owned).collect()
    }

    fn begin(home: &Path, root: &Path, plain: &str) -> std::process::Output {
        let script = format!("set -eu\nd=$0\nsystemctl() {{ echo active; }}\n{ALL}{BEGIN}");
        let (run, stage) = (home.join("run"), home.join("stage"));
        std::fs::create_dir_all(&run).unwrap();
        Command::new("sh")
            .arg("-c")
            .arg(script)
            .args([&run, Path::new("app.service"), root, &stage])
            .args(["data-*.x\njournal-*.y", ".gone", plain])
            .output()
            .unwrap()
    }

    #[test]
    fn what_is_written_once_goes_first_but_for_the_newest_of_each_directory() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("tree");
        for dir in ["a", "b c"] {
            std::fs::create_dir_all(root.join(dir)).unwrap();
        }
        for name in
            ["a/data-1.x", "a/data-2.x", "a/data-3.x", "a/journal-1.y", "b c/data-9.x", "b c/li\nne", "db", ".gone"]
        {
            std::fs::write(root.join(name), name).unwrap();
        }
        let output = begin(home.path(), &root, "yes");
        assert!(String::from_utf8(output.stdout).unwrap().starts_with("way plain\nfirst 0\n"));
        let output = begin(home.path(), &root, "no");
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let told = told(&text);
        let top = format!("{}/", root.to_str().unwrap().trim_start_matches('/'));
        let lists = home.path().join("run/still");
        let rest = names(&lists.join("rest"), &top);
        if told["way"] == "passes" {
            assert_eq!(names(&lists.join("first"), &top), ["a/data-1.x", "a/data-2.x"]);
            assert_eq!(rest, ["a/data-3.x", "a/journal-1.y", "b c/data-9.x", "b c/li\nne", "db"]);
            assert_eq!((number::<u64>(&told, "first"), number::<u64>(&told, "rest")), (20, 10 + 13 + 12 + 9 + 2));
        } else {
            assert_eq!(rest.len(), 7, "with reflinks all of it is copied at the stop");
        }
        assert!(names(&lists.join("live"), &top).contains(&"b c".to_owned()), "directories travel first");
    }

    #[test]
    fn the_undo_starts_only_what_this_run_stopped() {
        let args = StillArgs {
            unit: UnitName::new("app.service").unwrap(),
            stop_within: 5,
            root: "/srv/app".to_owned(),
            stage: stage_path("/srv/app"),
            settled: Vec::new(),
            drops_oldest: false,
            leave_out: Vec::new(),
            plain: false,
        };
        let home = tempfile::tempdir().unwrap();
        let run = |stopped: bool, start: &str, state: &str| {
            let _ = std::fs::remove_dir_all(home.path().join("still"));
            std::fs::create_dir(home.path().join("still")).unwrap();
            if stopped {
                std::fs::write(home.path().join("still/stopped"), "").unwrap();
            }
            let log = home.path().join("log");
            std::fs::write(&log, "").unwrap();
            let stubs = format!(
                "d=$0\nrm() {{ :; }}\nrmdir() {{ :; }}\nsleep() {{ :; }}\n\
                 systemctl() {{ echo \"$1\" >>'{}'; case $1 in start) {start} ;; show) echo {state} ;; esac; }}\n",
                log.display()
            );
            let status = Command::new("sh").arg("-c").arg(stubs + &args.undo()).arg(home.path()).status().unwrap();
            (status.success(), std::fs::read_to_string(log).unwrap().contains("start"))
        };
        assert_eq!(run(false, "true", "active"), (true, false));
        assert_eq!(run(true, "true", "active"), (true, true));
        assert_eq!(run(true, "false", "failed"), (false, true), "a start that fails is told");
        assert_eq!(run(true, "true", "inactive"), (false, true), "a unit that is down all the same is told");
    }
}
