//! The fleet page.

use super::stage::Stage;
use crate::assert_page;

pub const TWO: &str = r#"
version = 1
[vault]
path = "/vault"
[hosts.val-1]
address = "10.0.0.11"
groups = ["prod"]
[hosts.val-1.services.avalanchego]
[hosts.val-2]
address = "10.0.0.12"
groups = ["prod"]
[hosts.val-2.services.avalanchego]
"#;

#[test]
fn the_fleet_opens_from_the_inventory_alone() {
    let mut stage = Stage::of_inventory(TWO);
    assert_page!("fleet_unread", stage);
}
