//! Which agent a database of names says it is of.

use super::*;

const OTHER: &str = "5b1c7a02-e579-11f1-9c1e-02fc00000002";

/// The fixture with hosts of these ids and distances in its database.
fn hosts(rows: &[(&str, i64)]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d");
    let db = Connection::open(&path).unwrap();
    db.execute_batch(
        "CREATE TABLE host(host_id BLOB PRIMARY KEY, hostname, hops); CREATE TABLE chart(chart_id, host_id, type, id);
         CREATE TABLE dimension(dim_id, chart_id, id, name);",
    )
    .unwrap();
    for (guid, hops) in rows {
        let id = crate::formats::text::unhex::<16>(guid.replace('-', "").as_bytes()).unwrap();
        db.execute("INSERT INTO host VALUES(?, 'h', ?)", (id.as_slice(), hops)).unwrap();
    }
    drop(db);
    let bytes = std::fs::read(path).unwrap();
    changed(|files| {
        *file(files, "netdata-meta.db") = bytes;
        files.retain(|(name, _)| !name.ends_with("netdata-meta.db-wal"));
    })
}

#[test]
fn every_guid_the_agent_had_is_told_and_none_is_a_warning() {
    let told = |rows: &[(&str, i64)]| {
        let found = metrics(&hosts(rows)).unwrap();
        let warnings = found.warnings.into_iter().filter(|text| !text.contains("have no name")).collect::<Vec<_>>();
        (found.facts["host_guid"].clone(), found.facts["host_guids"].clone(), warnings)
    };
    assert_eq!(told(&[(GUID, 0), (OTHER, 1)]), (json!(GUID), json!([GUID]), Vec::new()));
    let (one, all, warnings) = told(&[(GUID, 0), (OTHER, 0)]);
    assert_eq!((one, all.as_array().unwrap().len()), (json!(null), 2));
    assert!(all.as_array().unwrap().contains(&json!(GUID)) && all.as_array().unwrap().contains(&json!(OTHER)));
    assert!(warnings[0].contains("say they are the agent itself, as after a new GUID: 2."), "{warnings:?}");
    let (one, all, warnings) = told(&[(OTHER, 1)]);
    assert_eq!((one, all), (json!(null), json!([])));
    assert!(warnings[0].contains("whose the samples are was not checked"), "{warnings:?}");
}
