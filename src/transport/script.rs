//! How a script is run on a node: the wrapper around it, and the trailer that tells its end.

use std::sync::atomic::{AtomicU64, Ordering};

use secrecy::SecretString;

use super::{End, Finished, Rights, Script, TransportError, quote};
use crate::model::text::{CleanText, hex};

/// Runs the script `$3` with the arguments after it and reports its end.
///
/// * `$1` (the nonce) and a `+` on both streams say that it began: what a login shell's start files print before
///   that never reaches a reader.
/// * In mode `watch` a reader of standard input sends TERM to the script's whole process group as soon as the
///   console is gone. In mode `input` the script reads standard input itself and sees its end.
/// * After `long-` the script stands not in `$3` but on standard input, up to a line that is the nonce; one that was cut
///   off before it is not run. `read` takes no byte that comes after that line.
/// * The last line on standard error is the nonce and the script's status: without it nothing is known of the end.
const WRAPPER: &str = r#"n=$1 m=$2 s=$3
shift 3
LC_ALL=C
export LC_ALL
printf '%s+\n' "$n"
printf '%s+\n' "$n" >&2
case $m in
  long-*)
    m=${m#long-} l=
    while IFS= read -r l && [ "$l" != "$n" ]; do
      s="$s$l
"
    done
    [ "$l" = "$n" ] || exit 93 ;;
esac
if [ "$m" = input ]; then
  /bin/sh -c "$s" lifeboat "$@"
  r=$?
else
  exec 3<&0 </dev/null
  g=
  command -v setsid >/dev/null 2>&1 && g=setsid
  $g /bin/sh -c "$s" lifeboat "$@" 3<&- &
  p=$!
  { while read -r l <&3; do :; done; kill -s TERM -- "-$p" || kill -s TERM "$p"; } >/dev/null 2>&1 &
  w=$!
  wait "$p"
  r=$?
  { kill "$w"; wait "$w"; } >/dev/null 2>&1
fi
printf '\n%s %d\n' "$n" "$r" >&2
exit "$r"
"#;

/// How root is reached on a node.
#[derive(Debug, Clone)]
pub enum RootWay {
    /// The login is root already.
    Already,
    /// `sudo -n`.
    Sudo,
    /// `sudo -S`: the password is sent only when asked for.
    SudoPassword(SecretString),
    /// `doas -n`.
    Doas,
}

/// What is run, and what its streams are searched for.
#[derive(Debug, Clone)]
pub struct Wrapped {
    /// The words of the command, from `sudo` or `/bin/sh` on.
    pub argv: Vec<Vec<u8>>,
    /// Unpredictable text that marks the begin and the end.
    pub nonce: String,
    /// The password to send when `sudo` asks.
    pub password: Option<SecretString>,
    /// What comes before the script's own input once it has begun: the script itself, where it is too long for a word.
    pub before_input: Vec<u8>,
}

/// Puts the wrapper around `script`. `root` is how root is reached, when it is wanted.
pub fn wrap(script: &Script, root: Option<&RootWay>) -> Wrapped {
    let mut wrapped = around(script, root, "");
    wrapped.argv.push(script.text.clone().into_bytes());
    wrapped.argv.extend(script.args.iter().cloned());
    wrapped
}

/// As [`wrap`], for a script that takes more room with its arguments than a command line has: both come as input.
pub fn wrap_long(script: &Script, root: Option<&RootWay>) -> Wrapped {
    let mut wrapped = around(script, root, "long-");
    wrapped.argv.push(Vec::new());
    let words = [&b"set"[..], b"--"].into_iter().chain(script.args.iter().map(Vec::as_slice));
    let end = format!("\n{}\n", wrapped.nonce);
    wrapped.before_input = [&quote::line(words), &b"\n"[..], script.text.as_bytes(), end.as_bytes()].concat();
    wrapped
}

fn around(script: &Script, root: Option<&RootWay>, long: &str) -> Wrapped {
    let nonce = nonce();
    let mut argv: Vec<Vec<u8>> = Vec::new();
    let mut password = None;
    let mut push = |words: &[&str]| argv.extend(words.iter().map(|w| w.as_bytes().to_vec()));
    match root {
        None | Some(RootWay::Already) => {}
        Some(RootWay::Sudo) => push(&["sudo", "-n", "--"]),
        Some(RootWay::SudoPassword(secret)) => {
            password = Some(secret.clone());
            push(&["sudo", "-S", "-p", &format!("{nonce}?"), "--"]);
        }
        Some(RootWay::Doas) => push(&["doas", "-n", "--"]),
    }
    let mode = format!("{long}{}", if script.input { "input" } else { "watch" });
    push(&["/bin/sh", "-c", WRAPPER, "lifeboat", &nonce, &mode]);
    Wrapped { argv, nonce, password, before_input: Vec::new() }
}

impl Wrapped {
    /// The command line for an SSH server, whatever the login shell is.
    pub fn command_line(&self) -> String {
        let mut line = b"LC_ALL=C; export LC_ALL; exec ".to_vec();
        line.extend(quote::line(self.argv.iter().map(Vec::as_slice)));
        quote::portable(&line)
    }
}

fn nonce() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mut bytes = [0u8; 16];
    // Without the system's randomness no session would stand either; a count keeps scripts apart even then.
    if getrandom::fill(&mut bytes).is_err() {
        bytes[..8].copy_from_slice(&COUNT.fetch_add(1, Ordering::Relaxed).to_ne_bytes());
    }
    format!("lb{}", hex(&bytes))
}

/// Splits the kept end of standard error, whose end came cleanly, into what the script said and how it ended.
pub fn judge(stderr: &[u8], nonce: &str, signal: Option<&str>, stdout_bytes: u64) -> Finished {
    let mark = format!("\n{nonce} ");
    let found = stderr.windows(mark.len()).rposition(|w| w == mark.as_bytes());
    let trailer = found.and_then(|at| {
        let rest = &stderr[at + mark.len()..];
        let end = rest.iter().position(|&b| b == b'\n')?;
        let status = std::str::from_utf8(&rest[..end]).ok()?.parse::<i32>().ok()?;
        Some((at, status, &rest[end + 1..]))
    });
    let (text, end) = match trailer {
        Some((at, status, after)) if signal.is_none() => {
            ([&stderr[..at], after].concat(), killed(status).unwrap_or(End::Exited(status)))
        }
        Some((at, _, after)) => ([&stderr[..at], after].concat(), End::Unknown),
        None => (stderr.to_vec(), signal.map_or(End::Unknown, |name| End::Killed(CleanText::new(name).one_line()))),
    };
    Finished { end, stderr: last_part(&text), stdout_bytes }
}

/// Clean text holds 16 KiB; of a long error stream its end is worth most.
fn last_part(text: &[u8]) -> CleanText {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let last = |count: usize| CleanText::from_bytes(&text[text.len().saturating_sub(count)..]);
    let clean = last(12 * 1024);
    // Escapes make a binary stream up to four times as long; its end must still be seen.
    if clean.as_str().ends_with('…') { last(3 * 1024) } else { clean }
}

/// A signal's name without `SIG`.
pub fn signal_name(number: i32) -> String {
    const NAMES: [&str; 15] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM",
        "TERM",
    ];
    let name = usize::try_from(number).ok().and_then(|n| NAMES.get(n.checked_sub(1)?));
    name.map_or_else(|| format!("signal {number}"), |name| (*name).to_owned())
}

/// A shell reports a killed script as 128 and the signal's number.
fn killed(status: i32) -> Option<End> {
    matches!(status, 129..=192).then(|| End::Killed(CleanText::new(&signal_name(status - 128))))
}

/// Why a script never began, from what came instead.
pub fn never_began(host: &str, rights: Rights, said: &[u8]) -> TransportError {
    let host = host.to_owned();
    let text = CleanText::from_bytes(said);
    let lower = text.as_str().to_lowercase();
    let last = text.last_line().trim_end_matches('.').to_owned();
    if rights == Rights::Login {
        let why = if last.is_empty() { "the login shell ended without a word".to_owned() } else { last };
        return TransportError::Refused { host, what: "a command".into(), why };
    }
    let has = |needle: &str| lower.contains(needle);
    let why = if has("must have a tty") || has("no tty present") || has("requiretty") {
        "sudo there demands a terminal (requiretty); allow this user without one in sudoers".to_owned()
    } else if has("a password is required") || has("authorization required") || has("authentication required") {
        "a password is required and none is configured (become_password)".to_owned()
    } else if has("not in the sudoers") || has("not allowed to") || has("may not run") || has("operation not permitted")
    {
        format!("this user is not allowed to become root ({last})")
    } else if has("not found") || has("no such file") {
        "the program to become root is not installed".to_owned()
    } else if last.is_empty() {
        "it ended without a word".to_owned()
    } else {
        last
    };
    TransportError::Root { host, why }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_trailer_tells_a_status() {
        let end = |err: &str, signal| judge(err.as_bytes(), "lbX", signal, 0);
        assert_eq!(end("oops\n\nlbX 7\n", None).end, End::Exited(7));
        assert_eq!(end("oops\n\nlbX 7\n", None).stderr.as_str(), "oops");
        assert_eq!(end("\nlbX 0\n", Some("KILL")).end, End::Unknown);
        assert_eq!(end("\nlbX 0", None).end, End::Unknown);
        assert_eq!(end("lbX 0\n", None).end, End::Unknown);
        assert_eq!(end("", Some("KILL")).end, End::Killed("KILL".into()));
        assert_eq!(end("\nlbX 137\n", None).end, End::Killed("KILL".into()));
        assert_eq!(end("\nlbX 255\n", None).end, End::Exited(255));
        assert_eq!(end("\nlbX 0\nlate\n", None).stderr.as_str(), "late");
    }

    #[test]
    fn sudo_refusals_become_sentences() {
        let why = |said: &str| never_began("n", Rights::Root, said.as_bytes()).to_string();
        assert!(
            why("We trust you have received the usual lecture\nsudo: a password is required\n")
                .contains("become_password")
        );
        assert!(why("sudo: sorry, you must have a tty to run sudo").contains("requiretty"));
        assert!(why("bob is not in the sudoers file.").contains("not allowed"));
        assert!(why("sh: 1: exec: sudo: not found").contains("not installed"));
    }
}
