//! Both sides over loopback: what is taken, and of everything else the sentence it is refused with.

use std::net::{Shutdown, TcpListener, TcpStream};

use openssl::symm::Cipher;

use super::papers::{NOW, Paper, Wish, echo, listen, server_side};
use super::*;

#[derive(Debug)]
struct Tcp(TcpStream);
impl Read for Tcp {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.0.read(out)
    }
}
impl Write for Tcp {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
impl Duplex for Tcp {
    fn close_write(&mut self) -> io::Result<()> {
        self.0.shutdown(Shutdown::Write)
    }
    fn set_timeout(&mut self, timeout: Duration) -> io::Result<()> {
        self.0.set_read_timeout(Some(timeout))
    }
}

fn signed_by(ca: &Paper, names: &[&str]) -> Expected {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    Expected::SignedBy { authorities: ca.pem(), names }
}

fn connect(port: u16, terms: &Terms) -> Result<Secured, TlsError> {
    terms.secure(Box::new(Tcp(TcpStream::connect(("127.0.0.1", port)).unwrap())), Duration::from_secs(10))
}

fn meet(shows: &Paper, expected: &Expected) -> Result<Secured, TlsError> {
    let port = listen(server_side(shows, None, SslVersion::TLS1_3), echo);
    connect(port, &Terms::new(expected, None, NOW)?)
}

fn refusal(met: Result<Secured, TlsError>) -> String {
    let error = met.expect_err("it was taken");
    assert!(matches!(error, TlsError::Certificate { .. }), "{error}");
    error.to_string()
}

#[test]
fn bytes_go_both_ways_and_an_end_is_an_end() {
    let ca = Wish::ca("CA one");
    let paper = Wish::default().signed_by(Some(&ca));
    for newest in [SslVersion::TLS1_2, SslVersion::TLS1_3] {
        let port = listen(server_side(&paper, None, newest), echo);
        let terms = Terms::new(&signed_by(&ca, &["nobody", "localhost"]), None, NOW).unwrap();
        let mut stream = connect(port, &terms).unwrap();
        assert_eq!(stream.name(), Some("localhost"));
        let sent: Vec<u8> = (0..200_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let mut got = vec![0; sent.len()];
        for (piece, room) in sent.chunks(7_000).zip(got.chunks_mut(7_000)) {
            stream.write_all(piece).unwrap();
            stream.flush().unwrap();
            stream.read_exact(room).unwrap();
        }
        assert!(got == sent);
        stream.close_write().unwrap();
        assert_eq!(stream.read(&mut [0; 9]).unwrap(), 0, "its word that it is done is an end");
    }
}

#[test]
fn a_connection_that_is_cut_does_not_end_well() {
    let ca = Wish::ca("CA one");
    let context = server_side(&Wish::default().signed_by(Some(&ca)), None, SslVersion::TLS1_3);
    let port = listen(context, |mut stream| {
        stream.write_all(b"half")?;
        stream.get_ref().shutdown(Shutdown::Both)
    });
    let mut stream = connect(port, &Terms::new(&signed_by(&ca, &["localhost"]), None, NOW).unwrap()).unwrap();
    let mut all = Vec::new();
    assert!(stream.read_to_end(&mut all).is_err(), "a cut is no end");
    assert_eq!(all, b"half");
}

#[test]
fn names_are_any_of_those_expected() {
    let ca = Wish::ca("CA one");
    let of = |dns: &[&str], ip: &[&str]| Wish { dns, ip, ..Wish::default() }.signed_by(Some(&ca));
    let found = |paper: &Paper, names: &[&str]| meet(paper, &signed_by(&ca, names)).unwrap().name().map(str::to_owned);
    assert_eq!(found(&of(&["SERVER.dc1.consul"], &[]), &["server.dc1.consul"]).as_deref(), Some("server.dc1.consul"));
    assert_eq!(found(&of(&["*.dc1.consul"], &[]), &["server.dc1.consul"]).as_deref(), Some("server.dc1.consul"));
    assert_eq!(found(&of(&[], &["127.0.0.1"]), &["localhost", "127.0.0.1"]).as_deref(), Some("127.0.0.1"));
    assert_eq!(found(&of(&[], &["::1"]), &["::1"]).as_deref(), Some("::1"));
    let said =
        refusal(meet(&of(&["server.dc2.consul"], &["10.0.0.1"]), &signed_by(&ca, &["server.dc1.consul", "localhost"])));
    assert!(
        said.contains("it speaks for server.dc2.consul, 10.0.0.1, not for server.dc1.consul or localhost"),
        "{said}"
    );
    // The subject is no name: servers of our day do not look at it either.
    let said = refusal(meet(&of(&[], &[]), &signed_by(&ca, &["server.dc1.consul"])));
    assert!(said.contains("no name at all"), "{said}");
}

#[test]
fn another_ca_s_an_expired_an_early_and_a_client_s_certificate_are_refused() {
    let (ca, other) = (Wish::ca("CA one"), Wish::ca("CA two"));
    let here = signed_by(&ca, &["localhost"]);
    let said = refusal(meet(&Wish::default().signed_by(Some(&other)), &here));
    assert!(said.contains("nothing trusted signed it (it names CN=CA two as its issuer)"), "{said}");
    assert!(said.contains("SHA-256 "), "{said}");
    let said = refusal(meet(&Wish::default().signed_by(None), &here));
    assert!(said.contains("nothing trusted signed it"), "{said}");
    let said = refusal(meet(&Wish { days: (-9, -1), ..Wish::default() }.signed_by(Some(&ca)), &here));
    assert!(said.contains("it has expired: it shows CN=server.dc1.consul, valid until"), "{said}");
    let said = refusal(meet(&Wish { days: (2, 9), ..Wish::default() }.signed_by(Some(&ca)), &here));
    assert!(said.contains("not valid before"), "{said}");
    let said = refusal(meet(&Wish { server: false, ..Wish::default() }.signed_by(Some(&ca)), &here));
    assert!(said.contains("purpose"), "{said}");
}

#[test]
fn the_one_certificate_is_taken_whatever_it_is_for_and_no_other() {
    let one = Wish { subject: "odd", dns: &[], ip: &[], server: false, ..Wish::default() }.signed_by(None);
    assert_eq!(meet(&one, &Expected::Exactly(one.pem())).unwrap().name(), None);
    // A chain in the file: the first is the one.
    let ca = Wish::ca("CA one");
    let leaf = Wish::default().signed_by(Some(&ca));
    assert!(meet(&leaf, &Expected::Exactly([leaf.pem(), ca.pem()].concat())).is_ok());
    let twin = Wish { subject: "odd", dns: &[], ip: &[], server: false, ..Wish::default() }.signed_by(None);
    refusal(meet(&twin, &Expected::Exactly(one.pem())));
    // What the expected one signed is not the expected one.
    let said = refusal(meet(&leaf, &Expected::Exactly(ca.pem())));
    assert!(said.contains("not the certificate with SHA-256"), "{said}");
    let old = Wish { days: (-9, -1), ..Wish::default() }.signed_by(None);
    assert!(refusal(meet(&old, &Expected::Exactly(old.pem()))).contains("expired"));
}

#[test]
fn a_peer_that_speaks_something_else_is_told_so() {
    let ca = Wish::ca("CA one");
    let terms = Terms::new(&signed_by(&ca, &["localhost"]), None, NOW).unwrap();
    for (words, told) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "it speaks no TLS: it answers in plain HTTP"),
        (b"SSH-2.0-OpenSSH\r\n", "it speaks no TLS"),
        (b"", "ended"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]);
            stream.write_all(words).unwrap();
        });
        let error = connect(port, &terms).unwrap_err();
        assert!(error.to_string().contains(told) && !matches!(error, TlsError::Certificate { .. }), "{error:?}");
        thread.join().unwrap();
    }
}

#[test]
fn a_peer_that_wants_to_know_us_is_shown_what_there_is() {
    let (ca, other) = (Wish::ca("CA one"), Wish::ca("CA two"));
    let shown = |paper: &Paper| Shown { certificate: paper.pem(), key: Zeroizing::new(paper.key_pem()) };
    let ours = Wish { subject: "us", ..Wish::default() };
    for newest in [SslVersion::TLS1_2, SslVersion::TLS1_3] {
        let port = listen(server_side(&Wish::default().signed_by(Some(&ca)), Some(&ca), newest), echo);
        let try_as = |shown: Option<&Shown>| connect(port, &Terms::new(&signed_by(&ca, &["localhost"]), shown, NOW)?);
        let mut stream = try_as(Some(&shown(&ours.signed_by(Some(&ca))))).unwrap();
        let mut said = [0; 2];
        stream.write_all(b"hi").unwrap();
        stream.read_exact(&mut said).unwrap();
        assert_eq!(&said, b"hi");
        drop(stream);
        let none = try_as(None).unwrap_err();
        assert!(none.is_of_us() && none.to_string().contains("it wants a client certificate"), "{newest:?} {none:?}");
        let foreign = try_as(Some(&shown(&ours.signed_by(Some(&other))))).unwrap_err();
        assert!(
            foreign.is_of_us() && foreign.to_string().contains("it refuses the client certificate"),
            "{newest:?} {foreign:?}"
        );
    }
}

#[test]
fn a_peer_that_says_nothing_after_the_handshake_is_content() {
    let ca = Wish::ca("CA one");
    let paper = Wish::default().signed_by(Some(&ca));
    let mut context = SslContext::builder(SslMethod::tls_server()).unwrap();
    context.set_certificate(&paper.cert).unwrap();
    context.set_private_key(&paper.key).unwrap();
    context.set_num_tickets(0).unwrap();
    let port = listen(context.build(), echo);
    let mut stream = connect(port, &Terms::new(&signed_by(&ca, &["localhost"]), None, NOW).unwrap()).unwrap();
    stream.write_all(b"hello").unwrap();
    let mut said = [0; 5];
    stream.read_exact(&mut said).unwrap();
    assert_eq!(&said, b"hello");
}

#[test]
fn a_peer_that_stands_still_is_given_up_and_stays_a_silence() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let terms = Terms::new(&signed_by(&Wish::ca("CA one"), &["localhost"]), None, NOW).unwrap();
    let tcp = Tcp(TcpStream::connect(("127.0.0.1", port)).unwrap());
    let error = terms.secure(Box::new(tcp), Duration::from_millis(300)).unwrap_err();
    assert!(matches!(&error, TlsError::Io(error) if error.kind() == io::ErrorKind::TimedOut), "{error:?}");
    drop(listener);
}

#[test]
fn papers_that_cannot_be_used_are_told_before_anything_is_sent() {
    let ca = Wish::ca("CA one");
    let paper = Wish::default().signed_by(Some(&ca));
    let told = |expected: &Expected, shown: Option<&Shown>| {
        let error = Terms::new(expected, shown, NOW).unwrap_err();
        assert!(matches!(error, TlsError::Unusable(_)), "{error:?}");
        error.to_string()
    };
    let good = signed_by(&ca, &["localhost"]);
    assert!(told(&Expected::Exactly(b"nothing\n".to_vec()), None).contains("holds no certificate"));
    assert!(told(&Expected::Exactly(paper.key_pem()), None).contains("holds no certificate"));
    let shown = |certificate: Vec<u8>, key: Vec<u8>| Shown { certificate, key: Zeroizing::new(key) };
    assert!(told(&good, Some(&shown(paper.pem(), ca.key_pem()))).contains("cannot be used"));
    assert!(told(&good, Some(&shown(paper.pem(), paper.pem()))).contains("key cannot be read"));
    let locked = paper.key.private_key_to_pem_pkcs8_passphrase(Cipher::aes_128_cbc(), b"secret").unwrap();
    let locked = shown(paper.pem(), locked);
    assert!(told(&good, Some(&locked)).contains("passphrase"));
    assert!(!format!("{locked:?}").contains("BEGIN"));
}
