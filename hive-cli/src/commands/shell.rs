//! `hive shell` and `hive sessions attach`: a session on the user's own terminal.

use hive_core::wire::api::{Session, SessionCreate, Size};
use hive_core::wire::session::ViewMode;
use hive_core::wire::{SatelliteId, SessionId};
use hive_core::{Error, RemoteHive};

use crate::args::{ShellArgs, ViewArgs};
use crate::failure::{Failure, Result};
use crate::output::{self, Output};
use crate::shell::{AtEnd, Seat, ViewOutcome, notices, user_size};
use crate::{exit, find};

/// Opens a session and shows it. Gives its program's exit code.
pub(super) async fn run(hive: RemoteHive, output: Output, args: ShellArgs) -> Result<u8> {
    refuse_json(output)?;
    let mut seat = Seat::take()?;
    let (size, mode) = (user_size().unwrap_or_default(), args.view.mode());
    let opening = async {
        let satellite = find::satellite(&hive, &args.satellite).await?;
        Ok(hive.sessions().create(session_request(satellite.id, size, args)).await?)
    };
    let session = seat.before(opening).await?;
    let shown = show(hive, seat, &session, mode, AtEnd::End).await;
    // It was opened: whoever cannot see it now may want it later.
    shown.inspect_err(|_| output::note(&notices::come_back(session.id)))
}

/// Shows a session that is there.
pub(super) async fn attach(hive: RemoteHive, output: Output, id: SessionId, view: &ViewArgs) -> Result<u8> {
    refuse_json(output)?;
    let mut seat = Seat::take()?;
    let finding = async { Ok(hive.sessions().get(id).await?.ok_or_else(|| Error::SessionNotFound(id.to_string()))?) };
    let session = seat.before(finding).await?;
    if let Some(end) = &session.end {
        let sentence = notices::ended(session.satellite_name.as_str(), end);
        output::note(&sentence.unwrap_or_else(|| format!("{id} has ended")));
        return Ok(exit::of_session(end));
    }
    show(hive, seat, &session, view.mode(), AtEnd::Stay).await
}

async fn show(hive: RemoteHive, seat: Seat, session: &Session, mode: ViewMode, at_end: AtEnd) -> Result<u8> {
    Ok(match seat.show(hive.sessions(), session.id, mode, at_end).await? {
        ViewOutcome::Ended(end) => exit::of_session(&end),
        ViewOutcome::Detached => 0,
        ViewOutcome::Signal(number) => exit::of_signal(number),
        ViewOutcome::Refused(_) => exit::LOST,
    })
}

fn session_request(satellite_id: SatelliteId, size: Size, args: ShellArgs) -> SessionCreate {
    let Size { cols, rows } = size;
    // As ssh does: programs there draw for the terminal here.
    let kind = std::env::var("TERM").ok().filter(|kind| !kind.is_empty()).map(|kind| ("TERM".to_owned(), kind));
    let given = args.env.into_iter().map(|variable| (variable.name, variable.value));
    SessionCreate { satellite_id, cols, rows, shell: args.shell, env: kind.into_iter().chain(given).collect() }
}

fn refuse_json(output: Output) -> Result<()> {
    if output.is_json() { Err(Failure::usage("a terminal is no JSON document: leave -o json out")) } else { Ok(()) }
}
