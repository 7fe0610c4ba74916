//! A TLS layer over any [`Duplex`]: a service's API that speaks nothing else, reached through the node's own login.
//!
//! The peer is recognised by what the node itself says it shows: a CA with names, or one certificate exactly. Nothing
//! of this machine's own trust store counts, nothing turns the check off, and no byte of a request is written before
//! it has passed. Time is the caller's, so that an expired certificate is told by one clock only.

use std::fmt;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openssl::asn1::Asn1TimeRef;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::ssl::{
    Error as SslError, ErrorCode, HandshakeError, Ssl, SslContext, SslMethod, SslStream, SslVerifyMode, SslVersion,
};
use openssl::stack::{Stack, StackRef};
use openssl::x509::store::{X509Store, X509StoreBuilder};
use openssl::x509::verify::{X509CheckFlags, X509VerifyFlags, X509VerifyParam};
use openssl::x509::{
    X509, X509NameRef, X509PurposeId, X509Ref, X509StoreContext, X509StoreContextRef, X509VerifyResult,
};
use zeroize::Zeroizing;

use super::Duplex;
use crate::model::text::{CleanText, hex};

/// The most certificates a trust file may hold; a system's whole bundle has some 150.
const MOST_CERTIFICATES: usize = 1000;
/// How long a peer may take, once both sides have finished a handshake of TLS 1.3, to say whether it is content with us.
const CONTENT: Duration = Duration::from_secs(1);

/// What the peer must show.
#[derive(Debug, Clone)]
pub enum Expected {
    /// A certificate for servers that chains up to one of these, and speaks for one of the names.
    SignedBy {
        /// Certificates in PEM; each is an anchor by itself, also an intermediate one.
        authorities: Vec<u8>,
        /// DNS names and addresses, the one that is most its own first.
        names: Vec<String>,
    },
    /// The first certificate of this PEM, and no other.
    Exactly(Vec<u8>),
}

/// What we show when the peer asks who we are.
#[derive(Clone)]
pub struct Shown {
    /// The certificate in PEM, with the chain behind it.
    pub certificate: Vec<u8>,
    /// Its private key in PEM, wiped when dropped.
    pub key: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shown(certificate and key)")
    }
}

/// A peer's certificate as a person recognises it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its subject, such as `CN=server.dc1.consul`; empty when it has none.
    pub subject: CleanText,
    /// Its issuer, likewise.
    pub issuer: CleanText,
    /// Its names and addresses.
    pub names: Vec<CleanText>,
    /// The first and the last moment it is valid, as OpenSSL prints them.
    pub valid: (CleanText, CleanText),
    /// The SHA-256 of its DER, in lower-case hexadecimal.
    pub sha256: String,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subject = if self.subject.is_empty() { "no subject" } else { self.subject.as_str() };
        write!(f, "{subject}, valid until {}, SHA-256 {}", self.valid.1, self.sha256)
    }
}

/// Why a connection has no TLS on it.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// What was to be expected or shown cannot be used: no certificate in a file, a key of another certificate.
    #[error("{0}")]
    Unusable(String),
    /// The peer speaks something else; `http` when its first words are plain HTTP.
    #[error("it speaks no TLS{}", if *.http { ": it answers in plain HTTP" } else { "" })]
    Plain {
        /// Whether it is plain HTTP.
        http: bool,
    },
    /// The peer's certificate is not one that was expected.
    #[error("{why}: it shows {seen}")]
    Certificate {
        /// A clause: "it has expired".
        why: String,
        /// What it shows.
        seen: Box<Seen>,
    },
    /// The peer ended it, and said so: it wants a certificate of us, or another one.
    #[error("{}", refused(*.alert, *.showed))]
    Refused {
        /// The alert's number.
        alert: u8,
        /// Whether we showed a certificate.
        showed: bool,
    },
    /// The two sides did not come to terms.
    #[error("the TLS handshake failed ({0})")]
    Handshake(String),
    /// The connection under it failed.
    #[error("{0}")]
    Io(io::Error),
}

/// What an alert means to whoever reads of it.
fn refused(alert: u8, showed: bool) -> String {
    match (alert, showed) {
        (40 | 42 | 116, false) => "it wants a client certificate, and none was shown".to_owned(),
        (42..=46 | 48 | 49 | 116, true) => format!("it refuses the client certificate that was shown (alert {alert})"),
        _ => format!("it ended the TLS connection with alert {alert}"),
    }
}

impl TlsError {
    /// Recovers what a stream of ours wrapped in its `io::Error`.
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
    /// Whether the peer is not content with who we are.
    pub fn is_of_us(&self) -> bool {
        matches!(self, Self::Refused { alert: 40 | 42..=46 | 48 | 49 | 116, .. })
    }
}

/// Both sides' papers, read and found usable.
pub struct Terms {
    context: SslContext,
    roots: Vec<X509>,
    peer: Peer,
    shows: bool,
    now: i64,
}

enum Peer {
    Named(Vec<String>),
    Exactly(Box<X509>),
}

impl fmt::Debug for Terms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terms").field("shows", &self.shows).finish_non_exhaustive()
    }
}

fn unusable(what: &str, error: &ErrorStack) -> TlsError {
    TlsError::Unusable(format!("{what} ({})", reasons(error)))
}

/// Every certificate of a PEM text; a sentence when there is none.
fn certificates(pem: &[u8], whose: &str) -> Result<Vec<X509>, TlsError> {
    let all = X509::stack_from_pem(pem).map_err(|error| unusable(&format!("{whose} cannot be read"), &error))?;
    match all.len() {
        0 => Err(TlsError::Unusable(format!("{whose} holds no certificate"))),
        count if count > MOST_CERTIFICATES => Err(TlsError::Unusable(format!("{whose} holds {count} certificates"))),
        _ => Ok(all),
    }
}

impl Terms {
    /// Reads both sides' papers; `now` is the time in seconds since 1970 by which certificates are judged.
    ///
    /// # Errors
    /// [`TlsError::Unusable`]; [`TlsError::Certificate`] when the one certificate that would be accepted is not valid now.
    pub fn new(expected: &Expected, shown: Option<&Shown>, now: i64) -> Result<Self, TlsError> {
        let (roots, peer) = match expected {
            Expected::SignedBy { authorities, names } => {
                (certificates(authorities, "the file of trusted certificates")?, Peer::Named(names.clone()))
            }
            Expected::Exactly(pem) => {
                let first = certificates(pem, "the file of the expected certificate")?.swap_remove(0);
                in_time(&first, now)?;
                (vec![first.clone()], Peer::Exactly(Box::new(first)))
            }
        };
        let setup = |error: ErrorStack| unusable("TLS cannot be set up", &error);
        let mut context = SslContext::builder(SslMethod::tls_client()).map_err(setup)?;
        context.set_min_proto_version(Some(SslVersion::TLS1_2)).map_err(setup)?;
        context.set_verify(SslVerifyMode::PEER);
        context.set_cert_store(store(&roots, None).map_err(setup)?);
        if let Some(shown) = shown {
            let mut chain = certificates(&shown.certificate, "the client certificate's file")?.into_iter();
            let wrong = |error: ErrorStack| unusable("the client certificate and its key cannot be used", &error);
            // An empty passphrase: a key that has one is refused here and never asked for at a terminal.
            let key = PKey::private_key_from_pem_passphrase(&shown.key, b"").map_err(|_| {
                TlsError::Unusable("the client certificate's key cannot be read, or has a passphrase".to_owned())
            })?;
            if let Some(leaf) = chain.next() {
                context.set_certificate(&leaf).map_err(wrong)?;
            }
            for above in chain {
                context.add_extra_chain_cert(above).map_err(wrong)?;
            }
            context.set_private_key(&key).map_err(wrong)?;
            context.check_private_key().map_err(wrong)?;
        }
        Ok(Self { context: context.build(), roots, peer, shows: shown.is_some(), now })
    }

    /// Puts TLS onto a connection and makes sure who is at its other end; one read or write may stand still for
    /// `patience`.
    pub fn secure(&self, mut duplex: Box<dyn Duplex>, patience: Duration) -> Result<Secured, TlsError> {
        duplex.set_timeout(patience).map_err(TlsError::Io)?;
        let setup = |error: ErrorStack| unusable("TLS cannot be set up", &error);
        let mut ssl = Ssl::new(&self.context).map_err(setup)?;
        ssl.param_mut().set_time(self.now);
        if let Peer::Exactly(_) = self.peer {
            // What a certificate that is known bit by bit may be used for was its owner's to decide.
            ssl.param_mut().set_purpose(X509PurposeId::ANY).map_err(setup)?;
        }
        let leaf = Arc::new(Mutex::new(None));
        let noted = Arc::clone(&leaf);
        ssl.set_verify_callback(SslVerifyMode::PEER, move |passed, context| {
            let first = context.chain().and_then(|chain| chain.get(0)).or_else(|| context.current_cert());
            *noted.lock().unwrap_or_else(PoisonError::into_inner) = first.map(seen);
            passed
        });
        let stream = ssl.connect(Watched { inner: duplex, first: Vec::new(), failed: None, record: None });
        let mut stream = stream.map_err(|error| {
            let leaf = leaf.lock().unwrap_or_else(PoisonError::into_inner).take();
            failed(error, leaf, self.shows)
        })?;
        let name = self.recognise(stream.ssl().peer_certificate().as_deref(), stream.ssl().peer_cert_chain())?;
        if stream.ssl().version2() == Some(SslVersion::TLS1_3) {
            self.hear_content(&mut stream, patience)?;
        }
        Ok(Secured { stream, shows: self.shows, name })
    }

    /// Waits for the peer's first word after the handshake. With TLS 1.3 our side is done before the peer has looked at
    /// what we showed: its refusal would come after the request, or be lost with the connection it closes. A peer that
    /// is content sends a ticket, or nothing.
    fn hear_content(&self, stream: &mut SslStream<Watched>, patience: Duration) -> Result<(), TlsError> {
        let io = |error| TlsError::Io(error);
        stream.get_mut().inner.set_timeout(CONTENT.min(patience)).map_err(io)?;
        stream.get_mut().record = Some(Record::default());
        let heard = stream.ssl_peek(&mut [0]);
        stream.get_mut().record = None;
        stream.get_mut().inner.set_timeout(patience).map_err(io)?;
        match heard {
            Ok(_) => Ok(()),
            Err(error) if error.code() == ErrorCode::WANT_READ => Ok(()),
            Err(error) => Err(of_stream(error, stream.get_mut().failed.take(), self.shows)),
        }
    }

    /// Whether the certificate, whose chain was verified, is one that was expected; the name by which it is.
    fn recognise(&self, leaf: Option<&X509Ref>, chain: Option<&StackRef<X509>>) -> Result<Option<String>, TlsError> {
        let Some(leaf) = leaf else {
            return Err(TlsError::Handshake("the peer shows no certificate".to_owned()));
        };
        let wrong = |why: String| TlsError::Certificate { why, seen: Box::new(seen(leaf)) };
        match &self.peer {
            Peer::Exactly(expected) if fingerprint(expected) == fingerprint(leaf) => Ok(None),
            Peer::Exactly(expected) => {
                Err(wrong(format!("not the certificate with SHA-256 {}", fingerprint(expected))))
            }
            Peer::Named(names) => {
                let found = names.iter().find(|name| speaks_for(&self.roots, leaf, chain, name, self.now));
                let told: Vec<_> = seen(leaf).names.iter().map(CleanText::to_string).collect();
                let told = if told.is_empty() { "no name at all".to_owned() } else { told.join(", ") };
                found
                    .cloned()
                    .map(Some)
                    .ok_or_else(|| wrong(format!("it speaks for {told}, not for {}", names.join(" or "))))
            }
        }
    }
}

/// Anchors: each certificate by itself, so that a file with only an intermediate one is enough, as it is for Go's servers.
fn store(roots: &[X509], param: Option<&X509VerifyParam>) -> Result<X509Store, ErrorStack> {
    let mut store = X509StoreBuilder::new()?;
    for root in roots {
        store.add_cert(root.clone())?;
    }
    store.set_flags(X509VerifyFlags::PARTIAL_CHAIN)?;
    if let Some(param) = param {
        store.set_param(param)?;
    }
    Ok(store.build())
}

/// Whether the certificate is that of `name`, a DNS name or an address; the library's own rules, wildcards included.
fn speaks_for(roots: &[X509], leaf: &X509Ref, chain: Option<&StackRef<X509>>, name: &str, now: i64) -> bool {
    let judge = || -> Result<bool, ErrorStack> {
        let mut param = X509VerifyParam::new()?;
        param.set_time(now);
        param.set_purpose(X509PurposeId::SSL_SERVER)?;
        if let Ok(address) = name.parse() {
            param.set_ip(address)?;
        } else {
            param.set_hostflags(X509CheckFlags::NEVER_CHECK_SUBJECT);
            param.set_host(name)?;
        }
        let store = store(roots, Some(&param))?;
        let mut between = Stack::new()?;
        for one in chain.into_iter().flatten() {
            between.push(one.to_owned())?;
        }
        X509StoreContext::new()?.init(&store, leaf, &between, X509StoreContextRef::verify_cert)
    };
    judge().unwrap_or(false)
}

fn in_time(certificate: &X509Ref, now: i64) -> Result<(), TlsError> {
    let now = openssl::asn1::Asn1Time::from_unix(now).map_err(|error| unusable("the time cannot be told", &error))?;
    let why = if certificate.not_after() < now {
        "it has expired"
    } else if certificate.not_before() > now {
        "it is not valid yet"
    } else {
        return Ok(());
    };
    Err(TlsError::Certificate { why: why.to_owned(), seen: Box::new(seen(certificate)) })
}

fn fingerprint(certificate: &X509Ref) -> String {
    let digest = certificate.digest(MessageDigest::sha256());
    digest.map_or(String::new(), |digest| hex(&digest))
}

fn seen(certificate: &X509Ref) -> Seen {
    let alternatives = certificate.subject_alt_names();
    let names = alternatives.iter().flatten().filter_map(|name| match (name.dnsname(), name.ipaddress()) {
        (Some(name), _) => Some(CleanText::new(name).one_line()),
        (None, Some(&[a, b, c, d])) => Some(format!("{a}.{b}.{c}.{d}").into()),
        (None, Some(bytes)) => {
            let bytes: [u8; 16] = bytes.try_into().ok()?;
            Some(std::net::Ipv6Addr::from(bytes).to_string().into())
        }
        _ => None,
    });
    let time = |time: &Asn1TimeRef| CleanText::new(&time.to_string()).one_line();
    Seen {
        subject: name(certificate.subject_name()),
        issuer: name(certificate.issuer_name()),
        names: names.take(20).collect(),
        valid: (time(certificate.not_before()), time(certificate.not_after())),
        sha256: fingerprint(certificate),
    }
}

/// The parts of a name a person knows it by.
fn name(name: &X509NameRef) -> CleanText {
    let parts = [(Nid::COMMONNAME, "CN"), (Nid::ORGANIZATIONNAME, "O")].into_iter().filter_map(|(nid, label)| {
        let text = name.entries_by_nid(nid).next()?.data().to_string().ok()?;
        let text: String = CleanText::new(&text).one_line().as_str().chars().take(100).collect();
        Some(format!("{label}={text}"))
    });
    parts.collect::<Vec<_>>().join(", ").into()
}

/// OpenSSL's own words, without its files and lines.
fn reasons(stack: &ErrorStack) -> String {
    let words: Vec<_> = stack.errors().iter().filter_map(openssl::error::Error::reason).collect();
    if words.is_empty() { "no reason was given".to_owned() } else { words.join("; ") }
}

/// The number of the alert the peer sent, when that is what ended it: OpenSSL's SSL library, reasons from 1000 on.
fn alert(stack: &ErrorStack) -> Option<u8> {
    const SSL_LIBRARY: i32 = 20;
    let mut of_ssl = stack.errors().iter().filter(|error| error.library_code() == SSL_LIBRARY);
    of_ssl.find_map(|error| u8::try_from(error.reason_code() - 1000).ok())
}

/// Why a handshake failed.
fn failed(error: HandshakeError<Watched>, leaf: Option<Seen>, shows: bool) -> TlsError {
    let mut middle = match error {
        HandshakeError::SetupFailure(stack) => return unusable("TLS cannot be set up", &stack),
        HandshakeError::Failure(middle) | HandshakeError::WouldBlock(middle) => middle,
    };
    let verdict = middle.ssl().verify_result();
    if let Some(seen) = leaf.filter(|_| verdict != X509VerifyResult::OK) {
        return TlsError::Certificate { why: explain(verdict, &seen), seen: Box::new(seen) };
    }
    let first = middle.get_ref().first.clone();
    // A record of TLS begins with its kind: 22 is the handshake's, 21 an alert's.
    if first.first().is_some_and(|kind| !matches!(kind, 21 | 22)) {
        return TlsError::Plain { http: first.starts_with(b"HTTP") };
    }
    let under = middle.get_mut().failed.take();
    match of_stream(middle.into_error(), under, shows) {
        TlsError::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            TlsError::Handshake("the other side ended the connection".to_owned())
        }
        other => other,
    }
}

/// What OpenSSL's verdict on a chain means here.
fn explain(verdict: X509VerifyResult, seen: &Seen) -> String {
    const EXPIRED: i32 = 10;
    const NOT_YET: i32 = 9;
    const NO_ISSUER: [i32; 4] = [18, 19, 20, 21];
    match verdict.as_raw() {
        EXPIRED => "it has expired".to_owned(),
        NOT_YET => format!("it is not valid before {}", seen.valid.0),
        code if NO_ISSUER.contains(&code) => {
            let issuer = if seen.issuer.is_empty() { "nobody" } else { seen.issuer.as_str() };
            format!("nothing trusted signed it (it names {issuer} as its issuer)")
        }
        _ => format!("it cannot be trusted ({})", verdict.error_string()),
    }
}

/// Why a stream that had begun failed.
fn of_stream(error: SslError, under: Option<io::Error>, shows: bool) -> TlsError {
    if let Some(alert) = error.ssl_error().and_then(alert) {
        return TlsError::Refused { alert, showed: shows };
    }
    match under {
        Some(error) => TlsError::Io(error),
        None => match error.ssl_error() {
            Some(stack) => TlsError::Handshake(reasons(stack)),
            None => TlsError::Io(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection ended inside TLS")),
        },
    }
}

/// An error a reader of ours can find again; one of the connection's own stays as it is.
fn into_io(error: TlsError) -> io::Error {
    match error {
        TlsError::Io(error) => error,
        other => io::Error::other(other),
    }
}

/// The connection under TLS, with what is to be told of it afterwards.
struct Watched {
    inner: Box<dyn Duplex>,
    /// The first bytes the peer sent: they tell what it speaks.
    first: Vec<u8>,
    /// What it failed with; OpenSSL keeps no more of that than a number.
    failed: Option<io::Error>,
    /// While one record is awaited: how much of it came. Then nothing more is read, and silence is no failure.
    record: Option<Record>,
}

/// How much of one record of TLS was read: five bytes, the last two of which say how long the rest is.
#[derive(Debug, Default)]
struct Record {
    head: Vec<u8>,
    body: usize,
}

impl Record {
    fn take(&mut self, bytes: &[u8]) {
        let (head, body) = bytes.split_at(bytes.len().min(5_usize.saturating_sub(self.head.len())));
        self.head.extend_from_slice(head);
        self.body += body.len();
    }
    fn is_whole(&self) -> bool {
        matches!(*self.head, [_, _, _, high, low] if self.body >= usize::from(u16::from_be_bytes([high, low])))
    }
}

impl Watched {
    fn note<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
        result.map_err(|error| match error.kind() {
            Interrupted => error,
            TimedOut | WouldBlock if self.record.is_some() => WouldBlock.into(),
            // A kind that OpenSSL would take for a wish to be asked again.
            WouldBlock => {
                self.failed = Some(io::Error::new(TimedOut, error));
                TimedOut.into()
            }
            kind => {
                self.failed = Some(error);
                kind.into()
            }
        })
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watched")
    }
}
impl Read for Watched {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.record.as_ref().is_some_and(Record::is_whole) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let read = self.inner.read(out);
        let count = self.note(read)?;
        let room = 5_usize.saturating_sub(self.first.len());
        self.first.extend(out.iter().take(count.min(room)));
        if let Some(record) = &mut self.record {
            record.take(&out[..count]);
        }
        Ok(count)
    }
}
impl Write for Watched {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes);
        self.note(written)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// A connection whose other end is known.
#[derive(Debug)]
pub struct Secured {
    stream: SslStream<Watched>,
    shows: bool,
    name: Option<String>,
}

impl Secured {
    /// The expected name its certificate speaks for; none when the certificate itself was expected.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    fn failure(&mut self, error: SslError) -> io::Error {
        let under = self.stream.get_mut().failed.take();
        into_io(of_stream(error, under, self.shows))
    }
}

impl Read for Secured {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            match self.stream.ssl_read(out) {
                Ok(count) => return Ok(count),
                Err(error) if error.code() == ErrorCode::ZERO_RETURN => return Ok(0),
                // A message of TLS's own came and no data yet.
                Err(error) if error.code() == ErrorCode::WANT_READ && error.io_error().is_none() => {}
                Err(error) => return Err(self.failure(error)),
            }
        }
    }
}
impl Write for Secured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        loop {
            match self.stream.ssl_write(bytes) {
                Ok(count) => return Ok(count),
                Err(error) if error.code() == ErrorCode::WANT_READ && error.io_error().is_none() => {}
                Err(error) => return Err(self.failure(error)),
            }
        }
    }
    fn flush(&mut self) -> io::Result<()> {
        self.stream.get_mut().flush()
    }
}
impl Duplex for Secured {
    fn close_write(&mut self) -> io::Result<()> {
        match self.stream.shutdown() {
            Ok(_) => {}
            Err(error) if error.code() == ErrorCode::WANT_READ => {}
            Err(error) => return Err(self.failure(error)),
        }
        self.stream.get_mut().inner.close_write()
    }
    fn set_timeout(&mut self, timeout: Duration) -> io::Result<()> {
        self.stream.get_mut().inner.set_timeout(timeout)
    }
}

#[cfg(test)]
pub(crate) mod papers;
#[cfg(test)]
mod tests;
