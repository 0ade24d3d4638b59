//! Output on disk, in memory, and beyond the limit.

use super::*;
use hive_wire::agent::MAX_OUTPUT;
use hive_wire::id::Seed;
use std::fs::File;

fn id(n: u8) -> CommandId {
    CommandId::new(Seed { unix_millis: 1, random: [n; 10] })
}

fn spool() -> (tempfile::TempDir, Spool) {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::of_dir(dir.path().join("spool"));
    (dir, spool)
}

#[test]
fn output_is_read_while_it_is_written() {
    let (_dir, spool) = spool();
    let mut writer = spool.writer(id(1), Channel::Stdout);
    assert_eq!(writer.append(b""), 0);
    assert_eq!(spool.dir.read_dir().unwrap().count(), 0, "no file before the first byte");
    assert_eq!(writer.append(b"hello "), 6);
    let mut reader = spool.reader(id(1), Channel::Stdout);
    assert_eq!(reader.read(1, 3).unwrap(), "ell");
    assert_eq!(writer.append(b"world"), 11);
    assert_eq!(reader.read(6, 5).unwrap(), "world");
    assert_eq!(spool.stored_len(id(1)), Received { stdout: 11, stderr: 0 });
}

#[test]
fn output_beyond_the_cap_is_dropped() {
    let (_dir, spool) = spool();
    let mut writer = spool.writer(id(1), Channel::Stderr);
    let piece = vec![b'x'; 1024 * 1024 + 1];
    for _ in 0..11 {
        writer.append(&piece);
    }
    assert!(writer.is_truncated());
    assert_eq!(writer.len(), MAX_OUTPUT);
    assert_eq!(spool.stored_len(id(1)).stderr, MAX_OUTPUT);
}

#[test]
fn a_sweep_leaves_what_is_needed() {
    let (_dir, spool) = spool();
    spool.writer(id(1), Channel::Stdout).append(b"1");
    spool.writer(id(2), Channel::Stdout).append(b"2");
    spool.sweep(|other| other == id(2)).unwrap();
    assert_eq!((spool.stored_len(id(1)).stdout, spool.stored_len(id(2)).stdout), (0, 1));
}

#[test]
fn what_the_disk_does_not_take_goes_on_in_memory() {
    let (_dir, spool) = spool();
    let mut writer = spool.writer(id(1), Channel::Stdout);
    writer.append(b"on disk, ");
    // A file that is open for reading only stands for a full disk.
    writer.file = Some(File::open(&writer.path).unwrap());
    assert_eq!(writer.append(b"in memory"), 18);
    assert!(!writer.is_truncated() && writer.loss().is_none());
    let mut reader = spool.reader(id(1), Channel::Stdout);
    assert_eq!(reader.read(0, 18).unwrap(), "on disk, in memory");
    assert_eq!(reader.read(12, 6).unwrap(), "memory");
    assert!(spool.disk.problem().is_none(), "the disk works again");
    spool.remove(id(1));
    assert!(spool.memory.get(id(1), Channel::Stdout).is_none());
}

#[test]
fn an_output_begins_in_memory_where_there_is_no_file() {
    let (dir, spool) = spool();
    fs::remove_dir(&spool.dir).unwrap();
    fs::write(&spool.dir, "in the way").unwrap();
    let mut writer = spool.writer(id(1), Channel::Stderr);
    assert_eq!(writer.append(b"hello"), 5);
    assert_eq!(spool.reader(id(1), Channel::Stderr).read(1, 4).unwrap(), "ello");
    drop(dir);
}
