//! The identity of the hive.

use futures_util::future::join_all;
use hive_store::HiveRow;
use hive_wire::HiveId;

use crate::CALLERS;
use crate::fixture::Fixture;

pub(crate) async fn a_store_belongs_to_one_hive(on: &Fixture) {
    let wanted = |number: usize| HiveRow {
        id: HiveId::new(on.seed()),
        created_at: on.now(),
        keys: [("vault.json".to_owned(), format!("{number}"))].into(),
    };
    let made = join_all((0..CALLERS).map(|number| on.store.hive_create(wanted(number)))).await;
    let made: Vec<HiveRow> = made.into_iter().map(Result::unwrap).collect();
    assert!(made.iter().all(|hive| *hive == made[0]));
    assert_eq!(on.store.hive_get().await.unwrap().as_ref(), Some(&made[0]));
}
