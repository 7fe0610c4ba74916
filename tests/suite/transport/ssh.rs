//! What only SSH has: host keys, logins, jump hosts, cut connections.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lifeboat::model::secret::{SecretRef, Secrets};
use lifeboat::transport::faulty::{Faulty, Trouble};
use lifeboat::transport::known_hosts::{append, lookup_name};
use lifeboat::transport::ssh::{self, SshSpec, linked_libssh2_version};
use lifeboat::transport::{Cancel, Dial, End, Script, Transport, TransportError};

use super::conform::secrets;
use super::sshd::{OneSecret, Sshd, make_key, read_public, run};

fn connect(spec: &SshSpec) -> Result<Arc<dyn Transport>, TransportError> {
    ssh::connect(spec, &secrets(), &Cancel::new())
}

fn works(node: &Arc<dyn Transport>) -> bool {
    node.run(&Script::new("echo hi"), b"", 10, &Cancel::new()).unwrap().text().as_str() == "hi"
}

fn refusal(spec: &SshSpec) -> String {
    match connect(spec) {
        Err(error @ TransportError::HostKey { .. }) => error.to_string(),
        other => panic!("a host key refusal was expected: {other:?}"),
    }
}

#[test]
fn a_host_key_must_be_known_or_pinned_and_never_revoked() {
    let sshd = Sshd::start();
    let (key, good) = (sshd.host_key(), sshd.spec("n"));
    let node = connect(&good).unwrap();
    let endpoint = node.endpoint();
    assert_eq!(endpoint.host_key, Some(key.fingerprint()));
    assert!(endpoint.host_key_source.as_ref().unwrap().ends_with("known_hosts:1"));
    assert!(endpoint.login.starts_with("key file ") && !endpoint.algorithms.contains('?'), "{endpoint:?}");
    let with = |text: String| {
        let file = sshd.path("other_known");
        std::fs::write(&file, text).unwrap();
        let mut spec = good.clone();
        spec.known_hosts = vec![file];
        spec
    };
    let name = lookup_name("127.0.0.1", sshd.port);
    make_key(&sshd.path("stranger"), "ed25519", "");
    make_key(&sshd.path("rsa"), "rsa", "");
    let (stranger, rsa) = (read_public(&sshd.path("stranger")), read_public(&sshd.path("rsa")));
    assert!(refusal(&with(String::new())).contains("is not known"));
    let changed = refusal(&with(stranger.line("127.0.0.1", sshd.port)));
    assert!(changed.contains("has changed") && changed.contains("other_known:1"));
    assert!(changed.contains(&key.fingerprint()) && changed.contains(&stranger.fingerprint()));
    assert!(refusal(&with(rsa.line("127.0.0.1", sshd.port))).contains("only ssh-rsa is known"));
    let line = key.line("127.0.0.1", sshd.port);
    assert!(refusal(&with(format!("{line}\n@revoked {line}"))).contains("revoked"));
    assert!(refusal(&with(format!("@cert-authority {line}"))).contains("certificates are not supported"));
    assert!(works(&connect(&with(format!("broken\n{line}"))).unwrap()));
    assert!(works(&connect(&with(line.replace(&name, "127.0.0.*"))).unwrap()));
    // A pin decides alone, for and against the files.
    let mut pinned = with(stranger.line("127.0.0.1", sshd.port));
    pinned.host_keys = vec![key.fingerprint()];
    assert!(works(&connect(&pinned).unwrap()));
    pinned.host_keys = vec![stranger.fingerprint()];
    pinned.known_hosts.clone_from(&good.known_hosts);
    assert!(refusal(&pinned).contains("pins"));
}

#[test]
fn a_host_key_can_be_scanned_and_enrolled() {
    let sshd = Sshd::start();
    let mut spec = sshd.spec("n");
    spec.known_hosts = vec![sshd.path("own")];
    spec.identity_files.value.clear();
    let key = ssh::scan_host_key(&spec, &secrets(), &Cancel::new()).unwrap();
    assert_eq!(key, sshd.host_key());
    append(&sshd.path("own"), "127.0.0.1", sshd.port, &key).unwrap();
    let login = connect(&spec);
    let Err(TransportError::Login { why, .. }) = login else { panic!("there is no key to log in with: {login:?}") };
    assert!(why.contains("no password is configured (the server offers publickey"), "{why}");
}

#[test]
fn a_host_known_by_its_rsa_key_is_asked_for_that_one() {
    let extra = tempfile::tempdir().unwrap();
    let rsa = extra.path().join("rsa");
    make_key(&rsa, "rsa", "");
    let sshd = Sshd::with(&format!("HostKey {}", rsa.display()));
    let mut spec = sshd.spec("n");
    std::fs::write(sshd.path("only_rsa"), read_public(&rsa).line("127.0.0.1", sshd.port)).unwrap();
    spec.known_hosts = vec![sshd.path("only_rsa")];
    assert_eq!(connect(&spec).unwrap().endpoint().host_key, Some(read_public(&rsa).fingerprint()));
}

#[test]
fn an_encrypted_key_needs_its_passphrase() {
    let sshd = Sshd::start();
    make_key(&sshd.path("locked"), "ed25519", "right");
    std::fs::copy(sshd.path("locked.pub"), sshd.path("authorized")).unwrap();
    let mut spec = sshd.spec("n");
    spec.identity_files.value = vec![sshd.path("user"), sshd.path("locked")];
    spec.passphrase = Some(SecretRef::Prompt(true));
    let try_with = |word| {
        let secrets: Arc<dyn Secrets> = Arc::new(OneSecret(word));
        ssh::connect(&spec, &secrets, &Cancel::new())
    };
    assert!(works(&try_with("right").unwrap()));
    let why = try_with("wrong").unwrap_err().to_string();
    assert!(why.contains("locked: the passphrase is wrong") && why.contains("user: it was not accepted"), "{why}");
    let why = try_with("").unwrap_err().to_string();
    assert!(why.contains("it is encrypted, and nobody is there to ask"), "{why}");
}

#[test]
fn the_agent_is_asked_for_all_its_keys_the_configured_first() {
    let sshd = Sshd::start();
    let socket = sshd.path("agent");
    let mut agent = Command::new("ssh-agent").args(["-D", "-a"]).arg(&socket).stdout(Stdio::null()).spawn().unwrap();
    while !socket.exists() {
        std::thread::sleep(Duration::from_millis(10));
    }
    let add = |name: &str| {
        let done =
            Command::new("ssh-add").arg("-q").arg(sshd.path(name)).env("SSH_AUTH_SOCK", &socket).status().unwrap();
        assert!(done.success());
    };
    for n in 0..3 {
        make_key(&sshd.path(&format!("extra{n}")), "ed25519", "");
        add(&format!("extra{n}"));
    }
    add("user");
    let mut spec = sshd.spec("n");
    spec.agent.value = Some(socket.clone());
    spec.identity_files.value.clear();
    let login = connect(&spec).unwrap().endpoint().login.clone();
    let expected = format!("agent key {}", read_public(&sshd.path("user")).fingerprint());
    assert_eq!(login, expected);
    // With more keys than a server bears, only the configured one first can work.
    for n in 3..7 {
        make_key(&sshd.path(&format!("extra{n}")), "ed25519", "");
        add(&format!("extra{n}"));
    }
    let done =
        Command::new("ssh-add").arg("-qd").arg(sshd.path("user")).env("SSH_AUTH_SOCK", &socket).status().unwrap();
    assert!(done.success());
    add("user");
    let why = connect(&spec).unwrap_err().to_string();
    assert!(why.contains("servers hang up after six refusals"), "{why}");
    // Its private half is only in the agent.
    std::fs::rename(sshd.path("user"), sshd.path("gone")).unwrap();
    spec.identity_files.value = vec![sshd.path("user")];
    assert_eq!(connect(&spec).unwrap().endpoint().login, expected);
    agent.kill().unwrap();
    agent.wait().unwrap();
    let why = connect(&spec).unwrap_err().to_string();
    assert!(why.contains("agent: "), "{why}");
}

#[test]
fn a_cut_connection_is_lost_and_never_an_end() {
    let sshd = Sshd::start();
    let node = connect(&sshd.spec("n")).unwrap();
    let mut running = node.start(&Script::new("head -c 100000 /dev/zero; sleep 20"), &Cancel::new()).unwrap();
    let mut buf = vec![0; 100_000];
    running.read_exact(&mut buf).unwrap();
    sshd.cut();
    let began = Instant::now();
    let error = running.read(&mut buf).unwrap_err();
    assert!(matches!(TransportError::from_io("", &error), TransportError::Lost { .. }), "{error}");
    assert!(matches!(running.finish(), Err(TransportError::Lost { .. })));
    assert!(began.elapsed() < Duration::from_secs(2));
    // An idle session notices too.
    let node = connect(&sshd.spec("n")).unwrap();
    sshd.cut();
    std::thread::sleep(Duration::from_millis(1200));
    let late = node.run(&Script::new("true"), b"", 10, &Cancel::new());
    assert!(matches!(late, Err(TransportError::Lost { .. })), "{late:?}");
}

#[test]
fn a_node_behind_jump_hosts_is_reached_and_every_key_is_verified() {
    let (gate, inner) = (Sshd::start(), Sshd::start());
    let mut spec = inner.spec("inner");
    spec.jump = vec![gate.spec("gate")];
    let node = connect(&spec).unwrap();
    assert_eq!(node.endpoint().via, ["gate"]);
    let data = vec![5; 5 << 20];
    let out = node.run(&Script::new("cat | wc -c").with_input(), &data, 100, &Cancel::new()).unwrap();
    assert_eq!(out.text().as_str(), data.len().to_string());
    let out = node.run(&Script::new("head -c 9000000 /dev/zero"), b"", 9 << 20, &Cancel::new()).unwrap();
    assert_eq!((out.stdout.len(), out.end), (9_000_000, End::Exited(0)));
    let second = node.again(&Cancel::new()).unwrap();
    drop(node);
    assert!(works(&second));
    // Three in a row.
    let mut far = inner.spec("far");
    far.jump = vec![gate.spec("gate"), inner.spec("inner")];
    assert!(works(&connect(&far).unwrap()));
    // The gate's own key is judged by the gate's own name.
    spec.jump[0].known_hosts.clear();
    let Err(TransportError::HostKey { host, .. }) = connect(&spec) else { panic!("the gate's key is not known") };
    assert_eq!(host, "gate");
    // When the gate goes, the inner session is lost, quickly.
    gate.cut();
    let lost = second.run(&Script::new("sleep 5"), b"", 10, &Cancel::new());
    assert!(matches!(lost, Err(TransportError::Lost { .. })), "{lost:?}");
    // Another login goes through the gate anew.
    let third = second.again(&Cancel::new()).unwrap();
    assert!(works(&third));
    // And as long as the gate does not answer, for no longer than it is waited for.
    gate.hold();
    let began = Instant::now();
    let late = third.again(&Cancel::new().within(Duration::from_secs(1)));
    assert!(matches!(late, Err(TransportError::Cancelled)), "{late:?}");
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}

#[test]
fn a_proxy_command_carries_a_session() {
    let sshd = Sshd::start();
    let mut spec = sshd.spec("n");
    let port = sshd.port;
    spec.proxy_command = Some(format!("bash -c 'exec 5<>/dev/tcp/127.0.0.1/{port}; cat <&5 & exec cat >&5'"));
    let node = connect(&spec).unwrap();
    assert!(works(&node));
    spec.proxy_command = Some("false".into());
    assert!(matches!(connect(&spec), Err(TransportError::Unreachable { .. })));
}

#[test]
fn a_proxy_command_hears_no_interrupt_of_ours_and_gets_no_secret() {
    let sshd = Sshd::start();
    let (mut spec, told, port) = (sshd.spec("n"), sshd.path("told"), sshd.port);
    spec.proxy_command = Some(format!(
        "bash -c 'echo $(ps -o pgid= $$) ${{CARGO_MANIFEST_DIR-none}} >{}; exec 5<>/dev/tcp/127.0.0.1/{port}; \
         cat <&5 & exec cat >&5'",
        told.display()
    ));
    let ours = rustix::process::getpgid(None).unwrap().as_raw_nonzero().get().to_string();
    for hidden in [true, false] {
        spec.hidden = if hidden { vec!["CARGO_MANIFEST_DIR".into()] } else { Vec::new() };
        let node = connect(&spec).unwrap();
        assert!(works(&node));
        let text = std::fs::read_to_string(&told).unwrap();
        let (group, variable) = text.trim().split_once(' ').unwrap();
        assert_ne!(group, ours, "it is in the group the terminal signals");
        assert_eq!(variable == "none", hidden, "{text}");
        node.hang_up();
        // Nothing of it stays behind.
        let began = Instant::now();
        while Command::new("pgrep").args(["-g", group]).stdout(Stdio::null()).status().unwrap().success() {
            assert!(began.elapsed() < Duration::from_secs(5), "something of the proxy command's group still runs");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn an_agent_that_never_answers_is_given_up() {
    let sshd = Sshd::start();
    let socket = sshd.path("agent");
    let _mute = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let mut spec = sshd.spec("n");
    spec.agent.value = Some(socket);
    spec.identity_files.value.clear();
    spec.connect_timeout = Duration::from_millis(500);
    let began = Instant::now();
    let error = connect(&spec).unwrap_err();
    assert!(matches!(&error, TransportError::TimedOut { what, .. } if what.contains("agent")), "{error}");
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
}

#[test]
fn what_could_not_be_read_is_told_with_the_login_and_with_its_failure() {
    let sshd = Sshd::start();
    let mut spec = sshd.spec("n");
    let bad = sshd.path("bad_known");
    std::fs::write(&bad, "@revoked * ssh-ed25519 nonsense!\n").unwrap();
    spec.known_hosts.push(bad.clone());
    spec.notes = vec!["the ssh configuration is not read".into()];
    let note = format!("{}:1: the key is not base64", bad.display());
    assert_eq!(
        connect(&spec).unwrap().endpoint().notes,
        ["the ssh configuration is not read".to_owned(), note.clone()]
    );
    let mut stranger = spec.clone();
    stranger.known_hosts = vec![bad.clone()];
    let refused = refusal(&stranger);
    assert!(refused.contains(&note) && refused.contains("the ssh configuration is not read"), "{refused}");
    let mut away = spec.clone();
    away.port.value = super::sshd::free_port();
    let error = connect(&away).unwrap_err();
    assert!(matches!(error, TransportError::Unreachable { .. }) && error.to_string().contains(&note), "{error}");
    // What is known of a jump host's way is told of the whole way.
    let mut inner = sshd.spec("inner");
    inner.jump = vec![spec];
    assert!(connect(&inner).unwrap().endpoint().notes.contains(&note));
}

#[test]
fn a_key_in_the_list_of_revoked_keys_is_refused_and_so_is_every_one_without_the_list() {
    let sshd = Sshd::start();
    let mut spec = sshd.spec("n");
    let list = sshd.path("revoked");
    let key = sshd.host_key();
    spec.revoked_keys = vec![list.clone()];
    make_key(&sshd.path("stranger"), "ed25519", "");
    let line = |key: &lifeboat::transport::known_hosts::HostKey| {
        key.line("x", 22).strip_prefix("x ").unwrap().to_owned() + " a comment\n"
    };
    std::fs::write(&list, format!("# keys\n\n{}", line(&read_public(&sshd.path("stranger"))))).unwrap();
    assert!(works(&connect(&spec).unwrap()));
    std::fs::write(&list, line(&key)).unwrap();
    assert!(refusal(&spec).contains("marked as revoked"));
    let mut pinned = spec.clone();
    pinned.host_keys = vec![key.fingerprint()];
    assert!(refusal(&pinned).contains("marked as revoked"));
    run("ssh-keygen", &["-q", "-k", "-f", list.to_str().unwrap(), sshd.path("stranger.pub").to_str().unwrap()]);
    assert!(refusal(&spec).contains("binary form"), "{}", refusal(&spec));
    std::fs::remove_file(&list).unwrap();
    assert!(refusal(&spec).contains("cannot be told which ones are revoked"), "{}", refusal(&spec));
}

#[test]
fn forwarding_switched_off_is_told_from_a_closed_port() {
    let sshd = Sshd::with("AllowTcpForwarding no");
    let node = connect(&sshd.spec("n")).unwrap();
    let Err(error) = node.dial(&Dial::Tcp("127.0.0.1".into(), sshd.port), &Cancel::new()) else { panic!("it is off") };
    assert!(error.to_string().contains("forwarding is switched off"), "{error}");
    assert!(works(&node));
}

#[test]
fn an_upload_to_a_listener_that_dies_is_broken_and_not_waited_for() {
    let sshd = Sshd::with("AllowTcpForwarding yes");
    let node = connect(&sshd.spec("n")).unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let dies = std::thread::spawn(move || {
        let (mut peer, _) = listener.accept().unwrap();
        std::io::Read::read_exact(&mut peer, &mut [0; 4096]).unwrap();
        // What it never takes fills every buffer on the way before it goes.
        std::thread::sleep(Duration::from_secs(2));
    });
    let mut stream = node.dial(&Dial::Tcp("127.0.0.1".into(), port), &Cancel::new()).unwrap();
    stream.set_timeout(Duration::from_mins(10)).unwrap();
    let (piece, mut sent) = (vec![7; 1 << 20], 0_u64);
    let began = Instant::now();
    let error = loop {
        match std::io::Write::write(&mut stream, &piece) {
            Ok(count) => sent += count as u64,
            Err(error) => break error,
        }
    };
    println!("{sent} bytes were taken until it was told, after {:.1?}", began.elapsed());
    assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe, "{error}");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    dies.join().unwrap();
    assert!(works(&node));
}

#[test]
fn too_many_channels_and_no_listener_are_sentences() {
    let sshd = Sshd::with("MaxSessions 2");
    let node = connect(&sshd.spec("n")).unwrap();
    let held: Vec<_> = (0..2).map(|_| node.start(&Script::new("sleep 20"), &Cancel::new()).unwrap()).collect();
    let Err(error) = node.start(&Script::new("true"), &Cancel::new()) else { panic!("two are allowed") };
    assert!(error.to_string().contains("MaxSessions"), "{error}");
    drop(held);
    let mut spec = sshd.spec("n");
    spec.port.value = super::sshd::free_port();
    assert!(matches!(connect(&spec), Err(TransportError::Unreachable { .. })));
}

#[test]
fn a_listener_that_never_greets_is_given_up() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut spec = SshSpec::new("mute", "127.0.0.1", listener.local_addr().unwrap().port(), "root");
    spec.connect_timeout = Duration::from_millis(500);
    let began = Instant::now();
    let error = connect(&spec).unwrap_err();
    assert!(matches!(error, TransportError::TimedOut { .. } | TransportError::Unreachable { .. }), "{error}");
    assert!(began.elapsed() < Duration::from_secs(3));
    // And cancelled at once.
    spec.connect_timeout = Duration::from_secs(30);
    let (cancel, began) = (Cancel::new(), Instant::now());
    let stop = cancel.clone();
    let thread = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        stop.cancel();
    });
    assert!(matches!(ssh::connect(&spec, &secrets(), &cancel), Err(TransportError::Cancelled)));
    assert!(began.elapsed() < Duration::from_secs(2));
    thread.join().unwrap();
}

#[test]
fn a_rekey_in_the_middle_changes_nothing() {
    let sshd = Sshd::with("RekeyLimit 1M");
    let node = connect(&sshd.spec("n")).unwrap();
    let out = node.run(&Script::new("head -c 20000000 /dev/zero"), b"", 20_000_000, &Cancel::new()).unwrap();
    assert_eq!((out.stdout.len(), out.end), (20_000_000, End::Exited(0)));
    let data = vec![9; 20_000_000];
    let out = node.run(&Script::new("wc -c").with_input(), &data, 100, &Cancel::new()).unwrap();
    assert_eq!(out.text().as_str(), "20000000");
}

#[test]
fn what_a_login_shell_prints_first_reaches_nobody() {
    let sshd = Sshd::with("ForceCommand echo noise; echo more >&2; eval \"$SSH_ORIGINAL_COMMAND\"");
    let node = connect(&sshd.spec("n")).unwrap();
    let out = node.run(&Script::new("echo out; echo err >&2"), b"", 100, &Cancel::new()).unwrap();
    assert_eq!((out.text().as_str(), out.stderr.as_str()), ("out", "err"));
    let closed = Sshd::with("ForceCommand echo This account is closed. >&2; exit 1");
    let Err(error) = connect(&closed.spec("n")).and_then(|n| n.run(&Script::new("true"), b"", 9, &Cancel::new()))
    else {
        panic!("nothing ran")
    };
    assert!(error.to_string().contains("This account is closed"), "{error}");
}

#[test]
fn faults_come_where_they_were_ordered() {
    let sshd = Sshd::start();
    let file = sshd.path("made");
    let node = Faulty::new(connect(&sshd.spec("n")).unwrap())
        .at(1, Trouble::LostBefore)
        .at(2, Trouble::LostAfter)
        .at(4, Trouble::LostAfterBytes(10))
        .at(5, Trouble::Cancelled);
    let make = Script::new("echo x >> \"$1\"").arg(file.to_str().unwrap());
    for lines in 0..2 {
        let error = node.run(&make, b"", 10, &Cancel::new()).unwrap_err();
        assert!(matches!(error, TransportError::Lost { .. }));
        assert_eq!(std::fs::read_to_string(&file).unwrap_or_default().lines().count(), lines);
    }
    assert!(node.run(&make, b"", 10, &Cancel::new()).unwrap().success());
    let mut running = node.start(&Script::new("head -c 100 /dev/zero"), &Cancel::new()).unwrap();
    let mut got = Vec::new();
    assert!(running.read_to_end(&mut got).is_err());
    assert_eq!(got.len(), 10);
    assert!(running.write(b"x").is_err());
    let cancel = Cancel::new();
    assert!(matches!(node.run(&make, b"", 10, &cancel), Err(TransportError::Cancelled)));
    assert!(cancel.is_cancelled() && node.calls() == 5 && node.scripts().len() == 5);
}

#[test]
fn the_linked_library_is_the_fixed_one() {
    assert!(linked_libssh2_version().starts_with("1.11.2"));
    run("true", &[]);
}

/// A way to a server that stops taking bytes when told to, and goes on when told so.
struct Valve {
    folder: tempfile::TempDir,
}

impl Valve {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }
    /// A proxy command whose upward half is one process that can be held.
    fn command(&self, port: u16) -> String {
        let pid = self.folder.path().join("pid");
        format!("bash -c 'exec 5<>/dev/tcp/127.0.0.1/{port}; cat <&5 & echo $$ >{}; exec cat >&5'", pid.display())
    }
    fn signal(&self, signal: &str) {
        let pid = std::fs::read_to_string(self.folder.path().join("pid")).unwrap();
        run("kill", &[signal, pid.trim()]);
    }
}

/// Starts an upload and waits until nothing of it goes any more, in the middle of a packet.
fn jammed(node: &Arc<dyn Transport>, valve: &Valve, cancel: &Cancel) -> std::thread::JoinHandle<TransportError> {
    let mut upload = node.start(&Script::new("cat >/dev/null").with_input(), cancel).unwrap();
    valve.signal("-STOP");
    let thread = std::thread::spawn(move || {
        let data = vec![7; 64 << 10];
        loop {
            if let Err(error) = upload.write_all(&data) {
                return TransportError::from_io("n", &error);
            }
        }
    });
    std::thread::sleep(Duration::from_millis(500));
    thread
}

#[test]
fn an_upload_cancelled_in_the_middle_of_a_packet_leaves_the_session_at_work() {
    let (sshd, valve) = (Sshd::start(), Valve::new());
    let mut spec = sshd.spec("n");
    spec.proxy_command = Some(valve.command(sshd.port));
    let node = connect(&spec).unwrap();
    let cancel = Cancel::new();
    let upload = jammed(&node, &valve, &cancel);
    cancel.cancel();
    assert!(matches!(upload.join().unwrap(), TransportError::Cancelled));
    valve.signal("-CONT");
    let limit = Duration::from_secs(20);
    for _ in 0..3 {
        let out = node.run(&Script::new("echo hi").within(limit, limit), b"", 10, &Cancel::new());
        assert_eq!(out.unwrap().text().as_str(), "hi");
    }
}

#[test]
fn a_session_that_takes_nothing_more_ends_when_its_upload_is_cancelled() {
    let (sshd, valve) = (Sshd::start(), Valve::new());
    let mut spec = sshd.spec("n");
    spec.proxy_command = Some(valve.command(sshd.port));
    let node = connect(&spec).unwrap();
    let cancel = Cancel::new();
    let upload = jammed(&node, &valve, &cancel);
    cancel.cancel();
    assert!(matches!(upload.join().unwrap(), TransportError::Cancelled));
    let limit = Duration::from_secs(30);
    let began = Instant::now();
    let late = node.run(&Script::new("echo hi").within(limit, limit), b"", 10, &Cancel::new());
    assert!(matches!(&late, Err(TransportError::Lost { why, .. }) if why.contains("took nothing more")), "{late:?}");
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    // Another login is not touched by it.
    assert!(works(&node.again(&Cancel::new()).unwrap()));
}
