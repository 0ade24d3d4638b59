//! `hive man`: the manual, a page for each command.

use serde_json::json;

use crate::args::{self, ManArgs};
use crate::failure::{Failure, Result};
use crate::output::Output;

pub(super) fn run(output: Output, args: &ManArgs) -> Result<()> {
    let directory = &args.directory;
    std::fs::create_dir_all(directory).map_err(Failure::file("make", directory))?;
    clap_mangen::generate_to(args::pages(), directory).map_err(Failure::file("write into", directory))?;
    let sentence = format!("the pages are in {}; `man -l {0}/hive.1` shows the first", directory.display());
    output.tell(&json!({ "directory": directory }), &sentence)
}
