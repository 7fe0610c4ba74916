//! Where in an archive samples and databases count.

use super::*;

const CACHE: &str = "var/cache/netdata";

/// Copies the fixture's files to another directory.
fn copy(files: &mut Files, to: &str, which: impl Fn(&str) -> bool) {
    let copies: Files = files
        .iter()
        .filter(|(name, _)| which(name))
        .map(|(name, bytes)| (name.replacen(CACHE, to, 1), bytes.clone()))
        .collect();
    files.extend(copies);
}

#[test]
fn databases_somebody_laid_elsewhere_are_files_like_any_other() {
    let is_meta = |name: &str| name.contains("netdata-meta.db");
    let whole = metrics(STOPPED).unwrap();
    for order in [false, true] {
        let archive = changed(|files| {
            copy(files, "var/cache/netdata/a/old", |name| is_meta(name) && !name.ends_with("-shm"));
            for (name, bytes) in files.iter_mut().filter(|(name, _)| name.contains("a/old")) {
                assert!(is_meta(name));
                bytes.truncate(100);
            }
            if order {
                files.reverse();
            }
        });
        let found = metrics(&archive).unwrap();
        assert_eq!(found.warnings, ["Databases where no known agent keeps one; they were only hashed: 2."], "{order}");
        for fact in ["databases", "host_guid", "dimensions", "tiers"] {
            assert_eq!(found.facts[fact], whole.facts[fact], "{fact}");
        }
        let page = look("netdata-metrics/1", "a.tar", &mut archive.as_slice(), 3, 2).unwrap();
        assert_eq!(page.rows[0][2], "iowait");
    }
    let below = changed(|files| {
        copy(files, "var/cache/netdata/old", is_meta);
        files.retain(|(name, _)| !is_meta(name) || name.contains("/old/"));
    });
    assert!(metrics(&below).unwrap_err().to_string().contains("\"netdata-meta.db\" is missing"));
    let beside = changed(|files| {
        for (name, _) in files.iter_mut().filter(|(name, _)| name.contains(".db")) {
            *name = name.replace(CACHE, "var/cache");
        }
    });
    assert!(metrics(&beside).unwrap_err().to_string().contains("\"netdata-meta.db\" is missing"));
}

#[test]
fn a_whole_cache_below_the_agents_own_does_not_stand_for_it() {
    let below = changed(|files| copy(files, "var/cache/netdata/old", |_| true));
    let found = metrics(&below).unwrap();
    assert_eq!(found.facts["tiers"].as_array().unwrap().len(), 6);
    assert_eq!(found.facts["dimensions"], json!(85));
    // The agent's own directory of samples is there, and empty.
    let mut members = vec![crate::formats::tar::tests::member("var/cache/netdata/dbengine/", b'5', b"", |_| {})];
    let moved = stopped().into_iter().map(|(name, bytes)| (name.replacen(CACHE, "var/cache/netdata/old", 1), bytes));
    members.extend(moved.map(|(name, bytes)| member(&name, b'0', &bytes, |_| {})));
    assert!(metrics(&archive(&members)).unwrap_err().to_string().contains("\"dbengine\" is missing"));
    assert!(metrics(&archive(&members[1..])).is_ok());
}

#[test]
fn two_agents_are_not_taken_for_one() {
    let two = changed(|files| copy(files, "opt/netdata/var/cache/netdata", |name| name.contains("dbengine")));
    assert!(metrics(&two).unwrap_err().to_string().contains("the archive mixes two agents"));
}

#[test]
fn no_agent_has_many_directories_of_samples() {
    let many = |count: usize| {
        changed(|files| {
            for number in 0..count {
                copy(files, &format!("var/cache/netdata/{number}"), |name| {
                    name.starts_with("var/cache/netdata/dbengine-tier2")
                });
            }
        })
    };
    assert_eq!(metrics(&many(13)).unwrap().facts["tiers"].as_array().unwrap().len(), 16);
    let error = metrics(&many(14)).unwrap_err();
    assert!(error.to_string().contains("more than 16 directories of samples"), "{error}");
    assert!(!error.leaves_the_rest_readable() && noted(&many(14)).is_err());
}
