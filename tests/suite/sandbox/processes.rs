//! What a process on a node, whosever it is, can make a probe do.

use lifeboat::engine::scan::wanted_of;

use super::Node;
use super::bench::{Fleet, World};
use super::fixtures::FIXTURES;

const UNIT: &str = "netdata.service";

/// A program that tells a version when it is asked for one, running under the agent's name.
const IMPOSTOR: &str = "cp /usr/bin/gzip /tmp/netdata
    ( /usr/bin/sleep 60 </dev/null | /tmp/netdata >/dev/null ) >/dev/null 2>&1 &
    for i in 1 2 3 4 5 6 7 8 9; do ! grep -qx netdata /proc/[0-9]*/comm || break; /usr/bin/sleep 0.1; done";

#[test]
fn a_probe_runs_no_program_that_only_a_process_names() {
    let fixture = *FIXTURES.iter().find(|known| known.name() == "netdata, onto another agent").unwrap();
    let (world, node) = (World::new(), Node::blank());
    fixture.lay(&node, true);
    node.run(&format!("systemctl stop {UNIT}\n{IMPOSTOR}"));
    let look = || {
        world.with(0, &Fleet::sound(fixture, &[("old", &node)]), |_, prober| {
            prober.probe(&wanted_of(prober.inventory)[0]).unwrap().facts
        })
    };
    let facts = look();
    assert!(facts.outside, "the process is seen: {facts:?}");
    assert_eq!(facts.version, None, "a program that anybody may have started was run as root");
    // What the unit starts is root's choice, and is asked.
    let starts = "{ path=/tmp/netdata ; argv[]=/tmp/netdata -D ; ignore_errors=no ; start_time=[n/a] }";
    node.run(&format!("echo '{starts}' >/stub/units/{UNIT}/ExecStart"));
    assert!(look().version.is_some(), "{:?}", look());
}
