//! What is left of commands that were ended by force and did not end: their processes are named as a problem of the
//! agent until they end, and a main process is reaped when it does.

use tokio_util::task::TaskTracker;
use tracing::warn;

use super::child::ChildProcess;
use crate::process_tree::{SurvivorList, Survivors};

/// Commands whose end was reported while some of their processes still ran.
#[derive(Debug, Default)]
pub(crate) struct UnkilledCommands {
    survivors: SurvivorList,
    tasks: TaskTracker,
}

impl UnkilledCommands {
    /// Adds what is left of one command.
    pub(super) fn add(&self, survivors: &Survivors, mut main: ChildProcess) {
        if let Some(message) = survivors.message() {
            warn!("a command was ended by force: {message}");
        }
        self.survivors.add(survivors);
        // Ends with the process or with the runtime. Each of them holds a process, so their number is bounded by the
        // system's.
        self.tasks.spawn(async move { drop(main.wait().await) });
    }

    /// Which processes still run, as a sentence for people.
    pub(crate) fn problem(&self) -> Option<String> {
        self.survivors.problem("processes of ended commands")
    }
}
