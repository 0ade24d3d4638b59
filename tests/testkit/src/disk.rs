//! Disks that are full, disks that fail, and disks that do not answer.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::process::Process;
use crate::procfs;
use hive_test_peers::until;

/// A small disk of its own. It is gone with the value, which must outlive everything that uses it.
#[derive(Debug)]
pub struct SmallDisk {
    dir: TempDir,
}

impl SmallDisk {
    /// Makes one. Needs root, or `sudo` without a password.
    pub fn new(mebibytes: u32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let size = format!("size={mebibytes}m,mode=0755");
        let mounted = as_root("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(dir.path()).status();
        assert!(
            mounted.is_ok_and(|status| status.success()),
            "cannot mount a tmpfs: the tests of full disks need root"
        );
        Self { dir }
    }

    /// Its top.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Takes all room that is left.
    pub fn fill(&self) {
        let mut file = File::create(self.ballast()).unwrap();
        // The last bytes one page at a time: a file system may refuse a large piece where a small one fits.
        for piece in [vec![0; 64 * 1024], vec![0; 4096], vec![0; 1]] {
            loop {
                match file.write(&piece) {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => panic!("cannot fill the disk: {error}"),
                }
            }
        }
    }

    /// Takes room until this many bytes are left.
    pub fn fill_to(&self, left: u64) {
        let mut file = File::options().create(true).append(true).open(self.ballast()).unwrap();
        let piece = [0; 16 * 1024];
        while self.total() - self.used() > left {
            file.write_all(&piece).unwrap();
        }
    }

    /// Gives the room back.
    pub fn free(&self) {
        std::fs::remove_file(self.ballast()).unwrap();
    }

    /// How many bytes are taken.
    pub fn used(&self) -> u64 {
        let stat = nix::sys::statvfs::statvfs(self.path()).unwrap();
        (stat.blocks() - stat.blocks_free()) * stat.fragment_size()
    }

    fn total(&self) -> u64 {
        let stat = nix::sys::statvfs::statvfs(self.path()).unwrap();
        stat.blocks() * stat.fragment_size()
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Also where something still hangs on it.
        as_root("umount").arg("--lazy").arg(self.path()).status().ok();
    }
}

/// A small disk of its own that can hang: a process that writes to it then waits in the kernel, where SIGKILL does not end
/// it. It is gone with the value, which must outlive everything that uses it.
#[derive(Debug)]
pub struct HangingDisk {
    dir: TempDir,
    is_hanging: bool,
}

impl HangingDisk {
    /// Makes one that works. Needs root, or `sudo` without a password.
    pub fn new() -> Self {
        let disk = Self { dir: tempfile::tempdir().unwrap(), is_hanging: false };
        let (image, owner) = (disk.dir.path().join("image"), (nix::unistd::getuid(), nix::unistd::getgid()));
        File::create(&image).unwrap().set_len(32 * 1024 * 1024).unwrap();
        let owner = format!("root_owner={}:{}", owner.0, owner.1);
        run(as_root("mkfs.ext4").args(["-q", "-E", &owner]).arg(&image));
        std::fs::create_dir(disk.path()).unwrap();
        run(as_root("mount").args(["-o", "loop"]).arg(&image).arg(disk.path()));
        disk
    }

    /// Its top.
    pub fn path(&self) -> PathBuf {
        self.dir.path().join("disk")
    }

    /// Lets it hang from now on. Reads of what is in the cache go on.
    pub fn hang(&mut self) {
        run(as_root("fsfreeze").arg("--freeze").arg(self.path()));
        self.is_hanging = true;
    }

    /// Lets it work again. Everything that waits for it goes on.
    pub fn end(&mut self) {
        run(as_root("fsfreeze").arg("--unfreeze").arg(self.path()));
        self.is_hanging = false;
    }
}

impl Default for HangingDisk {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for HangingDisk {
    fn drop(&mut self) {
        if self.is_hanging {
            as_root("fsfreeze").arg("--unfreeze").arg(self.path()).status().ok();
        }
        as_root("umount").arg("--lazy").arg(self.path()).status().ok();
    }
}

/// A process whose writes do not reach the disk: each `fsync` fails with an input/output error, until the value is gone.
#[derive(Debug)]
pub struct FailingDisk {
    tracer: Child,
    traced: i32,
}

impl FailingDisk {
    /// Lets them fail from now on.
    pub async fn under(process: &Process) -> Self {
        let traced = process.pid();
        let mut strace = as_root("strace");
        strace.args(["--quiet=all", "--follow-forks", "--output=/dev/null", "--attach", &traced.to_string()]);
        strace.args(["--trace=fsync,fdatasync", "--inject=fsync,fdatasync:error=EIO"]);
        let tracer = strace.stdin(Stdio::null()).spawn().expect("strace is there");
        let failing = Self { tracer, traced };
        // strace attaches one thread after the other. An fsync before that would succeed.
        until("strace holds all threads", async || procfs::are_threads_traced(traced)).await;
        failing
    }

    /// Lets the disk work again.
    pub async fn end(mut self) {
        self.detach();
        until("strace has let go", async || !procfs::are_threads_traced(self.traced)).await;
    }

    fn detach(&mut self) {
        let tracer = nix::unistd::Pid::from_raw(self.tracer.id() as i32);
        nix::sys::signal::kill(tracer, nix::sys::signal::Signal::SIGTERM).ok();
        self.tracer.wait().ok();
    }
}

impl Drop for FailingDisk {
    fn drop(&mut self) {
        self.detach();
    }
}

fn run(command: &mut Command) {
    let ended = command.status();
    assert!(
        ended.is_ok_and(|status| status.success()),
        "{command:?} failed: the tests of disks that hang need root and loop devices"
    );
}

fn as_root(name: &str) -> Command {
    if nix::unistd::geteuid().is_root() {
        return Command::new(name);
    }
    let mut command = Command::new("sudo");
    command.args(["--non-interactive", name]);
    command
}
