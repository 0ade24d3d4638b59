//! Statements for telemetry.

use crate::sql::many_rows::ManyRowsStatement;
use crate::telemetry::{MAX_GLOBAL_HEARTBEATS, MAX_TEAM_HEARTBEATS};

// SQL is put together from literals, so that the numbers are repeated here.
macro_rules! max_heartbeats {
    () => {
        "CASE WHEN p.team_id IS NULL THEN 1000 ELSE 500 END"
    };
}

const _: () = assert!(MAX_GLOBAL_HEARTBEATS == 1000 && MAX_TEAM_HEARTBEATS == 500);

/// Stores the last heartbeats of satellites, each of which comes once. `seq` is 1 with metrics and 0 without. An older heartbeat
/// changes nothing.
pub(in crate::sql) static PRESENCE_STORE: ManyRowsStatement = ManyRowsStatement::new(
    "satellite, team, seq, at, metrics",
    "INSERT INTO satellite_presence (satellite_id, team_id, seq, timestamp, system_metrics) \
     SELECT v.satellite, v.team, v.seq, v.at, v.metrics FROM v WHERE v.satellite IS NOT NULL \
     ON CONFLICT (satellite_id) DO UPDATE SET team_id = excluded.team_id, seq = satellite_presence.seq + excluded.seq, \
     timestamp = excluded.timestamp, system_metrics = COALESCE(excluded.system_metrics, satellite_presence.system_metrics) \
     WHERE satellite_presence.timestamp < excluded.timestamp",
);
pub(in crate::sql) const PRESENCE_GET: &str =
    "SELECT satellite_id, team_id, timestamp, system_metrics FROM satellite_presence WHERE satellite_id = $1";
pub(in crate::sql) static PRESENCE_TIMES: ManyRowsStatement = ManyRowsStatement::new(
    "satellite",
    "SELECT p.satellite_id, p.timestamp FROM v JOIN satellite_presence p ON p.satellite_id = v.satellite",
);
pub(in crate::sql) static PRESENCE_DELETE: ManyRowsStatement = ManyRowsStatement::new(
    "satellite",
    "DELETE FROM satellite_presence WHERE satellite_id IN (SELECT v.satellite FROM v WHERE v.satellite IS NOT NULL)",
);

/// Adds the last heartbeats of satellites to their histories, if they are not there.
pub(in crate::sql) static HEARTBEAT_ADD: ManyRowsStatement = ManyRowsStatement::new(
    "satellite",
    "INSERT INTO satellite_heartbeats (satellite_id, seq, team_id, timestamp, system_metrics) \
     SELECT p.satellite_id, p.seq, p.team_id, p.timestamp, p.system_metrics \
     FROM v JOIN satellite_presence p ON p.satellite_id = v.satellite WHERE p.system_metrics IS NOT NULL \
     ON CONFLICT (satellite_id, seq) DO NOTHING",
);
pub(in crate::sql) const HEARTBEAT_LIST: &str = "SELECT h.satellite_id, h.team_id, h.timestamp, h.system_metrics \
     FROM satellite_heartbeats h JOIN satellite_presence p ON p.satellite_id = h.satellite_id";
pub(in crate::sql) const HEARTBEAT_IS_KEPT: &str = concat!("h.seq > p.seq - ", max_heartbeats!());
/// Deletes what is beyond the number of heartbeats that are kept. All rows of a history are read, so that it is done with every
/// 50th heartbeat of a satellite.
pub(in crate::sql) static HEARTBEAT_PRUNE: ManyRowsStatement = ManyRowsStatement::new(
    "satellite",
    concat!(
        "DELETE FROM satellite_heartbeats WHERE satellite_id IN (SELECT p.satellite_id \
         FROM v JOIN satellite_presence p ON p.satellite_id = v.satellite WHERE p.seq % 50 = 0) AND seq <= (SELECT p.seq - ",
        max_heartbeats!(),
        " FROM satellite_presence p WHERE p.satellite_id = satellite_heartbeats.satellite_id)"
    ),
);
pub(in crate::sql) static HEARTBEAT_DELETE: ManyRowsStatement = ManyRowsStatement::new(
    "satellite",
    "DELETE FROM satellite_heartbeats WHERE satellite_id IN (SELECT v.satellite FROM v WHERE v.satellite IS NOT NULL)",
);
