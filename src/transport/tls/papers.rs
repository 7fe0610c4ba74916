//! Certificates made for tests: CAs, servers, clients, and ones that are wrong in one way each.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};

use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{Ssl, SslMethod, SslStream, SslVerifyMode};
pub use openssl::ssl::{SslContext, SslVersion};
use openssl::x509::extension::{BasicConstraints, ExtendedKeyUsage, SubjectAlternativeName};
use openssl::x509::store::X509StoreBuilder;
use openssl::x509::{X509, X509Name};

/// The time the tests' certificates are judged at.
pub const NOW: i64 = 1_795_000_000;
const DAY: i64 = 86_400;

/// A certificate with its key.
#[derive(Clone)]
pub struct Paper {
    pub cert: X509,
    pub key: PKey<Private>,
}

/// What one is made of.
#[derive(Clone)]
pub struct Wish<'a> {
    pub subject: &'a str,
    pub dns: &'a [&'a str],
    pub ip: &'a [&'a str],
    /// Days before and after [`NOW`].
    pub days: (i64, i64),
    pub ca: bool,
    pub server: bool,
    pub client: bool,
}

impl Default for Wish<'_> {
    fn default() -> Self {
        Self {
            subject: "server.dc1.consul",
            dns: &["server.dc1.consul", "localhost"],
            ip: &["127.0.0.1"],
            days: (-1, 30),
            ca: false,
            server: true,
            client: true,
        }
    }
}

impl Wish<'_> {
    pub fn ca(subject: &str) -> Paper {
        Wish { subject, dns: &[], ip: &[], ca: true, server: false, client: false, ..Wish::default() }.signed_by(None)
    }

    /// Made and signed by a CA, or by itself.
    pub fn signed_by(&self, issuer: Option<&Paper>) -> Paper {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
        let mut name = X509Name::builder().unwrap();
        name.append_entry_by_nid(Nid::COMMONNAME, self.subject).unwrap();
        let name = name.build();
        let mut cert = X509::builder().unwrap();
        cert.set_version(2).unwrap();
        let mut serial = [0; 8];
        openssl::rand::rand_bytes(&mut serial).unwrap();
        serial[0] &= 0x7f;
        cert.set_serial_number(&BigNum::from_slice(&serial).unwrap().to_asn1_integer().unwrap()).unwrap();
        cert.set_subject_name(&name).unwrap();
        cert.set_issuer_name(issuer.map_or(&name, |issuer| issuer.cert.subject_name())).unwrap();
        cert.set_not_before(&Asn1Time::from_unix(NOW + self.days.0 * DAY).unwrap()).unwrap();
        cert.set_not_after(&Asn1Time::from_unix(NOW + self.days.1 * DAY).unwrap()).unwrap();
        cert.set_pubkey(&key).unwrap();
        if self.ca {
            cert.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
        }
        if !self.dns.is_empty() || !self.ip.is_empty() {
            let mut names = SubjectAlternativeName::new();
            for name in self.dns {
                names.dns(name);
            }
            for name in self.ip {
                names.ip(name);
            }
            let names = names.build(&cert.x509v3_context(None, None)).unwrap();
            cert.append_extension(names).unwrap();
        }
        if self.server || self.client {
            let mut usage = ExtendedKeyUsage::new();
            if self.server {
                usage.server_auth();
            }
            if self.client {
                usage.client_auth();
            }
            cert.append_extension(usage.build().unwrap()).unwrap();
        }
        cert.sign(issuer.map_or(&key, |issuer| &issuer.key), MessageDigest::sha256()).unwrap();
        Paper { cert: cert.build(), key }
    }
}

impl Paper {
    pub fn pem(&self) -> Vec<u8> {
        self.cert.to_pem().unwrap()
    }
    pub fn key_pem(&self) -> Vec<u8> {
        self.key.private_key_to_pem_pkcs8().unwrap()
    }
}

/// The server's side: what it shows, and whose certificates it asks for.
pub fn server_side(shows: &Paper, asks_for: Option<&Paper>, newest: SslVersion) -> SslContext {
    let mut context = SslContext::builder(SslMethod::tls_server()).unwrap();
    context.set_max_proto_version(Some(newest)).unwrap();
    context.set_certificate(&shows.cert).unwrap();
    context.set_private_key(&shows.key).unwrap();
    if let Some(ca) = asks_for {
        let mut store = X509StoreBuilder::new().unwrap();
        store.add_cert(ca.cert.clone()).unwrap();
        context.set_verify_cert_store(store.build()).unwrap();
        context.verify_param_mut().set_time(NOW);
        context.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
    }
    context.build()
}

/// A port whose every connection is taken by `context` and then handed to `serve`.
pub fn listen(
    context: SslContext,
    mut serve: impl FnMut(SslStream<TcpStream>) -> io::Result<()> + Send + 'static,
) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            // A handshake that failed was told to the other side already.
            if let Ok(stream) = Ssl::new(&context).unwrap().accept(stream.unwrap()) {
                let _ = serve(stream);
            }
        }
    });
    port
}

/// Gives back what it gets, until the other side says it is done.
pub fn echo(mut stream: SslStream<TcpStream>) -> io::Result<()> {
    let mut buffer = vec![0; 10_000];
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            let _ = stream.shutdown();
            return Ok(());
        }
        stream.write_all(&buffer[..count])?;
    }
}
