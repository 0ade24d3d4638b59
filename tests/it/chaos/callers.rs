//! Callers who give commands while everything breaks, and remember what they were told.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use hive_testkit::{Answer, Rest};
use serde_json::json;
use tokio::time::Instant;

use super::ledger::{OPEN, Told, Work};
use crate::support::{Dice, text};

/// How long a caller with an `Idempotency-Key` goes on asking: everything is in order again long before.
const PATIENCE: Duration = Duration::from_mins(1);
/// One in so many commands never ends by itself.
const ENDLESS: u64 = 24;

/// Where one satellite's commands go, and where they write their numbers.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) path: String,
    pub(crate) file: PathBuf,
}

/// A command that was given.
#[derive(Debug)]
pub(crate) struct Given {
    pub(crate) number: u32,
    pub(crate) target: usize,
    pub(crate) work: Work,
    pub(crate) told: Told,
    /// Every answer there was, for whoever looks for the cause.
    pub(crate) answers: Vec<String>,
}

/// What all callers share.
pub(crate) struct Callers<'a> {
    pub(crate) rest: Rest,
    pub(crate) targets: &'a [Target],
    pub(crate) numbers: &'a AtomicU32,
    pub(crate) stop: &'a AtomicBool,
    /// Sleeps that no other process on this machine sleeps: a short one, and one that outlasts every test.
    pub(crate) short: &'a str,
    pub(crate) endless: &'a str,
}

impl Callers<'_> {
    /// Gives commands until it is told to stop.
    pub(crate) async fn give(&self, mut dice: Dice) -> Vec<Given> {
        let mut given = Vec::new();
        while !self.stop.load(Ordering::SeqCst) {
            given.push(self.give_one(&mut dice).await);
            tokio::time::sleep(Duration::from_millis(dice.below(60))).await;
        }
        given
    }

    async fn give_one(&self, dice: &mut Dice) -> Given {
        let number = self.numbers.fetch_add(1, Ordering::SeqCst);
        let target = dice.below(self.targets.len() as u64) as usize;
        let work = if dice.below(ENDLESS) == 0 { Work::Endless } else { Work::Short };
        let (waits, has_key) = (dice.below(2) == 0, dice.below(2) == 0);
        let Target { path, file } = &self.targets[target];
        // Longer than the whole epoch: a command that expires here is a fault.
        let mut command = json!({"command": self.line(number, file, work, dice), "expires_in_seconds": 600});
        if work == Work::Endless {
            command["timeout_seconds"] = json!(1);
        }
        let path = if waits { path.clone() } else { format!("{path}?wait=false") };
        let (told, answers) = if has_key {
            let rest = self.rest.with("idempotency-key", format!("number-{number}"));
            ask_until_told(&rest, &path, &command).await
        } else {
            let (told, answer) = ask(&self.rest, &path, &command).await;
            (told, vec![answer])
        };
        Given { number, target, work, told, answers }
    }

    /// A line that writes the number, before or after a moment in which it can be killed.
    fn line(&self, number: u32, file: &std::path::Path, work: Work, dice: &mut Dice) -> String {
        let write = format!("echo {number} >> {}", file.display());
        match (work, dice.below(3)) {
            (Work::Endless, _) => format!("{write}; sleep {}", self.endless),
            (Work::Short, 0) => write,
            (Work::Short, 1) => format!("{write}; sleep {}", self.short),
            (Work::Short, _) => format!("sleep {}; {write}", self.short),
        }
    }
}

/// Makes the same call until the command is acknowledged: with an `Idempotency-Key` that is safe.
async fn ask_until_told(rest: &Rest, path: &str, command: &serde_json::Value) -> (Told, Vec<String>) {
    let deadline = Instant::now() + PATIENCE;
    let mut answers = Vec::new();
    let mut may_be_stored = false;
    loop {
        let (told, answer) = ask(rest, path, command).await;
        answers.push(answer);
        may_be_stored |= told == Told::Nothing;
        match told {
            Told::Acknowledged { .. } => return (told, answers),
            _ if Instant::now() < deadline => tokio::time::sleep(Duration::from_millis(20)).await,
            Told::Refused if !may_be_stored => return (Told::Refused, answers),
            _ => return (Told::Nothing, answers),
        }
    }
}

/// Makes one call.
async fn ask(rest: &Rest, path: &str, command: &serde_json::Value) -> (Told, String) {
    let answer = match rest.call("POST", path).json(command).send().await {
        Ok(answer) => answer,
        Err(error) => return (Told::Nothing, format!("{error:#}")),
    };
    (told(&answer), format!("{} {}", answer.status, answer.text()))
}

/// What an answer promises.
fn told(answer: &Answer) -> Told {
    let acknowledged = |id: &serde_json::Value, status: &serde_json::Value| Told::Acknowledged {
        id: text(id).to_owned(),
        // Who gave up waiting was told how far it had come.
        status: status.as_str().filter(|status| !OPEN.contains(status)).map(str::to_owned),
    };
    match answer.status {
        202 => acknowledged(&answer.data()["command_id"], &serde_json::Value::Null),
        200 => acknowledged(&answer.data()["command_id"], &answer.data()["status"]),
        504 => {
            let details = &answer.json()["error"]["details"];
            acknowledged(&details["command_id"], &details["result"]["status"])
        }
        503 if answer.refusal().1 == "SATELLITE_OFFLINE" => Told::Refused,
        // A server that stops, or a proxy that breaks, promises nothing.
        500..600 => Told::Nothing,
        other => panic!("{other} {}", answer.text()),
    }
}
