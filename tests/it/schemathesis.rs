//! The OpenAPI document, compared with the server that it describes by programs that are not ours: Schemathesis calls each operation as
//! one caller and checks every answer, and a validator reads the document alone.
//!
//! `cargo xtask test` installs both and names their folder in `HIVE_SCHEMATHESIS`. What is excluded, and why, is in
//! `tests/schemathesis/schemathesis.toml`; how a call gets an object of its own is in `tests/schemathesis/hooks.py`.

mod hive;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use self::hive::{Caller, DocumentedHive};

/// How long Schemathesis may take in all. It waits for no server that does not answer.
const PATIENCE: Duration = Duration::from_mins(15);

/// The examples of the document, then what follows from its schemas without chance: limits, enums, missing and additional fields.
const QUICK: [&str; 2] = ["--phases", "examples,coverage"];

/// All phases, also random requests and sequences of requests along the links of the document.
const LONG: [&str; 4] = ["--phases", "examples,coverage,fuzzing,stateful", "--max-examples", "50"];

/// Runs Schemathesis as this caller, and fails if an answer is none that the document describes.
async fn check(caller: Caller, phases: &[&str]) {
    let hive = DocumentedHive::new().await;
    let mut schemathesis = tool("schemathesis");
    schemathesis.arg("--config-file").arg(sources().join("schemathesis.toml"));
    schemathesis.arg("run").arg(format!("{}/api/v1/openapi.json", hive.server.url())).arg("--no-color").args(phases);
    hive.tell(&mut schemathesis, caller).await;
    schemathesis.env("SCHEMATHESIS_HOOKS", sources().join("hooks.py"));
    run(schemathesis, hive.server.dir()).await;
    // Whatever was sent: the satellites are still served, and the log is intact.
    hive.expect_intact().await;
}

async fn run(mut command: Command, dir: &Path) {
    command.current_dir(dir).env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await.expect("it ends in time").unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}

fn tool(name: &str) -> Command {
    let tools = std::env::var_os("HIVE_SCHEMATHESIS").expect("HIVE_SCHEMATHESIS names the folder of Schemathesis");
    Command::new(PathBuf::from(tools).join(name))
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join("schemathesis")
}

#[tokio::test]
#[ignore = "needs Schemathesis, which cargo xtask test installs"]
async fn the_document_is_valid_openapi() {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join("openapi.json");
    let mut validator = tool("openapi-spec-validator");
    validator.args(["--schema", "3.1"]).arg(document);
    run(validator, Path::new(env!("CARGO_MANIFEST_DIR"))).await;
}

#[tokio::test]
#[ignore = "needs Schemathesis, which cargo xtask test installs"]
async fn an_admin_gets_what_the_document_says() {
    check(Caller::Admin, &QUICK).await;
}

#[tokio::test]
#[ignore = "needs Schemathesis, which cargo xtask test installs"]
async fn a_viewer_gets_what_the_document_says() {
    check(Caller::Viewer, &QUICK).await;
}

/// The same with chance, for more callers.
mod long {
    use super::{Caller, LONG, check};

    #[tokio::test]
    #[ignore = "needs Schemathesis, which cargo xtask test installs"]
    async fn an_admin_gets_what_the_document_says() {
        check(Caller::Admin, &LONG).await;
    }

    #[tokio::test]
    #[ignore = "needs Schemathesis, which cargo xtask test installs"]
    async fn an_operator_gets_what_the_document_says() {
        check(Caller::Operator, &LONG).await;
    }

    #[tokio::test]
    #[ignore = "needs Schemathesis, which cargo xtask test installs"]
    async fn a_viewer_gets_what_the_document_says() {
        check(Caller::Viewer, &LONG).await;
    }

    #[tokio::test]
    #[ignore = "needs Schemathesis, which cargo xtask test installs"]
    async fn a_key_with_few_scopes_gets_what_the_document_says() {
        check(Caller::LimitedKey, &LONG).await;
    }
}
