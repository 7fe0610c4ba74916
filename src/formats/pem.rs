//! Reads PEM files strictly (RFC 7468, the forms Go's `encoding/pem` also accepts).
//!
//! A staking identity is two PEM files, and a damaged one must be told from a good one before it is trusted with a
//! node's name. Text outside blocks is legal and ignored; inside a block only canonical base64 is.

use super::text::shown;
use zeroize::Zeroizing;

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";

/// What a PEM file may cost.
#[derive(Debug, Clone, Copy)]
pub struct PemLimits {
    /// The largest file, in bytes.
    pub max_input: usize,
    /// The most blocks in one file.
    pub max_blocks: usize,
    /// The longest line, in bytes.
    pub max_line: usize,
}

impl Default for PemLimits {
    fn default() -> Self {
        Self { max_input: 64 * 1024, max_blocks: 16, max_line: 1024 }
    }
}

/// One block: its label and its decoded body.
///
/// The body is wiped when dropped, because it may be a private key.
#[derive(Clone)]
pub struct PemBlock {
    /// The words between `BEGIN` and the dashes, e.g. `CERTIFICATE`. Printable ASCII.
    pub label: String,
    /// The decoded bytes.
    pub der: Zeroizing<Vec<u8>>,
    /// The line the block begins on, counted from 1.
    pub line: usize,
}

impl std::fmt::Debug for PemBlock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PemBlock({}, {} bytes, line {})", self.label, self.der.len(), self.line)
    }
}

/// Why a file is not sound PEM.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PemError {
    /// The file is longer than the limit.
    #[error("The PEM file has {size} bytes; at most {limit} are read.")]
    TooLarge {
        /// The file's size.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// A line is longer than the limit.
    #[error("Line {line} of the PEM file is longer than {limit} bytes.")]
    LongLine {
        /// The line, from 1.
        line: usize,
        /// The limit.
        limit: usize,
    },
    /// There are more blocks than the limit.
    #[error("The PEM file has more than {limit} blocks (line {line}).")]
    TooManyBlocks {
        /// The line of the block too many.
        line: usize,
        /// The limit.
        limit: usize,
    },
    /// A `BEGIN` or `END` line is not well formed.
    #[error("Line {line} of the PEM file is not a well-formed BEGIN or END line: \"{text}\".")]
    Boundary {
        /// The line, from 1.
        line: usize,
        /// The line's text, escaped and cut.
        text: String,
    },
    /// The block's `END` names another label.
    #[error("The PEM block that begins as {begin} ends as \"{end}\" on line {line}.")]
    LabelMismatch {
        /// The label it began with.
        begin: String,
        /// The label it ended with, escaped and cut.
        end: String,
        /// The line, from 1.
        line: usize,
    },
    /// The file ends inside a block.
    #[error("The PEM file ends inside the {label} block that begins on line {line}: it is cut short.")]
    Unfinished {
        /// The block's label.
        label: String,
        /// Where the block begins, from 1.
        line: usize,
    },
    /// The block carries headers, as encrypted keys of the old form do.
    #[error("The {label} block has a header on line {line} (an encrypted key?); only plain blocks are read.")]
    Headers {
        /// The block's label.
        label: String,
        /// The line, from 1.
        line: usize,
    },
    /// The body is not canonical base64.
    #[error("The {label} block is damaged on line {line}: its text is not base64.")]
    Base64 {
        /// The block's label.
        label: String,
        /// The line, from 1.
        line: usize,
    },
    /// The block has no body.
    #[error("The {label} block on line {line} is empty.")]
    Empty {
        /// The block's label.
        label: String,
        /// Where the block begins, from 1.
        line: usize,
    },
    /// No block carries the wanted label.
    #[error("The PEM file has no {wanted} block.")]
    Missing {
        /// What was looked for.
        wanted: &'static str,
    },
}

/// Reads every block of a PEM file, in order.
///
/// # Errors
/// The first thing found wrong, with its line.
pub fn parse_pem(input: &[u8], limits: &PemLimits) -> Result<Vec<PemBlock>, PemError> {
    if input.len() > limits.max_input {
        return Err(PemError::TooLarge { size: input.len(), limit: limits.max_input });
    }
    let mut blocks = Vec::new();
    let mut open: Option<Body> = None;
    for (index, raw) in input.split(|byte| *byte == b'\n').enumerate() {
        let line = index + 1;
        if raw.len() > limits.max_line {
            return Err(PemError::LongLine { line, limit: limits.max_line });
        }
        let text = raw.trim_ascii_end();
        if let Some(rest) = text.strip_prefix(BEGIN) {
            if let Some(body) = open {
                return Err(PemError::Unfinished { label: body.label, line: body.line });
            }
            if blocks.len() >= limits.max_blocks {
                return Err(PemError::TooManyBlocks { line, limit: limits.max_blocks });
            }
            open = Some(Body::new(label(rest, text, line)?, line));
        } else if let Some(rest) = text.strip_prefix(END) {
            let Some(body) = open.take() else {
                return Err(PemError::Boundary { line, text: shown(text) });
            };
            if rest.strip_suffix(DASHES) != Some(body.label.as_bytes()) {
                let end = rest.strip_suffix(DASHES).unwrap_or(rest);
                return Err(PemError::LabelMismatch { begin: body.label, end: shown(end), line });
            }
            blocks.push(body.finish(line)?);
        } else if let Some(body) = &mut open {
            body.push(text, line)?;
        }
    }
    match open {
        Some(body) => Err(PemError::Unfinished { label: body.label, line: body.line }),
        None => Ok(blocks),
    }
}

/// The first `CERTIFICATE` block and how many more there are.
///
/// A TLS server presents the first one as its own, so that is the one a node's name is made from.
///
/// # Errors
/// [`PemError::Missing`] when there is none, and everything [`parse_pem`] finds.
pub fn first_certificate(input: &[u8], limits: &PemLimits) -> Result<(PemBlock, usize), PemError> {
    let mut found = parse_pem(input, limits)?.into_iter().filter(|block| block.label == "CERTIFICATE");
    let first = found.next().ok_or(PemError::Missing { wanted: "CERTIFICATE" })?;
    Ok((first, found.count()))
}

/// The first private-key block: `PRIVATE KEY` or any label that ends so.
///
/// # Errors
/// [`PemError::Missing`] when there is none, and everything [`parse_pem`] finds.
pub fn first_private_key(input: &[u8], limits: &PemLimits) -> Result<PemBlock, PemError> {
    parse_pem(input, limits)?
        .into_iter()
        .find(|block| block.label == "PRIVATE KEY" || block.label.ends_with(" PRIVATE KEY"))
        .ok_or(PemError::Missing { wanted: "PRIVATE KEY" })
}

fn label(rest: &[u8], text: &[u8], line: usize) -> Result<String, PemError> {
    let bad = || PemError::Boundary { line, text: shown(text) };
    let label = rest.strip_suffix(DASHES).ok_or_else(bad)?;
    let fine = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b' ';
    if label.is_empty() || label.len() > 64 || !label.iter().all(fine) {
        return Err(bad());
    }
    Ok(String::from_utf8_lossy(label).into_owned())
}

/// A block being read: base64 decoded as it comes, four characters at a time.
struct Body {
    label: String,
    line: usize,
    der: Zeroizing<Vec<u8>>,
    group: u32,
    digits: u8,
    pads: u8,
}

impl Body {
    fn new(label: String, line: usize) -> Self {
        // Room for the largest key there is use for, so that growing leaves no copies behind.
        Self { label, line, der: Zeroizing::new(Vec::with_capacity(4096)), group: 0, digits: 0, pads: 0 }
    }

    fn push(&mut self, text: &[u8], line: usize) -> Result<(), PemError> {
        if text.contains(&b':') {
            return Err(PemError::Headers { label: self.label.clone(), line });
        }
        for byte in text {
            if *byte == b'=' && self.digits >= 2 && self.digits + self.pads < 4 {
                self.pads += 1;
                continue;
            }
            let value = sextet(*byte).filter(|_| self.pads == 0).ok_or_else(|| self.bad(line))?;
            self.group = self.group << 6 | u32::from(value);
            self.digits += 1;
            if self.digits == 4 {
                self.der.extend_from_slice(&self.group.to_be_bytes()[1..]);
                (self.group, self.digits) = (0, 0);
            }
        }
        Ok(())
    }

    fn finish(mut self, line: usize) -> Result<PemBlock, PemError> {
        // What the last digit holds beyond whole bytes must be zero, or two texts would mean the same bytes.
        let tail = match (self.digits, self.pads) {
            (0, 0) => Some(Vec::new()),
            (2, 2) if self.group.trailing_zeros() >= 4 => Some(vec![low(self.group >> 4)]),
            (3, 1) if self.group.trailing_zeros() >= 2 => Some(vec![low(self.group >> 10), low(self.group >> 2)]),
            _ => None,
        };
        let Some(tail) = tail else {
            return Err(self.bad(line));
        };
        self.der.extend_from_slice(&tail);
        if self.der.is_empty() {
            return Err(PemError::Empty { label: self.label, line: self.line });
        }
        Ok(PemBlock { label: self.label, der: self.der, line: self.line })
    }

    fn bad(&self, line: usize) -> PemError {
        PemError::Base64 { label: self.label.clone(), line }
    }
}

/// The lowest byte.
const fn low(group: u32) -> u8 {
    group.to_be_bytes()[3]
}

const fn sextet(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(body: &str) -> Result<Vec<u8>, PemError> {
        let text = format!("-----BEGIN X-----\n{body}\n-----END X-----\n").replace('X', "DATA");
        parse_pem(text.as_bytes(), &PemLimits::default()).map(|blocks| blocks[0].der.to_vec())
    }

    #[test]
    fn bodies_decode() {
        assert_eq!(one("Zm9v"), Ok(b"foo".to_vec()));
        assert_eq!(one("Zm9v\r\nYg=="), Ok(b"foob".to_vec()));
        assert_eq!(one("Zm9vYmE="), Ok(b"fooba".to_vec()));
        assert_eq!(one("Zm9vYmFy"), Ok(b"foobar".to_vec()));
    }

    #[test]
    fn damage_is_named_with_its_line() {
        for body in ["Zm9", "Zm9v=", "Zh==", "Zm9vYmF=", "Zg=", "Zg==Zg==", "Zm 9v", "Zg==="] {
            assert!(matches!(one(body), Err(PemError::Base64 { .. })), "{body}: {:?}", one(body));
        }
        assert_eq!(one(""), Err(PemError::Empty { label: "DATA".into(), line: 1 }));
        assert!(matches!(one("Proc-Type: 4,ENCRYPTED"), Err(PemError::Headers { line: 2, .. })));
        let cut = parse_pem(b"text\n-----BEGIN KEY-----\nZm9v\n", &PemLimits::default());
        assert_eq!(cut.unwrap_err(), PemError::Unfinished { label: "KEY".into(), line: 2 });
        let other = parse_pem(b"-----BEGIN KEY-----\nZm9v\n-----END CERT-----", &PemLimits::default());
        assert!(matches!(other, Err(PemError::LabelMismatch { line: 3, .. })));
        assert!(matches!(parse_pem(b"-----END A-----", &PemLimits::default()), Err(PemError::Boundary { .. })));
    }

    #[test]
    fn the_first_certificate_is_taken_and_the_rest_counted() {
        let one = "-----BEGIN CERTIFICATE-----\nZm9v\n-----END CERTIFICATE-----\n";
        let (first, more) = first_certificate(format!("note\n{one}{one}").as_bytes(), &PemLimits::default()).unwrap();
        assert_eq!((first.der.as_slice(), first.line, more), (b"foo".as_slice(), 2, 1));
        let none = first_private_key(one.as_bytes(), &PemLimits::default());
        assert_eq!(none.unwrap_err(), PemError::Missing { wanted: "PRIVATE KEY" });
    }

    #[test]
    fn every_limit_holds_at_its_last_and_breaks_one_over() {
        let limits = PemLimits { max_input: 400, max_blocks: 3, max_line: 40 };
        let block = "-----BEGIN A-----\nZm9v\n-----END A-----\n";
        let read = |text: &str| parse_pem(text.as_bytes(), &limits).map(|blocks| blocks.len());
        let sized = |size: usize| format!("{block}{}", "\n".repeat(size - block.len()));
        assert_eq!(read(&sized(400)), Ok(1));
        assert_eq!(read(&sized(401)), Err(PemError::TooLarge { size: 401, limit: 400 }));
        assert_eq!(read(&block.repeat(3)), Ok(3));
        assert_eq!(read(&block.repeat(4)), Err(PemError::TooManyBlocks { line: 10, limit: 3 }));
        let lined = |length: usize| format!("note\n{}\n{block}", "x".repeat(length));
        assert_eq!(read(&lined(40)), Ok(1));
        assert_eq!(read(&lined(41)), Err(PemError::LongLine { line: 2, limit: 40 }));
        // Inside a block as well, where a line is decoded.
        let inside = |length: usize| format!("-----BEGIN A-----\n{}\n-----END A-----\n", "Zm9v".repeat(length / 4));
        assert_eq!(read(&inside(40)), Ok(1));
        assert_eq!(read(&inside(44)), Err(PemError::LongLine { line: 2, limit: 40 }));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..400)) {
            let _ = parse_pem(&bytes, &PemLimits::default());
            let framed = [b"-----BEGIN A-----\n".as_slice(), &bytes, b"\n-----END A-----"].concat();
            let _ = parse_pem(&framed, &PemLimits::default());
        }
    }
}
