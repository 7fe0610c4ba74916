//! A restore that stops a living twin for good, broken off after each of its steps.

use std::time::Duration;

use super::avalanchego::{Identity, try_identity};
use super::faults::{
    ONTO_SPARE, STAKING, avalanche, enroll, fresh_validator, kill_after_step, left_by_lifeboat, restore_to_spare,
};
use super::fleet::Fleet;
use super::host::wait_for;
use super::machine::Machine;
use super::story::host_table;
use super::taken_over::{one, ops_of, settled};
use crate::support::console::Console;

const FENCE: &str = "/var/lib/lifeboat/fence/avalanchego.service";
const DROP_IN: &str = "/etc/systemd/system/avalanchego.service.d/90-lifeboat-fence.conf";

/// Who runs on a machine now; nobody where its unit is down.
fn runs_as(machine: &Machine) -> Option<Identity> {
    if !machine.exec("systemctl is-active --quiet avalanchego").success() {
        return None;
    }
    let told = wait_for(Duration::from_secs(40), || try_identity(machine));
    Some(told.unwrap_or_else(|| panic!("{} does not say who it is", machine.name())))
}

#[test]
fn a_restore_that_fences_is_killed_after_each_step_and_one_identity_runs_at_most_once() {
    let (first, old) = one(&avalanche);
    let identity = fresh_validator(&old);
    first.run(&["backup", STAKING]).expect(0);
    let fencing = ["--set", "fence=stop", "--confirm", "stop-val-1=val-1", "--set", "guard=8"];
    let args = restore_to_spare(&[&fencing[..], &ONTO_SPARE].concat());
    let inventory = std::fs::read_to_string(first.path("config/inventory.toml")).unwrap();
    let second = Console::new();
    second.write_inventory(&inventory);
    enroll(&second, &old);

    let (mut step, mut steps) = (0, usize::MAX);
    while step <= steps {
        let spare = Machine::boot(Fleet::shared(), "spare-1");
        let fresh = fresh_validator(&spare);
        let inventory = inventory.clone() + &host_table(Fleet::shared(), &spare, "ops", &avalanche(&spare));
        for console in [&first, &second] {
            console.write_inventory(&inventory);
            enroll(console, &spare);
        }
        let ops = ops_of(&first, &args);
        let fence = ops.iter().position(|op| op == "service.fence/1").unwrap() + 1;
        steps = ops.len();
        let go_on = step % 2 == 0;
        let told = format!("killed after step {step} of {steps}, then {}", if go_on { "on" } else { "back" });
        println!("{told}");

        let run = kill_after_step(&first, &args, step);
        settled(&spare);
        let is_fenced = || old.path(FENCE).exists();
        let [there, here] = [&old, &spare].map(runs_as);
        assert!(step < fence || is_fenced(), "{told}: the fence was done");
        assert_eq!(there, (!is_fenced()).then(|| identity.clone()), "{told}: the twin");
        assert!(here.is_some() && (here.as_ref() != Some(&identity) || there.is_none()), "{told}: two run");

        let resume = ["resume", &run, "--adopt", "--roll-back"];
        second.run(&resume[..if go_on { 3 } else { 4 }]).expect(0);
        let wanted = if go_on { &identity } else { &fresh };
        assert_eq!(runs_as(&spare).as_ref(), Some(wanted), "{told}");
        assert!(!go_on || is_fenced(), "{told}: the twin may start");
        assert_eq!(runs_as(&old), (!is_fenced()).then(|| identity.clone()), "{told}: a fence that was begun stays");
        let left = left_by_lifeboat(&spare) + &left_by_lifeboat(&old);
        // What makes a fence one stays with it.
        assert_eq!(left.replace(&format!("{DROP_IN}\n"), ""), "", "{told}");

        // A person who knows why lets the first one start again, as the README says.
        spare.destroy();
        old.exec(&format!("rm -f {FENCE} && systemctl enable --now avalanchego")).ok();
        assert_eq!(runs_as(&old).as_ref(), Some(&identity), "{told}");
        step += 1;
    }
}
