//! Output on disk, in memory, and beyond the limit.

use super::*;
use bytes::Bytes;
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

fn reader(spool: &Spool, channel: Channel) -> SpoolReader {
    spool.reader(id(1), channel, Arc::new(Semaphore::new(1)), Arc::default())
}

#[tokio::test]
async fn output_is_read_while_it_is_written() {
    let (_dir, spool) = spool();
    let mut writer = spool.writer(id(1), Channel::Stdout);
    assert_eq!(writer.append(Bytes::new()).await, 0);
    assert_eq!(spool.dir.read_dir().unwrap().count(), 0, "no file before the first byte");
    assert_eq!(writer.append(Bytes::from_static(b"hello ")).await, 6);
    let mut reader = reader(&spool, Channel::Stdout);
    assert_eq!(reader.read_all(1, 3).await.unwrap(), "ell");
    assert_eq!(writer.append(Bytes::from_static(b"world")).await, 11);
    assert_eq!(reader.read_all(6, 5).await.unwrap(), "world");
    assert_eq!(spool.stored_len(id(1)).await, Received { stdout: 11, stderr: 0 });
}

#[tokio::test]
async fn output_beyond_the_cap_is_dropped() {
    let (_dir, spool) = spool();
    let mut writer = spool.writer(id(1), Channel::Stderr);
    let piece = Bytes::from(vec![b'x'; 1024 * 1024 + 1]);
    for _ in 0..11 {
        writer.append(piece.clone()).await;
    }
    assert!(writer.is_truncated());
    assert_eq!(writer.len(), MAX_OUTPUT);
    assert_eq!(spool.stored_len(id(1)).await.stderr, MAX_OUTPUT);
}

#[tokio::test]
async fn a_sweep_leaves_what_is_needed() {
    let (_dir, spool) = spool();
    spool.writer(id(1), Channel::Stdout).append(Bytes::from_static(b"1")).await;
    spool.writer(id(2), Channel::Stdout).append(Bytes::from_static(b"2")).await;
    spool.sweep(|other| other == id(2)).unwrap();
    assert_eq!((spool.stored_len(id(1)).await.stdout, spool.stored_len(id(2)).await.stdout), (0, 1));
}

#[tokio::test]
async fn what_the_disk_does_not_take_goes_on_in_memory() {
    let (_dir, spool) = spool();
    let mut writer = spool.writer(id(1), Channel::Stdout);
    writer.append(Bytes::from_static(b"on disk, ")).await;
    // A file that is open for reading only stands for a full disk.
    writer.file = Some(Arc::new(File::open(&writer.path).unwrap()));
    assert_eq!(writer.append(Bytes::from_static(b"in memory")).await, 18);
    assert!(!writer.is_truncated() && writer.loss().is_none());
    let mut reader = reader(&spool, Channel::Stdout);
    assert_eq!(reader.read_all(0, 18).await.unwrap(), "on disk, in memory");
    assert_eq!(reader.read_all(12, 6).await.unwrap(), "memory");
    assert!(spool.disk.problem().is_none(), "the disk works again");
    spool.remove(id(1)).await;
    assert!(spool.memory.get(id(1), Channel::Stdout).is_none());
}

#[tokio::test]
async fn an_output_begins_in_memory_where_there_is_no_file() {
    let (dir, spool) = spool();
    fs::remove_dir(&spool.dir).unwrap();
    fs::write(&spool.dir, "in the way").unwrap();
    let mut writer = spool.writer(id(1), Channel::Stderr);
    assert_eq!(writer.append(Bytes::from_static(b"hello")).await, 5);
    assert_eq!(reader(&spool, Channel::Stderr).read_all(1, 4).await.unwrap(), "ello");
    drop(dir);
}
