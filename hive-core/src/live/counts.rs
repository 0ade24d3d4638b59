//! How many satellites there are, for those who may see the same ones.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use hive_wire::ui::SatelliteCounts;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::Result;
use crate::access::VisibleScope;
use crate::sync::lock;

/// How long counts are used again. Many clients see the same satellites, and counting ten thousand takes milliseconds.
const KEPT_FOR: Duration = Duration::from_secs(1);

/// The counts of the last second.
#[derive(Debug, Default)]
pub(super) struct CountCache(Mutex<Vec<CachedCounts>>);

#[derive(Debug)]
struct CachedCounts {
    scope: VisibleScope,
    at: Instant,
    /// The number of the last event before the counting began.
    seq: u64,
    counts: Arc<OnceCell<SatelliteCounts>>,
}

impl CountCache {
    /// Returns the counts of a scope, and the number of the last event that is in them for certain. `seq` is that of now. Of several
    /// callers one counts, and the others wait for it.
    pub(super) async fn get(
        &self,
        scope: &VisibleScope,
        seq: u64,
        count: impl Future<Output = Result<SatelliteCounts>>,
    ) -> Result<(SatelliteCounts, u64)> {
        let (cell, seq) = self.cell(scope, seq, Instant::now());
        Ok((*cell.get_or_try_init(|| count).await?, seq))
    }

    fn cell(&self, scope: &VisibleScope, seq: u64, now: Instant) -> (Arc<OnceCell<SatelliteCounts>>, u64) {
        let mut cached = lock(&self.0);
        // Old entries go with the next look, so that nothing has to sweep them.
        cached.retain(|cached| now < cached.at + KEPT_FOR);
        if let Some(known) = cached.iter().find(|cached| cached.scope == *scope) {
            // The number of that count and not of this call: what changed since is still to be reported.
            return (known.counts.clone(), known.seq);
        }
        let counts = Arc::default();
        // Put in before it is counted, so that others wait for this count instead of starting their own.
        cached.push(CachedCounts { scope: scope.clone(), at: now, seq, counts: Arc::clone(&counts) });
        (counts, seq)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_scope_is_counted_once_a_second() {
        let (cache, counted) = (CountCache::default(), AtomicU64::new(0));
        let get = async |scope: &VisibleScope, seq| {
            let count = async {
                let total = counted.fetch_add(1, Ordering::SeqCst) + 1;
                Ok(SatelliteCounts { total, online: 0 })
            };
            let (counts, seq) = cache.get(scope, seq, count).await.unwrap();
            (counts.total, seq)
        };
        assert_eq!(get(&VisibleScope::ALL, 7).await, (1, 7));
        assert_eq!(get(&VisibleScope::ALL, 9).await, (1, 7));
        assert_eq!(get(&VisibleScope::of_teams([]), 9).await, (2, 9));
        tokio::time::advance(KEPT_FOR).await;
        assert_eq!(get(&VisibleScope::ALL, 9).await, (3, 9));
    }
}
