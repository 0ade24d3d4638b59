//! The wheel: built by maturin, installed into an environment in which there is nothing else, and tried there.
//!
//! What pip downloads is kept below `target/python`, so that a second run needs no network.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{BUILT, at, emptied, generator};
use crate::hive::UpHive;
use crate::run::{WORKSPACE, built, output_of, program, root, run, without_us};

/// What builds and checks the wheel, and what reads C as Swift does.
const TOOLS: [&str; 4] = ["maturin>=1.9,<2", "mypy>=1.11", "typing_extensions", "libclang>=16"];
/// What stands beside the wheel where it is tried.
const BESIDE: [&str; 2] = ["pytest>=8", "pytest-asyncio>=1"];

/// Builds the wheel of this profile, and returns where it is.
pub(super) fn wheel(profile: &str) -> Result<PathBuf> {
    let (python, wheels) = (Python::ready()?, built("wheels"));
    python.wheel(profile, &wheels)
}

/// One of the tools.
pub(super) fn tool(name: &str) -> Result<Command> {
    Ok(at(&Python::ready()?.tool(name)))
}

pub(super) fn test(hive: &UpHive, profile: &str) -> Result<()> {
    let python = Python::ready()?;
    let wheel = python.wheel(profile, &python.home.join("dist"))?;
    let clean = python.install(&wheel)?;
    python.check_types(&clean)?;
    let ours = |command: Command| {
        let mut command = command;
        hive.tell(command.env("HIVE_BIN_DIR", built(profile)).env("PYTHONDONTWRITEBYTECODE", "1"));
        command
    };
    for example in examples()? {
        run(ours(at(&clean)).arg(example))?;
    }
    run(ours(at(&clean)).args(["-m", "pytest", "--quiet"]).current_dir(sources()))
}

/// Where the tools are, and what they leave.
struct Python {
    home: PathBuf,
}

impl Python {
    /// Installs the tools, unless they are there.
    fn ready() -> Result<Self> {
        let python = Self { home: built("python") };
        let wanted = [TOOLS.join("\n"), BESIDE.join("\n"), output_of(program("python3").arg("--version"))?].join("\n");
        let stamp = python.home.join("ready");
        if std::fs::read_to_string(&stamp).is_ok_and(|ready| ready == wanted) {
            return Ok(python);
        }
        emptied(&python.home)?;
        run(program("python3").args(["-m", "venv"]).arg(python.home.join("tools")))?;
        run(python.pip("install").args(TOOLS).args(BESIDE))?;
        run(python.pip("download").arg("--dest").arg(python.beside()).args(BESIDE))?;
        std::fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))?;
        Ok(python)
    }

    /// Compiles the library and wraps it. What is given away is without what writes bindings.
    fn wheel(&self, profile: &str, dir: &Path) -> Result<PathBuf> {
        emptied(dir)?;
        let mut maturin = without_us(at(&self.tool("maturin")));
        maturin.args(["build", "--out"]).arg(dir).current_dir(sources());
        match profile {
            // Packed, and tried for what it asks of other machines, only where it is for them.
            "debug" => maturin
                .args(["--profile", "dev", "--compatibility", "linux", "--compression-method", "stored"])
                .env("CARGO", self.cargo_of_workspace()?),
            _ => maturin.args(["--profile", profile]),
        };
        // The generator finds in the library's symbols what it has to write down: they are kept.
        maturin.env("CARGO_PROFILE_RELEASE_STRIP", "debuginfo").env("PATH", self.path_with_generator()?);
        run(&mut maturin)?;
        let wheels = files(dir, "whl")?;
        ensure!(wheels.len() == 1, "maturin wrote {} wheels", wheels.len());
        wheels.into_iter().next().context("no wheel")
    }

    /// A cargo that compiles the library as everything else here is compiled. maturin asks for its package alone, which would
    /// compile 290 crates once more, with other features.
    fn cargo_of_workspace(&self) -> Result<PathBuf> {
        let (script, cargo) = (self.home.join("cargo"), std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
        let what = [&WORKSPACE[..], &BUILT].concat().join(" ");
        let build = format!("build {what} --message-format json-render-diagnostics");
        // What it starts is told of the real one, as in every other build: else some of it may be compiled anew.
        let text = format!(
            "#!/bin/sh\nexport CARGO=\"{cargo}\"\nif [ \"$1\" = rustc ]; then exec \"$CARGO\" {build}; fi\nexec \"$CARGO\" \"$@\"\n"
        );
        std::fs::write(&script, text).with_context(|| format!("cannot write {}", script.display()))?;
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755))?;
        Ok(script)
    }

    /// maturin looks for a generator of this name.
    fn path_with_generator(&self) -> Result<std::ffi::OsString> {
        let dir = self.home.join("generator");
        emptied(&dir)?;
        let (from, to) = (generator(), dir.join("uniffi-bindgen"));
        std::fs::copy(&from, to).with_context(|| format!("cannot copy {}", from.display()))?;
        let path = std::env::var_os("PATH").unwrap_or_default();
        Ok(std::env::join_paths(std::iter::once(dir).chain(std::env::split_paths(&path)))?)
    }

    /// Makes an environment with the wheel and what runs its tests, and nothing else. Returns its interpreter.
    fn install(&self, wheel: &Path) -> Result<PathBuf> {
        let clean = self.home.join("clean");
        run(program("python3").args(["-m", "venv", "--clear", "--without-pip"]).arg(&clean))?;
        let python = clean.join("bin").join("python");
        let mut pip = at(&self.tool("pip"));
        pip.arg("--python").arg(&python).args(["install", "--quiet", "--no-index", "--find-links"]);
        run(pip.arg(self.beside()).args(BESIDE).arg(wheel))?;
        Ok(python)
    }

    /// Holds the installed package to its types, and the tests and examples to those of the package.
    fn check_types(&self, clean: &Path) -> Result<()> {
        let mypy = || {
            let mut mypy = at(&self.tool("mypy"));
            mypy.arg("--config-file").arg(sources().join("pyproject.toml")).arg("--python-executable").arg(clean);
            mypy.arg("--cache-dir").arg(self.home.join("mypy"));
            mypy
        };
        run(mypy().args(["--package", "satellite_hive"]))?;
        let tests = sources().join("tests");
        run(mypy().args(files(&tests, "py")?).args(examples()?).env("MYPYPATH", tests))
    }

    fn pip(&self, what: &str) -> Command {
        let mut pip = at(&self.tool("pip"));
        pip.args([what, "--quiet", "--disable-pip-version-check"]);
        pip
    }

    fn tool(&self, name: &str) -> PathBuf {
        self.home.join("tools").join("bin").join(name)
    }

    fn beside(&self) -> PathBuf {
        self.home.join("beside")
    }
}

fn sources() -> PathBuf {
    root().join("hive-ffi").join("python")
}

fn examples() -> Result<Vec<PathBuf>> {
    files(&root().join("examples").join("python"), "py")
}

/// The files of a folder with this ending, by name.
fn files(dir: &Path, ending: &str) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))?;
    let paths: std::io::Result<Vec<PathBuf>> = entries.map(|entry| Ok(entry?.path())).collect();
    let mut paths = paths?;
    paths.retain(|path| path.extension().is_some_and(|there| there == ending));
    paths.sort();
    Ok(paths)
}
