//! The binary `satellite-agent`: reads the settings, prints one line of JSON when the satellite is online, and logs to
//! standard error.

#![forbid(unsafe_code)]

mod settings;

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use hive_agent::messages::{cannot_announce, cannot_start, explain, log_level_ignored, token_is_visible};
use hive_agent::{Agent, AgentConfig, Error, Language, LinkState};
use hive_wire::escape;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::debug_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use settings::{AgentLogFormat, EnvVars, Flags};

/// How long threads that do not end by themselves may delay the exit.
const THREAD_GRACE: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    let flags = Flags::parse();
    let environment = EnvVars { variable: |name: &str| std::env::var(name).ok() };
    let language = environment.language();
    let level = flags.log_level.clone().or_else(|| environment.get("LOG_LEVEL"));
    // Before the settings are checked, so that every warning about them has the chosen format.
    start_logs(flags.log_format, level.as_deref(), language);
    if flags.shows_token() {
        tracing::warn!("{}", token_is_visible(language));
    }
    match flags.into_config(&environment).map_err(ExitCause::Agent).and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(ExitCause::Agent(error)) => {
            print_error(&explain(&error, language));
            ExitCode::from(error.exit_code())
        }
        Err(ExitCause::Start(error)) => {
            print_error(&cannot_start(&error, language));
            ExitCode::FAILURE
        }
        Err(ExitCause::Output(error)) => {
            print_error(&cannot_announce(&error, language));
            ExitCode::FAILURE
        }
    }
}

/// Why the process exits without a signal.
enum ExitCause {
    Agent(Error),
    /// The system gives no runtime or no signals.
    Start(io::Error),
    /// Standard output is closed.
    Output(io::Error),
}

/// A single thread is enough for an agent, and saves a wake-up between a message and a process.
fn run(config: AgentConfig) -> Result<(), ExitCause> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ExitCause::Start)?;
    let ended = runtime.block_on(serve(config));
    // A blocking thread may hang on a dead file system, which must not prevent the exit.
    runtime.shutdown_timeout(THREAD_GRACE);
    ended
}

async fn serve(config: AgentConfig) -> Result<(), ExitCause> {
    let shutdown = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate()).map_err(ExitCause::Start)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ExitCause::Start)?;
    let signalled = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        shutdown.cancel();
        // The other branch ends the process; this one only requests it.
        std::future::pending::<()>().await;
    };
    tokio::select! {
        ended = run_until(&shutdown, config) => ended,
        () = signalled => Ok(()),
    }
}

async fn run_until(shutdown: &CancellationToken, config: AgentConfig) -> Result<(), ExitCause> {
    let agent = tokio::select! {
        connected = Agent::connect(config) => connected.map_err(ExitCause::Agent)?,
        () = shutdown.cancelled() => return Ok(()),
    };
    let announcement = announce(agent.link_state(), agent.name().to_owned(), agent.local_api());
    let (ended, announced) = tokio::join!(agent.run(shutdown.clone()), announcement);
    ended.map_err(ExitCause::Agent)?;
    announced.map_err(ExitCause::Output)
}

/// Prints the line that says that the satellite is online. Returns without it if the agent ends first.
async fn announce(
    mut link: watch::Receiver<LinkState>,
    name: String,
    local_api: Option<std::net::SocketAddr>,
) -> io::Result<()> {
    let state = link.wait_for(|state| matches!(state, LinkState::Online { .. })).await;
    let Ok(LinkState::Online { satellite_id, .. }) = state.as_deref() else {
        return Ok(());
    };
    let local_api = local_api.map(|address| format!("http://{address}"));
    let line = json!({ "event": "online", "satellite_id": satellite_id, "name": name, "local_api": local_api });
    let mut out = io::stdout().lock();
    // Flushed at once: whoever started the agent waits for this line on a pipe.
    writeln!(out, "{}", escape::json(&line.to_string()))?;
    out.flush()
}

fn start_logs(format: AgentLogFormat, level: Option<&str>, language: Language) {
    let parts = level.unwrap_or("info").split(',');
    // The library would print its own words about a part that it does not know.
    let (known, unknown): (Vec<_>, Vec<_>) = parts.partition(|part| part.is_empty() || part.parse::<Targets>().is_ok());
    for part in unknown {
        print_error(&log_level_ignored(part, language));
    }
    let filter = known.join(",").parse::<Targets>().expect("each part was parsed before");
    let logs = tracing_subscriber::registry().with(filter);
    let lines = tracing_subscriber::fmt::layer();
    match format {
        AgentLogFormat::Text => {
            let fields = debug_fn(|to, field, value| {
                let is_styled = to.has_ansi_escapes();
                escape::log_field(to, field.name(), value, is_styled)
            });
            let lines = lines.with_ansi(io::stderr().is_terminal()).with_writer(io::stderr);
            logs.with(lines.fmt_fields(fields.delimited(" "))).init();
        }
        AgentLogFormat::Json => logs.with(lines.with_writer(|| escape::JsonLines(io::stderr())).json()).init(),
    }
}

fn print_error(text: &str) {
    // If standard error is closed, there is nowhere to report it.
    drop(writeln!(io::stderr(), "{}", escape::text_but(text, |c| c == '\n')));
}
