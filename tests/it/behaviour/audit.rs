//! The audit log.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use hive_core::audit::verify_export;
use hive_core::wire::api::{AuditExportLine, AuditQuery, AuditResult, AuditTarget, PageRequest};
use serde_json::json;

use super::{BehaviourWorld, claims};

claims!(a_record_of_ones_own_is_found_again, records_are_found_by_what_they_say, an_export_is_whole_and_proves_it,);

fn target(id: &str) -> AuditTarget {
    AuditTarget { kind: "ticket".into(), id: id.into() }
}

async fn a_record_of_ones_own_is_found_again(world: BehaviourWorld) {
    let details =
        json!({ "text": "ä\u{0}\u{202e}\n\"", "number": u64::MAX, "nested": [null, 1.5, { "b": {}, "a": [] }] });
    let made = world.api().audit().log("deploy.done".into(), target("4711"), details.clone()).await.unwrap();
    assert_eq!((made.action.as_str(), made.result.clone()), ("audit.note", AuditResult::Success));
    assert_eq!(made.details["action"], "deploy.done");
    assert_eq!(made.details["target"]["id"], "4711");
    assert_eq!(made.details["details"], details);
    assert_eq!(made.actor.name, "admin");
    assert_eq!(world.api().audit().get(made.id).await.unwrap(), Some(made));
    world.end().await;
}

async fn records_are_found_by_what_they_say(world: BehaviourWorld) {
    let api = world.api();
    for number in 0..5 {
        api.audit().log(format!("note.{number}"), target("x"), json!(null)).await.unwrap();
    }
    let query = || AuditQuery { action: Some("audit.note".into()), ..AuditQuery::default() };
    let page = async |page| api.audit().query(query(), PageRequest::numbered(page, 2)).await.unwrap();
    let pages = [page(1).await, page(2).await, page(3).await];
    assert_eq!((pages[0].total, pages[2].items.len()), (5, 1));
    let notes: Vec<_> =
        pages.iter().flat_map(|page| &page.items).map(|entry| entry.details["action"].clone()).collect();
    assert_eq!(notes, ["note.4", "note.3", "note.2", "note.1", "note.0"]);
    let middle = pages[1].items[0].timestamp;
    let count = async |query: AuditQuery| api.audit().query(query, PageRequest::default()).await.unwrap().total;
    let (since, until) =
        (count(AuditQuery { since: Some(middle), ..query() }), count(AuditQuery { until: Some(middle), ..query() }));
    // The record of that time is in one of the parts, or in both.
    assert!((5..=6).contains(&(since.await + until.await)));
    assert_eq!(count(AuditQuery { actor: Some("nobody & co=?".into()), ..query() }).await, 0);
    world.end().await;
}

/// Writes more records than a batch of the store has, and than a stream holds.
pub(super) async fn write_many(world: &BehaviourWorld) {
    let system = world.hive.as_system();
    let log = system.audit();
    join_all((0..1200).map(|number| log.log("note".into(), target("x"), json!(number)))).await;
}

async fn an_export_is_whole_and_proves_it(world: BehaviourWorld) {
    let api = world.api();
    write_many(&world).await;
    let mut export = api.audit().export().await.unwrap();
    let (mut file, mut seqs, mut last) = (Vec::new(), BTreeSet::new(), None);
    while let Some(line) = export.next().await {
        if let AuditExportLine::Record { seq, .. } = &line {
            seqs.insert(*seq);
        }
        serde_json::to_writer(&mut file, &line).unwrap();
        file.push(b'\n');
        last = Some(line);
    }
    assert!(matches!(last, Some(AuditExportLine::Manifest { .. })), "{last:?}");
    assert_eq!(seqs.len() as u64, *seqs.last().unwrap(), "no gap");
    let found = verify_export(&*file, None).unwrap();
    assert!(found.valid && found.records == seqs.len() as u64, "{found:?}");
    let stored = api.audit().verify().await.unwrap();
    assert!(stored.valid && stored.records >= found.records, "{stored:?}");
    drop(api.audit().export().await.unwrap());
    let unread = api.audit().export().await.unwrap();
    world.end().await;
    drop(unread);
}
