//! Bytes back onto a node: every archive is unpacked beside its target, where nothing reads it yet.

use std::cell::Cell;
use std::io::{self, BufReader, Read, Write};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::listing::{self, Record, Tally};
use super::settings::{Compress, split};
use crate::model::exit::{Exit, Failure, Result};
use crate::model::manifest::StoredFile;
use crate::services::common::{finish_change, start_change};
use crate::services::{Cx, Sink};

/// Where a snapshot's archives go, as it stands in a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkArgs {
    /// Each archive.
    pub places: Vec<Place>,
    /// Owners by number instead of by name.
    pub numeric: bool,
    /// Whether the node unpacks zstd itself; otherwise it is unpacked here and travels plain.
    pub zstd: bool,
    /// The same for gzip.
    pub gzip: bool,
}

/// Where one archive goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The archive's name without its endings.
    pub archive: String,
    /// The name of its one root.
    pub root: String,
    /// The directory it is unpacked in; gone afterwards.
    pub arriving: String,
    /// Where its root then stands.
    pub staged: String,
}

/// `$1` compression, `$2` arriving, `$3` the root's name, `$4` staged, `$5` tar's choice of owners.
///
/// Tar's and the unpacker's statuses both count. A tar that ended well may leave padding unread.
const UNPACK: &str = r#"LC_ALL=C; export LC_ALL
c=$1 in=$2 n=$3 new=$4 who=$5
p=$(dirname -- "$in")
mkdir -p -- "$p"
rm -rf -- "$in" "$new"
mkdir -m 700 -- "$in"
unpack() {
  tar --extract --file=- --directory="$in" --preserve-permissions "$who" --delay-directory-restore \
    --xattrs --xattrs-include='*' --acls && cat >/dev/null
}
case $c in
  none) squeezed() { cat; } ;;
  zstd) squeezed() { zstd -q -d -c; } ;;
  gzip) squeezed() { gzip -d -c; } ;;
  *) exit 71 ;;
esac
set +e
s=$( { { squeezed; echo "open $?" >&3; } | { unpack >&2 3>&-; echo "tar $?" >&3; }; } 3>&1 )
set -e
t=${s##*tar }
case $s in *"tar 0"*) ;; *) echo "tar could not unpack it (${t%%[!0-9]*})" >&2; exit 1 ;; esac
case $s in *"open 0"*) ;; *) echo "$c could not open it" >&2; exit 1 ;; esac
[ "$(find "$in" -mindepth 1 -maxdepth 1 -printf x)" = x ] || { echo "the archive has not one root" >&2; exit 1; }
mv -T -- "$in/$n" "$new"
rmdir -- "$in"
sync -f "$p"
"#;

/// Adds to a list in the run's directory.
const APPEND: &str = r#"cat >>"$d/$1"
"#;
const EMPTY: &str = r#"for k in meta sums links; do : >"$d/$1.$k"; done
"#;

/// How much of a list is gathered before it is sent.
const LIST_CHUNK: usize = 1 << 20;

/// Lists under way to the node.
struct Lists<'a> {
    cx: &'a Cx<'a>,
    archive: &'a str,
    parts: [(&'static str, Vec<u8>); 3],
}

impl<'a> Lists<'a> {
    fn begin(cx: &'a Cx<'a>, archive: &'a str) -> Result<Self> {
        finish_change(cx, start_change(cx, EMPTY, &[archive])?, "Preparing the comparison")?;
        Ok(Self { cx, archive, parts: ["meta", "sums", "links"].map(|kind| (kind, Vec::new())) })
    }
    fn add(&mut self, record: &Record) -> Result<()> {
        let (part, lines): (usize, [&[u8]; 2]) = match record {
            Record::Meta(line) => (0, [line, b""]),
            Record::Sum(line) => (1, [line, b""]),
            Record::Link(name, first) => (2, [name, first]),
        };
        for line in lines.into_iter().filter(|line| !line.is_empty()) {
            self.parts[part].1.extend_from_slice(line);
            self.parts[part].1.push(0);
        }
        if self.parts[part].1.len() >= LIST_CHUNK { self.send(part) } else { Ok(()) }
    }
    fn send(&mut self, part: usize) -> Result<()> {
        let (kind, bytes) = &mut self.parts[part];
        if bytes.is_empty() {
            return Ok(());
        }
        let mut running = start_change(self.cx, APPEND, &[&format!("{}.{kind}", self.archive)])?;
        // What failed is told by the script's own end, right below.
        let written = running.write_all(bytes);
        finish_change(self.cx, running, "Sending what the files must look like")?;
        written.map_err(|error| lost(self.cx, &error))?;
        bytes.clear();
        Ok(())
    }
    fn end(mut self) -> Result<()> {
        (0..self.parts.len()).try_for_each(|part| self.send(part))
    }
}

fn lost(cx: &Cx, error: &io::Error) -> Failure {
    let error = crate::transport::TransportError::from_io(cx.host.as_str(), error);
    crate::services::common::as_failure(&error)
}

/// Passes on to the node what was read, one read late: when the next bytes are asked for, the reader above has looked
/// at every name in those before. So nothing unchecked reaches the node's tar.
struct Relay<'w, R> {
    from: R,
    to: &'w mut dyn Write,
    held: Vec<u8>,
    broken: &'w Cell<bool>,
}

impl<R: Read> Read for Relay<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        if let Err(error) = self.to.write_all(&self.held) {
            self.broken.set(true);
            return Err(error);
        }
        self.held.clear();
        let count = self.from.read(into)?;
        self.held.extend_from_slice(&into[..count]);
        Ok(count)
    }
}

const BUFFER: usize = 256 * 1024;

fn buffered<'r, R: Read + 'r>(from: R) -> BufReader<R> {
    BufReader::with_capacity(BUFFER, from)
}

/// A stream without its compression.
fn opened<'r>(compress: Compress, from: impl Read + 'r) -> Result<Box<dyn Read + 'r>> {
    Ok(match compress {
        Compress::None | Compress::Auto => Box::new(from),
        Compress::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(buffered(from))),
        Compress::Zstd => {
            let decoder = zstd::stream::read::Decoder::with_buffer(buffered(from));
            Box::new(decoder.map_err(|error| Failure::new(Exit::Failed, format!("zstd cannot be used: {error}.")))?)
        }
    })
}

/// The compression of a stored archive, by its name.
pub fn compression_of(name: &str) -> Option<(&str, Compress)> {
    let endings = [(".tar", Compress::None), (".tar.zst", Compress::Zstd), (".tar.gz", Compress::Gzip)];
    endings.into_iter().find_map(|(ending, compress)| Some((name.strip_suffix(ending)?, compress)))
}

/// Unpacks archives on a node.
pub struct Unpack<'a> {
    cx: &'a Cx<'a>,
    args: SinkArgs,
    arrived: Vec<String>,
    tally: Tally,
}

impl<'a> Unpack<'a> {
    /// A sink for what `args` names.
    pub fn new(cx: &'a Cx<'a>, args: SinkArgs) -> Self {
        Self { cx, args, arrived: Vec::new(), tally: Tally::default() }
    }
}

impl Sink for Unpack<'_> {
    fn put(&mut self, file: &StoredFile, body: &mut dyn Read) -> Result<()> {
        let known = compression_of(&file.name)
            .and_then(|(name, compress)| Some((self.args.places.iter().find(|p| p.archive == name)?, compress)));
        let Some((place, compress)) = known else {
            let message = format!("The snapshot holds a file this plan has no place for: {}.", file.origin);
            return Err(Failure::new(Exit::Integrity, message));
        };
        let there = match compress {
            Compress::Zstd => self.args.zstd,
            Compress::Gzip => self.args.gzip,
            Compress::None | Compress::Auto => true,
        };
        let who = if self.args.numeric { "--numeric-owner" } else { "--same-owner" };
        let form = if there { compress } else { Compress::None };
        let mut lists = Lists::begin(self.cx, &place.archive)?;
        let args = [form.word(), &place.arriving, &place.root, &place.staged, who];
        let mut running = start_change(self.cx, UNPACK, &args)?;
        let broken = Cell::new(false);
        let read = {
            let cancel = self.cx.cancel;
            let body = Watched { body, cancel };
            let (to, held, broken): (&mut dyn Write, _, _) = (&mut running, Vec::new(), &broken);
            let input: Box<dyn Read + '_> = if there {
                Box::new(buffered(opened(compress, Relay { from: body, to, held, broken })?))
            } else {
                Box::new(buffered(Relay { from: opened(compress, body)?, to, held, broken }))
            };
            listing::read(input, &place.root, self.args.numeric, cancel, &mut |record| lists.add(&record))
        };
        let doing = format!("Unpacking {}", file.origin);
        let tally = match read {
            Ok(tally) => tally,
            // The node stopped taking bytes: why, it says itself.
            Err(failure) if broken.get() => {
                return Err(finish_change(self.cx, running, &doing).err().unwrap_or(failure));
            }
            Err(failure) => return Err(failure),
        };
        finish_change(self.cx, running, &doing)?;
        lists.end()?;
        self.tally.entries += tally.entries;
        self.tally.bytes = self.tally.bytes.saturating_add(tally.bytes);
        self.arrived.push(place.archive.clone());
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Value> {
        if let Some(missing) = self.args.places.iter().find(|place| !self.arrived.contains(&place.archive)) {
            let message = format!("The snapshot has no archive for {}/{}.", split(&missing.staged).0, missing.root);
            return Err(Failure::new(Exit::Integrity, message));
        }
        Ok(json!({"entries": self.tally.entries, "bytes": self.tally.bytes}))
    }
}

/// Looks for the operator's wish to stop between chunks.
struct Watched<'b> {
    body: &'b mut dyn Read,
    cancel: &'b crate::transport::Cancel,
}

impl Read for Watched<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.cancel.check().map_err(io::Error::other)?;
        self.body.read(into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_are_known_by_their_endings() {
        assert_eq!(compression_of("tree-0.tar.zst"), Some(("tree-0", Compress::Zstd)));
        assert_eq!(compression_of("tree-10.tar"), Some(("tree-10", Compress::None)));
        assert_eq!(compression_of("tree-0.zip"), None);
    }

    #[test]
    fn nothing_is_passed_on_before_the_next_is_asked_for() {
        let (mut sent, broken) = (Vec::new(), Cell::new(false));
        let mut relay = Relay { from: &b"abcd"[..], to: &mut sent, held: Vec::new(), broken: &broken };
        let mut two = [0; 2];
        relay.read_exact(&mut two).unwrap();
        assert_eq!(relay.held, b"ab");
        relay.read_exact(&mut two).unwrap();
        drop(relay);
        assert_eq!(sent, b"ab", "the last bytes were passed on unchecked");
    }
}
