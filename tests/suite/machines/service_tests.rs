//! The installers shown to give real, running servers.

use super::avalanchego::{self, avalanche_node_id, install_avalanchego, start_avalanchego};
use super::consul::{self, consul_all, consul_backup_token, consul_fill, consul_get, consul_put, install_consul};
use super::fixture_tests::timed;
use super::fleet::Fleet;
use super::machine::Machine;
use super::tree::{install_tree, tree_listing};
use serde_json::json;

#[test]
fn avalanchego_answers_and_made_its_keys() {
    let machine = Machine::boot(Fleet::shared(), "val-5");
    timed("avalanchego installed and answering", || install_avalanchego(&machine, &avalanchego::Options::default()));
    let first = avalanche_node_id(&machine);
    assert!(first.node_id.starts_with("NodeID-"), "{first:?}");
    assert_eq!((first.public_key.len(), first.proof.len()), (98, 194), "{first:?}");
    let keys = machine.exec("cd /home/avax/.avalanchego/staking; stat -c '%n %a %U' *; stat -c %s signer.key").ok();
    assert_eq!(keys, "signer.key 400 avax\nstaker.crt 400 avax\nstaker.key 400 avax\n32\n");
    assert!(
        machine
            .exec("openssl x509 -noout -text -in /home/avax/.avalanchego/staking/staker.crt")
            .ok()
            .contains("prime256v1")
    );

    // The identity is in the three files and nowhere else: with them it stays, without them it goes.
    machine.exec("systemctl stop avalanchego; mv /home/avax/.avalanchego/staking /home/avax/aside").ok();
    let other = timed("avalanchego started", || start_avalanchego(&machine));
    assert_ne!(other.node_id, first.node_id);
    assert_ne!(other.public_key, first.public_key);
    machine
        .exec("systemctl stop avalanchego; cd /home/avax; rm -r .avalanchego/staking; mv aside .avalanchego/staking")
        .ok();
    assert_eq!(start_avalanchego(&machine), first);

    // Restart=always: killing the process is not enough to keep it down.
    machine.exec("systemctl kill -s KILL avalanchego; sleep 2; systemctl is-active avalanchego").ok();
}

#[test]
fn avalanchego_takes_old_rsa_keys_and_an_address_in_its_config() {
    let machine = Machine::boot(Fleet::shared(), "val-6");
    let mut options = avalanchego::Options { rsa_keys: true, start: false, ..Default::default() };
    options.config.insert("public-ip".into(), json!("203.0.113.7"));
    timed("RSA keys made", || install_avalanchego(&machine, &options));
    assert!(!machine.exec("systemctl is-active avalanchego").success(), "it was not to be started");
    let crt = "/home/avax/.avalanchego/staking/staker.crt";
    let before = machine.exec(&format!("sha256sum {crt}; openssl x509 -noout -serial -subject -in {crt}")).ok();
    assert!(before.contains("serial=00\n") && before.contains("subject=\n"), "{before}");
    assert!(machine.exec("head -n 1 /home/avax/.avalanchego/staking/staker.key").ok().contains("BEGIN PRIVATE KEY"));
    let identity = start_avalanchego(&machine);
    assert!(identity.node_id.starts_with("NodeID-"));
    assert!(machine.exec(&format!("sha256sum {crt}")).ok().starts_with(&before[..64]), "the node kept the RSA pair");
    let told = machine.exec(
        "curl -s -H 'Content-Type: application/json' http://127.0.0.1:9650/ext/info \
         -d '{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"info.getNodeIP\"}'",
    );
    assert!(told.ok().contains("203.0.113.7:9651"), "it advertises the address in its config");
}

#[test]
fn consul_leads_denies_strangers_and_keeps_keys() {
    let machine = Machine::boot(Fleet::shared(), "consul-1");
    let token =
        timed("consul installed, leading, bootstrapped", || install_consul(&machine, &consul::Options::default()));
    let token = token.expect("ACLs are on");
    let management = Some(token.as_str());
    consul_put(&machine, management, "app/greeting", "hello");
    assert_eq!(consul_get(&machine, management, "app/greeting").as_deref(), Some("hello"));
    assert_eq!(consul_get(&machine, None, "app/greeting"), None, "a stranger reads nothing");
    timed("1000 keys", || consul_fill(&machine, management, "bulk", 1000));
    let all = timed("all keys", || consul_all(&machine, management));
    assert_eq!(all.len(), 1001);
    assert_eq!(all["bulk/000999"], b"value 000999");

    let backup = consul_backup_token(&machine, &token);
    let status = |token: &str| {
        machine
            .exec_with(
                "read -r t; printf 'header = \"X-Consul-Token: %s\"' \"$t\" | \
                 curl -s -K - -o /root/backup.snap -w '%{http_code}' http://127.0.0.1:8500/v1/snapshot",
                format!("{token}\n").as_bytes(),
            )
            .ok()
    };
    assert_eq!(status(&backup), "200");
    assert!(machine.exec("consul snapshot inspect /root/backup.snap").ok().contains("KVS"));
    assert_eq!(status(""), "403");
}

#[test]
fn consul_without_acls_serves_anyone() {
    let machine = Machine::boot(Fleet::shared(), "consul-2");
    let options = consul::Options { acls: false, ..Default::default() };
    assert_eq!(install_consul(&machine, &options), None);
    consul_put(&machine, None, "open", "yes");
    assert_eq!(consul_get(&machine, None, "open").as_deref(), Some("yes"));
}

#[test]
fn a_tree_is_as_odd_as_promised_and_its_service_writes() {
    let machine = Machine::boot(Fleet::shared(), "files-1");
    timed("tree", || install_tree(&machine, "/srv/tree"));
    let listing = tree_listing(&machine, "/srv/tree");
    for odd in ["4755", "12345:54321", "esc\u{1b}[31mred", "new\nline", "日本語", "user.lifeboat=0x6b656570"] {
        assert!(listing.contains(odd), "{odd:?} is missing in\n{listing}");
    }
    let used = machine.exec("stat -c '%s %b' /srv/tree/sparse").ok();
    let (size, blocks) = used.trim().split_once(' ').expect("two numbers");
    assert_eq!(size, "67108864");
    assert!(blocks.parse::<u32>().expect("a number") < 64, "it is sparse: {used}");
    let lines = || machine.exec("wc -l </srv/tree/heartbeat").ok().trim().parse::<u32>().expect("a number");
    let before = lines();
    machine.exec("sleep 0.7").ok();
    assert!(lines() > before, "the service writes");
    machine.exec("systemctl stop treeapp").ok();
    assert_eq!(tree_listing(&machine, "/srv/tree"), listing, "a listing does not change by itself");
}
