//! Whether an archive is of what was asked for: a tool of a node may give a sound archive of something else.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::formats::EntryName;

/// Why an archive is not of what was asked for; none when it is. `archive` begins its name in the snapshot, `wanted` are
/// the names below which everything in it must lie, and each must be there.
pub fn strange_roots(verified: &BTreeMap<String, Value>, archive: &str, wanted: &[&str]) -> Option<String> {
    let all = verified.get("roots").and_then(Value::as_object);
    let Some((_, found)) = all.into_iter().flatten().find(|(name, _)| name.starts_with(archive)) else {
        return Some(format!("nothing says what {archive} holds"));
    };
    let found: BTreeSet<&str> = found.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let shown: Vec<String> = wanted.iter().map(|name| EntryName::from(name.as_bytes()).to_string()).collect();
    let wanted: BTreeSet<&str> = shown.iter().map(String::as_str).collect();
    let list = |names: &BTreeSet<&str>| names.iter().copied().collect::<Vec<_>>().join(", ");
    (found != wanted).then(|| format!("{archive} holds {} and not {}", list(&found), list(&wanted)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_archive_is_of_what_was_asked_for_or_not() {
        let of = |roots: Value| BTreeMap::from([("roots".to_owned(), json!({"tree-0.tar.zst": roots}))]);
        assert_eq!(strange_roots(&of(json!(["app"])), "tree-0.tar", &["app"]), None);
        assert_eq!(strange_roots(&of(json!(["a\\nb"])), "tree-0.tar", &["a\nb"]), None);
        for (found, wanted) in [(json!(["etc"]), "app"), (json!(["app", "etc"]), "app"), (json!([]), "app")] {
            assert!(strange_roots(&of(found.clone()), "tree-0.tar", &[wanted]).is_some(), "{found}");
        }
        assert!(strange_roots(&of(json!(["app"])), "tree-1.tar", &["app"]).is_some());
        assert!(strange_roots(&BTreeMap::new(), "tree-0.tar", &["app"]).is_some());
    }
}
