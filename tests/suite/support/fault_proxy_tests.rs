//! The proxy shown to fail as asked.

use super::fault_proxy::{FaultProxy, Toward};
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// A server that sends back what it gets, and a proxy before it.
fn echo() -> FaultProxy {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || std::io::copy(&mut &stream, &mut &stream));
        }
    });
    FaultProxy::start(address)
}

fn connect(proxy: &FaultProxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream
}

/// Sends `bytes` and reads as many back; what came before the end or an error.
fn round(mut stream: &TcpStream, bytes: &[u8]) -> Vec<u8> {
    let _ = stream.write_all(bytes);
    let mut back = vec![0; bytes.len()];
    let mut got = 0;
    while let Ok(n @ 1..) = stream.read(&mut back[got..]) {
        got += n;
    }
    back.truncate(got);
    back
}

#[test]
fn bytes_pass_and_the_end_passes() {
    let proxy = echo();
    let stream = connect(&proxy);
    let sent: Vec<u8> = (0..300_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    assert_eq!(round(&stream, &sent), sent);
    assert_eq!(proxy.passed(Toward::Target), 300_000);
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!((&stream).read(&mut [0]).unwrap(), 0, "the end comes through");
}

#[test]
fn a_delay_is_felt_both_ways_and_a_rate_slows() {
    let proxy = echo();
    proxy.set_delay(Duration::from_millis(120));
    let stream = connect(&proxy);
    let start = Instant::now();
    assert_eq!(round(&stream, b"x"), b"x");
    assert!(start.elapsed() >= Duration::from_millis(120), "{:?}", start.elapsed());

    proxy.set_delay(Duration::ZERO);
    proxy.set_rate(Some(1_000_000));
    let start = Instant::now();
    assert_eq!(round(&stream, &vec![7; 200_000]).len(), 200_000);
    assert!(start.elapsed() >= Duration::from_millis(195), "{:?}", start.elapsed());
}

#[test]
fn a_cut_comes_at_the_byte_and_heals_when_told() {
    let proxy = echo();
    proxy.cut_after(Toward::Client, Some(1000));
    assert_eq!(round(&connect(&proxy), &[1; 5000]).len(), 1000);
    assert!(round(&connect(&proxy), b"again").is_empty(), "still cut");
    proxy.cut_after(Toward::Client, None);
    let stream = connect(&proxy);
    assert_eq!(round(&stream, b"again"), b"again");
    proxy.cut_now();
    assert!(round(&stream, b"abc").is_empty());
    assert_eq!(round(&connect(&proxy), b"new"), b"new");
}

#[test]
fn a_flip_changes_one_byte_and_a_refusal_gives_none() {
    let proxy = echo();
    proxy.flip_after(Toward::Target, 3);
    let stream = connect(&proxy);
    assert_eq!(round(&stream, b"abcdef"), b"abc\x9bef");
    assert_eq!(round(&stream, b"abcdef"), b"abcdef", "once");
    proxy.set_refusing(true);
    assert!(round(&connect(&proxy), b"abc").is_empty());
    assert_eq!(round(&stream, b"abc"), b"abc", "open ones stay");
}

#[test]
fn a_stall_holds_everything_until_it_ends() {
    let proxy = echo();
    let stream = connect(&proxy);
    proxy.set_stalled(true);
    stream.set_read_timeout(Some(Duration::from_millis(150))).unwrap();
    assert!(round(&stream, b"abc").is_empty(), "nothing comes");
    proxy.set_stalled(false);
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut back = [0; 3];
    (&stream).read_exact(&mut back).unwrap();
    assert_eq!(&back, b"abc", "and nothing was lost");
}
