//! Where the facts of a service come from, for faces that show them.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::services::driver;

/// What is known of a fact nobody tells the origin of: every fact is read by the probe.
const UNTOLD: &str = "its probe";

/// The origins of one service's facts: what its probe noted for what may come from several places, and its driver's table.
#[derive(Debug)]
pub struct Origins {
    noted: BTreeMap<String, String>,
    table: &'static [(&'static str, &'static str)],
}

impl Origins {
    /// Those of a service of `kind`; what its probe noted is taken out of its own facts, where it stands as `from`.
    pub fn of(kind: &str, own: &mut Value) -> Self {
        let noted = own.as_object_mut().and_then(|own| {
            // One name beside a value is that value's own.
            own.get("from").is_some_and(Value::is_object).then(|| own.remove("from"))?
        });
        Self {
            noted: noted.and_then(|noted| serde_json::from_value(noted).ok()).unwrap_or_default(),
            table: driver(kind).map_or(&[][..], |driver| driver.origins()),
        }
    }

    /// The origin of a fact by its dotted name: the longest name that covers it counts, the probe's before the table's.
    pub fn of_fact(&self, fact: &str) -> &str {
        let covers = |name: &str| fact.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        let table = self.table.iter().copied();
        let all = table.chain(self.noted.iter().map(|(name, origin)| (name.as_str(), origin.as_str())));
        all.filter(|(name, _)| covers(name)).max_by_key(|(name, _)| name.len()).map_or(UNTOLD, |(_, origin)| origin)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_nearest_name_tells_and_a_name_is_no_prefix_of_another_word() {
        let of = |kind: &str, fact: &str| Origins::of(kind, &mut Value::Null).of_fact(fact).to_owned();
        assert_eq!(of("consul", "leader"), "its API");
        assert_eq!(of("netdata", "db.stored.0"), "the file system");
        assert_ne!(of("netdata", "db.limits.0"), "the file system");
        assert_eq!(of("consul", "leaders"), UNTOLD);
        assert_eq!(of("none", "leader"), UNTOLD);
    }

    #[test]
    fn what_the_probe_noted_counts_before_the_table_and_is_no_fact_itself() {
        let mut own = json!({"leader": "a", "from": {"leader": "a guess", "access.http": "its command line"}});
        let origins = Origins::of("consul", &mut own);
        assert_eq!(own, json!({"leader": "a"}));
        assert_eq!((origins.of_fact("leader"), origins.of_fact("access.http")), ("a guess", "its command line"));
        let mut own = json!({"path": "/x", "from": "flag"});
        Origins::of("consul", &mut own);
        assert_eq!(own["from"], "flag");
    }
}
