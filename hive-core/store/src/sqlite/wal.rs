//! Looks into a write-ahead log before SQLite does, because SQLite silently passes over everything behind the first frame that
//! is not what was written.
//!
//! The end of a log may well be broken: what was being written when the power went was never acknowledged. But only one
//! transaction is ever under way, so that a broken frame with the ends of two transactions behind it is damage, and opening
//! the database would lose what was acknowledged. What cannot be seen is a log cut off exactly between two transactions.
//! The format: <https://www.sqlite.org/fileformat2.html#the_write_ahead_log>.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
/// The magic number of a log whose checksums are over little-endian words; one more for big-endian ones.
const MAGIC: u32 = 0x377f_0682;

/// What is in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Log {
    /// Nothing but whole transactions, if anything.
    Whole,
    /// Behind the last whole transaction stands the beginning of one more.
    Unfinished,
    /// Transactions that were acknowledged stand behind something that is not what was written.
    Damaged {
        /// The first frame that is not, from 1; 0 is the log's own header.
        frame: u64,
    },
}

/// Reads a log; one that is not there is whole.
pub(super) fn inspect(path: &Path) -> io::Result<Log> {
    match File::open(path) {
        Ok(file) => read(BufReader::new(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Log::Whole),
        Err(error) => Err(error),
    }
}

fn read(mut file: impl Read) -> io::Result<Log> {
    let mut header = [0; HEADER];
    if fill(&mut file, &mut header)? < HEADER || header == [0; HEADER] {
        return Ok(Log::Whole);
    }
    let mut sum = Sum { is_big: word(&header, 0) == MAGIC + 1, state: (0, 0) };
    sum.add(&header[..24]);
    let page = word(&header, 8) as usize;
    if word(&header, 0) & !1 != MAGIC || !sum.is(&header[24..]) || !(512..=65_536).contains(&page) {
        return Ok(Log::Damaged { frame: 0 });
    }
    let (mut scan, mut written) = (Scan::default(), sum);
    let mut frame = vec![0; FRAME_HEADER + page];
    loop {
        match fill(&mut file, &mut frame)? {
            0 => break,
            len if len < frame.len() => scan.is_broken = true,
            _ => {
                // The frame before may have been changed in its content or in its checksum.
                let follows = [&mut sum, &mut written].map(|sum| sum.takes(&frame)).contains(&true);
                written.state = (word(&frame, 16), word(&frame, 20));
                if !scan.frame(frame[8..16] == header[16..24], follows, word(&frame, 4) != 0) {
                    return Ok(Log::Damaged { frame: scan.good + 1 });
                }
            }
        }
    }
    Ok(if scan.is_broken || scan.is_open { Log::Unfinished } else { Log::Whole })
}

/// What was seen of a log so far.
#[derive(Default)]
struct Scan {
    /// Frames from the first that are what was written.
    good: u64,
    /// Whether a transaction has begun behind the last end of one.
    is_open: bool,
    /// Whether a frame of this log is not what was written.
    is_broken: bool,
    /// Where the frames that are what was written are over: whether the frame before ended a transaction, or one before that,
    /// to which it continues.
    behind: Option<bool>,
}

impl Scan {
    /// Takes a frame: whether it is of this generation of the log, whether it continues the frame before, and whether a
    /// transaction ends with it. False where it stands behind the end of another transaction that is lost.
    fn frame(&mut self, is_current: bool, follows: bool, is_end: bool) -> bool {
        if self.behind.is_none() && is_current && follows {
            self.good += 1;
            self.is_open = !is_end;
            return true;
        }
        let is_behind_an_end = follows && self.behind == Some(true);
        // One of an earlier generation continues nothing of this one.
        self.is_broken |= is_current || (self.behind.is_none() && follows);
        self.behind = Some(is_end || is_behind_an_end);
        !(is_current && is_behind_an_end)
    }
}

/// The running checksum of a log.
#[derive(Clone, Copy)]
struct Sum {
    is_big: bool,
    state: (u32, u32),
}

impl Sum {
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

    /// Goes on over a frame; whether it comes to what stands in it.
    fn takes(&mut self, frame: &[u8]) -> bool {
        self.add(&frame[..8]);
        self.add(&frame[FRAME_HEADER..]);
        self.is(&frame[16..24])
    }

    fn is(&self, written: &[u8]) -> bool {
        self.state == (word(written, 0), word(written, 4))
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Fills the buffer as far as the file goes.
fn fill(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
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
    use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
    use sqlx::{ConnectOptions, Executor};

    /// The log of a database that was written to so often, as a killed process leaves it.
    async fn log_of(transactions: u32) -> Vec<u8> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.db");
        let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
        let mut connection = options.journal_mode(SqliteJournalMode::Wal).connect().await.unwrap();
        connection.execute("CREATE TABLE x (n INTEGER, text TEXT)").await.unwrap();
        for _ in 0..transactions {
            connection
                .execute("INSERT INTO x SELECT 1, hex(zeroblob(4000)) FROM (SELECT 1 UNION SELECT 2)")
                .await
                .unwrap();
        }
        std::fs::read(dir.path().join("x.db-wal")).unwrap()
    }

    fn frame_len(log: &[u8]) -> usize {
        FRAME_HEADER + word(log, 8) as usize
    }

    #[tokio::test]
    async fn a_log_is_whole_as_sqlite_wrote_it() {
        assert_eq!(read(&[][..]).unwrap(), Log::Whole);
        assert_eq!(read(&log_of(5).await[..]).unwrap(), Log::Whole);
        assert_eq!(inspect(Path::new("/nowhere/x.db-wal")).unwrap(), Log::Whole);
    }

    #[tokio::test]
    async fn an_end_that_is_cut_off_is_unfinished() {
        let log = log_of(3).await;
        let len = frame_len(&log);
        for cut in [1, 100, len - 1, len, len + 1] {
            assert_eq!(read(&log[..log.len() - cut]).unwrap(), Log::Unfinished, "{cut} bytes cut off");
        }
    }

    #[tokio::test]
    async fn a_flipped_byte_is_damage_unless_it_is_in_the_last_transaction() {
        let log = log_of(3).await;
        let len = frame_len(&log);
        let frames = (log.len() - HEADER) / len;
        let is_end = |frame: usize| word(&log, HEADER + (frame - 1) * len + 4) != 0;
        let last_begin = (1..frames).rev().find(|&frame| is_end(frame)).unwrap() + 1;
        let of_frame = |n: usize| [0, 5, 9, 17, 30, 4000].map(|at| HEADER + (n - 1) * len + at);
        for place in (0..HEADER).chain((1..=frames).flat_map(of_frame)) {
            let mut flipped = log.clone();
            flipped[place] ^= 0x40;
            let frame = place.checked_sub(HEADER).map_or(0, |place| place / len + 1);
            let found = read(&flipped[..]).unwrap();
            let is_seen = found == Log::Damaged { frame: frame as u64 };
            assert!(
                is_seen || frame >= last_begin && found == Log::Unfinished,
                "byte {place}, frame {frame} of {frames}"
            );
        }
    }

    #[tokio::test]
    async fn what_an_earlier_generation_left_behind_is_no_damage() {
        let (mut log, newer) = (log_of(6).await, log_of(2).await);
        log[..newer.len()].copy_from_slice(&newer);
        assert_eq!(read(&log[..]).unwrap(), Log::Whole);
    }
}
