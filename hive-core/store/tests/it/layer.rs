use std::sync::Arc;

use hive_store::{Store, StoreLayer, sqlite};
use hive_store_conformance::check_all;

struct Nothing(Arc<dyn Store>);

impl StoreLayer for Nothing {
    fn below(&self) -> &dyn Store {
        self.0.as_ref()
    }
}

#[tokio::test]
async fn a_layer_that_changes_nothing_keeps_every_promise() {
    let below: Arc<dyn Store> = Arc::new(sqlite::in_memory().await.unwrap());
    Box::pin(check_all(Arc::new(Nothing(below)))).await;
}
