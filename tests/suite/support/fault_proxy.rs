//! A TCP proxy that fails on purpose: for slow, broken and lying links.
//!
//! It listens on the loopback and forwards each connection to one target. Every knob can be turned
//! while connections run. Byte counts are counted per direction over the proxy's whole life, so
//! "cut after N bytes" also hits a client that comes back.

use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Toward {
    /// From the client to the target.
    Target,
    /// From the target to the client.
    Client,
}

/// How many bytes may wait inside the proxy for one direction of one connection.
const HELD: usize = 8 << 20;

#[derive(Debug, Default)]
struct Knobs {
    one_way: Duration,
    rate: Option<u64>,
    stalled: bool,
    refusing: bool,
    closed: bool,
    /// Per direction: bytes passed, cut at, flip at.
    ways: [Way; 2],
    open: Vec<Weak<TcpStream>>,
}

#[derive(Debug, Default)]
struct Way {
    passed: u64,
    cut_at: Option<u64>,
    flip_at: Option<u64>,
}

#[derive(Debug)]
struct Shared {
    knobs: Mutex<Knobs>,
    turned: Condvar,
    target: SocketAddr,
}

/// The proxy; it ends, with its connections, when dropped.
#[derive(Debug)]
pub struct FaultProxy {
    shared: Arc<Shared>,
    address: SocketAddr,
}

impl FaultProxy {
    /// Starts a proxy to `target` on a free loopback port.
    pub fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("bind a loopback port");
        let address = listener.local_addr().expect("the port's number");
        let shared = Arc::new(Shared { knobs: Mutex::default(), turned: Condvar::new(), target });
        let inner = Arc::clone(&shared);
        thread::spawn(move || accept(&listener, &inner));
        Self { shared, address }
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets the round trip's length; half of it goes on each direction.
    pub fn set_delay(&self, round_trip: Duration) {
        self.turn(|k| k.one_way = round_trip / 2);
    }

    /// Limits each direction of each connection to so many bytes a second.
    pub fn set_rate(&self, bytes_per_second: Option<u64>) {
        self.turn(|k| k.rate = bytes_per_second.map(|rate| rate.max(1)));
    }

    /// Holds all bytes back, both ways, without closing anything; `false` lets them go on.
    pub fn set_stalled(&self, stalled: bool) {
        self.turn(|k| k.stalled = stalled);
    }

    /// Closes new connections at once, before a byte. Open ones stay.
    pub fn set_refusing(&self, refusing: bool) {
        self.turn(|k| k.refusing = refusing);
    }

    /// Cuts all connections when `bytes` more have gone that way, and any later one at its first
    /// byte; `None` heals the link.
    pub fn cut_after(&self, way: Toward, bytes: Option<u64>) {
        self.turn(|k| k.way(way).cut_at = bytes.map(|n| k.way(way).passed + n));
    }

    /// Inverts the byte that comes after `bytes` more have gone that way. Once.
    pub fn flip_after(&self, way: Toward, bytes: u64) {
        self.turn(|k| k.way(way).flip_at = Some(k.way(way).passed + bytes));
    }

    /// Cuts every open connection now; new ones are served.
    pub fn cut_now(&self) {
        self.turn(Knobs::cut);
    }

    /// How many bytes have gone that way so far.
    pub fn passed(&self, way: Toward) -> u64 {
        self.shared.lock().way(way).passed
    }

    fn turn(&self, change: impl FnOnce(&mut Knobs)) {
        change(&mut self.shared.lock());
        self.shared.turned.notify_all();
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.turn(|k| {
            k.closed = true;
            k.cut();
        });
        let _ = TcpStream::connect(self.address); // wakes the accepting thread
    }
}

impl Knobs {
    fn way(&mut self, way: Toward) -> &mut Way {
        &mut self.ways[usize::from(way == Toward::Client)]
    }

    fn cut(&mut self) {
        for stream in self.open.drain(..).filter_map(|s| s.upgrade()) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Knobs> {
        self.knobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for client in listener.incoming() {
        let (closed, refusing) = {
            let knobs = shared.lock();
            (knobs.closed, knobs.refusing)
        };
        if closed {
            return;
        }
        let Ok(client) = client else { continue };
        if refusing {
            continue; // dropped: the client sees the end before a byte
        }
        let shared = Arc::clone(shared);
        thread::spawn(move || serve(client, &shared));
    }
}

fn serve(client: TcpStream, shared: &Arc<Shared>) {
    let Ok(target) = TcpStream::connect_timeout(&shared.target, Duration::from_secs(10)) else { return };
    let (client, target) = (Arc::new(client), Arc::new(target));
    {
        let mut knobs = shared.lock();
        knobs.open.retain(|stream| stream.strong_count() > 0);
        for stream in [&client, &target] {
            let _ = stream.set_nodelay(true);
            knobs.open.push(Arc::downgrade(stream));
        }
    }
    carry(Arc::clone(&client), Arc::clone(&target), Toward::Target, shared);
    carry(target, client, Toward::Client, shared);
}

/// The bytes on their way in one direction, with the moment each piece arrived.
#[derive(Debug, Default)]
struct Line {
    held: Mutex<Held>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Held {
    pieces: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
    /// Nobody takes pieces any more.
    ended: bool,
}

impl Line {
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, held: MutexGuard<'a, Held>) -> MutexGuard<'a, Held> {
        self.changed.wait(held).unwrap_or_else(PoisonError::into_inner)
    }
}

/// One thread reads and stamps, one writes when the time has come: a delay holds bytes back
/// without holding up those behind them.
fn carry(from: Arc<TcpStream>, to: Arc<TcpStream>, way: Toward, shared: &Arc<Shared>) {
    let line = Arc::new(Line::default());
    let (reader, shared) = (Arc::clone(&line), Arc::clone(shared));
    thread::spawn(move || {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let read = (&*from).read(&mut buffer).unwrap_or(0);
            let mut held = reader.lock();
            while held.bytes > HELD && !held.ended {
                held = reader.wait(held);
            }
            let ended = read == 0 || held.ended;
            held.pieces.push_back((Instant::now(), buffer[..read].to_vec()));
            held.bytes += read;
            drop(held);
            reader.changed.notify_all();
            if ended {
                return;
            }
        }
    });
    thread::spawn(move || {
        deliver(&line, &to, way, &shared);
        line.lock().ended = true;
        line.changed.notify_all();
    });
}

fn deliver(line: &Line, mut to: &TcpStream, way: Toward, shared: &Shared) {
    let mut free_at = Instant::now();
    loop {
        let (arrived, mut piece) = {
            let mut held = line.lock();
            loop {
                if let Some(first) = held.pieces.pop_front() {
                    held.bytes -= first.1.len();
                    break first;
                }
                held = line.wait(held);
            }
        };
        line.changed.notify_all();
        let mut knobs = shared.lock();
        let due = (arrived + knobs.one_way).max(free_at);
        free_at = due;
        if let Some(rate) = knobs.rate {
            free_at += Duration::from_micros(u64::try_from(piece.len()).unwrap_or(u64::MAX) * 1_000_000 / rate);
        }
        loop {
            let wait = free_at.saturating_duration_since(Instant::now());
            if knobs.closed || !knobs.stalled && wait.is_zero() {
                break;
            }
            let limit = if knobs.stalled { Duration::from_hours(1) } else { wait };
            knobs = shared.turned.wait_timeout(knobs, limit).unwrap_or_else(PoisonError::into_inner).0;
        }
        if piece.is_empty() {
            let _ = to.shutdown(Shutdown::Write);
            return;
        }
        let cut = knobs.way(way).fault(&mut piece);
        drop(knobs);
        let written = to.write_all(&piece).is_ok();
        if cut {
            // A moment for what was written to leave before the connection is torn down.
            thread::sleep(Duration::from_millis(5));
            shared.lock().cut();
        }
        if !written {
            let _ = to.shutdown(Shutdown::Both); // the other end learns of it
        }
        if cut || !written {
            return;
        }
    }
}

impl Way {
    /// Counts a piece, and does to it what was asked for; says whether the link is cut after it.
    fn fault(&mut self, piece: &mut Vec<u8>) -> bool {
        let start = self.passed;
        let cut = self.cut_at.is_some_and(|at| {
            let room = usize::try_from(at.saturating_sub(start)).unwrap_or(usize::MAX);
            let cut = piece.len() >= room;
            piece.truncate(room);
            cut
        });
        if let Some(at) = self.flip_at.and_then(|at| at.checked_sub(start))
            && let Some(byte) = usize::try_from(at).ok().and_then(|at| piece.get_mut(at))
        {
            *byte = !*byte;
            self.flip_at = None;
        }
        self.passed += u64::try_from(piece.len()).unwrap_or(0);
        cut
    }
}
