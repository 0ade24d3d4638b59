//! `hive shell` and `hive sessions attach`: show a session on the user's terminal.

use hive_core::wire::api::{Session, SessionCreate, Size};
use hive_core::wire::session::ViewMode;
use hive_core::wire::{SatelliteId, SessionId};
use hive_core::{Error, RemoteHive};

use crate::args::{ShellArgs, ViewArgs};
use crate::error::{CliError, Result};
use crate::output::{self, Printer};
use crate::shell::{OnInputEnd, SessionViewer, ViewOutcome, notices, user_size};
use crate::{exit, lookup};

/// Opens a session and shows it. Returns its program's exit code.
pub(super) async fn run(hive: RemoteHive, printer: Printer, args: ShellArgs) -> Result<u8> {
    refuse_json(printer)?;
    let mut viewer = SessionViewer::new()?;
    // Created with the size of the terminal here: a program draws its first screen for it.
    let (size, mode) = (user_size().unwrap_or_default(), args.view.mode());
    let opening = async {
        let satellite = lookup::satellite(&hive, &args.satellite).await?;
        Ok(hive.sessions().create(session_request(satellite.id, size, args)).await?)
    };
    let session = viewer.run_unless_signalled(opening).await?;
    let result = show(hive, viewer, &session, mode, OnInputEnd::EndSession).await;
    // The session exists even where it cannot be shown: its id is the only way to it.
    result.inspect_err(|_| output::note(&notices::reattach(session.id)))
}

/// Shows an existing session.
pub(super) async fn attach(hive: RemoteHive, printer: Printer, id: SessionId, view: &ViewArgs) -> Result<u8> {
    refuse_json(printer)?;
    let mut viewer = SessionViewer::new()?;
    let finding = async { Ok(hive.sessions().get(id).await?.ok_or_else(|| Error::SessionNotFound(id.to_string()))?) };
    let session = viewer.run_unless_signalled(finding).await?;
    if let Some(end) = &session.end {
        let sentence = notices::session_ended(session.satellite_name.as_str(), end);
        output::note(&sentence.unwrap_or_else(|| format!("{id} has ended")));
        return Ok(exit::of_session(end));
    }
    show(hive, viewer, &session, view.mode(), OnInputEnd::KeepViewing).await
}

async fn show(
    hive: RemoteHive,
    viewer: SessionViewer,
    session: &Session,
    mode: ViewMode,
    on_input_end: OnInputEnd,
) -> Result<u8> {
    Ok(match viewer.show(hive.sessions(), session.id, mode, on_input_end).await? {
        ViewOutcome::Ended(end) => exit::of_session(&end),
        ViewOutcome::Detached => 0,
        ViewOutcome::Signal(number) => exit::of_signal(number),
        ViewOutcome::Refused(_) => exit::SESSION_LOST,
    })
}

fn session_request(satellite_id: SatelliteId, size: Size, args: ShellArgs) -> SessionCreate {
    let Size { cols, rows } = size;
    // As ssh does: programs on the satellite need the type of the terminal here.
    let term = std::env::var("TERM").ok().filter(|term| !term.is_empty()).map(|term| ("TERM".to_owned(), term));
    let variables = args.env.into_iter().map(|variable| (variable.name, variable.value));
    SessionCreate { satellite_id, cols, rows, shell: args.shell, env: term.into_iter().chain(variables).collect() }
}

fn refuse_json(printer: Printer) -> Result<()> {
    if printer.is_json() {
        Err(CliError::usage("a terminal session has no JSON output: leave out -o json"))
    } else {
        Ok(())
    }
}
