//! Where the facts of a service come from, for faces that show them.

use crate::services::driver;

/// What is known of a fact nobody tells the origin of: every fact is read by the probe.
const UNTOLD: &str = "its probe";

/// The origin of a fact by its dotted name, as the driver of `kind` tells it; the longest name that covers it counts.
pub fn origin_of(kind: &str, fact: &str) -> &'static str {
    let told = driver(kind).map_or(&[][..], |driver| driver.origins());
    let covers = |name: &str| fact.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    let nearest = told.iter().filter(|(name, _)| covers(name)).max_by_key(|(name, _)| name.len());
    nearest.map_or(UNTOLD, |(_, origin)| origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_tells_and_a_name_is_no_prefix_of_another_word() {
        assert_eq!(origin_of("consul", "leader"), "its API");
        assert_eq!(origin_of("netdata", "db.stored.0"), "the file system");
        assert_ne!(origin_of("netdata", "db.limits.0"), "the file system");
        assert_eq!(origin_of("consul", "leaders"), UNTOLD);
        assert_eq!(origin_of("none", "leader"), UNTOLD);
    }
}
