//! Every fault does what it says, and its way back leads back.

use serde_json::Value;

use super::demo::Demo;

fn in_force(demo: &mut Demo, host: &str) -> Vec<String> {
    let count = demo.told["nodes"].as_array().unwrap().len();
    let mut nodes = vec![demo.say("nodes")];
    // One document a node.
    nodes.extend((1..count).map(|_| demo.say("")));
    let node = nodes.iter().find(|node| node["host"] == host).unwrap();
    node["in_force"].as_array().unwrap().iter().map(|fault| fault.as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_network_and_the_host_key_can_be_broken() {
    let mut demo = Demo::start();
    assert_eq!(in_force(&mut demo, "cache-1"), ["cut-link"]);
    demo.does("mend cache-1 cut-link");
    demo.call(&["doctor", "cache-1"]).expect(0);

    demo.does("break val-1 cut-link");
    demo.call(&["doctor", "val-1"]).expect(12).says("Connection refused");
    assert_eq!(demo.say("break val-1 stall")["kind"], "failure", "one network fault at a time");
    demo.does("mend val-1 cut-link");
    demo.call(&["doctor", "val-1"]).expect(0);

    demo.does("break val-1 change-host-key");
    demo.call(&["doctor", "val-1"]).expect(10);
    demo.does("mend val-1 change-host-key");
    demo.call(&["doctor", "val-1"]).expect(0);

    // A link that stands still keeps its session: when it moves again, the call goes on.
    demo.does("break web-1 stall");
    let mut waiting = demo.command(&["doctor", "web-1"]).stdout(std::process::Stdio::null()).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1500));
    assert!(waiting.try_wait().unwrap().is_none(), "it must wait");
    demo.does("mend web-1 stall");
    assert_eq!(waiting.wait().unwrap().code(), Some(0));
}

#[test]
fn disk_service_artefact_identity_and_node_can_be_broken() {
    let mut demo = Demo::start();
    demo.does("break web-1 fill-disk");
    demo.call(&["doctor", "web-1"]).expect(4).says("free space");
    let restore = ["restore", "web-1/files/tree", "--to", "web-1", "--confirm", "overwrite=web-1"];
    demo.call(&restore).expect(18).says("No space left").says("Everything is as it was");
    demo.does("mend web-1 fill-disk");
    demo.call(&restore).expect(0).says("restored and proven");

    let running = |demo: &Demo, host: &str| -> Value {
        let documents = demo.call(&["--json", "scan", host]).documents();
        documents.iter().find(|document| document["facts"].is_object()).unwrap()["facts"].clone()
    };
    demo.does("break val-2 kill-service");
    assert_eq!(running(&demo, "val-2")["units"][0]["active"], "failed");
    demo.does("mend val-2 kill-service");
    assert_eq!(running(&demo, "val-2")["units"][0]["active"], "active");

    demo.does("break val-2 corrupt-artefact");
    demo.call(&["verify", "val-2"]).expect(3).says("does not hash as written");
    demo.does("mend val-2 corrupt-artefact");
    demo.call(&["verify", "val-2"]).expect(0);

    demo.does("break val-1 clone-identity");
    let identity = |facts: &Value| facts["identities"][0]["value"].clone();
    assert_eq!(identity(&running(&demo, "val-1")), identity(&running(&demo, "spare-1")));
    demo.does("mend val-1 clone-identity");
    assert_eq!(running(&demo, "spare-1")["units"][0]["active"], "inactive");
    assert_eq!(running(&demo, "spare-1")["own"]["disk_node_id"], Value::Null);

    // A machine that is lost plays no twin any more, and the new one can be made one again.
    assert_eq!(in_force(&mut demo, "val-3"), ["clone-identity"]);
    demo.does("break val-4 lose-node");
    assert_eq!(in_force(&mut demo, "val-3"), [""; 0]);
    demo.does("mend val-4 lose-node");
    let own = identity(&running(&demo, "val-4"));
    assert_ne!(own, identity(&running(&demo, "val-3")));
    demo.does("break val-3 clone-identity");
    assert_eq!(identity(&running(&demo, "val-4")), identity(&running(&demo, "val-3")));
    demo.does("mend val-3 clone-identity");
    assert_eq!(identity(&running(&demo, "val-4")), own, "its own, not that of the machine before");

    let before = identity(&running(&demo, "val-1"));
    demo.does("break val-1 lose-node");
    demo.call(&["scan", "val-1"]).expect(12);
    assert_eq!(demo.say("break val-1 fill-disk")["kind"], "failure", "there is no disk to fill");
    demo.does("mend val-1 lose-node");
    let after = identity(&running(&demo, "val-1"));
    assert!(after.is_string() && after != before, "a new machine has another identity");
}

#[test]
fn what_is_no_fault_or_no_node_is_refused() {
    let mut demo = Demo::start();
    for line in
        ["break nobody cut-link", "break val-1 explode", "mend val-1 stall", "break web-1 clone-identity", "dance"]
    {
        assert_eq!(demo.say(line)["kind"], "failure", "{line}");
    }
    demo.quit();
}

#[test]
fn what_could_not_be_mended_is_in_force_still() {
    let mut demo = Demo::start();
    demo.does("break val-2 corrupt-artefact");
    // The snapshot is elsewhere for a while, so the byte cannot be put back.
    let dir = demo.path("vault").join("val-2");
    let aside = demo.path("vault").join("aside");
    std::fs::rename(&dir, &aside).unwrap();
    assert_eq!(demo.say("mend val-2 corrupt-artefact")["kind"], "failure");
    assert_eq!(in_force(&mut demo, "val-2"), ["corrupt-artefact"]);
    std::fs::rename(&aside, &dir).unwrap();
    demo.does("mend val-2 corrupt-artefact");
    assert_eq!(in_force(&mut demo, "val-2"), [""; 0]);
    demo.call(&["verify", "val-2"]).expect(0);
}
