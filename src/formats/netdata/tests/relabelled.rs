//! Samples that become those of another agent.

use super::super::Relabel;
use super::*;
use std::io::Read;

const OTHER: &str = "5b1c7a02-e579-11f1-9c1e-02fc00000002";

/// The fixture's databases on their way from one GUID to another, after a change to the database of names.
fn begin(from: &str, to: &str, change: &str) -> Relabel {
    let mut relabel = Relabel::new(from, to).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d");
    for (name, bytes) in stopped() {
        if name.ends_with("/netdata-meta.db") {
            std::fs::write(&path, bytes).unwrap();
        } else if name.ends_with("/netdata-meta.db-wal") {
            std::fs::write(folder.path().join("d-wal"), bytes).unwrap();
        } else if name.ends_with("/context-meta.db") {
            relabel.store("context-meta.db", &mut bytes.as_slice()).unwrap();
        } else if name.ends_with("/context-meta.db-wal") {
            relabel.store("context-meta.db-wal", &mut bytes.as_slice()).unwrap();
        }
    }
    if !change.is_empty() {
        Connection::open(&path).unwrap().execute_batch(change).unwrap();
    }
    relabel.store("netdata-meta.db", &mut std::fs::File::open(&path).unwrap()).unwrap();
    if let Ok(mut log) = std::fs::File::open(folder.path().join("d-wal")) {
        relabel.store("netdata-meta.db-wal", &mut log).unwrap();
    }
    relabel
}

fn bytes(mut file: std::fs::File) -> Vec<u8> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn every_chart_changes_owners_and_nothing_of_who_the_agent_was_comes_along() {
    let mut relabel = begin(GUID, OTHER, "");
    let (new, charts) = relabel.names().unwrap();
    let (names, contexts) = (bytes(new), bytes(relabel.contexts().unwrap()));
    assert_eq!(charts, 29);
    let found = metrics(&changed(|files| {
        file(files, "/netdata-meta.db").clone_from(&names);
        file(files, "/context-meta.db").clone_from(&contexts);
        files.retain(|(name, _)| !name.ends_with(".db-wal") && !name.ends_with(".db-shm"));
    }))
    .unwrap();
    // The agent that gets them enters itself at its start.
    assert_eq!((&found.facts["hosts"], &found.facts["host_guids"]), (&json!(0), &json!([])));
    let same = ["charts", "dimensions", "nameless_metrics", "tiers", "points"];
    let whole = metrics(STOPPED).unwrap();
    for fact in same {
        assert_eq!(found.facts[fact], whole.facts[fact], "{fact}");
    }
    assert_eq!(found.facts["databases"]["netdata-meta.db"]["layout"], json!(7));

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d");
    std::fs::write(&path, names).unwrap();
    let db = Connection::open(&path).unwrap();
    let left = |table: &str, guid: &str| -> i64 {
        let guid = guid.replace('-', "").to_uppercase();
        let counted = format!("SELECT count(*) FROM {table} WHERE hex(host_id) = ?1");
        db.query_row(&counted, [guid], |row| row.get(0)).unwrap()
    };
    for table in ["host", "host_label", "node_instance", "chart"] {
        assert_eq!(left(table, GUID), 0, "{table}");
    }
    assert_eq!((left("chart", OTHER), left("host", OTHER)), (29, 0));
}

#[test]
fn names_that_cannot_change_owners_whole_are_refused() {
    let refused = |from: &str, to: &str, change: &str| begin(from, to, change).names().unwrap_err().to_string();
    let both = "INSERT INTO chart(chart_id, host_id) VALUES(x'01', x'5b1c7a02e57911f19c1e02fc00000002')";
    assert!(refused(GUID, OTHER, both).contains("29 charts of the agent that was saved and 1 of the one"));
    assert!(refused(OTHER, GUID, "").contains("has 0 charts of the agent that was saved and 29"));
    assert!(refused(GUID, OTHER, "ALTER TABLE chart RENAME TO charts").contains("not as any known version"));
    assert!(Relabel::new(GUID, "nobody").is_none());
    // What the file would have SQLite do by itself is not done.
    let trap = "CREATE TRIGGER trap AFTER UPDATE ON chart BEGIN DELETE FROM chart; END";
    assert_eq!(begin(GUID, OTHER, trap).names().unwrap().1, 29);
    let mut relabel = begin(GUID, OTHER, trap);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d");
    std::fs::write(&path, bytes(relabel.names().unwrap().0)).unwrap();
    let all = Connection::open(&path).unwrap().query_row("SELECT count(*) FROM chart", [], |row| row.get::<_, i64>(0));
    assert_eq!(all.unwrap(), 29);
}
