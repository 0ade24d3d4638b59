//! `hive sessions`: terminals that are open, and how to come back to them.

use hive_core::RemoteHive;
use hive_core::wire::SessionId;
use hive_core::wire::agent::ErrorBody;
use hive_core::wire::api::{Session, SessionFilter, SessionStatus};
use serde::Serialize;

use super::shell;
use crate::args::SessionsCommand;
use crate::failure::{Failure, Result};
use crate::find;
use crate::output::{self, Output};
use crate::table::Table;
use hive_core::HiveApi;

/// Gives the exit code: a session's own, 1 where one could not be ended.
pub(super) async fn run(hive: RemoteHive, output: Output, command: SessionsCommand) -> Result<u8> {
    match command {
        SessionsCommand::List { satellite, ended } => list(&hive, output, satellite, ended).await.map(|()| 0),
        SessionsCommand::Attach { id, view } => shell::attach(hive, output, id, &view).await,
        SessionsCommand::Kill { ids } => kill(&hive, output, &ids).await,
    }
}

async fn list(api: &dyn HiveApi, output: Output, satellite: Option<String>, ended: bool) -> Result<()> {
    let satellite_id = match satellite {
        Some(word) => Some(find::satellite(api, &word).await?.id),
        None => None,
    };
    let sessions = api.sessions().list(SessionFilter { satellite_id, ended }).await?;
    let heading = ["ID", "SATELLITE", "STATUS", "BY", "SINCE", "VIEWERS", "SIZE"];
    output.show(&sessions, |sessions| Table::of(heading, sessions, row))
}

fn row(session: &Session) -> [String; 7] {
    [
        session.id.to_string(),
        session.satellite_name.to_string(),
        status(session),
        session.created_by.name.clone(),
        session.created_at.to_string(),
        session.viewers.to_string(),
        format!("{}x{}", session.size.cols, session.size.rows),
    ]
}

fn status(session: &Session) -> String {
    match (&session.status, &session.end, session.online) {
        (SessionStatus::Ended, Some(end), _) => {
            let code = end.exit_code.map(|code| format!(" {code}")).unwrap_or_default();
            format!("{}{code}", end.reason.as_str())
        }
        (SessionStatus::Ended, None, _) => "ended".into(),
        (SessionStatus::Starting, ..) => "starting".into(),
        (SessionStatus::Open, _, true) => "open".into(),
        (SessionStatus::Open, _, false) => "open, satellite offline".into(),
        (SessionStatus::Unknown(word), ..) => word.to_string(),
    }
}

/// What came of ending one session.
#[derive(Debug, Serialize)]
struct Kill {
    id: SessionId,
    ended: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorBody>,
}

async fn kill(api: &dyn HiveApi, output: Output, ids: &[SessionId]) -> Result<u8> {
    let mut kills = Vec::new();
    for &id in ids {
        let error = api.sessions().terminate(id).await.err();
        let error = error.map(|error| ErrorBody { code: error.code(), message: Failure::from(error).to_string() });
        kills.push(Kill { id, ended: error.is_none(), error });
    }
    if output.is_json() {
        output.json(&kills)?;
    } else {
        kills.iter().try_for_each(tell)?;
    }
    Ok(u8::from(kills.iter().any(|kill| !kill.ended)))
}

fn tell(Kill { id, error, .. }: &Kill) -> Result<()> {
    match error {
        None => output::text(&format!("{id} is ended")),
        Some(error) => {
            output::note(&error.message);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Place;
    use hive_core::wire::Timestamp;
    use hive_core::wire::api::{Actor, EndReason, SessionEnd, Size};
    use hive_core::wire::id::Seed;
    use hive_core::wire::{SatelliteId, SatelliteName};

    const SEED: Seed = Seed { unix_millis: 1, random: [0; 10] };

    fn session() -> Session {
        Session {
            id: SessionId::new(SEED),
            satellite_id: SatelliteId::new(SEED),
            satellite_name: SatelliteName::try_from("web-server-01").unwrap(),
            status: SessionStatus::Open,
            online: true,
            size: Size { cols: 120, rows: 40 },
            shell: None,
            created_by: Actor { kind: "user".into(), id: "usr_x".into(), name: "ann\u{1b}[2J".into(), ip: None },
            created_at: Timestamp::from_micros(0),
            ended_at: None,
            end: None,
            viewers: 2,
        }
    }

    fn ended(reason: EndReason, exit_code: Option<i32>) -> Session {
        let end = Some(SessionEnd { reason, exit_code, error: None });
        Session { status: SessionStatus::Ended, end, ..session() }
    }

    #[test]
    fn a_session_is_one_harmless_row() {
        let table = Table::of(["ID", "SATELLITE", "STATUS", "BY", "SINCE", "VIEWERS", "SIZE"], &[session()], row);
        let row = table.render(Place::default()).lines().nth(1).unwrap().to_owned();
        for cell in ["web-server-01", "open", "ann\\u{1b}[2J", "1970-01-01T00:00:00", "2", "120x40"] {
            assert!(row.contains(cell), "{cell:?} is not in {row:?}");
        }
    }

    #[test]
    fn a_status_says_how_it_ended() {
        let check = |session: Session, expected: &str| assert_eq!(status(&session), expected);
        check(session(), "open");
        check(Session { online: false, ..session() }, "open, satellite offline");
        check(ended(EndReason::Exited, Some(3)), "exited 3");
        check(ended(EndReason::Lost, None), "lost");
    }
}
