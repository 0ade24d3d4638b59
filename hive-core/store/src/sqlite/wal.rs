//! Verifies a write-ahead log before SQLite opens it, because SQLite ignores all frames after the first invalid one without an
//! error.
//!
//! An invalid end is normal: the transaction that was being written at a power failure was never acknowledged. But only one
//! transaction is written at a time. If the commits of two transactions follow an invalid frame, then the log is corrupt, and
//! opening the database would lose acknowledged changes. A log that was cut off exactly between two transactions cannot be
//! detected here. The format is described in <https://www.sqlite.org/fileformat2.html#the_write_ahead_log>.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
/// The magic number of a log whose checksums are over little-endian words; one more for big-endian ones.
const MAGIC: u32 = 0x377f_0682;

/// The state of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WalState {
    /// It has complete transactions only, or none.
    Complete,
    /// It ends within a transaction.
    Truncated,
    /// Committed transactions follow an invalid frame.
    Corrupt {
        /// The number of the invalid frame, from 1. 0 is the header of the log.
        frame: u64,
    },
}

/// Reads a log. A missing one is complete.
pub(super) fn inspect(path: &Path) -> io::Result<WalState> {
    match File::open(path) {
        Ok(file) => read(BufReader::new(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(WalState::Complete),
        Err(error) => Err(error),
    }
}

fn read(mut file: impl Read) -> io::Result<WalState> {
    let mut header = [0; HEADER];
    if read_full(&mut file, &mut header)? < HEADER || header == [0; HEADER] {
        return Ok(WalState::Complete);
    }
    let mut sum = LogChecksum { is_big: read_u32(&header, 0) == MAGIC + 1, state: (0, 0) };
    sum.add(&header[..24]);
    let page = read_u32(&header, 8) as usize;
    if read_u32(&header, 0) & !1 != MAGIC || !sum.matches(&header[24..]) || !(512..=65_536).contains(&page) {
        return Ok(WalState::Corrupt { frame: 0 });
    }
    // `sum` covers the frames as they are; `stored` continues from the checksum that the frame before has stored.
    let (mut scan, mut stored) = (FrameScan::default(), sum);
    let mut frame = vec![0; FRAME_HEADER + page];
    loop {
        match read_full(&mut file, &mut frame)? {
            0 => break,
            len if len < frame.len() => scan.is_broken = true,
            _ => {
                // If one frame was changed, either in its content or in its checksum, the next one still follows one of both.
                let follows = [&mut sum, &mut stored].map(|sum| sum.add_frame(&frame)).contains(&true);
                stored.state = (read_u32(&frame, 16), read_u32(&frame, 20));
                if !scan.add(frame[8..16] == header[16..24], follows, read_u32(&frame, 4) != 0) {
                    return Ok(WalState::Corrupt { frame: scan.valid + 1 });
                }
            }
        }
    }
    Ok(if scan.is_broken || scan.is_open { WalState::Truncated } else { WalState::Complete })
}

/// The state of a scan over the frames of a log.
#[derive(Default)]
struct FrameScan {
    /// Valid frames from the first one on.
    valid: u64,
    /// Whether the valid frames end within a transaction.
    is_open: bool,
    /// Whether there is an invalid frame of this generation of the log.
    is_broken: bool,
    /// After the first invalid frame: whether a commit was seen in the frames that follow each other up to the one before.
    commit_seen: Option<bool>,
}

impl FrameScan {
    /// Adds a frame. `is_current` is whether it belongs to this generation of the log, `follows` whether its checksum continues
    /// the frame before, `is_commit` whether it ends a transaction. False if it follows a commit that SQLite would ignore.
    fn add(&mut self, is_current: bool, follows: bool, is_commit: bool) -> bool {
        if self.commit_seen.is_none() && is_current && follows {
            self.valid += 1;
            self.is_open = !is_commit;
            return true;
        }
        let follows_commit = follows && self.commit_seen == Some(true);
        // SQLite reuses the file: frames of an earlier generation may remain after the last one, and are no error.
        self.is_broken |= is_current || (self.commit_seen.is_none() && follows);
        self.commit_seen = Some(is_commit || follows_commit);
        !(is_current && follows_commit)
    }
}

/// The running checksum of a log, which covers all frames up to the current one.
#[derive(Clone, Copy)]
struct LogChecksum {
    is_big: bool,
    state: (u32, u32),
}

impl LogChecksum {
    fn add(&mut self, bytes: &[u8]) {
        let (mut a, mut b) = self.state;
        for pair in bytes.chunks_exact(8) {
            let read = |at: usize| {
                let word = [pair[at], pair[at + 1], pair[at + 2], pair[at + 3]];
                if self.is_big { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) }
            };
            a = a.wrapping_add(read(0)).wrapping_add(b);
            b = b.wrapping_add(read(4)).wrapping_add(a);
        }
        self.state = (a, b);
    }

    /// Adds a frame. Returns whether the result is the checksum that the frame has stored.
    fn add_frame(&mut self, frame: &[u8]) -> bool {
        self.add(&frame[..8]);
        self.add(&frame[FRAME_HEADER..]);
        self.matches(&frame[16..24])
    }

    fn matches(&self, stored: &[u8]) -> bool {
        self.state == (read_u32(stored, 0), read_u32(stored, 4))
    }
}

fn read_u32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Reads until the buffer is full or the file ends, and returns how many bytes were read.
fn read_full(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut len = 0;
    while len < buffer.len() {
        match file.read(&mut buffer[len..]) {
            Ok(0) => break,
            Ok(more) => len += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the log of a database after some transactions, as a killed process leaves it.
    fn log_of(transactions: u32) -> Vec<u8> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.db");
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE x (n INTEGER, text TEXT)").unwrap();
        for _ in 0..transactions {
            let insert = "INSERT INTO x SELECT 1, hex(zeroblob(4000)) FROM (SELECT 1 UNION SELECT 2)";
            connection.execute(insert, []).unwrap();
        }
        std::fs::read(dir.path().join("x.db-wal")).unwrap()
    }

    fn frame_len(log: &[u8]) -> usize {
        FRAME_HEADER + read_u32(log, 8) as usize
    }

    #[tokio::test]
    async fn a_log_as_sqlite_wrote_it_is_complete() {
        assert_eq!(read(&[][..]).unwrap(), WalState::Complete);
        assert_eq!(read(&log_of(5)[..]).unwrap(), WalState::Complete);
        assert_eq!(inspect(Path::new("/nowhere/x.db-wal")).unwrap(), WalState::Complete);
    }

    #[tokio::test]
    async fn a_log_without_its_end_is_truncated() {
        let log = log_of(3);
        let len = frame_len(&log);
        for cut in [1, 100, len - 1, len, len + 1] {
            assert_eq!(read(&log[..log.len() - cut]).unwrap(), WalState::Truncated, "{cut} bytes cut off");
        }
    }

    #[tokio::test]
    async fn a_flipped_byte_is_corruption_unless_it_is_in_the_last_transaction() {
        let log = log_of(3);
        let len = frame_len(&log);
        let frames = (log.len() - HEADER) / len;
        let is_end = |frame: usize| read_u32(&log, HEADER + (frame - 1) * len + 4) != 0;
        let last_begin = (1..frames).rev().find(|&frame| is_end(frame)).unwrap() + 1;
        let of_frame = |n: usize| [0, 5, 9, 17, 30, 4000].map(|at| HEADER + (n - 1) * len + at);
        for place in (0..HEADER).chain((1..=frames).flat_map(of_frame)) {
            let mut flipped = log.clone();
            flipped[place] ^= 0x40;
            let frame = place.checked_sub(HEADER).map_or(0, |place| place / len + 1);
            let found = read(&flipped[..]).unwrap();
            let is_seen = found == WalState::Corrupt { frame: frame as u64 };
            assert!(
                is_seen || frame >= last_begin && found == WalState::Truncated,
                "byte {place}, frame {frame} of {frames}"
            );
        }
    }

    #[tokio::test]
    async fn frames_of_an_earlier_generation_are_no_corruption() {
        let (mut log, newer) = (log_of(6), log_of(2));
        log[..newer.len()].copy_from_slice(&newer);
        assert_eq!(read(&log[..]).unwrap(), WalState::Complete);
    }
}
