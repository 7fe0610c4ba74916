//! What lies on a node: runs, and what restores kept aside.

use std::time::Duration;

use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::{HostId, RunId};
use crate::model::text::CleanText;
use crate::services::Cx;
use crate::services::common::read_node;
use crate::transport::Script;

const LIST: &str = r#"cd /var/lib/lifeboat/runs 2>/dev/null || exit 0
for r in *; do
  [ -d "$r" ] || continue
  t=$(systemctl is-active "lifeboat-guard-$r.timer" 2>/dev/null)
  printf '%s\t%s\t%s\t%s\t%s\n' "$r" "$(cat "$r/owner" 2>/dev/null)" "${t:-none}" "$(cat "$r/fired" 2>/dev/null | head -n 1)" "$(cat "$r/key" 2>/dev/null)"
done
"#;

/// A run as a node knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundRun {
    /// The run.
    pub run: RunId,
    /// Console and epoch that own it.
    pub owner: CleanText,
    /// Whether its guard's timer is counting.
    pub is_guarded: bool,
    /// When and how its guard acted, if it did.
    pub fired: Option<CleanText>,
    /// What it locks.
    pub key: CleanText,
}

/// Every run that lies on the node.
///
/// # Errors
/// A row that cannot be read: passed over, it would look as if nothing were there.
pub fn list_runs(cx: &Cx) -> Result<Vec<FoundRun>> {
    let output = read_node(cx, Script::new(LIST), "Listing runs")?;
    rows(&output.stdout).map(|row| found_run(row).ok_or_else(|| unreadable(cx, "A run", row))).collect()
}

fn rows(output: &[u8]) -> impl Iterator<Item = &[u8]> {
    output.split(|&byte| byte == b'\n').filter(|row| !row.is_empty())
}

fn found_run(row: &[u8]) -> Option<FoundRun> {
    let mut fields = row.split(|&byte| byte == b'\t').map(|field| CleanText::from_bytes(field).one_line());
    let run = RunId::new(fields.next()?.as_str()).ok()?;
    let (owner, timer, fired, key) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let is_guarded = timer.as_str() == "active";
    Some(FoundRun { run, owner, is_guarded, fired: Some(fired).filter(|text| !text.is_empty()), key })
}

fn unreadable(cx: &Cx, what: &str, row: &[u8]) -> Failure {
    let row: String = CleanText::from_bytes(row).one_line().as_str().chars().take(80).collect();
    Failure::new(Exit::Failed, format!("{what} that lies on {} cannot be read: '{row}'.", cx.host))
        .hint("Look at it there by hand: ls -la /var/lib/lifeboat/runs /var/lib/lifeboat/kept")
}

/// What a restore kept aside on a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The run that kept it.
    pub run: RunId,
    /// Where it lies.
    pub paths: Vec<String>,
}

/// Everything kept aside on the node.
///
/// # Errors
/// A list that cannot be read: passed over, it would look as if nothing were kept.
pub fn list_kept(cx: &Cx) -> Result<Vec<Kept>> {
    let script = Script::new(
        "cd /var/lib/lifeboat/kept 2>/dev/null || exit 0\nfor f in *; do [ -f \"$f\" ] && printf '%s %s\\n' \"$f\" \"$(cat \"$f\")\"; done; :",
    );
    let output = read_node(cx, script, "Listing what is kept")?;
    rows(&output.stdout).map(|row| kept_of(row).ok_or_else(|| unreadable(cx, "What is kept", row))).collect()
}

fn kept_of(row: &[u8]) -> Option<Kept> {
    let (run, list) = std::str::from_utf8(row).ok()?.split_once(' ')?;
    let paths: Vec<String> = serde_json::from_str::<Vec<Vec<String>>>(list).ok()?.into_iter().flatten().collect();
    // They are shown, and they were clean when a run wrote them.
    let is_clean = |path: &String| CleanText::new(path).one_line().as_str() == path;
    paths.iter().all(is_clean).then_some(Kept { run: RunId::new(run).ok()?, paths })
}

/// `$1` the run, then directories. Every path of the run's own in them, each ended by NUL.
const BESIDE: &str = r#"r=$1
shift
for d in "$@"; do
  for p in "$d"/.*.lifeboat-"$r".*; do
    if [ -e "$p" ] || [ -L "$p" ]; then printf '%s\0' "$p"; fi
  done
done
"#;

/// What lies in some directories under the run's id: staged, kept aside, or left in the middle of something.
///
/// # Errors
/// A name that is no clean text: nothing of a run's own making has one.
pub fn list_beside<'d>(cx: &Cx, run: &RunId, dirs: impl IntoIterator<Item = &'d String>) -> Result<Vec<String>> {
    let mut script = Script::new(BESIDE).arg(run.as_str());
    for dir in dirs {
        script = script.arg(dir);
    }
    let output = read_node(cx, script, "Looking for what the run leaves")?;
    let paths = output.stdout.split(|&byte| byte == 0).filter(|path| !path.is_empty());
    let clean = |path: &[u8]| String::from_utf8(path.to_vec()).ok().filter(|path| CleanText::is_clean(path));
    paths.map(|path| clean(path).ok_or_else(|| unreadable(cx, "What the run left", path))).collect()
}

/// How long removing may take: a database of a million files takes its time.
const PURGE_LIMIT: Duration = Duration::from_hours(6);

/// `$1` the run, then the paths. Only when every one of them is gone is the list.
const PURGE: &str = r#"r=$1
shift
for p in "$@"; do
  case $p in
    /*/.*.lifeboat-"$r".kept | /*/.*.lifeboat-"$r".since.kept) ;;
    # What a run that was left had staged.
    /*/.*.lifeboat-"$r".new | /*/.*.lifeboat-"$r".in | /*/.*.lifeboat-"$r".copy) ;;
    /*/.*.lifeboat-"$r".work | /*/.*.lifeboat-"$r".new.work) ;;
    *) echo "$p is not beside what that run replaced" >&2; exit 1 ;;
  esac
done
for p in "$@"; do rm -rf -- "$p" || :; done
for p in "$@"; do
  if [ -e "$p" ] || [ -L "$p" ]; then echo "$p is still there" >&2; exit 1; fi
done
rm -f "/var/lib/lifeboat/kept/$r"
"#;

/// Removes what runs kept aside, one after the other; only paths of their own making, beside what they replaced, are
/// touched.
///
/// # Errors
/// A path is another one, or still there afterwards; then it stays listed, and the failure tells how far it came.
pub fn purge_kept(cx: &Cx, kept: &[Kept]) -> Result<()> {
    remove_each(cx.host, kept, |entry| remove(cx, entry))
}

fn remove_each(host: &HostId, kept: &[Kept], remove: impl Fn(&Kept) -> Result<()>) -> Result<()> {
    for (removed, entry) in kept.iter().enumerate() {
        remove(entry).map_err(|failure| {
            let state = format!(
                "What {removed} of {} runs kept on {host} is removed; of run {} a part may be.",
                kept.len(),
                entry.run
            );
            failure.state(state)
        })?;
    }
    Ok(())
}

fn remove(cx: &Cx, kept: &Kept) -> Result<()> {
    let mut script = Script::new(PURGE).within(PURGE_LIMIT, PURGE_LIMIT).arg(kept.run.as_str());
    for path in &kept.paths {
        script = script.arg(path);
    }
    read_node(cx, script, "Removing what is kept").map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_was_cut_or_could_drive_a_terminal_is_not_passed_over() {
        let whole = b"20261120T184500Z-7f3a9c [[\"/srv/.a.lifeboat-x.kept\",\"/srv/.b.lifeboat-x.kept\"]]";
        assert_eq!(kept_of(whole).unwrap().paths.len(), 2);
        assert_eq!(kept_of(&whole[..whole.len() - 4]), None);
        assert_eq!(kept_of(br#"20261120T184500Z-7f3a9c [["/srv/\u001b[2J.a"]]"#), None);
        assert!(found_run(b"20261120T184500Z-7f3a9c\tconsole 1\tactive\t\tfiles").unwrap().is_guarded);
        assert_eq!(found_run(b"20261120T184500Z-7f3a9c\tconsole 1\tact"), None);
    }

    #[test]
    fn removing_that_breaks_off_tells_how_far_it_came() {
        let kept =
            |number: u32| Kept { run: RunId::new(format!("20261120T18450{number}Z-7f3a9c")).unwrap(), paths: vec![] };
        let (host, all) = (HostId::new("val-1").unwrap(), [kept(1), kept(2), kept(3)]);
        let lost = |entry: &Kept| match entry.run.as_str() {
            "20261120T184502Z-7f3a9c" => Err(Failure::new(Exit::Unreachable, "val-1 does not answer.")),
            _ => Ok(()),
        };
        let failure = remove_each(&host, &all, lost).unwrap_err();
        let state = "What 1 of 3 runs kept on val-1 is removed; of run 20261120T184502Z-7f3a9c a part may be.";
        assert_eq!(failure.state.as_deref(), Some(state));
        assert!(remove_each(&host, &all[2..], lost).is_ok());
    }

    #[test]
    fn a_list_longer_than_clean_text_is_read_whole() {
        let paths: Vec<String> = (0..2000).map(|n| format!("/srv/.{n}.lifeboat-x.kept")).collect();
        let row = format!("20261120T184500Z-7f3a9c {}", serde_json::to_string(&[&paths]).unwrap());
        assert_eq!(kept_of(row.as_bytes()).unwrap().paths, paths);
    }
}
