//! Key files: writing, setting aside, restoring, damage.

use super::*;
use crate::clock;
use crate::identity::StoredKeys;
use hive_wire::id::Seed;
use hive_wire::{HiveId, SatelliteId};
use secrecy::ExposeSecret as _;
use std::os::unix::fs::PermissionsExt as _;

fn hive_id() -> HiveId {
    HiveId::new(Seed { unix_millis: 1, random: [2; 10] })
}

fn identity() -> AgentIdentity {
    AgentIdentity {
        satellite_id: SatelliteId::new(Seed { unix_millis: 1, random: [1; 10] }),
        satellite_name: "web-server-01".into(),
        hive_id: Some(hive_id()),
        keys: StoredKeys::with_candidate("hunter2".into(), clock::now()),
        registered_at: clock::now(),
        last_verified: None,
    }
}

fn usable(data: &DataDir) -> AgentIdentity {
    match data.identity().unwrap() {
        StoredIdentity::Usable(identity) => identity,
        other => panic!("{other:?}"),
    }
}

fn offer_order(identity: &AgentIdentity) -> Vec<String> {
    identity.keys.offer_order().iter().map(|key| key.expose_secret().to_owned()).collect()
}

#[test]
fn an_identity_is_kept_privately() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::open(&dir.path().join("deep/down")).unwrap();
    assert!(matches!(data.identity().unwrap(), StoredIdentity::Unregistered));
    let mut identity = identity();
    data.keep(&identity).unwrap();
    assert_eq!(offer_order(&usable(&data)), ["hunter2"]);
    identity.keys.accept(&"hunter2".into(), clock::now());
    identity.keys.add_candidate("hunter3".into(), clock::now());
    data.keep(&identity).unwrap();
    let stored = usable(&data);
    assert_eq!(offer_order(&stored), ["hunter3", "hunter2"]);
    assert!(stored.is_same(&identity) && stored.keys.accepted().len() == 1);
    assert_eq!(fs::metadata(data.key_path()).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!format!("{stored:?}").contains("hunter"));
}

#[test]
fn the_file_holds_the_accepted_keys_newest_first() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::open(dir.path()).unwrap();
    let mut identity = identity();
    for key in ["hunter2", "hunter3"] {
        identity.keys.accept(&key.into(), clock::now());
    }
    data.keep(&identity).unwrap();
    let file: serde_json::Value = serde_json::from_slice(&fs::read(data.key_path()).unwrap()).unwrap();
    assert_eq!(file["api_key"], "hunter3");
    assert_eq!(file["hive_id"], hive_id().to_string());
    let keys: Vec<_> = file["keys"].as_array().unwrap().iter().map(|key| key["api_key"].as_str().unwrap()).collect();
    assert_eq!(keys, ["hunter3", "hunter2"]);
    assert!(file.get("candidate").is_none());
}

#[test]
fn a_rejected_file_is_set_aside_and_put_back() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::open(dir.path()).unwrap();
    data.keep(&identity()).unwrap();
    let aside = data.set_aside(&identity()).unwrap();
    assert_eq!(aside, dir.path().join("backend.key.rejected.json"));
    assert!(!data.key_path().exists());
    let StoredIdentity::Rejected(rejected) = data.identity().unwrap() else { panic!("the keys are gone") };
    assert_eq!(offer_order(&rejected), ["hunter2"]);
    data.put_back(&rejected).unwrap();
    assert_eq!(offer_order(&usable(&data)), ["hunter2"]);
    assert!(!aside.exists());
}

#[test]
fn an_earlier_rejected_file_is_never_lost() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::open(dir.path()).unwrap();
    let set_aside = |identity: &AgentIdentity| {
        data.keep(identity).unwrap();
        data.set_aside(identity).unwrap();
    };
    let keys_in = |name: &str| read(&dir.path().join(name)).unwrap().map(|identity| offer_order(&identity));
    let mut later = identity();
    set_aside(&later);
    later.keys.accept(&"hunter3".into(), clock::now());
    set_aside(&later);
    assert_eq!(keys_in("backend.key.rejected.json").unwrap().len(), 2, "it contains the earlier key too");
    assert!(keys_in("backend.key.rejected.2.json").is_none());
    let other = AgentIdentity { hive_id: None, ..identity() };
    set_aside(&other);
    fs::write(data.rejected_path(), "garbage").unwrap();
    set_aside(&other);
    assert_eq!(keys_in("backend.key.rejected.json").unwrap(), ["hunter2"]);
    assert_eq!(keys_in("backend.key.rejected.2.json").unwrap().len(), 2);
    assert_eq!(fs::read_to_string(dir.path().join("backend.key.rejected.3.json")).unwrap(), "garbage");
}

#[test]
fn a_rejected_file_that_cannot_be_read_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::open(dir.path()).unwrap();
    fs::write(data.rejected_path(), "garbage").unwrap();
    assert!(matches!(data.identity().unwrap(), StoredIdentity::Unregistered));
    assert!(data.rejected_path().exists());
}

#[test]
fn two_agents_do_not_share_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    let first = DataDir::open(dir.path()).unwrap();
    assert!(matches!(DataDir::open(dir.path()), Err(Error::DataDirInUse(_))));
    drop(first);
    DataDir::open(dir.path()).unwrap();
}

#[test]
fn a_lock_that_outlives_its_process_for_a_moment_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let held = DataDir::open(dir.path()).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            std::thread::sleep(LOCK_INTERVAL * 3);
            drop(held);
        });
        DataDir::open(dir.path()).unwrap();
    });
}

#[test]
fn a_directory_that_cannot_be_written_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(matches!(DataDir::open(&file.join("data")), Err(Error::DataDir { .. })));
    assert!(matches!(DataDir::open(Path::new("/proc/hive")), Err(Error::DataDir { .. })));
}

#[test]
fn a_broken_key_file_is_kept_and_told_without_its_content() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::open(dir.path()).unwrap();
    fs::write(data.key_path(), r#"{"api_key":"hunter2","satellite_id":"hunter2"}"#).unwrap();
    let error = data.identity().unwrap_err();
    assert!(!error_chain(&error).contains("hunter2"));
    assert!(data.key_path().exists());
}

#[test]
fn a_key_that_was_changed_is_not_used() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::open(dir.path()).unwrap();
    data.keep(&identity()).unwrap();
    let content = fs::read_to_string(data.key_path()).unwrap();
    for changed in ["hunter3", "iunter2"] {
        fs::write(data.key_path(), content.replace("hunter2", changed)).unwrap();
        assert!(matches!(data.identity(), Err(Error::StoredKey { .. })));
    }
    fs::write(data.key_path(), content.replace("\"hive_", "\"hive-")).unwrap();
    assert!(data.identity().is_err());
}

#[test]
fn a_file_of_an_older_agent_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::open(dir.path()).unwrap();
    let id = identity().satellite_id;
    // The checksum as such an agent wrote it.
    let old = |checksum: &str| {
        format!(
            r#"{{"api_key":"hunter2","satellite_id":"{id}","satellite_name":"web-server-01",
                "registered_at":"2026-02-05T05:42:00.123456Z","last_verified":null{checksum}}}"#
        )
    };
    let all = serde_json::json!(["hunter2", id, "web-server-01", "2026-02-05T05:42:00.123456Z", null]);
    let sum = crate::storage::checksum::Checksum::of(all.to_string().as_bytes());
    for text in [old(""), old(&format!(r#","checksum":"{sum}""#))] {
        fs::write(data.key_path(), text).unwrap();
        let stored = usable(&data);
        assert_eq!(offer_order(&stored), ["hunter2"]);
        assert!(stored.hive_id.is_none() && stored.keys.candidate().is_none());
        data.keep(&stored).unwrap();
        assert_eq!(offer_order(&usable(&data)), ["hunter2"]);
    }
}
