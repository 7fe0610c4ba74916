use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

#[test]
fn a_longer_way_gets_a_larger_window() {
    const MIB: u64 = 1 << 20;
    for (millis, window) in [
        (0.0, MIB),
        (1.999, MIB),
        (2.0, 2 * MIB),
        (4.999, 2 * MIB),
        (5.0, 8 * MIB),
        (40.9, 8 * MIB),
        (41.0, 16 * MIB),
        (100.9, 16 * MIB),
        (101.0, 32 * MIB),
        (60_000.0, 32 * MIB),
    ] {
        assert_eq!(window_for(Duration::from_secs_f64(millis / 1000.0)), window, "{millis} ms");
    }
    // No answer to the budget's question is beyond what it can give.
    assert!(u32::try_from(window_for(Duration::MAX)).is_ok());
}

#[test]
fn what_waits_outside_the_library_is_given_up() {
    let link = Arc::new(Link::new("n").unwrap());
    let own = Arc::clone(&link);
    let limit = Duration::from_millis(200);
    let (end, ending) = std::sync::mpsc::channel::<()>();
    let began = Instant::now();
    let late = off_thread(&link, &Cancel::new(), move || {
        own.outside.during("its name was being looked up", limit, || ending.recv().ok());
        Ok(())
    });
    let Err(TransportError::TimedOut { what, limit: told, .. }) = late else { panic!("it never ended: {late:?}") };
    assert_eq!((what.as_str(), told), ("its name was being looked up", limit));
    assert!(began.elapsed() < Duration::from_secs(2) && link.cord.pulled());
    drop(end);
    // What ends in time leaves no limit behind.
    let link = Arc::new(Link::new("n").unwrap());
    let own = Arc::clone(&link);
    let fine = off_thread(&link, &Cancel::new(), move || {
        own.outside.during("its name was being looked up", limit, || ());
        std::thread::sleep(limit * 2);
        Ok(7)
    });
    assert_eq!(fine.unwrap(), 7);
}

/// The library closes a descriptor twice where it cannot connect; by the second time it may be another thread's.
#[test]
fn an_agent_that_is_not_there_costs_nobody_else_a_descriptor() {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let file = std::fs::File::open("/dev/null").unwrap();
                std::thread::yield_now();
                assert!(file.metadata().is_ok(), "somebody else closed it");
            }
        });
        let session = ssh2::Session::new().unwrap();
        for _ in 0..5_000 {
            assert!(super::auth::open_agent(&session, Path::new("/nonexistent/agent")).is_err());
        }
        stop.store(true, Ordering::Relaxed);
    });
}
