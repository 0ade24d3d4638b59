//! The Swift package: the generated sources beside those that were written by hand.
//!
//! It is compiled and run where there is a Swift toolchain. The C header and the module map it stands on are tried in any case: a C
//! program calls the library through the header, and clang imports the module.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::{at, emptied, generator, library, python};
use crate::hive::UpHive;
use crate::run::{built, output_of, program, root, run, works};

/// The module of the C header, and the Swift module over it.
const C_MODULE: &str = "CHiveFFI";
const MODULE: &str = "HiveFFI";

pub(super) fn test(hive: &UpHive, profile: &str) -> Result<()> {
    let package = package(profile)?;
    check_header(&package, profile)?;
    if !works("swift", ["--version"]) {
        println!(
            "note: there is no Swift toolchain: the Swift package was written, its C header compiled, and it was not built"
        );
        return Ok(());
    }
    let libraries = built(profile);
    let libraries = libraries.to_string_lossy();
    let mut swift = program("swift");
    swift.arg("test").arg("--package-path").arg(&package);
    swift.args(["-Xlinker".into(), format!("-L{libraries}"), "-Xlinker".into(), format!("-rpath={libraries}")]);
    run(hive.tell(swift.env("HIVE_BIN_DIR", built(profile))))
}

/// Writes the whole package, and returns where it is.
pub(super) fn package(profile: &str) -> Result<PathBuf> {
    let package = built("swift").join("SatelliteHive");
    emptied(&package)?;
    copy(&root().join("hive-ffi").join("swift"), &package)?;
    let sources = package.join("Sources");
    for example in ["Exec", "FanOut", "Terminal", "Embedded"] {
        let from = root().join("examples").join("swift").join(format!("{example}.swift"));
        place(&from, &sources.join(format!("{example}Example")).join("main.swift"))?;
    }
    let written = built("swift").join("written");
    emptied(&written)?;
    let mut generate = at(&generator());
    generate.args(["generate", "--no-format", "--language", "swift", "--out-dir"]).arg(&written);
    run(generate.arg(library(profile)))?;
    place(&written.join(format!("{MODULE}.swift")), &sources.join(MODULE).join(format!("{MODULE}.swift")))?;
    let c_module = sources.join(C_MODULE);
    place(&written.join(format!("{C_MODULE}.h")), &c_module.join(format!("{C_MODULE}.h")))?;
    place(&written.join(format!("{C_MODULE}.modulemap")), &c_module.join("module.modulemap"))?;
    Ok(package)
}

/// Compiles the header, links a program against the library, and compares what both say of their contract.
fn check_header(package: &Path, profile: &str) -> Result<()> {
    let (c_module, program_file) = (package.join("Sources").join(C_MODULE), built("swift").join("contract"));
    let map = read(&c_module.join("module.modulemap"))?;
    ensure!(map.contains(&format!("module {C_MODULE} ")), "the module map names another module:\n{map}");
    ensure!(map.contains(&format!("header \"{C_MODULE}.h\"")), "the module map names another header:\n{map}");
    let source = root().join("hive-ffi").join("swift").join("Check").join("contract.c");
    let mut cc = program("cc");
    cc.args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-I"]).arg(&c_module).arg(&source).arg("-o").arg(&program_file);
    cc.arg(library(profile)).arg(format!("-Wl,-rpath,{}", built(profile).display()));
    run(&mut cc)?;
    let contract = output_of(&mut at(&program_file))?;
    let swift = read(&package.join("Sources").join(MODULE).join(format!("{MODULE}.swift")))?;
    let expected = format!("let bindings_contract_version = {}\n", contract.trim());
    ensure!(swift.contains(&expected), "the library has the contract {contract}, and the Swift sources another");
    check_module(&c_module)
}

/// Imports the module as Swift's compiler does, with the one that comes with Python's packages.
fn check_module(c_module: &Path) -> Result<()> {
    let include = output_of(program("cc").arg("-print-file-name=include"))?;
    let script = root().join("hive-ffi").join("swift").join("Check").join("module.py");
    run(python::tool("python")?.arg(script).arg(c_module).args([C_MODULE, include.trim()]))
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Copies a file to where there may be no folder yet.
fn place(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to.parent().context("a file lies in a folder")?)?;
    std::fs::copy(from, to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    Ok(())
}

/// Copies a folder.
fn copy(from: &Path, to: &Path) -> Result<()> {
    for entry in std::fs::read_dir(from).with_context(|| format!("cannot list {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() { copy(&entry.path(), &target)? } else { place(&entry.path(), &target)? }
    }
    Ok(())
}
