//! Telemetry in an SQL database: a database of its own with SQLite, further tables of the hive's database with PostgreSQL.
//!
//! A call writes many heartbeats by few statements. The rows of a call are split into rounds, in each of which a satellite comes
//! once, because a statement cannot change a row twice.

use std::collections::{BTreeMap, VecDeque};

use async_trait::async_trait;
use hive_wire::agent::Metrics;
use hive_wire::{SatelliteId, Timestamp};

use super::binding::Statement;
use super::filter::Filter;
use super::many_rows::{MAX_ROWS, ManyRowsStatement};
use super::writer::Transaction;
use super::{Row, SqlStore, Value, statements};
use crate::access::VisibleTeams;
use crate::{HeartbeatRow, StoreResult, TelemetryStore};

/// A telemetry store in an SQL database.
#[derive(Debug)]
pub struct SqlTelemetryStore {
    store: SqlStore,
    /// Gives free space back to the file system, where the database does not do that by itself.
    reclaim: Option<&'static str>,
}

impl SqlTelemetryStore {
    /// A store that reads and writes through the connections of another one, whose tables are those of telemetry.
    pub(crate) fn new(store: SqlStore, reclaim: Option<&'static str>) -> Self {
        Self { store, reclaim }
    }

    /// Returns the store whose connections it uses.
    #[cfg(all(test, feature = "sqlite"))]
    pub(in crate::sql) fn below(&self) -> &SqlStore {
        &self.store
    }

    /// Finishes the writes that are queued, and closes the database. Later calls fail with `Unavailable`.
    pub async fn close(&self) -> StoreResult<()> {
        self.store.close().await
    }
}

#[async_trait]
impl TelemetryStore for SqlTelemetryStore {
    async fn heartbeat_append(&self, heartbeats: Vec<HeartbeatRow>) -> StoreResult<()> {
        self.store
            .write(move |transaction| {
                Box::pin(async move {
                    for round in rounds(heartbeats) {
                        for chunk in round.chunks(MAX_ROWS) {
                            append(transaction, chunk).await?;
                        }
                    }
                    Ok(())
                })
            })
            .await
    }

    async fn heartbeat_latest(&self, satellite: SatelliteId) -> StoreResult<Option<HeartbeatRow>> {
        let row = self.store.fetch_optional(Statement::new(statements::PRESENCE_GET).text(satellite)).await?;
        row.as_ref().map(read_heartbeat).transpose()
    }

    async fn heartbeat_times(&self, satellites: &[SatelliteId]) -> StoreResult<Vec<(SatelliteId, Timestamp)>> {
        let mut times = Vec::with_capacity(satellites.len());
        for chunk in satellites.chunks(MAX_ROWS) {
            for row in self.store.fetch_rows(&statements::PRESENCE_TIMES, ids(chunk)).await? {
                times.push((row.parse("satellite_id")?, row.time("timestamp")?));
            }
        }
        Ok(times)
    }

    async fn heartbeat_list(
        &self,
        satellite: SatelliteId,
        visible: &VisibleTeams,
        before: Option<Timestamp>,
        limit: u32,
    ) -> StoreResult<Vec<HeartbeatRow>> {
        let mut filter = Filter::default();
        filter.and("h.satellite_id = ?", satellite.to_string()).of_visible_teams("h.team_id", visible);
        filter.and_raw(statements::HEARTBEAT_IS_KEPT);
        if let Some(before) = before {
            filter.and("h.timestamp < ?", before.as_micros());
        }
        let statement = filter.statement(statements::HEARTBEAT_LIST, " ORDER BY h.seq DESC LIMIT ?", &[limit.into()]);
        self.store.fetch_all(statement).await?.iter().map(read_heartbeat).collect()
    }

    async fn telemetry_delete(&self, satellites: Vec<SatelliteId>) -> StoreResult<()> {
        let reclaim = self.reclaim;
        self.store
            .write(move |transaction| {
                Box::pin(async move {
                    for chunk in satellites.chunks(MAX_ROWS) {
                        for delete in [&statements::PRESENCE_DELETE, &statements::HEARTBEAT_DELETE] {
                            execute(transaction, delete, ids(chunk)).await?;
                        }
                    }
                    if let Some(reclaim) = reclaim {
                        transaction.execute(Statement::new(reclaim)).await?;
                    }
                    Ok(())
                })
            })
            .await
    }
}

/// Splits heartbeats into rounds. In each round a satellite comes at most once, and satellites are in the order of their ids: two
/// servers that write the same satellites wait for each other, and never both at once.
fn rounds(heartbeats: Vec<HeartbeatRow>) -> Vec<Vec<HeartbeatRow>> {
    let mut of_satellite = BTreeMap::<SatelliteId, VecDeque<HeartbeatRow>>::new();
    for heartbeat in heartbeats {
        of_satellite.entry(heartbeat.satellite_id).or_default().push_back(heartbeat);
    }
    let mut rounds = Vec::new();
    while !of_satellite.is_empty() {
        rounds.push(of_satellite.values_mut().filter_map(VecDeque::pop_front).collect());
        of_satellite.retain(|_, rest| !rest.is_empty());
    }
    rounds
}

/// Stores one heartbeat of each of some satellites.
async fn append(transaction: &mut Transaction, heartbeats: &[HeartbeatRow]) -> StoreResult<()> {
    execute(transaction, &statements::PRESENCE_STORE, heartbeats.iter().map(presence).collect()).await?;
    let with_metrics = heartbeats.iter().filter(|heartbeat| heartbeat.metrics.is_some());
    let with_metrics: Vec<_> = with_metrics.map(|heartbeat| heartbeat.satellite_id).collect();
    if with_metrics.is_empty() {
        return Ok(());
    }
    // From the rows that were just stored. One that was not changed by an older heartbeat is in the history already.
    execute(transaction, &statements::HEARTBEAT_ADD, ids(&with_metrics)).await?;
    execute(transaction, &statements::HEARTBEAT_PRUNE, ids(&with_metrics)).await
}

async fn execute(
    transaction: &mut Transaction,
    statement: &'static ManyRowsStatement,
    rows: Vec<Vec<Value>>,
) -> StoreResult<()> {
    let is_numbered = transaction.dialect().numbers_many_rows;
    transaction.execute(statement.with_rows(rows, is_numbered)).await.map(drop)
}

/// The values of [`PRESENCE_STORE`](statements::PRESENCE_STORE).
fn presence(HeartbeatRow { satellite_id, team_id, at, metrics }: &HeartbeatRow) -> Vec<Value> {
    let values = Statement::values_only().text(satellite_id).text_opt(*team_id).bind(i64::from(metrics.is_some()));
    values.time(*at).json_opt(metrics.as_ref()).values
}

fn ids(satellites: &[SatelliteId]) -> Vec<Vec<Value>> {
    satellites.iter().map(|satellite| vec![satellite.to_string().into()]).collect()
}

fn read_heartbeat(row: &Row) -> StoreResult<HeartbeatRow> {
    Ok(HeartbeatRow {
        satellite_id: row.parse("satellite_id")?,
        team_id: row.parse_opt("team_id")?,
        at: row.time("timestamp")?,
        metrics: row.json_opt::<Metrics>("system_metrics")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use hive_wire::id::Seed;

    #[test]
    fn a_round_has_each_satellite_once_and_keeps_their_order() {
        let heartbeat = |satellite: u8, second: i64| HeartbeatRow {
            satellite_id: SatelliteId::new(Seed { unix_millis: 1, random: [satellite; 10] }),
            team_id: None,
            at: Timestamp::from_micros(second),
            metrics: None,
        };
        let [a1, a2, a3, b1, c1, c2] =
            [(1, 1), (1, 2), (1, 3), (2, 1), (3, 1), (3, 2)].map(|(id, at)| heartbeat(id, at));
        let mixed = [&c1, &a1, &a2, &b1, &c2, &a3].map(Clone::clone).to_vec();
        assert_eq!(rounds(mixed), [vec![a1, b1, c1], vec![a2, c2], vec![a3]]);
    }
}
