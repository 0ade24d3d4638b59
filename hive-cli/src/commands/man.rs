//! `hive man`: writes the man pages, one for each command.

use serde_json::json;

use crate::args::{self, ManArgs};
use crate::error::{CliError, Result};
use crate::output::Printer;

pub(super) fn run(printer: Printer, args: &ManArgs) -> Result<()> {
    let directory = &args.directory;
    std::fs::create_dir_all(directory).map_err(CliError::file("make", directory))?;
    clap_mangen::generate_to(args::pages(), directory).map_err(CliError::file("write into", directory))?;
    let sentence = format!("the pages are in {}; `man -l {0}/hive.1` shows the first", directory.display());
    printer.report(&json!({ "directory": directory }), &sentence)
}
