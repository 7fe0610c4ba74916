//! The same cases over every transport.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lifeboat::model::secret::Secrets;
use lifeboat::transport::{Cancel, Dial, End, Rights, Script, Transport, TransportError, local, ssh};
use sha2::{Digest, Sha256};

use super::sshd::{OneSecret, Sshd, free_port};

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub fn secrets() -> Arc<dyn Secrets> {
    Arc::new(OneSecret(""))
}

/// Runs one case over each transport.
fn each(case: impl Fn(&Arc<dyn Transport>)) {
    let sshd = Sshd::start();
    let over_ssh = ssh::connect(&sshd.spec("node"), &secrets(), &Cancel::new()).unwrap();
    case(&over_ssh);
    drop(over_ssh);
    #[cfg(feature = "rehearsal")]
    {
        let embedded = super::embedded::Embedded::start();
        case(&ssh::connect(&embedded.spec("node"), &secrets(), &Cancel::new()).unwrap());
    }
    let spec = local::LocalSpec { name: "here".into(), ..local::LocalSpec::default() };
    case(&local::connect(&spec, &secrets()).unwrap());
}

fn script(text: &str) -> Script {
    Script::new(text).within(secs(30), secs(20))
}

#[test]
fn both_streams_and_the_status_come_back() {
    each(|node| {
        let out = node.run(&script("echo out; echo err >&2; exit 7"), b"", 1000, &Cancel::new()).unwrap();
        assert_eq!((out.stdout.as_slice(), out.stderr.as_str(), out.end), (&b"out\n"[..], "err", End::Exited(7)));
        let out = node.run(&script("true"), b"", 0, &Cancel::new()).unwrap();
        assert!(out.success() && out.stdout.is_empty() && out.stderr.is_empty(), "{out:?}");
    });
}

#[test]
fn much_on_both_streams_does_not_jam() {
    each(|node| {
        let text = "head -c 8388608 /dev/zero >&2; head -c 8388608 /dev/zero; head -c 100 /dev/zero | tr '\\0' e >&2";
        let out = node.run(&script(text), b"", 9 << 20, &Cancel::new()).unwrap();
        assert_eq!((out.stdout.len(), &out.end), (8 << 20, &End::Exited(0)));
        assert!(out.stderr.as_str().ends_with(&"e".repeat(100)));
        let error = node.run(&script("head -c 100000 /dev/zero"), b"", 1000, &Cancel::new()).unwrap_err();
        assert!(matches!(error, TransportError::TooMuch { limit: 1000, .. }), "{error}");
    });
}

#[test]
fn a_killed_script_is_never_a_success() {
    each(|node| {
        let out = node.run(&script("kill -9 $$"), b"", 1000, &Cancel::new()).unwrap();
        assert_eq!(out.end, End::Killed("KILL".into()));
        // Its wrapper dies with it: nothing at all is known.
        let out = node.run(&script("kill -9 $PPID; sleep 0.1; echo late"), b"", 1000, &Cancel::new()).unwrap();
        assert!(matches!(out.end, End::Unknown | End::Killed(_)), "{out:?}");
    });
}

#[test]
fn hostile_arguments_arrive_as_they_are() {
    each(|node| {
        let args: [&[u8]; 8] =
            [b"a\nb\n", b"it's \"q\"", b"$(id)`id`", b"\xff\xfe\x81", b"", b"-n", b"*", b"\\0101 %s !x"];
        let mut script = script("for a; do printf '%s\\0' \"$a\"; done");
        let mut expected = Vec::new();
        for arg in args {
            script = script.arg(arg);
            expected.extend([arg, b"\0"].concat());
        }
        let out = node.run(&script, b"", 1000, &Cancel::new()).unwrap();
        assert!(out.success());
        assert_eq!(out.stdout, expected);
    });
}

/// Sixty kilobytes of a script and as much of arguments: an SSH server takes no command that long.
#[test]
fn a_script_longer_than_a_command_line_arrives_whole() {
    let lines: Vec<String> = (0..1500).map(|n| format!(": \"it's line {n} \u{e9}\" \\\\\n")).collect();
    let text = lines.concat();
    let args: Vec<Vec<u8>> =
        (0..60).map(|n: u8| [&[n + 1, 0xff, 0x81, b'\n', b'\''][..], &[b'a'; 1000]].concat()).collect();
    let expected: Vec<u8> = args.iter().flat_map(|arg| [arg, &b"\0"[..]].concat()).collect();
    each(|node| {
        let long = |end: &str| args.iter().fold(script(&format!("set -eu\n{text}{end}")), Script::arg);
        let out =
            node.run(&long("printf '%s\\0' \"$@\"; echo said >&2; exit 7"), b"", 1 << 20, &Cancel::new()).unwrap();
        assert_eq!((out.end, out.stderr.as_str()), (End::Exited(7), "said"));
        assert_eq!(out.stdout, expected);
        let data: Vec<u8> = (0..1u32 << 18).flat_map(u32::to_le_bytes).collect();
        let out = node.run(&long("cat; exec echo end").with_input(), &data, 2 << 20, &Cancel::new()).unwrap();
        assert_eq!(out.stdout, [&data, &b"end\n"[..]].concat());
        // It is ended on the node like any other.
        let mark = mark();
        let running = node.start(&long(&format!("sleep {mark}")), &Cancel::new()).unwrap();
        eventually("it runs", || alive(&mark));
        drop(running);
        eventually("it is ended", || !alive(&mark));
    });
}

#[test]
fn an_upload_arrives_whole() {
    each(|node| {
        let data: Vec<u8> = (0..20u32 << 18).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        let out = node.run(&script("sha256sum").with_input(), &data, 1000, &Cancel::new()).unwrap();
        let hash = Sha256::digest(&data).iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        assert!(out.text().as_str().starts_with(&hash), "{out:?}");
        // A script that does not read all of its input still tells its own end.
        let out = node.run(&script("exit 3").with_input(), &data, 1000, &Cancel::new()).unwrap();
        assert_eq!(out.end, End::Exited(3));
    });
}

fn alive(mark: &str) -> bool {
    std::process::Command::new("pgrep").args(["-f", &format!("sleep {mark}")]).output().unwrap().status.success()
}

fn eventually(what: &str, check: impl Fn() -> bool) {
    let began = Instant::now();
    while !check() {
        assert!(began.elapsed() < secs(8), "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn mark() -> String {
    format!("71.{}{}", std::process::id(), free_port())
}

#[test]
fn a_cancelled_script_is_ended_on_the_node() {
    each(|node| {
        let (mark, cancel) = (mark(), Cancel::new());
        let mut running = node.start(&script(&format!("sleep {mark} & sleep {mark}; echo no")), &cancel).unwrap();
        eventually("it runs", || alive(&mark));
        let stop = cancel.clone();
        let thread = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(200));
            stop.cancel();
        });
        let began = Instant::now();
        let error = running.read(&mut [0; 10]).unwrap_err();
        assert!(matches!(TransportError::from_io("", &error), TransportError::Cancelled), "{error}");
        assert!(began.elapsed() < secs(1));
        thread.join().unwrap();
        eventually("it is ended", || !alive(&mark));
        drop(running);
        // The session serves on.
        assert!(node.run(&script("true"), b"", 10, &Cancel::new()).unwrap().success());
    });
}

#[test]
fn a_dropped_script_is_ended_on_the_node() {
    each(|node| {
        let mark = mark();
        let running = node.start(&script(&format!("sleep {mark}")), &Cancel::new()).unwrap();
        eventually("it runs", || alive(&mark));
        drop(running);
        eventually("it is ended", || !alive(&mark));
    });
}

#[test]
fn silence_and_the_whole_have_limits() {
    each(|node| {
        let began = Instant::now();
        let quiet = Script::new("echo a; sleep 30").within(secs(30), Duration::from_millis(600));
        let error = node.run(&quiet, b"", 100, &Cancel::new()).unwrap_err();
        assert!(matches!(&error, TransportError::TimedOut { limit, .. } if limit.as_millis() == 600), "{error}");
        let long = Script::new("while echo a; do sleep 0.1; done").within(Duration::from_millis(900), secs(30));
        let error = node.run(&long, b"", 1 << 20, &Cancel::new()).unwrap_err();
        assert!(matches!(&error, TransportError::TimedOut { limit, .. } if limit.as_millis() == 900), "{error}");
        assert!(began.elapsed() < secs(6));
    });
}

#[test]
fn hanging_up_ends_a_blocked_read_within_a_second() {
    each(|node| {
        let mut running = node.start(&script("sleep 20"), &Cancel::new()).unwrap();
        let other = Arc::clone(node);
        let thread = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(300));
            other.hang_up();
        });
        let began = Instant::now();
        let error = running.read(&mut [0; 10]).unwrap_err();
        assert!(matches!(TransportError::from_io("", &error), TransportError::Lost { .. }), "{error}");
        assert!(began.elapsed() < secs(1));
        thread.join().unwrap();
        assert!(matches!(running.finish(), Err(TransportError::Lost { .. })));
        let again = node.run(&script("true"), b"", 10, &Cancel::new());
        assert!(matches!(again, Err(TransportError::Lost { .. })), "{again:?}");
        // Another login of the same node is not touched.
        let other = node.again(&Cancel::new()).unwrap();
        assert!(other.run(&script("true"), b"", 10, &Cancel::new()).unwrap().success());
    });
}

#[test]
fn ports_and_sockets_of_the_node_can_be_dialled() {
    each(|node| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("echo");
        let local = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let threads = [
            std::thread::spawn(move || echo(listener.accept().unwrap().0)),
            std::thread::spawn(move || echo(local.accept().unwrap().0)),
        ];
        for target in [Dial::Tcp("127.0.0.1".into(), port), Dial::Unix(path.display().to_string())] {
            let mut stream = node.dial(&target, &Cancel::new()).unwrap();
            stream.write_all(b"hello").unwrap();
            stream.set_timeout(Duration::from_millis(200)).unwrap();
            let error = stream.read(&mut [0; 10]).unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::TimedOut, "{error}");
        }
        for thread in threads {
            thread.join().unwrap();
        }
        let refused = node.dial(&Dial::Tcp("127.0.0.1".into(), free_port()), &Cancel::new());
        let Err(TransportError::Refused { why, .. }) = refused else { panic!("it must be refused") };
        assert_eq!(why, "nothing listens there");
    });
}

/// Answers everything at once when the peer has ended.
fn echo(mut stream: impl Read + Write) {
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all);
    let _ = stream.write_all(&all);
}

#[test]
fn a_dialled_stream_closes_each_way_by_itself() {
    each(|node| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let thread = std::thread::spawn(move || echo(listener.accept().unwrap().0));
        let mut stream = node.dial(&Dial::Tcp("127.0.0.1".into(), port), &Cancel::new()).unwrap();
        let data = vec![7; 3 << 20];
        stream.write_all(&data).unwrap();
        stream.close_write().unwrap();
        let mut back = Vec::new();
        stream.read_to_end(&mut back).unwrap();
        assert!(back == data);
        thread.join().unwrap();
    });
}

#[test]
fn several_scripts_run_side_by_side() {
    each(|node| {
        let threads: Vec<_> = (0..4)
            .map(|n| {
                let node = Arc::clone(node);
                std::thread::spawn(move || {
                    for _ in 0..5 {
                        let text = format!("head -c {} /dev/zero", 300_000 * (n + 1));
                        let out = node.run(&script(&text), b"", 4 << 20, &Cancel::new()).unwrap();
                        assert_eq!(out.stdout.len(), 300_000 * (n + 1));
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn root_is_root() {
    each(|node| {
        let out = node.run(&script("id -u").as_root(), b"", 100, &Cancel::new()).unwrap();
        assert_eq!(out.text().as_str(), "0");
        assert_eq!(script("").rights, Rights::Login);
    });
}

#[test]
fn a_pull_of_256_mib_is_quick() {
    each(|node| {
        let began = Instant::now();
        let mut running = node.start(&script("head -c 268435456 /dev/zero"), &Cancel::new()).unwrap();
        let (mut buf, mut count) = (vec![0; 256 * 1024], 0);
        loop {
            match running.read(&mut buf).unwrap() {
                0 => break,
                n => count += n,
            }
        }
        let finished = running.finish().unwrap();
        assert_eq!((count, finished.stdout_bytes, finished.end), (256 << 20, 256 << 20, End::Exited(0)));
        println!("pulled at {:.0} MiB/s over {}", 256.0 / began.elapsed().as_secs_f64(), node.endpoint().login);
    });
}
