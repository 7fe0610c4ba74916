//! A server that stands still in the middle of its answer: nothing of it is kept.

use std::collections::BTreeMap;
use std::path::Path;

use lifeboat::engine::scan::wanted_of;
use lifeboat::model::exit::Exit;
use lifeboat::model::ids::ItemId;

use super::Node;
use super::agents::{Asked, Reply};
use super::bench::{Fleet, World, digest};
use super::fixtures::{FIXTURES, Fixture};

/// A Consul whose snapshots never come to their end.
struct Stalls;

fn consul() -> &'static dyn Fixture {
    *FIXTURES.iter().find(|known| known.kind() == "consul").unwrap()
}

impl Fixture for Stalls {
    fn name(&self) -> &'static str {
        "consul that stands still"
    }
    fn kind(&self) -> &'static str {
        consul().kind()
    }
    fn settings(&self) -> &'static str {
        consul().settings()
    }
    fn unit(&self) -> Option<&'static str> {
        consul().unit()
    }
    fn lay(&self, node: &Node, saved: bool) {
        consul().lay(node, saved);
    }
    fn listens(&self, root: &Path) -> bool {
        consul().listens(root)
    }
    fn answer(&self, root: &Path, asked: &Asked) -> Reply {
        let stalls = (asked.method.as_str(), asked.target.as_str()) == ("GET", "/v1/snapshot");
        Reply { stalls, ..consul().answer(root, asked) }
    }
    fn state(&self, root: &Path) -> String {
        consul().state(root)
    }
}

#[test]
fn a_snapshot_that_never_ends_is_given_up_and_nothing_is_staged() {
    let (world, node) = (World::new(), Node::blank());
    Stalls.lay(&node, true);
    let before = digest(&Stalls, &node);
    let failure = world.with(0, &Fleet::sound(&Stalls, &[("n1", &node)]), |runs, prober| {
        let found = prober.probe(&wanted_of(prober.inventory)[0]).unwrap();
        let item: ItemId = "snapshot".parse().unwrap();
        let planned = prober.plan_backup(&found.place(&item), None, &BTreeMap::new()).unwrap();
        runs.run(&planned, None, &BTreeMap::new()).unwrap_err()
    });
    assert_eq!(failure.exit, Exit::Unreachable, "{failure:?}");
    assert!(failure.message.contains("did not answer within"), "{failure:?}");
    assert!(world.vault.catalogue().unwrap().snapshots.is_empty());
    assert!(world.vault.leftovers().unwrap().is_empty(), "something is staged");
    assert_eq!((digest(&Stalls, &node), node.leftovers().as_str()), (before, ""));
}
