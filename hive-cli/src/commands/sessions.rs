//! `hive sessions`: lists, attaches to and ends sessions.

use hive_core::RemoteHive;
use hive_core::wire::SessionId;
use hive_core::wire::agent::ErrorBody;
use hive_core::wire::api::{Session, SessionFilter, SessionStatus};
use serde::Serialize;

use super::shell;
use crate::args::SessionsCommand;
use crate::error::{CliError, Result};
use crate::lookup;
use crate::output::{self, Printer};
use crate::table::TextTable;
use hive_core::HiveApi;

/// Returns the exit code: that of an attached session, or 1 where one could not be ended.
pub(super) async fn run(hive: RemoteHive, printer: Printer, command: SessionsCommand) -> Result<u8> {
    match command {
        SessionsCommand::List { satellite, ended } => list(&hive, printer, satellite, ended).await.map(|()| 0),
        SessionsCommand::Attach { id, view } => shell::attach(hive, printer, id, &view).await,
        SessionsCommand::Kill { ids } => kill(&hive, printer, &ids).await,
    }
}

async fn list(api: &dyn HiveApi, printer: Printer, satellite: Option<String>, ended: bool) -> Result<()> {
    let satellite_id = match satellite {
        Some(word) => Some(lookup::satellite(api, &word).await?.id),
        None => None,
    };
    let sessions = api.sessions().list(SessionFilter { satellite_id, ended }).await?;
    let heading = ["ID", "SATELLITE", "STATUS", "BY", "SINCE", "VIEWERS", "SIZE"];
    printer.show(&sessions, |sessions| TextTable::of(heading, sessions, row))
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

/// The result of ending one session.
#[derive(Debug, Serialize)]
struct KillResult {
    id: SessionId,
    ended: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorBody>,
}

async fn kill(api: &dyn HiveApi, printer: Printer, ids: &[SessionId]) -> Result<u8> {
    let mut kills = Vec::new();
    // One that cannot be ended does not keep the others open.
    for &id in ids {
        let error = api.sessions().terminate(id).await.err();
        let error = error.map(|error| ErrorBody { code: error.code(), message: CliError::from(error).to_string() });
        kills.push(KillResult { id, ended: error.is_none(), error });
    }
    if printer.is_json() {
        printer.json(&kills)?;
    } else {
        kills.iter().try_for_each(show_kill)?;
    }
    Ok(u8::from(kills.iter().any(|kill| !kill.ended)))
}

fn show_kill(KillResult { id, error, .. }: &KillResult) -> Result<()> {
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
    use crate::table::TableLayout;
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
        let table = TextTable::of(["ID", "SATELLITE", "STATUS", "BY", "SINCE", "VIEWERS", "SIZE"], &[session()], row);
        let row = table.render(TableLayout::default()).lines().nth(1).unwrap().to_owned();
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
