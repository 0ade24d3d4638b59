//! Schemathesis and a validator of OpenAPI documents, for the tests of `tests/it/schemathesis.rs`: installed by pip into an environment
//! of their own.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::bindings::emptied;
use crate::run::{built, output_of, program, run};

/// Each by its version: what they generate changes with it, and a fixed seed means nothing with another one.
const PACKAGES: [&str; 4] =
    ["schemathesis==4.32.5", "hypothesis==6.170.17", "jsonschema-rs==0.60.3", "openapi-spec-validator==0.9.0"];

/// Installs the packages, unless they are there. Returns the folder of their programs.
pub(crate) fn ready() -> Result<PathBuf> {
    let home = built("schemathesis");
    let tools = home.join("bin");
    let wanted = [PACKAGES.join("\n"), output_of(program("python3").arg("--version"))?].join("\n");
    let stamp = home.join("ready");
    if std::fs::read_to_string(&stamp).is_ok_and(|ready| ready == wanted) {
        return Ok(tools);
    }
    emptied(&home)?;
    run(program("python3").args(["-m", "venv"]).arg(&home))?;
    let mut pip = program(&tools.join("pip").to_string_lossy());
    run(pip.args(["install", "--quiet", "--disable-pip-version-check"]).args(PACKAGES))?;
    std::fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))?;
    Ok(tools)
}
