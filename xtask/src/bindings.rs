//! The bindings as other languages have them: written by the generator, wrapped by hand, and tried from their side.
//!
//! [`python`] builds the wheel and installs it where nothing else of ours is; [`swift`] writes the package, and compiles as much of
//! it as this machine can.

mod python;
mod swift;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::hive::UpHive;
use crate::machine;
use crate::run::{self, WORKSPACE, built, cargo, program};

/// The profile of the generator, and of what is only tried here.
const PROFILE: &str = "debug";

/// What is built before bindings are tried. With the examples, which need what the tests need: with the features of the tests.
const BUILT: [&str; 3] = ["--lib", "--bins", "--examples"];

/// Tries all bindings against a running hive.
pub(crate) fn test(hive: &UpHive, profile: &str) -> Result<()> {
    python::test(hive, profile)?;
    swift::test(hive, profile)
}

/// Tries all bindings by themselves.
pub(crate) fn run() -> Result<()> {
    machine::ensure(&machine::BINDINGS)?;
    run::run(cargo(["build"]).args(WORKSPACE).args(BUILT))?;
    test(&UpHive::start(PROFILE)?, PROFILE)
}

/// Builds the wheel to be given away.
pub(crate) fn wheel() -> Result<()> {
    build()?;
    println!("{}", python::wheel("release")?.display());
    Ok(())
}

/// Writes the Swift package.
pub(crate) fn swift_package() -> Result<()> {
    build()?;
    println!("{}", swift::package(PROFILE)?.display());
    Ok(())
}

/// Builds the library and its generator.
fn build() -> Result<()> {
    run::run(&mut cargo(["build", "--package", "hive-ffi", "--features", "bindgen"]))
}

/// The library that the bindings call.
fn library(profile: &str) -> PathBuf {
    built(profile).join(format!("{}hive_ffi{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX))
}

/// The program that writes the bindings' sources: the same ones for every profile.
fn generator() -> PathBuf {
    built(PROFILE).join(format!("hive-bindgen{}", std::env::consts::EXE_SUFFIX))
}

/// Makes a folder anew, with nothing in it.
pub(crate) fn emptied(dir: &Path) -> Result<()> {
    if dir.exists() {
        std::fs::remove_dir_all(dir).with_context(|| format!("cannot clear {}", dir.display()))?;
    }
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))
}

/// A program by its path.
fn at(path: &Path) -> std::process::Command {
    program(&path.to_string_lossy())
}
